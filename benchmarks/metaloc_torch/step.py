"""A meta-step of MAML in PyTorch, the rival of `benchmarks.metaloc_speed`.

    python step.py EXCHANGE.npz THREADS

Runs in an environment of its own and imports nothing of this project. It reads weights and tasks
from ``EXCHANGE.npz``, prints one line of JSON with its versions, and answers every line of JSON on
its standard input with one: ``{"do": "check", ...}`` writes the outer loss and its gradient to
``file``, ``{"do": "time", ...}`` makes one step of the outer optimiser (Adam) and gives its
``seconds``. In between it sleeps, so that both sides can take turns on one machine.

All `VARIANTS` compute the same function of the same numbers:

- ``vmap``: torch.func as its documentation does it, all tasks in one call of vmap, images with
  channels first, each convolution followed by bias, ReLU and pooling.
- ``vmap tuned``: the same with what makes the others quick: images with channels last, and bias and
  ReLU after the pooling, on a quarter of the elements.
- ``func``: tuned, torch.func.grad of one task after the other.
- ``func threads``: likewise, tasks side by side in threads of Python, one thread of PyTorch each.
- ``autograd`` and ``autograd threads``: likewise, with torch.autograd.grad in place of torch.func.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as nn
from torch import Tensor
from torch.func import grad, grad_and_value, vmap

Weights = Sequence[Tensor]
Network = Callable[[Weights, Tensor], Tensor]
Loss = Callable[[Weights, Tensor, Tensor], Tensor]
# Slopes and loss of one task, or of a whole batch.
Outer = Callable[..., tuple[Weights, Tensor]]

VARIANTS = ("vmap", "vmap tuned", "func", "func threads", "autograd", "autograd threads")


def plain_cnn(weights: Weights, images: Tensor) -> Tensor:
    """Logits of (n, 3, h, w) images: every convolution with bias, ReLU and pooling, in turn."""
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        images = nn.relu(nn.conv2d(images, kernel, bias, padding=1))
        images = nn.max_pool2d(images, 2, ceil_mode=True)
    return _dense(weights, images)


def tuned_cnn(weights: Weights, images: Tensor) -> Tensor:
    """The same function with bias and ReLU after the pooling."""
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        images = nn.max_pool2d(nn.conv2d(images, kernel, padding=1), 2, ceil_mode=True)
        images = nn.relu(images + bias[:, None, None])
    return _dense(weights, images)


def _dense(weights: Weights, images: Tensor) -> Tensor:
    # Features are ordered as on the other side: row, column, channel.
    return images.permute(0, 2, 3, 1).flatten(1) @ weights[-2] + weights[-1]


def perceptron(weights: Weights, inputs: Tensor) -> Tensor:
    """ReLU layers and a linear output."""
    for matrix, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        inputs = nn.relu(inputs @ matrix + bias)
    return inputs @ weights[-2] + weights[-1]


def cross_entropy(network: Network) -> Loss:
    """Loss of a classifier."""
    return lambda weights, inputs, classes: nn.cross_entropy(network(weights, inputs), classes)


def mean_square(network: Network) -> Loss:
    """Mean squared Euclidean distance of a regression."""

    def loss(weights: Weights, inputs: Tensor, targets: Tensor) -> Tensor:
        return ((network(weights, inputs) - targets) ** 2).sum(-1).mean()

    return loss


@dataclass(frozen=True)
class Inner:
    """Gradient steps on the support set of a task."""

    rate: float
    steps: int
    first_order: bool

    def by_func(self, loss: Loss) -> Callable[..., Tensor]:
        """Loss of a task's queries after the steps, with torch.func."""
        gradient = grad(loss)

        def of_task(weights: Weights, *task: Tensor) -> Tensor:
            for _ in range(self.steps):
                slopes = gradient(list(weights), task[0], task[1])
                if self.first_order:
                    slopes = [slope.detach() for slope in slopes]
                weights = [w - self.rate * slope for w, slope in zip(weights, slopes, strict=True)]
            return loss(weights, task[2], task[3])

        return of_task

    def by_autograd(self, loss: Loss) -> Outer:
        """Slopes and loss of a task, with torch.autograd.grad."""

        def outer(weights: Weights, *task: Tensor) -> tuple[Weights, Tensor]:
            start = [w.detach().requires_grad_() for w in weights]
            reached: Weights = start
            for _ in range(self.steps):
                slopes = torch.autograd.grad(
                    loss(reached, task[0], task[1]), reached, create_graph=not self.first_order
                )
                reached = [w - self.rate * slope for w, slope in zip(reached, slopes, strict=True)]
            value = loss(reached, task[2], task[3])
            return torch.autograd.grad(value, start), value.detach()

        return outer


