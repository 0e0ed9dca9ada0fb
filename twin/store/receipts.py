"""The receipt of a job: written last, so that it stands for whole data.

Receipts are cells of the text array ``receipt`` (realisation, block), one file a cell, so that they
lie alike on a disk, in object storage and in a versioned store.
"""

from __future__ import annotations

import json

import numpy as np
import zarr
from pydantic import Field, ValidationError

from twin.config import StrictModel
from twin.store.block import Block
from twin.store.content import AnyArray, json_digest
from twin.store.layout import Job, StoredArray, array_of, jobs_of
from twin.store.spec import SiteSpec
from twin.store.storage import READ_ERRORS, run


class Receipt(StrictModel):
    """What a finished job says of the data it wrote; equal for equal content.

    Args:
        job: name of the job.
        config_digest: of the site the job was done for.
        digests: by variable, of the content in canonical order; see `twin.store.content`.
        digest: of all the rest, so that a damaged receipt is none.
        points: number of points in the block.
        points_without_path: how many of them have status 2.
        power_left_out_max: largest power gain left out on a link; None where the site keeps none.
        csi_nmse_max: largest normalised squared error of a link's channel; None where channels are
            kept as they are.
    """

    job: str
    config_digest: str
    digests: dict[str, str]
    digest: str
    points: int = Field(ge=1)
    points_without_path: int = Field(ge=0)
    power_left_out_max: float | None
    csi_nmse_max: float | None


def receipt_for(name: str, config_digest: str, block: Block) -> Receipt:
    """Receipt of a job."""
    values = block.values
    receipt = Receipt(
        job=name,
        config_digest=config_digest,
        digests=block.digests,
        digest="",
        points=len(values["status"]),
        points_without_path=int(np.count_nonzero(values["status"] == 2)),
        power_left_out_max=_largest(values.get("power_left_out")),
        csi_nmse_max=_largest(values.get("csi_nmse")),
    )
    return receipt.model_copy(update={"digest": _seal(receipt)})


def _seal(receipt: Receipt) -> str:
    """Digest of everything that a receipt says."""
    return json_digest(receipt.model_dump(mode="json", exclude={"digest"}))


def _largest(values: AnyArray | None) -> float | None:
    if values is None:
        return None
    finite = values[np.isfinite(values)]
    return float(finite.max()) if finite.size else None


def write_receipt(group: zarr.Group, job: Job, spec: SiteSpec, receipt: Receipt) -> None:
    """Put a receipt in place in one step."""
    text = json.dumps(receipt.model_dump(mode="json"), sort_keys=True)
    array_of(group, "receipt")[job.realisation, job.block(spec)] = text


def withdraw_receipt(group: zarr.Group, job: Job, spec: SiteSpec) -> None:
    """Make a job count as not done."""
    store = group.store
    key = f"{group.path}/receipt/c/{job.realisation}/{job.block(spec)}"
    if run(lambda: store.exists(key)):
        array_of(group, "receipt")[job.realisation, job.block(spec)] = ""


def read_receipts(group: zarr.Group, spec: SiteSpec) -> dict[Job, Receipt]:
    """The receipts that hold for the site's config digest, by job; a damaged one is none."""
    array = array_of(group, "receipt")
    digest = spec.digest
    try:
        texts = {
            job: str(text)
            for job, text in zip(jobs_of(spec), np.asarray(array[...]).ravel(), strict=True)
        }
    except READ_ERRORS:
        texts = {job: _text(array, job, spec) for job in jobs_of(spec)}
    receipts = {}
    for job, text in texts.items():
        receipt = _valid(text, job.name(spec), digest)
        if receipt is not None:
            receipts[job] = receipt
    return receipts


def _text(array: StoredArray, job: Job, spec: SiteSpec) -> str:
    try:
        return str(np.asarray(array[job.realisation, job.block(spec)]))
    except READ_ERRORS:
        return ""


def _valid(text: str, name: str, config_digest: str) -> Receipt | None:
    if not text:
        return None
    try:
        receipt = Receipt.model_validate_json(text)
    except ValidationError:
        return None
    whole = receipt.job == name and receipt.digest == _seal(receipt)
    return receipt if whole and receipt.config_digest == config_digest else None
