"""Paths of reflections and transmissions by brute force: every order of mirrors, in float64 NumPy.

No rays: a path is a chain of planes, its corners follow from mirrored sources, and shapely says
which sheets the corners lie on and which sheets the legs between them go through. Where single
precision may decide either way, within a margin of an edge, a path counts as unsure.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import shapely

from twin.scene.geometry import build
from twin.scene.materials import complex_permittivity, slab
from twin.units import SPEED_OF_LIGHT_M_PER_S

# Rays in a room of some ten metres start a tenth of a millimetre off the surfaces.
MARGIN_M = 1e-3
_SAME_PLANE_M = 1e-6
# What a tracer calls no path, ten times over: amplitude of metal's transmission, in free space's.
_NO_PATH = 1e-5
# Triangles that share a side are one sheet: the seam is no edge.
_SEAM_M = 1e-7
_LEVEL = 1e-12


def coefficients(permittivity, thickness_m, cosine, wavelength_m):
    """(TE, TM), each (reflection, transmission) of a slab; ITU-R P.2040, equations 37 to 44."""
    root = np.sqrt(permittivity - (1.0 - cosine**2))
    once = np.exp(-2j * np.pi * thickness_m / wavelength_m * root)
    pairs = []
    for weight in (1.0, permittivity):
        bare = (weight * cosine - root) / (weight * cosine + root)
        echoes = 1.0 - bare**2 * once**2
        pairs.append((bare * (1.0 - once**2) / echoes, (1.0 - bare**2) * once / echoes))
    return pairs


def wave(distance_m, frequency_hz):
    """Field of an isotropic source, as the ratio of amplitudes between isotropic antennas."""
    wavelength_m = SPEED_OF_LIGHT_M_PER_S / frequency_hz
    turns = frequency_hz / SPEED_OF_LIGHT_M_PER_S * distance_m
    return wavelength_m / (4.0 * np.pi * distance_m) * np.exp(-2j * np.pi * turns)


def unit(vector):
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def direction(azimuth, zenith):
    """Unit vectors (..., 3)."""
    azimuth, zenith = np.asarray(azimuth, dtype=float), np.asarray(zenith, dtype=float)
    across = np.sin(zenith)
    return np.stack([across * np.cos(azimuth), across * np.sin(azimuth), np.cos(zenith)], axis=-1)


def basis(azimuth, zenith):
    """Unit vectors of zenith and azimuth (3, 2), as columns."""
    return np.array(
        [
            [np.cos(zenith) * np.cos(azimuth), -np.sin(azimuth)],
            [np.cos(zenith) * np.sin(azimuth), np.cos(azimuth)],
            [-np.sin(zenith), 0.0],
        ]
    )


def basis_at(way):
    """`basis` at a unit vector (3,)."""
    x, y, z = way + 0.0
    return basis(np.arctan2(y, x), np.arctan2(np.hypot(x, y), z))


def dyad(table, point, access_point, path):
    """Transfer (3, 3) of a path of a table, from field vectors to field vectors in the world."""
    place = point, access_point, path
    arrival = basis(float(table.aoa_azimuth[place]), float(table.aoa_zenith[place]))
    departure = basis(float(table.aod_azimuth[place]), float(table.aod_zenith[place]))
    return arrival @ table.transfer[place].astype(complex) @ departure.T


@dataclass(frozen=True, eq=False)
class Path:
    """A path of a link.

    Args:
        corners: (k + 2, 3) [m], from transmitter to receiver, without the walls crossed.
        kinds: bits, 1 for a reflection and 4 for a wall crossed.
        transfer: (2, 2), as in `twin.trace.paths.PathTable`; NaN where the path is unsure.
        clearance_m: how far the path may be moved sideways and still be the same.
        sure: whether that is more than the margin.
    """

    corners: np.ndarray
    kinds: int
    transfer: np.ndarray
    clearance_m: float
    sure: bool

    @property
    def length_m(self):
        return float(np.linalg.norm(np.diff(self.corners, axis=0), axis=1).sum())

    @property
    def delay_s(self):
        return self.length_m / SPEED_OF_LIGHT_M_PER_S

    @property
    def departure(self):
        return unit(self.corners[1] - self.corners[0])

    @property
    def arrival(self):
        """From the receiver back along the path."""
        return unit(self.corners[-2] - self.corners[-1])

    @property
    def strength(self):
        """Of the stronger polarisation."""
        return float(np.linalg.norm(self.transfer, 2))


@dataclass(frozen=True)
class Sheet:
    """All that lies on one plane and is of one material, in the plane's own coordinates."""

    plane: int
    material: str
    polygon: shapely.Geometry


