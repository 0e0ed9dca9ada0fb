"""The parameters of a DeepMIMO v4 scenario that an exported site becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from twin.store.exchange.deepmimo_conventions import FORMAT_VERSION, OWN, OWN_FORMAT
from twin.store.exchange.files import Source

TX_SET, RX_SET = 0, 1
_UNKNOWN = -1


@dataclass(frozen=True)
class Seen:
    """What turned up while a realisation was written.

    Args:
        active: points with a path.
        kinds: bits of all kinds of interaction.
    """

    active: int
    kinds: int


def scenario_params(
    source: Source,
    chosen: Sequence[int],
    first_subcarrier_hz: float,
    seen: Sequence[Seen],
    labels: Sequence[str],
) -> dict[str, JsonValue]:
    """Content of ``params.json``.

    Args:
        source: the site.
        chosen: indices of its access points that are written.
        first_subcarrier_hz: offset from the carrier of subcarrier 0.
        seen: one a realisation.
        labels: names of the realisations: one for a static scenario.
    """
    spec = source.spec
    sets = (
        ("access points", TX_SET, True, len(chosen), len(chosen)),
        ("points", RX_SET, False, spec.points, max(one.active for one in seen)),
    )
    kinds = 0
    for one in seen:
        kinds |= one.kinds
    return {
        "version": FORMAT_VERSION,
        "rt_params": _ray_tracing(source, chosen, kinds),
        "txrx_sets": {
            f"txrx_set_{number}": _point_set(name, number, is_tx, points, active)
            for name, number, is_tx, points, active in sets
        },
        "materials": {},
        "scene": {
            "num_scenes": len(labels),
            "n_objects": 0,
            "n_vertices": 0,
            "n_faces": 0,
            "n_triangular_faces": 0,
            "representation": "hull",
        },
        OWN: _own(source, chosen, first_subcarrier_hz, labels),
    }


def _ray_tracing(source: Source, chosen: Sequence[int], kinds: int) -> dict[str, JsonValue]:
    """What is known of the ray tracing; what nobody has said is -1, no default."""
    traced = source.attributes.get("traced")
    said = traced if isinstance(traced, dict) else {}
    depth = said.get("trace_max_depth", _UNKNOWN)
    limits = {
        name: 1 if kinds & bit else 0
        for name, bit in (
            ("max_reflections", 1),
            ("max_scattering", 2),
            ("max_transmissions", 4),
            ("max_diffractions", 8),
        )
    }
    return {
        "raytracer_name": str(said.get("engine", "not recorded")),
        "raytracer_version": "see the provenance under fingertwin",
        "frequency": source.spec.ap_frequency_hz[chosen[0]],
        "max_path_depth": depth,
        **limits,
        "diffuse_reflections": _UNKNOWN,
        "diffuse_diffractions": _UNKNOWN,
        "diffuse_transmissions": _UNKNOWN,
        "diffuse_final_interaction_only": False,
        "diffuse_random_phases": False,
        "terrain_reflection": False,
        "terrain_diffraction": False,
        "terrain_scattering": False,
        "num_rays": _UNKNOWN,
        "ray_casting_method": "not recorded",
        "synthetic_array": True,
        "ray_casting_range_az": 360.0,
        "ray_casting_range_el": 180.0,
        "gps_bbox": [0, 0, 0, 0],
        "raw_params": {key: value for key, value in said.items() if key.startswith("trace_")},
    }


def _point_set(
    name: str,
    number: int,
    is_tx: bool,
    points: int,
    active: int,
) -> dict[str, JsonValue]:
    return {
        "name": name,
        "id_orig": number,
        "id": number,
        "is_tx": is_tx,
        "is_rx": not is_tx,
        "num_points": points,
        "num_active_points": active,
        "num_ant": 1,
        "dual_pol": False,
        "ant_rel_positions": [[0, 0, 0]],
        "array_orientation": [0, 0, 0],
        "grid_spacing": None,
    }


def _own(
    source: Source,
    chosen: Sequence[int],
    first_subcarrier_hz: float,
    labels: Sequence[str],
) -> dict[str, JsonValue]:
    """What the format has no place for, for `twin.store.exchange.deepmimo_import`."""
    spec = source.spec
    rows = [spec.realisations.index(label) for label in labels]
    orientation: JsonValue = [
        [list(spec.ap_orientation_rad[row][index]) for index in chosen]
        for row in rows
        if spec.ap_orientation_rad
    ]
    return {
        "format": OWN_FORMAT,
        "site": source.site,
        "title": spec.title,
        "digest": source.attributes["digest"],
        "realisations": list(labels),
        "access_points": [spec.access_points[index] for index in chosen],
        "ap_orientation_rad": orientation,
        "ap_power_dbm": [spec.ap_power_dbm[index] for index in chosen if spec.ap_power_dbm],
        "first_subcarrier_hz": first_subcarrier_hz,
        "antenna_patterns": "in the amplitudes: take isotropic elements",
        "interactions": "every kind of a path once, in no order",
        "limits_of_ray_tracing": "1 where the kind of interaction occurs; -1 is not known",
        "provenance": source.attributes.get("provenance"),
    }
