"""Whatever the shape of a body and wherever a device, it is found inside just when it is."""

from __future__ import annotations

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sionna_meshes import scene
from twin.errors import InputError
from twin.trace.engine import TraceSettings
from twin.trace.inputs import check_inputs

HEIGHT = 3.0
FAR = np.array([[40.0, 41.0, 42.0]])


def prism(outline):
    """A prism over a polygon that its origin sees all of; top and bottom are fans round it."""
    count = len(outline)
    rim = np.arange(count)
    onward = (rim + 1) % count
    plan = np.concatenate([outline, [[0.0, 0.0]]])
    vertices = np.concatenate(
        [np.column_stack([plan, np.full(count + 1, z)]) for z in (0.0, HEIGHT)]
    )
    up = count + 1
    middle = np.full(count, count)
    faces = [
        [rim, onward, onward + up],
        [rim, onward + up, rim + up],
        [onward, rim, middle],
        [rim + up, onward + up, middle + up],
    ]
    return vertices, np.concatenate([np.stack(part, axis=1) for part in faces])


# On the lattice of the points, so that many lie right above corners and edges.
radii = st.lists(st.integers(1, 4), min_size=8, max_size=8)
COMPASS = np.array([[1, 0], [1, 1], [0, 1], [-1, 1], [-1, 0], [-1, -1], [0, -1], [1, -1]])
LATTICE = np.stack(
    np.meshgrid(np.arange(-4.5, 5.0, 0.5), np.arange(-4.5, 5.0, 0.5), [-0.7, 0.7, 1.5, 3.7]), -1
).reshape(-1, 3)


@settings(max_examples=40, deadline=None)
@given(radii=radii, axes=st.permutations([0, 1, 2]), turn=st.booleans())
def test_bodies_hold_what_is_in_them(radii, axes, turn):
    outline = COMPASS * np.array(radii)[:, None].astype(float)
    polygon = shapely.Polygon(outline)
    plan = shapely.points(LATTICE[:, :2])
    points = LATTICE[shapely.distance(polygon.exterior, plan) > 0.01]
    inside = shapely.contains(polygon, shapely.points(points[:, :2]))
    inside &= (points[:, 2] > 0.0) & (points[:, 2] < HEIGHT)
    vertices, faces = prism(outline)
    # The way up leads through walls and caps in turn, whichever axis is up.
    built = scene(body=(vertices[:, axes], faces[:, ::-1] if turn else faces))
    try:
        check_inputs(built, FAR, points[:, axes], TraceSettings())
    except InputError as error:
        (fault,) = error.faults
        assert fault.expected == "a place outside object 'body'"
        found = f"{inside.sum()} of {len(points)} inside it, the first is {inside.argmax()} at "
        assert fault.found.startswith(found)
    else:
        assert not inside.any()
