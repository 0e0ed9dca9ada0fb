"""Channels for another bandwidth, array or number of subcarriers, from the paths that a site keeps.

Nothing is computed until it is asked for, and then a block of points at a time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr

from twin.errors import Fault, refuse
from twin.store.schema import VARIABLES
from twin.waves import (
    Complexes,
    Floats,
    delay_factors,
    rotation_matrix,
    steering,
    subcarrier_offsets_hz,
)

_ARRIVAL = ("aoa_azimuth", "aoa_zenith")
_DEPARTURE = ("aod_azimuth", "aod_zenith")
_CHANNEL_DIMS = ("rx_antenna", "ap_antenna", "subcarrier")
_ABSENT = 3
_ONE_ELEMENT = np.zeros((1, 3))
# Of one lazy block of the result, and of the factors that a block is made of at a time.
_BLOCK_BYTES = 64_000_000
_PIECE_BYTES = 16_000_000


def csi_from_paths(
    dataset: xr.Dataset,
    *,
    bandwidth_hz: float,
    subcarriers: int,
    rx_positions: npt.ArrayLike | None = None,
    ap_positions: npt.ArrayLike | None = None,
    ap: str | Sequence[str] | None = None,
) -> xr.DataArray:
    """Channel frequency response of the stored paths, lazily.

    H(f) = sum over paths of path_gain x phase at the receiver's element x phase at the access
    point's element x exp(-j 2 pi f delay), f the offset from the carrier, absolute delays kept. The
    elements are isotropic copies of the single port that the paths were stored for: its pattern is
    in path_gain, and every element has it. Every path is a plane wave at both arrays, and the phase
    between elements is that of the carrier, for the whole band.

    Args:
        dataset: a site with ``path_gain`` and ``delay``, and the angles at each end that has an
            array.
        bandwidth_hz: of all subcarriers together.
        subcarriers: how many, centred on the carrier.
        rx_positions: (r, 3) elements of the receiver's array [wavelengths of the carrier] from its
            centre; the axes are those of the world, since no orientation of a receiver is stored.
            None is one element at the centre.
        ap_positions: (q, 3) elements of the access points' array, in the array's frame, which
            ``ap_orientation`` turns into the world's; where the site stores no orientation, the
            axes are those of the world. None is one element at the centre.
        ap: name or names of the access points; None is all of them.

    Returns:
        (realisation, point, ap, rx_antenna, ap_antenna, subcarrier) complex64 [1], without the
        dimensions that a selection has taken from the dataset; zero where a link has no path, NaN
        at points that are absent from a realisation. A link's response does not depend on how the
        dataset is cut into chunks.

    Raises:
        InputError: the site lacks what is needed, an unknown access point, a bandwidth, a number of
            subcarriers or positions that make no sense, or no orientation known of an access point
            that has an array. All faults are named.
    """
    names = [ap] if isinstance(ap, str) else None if ap is None else list(ap)
    arrays = {
        "rx_positions": _positions(rx_positions),
        "ap_positions": _positions(ap_positions),
    }
    faults = _request_faults(bandwidth_hz, subcarriers, arrays)
    faults += _dataset_faults(dataset, arrays, names)
    refuse(faults)
    chosen = dataset if names is None else dataset.sel(ap=names)
    turned = bool(arrays["ap_positions"].any()) and "ap_orientation" in chosen
    refuse(_orientation_faults(chosen) if turned else [])
    inputs = [*_needed(arrays), *(["ap_orientation"] if turned else [])]
    inputs += ["status"] if "status" in chosen else []
    csi = _lazy(chosen, inputs, bandwidth_hz, subcarriers, arrays)
    return _described(csi, bandwidth_hz, subcarriers, arrays, turned=turned)


def _positions(given: npt.ArrayLike | None) -> Floats:
    return _ONE_ELEMENT if given is None else np.asarray(given, dtype=np.float64)


def _request_faults(
    bandwidth_hz: float, subcarriers: int, arrays: Mapping[str, Floats]
) -> list[Fault]:
    where = "derived channel"
    faults = []
    if not 0.0 < bandwidth_hz < np.inf:
        faults.append(Fault(where, "bandwidth_hz", "a positive number of hertz", f"{bandwidth_hz}"))
    if subcarriers < 1:
        faults.append(Fault(where, "subcarriers", "at least 1", f"{subcarriers}"))
    for key, positions in arrays.items():
        finite = bool(np.isfinite(positions).all())
        if positions.ndim != 2 or positions.shape[0] < 1 or positions.shape[1] != 3 or not finite:
            found = f"shape {positions.shape}" + ("" if finite else ", not all finite")
            faults.append(Fault(where, key, "finite coordinates (m, 3), m >= 1", found))
    return faults


def _needed(arrays: Mapping[str, Floats]) -> list[str]:
    """Variables of the schema that a request is computed from."""
    angles = {"rx_positions": _ARRIVAL, "ap_positions": _DEPARTURE}
    return [
        "path_gain",
        "delay",
        *(name for key, ends in angles.items() if arrays[key].any() for name in ends),
    ]


def _dataset_faults(
    dataset: xr.Dataset, arrays: Mapping[str, Floats], names: Sequence[str] | None
) -> list[Fault]:
    site = str(dataset.attrs.get("site", ""))
    where = f"site {site}" if site else "dataset"
    cure = "Generate a site that keeps paths."
    faults = []
    for name in _needed(arrays):
        expected = VARIABLES[name].dims
        found = dataset[name].dims if name in dataset else None
        # A selection of one realisation, point or access point has lost that dimension.
        if found is None or found[-1:] != ("path",) or not set(found) <= set(expected):
            text = "no such variable" if found is None else f"{found}"
            faults.append(Fault(where, name, f"dimensions {expected}", text, cure))
    if names is not None:
        known = [str(name) for name in dataset["ap"].to_numpy()] if "ap" in dataset.dims else []
        choice = f"one of {', '.join(known)}" if known else "a dataset with an ap dimension"
        faults += [Fault(where, "ap", choice, repr(name)) for name in names if name not in known]
        if not names:
            faults.append(Fault(where, "ap", "at least one access point", "none"))
    return faults


def _orientation_faults(chosen: xr.Dataset) -> list[Fault]:
    orientation = chosen["ap_orientation"]
    others = [dim for dim in orientation.dims if dim != "ap"]
    unknown = np.atleast_1d(orientation.isnull().any(others).to_numpy())
    return [
        Fault(
            f"access point {name}",
            "ap_orientation",
            "a known orientation for an array",
            "NaN",
            "Leave this access point out, or leave out ap_positions.",
        )
        for name in np.atleast_1d(chosen["ap"].to_numpy())[unknown]
    ]


def _lazy(
    chosen: xr.Dataset,
    inputs: Sequence[str],
    bandwidth_hz: float,
    subcarriers: int,
    arrays: Mapping[str, Floats],
) -> xr.DataArray:
    ports = [len(arrays[key]) for key in ("rx_positions", "ap_positions")]
    sizes = dict(zip(_CHANNEL_DIMS, (*ports, subcarriers), strict=True))
    # Points few enough for the result's blocks; paths whole, since they are summed.
    numbers = chosen.sizes.get("ap", 1) * int(np.prod(list(sizes.values()), dtype=np.int64))
    points = max(1, _BLOCK_BYTES // (8 * numbers))
    used = chosen[list(inputs)].drop_vars("angle", errors="ignore")
    cut = {"realisation": 1, "point": points, "ap": -1, "path": -1}
    used = used.chunk({dim: size for dim, size in cut.items() if dim in used.dims})
    csi: xr.DataArray = xr.apply_ufunc(
        _response,
        *(used[name] for name in inputs),
        input_core_dims=[
            [dim for dim in ("path", "angle") if dim in VARIABLES[name].dims] for name in inputs
        ],
        output_core_dims=[list(_CHANNEL_DIMS)],
        kwargs={
            "names": tuple(inputs),
            "bandwidth_hz": bandwidth_hz,
            "subcarriers": subcarriers,
            **arrays,
        },
        dask="parallelized",
        output_dtypes=[np.complex64],
        dask_gufunc_kwargs={"output_sizes": sizes},
    )
    return csi


def _described(
    csi: xr.DataArray,
    bandwidth_hz: float,
    subcarriers: int,
    arrays: Mapping[str, Floats],
    *,
    turned: bool,
) -> xr.DataArray:
    """The result with its coordinate and what it was derived from."""
    offsets = VARIABLES["subcarrier"]
    csi = csi.rename("csi").assign_coords(
        subcarrier=(
            "subcarrier",
            subcarrier_offsets_hz(bandwidth_hz, subcarriers),
            {"units": offsets.unit, "long_name": offsets.long_name},
        )
    )
    csi.attrs = {
        "long_name": VARIABLES["csi"].long_name,
        "units": VARIABLES["csi"].unit,
        "comment": "derived from the stored paths: isotropic elements with the stored port's gain, "
        "plane waves, the carrier's phase between elements",
        "bandwidth_hz": bandwidth_hz,
        "ap_array_axes": "turned by ap_orientation" if turned else "those of the world",
        "rx_array_axes": "those of the world",
        **{f"{key}_wavelengths": json.dumps(value.tolist()) for key, value in arrays.items()},
    }
    return csi


def _response(
    *values: npt.NDArray[np.generic],
    names: tuple[str, ...],
    bandwidth_hz: float,
    subcarriers: int,
    rx_positions: Floats,
    ap_positions: Floats,
) -> npt.NDArray[np.complex64]:
    """Responses (..., r, q, k) of a block; the leading axes of all `values` broadcast."""
    block = dict(zip(names, values, strict=True))
    links = block["path_gain"].shape[:-1]
    count = int(np.prod(links, dtype=np.int64))
    flat = {
        name: np.broadcast_to(array, links if name == "status" else (*links, array.shape[-1]))
        for name, array in block.items()
    }
    flat = {name: array.reshape(count, *array.shape[len(links) :]) for name, array in flat.items()}
    ends, paths = (len(rx_positions), len(ap_positions)), block["path_gain"].shape[-1]
    ports = ends[0] * ends[1]
    response = np.empty((count, ports, subcarriers), dtype=np.complex64)
    link_bytes = 16 * (paths * (sum(ends) + 2 * ports + subcarriers) + ports * subcarriers)
    step = max(1, _PIECE_BYTES // max(1, link_bytes))
    for start in range(0, count, step):
        piece = {name: array[start : start + step] for name, array in flat.items()}
        # One matrix product of fixed shape a link: a link's sum is the same in any block.
        response[start : start + step] = np.matmul(
            _port_gains(piece, rx_positions, ap_positions),
            delay_factors(piece["delay"].astype(np.float64), bandwidth_hz, subcarriers),
        )
    if "status" in flat:
        response[flat["status"] == _ABSENT] = complex(np.nan, np.nan)
    return response.reshape(*links, *ends, subcarriers)


def _port_gains(
    piece: Mapping[str, npt.NDArray[np.generic]], rx_positions: Floats, ap_positions: Floats
) -> Complexes:
    """Amplitudes (link, r x q, path) of some links."""
    gain = piece["path_gain"].astype(np.complex128)[:, None, None]
    for end, positions, names in (("rx", rx_positions, _ARRIVAL), ("ap", ap_positions, _DEPARTURE)):
        if not positions.any():
            factors = np.ones((1, len(positions), 1), dtype=np.complex128)
        else:
            rotation = np.eye(3)
            if end == "ap" and "ap_orientation" in piece:
                rotation = rotation_matrix(piece["ap_orientation"].astype(np.float64))[:, None]
            angles = [np.nan_to_num(piece[name].astype(np.float64)) for name in names]
            factors = np.moveaxis(steering(positions, rotation, *angles), -1, 1)
        gain = gain * (factors[:, :, None] if end == "rx" else factors[:, None])
    return np.ascontiguousarray(gain.reshape(len(gain), -1, gain.shape[-1]))
