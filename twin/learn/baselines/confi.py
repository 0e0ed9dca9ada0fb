"""ConFi: a convolutional network trained as an ordinary classifier of reference points.

Chen et al., ConFi, IEEE Access 5 (2017), with MetaLoc's network (IEEE JSAC 41(12), 2023, section
IV-C). It does not adapt: what it knows of a place is what it was trained on.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from twin.errors import Fault, refuse
from twin.seeds import stream


def train(
    model: keras.Model,
    images: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    steps: int,
    rate: float,
    seed: int,
    batch: int = 32,
) -> list[float]:
    """Minimise the cross-entropy of labelled images by Adam; the model is changed.

    Args:
        model: gives logits.
        images: (n, subcarrier, packet, ap).
        labels: (n,) classes.
        steps: gradient steps.
        rate: step size.
        seed: of the order of the images, which are taken without replacement, over and over.
        batch: images a step; fewer, where there are fewer.

    Returns:
        Loss of every step.

    Raises:
        InputError: no image, or another number of labels.
    """
    found = f"{len(images)} images, labels {labels.shape}"
    fits = len(images) > 0 and labels.shape == (len(images),)
    refuse([] if fits else [Fault("ConFi", "samples", "1 or more, a label each", found)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(rate), loss=loss)
    generator = stream(seed, "confi", "order")
    size = min(batch, len(images))
    left = np.zeros(0, np.intp)
    losses = []
    for _ in range(steps):
        if len(left) < size:
            left = generator.permutation(len(images))
        taken, left = left[:size], left[size:]
        found_loss = model.train_on_batch(images[taken].astype(model.compute_dtype), labels[taken])
        losses.append(float(found_loss))
    return losses


def logits(model: keras.Model, images: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """(n, classes) for (n, subcarrier, packet, ap) images."""
    return np.asarray(model.predict_on_batch(images.astype(model.compute_dtype)))
