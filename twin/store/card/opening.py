"""How somebody else opens a store with plain xarray, by the kind of place it lies in."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from urllib.parse import urlsplit

from twin.store.local import LocalStorage
from twin.store.pieces import SitePieces
from twin.store.schema import PACKED_CSI
from twin.store.storage import Storage
from twin.store.versioned import VersionedStorage


def how_to_open(place: Storage, site: SitePieces) -> str:
    """Markdown with code for plain xarray and for this program.

    Args:
        place: where the store lies; of a folder only the name is told.
        site: for the example.
    """
    reference, code = _opening(place)
    realisation = "one = site.isel(realisation=0)"
    present = "one = one.isel(point=(one.status != 3).values)  # the points that are there"
    lines = [*code, f'site = xr.open_zarr(store, group="{site.site}", consolidated=False)']
    plain = "\n".join([*lines, "", realisation, present])
    ours = dedent(
        f"""\
        from twin.store.reader import open_environment, open_site

        site = open_site("{reference}", "{site.site}")  # lazy
        one = open_environment("{reference}", "{site.site}", 0)"""
    )
    parts = [f"With xarray and zarr alone:\n\n```python\n{plain}\n```"]
    if site.spec.precision != "complex64":
        parts.append(_unpacking(site))
    parts.append(f"With this program, which refuses unfinished sites:\n\n```python\n{ours}\n```")
    return "\n\n".join(parts)


def _opening(place: Storage) -> tuple[str, list[str]]:
    """How the store is named, and the lines that make it the variable `store`."""
    if isinstance(place, LocalStorage):
        name = place.path.resolve().name
        return name, ["import xarray as xr", "", f'store = "{name}"']
    if isinstance(place, VersionedStorage):
        return _versioned(place.url)
    return place.url, [
        "import xarray as xr",
        "from obstore.store import S3Store",
        "from zarr.storage import ObjectStore",
        "",
        f'store = ObjectStore(S3Store.from_url("{place.url}"), read_only=True)',
    ]


def _versioned(url: str) -> tuple[str, list[str]]:
    scheme, _, rest = url.partition(":")
    folder, _, query = rest.partition("?")
    kind, _, name = (query or "branch=main").partition("=")
    argument = "snapshot_id" if kind == "snapshot" else kind
    if scheme == "icechunk":
        folder = Path(folder).resolve().name
        url = f"icechunk:{folder}" + (f"?{query}" if query else "")
        made = f'icechunk.local_filesystem_storage("{folder}")'
    else:
        parts = urlsplit(f"s3:{folder}")
        prefix = parts.path.strip("/")
        made = f'icechunk.s3_storage(bucket="{parts.netloc}", prefix="{prefix}", from_env=True)'
    return url, [
        "import icechunk",
        "import xarray as xr",
        "",
        f"repository = icechunk.Repository.open({made})",
        f'store = repository.readonly_session({argument}="{name}").store',
    ]


def _unpacking(site: SitePieces) -> str:
    name, scale, _ = PACKED_CSI[site.spec.precision]
    factor = " / 32767" if site.spec.precision == "int16" else ""
    return (
        f"The channel is kept as scaled {site.spec.precision}. `open_site` gives it as `csi`. "
        "By hand:\n\n```python\n"
        f'parts = one.{name}.astype("float32") * one.{scale}{factor}\n'
        "csi = parts.isel(part=0) + 1j * parts.isel(part=1)\n```"
    )
