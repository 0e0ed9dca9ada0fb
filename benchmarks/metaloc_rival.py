"""The rival of `benchmarks.metaloc_speed`: its environment, its process, and what it is given."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from benchmarks.metaloc_speed_tasks import IMAGE, INNER_STEPS, OUTER_RATE, RATE

if TYPE_CHECKING:
    import keras

    from twin.learn.metalearning import MetaTraining
    from twin.learn.tasks import AnyArray, TaskBatch

Answer = dict[str, Any]
FOLDER = Path(__file__).parent / "metaloc_torch"
TORCH = "2.13.0"
#: See ``metaloc_torch/step.py``.
VARIANTS = ("vmap", "vmap tuned", "func", "func threads", "autograd", "autograd threads")
# Builds without the libraries of graphics cards; of equal versions pip takes these.
_WHEELS = "https://download.pytorch.org/whl/cpu"


def rival_python(folder: Path) -> Path:
    """The interpreter of the rival's environment, which is made where there is no such folder.

    Raises:
        RuntimeError: the folder holds another version of PyTorch, or is no environment.
        subprocess.CalledProcessError: it cannot be made; the command has said why.
    """
    python = folder.absolute() / "bin" / "python"
    if not folder.exists():
        # Standard output is for results.
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, stdout=sys.stderr)
        install = ["-m", "pip", "install", "--retries", "1", "--extra-index-url", _WHEELS]
        wanted = str(FOLDER / "requirements.txt")
        command = [str(python), *install, "--requirement", wanted]
        subprocess.run(command, check=True, stdout=sys.stderr)
    found = "none"
    if python.exists():
        ask = [str(python), "-c", "import torch; print(torch.__version__)"]
        found = subprocess.run(ask, capture_output=True, check=False, text=True).stdout.strip()
    if found.split("+")[0] != TORCH:
        raise RuntimeError(
            f"{folder}: expected an environment with PyTorch {TORCH}, found {found or 'none'}. "
            "Remove the folder, then it is made anew."
        )
    return python


def write_exchange(path: Path, sides: Mapping[str, tuple[MetaTraining, TaskBatch]]) -> None:
    """Weights and tasks of both networks, "cnn" and "mlp", as `numpy.savez` keeps them.

    Images are written as the first layer of our network rescales them: the rival is spared that.
    """
    arrays: dict[str, Any] = {"rate": RATE, "outer rate": OUTER_RATE, "steps": INNER_STEPS}
    for network, (side, batch) in sides.items():
        for index, weight in enumerate(side.model.get_weights()):
            arrays[f"{network} weight {index}"] = weight
        parts = {
            "support inputs": batch.support_inputs,
            "support targets": batch.support_targets,
            "query inputs": batch.query_inputs,
            "query targets": batch.query_targets,
        }
        for part, values in parts.items():
            pixels = values.dtype == np.uint8
            arrays[f"{network} {part}"] = _rescaled(side.model, values) if pixels else values
    np.savez(path, **arrays)


def _rescaled(model: keras.Model, images: AnyArray) -> AnyArray:
    flat = images.reshape(-1, *IMAGE).astype(np.float32)
    return np.asarray(model.layers[0](flat)).reshape(images.shape)


def difference(ours: tuple[float, Sequence[AnyArray]], file: Path) -> float:
    """Largest relative difference of loss and gradients, weight by weight, from an answer's file.

    Args:
        ours: loss and gradients, as `MetaTraining.gradient` gives them.
        file: answer to ``check``.
    """
    loss, gradients = ours
    with np.load(file) as given:
        found = [abs(float(given["loss"]) - loss) / abs(loss)]
        found += [_gap(given[f"slope {index}"], slope) for index, slope in enumerate(gradients)]
    return max(found)


def _gap(theirs: npt.NDArray[np.float32], ours: AnyArray) -> float:
    return float(np.linalg.norm(theirs - ours) / np.linalg.norm(ours))


class Rival:
    """The rival's process, ready; see ``metaloc_torch/step.py``.

    Attributes:
        about: its versions.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Wait until it is ready."""
        self._process = process
        self.about = self._line()

    def ask(
        self, do: str, network: str, order: str, variant: str, file: Path | None = None
    ) -> Answer:
        """One request and its answer.

        Raises:
            RuntimeError: the process ended.
        """
        sent = self._process.stdin
        if sent is None:
            raise AssertionError("the rival is started with a pipe")
        request = {
            "do": do,
            "network": network,
            "variant": variant,
            "first_order": order == "first",
            "file": str(file),
        }
        sent.write(json.dumps(request) + "\n")
        sent.flush()
        return self._line()

    def _line(self) -> Answer:
        heard = self._process.stdout
        line = heard.readline() if heard is not None else ""
        if not line:
            raise RuntimeError("the rival's process ended; what it said of it is above")
        answer: Answer = json.loads(line)
        return answer


@contextmanager
def rival(python: Path, exchange: Path, threads: int) -> Iterator[Rival]:
    """A rival's process that ends with the block."""
    command = [str(python), str(FOLDER / "step.py"), str(exchange), str(threads)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Rival(process)
        finally:
            if process.stdin is not None:
                process.stdin.close()
            process.wait(timeout=60)
