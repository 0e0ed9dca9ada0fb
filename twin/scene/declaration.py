"""The declaration of a place: what a scene file may say.

Lengths in metres, angles in degrees (counter-clockwise from +x), right-handed coordinates with z up
and the ground, or the floor of a single room, at z = 0. Ranges and relations between the parts are
checked by `twin.scene.check`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, PrivateAttr, model_validator

from twin.config import StrictModel
from twin.scene.contents import Clutter, Furniture, MeshPart, Person
from twin.scene.interiors import Material, Opening, Room, Storey, Wall
from twin.scene.limits import Limits
from twin.scene.outdoors import Building, Ground, Road, Vehicle, Weather
from twin.scene.quantities import Bandwidth, Frequency, Name, SceneName, Text
from twin.scene.radio import AccessPoint, ReceiverArea

SCHEMA = "fingertwin/scene@2"


class Scene(StrictModel):
    """A place with its access points and the points where fingerprints are taken.

    Indoors `room` is one shell, `storeys` several, one above the other; outdoors `ground`
    and `buildings`; all of them together where a street meets a building seen from inside.
    `time_s` moves people and vehicles.

    Args:
        schema_version: what kind of file this is, and of which version.
        name: of the scene: lower-case letters, digits and _, a letter first.
        title: one line for lists and pictures.
        source: where the place is from: a survey, a plan, a publication, made up.
        assumptions: what was guessed, a sentence each.
        frequency_ghz: carrier of every access point that names none of its own.
        bandwidth_mhz: bandwidth of every access point that names none of its own.
        subcarriers: how many, evenly over the bandwidth; channels are computed at each.
        time_s: the moment at which people and vehicles are where they are.
        weather: rain along the paths.
        materials: what surfaces are made of, by the name that other parts use.
        room: the one shell of a place indoors; its floor lies at z = 0.
        storeys: the shells of a building of several, instead of `room`.
        ground: level ground outdoors, at z = 0.
        buildings: blocks seen from outside.
        roads: carriageways on the ground.
        walls: inner walls.
        openings: doors and windows, in inner walls or in edges of a shell.
        furniture: things that stand, one by one.
        clutter: many things of one kind at random places.
        people: who walks about.
        vehicles: what drives on the roads.
        meshes: triangle meshes from files in the scene's folder.
        access_points: transmitters, one at least.
        receivers: areas of points where fingerprints are taken, one at least; points are numbered
            from 0 through all areas in this order.
    """

    model_config = ConfigDict(title="Fingertwin scene")

    schema_version: Literal["fingertwin/scene@2"] = Field(alias="schema")
    name: SceneName
    title: Text
    source: Text
    assumptions: tuple[Text, ...] = ()
    frequency_ghz: Frequency
    bandwidth_mhz: Bandwidth
    subcarriers: Annotated[int, Limits("1", 1, 8192)]
    time_s: Annotated[float, Limits("s", 0.0, 1e6)] = 0.0
    weather: Weather = Weather()
    materials: dict[Name, Material]
    room: Room | None = None
    storeys: tuple[Storey, ...] = ()
    ground: Ground | None = None
    buildings: tuple[Building, ...] = ()
    roads: tuple[Road, ...] = ()
    walls: tuple[Wall, ...] = ()
    openings: tuple[Opening, ...] = ()
    furniture: tuple[Furniture, ...] = ()
    clutter: tuple[Clutter, ...] = ()
    people: tuple[Person, ...] = ()
    vehicles: tuple[Vehicle, ...] = ()
    meshes: tuple[MeshPart, ...] = ()
    access_points: Annotated[tuple[AccessPoint, ...], Field(min_length=1)]
    receivers: Annotated[tuple[ReceiverArea, ...], Field(min_length=1)]

    # Where the files of meshes are; no part of the declaration, whose digest knows their content.
    _folder: Path | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Self:
        if self.room is not None and self.storeys:
            raise ValueError("either `room` or `storeys`")
        return self

    @property
    def frequency_hz(self) -> float:
        """Carrier frequency [Hz] of access points that name none."""
        return self.frequency_ghz * 1e9

    def carrier_hz(self, ap: AccessPoint) -> float:
        """Carrier frequency [Hz] of an access point."""
        return (ap.frequency_ghz or self.frequency_ghz) * 1e9

    def band_hz(self, ap: AccessPoint) -> float:
        """Bandwidth [Hz] of an access point."""
        return (ap.bandwidth_mhz or self.bandwidth_mhz) * 1e6

    @property
    def shells(self) -> tuple[Storey, ...]:
        """The room or the storeys; a single room is the storey ``room`` at height zero."""
        if self.room is None:
            return self.storeys
        # Its fields have been read already.
        return (Storey.model_construct(name="room", bottom_m=0.0, **dict(self.room)),)

    @property
    def folder(self) -> Path | None:
        """Folder that the files of meshes are looked for in; None where there is none."""
        return self._folder

    def in_folder(self, folder: Path | None) -> Self:
        """The same scene, with the files of its meshes in a folder."""
        moved = self.model_copy()
        moved._folder = folder
        return moved

    def plain(self) -> dict[str, object]:
        """The declaration as plain content, as a scene file holds it."""
        return self.model_dump(mode="json", by_alias=True)


def scene_digest(scene: Scene) -> str:
    """SHA-256 (hex) of the declaration as canonical JSON: sorted keys, defaults filled in."""
    text = json.dumps(scene.plain(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
