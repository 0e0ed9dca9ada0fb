"""The receipt of a job: written last, so that it stands for whole data."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydantic import Field, ValidationError

from twin.config import StrictModel
from twin.store.content import AnyArray, joint_digest, variable_digest


class Receipt(StrictModel):
    """What a finished job says of the data it wrote; equal for equal content.

    Args:
        job: name of the job.
        config_digest: of the site the job was done for.
        digests: SHA-256 by variable.
        digest: joint digest of `digests`.
        points: number of points in the block.
        points_without_path: how many of them have status 2.
        power_left_out_max: largest power gain left out on a link; None where the site keeps none.
    """

    job: str
    config_digest: str
    digests: dict[str, str]
    digest: str
    points: int = Field(ge=1)
    points_without_path: int = Field(ge=0)
    power_left_out_max: float | None


def receipt_for(name: str, config_digest: str, values: Mapping[str, AnyArray]) -> Receipt:
    """Receipt over the values of a block, by variable, without the realisation dimension."""
    digests = {variable: variable_digest(block) for variable, block in values.items()}
    left_out = values.get("power_left_out")
    maximum = None
    if left_out is not None:
        finite = left_out[np.isfinite(left_out)]
        maximum = float(finite.max()) if finite.size else None
    return Receipt(
        job=name,
        config_digest=config_digest,
        digests=digests,
        digest=joint_digest(digests),
        points=len(values["status"]),
        points_without_path=int(np.count_nonzero(values["status"] == 2)),
        power_left_out_max=maximum,
    )


def write_receipt(folder: Path, receipt: Receipt) -> None:
    """Put a receipt in place in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{receipt.job}.{uuid.uuid4().hex}.partial"
    temporary.write_text(
        json.dumps(receipt.model_dump(mode="json"), indent=1, sort_keys=True), encoding="utf-8"
    )
    temporary.replace(_path(folder, receipt.job))


def read_receipt(folder: Path, name: str, config_digest: str) -> Receipt | None:
    """The receipt of a job, or None where there is none that holds for this config digest."""
    try:
        receipt = Receipt.model_validate_json(_path(folder, name).read_bytes())
    except (OSError, ValidationError):
        return None
    whole = receipt.job == name and receipt.digest == joint_digest(receipt.digests)
    return receipt if whole and receipt.config_digest == config_digest else None


def withdraw_receipt(folder: Path, name: str) -> None:
    """Make a job count as not done."""
    _path(folder, name).unlink(missing_ok=True)


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"
