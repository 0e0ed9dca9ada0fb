"""What stands for reality in a run: measurements, or a held-out realisation that says so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flows.screen import say
from twin.config import data_dir
from twin.errors import DownloadError
from twin.measured.download import fetch
from twin.measured.registry import WIFI_RTT_ROOMS


@dataclass(frozen=True)
class Reality:
    """Where the real fingerprints come from.

    Attributes:
        folder: data folder; None: reality is simulated.
        banner: the first line of screen and report.
    """

    folder: Path | None
    banner: str

    @property
    def measured(self) -> bool:
        """Whether real measurements are used."""
        return self.folder is not None


SIMULATED = (
    "SIMULATED REALITY: no real measurements were used; a held-out realisation of each twin, with "
    "a receiver of its own, stands in for the real room"
)


def find_reality(given: Path | None, *, offline: bool) -> Reality:
    """The data folder given, else that of ``TWIN_DATA_DIR``, else a download, else a simulation.

    Args:
        given: folder named on the command line.
        offline: do not try to download.

    Raises:
        InputError: a folder was named and is not there.
    """
    folder = data_dir(given)
    if folder is None and not offline:
        say(f"No data folder was named; fetching {WIFI_RTT_ROOMS.name} from {WIFI_RTT_ROOMS.url}")
        try:
            folder = fetch(WIFI_RTT_ROOMS)
        except DownloadError as error:
            say(f"  {error}")
    return reality_in(folder)


def reality_in(folder: Path | None) -> Reality:
    """Reality measured in a data folder, or simulated where there is none."""
    if folder is None:
        return Reality(None, SIMULATED)
    return Reality(folder, f"REAL MEASUREMENTS: {WIFI_RTT_ROOMS.title} (doi:{WIFI_RTT_ROOMS.doi})")
