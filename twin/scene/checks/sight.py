"""How many sheets stand between access points and receivers, against the depth of a solver.

Every sheet crossed costs a path one interaction, so one with more sheets on its straight way than
`max_depth` has no direct path at all, however little each of them takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from twin.scene.checks.site import Points, Site, coordinates
from twin.scene.findings import Finding
from twin.scene.surfaces import Surface

Indices = npt.NDArray[np.int64]

# Receivers looked at, spread evenly; and pairs of a line and a triangle in all, which bounds time.
MOST_RECEIVERS = 2_000
_MOST_PAIRS = 20_000_000
_FEWEST_RECEIVERS = 50
# The work of a trace doubles with every interaction; nobody asks for more than these.
_WORTH_TRACING = 8
# Less than this share of the receivers is a fact to know; more is likely not meant.
_A_FEW = 0.05
# Access points that a warning tells of one by one.
_SHOWN = 3
_BLOCK = 1_000_000
# Two sheets closer along a line than this count as one, as do the two triangles at an edge [m].
_APART_M = 1e-6
# Rounding of an angle seen from an access point [rad].
_ANGLE = 1e-9


def warnings(
    site: Site, surfaces: Sequence[Surface], points: Points, max_depth: int
) -> Iterator[Finding]:
    """Receivers that no straight line reaches, and access points that miss some of them.

    One warning for all access points that miss at least 5 % of the receivers, with the worst three
    of them; a note on each of the others that misses some.

    Args:
        site: under check.
        surfaces: it is built of.
        points: of all its receivers, (n, 3) [m]; at most 2,000 of them, spread evenly, are looked
            at, fewer where there are very many triangles.
        max_depth: interactions that the solver follows.
    """
    aps = [ap for ap in site.scene.access_points if ap.active]
    if not aps or not len(points):
        return
    masts = np.array([ap.position_m for ap in aps])
    chosen, counts = sheets_between(surfaces, masts, points)
    places = points[chosen]
    looked = f"{len(chosen)} receivers"
    if len(chosen) < len(points):
        looked += f" (spread evenly over {len(points)})"
    fewest = counts.min(axis=0)
    if len(aps) > 1 and (fewest > max_depth).any():
        deepest = int(fewest.argmax())
        hidden = fewest > max_depth
        yield site.finding(
            "warning" if hidden.mean() >= _A_FEW else "note",
            "receivers",
            f"receivers with an access point behind at most {max_depth} sheets (max_depth)",
            f"{_share(hidden)} of {looked} without one behind at most {max_depth} sheets",
            f"Add an access point near {coordinates([places[deepest]])}, whose nearest is "
            f"behind {int(fewest[deepest])}; reflections may still reach them",
            at=places[deepest],
        )
    share = (counts > max_depth).mean(axis=1)
    worst = np.argsort(-share, kind="stable")
    many = [int(i) for i in worst if share[i] >= _A_FEW]
    if many:
        deepest = int(counts[many].max())
        more = f"; and {len(many) - _SHOWN} more" if len(many) > _SHOWN else ""
        yield site.finding(
            "warning",
            "access_points",
            f"access points with at most {max_depth} sheets (max_depth) between them and "
            f"{1 - _A_FEW:.0%} of the receivers",
            f"{len(many)} of {len(aps)} with more, of {looked}: "
            + "; ".join(
                f"{aps[i].name} with {_hidden(counts[i], places, max_depth)}" for i in many[:_SHOWN]
            )
            + more,
            _cure(deepest),
            at=masts[many[0]],
        )
    for i in worst:
        if share[i] > 0.0 and i not in many[:_SHOWN]:
            yield site.finding(
                "note",
                f"access_points.{aps[i].name}.position_m",
                f"receivers behind at most {max_depth} sheets (max_depth)",
                f"{_hidden(counts[i], places, max_depth)}, of {looked}",
                at=masts[i],
            )


def _hidden(counts: Indices, places: Points, max_depth: int) -> str:
    """How many receivers an access point misses, and which of them is behind most sheets."""
    deepest = int(counts.argmax())
    return (
        f"{_share(counts > max_depth)} behind more than {max_depth} sheets, the deepest behind "
        f"{int(counts[deepest])} at {coordinates([places[deepest]])}"
    )


def _share(mask: npt.NDArray[np.bool_]) -> str:
    share = float(mask.mean())
    if mask.all():
        return "all"
    return f"{min(share, 0.99):.0%}" if share >= 0.01 else "less than 1%"


def _cure(deepest: int) -> str:
    if deepest <= _WORTH_TRACING:
        return (
            f"Trace with max_depth {deepest} for a direct path to all, or move access points; "
            "reflections may still reach them"
        )
    return (
        "Move access points or add nearer ones, or trace deeper where paths through so many "
        "walls matter; reflections may still reach them"
    )


def sheets_between(
    surfaces: Sequence[Surface], masts: Points, points: Points
) -> tuple[Indices, Indices]:
    """How many sheets straight lines from access points to receivers cross.

    Args:
        surfaces: of the scene.
        masts: (a, 3) [m].
        points: (n, 3) [m].

    Returns:
        Numbers (m,) of the receivers looked at, and counts (a, m).
    """
    parts = [item.vertices[item.faces] for item in surfaces if len(item.faces)]
    triangles = np.concatenate(parts) if parts else np.zeros((0, 3, 3))
    chosen = _spread(len(points), MOST_RECEIVERS)
    low = min(masts[:, 2].min(), points[:, 2].min())
    high = max(masts[:, 2].max(), points[:, 2].max())
    level = (triangles[..., 2].max(axis=1) >= low) & (triangles[..., 2].min(axis=1) <= high)
    triangles = triangles[level]
    pairs = sum(_Fan(mast, triangles, points[chosen]).pairs for mast in masts)
    if pairs > _MOST_PAIRS:
        count = max(int(len(chosen) * _MOST_PAIRS / pairs), _FEWEST_RECEIVERS)
        chosen = _spread(len(points), min(count, len(chosen)))
    ends = points[chosen]
    counts = np.stack([_Fan(mast, triangles, ends).count() for mast in masts])
    return chosen, counts


def _spread(count: int, most: int) -> Indices:
    if count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(np.int64))


class _Fan:
    """Lines from one place to many, sorted by the direction they leave in, seen from above.

    A triangle can only be met by lines within the angle that it fills, which spares most pairs.

    Args:
        mast: (3,) [m], where all lines start.
        triangles: (t, 3, 3) [m].
        ends: (m, 3) [m].
    """

    def __init__(self, mast: Points, triangles: Points, ends: Points) -> None:
        self._mast = mast
        self._triangles = triangles
        self._ends = ends
        offset = ends[:, :2] - mast[:2]
        angle = np.arctan2(offset[:, 1], offset[:, 0])
        # A line straight up or down is in no fan: it is tried against everything over its foot.
        self._order = np.argsort(angle, kind="stable")
        angle = angle[self._order]
        seen = triangles[..., :2] - mast[:2]
        corner = np.arctan2(seen[..., 1], seen[..., 0])
        # Relative to the first corner, the short way round.
        turn = (corner - corner[:, :1] + np.pi) % (2.0 * np.pi) - np.pi
        start = corner[:, 0] + turn.min(axis=1) - _ANGLE
        width = turn.max(axis=1) - turn.min(axis=1) + 2.0 * _ANGLE
        # One that reaches around the mast, or stands over it, may be met in any direction.
        all_round = (width >= np.pi - 1e-6) | (np.hypot(*np.moveaxis(seen, -1, 0)) < 1e-9).any(1)
        start = np.where(all_round, -np.pi, (start + np.pi) % (2.0 * np.pi) - np.pi)
        twice = np.concatenate([angle, angle + 2.0 * np.pi])
        self._first = np.searchsorted(twice, start, side="left")
        last = np.searchsorted(twice, start + width, side="right")
        self._first = np.where(all_round, 0, self._first)
        last = np.where(all_round, len(angle), last)
        self._number = np.maximum(last - self._first, 0)

    @property
    def pairs(self) -> int:
        """Lines times triangles to be tried."""
        return int(self._number.sum())

    def count(self) -> Indices:
        """Sheets met by each line (m,)."""
        hits: list[Indices] = [np.zeros(0, dtype=np.int64)]
        ways: list[Points] = [np.zeros(0)]
        for triangle, end in self._blocks():
            met, way = _meetings(self._mast, self._ends[end], self._triangles[triangle])
            hits.append(end[met])
            ways.append(way[met])
        hit, way = np.concatenate(hits), np.concatenate(ways)
        order = np.lexsort([way, hit])
        hit, way = hit[order], way[order]
        own = np.ones(len(hit), dtype=np.bool_)
        own[1:] = (hit[1:] != hit[:-1]) | (way[1:] - way[:-1] > _APART_M)
        return np.bincount(hit[own], minlength=len(self._ends))

    def _blocks(self) -> Iterator[tuple[Indices, Indices]]:
        ends = np.cumsum(self._number)
        start = 0
        while start < len(ends):
            done = ends[start - 1] if start else 0
            stop = max(int(np.searchsorted(ends, done + _BLOCK, side="right")), start + 1)
            number = self._number[start:stop]
            triangle = np.repeat(np.arange(start, stop), number)
            within = np.arange(len(triangle)) - np.repeat(np.cumsum(number) - number, number)
            line = (self._first[triangle] + within) % max(len(self._order), 1)
            yield triangle, self._order[line]
            start = stop


def _meetings(
    start: Points, ends: Points, triangles: Points
) -> tuple[npt.NDArray[np.bool_], Points]:
    """Whether each line (k,) from a place to its end (k, 3) meets its triangle (k, 3, 3), and at
    what way along [m].

    After T. Möller and B. Trumbore, Journal of Graphics Tools 2 (1997), 21. Edges belong to it, so
    that no line slips between two triangles.
    """
    along = ends - start
    first, second = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    across = np.cross(along, second)
    size = np.einsum("kj,kj->k", across, first)
    scale = np.linalg.norm(along, axis=1) * np.linalg.norm(first, axis=1)
    scale *= np.linalg.norm(second, axis=1)
    slanted = np.abs(size) > 1e-12 * scale
    size = np.where(slanted, size, 1.0)
    offset = start - triangles[:, 0]
    u = np.einsum("kj,kj->k", across, offset) / size
    turned = np.cross(offset, first)
    v = np.einsum("kj,kj->k", turned, along) / size
    way = np.einsum("kj,kj->k", turned, second) / size
    edge = 1e-9
    met = slanted & (u >= -edge) & (v >= -edge) & (u + v <= 1.0 + edge)
    met &= (way > 0.0) & (way < 1.0)
    return met, way * np.linalg.norm(along, axis=1)
