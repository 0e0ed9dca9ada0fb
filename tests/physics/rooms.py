"""Rooms for tests of propagation: a box whose sides are air unless a test says otherwise."""

from __future__ import annotations

from twin.config import validate
from twin.scene.declaration import Scene

FREQUENCY_HZ = 5.25e9


def room(**changes) -> Scene:
    """A 10 x 8 x 3 m box with one isotropic access point; `changes` replace parts of it.

    `floor`, `sides` and `ceiling` name materials: air, concrete, earth, plasterboard or metal.
    """
    floor, sides, ceiling = (changes.pop(key, "air") for key in ("floor", "sides", "ceiling"))
    content = {
        "schema": "fingertwin/scene@2",
        "name": "room",
        "title": "Room",
        "source": "made up",
        "frequency_ghz": FREQUENCY_HZ / 1e9,
        "bandwidth_mhz": 80.0,
        "subcarriers": 16,
        "materials": {
            # No reflection and full transmission: as good as not there.
            "air": {
                "relative_permittivity": 1.0,
                "conductivity_s_per_m": 0.0,
                "thickness_m": 0.1,
            },
            "concrete": {"itu": "concrete", "thickness_m": 0.2},
            "plasterboard": {"itu": "plasterboard", "thickness_m": 0.03},
            "metal": {"itu": "metal", "thickness_m": 0.01},
            # Thick and lossy: nothing comes back from its far side, as from a half-space.
            "earth": {
                "relative_permittivity": 6.0,
                "conductivity_s_per_m": 0.5,
                "thickness_m": 1.0,
            },
        },
        "room": {
            "outline_m": [[0.0, 0.0], [10.0, 0.0], [10.0, 8.0], [0.0, 8.0]],
            "height_m": 3.0,
            "wall_material": sides,
            "floor_material": floor,
            "ceiling_material": ceiling,
        },
        "access_points": [access_point("AP1", [2.0, 3.0, 2.0])],
        "receivers": [
            {
                "name": "grid",
                "kind": "grid",
                "area_m": [[1.0, 1.0], [9.0, 1.0], [9.0, 7.0]],
                "pitch_m": 1.0,
                "height_m": 1.2,
            }
        ],
        **changes,
    }
    return validate(content, Scene, where="room")


def access_point(name, position_m, pattern="iso", power_dbm=0.0, yaw_deg=0.0, **more) -> dict:
    return {
        "name": name,
        "position_m": position_m,
        "pattern": pattern,
        "power_dbm": power_dbm,
        "yaw_deg": yaw_deg,
        **more,
    }


def wall(name, x, material="plasterboard") -> dict:
    """A partition across the room at one x, from floor to ceiling."""
    return {"name": name, "path_m": [[x, 0.0], [x, 8.0]], "material": material}


def box(name, centre_m, size_m, material) -> dict:
    return {"name": name, "centre_m": centre_m, "size_m": size_m, "material": material}
