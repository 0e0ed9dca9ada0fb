"""Fetching a data set from its official address, whole or not at all."""

from __future__ import annotations

import io
import json
import logging
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pooch  # type: ignore[import-untyped]

from twin.config import DATA_DIR_VARIABLE
from twin.errors import DownloadError, InputError
from twin.measured.data_set import Archive, DataFile, DataSet, content_sha256
from twin.measured.importing import data_folder
from twin.measured.resuming import Progress, ResumingDownloader

# Far above any file we look for; a larger member of an archive is none of them.
_LARGEST_FILE_BYTES = 256 * 1024 * 1024
_PAUSE_S = 1.0


def cache_folder(cache_dir: Path | None = None) -> Path:
    """Where downloads are kept: the folder given, else the user's cache folder."""
    return cache_dir if cache_dir is not None else Path(pooch.os_cache("fingertwin"))


def fetch(
    data_set: DataSet,
    cache_dir: Path | None = None,
    *,
    check: Callable[[Path], object] | None = None,
    progress: Progress | None = None,
) -> Path:
    """A folder that holds the data set, downloaded unless it is there already.

    Archives are checked against the sums that their publisher lists; then each file inside is
    recognised by the SHA-256 of its content, whatever it is called there, or by its name where no
    digest is known. Only a complete set is put in place, in one step. What arrived of a download
    that was cut off is kept in the folder ``.partial`` and taken up again.

    Args:
        data_set: what to fetch.
        cache_dir: where to keep it; the user's cache folder where not given.
        check: reads the new files (given the folder that holds them) and raises `InputError` where
            they are not as published; called before they are put in place.
        progress: told of the bytes that have arrived of a file, and of its size.

    Returns:
        The cache folder, to be used as a data folder: the files lie in a subfolder named after the
        data set.

    Raises:
        DownloadError: no network, a damaged or incomplete download, or an archive without the
            expected files; says what to do instead.
    """
    root = cache_folder(cache_dir)
    target = root / data_set.name
    if is_whole(target, data_set):
        return root
    if data_set.by_hand:
        raise _failure(data_set, data_set.by_hand)
    workshop = root / ".partial" / data_set.name
    try:
        workshop.mkdir(parents=True, exist_ok=True)
        archives = _download(data_set, workshop, progress)
        new = workshop / "whole"
        _remove(new)
        new.mkdir()
        try:
            _unpack(archives, data_set, new)
            if check is not None:
                check(new)
        except (InputError, DownloadError, zipfile.BadZipFile, zlib.error):
            # Complete, and yet not what was wanted: another try must not find it.
            _remove(workshop)
            raise
        _remove(target)
        new.rename(target)
        _remove(workshop)
    except InputError as error:
        raise _failure(data_set, f"it is not as published; {error}") from error
    except (OSError, zipfile.BadZipFile, zlib.error) as error:
        raise _failure(data_set, str(error)) from error
    return root


def is_whole(folder: Path, data_set: DataSet) -> bool:
    """Whether a folder of the cache holds all files of a download, with the digests known."""
    official = [file for file in data_set.files if not file.kept]
    patterns = all(any(folder.glob(pattern)) for pattern in data_set.patterns)
    return patterns and all(_has(folder / file.name, file) for file in official)


def _has(path: Path, file: DataFile) -> bool:
    if not path.is_file():
        return False
    return file.sha256 in (None, content_sha256(path.read_bytes(), text=file.text))


def is_here(data_dir: Path, data_set: DataSet) -> bool:
    """Whether a data folder seems to hold the data set, by the names of the files.

    It is whole when its importer says so.
    """
    folder = data_folder(data_dir, data_set)
    names = {path.name.removesuffix(".xz").replace(" ", "_") for path in folder.glob("*")}

    def there(file: DataFile) -> bool:
        return not names.isdisjoint({file.name.removesuffix(".xz"), *file.other_names})

    kept = [file for file in data_set.files if file.kept]
    official = [file for file in data_set.files if not file.kept]
    if kept and all(there(file) for file in kept):
        return True
    patterns = all(any(folder.glob(pattern)) for pattern in data_set.patterns)
    known = bool(official or data_set.patterns)
    return known and patterns and all(there(file) for file in official)


