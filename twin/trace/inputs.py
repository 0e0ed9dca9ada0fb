"""Input that no ray should be traced for: all of it, found before the first ray.

This judges the triangles of any Sionna scene, ours or another's, where `twin.scene.check` judges
our declarations. What counts as a fault of geometry, and what does not:

- **No area.** Three corners on one line have no normal. Corners count as on one line when they are
  within `FLAT_ULPS` units in the last place of float32, which is all a tracer keeps of them. One
  that is not exactly flat is let pass where neighbours hold all three of its edges: it only fills
  the seam between them, and meshes of real cities have such seams.
- **Winding.** Neighbours that run along their common edge in the same direction face opposite
  ways. That is a fault in a body, and in an open sheet where both lie in one plane, because
  diffraction would see the rim of a half-plane there. Sheets folded flat onto each other are no
  neighbours. A body that is inside out as a whole is no fault: no interaction asks which side is
  which, a room faces inwards, and scenes in wide use have buildings that do. Vertex normals play no
  part, since the tracer takes those of the faces.
- **Inside.** A body is a set of connected triangles that leaves no way in: closed, or open only at
  the bottom it stands on, as buildings and cupboards often are. A device in a body is at fault
  when the body holds transmitters and no receiver, or receivers and no transmitter. A body that
  holds both is a room, and so is one that was declared as such. What has another hole, such as a
  column without top and bottom, is no body, and nothing is said about it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from twin.errors import Fault, refuse
from twin.trace import backend

backend.prepare()

from sionna import rt  # noqa: E402
from sionna.rt.radio_materials.itu import ITU_MATERIALS_PROPERTIES  # noqa: E402

if TYPE_CHECKING:
    from twin.trace.engine import TraceSettings

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

# Of devices from surfaces, and of receivers from transmitters.
CLEARANCE_M = 1e-3
# Rounding moves each of three corners by up to half a unit in the last place along each axis.
FLAT_ULPS = 2.0
# Vertices this close are one; a power of two, so that round coordinates lie inside a cell and not
# between two.
WELD_M = 2.0**-13
# A body this close above what it stands on lets nothing in.
GAP_M = 0.1
# A validation that can hold fewer paths at once is not worth starting.
MIN_CANDIDATES = 10_000
# Of the search for chains (`twin.trace.chains`).
RAYS_AT_ONCE = 1 << 18
# With all arrays that are alive at its last surface; measured.
RAY_BYTES = 140

# Cosine of the angle below which two triangles lie in one plane.
_PARALLEL = 0.9999
_POINTS_AT_ONCE = 20_000
_SHOWN_OBJECTS = 4


@dataclass(frozen=True)
class Mesh:
    """Triangles of a scene; t of them.

    Args:
        names: of the scene's objects.
        corners: (t, 3, 3) float64 [m]: triangle, corner, xyz.
        vertices: (t, 3) int64, the objects' own vertices, numbered through the scene.
        objects: (t,) int64, indices into `names`.
        numbers: (t,) int64, indices of the triangles in their objects.
    """

    names: tuple[str, ...]
    corners: Floats
    vertices: Indices
    objects: Indices
    numbers: Indices


def read_mesh(built: rt.Scene) -> Mesh:
    """All triangles of a Sionna scene, in the order of its objects."""
    positions, faces = [np.zeros((0, 3))], [np.zeros((0, 3), dtype=np.int64)]
    counts = []
    first = 0
    for item in built.objects.values():
        mesh = item.mi_mesh
        positions.append(mesh.vertex_positions_buffer().numpy().reshape(-1, 3).astype(np.float64))
        faces.append(mesh.faces_buffer().numpy().reshape(-1, 3).astype(np.int64) + first)
        counts.append(len(faces[-1]))
        first += len(positions[-1])
    vertices = np.concatenate(faces)
    starts = np.cumsum([0, *counts])[:-1]
    return Mesh(
        names=tuple(built.objects),
        corners=np.concatenate(positions)[vertices],
        vertices=vertices,
        objects=np.repeat(np.arange(len(counts)), counts),
        numbers=np.arange(len(vertices)) - np.repeat(starts, counts),
    )


def check_inputs(
    built: rt.Scene,
    transmitters: Floats,
    points: Floats,
    settings: TraceSettings,
    *,
    names: Sequence[str] | None = None,
    labels: Mapping[str, str] | None = None,
    shells: Mapping[str, Mask] | None = None,
) -> None:
    """Refuse a scene, its devices and the settings, with every fault they have.

    Args:
        built: any Sionna scene.
        transmitters: (a, 3) float64 [m].
        points: receivers, (n, 3) float64 [m].
        settings: how paths will be searched.
        names: of the transmitters; their numbers where not given.
        labels: what the user calls an object, by its name in `built`.
        shells: which triangles of an object are walls, floors and ceilings of declared rooms, by
            its name in `built`: a room is no solid, whoever is in it.

    Raises:
        InputError: coordinates that are not finite; triangles without area or neighbours that face
            opposite ways; a device in a body or on a surface, or a receiver on a transmitter; a
            frequency that is not positive or outside the range of a material; a `max_depth` beyond
            `memory_gib`.
    """
    mesh = read_mesh(built)
    finite = np.asarray(np.isfinite(mesh.corners).all(axis=(1, 2)))
    faults = _coordinate_faults(_Report(mesh, labels or {}), ~finite)
    report = _Report(_keep(mesh, finite), labels or {})
    surfaces = Bodies(report.mesh)
    faults += _area_faults(surfaces, report)
    faults += _winding_faults(surfaces, report)
    devices, device_faults = _devices(transmitters, points, names)
    faults += device_faults
    rooms = surfaces.bodies_of(of_shells(report.mesh, shells or {}))
    faults += _place_faults(surfaces, devices, report, rooms)
    faults += frequency_faults(built, float(built.frequency.numpy()[0]), labels)
    faults += memory_faults(settings)
    refuse(faults)


def frequency_faults(
    built: rt.Scene, frequency_hz: float, labels: Mapping[str, str] | None = None
) -> list[Fault]:
    """What is wrong with tracing the scene's materials at this frequency [Hz]."""
    if not (np.isfinite(frequency_hz) and frequency_hz > 0.0):
        return [Fault("trace", "frequency", "a positive number of Hz", f"{frequency_hz:g}")]
    ghz = frequency_hz / 1e9
    faults = []
    for name, material in built.radio_materials.items():
        if not isinstance(material, rt.ITURadioMaterial):
            continue
        bands = list(ITU_MATERIALS_PROPERTIES[material.itu_type])
        if any(low <= ghz <= high for low, high in bands):
            continue
        users = [key for key, item in built.objects.items() if item.radio_material is material]
        faults.append(
            Fault(
                "scene",
                f"material {name!r} of {_title(users, labels or {}) if users else 'no object'}",
                f"a carrier inside the range of ITU-R P.2040 {material.itu_type!r} "
                f"({_ranges(bands)})",
                f"{ghz:g} GHz",
                "Change the frequency, or give the objects a material with explicit constants",
            )
        )
    return faults


