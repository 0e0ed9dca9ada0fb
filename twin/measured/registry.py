"""Real data sets: where they come from, on what terms, and how to know that a copy is whole."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class DataFile:
    """One file of a data set.

    Args:
        name: official name of the plain file.
        sha256: of the plain content with line ends as LF, so that a copy compressed or converted on
            its way still counts as the official content.
        rows: data rows, without the header; None for a file that is no table.
        points: measured points that the rows belong to; None as above.
    """

    name: str
    sha256: str
    rows: int | None = None
    points: int | None = None


@dataclass(frozen=True)
class DataSet:
    """One published data set.

    Args:
        name: short name; also the folder that holds it.
        title: in words.
        doi: without resolver.
        api_url: record description (JSON) that lists the files of the archive with MD5 sums.
        licence: SPDX identifier.
        citation: what its authors ask to be cited.
        units: units and conventions of the files.
        files: all files that the importer reads.
    """

    name: str
    title: str
    doi: str
    api_url: str
    licence: str
    citation: tuple[str, ...]
    units: str
    files: tuple[DataFile, ...]

    @property
    def url(self) -> str:
        """Official address."""
        return f"https://doi.org/{self.doi}"

    def file(self, name: str) -> DataFile:
        """The file of that name."""
        return next(file for file in self.files if file.name == name)


def content_sha256(content: bytes) -> str:
    """Digest by which `DataFile` knows its content."""
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()


WIFI_RTT_ROOMS = DataSet(
    name="wifi_rtt_rooms",
    title="WiFi RSS and RTT in a lecture theatre, an office and a corridor",
    doi="10.5281/zenodo.11558792",
    api_url="https://zenodo.org/api/records/11558792",
    licence="MIT",
    citation=(
        (
            "Feng, X., Nguyen, K. A., Luo, Z. (2024). WiFi RSS & RTT dataset with different LOS "
            "conditions for indoor positioning. Zenodo. 10.5281/zenodo.11558792"
        ),
        (
            "Feng, X., Nguyen, K. A., Luo, Z. (2024). A WiFi RSS-RTT indoor positioning system "
            "using dynamic model switching algorithm. IEEE Journal of Indoor and Seamless "
            "Positioning and Navigation"
        ),
    ),
    units="X, Y and AP coordinates in grid steps of 0.6 m; RTT in mm, 100000 = none; "
    "RSS in dBm, -200 = none",
    files=(
        DataFile(
            "database_lecture_theatre_train.csv",
            "6db962ee3914a0b49763a7acece7d21401946199aa7e2bc768c4024026c34a18",
            5280,
            88,
        ),
        DataFile(
            "database_lecture_theatre_test.csv",
            "60f249fb563578f307ea62aaba31b78e55866fbb95ef3dca9c6de150ebe867ca",
            1920,
            32,
        ),
        DataFile(
            "database_office_train.csv",
            "a904232ca584c00d91ea84fa00e7d663ce5d410a7d571c7303425a2782d8ac14",
            4860,
            81,
        ),
        DataFile(
            "database_office_test.csv",
            "3d9cde7796e4432e6e72ddddcbfa5866f7e156d9c0a2633d3131c0e6178ae748",
            1620,
            27,
        ),
        DataFile(
            "database_corridor_train.csv",
            "88d84c9a9ec32bc972b833fa7b15bf96805793508a759131ae5827b31890e66c",
            5100,
            85,
        ),
        DataFile(
            "database_corridor_test.csv",
            "49e53f04a133d3237aa57d5e5f507eed233ce6504cf32fbf6f12041d0e4201d8",
            1740,
            29,
        ),
        DataFile(
            "lecture_theatre+office+corridor_AP_position.txt",
            "282088bda2ee46ad8f2d28409f9de06cd757ed61c1a0ed97878adadc304b76ca",
        ),
    ),
)
