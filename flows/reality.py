"""What stands for reality in a run: measurements, or a held-out realisation that says so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flows.screen import console, say
from flows.study import Study
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


def find_reality(study: Study, folder: Path | None, *, offline: bool) -> Reality:
    """The data folder that was named, else a download, else a simulation; says which, first of all.

    A study without measured rooms has a simulated reality in any case.

    Args:
        study: what is asked for.
        folder: data folder that was named, if one was.
        offline: do not try to download.
    """
    trouble = ""
    if not any(room.measured for room in study.rooms):
        folder = None
    elif folder is None and not offline:
        try:
            with console.status(f"Fetching {WIFI_RTT_ROOMS.name} from {WIFI_RTT_ROOMS.url}"):
                folder = fetch(WIFI_RTT_ROOMS)
        except DownloadError as error:
            trouble = str(error)
    reality = reality_in(folder)
    say(reality.banner)
    if trouble:
        say(f"  {trouble}")
    return reality


def reality_in(folder: Path | None) -> Reality:
    """Reality measured in a data folder, or simulated where there is none."""
    if folder is None:
        return Reality(None, SIMULATED)
    return Reality(folder, f"REAL MEASUREMENTS: {WIFI_RTT_ROOMS.title} (doi:{WIFI_RTT_ROOMS.doi})")