def _ranges(bands: list[tuple[float, float]]) -> str:
    merged: list[tuple[float, float]] = []
    for low, high in sorted(bands):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return " or ".join(f"{low:g} to {high:g} GHz" for low, high in merged)


def candidate_bytes(max_depth: int, diffraction: bool) -> int:
    """Memory of one candidate path in Sionna's buffers while it is validated [B].

    Each interaction has a vertex, a shape, a primitive, a kind and a probability, and the first
    three of them once more in the copy that the image method works on. Each candidate has a flag,
    two indices, two directions, a complex amplitude, a delay and a Doppler shift; and a wedge (a
    mesh, two faces, an edge, three numbers for each of origin, direction and two normals, a length)
    where diffraction is on. Numbers take four bytes and the flag one.
    """
    interaction = (3 + 1 + 1 + 1 + 1) + (3 + 1 + 1)
    candidate = 2 + 2 * 3 + 2 + 1 + 1
    wedge = 4 + 4 * 3 + 1 if diffraction else 0
    # Sionna keeps room for one interaction even where there is none.
    return 4 * (max(max_depth, 1) * interaction + candidate + wedge) + 1


def search_bytes(max_depth: int, refraction: bool, rays: int) -> int:
    """Memory of the rays that search for chains [B], in a scene that lets none of them out.

    Each goes on in two ways at every surface but the last, reflected and transmitted.
    """
    splits = max(max_depth - 1, 0) if refraction else 0
    return RAY_BYTES * min(rays, RAYS_AT_ONCE) << splits


