"""What a report is told: plain values and arrays, so it needs no store, learner or radio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from twin.evaluate.records import Difference, Errors, Record
from twin.learn.features import Feature

Array = npt.NDArray[np.floating]
Plain = str | int | float | bool


@dataclass(frozen=True)
class Method:
    """How a method is shown.

    Args:
        name: as in the records.
        label: a few words for figures and tables.
        description: one sentence: what it was trained on, what it does with the labels.
    """

    name: str
    label: str
    description: str


@dataclass(frozen=True, eq=False)
class SignalMap:
    """RSS of one access point over the room, in the twin and in reality.

    Args:
        access_point: its name.
        access_point_m: (2 or 3,) its position [m].
        twin_m, real_m: (points, 2 or 3) positions [m].
        twin_dbm, real_dbm: (points,) RSS [dBm], NaN where it was not heard. The twin's as aligned
            for the eye by the caller, if at all; the report changes nothing.
        real_test: (points,) bool, true at test points.
    """

    access_point: str
    access_point_m: Array
    twin_m: Array
    twin_dbm: Array
    real_m: Array
    real_dbm: Array
    real_test: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Pairing:
    """Simulated and measured values at the same points.

    Args:
        feature: "rss" in dBm or "rtt" in m.
        access_points: names of the columns.
        simulated, measured: (points, access points); NaN = not heard. Raw: the report takes
            the mean difference of each access point out and says how much that was.
    """

    feature: Feature
    access_points: tuple[str, ...]
    simulated: Array
    measured: Array


@dataclass(frozen=True)
class Perturbed:
    """One uncertain quantity.

    Args:
        name: such as ``ap_height``.
        unit: of the values; empty for none.
        declared: distribution and bounds in words.
        drawn: the value of each element in each realisation.
        elements: what is drawn independently of each other, such as access points; empty where
            there is one only.
        reason: why it is uncertain.
    """

    name: str
    unit: str
    declared: str
    drawn: tuple[Plain, ...]
    elements: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, eq=False)
class RoomContent:
    """One room.

    Args:
        name: as in the records.
        title: for people.
        outline_m: (vertices, 2) outline of the room [m]; empty where it is not known.
        plan_png: plan view as PNG bytes.
        plan_caption: what the plan shows.
        records: summaries of this room.
        errors: errors of this room, for the CDFs.
        differences: paired differences to the reference method.
        maps, pairings: twin beside reality.
        maps_note: what was done to the maps for the eye.
        given: what the scene was made from.
        assumptions: what the scene takes for granted.
        solver: solver arguments as used.
        perturbed: the uncertain quantities and their draws.
    """

    name: str
    title: str
    records: tuple[Record, ...]
    errors: tuple[Errors, ...] = ()
    differences: tuple[Difference, ...] = ()
    outline_m: Array = field(default_factory=lambda: np.empty((0, 2)))
    plan_png: bytes | None = None
    plan_caption: str = ""
    maps: tuple[SignalMap, ...] = ()
    pairings: tuple[Pairing, ...] = ()
    maps_note: str = ""
    given: str = ""
    assumptions: tuple[str, ...] = ()
    solver: Mapping[str, Plain] = field(default_factory=dict)
    perturbed: tuple[Perturbed, ...] = ()


@dataclass(frozen=True)
class DataSource:
    """Where measurements come from and on what terms."""

    name: str
    address: str
    licence: str
    citation: str


@dataclass(frozen=True, eq=False)
class ReportContent:
    """Everything a report shows.

    Args:
        banner: first line of the page: what stands for reality.
        real: whether reality was measured; a simulated one gets a warning's colours.
        title: heading of the page.
        introduction: one or two sentences on the question and how it was answered.
        rooms: in the order shown.
        methods: in the order shown; a method found in the records only is shown by its name.
        hero: name of the method whose answer is the verdict, there called the adapted twin.
        reference: name of the method it is compared with.
        headline_k: number of labels of the verdict and of the first CDFs.
        alignment_methods: names of the same learner under different alignments, shown apart. Those
            that are not `hero` stay out of the main figures.
        notes: headings and the statements below them, without which no number can be judged.
        provenance: groups of named facts (versions, backend, seeds, digests, timings [s], …).
        command: the command line that makes this report again.
        sources: the real data used.
    """

    banner: str
    real: bool
    title: str
    introduction: str
    rooms: tuple[RoomContent, ...]
    methods: tuple[Method, ...]
    hero: str
    reference: str = "knn"
    headline_k: int = 3
    alignment_methods: tuple[str, ...] = ()
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    provenance: Mapping[str, Mapping[str, Plain]] = field(default_factory=dict)
    command: str = ""
    sources: tuple[DataSource, ...] = ()
