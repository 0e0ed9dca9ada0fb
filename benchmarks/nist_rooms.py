"""Our paths against those of the NIST Q-D ray tracer in four furnished rooms at 60 GHz.

    python -m benchmarks.nist_rooms [--data-dir FOLDER] [--json]

Both trace line of sight and specular reflections up to the order of the reference's run. A path of
the reference is found where one of ours is within 1 ns and half a degree at either end; no path is
used twice. Every path that is missing or more than the reference has is listed with its cause,
which a third, exact method decides (`benchmarks.exact_images`).

Power is compared where materials allow: ours is the mean over the transmitter's polarisations of
what both polarisations of the receiver get, which is what the reference's unpolarised losses stand
for; see `expected_power_db`. The folder is that of real data sets (else ``TWIN_DATA_DIR``); results
go to ``benchmarks/results/nist_rooms.json`` and into a table beside it.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from benchmarks.exact_images import Triangles
from benchmarks.qd_reference import (
    SPEED_OF_LIGHT_M_PER_S as REFERENCE_SPEED_M_PER_S,
)
from benchmarks.qd_reference import (
    Link,
    Points,
    Run,
    SpecularPath,
    read_obj,
    read_runs,
)
from twin.atomic import write_text
from twin.config import data_dir
from twin.errors import Fault, InputError
from twin.scene.geometry import Surface
from twin.scene.layers import Slab
from twin.trace.engine import TraceSettings
from twin.units import (
    SPEED_OF_LIGHT_M_PER_S,
    VACUUM_PERMITTIVITY_F_PER_M,
    db,
    free_space_path_gain_db,
)

if TYPE_CHECKING:
    from sionna import rt

    from twin.trace.paths import PathTable

RESULTS = Path(__file__).parent / "results"
FOLDER = "nist_rooms"
DELAY_TOLERANCE_S = 1e-9
DIRECTION_TOLERANCE_RAD = np.deg2rad(0.5)
GAIN_TOLERANCE_DB = 1.0
SETTINGS = TraceSettings(refraction=False, max_paths=256)
# Reflects everything, at any angle.
CONDUCTOR = Slab(relative_permittivity=1.0, conductivity_s_per_m=1e12, thickness_m=0.1)
# So thick and lossy that nothing comes back from the far side: a half-space, as the reference's.
HALF_SPACE_M = 1.0
# The reference rounds coordinates and planes to fractions of a millimetre.
CONTACT_M = 1e-3
NEAR_EDGE_M = 1e-2

Record = dict[str, object]


@dataclass(frozen=True)
class Found:
    """Our p paths of a link.

    Args:
        delay_s: (p,).
        departure, arrival: (p, 3) unit vectors; arrival points from the receiver back.
        power_db: (p,) see the module.
    """

    delay_s: npt.NDArray[np.float64]
    departure: Points
    arrival: Points
    power_db: npt.NDArray[np.float64]

    def path(self, index: int) -> Found:
        """One of them alone."""
        one = slice(index, index + 1)
        return Found(self.delay_s[one], self.departure[one], self.arrival[one], self.power_db[one])


@dataclass(frozen=True)
class Comparison:
    """A room: what was to be found, and what was found; lists have one entry for each link.

    Args:
        pairs: (reference path, our path) by index.
    """

    run: Run
    surfaces: tuple[Surface, ...]
    triangles: Triangles
    found: list[Found]
    pairs: list[list[tuple[int, int]]]


def rooms(folder: Path) -> list[tuple[Run, tuple[Surface, ...]]]:
    """The reference's runs with the rooms they were made in.

    Raises:
        InputError: a file of the data set is missing or damaged.
    """
    archives = sorted(folder.glob("reference_*.tar.xz"))
    if not archives:
        raise InputError([Fault(str(folder), "reference_*.tar.xz", "an archive of runs", "none")])
    runs = read_runs(archives[0])
    return [(run, read_obj(folder / "obj" / f"{room}.obj")) for room, run in runs.items()]


def slabs(run: Run) -> dict[str, Slab] | None:
    """Electrical constants of the room's materials; None where a conductor stands for all."""
    if run.reflection_model != "fresnel":
        return None
    to_conductivity = 2.0 * np.pi * run.frequency_hz * VACUUM_PERMITTIVITY_F_PER_M
    return {
        name: Slab(value.real, abs(value.imag) * to_conductivity, HALF_SPACE_M)
        for name, value in run.permittivity.items()
    }


