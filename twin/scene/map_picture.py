"""Pictures of radio maps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twin.scene.declaration import Scene
from twin.scene.draw import check_suffix, save
from twin.scene.map_fields import Field, map_fields
from twin.scene.palette import EMPTY, LEVELS
from twin.scene.panels import Panel, panels
from twin.scene.plan_axes import limits, scale_bar, walls_only

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 3
# On paper [in]: a panel at most, its scale beside it, its title, the edge, the head.
_WIDEST_IN, _TALLEST_IN, _SCALE_IN, _TITLE_IN = 3.8, 4.4, 0.95, 0.38
_EDGE_IN, _HEAD_IN, _NARROWEST_IN = 0.15, 0.6, 5.0
_INK = "#1a1a1a"
# More names would hide the map.
_MOST_NAMES = 12


def map_picture(scene: Scene, radio_map: xr.Dataset, path: Path) -> None:
    """Draw the quantities of a map, one panel each, with what stands there: PNG or SVG.

    Best RSS, RSS of each of up to six access points, distance of the first arrival, access points
    in line of sight, the best one, and the position error bound; cells without a value are grey.

    Args:
        scene: that the map is of.
        radio_map: as of `twin.trace.radio_map`.
        path: of the picture.

    Raises:
        InputError: an unknown suffix, or the file cannot be written.
    """
    # Here, because it is slow to import and only pictures need it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    check_suffix(path)
    panel = panels(scene, radio_map.attrs["storey"] or None)[0]
    fields = map_fields(radio_map)
    width, height = _room(panel)
    rows = -(-len(fields) // _COLUMNS)
    columns = min(len(fields), _COLUMNS)
    wide = columns * (width + _SCALE_IN) + _EDGE_IN
    tall = rows * (height + _TITLE_IN) + _HEAD_IN
    # Placed by hand: finding the places would take longer than the drawing.
    figure = Figure(figsize=(max(wide, _NARROWEST_IN), tall))
    FigureCanvasAgg(figure)
    wide = max(wide, _NARROWEST_IN)
    for number, field in enumerate(fields):
        left = _EDGE_IN + number % columns * (width + _SCALE_IN)
        bottom = tall - _HEAD_IN - (number // columns + 1) * (height + _TITLE_IN)
        axes = figure.add_axes((left / wide, bottom / tall, width / wide, height / tall))
        _draw(axes, scene, panel, radio_map, field)
    storey = radio_map.attrs["storey"]
    above = radio_map.attrs["height_m"] - radio_map.attrs["floor_m"]
    where = f"storey {storey}, {above:.3g} m above its floor" if storey else f"{above:.3g} m high"
    text = (
        f"{scene.title}\n{where}, "
        f"{int(radio_map['free'].sum())} cells of {radio_map.attrs['pitch_m']:.3g} m"
    )
    figure.text(_EDGE_IN / wide, 1.0 - 0.15 / tall, text, va="top", fontsize=11)
    save(figure, path, tight=False)


def _room(panel: Panel) -> tuple[float, float]:
    """Width and height of a panel on paper [in]."""
    west, south, east, north = limits(panel)
    unit = min(_WIDEST_IN / (east - west), _TALLEST_IN / (north - south))
    return unit * (east - west), unit * (north - south)


def _draw(axes: Axes, scene: Scene, panel: Panel, radio_map: xr.Dataset, field: Field) -> None:
    from matplotlib.colors import ListedColormap

    axes.set_axis_off()
    empty = not np.isfinite(field.values).any()
    axes.set_title(f"{field.title}{': none' if empty else ''}", loc="left", fontsize=10)
    x, y = radio_map["x"].to_numpy(), radio_map["y"].to_numpy()
    half = radio_map.attrs["pitch_m"] / 2.0
    free = np.where(radio_map["free"].to_numpy(), 0.0, np.nan)
    shared: dict[str, Any] = {
        "extent": (x[0] - half, x[-1] + half, y[0] - half, y[-1] + half),
        "origin": "lower",
        "interpolation": "nearest",
    }
    axes.imshow(free, cmap=ListedColormap([EMPTY]), zorder=1, **shared)
    image = axes.imshow(field.values, zorder=2, **_scale(field), **shared)
    west, south, east, north = limits(panel)
    axes.set_xlim(west, east)
    axes.set_ylim(south, north)
    walls_only(axes, scene, panel)
    for ap in panel.access_points:
        axes.plot(
            *ap.position_m[:2],
            marker="^",
            color=_INK if ap.active else "white",
            markeredgecolor="white" if ap.active else _INK,
            markersize=7,
            zorder=5,
        )
    scale_bar(axes, panel)
    if field.names:
        if len(field.names) <= _MOST_NAMES:
            _name(axes, field)
        return
    if empty:
        return
    # As tall as the panel and a sixth of an inch wide.
    slim = 0.14 / _room(panel)[0]
    bar = axes.figure.colorbar(image, cax=axes.inset_axes((1.01, 0.08, slim, 0.92)))
    ticks = _ticks(field)
    bar.set_ticks(ticks, labels=[f"{tick:.3g}" for tick in ticks])
    bar.minorticks_off()
    bar.ax.tick_params(labelsize=8, length=2)
    bar.ax.set_title(field.unit, fontsize=8, pad=4)


def _ticks(field: Field) -> list[float]:
    if field.logarithmic and field.low > 0.0:
        return [float(tick) for tick in np.geomspace(field.low, field.high, 5)]
    return [float(tick) for tick in np.linspace(field.low, field.high, 5)]


def _name(axes: Axes, field: Field) -> None:
    from matplotlib.patches import Patch

    patches = [
        Patch(facecolor=colour, label=name)
        for name, colour in zip(field.names, field.colours, strict=True)
    ]
    axes.legend(
        handles=patches,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        frameon=False,
        fontsize=8,
        handlelength=1.2,
    )


def _scale(field: Field) -> dict[str, Any]:
    """Colours and their scale, as `imshow` takes them."""
    from matplotlib.colors import LinearSegmentedColormap, ListedColormap, LogNorm

    if field.names:
        return {
            "cmap": ListedColormap(list(field.colours)),
            "vmin": -0.5,
            "vmax": len(field.names) - 0.5,
        }
    levels = LinearSegmentedColormap.from_list("levels", list(LEVELS))
    if field.logarithmic and field.low > 0.0:
        return {"cmap": levels, "norm": LogNorm(field.low, field.high)}
    return {"cmap": levels, "vmin": field.low, "vmax": field.high}
