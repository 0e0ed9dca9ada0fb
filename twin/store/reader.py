"""Reading published sites."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import xarray as xr
import zarr
from pydantic import JsonValue

from twin.errors import Fault, InputError, refuse
from twin.store.layout import (
    StoredArray,
    check_readable,
    is_published,
    open_group,
    site_names,
    site_url,
)
from twin.store.location import StoreRef, storage
from twin.store.packing import with_csi
from twin.store.schema import FINGERPRINT_VARIABLES, SPLITS
from twin.store.storage import Storage, reported
from twin.store.structure import fast_codecs, open_arrays
from twin.store.verify import not_published

FloatArray = npt.NDArray[np.float64]
FeatureArray = npt.NDArray[np.float32]

_STATUS_ABSENT = 3
#: west, south, east and north of a rectangle [m]
Area = tuple[float, float, float, float]


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


def open_site(store: StoreRef, site: str, *, lazy: bool = True) -> xr.Dataset:
    """A published site as a dataset; nothing but coordinates is read before it is asked for.

    Channels that are kept with fewer bits stand there as ``csi``, too.

    Args:
        store: path or URL of the store.
        site: name of the site.
        lazy: variables are dask arrays, a chunk a task, so that computations stay lazy, too;
            otherwise they are read when first touched, which is faster for reading them whole.

    Raises:
        InputError: no store of ours there, or no such site.
        StoreError: the site is not whole; says how many jobs are missing.
    """
    place = storage(store)
    with reported(site_url(place, site)):
        _published_group(place, site)
        with fast_codecs(place):
            dataset: xr.Dataset = xr.open_zarr(
                place.view(),
                group=site,
                consolidated=False,
                zarr_format=3,
                chunks={} if lazy else None,
            )
    return with_csi(dataset)


def _published_group(place: Storage, site: str) -> zarr.Group:
    group = open_group(place, site)
    if not is_published(group):
        raise not_published(place, site, group)
    return group


def site_arrays(store: StoreRef, site: str) -> dict[str, StoredArray]:
    """The arrays of a published site, by name, read only; errors as `open_site`."""
    place = storage(store)
    with reported(site_url(place, site)):
        group = _published_group(place, site)
        return open_arrays(place, group, sorted(group.keys()))


def open_environment(
    store: StoreRef,
    site: str,
    realisation: int | str,
    *,
    area: Area | None = None,
    access_points: Collection[str] | None = None,
    snapshots: Sequence[int] | slice | None = None,
) -> xr.Dataset:
    """One realisation of a published site, without the points that it does not have.

    Args:
        store: path or URL of the store.
        site: name of the site.
        realisation: index or label.
        area: (x_min, y_min, x_max, y_max) [m]: only points in it, edges included.
        access_points: only these, in this order.
        snapshots: only these scans of each point.

    Returns:
        Dimensions as in the store, without the realisation's; lazy but for the positions.

    Raises:
        InputError: no store of ours there, no such site, realisation, access point or snapshot, or
            an area without extent; all in one message.
        StoreError: the site is not whole.
    """
    dataset = open_site(store, site)
    where = site_url(storage(store), site)
    labels = [str(label) for label in dataset["realisation_label"].to_numpy()]
    names = [str(name) for name in dataset["ap"].to_numpy()]
    faults = []
    index = labels.index(realisation) if realisation in labels else realisation
    if isinstance(index, str) or not 0 <= index < len(labels):
        expected = f"an index below {len(labels)}, or one of {_shown(labels)}"
        faults.append(Fault(where, "realisation", expected, repr(realisation)))
    unknown = sorted(set(access_points or ()) - set(names))
    if unknown:
        faults.append(Fault(where, "access_points", f"some of {_shown(names)}", _shown(unknown)))
    scans = dataset.sizes.get("snapshot", 0)
    if isinstance(snapshots, Sequence) and any(not 0 <= scan < scans for scan in snapshots):
        faults.append(Fault(where, "snapshots", f"indices below {scans}", repr(list(snapshots))))
    if area is not None and not (area[0] <= area[2] and area[1] <= area[3]):
        expected = "(x_min, y_min, x_max, y_max) with x_min <= x_max and y_min <= y_max"
        faults.append(Fault(where, "area", expected, repr(area)))
    refuse(faults)
    chosen = dataset.isel(realisation=int(index))
    if access_points is not None:
        chosen = chosen.isel(ap=[names.index(name) for name in access_points])
    if snapshots is not None:
        chosen = chosen.isel(snapshot=snapshots)
    keep = chosen["status"].to_numpy() != _STATUS_ABSENT
    if area is not None:
        x, y = chosen["position"].to_numpy()[:, :2].T
        keep &= (area[0] <= x) & (x <= area[2]) & (area[1] <= y) & (y <= area[3])
    return chosen if keep.all() else chosen.isel(point=np.flatnonzero(keep))


def open_environments(
    store: StoreRef, site: str | None = None
) -> dict[tuple[str, int], xr.Dataset]:
    """All realisations of one site or of all published sites, by site and index; all lazy.

    Raises:
        InputError: no store of ours there, or no such site.
        StoreError: a site is not whole.
    """
    place = storage(store)
    check_readable(place)
    sites = (site,) if site is not None else site_names(place)
    return {
        (name, index): open_environment(store, name, index)
        for name in sites
        for index in range(open_site(store, name).sizes["realisation"])
    }


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f", ... ({len(names)} in all)" if len(names) > 8 else "")


def environments(store: StoreRef, site: str) -> list[Environment]:
    """The visits to the realisations of a published site, in order; errors as `open_site`.

    Points that a realisation does not have are left out of its environments.
    """
    with open_site(store, site, lazy=False) as dataset:
        names = [name for name in FINGERPRINT_VARIABLES if name in dataset]
        wanted = ["position", "status", "ap_position", *names]
        loaded = dataset[wanted + [name for name in ("split",) if name in dataset]].load()
    visits = loaded["visit"].to_numpy() if "visit" in loaded.coords else np.zeros(0, np.int32)
    ap = tuple(str(name) for name in loaded["ap"].to_numpy())
    found = []
    for index in range(loaded.sizes["realisation"]):
        chosen = loaded.isel(realisation=index)
        keep = np.flatnonzero(chosen["status"].to_numpy() != _STATUS_ABSENT)
        chosen = chosen.isel(point=keep)
        uses = chosen["split"].to_numpy() if "split" in chosen else np.zeros(len(keep), np.int8)
        environment = Environment(
            site=site,
            realisation=index,
            visit=0,
            label=str(loaded["realisation_label"].to_numpy()[index]),
            position=chosen["position"].to_numpy(),
            features={},
            split=np.array(SPLITS)[uses],
            ap=ap,
            ap_position=chosen["ap_position"].to_numpy(),
            attrs={str(key): value for key, value in loaded.attrs.items()},
        )
        found += [
            replace(
                environment,
                visit=visit,
                features={name: chosen[name].to_numpy()[:, visits == visit] for name in names},
            )
            for visit in range(int(visits.max(initial=0)) + 1)
        ]
    return found
