"""Weather: what it does is known for every carrier in use."""

from __future__ import annotations

from collections.abc import Iterator

from twin.scene.checks.materials import carriers_ghz
from twin.scene.checks.site import Site
from twin.scene.findings import Finding
from twin.scene.rain_band import rain_faults


def errors(site: Site) -> Iterator[Finding]:
    """Carriers that nobody knows the attenuation of, where it rains."""
    if not site.scene.weather.rain_mm_per_h > 0.0:
        return
    for carrier, users in carriers_ghz(site).items():
        for key in users:
            for fault in rain_faults(carrier * 1e9, site.where, key):
                yield Finding("error", fault, None)
