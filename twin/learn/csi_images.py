"""CSI images and what compares them (MetaLoc, IEEE JSAC 41(12), 2023, section II-C and eq. 2).

An image is one burst of packets as 8-bit amplitudes: a row a subcarrier, a column a packet, a
channel an access point. Its histogram tells how often each amplitude occurs, whatever the packet
and the subcarrier, so it does not notice in which order packets came.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from twin.errors import Fault, refuse

Images = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]
Indices = npt.NDArray[np.intp]

#: Packets of a burst, and used subcarriers of a 20 MHz channel in the legacy (non-HT) format of
#: IEEE 802.11: offsets -26 to 26 without 0.
PACKETS = 50
SUBCARRIERS = 52
LEVELS = 256
#: Share of the historical amplitudes that full scale holds; the rest is clipped.
SHARE = 0.995

_ALL_OF_20_MHZ = 64
_LARGEST_OFFSET = 26
# Pixels whose histograms are counted at once (32 MiB of indices).
_PIXELS = 2**22


def used_subcarriers(subcarriers: int) -> Indices:
    """Indices of the 52 used subcarriers, by rising offset.

    Args:
        subcarriers: 52 (all are used), or 64 by rising offset from -32, as stores of measured
            20 MHz channels have them; guards and the carrier itself are then left out.

    Raises:
        InputError: another number.
    """
    if subcarriers == SUBCARRIERS:
        return np.arange(SUBCARRIERS)
    expected = f"{SUBCARRIERS} or {_ALL_OF_20_MHZ}"
    refuse(
        [Fault("CSI images", "subcarriers", expected, str(subcarriers))]
        if subcarriers != _ALL_OF_20_MHZ
        else []
    )
    offset = np.arange(_ALL_OF_20_MHZ) - _ALL_OF_20_MHZ // 2
    return np.flatnonzero((offset != 0) & (np.abs(offset) <= _LARGEST_OFFSET))


def amplitudes(reported_csi: npt.ArrayLike, packets: int = PACKETS) -> Float32:
    """Amplitudes of the first antenna pair, cut into bursts; packets left over are dropped.

    Args:
        reported_csi: (point, snapshot, ap, rx_antenna, ap_antenna, subcarrier) complex, as one
            realisation of a store has it; NaN = not heard.
        packets: of a burst.

    Returns:
        (point, burst, 52, packet, ap) in the unit of the reports; 0 where not heard.

    Raises:
        InputError: other dimensions, another number of subcarriers, fewer snapshots than a burst.
    """
    csi = np.asarray(reported_csi)
    faults = []
    if csi.ndim != 6:
        expected = "(point, snapshot, ap, rx_antenna, ap_antenna, subcarrier)"
        faults.append(Fault("CSI images", "reported_csi", expected, f"shape {csi.shape}"))
    elif packets < 1 or csi.shape[1] < packets:
        expected = f"at least one burst of {packets} packets" if packets > 0 else "packets above 0"
        faults.append(Fault("CSI images", "snapshots", expected, str(csi.shape[1])))
    refuse(faults)
    bursts = csi.shape[1] // packets
    used = csi[:, : bursts * packets, :, 0, 0, used_subcarriers(csi.shape[-1])]
    heard = np.nan_to_num(np.abs(used), nan=0.0).astype(np.float32)
    # NumPy's rule for a slice beside an index array: the subcarriers now come last.
    cut = heard.reshape(len(csi), bursts, packets, csi.shape[2], SUBCARRIERS)
    return np.ascontiguousarray(cut.transpose(0, 1, 4, 2, 3))


def levelled(amplitude: Float32, rss_dbm: npt.ArrayLike) -> Float32:
    """Amplitudes with the level that the receiver's automatic gain took out of them.

    A receiver reports CSI after its gain control: how strong a packet came is only in its RSS.
    MetaLoc does not say that it used it; without, an image holds the shape of the channel alone.

    Args:
        amplitude: (point, burst, 52, packet, ap) see `amplitudes`.
        rss_dbm: (point, snapshot, ap) reported with the packets; NaN = not heard.

    Returns:
        The same, such that the mean power over the subcarriers is the RSS [square root of mW].

    Raises:
        InputError: RSS of other points, access points or of too few snapshots.
    """
    rss = np.asarray(rss_dbm, np.float64)
    points, bursts, _, packets, access_points = amplitude.shape
    fits = rss.ndim == 3 and rss.shape[::2] == (points, access_points)
    if not fits or rss.shape[1] < bursts * packets:
        expected = f"({points}, {bursts * packets} or more, {access_points})"
        refuse([Fault("CSI images", "rss", expected, f"shape {rss.shape}")])
    level = rss[:, : bursts * packets].reshape(points, bursts, packets, access_points)
    root = np.sqrt(np.mean(amplitude.astype(np.float64) ** 2, axis=2))
    heard = np.isfinite(level) & (root > 0.0)
    factor = np.where(heard, 10.0 ** (np.where(heard, level, 0.0) / 20.0), 0.0)
    factor /= np.where(heard, root, 1.0)
    return (amplitude * factor[:, :, None]).astype(np.float32)


def full_scale(historical: Float32, share: float = SHARE) -> Float32:
    """Amplitude that becomes 255, for each access point.

    Taken from historical environments alone, so that a new one is not looked at beforehand.

    Args:
        historical: (…, ap) amplitudes; 0 = not heard, and takes no part.
        share: quantile; strong outliers (a carrier's leak) would otherwise darken all else.

    Returns:
        (ap,) in the unit of the amplitudes.

    Raises:
        InputError: an access point that was never heard.
    """
    heard = [values[values > 0.0] for values in historical.reshape(-1, historical.shape[-1]).T]
    refuse(
        Fault("CSI images", f"access point {index}", "heard at least once", "never heard")
        for index, values in enumerate(heard)
        if values.size == 0
    )
    return np.array([np.quantile(values, share) for values in heard], np.float32)


def images(amplitude: Float32, scale: Float32) -> Images:
    """8-bit images from (…, ap) amplitudes; what exceeds full scale is clipped to 255.

    Args:
        amplitude: see `amplitudes`.
        scale: (ap,) see `full_scale`.
    """
    shade = np.rint(np.minimum(amplitude / scale, 1.0) * (LEVELS - 1))
    return np.asarray(shade.astype(np.uint8))


def histograms(pictures: Images, bins: int = LEVELS, *, per_access_point: bool = False) -> Counts:
    """Pixel counts in equal intervals of 0 to 255.

    The paper pools all pixels of an image. Pooled counts cannot tell which access point was the
    strong one; `per_access_point` keeps one histogram for each and lays them side by side, so
    that the sum of eq. 2 runs over all of them.

    Args:
        pictures: (…, subcarrier, packet, ap).
        bins: intervals, 1 to 256.
        per_access_point: one histogram for each access point.

    Returns:
        (…, bins), or (…, ap * bins).

    Raises:
        InputError: a number of bins out of range.
    """
    refuse(
        [Fault("histograms", "bins", f"1 to {LEVELS}", str(bins))]
        if not 1 <= bins <= LEVELS
        else []
    )
    *leading, rows, columns, access_points = pictures.shape
    parts = access_points if per_access_point else 1
    flat = pictures.reshape(-1, rows * columns, access_points)
    counts = np.empty((len(flat), parts * bins), np.int64)
    together = max(1, _PIXELS // (rows * columns * access_points))
    shift = (np.arange(access_points) * bins) if per_access_point else 0
    for start in range(0, len(flat), together):
        some = flat[start : start + together]
        cell = some.astype(np.int64) * bins // LEVELS + shift
        cell += (np.arange(len(some)) * parts * bins)[:, None, None]
        counted = np.bincount(cell.ravel(), minlength=len(some) * parts * bins)
        counts[start : start + together] = counted.reshape(len(some), parts * bins)
    return counts.reshape(*leading, parts * bins)


def intersection(first: npt.ArrayLike, second: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Histogram intersection (eq. 2) of every pair: sum over the bins of the lesser count.

    Args:
        first: (n, bins) counts.
        second: (m, bins) counts.

    Returns:
        (n, m); at most the number of pixels, which it reaches for equal histograms.
    """
    one, other = (np.asarray(counts, np.float64) for counts in (first, second))
    # min(a, b) = (a + b - |a - b|) / 2, which leaves the work to a fast city-block distance.
    total = one.sum(axis=1)[:, None] + other.sum(axis=1)[None, :]
    return np.asarray((total - cdist(one, other, "cityblock")) / 2.0)


def nearest_points(asked: npt.ArrayLike, reference: npt.NDArray[Any], nearest: int) -> Indices:
    """The reference points whose images look most like each asked image.

    Args:
        asked: (t, bins) histograms.
        reference: (p, b, bins) histograms of b images at each reference point.
        nearest: K.

    Returns:
        (t, K) indices of points, the largest mean intersection first; of equals, the first point.

    Raises:
        InputError: more points asked for than there are.
    """
    points, pictures, bins = reference.shape
    refuse(
        [Fault("nearest points", "nearest", f"1 to {points} reference points", str(nearest))]
        if not 1 <= nearest <= points
        else []
    )
    each = intersection(asked, reference.reshape(-1, bins))
    alike = each.reshape(-1, points, pictures).mean(axis=2)
    return np.asarray(np.argsort(-alike, axis=1, kind="stable")[:, :nearest])
