"""What channels lose with fewer bits and what compacting saves; and DeepMIMO's own reading of ours.

DeepMIMO pins other packages than we do, so it lives in an environment of its own, which is made in
the project's folder at the first run.
"""

from __future__ import annotations

import subprocess
import time
import venv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.store_bulk import (
    SITE,
    block_of,
    cir_arrays,
    csi_arrays,
    megabytes,
    rss_arrays,
    spec_of,
)
from benchmarks.store_records import Record, record, rounded, timed
from twin.store.derived import csi_from_paths
from twin.store.exchange.deepmimo_export import export_deepmimo
from twin.store.exchange.deepmimo_import import import_deepmimo
from twin.store.location import storage
from twin.store.packing import pack
from twin.store.reader import open_site
from twin.store.spec import vectors
from twin.store.storage import Storage
from twin.store.writer import write_site

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / ".tools" / "deepmimo"
DEEPMIMO = "deepmimo==4.0.5"
# Its generator drops paths that are later than a symbol: 1.28 µs, when our latest is at 1 µs.
BANDWIDTH_HZ, SUBCARRIERS = 50e6, 64
REALISATIONS = 2
_LARGEST_NMSE_DB = -100.0


def precision(points: int) -> Iterator[Record]:
    """Squared error of channels kept in 16 bits."""
    csi = csi_arrays(points)["csi"]
    for kind in ("int16", "float16"):
        start = time.perf_counter()
        packed = pack(csi, kind)
        seconds = time.perf_counter() - start
        nmse_db = 10 * np.log10(packed["csi_nmse"].astype(np.float64))
        yield record(
            f"channels as scaled {kind}: squared error, median of links",
            float(np.median(nmse_db)),
            None,
            "",
            "dB",
            worst_db=round(float(nmse_db.max()), 1),
            pack_mb_per_s=round(csi.nbytes / 1e6 / seconds),
        )


def compaction(folder: Path, points: int) -> Iterator[Record]:
    """Bytes of both layouts."""
    for kind, arrays in (
        ("CSI", csi_arrays(points)),
        ("CIR", cir_arrays(points)),
        ("RSS", rss_arrays(points)),
    ):
        sizes = {}
        for layout in ("fast", "compact"):
            spec, block = spec_of(arrays, layout=layout), block_of(arrays)
            store = folder / f"{kind}-{layout}.zarr"
            write_site(store, SITE, spec, lambda job, b=block: b.isel(point=job.points))
            sizes[layout] = _size(storage(store))
        compact, fast = sizes["compact"], sizes["fast"]
        yield record(
            f"{kind}, {megabytes(arrays):.0f} MB: bytes in layout compact",
            compact[0] / 1e6,
            fast[0] / 1e6,
            "layout fast",
            "MB",
            ratio=fast[0] / compact[0],
            files=compact[1],
            files_fast=fast[1],
        )


def _size(place: Storage) -> tuple[int, int]:
    return place.size(SITE)


def deepmimo(folder: Path, points: int) -> Iterator[Record]:
    """Its loader opens our export, and its channels are compared with those that we derive."""
    python = _environment()
    store = folder / "paths.zarr"
    arrays = [cir_arrays(points, key=f"draw {index}") for index in range(REALISATIONS)]
    spec = spec_of(
        arrays[0],
        realisations=REALISATIONS,
        ap_position_m=vectors(np.full((REALISATIONS, 8, 3), [0.0, 0.0, 3.0])),
        ap_frequency_hz=(5.25e9,) * 8,
    )
    write_site(
        store, SITE, spec, lambda job: block_of(arrays[job.realisation]).isel(point=job.points)
    )
    exported = folder / "exported"
    export_s = timed(
        lambda: export_deepmimo(store, SITE, exported, first_subcarrier_hz=-BANDWIDTH_HZ / 2)
    )
    output = folder / "deepmimo.npz"
    script = Path(__file__).with_name("deepmimo_check.py")
    options = ["--bandwidth-hz", str(BANDWIDTH_HZ), "--subcarriers", str(SUBCARRIERS)]
    subprocess.run([python, script, exported, output, *options], check=True, capture_output=True)
    ours = _channels(store)
    with np.load(output, allow_pickle=False) as theirs:
        version = str(theirs["version"])
        nmse_db = _nmse_db(theirs["csi"], ours)
    yield record(
        f"DeepMIMO {version} opens our export: squared error of its channels against ours",
        nmse_db,
        None,
        f"deepmimo {version}",
        "dB",
        f"<= {_LARGEST_NMSE_DB:g} dB",
        nmse_db <= _LARGEST_NMSE_DB,
        links=REALISATIONS * points * 8,
        export_s=rounded(export_s),
    )
    imported = folder / "imported.zarr"
    import_s = timed(lambda: import_deepmimo(exported, imported, SITE))
    back_db = _nmse_db(_channels(imported), ours)
    yield record(
        "a DeepMIMO scenario comes back: squared error of the channels",
        back_db,
        None,
        "",
        "dB",
        f"<= {_LARGEST_NMSE_DB:g} dB",
        back_db <= _LARGEST_NMSE_DB,
        import_s=rounded(import_s),
    )


def _channels(store: Path) -> npt.NDArray[np.complex64]:
    dataset = open_site(store, SITE)
    return csi_from_paths(dataset, bandwidth_hz=BANDWIDTH_HZ, subcarriers=SUBCARRIERS).to_numpy()


def _nmse_db(found: npt.NDArray[np.complex64], expected: npt.NDArray[np.complex64]) -> float:
    error = np.abs(found - expected).astype(np.float64)
    power = np.abs(expected).astype(np.float64)
    return float(10 * np.log10((error**2).sum() / (power**2).sum()))


def _environment() -> Path:
    """Python of DeepMIMO's environment; made where it is not there yet."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.is_file():
        venv.create(ENVIRONMENT, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", DEEPMIMO], check=True)
    return python
