"""A scene as a page to turn and look into: one HTML file that needs no network."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from twin import atomic
from twin.errors import Fault, InputError
from twin.scene.declaration import Scene
from twin.scene.map_fields import Field, map_fields
from twin.scene.palette import EMPTY, LEVELS, material_colours, mixed
from twin.scene.path_lines import PathLines
from twin.scene.receivers import area_points, receiver_points
from twin.scene.view_layers import HIDDEN, PARTS, layers
from twin.units import SPEED_OF_LIGHT_M_PER_S

# Receivers beyond these are thinned out: more points than pixels tell nothing.
_MOST_RECEIVERS = 3000
_PALE = {"floor": 0.7, "upper floors": 0.6, "ceiling": 0.6, "walls": 0.35, "buildings": 0.35}


def write_page(
    scene: Scene,
    path: Path,
    *,
    radio_map: xr.Dataset | None = None,
    links: PathLines | None = None,
) -> None:
    """Write a page with the scene in three dimensions.

    Surfaces are layers by part and material, ceilings off at first; access points carry names. A
    radio map lies on the floor, in the quantity and of the access point chosen. Clicking or
    choosing a receiver of `links` shows its paths; the page opens with the receiver that the
    fragment of its address names, as ``#receiver=12``, and ``&map=best_rss`` with that map.
    Receivers go by their number among all of the scene, and by the name of their area.

    Args:
        scene: one that has passed `twin.scene.check`.
        path: of the HTML file, with all that it needs in it: some 5 MB.
        radio_map: as of `twin.trace.radio_map`.
        links: paths of some receivers, at most some hundreds.

    Raises:
        InputError: the file cannot be written, or the file of a mesh cannot be read.
    """
    # Here, because only this needs them.
    import jinja2
    from plotly.offline import get_plotlyjs

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("twin.scene", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # What stands between the tags of a script must not close them.
    text = json.dumps(_content(scene, radio_map, links), separators=(",", ":"), allow_nan=False)
    page = environment.get_template("view_page.html.j2").render(
        scene=scene,
        content=text.replace("<", "\\u003c"),
        library=get_plotlyjs(),
        script=Path(__file__).with_name("view_page.js").read_text(encoding="utf-8"),
    )
    try:
        atomic.write_text(path, page)
    except OSError as error:
        fault = Fault(str(path), "", "a file that can be written", str(error))
        raise InputError([fault]) from error


def _content(scene: Scene, radio_map: xr.Dataset | None, links: PathLines | None) -> dict[str, Any]:
    return {
        "levels": LEVELS,
        "empty": EMPTY,
        "layers": _layers(scene),
        "access_points": [
            {
                "name": ap.name,
                "place": _plain(np.array(ap.position_m)),
                "text": _describe(scene, ap.name),
            }
            for ap in scene.access_points
        ],
        "receivers": _receivers(scene, links),
        "map": None if radio_map is None else _map(radio_map),
        "links": None if links is None else _links(scene, links),
    }


def _describe(scene: Scene, name: str) -> str:
    ap = next(ap for ap in scene.access_points if ap.name == name)
    frequency = ap.frequency_ghz or scene.frequency_ghz
    ports = "" if ap.ports == 1 else f", {ap.ports} ports"
    lost = "" if ap.active else ", lost"
    place = ", ".join(f"{value:g}" for value in ap.position_m)
    return (
        f"{ap.name} at ({place}) m, {frequency:g} GHz, {ap.power_dbm:g} dBm, "
        f"{ap.pattern}{ports}{lost}"
    )


def _layers(scene: Scene) -> list[dict[str, Any]]:
    colours = material_colours(scene)
    found = []
    for layer in layers(scene):
        colour = colours.get(layer.material, EMPTY)
        # A pair of ends, then a gap.
        ends = layer.outlines()
        lines = np.concatenate([ends, np.full((len(ends), 1, 3), np.nan)], axis=1).reshape(-1, 3)
        found.append(
            {
                "part": layer.part,
                "material": layer.material,
                "colour": mixed(colour, _PALE.get(layer.part, 0.15)),
                "line": mixed(colour, 0.0),
                "opacity": PARTS[layer.part],
                "visible": layer.part not in HIDDEN,
                "vertices": [_plain(axis) for axis in layer.vertices.T],
                "faces": layer.faces.T.tolist(),
                "lines": [_plain(axis) for axis in lines.T],
            }
        )
    return found


def _receivers(scene: Scene, links: PathLines | None) -> dict[str, Any]:
    points = receiver_points(scene)
    step = -(-len(points) // _MOST_RECEIVERS)
    return {
        "total": len(points),
        "places": [_plain(axis) for axis in points[:: max(step, 1)].T],
        "linked": [] if links is None else [_plain(axis) for axis in links.points.T],
    }


def _map(radio_map: xr.Dataset) -> dict[str, Any]:
    free = radio_map["free"].to_numpy()
    return {
        "x": _plain(radio_map["x"].to_numpy()),
        "y": _plain(radio_map["y"].to_numpy()),
        "pitch": float(radio_map.attrs["pitch_m"]),
        "storey": str(radio_map.attrs["storey"]),
        "floor": float(radio_map.attrs["floor_m"]),
        "height": float(radio_map.attrs["height_m"]),
        # Cells in rows, a row for each y: those that were traced.
        "cells": np.flatnonzero(free.ravel()).tolist(),
        "fields": [_field(field, free) for field in map_fields(radio_map)],
    }


def _field(field: Field, free: npt.NDArray[np.bool_]) -> dict[str, Any]:
    return {
        "key": field.key,
        "title": field.title,
        "unit": field.unit,
        "names": field.names,
        "colours": field.colours,
        "low": field.low,
        "high": field.high,
        "logarithmic": field.logarithmic,
        "values": _plain(field.values[free], 4 if field.logarithmic else 2),
    }


def _links(scene: Scene, links: PathLines) -> dict[str, Any]:
    power = {ap.name: ap.power_dbm for ap in scene.access_points}
    level = (
        links.power_db + np.array([power[name] for name in links.access_points])[links.access_point]
    )
    last = np.count_nonzero(links.interactions, axis=1)
    # An antenna's null leaves a path without power: nothing to draw.
    heard = np.flatnonzero(np.isfinite(level))
    first = np.searchsorted(links.point[heard], np.arange(len(links.points) + 1))
    paths = [
        {
            "ap": int(links.access_point[i]),
            "dbm": round(float(level[i]), 1),
            "ns": round(float(links.delay_s[i] * 1e9), 2),
            "m": round(float(links.delay_s[i] * SPEED_OF_LIGHT_M_PER_S), 2),
            "kinds": links.interactions[i, : last[i]].tolist(),
            "corners": [_plain(corner) for corner in links.corners[i, : last[i] + 2]],
        }
        for i in heard
    ]
    return {
        "access_points": links.access_points,
        "numbers": links.numbers.tolist(),
        "areas": _areas(scene, links),
        "paths": [paths[a:b] for a, b in itertools.pairwise(first)],
    }


def _areas(scene: Scene, links: PathLines) -> list[str]:
    """Names of the areas that receivers belong to; empty for a point of the caller's own."""
    parts = [area_points(scene, area) for area in scene.receivers]
    owner = np.repeat([area.name for area in scene.receivers], [len(part) for part in parts])
    points = np.concatenate(parts)
    return [
        str(owner[number])
        if 0 <= number < len(points) and np.allclose(points[number], point)
        else ""
        for number, point in zip(links.numbers, links.points, strict=True)
    ]


def _plain(values: npt.NDArray[np.floating[Any]], digits: int = 3) -> list[float | None]:
    """Numbers (n,) as JSON has them: rounded, and null for what is not finite."""
    rounded = np.round(values.astype(np.float64), digits) + 0.0
    plain: list[float | None] = rounded.tolist()
    for index in np.flatnonzero(~np.isfinite(rounded)):
        plain[index] = None
    return plain
