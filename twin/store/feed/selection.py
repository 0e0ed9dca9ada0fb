"""Which points of which sites are wanted, and of what: checked before any of it is read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twin.errors import Fault, Gathered, StoreError, refuse
from twin.store.feed.plain import PlainFiles, plain_files
from twin.store.layout import StoredArray, site_url
from twin.store.location import StoreRef, storage
from twin.store.reader import site_arrays
from twin.store.schema import PACKED_CSI, SPLITS, VARIABLES
from twin.store.storage import READ_ERRORS

AnyArray = npt.NDArray[np.generic]
Indices = npt.NDArray[np.int64]

_PENDING, _NOTHING_HEARD, _ABSENT = 0, 2, 3
_NAMES_SHOWN = 8
# Smaller parts mix better; below this size, opening the file is what takes the time.
_PART_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Selection:
    """Points of published sites, and what of them is wanted.

    A row is one point of one realisation. Points that a realisation does not have (status 3) are
    never rows.

    Args:
        store: path or URL of the store.
        sites: names of the sites; the wanted variables must have the same shape in all of them.
        inputs: names of variables that belong to points, such as ``csi``, ``rss`` or ``delay``.
            ``csi`` may be kept with fewer bits; it is given as complex64 all the same.
        targets: the same, for what is to be learned.
        realisations: indices within each site; None: all.
        split: ``reference`` or ``test``: only that part of the official split; None: all points.
        access_points: names, in the order wanted; None: all, as stored. Variables that do not
            belong to access points are not touched.
        snapshots: indices of the scans wanted; None: all.
        heard_only: leave out points where nothing was heard (status 2).
    """

    store: StoreRef
    sites: str | Sequence[str]
    inputs: str | Sequence[str]
    targets: str | Sequence[str] = "position"
    realisations: Sequence[int] | None = None
    split: str | None = None
    access_points: Sequence[str] | None = None
    snapshots: Sequence[int] | None = None
    heard_only: bool = False

    @property
    def site_names(self) -> tuple[str, ...]:
        """`sites` as a tuple."""
        return _names(self.sites)

    @property
    def input_names(self) -> tuple[str, ...]:
        """`inputs` as a tuple."""
        return _names(self.inputs)

    @property
    def target_names(self) -> tuple[str, ...]:
        """`targets` as a tuple."""
        return _names(self.targets)

    @property
    def names(self) -> tuple[str, ...]:
        """Every variable once, the inputs first."""
        return tuple(dict.fromkeys([*self.input_names, *self.target_names]))


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


@dataclass(frozen=True)
class Column:
    """One stored variable of a site, as far as it is wanted.

    Args:
        array: where it is read from.
        files: the same, where it can be read faster.
        shape: of one row, as wanted.
        picks: wanted indices along the first dimensions of a stored row; empty: all of it.
        never_empty: whether NaN means that nobody has written the cell.
    """

    array: StoredArray
    files: PlainFiles | None
    shape: tuple[int, ...]
    picks: tuple[Indices, ...]
    never_empty: bool

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the values."""
        return np.dtype(self.array.dtype)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """Shape of one row, as stored."""
        return tuple(self.array.shape[2:])

    @property
    def row_bytes(self) -> int:
        """Bytes of one row, as wanted."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    @property
    def stored_bytes(self) -> int:
        """Bytes of one row, as stored."""
        return int(np.prod(self.stored_shape, dtype=np.int64)) * self.dtype.itemsize

    def reading_bytes(self, points: int, all_kept: bool) -> int:
        """Most memory that reading neighbouring points takes beside their places.

        That is what is read, what is picked out of it and, where Zarr reads, the chunks touched: as
        stored, and decoded.
        """
        chunk = int(self.array.chunks[1])
        touched = points if points % chunk == 0 else (points // chunk + 2) * chunk
        chunks = 0 if self.files is not None else 2 * touched * self.stored_bytes
        picked = 0 if all_kept and not self.picks else points * self.row_bytes
        return points * self.stored_bytes + picked + chunks


@dataclass(frozen=True)
class Source:
    """One site of a selection.

    Args:
        where: how users name it.
        columns: the stored variables to read, by name.
        kept: (point,) whether a point is a row, by realisation.
    """

    where: str
    columns: Mapping[str, Column]
    kept: Mapping[int, npt.NDArray[np.bool_]]

    @property
    def unit_points(self) -> int:
        """Points of a chunk of the variable with the largest rows, or of a part of it."""
        largest = max(self.columns.values(), key=lambda column: column.stored_bytes)
        chunk = int(largest.array.chunks[1])
        if largest.files is None:
            return chunk
        parts = -(-chunk * largest.stored_bytes // _PART_BYTES)
        return -(-chunk // parts)


def open_sources(selection: Selection) -> tuple[Source, ...]:
    """Open the sites of a selection; only ``status``, ``split`` and the APs' names are read.

    Raises:
        InputError: no such store, site, variable, realisation, split, access point or snapshot, or
            shapes that differ between sites; all in one message.
        StoreError: a site is not whole.
    """
    faults = _own_faults(selection)
    sources = []
    for site in selection.site_names:
        with Gathered(faults):
            sources.append(_source(selection, site))
    if not faults:
        faults += _disagreements(sources)
    refuse(faults)
    return tuple(sources)


def _own_faults(selection: Selection) -> list[Fault]:
    """What is wrong whatever the store holds."""
    faults = []
    for key, values in (
        ("sites", selection.site_names),
        ("inputs", selection.input_names),
        ("targets", selection.target_names),
        ("realisations", selection.realisations),
        ("access_points", selection.access_points),
        ("snapshots", selection.snapshots),
    ):
        if values is not None and (not values or len(set(values)) != len(values)):
            expected = "at least one, and each once"
            faults.append(Fault("selection", key, expected, _shown(values)))
    if selection.split is not None and selection.split not in SPLITS[1:]:
        expected = f"one of {_shown(SPLITS[1:])}, or None for all points"
        faults.append(Fault("selection", "split", expected, repr(selection.split)))
    return faults


def _shown(values: Collection[object]) -> str:
    texts = [str(value) for value in values]
    more = f", ... ({len(texts)} in all)" if len(texts) > _NAMES_SHOWN else ""
    return (", ".join(texts[:_NAMES_SHOWN]) or "none") + more


def _source(selection: Selection, site: str) -> Source:
    where = site_url(storage(selection.store), site)
    arrays = site_arrays(selection.store, site)
    faults: list[Fault] = []
    names = _stored_names(selection.names, arrays, where, faults)
    count = arrays["status"].shape[0]
    realisations = range(count) if selection.realisations is None else selection.realisations
    _check_indices("realisations", realisations, count, where, faults)
    if selection.split is not None and "split" not in arrays:
        faults.append(Fault(where, "split", "a site with an official split", "none"))
    picks: dict[str, Indices] = {}
    if selection.access_points is not None:
        stored = [str(name) for name in np.asarray(_read(arrays["ap"], slice(None), where))]
        unknown = [name for name in selection.access_points if name not in stored]
        if unknown:
            expected = f"some of {_shown(stored)}"
            faults.append(Fault(where, "access_points", expected, _shown(unknown)))
        else:
            picks["ap"] = np.array([stored.index(name) for name in selection.access_points])
    if selection.snapshots is not None:
        scans = arrays["visit"].shape[0] if "visit" in arrays else 0
        _check_indices("snapshots", selection.snapshots, scans, where, faults)
        picks["snapshot"] = np.array(selection.snapshots, dtype=np.int64)
    refuse(faults)
    kept = {index: _kept(selection, arrays, index, where) for index in realisations}
    columns = {name: _column(name, arrays[name], picks) for name in names}
    return Source(where, columns, kept)


def _stored_names(
    names: Iterable[str], arrays: Mapping[str, StoredArray], where: str, faults: list[Fault]
) -> list[str]:
    """The stored variables behind the wanted ones."""
    stored: list[str] = []
    for name in names:
        variable = VARIABLES.get(name)
        if name == "csi" and name not in arrays and (packed := packed_names(arrays)):
            stored += packed
        elif variable is None or name not in arrays or not variable.by_point:
            ours = [v for v in arrays if v in VARIABLES and VARIABLES[v].by_point]
            expected = f"a variable of the site's points: {', '.join(sorted(ours))}"
            faults.append(Fault(where, "variable", expected, repr(name)))
        else:
            stored.append(name)
    return list(dict.fromkeys(stored))


def packed_names(stored: Collection[str]) -> tuple[str, ...]:
    """The stored variables from which ``csi`` is unpacked; empty where there are none."""
    for numbers, scale, _ in PACKED_CSI.values():
        if numbers in stored:
            return numbers, scale
    return ()


def _check_indices(
    key: str, indices: Iterable[int], size: int, where: str, faults: list[Fault]
) -> None:
    outside = [index for index in indices if not 0 <= index < size]
    if outside:
        faults.append(Fault(where, key, f"indices from 0 to {size - 1}", _shown(outside)))


def _read(array: StoredArray, where: slice | int, site: str) -> AnyArray:
    try:
        return np.asarray(array[where])
    except READ_ERRORS as error:
        raise StoreError(f"{site}, {array.basename}: cannot be read ({error})") from error


def _kept(
    selection: Selection, arrays: Mapping[str, StoredArray], realisation: int, where: str
) -> npt.NDArray[np.bool_]:
    status = _read(arrays["status"], realisation, where)
    if np.any(status == _PENDING):
        raise StoreError(
            f"{where}, status of realisation {realisation}: expected a published site without "
            f"pending points, found {np.count_nonzero(status == _PENDING)}. A file is missing or "
            "damaged: verify the site."
        )
    kept = status != _ABSENT
    if selection.heard_only:
        kept &= status != _NOTHING_HEARD
    if selection.split is not None:
        kept &= _read(arrays["split"], realisation, where) == SPLITS.index(selection.split)
    return np.asarray(kept)


def _column(name: str, array: StoredArray, picks: Mapping[str, Indices]) -> Column:
    variable = VARIABLES[name]
    dims, sizes = variable.dims[2:], array.shape[2:]
    last = max((index for index, dim in enumerate(dims) if dim in picks), default=-1)
    picked = tuple(
        picks.get(dim, np.arange(size))
        for dim, size in zip(dims[: last + 1], sizes[: last + 1], strict=True)
    )
    shape = (*(len(indices) for indices in picked), *sizes[last + 1 :])
    floating = np.dtype(array.dtype).kind in "fc"
    never_empty = floating and not variable.nan and variable.fill != variable.fill
    return Column(array, plain_files(array), shape, picked, never_empty)


def _disagreements(sources: Sequence[Source]) -> list[Fault]:
    """Variables that do not look in every site as they look in the first."""
    first = sources[0]
    faults = []
    for source in sources[1:]:
        for name, column in first.columns.items():
            other = source.columns.get(name)
            expected = f"{column.dtype} {column.shape} as in {first.where}"
            found = "not stored so" if other is None else f"{other.dtype} {other.shape}"
            if other is None or (other.shape, other.dtype) != (column.shape, column.dtype):
                cure = "Choose access points or snapshots that both have, or feed them apart."
                faults.append(Fault(source.where, name, expected, found, cure))
    return faults