@dataclass(frozen=True)
class _Crossing:
    leg: int
    at_m: float
    plane: int
    material: str
    clearance_m: float


class Sheets:
    """The planes of a declared scene, q of them, and the sheets on them.

    Attributes:
        normal, offset: (q, 3) and (q,) [m].
        axes: (q, 3, 2) unit vectors in the planes, as columns.
        sheets: that do not overlap within a plane.
    """

    def __init__(self, scene):
        self.frequency_hz = scene.frequency_hz
        self.wavelength_m = SPEED_OF_LIGHT_M_PER_S / scene.frequency_hz
        self._slabs = {
            name: (
                complex_permittivity(material, scene.frequency_hz),
                slab(material, scene.frequency_hz).thickness_m,
            )
            for name, material in scene.materials.items()
        }
        normals, offsets, parts = [], [], {}
        for surface in build(scene):
            for corner in surface.vertices[surface.faces]:
                normal = unit(np.cross(corner[1] - corner[0], corner[2] - corner[0]))
                plane = _known(normals, offsets, normal, corner)
                if plane == len(normals):
                    normals.append(normal)
                    offsets.append(normal @ corner[0])
                parts.setdefault((plane, surface.material), []).append(corner)
        self.normal, self.offset = np.array(normals), np.array(offsets)
        away = np.eye(3)[np.abs(self.normal).argmin(axis=1)]
        first = unit(np.cross(self.normal, away))
        self.axes = np.stack([first, np.cross(self.normal, first)], axis=2)
        self.sheets = []
        self._boxes = np.tile([np.inf, np.inf, -np.inf, -np.inf], (len(normals), 1))
        for (plane, material), corners in parts.items():
            pieces = [shapely.Polygon(corner @ self.axes[plane]) for corner in corners]
            whole = shapely.union_all(
                [piece.buffer(_SEAM_M, join_style="mitre") for piece in pieces]
            )
            shapely.prepare(whole)
            self.sheets.append(Sheet(plane, material, whole))
            box = self._boxes[plane]
            box[:2] = np.minimum(box[:2], whole.bounds[:2])
            box[2:] = np.maximum(box[2:], whole.bounds[2:])

    def distance(self, points):
        """Distances (n,) [m] of points (n, 3) from the nearest sheet."""
        nearest = np.full(len(points), np.inf)
        for sheet in self.sheets:
            height = points @ self.normal[sheet.plane] - self.offset[sheet.plane]
            flat = shapely.points(points @ self.axes[sheet.plane])
            beside = shapely.distance(sheet.polygon, flat)
            nearest = np.minimum(nearest, np.hypot(height, beside))
        return nearest

    def overlap(self):
        """Whether two sheets of a plane cover each other: a ray cannot tell which comes first."""
        for plane in range(len(self.offset)):
            shapes = [sheet.polygon for sheet in self.sheets if sheet.plane == plane]
            area = sum(shape.area for shape in shapes)
            if area > shapely.union_all(shapes).area + 1e-4:
                return True
        return False

    def paths(self, transmitter, receiver, max_depth, *, refraction=True, margin_m=MARGIN_M):
        """All paths between two points (3,), and those that are unsure."""
        found = []
        for order in range(max_depth + 1):
            corners, planes = self._chains(transmitter, receiver, order, margin_m)
            crossings = max_depth - order if refraction else 0
            found += self._checked(corners, planes, crossings, margin_m)
        return found

    def loud(self, paths, range_db):
        """Sure paths not farther than that below the strongest."""
        sure = [
            path
            for path in paths
            if path.sure and path.strength > _NO_PATH * abs(wave(path.length_m, self.frequency_hz))
        ]
        least = max((path.strength for path in sure), default=0.0) * 10 ** (-range_db / 20)
        return [path for path in sure if path.strength >= least]

    def _chains(self, transmitter, receiver, order, margin_m):
        """Corners (m, order + 2, 3) whose reflections lie on sheets or near, and their planes."""
        count = len(self.offset)
        planes = np.indices((count,) * order).reshape(order, count**order).T
        planes = planes[(planes[:, 1:] != planes[:, :-1]).all(axis=1)]
        image = np.tile(transmitter, (len(planes), 1))
        images = []
        for place in range(order):
            normal, offset = self.normal[planes[:, place]], self.offset[planes[:, place]]
            height = np.sum(image * normal, axis=1) - offset
            image = image - 2.0 * height[:, None] * normal
            images.append(image)
        corners = [np.tile(receiver, (len(planes), 1))]
        for place in range(order - 1, -1, -1):
            plane, image, point = planes[:, place], images[place], corners[0]
            normal, offset = self.normal[plane], self.offset[plane]
            here = np.sum(point * normal, axis=1) - offset
            there = np.sum(image * normal, axis=1) - offset
            # In an edge between two mirrors a point lies on both.
            between = (here * there < 0.0) | (np.abs(here) < margin_m)
            apart = np.abs(here) + np.abs(there)
            share = np.abs(here) / np.where(apart > 0.0, apart, 1.0)
            point = point + share[:, None] * (image - point)
            flat = np.einsum("mx,mxa->ma", point, self.axes[plane])
            box = self._boxes[plane]
            beyond = np.maximum(box[:, :2] - flat, flat - box[:, 2:]).max(axis=1)
            # A path that grazes may be moved far along the sheet by a little sideways.
            slant = apart / np.maximum(np.linalg.norm(image - corners[0], axis=1), _LEVEL)
            kept = between & (beyond * slant < margin_m)
            planes = planes[kept]
            images = [values[kept] for values in images]
            corners = [point[kept], *(values[kept] for values in corners)]
        return np.stack([np.tile(transmitter, (len(planes), 1)), *corners], axis=1), planes

    def _depths(self, points, plane):
        """How deep points (m, 3) of a plane lie in each of its sheets: materials, (s, m) [m]."""
        flat = shapely.points(points @ self.axes[plane])
        sheets = [sheet for sheet in self.sheets if sheet.plane == plane]
        depths = [
            np.where(shapely.covers(sheet.polygon, flat), 1.0, -1.0)
            * shapely.distance(sheet.polygon.boundary, flat)
            for sheet in sheets
        ]
        return [sheet.material for sheet in sheets], np.array(depths)

    def _checked(self, corners, planes, allowed, margin_m):
        legs = np.diff(corners, axis=1)
        length = np.linalg.norm(legs, axis=2)
        clearance = length.min(axis=1)
        materials, possible = self._reflected(legs, length, corners, planes, clearance, margin_m)
        crossings = self._crossed(legs, length, corners, planes, clearance, margin_m)
        found = []
        for row in np.nonzero(possible)[0]:
            crossed = sorted(crossings[row], key=lambda entry: (entry.leg, entry.at_m))
            if sum(entry.clearance_m > margin_m for entry in crossed) > allowed:
                continue
            for one, other in itertools.pairwise(crossed):
                if one.leg == other.leg:
                    clearance[row] = min(clearance[row], other.at_m - one.at_m)
            sure = bool(clearance[row] > margin_m) and len(crossed) <= allowed
            found.append(
                Path(
                    corners=corners[row],
                    kinds=(1 if planes.shape[1] else 0) | (4 if crossed else 0),
                    transfer=self._transfer(corners[row], planes[row], materials[row], crossed)
                    if sure
                    else np.full((2, 2), np.nan),
                    clearance_m=float(clearance[row]),
                    sure=sure,
                )
            )
        return found

    def _reflected(self, legs, length, corners, planes, clearance, margin_m):
        """Materials (m, order) of reflections and whether all lie on sheets; clearance falls."""
        materials = np.empty(planes.shape, dtype=object)
        possible = np.ones(len(planes), dtype=bool)
        for place in range(planes.shape[1]):
            for plane in np.unique(planes[:, place]):
                rows = np.nonzero(planes[:, place] == plane)[0]
                names, depth = self._depths(corners[rows, place + 1], plane)
                height = np.abs(legs[rows, place] @ self.normal[plane])
                aside = depth * height / np.maximum(length[rows, place], _LEVEL)
                deepest = depth.argmax(axis=0)
                materials[rows, place] = np.array(names, dtype=object)[deepest]
                possible[rows] &= aside.max(axis=0) > -margin_m
                nearest = np.abs(aside).min(axis=0)
                clearance[rows] = np.minimum(
                    clearance[rows], np.where(depth.max(axis=0) > 0.0, nearest, -nearest)
                )
        return materials, possible

    def _crossed(self, legs, length, corners, planes, clearance, margin_m):
        """What each of m chains crosses; clearance falls."""
        order = planes.shape[1]
        crossings = [[] for _ in planes]
        for leg, plane in itertools.product(range(order + 1), range(len(self.offset))):
            own = (planes[:, max(leg - 1, 0) : leg + 1] == plane).any(axis=1)
            ends = corners[:, leg : leg + 2] @ self.normal[plane] - self.offset[plane]
            close = (ends.min(axis=1) < margin_m) & (ends.max(axis=1) > -margin_m)
            rows = np.nonzero(~own & close)[0]
            if len(rows) == 0:
                continue
            start, end = ends[rows].T
            fall = start - end
            share = np.clip(start / np.where(np.abs(fall) < _LEVEL, 1.0, fall), 0.0, 1.0)
            point = corners[rows, leg] + share[:, None] * legs[rows, leg]
            names, depth = self._depths(point, plane)
            aside = depth * np.abs(fall) / np.maximum(length[rows, leg], _LEVEL)
            nearest_end = np.minimum(np.abs(start), np.abs(end))
            through = start * end < 0.0
            for name, beside in zip(names, aside, strict=True):
                inside = beside > 0.0
                # An edge decides, or an end that is nearly on the sheet.
                near = np.where(through, np.abs(beside), np.maximum(-beside, nearest_end))
                near = np.where(inside, np.where(through, beside, np.inf), near)
                near = np.where(inside, np.minimum(near, nearest_end), near)
                clearance[rows] = np.minimum(clearance[rows], near)
                for i in np.nonzero(inside & through)[0]:
                    at = share[i] * length[rows[i], leg]
                    crossings[rows[i]].append(_Crossing(leg, at, plane, name, near[i]))
        return crossings

    def _transfer(self, corners, planes, materials, crossed):
        legs = np.diff(corners, axis=0)
        ways = unit(legs)
        field = basis_at(ways[0]).astype(complex)
        for leg, way in enumerate(ways):
            for entry in crossed:
                if entry.leg == leg:
                    field = self._matrix(way, way, entry.plane, entry.material, 1) @ field
            if leg < len(planes):
                onward = ways[leg + 1]
                field = self._matrix(way, onward, planes[leg], materials[leg], 0) @ field
        length = np.linalg.norm(legs, axis=1).sum()
        return wave(length, self.frequency_hz) * basis_at(-ways[-1]).T @ field

    def _matrix(self, way, onward, plane, material, transmitted):
        """Of field vectors before and after an interaction (3, 3)."""
        normal = self.normal[plane]
        te, tm = coefficients(*self._slabs[material], abs(way @ normal), self.wavelength_m)
        across = np.cross(way, normal)
        if np.linalg.norm(across) < 1e-9:
            across = np.cross(way, np.eye(3)[np.abs(way).argmin()])
        across = unit(across)
        before, after = np.cross(across, way), np.cross(across, onward)
        return te[transmitted] * np.outer(across, across) + tm[transmitted] * np.outer(
            after, before
        )


