"""What DeepMIMO's own loader and channel generator make of an exported scenario.

Run with a Python that has `deepmimo` installed, which cannot share an environment with ours:

    python benchmarks/deepmimo_check.py SCENARIO OUTPUT.npz --bandwidth-hz 20e6 --subcarriers 64

The output holds what it computed, in its own order of axes, a leading one for the snapshots and one
for the transmitters behind the users: `csi` (snapshot, user, transmitter, m_rx, m_tx, subcarrier),
times the square root of the number of subcarriers by which it divides; `los`, `num_paths`
(snapshot, user, transmitter); `rx_pos` (snapshot, user, 3) and `tx_pos` (snapshot, transmitter, 3);
`version` and `summary`, its own text on the scenario.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import deepmimo
import numpy as np

# Its loader and generator keep 25 paths of a link unless told otherwise.
ALL_PATHS = 1_000_000


def main() -> None:
    """Load, compute, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--bandwidth-hz", type=float, required=True)
    parser.add_argument("--subcarriers", type=int, required=True)
    parser.add_argument("--bs-shape", type=int, nargs=2, default=(1, 1), help="columns and rows")
    parser.add_argument("--ue-shape", type=int, nargs=2, default=(1, 1), help="columns and rows")
    parser.add_argument("--bs-rotation", type=float, nargs=3, default=(0.0, 0.0, 0.0),
                        help="roll, pitch, yaw in degrees")  # fmt: skip
    args = parser.parse_args()
    folder = args.scenario.resolve()
    deepmimo.config.set("scenarios_folder", str(folder.parent))
    dataset = deepmimo.load(folder.name, max_paths=ALL_PATHS)
    parameters = {
        "bs_antenna": {"shape": np.array(args.bs_shape), "rotation": np.array(args.bs_rotation)},
        "ue_antenna": {"shape": np.array(args.ue_shape)},
        "num_paths": ALL_PATHS,
        "ofdm": {
            "subcarriers": args.subcarriers,
            "selected_subcarriers": np.arange(args.subcarriers),
            "bandwidth": args.bandwidth_hz,
        },
    }
    snapshots = [_transmitters(snapshot) for snapshot in _snapshots(dataset)]
    csi = np.array(
        [
            [one.compute_channels(deepmimo.ChannelParameters(parameters)) for one in snapshot]
            for snapshot in snapshots
        ]
    )
    arrays = {
        "csi": np.moveaxis(csi, 1, 2) * np.sqrt(np.float32(args.subcarriers)),
        "los": np.moveaxis(_each(snapshots, "los"), 1, 2),
        "num_paths": np.moveaxis(_each(snapshots, "num_paths"), 1, 2),
        "rx_pos": _each(snapshots, "rx_pos")[:, 0],
        "tx_pos": _each(snapshots, "tx_pos").reshape(csi.shape[0], csi.shape[1], 3),
        "version": np.array(deepmimo.__version__),
        "summary": np.array(deepmimo.summary(folder.name, print_summary=False)),
    }
    np.savez(args.output, **arrays)


def _snapshots(dataset: Any) -> list[Any]:  # noqa: ANN401 (types of another library)
    return list(dataset.datasets) if type(dataset).__name__ == "DynamicDataset" else [dataset]


def _transmitters(snapshot: Any) -> list[Any]:  # noqa: ANN401
    return list(snapshot.datasets) if type(snapshot).__name__ == "MacroDataset" else [snapshot]


def _each(snapshots: list[list[Any]], name: str) -> np.ndarray:
    return np.array([[np.asarray(one[name]) for one in snapshot] for snapshot in snapshots])


if __name__ == "__main__":
    main()
