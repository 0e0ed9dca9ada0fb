"""What the templates share: seeded numbers, sizes, materials, uncertain quantities, a README.

All numbers that a template draws come from streams named by template and part, so that one more
room draws no other furniture anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from twin.errors import Fault, InputError
from twin.seeds import stream

Part = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """A number that a template takes: its unit, what it may be, and what a seed draws from.

    Args:
        unit: of the number; "1" for a count, which is whole.
        low: least number that is taken; `high` the greatest.
        usual: range that a seed draws from where the number is not given.
        words: what it is.
    """

    unit: str
    low: float
    high: float
    usual: tuple[float, float]
    words: str


@dataclass(frozen=True)
class Made:
    """What a template makes.

    Args:
        scene: content of ``scene.yaml`` without schema and name.
        table: what is uncertain, content of ``perturbation.yaml`` without schema and scene.
        notes: lines of the README that tell what stands where.
    """

    scene: Part
    table: Mapping[str, list[Part]]
    notes: tuple[str, ...]


class Draws:
    """Numbers of one seed and template, by the name of what they are for."""

    def __init__(self, seed: int, template: str) -> None:
        self._seed, self._template = seed, template

    def between(self, low: float, high: float, *part: str | int, digits: int = 2) -> float:
        """Uniform in [low, high], rounded."""
        share = stream(self._seed, "template", self._template, *part).random()
        return round(low + (high - low) * float(share), digits)

    def whole(self, low: int, high: int, *part: str | int) -> int:
        """A whole number from low to high, both included."""
        return int(stream(self._seed, "template", self._template, *part).integers(low, high + 1))

    def chance(self, probability: float, *part: str | int) -> bool:
        """True with a probability."""
        return bool(stream(self._seed, "template", self._template, *part).random() < probability)

    def cuts(self, length: float, low: float, high: float, *part: str | int) -> list[float]:
        """Where a length is cut into pieces of about low to high, both ends included."""
        count = max(1, round(length / ((low + high) / 2.0)))
        widths = [self.between(low, high, *part, i) for i in range(count)]
        share = length / sum(widths)
        inner = [round(share * sum(widths[: i + 1]), 1) for i in range(count - 1)]
        return [0.0, *inner, round(length, 2)]


# Constants by name are those of ITU-R P.2040; a body is muscle at 5.2 GHz by the model of Gabriel,
# Lau and Gabriel (1996), doi:10.1088/0031-9155/41/11/003.
MATERIALS: dict[str, Part] = {
    "plasterboard": {"itu": "plasterboard", "thickness_m": 0.1},
    "brick": {"itu": "brick", "thickness_m": 0.24},
    "concrete": {"itu": "concrete", "thickness_m": 0.25},
    "ceiling_board": {"itu": "ceiling_board", "thickness_m": 0.02},
    "wood": {"itu": "wood", "thickness_m": 0.03},
    "chipboard": {"itu": "chipboard", "thickness_m": 0.03},
    "metal": {"itu": "metal", "thickness_m": 0.002},
    "glass": {"itu": "glass", "thickness_m": 0.012},
    "plastered_brick": {
        "layers": [
            {"itu": "plasterboard", "thickness_m": 0.015},
            {"itu": "brick", "thickness_m": 0.24},
            {"itu": "plasterboard", "thickness_m": 0.015},
        ]
    },
    "paving": {"itu": "concrete", "thickness_m": 0.2},
    "road_surface": {"itu": "concrete", "thickness_m": 0.3},
    "body": {
        "relative_permittivity": 49.3,
        "conductivity_s_per_m": 4.3,
        "thickness_m": 0.1,
    },
}


def with_materials(scene: Part, *more: str) -> Part:
    """The scene with those of `MATERIALS` that it names, in the order of that table.

    `more` are those that only its perturbation names.
    """
    used = {*_named(scene), *more}
    chosen = {name: material for name, material in MATERIALS.items() if name in used}
    return {"materials": chosen, **scene}


def _named(content: object) -> Iterator[str]:
    if isinstance(content, Mapping):
        for key, value in content.items():
            if isinstance(value, str) and key.endswith("material"):
                yield value
            else:
                yield from _named(value)
    elif isinstance(content, list):
        for value in content:
            yield from _named(value)


def rectangle(west: float, south: float, east: float, north: float) -> list[list[float]]:
    """Corners, counter-clockwise from the south-west, to the centimetre."""
    corners = [[west, south], [east, south], [east, north], [west, north]]
    return [[round(x, 2), round(y, 2)] for x, y in corners]


def place(*coordinates: float) -> list[float]:
    """A point to the centimetre."""
    return [round(value, 2) for value in coordinates]


def between_points(at: float, pitch: float) -> float:
    """The place nearest to `at` that lies midway between grid lines of a pitch.

    What swings or walks there never comes near a receiver.
    """
    return round((round(at / pitch - 0.5) + 0.5) * pitch, 2)


def spaced(low: float, high: float, spacing: float) -> list[float]:
    """Places from low to high, evenly, about `spacing` apart and half of that from both ends."""
    count = max(1, round((high - low) / spacing))
    return [round(low + (high - low) * (i + 0.5) / count, 2) for i in range(count)]


def too_many(key: str, most: float, asked: float, why: str) -> InputError:
    """The error for more of something than there is room for."""
    return InputError([Fault("size", key, f"at most {most:g}: {why}", f"{asked:g}")])


def quantity(
    name: str,
    path: str,
    apply: str,
    distribution: Part,
    unit: str,
    description: str,
    *,
    shared: bool = False,
) -> Part:
    """One row of a perturbation table."""
    row: Part = {"name": name, "path": path}
    if shared:
        row["shared"] = True
    return row | {
        "apply": apply,
        "distribution": distribution,
        "unit": unit,
        "description": description,
    }


def uniform(low: float, high: float) -> Part:
    """Distribution: uniform."""
    return {"kind": "uniform", "low": low, "high": high}


def factor(low: float, high: float) -> Part:
    """Distribution: uniform in the logarithm."""
    return {"kind": "loguniform", "low": low, "high": high}


def spread(std: float, bound: float) -> Part:
    """Distribution: normal around zero, cut off at a bound."""
    return {"kind": "normal", "mean": 0.0, "std": std, "low": -bound, "high": bound}


def usual_quantities(scene: Mapping[str, Any], *, mount_m: float = 0.1) -> list[Part]:
    """What is uncertain in any scene: materials, mounts, powers, heights of receivers.

    Args:
        scene: content of the scene.
        mount_m: how far an access point may be off its place, in every direction.
    """
    rows = [
        quantity(
            "thickness",
            "materials.*.thickness_m",
            "multiply",
            factor(0.7, 1.4),
            "1",
            "Build-ups are guessed.",
        )
    ]
    if any("layers" in material for material in scene["materials"].values()):
        rows.append(
            quantity(
                "layer_thickness",
                "materials.*.layers.*.thickness_m",
                "multiply",
                factor(0.9, 1.1),
                "1",
                "Layers differ less than whole build-ups.",
            )
        )
    for name, material in scene["materials"].items():
        if material.get("itu") not in ("metal", "vacuum"):
            rows.append(
                quantity(
                    f"permittivity_{name}",
                    f"materials.{name}.permittivity_scale",
                    "multiply",
                    factor(0.8, 1.25),
                    "1",
                    "Spread of published values.",
                )
            )
    rows += [
        quantity(
            "conductivity",
            "materials.*.conductivity_scale",
            "multiply",
            factor(0.5, 2.0),
            "1",
            "Moisture and build-up change losses most.",
        ),
        *(
            quantity(
                f"ap_{axis}",
                f"access_points.*.position_m.{axis}",
                "add",
                uniform(-mount_m, mount_m),
                "m",
                "Mounts are off their plan.",
            )
            for axis in "xyz"
        ),
        quantity(
            "ap_power_common",
            "access_points.*.power_dbm",
            "add",
            spread(2.0, 5.0),
            "dB",
            "Cables and firmware of one make.",
            shared=True,
        ),
        quantity(
            "ap_power",
            "access_points.*.power_dbm",
            "add",
            spread(1.0, 3.0),
            "dB",
            "Spread between devices.",
        ),
        quantity(
            "receiver_height",
            "receivers.*.height_m",
            "add",
            uniform(-0.2, 0.2),
            "m",
            "How a device is held.",
            shared=True,
        ),
    ]
    return rows


def moved(name: str, path: str, far: float, turn: float, description: str) -> Part:
    """A row that moves furniture by up to some metres and turns it by up to some degrees."""
    return {
        "name": name,
        "path": path,
        "shift": uniform(0.0, far),
        "turn": uniform(-turn, turn),
        "description": description,
    }


def people(count: int, probability: float, area: list[list[float]], description: str) -> Part:
    """A row that puts people at random free places."""
    return {
        "name": "people",
        "kind": "person",
        "count": count,
        "present_probability": probability,
        "area_m": area,
        "material": "body",
        "description": description,
    }


def door_states(probability_open: float) -> Part:
    """The row that opens and closes every door, each for itself."""
    return quantity(
        "doors",
        "openings.door_*.state",
        "set",
        {
            "kind": "choice",
            "values": ["open", "closed"],
            "weights": [probability_open, round(1.0 - probability_open, 3)],
        },
        "1",
        "Doors are opened and closed.",
    )
