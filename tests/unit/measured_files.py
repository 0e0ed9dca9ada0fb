"""Small files in the layout of real data sets, and records that know them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from twin.measured.registry import DataSet, content_sha256
from twin.store.writer import write_site


def write_rows(path: Path, rows: Sequence[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")


def edit(path: Path, change: Callable[[str], str]) -> None:
    old = path.read_text(encoding="utf-8")
    new = change(old)
    assert new != old
    path.write_text(new, encoding="utf-8")


def record_of(data_set: DataSet, folder: Path, **counts: int) -> DataSet:
    """The registry's record with the digests, rows and counts of the files in a folder."""
    files = []
    for file in data_set.files:
        path = folder / file.name
        if not path.is_file():
            files.append(file)
            continue
        content = path.read_bytes()
        rows = content.count(b"\n") - content.startswith(b"WAP") if file.text else file.rows
        digest = content_sha256(content, text=file.text)
        files.append(dataclasses.replace(file, sha256=digest, rows=rows))
    known: Mapping[str, int] = {**data_set.counts, **counts}
    return dataclasses.replace(data_set, files=tuple(files), counts=known)


def trusting(record: DataSet, folder: Path) -> DataSet:
    """A record with the digests that the files have now, so that other checks must find a fault."""
    now = record_of(record, folder)
    files = [dataclasses.replace(file, sha256=now.file(file.name).sha256) for file in record.files]
    return dataclasses.replace(record, files=tuple(files))


def stored(module: ModuleType, folder: Path, record: DataSet, store: Path) -> dict[str, str]:
    """Import the sites of small files; digest by site."""
    return {
        site.name: write_site(store, site.name, site.spec, site.block)
        for site in module.read_sites(folder, data_set=record)
    }
