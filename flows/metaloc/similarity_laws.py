"""Laws of MetaLoc's Fig. 10: three historical environments, and new ones to compare them with."""

from __future__ import annotations

from typing import Literal

from flows.metaloc.path_loss import ModelName, PathLossLaw
from twin.config import StrictModel


class NewEnvironment(StrictModel):
    """A test task.

    Attributes:
        law: of propagation.
        source: whether the paper has it or we added it, so that ranks have something to rank.
    """

    law: PathLossLaw
    source: Literal["paper", "ours"]


def _variants(model: ModelName, los_db: float | None, nlos_db: float) -> tuple[PathLossLaw, ...]:
    """Four tasks of an environment: rooms, powers and deviations around the model's.

    The paper has such a table in its precursor, which is not at hand: the values are ours.
    """
    rooms = ((10.0, 10.0), (15.0, 15.0), (20.0, 10.0), (25.0, 25.0))
    return tuple(
        PathLossLaw(
            name=f"{model}_{index + 1}",
            model=model,
            los_std_db=None if los_db is None else factor * los_db,
            nlos_std_db=factor * nlos_db,
            power_dbm=power,
            room_m=room,
        )
        for index, (room, power, factor) in enumerate(
            zip(rooms, (10.0, 15.0, 20.0, 20.0), (1.0, 0.75, 1.25, 1.0), strict=True)
        )
    )


#: Environments One, Two and Three of the paper: models (b), (c) and (d).
ENVIRONMENTS: dict[str, tuple[PathLossLaw, ...]] = {
    "one": _variants("mall_nlos", None, 6.36),
    "two": _variants("office_single_slope", 3.0, 8.03),
    "three": _variants("office_frequency_dependent", 3.02, 8.29),
}


def _new(
    name: str,
    source: Literal["paper", "ours"],
    model: ModelName,
    nlos_db: float | None = None,
    los_db: float | None = None,
    exponent: float | None = None,
) -> NewEnvironment:
    """The paper's place of 10 x 10 m at 10 dBm."""
    law = PathLossLaw(
        name=name,
        model=model,
        exponent=exponent,
        los_std_db=los_db,
        nlos_std_db=nlos_db,
        power_dbm=10.0,
        room_m=(10.0, 10.0),
    )
    return NewEnvironment(law=law, source=source)


NEW_ENVIRONMENTS = (
    _new("mall_mixed", "paper", "mall_mixed", 6.26, 3.0),
    _new("mall_nlos_5_db", "paper", "mall_nlos", 5.0),
    _new("mall_nlos_15_db", "paper", "mall_nlos", 15.0),
    _new("mall_mixed_12_db", "ours", "mall_mixed", 12.0, 3.0),
    _new("office_single", "ours", "office_single_slope"),
    _new("office_single_4_db", "ours", "office_single_slope", 4.0),
    _new("office_frequency", "ours", "office_frequency_dependent"),
    _new("vanilla_steep", "ours", "vanilla", 3.0, exponent=4.0),
    _new("vanilla_flat", "ours", "vanilla", 8.0, exponent=2.2),
)
