"""Building scenes and moving what stands in them, against Sionna's own ways.

    python -m benchmarks.scenes [--scene NAME ...] [--quick] [--json]

For each scene, with its first access point and 20 receivers at depth 3 with refraction:

- ``build``: from the declaration to a Sionna scene, against `sionna.rt.load_scene` of the same
  geometry, exported as XML and PLY, with and without its merging of shapes.
- ``move``: up to ten things that can be moved, by centimetres: `twin.trace.rebuild.LiveScene`,
  against `SceneObject.position` of each on the scene loaded without merging, against all their
  vertices written together there, and against building anew.
- ``trace``: the scene moved like this, by the chain engine with its whole search for chains,
  against `sionna.rt.PathSolver` at its defaults, all receivers in one call. Each also traces in the
  other's scene, which tells what the scene costs from what the solver does.
- ``move and trace``: both together.

Seconds are medians of rounds in which all take turns, after one round that compiles kernels and
counts for nothing; each round moves things to another place, so that no search is remembered.
Before that, Sionna's moved scene is compared with ours, triangle by triangle. ``--quick`` is one
scene, few rounds, and writes nothing; otherwise records go to ``benchmarks/results/scenes.json``,
where they replace those of the same scene, and into a table beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.store_records import Record, as_json, in_turn, record, table, timed
from benchmarks.trace_scenes import SEED, office_declaration, place, sionna_rt
from twin.atomic import write_text
from twin.scene.declaration import Scene
from twin.scene.exporters.mitsuba import export_mitsuba
from twin.scene.exporters.provenance import exported
from twin.scene.geometry import build
from twin.scene.library import load_scene
from twin.scene.receivers import Points, receiver_points
from twin.seeds import stream
from twin.trace.engine import TraceSettings

if TYPE_CHECKING:
    from sionna import rt

RESULTS = Path(__file__).parent / "results"
SCENES = ("office", "office_wing", "wi_s1", "street_o2", "mall_floor")
RECEIVERS = 20
MOST_MOVED = 10
# Of building and moving, and of tracing, which takes a hundred times as long.
ROUNDS, TRACES = 15, 3
# Of a thing's move along each axis [m]: nothing gets into a receiver.
_STEP_M = 0.02
_ALIKE_M = 1e-4

# What `PathSolver` does by default.
_SETTINGS = TraceSettings(max_depth=3, refraction=True, max_paths=100)


@dataclass(frozen=True)
class Case:
    """A scene with one access point, and where it is heard."""

    scene: Scene
    points: Points


def case(name: str) -> Case:
    """One of `SCENES`."""
    if name == "office":
        scene, points = office_declaration(), place(name).receivers(RECEIVERS, SEED)
    else:
        scene = load_scene(name)
        points = receiver_points(scene)
        points = points[:: -(-len(points) // RECEIVERS)]
    first = scene.model_copy(update={"access_points": scene.access_points[:1]})
    return Case(first.in_folder(scene.folder), points)


def moved(scene: Scene, step: int) -> Scene:
    """The scene with its last ten pieces of furniture elsewhere, or its first ten vehicles."""
    draws = stream(SEED, "moves", scene.name, step)
    if scene.furniture:
        items = list(scene.furniture)
        for index in range(max(len(items) - MOST_MOVED, 0), len(items)):
            centre = items[index].centre_m + draws.uniform(-_STEP_M, _STEP_M, 2)
            items[index] = items[index].model_copy(update={"centre_m": tuple(centre.tolist())})
        changed = scene.model_copy(update={"furniture": tuple(items)})
    else:
        vehicles = list(scene.vehicles)
        for index, vehicle in enumerate(vehicles[:MOST_MOVED]):
            at = vehicle.at_m + float(draws.uniform(0.0, _STEP_M))
            vehicles[index] = vehicle.model_copy(update={"at_m": at})
        changed = scene.model_copy(update={"vehicles": tuple(vehicles)})
    return changed.in_folder(scene.folder)


class Rival:
    """The scene as Sionna loads it from files, every surface an object that can be moved."""

    def __init__(self, file: Path, scene: Scene) -> None:
        self.built = sionna_rt().load_scene(str(file), merge_shapes=False)
        self.built.frequency = scene.frequency_hz
        found = exported(scene).surfaces
        self._names = [name for name, _ in found]
        self._first = np.array([surface.vertices[0] for _, surface in found])
        self._vertices = [surface.vertices for _, surface in found]
        self._centres = [np.array(self.built.objects[name].position)[:, 0] for name in self._names]

    def shifts(self, changed: Scene) -> dict[str, Points]:
        """How far (3,) [m] each object that moves has moved from where it was loaded."""
        shift = np.array([surface.vertices[0] for surface in build(changed)]) - self._first
        pairs = zip(self._names, shift, strict=True)
        return {name: way for name, way in pairs if np.abs(way).max() > 0.0}

    def move(self, shifts: dict[str, Points]) -> None:
        """Objects one by one, by their position."""
        import mitsuba as mi

        for name, shift in shifts.items():
            centre = self._centres[self._names.index(name)] + shift
            self.built.objects[name].position = mi.Point3f(*centre.tolist())

    def move_together(self, shifts: dict[str, Points]) -> None:
        """The vertices of all objects, and one update."""
        import mitsuba as mi

        parameters = self.built.mi_scene_params
        for name, shift in shifts.items():
            vertices = self._vertices[self._names.index(name)] + shift
            key = f"{self.built.objects[name].mi_mesh.id()}.vertex_positions"
            parameters[key] = mi.Float(vertices.astype(np.float32).ravel())
        parameters.update()

    def corners(self) -> Points:
        """All triangles (t, 3, 3) [m], in the order of the surfaces."""
        return _corners([self.built.objects[name] for name in self._names])


def _corners(objects: list[rt.SceneObject]) -> Points:
    parts = []
    for item in objects:
        vertices = np.array(item.mi_mesh.vertex_positions_buffer()).reshape(-1, 3)
        parts.append(vertices[np.array(item.mi_mesh.faces_buffer()).reshape(-1, 3)])
    return np.concatenate(parts).astype(np.float64)


def same_geometry(rival: Rival, changed: Scene) -> None:
    """Refuse to compare scenes that are not alike."""
    ours = np.concatenate([surface.vertices[surface.faces] for surface in build(changed)])
    theirs = rival.corners()
    if ours.shape != theirs.shape or np.abs(ours - theirs).max() > _ALIKE_M:
        raise AssertionError("Sionna's scene differs from ours, which makes times no comparison")


def records(name: str, rounds: tuple[int, int]) -> Iterator[Record]:
    """All comparisons in one scene."""
    with tempfile.TemporaryDirectory(prefix="scenes-benchmark-") as folder:
        file = export_mitsuba(case(name).scene, Path(folder) / name)
        yield from _compared(name, case(name), file, rounds)


def _compared(name: str, where: Case, file: Path, rounds: tuple[int, int]) -> Iterator[Record]:
    scene = where.scene
    seconds = _seconds(where, file, rounds)
    surfaces = build(scene)
    movable = len(Rival(file, scene).shifts(moved(scene, 0)))
    size = {
        "surfaces": len(surfaces),
        "triangles": sum(len(surface.faces) for surface in surfaces),
        "moved": movable,
        "receivers": len(where.points),
    }

    def compared(what: str, ours: str, rival: str, rival_name: str) -> Record:
        return {
            "scene": name,
            **record(
                f"{name}: {what}",
                seconds[ours],
                seconds[rival],
                rival_name,
                "s",
                ratio=seconds[rival] / seconds[ours],
                **size,
            ),
        }

    yield compared("build", "build", "load", "load_scene")
    yield compared("build", "build", "load apart", "load_scene, merge_shapes=False")
    if not movable:
        return
    what = f"move {movable}"
    yield compared(what, "move", "position", "SceneObject.position, one by one")
    yield compared(what, "move", "together", "all vertices written together")
    yield compared(what, "move", "build", "ours, built anew")
    yield compared("trace", "chains", "paths", "PathSolver in its own scene")
    yield compared("trace", "chains", "paths in ours", "PathSolver in our scene")
    yield compared("trace", "chains", "chains in theirs", "chains in Sionna's scene")
    seconds["ours"] = seconds["move"] + seconds["chains"]
    seconds["theirs"] = seconds["position"] + seconds["paths"]
    yield compared(f"{what} and trace", "ours", "theirs", "SceneObject.position, PathSolver")


def _seconds(where: Case, file: Path, rounds: tuple[int, int]) -> dict[str, float]:
    """Median seconds of every task."""
    from twin.trace.build import build_scene
    from twin.trace.rebuild import LiveScene
    from twin.trace.solver import solve_chains

    rt = sionna_rt()
    import drjit as dr

    scene, points = where.scene, where.points
    source = np.array([scene.access_points[0].position_m])
    frequency_hz = scene.carrier_hz(scene.access_points[0])
    live, rival, packed = LiveScene(), Rival(file, scene), Rival(file, scene)
    live.update(scene)
    live.tune(frequency_hz)
    for built in (live.built, rival.built):
        _devices(built, source, points)
    step = 0

    def finished(task: Callable[[], object]) -> float:
        def whole() -> None:
            task()
            dr.sync_thread()

        return timed(whole)

    def paths(built: rt.Scene) -> None:
        found = rt.PathSolver()(built, max_depth=3, refraction=True)
        dr.eval(found.a, found.tau)

    def move() -> float:
        nonlocal step
        step += 1
        changed = moved(scene, step)

        def task() -> None:
            if live.update(changed) != "moved":
                raise AssertionError("built anew, which is measured by itself")
            live.tune(frequency_hz)

        return finished(task)

    def position() -> float:
        shifts = rival.shifts(moved(scene, step))
        return finished(lambda: rival.move(shifts))

    def together() -> float:
        shifts = packed.shifts(moved(scene, step))
        return finished(lambda: packed.move_together(shifts))

    def chains(built: Callable[[], rt.Scene]) -> float:
        # Each search is for triangles of its own: the same ones would be remembered.
        return finished(lambda: solve_chains(built(), source, points, _SETTINGS))

    building = {
        "build": lambda: finished(lambda: build_scene(scene)),
        "load": lambda: finished(lambda: rt.load_scene(str(file))),
        "load apart": lambda: finished(lambda: rt.load_scene(str(file), merge_shapes=False)),
    }
    moving = {
        "move": move,
        "position": position,
        "together": together,
    }
    tracing = {
        # Every trace is of things that have just been moved.
        "moved": lambda: move() + position(),
        "chains": lambda: chains(lambda: live.built),
        "paths": lambda: finished(lambda: paths(rival.built)),
        "paths in ours": lambda: finished(lambda: paths(live.built)),
        "chains in theirs": lambda: chains(lambda: _forgetful(rival.built)),
    }
    if not rival.shifts(moved(scene, 0)):
        in_turn(building, 1)
        return in_turn(building, rounds[0])
    in_turn(building | moving, 1)
    for either in (rival, packed):
        same_geometry(either, moved(scene, step))
    in_turn(tracing, 1)
    return in_turn(building | moving, rounds[0]) | in_turn(tracing, rounds[1])


def _forgetful(built: rt.Scene) -> rt.Scene:
    """The scene, with the chains of every other forgotten."""
    from twin.trace import solver
    from twin.trace.reuse import ChainMemory

    solver._MEMORY = ChainMemory(capacity=256)
    return built


def _devices(built: rt.Scene, source: Points, points: Points) -> None:
    """A transmitter and receivers, vertical and isotropic."""
    rt = sionna_rt()
    antenna = rt.PlanarArray(num_rows=1, num_cols=1, pattern="iso", polarization="V")
    built.tx_array = built.rx_array = antenna
    built.add(rt.Transmitter(name="sender", position=source[0].tolist()))
    built.add(
        [rt.Receiver(name=f"ear_{i}", position=point.tolist()) for i, point in enumerate(points)]
    )


def machine() -> str:
    """What the figures were made on, in words."""
    from twin.trace import backend

    return f"{os.cpu_count()} CPU cores, {backend.describe().variant}"


def _measured(name: str, rounds: tuple[int, int]) -> tuple[list[Record], str]:
    return list(records(name, rounds)), machine()


def apart(name: str, rounds: tuple[int, int]) -> tuple[list[Record], str]:
    """Records of a scene, measured in a process of its own, and the machine."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured, name, rounds).result()


