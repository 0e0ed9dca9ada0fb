"""A site as a scenario that DeepMIMO v4's own loader opens."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from twin.errors import Fault, refuse
from twin.store.content import AnyArray
from twin.store.exchange.deepmimo_conventions import (
    FORBIDDEN,
    PARAMS,
    PATH_MATRICES,
    matrix_file,
    to_matrices,
)
from twin.store.exchange.deepmimo_params import RX_SET, TX_SET, Seen, scenario_params
from twin.store.exchange.files import (
    Source,
    missing_faults,
    read_source,
    target_faults,
    whole_target,
)
from twin.store.exchange.npz_stream import ArrayWriter, NpzWriter
from twin.store.layout import jobs_of
from twin.store.location import StoreRef
from twin.store.schema import PATH_VARIABLES
from twin.store.template import static_values

# Access points whose files are open at once.
_OPEN_AT_ONCE = 16


def export_deepmimo(
    store: StoreRef,
    site: str,
    target: Path,
    *,
    first_subcarrier_hz: float = 0.0,
    access_points: Sequence[str] | None = None,
) -> Path:
    """Write the paths of a published site as a DeepMIMO v4 scenario.

    One transmitter an access point, one set of receivers. A site with one realisation is a static
    scenario; one with several is a dynamic scenario with a snapshot each, and the folder of each
    snapshot is a static scenario, too. All paths are written; its loader takes the first 25 of a
    link unless it is given ``max_paths``. Its channels have the site's single ports: the stored
    amplitudes contain the antenna patterns. Points that are absent from a realisation have no
    position and no paths there.

    Not kept: channels and measurements, numbers and order of interactions (every kind of a path is
    written once), points of interaction and the scene, which a site does not hold as its faces.

    Args:
        store: path or URL of the store.
        site: name of the site; it must keep paths.
        target: the scenario's folder, named in small letters as its loader wants it; there must be
            nothing yet.
        first_subcarrier_hz: offset from the carrier [Hz] of its subcarrier 0. With zero, its bands
            begin at the carrier; with minus half the bandwidth they lie as those of this program.
        access_points: names of those to be written; None is all. They need one carrier.

    Returns:
        The target.

    Raises:
        InputError: something is at the target, it has no folder or a name that the loader does not
            find; no such store, site or access point; the site does not keep paths, or its access
            points have several carriers or none that is known. All faults are named.
        StoreError: the site is not whole; the disk refuses.
    """
    faults = [*target_faults(target), *_name_faults(target)]
    source = read_source(store, site)
    known = list(source.spec.access_points)
    names = known if access_points is None else list(access_points)
    faults += missing_faults(source, PATH_VARIABLES, "Generate a site that keeps paths.")
    faults += [
        Fault(source.where, "access_points", f"one of {', '.join(known)}", repr(name))
        for name in names
        if name not in known
    ]
    if not names:
        faults.append(Fault(source.where, "access_points", "at least one", "none"))
    if not np.isfinite(first_subcarrier_hz):
        found = f"{first_subcarrier_hz}"
        faults.append(Fault("export", "first_subcarrier_hz", "a finite number of hertz", found))
    chosen = [known.index(name) for name in names if name in known]
    faults += _carrier_faults(source, chosen)
    refuse(faults)
    with whole_target(target) as part:
        part.mkdir()
        _write_scenario(part, source, chosen, first_subcarrier_hz)
    return target


def _name_faults(target: Path) -> list[Fault]:
    name = target.name
    if name == name.lower() and not FORBIDDEN & set(name):
        return []
    expected = "a folder's name in small letters, without quotes, colons and the like"
    return [Fault(str(target), "", expected, repr(name), "Its loader finds no other.")]


def _carrier_faults(source: Source, chosen: Sequence[int]) -> list[Fault]:
    carriers = source.spec.ap_frequency_hz
    found = sorted({carriers[index] for index in chosen}) if carriers else []
    if len(found) == 1 or not chosen:
        return []
    text = ", ".join(f"{carrier:g}" for carrier in found) or "none"
    cure = "Export the access points of one carrier at a time." if found else ""
    return [Fault(source.where, "ap_frequency", "one carrier [Hz]", text, cure)]


def _write_scenario(
    folder: Path, source: Source, chosen: Sequence[int], first_subcarrier_hz: float
) -> None:
    labels = source.spec.realisations
    several = len(labels) > 1
    seen = []
    for realisation, label in enumerate(labels):
        place = folder / f"r{realisation:04d}" if several else folder
        place.mkdir(exist_ok=True)
        seen.append(_write_realisation(place, source, realisation, chosen, first_subcarrier_hz))
        if several:
            params = scenario_params(source, chosen, first_subcarrier_hz, seen[-1:], [label])
            _write_json(place / PARAMS, params)
    _write_json(folder / PARAMS, scenario_params(source, chosen, first_subcarrier_hz, seen, labels))


def _write_realisation(
    folder: Path,
    source: Source,
    realisation: int,
    chosen: Sequence[int],
    first_subcarrier_hz: float,
) -> Seen:
    """The matrices of one realisation and its empty scene."""
    kinds = 0
    heard = np.zeros(source.spec.points, dtype=np.bool_)
    for start in range(0, len(chosen), _OPEN_AT_ONCE):
        group = range(start, min(start + _OPEN_AT_ONCE, len(chosen)))
        with ExitStack() as stack:
            files = {tx: _open_matrices(stack, folder, source, tx) for tx in group}
            for job in jobs_of(source.spec):
                if job.realisation != realisation:
                    continue
                block = {
                    name: np.asarray(source.arrays[name][realisation, job.points])
                    for name in (*PATH_VARIABLES, "position")
                }
                for tx in group:
                    links = {name: block[name][:, chosen[tx]] for name in PATH_VARIABLES}
                    matrices = to_matrices(links, first_subcarrier_hz)
                    for name, array in {**matrices, "rx_pos": block["position"]}.items():
                        files[tx][name].write(array)
                    there = np.isfinite(matrices["delay"])
                    heard[job.points] |= there.any(axis=-1)
                    kinds |= int(np.bitwise_or.reduce(links["interactions"], axis=None))
    positions = static_values(source.spec)["ap_position"][realisation]
    for tx, index in enumerate(chosen):
        _write_array(folder, "tx_pos", tx, positions[index : index + 1])
        shape = (source.spec.points, source.spec.paths, 1, 3)
        _write_empty(folder, "inter_pos", tx, shape)
    with zipfile.ZipFile(folder / "vertices.npz", "w") as file:
        NpzWriter(file, compress=False).write("vertices", np.float64, (0, 3), [])
    _write_json(folder / "objects.json", [])
    return Seen(int(heard.sum()), kinds)


def _open_matrices(
    stack: ExitStack, folder: Path, source: Source, tx: int
) -> dict[str, ArrayWriter]:
    """The files of an access point, open for blocks of points."""
    points, paths = source.spec.points, source.spec.paths
    writers = {}
    for name in (*PATH_MATRICES, "rx_pos"):
        path = folder / matrix_file(name, TX_SET, tx, RX_SET)
        archive = NpzWriter(stack.enter_context(zipfile.ZipFile(path, "w")), compress=True)
        shape = (points, 3) if name == "rx_pos" else (points, paths)
        dtype = np.float64 if name in {"rx_pos", "delay"} else np.float32
        writers[name] = stack.enter_context(archive.opened(name, dtype, shape))
    return writers


def _write_array(folder: Path, name: str, tx: int, array: AnyArray) -> None:
    with zipfile.ZipFile(folder / matrix_file(name, TX_SET, tx, RX_SET), "w") as file:
        NpzWriter(file, compress=True).write(name, array.dtype, array.shape, [array])


def _write_empty(folder: Path, name: str, tx: int, shape: tuple[int, ...]) -> None:
    """An array that is NaN throughout."""
    row = np.full(shape[1:], np.nan, dtype=np.float32)

    def rows() -> Iterator[AnyArray]:
        for _ in range(shape[0]):
            yield row

    with zipfile.ZipFile(folder / matrix_file(name, TX_SET, tx, RX_SET), "w") as file:
        NpzWriter(file, compress=True).write(name, row.dtype, shape, rows())


def _write_json(path: Path, content: JsonValue) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
