"""What a store holds, finished or not, in short."""

from __future__ import annotations

from typing import Any

from pydantic import JsonValue

from twin.store.layout import (
    attributes_of,
    check_readable,
    is_published,
    jobs_of,
    open_group,
    read_spec,
    site_names,
    site_url,
)
from twin.store.location import StoreRef, storage
from twin.store.receipts import read_receipts
from twin.store.schema import SCHEMA_VERSION
from twin.store.storage import Storage, reported

_COORDINATES = ("part", "xyz", "angle")


def info(store: StoreRef) -> dict[str, JsonValue]:
    """What a store holds, finished or not, as plain JSON values.

    Raises:
        InputError: no store of ours there.
        StoreError: a site's metadata is damaged.
    """
    place = storage(store)
    with reported(place.url):
        check_readable(place)
        sites: list[JsonValue] = [_site_info(place, site) for site in site_names(place)]
        history: list[JsonValue] = [
            {
                "snapshot": version.snapshot,
                "message": version.message,
                "written": version.written,
                "tags": list(version.tags),
            }
            for version in place.history()
        ]
    found: dict[str, JsonValue] = {"path": place.url, "schema": SCHEMA_VERSION, "sites": sites}
    return found | ({"history": history} if history else {})


def _site_info(place: Storage, site: str) -> dict[str, JsonValue]:
    group = open_group(place, site)
    spec = read_spec(group, site_url(place, site))
    attrs = attributes_of(group)
    done = read_receipts(group, spec).values()
    size, objects = place.size(site)
    left_out = [r.power_left_out_max for r in done if r.power_left_out_max is not None]
    errors = [r.csi_nmse_max for r in done if r.csi_nmse_max is not None]
    return {
        "site": site,
        "title": spec.title,
        "origin": spec.origin,
        "published": is_published(group),
        "jobs": len(jobs_of(spec)),
        "jobs_done": len(done),
        "sizes": {name: size for name, size in spec.sizes.items() if size},
        "variables": list(spec.job_variables),
        "layout": spec.layout,
        "precision": spec.precision,
        "points_without_path": sum(receipt.points_without_path for receipt in done),
        "power_left_out_max": max(left_out, default=None),
        "csi_nmse_max": max(errors, default=None),
        "bytes": size,
        "objects": objects,
        "config_digest": spec.digest,
        "digest": attrs.get("digest"),
        "provenance": attrs.get("provenance"),
    }


def info_text(found: dict[str, Any]) -> str:
    """The result of `info` for a person."""
    lines = [f"{found['path']}  ({found['schema']})"]
    for site in found["sites"]:
        state = "published" if site["published"] else "unfinished"
        sizes = ", ".join(
            f"{name} {size}"
            for name, size in site["sizes"].items()
            if size > 1 and name not in _COORDINATES
        )
        lines += [
            "",
            f"{site['site']}: {site['title']}",
            f"  {site['origin']}, {state}: {site['jobs_done']} of {site['jobs']} jobs done",
            f"  {sizes}",
            f"  {', '.join(site['variables'])}",
            f"  {site['bytes'] / 1e6:,.1f} MB in {site['objects']:,} files ({site['layout']})",
        ]
        if site["points_without_path"]:
            lines.append(f"  {site['points_without_path']:,} points where nothing is heard")
        if site["power_left_out_max"] is not None:
            lines.append(f"  power left out of a link: at most {site['power_left_out_max']:.2g}")
        if site["csi_nmse_max"] is not None:
            kept = f"channels kept as {site['precision']}"
            lines.append(f"  {kept}: squared error of a link at most {site['csi_nmse_max']:.2g}")
        lines.append(f"  digest {site['digest'] or 'none yet'}")
    if found.get("history"):
        lines += ["", f"{len(found['history'])} states; see `twin store history`"]
    return "\n".join(lines)