def build_room(run: Run, surfaces: tuple[Surface, ...]) -> rt.Scene:
    """A Sionna scene; no devices."""
    from twin.trace import backend

    backend.prepare()
    from sionna import rt

    from twin.trace.build import surface_mesh

    constants = slabs(run)
    built = rt.Scene()
    built.frequency = run.frequency_hz
    objects = []
    for index, name in enumerate(sorted({surface.material for surface in surfaces})):
        layer = CONDUCTOR if constants is None else constants[name]
        material = rt.RadioMaterial(
            name=f"material_{index}",
            thickness=layer.thickness_m,
            relative_permittivity=layer.relative_permittivity,
            conductivity=layer.conductivity_s_per_m,
        )
        mesh = surface_mesh(f"object_{index}", [s for s in surfaces if s.material == name])
        objects.append(rt.SceneObject(mi_mesh=mesh, radio_material=material))
    built.add(objects)
    return built


def trace(run: Run, surfaces: tuple[Surface, ...]) -> list[Found]:
    """Our paths of every link, in the order of `Run.links`."""
    from twin.trace.solver import solve_chains

    built = build_room(run, surfaces)
    settings = SETTINGS.model_copy(update={"max_depth": run.max_order})
    by_transmitter: dict[tuple[float, ...], list[int]] = {}
    for index, link in enumerate(run.links):
        by_transmitter.setdefault(tuple(link.ends[0].tolist()), []).append(index)
    found: dict[int, Found] = {}
    for transmitter, links in by_transmitter.items():
        points = np.stack([run.links[i].ends[1] for i in links])
        table = solve_chains(built, np.array([transmitter]), points, settings).table
        found |= {link: _found(table, row) for row, link in enumerate(links)}
    return [found[index] for index in range(len(run.links))]


def _found(table: PathTable, row: int) -> Found:
    count = int(table.num_paths[row, 0])
    transfer = table.transfer[row, 0, :count].astype(np.complex128)

    def vectors(azimuth: npt.NDArray[np.float32], zenith: npt.NDArray[np.float32]) -> Points:
        phi, theta = (a[row, 0, :count].astype(np.float64) for a in (azimuth, zenith))
        level = np.sin(theta)
        return np.column_stack([level * np.cos(phi), level * np.sin(phi), np.cos(theta)])

    return Found(
        delay_s=table.delay_s[row, 0, :count],
        departure=vectors(table.aod_azimuth, table.aod_zenith),
        arrival=vectors(table.aoa_azimuth, table.aoa_zenith),
        power_db=db(0.5 * (np.abs(transfer) ** 2).sum(axis=(1, 2))),
    )


def compare(run: Run, surfaces: tuple[Surface, ...], found: list[Found]) -> Comparison:
    """Pair off the paths of every link."""
    pairs = [match(link.paths, ours) for link, ours in zip(run.links, found, strict=True)]
    return Comparison(run, surfaces, Triangles(surfaces), found, pairs)


def match(paths: tuple[SpecularPath, ...], found: Found) -> list[tuple[int, int]]:
    """Pairs (reference path, our path), none used twice, as many as can be and the closest."""
    if not paths or not len(found.delay_s):
        return []
    off = np.stack([_off(path.corners, path.delay_s, found) for path in paths])
    # Any pair within the tolerances is better than none.
    far = off > 1.0
    rows, columns = linear_sum_assignment(np.where(far, 1e3, off))
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if not far[i, j]]


def _off(corners: Points, delay_s: float, found: Found) -> npt.NDArray[np.float64]:
    """Differences (p,) of our paths from one path: the largest of three, in their tolerances."""
    late = np.abs(found.delay_s - delay_s) / DELAY_TOLERANCE_S
    leaving = _angle(found.departure, corners[1] - corners[0]) / DIRECTION_TOLERANCE_RAD
    arriving = _angle(found.arrival, corners[-2] - corners[-1]) / DIRECTION_TOLERANCE_RAD
    return np.asarray(np.maximum(late, np.maximum(leaving, arriving)))


