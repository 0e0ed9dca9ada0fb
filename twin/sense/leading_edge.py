"""First arrival in a band-limited impulse response."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# The Hann window's impulse response reaches zero two resolution cells before its peak.
_LEAD_CELLS = 2.0
_SAMPLES_PER_CELL = 16
_LINKS_AT_ONCE = 128


def leading_edge_s(
    gain: npt.NDArray[np.complexfloating],
    delay_s: Floats,
    bandwidth_hz: float,
    fraction: float,
) -> Floats:
    """Detected time of the first arrival [s] of every link; NaN without a path.

    The channel is seen through a Hann window over the bandwidth; the detector takes the first
    crossing of `fraction` times the highest magnitude, and is calibrated: a lone path is detected
    at its delay. Later paths that overlap the first one shift the detection, and a first path
    weaker than the fraction is missed.

    Args:
        gain: (..., paths) complex amplitudes, zero where there is no path.
        delay_s: (..., paths) delays, NaN where there is no path.
        bandwidth_hz: full width of the band.
        fraction: of the peak's magnitude, between 0 and 1.
    """
    links = gain.shape[:-1]
    amplitude = gain.reshape(-1, gain.shape[-1]).astype(np.complex128)
    cells = (delay_s * bandwidth_hz).reshape(amplitude.shape)
    first = np.min(np.nan_to_num(cells, nan=np.inf), axis=1)
    found = np.full(len(amplitude), np.nan)
    heard = np.flatnonzero(np.isfinite(first))
    lone = _crossing(np.ones((1, 1), np.complex128), np.zeros((1, 1)), fraction)[0]
    for start in range(0, len(heard), _LINKS_AT_ONCE):
        part = heard[start : start + _LINKS_AT_ONCE]
        excess = np.nan_to_num(cells[part] - first[part, None])
        found[part] = first[part] + _crossing(amplitude[part], excess, fraction) - lone
    return (found / bandwidth_hz).reshape(links)


def _crossing(amplitude: npt.NDArray[np.complex128], excess: Floats, fraction: float) -> Floats:
    """First crossing (m,) of m links, in cells after their first path; `excess` (m, p) alike."""
    end = excess.max(axis=1) + _LEAD_CELLS
    steps = int(np.ceil((end.max() + _LEAD_CELLS) * _SAMPLES_PER_CELL)) + 1
    grid = np.arange(steps) / _SAMPLES_PER_CELL - _LEAD_CELLS
    response = np.zeros((len(amplitude), steps), np.complex128)
    for path in range(amplitude.shape[1]):
        response += amplitude[:, path, None] * _hann_response(grid - excess[:, path, None])
    # A link's search ends behind its own last path, not behind that of a neighbour in the block.
    magnitude = np.where(grid <= end[:, None], np.abs(response), 0.0)
    level = fraction * magnitude.max(axis=1)
    above = magnitude >= level[:, None]
    # The response starts at zero for the first path; only echoes' side lobes can be there already.
    after = np.maximum(np.argmax(above, axis=1), 1)
    row = np.arange(len(amplitude))
    low, high = magnitude[row, after - 1], magnitude[row, after]
    share = np.clip((level - low) / np.maximum(high - low, np.finfo(float).tiny), 0.0, 1.0)
    return np.asarray(grid[after - 1] + share / _SAMPLES_PER_CELL)


def _hann_response(cells: Floats) -> Floats:
    """Impulse response of a Hann window over a unit band, 1 at its peak: sinc(x) / (1 - x^2)."""
    denominator = 1.0 - cells**2
    pole = np.abs(denominator) < 1e-9
    return np.asarray(np.where(pole, 0.5, np.sinc(cells) / np.where(pole, 1.0, denominator)))