def memory_faults(settings: TraceSettings) -> list[Fault]:
    """Whether a search of the depth asked for fits into the memory allowed."""
    needs = [
        max(
            search_bytes(depth, settings.refraction, settings.rays_per_round),
            MIN_CANDIDATES * candidate_bytes(depth, settings.diffraction),
        )
        / 2**30
        for depth in range(settings.max_depth + 1)
    ]
    if needs[-1] <= settings.memory_gib:
        return []
    deepest = int(np.searchsorted(needs, settings.memory_gib, side="right")) - 1
    return [
        Fault(
            "trace",
            "max_depth",
            f"a depth whose search fits into memory_gib ({settings.memory_gib:g}): "
            + (f"at most {deepest}" if deepest >= 0 else "none does"),
            f"{settings.max_depth}, which takes up to {needs[-1]:.2g} GiB",
            "Lower max_depth or rays_per_round, or raise memory_gib",
        )
    ]


def _keep(mesh: Mesh, keep: Mask) -> Mesh:
    return Mesh(
        mesh.names, mesh.corners[keep], mesh.vertices[keep], mesh.objects[keep], mesh.numbers[keep]
    )


def _title(names: Sequence[str], labels: Mapping[str, str]) -> str:
    shown = [repr(labels.get(name, name)) for name in names[:_SHOWN_OBJECTS]]
    if len(names) > _SHOWN_OBJECTS:
        shown.append(f"{len(names) - _SHOWN_OBJECTS} more")
    return ("object " if len(names) == 1 else "objects ") + ", ".join(shown)


def _at(place: Floats) -> str:
    return "(" + ", ".join(f"{value:.6g}" for value in place) + ") m"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _groups(items: Indices, keys: Indices) -> list[Indices]:
    """Items with the same key together: keys rising, the order of items kept."""
    order = np.argsort(keys, kind="stable")
    cuts = np.flatnonzero(np.diff(keys[order])) + 1
    return [group for group in np.split(items[order], cuts) if len(group)]


class _Report:
    """Puts triangles into words."""

    def __init__(self, mesh: Mesh, labels: Mapping[str, str]) -> None:
        self.mesh = mesh
        self._labels = labels

    def title(self, triangles: Indices) -> str:
        """The objects that triangles belong to."""
        objects = np.unique(self.mesh.objects[triangles])
        return _title([self.mesh.names[i] for i in objects], self._labels)

    def triangles(self, wrong: Mask, expected: str, what: str, cure: str) -> Iterator[Fault]:
        """One fault for each object that has triangles marked in `wrong` (t,)."""
        for group in _groups(np.flatnonzero(wrong), self.mesh.objects[wrong]):
            first = self.mesh.numbers[group[0]]
            corner = _at(self.mesh.corners[group[0], 0])
            found = f"{_count(len(group), 'triangle')} {what}, the first is {first} at {corner}"
            yield Fault("scene", self.title(group), expected, found, cure)


def _coordinate_faults(report: _Report, wrong: Mask) -> list[Fault]:
    return [
        *report.triangles(
            wrong, "finite vertex coordinates", "without", "Repair the mesh or its transform"
        )
    ]