def _angle(directions: Points, towards: Points) -> npt.NDArray[np.float64]:
    """Angles [rad] of unit vectors (p, 3) from a vector (3,)."""
    unit = towards / np.linalg.norm(towards)
    # Exact at small angles, where the cosine is not.
    return np.asarray(
        2.0 * np.arcsin(np.linalg.norm(directions - unit, axis=1).clip(max=2.0) / 2.0)
    )


@dataclass(frozen=True)
class ReflectionGain:
    """What the reflections of a path leave of its power [dB], each half of each polarisation.

    Args:
        written: as the reference computes it. It takes the mean of the two polarisations' power
            reflectances at every reflection anew, and where there are two reflections, that of each
            surface at the other one's angle of incidence.
        mixed: the same at the right angles.
        polarised: of a wave that keeps its polarisation from one reflection to the next.
    """

    written: float
    mixed: float
    polarised: float


def reflection_gain(comparison: Comparison, path: SpecularPath) -> ReflectionGain:
    """Of a path of the reference among half-spaces (ITU-R P.2040, equations 37)."""
    corners = path.corners
    legs = np.diff(corners, axis=0)
    legs /= np.linalg.norm(legs, axis=1, keepdims=True)
    cosine = np.sqrt(0.5 * (1.0 - np.sum(legs[:-1] * legs[1:], axis=1)))
    permittivity = np.array(
        [comparison.run.permittivity[_material(comparison, c)] for c in corners[1:-1]]
    )
    te, tm = _half_space(permittivity, cosine)
    across = _any_across(legs[0])
    # Columns: the fields of two waves of crossed polarisations.
    field = np.stack([across, np.cross(legs[0], across)], axis=1).astype(np.complex128)
    for come, go, r_te, r_tm in zip(legs[:-1], legs[1:], te, tm, strict=True):
        level = np.cross(come, go)
        size = np.linalg.norm(level)
        # At normal incidence any direction across the ray will do.
        s = level / size if size > 1e-9 else _any_across(come)
        into, out = np.cross(come, s), np.cross(go, s)
        field = r_te * np.outer(s, s @ field) + r_tm * np.outer(out, into @ field)
    return ReflectionGain(
        written=_mean_reflectance_db(*_half_space(permittivity, cosine[::-1])),
        mixed=_mean_reflectance_db(te, tm),
        polarised=float(db(0.5 * (np.abs(field) ** 2).sum())),
    )


def expected_power_db(comparison: Comparison, path: SpecularPath) -> float | None:
    """What our power of a path should be by the reference's gain [dB]; None where that is open.

    Where a reflection costs a constant, ours come from a perfect conductor, and the cost is taken
    off the reference's gain. Among half-spaces, the reference's way with reflections is replaced by
    the right one: the same up to one reflection, while from two on what is left of the reference is
    its path and its materials. Where losses were drawn at random, only line of sight is compared.
    """
    run = comparison.run
    if run.reflection_model == "drawn" and path.order:
        return None
    if run.reflection_model == "fresnel":
        reflections = reflection_gain(comparison, path)
        return path.gain_db - reflections.written + reflections.polarised
    return path.gain_db + run.loss_db * path.order


def why_other_gain(comparison: Comparison, path: SpecularPath, power_db: float) -> str:
    """Cause of a power that is not the reference's gain, where materials are the same."""
    reflections = reflection_gain(comparison, path)
    right_angles = path.gain_db - reflections.written + reflections.mixed
    if abs(power_db - right_angles) <= GAIN_TOLERANCE_DB:
        return "the reference exchanges the two angles of incidence"
    if abs(power_db - right_angles - reflections.polarised + reflections.mixed) <= (
        GAIN_TOLERANCE_DB
    ):
        return "the reference forgets polarisation between two reflections"
    return "unexplained"


def _half_space(
    permittivity: npt.NDArray[np.complex128], cosine: Points
) -> tuple[npt.NDArray[np.complex128], npt.NDArray[np.complex128]]:
    """Reflection coefficients (TE, TM) at angles of incidence of these cosines."""
    root = np.sqrt(permittivity - (1.0 - cosine**2))
    te = np.asarray((cosine - root) / (cosine + root), dtype=np.complex128)
    tm = (permittivity * cosine - root) / (permittivity * cosine + root)
    return te, tm


