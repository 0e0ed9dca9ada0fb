"""Fetching a data set from its official address, whole or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pooch  # type: ignore[import-untyped]

from twin.config import DATA_DIR_VARIABLE
from twin.errors import DownloadError
from twin.measured.registry import DataSet, content_sha256

_TIMEOUT_S = 60
# Far above any file we look for; a larger member of an archive is none of them.
_LARGEST_FILE_BYTES = 256 * 1024 * 1024


def fetch(data_set: DataSet, cache_dir: Path | None = None) -> Path:
    """A folder that holds the data set, downloaded unless it is there already.

    The archive is checked against the MD5 sums that its record lists; then each file inside is
    recognised by the SHA-256 of its content alone, whatever it is called there. Only a complete set
    is put in place, in one step.

    Args:
        data_set: what to fetch.
        cache_dir: where to keep it; the user's cache folder where not given.

    Returns:
        The cache folder, to be used as a data folder: the files lie in a subfolder named after the
        data set.

    Raises:
        DownloadError: no network, a damaged or incomplete download, or an archive without the
            expected files; says what to do instead.
    """
    root = cache_dir if cache_dir is not None else Path(pooch.os_cache("fingertwin"))
    target = root / data_set.name
    if _is_whole(target, data_set):
        return root
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=f".{data_set.name}.") as temporary:
            archives = _download(data_set, Path(temporary))
            found = _recognise(archives, data_set)
            missing = [file.name for file in data_set.files if file.name not in found]
            if missing:
                names = ", ".join(missing)
                raise _failure(data_set, f"the archive does not hold the expected {names}")
            new = Path(temporary) / "whole"
            new.mkdir()
            for name, content in found.items():
                (new / name).write_bytes(content)
            if target.exists():
                shutil.rmtree(target)
            new.rename(target)
    except (OSError, zipfile.BadZipFile, zlib.error) as error:
        raise _failure(data_set, str(error)) from error
    return root


def _is_whole(folder: Path, data_set: DataSet) -> bool:
    paths = {file: folder / file.name for file in data_set.files}
    return all(
        path.is_file() and content_sha256(path.read_bytes()) == file.sha256
        for file, path in paths.items()
    )


def _download(data_set: DataSet, folder: Path) -> list[Path]:
    """All files of the record, each checked against the sum listed for it."""
    record = _retrieve(data_set, data_set.api_url, None, folder, "record.json")
    try:
        listed = [
            (str(entry["key"]), str(entry["links"]["self"]), str(entry["checksum"]))
            for entry in json.loads(record.read_bytes())["files"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise _failure(data_set, f"the record at {data_set.api_url} is not as expected") from error
    return [
        _retrieve(data_set, url, checksum, folder, f"{number}-{Path(key).name}")
        for number, (key, url, checksum) in enumerate(listed)
    ]


def _retrieve(data_set: DataSet, url: str, known_hash: str | None, folder: Path, name: str) -> Path:
    downloader = pooch.HTTPDownloader(timeout=_TIMEOUT_S, progressbar=False)
    try:
        path: str = pooch.retrieve(
            url, known_hash=known_hash, fname=name, path=folder, downloader=downloader
        )
    except (OSError, ValueError) as error:  # ValueError: the sum does not match.
        raise _failure(data_set, f"{url}: {error}") from error
    return Path(path)


def _recognise(archives: list[Path], data_set: DataSet) -> dict[str, bytes]:
    """Content of the expected files, by official name."""
    wanted = {file.sha256: file.name for file in data_set.files}
    found = {}
    for archive in archives:
        for content in _contents(archive):
            name = wanted.get(content_sha256(content))
            if name is not None:
                found[name] = content
    return found


def _contents(archive: Path) -> Iterator[bytes]:
    if not zipfile.is_zipfile(archive):
        yield archive.read_bytes()
        return
    with zipfile.ZipFile(archive) as members:
        for member in members.infolist():
            if not member.is_dir() and member.file_size <= _LARGEST_FILE_BYTES:
                yield members.read(member)


def _failure(data_set: DataSet, reason: str) -> DownloadError:
    return DownloadError(
        f"{data_set.title}: cannot be fetched ({reason}). Download it by hand from {data_set.url}, "
        f"put its files into a folder named {data_set.name}, and set {DATA_DIR_VARIABLE} to the "
        "folder above; or run without real data (offline)."
    )
