"""Writer of Wavefront OBJ with groups and names of materials."""

from __future__ import annotations

from collections.abc import Sequence

from twin.scene.mesh_files.groups import MeshGroup


def obj_text(groups: Sequence[MeshGroup], digits: int) -> str:
    """Groups as an OBJ file that `twin.scene.mesh_files.obj.read_obj` reads as the same groups.

    Args:
        groups: with names and materials in letters that OBJ can hold, one line each.
        digits: behind the point, of vertices.
    """
    lines = []
    start = 1
    for group in groups:
        lines.append(f"g {group.name}")
        if group.source_material:
            lines.append(f"usemtl {group.source_material}")
        lines += [
            "v " + " ".join(_number(value, digits) for value in vertex)
            for vertex in group.vertices.tolist()
        ]
        lines += [f"f {a} {b} {c}" for a, b, c in (group.faces + start).tolist()]
        start += len(group.vertices)
    return "\n".join([*lines, ""])


def _number(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
