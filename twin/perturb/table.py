"""The table of uncertain quantities that stands beside a scene."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import ConfigDict, Field, StringConstraints, model_validator

from twin.config import StrictModel
from twin.perturb.distributions import Distribution, Spread
from twin.scene.contents import Kind
from twin.scene.quantities import Name, Polygon, SceneName, Size3, Text

SCHEMA = "fingertwin/perturbation@2"

QuantityName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
Varies = Literal["each", "daily", "never"]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
# Less than a centimetre apart, no ray tells two parallel sheets from each other.
Gap = Annotated[float, Field(ge=0.01, le=10.0)]
Tries = Annotated[int, Field(ge=1, le=10_000)]

# Rounding of a matrix that people write with a few digits.
_NEGATIVE = -1e-6
# Below this a pivot of a correlation matrix counts as none. No positive semi-definite matrix then
# has a correlation that its root misses by more than the square root of it.
_NOTHING = 1e-11
# What a root may miss of a correlation.
_MISSED = 1e-5


class Quantity(StrictModel):
    """One uncertain quantity.

    Args:
        name: names the random stream: renaming draws anew, reordering the table does not.
        path: dotted path into the scene; ``*`` stands for any part of one step, and every value
            that matches gets a draw of its own.
        shared: one draw for all values that match, for what they have in common.
        common: correlation between the draws of a quantity's elements (of their normal scores, see
            `Correlation`), through one factor that they share.
        varies: anew in each realisation, between days only (see
            `PerturbationTable.realisations_per_day`), or drawn once for all realisations.
        apply: how the draw changes the declared value.
        distribution: that the draw comes from.
        unit: of the draw; checked against the scene ("1" for factors, truth values and texts).
        description: why it is uncertain, and where its spread is from.
    """

    name: QuantityName
    path: Text
    shared: bool = False
    common: Share = 0.0
    varies: Varies = "each"
    apply: Literal["add", "multiply", "set"]
    distribution: Distribution
    unit: Text
    description: Text


class Correlation(StrictModel):
    """Quantities that are drawn together (a Gaussian copula): every one keeps its distribution.

    All of them have one draw each, or draws for the same elements; then the draws of an element
    belong together. The matrix holds the correlations of the normal scores, which are those of
    the values themselves where the distributions are normal.

    Args:
        quantities: by name, two at least.
        matrix: a row and a column for each of them in that order; symmetric, ones on its diagonal.
    """

    quantities: Annotated[tuple[QuantityName, ...], Field(min_length=2)]
    matrix: tuple[tuple[Annotated[float, Field(ge=-1.0, le=1.0)], ...], ...]

    @model_validator(mode="after")
    def _correlation_matrix(self) -> Self:
        size = len(self.quantities)
        if len(set(self.quantities)) != size:
            raise ValueError("every quantity once")
        if len(self.matrix) != size or any(len(row) != size for row in self.matrix):
            raise ValueError(f"a `matrix` of {size} rows with {size} numbers each")
        matrix = np.array(self.matrix)
        if not (np.diag(matrix) == 1.0).all() or not (matrix == matrix.T).all():
            raise ValueError("a symmetric `matrix` with ones on its diagonal")
        least = float(np.linalg.eigvalsh(matrix)[0])
        if least < _NEGATIVE:
            raise ValueError(
                "a positive semi-definite `matrix`: these correlations cannot hold together "
                f"(least eigenvalue {least:.3g})"
            )
        root = np.array(correlation_root(self.matrix))
        missed = float(np.abs(root @ root.T - matrix).max())
        if missed > _MISSED:
            raise ValueError(
                "a `matrix` whose correlations hold together: next to a correlation of almost 1 or "
                f"-1 others would be missed by {missed:.3g}; write such a pair as 1 or -1, with "
                "the same correlations to all others"
            )
        return self


def correlation_root(matrix: Sequence[Sequence[float]]) -> list[list[float]]:
    """Lower root L of a correlation matrix L L^T (Cholesky, which takes singular matrices here).

    The first quantity keeps its number; no library's rounding decides what is drawn. Rows have
    length one, so that whatever is mixed by them keeps its distribution.

    Args:
        matrix: (n, n), symmetric with ones on its diagonal, positive semi-definite.
    """
    size = len(matrix)
    root = [[0.0] * size for _ in range(size)]
    for j in range(size):
        pivot = matrix[j][j] - sum(root[j][k] ** 2 for k in range(j))
        if pivot <= _NOTHING:
            continue
        root[j][j] = math.sqrt(pivot)
        for i in range(j + 1, size):
            known = sum(root[i][k] * root[j][k] for k in range(j))
            root[i][j] = (matrix[i][j] - known) / root[j][j]
    lengths = [math.sqrt(sum(weight**2 for weight in row)) for row in root]
    return [[weight / length for weight in row] for row, length in zip(root, lengths, strict=True)]


class Move(StrictModel):
    """Furniture that stands elsewhere, and in nothing's way.

    Args:
        name: names the random streams, one for each thing that is moved.
        path: the furniture, such as ``furniture.desk_*``.
        shift: distance [m], in a direction that is uniform over the circle.
        turn: angle about its centre [deg], counter-clockwise.
        gap_m: kept to walls and to what else stands there, or the gap that there is as declared
            where that is smaller.
        tries: places that are drawn at most. Where none of them is free it stays where it is.
        varies: see `Quantity`.
        description: why it is moved.
    """

    name: QuantityName
    path: Text
    shift: Spread
    turn: Spread | None = None
    gap_m: Gap = 0.1
    tries: Tries = 100
    varies: Varies = "each"
    description: Text | None = None


class Placement(StrictModel):
    """Things that may be there or not, at random free places: people, blockers.

    Args:
        name: names the random streams, one for each thing; they are called ``<name>_<number>``.
        kind, size_m, material: as those of furniture.
        count: how many at most.
        present_probability: that one of them is there.
        area_m: where their centres may be.
        storey: whose floor they stand on; the first where none is named.
        gap_m: kept to walls and to what else stands there.
        tries: places that are drawn at most. Where none of them is free the thing is left out.
        varies: see `Quantity`.
        description: what these things are.
    """

    name: QuantityName
    kind: Kind
    count: Annotated[int, Field(ge=1, le=1000)]
    present_probability: Share = 1.0
    area_m: Polygon
    storey: Name | None = None
    size_m: Size3 | None = None
    material: Name | None = None
    gap_m: Gap = 0.1
    tries: Tries = 100
    varies: Varies = "each"
    description: Text | None = None


class PerturbationTable(StrictModel):
    """All that is uncertain about one scene.

    Args:
        schema_version: what kind of file this is, and of which version.
        scene: name of the scene that it stands beside.
        realisations_per_day: realisations 0 to n - 1 are visits of one day, and so on.
        quantities: values of the scene that are drawn.
        correlations: which quantities are drawn together.
        moves: furniture that stands elsewhere.
        placements: things that may be there or not, at random places.
    """

    model_config = ConfigDict(title="Fingertwin perturbation table")

    schema_version: Literal["fingertwin/perturbation@2"] = Field(alias="schema")
    scene: SceneName
    realisations_per_day: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    quantities: tuple[Quantity, ...] = ()
    correlations: tuple[Correlation, ...] = ()
    moves: tuple[Move, ...] = ()
    placements: tuple[Placement, ...] = ()