def in_one_call(of_task: Callable[..., Tensor]) -> Outer:
    """All tasks at once; the outer gradient of their mean."""
    across = vmap(of_task, in_dims=(None, 0, 0, 0, 0))

    def mean(weights: Weights, *batch: Tensor) -> Tensor:
        return across(weights, *batch).mean()

    return grad_and_value(mean)


def one_by_one(outer: Outer, pool: ThreadPoolExecutor | None) -> Outer:
    """The mean over tasks that are treated apart, side by side where there is a pool."""
    each = map if pool is None else pool.map

    def mean(weights: Weights, *batch: Tensor) -> tuple[Weights, Tensor]:
        parts = list(each(lambda task: outer(weights, *task), zip(*batch, strict=True)))
        slopes = [torch.stack(own).mean(0) for own in zip(*(s for s, _ in parts), strict=True)]
        return slopes, torch.stack([value for _, value in parts]).mean()

    return mean


class Problem:
    """Weights and tasks of one network, from the exchange file."""

    def __init__(self, name: str, given: dict[str, np.ndarray]) -> None:
        """Take the arrays whose names begin with the network's."""
        self.images = name == "cnn"
        count = sum(key.startswith(f"{name} weight ") for key in given)
        self.weights = [self._inward(given[f"{name} weight {index}"]) for index in range(count)]
        parts = ("support inputs", "support targets", "query inputs", "query targets")
        batch = [torch.from_numpy(given[f"{name} {part}"]) for part in parts]
        if self.images:
            batch[1], batch[3] = batch[1].long(), batch[3].long()
            batch[0], batch[2] = (batch[i].permute(0, 1, 4, 2, 3) for i in (0, 2))
        self.tuned = tuple(batch)
        self.plain = tuple(part.contiguous() for part in batch)
        self.rate, self.outer_rate = float(given["rate"]), float(given["outer rate"])
        self.steps = int(given["steps"])

    def _inward(self, weight: np.ndarray) -> Tensor:
        found = torch.from_numpy(weight)
        return found.permute(3, 2, 0, 1).contiguous() if weight.ndim == 4 else found

    def outward(self, slope: Tensor) -> np.ndarray:
        """A gradient in the layout of the other side."""
        return (slope.permute(2, 3, 1, 0) if slope.ndim == 4 else slope).numpy()

    def variant(
        self, name: str, first_order: bool, pool: ThreadPoolExecutor
    ) -> Callable[[], tuple[Weights, Tensor]]:
        """Slopes and loss at the weights that hold when it is called."""
        inner = Inner(self.rate, self.steps, first_order)
        plain = name == "vmap"
        network: Network = perceptron
        if self.images:
            network = plain_cnn if plain else tuned_cnn
        loss = (cross_entropy if self.images else mean_square)(network)
        if name.startswith("vmap"):
            outer = in_one_call(inner.by_func(loss))
        else:
            one = (
                inner.by_autograd(loss)
                if name.startswith("autograd")
                else grad_and_value(inner.by_func(loss))
            )
            outer = one_by_one(one, pool if name.endswith("threads") else None)
        batch = self.plain if plain else self.tuned
        return lambda: outer(self.weights, *batch)


class Rival:
    """Answers requests."""

    def __init__(self, exchange: Path, threads: int) -> None:
        """Read the exchange file; `threads` for PyTorch, or for Python."""
        torch.set_num_threads(threads)
        with np.load(exchange) as file:
            given = dict(file)
        self._problems = {name: Problem(name, given) for name in ("cnn", "mlp")}
        # The number of PyTorch's threads is one of each thread that calls it.
        self._pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
        self._steps: dict[tuple[str, str, bool], Any] = {}
        self._optimizers = {
            name: torch.optim.Adam(problem.weights, lr=problem.outer_rate)
            for name, problem in self._problems.items()
        }

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked; see the text of this file."""
        network = request["network"]
        key = (network, request["variant"], request["first_order"])
        problem = self._problems[network]
        if key not in self._steps:
            self._steps[key] = problem.variant(*key[1:], self._pool)
        step = self._steps[key]
        if request["do"] == "check":
            slopes, loss = step()
            arrays = {f"slope {i}": problem.outward(slope) for i, slope in enumerate(slopes)}
            np.savez(request["file"], loss=loss.numpy(), **arrays)
            return {"file": request["file"]}
        begun = time.perf_counter()
        slopes, loss = step()
        for weight, slope in zip(problem.weights, slopes, strict=True):
            weight.grad = slope
        self._optimizers[network].step()
        loss.item()
        return {"seconds": time.perf_counter() - begun, "threads": torch.get_num_threads()}


def main() -> None:
    """Serve until the other side closes the pipe."""
    exchange, threads = Path(sys.argv[1]), int(sys.argv[2])
    rival = Rival(exchange, threads)
    about = {"torch": torch.__version__, "python": sys.version.split()[0], "process": os.getpid()}
    print(json.dumps(about), flush=True)
    for line in sys.stdin:
        print(json.dumps(rival.answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
