"""Numbers outside the range that makes sense for them."""

from __future__ import annotations

from collections.abc import Iterator

from twin.scene.checks.site import KINDS, Site
from twin.scene.fields import Leaf, leaves
from twin.scene.findings import Finding

# Lengths beyond this are no slip of a unit [m].
_ABSURD_M = 1e5


def errors(site: Site) -> Iterator[Finding]:
    """One finding a number; the part it belongs to is spoilt."""
    for leaf in leaves(site.scene):
        if not _in_range(leaf):
            if leaf.path[0] in KINDS:
                site.spoil(leaf.path[0], leaf.path[1])
            if leaf.path[0] == "time_s":
                _spoil_movers(site)
            if leaf.path[0] in {"room", "storeys", "ground"} and _is_absurd(leaf):
                site.absurd.add(leaf.path[1] if leaf.path[0] == "storeys" else leaf.path[0])
            yield _finding(site, leaf)
    yield from _bandwidths(site)


def _spoil_movers(site: Site) -> None:
    for kind in ("people", "vehicles"):
        for part in getattr(site.scene, kind):
            site.spoil(kind, part.name)


def _is_absurd(leaf: Leaf) -> bool:
    """Whether a number is not only out of range, but leaves no place to look at."""
    value = float(leaf.value)
    return abs(value) > _ABSURD_M or (leaf.path[-1] == "height_m" and value <= 0.0)


def _in_range(leaf: Leaf) -> bool:
    if leaf.limits is None or not isinstance(leaf.value, int | float):
        return True
    return leaf.limits.low <= leaf.value <= leaf.limits.high


def _finding(site: Site, leaf: Leaf) -> Finding:
    limits = leaf.limits
    if limits is None:
        raise AssertionError("only numbers with limits are out of range")
    unit = "" if limits.unit == "1" else f" {limits.unit}"
    # Not an error in itself, but the likeliest one.
    too_large = limits.unit == "m" and float(leaf.value) > limits.high
    return site.finding(
        "error",
        leaf.dotted,
        f"{limits.low:g} to {limits.high:g}{unit}",
        f"{leaf.value:g}" if isinstance(leaf.value, float) else str(leaf.value),
        "Lengths are in metres, is this one in cm or mm?" if too_large else "",
    )


def _bandwidths(site: Site) -> Iterator[Finding]:
    """A band around each carrier has to lie above zero."""
    scene = site.scene
    told = False
    if scene.bandwidth_mhz >= 1e3 * scene.frequency_ghz:
        told = True
        yield _bandwidth(site, "bandwidth_mhz", scene.bandwidth_mhz, scene.frequency_ghz)
    for ap in scene.access_points:
        carrier, band = ap.frequency_ghz, ap.bandwidth_mhz
        if (carrier is None and band is None) or (told and carrier is None):
            continue
        carrier = scene.frequency_ghz if carrier is None else carrier
        key = f"access_points.{ap.name}." + ("frequency_ghz" if band is None else "bandwidth_mhz")
        band = scene.bandwidth_mhz if band is None else band
        if band >= 1e3 * carrier:
            yield _bandwidth(site, key, band, carrier)


def _bandwidth(site: Site, key: str, band_mhz: float, carrier_ghz: float) -> Finding:
    return site.finding(
        "error",
        key,
        f"a bandwidth less than the carrier ({carrier_ghz * 1e3:g} MHz)",
        f"{band_mhz:g} MHz",
        "Bandwidths are in MHz and carriers in GHz, is one of them not?",
    )