def _mean_reflectance_db(te: npt.NDArray[np.complex128], tm: npt.NDArray[np.complex128]) -> float:
    return float(db(np.prod(0.5 * (np.abs(te) ** 2 + np.abs(tm) ** 2))))


def _material(comparison: Comparison, point: Points) -> str:
    triangle = comparison.triangles.touching(point, CONTACT_M)[0]
    surface = comparison.surfaces[int(comparison.triangles.surface[triangle])]
    return surface.material


def _any_across(direction: Points) -> Points:
    across = np.cross(direction, np.eye(3)[np.abs(direction).argmin()])
    return np.asarray(across / np.linalg.norm(across))


def _length(corners: Points) -> float:
    return float(np.linalg.norm(np.diff(corners, axis=0), axis=1).sum())


def why_missing(comparison: Comparison, path: SpecularPath) -> str:
    """Cause of a path of the reference that we did not find."""
    if comparison.triangles.crosses(path.corners):
        return "goes through a surface where that meets the mirror"
    if _edge_distance_m(comparison, path) <= NEAR_EDGE_M:
        return f"reflected within {1e3 * NEAR_EDGE_M:.0f} mm of a triangle's edge"
    if any(len(comparison.triangles.touching(end, CONTACT_M)) for end in path.corners[[0, -1]]):
        return "a node lies on a surface"
    return "unexplained"


def _edge_distance_m(comparison: Comparison, path: SpecularPath) -> float:
    """Least distance of a reflection from a triangle's edge; infinite in line of sight."""
    distances = [comparison.triangles.edge_distance(c, CONTACT_M) for c in path.corners[1:-1]]
    return min(distances, default=np.inf)


def why_extra(comparison: Comparison, link: Link, one: Found) -> str:
    """Cause of a path of ours (p = 1) that the reference does not have."""
    if any(_off(path.corners, path.delay_s, one)[0] <= 1.0 for path in link.paths):
        return "a path of the reference, found again"
    triangles = comparison.triangles
    for end, direction in zip(link.ends, (one.departure[0], one.arrival[0]), strict=True):
        normals = triangles.normals(triangles.touching(end, CONTACT_M))
        if (np.abs(normals @ direction) < DIRECTION_TOLERANCE_RAD).any():
            return "runs along the surface that a node lies on"
    for slack_m, cause in (
        (0.0, "a true path that the reference leaves out"),
        (CONTACT_M, f"within {1e3 * CONTACT_M:.0f} mm of a triangle's edge"),
    ):
        start, end = link.ends
        exact = triangles.paths(start, end, comparison.run.max_order, slack_m)
        delays_s = [_length(corners) / SPEED_OF_LIGHT_M_PER_S for corners in exact]
        if any(_off(c, d, one)[0] <= 1.0 for c, d in zip(exact, delays_s, strict=True)):
            return cause
    return "unexplained"


def record(comparison: Comparison) -> Record:
    """All figures of a room."""
    run = comparison.run
    orders = range(run.max_order + 1)
    wanted = Counter(path.order for link in run.links for path in link.paths)
    missing, extra = _missing(comparison), _extra(comparison)
    missed = Counter(entry["order"] for entry in missing)
    return {
        "room": run.room,
        "links": len(run.links),
        "links_without_path": sum(not link.paths for link in run.links),
        "reference_paths": {str(order): wanted[order] for order in orders},
        "found_paths": {str(order): wanted[order] - missed[order] for order in orders},
        "extra_paths": len(extra),
        "exact_paths": sum(
            len(comparison.triangles.paths(link.ends[0], link.ends[1], run.max_order))
            for link in run.links
        ),
        "reference_paths_through_a_surface": sum(
            comparison.triangles.crosses(path.corners) for link in run.links for path in link.paths
        ),
        "reference_paths_near_an_edge": sum(
            _edge_distance_m(comparison, path) <= NEAR_EDGE_M
            for link in run.links
            for path in link.paths
        ),
        "diffuse_rays_left_out": run.diffuse_rays,
        **_geometry_errors(comparison),
        **_gain_errors(comparison),
        "causes_of_missing": dict(Counter(entry["cause"] for entry in missing)),
        "causes_of_extra": dict(Counter(entry["cause"] for entry in extra)),
        "missing": missing,
        "extra": extra,
    }


