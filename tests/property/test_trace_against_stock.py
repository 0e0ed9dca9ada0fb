"""Random rooms: the paths found are those of the image method, and Sionna's are among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from tests.physics import rooms
from tests.physics.image_method import Sheets, match
from twin.config import validate
from twin.scene.check import check
from twin.scene.declaration import Scene
from twin.trace.build import build_scene
from twin.trace.engine import TraceSettings
from twin.trace.solver import solve_chains, solve_stock

CLEAR_M = 0.05
DYNAMIC_RANGE_DB = 40.0
GAIN_DB = 0.05
# Planes come from corners in single precision, a part in ten million of a room's size.
DELAY_S = 1e-13
ANGLE_RAD = 1e-5

MATERIALS = {
    "concrete": {"itu": "concrete", "thickness_m": 0.2},
    "brick": {"itu": "brick", "thickness_m": 0.11},
    "plasterboard": {"itu": "plasterboard", "thickness_m": 0.026},
    "glass": {"itu": "glass", "thickness_m": 0.006},
    "wood": {"itu": "wood", "thickness_m": 0.03},
    "metal": {"itu": "metal", "thickness_m": 0.002},
    "earth": {"relative_permittivity": 9.0, "conductivity_s_per_m": 0.3, "thickness_m": 0.05},
}
materials = st.sampled_from(sorted(MATERIALS))
outlines = st.sampled_from(["rectangle", "corner", "hexagon", "oblique"])
# The coarse one makes symmetric rooms, where paths meet edges and each other.
grids = st.sampled_from([0.01, 0.01, 0.01, 0.25])

# A room that fails is small as it is; looking for a smaller one would take minutes.
LAW = {
    "deadline": None,
    "derandomize": True,
    "phases": (Phase.explicit, Phase.generate),
    "suppress_health_check": (HealthCheck.too_slow, HealthCheck.filter_too_much),
}


@dataclass(frozen=True)
class Room:
    """A scene, a transmitter (3,) and receivers (n, 3) [m], all clear of surfaces."""

    scene: Scene
    transmitter: np.ndarray
    receivers: np.ndarray
    sheets: Sheets


class Plan:
    """Numbers on a grid, and places in an outline that is made of convex pieces."""

    def __init__(self, kind, grid_m, seed):
        self._rng = np.random.default_rng(seed)
        self._grid_m = grid_m
        width, depth = self.length(3.0, 14.0), self.length(3.0, 10.0)
        self.height = self.length(2.2, 5.0)
        if kind == "corner":
            x, y = self.length(1.5, width - 1.0), self.length(1.5, depth - 1.0)
            self.outline = [[0, 0], [width, 0], [width, y], [x, y], [x, depth], [0, depth]]
            self._pieces = [
                [[0, 0], [width, 0], [width, y], [0, y]],
                [[0, 0], [x, 0], [x, depth], [0, depth]],
            ]
            return
        if kind == "hexagon":
            x, y = self.length(0.5, 1.4), depth / 2
            self.outline = [[x, 0], [width - x, 0], [width, y], [width - x, depth], [x, depth]]
            self.outline.append([0, y])
        else:
            slant = 1.0 if kind == "oblique" else 0.0
            a, b, c, d = (self.length(0.0, slant) for _ in range(4))
            self.outline = [[a, b], [width, 0], [width - c, depth], [0, depth - d]]
        self._pieces = [self.outline]

    def length(self, low, high):
        return float(np.round(self._rng.uniform(low, high) / self._grid_m) * self._grid_m)

    def place(self):
        corners = np.array(self._pieces[self._rng.integers(len(self._pieces))])
        point = self._rng.dirichlet(np.ones(len(corners))) @ corners
        return (np.round(point / self._grid_m) * self._grid_m).tolist()

    def point(self):
        return [*self.place(), self.length(0.1, self.height - 0.1)]

    def wall(self, index, material):
        wall = {"name": f"w{index}", "path_m": [self.place(), self.place()], "material": material}
        if self._rng.random() < 0.5:
            wall["bottom_m"] = float(self._rng.choice([0.0, 0.75]))
            wall["height_m"] = self.length(0.5, self.height - 0.85)
        return wall

    def box(self, index, material):
        # No box is as wide as another stands apart: no two sides share a plane by the grid.
        size = [self.length(0.2, high) + 0.01 for high in (1.5, 1.5, self.height - 0.8)]
        return {
            **rooms.box(f"b{index}", self.place(), size, material),
            "bottom_m": float(self._rng.choice([0.0, 0.5])),
            "yaw_deg": float(self._rng.choice([0, 90, self._rng.integers(-90, 90)])),
        }


@st.composite
def furnished_rooms(draw):
    plan = Plan(draw(outlines), draw(grids), draw(st.integers(0, 2**32 - 1)))
    shell = {f"{part}_material": draw(materials) for part in ("wall", "floor", "ceiling")}
    walls, boxes = (draw(st.lists(materials, max_size=most)) for most in (3, 4))
    content = {
        **rooms.room().plain(),
        "frequency_ghz": draw(st.sampled_from([2.4, 5.25, 28.0])),
        "materials": MATERIALS,
        "room": {"outline_m": plan.outline, "height_m": plan.height, **shell},
        "walls": [plan.wall(i, material) for i, material in enumerate(walls)],
        "furniture": [plan.box(i, material) for i, material in enumerate(boxes)],
    }
    scene = validate(content, Scene, where="room")
    wrong = [fault.key.split(".")[0] for fault in check(scene, "room")]
    # The points of this scene are its own, not those of the room it was made from.
    assume(not set(wrong) - {"access_points", "receivers"})
    sheets = Sheets(scene)
    assume(not sheets.overlap())
    transmitter = np.array(plan.point())
    receivers = np.array([plan.point() for _ in range(draw(st.integers(1, 2)))])
    assume((np.linalg.norm(receivers - transmitter, axis=1) > CLEAR_M).all())
    assume((sheets.distance(np.concatenate([transmitter[None], receivers])) > CLEAR_M).all())
    return Room(scene, transmitter, receivers, sheets)


def searches(depths):
    return st.builds(
        lambda depth, refraction: TraceSettings(
            max_depth=depth, refraction=refraction, max_paths=1000, stock_samples=200_000
        ),
        depth=depths,
        refraction=st.booleans(),
    )


def exact_paths(room, receiver, search):
    return room.sheets.paths(
        room.transmitter, receiver, search.max_depth, refraction=search.refraction
    )


def off_db(found, expected):
    return abs(20 * np.log10(np.linalg.norm(found, 2) / np.linalg.norm(expected, 2)))


@settings(max_examples=30, **LAW)
@given(room=furnished_rooms(), search=searches(st.sampled_from([3, 3, 2, 1])))
def test_paths_are_those_of_the_image_method(room, search):
    built = build_scene(room.scene)
    table = solve_chains(built, room.transmitter[None], room.receivers, search).table
    for point, receiver in enumerate(room.receivers):
        paths = exact_paths(room, receiver, search)
        matched = match(table, point, 0, paths, delay_s=DELAY_S, angle_rad=ANGLE_RAD)
        assert matched.left == []
        loud = room.sheets.loud(paths, DYNAMIC_RANGE_DB)
        for path, place in matched.pairs:
            if path not in loud:
                continue
            assert place is not None, path
            found = table.transfer[point, 0, place]
            assert off_db(found, path.transfer) < GAIN_DB, path
            # Phase and polarisation as well.
            assert np.abs(found - path.transfer).max() < 0.01 * path.strength, path
            assert table.interactions[point, 0, place] == path.kinds, path


@settings(max_examples=14, **LAW)
@given(room=furnished_rooms(), search=searches(st.sampled_from([3, 2, 2, 1])))
def test_paths_of_sionna_are_found_and_those_it_lacks_are_real(room, search):
    built = build_scene(room.scene)
    solved = [
        engine(built, room.transmitter[None], room.receivers, search).table
        for engine in (solve_chains, solve_stock)
    ]
    for point, receiver in enumerate(room.receivers):
        paths = exact_paths(room, receiver, search)
        # Sionna keeps delays in single precision.
        ours, theirs = (
            match(table, point, 0, paths, delay_s=delay_s, angle_rad=angle_rad)
            for table, delay_s, angle_rad in zip(
                solved, (DELAY_S, 1e-11), (ANGLE_RAD, 1e-3), strict=True
            )
        )
        assert ours.left == []
        assert theirs.left == []
        loud = room.sheets.loud(paths, DYNAMIC_RANGE_DB)
        power = np.zeros(2)
        for (path, found), (_, wanted) in zip(ours.pairs, theirs.pairs, strict=True):
            if wanted is None or path not in loud:
                continue
            assert found is not None, path
            fields = [
                table.transfer[point, 0, place]
                for table, place in zip(solved, (found, wanted), strict=True)
            ]
            # Sionna's vertices are a tenth of a millimetre off, which turns short legs.
            assert off_db(*fields) < 4 * GAIN_DB, path
            power += [np.linalg.norm(field) ** 2 for field in fields]
        if power.any():
            assert abs(10 * np.log10(power[0] / power[1])) < GAIN_DB
