"""What is known of a published data set, and how to tell that a copy of it is whole."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class DataFile:
    """One file of a data set.

    Args:
        name: official name of the plain file.
        sha256: see `content_sha256`; None where no digest of the official file is known, so that
            only published counts tell whether a copy is whole.
        rows: data rows, without the header; None for a file that is no table.
        points: measured points that the rows belong to; None as above.
        text: whether line ends may differ between copies of the same content.
        kept: whether this is the content as this project's data folder keeps it, made smaller, and
            not the official one; never looked for in a download.
        other_names: names that a copy of the same content may have.
    """

    name: str
    sha256: str | None = None
    rows: int | None = None
    points: int | None = None
    text: bool = True
    kept: bool = False
    other_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Archive:
    """A file behind a direct official address.

    Args:
        url: the address.
        known_hash: ``sha256:...`` or ``md5:...`` of the whole file; None where its publisher gives
            none or makes the file anew on demand, so that the content alone is checked.
    """

    url: str
    known_hash: str | None = None


@dataclass(frozen=True)
class DataSet:
    """One published data set.

    Args:
        name: short name; also the folder that holds it.
        title: in words.
        url: official page.
        licence: SPDX identifier, or the name of a notice.
        citation: what its authors ask to be cited.
        units: units and conventions of the files.
        files: the files that the importer reads and that are known by name.
        doi: without resolver; None where it has none.
        api_urls: record descriptions (JSON) that list the files of an archive with MD5 sums.
        archives: direct addresses, for what has no such record.
        patterns: further files that the importer reads, as globs of the path below the data set's
            folder, such as ``db/*/*.csv``; a download keeps what matches, wherever the archive
            holds it.
        counts: published counts that the importer checks, by name.
        note: what a reader must know of the copy or the licence; empty for nothing.
        by_hand: why it cannot be fetched by a program; empty where it can.
    """

    name: str
    title: str
    url: str
    licence: str
    citation: tuple[str, ...]
    units: str
    files: tuple[DataFile, ...]
    doi: str | None = None
    api_urls: tuple[str, ...] = ()
    archives: tuple[Archive, ...] = ()
    patterns: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    note: str = ""
    by_hand: str = ""

    def file(self, name: str) -> DataFile:
        """The file of that name."""
        return next(file for file in self.files if file.name == name)


def content_sha256(content: bytes, *, text: bool = True) -> str:
    """Digest by which `DataFile` knows its content.

    Args:
        content: of the plain file.
        text: line ends count as LF, so that a copy compressed or converted on its way still counts
            as the official content.
    """
    return hashlib.sha256(content.replace(b"\r\n", b"\n") if text else content).hexdigest()
