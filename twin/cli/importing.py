"""Which importer a file goes to, and what it is told."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from twin.errors import Fault, InputError, refuse

CACHE = Path("~/.cache/fingertwin/street-maps")


@dataclass(frozen=True)
class Request:
    """An import as the command line asks for it.

    Args:
        source: file, or name of a scene built into Sionna.
        to: folder of the new scene.
        name: of the scene.
        kind: ``floor-plan``, ``street-map``, ``mesh``, ``mitsuba`` or ``builtin``.
        frequency_ghz: carrier.
        bandwidth_mhz: bandwidth.
        height_m: of a floor plan's room.
        floor_info: of a floor plan.
        crs: of a floor plan.
        bounds: of a street map: west, south, east, north [deg].
        download: whether a street map is fetched first.
        scale: of a mesh.
        y_up: of a mesh.
    """

    source: str
    to: Path
    name: str
    kind: str
    frequency_ghz: float
    bandwidth_mhz: float
    height_m: float | None
    floor_info: Path | None
    crs: str | None
    bounds: tuple[float, float, float, float] | None
    download: bool
    scale: float | None
    y_up: bool | None


def import_scene(request: Request) -> Path:
    """The folder of the scene that an import makes.

    Raises:
        InputError: an option that this kind of file has no use for, or as the importer.
        DownloadError: the map could not be fetched.
    """
    refuse(_stray_options(request))
    if request.kind == "floor-plan":
        return _floor_plan(request)
    if request.kind == "street-map":
        return _street_map(request)
    return _mesh(request)


def _stray_options(request: Request) -> list[Fault]:
    uses = {
        "floor-plan": {"height_m", "floor_info", "crs"},
        "street-map": {"bounds", "download"},
        "mesh": {"scale", "y_up"},
    }.get(request.kind, set())
    given = {
        "height_m": request.height_m is not None,
        "floor_info": request.floor_info is not None,
        "crs": request.crs is not None,
        "bounds": request.bounds is not None,
        "download": request.download,
        "scale": request.scale is not None,
        "y_up": request.y_up is not None,
    }
    return [
        Fault(
            "twin scene import",
            f"--{name.removesuffix('_m').replace('_', '-')}",
            f"an option of this kind of file ({request.kind})",
            "given",
        )
        for name, there in given.items()
        if there and name not in uses
    ]


def _floor_plan(request: Request) -> Path:
    from twin.scene.importers.floor_plan import import_floor_plan
    from twin.scene.importers.plan_options import PlanOptions

    options = PlanOptions(frequency_ghz=request.frequency_ghz, bandwidth_mhz=request.bandwidth_mhz)
    if request.height_m is not None:
        options = dataclasses.replace(options, height_m=request.height_m)
    crs = {} if request.crs is None else {"crs": request.crs}
    return import_floor_plan(
        Path(request.source),
        request.to,
        name=request.name,
        floor_info=request.floor_info,
        options=options,
        **crs,
    )


def _street_map(request: Request) -> Path:
    from twin.scene.importers.street_map import import_street_map
    from twin.scene.importers.street_options import StreetOptions

    source = Path(request.source)
    if request.download:
        from twin.scene.importers.overpass import fetch_street_map

        if request.bounds is None:
            cure = "Give west, south, east and north in degrees"
            raise InputError(
                [Fault("twin scene import", "--bounds", "bounds to download", "none", cure)]
            )
        fetch_street_map(request.bounds, source, CACHE.expanduser())
    options = StreetOptions(
        frequency_ghz=request.frequency_ghz, bandwidth_mhz=request.bandwidth_mhz
    )
    return import_street_map(
        source, request.to, name=request.name, bounds=request.bounds, options=options
    )


def _mesh(request: Request) -> Path:
    from twin.scene.importers.mesh_file import import_mesh
    from twin.scene.importers.mesh_scene import Radio
    from twin.scene.importers.mitsuba import import_mitsuba

    radio = Radio(frequency_ghz=request.frequency_ghz, bandwidth_mhz=request.bandwidth_mhz)
    if request.kind == "mesh":
        return import_mesh(
            Path(request.source),
            request.to,
            name=request.name,
            radio=radio,
            scale=1.0 if request.scale is None else request.scale,
            y_up=request.y_up,
        )
    if request.kind == "mitsuba":
        return import_mitsuba(Path(request.source), request.to, name=request.name, radio=radio)
    from twin.trace.builtin import builtin_origin, builtin_scene_file

    return import_mitsuba(
        builtin_scene_file(request.source),
        request.to,
        name=request.name,
        radio=radio,
        origin=builtin_origin(request.source),
    )
