"""The schema: golden template, refusals of a spec, layout of shards."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import JsonValue, ValidationError

from twin.store.layout import jobs_of
from twin.store.schema import (
    CHANNEL_VARIABLES,
    FINGERPRINT_VARIABLES,
    VARIABLES,
    SiteSpec,
    ap_positions,
    drawn_quantities,
    template,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "store_template.json"


def make_spec(points: int = 600, shard_points: int = 256, subcarriers: int = 64) -> SiteSpec:
    return SiteSpec(
        title="two rooms",
        origin="simulated",
        realisations=("one", "two"),
        points=points,
        access_points=("AP1", "AP2", "AP3"),
        variables=CHANNEL_VARIABLES + FINGERPRINT_VARIABLES,
        ap_position_m=ap_positions(np.arange(18.0).reshape(2, 3, 3)),
        snapshots=4,
        paths=8,
        subcarriers=subcarriers,
        subcarrier_spacing_hz=312_500.0,
        drawn=drawn_quantities([{"height": 1.0}, {"height": 1.5}], {"height": "m"}),
        shard_points=shard_points,
        config={"seed": 1},
    )


def test_template_is_the_golden_one() -> None:
    found = {
        name: {
            "dims": list(array.variable.dims),
            "dtype": array.variable.dtype,
            "fill": str(array.variable.fill),
            "shape": list(array.shape),
            "chunks": list(array.chunks),
            "shards": None if array.shards is None else list(array.shards),
            "attrs": dict(array.attrs),
        }
        for name, array in template(make_spec()).items()
    }
    # A change of the schema shows up here as a change of the golden file, to be reviewed.
    assert json.loads(GOLDEN.read_text(encoding="utf-8")) == found


def test_words_are_those_of_the_tracer() -> None:
    meanings = str(VARIABLES["interactions"].attrs["flag_meanings"])
    assert meanings == "reflection diffuse_reflection transmission diffraction"
    assert VARIABLES["received_power"].attrs["comment"] == "NaN without a path"


@pytest.mark.parametrize(
    ("points", "shard", "subcarriers"),
    [(600, 256, 64), (600, 256, 4096), (151, 256, 8192), (7, 3, 1)],
)
def test_files_belong_to_one_job(points: int, shard: int, subcarriers: int) -> None:
    spec = make_spec(points, shard, subcarriers)
    for array in template(spec).values():
        if not array.variable.by_job:
            continue
        file = array.shards or array.chunks
        assert file[0] == 1
        assert all(outer % inner == 0 for outer, inner in zip(file, array.chunks, strict=True))
        owners = {(job.start // file[1], (job.stop - 1) // file[1]) for job in jobs_of(spec)}
        assert all(first == last for first, last in owners)
        assert len(owners) == len(jobs_of(spec)) // len(spec.realisations)


def test_large_rows_share_a_shard() -> None:
    csi = template(make_spec(subcarriers=4096))["csi"]
    assert csi.shards == (1, 256, 3, 4096)
    assert np.prod(csi.chunks) * 8 <= 2 * 1024 * 1024


def test_spec_reports_all_faults_at_once() -> None:
    content = make_spec().model_dump(mode="json")
    content |= {
        "variables": ["csi", "altitude", "split"],
        "subcarriers": 0,
        "access_points": ["AP1", "AP1", "AP3"],
        "split": [1, 2],
        "attributes": {"digest": "mine"},
    }
    content["drawn"][0]["values"] = [1.0]
    with pytest.raises(ValidationError) as caught:
        SiteSpec.model_validate_json(json.dumps(content))
    message = str(caught.value)
    for part in (
        "csi needs a subcarrier dimension",
        "'altitude' is not a variable",
        "'split' is not a variable",
        "access_points names something twice",
        "split must be empty or have 600 entries",
        "drawn height must have 2 values",
        "attributes may not use the names digest",
    ):
        assert part in message


def test_spec_refuses_wrong_shape_of_ap_positions() -> None:
    content = make_spec().model_dump(mode="json")
    content["ap_position_m"] = content["ap_position_m"][:1]
    with pytest.raises(ValidationError, match=r"shape \(2, 3, 3\)"):
        SiteSpec.model_validate_json(json.dumps(content))


def test_spec_survives_json_with_the_same_digest() -> None:
    spec = make_spec()
    again = SiteSpec.model_validate_json(spec.model_dump_json())
    assert again == spec
    assert again.digest == spec.digest


def test_spec_digest_depends_on_config() -> None:
    spec = make_spec()
    config: dict[str, JsonValue] = {"seed": 2}
    assert spec.model_copy(update={"config": config}).digest != spec.digest


def test_drawn_quantities_encode_text_and_yes_no() -> None:
    first: dict[str, float | bool | str] = {"shift[AP1]": 0.25, "chair": True, "pattern": "iso"}
    second: dict[str, float | bool | str] = {"shift[AP1]": -1, "chair": False, "pattern": "dipole"}
    chair, pattern, shift = drawn_quantities([first, second], {"shift": "m"})
    assert (chair.values, chair.categories, chair.unit) == ((1.0, 0.0), ("no", "yes"), "1")
    assert (pattern.values, pattern.categories) == ((1.0, 0.0), ("dipole", "iso"))
    assert (shift.name, shift.values, shift.unit) == ("shift[AP1]", (0.25, -1.0), "m")