class Bodies:
    """How t triangles hang together and what they enclose; m sides of triangles.

    Args:
        mesh: with finite coordinates.

    Attributes:
        places: (v, 3) float64 [m], vertices, those within `WELD_M` of each other being one.
        welded: (t, 3) int64, indices into `places`.
        owner, start, end: (m,) int64, the triangle of a side and the vertices it runs between.
        edge: (m,) int64, number of the edge; sides on one edge share it.
        shared: (m,) bool, whether another triangle has the edge.
        neighbours: (2, k) int64, sides of two triangles that are the only ones at an edge, in the
            whole scene or in one object.
        body: (t,) int64, number of the body a triangle belongs to, -1 for none.
        base: (b,) float64 [m], lowest height of each body.
        open_below: (b,) bool, whether the body is open there.
    """

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.places, self.welded = _weld(mesh)
        # A triangle smaller than a weld is no more than a point or a line in its surroundings.
        turned = np.roll(self.welded, -1, axis=1)
        whole = (self.welded != turned).all(axis=1)
        self.owner: Indices = np.repeat(np.flatnonzero(whole), 3)
        self.start: Indices = self.welded[whole].ravel()
        self.end: Indices = turned[whole].ravel()
        key = np.minimum(self.start, self.end) * len(self.places)
        key += np.maximum(self.start, self.end)
        _, self.edge, uses = np.unique(key, return_inverse=True, return_counts=True)
        self.shared: Mask = uses[self.edge] > 1
        objects = mesh.objects[self.owner]
        here = _twos(self.edge * len(mesh.names) + objects)
        anywhere = _twos(self.edge)
        across = objects[anywhere[0]] != objects[anywhere[1]]
        self.neighbours: Indices = np.concatenate([here, anywhere[:, across]], axis=1)
        count = len(self.welded)
        links = tuple(self.owner[self.neighbours])
        graph = coo_array((np.ones(len(links[0]), dtype=np.bool_), links), (count, count))
        parts = np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)
        leaky, base, open_below = self._openings(parts)
        self.body: Indices = np.where(leaky, -1, np.cumsum(~leaky) - 1)[parts]
        self.base: Floats = base[~leaky]
        self.open_below: Mask = open_below[~leaky]

    def bodies_of(self, triangles: Mask) -> Indices:
        """Numbers of the bodies that have any of the triangles marked in (t,)."""
        found = np.unique(self.body[triangles])
        return found[found >= 0]

    def _openings(self, parts: Indices) -> tuple[Mask, Floats, Mask]:
        """Of each part: whether it lets something in, its lowest height, whether open there."""
        count = int(parts.max(initial=-1)) + 1
        base, top = np.full(count, np.inf), np.full(count, -np.inf)
        height = self.places[self.welded, 2]
        np.minimum.at(base, parts, height.min(axis=1))
        np.maximum.at(top, parts, height.max(axis=1))
        # A surface without a rim has an even number of triangles at every edge.
        key = parts[self.owner] * (int(self.edge.max(initial=0)) + 1) + self.edge
        _, first, uses = np.unique(key, return_index=True, return_counts=True)
        rim = first[uses % 2 == 1]
        where = parts[self.owner[rim]]
        rim_top = self.places[np.stack([self.start[rim], self.end[rim]]), 2].max(axis=0)
        leaky = np.ones(count, dtype=np.bool_)
        leaky[parts[self.owner]] = False
        leaky[where[rim_top > base[where] + CLEARANCE_M]] = True
        open_below = np.zeros(count, dtype=np.bool_)
        open_below[where] = True
        leaky |= open_below & (top <= base + CLEARANCE_M)
        return leaky, base, open_below


def _weld(mesh: Mesh) -> tuple[Floats, Indices]:
    """Places (v, 3) of the vertices without repetition, and indices (t, 3) into them."""
    _, first, corner = np.unique(mesh.vertices, return_index=True, return_inverse=True)
    places = mesh.corners.reshape(-1, 3)[first]
    extent = np.abs(places).max(initial=0.0)
    cells = np.rint(places / max(WELD_M, extent * 2.0**-30)).astype(np.int64)
    # Two coordinates at a time into one number: sorting rows takes ten times as long.
    _, plan = np.unique((cells[:, 0] << 32) + cells[:, 1], return_inverse=True)
    _, chosen, same = np.unique((plan << 32) + cells[:, 2], return_index=True, return_inverse=True)
    return places[chosen], same[corner].reshape(-1, 3)


def _twos(keys: Indices) -> Indices:
    """Positions (2, k) of the keys that occur exactly twice."""
    order = np.argsort(keys, kind="stable")
    _, first, count = np.unique(keys[order], return_index=True, return_counts=True)
    first = first[count == 2]
    return np.stack([order[first], order[first + 1]])


def _area_faults(surfaces: Bodies, report: _Report) -> list[Fault]:
    corners = report.mesh.corners
    sides = np.roll(corners, -1, axis=1) - corners
    longest = np.linalg.norm(sides, axis=-1).max(axis=1)
    doubled = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=-1)
    step = np.finfo(np.float32).eps * np.abs(corners).max(axis=(1, 2))
    flat = doubled <= FLAT_ULPS * step * longest
    held = np.bincount(surfaces.owner, weights=surfaces.shared, minlength=len(corners)) == 3
    return [
        *report.triangles(
            flat & ~(held & (doubled > 0.0)),
            "triangles with an area, at the float32 precision of their coordinates",
            "without",
            "Remove them, or move the scene closer to its origin if it lies far off",
        )
    ]


