"""``twin scene``: make, import, check, draw and export scenes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twin.errors import Fault, InputError

if TYPE_CHECKING:
    from twin.scene.declaration import Scene
    from twin.trace.engine import TraceSettings

scene_app = typer.Typer(no_args_is_help=True, help="Make, import, check, draw and export scenes.")

SceneName = Annotated[
    str,
    typer.Argument(help="Name of a library scene, a folder or a YAML file.", show_default=False),
]
To = Annotated[Path, typer.Option("--to", help="Folder to write; not there yet, or empty.")]
Depth = Annotated[
    int, typer.Option("--max-depth", help="Interactions of a path at most, walls crossed included.")
]
Rays = Annotated[int, typer.Option("--rays", help="Rays of each access point in a round.")]
Storey = Annotated[
    str | None, typer.Option("--storey", help="Name of a storey; all of them where not given.")
]
MapStorey = Annotated[
    str | None,
    typer.Option("--storey", help="Storey of the map; the first where none is named."),
]
# What the command line calls what a map calls otherwise.
_MAP_OPTIONS = {
    "max_cells": "--cells",
    "pitch_m": "--cells",
    "height_m": "--height",
    "storey": "--storey",
}


class Source(StrEnum):
    """What a file to import is."""

    FLOOR_PLAN = "floor-plan"
    STREET_MAP = "street-map"
    MESH = "mesh"
    MITSUBA = "mitsuba"
    BUILTIN = "builtin"


class Target(StrEnum):
    """What a scene can be exported as."""

    MITSUBA = "mitsuba"
    GLTF = "gltf"


_BY_SUFFIX = {
    ".geojson": Source.FLOOR_PLAN,
    ".json": Source.FLOOR_PLAN,
    ".osm": Source.STREET_MAP,
    ".xml": Source.MITSUBA,
    ".obj": Source.MESH,
    ".ply": Source.MESH,
    ".gltf": Source.MESH,
    ".glb": Source.MESH,
}


@scene_app.command("list")
def scene_list() -> None:
    """Names and titles of the library's scenes."""
    from twin.scene.library import library, scene_path
    from twin.scene.read import read_scene

    names = library()
    width = max(len(name) for name in names)
    for name in names:
        typer.echo(f"{name:<{width}}  {read_scene(scene_path(name)).title}")


