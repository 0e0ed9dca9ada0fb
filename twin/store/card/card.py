"""A data card: what a store holds, how it was made and how to open it, for a person to read."""

from __future__ import annotations

import json
from pathlib import Path

from twin import atomic
from twin.errors import Fault, refuse
from twin.store.card.croissant import Publication, licences_of, record_of, texts, title_of
from twin.store.card.markdown import bullets, size_text, table
from twin.store.card.opening import how_to_open
from twin.store.card.site import site_section, variables_table
from twin.store.local import LocalStorage
from twin.store.location import StoreRef, storage
from twin.store.pieces import SitePieces, published_sites
from twin.store.schema import CONVENTIONS, SCHEMA_VERSION
from twin.store.storage import Storage, reported

CARD_FILE = "data-card.md"
CROISSANT_FILE = "croissant.json"

_CONVENTIONS = f"""\
- Attributes follow {CONVENTIONS}; the root group states the schema, `{SCHEMA_VERSION}`.
- Positions are in metres, right-handed, z up. Angles are in radians in the same frame: azimuth from
  +x towards +y, zenith from +z.
- Delays are absolute: length over the speed of light. A channel frequency response is the sum of
  `path_gain` times exp(-j 2 pi f `delay`), f the offset from the carrier, whose own phase is in
  `path_gain`.
- NaN: nothing to tell, such as an access point not heard, no path, or a point that the realisation
  does not have (`status` 3).
- A realisation is the place with one draw of what is uncertain, or one campaign of a measurement.
  Points of one index are the same place in two realisations only where their positions say so."""


def data_card(store: StoreRef, publication: Publication | None = None) -> str:
    """Markdown about the published sites; coverage is counted from the data.

    Args:
        store: path or URL of the store.
        publication: what the store cannot know of its own publication.

    Raises:
        InputError: no store of ours there, or no published site in it.
        StoreError: metadata or data cannot be read.
    """
    place = storage(store)
    with reported(place.url):
        return _card(place, published_sites(place), publication or Publication())


def write_card(
    store: StoreRef, folder: Path, publication: Publication | None = None
) -> tuple[Path, Path]:
    """Write the data card and the Croissant record into a folder, over those of before.

    Args:
        store: path or URL of the store.
        folder: beside the store, not in it: a Zarr hierarchy holds nothing but Zarr.
        publication: what the store cannot know of its own publication.

    Returns:
        Paths of the card, `CARD_FILE`, and the record, `CROISSANT_FILE`.

    Raises:
        InputError: no store of ours there, no published site in it, or a folder that lies in the
            store or cannot be written.
        StoreError: metadata or data cannot be read.
    """
    place = storage(store)
    given = publication or Publication()
    refuse(_folder_faults(place, folder))
    with reported(place.url):
        sites = published_sites(place)
        card = _card(place, sites, given)
        record = json.dumps(record_of(sites, given), indent=1, ensure_ascii=False) + "\n"
    paths = folder / CARD_FILE, folder / CROISSANT_FILE
    try:
        for path, text in zip(paths, (card, record), strict=True):
            atomic.write_text(path, text)
    except OSError as error:
        refuse([Fault(str(folder), "", "a folder that can be written", str(error))])
    return paths


def _folder_faults(place: Storage, folder: Path) -> list[Fault]:
    if not isinstance(place, LocalStorage):
        return []
    root = place.path.resolve()
    if not folder.resolve().is_relative_to(root):
        return []
    cure = f"Name the folder that the store lies in, {root.parent}, or another one."
    return [Fault(str(folder), "", "a folder outside the store", "one in it", cure)]


def _card(place: Storage, sites: list[SitePieces], publication: Publication) -> str:
    sections = [
        f"# {title_of(sites, publication)}",
        _summary(place, sites, publication),
        _sites_table(place, sites) if len(sites) > 1 else "",
        *(_site(site, alone=len(sites) == 1) for site in sites),
        f"## Variables\n\n{variables_table(sites)}",
        _terms(sites, publication),
        f"## Conventions\n\n{_CONVENTIONS}",
        f"## How to open it\n\n{how_to_open(place, sites[0])}",
        _digests(sites),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _summary(place: Storage, sites: list[SitePieces], publication: Publication) -> str:
    sizes = [place.size(site.site) for site in sites]
    size, files = sum(pair[0] for pair in sizes), sum(pair[1] for pair in sizes)
    origins = " and ".join(sorted({site.spec.origin for site in sites})).capitalize()
    what = f"{origins} radio fingerprints for localization"
    count = "" if len(sites) == 1 else f" of {len(sites)} sites"
    text = f"{what}{count}: {size_text(size)} in {files:,} files."
    told = [
        f"version {publication.version}" if publication.version else "",
        f"published {publication.date}" if publication.date else "",
        f"to be had at <{publication.url}>" if publication.url else "",
    ]
    told = [fact for fact in told if fact]
    return f"{text} This is {', '.join(told)}." if told else text


def _sites_table(place: Storage, sites: list[SitePieces]) -> str:
    rows = []
    for site in sites:
        spec = site.spec
        size, files = place.size(site.site)
        numbers = (len(spec.realisations), spec.points, len(spec.access_points))
        rows.append(
            [
                f"[{site.site}](#{site.site.lower()})",
                spec.title,
                spec.origin,
                *(f"{number:,}" for number in numbers),
                size_text(size),
                f"{files:,}",
            ]
        )
    head = ["site", "title", "origin", "realisations", "points", "access points", "size", "files"]
    return table(head, rows)


def _site(site: SitePieces, *, alone: bool) -> str:
    if alone:
        return site_section(site, level=2)
    return f"## {site.site}\n\n**{site.spec.title}**\n\n{site_section(site, level=3)}"


def _terms(sites: list[SitePieces], publication: Publication) -> str:
    by_licence: dict[str, list[str]] = {}
    for site in sites:
        stated = " and ".join(licences_of([site], publication))
        text = stated or "not stated; ask whoever gave you the store"
        by_licence.setdefault(text, []).append(site.site)
    lines = [f"{text} ({', '.join(names)})" for text, names in by_licence.items()]
    if len(by_licence) == 1:
        lines = [*by_licence]
    cited = [text for site in sites for text in texts(site.attributes.get("citation"))]
    licence = f"## Licence\n\n{bullets(lines)}"
    return f"{licence}\n\n## Citation\n\n{bullets(dict.fromkeys(cited))}" if cited else licence


def _digests(sites: list[SitePieces]) -> str:
    rows = [
        [f"`{site.site}`", f"`{site.attributes['digest']}`", f"`{site.spec.digest}`"]
        for site in sites
    ]
    shown = table(["site", "content (BLAKE3)", "config (BLAKE3)"], rows)
    return (
        "## Digests\n\nThe content digest covers what a reader gets, not files or layout. It was "
        "computed from the data when the site was published; `twin store verify` computes it "
        f"again.\n\n{shown}"
    )
