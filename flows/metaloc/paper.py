"""What MetaLoc's paper printed, to stand beside our numbers (IEEE JSAC 41(12), 2023)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Printed:
    """A row of Table III.

    Attributes:
        mean_m: mean error [m].
        std_m: standard deviation of the errors [m].
        data: images a point that a method is given, times points.
        steps: training steps; none for KNN.
    """

    mean_m: float
    std_m: float
    data: str
    steps: int | None


#: Table III, by site and method.
TABLE_III: dict[str, dict[str, Printed]] = {
    "hall": {
        "maml": Printed(2.11, 1.17, "3 x 5", 7500),
        "maml_dg": Printed(2.07, 1.11, "3 x 5", 2500),
        "maml_ts": Printed(2.09, 1.18, "3 x 5", 5000),
        "tl": Printed(2.27, 1.27, "3 x 5", 7500),
        "ri": Printed(2.59, 1.29, "3 x 5", 7500),
        "confi": Printed(2.89, 0.48, "260 x 90", 7500),
        "ilcl": Printed(3.61, 2.06, "3 x 90", 7500),
        "knn": Printed(2.73, 1.35, "10 x 90", None),
    },
    "lab": {
        "maml": Printed(3.10, 1.43, "3 x 5", 7500),
        "maml_dg": Printed(3.04, 1.39, "3 x 5", 2500),
        "maml_ts": Printed(3.09, 1.35, "3 x 5", 5000),
        "tl": Printed(3.97, 1.99, "3 x 5", 7500),
        "ri": Printed(4.19, 1.95, "3 x 5", 7500),
        "confi": Printed(3.53, 0.47, "260 x 90", 7500),
        "ilcl": Printed(3.48, 1.62, "3 x 90", 7500),
        "knn": Printed(3.35, 1.42, "10 x 90", None),
    },
}

#: Fig. 9 and its text: probability of an error below 5 m with 10 reference points.
WITHIN_5_M = {"maml": 0.89, "wknn": 0.65, "knn": 0.51}

#: Section V-A.1: distance from the initialisation to the adapted optimum.
PARAMETER_DISTANCE = {"maml": 0.48, "ri": 2.12}
