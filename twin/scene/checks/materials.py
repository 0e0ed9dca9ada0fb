"""Materials: constants at every carrier in use, and names that parts refer to."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from twin.scene.checks.site import Site
from twin.scene.contents import CATALOGUE, Clutter
from twin.scene.findings import Finding
from twin.scene.materials import ITU_P2040, layer_slabs, material_faults

# Usual thickness [m] of a sheet of an ITU-R P.2040 material, for the line that a cure suggests.
_USUAL_M = {
    "concrete": 0.2,
    "brick": 0.12,
    "plasterboard": 0.1,
    "wood": 0.025,
    "glass": 0.006,
    "ceiling_board": 0.02,
    "chipboard": 0.03,
    "plywood": 0.02,
    "marble": 0.03,
    "floorboard": 0.02,
    "metal": 0.002,
    "very_dry_ground": 0.5,
    "medium_dry_ground": 0.5,
    "wet_ground": 0.5,
}
# Muscle by carrier [GHz]: relative permittivity and conductivity [S/m], rounded from the dispersion
# model of S. Gabriel, R. W. Lau and C. Gabriel, Phys. Med. Biol. 41 (1996), 2271.
_MUSCLE = (
    (0.9, 55.0, 0.94),
    (2.45, 52.7, 1.74),
    (3.5, 51.4, 2.56),
    (5.25, 49.2, 4.3),
    (28.0, 24.4, 33.6),
    (60.0, 12.9, 52.8),
)
# A layered wall traced as one slab that is further off than this gets a warning [dB].
_LAYERS_OFF_DB = 3.0


def carriers_ghz(site: Site) -> dict[float, list[str]]:
    """Carriers [GHz] in use, each with the keys that ask for it, the scene's first."""
    used: dict[float, list[str]] = {}
    if any(ap.frequency_ghz is None for ap in site.scene.access_points):
        used[site.scene.frequency_ghz] = ["frequency_ghz"]
    for ap in site.scene.access_points:
        if ap.frequency_ghz is not None:
            key = f"access_points.{ap.name}.frequency_ghz"
            used.setdefault(ap.frequency_ghz, []).append(key)
    return used


def errors(site: Site) -> Iterator[Finding]:
    """Constants that no carrier in use can have, and materials that are used but not declared."""
    carriers = carriers_ghz(site)
    for name, material in site.scene.materials.items():
        told: set[str] = set()
        for carrier, users in carriers.items():
            of = "" if len(carriers) == 1 else f" (of {_some(users)})"
            for fault in material_faults(material, carrier * 1e9, site.where, f"materials.{name}"):
                # A name that is in no table is so at every carrier.
                if fault.key in told and "GHz" not in fault.found:
                    continue
                told.add(fault.key)
                found = fault.found + of if "GHz" in fault.found else fault.found
                cure = fault.cure or "Change the name, or the constants and their scale"
                yield site.finding("error", fault.key, fault.expected, found, cure)
    yield from _undeclared(site)


def layers(site: Site) -> Iterator[Finding]:
    """How far off the one slab is that stands for a wall of several layers."""
    from twin.scene.layers import equivalent_slab

    for name, material in site.scene.materials.items():
        if len(material.layers) < 2:
            continue
        for carrier in carriers_ghz(site):
            stack = layer_slabs(material, carrier * 1e9)
            stand_in = equivalent_slab(stack, carrier * 1e9)
            worst = stand_in.worst_transmission_db
            found = (
                f"{len(stack)} layers traced as one slab at {carrier:g} GHz, transmission up to "
                f"{worst:.1f} dB off between 0 and 75 deg of incidence"
            )
            if worst > _LAYERS_OFF_DB:
                cure = (
                    "Expect that error behind such walls; where it matters, declare the layer "
                    "that dominates as the whole, or add the error to the perturbation table"
                )
                expected = f"layers that one slab can stand for within {_LAYERS_OFF_DB:g} dB"
                yield site.finding("warning", f"materials.{name}.layers", expected, found, cure)
            else:
                expected = f"an error of at most {_LAYERS_OFF_DB:g} dB"
                yield site.finding("note", f"materials.{name}.layers", expected, found)


def unused(site: Site) -> Iterator[Finding]:
    """Materials that no part is of."""
    used = {name for _, name in _used(site)}
    idle = sorted(set(site.scene.materials) - used)
    if idle:
        yield site.finding(
            "note",
            "materials",
            "materials that something is of",
            f"nothing is of {', '.join(idle)}, unless a perturbation says so",
        )


def _undeclared(site: Site) -> Iterator[Finding]:
    """One finding a missing material, however many parts are of it."""
    declared = site.scene.materials
    missing: dict[str, list[str]] = {}
    for key, name in _used(site):
        if name not in declared:
            missing.setdefault(name, []).append(key)
    listed = ", ".join(sorted(declared)) or "none"
    for name, keys in missing.items():
        more = "" if len(keys) == 1 else f", here and {len(keys) - 1} more times"
        yield site.finding(
            "error",
            keys[0],
            f"one of the scene's materials ({listed})",
            name + more,
            _declare(site, name),
        )


def _declare(site: Site, name: str) -> str:
    close = difflib.get_close_matches(name, site.scene.materials, n=1)
    instead = f"Did you mean {close[0]!r}? Otherwise a" if close else "A"
    return f"{instead}dd under materials:  {name}: {{{_constants(site, name)}}}"


def _constants(site: Site, name: str) -> str:
    carriers = list(carriers_ghz(site))
    rows = ITU_P2040.get(name, ())
    if rows and all(any(r.low_ghz <= f <= r.high_ghz for r in rows) for f in carriers):
        return f"itu: {name}, thickness_m: {_USUAL_M.get(name, 0.1):g}"
    if name == CATALOGUE["person"].material:
        near = min(_MUSCLE, key=lambda row: abs(row[0] - carriers[0]))
        return (
            f"relative_permittivity: {near[1]:g}, conductivity_s_per_m: {near[2]:g}, "
            "thickness_m: 0.1"
        )
    return "relative_permittivity: ..., conductivity_s_per_m: ..., thickness_m: ..."


def _used(site: Site) -> Iterator[tuple[str, str]]:
    """Key and name of every material that a part is of."""
    scene = site.scene
    keyed: list[tuple[str, object, tuple[str, ...]]] = []
    sides = ("wall_material", "floor_material", "ceiling_material")
    if scene.room is not None:
        keyed.append(("room", scene.room, sides))
    keyed += [(f"storeys.{storey.name}", storey, sides) for storey in scene.storeys]
    for kind in ("walls", "openings", "furniture", "clutter", "people", "roads", "vehicles"):
        parts = getattr(scene, kind)
        keyed += [(f"{kind}.{part.name}", part, ("material",)) for part in parts]
    keyed += [(f"meshes.{mesh.name}", mesh, ("material",)) for mesh in scene.meshes]
    keyed += [
        (f"buildings.{building.name}", building, ("wall_material", "roof_material"))
        for building in scene.buildings
    ]
    if scene.ground is not None:
        keyed.append(("ground", scene.ground, ("material",)))
    for key, part, fields in keyed:
        for field in fields:
            name = getattr(part, field)
            if name is None and isinstance(part, Clutter) and part.kind in CATALOGUE:
                name = CATALOGUE[part.kind].material
            if name is not None:
                yield f"{key}.{field}", name
    for mesh in scene.meshes:
        for group, name in mesh.materials.items():
            yield f"meshes.{mesh.name}.materials.{group}", name


def _some(keys: list[str]) -> str:
    return keys[0] if len(keys) == 1 else f"{keys[0]} and {len(keys) - 1} more"
