"""Reader of the rooms that runs of the NIST Q-D software were made in; of the runs themselves, see
`twin.measured.qd_runs`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from twin.errors import Fault, refuse
from twin.measured.qd_runs import (
    SPEED_OF_LIGHT_M_PER_S,
    Link,
    Points,
    ReflectionModel,
    Run,
    SpecularPath,
    read_runs,
)
from twin.scene.geometry import Surface

__all__ = [
    "SPEED_OF_LIGHT_M_PER_S",
    "Link",
    "Points",
    "ReflectionModel",
    "Run",
    "SpecularPath",
    "read_obj",
    "read_runs",
]


def read_obj(path: Path) -> tuple[Surface, ...]:
    """Groups (``g``) of a Wavefront OBJ file of triangles, with their materials (``usemtl``).

    Raises:
        InputError: a face is no triangle, or has no group or material.
    """
    vertices: list[list[float]] = []
    groups: dict[tuple[str, str], list[list[int]]] = {}
    group = material = ""
    faults = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        key, *words = line.split() or ["#"]
        if key == "v":
            vertices.append([float(word) for word in words[:3]])
        elif key == "g":
            group = " ".join(words)
        elif key == "usemtl":
            material = " ".join(words)
        elif key == "f":
            if len(words) != 3 or not group or not material:
                expected = "three corners in a group with a material"
                faults.append(Fault(str(path), f"line {number}", expected, line))
            corners = [int(word.split("/")[0]) - 1 for word in words]
            groups.setdefault((group, material), []).append(corners)
    refuse(faults)
    corners_m = np.array(vertices)
    surfaces = []
    for (name, of), faces in groups.items():
        used, renumbered = np.unique(np.array(faces), return_inverse=True)
        shape = (len(faces), 3)
        surfaces.append(
            Surface(name, of, corners_m[used], renumbered.reshape(shape).astype(np.int32))
        )
    return tuple(surfaces)
