"""Which paths of one ray tracer another one found too, and how far apart their powers are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

# 3 mm of path: the same path of two tracers differs by less than 0.2 ps up to 750 m, which is what
# single precision leaves of a delay, and other paths are seldom as close.
DELAY_TOLERANCE_S = 10e-12
GAIN_TOLERANCE_DB = 0.5
# Zeniths in single precision are good to 0.0004 rad near the poles.
_SAME_DIRECTION_RAD = 2e-3
# Paths weaker than this below the strongest of their link do not count.
WINDOW_DB = 40.0

Flags = npt.NDArray[np.bool_]
Powers = npt.NDArray[np.float64]
Fields = dict[str, float | int | None]


@dataclass(frozen=True)
class Paths:
    """Paths of n receivers and a transmitters, at most p a link, in any order.

    Args:
        gain: (n, a, p) complex, with the phase of the carrier; zero where there is no path.
        delay_s: (n, a, p), absolute; anything where there is no path.
        arrival: (n, a, p, 3) unit vectors from the receiver back along the path, likewise.
    """

    gain: npt.NDArray[np.complex128]
    delay_s: npt.NDArray[np.float64]
    arrival: npt.NDArray[np.float64]

    @property
    def there(self) -> Flags:
        """Where there is a path, (n, a, p)."""
        return np.asarray(self.gain != 0.0)

    @property
    def power(self) -> Powers:
        """|gain|^2, (n, a, p)."""
        return np.abs(self.gain) ** 2

    def first(self, receivers: int) -> Paths:
        """Those of the first receivers."""
        return Paths(self.gain[:receivers], self.delay_s[:receivers], self.arrival[:receivers])


def unit_vectors(
    zenith: npt.NDArray[np.floating], azimuth: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """Directions (..., 3) of angles (...) [rad]."""
    zenith, azimuth = zenith.astype(np.float64), azimuth.astype(np.float64)
    plan = np.sin(zenith)
    return np.stack([plan * np.cos(azimuth), plan * np.sin(azimuth), np.cos(zenith)], axis=-1)


def join(parts: list[Paths]) -> Paths:
    """Paths of further receivers, one part after the other."""
    most = max(part.gain.shape[2] for part in parts)

    def padded(name: str) -> npt.NDArray[Any]:
        tables = [getattr(part, name) for part in parts]
        widths = [
            [(0, most - t.shape[2]) if d == 2 else (0, 0) for d in range(t.ndim)] for t in tables
        ]
        return np.concatenate([np.pad(t, w) for t, w in zip(tables, widths, strict=True)])

    return Paths(padded("gain"), padded("delay_s"), padded("arrival"))


def distinct(paths: Paths) -> Paths:
    """Without paths that are listed twice: same delay, gain and direction of arrival.

    Sionna's solver lists some lines of sight a second time, without a direction of departure.
    Mirror images, which arrive from elsewhere, stay.
    """
    apart = np.linalg.norm(paths.arrival[..., :, None, :] - paths.arrival[..., None, :, :], axis=-1)
    same = _close(paths, paths, GAIN_TOLERANCE_DB) & (apart <= _SAME_DIRECTION_RAD)
    copy = np.tril(same, k=-1).any(axis=-1)
    return replace(paths, gain=np.where(copy, 0.0, paths.gain))


def match(
    one: Paths, other: Paths, gain_tolerance_db: float = GAIN_TOLERANCE_DB
) -> tuple[Flags, Flags]:
    """Pair off paths of the same link with the same delay and gain.

    No path is used twice, and as many pairs are made as can be: (n, a, p) and (n, a, q), where
    each side has a partner.
    """
    close = _close(one, other, gain_tolerance_db)
    n, a, p, q = close.shape
    link, row, column = np.nonzero(close.reshape(n * a, p, q))
    graph = csr_array(
        (np.ones(len(link), dtype=np.int8), (link * p + row, link * q + column)),
        shape=(n * a * p, n * a * q),
    )
    partner = maximum_bipartite_matching(graph, perm_type="column")
    taken = np.zeros(n * a * q, dtype=np.bool_)
    taken[partner[partner >= 0]] = True
    return (partner >= 0).reshape(n, a, p), taken.reshape(n, a, q)


def _close(one: Paths, other: Paths, gain_tolerance_db: float) -> Flags:
    """Pairs of paths (n, a, p, q) with the same delay and gain."""
    level, level_other = (
        10.0 * np.log10(np.where(side.there, side.power, 1.0)) for side in (one, other)
    )
    return np.asarray(
        (np.abs(one.delay_s[..., :, None] - other.delay_s[..., None, :]) <= DELAY_TOLERANCE_S)
        & (np.abs(level[..., :, None] - level_other[..., None, :]) <= gain_tolerance_db)
        & one.there[..., :, None]
        & other.there[..., None, :]
    )


def unmatched(reference: Paths, found: Paths) -> npt.NDArray[np.int64]:
    """Receivers for which `found` has paths within the window that the reference has not."""
    _, used = match(distinct(reference), found)
    return np.unique(np.nonzero(_counted(found) & ~used)[0])


def union(reference: Paths, receivers: npt.NDArray[np.int64], more: Paths) -> Paths:
    """A reference with the paths of `more`, to some of its receivers, that it has not."""
    some = distinct(
        Paths(reference.gain[receivers], reference.delay_s[receivers], reference.arrival[receivers])
    )
    _, used = match(some, more)
    new = replace(more, gain=np.where(used, 0.0, more.gain))
    n, a = reference.gain.shape[:2]
    width = more.gain.shape[2]
    gain = np.zeros((n, a, width), dtype=np.complex128)
    delay_s, arrival = np.zeros((n, a, width)), np.zeros((n, a, width, 3))
    gain[receivers], delay_s[receivers] = new.gain, new.delay_s
    arrival[receivers] = new.arrival
    return Paths(
        np.concatenate([reference.gain, gain], axis=2),
        np.concatenate([reference.delay_s, delay_s], axis=2),
        np.concatenate([reference.arrival, arrival], axis=2),
    )


def loss(reference: Paths, found: Paths) -> float:
    """Share of all paths of a reference that are lost, by their number in each link.

    Not by what they are like: where two walls lie in one plane, Sionna takes either, and the gain
    changes from run to run while no path is lost.
    """
    count, count_found = (side.there.sum(axis=2) for side in (reference, found))
    return float(np.maximum(count - count_found, 0).sum() / max(count.sum(), 1))


def accuracy(reference: Paths, found: Paths) -> Fields:
    """How well paths found agree with a reference.

    Args:
        reference: paths of n receivers and a transmitters; counted once if listed twice.
        found: paths of the same.

    Returns:
        ``path_recall``: share of the reference's paths within `WINDOW_DB` of the strongest of their
        link that were found; ``paths_reference``, ``paths_missed``, of these ``paths_other_gain``
        (found with the right delay), and ``paths_extra`` (found, within the window, not in the
        reference); ``paths_twice_reference`` and ``paths_twice_found``, listed a second time. Over
        links with paths on both sides, 99th percentile of ``power_error_db`` (of the sum of powers)
        and ``coherent_error_db`` (of the power of the sum of fields at the carrier). ``links``,
        ``links_only_reference``, ``links_only_found``: all, and those that only one side has paths
        for. None where there is nothing to tell from.
    """
    listed, reference = reference, distinct(reference)
    matched, used = match(reference, found)
    matched_delay, _ = match(reference, found, np.inf)
    counted = _counted(reference)
    weakest = reference.power.max(axis=2, initial=0.0)[..., None] * 10.0 ** (-WINDOW_DB / 10.0)
    # Where the reference has nothing, everything found is extra.
    extra = found.there & (found.power >= weakest) & ~used
    power, power_found = reference.power.sum(axis=2), found.power.sum(axis=2)
    both = (power > 0.0) & (power_found > 0.0)
    coherent, coherent_found = (
        np.abs(side.gain.sum(axis=2)[both]) ** 2 for side in (reference, found)
    )
    return {
        "path_recall": _share((matched & counted).sum(), counted.sum()),
        "paths_reference": int(counted.sum()),
        "paths_missed": int((counted & ~matched).sum()),
        "paths_other_gain": int((counted & ~matched & matched_delay).sum()),
        "paths_extra": int(extra.sum()),
        "paths_twice_reference": int(listed.there.sum() - reference.there.sum()),
        "paths_twice_found": int(found.there.sum() - distinct(found).there.sum()),
        "power_error_db_p99": _p99(np.abs(_decibel(power_found[both] / power[both]))),
        "coherent_error_db_p99": _p99(np.abs(_decibel(coherent_found / coherent))),
        "links": both.size,
        "links_only_reference": int(((power > 0.0) & ~both).sum()),
        "links_only_found": int(((power_found > 0.0) & ~both).sum()),
    }


def estimate(reference: Paths, found: Paths, undiscovered: Powers) -> Fields:
    """How well a finder knows what it missed.

    Args:
        reference: paths of n receivers and a transmitters.
        found: paths of the same.
        undiscovered: (n, a) power that the finder supposes it missed.

    Returns:
        Over links that the reference has paths for: ``missed_power_db_p99`` and
        ``undiscovered_power_db_p99``, power of the paths missed (those that count for recall) and
        as the finder estimates it, over the link's power; None for none at all.
        ``undiscovered_covers_missed``: share of links where the estimate is no smaller.
    """
    reference = distinct(reference)
    matched, _ = match(reference, found)
    missed = np.where(_counted(reference) & ~matched, reference.power, 0.0).sum(axis=2)
    power = reference.power.sum(axis=2)
    heard = power > 0.0
    return {
        "missed_power_db_p99": _p99(_decibel(missed[heard] / power[heard])),
        "undiscovered_power_db_p99": _p99(_decibel(undiscovered[heard] / power[heard])),
        "undiscovered_covers_missed": _share((undiscovered >= missed)[heard].sum(), heard.sum()),
    }


def _counted(paths: Paths) -> Flags:
    strongest = paths.power.max(axis=2, initial=0.0, keepdims=True)
    return np.asarray(paths.there & (paths.power >= strongest * 10.0 ** (-WINDOW_DB / 10.0)))


def _share(part: np.integer, whole: np.integer) -> float | None:
    return round(float(part / whole), 5) if whole else None


def _decibel(ratio: Powers) -> Powers:
    with np.errstate(divide="ignore"):
        return np.asarray(10.0 * np.log10(ratio))


def _p99(values: Powers) -> float | None:
    """99th percentile of values that may be infinite; None if it is, or there are none."""
    if not len(values):
        return None
    # A value itself, not one between two: between -inf and a figure there is none.
    figure = float(np.quantile(values, 0.99, method="higher"))
    return round(figure, 4) if np.isfinite(figure) else None
