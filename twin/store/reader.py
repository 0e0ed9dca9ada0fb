"""Reading published sites."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import JsonValue

from twin.errors import Fault, InputError, refuse
from twin.store.layout import (
    attributes_of,
    is_published,
    jobs_of,
    open_group,
    read_spec,
    receipts_dir,
    site_dir,
    site_names,
    store_fault,
    unpublished,
)
from twin.store.receipts import read_receipt
from twin.store.schema import FINGERPRINT_VARIABLES, SCHEMA_VERSION, SPLITS
from twin.store.verify import missing_jobs

FloatArray = npt.NDArray[np.float64]
FeatureArray = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Environment:
    """One visit to one realisation of a site, with its fingerprints.

    Args:
        site: name of the site.
        realisation: index within the site.
        visit: index of the visit within the realisation.
        label: name of the realisation, unique within the site.
        position: (point, 3) float64, metres.
        features: ``rss`` [dBm] and ``rtt`` [m] as far as the site has them, each
            (point, snapshot, ap) float32; NaN where the AP was not heard.
        split: (point,) text: ``reference``, ``test`` or empty.
        ap: names of the access points.
        ap_position: (ap, 3) float64, metres.
        attrs: attributes of the site.
    """

    site: str
    realisation: int
    visit: int
    label: str
    position: FloatArray
    features: dict[str, FeatureArray]
    split: npt.NDArray[np.str_]
    ap: tuple[str, ...]
    ap_position: FloatArray
    attrs: dict[str, JsonValue]

    @property
    def points(self) -> int:
        """Number of points."""
        return len(self.position)

    @property
    def is_reference(self) -> npt.NDArray[np.bool_]:
        """(point,) true at the reference points of the official split."""
        return np.asarray(self.split == "reference")

    @property
    def is_test(self) -> npt.NDArray[np.bool_]:
        """(point,) true at the test points of the official split."""
        return np.asarray(self.split == "test")

    def point_features(self, name: str) -> FeatureArray:
        """Median over the snapshots that heard the AP, (point, ap) float32; NaN where none did.

        Raises:
            InputError: the site does not have this feature.
        """
        if name not in self.features:
            found = ", ".join(sorted(self.features)) or "none"
            raise InputError([Fault(f"site {self.site}", "feature", repr(name), found)])
        scans = self.features[name]
        never: npt.NDArray[np.bool_] = np.all(np.isnan(scans), axis=1)
        filled = np.where(never[:, None, :], np.float32(0), scans)
        median = np.nanmedian(filled, axis=1)
        return np.where(never, np.float32(np.nan), median).astype(np.float32)


def open_site(store_path: Path, site: str) -> xr.Dataset:
    """A published site as a lazily read dataset.

    Raises:
        InputError: no store of ours there, or no such site.
        StoreError: the site is not whole; says how many jobs are missing.
    """
    group = open_group(store_path, site)
    if not is_published(group):
        where = str(site_dir(store_path, site))
        spec = read_spec(group, where)
        raise unpublished(where, missing_jobs(store_path, site, spec), len(jobs_of(spec)))
    dataset: xr.Dataset = xr.open_zarr(
        site_dir(store_path, site), consolidated=False, zarr_format=3
    )
    return dataset


def environments(store_path: Path, site: str) -> list[Environment]:
    """The visits to the realisations of a published site, in order; errors as `open_site`."""
    with open_site(store_path, site) as dataset:
        names = [name for name in FINGERPRINT_VARIABLES if name in dataset]
        loaded = dataset[["position", "ap_position", "split", *names]].load()
    visits = loaded["visit"].to_numpy() if "visit" in loaded.coords else np.zeros(0, np.int32)
    split = np.array(SPLITS)[loaded["split"].to_numpy()]
    ap = tuple(str(name) for name in loaded["ap"].to_numpy())
    return [
        Environment(
            site=site,
            realisation=index,
            visit=visit,
            label=str(loaded["realisation_label"].to_numpy()[index]),
            position=loaded["position"].to_numpy()[index],
            features={name: loaded[name].to_numpy()[index][:, visits == visit] for name in names},
            split=split,
            ap=ap,
            ap_position=loaded["ap_position"].to_numpy()[index],
            attrs={str(key): value for key, value in loaded.attrs.items()},
        )
        for index in range(loaded.sizes["realisation"])
        for visit in range(int(visits.max(initial=0)) + 1)
    ]


def info(store_path: Path) -> dict[str, JsonValue]:
    """What a store holds, finished or not, as plain JSON values.

    Raises:
        InputError: no store of ours there.
        StoreError: a site's metadata is damaged.
    """
    fault = store_fault(store_path)
    refuse([fault] if fault else [])
    sites: list[JsonValue] = [_site_info(store_path, site) for site in site_names(store_path)]
    return {"path": str(store_path), "schema": SCHEMA_VERSION, "sites": sites}


def _site_info(store_path: Path, site: str) -> dict[str, JsonValue]:
    group = open_group(store_path, site)
    spec = read_spec(group, str(site_dir(store_path, site)))
    attrs = attributes_of(group)
    jobs = jobs_of(spec)
    folder = receipts_dir(store_path, site)
    receipts = [read_receipt(folder, job.name(spec), spec.digest) for job in jobs]
    done = [receipt for receipt in receipts if receipt is not None]
    files = [path for path in site_dir(store_path, site).rglob("*") if path.is_file()]
    left_out = [r.power_left_out_max for r in done if r.power_left_out_max is not None]
    return {
        "site": site,
        "title": spec.title,
        "origin": spec.origin,
        "published": is_published(group),
        "jobs": len(jobs),
        "jobs_done": len(done),
        "sizes": {name: size for name, size in spec.sizes.items() if size},
        "variables": list(spec.job_variables),
        "points_without_path": sum(receipt.points_without_path for receipt in done),
        "power_left_out_max": max(left_out, default=None),
        "bytes": sum(path.stat().st_size for path in files),
        "files": len(files),
        "config_digest": spec.digest,
        "digest": attrs.get("digest"),
        "provenance": attrs.get("provenance"),
    }