def _winding_faults(surfaces: Bodies, report: _Report) -> list[Fault]:
    mesh, pair = report.mesh, surfaces.neighbours
    pair = pair[:, surfaces.start[pair[0]] == surfaces.start[pair[1]]]
    owner, slot = surfaces.owner[pair], pair % 3
    start, end = surfaces.places[surfaces.start[pair[0]]], surfaces.places[surfaces.end[pair[0]]]
    along = (end - start) / np.linalg.norm(end - start, axis=1, keepdims=True)
    away = mesh.corners[owner, (slot + 2) % 3] - start
    away -= np.sum(away * along, axis=-1, keepdims=True) * along
    lengths = np.linalg.norm(away, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        bend = np.sum(away[0] * away[1], axis=-1) / (lengths[0] * lengths[1])
    one_sheet = (mesh.vertices[owner[0], slot[0]] == mesh.vertices[owner[1], slot[1]]) & (
        mesh.vertices[owner[0], (slot[0] + 1) % 3] == mesh.vertices[owner[1], (slot[1] + 1) % 3]
    )
    in_body = surfaces.body[owner[0]] >= 0
    wrong = (in_body & (bend < _PARALLEL)) | (one_sheet & (bend < -_PARALLEL))
    objects = np.sort(mesh.objects[owner], axis=0)
    faults = []
    for group in _groups(np.flatnonzero(wrong), (objects[0] * len(mesh.names) + objects[1])[wrong]):
        first = owner[:, group[0]]
        faults.append(
            Fault(
                "scene",
                report.title(first),
                "neighbouring triangles that face the same side of their surface",
                f"{_count(len(group), 'edge')} where they do not, the first between triangles "
                f"{mesh.numbers[first[0]]} and {mesh.numbers[first[1]]} at {_at(start[group[0]])}",
                "Make the normals consistent",
            )
        )
    return faults


@dataclass(frozen=True)
class _Devices:
    """Transmitters, then receivers, those with finite coordinates; m of them.

    Args:
        places: (m, 3) float64 [m].
        sends: (m,) bool, whether a device is a transmitter.
        numbers: (m,) int64, index among the transmitters or the receivers as given.
        names: of the transmitters as given.
    """

    places: Floats
    sends: Mask
    numbers: Indices
    names: Sequence[str]

    def faults(self, rows: Indices, expected: str, where: str, cure: str) -> Iterator[Fault]:
        """One fault for each of the transmitters in `rows`, one for all receivers in it."""
        for row in rows[self.sends[rows]]:
            key = f"transmitters.{self.names[self.numbers[row]]}"
            yield Fault("trace", key, expected, f"{_at(self.places[row])}, {where}", cure)
        rows = rows[~self.sends[rows]]
        if len(rows):
            first = f"the first is {self.numbers[rows[0]]} at {_at(self.places[rows[0]])}"
            found = f"{len(rows)} of {int((~self.sends).sum())} {where}, {first}"
            yield Fault("trace", "points", expected, found, cure)


def _devices(
    transmitters: Floats, points: Floats, names: Sequence[str] | None
) -> tuple[_Devices, list[Fault]]:
    faults, finite = [], []
    for key, size, given in (("transmitters", "a", transmitters), ("points", "n", points)):
        places = np.asarray(given, dtype=np.float64)
        expected = f"finite coordinates ({size}, 3) with {size} >= 1"
        if places.ndim != 2 or places.shape[1] != 3 or len(places) == 0:
            faults.append(Fault("trace", key, expected, f"shape {places.shape}"))
            places = np.zeros((0, 3))
        spoilt = np.flatnonzero(~np.isfinite(places).all(axis=1))
        if len(spoilt):
            found = f"{len(spoilt)} of {len(places)} not all finite, the first is {spoilt[0]}: "
            faults.append(Fault("trace", key, expected, found + _at(places[spoilt[0]])))
        finite.append((places, np.setdiff1d(np.arange(len(places)), spoilt)))
    (sources, good), (receivers, also_good) = finite
    devices = _Devices(
        np.concatenate([sources[good], receivers[also_good]]),
        np.arange(len(good) + len(also_good)) < len(good),
        np.concatenate([good, also_good]),
        [str(i) for i in range(len(sources))] if names is None else names,
    )
    return devices, faults


def of_shells(mesh: Mesh, shells: Mapping[str, Mask]) -> Mask:
    """Which triangles (t,) of a mesh belong to declared rooms; see `check_inputs`."""
    chosen = np.zeros(len(mesh.objects), dtype=np.bool_)
    for number, name in enumerate(mesh.names):
        if name in shells:
            mine = mesh.objects == number
            chosen[mine] = shells[name][mesh.numbers[mine]]
    return chosen


def _place_faults(
    surfaces: Bodies, devices: _Devices, report: _Report, rooms: Indices
) -> list[Fault]:
    touching, inside = surroundings(surfaces, devices.places)
    faults: list[Fault] = []
    off = f"a place at least {CLEARANCE_M * 1e3:g} mm off "

    touched, first = np.unique(touching[0], return_index=True)
    triangles = touching[1, first]
    for group in _groups(np.arange(len(touched)), surfaces.mesh.objects[triangles]):
        title = report.title(triangles[group])
        faults += devices.faults(touched[group], off + title, "on it", "Move what touches it")

    # What touches a body may belong in it, so it cannot show the body to be a solid.
    holds = np.zeros((len(surfaces.base), 2), dtype=np.bool_)
    for rows, bodies in ((inside[0], inside[1]), (touching[0], surfaces.body[touching[1]])):
        known = bodies >= 0
        holds[bodies[known], devices.sends[rows[known]].astype(np.int64)] = True
    room = holds[:, 0] & holds[:, 1]
    room[rooms] = True
    if devices.sends.any() and not devices.sends.all():
        buried = inside[:, ~room[inside[1]] & ~np.isin(inside[0], touched)]
        faults += _buried_faults(surfaces.mesh, devices, report, buried)

    receivers = np.flatnonzero(~devices.sends)
    for source in np.flatnonzero(devices.sends):
        apart = np.linalg.norm(devices.places[receivers] - devices.places[source], axis=1)
        expected = f"{off}transmitter {devices.names[int(devices.numbers[source])]!r}"
        close = receivers[apart < CLEARANCE_M]
        faults += devices.faults(close, expected, "on it", "Move the one or the other")
    return faults


def _buried_faults(
    mesh: Mesh, devices: _Devices, report: _Report, buried: Indices
) -> Iterator[Fault]:
    # A body may span objects; the one straight above a device says best where it is.
    for group in _groups(np.arange(buried.shape[1]), mesh.objects[buried[2]]):
        title = report.title(buried[2, group])
        bodies = len(np.unique(buried[1, group]))
        where = "inside it" if bodies == 1 else f"inside {bodies} bodies of it"
        cure = "Move them; only a body that holds transmitters and receivers counts as a room"
        yield from devices.faults(buried[0, group], f"a place outside {title}", where, cure)


def surroundings(surfaces: Bodies, places: Floats) -> tuple[Indices, Indices]:
    """What places (m, 3) touch and what they are in.

    Returns:
        Rows of `places` with triangles they touch, (2, k); rows with the body they are in and its
        triangle straight above, (3, l).
    """
    low = surfaces.mesh.corners.min(axis=1) - CLEARANCE_M
    high = surfaces.mesh.corners.max(axis=1) + CLEARANCE_M
    # The tree asks only for the extent of what it holds, which a diagonal has as well.
    plan = shapely.STRtree(shapely.linestrings(np.stack([low[:, :2], high[:, :2]], axis=1)))
    lowest = min(low[:, 2].min(initial=np.inf), places[:, 2].min(initial=np.inf))
    touching, inside = [np.zeros((2, 0), dtype=np.int64)], [np.zeros((3, 0), dtype=np.int64)]
    for start in range(0, len(places), _POINTS_AT_ONCE):
        batch = places[start : start + _POINTS_AT_ONCE]
        row, triangle = plan.query(shapely.points(batch[:, :2]))
        near = (batch[row, 2] >= low[triangle, 2]) & (batch[row, 2] <= high[triangle, 2])
        near[near] = (
            _distance(surfaces.mesh.corners[triangle[near]], batch[row[near]]) < CLEARANCE_M
        )
        touching.append(np.stack([row[near] + start, triangle[near]]))
        height = _height(surfaces, triangle, batch[row])
        met = np.isfinite(height)
        found = _enclosed(surfaces, batch[:, 2], row[met], triangle[met], height[met], lowest)
        found[0] += start
        inside.append(found)
    return np.concatenate(touching, axis=1), np.concatenate(inside, axis=1)


def _distance(corners: Floats, places: Floats) -> Floats:
    """Distance (k,) of each place (k, 3) from its triangle (k, 3, 3)."""
    sides = np.roll(corners, -1, axis=1) - corners
    offsets = places[:, None] - corners
    squares = np.maximum(np.sum(sides**2, axis=-1), np.finfo(np.float64).tiny)
    along = np.clip(np.sum(offsets * sides, axis=-1) / squares, 0.0, 1.0)
    rim = np.linalg.norm(offsets - along[..., None] * sides, axis=-1).min(axis=1)
    normal = np.cross(sides[:, 0], sides[:, 1])
    length = np.maximum(np.linalg.norm(normal, axis=-1), np.finfo(np.float64).tiny)
    within = (np.sum(np.cross(sides, offsets) * normal[:, None], axis=-1) > 0.0).all(axis=1)
    off = np.abs(np.sum(offsets[:, 0] * normal, axis=-1)) / length
    return np.asarray(np.where(within, off, rim))


def _height(surfaces: Bodies, triangle: Indices, places: Floats) -> Floats:
    """Height (k,) [m] of each triangle straight above or below its place, NaN where it is beside.

    A place above an edge that two triangles share is above exactly one of them: both cut the same
    two points, in the same order, at the place's y.
    """
    corners = surfaces.places[surfaces.welded[triangle]]
    here, there = corners[..., :2], np.roll(corners, -1, axis=1)[..., :2]
    swap = (here[..., 0] > there[..., 0]) | (
        (here[..., 0] == there[..., 0]) & (here[..., 1] > there[..., 1])
    )
    first, last = np.where(swap[..., None], [there, here], [here, there])
    x, y = places[:, None, 0], places[:, None, 1]
    straddles = (first[..., 1] > y) != (last[..., 1] > y)
    rise = np.where(straddles, last[..., 1] - first[..., 1], 1.0)
    crossing = first[..., 0] + (y - first[..., 1]) * (last[..., 0] - first[..., 0]) / rise
    covered = np.logical_xor.reduce(straddles & (x < crossing), axis=1)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    covered &= normal[:, 2] != 0.0
    slope = normal[:, :2] / np.where(covered, normal[:, 2], 1.0)[:, None]
    height = corners[:, 0, 2] - np.sum((places[:, :2] - corners[:, 0, :2]) * slope, axis=-1)
    height = np.clip(height, corners[..., 2].min(axis=1), corners[..., 2].max(axis=1))
    return np.where(covered, height, np.nan)


def _enclosed(
    surfaces: Bodies,
    level: Floats,
    row: Indices,
    triangle: Indices,
    height: Floats,
    lowest: float,
) -> Indices:
    """Rows with the body they are in and its triangle straight above, (3, l).

    Args:
        surfaces: of the scene.
        level: (m,) float64 [m], heights of the places.
        row: (k,) int64, places that have a triangle straight above or below them.
        triangle: (k,) int64, which.
        height: (k,) float64 [m], at what height.
        lowest: height [m] below which there is nothing.
    """
    body = surfaces.body[triangle]
    above = np.flatnonzero((height > level[row]) & (body >= 0))
    above = above[np.argsort(height[above])]
    # The way straight up crosses a closed surface an odd number of times from inside.
    key = row[above] * len(surfaces.base) + body[above]
    _, nearest, times = np.unique(key, return_index=True, return_counts=True)
    nearest = above[nearest[times % 2 == 1]]
    inside = np.stack([row[nearest], body[nearest], triangle[nearest]])
    # One that is open below encloses what is above its rim, if it stands on something.
    base = surfaces.base[inside[1]]
    floor = np.where(lowest > base - GAP_M, np.inf, -np.inf)
    below = np.flatnonzero(height <= level[row])
    below = below[np.argsort(row[below])]
    first = np.searchsorted(row[below], inside[0], side="left")
    many = np.searchsorted(row[below], inside[0], side="right") - first
    which = np.repeat(np.arange(inside.shape[1]), many)
    under = below[np.arange(len(which)) + np.repeat(first - np.cumsum(many) + many, many)]
    other = body[under] != inside[1, which]
    np.maximum.at(floor, which[other], height[under[other]])
    stands = (level[inside[0]] > base) & (floor > base - GAP_M)
    return inside[:, stands | ~surfaces.open_below[inside[1]]]