@scene_app.command("check")
def scene_check(
    scene: Annotated[
        str | None, typer.Argument(help="Name of a library scene, a folder or a YAML file.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All scenes of the library.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
    max_depth: Depth = 3,
) -> None:
    """All that can be said about a scene before it is traced; exit code 2 where it is refused."""
    from twin.scene.check import findings
    from twin.scene.findings import Finding, findings_json, render, summary
    from twin.scene.library import library, scene_path
    from twin.scene.read import read_scene

    if (scene is None) != every:
        found = "both" if every else "neither"
        raise InputError([Fault("twin scene check", "", "a scene, or --all", found)])
    content = {}
    faults: list[Fault] = []
    for name in library() if every else [scene or ""]:
        path = scene_path(name)
        try:
            told = findings(read_scene(path), str(path), max_depth=max_depth)
        except InputError as error:
            told = tuple(Finding("error", fault) for fault in error.faults)
        wrong = [finding.fault for finding in told if finding.level == "error"]
        faults += wrong
        content[name] = findings_json(told)
        if every and not as_json:
            typer.echo(f"{name}: {summary(told)}")
        elif not as_json and not wrong:
            # Errors are told as those of every command are; the rest can wait for a sound scene.
            typer.echo(render(told))
    if as_json:
        typer.echo(json.dumps(content, indent=2))
    if faults:
        raise InputError(faults)


@scene_app.command("show")
def scene_show(
    scene: SceneName,
    output: Annotated[
        Path | None, typer.Option(help="PNG or SVG to write; else the scene's name and .png.")
    ] = None,
    storey: Storey = None,
) -> None:
    """Draw a plan view."""
    from twin.scene.draw import plan
    from twin.scene.library import load_scene

    loaded = load_scene(scene)
    path = output if output is not None else Path(f"{loaded.name}.png")
    plan(loaded, path, storey=storey)
    typer.echo(f"Plan: {path}")


@scene_app.command("map")
def scene_map(
    scene: SceneName,
    output: Annotated[
        Path | None,
        typer.Option(help="Zarr store to write, a picture beside it; else the scene's name."),
    ] = None,
    cells: Annotated[int, typer.Option(min=1, help="Cells at most, over the whole plan.")] = 10_000,
    height: Annotated[
        float | None, typer.Option(help="Above the floor [m]; else that of the receivers.")
    ] = None,
    storey: MapStorey = None,
    max_depth: Depth = 3,
    rays: Rays = 100_000,
) -> None:
    """Radio map: RSS, time of arrival, line of sight, best access point, position error bound."""
    from twin.scene.library import load_scene
    from twin.scene.map_picture import map_picture
    from twin.trace.radio_map import radio_map, write_map

    loaded = load_scene(scene)
    store = output if output is not None else Path(f"{loaded.name}-map.zarr")
    with _as_options("twin scene map"):
        found = radio_map(
            loaded, _settings(max_depth, rays), max_cells=cells, height_m=height, storey=storey
        )
    write_map(found, store)
    picture = store.with_suffix(".png")
    map_picture(loaded, found, picture)
    typer.echo(f"Map: {store}")
    typer.echo(f"Picture: {picture}")
    typer.echo(f"Backend: {found.attrs['backend']}")


@scene_app.command("view")
def scene_view(
    scene: SceneName,
    output: Annotated[
        Path | None, typer.Option(help="HTML to write; else the scene's name and .html.")
    ] = None,
    radio: Annotated[
        bool,
        typer.Option("--radio/--no-radio", help="Trace a radio map and the paths of receivers."),
    ] = True,
    cells: Annotated[int, typer.Option(min=1, help="Cells of the radio map at most.")] = 2_500,
    storey: MapStorey = None,
    receivers: Annotated[int, typer.Option(min=1, help="Receivers with paths at most.")] = 100,
    max_depth: Depth = 3,
    rays: Rays = 100_000,
) -> None:
    """One page to turn the scene about in a browser; needs no network."""
    from twin.scene.library import load_scene
    from twin.scene.view import write_page

    if storey is not None and not radio:
        cure = "Leave one of the two out"
        raise InputError(
            [Fault("twin scene view", "--storey", "a map (no --no-radio)", "--no-radio", cure)]
        )
    loaded = load_scene(scene)
    path = output if output is not None else Path(f"{loaded.name}.html")
    if not radio:
        write_page(loaded, path)
    else:
        import numpy as np

        from twin.scene.receivers import receiver_points
        from twin.trace.polylines import path_lines
        from twin.trace.radio_map import radio_map

        settings = _settings(max_depth, rays)
        points = receiver_points(loaded)
        chosen = np.arange(0, len(points), max(1, -(-len(points) // receivers)))
        with _as_options("twin scene view"):
            found = radio_map(loaded, settings, max_cells=cells, storey=storey)
        links = path_lines(loaded, settings, points[chosen], chosen)
        write_page(loaded, path, radio_map=found, links=links)
    typer.echo(f"Page: {path}")


@scene_app.command("new", context_settings={"allow_interspersed_args": True})
def scene_new(
    template: Annotated[
        str,
        typer.Argument(
            help="office, corridor, hall, home, factory, street, or campus.", show_default=False
        ),
    ],
    to: To,
    name: Annotated[str | None, typer.Option(help="Of the scene; else the folder's.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws all that is not given.")] = 0,
    source: Annotated[
        Path | None, typer.Option(help="OpenStreetMap extract; for the campus.")
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(help="A number of the template, as length_m=20; more than once for more."),
    ] = None,
) -> None:
    """Make a scene from a template: geometry, access points, uncertainty, all with a seed."""
    from twin.scene.templates.new import new_scene

    folder = new_scene(template, to, name=name, seed=seed, source=source, **_sizes(size or []))
    _written(folder, named=name is not None)


def _sizes(given: list[str]) -> dict[str, float]:
    sizes: dict[str, float] = {}
    faults = []
    for item in given:
        key, _, value = item.partition("=")
        try:
            sizes[key] = float(value)
        except ValueError:
            faults.append(Fault("--size", key, "NAME=NUMBER, as length_m=20", item))
    if faults:
        raise InputError(faults)
    return sizes


@scene_app.command("import")
def scene_import(
    source: Annotated[
        str,
        typer.Argument(
            help="GeoJSON floor plan, OpenStreetMap extract (.osm), OBJ, PLY, glTF, Mitsuba XML, "
            "or the name of a scene built into Sionna.",
            show_default=False,
        ),
    ],
    to: To,
    name: Annotated[str | None, typer.Option(help="Of the scene; else the folder's.")] = None,
    kind: Annotated[
        Source | None, typer.Option("--as", help="What the file is, where its name does not tell.")
    ] = None,
    frequency: Annotated[float, typer.Option(help="Carrier [GHz].")] = 5.25,
    bandwidth: Annotated[float, typer.Option(help="Bandwidth [MHz].")] = 80.0,
    height: Annotated[
        float | None, typer.Option(help="Floor plan: height of the room [m].")
    ] = None,
    floor_info: Annotated[
        Path | None, typer.Option(help="Floor plan: JSON with its width and height in metres.")
    ] = None,
    crs: Annotated[
        str | None,
        typer.Option(help="Floor plan: its coordinates, EPSG:4326 (usual) or none for metres."),
    ] = None,
    bounds: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option(help="Street map: west, south, east, north in degrees."),
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="Mesh: factor from its lengths to metres, as 0.001.")
    ] = None,
    y_up: Annotated[
        bool | None,
        typer.Option("--y-up/--z-up", help="Mesh: which way is up, where its kind does not tell."),
    ] = None,
    download: Annotated[
        bool,
        typer.Option("--download", help="Street map: fetch --bounds from Overpass into SOURCE."),
    ] = False,
) -> None:
    """Make a scene from what others have drawn; what they leave open is stated as assumed."""
    from twin.cli.importing import Request, import_scene
    from twin.scene.library import name_from_folder

    request = Request(
        source=source,
        to=to,
        name=name if name is not None else name_from_folder(to),
        kind=(kind or _kind(source)).value,
        frequency_ghz=frequency,
        bandwidth_mhz=bandwidth,
        height_m=height,
        floor_info=floor_info,
        crs=crs,
        bounds=bounds,
        download=download,
        scale=scale,
        y_up=y_up,
    )
    _written(import_scene(request), named=name is not None)


def _kind(source: str) -> Source:
    path = Path(source)
    if not path.suffix and not path.exists():
        return Source.BUILTIN
    kind = _BY_SUFFIX.get(path.suffix.lower())
    if kind is None:
        expected = "a file whose name ends in " + ", ".join(_BY_SUFFIX)
        cure = "Say what it is with --as"
        raise InputError([Fault("twin scene import", "SOURCE", expected, source, cure)])
    return kind


@scene_app.command("export")
def scene_export(
    scene: SceneName,
    to: Annotated[
        Path, typer.Option("--to", help="Folder (mitsuba) or file (gltf, ending in .glb).")
    ],
    target: Annotated[Target, typer.Option("--as", help="Format.")] = Target.MITSUBA,
) -> None:
    """Write the built scene for other programs, with where it came from."""
    from twin.scene.library import load_scene

    loaded = load_scene(scene)
    if target is Target.MITSUBA:
        from twin.scene.exporters.mitsuba import export_mitsuba

        export_mitsuba(loaded, to)
    else:
        from twin.scene.exporters.gltf import export_gltf

        export_gltf(loaded, to)
    typer.echo(f"Exported: {to}")


@scene_app.command("migrate")
def scene_migrate(
    scene: Annotated[Path, typer.Argument(help="Scene file of an earlier version.")],
    output: Annotated[Path, typer.Option(help="File to write; comments do not come along.")],
) -> None:
    """Write a scene file of an earlier version as one of the present."""
    import yaml

    from twin.atomic import write_text
    from twin.scene.declaration import SCHEMA
    from twin.scene.migrate import migrated
    from twin.scene.read import plain_content, read_scene

    read_scene(scene)
    if output.exists():
        raise InputError([Fault(str(output), "", "a file that is not there yet", "one that is")])
    content = migrated(plain_content(scene))
    write_text(output, yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100))
    typer.echo(f"Scene: {output} ({SCHEMA})")


def _settings(max_depth: int, rays: int) -> TraceSettings:
    from twin.config import validate
    from twin.trace.engine import TraceSettings

    return validate({"max_depth": max_depth, "rays_per_round": rays}, TraceSettings, "options")


@contextmanager
def _as_options(command: str) -> Iterator[None]:
    """Faults of a map under the names of the options that they are about."""
    try:
        yield
    except InputError as error:
        raise InputError(
            [
                replace(fault, where=command, key=_MAP_OPTIONS.get(fault.key, fault.key))
                if fault.where == "map"
                else fault
                for fault in error.faults
            ]
        ) from error


def _written(folder: Path, *, named: bool) -> None:
    """Say what was made; also under which name, where the folder's own is none for a scene."""
    from twin.scene.library import load_scene
    from twin.scene.receivers import receiver_points

    made: Scene = load_scene(folder)
    typer.echo(
        f"Scene: {folder} ({len(made.access_points)} access points, "
        f"{len(receiver_points(made))} receiver points)"
    )
    if not named and made.name != folder.resolve().name:
        typer.echo(f"Name: {made.name}, as {folder.resolve().name!r} is none for a scene")
    typer.echo(f"Assumed: {len(made.assumptions)} things, listed in scene.yaml")