def _missing(comparison: Comparison) -> list[Record]:
    entries = []
    for link, pairs in zip(comparison.run.links, comparison.pairs, strict=True):
        found = {i for i, _ in pairs}
        entries += [
            {
                **_place(link),
                "order": path.order,
                "delay_ns": round(1e9 * path.delay_s, 4),
                "gain_db": round(path.gain_db, 3),
                "reflected_at_m": path.corners[1:-1].round(4).tolist(),
                "cause": why_missing(comparison, path),
            }
            for i, path in enumerate(link.paths)
            if i not in found
        ]
    return entries


def _extra(comparison: Comparison) -> list[Record]:
    entries = []
    for link, ours, pairs in zip(
        comparison.run.links, comparison.found, comparison.pairs, strict=True
    ):
        wanted = {j for _, j in pairs}
        entries += [
            {
                **_place(link),
                "delay_ns": round(1e9 * float(ours.delay_s[j]), 4),
                "power_db": round(float(ours.power_db[j]), 3),
                "cause": why_extra(comparison, link, ours.path(j)),
            }
            for j in range(len(ours.delay_s))
            if j not in wanted
        ]
    return entries


def _place(link: Link) -> Record:
    return {"from": link.transmitter, "to": link.receiver, "step": link.step}


def _matched(comparison: Comparison) -> list[tuple[SpecularPath, Found]]:
    """Paths of the reference, each with ours."""
    return [
        (link.paths[i], ours.path(j))
        for link, ours, pairs in zip(
            comparison.run.links, comparison.found, comparison.pairs, strict=True
        )
        for i, j in pairs
    ]


def _geometry_errors(comparison: Comparison) -> Record:
    matched = _matched(comparison)
    slower = REFERENCE_SPEED_M_PER_S / SPEED_OF_LIGHT_M_PER_S
    directions = [
        np.rad2deg(_angle(direction, leg)[0])
        for path, one in matched
        for direction, leg in (
            (one.departure, path.corners[1] - path.corners[0]),
            (one.arrival, path.corners[-2] - path.corners[-1]),
        )
    ]
    delay_s = [(one.delay_s[0], path.delay_s) for path, one in matched]
    return {
        "delay_error_ns_max": _most([1e9 * (ours - theirs) for ours, theirs in delay_s], 4),
        "delay_error_ns_max_at_equal_speed_of_light": _most(
            [1e9 * (ours - slower * theirs) for ours, theirs in delay_s], 5
        ),
        "direction_error_deg_max": _most(directions, 3),
    }


def _gain_errors(comparison: Comparison) -> Record:
    """Errors of power, by the number of reflections, and causes where they exceed 1 dB."""
    run = comparison.run
    orders = range(run.max_order + 1)
    errors: dict[int, list[float]] = {order: [] for order in orders}
    as_published: dict[int, list[float]] = {order: [] for order in orders}
    transcription: list[float] = []
    causes: Counter[str] = Counter()
    for path, one in _matched(comparison):
        power_db = float(one.power_db[0])
        expected = expected_power_db(comparison, path)
        if expected is not None:
            errors[path.order].append(power_db - expected)
        if run.reflection_model == "fresnel":
            spread_db = float(free_space_path_gain_db(_length(path.corners), run.frequency_hz))
            written = reflection_gain(comparison, path).written
            transcription.append(path.gain_db - spread_db - written)
            as_published[path.order].append(power_db - path.gain_db)
            if abs(power_db - path.gain_db) > GAIN_TOLERANCE_DB:
                causes[why_other_gain(comparison, path, power_db)] += 1
    return {
        "reflection_model": run.reflection_model,
        "gains_compared": {str(order): len(errors[order]) for order in orders},
        "gains_within_1_db": {str(order): _within(errors[order]) for order in orders},
        "gain_error_db_max": {str(order): _most(errors[order], 3) for order in orders},
        "gains_within_1_db_as_published": {
            str(order): _within(found) for order, found in as_published.items() if found
        },
        "gain_error_db_max_as_published": {
            str(order): _most(found, 3) for order, found in as_published.items() if found
        },
        "causes_of_other_gains": dict(causes),
        "reference_gain_error_db_max_as_written": _most(transcription, 3),
    }


