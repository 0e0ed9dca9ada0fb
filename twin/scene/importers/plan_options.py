"""What a floor plan does not say, and what is assumed in its stead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twin.errors import Fault
from twin.scene.importers.plan_features import Plan
from twin.scene.importers.plan_geometry import Divided, Tolerances

# Void, escalator, entrances, resting place: as the Indoor Location Competition 2.0 names them.
OPEN_NAMES = ("zhongkong", "zidongfuti", "churukou", "tingchechangchurukou", "xiuxiqu")

AREA_PER_AP_M2 = 500.0
MOST_APS = 40
AP_BELOW_CEILING_M = 0.5
RECEIVER_HEIGHT_M = 1.2
WALL_CLEARANCE_M = 0.3

_TOLERANCES = Tolerances()


@dataclass(frozen=True)
class PlanOptions:
    """What a plan does not say; each value is stated as an assumption in the scene.

    Args:
        height_m: from floor to ceiling.
        frequency_ghz: carrier of the access points.
        bandwidth_mhz: of the access points.
        outline_material: ITU-R P.2040 name for the room's own walls, floor and ceiling.
        partition_material: for walls between units, and for drawn lines.
        front_material: for walls between a unit and open floor.
        door_width_m: of the opening in the middle of each unit's longest front; 0 makes none.
        door_height_m: of the same.
        access_points: how many; one for every 500 m2 of open floor where not given, at most 40.
        most_receivers: the grid gets as fine as this number of points allows.
        open_names: names or categories of areas without walls.
        tolerances: what counts as the same place.
    """

    height_m: float = 4.5
    frequency_ghz: float = 5.25
    bandwidth_mhz: float = 80.0
    outline_material: str = "concrete"
    partition_material: str = "plasterboard"
    front_material: str = "glass"
    door_width_m: float = 2.0
    door_height_m: float = 2.4
    access_points: int | None = None
    most_receivers: int = 2_000
    open_names: Sequence[str] = OPEN_NAMES
    tolerances: Tolerances = _TOLERANCES

    def faults(self) -> list[Fault]:
        """Values out of range."""
        ranges = {
            "height_m": (self.height_m, 1.8, 60.0),
            "frequency_ghz": (self.frequency_ghz, 0.1, 450.0),
            "door_width_m": (self.door_width_m, 0.0, 20.0),
            "door_height_m": (self.door_height_m, 0.5, self.height_m),
            "access_points": (
                MOST_APS if self.access_points is None else self.access_points,
                1,
                999,
            ),
            "most_receivers": (self.most_receivers, 1, 100_000),
            "snap_m": (self.tolerances.snap_m, 0.005, 1.0),
            "simplify_m": (self.tolerances.simplify_m, 0.0, 2.0),
            "least_area_m2": (self.tolerances.least_area_m2, 0.01, 1_000.0),
        }
        return [
            Fault("option", key, f"{low:g} to {high:g}", f"{value:g}")
            for key, (value, low, high) in ranges.items()
            if not low <= value <= high
        ]


def assumptions(
    plan: Plan, floor: Divided, options: PlanOptions, doors: int, aps: int, pitch: float
) -> list[str]:
    """Sentences for the scene: what was done to the plan, and what stands for what it lacks.

    Args:
        plan: as read.
        floor: as divided.
        options: as given.
        doors: how many openings the scene has.
        aps: how many access points.
        pitch: of the grid of receivers [m].
    """
    counts, tolerances = floor.counts, options.tolerances
    edges = (
        f"Inner walls are the edges of {counts['units']} units of the plan, one sheet where two "
        f"units share an edge; corners and edges within {tolerances.snap_m:g} m are taken for the "
        f"same, and corners worth less than {tolerances.simplify_m**2:.3g} m2 are left out."
    )
    heights = (
        f"Walls reach the ceiling, assumed at {options.height_m:g} m, where the plan gives no "
        "height."
    )
    materials = (
        f"Materials are assumed where the plan gives none - {options.outline_material} for the "
        f"outline, floor and ceiling, {options.partition_material} between units, "
        f"{options.front_material} towards the open floor."
    )
    senders = (
        f"Access points are assumed, {aps} spread over the open floor as far from each other as "
        f"can be, {options.height_m - AP_BELOW_CEILING_M:g} m high, vertical dipoles of 20 dBm."
    )
    receivers = (
        f"Receivers stand on a grid of {pitch:g} m on the open floor, {WALL_CLEARANCE_M:g} m clear "
        f"of its edges, {RECEIVER_HEIGHT_M:g} m high; that nobody walks in the units is assumed."
    )
    stated = [*plan.notes, edges, heights, materials, senders, receivers]
    stated.append("Carrier and bandwidth are assumed.")
    stated.append("Furniture, pillars and people are not in the plan and not in the scene.")
    if doors:
        stated.append(
            f"Doors are not in the plan. {doors} units have an opening of up to "
            f"{options.door_width_m:g} m x {options.door_height_m:g} m, standing open, in the "
            "middle of their longest straight front; all other units are closed."
        )
    if counts["open"]:
        stated.append(
            "Areas that are marked open, or named or categorised "
            f"{', '.join(options.open_names)}, or bays of a car park, have no walls, and no "
            f"receivers stand there: {counts['open']}."
        )
    said = {
        "bays": "them that are rectangles of one size, taken for bays of a car park",
        "twice": "areas that come twice in the plan and count once",
        "small": f"areas under {tolerances.least_area_m2:g} m2, left out",
        "outside": "areas outside the outline, left out",
    }
    stated += [f"Number of {text}: {counts[key]}." for key, text in said.items() if counts[key]]
    return stated
