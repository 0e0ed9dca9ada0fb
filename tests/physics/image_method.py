"""Paths of reflections and transmissions by brute force: every order of mirrors, in float64 NumPy.

No rays: a path is a chain of planes, its corners follow from mirrored sources, and shapely says
which sheets they lie on and which sheets the legs between them go through. What float32 may decide
either way, within `MARGIN_M` of an edge, is told apart from what is sure.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import shapely

from twin.scene.geometry import build
from twin.scene.materials import complex_permittivity, slab
from twin.units import SPEED_OF_LIGHT_M_PER_S

# Float32 rays in a room of some ten metres start a tenth of a millimetre off their surfaces.
MARGIN_M = 1e-3
_SAME_PLANE = 1e-9


def coefficients(permittivity, thickness_m, cosine, wavelength_m):
    """(TE, TM) reflection and transmission of a slab; ITU-R P.2040, equations 37, 43 and 44."""
    root = np.sqrt(permittivity - (1.0 - cosine**2))
    once = np.exp(-2j * np.pi * thickness_m / wavelength_m * root)
    result = []
    for weight in (1.0, permittivity):
        bare = (weight * cosine - root) / (weight * cosine + root)
        echoes = 1.0 - bare**2 * once**2
        result.append((bare * (1.0 - once**2) / echoes, (1.0 - bare**2) * once / echoes))
    return result


def basis(direction):
    """Unit vectors (3, 2) of zenith and azimuth at a direction (3,), as columns."""
    x, y, z = direction
    across = np.hypot(x, y)
    cosine, sine = (x / across, y / across) if across > 0.0 else (1.0, 0.0)
    return np.array([[z * cosine, -sine], [z * sine, cosine], [-across, 0.0]])


@dataclass(frozen=True)
class Path:
    """A path of a link.

    Args:
        corners: (k + 2, 3) [m], from transmitter to receiver, without the walls crossed.
        interactions: reflections and walls crossed; those sure to happen.
        kinds: bits, 1 for a reflection and 4 for a wall crossed.
        transfer: (2, 2), as in `twin.trace.paths.PathTable`.
        sure: whether it is there however float32 decides at edges.
    """

    corners: np.ndarray
    interactions: int
    kinds: int
    transfer: np.ndarray
    sure: bool
    clearance_m: float

    @property
    def length_m(self) -> float:
        return float(np.linalg.norm(np.diff(self.corners, axis=0), axis=1).sum())

    @property
    def delay_s(self) -> float:
        return self.length_m / SPEED_OF_LIGHT_M_PER_S

    @property
    def departure(self) -> np.ndarray:
        return unit(self.corners[1] - self.corners[0])

    @property
    def arrival(self) -> np.ndarray:
        """From the receiver back along the path."""
        return unit(self.corners[-2] - self.corners[-1])


def unit(vector):
    return vector / np.linalg.norm(vector)


@dataclass
class _Sheet:
    """What lies on one plane and is of one material."""

    plane: int
    material: str
    polygon: shapely.Geometry


class Sheets:
    """The planes of a declared scene, and the sheets on them.

    Args:
        scene: whose sheets must not overlap within a plane.
    """

    def __init__(self, scene) -> None:
        self.frequency_hz = scene.frequency_hz
        self.wavelength_m = SPEED_OF_LIGHT_M_PER_S / scene.frequency_hz
        self.electric = {
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
                plane = self._known(normals, offsets, normal, corner)
                if plane is None:
                    plane = len(normals)
                    normals.append(normal)
                    offsets.append(normal @ corner[0])
                parts.setdefault((plane, surface.material), []).append(corner)
        self.normal, self.offset = np.array(normals), np.array(offsets)
        away = np.eye(3)[np.abs(self.normal).argmin(axis=1)]
        first = np.cross(self.normal, away)
        first /= np.linalg.norm(first, axis=1, keepdims=True)
        self.axes = np.stack([first, np.cross(self.normal, first)], axis=2)
        self.sheets = []
        for (plane, material), corners in parts.items():
            pieces = [shapely.Polygon(corner @ self.axes[plane]) for corner in corners]
            # Seams between triangles are no edges.
            whole = shapely.union_all([piece.buffer(1e-7, join_style="mitre") for piece in pieces])
            shapely.prepare(whole)
            self.sheets.append(_Sheet(plane, material, whole))
        boxes = np.full((len(normals), 4), [np.inf, np.inf, -np.inf, -np.inf])
        for sheet in self.sheets:
            bounds = np.array(sheet.polygon.bounds)
            boxes[sheet.plane, :2] = np.minimum(boxes[sheet.plane, :2], bounds[:2])
            boxes[sheet.plane, 2:] = np.maximum(boxes[sheet.plane, 2:], bounds[2:])
        self.boxes = boxes

    @staticmethod
    def _known(normals, offsets, normal, corner):
        for plane, (other, offset) in enumerate(zip(normals, offsets, strict=True)):
            if np.abs(corner @ other - offset).max() < _SAME_PLANE * 1e3:
                if np.linalg.norm(np.cross(other, normal)) < _SAME_PLANE * 1e3:
                    return plane
        return None

    def paths(self, transmitter, receiver, max_depth, *, refraction=True):
        """All paths of a link between points (3,), those that are not sure among them."""
        found = []
        for order in range(max_depth + 1):
            corners, planes = self._chains(transmitter, receiver, order)
            if len(corners):
                found += self._checked(corners, planes, max_depth, refraction)
        return found

    def _chains(self, transmitter, receiver, order):
        """Corners (m, order + 2, 3) whose reflections lie on sheets or near, and planes."""
        count = len(self.offset)
        planes = np.indices((count,) * order).reshape(order, count**order).T
        planes = planes[(planes[:, 1:] != planes[:, :-1]).all(axis=1)]
        images = [np.tile(transmitter, (len(planes), 1))]
        for place in range(order):
            images.append(self._mirrored(images[-1], planes[:, place]))
        point = np.tile(receiver, (len(planes), 1))
        corners = [point]
        for place in range(order - 1, -1, -1):
            normal, offset = self.normal[planes[:, place]], self.offset[planes[:, place]]
            here = np.sum(point * normal, axis=1) - offset
            image = images[place + 1]
            there = np.sum(image * normal, axis=1) - offset
            # A point may lie on two mirrors at once, in a corner.
            across = (here * there < 0.0) | (np.abs(here) < MARGIN_M)
            apart = np.abs(here) + np.abs(there)
            share = np.abs(here) / np.where(apart > 0.0, apart, 1.0)
            point = point + share[:, None] * (image - point)
            kept = across & self._in_box(point, planes[:, place])
            planes, point = planes[kept], point[kept]
            images = [image[kept] for image in images]
            corners = [corner[kept] for corner in corners]
            corners.insert(0, point)
        corners.insert(0, np.tile(transmitter, (len(planes), 1)))
        return np.stack(corners, axis=1), planes

    def _mirrored(self, points, planes):
        normal = self.normal[planes]
        height = np.sum(points * normal, axis=1) - self.offset[planes]
        return points - 2.0 * height[:, None] * normal

    def _in_box(self, points, planes):
        flat = np.einsum("mx,mxa->ma", points, self.axes[planes])
        box = self.boxes[planes]
        return ((flat >= box[:, :2] - MARGIN_M) & (flat <= box[:, 2:] + MARGIN_M)).all(axis=1)

    def _depths(self, points, plane):
        """How far points (m, 3) of a plane lie inside each of its sheets: materials, (s, m) [m]."""
        flat = shapely.points(points @ self.axes[plane])
        sheets = [sheet for sheet in self.sheets if sheet.plane == plane]
        depths = [
            shapely.distance(sheet.polygon.boundary, flat)
            * np.where(shapely.covers(sheet.polygon, flat), 1.0, -1.0)
            for sheet in sheets
        ]
        return [sheet.material for sheet in sheets], np.array(depths)

    def _checked(self, corners, planes, max_depth, refraction):
        count, order = planes.shape
        legs = np.diff(corners, axis=1)
        length = np.linalg.norm(legs, axis=2)
        length_or_one = np.where(length > 0.0, length, 1.0)
        # Clearances are distances across the path: where it grazes, a small one is a large one on
        # the sheet.
        clearance = np.full(count, np.inf)
        possible = np.ones(count, dtype=bool)
        sure = length.min(axis=1) > MARGIN_M
        material = np.empty((count, order), dtype=object)
        crossings = [[] for _ in range(count)]
        for place in range(order):
            for plane in np.unique(planes[:, place]):
                rows = np.nonzero(planes[:, place] == plane)[0]
                names, depth = self._depths(corners[rows, place + 1], plane)
                cosine = np.abs(legs[rows, place] @ self.normal[plane]) / length_or_one[rows, place]
                possible[rows] &= depth.max(axis=0) * cosine > -MARGIN_M
                sure[rows] &= depth.max(axis=0) > 0.0
                clearance[rows] = np.minimum(clearance[rows], np.abs(depth).min(axis=0) * cosine)
                material[rows, place] = np.array(names, dtype=object)[depth.argmax(axis=0)]
        for leg in range(order + 1):
            for plane in range(len(self.offset)):
                own = np.zeros(count, dtype=bool)
                if leg > 0:
                    own |= planes[:, leg - 1] == plane
                if leg < order:
                    own |= planes[:, leg] == plane
                start = corners[:, leg] @ self.normal[plane] - self.offset[plane]
                end = corners[:, leg + 1] @ self.normal[plane] - self.offset[plane]
                rows = np.nonzero(~own & (np.minimum(start, end) < MARGIN_M)
                                  & (np.maximum(start, end) > -MARGIN_M))[0]
                if len(rows) == 0:
                    continue
                start, end = start[rows], end[rows]
                fall = start - end
                level = np.abs(fall) < 1e-12
                share = np.clip(start / np.where(level, 1.0, fall), 0.0, 1.0)
                point = corners[rows, leg] + share[:, None] * legs[rows, leg]
                names, depth = self._depths(point, plane)
                cosine = np.abs(fall) / length_or_one[rows, leg]
                ends = np.minimum(np.abs(start), np.abs(end))
                through = start * end < 0.0
                for sheet, name in enumerate(names):
                    inside = depth[sheet] > 0.0
                    across = np.abs(depth[sheet]) * cosine
                    # Near an edge, or an end near the sheet.
                    near = np.where(inside, np.inf, across)
                    near = np.where(inside & through, np.minimum(across, ends), near)
                    near = np.where(inside & ~through, ends, near)
                    near = np.where(~inside & ~through, np.maximum(across, ends), near)
                    clearance[rows] = np.minimum(clearance[rows], near)
                    for i in np.nonzero(inside & through)[0]:
                        crossings[rows[i]].append(
                            (leg, share[i] * length[rows[i], leg], plane, name, near[i])
                        )
        found = []
        for row in np.nonzero(possible)[0]:
            crossed = sorted(crossings[row])
            certain = sum(entry[4] > MARGIN_M for entry in crossed)
            allowed = max_depth - order if refraction else 0
            for (leg, at, *_), (other, later, *_) in itertools.pairwise(crossed):
                if leg == other:
                    clearance[row] = min(clearance[row], later - at)
            if certain > allowed:
                continue
            safe = sure[row] and clearance[row] > MARGIN_M and len(crossed) <= allowed
            found.append(
                Path(
                    corners=corners[row],
                    interactions=order + len(crossed),
                    kinds=(1 if order else 0) | (4 if crossed else 0),
                    transfer=self._transfer(corners[row], planes[row], material[row], crossed)
                    if safe
                    else np.zeros((2, 2), dtype=complex),
                    sure=bool(safe),
                    clearance_m=float(clearance[row]),
                )
            )
        return found

    def _transfer(self, corners, planes, materials, crossed):
        legs = np.diff(corners, axis=0)
        directions = legs / np.linalg.norm(legs, axis=1, keepdims=True)
        field = basis(directions[0]).astype(complex)
        for leg, direction in enumerate(directions):
            for other, _, plane, name, _ in crossed:
                if other == leg:
                    field = self._through(field, direction, plane, name)
            if leg < len(planes):
                field = self._back(
                    field, direction, directions[leg + 1], planes[leg], materials[leg]
                )
        length = np.linalg.norm(legs, axis=1).sum()
        turns = self.frequency_hz * length / SPEED_OF_LIGHT_M_PER_S
        wave = self.wavelength_m / (4.0 * np.pi * length) * np.exp(-2j * np.pi * turns)
        return wave * basis(-directions[-1]).T @ field

    def _plane_of_incidence(self, direction, plane):
        normal = self.normal[plane]
        upright = np.cross(direction, normal)
        if np.linalg.norm(upright) < 1e-9:
            upright = np.cross(direction, np.eye(3)[np.abs(direction).argmin()])
        upright = unit(upright)
        return abs(direction @ normal), upright, np.cross(upright, direction)

    def _through(self, field, direction, plane, name):
        cosine, upright, level = self._plane_of_incidence(direction, plane)
        (_, te), (_, tm) = coefficients(*self.electric[name], cosine, self.wavelength_m)
        return te * np.outer(upright, upright @ field) + tm * np.outer(level, level @ field)

    def _back(self, field, direction, onward, plane, name):
        cosine, upright, level = self._plane_of_incidence(direction, plane)
        (te, _), (tm, _) = coefficients(*self.electric[name], cosine, self.wavelength_m)
        returned = np.cross(upright, onward)
        return te * np.outer(upright, upright @ field) + tm * np.outer(returned, level @ field)
