"""Shapes of the catalogue, as few sheets as radio notices.

Every sheet is single: its thickness lives in the material. Sheets end a centimetre from each other
where they would meet in a plane, and legs and handles thinner than a wavelength are left out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from twin.scene.contents import Furniture
from twin.scene.surfaces import Faces, Vertices, at_height, extruded

_TOUCH_M = 1e-3
_APART_M = 0.01
_BOARDS_EVERY_M = 0.4
_SIDES_OF_A_PERSON = 8

Sheet = tuple[Vertices, Faces]


def sheets(item: Furniture, floor: float, ceiling: float | None) -> list[Sheet]:
    """Sheets of one thing in the world, outward or upward.

    A face that would lie on the floor or the ceiling is left out, because two sheets in one plane
    have no defined order along a ray.

    Args:
        item: that is present.
        floor: of its storey [m].
        ceiling: of its storey [m]; None under the open sky.
    """
    bottom, top = floor + item.bottom_m, floor + item.top_m
    plan = item.footprint()
    match item.kind:
        case "desk":
            return [
                _board(plan, top),
                _upright(_line(plan, 0.0, 0.05), bottom, top - _APART_M),
                _upright(_line(plan, 0.0, 0.95), bottom, top - _APART_M),
            ]
        case "table":
            return [_board(plan, top)]
        case "chair":
            seat = bottom + 0.5 * (top - bottom)
            return [_board(plan, seat), _upright(_across(plan, 1.0), seat + _APART_M, top)]
        case "shelf":
            return _shelf(plan, bottom, top)
    raised = item.bottom_m > _TOUCH_M
    open_above = ceiling is None or top < ceiling - _TOUCH_M
    if item.kind == "person":
        return extruded(_oval(item), bottom, top, floor=raised, lid=open_above)
    return [_box(plan, bottom, top, floor=raised, lid=open_above)]


def _box(
    plan: npt.NDArray[np.float64], bottom: float, top: float, *, floor: bool, lid: bool
) -> Sheet:
    vertices = np.concatenate([at_height(plan, bottom), at_height(plan, top)])
    faces = [
        face
        for i in range(4)
        for face in ([i, (i + 1) % 4, (i + 1) % 4 + 4], [i, (i + 1) % 4 + 4, i + 4])
    ]
    if floor:
        faces += [[0, 2, 1], [0, 3, 2]]
    if lid:
        faces += [[4, 5, 6], [4, 6, 7]]
    return vertices, np.array(faces, dtype=np.int32)


def _board(plan: npt.NDArray[np.float64], height: float) -> Sheet:
    vertices = np.column_stack([plan, np.full(4, height)])
    return vertices, np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)


def _upright(line: npt.NDArray[np.float64], bottom: float, top: float) -> Sheet:
    vertices = np.column_stack([np.repeat(line, 2, axis=0), [bottom, top, bottom, top]])
    return vertices, np.array([[0, 2, 3], [0, 3, 1]], dtype=np.int32)


def _inside(plan: npt.NDArray[np.float64], x: float, y: float) -> npt.NDArray[np.float64]:
    """Point (2,) of a rectangle (4, 2) at shares of its width and depth."""
    return np.asarray(plan[0] + x * (plan[1] - plan[0]) + y * (plan[3] - plan[0]))


def _line(plan: npt.NDArray[np.float64], margin: float, x: float) -> npt.NDArray[np.float64]:
    """From front to back at a share of the width."""
    return np.stack([_inside(plan, x, margin), _inside(plan, x, 1.0 - margin)])


def _across(plan: npt.NDArray[np.float64], y: float) -> npt.NDArray[np.float64]:
    """From side to side at a share of the depth."""
    return np.stack([_inside(plan, 0.0, y), _inside(plan, 1.0, y)])


def _shelf(plan: npt.NDArray[np.float64], bottom: float, top: float) -> list[Sheet]:
    """Back, two sides, a top, and boards that stop short of all of them; open to the front."""
    width, depth = (float(np.hypot(*(plan[i] - plan[0]))) for i in (1, 3))
    across, back = min(_APART_M / width, 0.2), min(_APART_M / depth, 0.2)
    board = np.stack(
        [
            _inside(plan, across, 0.0),
            _inside(plan, 1.0 - across, 0.0),
            _inside(plan, 1.0 - across, 1.0 - back),
            _inside(plan, across, 1.0 - back),
        ]
    )
    boards = int((top - bottom) // _BOARDS_EVERY_M)
    levels = bottom + (np.arange(boards) + 0.5) * (top - bottom) / max(boards, 1)
    return [
        _upright(_across(plan, 1.0), bottom, top),
        _upright(_line(plan, 0.0, 0.0), bottom, top),
        _upright(_line(plan, 0.0, 1.0), bottom, top),
        _board(plan, top),
        *(_board(board, float(height)) for height in levels),
    ]


def _oval(item: Furniture) -> npt.NDArray[np.float64]:
    """Corners (8, 2) on the ellipse inside a footprint, counter-clockwise."""
    plan = item.footprint()
    angle = 2.0 * np.pi * (np.arange(_SIDES_OF_A_PERSON) + 0.5) / _SIDES_OF_A_PERSON
    half_width, half_depth = (plan[1] - plan[0]) / 2.0, (plan[3] - plan[0]) / 2.0
    centre = plan.mean(axis=0)
    return np.asarray(
        centre + np.cos(angle)[:, None] * half_width + np.sin(angle)[:, None] * half_depth
    )
