"""What still moves while a receiver stands: a scattered wave around a channel that does not change.

People elsewhere, fans, a hand that is not quite still: many weak paths whose sum is Gaussian. Over
time its correlation falls exponentially, which is the bell-shaped Doppler spectrum of the IEEE
802.11 TGn models (Erceg et al., IEEE 802.11-03/940r4, 2004); over frequency it is that of a power
delay profile that falls exponentially.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex128]

_TAPS_PER_SPREAD = 4
# Where the profile is cut: what lies beyond has a share of exp(-8).
_SPREADS = 8


def delay_profile(delay_spread_s: float, bandwidth_hz: float) -> tuple[Floats, Floats]:
    """An exponential power delay profile as evenly spaced taps.

    Args:
        delay_spread_s: root mean square; 0 gives one tap.
        bandwidth_hz: over which the taps must look like a continuous profile.

    Returns:
        Powers (t,) that sum to 1 and delays (t,) [s] from the first arrival.
    """
    if delay_spread_s == 0.0:
        return np.ones(1), np.zeros(1)
    # Taps repeat in frequency after 1 / spacing, which must lie well outside the band.
    spacing = min(delay_spread_s / _TAPS_PER_SPREAD, 0.5 / bandwidth_hz)
    # Each stands in the middle of its part of the profile, so that the mean delay is the profile's.
    delay = (np.arange(int(np.ceil(_SPREADS * delay_spread_s / spacing))) + 0.5) * spacing
    power = np.exp(-delay / delay_spread_s)
    return np.asarray(power / power.sum()), np.asarray(delay)


def tap_responses(power: Floats, delay_s: Floats, offset_hz: Floats) -> Complexes:
    """Responses (t, k) of the taps at subcarrier offsets (k,) [Hz], each with its own power."""
    turns = np.exp(-2j * np.pi * delay_s[:, None] * offset_hz)
    return np.asarray(np.sqrt(power)[:, None] * turns)


def scattered(
    generator: np.random.Generator,
    bursts: int,
    packets: int,
    ports: int,
    responses: Complexes,
    correlation: float,
) -> Complexes:
    """Scattered waves (bursts, packets, ports, k), complex Gaussian with mean power 1.

    Bursts are independent, as ports are. Further bursts change no earlier one, to the last bit.

    Args:
        generator: where the draws come from.
        bursts: separate stretches of time.
        packets: evenly spaced in each.
        ports: antenna ports.
        responses: of the taps (t, k), see `tap_responses`.
        correlation: of a tap's amplitude from one packet to the next, in [0, 1].
    """
    taps = len(responses)
    amplitude = complex_normal(generator, (bursts, packets, ports, taps))
    fresh = np.sqrt(1.0 - correlation**2)
    for packet in range(1, packets):
        amplitude[:, packet] *= fresh
        amplitude[:, packet] += correlation * amplitude[:, packet - 1]
    # Tap by tap, not as a matrix product: its sums would depend on how many threads it ran on.
    waves = np.zeros((bursts, packets, ports, responses.shape[1]), np.complex128)
    for tap in range(taps):
        waves += amplitude[..., tap, None] * responses[tap]
    return waves


def complex_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> Complexes:
    """Circular complex Gaussian numbers of a shape with mean power 1, drawn one after the other."""
    parts = generator.standard_normal((*shape, 2))
    parts *= np.sqrt(0.5)
    return np.asarray(parts.view(np.complex128)[..., 0])
