"""The matrices of a DeepMIMO v4 scenario, read a block of receivers at a time."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, closing
from types import TracebackType

import numpy as np
import numpy.typing as npt

from twin.errors import Fault, Gathered, InputError, refuse
from twin.store.exchange.deepmimo_conventions import (
    PATH_MATRICES,
    leading_digits,
    matrix_file,
)
from twin.store.exchange.deepmimo_scenario import Scenario
from twin.store.exchange.npz_stream import NpzReader

# Angles that float32 has rounded over the edge of their range.
_ANGLE_TOLERANCE_DEG = 1e-3

Floats = npt.NDArray[np.float64]


class Snapshot:
    """The matrices of one scene, opened for reading forwards.

    Args:
        scenario: it belongs to.
        index: of the scene.

    Raises:
        InputError: files that are missing or damaged, or shapes that disagree; all are named.
    """

    def __init__(self, scenario: Scenario, index: int) -> None:
        self._scenario = scenario
        self._folder = scenario.snapshots[index]
        self._stack = ExitStack()
        self._readers: dict[tuple[str, int, int, int], NpzReader] = {}
        faults: list[Fault] = []
        try:
            for tx_set, tx in scenario.transmitters:
                for rx_set, count in scenario.receivers:
                    for matrix in (*PATH_MATRICES, "rx_pos", "tx_pos"):
                        with Gathered(faults):
                            self._open((matrix, tx_set, tx, rx_set))
                    if not faults:
                        faults += self._shape_faults(tx_set, tx, rx_set, count)
            refuse(faults)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def paths(self) -> int:
        """Paths of the longest list of a link."""
        return max(
            reader.headers["power"].shape[1]
            for key, reader in self._readers.items()
            if key[0] == "power"
        )

    def transmitter_positions(self) -> Floats:
        """(transmitter, 3) [m]."""
        rx_set = self._scenario.receivers[0][0]
        return np.array(
            [
                self._readers["tx_pos", *pair, rx_set].whole("tx_pos").reshape(3).astype(np.float64)
                for pair in self._scenario.transmitters
            ]
        )

    def matrices(self, tx: int, start: int, stop: int, paths: int) -> dict[str, Floats]:
        """The matrices of a transmitter, float64, NaN where there is no path.

        Args:
            tx: number of the transmitter.
            start: first receiver, counted over all sets.
            stop: behind the last receiver.
            paths: columns wanted.

        Returns:
            (stop - start, paths) by name, and ``rx_pos`` (stop - start, 3) [m].
        """
        columns = {**dict.fromkeys(PATH_MATRICES, paths), "rx_pos": 3}
        return {
            matrix: self._rows(matrix, tx, start, stop, width) for matrix, width in columns.items()
        }

    def where(self, matrix: str, tx: int) -> str:
        """How messages name a matrix."""
        pair = self._scenario.transmitters[tx]
        return str(self._folder / matrix_file(matrix, *pair, self._scenario.receivers[0][0]))

    def _open(self, key: tuple[str, int, int, int]) -> None:
        path = self._folder / matrix_file(*key)
        if not path.is_file():
            raise InputError([Fault(str(path), "", "a matrix as .npz", "nothing there")])
        reader = self._stack.enter_context(closing(NpzReader(path)))
        header = reader.headers.get(key[0])
        if header is None or header.dtype.kind not in "fiu":
            found = ", ".join(reader.headers) or "nothing"
            raise InputError([Fault(str(path), "", f"numbers under {key[0]!r}", found)])
        self._readers[key] = reader

    def _shape_faults(self, tx_set: int, tx: int, rx_set: int, count: int) -> list[Fault]:
        pair = (tx_set, tx, rx_set)
        shapes = {
            matrix: self._readers[matrix, *pair].headers[matrix].shape
            for matrix in (*PATH_MATRICES, "rx_pos", "tx_pos")
        }
        paths = shapes["power"][1] if len(shapes["power"]) == 2 else 0
        expected: dict[str, tuple[tuple[int, ...], ...]] = {
            **dict.fromkeys(PATH_MATRICES, ((count, paths),)),
            "rx_pos": ((count, 3),),
            "tx_pos": ((1, 3), (3,)),
        }
        return [
            Fault(
                str(self._folder / matrix_file(matrix, *pair)),
                "shape",
                " or ".join(map(str, expected[matrix])),
                f"{shape}",
            )
            for matrix, shape in shapes.items()
            if shape not in expected[matrix]
        ]

    def _rows(self, matrix: str, tx: int, start: int, stop: int, columns: int) -> Floats:
        rows = np.full((stop - start, columns), np.nan)
        first = 0
        for rx_set, count in self._scenario.receivers:
            low, high = max(start, first), min(stop, first + count)
            if low < high:
                pair = self._scenario.transmitters[tx]
                reader = self._readers[matrix, *pair, rx_set]
                width = reader.headers[matrix].shape[1]
                content = reader.read(matrix, (low - first) * width, (high - low) * width)
                block = content.reshape(high - low, width)
                rows[low - start : high - start, :width] = block[:, :columns]
            first += count
        return rows


def value_faults(matrices: Mapping[str, Floats], where: Mapping[str, str]) -> list[Fault]:
    """What is wrong with the numbers of some links; `where` names each matrix."""
    there = ~np.isnan(matrices["power"])
    upper = 180.0 + _ANGLE_TOLERANCE_DEG
    rules: dict[str, tuple[str, npt.NDArray[np.bool_]]] = {
        "power": ("less than infinite [dB]", matrices["power"] < np.inf),
        "phase": ("a phase [degree]", np.isfinite(matrices["phase"])),
        "delay": ("a delay [s], not negative", _between(matrices["delay"], 0.0, 1.0)),
        "inter": ("digits from 0 to 4", _digits_known(matrices["inter"])),
    }
    for name in ("aoa_az", "aod_az"):
        rules[name] = ("an azimuth [degree]", _between(matrices[name], -2 * upper, 2 * upper))
    for name in ("aoa_el", "aod_el"):
        zenith = _between(matrices[name], -_ANGLE_TOLERANCE_DEG, upper)
        rules[name] = ("a zenith angle from 0 to 180 [degree]", zenith)
    faults = []
    for name, (expected, good) in rules.items():
        wrong = there & ~good
        if wrong.any():
            row, path = (int(index) for index in np.argwhere(wrong)[0])
            found = f"{matrices[name][row, path]} at path {path} ({int(wrong.sum())} in a block)"
            faults.append(Fault(where[name], name, expected, found))
    return faults


def _between(values: Floats, low: float, high: float) -> npt.NDArray[np.bool_]:
    return np.asarray((values >= low) & (values <= high))


def _digits_known(codes: Floats) -> npt.NDArray[np.bool_]:
    plain = np.where(np.isfinite(codes) & (codes >= 0), codes, 9.0).astype(np.float64)
    rest = leading_digits(plain)
    known = np.ones(rest.shape, dtype=np.bool_)
    while rest.any():
        known &= rest % 10 <= 4
        rest = rest // 10
    return known
