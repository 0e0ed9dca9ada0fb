"""How DeepMIMO v4 lays out a scenario and counts angles, powers, phases and interactions.

Looked up in deepmimo 4.0.5. A scenario is a folder: ``params.json``; the scene's ``vertices.npz``
and ``objects.json``; and for every pair of a transmitter and a set of receivers one .npz a matrix.
Several scenes (snapshots) are folders of their own beside a common ``params.json``. Its loader
takes the scenario's name in small letters, and the folders of snapshots in order of their names.

| Quantity | Here | There |
|---|---|---|
| amplitude of a path | complex | power [dB re the transmitted one] and phase [degree] |
| angles | radian, float32 | degree; elevation is the zenith angle from +z, too |
| no path | zero, NaN | NaN, after the paths |
| interactions | kinds, as bits | digits from transmitter to receiver, 0 the line of sight |
| order of paths | by falling power | any; the first tells whether there is line of sight |
| subcarrier k of N | (k - N // 2) B / N | k B / N, and divided by the square root of N |
| turned array | yaw, pitch, roll [rad] | the same angles as roll, pitch, yaw [degree] |
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from twin.store.content import AnyArray

FORMAT_VERSION = "4.0.5"
PARAMS = "params.json"
#: Our own part of the parameters; its loader passes over it.
OWN = "fingertwin"
OWN_FORMAT = "fingertwin/deepmimo@1"
#: Its letters of a scenario's name are small, and these are not in it.
FORBIDDEN = frozenset('/\\:*?"<>|\n') | {"'"}

#: Matrices of the paths (receiver, path) and their names here; power and phase are one here.
ANGLES: Mapping[str, str] = {
    "aoa_az": "aoa_azimuth",
    "aoa_el": "aoa_zenith",
    "aod_az": "aod_azimuth",
    "aod_el": "aod_zenith",
}
PATH_MATRICES = ("power", "phase", "delay", *ANGLES, "inter")

# Bit of a kind of interaction here and its digit there, in the order in which we write them.
_DIGITS = ((1, 1), (8, 2), (2, 3), (4, 4))
# Codes are float32: beyond seven digits the last ones are rounded.
_EXACT_DIGITS = 7

Floats = npt.NDArray[np.float64]


def matrix_file(matrix: str, tx_set: int, tx: int, rx_set: int) -> str:
    """Name of the file of a matrix between a transmitter and a set of receivers."""
    return f"{matrix}_t{tx_set:03d}_tx{tx:03d}_r{rx_set:03d}.npz"


def to_matrices(
    paths: Mapping[str, AnyArray], first_subcarrier_hz: float
) -> dict[str, npt.NDArray[np.generic]]:
    """The matrices of one access point from the path variables of some of its links.

    The line of sight comes first, the rest stays in its order. Delays are float64, all else
    float32, as its converters write it.

    Args:
        paths: path variables by schema name, each (n, p).
        first_subcarrier_hz: offset from the carrier at which its subcarrier 0 lies; the phases
            become those of that frequency.
    """
    delay = paths["delay"].astype(np.float64)
    there = np.isfinite(delay)
    gain = paths["path_gain"].astype(np.complex128)
    turn = -360.0 * first_subcarrier_hz * np.where(there, delay, 0.0)
    with np.errstate(divide="ignore"):
        power = 20.0 * np.log10(np.abs(gain))
    values: dict[str, AnyArray] = {
        "power": power,
        "phase": (np.angle(gain, deg=True) + turn + 180.0) % 360.0 - 180.0,
        "delay": delay,
        **{name: np.rad2deg(paths[ours].astype(np.float64)) for name, ours in ANGLES.items()},
        "inter": _codes(paths["interactions"]),
    }
    order = np.argsort(~(there & (paths["interactions"] == 0)), axis=-1, kind="stable")
    return {
        name: np.take_along_axis(np.where(there, array, np.nan), order, axis=-1).astype(
            np.float64 if name == "delay" else np.float32
        )
        for name, array in values.items()
    }


def to_paths(
    matrices: Mapping[str, AnyArray], first_subcarrier_hz: float
) -> dict[str, npt.NDArray[np.generic]]:
    """Path variables by schema name, each (n, p), of the matrices of some links; see `to_matrices`.

    In the order of the matrices. There is a path where its power is a number.
    """
    wide = {name: array.astype(np.float64) for name, array in matrices.items()}
    there = ~np.isnan(wide["power"])
    phase = np.deg2rad(wide["phase"] + 360.0 * first_subcarrier_hz * wide["delay"])
    amplitude = 10.0 ** (np.where(there, wide["power"], -np.inf) / 20.0)
    gain = amplitude * np.exp(1j * np.where(there, phase, 0.0))
    angles = {
        ours: np.where(there, np.deg2rad(wide[name]), np.nan) for name, ours in ANGLES.items()
    }
    for name in ("aoa_azimuth", "aod_azimuth"):
        angles[name] = np.pi - (np.pi - angles[name]) % (2 * np.pi)
    return {
        "path_gain": gain.astype(np.complex64),
        "delay": np.where(there, wide["delay"], np.nan),
        **{name: angle.astype(np.float32) for name, angle in angles.items()},
        "interactions": _kinds(np.where(there, wide["inter"], 0.0)),
    }


def _codes(interactions: AnyArray) -> Floats:
    """Every kind of interaction once: how many there are and in which order is not stored."""
    code = np.zeros(interactions.shape)
    for bit, digit in _DIGITS:
        code = np.where((interactions.astype(np.int64) & bit) != 0, 10 * code + digit, code)
    return code


def _kinds(codes: Floats) -> npt.NDArray[np.int32]:
    bits = np.zeros(codes.shape, dtype=np.int32)
    rest = leading_digits(codes)
    while rest.any():
        for bit, digit in _DIGITS:
            bits |= np.where(rest % 10 == digit, bit, 0).astype(np.int32)
        rest = rest // 10
    return bits


def leading_digits(codes: Floats) -> npt.NDArray[np.int64]:
    """Codes of interactions without the digits that float32 has rounded."""
    length = np.floor(np.log10(np.maximum(codes, 1.0))) + 1
    dropped = np.maximum(length - _EXACT_DIGITS, 0)
    return np.asarray(np.floor(np.nan_to_num(codes) / 10.0**dropped), dtype=np.int64)