def _download(data_set: DataSet, folder: Path, progress: Progress | None) -> list[Path]:
    """All archives of the data set, each checked against the sum known of it."""
    listed = [
        archive for url in data_set.api_urls for archive in _listed(data_set, url, folder, progress)
    ]
    return [
        _retrieve(data_set, archive, folder, f"{number}", progress)
        for number, archive in enumerate([*listed, *data_set.archives])
    ]


def _listed(
    data_set: DataSet, api_url: str, folder: Path, progress: Progress | None
) -> list[Archive]:
    """The files that a record lists."""
    (folder / "record").unlink(missing_ok=True)
    record = _retrieve(data_set, Archive(api_url), folder, "record", progress)
    try:
        return [
            Archive(str(entry["links"]["self"]), str(entry["checksum"]))
            for entry in json.loads(record.read_bytes())["files"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise _failure(data_set, f"the record at {api_url} is not as expected") from error


def _retrieve(
    data_set: DataSet, archive: Archive, folder: Path, name: str, progress: Progress | None
) -> Path:
    # It tells of each download, and how one would state a digest in code.
    pooch.get_logger().setLevel(logging.WARNING)
    downloader = ResumingDownloader(folder / f"{name}.part", pause_s=_PAUSE_S, progress=progress)
    try:
        path: str = pooch.retrieve(
            archive.url,
            known_hash=archive.known_hash,
            fname=name,
            path=folder,
            downloader=downloader,
        )
    except (OSError, ValueError) as error:  # ValueError: the sum does not match.
        raise _failure(data_set, f"{archive.url}: {error}") from error
    return Path(path)


def _unpack(archives: list[Path], data_set: DataSet, new: Path) -> None:
    """Write the expected files below `new`.

    Raises:
        DownloadError: some are missing.
    """
    official = [file for file in data_set.files if not file.kept]
    by_digest = {file.sha256: file for file in official if file.sha256 is not None}
    by_name = {file.name: file for file in official if file.sha256 is None}
    for archive in archives:
        for name, content in _contents(archive):
            file = by_name.get(name.name) or _recognised(content, by_digest)
            path = None if file is None else PurePosixPath(file.name)
            path = path or _matched(name, data_set.patterns)
            if path is not None:
                (new / path).parent.mkdir(parents=True, exist_ok=True)
                (new / path).write_bytes(content)
    missing = [file.name for file in official if not (new / file.name).is_file()]
    missing += [pattern for pattern in data_set.patterns if not any(new.glob(pattern))]
    if missing:
        reason = f"the archive does not hold the expected {', '.join(missing)}"
        raise _failure(data_set, reason)


def _recognised(content: bytes, by_digest: dict[str, DataFile]) -> DataFile | None:
    if not by_digest:
        return None
    digests = {content_sha256(content), content_sha256(content, text=False)}
    return next((by_digest[digest] for digest in sorted(digests & set(by_digest))), None)


def _matched(name: PurePosixPath, patterns: tuple[str, ...]) -> PurePosixPath | None:
    """The end of a path that matches a pattern; archives have a folder or two above it."""
    for pattern in patterns:
        depth = len(PurePosixPath(pattern).parts)
        end = PurePosixPath(*name.parts[-depth:])
        if name.match(pattern) and not {"..", "/"} & set(end.parts):
            return end
    return None


def _contents(archive: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Files of an archive; the file itself where it is none."""
    if not zipfile.is_zipfile(archive):
        yield PurePosixPath(archive.name), archive.read_bytes()
        return
    with zipfile.ZipFile(archive) as members:
        yield from _members(members)


def _members(archive: zipfile.ZipFile) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Files of an archive and of archives inside it."""
    for member in archive.infolist():
        if member.is_dir() or member.file_size > _LARGEST_FILE_BYTES:
            continue
        content = archive.read(member)
        if member.filename.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(content)) as inside:
                yield from _members(inside)
        else:
            yield PurePosixPath(member.filename), content


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _failure(data_set: DataSet, reason: str) -> DownloadError:
    return DownloadError(
        f"{data_set.title}: cannot be fetched ({reason}). Download it by hand from {data_set.url}, "
        f"put its files into a folder named {data_set.name}, and set {DATA_DIR_VARIABLE} to the "
        "folder above; or run without real data (offline)."
    )
