"""Rain on carriers that ITU-R P.838-3 does not cover is found before any trace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from twin.config import load_model, validate
from twin.errors import InputError
from twin.scene.check import check
from twin.scene.declaration import Scene
from twin.trace.engine import TraceSettings, trace

BOX = load_model(Path(__file__).with_name("scene_box.yaml"), Scene)
# Constants that hold at any carrier.
SHEET = {"relative_permittivity": 3.0, "conductivity_s_per_m": 0.01, "thickness_m": 0.02}


def scene(rate, ghz=5.25, aps=(None, None)):
    content = BOX.plain()
    listed = [dict(ap) for ap in content["access_points"]]
    for ap, own in zip(listed, aps, strict=True):
        ap["frequency_ghz"] = own
    content.update(
        access_points=listed,
        frequency_ghz=ghz,
        weather={"rain_mm_per_h": rate},
        materials={"concrete": SHEET, "sheet": SHEET},
    )
    return validate(content, Scene, where="changed")


@pytest.mark.parametrize(
    ("rate", "ghz", "aps", "found"),
    [
        (0.0, 0.9, (0.7, None), {}),
        (0.1, 1.0, (400.0, None), {}),
        (0.1, 0.9, (None, None), {"frequency_ghz": "0.9 GHz"}),
        (50.0, 0.9, (None, 5.25), {"frequency_ghz": "0.9 GHz"}),
        (50.0, 0.9, (5.25, 5.25), {}),
        (
            50.0,
            5.25,
            (0.7, 0.7),
            {f"access_points.{name}.frequency_ghz": "0.7 GHz" for name in ("AP1", "AP2")},
        ),
    ],
)
def test_every_carrier_in_use_is_held_against_the_rain(rate, ghz, aps, found):
    rainy = scene(rate, ghz, aps)
    faults = check(rainy, "changed")
    assert {fault.key: fault.found for fault in faults} == found
    for fault in faults:
        assert fault.where == "changed"
        assert "1 to 1000 GHz, the range of ITU-R P.838-3" in fault.expected
        assert "rain_mm_per_h: 0" in fault.cure
    if found:
        # Not less than what a trace would refuse.
        settings = TraceSettings(max_depth=0, rays_per_round=1000)
        with pytest.raises(InputError, match=r"P\.838-3"):
            trace(rainy, settings, np.array([[2.0, 1.5, 1.1]]))