def _known(normals, offsets, normal, corner):
    """Which of the planes a triangle lies on; their number where on none."""
    for plane, (other, offset) in enumerate(zip(normals, offsets, strict=True)):
        near = np.abs(corner @ other - offset).max() < _SAME_PLANE_M
        if near and np.linalg.norm(np.cross(other, normal)) < _SAME_PLANE_M:
            return plane
    return len(normals)


@dataclass(frozen=True)
class Match:
    """A table's paths of one link beside exact ones.

    Args:
        pairs: exact paths that are sure, each with its place in the table, None where it is not.
        left: places in the table that belong to no path, be it unsure.
    """

    pairs: list
    left: list


def match(table, point, access_point, paths, *, delay_s, angle_rad):
    """Find exact paths in a table, by delay and by directions at both ends.

    Args:
        delay_s, angle_rad: how far a table may be off.
    """
    link = point, access_point, slice(int(table.num_paths[point, access_point]))
    delay = table.delay_s[link]
    departure = direction(table.aod_azimuth[link], table.aod_zenith[link])
    arrival = direction(table.aoa_azimuth[link], table.aoa_zenith[link])
    pairs, known = [], np.zeros(len(delay), dtype=bool)
    for path in paths:
        late = np.abs(delay - path.delay_s)
        same = late < delay_s + (0.0 if path.sure else MARGIN_M / SPEED_OF_LIGHT_M_PER_S)
        if path.sure:
            same &= np.linalg.norm(departure - path.departure, axis=1) < angle_rad
            same &= np.linalg.norm(arrival - path.arrival, axis=1) < angle_rad
            place = np.where(same, late, np.inf).argmin() if same.any() else None
            pairs.append((path, place))
        known |= same
    return Match(pairs, np.nonzero(~known)[0].tolist())
