"""From a plan's coordinates to metres on the floor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from twin.errors import Fault, InputError
from twin.scene.importers.plan_file import MAX_EXTENT_M, MIN_EXTENT_M

METRES = "none"
WGS84 = "EPSG:4326"
# A metre is about 1e-5 degrees: more than that is no floor, but a plan in metres.
_MAX_EXTENT_DEG = 0.1

Numbers = npt.NDArray[np.float64]
Shift = Callable[[Numbers], Numbers]
Box = tuple[float, float, float, float]


def stretched(box: Box, size: tuple[float, float], where: str) -> tuple[Shift, str]:
    """From the box of the outline to (0, 0) and (width, height), and a sentence that says so.

    Raises:
        InputError: the box has no area.
    """
    west, south, east, north = box
    if east <= west or north <= south:
        raise InputError([Fault(where, "features", "an outline with an area", f"bounds {box}")])

    def shift(points: Numbers) -> Numbers:
        return np.column_stack(
            [
                (points[:, 0] - west) / (east - west) * size[0],
                (points[:, 1] - south) / (north - south) * size[1],
            ]
        )

    note = (
        f"Coordinates are metres on the floor: the outline's bounding box, {west:.6f} to "
        f"{east:.6f} east and {south:.6f} to {north:.6f} north, became {size[0]:.2f} m x "
        f"{size[1]:.2f} m by one linear scale an axis."
    )
    return shift, note


def projected(box: Box, crs: str, where: str) -> tuple[Shift, str]:
    """From the file's coordinates to metres from the outline's lower left corner; see `stretched`.

    Raises:
        InputError: unknown system, or an outline that cannot be a floor in it.
    """
    if crs == METRES:
        lower, forward, note = np.array(box[:2]), None, "Coordinates are the file's, in metres"
    else:
        forward, note = _projection(box, crs, where)
        # Of the projected corners: a projection turns the box a little.
        corners = np.array([[x, y] for x in box[::2] for y in box[1::2]])
        lower = np.floor(forward(corners).min(axis=0))
    size = np.array(box[2:]) - np.array(box[:2])
    if forward is not None:
        size = np.ptp(forward(np.array([box[:2], box[2:]])), axis=0)
    if not (size.min() >= MIN_EXTENT_M and size.max() <= MAX_EXTENT_M):
        expected = f"an outline of {MIN_EXTENT_M:g} to {MAX_EXTENT_M:g} m each way"
        cure = "Is the plan in degrees, cm or mm?" if crs == METRES else ""
        found = f"{size[0]:g} m x {size[1]:g} m"
        raise InputError([Fault(where, "features", expected, found, cure)])

    def shift(points: Numbers) -> Numbers:
        return np.asarray((points if forward is None else forward(points)) - lower)

    return shift, f"{note}; ({lower[0]:.3f}, {lower[1]:.3f}) m became the origin."


def utm_zone(longitude: float, latitude: float) -> str:
    """The WGS 84 / UTM system of a place [deg], as pyproj names it."""
    from pyproj.aoi import AreaOfInterest
    from pyproj.database import query_utm_crs_info

    place = AreaOfInterest(longitude, latitude, longitude, latitude)
    zone = query_utm_crs_info("WGS 84", place)[0]
    return f"{zone.auth_name}:{zone.code}"


def _projection(box: Box, crs: str, where: str) -> tuple[Shift, str]:
    import pyproj
    from pyproj.exceptions import CRSError

    try:
        given = pyproj.CRS.from_user_input(crs)
    except CRSError as error:
        expected = f"{METRES!r}, or a coordinate reference system by name, such as {WGS84}"
        raise InputError([Fault("crs", "", expected, crs)]) from error
    if given.is_projected:
        if given.axis_info[0].unit_name not in ("metre", "meter"):
            raise InputError([Fault("crs", "", "a system in metres", given.axis_info[0].unit_name)])
        return lambda points: points, f"Coordinates are those of {crs}, in metres"
    west, south, east, north = box
    if not (-180.0 <= west <= east <= 180.0 and -80.0 <= south <= north <= 84.0):
        cure = "Longitude comes first; a plan in metres needs the system 'metres'"
        expected = "longitude -180 to 180 and latitude -80 to 84 degrees"
        raise InputError([Fault(where, "features", expected, f"bounds {box}", cure)])
    if max(east - west, north - south) > _MAX_EXTENT_DEG:
        cure = "A plan in metres needs the system none"
        expected = f"a floor within {_MAX_EXTENT_DEG:g} degrees"
        found = f"{east - west:g} x {north - south:g} degrees"
        raise InputError([Fault(where, "features", expected, found, cure)])
    code = utm_zone((west + east) / 2.0, (south + north) / 2.0)
    transformer = pyproj.Transformer.from_crs(given, code, always_xy=True)

    def forward(points: Numbers) -> Numbers:
        return np.column_stack(transformer.transform(points[:, 0], points[:, 1]))

    return forward, f"Longitude and latitude ({crs}) were projected to {code}"
