"""Sionna scenes of a few triangles, made in memory."""

from __future__ import annotations

import numpy as np

from twin.trace import backend

backend.prepare()

import mitsuba as mi  # noqa: E402
from sionna import rt  # noqa: E402

SIDES = {
    "bottom": [[0, 2, 1], [0, 3, 2]],
    "top": [[4, 5, 6], [4, 6, 7]],
    "south": [[0, 1, 5], [0, 5, 4]],
    "east": [[1, 2, 6], [1, 6, 5]],
    "north": [[2, 3, 7], [2, 7, 6]],
    "west": [[3, 0, 4], [3, 4, 7]],
}


def box(low, high, without=()):
    """Vertices and faces of a box that faces outwards; `without` names sides to leave out."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    plan = [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]
    vertices = [[*corner, z] for z in (z0, z1) for corner in plan]
    faces = [face for name, side in SIDES.items() if name not in without for face in side]
    return np.array(vertices, dtype=float), np.array(faces)


def ground(extent=50.0):
    """A square at height zero."""
    corners = [
        [-extent, -extent, 0],
        [extent, -extent, 0],
        [extent, extent, 0],
        [-extent, extent, 0],
    ]
    return np.array(corners), np.array([[0, 1, 2], [0, 2, 3]])


def joined(*parts):
    """Several meshes as one."""
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in parts)])
    faces = [faces + start for (_, faces), start in zip(parts, starts, strict=False)]
    return np.concatenate([vertices for vertices, _ in parts]), np.concatenate(faces)


def scene(materials=None, **objects):
    """A scene of named meshes; `materials` gives some of them an ITU material by its type."""
    built = rt.Scene()
    items = []
    for name, (vertices, faces) in objects.items():
        props = mi.Properties()
        props.set_id(name)
        props["face_normals"] = True
        mesh = mi.Mesh(name=name, vertex_count=len(vertices), face_count=len(faces), props=props)
        params = mi.traverse(mesh)
        params["vertex_positions"] = mi.Float(np.asarray(vertices, dtype=np.float32).ravel())
        params["faces"] = mi.UInt32(np.asarray(faces, dtype=np.uint32).ravel())
        params.update()
        kind = (materials or {}).get(name)
        if kind is None:
            material = rt.RadioMaterial(f"of_{name}", relative_permittivity=3.0, conductivity=0.1)
        else:
            material = rt.ITURadioMaterial(f"{kind}_of_{name}", kind, thickness=0.1)
        items.append(rt.SceneObject(mi_mesh=mesh, radio_material=material))
    built.add(items)
    return built