def _within(errors_db: list[float]) -> int:
    return sum(abs(error) <= GAIN_TOLERANCE_DB for error in errors_db)


def _most(values: list[float], digits: int) -> float | None:
    return round(float(np.abs(values).max()), digits) if values else None


def table(records: list[Record]) -> str:
    """Counts and errors, a row a room, and the causes of what differs, as Markdown."""

    def by_order(values: object) -> str:
        return " / ".join("-" if v is None else f"{v:g}" for v in values.values())  # type: ignore[attr-defined]

    columns: dict[str, Callable[[Record], object]] = {
        "room": lambda r: r["room"],
        "links": lambda r: r["links"],
        "reference": lambda r: by_order(r["reference_paths"]),
        "found": lambda r: by_order(r["found_paths"]),
        "extra": lambda r: r["extra_paths"],
        "delay, max [ns]": lambda r: r["delay_error_ns_max"],
        "direction, max [deg]": lambda r: r["direction_error_deg_max"],
        "gains": lambda r: by_order(r["gains_compared"]),
        "within 1 dB": lambda r: by_order(r["gains_within_1_db"]),
        "gain, max [dB]": lambda r: by_order(r["gain_error_db_max"]),
        "within 1 dB as published": lambda r: by_order(r["gains_within_1_db_as_published"]) or "-",
    }
    lines = [
        "Specular paths of the NIST Q-D ray tracer (60 GHz) and ours; made by",
        "`python -m benchmarks.nist_rooms`, which says how paths are matched and how powers are",
        "compared. Figures between strokes: line of sight, one reflection, two reflections. Delays",
        "differ by the reference's speed of light, 3e8 m/s. Gains of two reflections are compared",
        "with its formula for them put right; beside that, as published.",
        "",
        f"| {' | '.join(columns)} |",
        "|---" * len(columns) + "|",
    ]
    lines += [f"| {' | '.join(str(cell(r)) for cell in columns.values())} |" for r in records]
    lines += ["", "| room | what differs | cause | number |", "|---|---|---|---|"]
    lines += [
        f"| {r['room']} | {kind} | {cause} | {count} |"
        for r in records
        for kind, key in (
            ("path missing", "causes_of_missing"),
            ("path too many", "causes_of_extra"),
            ("gain as published, by more than 1 dB", "causes_of_other_gains"),
        )
        for cause, count in r[key].items()  # type: ignore[attr-defined]
    ]
    return "\n".join(lines) + "\n"


def as_json(records: list[Record]) -> str:
    """Records as JSON, one line a key, one line a path."""
    rooms_text = []
    for room in records:
        keys = []
        for key, value in room.items():
            text = json.dumps(value, allow_nan=False)
            if isinstance(value, list) and value:
                rows = ",\n      ".join(json.dumps(entry, allow_nan=False) for entry in value)
                text = f"[\n      {rows}\n    ]"
            keys.append(f"    {json.dumps(key)}: {text}")
        rooms_text.append("  {\n" + ",\n".join(keys) + "\n  }")
    return "[\n" + ",\n".join(rooms_text) + "\n]\n"


def main() -> None:
    """Run the comparison and write the records."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, help="folder of real data sets")
    parser.add_argument("--json", action="store_true", help="print records, not a table")
    arguments = parser.parse_args()
    folder = data_dir(arguments.data_dir)
    if folder is None:
        parser.error("name the folder of real data sets: --data-dir or TWIN_DATA_DIR")
    records = [
        record(compare(run, surfaces, trace(run, surfaces)))
        for run, surfaces in rooms(folder / FOLDER)
    ]
    write_text(RESULTS / "nist_rooms.json", as_json(records))
    write_text(RESULTS / "nist_rooms.md", table(records))
    print(as_json(records) if arguments.json else table(records), end="")


if __name__ == "__main__":
    main()
