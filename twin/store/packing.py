"""Channel frequency responses with fewer bits, and how far off they then are.

Every link keeps its own scale, so that a weak link loses no more than a strong one. Both forms take
half the space of complex64.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from twin.errors import Fault, refuse
from twin.store.schema import PACKED_CSI, VARIABLES

Precision = Literal["int16", "float16"]
Complexes = npt.NDArray[np.complex64]
Packed = dict[str, npt.NDArray[np.generic]]

# Antennas at both ends and subcarriers: what belongs to one link.
_CHANNEL_DIMS = 3
_FULL_SCALE = 32767
# Numbers of one piece, which bounds the memory for copies.
_PIECE_NUMBERS = 1 << 20
_LINKS_SHOWN = 5


def pack(csi: npt.ArrayLike, precision: Precision) -> Packed:
    """Channel frequency responses as scaled 16-bit numbers.

    The scale of a link is the largest absolute real or imaginary part over its antennas and
    subcarriers. A link of zeros has scale zero and comes back as zeros. A link that is NaN
    throughout (a point that is absent from a realisation) has scale and error NaN and comes back as
    NaN.

    Args:
        csi: (..., rx_antenna, ap_antenna, subcarrier) [1], complex; leading axes count links.
        precision: ``int16``: error relative to the link's strongest part; ``float16``: error
            relative to each number.

    Returns:
        By schema name: the numbers (..., rx_antenna, ap_antenna, subcarrier, 2) int16 or float16,
        ``csi_scale`` (...) float32 and ``csi_nmse`` (...) float32, the squared error of what
        `unpack` gives over the squares of what was given, both summed in float64.

    Raises:
        InputError: unknown precision; fewer than three axes; a number that is infinite, or a link
            of which only a part is NaN.
    """
    name = _packed_name(precision)
    given = np.asarray(csi, dtype=np.complex64)
    refuse(_shape_faults(given.shape))
    links, channel = given.shape[:-_CHANNEL_DIMS], given.shape[-_CHANNEL_DIMS:]
    rows = given.reshape(-1, int(np.prod(channel, dtype=np.int64)))
    numbers = np.zeros((*rows.shape, 2), dtype=VARIABLES[name].dtype)
    scale = np.zeros(len(rows), dtype=np.float32)
    nmse = np.zeros(len(rows), dtype=np.float32)
    bad: list[int] = []
    for part in _pieces(*rows.shape):
        parts = _parts(rows[part])
        unheard = np.isnan(parts[..., 0]) | np.isnan(parts[..., 1])
        broken = ~np.isfinite(parts).all(axis=(1, 2)) & ~unheard.all(axis=1)
        bad += (part.start + np.flatnonzero(broken)).tolist()
        if not bad:
            scale[part] = np.abs(parts).max(axis=(1, 2), initial=0.0)
            numbers[part] = _packed(parts, scale[part], precision)
            nmse[part] = _nmse(parts, _unpacked(numbers[part], scale[part]))
    refuse(_value_faults(bad, links))
    return {
        name: numbers.reshape(*links, *channel, 2),
        "csi_scale": scale.reshape(links),
        "csi_nmse": nmse.reshape(links),
    }


def unpack(packed: Mapping[str, npt.NDArray[np.generic]]) -> Complexes:
    """Channel frequency responses (..., rx_antenna, ap_antenna, subcarrier) complex64 [1].

    Args:
        packed: ``csi_scale`` and one of ``csi_int16`` and ``csi_float16``, as `pack` gives them.

    Raises:
        InputError: neither or both kinds of numbers, no scale, or shapes that disagree.
    """
    names = [names[0] for names in PACKED_CSI.values() if names[0] in packed]
    if len(names) != 1 or "csi_scale" not in packed:
        found = ", ".join(sorted(packed)) or "nothing"
        expected = f"csi_scale and one of {', '.join(n[0] for n in PACKED_CSI.values())}"
        refuse([Fault("packed channel", "", expected, found)])
    return _unpack(np.asarray(packed[names[0]]), np.asarray(packed["csi_scale"]))


def with_csi(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset with ``csi`` complex64 decoded from its packed form, when it is asked for.

    Returned as it is where it has ``csi`` already or no packed form. The packed variables stay.
    """
    names = [names[0] for names in PACKED_CSI.values() if names[0] in dataset]
    if "csi" in dataset or not names:
        return dataset
    numbers, scale = dataset[names[0]], dataset["csi_scale"]
    variable = VARIABLES["csi"]
    core = [*variable.dims[-_CHANNEL_DIMS:], "part"]
    cut: dict[str, int] = dict.fromkeys(core, -1)
    if numbers.chunks is None and "point" in numbers.dims:
        per_point = numbers.size // max(1, numbers.sizes["point"])
        cut["point"] = max(1, _PIECE_NUMBERS // max(1, per_point))
    csi: xr.DataArray = xr.apply_ufunc(
        _unpack,
        numbers.drop_vars("part", errors="ignore").chunk(cut),
        scale,
        input_core_dims=[core, []],
        output_core_dims=[core[:-1]],
        dask="parallelized",
        output_dtypes=[np.complex64],
    )
    csi.attrs = {
        "long_name": variable.long_name,
        "units": variable.unit,
        **variable.attrs,
        "unpacked_from": names[0],
    }
    return dataset.assign(csi=csi)


def _packed_name(precision: str) -> str:
    if precision not in PACKED_CSI:
        expected = f"one of {', '.join(PACKED_CSI)}"
        refuse([Fault("packed channel", "precision", expected, repr(precision))])
    return PACKED_CSI[precision][0]


def _shape_faults(shape: tuple[int, ...]) -> list[Fault]:
    if len(shape) >= _CHANNEL_DIMS:
        return []
    expected = "axes (..., rx_antenna, ap_antenna, subcarrier)"
    return [Fault("packed channel", "csi", expected, f"shape {shape}")]


def _value_faults(bad: list[int], links: tuple[int, ...]) -> list[Fault]:
    faults = [
        Fault(
            "packed channel",
            f"csi, link {tuple(int(i) for i in np.unravel_index(link, links))}",
            "finite numbers, or NaN for the whole link",
            "some that are not finite",
        )
        for link in bad[:_LINKS_SHOWN]
    ]
    hidden = len(bad) - _LINKS_SHOWN
    if hidden > 0:
        faults.append(Fault("packed channel", "csi", "no further fault", f"{hidden} more links"))
    return faults


def _pieces(links: int, numbers: int) -> Iterator[slice]:
    step = max(1, _PIECE_NUMBERS // max(1, numbers))
    for start in range(0, links, step):
        yield slice(start, min(links, start + step))


def _parts(rows: Complexes) -> npt.NDArray[np.float32]:
    """Real and imaginary parts (link, number, 2)."""
    return np.ascontiguousarray(rows).view(np.float32).reshape(*rows.shape, 2)


def _packed(
    parts: npt.NDArray[np.float32], scale: npt.NDArray[np.float32], precision: Precision
) -> npt.NDArray[np.generic]:
    # A link of zeros, or of nothing, packs to zeros.
    divisor = np.where(scale > 0, scale, np.inf).astype(np.float64)[:, None, None]
    relative = np.nan_to_num(parts, nan=0.0) / divisor
    if precision == "float16":
        return relative.astype(np.float16)
    return np.rint(relative * _FULL_SCALE).astype(np.int16)


def _unpack(
    numbers: npt.NDArray[np.generic], scale: npt.NDArray[np.generic]
) -> npt.NDArray[np.complex64]:
    links, channel = numbers.shape[: -_CHANNEL_DIMS - 1], numbers.shape[-_CHANNEL_DIMS - 1 : -1]
    faults = [] if numbers.ndim > _CHANNEL_DIMS else _shape_faults(numbers.shape[:-1])
    if numbers.shape[-1:] != (2,) or scale.shape != links:
        expected = "numbers (..., rx_antenna, ap_antenna, subcarrier, 2) and a scale (...)"
        found = f"{numbers.shape} and {scale.shape}"
        faults.append(Fault("packed channel", "shapes", expected, found))
    refuse(faults)
    rows = numbers.reshape(-1, int(np.prod(channel, dtype=np.int64)), 2)
    parts = _unpacked(rows, scale.reshape(-1).astype(np.float32))
    return parts.view(np.complex64).reshape(*links, *channel)


def _unpacked(
    numbers: npt.NDArray[np.generic], scale: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Parts (link, number, 2) of packed ones; full scale comes back as exactly the scale."""
    parts = np.empty(numbers.shape, dtype=np.float32)
    if numbers.dtype.kind == "i":
        np.divide(numbers, np.float32(_FULL_SCALE), out=parts)
    else:
        parts[...] = numbers
    parts *= scale[:, None, None]
    return parts


def _nmse(
    given: npt.NDArray[np.float32], found: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """Squared error over squares (link,); zero where both are zero, NaN where nothing is given."""
    wide = given.astype(np.float64)
    power = np.square(wide).sum(axis=(1, 2))
    error = np.square(found - wide).sum(axis=(1, 2))
    return np.asarray(error / np.where(power > 0, power, np.where(np.isnan(power), np.nan, 1.0)))
