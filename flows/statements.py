"""What a report must say for its numbers to be judged: what was known, and how was measured."""

from __future__ import annotations

from collections.abc import Sequence

from flows.preparation import Prepared
from twin.evaluate.metrics import CONFIDENCE, REPLICATES
from twin.evaluate.records import Record
from twin.evaluate.report.content import Plain
from twin.perturb.table import Move, Placement, Quantity
from twin.sense.receiver import SenseModel

_RECEIVER = {
    "rss_offset_std_db": "RSS offset of an access point, std [dB]",
    "shadowing_std_db": "shadowing by clutter, std [dB]",
    "shadowing_decorrelation_m": "its decorrelation distance [m]",
    "rss_jitter_std_db": "RSS jitter from scan to scan, std [dB]",
    "rss_step_db": "RSS is reported in steps of [dB]",
    "detection_threshold_dbm": "weakest RSS heard [dBm]",
    "edge_fraction": "leading edge, share of the peak",
    "rtt_bias_mean_m": "RTT bias of an access point, mean [m]",
    "rtt_bias_std_m": "RTT bias of an access point, std [m]",
    "rtt_scale_std": "RTT scale error of an access point, std",
    "rtt_point_std_m": "RTT error of a point, std [m]",
    "rtt_noise_std_m": "RTT noise from scan to scan, std [m]",
    "rtt_outlier_probability": "share of late arrivals",
    "rtt_outlier_mean_m": "their mean excess [m]",
}


def receiver_facts(model: SenseModel) -> dict[str, Plain]:
    """The receiver's errors with names and units for people."""
    return {_RECEIVER[key]: value for key, value in model.model_dump().items()}


def knowledge(prepared: Prepared) -> tuple[str, ...]:
    """What twins and learners knew of the place they are judged in."""
    if not prepared.reality.measured:
        return (
            (
                "Reality is one more realisation, drawn from the same perturbation table as "
                "the twin's, and a receiver whose errors are of the same sizes. No real room "
                "is that close to its twin: expect larger errors there."
            ),
            *_receiver_origin(prepared, "not measured"),
        )
    return (
        (
            "Each scene was made from what its section names under “Given”: positions and "
            "areas as published, never a measured RSS or RTT. All else is assumed, and "
            "perturbed from realisation to realisation."
        ),
        (
            "Where line-of-sight labels are named there, they are those of the reference "
            "points only. They stand in for the floor plan that the data set does not have; a "
            "twin of a place with a floor plan needs none. The authors of the scenes had seen "
            "more of the data before: which access points have something near them is an idea "
            "from a draft that was drawn with all points and their levels in view."
        ),
        *_receiver_origin(
            prepared,
            "with statistics of such data sets in mind, these rooms' among them; they were not "
            "fitted",
        ),
        (
            "Learners were trained on simulated fingerprints alone. Of the real room they were "
            "given the k labelled points; only “MetaLoc, aligned unlabelled” also saw the "
            "other reference points, without their positions."
        ),
    )


def _receiver_origin(prepared: Prepared, how: str) -> tuple[str, ...]:
    if prepared.study.sense != SenseModel():
        return ("The sizes of the simulated receiver's errors are those that the study sets.",)
    return (
        (
            "The sizes of the simulated receiver's errors are typical of Wi-Fi indoors and "
            f"were chosen by the authors, {how}; they are listed at the end."
        ),
    )


def procedure(prepared: Prepared, records: Sequence[Record]) -> tuple[str, ...]:
    """How errors and intervals came about."""
    protocol, learners = prepared.study.protocol, prepared.study.learner_seeds
    scans = " or ".join(str(n) for n in sorted({r.fixes // r.points for r in records}))
    return (
        (
            f"A fix is one scan, located by itself: {scans} scans a test point, no averaging, "
            "no memory of the scan before. A scan that heard nothing is left out. The error is "
            "the horizontal distance to the true point."
        ),
        (
            "A labelled fingerprint is the median over all scans of its point, each access "
            "point by itself."
        ),
        (
            "The k labelled points are drawn at random from the reference points, "
            f"{protocol.draws} times. All methods get the same points, and the points of a "
            "small k are among those of a larger one in the same draw."
        ),
        (
            f"Intervals hold {CONFIDENCE * 100:.0f} %: percentiles of {REPLICATES} bootstrap "
            "replicates that resample test points, each with all its scans, and draws of the "
            f"labelled points. The draws take turns with {learners} trainings of each learner "
            "from different seeds. Twins are not resampled: there is one set of realisations."
        ),
    )


def declared(quantity: Quantity) -> str:
    """How a quantity is drawn, in a few words."""
    drawn = quantity.distribution
    verb = {"add": "plus", "multiply": "times", "set": "set to"}[quantity.apply]
    if drawn.kind == "bernoulli":
        return f"yes with probability {drawn.probability:g}"
    if drawn.kind == "choice":
        words = "one of " + ", ".join(str(value) for value in drawn.values)
        if drawn.weights is not None:
            words += " weighted " + " : ".join(f"{weight:g}" for weight in drawn.weights)
    elif drawn.kind == "normal":
        words = f"normal, mean {_signed(drawn.mean)}, std {drawn.std:g}"
        if drawn.low is not None:
            words += f", not below {_signed(drawn.low)}"
        if drawn.high is not None:
            words += f", not above {_signed(drawn.high)}"
    else:
        shape = {"uniform": "uniform", "loguniform": "log-uniform"}[drawn.kind]
        words = f"{_signed(drawn.low)} to {_signed(drawn.high)}, {shape}"
    return f"{verb} {words}"


def rearrangement(owner: Move | Placement) -> str:
    """What a move or a placement does, in a few words."""
    if isinstance(owner, Move):
        return f"moved, {owner.gap_m:g} m clear of all else"
    return f"up to {owner.count}, each there with probability {owner.present_probability:g}"


def unit(quantity: Quantity) -> str:
    """Unit of a draw; nothing for factors and names."""
    return "" if quantity.unit == "1" else quantity.unit


def _signed(value: float) -> str:
    return f"{value:g}".replace("-", "\u2212")
