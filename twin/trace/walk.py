"""Rays that walk a path backwards, from the receiver to the transmitter.

What a path has to visit, mirrors and points, is known; the surfaces it crosses on the way are
found here. Sionna's own image method checks candidates whose crossings are fixed beforehand, so
that every pattern of crossings is another candidate to be found and tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twin.trace import backend
from twin.trace.mirrors import NO_PLANE, Hit, Mirrors, height, move_off

backend.prepare()

import drjit as dr  # noqa: E402
import mitsuba as mi  # noqa: E402
from sionna.rt.constants import EPSILON_FLOAT, InteractionType  # noqa: E402
from sionna.rt.path_solvers.paths_buffer import PathsBuffer  # noqa: E402
from sionna.rt.utils import WedgeGeometry  # noqa: E402


@dataclass(frozen=True)
class Mirror:
    """A reflection still to come: the image to aim at, and the plane that must be met."""

    target: mi.Point3f
    plane: mi.UInt


@dataclass(frozen=True)
class Edge:
    """A point of diffraction to be reached, a little off the edge so that its faces let it be.

    Args:
        target: the point of diffraction.
        off: from the edge to where rays end and start.
        wedge: the edge.
    """

    target: mi.Point3f
    off: mi.Vector3f
    wedge: WedgeGeometry


@dataclass(frozen=True)
class End:
    """The transmitter."""

    target: mi.Point3f


Station = Mirror | Edge | End


@dataclass(frozen=True)
class Step:
    """One interaction of a walk, of those that took it; counted from the receiver."""

    taken: mi.Bool
    kind: mi.UInt
    shape: mi.UInt
    primitive: mi.UInt
    point: mi.Point3f


def walk(
    mirrors: Mirrors, start: mi.Point3f, stations: Sequence[Station], crossings: int
) -> tuple[mi.Bool, list[Step]]:
    """Walk from `start` past all stations, the last of which is the end.

    Args:
        mirrors: the scene.
        start: of each walk [m].
        stations: each an array over walks.
        crossings: surfaces that may be crossed on the way.

    Returns:
        Who arrived, and all steps.
    """
    count = dr.width(start)
    point, normal = start, dr.zeros(mi.Vector3f, count)
    # The station passed last: from there to the next the path is straight.
    base = start
    passed, crossed_so_far = dr.zeros(mi.UInt, count), dr.zeros(mi.UInt, count)
    walking, arrived = dr.full(mi.Bool, True, count), dr.full(mi.Bool, False, count)
    steps = []
    rounds = len(stations) + crossings
    for number in range(rounds):
        target, plane, off = mi.Point3f(0.0), mi.UInt(NO_PLANE), mi.Vector3f(0.0)
        to_mirror, to_edge = mi.Bool(False), mi.Bool(False)
        wedge_shape, wedge_face = mi.UInt(0), mi.UInt(0)
        for index, station in enumerate(stations):
            # A walk is at most as many stations on as it made steps, and at least as many as its
            # crossings leave.
            if not number - crossings <= index <= number:
                continue
            this = passed == index
            target = dr.select(this, station.target, target)
            if isinstance(station, Mirror):
                plane = dr.select(this, station.plane, plane)
                to_mirror |= this
            elif isinstance(station, Edge):
                off = dr.select(this, station.off, off)
                shape = mi.UInt(dr.reinterpret_array(mi.UInt, station.wedge.shape))
                wedge_shape = dr.select(this, shape, wedge_shape)
                wedge_face = dr.select(this, station.wedge.prim0, wedge_face)
                to_edge |= this
        aim = target + mi.Point3f(off)
        # Lengths count from where the ray starts: a transmitter may stand in a surface.
        origin = move_off(point, normal, mi.Vector3f(aim - point)) if number else point
        way = aim - origin
        length = dr.norm(way)
        plane_normal, offset = mirrors.plane(plane, to_mirror)
        here, there = height(origin, plane_normal, offset), height(aim, plane_normal, offset)
        grain = (1.0 + dr.max(dr.abs(aim), axis=0)) * EPSILON_FLOAT
        reach = dr.select(to_mirror, here / (here - there) * length, length - grain)
        # A mirror is known by its plane: at grazing incidence distances along the ray tell
        # nothing, so rays to a mirror are not cut short.
        end = dr.select(to_mirror, dr.inf, reach)
        ray = mi.Ray3f(origin, way / length, end, 0.0, [])  # type: ignore[call-overload]
        hit = mirrors.first_hit(ray, walking)
        reflected = hit.found & to_mirror & (hit.plane == plane)
        crossed = hit.found & ~reflected & (hit.distance < reach) & (crossed_so_far < crossings)
        diffracted = walking & to_edge & ~hit.found
        arrived |= walking & ~to_mirror & ~to_edge & ~hit.found
        on_surface = reflected | crossed
        met = _on_path(base, aim, hit)
        walking = walking & (on_surface | diffracted)
        passed += dr.select(reflected | diffracted, mi.UInt(1), mi.UInt(0))
        crossed_so_far += dr.select(crossed, mi.UInt(1), mi.UInt(0))
        kind = dr.select(
            reflected, mi.UInt(InteractionType.SPECULAR), mi.UInt(InteractionType.REFRACTION)
        )
        steps.append(
            Step(
                taken=walking,
                kind=dr.select(diffracted, mi.UInt(InteractionType.DIFFRACTION), kind),
                shape=dr.select(diffracted, wedge_shape, hit.shape),
                primitive=dr.select(diffracted, wedge_face, hit.primitive),
                point=dr.select(diffracted, target, met),
            )
        )
        base = dr.select(reflected, met, dr.select(diffracted, aim, base))
        point = dr.select(on_surface, met, dr.select(diffracted, aim, point))
        normal = dr.select(on_surface, hit.normal, dr.select(diffracted, mi.Vector3f(0.0), normal))
    # The last step of a walk that arrives is no interaction.
    return arrived, steps[:-1]


def _on_path(base: mi.Point3f, aim: mi.Point3f, hit: Hit) -> mi.Point3f:
    """Where the straight way from one station to the next meets the surface that was hit.

    The ray runs a little beside the path, and its own hit would give short legs wrong directions,
    and paths wrong fields. Not where it grazes the surface.
    """
    straight = mi.Vector3f(aim - base)
    fall = dr.dot(hit.normal, straight)
    share = mi.Float(dr.dot(hit.normal, mi.Vector3f(hit.point - base)) / fall)
    met = base + mi.Point3f(share * straight)  # type: ignore[operator]
    return mi.Point3f(dr.select(dr.abs(fall) > 1e-4 * dr.norm(straight), met, hit.point))


def as_buffer(
    arrived: mi.Bool,
    steps: Sequence[Step],
    start: mi.Point3f,
    receivers: mi.UInt,
    max_depth: int,
    wedges: WedgeGeometry | None = None,
) -> tuple[PathsBuffer, mi.UInt]:
    """Walks in Sionna's form, and how many surfaces each crossed.

    Args:
        arrived: whether each walk arrived; others are no valid paths.
        steps: of the walks.
        start: of each walk [m].
        receivers: target of each walk; its source is 0.
        max_depth: interactions at most.
        wedges: the edge of each walk; none where no walk is diffracted.
    """
    # Scatters into one array wait for each other: without this each would trace anew.
    dr.eval(arrived, *[(s.taken, s.kind, s.shape, s.primitive, s.point) for s in steps])
    count = dr.width(receivers)
    taken, crossings = dr.zeros(mi.UInt, count), dr.zeros(mi.UInt, count)
    for step in steps:
        taken += dr.select(step.taken, mi.UInt(1), mi.UInt(0))
        through = step.taken & (step.kind == InteractionType.REFRACTION)
        crossings += dr.select(through, mi.UInt(1), mi.UInt(0))
    buffer = PathsBuffer(count, max_depth, diffraction=wedges is not None)
    buffer._valid = arrived
    buffer._tgt_indices = receivers
    if wedges is not None:
        buffer._diffracting_wedges = wedges
        # Sionna (2.2.0) adds the way to one vertex behind the last to the distance from the edge.
        # Where that is the receiver, no harm is done.
        for name in "xyz":
            values = dr.repeat(getattr(start, name), max_depth)
            setattr(buffer, f"_vertices_{name}", mi.TensorXf(values, (count, max_depth)))
    path = dr.arange(mi.UInt, count)
    for back, step in enumerate(steps):
        # Sionna counts from the transmitter.
        place = path * max_depth + taken - 1 - back
        for name, value in (
            ("_interaction_types", step.kind),
            ("_shapes", step.shape),
            ("_primitives", step.primitive),
            ("_vertices_x", step.point.x),
            ("_vertices_y", step.point.y),
            ("_vertices_z", step.point.z),
        ):
            dr.scatter(getattr(buffer, name).array, value, place, step.taken)
    buffer.schedule()
    dr.eval(crossings)
    return buffer, crossings
