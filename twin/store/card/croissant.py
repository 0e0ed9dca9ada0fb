"""A Croissant 1.0 record of a store: what search engines and loaders of data sets read.

Croissant has no word for Zarr arrays, so the files of a site are one file set, and the site's
record set says which arrays are in it, with dimensions, type and unit. What a store cannot know of
its own publication (version, date, address) is left out unless it is given: loaders warn of that,
and are right to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from pydantic import JsonValue

from twin.store.card.markdown import count_text
from twin.store.local import LocalStorage
from twin.store.location import StoreRef, storage
from twin.store.pieces import SitePieces, published_sites
from twin.store.schema import SCHEMA_VERSION, VARIABLES, Variable
from twin.store.spec import SiteSpec
from twin.store.storage import reported
from twin.store.template import static_values

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
# The context that the standard prescribes.
_CONTEXT: dict[str, JsonValue] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_NAMES_SHOWN = 5
_ZARR = "application/vnd.zarr"
_SPDX = re.compile(r"[A-Z][A-Za-z0-9]*(-[A-Za-z0-9.]+)*")


@dataclass(frozen=True)
class Publication:
    """What a store cannot know of its own publication.

    Args:
        name: of the data set; what the titles of its sites have in common where empty.
        version: ``MAJOR.MINOR.PATCH``.
        date: of publication, ISO 8601.
        url: page where it is to be had.
        licence: for sites that state none; an SPDX identifier, or words.
    """

    name: str = ""
    version: str = ""
    date: str = ""
    url: str = ""
    licence: str = ""


def croissant(store: StoreRef, publication: Publication | None = None) -> dict[str, JsonValue]:
    """Croissant record of the published sites, as plain JSON values.

    Args:
        store: path or URL of the store.
        publication: what the store cannot know.

    Raises:
        InputError: no store of ours there, or no published site in it.
        StoreError: a site's metadata is damaged.
    """
    place = storage(store)
    with reported(place.url):
        return record_of(published_sites(place), publication or Publication())


def record_of(sites: list[SitePieces], publication: Publication) -> dict[str, JsonValue]:
    """The record of these sites."""
    distribution: list[JsonValue] = []
    record_sets: list[JsonValue] = []
    for site in sites:
        names = described_variables(site.spec)
        distribution.append(_file_set(site))
        record_sets.append(_record_set(site, names))
    citations = unique(text for site in sites for text in texts(site.attributes.get("citation")))
    sources = unique(text for site in sites for text in texts(site.attributes.get("source")))
    licences = unique(_licence_address(text) for text in licences_of(sites, publication))
    optional: dict[str, JsonValue] = {
        "license": one_or_list(licences),
        "citeAs": "\n".join(citations),
        "isBasedOn": one_or_list(sources),
        "version": publication.version,
        "datePublished": publication.date,
        "url": publication.url,
    }
    digests: list[JsonValue] = [f"blake3:{site.attributes['digest']}" for site in sites]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": title_of(sites, publication),
        "description": summary_of(sites),
        "conformsTo": CONFORMS_TO,
        **{key: value for key, value in optional.items() if value},
        "identifier": digests if len(digests) > 1 else digests[0],
        "keywords": ["fingerprint localization", "indoor positioning", "Zarr"],
        "distribution": distribution,
        "recordSet": record_sets,
    }


def title_of(sites: list[SitePieces], publication: Publication) -> str:
    """What the data set is called."""
    if publication.name:
        return publication.name
    if len(sites) == 1:
        return sites[0].spec.title
    # The sites of one data set are named after it: "data set: room".
    heads = {site.spec.title.rpartition(":")[0] for site in sites}
    common = heads.pop() if len(heads) == 1 else ""
    return common or f"Fingerprints of {len(sites)} sites: {_some_names(sites)}"


def _some_names(sites: list[SitePieces]) -> str:
    more = len(sites) - _NAMES_SHOWN
    names = ", ".join(site.site for site in sites[:_NAMES_SHOWN])
    return f"{names} and {more} more" if more > 0 else names


def summary_of(sites: list[SitePieces]) -> str:
    """One paragraph on what the store holds."""
    if len(sites) > _NAMES_SHOWN:
        parts = f"{len(sites)} sites: {_some_names(sites)}."
    else:
        parts = " ".join(f"{site.site}: {site_summary(site.spec)}" for site in sites)
    what = f"one Zarr v3 hierarchy (schema {SCHEMA_VERSION}) with a group a site"
    return f"Radio fingerprints for localization, {what}. {parts}"


def site_summary(spec: SiteSpec) -> str:
    """Size of a site in a sentence."""
    realisations = count_text(len(spec.realisations), "realisation")
    parts = [
        f"{realisations} of {count_text(spec.points, 'point')}",
        count_text(len(spec.access_points), "access point"),
    ]
    if spec.snapshots:
        scans = f"{count_text(spec.snapshots, 'scan')} a point"
        parts.append(scans + (f" in {spec.visits} visits" if spec.visits > 1 else ""))
    if spec.subcarriers:
        spacing = spec.subcarrier_spacing_hz
        parts.append(
            f"{count_text(spec.subcarriers, 'subcarrier')} {spacing / 1e3:g} kHz apart "
            f"({spec.subcarriers * spacing / 1e6:g} MHz)"
        )
    if spec.rx_antennas * spec.ap_antennas > 1:
        parts.append(f"{spec.rx_antennas} x {spec.ap_antennas} antennas (receiver x access point)")
    if spec.paths:
        parts.append(f"up to {count_text(spec.paths, 'path')} a link")
    kind = "Simulated" if spec.origin == "simulated" else "Measured"
    return f"{kind}: {', '.join(parts)}."


def described_variables(spec: SiteSpec) -> list[str]:
    """Variables with numbers for a user, in the order of the schema."""
    there = {*spec.job_variables, *static_values(spec)} - {"receipt"}
    return [name for name in VARIABLES if name in there]


def notes_on(variable: Variable) -> list[str]:
    """What the schema says of a variable beside its name: its convention, the meaning of flags."""
    comment = variable.attrs.get("comment")
    notes = [str(comment)] if comment else []
    numbers = variable.attrs.get("flag_values") or variable.attrs.get("flag_masks")
    meanings = str(variable.attrs.get("flag_meanings", "")).split()
    if isinstance(numbers, list):
        pairs = zip(numbers, meanings, strict=True)
        notes.append(", ".join(f"{number} {meaning}" for number, meaning in pairs))
    return notes


def licences_of(sites: list[SitePieces], publication: Publication) -> list[str]:
    """The licences stated, or the one given for sites that state none."""
    found = []
    for site in sites:
        own = texts(site.attributes.get("licence")) or [publication.licence]
        found += [text for text in own if text]
    return unique(found)


def texts(value: JsonValue) -> list[str]:
    """A text or a list of texts as a list."""
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str) and item]


def unique(values: object) -> list[str]:
    """Without repetitions, in order."""
    return list(dict.fromkeys(values))  # type: ignore[call-overload]


def one_or_list(values: list[str]) -> JsonValue:
    """A single value by itself."""
    return values[0] if len(values) == 1 else list(values)


def _licence_address(text: str) -> str:
    """Where a licence can be read, if it has an SPDX identifier."""
    return f"https://spdx.org/licenses/{text}" if _SPDX.fullmatch(text) else text


def _file_set(site: SitePieces) -> JsonValue:
    # A folder is passed on as a whole, with the record beside it.
    folder = f"{site.place.path.resolve().name}/" if isinstance(site.place, LocalStorage) else ""
    return {
        "@type": "cr:FileSet",
        "@id": f"{site.site}/files",
        "name": f"{site.site}/files",
        "description": f"The Zarr v3 group {site.site}: metadata and chunks of its arrays.",
        "encodingFormat": _ZARR,
        "includes": f"{folder}{site.site}/**",
    }


def _record_set(site: SitePieces, names: list[str]) -> JsonValue:
    return {
        "@type": "cr:RecordSet",
        "@id": site.site,
        "name": site.site,
        "description": f"{site.spec.title}. {site_summary(site.spec)} Content digest (BLAKE3) "
        f"{site.attributes['digest']}.",
        "field": [_field(site, VARIABLES[name]) for name in names],
    }


def _field(site: SitePieces, variable: Variable) -> JsonValue:
    array = f"array {site.site}/{variable.name}"
    shape = ", ".join(f"{dim} {site.spec.sizes[dim]}" for dim in variable.dims)
    unit = f" [{variable.unit}]" if variable.unit else ""
    return {
        "@type": "cr:Field",
        "@id": f"{site.site}/{variable.name}",
        "name": variable.name,
        "description": f"{variable.long_name}{unit}; {array}, {variable.dtype} ({shape})"
        + "".join(f"; {note}" for note in notes_on(variable)),
        "dataType": _data_type(variable.dtype),
        "repeated": True,
        "source": {
            "fileSet": {"@id": f"{site.site}/files"},
            "extract": {"fileProperty": "content"},
        },
    }


def _data_type(dtype: str) -> str:
    """Nearest type of the standard; a complex number is two floats, as the description says."""
    if dtype == "string":
        return "sc:Text"
    kind = np.dtype(dtype)
    if kind.kind == "c":
        return f"cr:Float{kind.itemsize * 4}"
    return f"cr:{'Float' if kind.kind == 'f' else 'Int'}{kind.itemsize * 8}"
