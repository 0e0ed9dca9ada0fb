"""A scene's realisations as a site of a store: what every simulated site is laid out for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from twin.errors import Fault, InputError
from twin.perturb.library import load_table
from twin.perturb.realise import Realisation, realise
from twin.perturb.table import PerturbationTable
from twin.scene.declaration import Scene, scene_digest
from twin.scene.library import load_scene
from twin.scene.receivers import receiver_points
from twin.store.content import json_digest
from twin.store.spec import SiteSpec, Vector, drawn_quantities, vectors

ENGINE = "chains"
# What tracer and receiver say of one realisation only, and so stands in no site.
_OF_ONE_REALISATION = frozenset(
    {
        "scene_digest",
        "sense_realisation",
        "packets_realisation",
        "rain_mm_per_h",
        "rain_model",
        "layers",
    }
)


@dataclass(frozen=True, eq=False)
class Place:
    """A scene with some of its draws.

    Attributes:
        scene: as declared.
        table: its uncertain quantities.
        realisations: draws of them.
    """

    scene: Scene
    table: PerturbationTable
    realisations: tuple[Realisation, ...]

    @cached_property
    def points(self) -> npt.NDArray[np.float64]:
        """(n, 3) receiver points of the declared scene [m]."""
        return receiver_points(self.scene)


def draw_place(reference: str, seed: int, indices: Sequence[int]) -> Place:
    """A scene, by its name in the library or its file, with draws of the table beside it.

    Raises:
        InputError: scene or table has faults, or a draw gives a place that cannot be.
    """
    scene = load_scene(reference)
    file = reference.endswith((".yaml", ".yml"))
    table = load_table(str(Path(reference).parent) if file else reference, scene)
    return Place(scene, table, tuple(realise(scene, table, seed, index) for index in indices))


def site_spec(
    place: Place,
    backend: Mapping[str, str],
    *,
    labels: Sequence[str],
    variables: Sequence[str],
    config: Mapping[str, JsonValue],
    attributes: Mapping[str, JsonValue],
    snapshots: int,
    visits: int,
    paths: int = 0,
    oriented: bool = False,
) -> SiteSpec:
    """What a store is told of a place.

    One job a realisation: a receiver's errors are drawn for all its points at once.

    Args:
        place: the scene and its draws.
        backend: the ray tracer's variant and versions, part of what decides the content.
        labels: of the realisations.
        variables: as in `SiteSpec`.
        config: what decides the content beside scene, table, engine and backend.
        attributes: for the reader, beside scene and table.
        snapshots: scans a point, over all visits.
        visits: receivers that go through each realisation.
        paths: paths kept a link.
        oriented: keep how access points are turned.

    Raises:
        InputError: carriers or bandwidths that one site cannot hold.
    """
    scene, realisations = place.scene, place.realisations
    table = place.table.model_dump(mode="json", by_alias=True)
    points = len(place.points)
    return SiteSpec(
        title=scene.title,
        origin="simulated",
        realisations=tuple(labels),
        points=points,
        access_points=tuple(ap.name for ap in scene.access_points),
        variables=tuple(variables),
        ap_position_m=vectors(
            np.array([[ap.position_m for ap in r.scene.access_points] for r in realisations])
        ),
        ap_orientation_rad=_orientations_rad(realisations) if oriented else (),
        ap_frequency_hz=_carriers_hz(place),
        ap_antennas=max(ap.ports for ap in scene.access_points),
        subcarriers=scene.subcarriers,
        subcarrier_spacing_hz=_bandwidth_hz(place) / scene.subcarriers,
        drawn=drawn_quantities([r.drawn for r in realisations], realisations[0].units),
        shard_points=points,
        config={
            **config,
            "engine": ENGINE,
            "backend": dict(backend),
            "scene": scene_digest(scene),
            "perturbation": json_digest(table),
        },
        attributes={
            "source": scene.source,
            "assumptions": list(scene.assumptions),
            "scene": scene.model_dump(mode="json", by_alias=True),
            "perturbation": table,
            **attributes,
        },
        snapshots=snapshots,
        visits=visits,
        paths=paths,
    )


def of_all_realisations(attrs: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The attributes of a trace that its site may say of all its realisations."""
    return {key: value for key, value in attrs.items() if key not in _OF_ONE_REALISATION}


def _orientations_rad(realisations: Sequence[Realisation]) -> tuple[tuple[Vector, ...], ...]:
    return vectors(
        np.deg2rad(
            [
                [(ap.yaw_deg, ap.pitch_deg, ap.roll_deg) for ap in r.scene.access_points]
                for r in realisations
            ]
        )
    )


def _carriers_hz(place: Place) -> tuple[float, ...]:
    """The carrier of each access point, which is one for all realisations of a site."""
    found = [
        tuple(r.scene.carrier_hz(ap) for ap in r.scene.access_points) for r in place.realisations
    ]
    differing = [carriers for carriers in found if carriers != found[0]]
    if differing:
        expected = "carriers that are the same in all realisations of a site"
        shown = " and ".join(
            ", ".join(f"{value / 1e9:g}" for value in carriers) + " GHz"
            for carriers in (found[0], differing[0])
        )
        cure = "Take the carrier out of the perturbation table; make a scene of each instead"
        raise InputError([Fault(place.scene.name, "frequency_ghz", expected, shown, cure)])
    return found[0]


def _bandwidth_hz(place: Place) -> float:
    """The one bandwidth of all access points in all realisations: a site has one spacing."""
    found = {r.scene.band_hz(ap) for r in place.realisations for ap in r.scene.access_points}
    if len(found) > 1:
        expected = "one bandwidth for all access points of a site"
        shown = ", ".join(f"{value / 1e6:g} MHz" for value in sorted(found))
        cure = "Make a scene, and so a site, of each bandwidth"
        raise InputError([Fault(place.scene.name, "bandwidth_mhz", expected, shown, cure)])
    return found.pop()
