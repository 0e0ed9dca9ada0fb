"""What a street map does not say, and what is assumed in its stead."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from twin.errors import Fault
from twin.scene.materials import itu_fault

MAST_HEIGHT_M = 3.0
LAMP_HEIGHT_M = 6.0
RECEIVER_HEIGHT_M = 1.5

# Usual thickness [m] of a sheet of a material outdoors.
THICKNESS_M = {
    "brick": 0.3,
    "concrete": 0.25,
    "glass": 0.03,
    "medium_dry_ground": 1.0,
    "metal": 0.003,
    "wood": 0.1,
}
# Values of the tag `building:material` that name one of those.
MATERIAL_TAGS = {
    "brick": "brick",
    "bricks": "brick",
    "concrete": "concrete",
    "reinforced_concrete": "concrete",
    "glass": "glass",
    "metal": "metal",
    "metal_plates": "metal",
    "steel": "metal",
    "timber_framing": "wood",
    "wood": "wood",
}


@dataclass(frozen=True)
class StreetOptions:
    """What a map does not say; each value is stated as an assumption in the scene.

    Args:
        frequency_ghz: carrier of the base stations.
        bandwidth_mhz: of the base stations.
        default_height_m: of a building that gives neither height nor levels.
        level_height_m: of one level.
        wall_material: ITU-R P.2040 name, where the map gives none that is known.
        roof_material: of all roofs.
        road_material: of all roads.
        roof_stations: base stations on roofs; one for every 90,000 m2 of ground where not given,
            1 to 6.
        street_stations: base stations at the sides of roads; one for every 40,000 m2 of ground
            where not given, 1 to 12.
        most_receivers: the grid gets as fine as this number of points allows.
        snap_m: corners and edges of buildings closer than this become one.
        simplify_m: root of the area of a triangle that a corner may be worth and yet be left out.
        inset_m: walls of a building that touches another are moved inwards by this.
        least_building_m2: smaller ones are left out.
    """

    frequency_ghz: float = 3.5
    bandwidth_mhz: float = 100.0
    default_height_m: float = 9.0
    level_height_m: float = 3.0
    wall_material: str = "concrete"
    roof_material: str = "concrete"
    road_material: str = "concrete"
    roof_stations: int | None = None
    street_stations: int | None = None
    most_receivers: int = 2_000
    snap_m: float = 0.1
    simplify_m: float = 0.25
    inset_m: float = 0.05
    least_building_m2: float = 10.0

    def faults(self) -> list[Fault]:
        """Values out of range, and materials that are none at the carrier."""
        ranges: dict[str, tuple[float, float, float]] = {
            "frequency_ghz": (self.frequency_ghz, 0.1, 450.0),
            "default_height_m": (self.default_height_m, 2.0, 300.0),
            "level_height_m": (self.level_height_m, 2.0, 10.0),
            "most_receivers": (self.most_receivers, 1, 100_000),
            "snap_m": (self.snap_m, 0.005, 1.0),
            "simplify_m": (self.simplify_m, 0.0, 2.0),
            "inset_m": (self.inset_m, 0.01, 1.0),
            "least_building_m2": (self.least_building_m2, 1.0, 10_000.0),
        }
        for key in ("roof_stations", "street_stations"):
            value = getattr(self, key)
            if value is not None:
                ranges[key] = (value, 0, 999)
        faults = [
            Fault("option", key, f"{low:g} to {high:g}", f"{value:g}")
            for key, (value, low, high) in ranges.items()
            if not low <= value <= high
        ]
        if self.roof_stations == 0 and self.street_stations == 0:
            faults.append(Fault("option", "roof_stations", "at least one base station", "none"))
        for key in ("wall_material", "roof_material", "road_material"):
            name = getattr(self, key)
            if name not in THICKNESS_M:
                listed = ", ".join(sorted(THICKNESS_M))
                faults.append(Fault("option", key, f"one of {listed}", name[:80]))
                continue
            fault = itu_fault(name, self.frequency_ghz * 1e9, "option", key)
            if fault:
                faults.append(fault)
        return faults

    def has(self, material: str) -> bool:
        """Whether ITU-R P.2040 gives a material at the carrier."""
        return itu_fault(material, self.frequency_ghz * 1e9, "option", "material") is None

    @property
    def ground_material(self) -> str:
        """Soil where the recommendation has it at the carrier (1 to 10 GHz), else concrete."""
        return "medium_dry_ground" if self.has("medium_dry_ground") else "concrete"


def assumptions(
    options: StreetOptions, counts: Counter[str], stations: Counter[str], pitch: float
) -> list[str]:
    """Sentences for the scene: what was done to the map, and what stands for what it lacks.

    Args:
        options: as given.
        counts: how often something was done, as `blocks` and `carriageways` count it.
        stations: how many base stations of a kind, ``roof`` and ``street``.
        pitch: of the grid of receivers [m].
    """
    heights = (
        f"Heights are the map's where it gives them. Buildings that give levels only "
        f"({counts['by levels']}) have {options.level_height_m:g} m for each; those that give "
        f"neither ({counts['no height']}) are {options.default_height_m:g} m high."
    )
    walls = (
        f"Walls are of {options.wall_material} where the map names no material that is known at "
        f"the carrier ({counts['no material']} buildings name none, {counts['materials']} another);"
        f" roofs of {options.roof_material}, roads of {options.road_material}, the ground of "
        f"{options.ground_material.replace('_', ' ')}."
    )
    touching = (
        f"Buildings that touch ({counts['touching']}) are drawn in by {options.inset_m:g} m, so "
        "that no two walls lie in one plane; corners worth less than "
        f"{options.simplify_m**2:.3g} m2 are left out."
    )
    senders = (
        f"Base stations are assumed, {stations['roof']} at edges of flat roofs, "
        f"{MAST_HEIGHT_M:g} m above them with 40 dBm, and {stations['street']} beside roads, "
        f"{LAMP_HEIGHT_M:g} m high with 30 dBm, each kind as far from each other as can be; "
        "vertical dipoles."
    )
    receivers = (
        f"Receivers stand on a grid of {pitch:g} m, {RECEIVER_HEIGHT_M:g} m high, wherever no "
        "building is."
    )
    level = (
        "The ground is level. Trees, vehicles, street furniture, bridges, tunnels and storeys that "
        "stand out or back are left out; buildings start at the ground."
    )
    stated = [heights, walls, touching, senders, receivers, level]
    stated.append("Carrier and bandwidth are assumed.")
    said = {
        "unreadable": "heights or levels that could not be read and count as not given",
        "roofs": "roofs that are flat where the map says otherwise, their top at the same height",
        "crossed": "footprints that cross themselves and were repaired (make_valid)",
        "overlapping": "buildings partly under taller ones, which were cut out of them",
        "holes": "holes in footprints, as courtyards, beside which the building is cut in two",
        "small": f"parts of buildings under {options.least_building_m2:g} m2, left out",
        "off ground": "streets on bridges, in tunnels or drawn as areas, left out",
        "other ways": "footways, tracks and other ways, left out",
        "roads cut": "streets that run under buildings and are cut there",
        "narrowed": "streets made narrower to fit between buildings",
    }
    return [
        *stated,
        *(f"Number of {text}: {counts[key]}." for key, text in said.items() if counts[key]),
    ]
