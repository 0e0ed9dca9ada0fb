"""Parts of a declaration that stand or move inside: furniture, clutter, people, meshes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, StringConstraints, model_validator

from twin.config import StrictModel
from twin.scene.limits import Limits
from twin.scene.quantities import (
    Height,
    Name,
    Point2,
    Point3,
    Polygon,
    Polyline,
    Position,
    Size3,
    Speed,
    Yaw,
)

Kind = Literal["box", "desk", "table", "chair", "shelf", "cabinet", "machine", "pillar", "person"]


@dataclass(frozen=True)
class CatalogueItem:
    """Usual size [m] (width along x, depth along y, height) and material of a kind of furniture."""

    size_m: tuple[float, float, float]
    material: str


CATALOGUE: dict[str, CatalogueItem] = {
    "desk": CatalogueItem((1.6, 0.8, 0.74), "wood"),
    "table": CatalogueItem((1.2, 1.2, 0.74), "wood"),
    "chair": CatalogueItem((0.5, 0.5, 0.9), "wood"),
    "shelf": CatalogueItem((0.9, 0.35, 2.0), "wood"),
    "cabinet": CatalogueItem((0.9, 0.45, 1.9), "metal"),
    "machine": CatalogueItem((2.4, 1.6, 2.2), "metal"),
    "pillar": CatalogueItem((0.5, 0.5, 2.5), "concrete"),
    "person": CatalogueItem((0.45, 0.3, 1.72), "body"),
}


class Furniture(StrictModel):
    """A thing that stands: a hollow box of thin sheets, or a kind of the catalogue with its shape.

    Size and material are the catalogue's where they are not given; a ``box`` has to give both.
    `centre_m` is that of its footprint, `bottom_m` counts from the floor of its storey (the first
    where none is named; the ground outdoors).

    Args:
        name: of the thing.
        kind: of the catalogue, which gives shape, size and material; a box has neither.
        centre_m: x and y of the middle of its footprint.
        size_m: width along x, depth along y and height, before it is turned; the catalogue's where
            not given.
        bottom_m: lower side above the floor of its storey, or above the ground.
        yaw_deg: how far it is turned about its middle, counter-clockwise from +x.
        material: by its name in `materials`; the catalogue's where not given.
        present: false for a thing that is not there.
        storey: by name; the first where none is named.
    """

    name: Name
    kind: Kind = "box"
    centre_m: Point2
    size_m: Size3 | None = None
    bottom_m: Height = 0.0
    yaw_deg: Yaw = 0.0
    material: Name | None = None
    present: bool = True
    storey: Name | None = None

    @model_validator(mode="after")
    def _of_the_catalogue(self) -> Self:
        usual = CATALOGUE.get(self.kind)
        for key in ("size_m", "material"):
            if getattr(self, key) is None:
                if usual is None:
                    raise ValueError(f"`{key}` for kind {self.kind!r}, which has no usual one")
                # Filled in here, so that a perturbation can address it.
                object.__setattr__(self, key, getattr(usual, key))
        return self

    @property
    def extent_m(self) -> tuple[float, float, float]:
        """Width, depth and height [m]."""
        if self.size_m is None:
            raise AssertionError("the catalogue fills in what is not given")
        return self.size_m

    @property
    def of_material(self) -> str:
        """Key into the scene's materials."""
        if self.material is None:
            raise AssertionError("the catalogue fills in what is not given")
        return self.material

    @property
    def top_m(self) -> float:
        """Upper side above the floor [m]."""
        return self.bottom_m + self.extent_m[2]

    def footprint(self) -> npt.NDArray[np.float64]:
        """Corners (4, 2) [m], counter-clockwise."""
        half = np.array(self.extent_m[:2]) / 2.0
        yaw = np.deg2rad(self.yaw_deg)
        turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
        corners = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]) * half
        return np.asarray(np.asarray(self.centre_m) + corners @ turn.T)


class Clutter(StrictModel):
    """Many things of one kind at random places of an area, none in the way of anything else.

    The number is that of `density_per_m2` times the area, rounded; places come from a random stream
    of their own, named by scene, clutter and `seed`. What does not fit is said by the check.

    Args:
        name: of the clutter; its things are called `<name>_<number>`, from 0.
        kind: of all its things, see furniture.
        area_m: corners in plan of the area they stand in.
        density_per_m2: how many of them a square metre.
        size_m: width, depth and height of each; the catalogue's where not given.
        material: by its name in `materials`; the catalogue's where not given.
        gap_m: kept between its things, and to all that stands there.
        seed: of the places; another seed, other places.
        present: false for clutter that is not there.
        storey: by name; the first where none is named.
    """

    name: Name
    kind: Kind
    area_m: Polygon
    density_per_m2: Annotated[float, Limits("1/m2", 0.0, 4.0)]
    size_m: Size3 | None = None
    material: Name | None = None
    gap_m: Annotated[float, Limits("m", 0.0, 10.0)] = 0.2
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    present: bool = True
    storey: Name | None = None


class Person(StrictModel):
    """Somebody who walks a path to and fro, at the scene's `time_s`: a prism of eight sides.

    The default material ``body`` has to be among the scene's materials, as any other.

    Args:
        name: of the person.
        path_m: points in plan that are walked along, to the end and back again.
        start_m: how far along the path at time zero.
        speed_m_per_s: along the path; negative the other way.
        size_m: width, depth and height.
        material: by its name in `materials`.
        present: false for somebody who is not there.
        storey: by name; the first where none is named.
    """

    name: Name
    path_m: Polyline
    start_m: Position = 0.0
    speed_m_per_s: Speed = 1.2
    size_m: Size3 = CATALOGUE["person"].size_m
    material: Name = CATALOGUE["person"].material
    present: bool = True
    storey: Name | None = None


class MeshPart(StrictModel):
    """A triangle mesh from a file in the scene's folder: OBJ, PLY, glTF or GLB.

    Args:
        name: of the part.
        file: relative to the scene's folder, never outside it.
        sha256: of the file (hex), so that the scene's digest covers its content.
        materials: the scene's material for a material or group that the file names.
        material: for all that `materials` does not name.
        position_m: where the file's origin comes to lie; `yaw_deg` turns about it, `scale`
            multiplies the file's lengths first.
        yaw_deg: how far it is turned about its origin, counter-clockwise from +x.
        scale: factor from the file's lengths to metres.
        y_up: whether the file's y points up, as in glTF.
        present: false for a part that is not there.
    """

    name: Name
    file: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    materials: dict[str, Name] = Field(default_factory=dict)
    material: Name | None = None
    position_m: Point3 = (0.0, 0.0, 0.0)
    yaw_deg: Yaw = 0.0
    scale: Annotated[float, Limits("1", 1e-4, 1e4)] = 1.0
    y_up: bool = False
    present: bool = True
