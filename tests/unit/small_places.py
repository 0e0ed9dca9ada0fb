"""Small places in free space, made in memory."""

from __future__ import annotations

import numpy as np

from twin.store.reader import Environment

AP = ("AP1", "AP2", "AP3")
AP_POSITION = np.array([[-1.0, -1.0, 2.0], [9.0, 0.0, 2.0], [3.0, 10.0, 2.0]])


def grid(side=5, pitch=2.0):
    x, y = np.meshgrid(np.arange(side) * pitch, np.arange(side) * pitch, indexing="ij")
    return np.column_stack([x.ravel(), y.ravel(), np.ones(side * side)])


def distances(position):
    return np.linalg.norm(position[:, None, :] - AP_POSITION, axis=-1)


def place(realisation=0, *, seed=7, bias_db=4.0, noise_db=1.0, snapshots=3, split=None, side=5):
    """Free-space RSS and RTT with biases of the realisation's own and noise of each snapshot."""
    generator = np.random.default_rng([seed, realisation])
    position = grid(side)
    distance = distances(position)
    shape = (len(position), snapshots, len(AP))
    rss = -40.0 - 20.0 * np.log10(distance) + bias_db * generator.normal(size=len(AP))
    rtt = distance + 0.5 * generator.normal(size=len(AP))
    return Environment(
        site="square",
        realisation=realisation,
        visit=0,
        label=f"realisation {realisation}",
        position=position,
        features={
            "rss": (rss[:, None, :] + noise_db * generator.normal(size=shape)).astype(np.float32),
            "rtt": (rtt[:, None, :] + 0.1 * generator.normal(size=shape)).astype(np.float32),
        },
        split=np.full(len(position), "") if split is None else np.asarray(split),
        ap=AP,
        ap_position=AP_POSITION,
        attrs={},
    )


def places(count=4, **kind):
    return [place(realisation, **kind) for realisation in range(count)]
