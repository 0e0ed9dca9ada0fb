"""Which uncertain quantity of the office wing moves ranges, RSS and position error most.

    python -m benchmarks.sensitivity [--quick] [--samples-in FOLDER]

Two designs over all quantities of ``scenes/office_wing/perturbation.yaml``, each quantity with all
its elements: Sobol total indices (64 base samples, 64 x (quantities + 2) scenes), and every
quantity alone (8 draws each, all others as declared), which gives the size of its error in metres
and dB. Every scene is traced at depth 3 to every third receiver point and compared with the scene
as declared; see `flows.sensitivity`. The search for reflections shoots 20,000 rays a round in place
of 250,000 and ends at a share of 0.5 % in place of 0.1 %: on nine scenes of the second design that
moved no change of RSS by more than 0.001 dB and none of range by a millimetre.

Finished scenes are kept in ``out/sensitivity`` (``--samples-in``), and a run that was killed goes
on from there; they serve only for the same scene, table and settings. Writes
``benchmarks/results/sensitivity.json`` (records with ``design``, ``output``, ``rank``, ``factor``,
``index``, and the bounds ``low`` and ``high`` of its 95 % bootstrap interval) and tables beside it.
The machine to itself, the whole takes about twelve minutes on two cores. ``--quick`` is eight
points and few samples, and writes nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from flows.sensitivity import rank, run_sweep
from flows.sensitivity_plan import Design, Sweep
from flows.sensitivity_report import OUTPUTS, Ranking, as_json, as_markdown
from twin.atomic import write_text
from twin.trace.engine import TraceSettings

RESULTS = Path(__file__).parent / "results"
SCENE = "office_wing"
TRACE = TraceSettings(max_depth=3, rays_per_round=20_000, undiscovered_share=5e-3)
FULL = (
    Sweep(scene=SCENE, design="sobol", samples=64, every=3, trace=TRACE),
    Sweep(scene=SCENE, design="oat", samples=8, every=3, trace=TRACE),
)
QUICK = (
    Sweep(scene=SCENE, design="sobol", samples=2, every=28, trace=TRACE),
    Sweep(scene=SCENE, design="oat", samples=2, every=28, trace=TRACE),
)
_EVERY_SECONDS = 20.0


def measure(sweeps: Sequence[Sweep], folder: Path) -> list[Ranking]:
    """Rankings of all outputs of all sweeps; finished scenes are kept in the folder."""
    rankings = []
    for sweep in sweeps:
        plan, records = run_sweep(sweep, folder / f"{sweep.design}.jsonl", _Told(sweep.design))
        rankings += rank(plan, records)
    return rankings


class _Told:
    """Says how far a sweep is, now and then."""

    def __init__(self, design: Design) -> None:
        self._design = design
        self._said = 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if done == total or now - self._said > _EVERY_SECONDS:
            self._said = now
            clock = time.strftime("%H:%M:%S")
            print(f"{clock} {self._design}: {done}/{total}", file=sys.stderr, flush=True)


_SAID = {
    "sobol": "Shares of the variance (total Sobol indices) and their 95 % intervals:",
    "oat": "Sizes of the errors when one quantity alone is drawn, and their 95 % intervals:",
}


def text(rankings: Sequence[Ranking]) -> str:
    """The three factors that matter most, by design and output, then the tables, as Markdown."""
    head = "Made by `python -m benchmarks.sensitivity`, whose text says how it measures."
    lines = [head, "Quantities whose intervals overlap are not told apart.", ""]
    for design, said in _SAID.items():
        lines += [said, ""]
        for ranking in rankings:
            if ranking.design == design:
                first = ", ".join(
                    f"`{place.factor}` {place.index:.2g} {_interval(place.low, place.high)}"
                    for place in ranking.places[:3]
                )
                lines.append(f"- {OUTPUTS[ranking.output][0]}: {first}")
        lines.append("")
    return "\n".join([*lines, as_markdown(rankings)])


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "(too few samples for an interval)"
    return f"({low:.2g} to {high:.2g})"


def main() -> None:
    """Run both sweeps and write what they found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small; writes no results")
    parser.add_argument("--samples-in", type=Path, default=Path("out/sensitivity"))
    arguments = parser.parse_args()
    if arguments.quick:
        with tempfile.TemporaryDirectory() as folder:
            print(text(measure(QUICK, Path(folder))), end="")
        return
    rankings = measure(FULL, arguments.samples_in)
    write_text(RESULTS / "sensitivity.json", as_json(rankings))
    write_text(RESULTS / "sensitivity.md", text(rankings))
    print(text(rankings), end="")


if __name__ == "__main__":
    main()
