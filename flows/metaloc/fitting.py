"""Whether sites and data fit the settings of a study: found before any work, and without learning.

The experiments themselves refuse what does not fit as well, but only when they come to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flows.metaloc.corridors import CorridorsSettings
from flows.metaloc.days import DaysSettings
from flows.metaloc.layouts import LayoutsSettings
from flows.metaloc.room_store import ROOMS, check_data
from flows.metaloc.rooms import RoomsSettings
from flows.metaloc.sites import Levels, Packets, SitePlan, days_of
from flows.metaloc.study import MetaLocStudy
from twin.errors import Fault, Gathered
from twin.learn.csi_images import PACKETS, used_subcarriers
from twin.measured.csu_csi_rssi import DATA_SET as CORRIDORS
from twin.measured.csu_csi_rssi import SITES, reference_points
from twin.measured.registry import WIFI_RTT_ROOMS
from twin.scene.library import load_scene
from twin.scene.receivers import receiver_points

Counts = npt.NDArray[np.intp]


def site_misfits(study: MetaLocStudy, plans: Mapping[int, SitePlan], where: str) -> list[Fault]:
    """What keeps an experiment from its traced sites.

    Args:
        study: all of it.
        plans: of its sites, by their place in the study; those that could be planned.
        where: the study's file.
    """
    faults = _shared_names(plans, where)
    if study.days is not None:
        for index, plan in plans.items():
            faults += _day_misfits(study.days, study.seeds, plan, where, f"sites.{index}")
    if study.layouts is not None:
        known = {plan.site: index for index, plan in plans.items()}
        if len(plans) == len(study.sites):
            faults += _missing(study.layouts, known, where)
        for name, index in known.items():
            faults += _layout_misfits(study.layouts, plans[index], where, name, f"sites.{index}")
    return faults


def data_misfits(study: MetaLocStudy, folder: Path | None, where: str) -> list[Fault]:
    """What keeps an experiment from its real data: damaged files, or settings that do not fit them.

    Args:
        study: all of it.
        folder: of real data sets; None: what only the files tell is not looked at.
        where: the study's file.
    """
    faults: list[Fault] = []
    if study.rooms is not None:
        faults += _room_misfits(study.rooms, where)
        if folder is not None:
            with Gathered(faults):
                check_data(folder, [str(room.measured) for room in ROOMS])
    if study.corridors is not None:
        faults += _image_misfits(study.corridors, where)
        if folder is not None:
            with Gathered(faults):
                faults += _corridor_misfits(study.corridors, reference_points(folder), where)
    return faults


def _shared_names(plans: Mapping[int, SitePlan], where: str) -> list[Fault]:
    first: dict[str, int] = {}
    faults = []
    for index, plan in plans.items():
        other = first.setdefault(plan.site, index)
        if other != index:
            expected = "a scene with a name of its own, which names its site in the store"
            found = f"{plan.site}, as sites.{other}"
            faults.append(Fault(where, f"sites.{index}.scene", expected, found))
    return faults


def _day_misfits(
    settings: DaysSettings, seeds: int, plan: SitePlan, where: str, key: str
) -> list[Fault]:
    faults = [
        Fault(where, f"days.{name}", f"at most {plan.spec.points}, the points of {key}", str(count))
        for name, count in (("shape.ways", settings.shape.ways), ("nearest", settings.nearest))
        if count > plan.spec.points
    ]
    report = plan.request.report
    if isinstance(report, Levels):
        expected = "packets: images are made of channel state information"
        faults.append(Fault(where, f"{key}.report.kind", expected, report.kind))
    else:
        faults += _subcarrier_faults(plan, where, f"{key}.scene")
    visits = np.bincount(days_of(plan.table, plan.request.realisations))
    held_out = sorted({seed % len(visits) for seed in range(seeds)})
    of_days = _visit_faults(settings, plan, visits, held_out, where, f"{key}.realisations")
    if not of_days and isinstance(report, Packets):
        faults += _image_faults(settings, report, visits, held_out, where, key)
    return faults + of_days


def _subcarrier_faults(plan: SitePlan, where: str, key: str) -> list[Fault]:
    faults: list[Fault] = []
    with Gathered(faults):
        used_subcarriers(plan.scene.subcarriers)
    return [
        Fault(where, key, f"a scene with {f.expected} subcarriers", f"{f.found} in {plan.site}")
        for f in faults
    ]


def _visit_faults(
    settings: DaysSettings,
    plan: SitePlan,
    visits: Counts,
    held_out: Sequence[int],
    where: str,
    key: str,
) -> list[Fault]:
    """Too few days, or too few visits (day,) on those that are held out."""
    least = 3 if "maml_dg" in settings.paradigms else 2
    if len(visits) < least:
        expected = f"those of {least} days or more: one is new, the others are historical"
        if least == 3:
            expected += " (maml_dg needs two)"
        per_day = plan.table.realisations_per_day
        found = f"{plan.request.realisations}, with {per_day} a day in the scene's table"
        cure = f"Take {per_day * least} or more."
        return [Fault(where, key, expected, found, cure)]
    short = [str(day) for day in held_out if visits[day] < 2]
    if not short:
        return []
    expected = "two or more of each day that is held out, the last to be located"
    return [Fault(where, key, expected, f"one of day {', '.join(short)}")]


def _image_faults(
    settings: DaysSettings,
    report: Packets,
    visits: Counts,
    held_out: Sequence[int],
    where: str,
    key: str,
) -> list[Fault]:
    """Fewer images of a point than the settings take of a day."""
    _, packets = report.sizes
    images = packets // settings.packets
    if images == 0:
        expected = f"at most {packets}, the packets of a visit in {key}"
        return [Fault(where, "days.packets", expected, str(settings.packets))]
    # The last visit is located. One day that is new for all seeds is never a historical one.
    labelled = int(visits[held_out].min() - 1) * images
    historical = visits if len(held_out) > 1 else np.delete(visits, held_out)
    known = int(historical.min()) * images
    new = "a new day has labelled"
    shape = settings.shape
    limits = (
        ("survey", settings.survey, labelled, new),
        ("broad_survey", settings.broad_survey, labelled, new),
        ("shape.supports", shape.supports, labelled, new),
        ("shape", shape.supports + shape.queries, known, "a day has"),
    )
    return [
        Fault(
            where,
            f"days.{name}",
            f"at most {most} images of a point, as many as {whose} in {key}",
            f"{wanted} supports and queries" if name == "shape" else str(wanted),
            "Take fewer, or more realisations or bursts of the site.",
        )
        for name, wanted, most, whose in limits
        if wanted > most
    ]


def _missing(settings: LayoutsSettings, known: Mapping[str, int], where: str) -> list[Fault]:
    return [
        Fault(where, f"layouts.{part}", f"sites of this study: {', '.join(known)}", name)
        for part, names in (("training", settings.training), ("new", settings.new))
        for name in names
        if name not in known
    ]


def _layout_misfits(
    settings: LayoutsSettings, plan: SitePlan, where: str, name: str, key: str
) -> list[Fault]:
    learned = name in settings.training
    if not learned and name not in settings.new:
        return []
    faults = []
    visits, _ = plan.request.report.sizes
    there = plan.request.realisations * visits
    least, why = (2, "the last held out") if learned else (settings.repeats, "for layouts.repeats")
    if there < least:
        expected = f"{least} or more, {why}"
        faults.append(Fault(where, f"{key}.realisations", expected, str(there)))
    asked = settings.queries if learned else 1
    needed = settings.references + settings.labels + asked
    if plan.spec.points < needed:
        expected = f"a scene of {needed} points or more, for references, labels and queries"
        faults.append(Fault(where, f"{key}.scene", expected, f"{plan.spec.points} in {name}"))
    return faults


def _room_misfits(settings: RoomsSettings, where: str) -> list[Fault]:
    """Whether each room has points enough for a task, real or not, since all are historical too."""
    points = {}
    for room in ROOMS:
        twin = len(receiver_points(load_scene(room.scene)))
        real = WIFI_RTT_ROOMS.file(f"database_{room.measured}_train.csv").points or 0
        there = real if settings.reality == "measured" else twin - twin // 4
        points[str(room.measured)] = min(there, twin)
    least = min(points, key=points.__getitem__)
    most = max(settings.labels)
    if most + settings.queries <= points[least]:
        return []
    expected = f"at most {points[least]} labels and queries, the reference points of {least}"
    found = f"{most} labels and {settings.queries} queries"
    return [Fault(where, "rooms.labels", expected, found)]


def _image_misfits(settings: CorridorsSettings, where: str) -> list[Fault]:
    images = CORRIDORS.counts["reference_packets"] // PACKETS
    shape = settings.shape
    if shape.supports + shape.queries <= images:
        return []
    expected = f"at most {images} supports and queries, the images of a reference point"
    found = f"{shape.supports} and {shape.queries}"
    return [Fault(where, "corridors.shape", expected, found)]


def _corridor_misfits(
    settings: CorridorsSettings, points: Mapping[str, int], where: str
) -> list[Fault]:
    historical = [site for site in SITES if set(settings.left_out) != {site}]
    limits = (
        ("labels", max(settings.labels), settings.left_out),
        ("shape.ways", settings.shape.ways, historical),
    )
    faults = []
    for name, wanted, sites in limits:
        least = min(sites, key=points.__getitem__)
        if wanted > points[least]:
            expected = f"at most {points[least]}, the reference points of {least}"
            faults.append(Fault(where, f"corridors.{name}", expected, str(wanted)))
    return faults
