"""What a DeepMIMO v4 scenario's parameters say, and whether it can be imported."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ConfigDict, JsonValue, ValidationError

from twin.config import StrictModel
from twin.errors import Fault, InputError, refuse
from twin.store.exchange.deepmimo_conventions import OWN_FORMAT, PARAMS
from twin.store.exchange.files import invalid

_VERSION = "4."


class _Lenient(StrictModel):
    """Another program's record: what we do not know is passed over."""

    model_config = ConfigDict(extra="ignore")


class PointSet(_Lenient):
    """One entry of ``txrx_sets``."""

    name: str = ""
    id: int
    is_tx: bool
    is_rx: bool
    num_points: int
    num_ant: int = 1


class RayTracing(_Lenient):
    """``rt_params``, as far as they are used."""

    frequency: float
    raytracer_name: str = "not recorded"
    raytracer_version: str = "not recorded"


class _Scenes(_Lenient):
    num_scenes: int


class Own(_Lenient):
    """What our export has added."""

    format: str
    title: str
    digest: str
    realisations: list[str]
    access_points: list[str]
    ap_orientation_rad: list[list[list[float]]]
    ap_power_dbm: list[float]
    first_subcarrier_hz: float
    provenance: JsonValue = None


class Params(_Lenient):
    """``params.json``."""

    version: str
    rt_params: RayTracing
    txrx_sets: dict[str, PointSet]
    scene: _Scenes
    fingertwin: Own | None = None


@dataclass(frozen=True)
class Scenario:
    """What a scenario's parameters say.

    Args:
        folder: of the scenario.
        params: content of ``params.json``.
        snapshots: one folder a scene.
        transmitters: set and index in it of each.
        receivers: set and number of points of each set that only receives.
    """

    folder: Path
    params: Params
    snapshots: tuple[Path, ...]
    transmitters: tuple[tuple[int, int], ...]
    receivers: tuple[tuple[int, int], ...]

    @property
    def points(self) -> int:
        """Receivers of all sets, one after the other."""
        return sum(count for _, count in self.receivers)


def read_scenario(folder: Path) -> Scenario:
    """The scenario in a folder.

    Raises:
        InputError: no scenario there, another version, or parameters that cannot be imported; all
            faults are named.
    """
    path = folder / PARAMS
    params = _read_params(path)
    sets = sorted(params.txrx_sets.values(), key=lambda one: one.id)
    transmitters = [(one.id, index) for one in sets if one.is_tx for index in range(one.num_points)]
    receivers = [(one.id, one.num_points) for one in sets if one.is_rx and not one.is_tx]
    faults = [
        Fault(str(path), f"txrx_sets, {one.name!r} (id {one.id})", "one antenna a point", found)
        for one in sets
        if one.num_ant != 1
        for found in [f"num_ant {one.num_ant}"]
    ]
    for key, there in (("a transmitter", transmitters), ("a set of receivers", receivers)):
        if not there:
            faults.append(Fault(str(path), "txrx_sets", key, "none"))
    if not params.rt_params.frequency > 0:
        found = f"{params.rt_params.frequency}"
        faults.append(Fault(str(path), "rt_params.frequency", "a carrier [Hz]", found))
    snapshots = _snapshots(folder, params.scene.num_scenes, faults)
    faults += _own_faults(path, params.fingertwin, len(snapshots), len(transmitters))
    refuse(faults)
    return Scenario(folder, params, tuple(snapshots), tuple(transmitters), tuple(receivers))


def _read_params(path: Path) -> Params:
    cure = "Name the folder of a DeepMIMO v4 scenario."
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        fault = Fault(str(path), "", "parameters in JSON", str(error), cure)
        raise InputError([fault]) from error
    version = content.get("version") if isinstance(content, dict) else None
    if not str(version).startswith(_VERSION):
        fault = Fault(str(path), "version", "4.x", repr(version), "Convert it with DeepMIMO v4.")
        raise InputError([fault])
    try:
        return Params.model_validate_json(text)
    except ValidationError as error:
        raise invalid(str(path), error, cure) from error


def _snapshots(folder: Path, scenes: int, faults: list[Fault]) -> list[Path]:
    if scenes <= 1:
        return [folder]
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    if len(folders) != scenes:
        found = f"{len(folders)} folders"
        faults.append(Fault(str(folder), "scene.num_scenes", f"{scenes} folders of scenes", found))
    return folders


def _own_faults(path: Path, own: Own | None, scenes: int, transmitters: int) -> list[Fault]:
    if own is None:
        return []
    if own.format != OWN_FORMAT:
        cure = "Use the version of this program that wrote it, or export the site anew."
        return [Fault(str(path), "fingertwin.format", repr(OWN_FORMAT), repr(own.format), cure)]
    orientations = [[len(one) for one in row] for row in own.ap_orientation_rad]
    return [
        Fault(str(path), f"fingertwin.{key}", expected, f"{found}")
        for key, expected, found, good in (
            ("realisations", f"{scenes} names", own.realisations, len(own.realisations) == scenes),
            ("access_points", f"{transmitters} names", own.access_points,
             len(own.access_points) == transmitters),
            ("ap_power_dbm", f"none or {transmitters} powers", own.ap_power_dbm,
             len(own.ap_power_dbm) in {0, transmitters}),
            ("ap_orientation_rad", "none or three angles each", own.ap_orientation_rad,
             orientations in ([], [[3] * transmitters] * scenes)),
        )
        if not good
    ]  # fmt: skip
