"""The schema: golden template, refusals of a spec, layout of shards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from pydantic import JsonValue, ValidationError

from twin.store.layout import jobs_of
from twin.store.schema import (
    CHANNEL_VARIABLES,
    FINGERPRINT_VARIABLES,
    SEARCH_VARIABLES,
    VARIABLES,
)
from twin.store.spec import SiteSpec, drawn_quantities, vectors
from twin.store.template import template

GOLDEN = Path(__file__).parents[1] / "golden"


def make_spec(points: int = 600, shard_points: int = 256, subcarriers: int = 64) -> SiteSpec:
    return SiteSpec(
        title="two rooms",
        origin="simulated",
        realisations=("one", "two"),
        points=points,
        access_points=("AP1", "AP2", "AP3"),
        variables=(*CHANNEL_VARIABLES, *FINGERPRINT_VARIABLES, *SEARCH_VARIABLES, "split"),
        ap_position_m=vectors(np.arange(18.0).reshape(2, 3, 3)),
        snapshots=4,
        paths=8,
        subcarriers=subcarriers,
        subcarrier_spacing_hz=312_500.0,
        drawn=drawn_quantities([{"height": 1.0}, {"height": 1.5}], {"height": "m"}),
        shard_points=shard_points,
        config={"seed": 1},
    )


def make_measured_spec() -> SiteSpec:
    return SiteSpec(
        title="a floor, walked through twice",
        origin="measured",
        realisations=("May", "June"),
        points=600,
        access_points=("AP1", "AP2", "AP3"),
        variables=(
            *("rss", "rtt", "reported_csi", "split", "time", "trajectory"),
            *("building", "floor", "space", "device", "surveyor"),
        ),
        ap_frequency_hz=(2.4e9, 5e9, 5e9),
        snapshots=2,
        rx_antennas=2,
        subcarriers=64,
        subcarrier_spacing_hz=312_500.0,
        time_origin="2026-05-01T00:00:00Z",
        shard_points=256,
        layout="compact",
        config={"data_set": "made up"},
    )


def make_packed_spec() -> SiteSpec:
    content = make_spec().model_copy(
        update={
            "variables": ("csi", "split"),
            "precision": "int16",
            "ap_antennas": 4,
            "ap_orientation_rad": vectors(np.zeros((2, 3, 3))),
            "ap_power_dbm": (20.0, 20.0, 23.0),
        }
    )
    return SiteSpec.model_validate_json(content.model_dump_json())


@pytest.mark.parametrize(
    ("name", "make"),
    [("simulated", make_spec), ("measured", make_measured_spec), ("packed", make_packed_spec)],
)
def test_template_is_the_golden_one(name: str, make: Callable[[], SiteSpec]) -> None:
    found = {
        array.variable.name: {
            "dims": list(array.variable.dims),
            "dtype": array.variable.dtype,
            "fill": str(array.fill),
            "shape": list(array.shape),
            "chunks": list(array.chunks),
            "shards": None if array.shards is None else list(array.shards),
            "compressed": array.compressed,
            "attrs": dict(array.attrs),
        }
        for array in template(make()).values()
    }
    # A change of the schema shows up here as a change of the golden file, to be reviewed.
    golden = GOLDEN / f"store_template_{name}.json"
    assert json.loads(golden.read_text(encoding="utf-8")) == found


def test_words_are_those_of_the_tracer() -> None:
    meanings = str(VARIABLES["interactions"].attrs["flag_meanings"])
    assert meanings == "reflection diffuse_reflection transmission diffraction"
    assert VARIABLES["received_power"].attrs["comment"] == "NaN without a path"


@pytest.mark.parametrize("layout", ["fast", "compact"])
@pytest.mark.parametrize(
    ("points", "shard", "subcarriers"),
    [(600, 256, 64), (600, 256, 4096), (151, 256, 8192), (7, 3, 1)],
)
def test_files_belong_to_one_job(
    points: int, shard: int, subcarriers: int, layout: Literal["fast", "compact"]
) -> None:
    spec = make_spec(points, shard, subcarriers).model_copy(update={"layout": layout})
    for array in template(spec).values():
        if not array.variable.by_job:
            continue
        file = array.shards or array.chunks
        assert file[0] == 1
        if array.variable.by_block:
            assert file[1] == 1
            continue
        assert all(outer % inner == 0 for outer, inner in zip(file, array.chunks, strict=True))
        owners: dict[int, set[int]] = {}
        for job in jobs_of(spec):
            for number in range(job.start // file[1], (job.stop - 1) // file[1] + 1):
                owners.setdefault(number, set()).add(job.start)
        assert all(len(jobs) == 1 for jobs in owners.values())
        assert sorted(owners) == list(range(len(owners)))


def test_rows_share_chunks_and_chunks_share_a_file_where_it_is_compact() -> None:
    spec = make_spec(subcarriers=4096)
    fast, compact = (
        template(spec.model_copy(update={"layout": layout}))["csi"]
        for layout in ("fast", "compact")
    )
    assert (fast.chunks, fast.shards) == ((1, 64, 3, 1, 1, 4096), None)
    assert (compact.chunks, compact.shards) == ((1, 8, 3, 1, 1, 4096), (1, 256, 3, 1, 1, 4096))
    assert (fast.plain, compact.plain) == (True, False)


def test_spec_reports_all_faults_at_once() -> None:
    content = make_spec().model_dump(mode="json")
    content |= {
        "variables": ["csi", "altitude", "receipt"],
        "subcarriers": 0,
        "access_points": ["AP1", "AP1", "AP3"],
        "ap_power_dbm": [1.0],
        "attributes": {"digest": "mine"},
    }
    content["drawn"][0]["values"] = [1.0]
    with pytest.raises(ValidationError) as caught:
        SiteSpec.model_validate_json(json.dumps(content))
    message = str(caught.value)
    for part in (
        "csi needs a subcarrier dimension",
        "'altitude' is not a variable",
        "'receipt' is not a variable",
        "access_points names something twice",
        "ap_power_dbm must be empty or have 3 values",
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