def write(new: list[Record], on: str) -> None:
    """Put records among those of the results folder."""
    file = RESULTS / "scenes.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
    fresh = {entry["scene"] for entry in new}
    kept = [entry for entry in known if entry["scene"] not in fresh] + new
    kept.sort(key=lambda entry: SCENES.index(entry["scene"]))
    write_text(file, as_json(kept))
    lines = [
        "Made by `python -m benchmarks.scenes`, whose text says how it measures. Seconds are",
        "medians of rounds in turns, kernels compiled before; the ratio says how many times",
        f"quicker ours is. {on}.",
        "",
        "| scene | surfaces | triangles | moved | receivers |",
        "|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(entry["scene"] for entry in kept):
        entry = next(entry for entry in kept if entry["scene"] == name)
        sizes = (entry[key] for key in ("surfaces", "triangles", "moved", "receivers"))
        lines.append(f"| {name} | {' | '.join(f'{size:,}' for size in sizes)} |")
    text = table(kept).replace("ours / rival", "rival / ours")
    write_text(RESULTS / "scenes.md", "\n".join(lines) + "\n\n" + text)


def main() -> None:
    """Run the benchmark and write the records."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scene", nargs="+", choices=SCENES, help="all without it")
    parser.add_argument("--quick", action="store_true", help="the office; writes no results")
    parser.add_argument("--json", action="store_true", help="print records, not a table")
    arguments = parser.parse_args()
    found: list[Record] = []
    for name in arguments.scene or (SCENES[:1] if arguments.quick else SCENES):
        print(time.strftime("%H:%M:%S"), name, file=sys.stderr, flush=True)
        new, on = apart(name, (3, 1) if arguments.quick else (ROUNDS, TRACES))
        print(on, file=sys.stderr, flush=True)
        found += new
        if not arguments.quick:
            write(new, on)
    print(as_json(found) if arguments.json else table(found), end="")


if __name__ == "__main__":
    main()
