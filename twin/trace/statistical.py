"""Environments without geometry: levels of a model of path loss at any point.

Models and their pieces are in `twin.trace.path_loss`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from twin.errors import Fault, refuse
from twin.seeds import stream
from twin.trace.engine import STATUS_DONE
from twin.trace.path_loss import Condition, Floats, MixedConditions, Model, OneCondition

Position = tuple[float, float, float]

METALOC_ACCESS_POINTS = 24
METALOC_FREQUENCY_HZ = 2.44e9
# The reference distance of all models; they say nothing of what is nearer.
NEAREST_M = 1.0

_FREQUENCIES_HZ = (0.5e9, 100e9)
_FARTHEST_M = 1e6
_FIELD_WAVES = 1024
_POINTS_AT_ONCE = 256
# Points nearer than this to each other are one point to the independent draws.
_SAME_POINT_M = 1e-6


@dataclass(frozen=True)
class StatisticalEnvironment:
    """A place that is nothing but a law of propagation and access points.

    Whatever is drawn has a stream named by seed, environment, access point and quantity, and is a
    function of the point's position: neither other access points nor other points change it.

    Args:
        name: of the environment.
        model: law of propagation.
        access_points: positions x, y, z [m] by name.
        frequency_hz: carrier of all access points.
        power_dbm: transmit power of all access points.
        seed: of the draws.
        gain_db: sum of the gains of both antennas, G of MetaLoc's eq. 1.
        shadowing_decorrelation_m: distance at which the correlation of the shadow fading falls to
            1/e (exponential: Gudmundson, Electronics Letters 27(23), 1991); None: independent
            from point to point.

    Raises:
        InputError: with every fault found.
    """

    name: str
    model: Model
    access_points: Mapping[str, Sequence[float]]
    frequency_hz: float
    power_dbm: float
    seed: int
    gain_db: float = 0.0
    shadowing_decorrelation_m: float | None = None

    def __post_init__(self) -> None:
        refuse(self._faults())
        # A copy: the caller's map may change.
        placed = {
            name: tuple(float(x) for x in place) for name, place in self.access_points.items()
        }
        object.__setattr__(self, "access_points", placed)

    @property
    def positions_m(self) -> Floats:
        """Positions of the access points (a, 3) [m]."""
        return np.array(list(self.access_points.values()), dtype=np.float64)

    def los(self, points: npt.ArrayLike) -> npt.NDArray[np.bool_] | None:
        """Whether points (n, 3) [m] see the access points (n, a); None where the law tells nothing.

        Raises:
            InputError: points are not a non-empty, finite (n, 3) array.
        """
        return self._los(self._checked(points))

    def rss_dbm(self, points: npt.ArrayLike) -> Floats:
        """Received power (n, a) [dBm] at points (n, 3) [m], the shadow fading of the place in it.

        Raises:
            InputError: points are not a non-empty, finite (n, 3) array.
        """
        place = self._checked(points)
        offset = place[:, None] - self.positions_m
        distance = np.maximum(np.sqrt((offset**2).sum(axis=-1)), NEAREST_M)
        los = self._los(place)
        if isinstance(self.model, MixedConditions):
            mask = np.asarray(los)
            loss = np.where(
                mask,
                *(c.loss.loss_db(distance, self.frequency_hz) for c in _conditions(self.model)),
            )
            std = np.where(mask, *(c.shadowing_std_db for c in _conditions(self.model)))
        else:
            condition = self.model.condition
            loss = condition.loss.loss_db(distance, self.frequency_hz)
            std = np.full(distance.shape, condition.shadowing_std_db)
        fading = np.stack([self._fading(place, name) for name in self.access_points], axis=1)
        return np.asarray(self.power_dbm + self.gain_db - loss - std * fading)

    def _los(self, place: Floats) -> npt.NDArray[np.bool_] | None:
        shape = (len(place), len(self.access_points))
        if isinstance(self.model, OneCondition):
            return None if self.model.los is None else np.full(shape, self.model.los)
        offset = place[:, None, :2] - self.positions_m[:, :2]
        probability = self.model.probability.at(np.sqrt((offset**2).sum(axis=-1)))
        drawn = [_uniform(place, self._stream(name, "los")) for name in self.access_points]
        return np.asarray(np.stack(drawn, axis=1) < probability)

    def _fading(self, place: Floats, access_point: str) -> Floats:
        """Mean 0, variance 1 (n,)."""
        generator = self._stream(access_point, "shadowing")
        if self.shadowing_decorrelation_m is None:
            radius = np.sqrt(-2.0 * np.log(_uniform(place, generator)))
            return np.asarray(radius * np.cos(2.0 * np.pi * _uniform(place, generator)))
        return _field(place, self.shadowing_decorrelation_m, generator)

    def _stream(self, access_point: str, quantity: str) -> np.random.Generator:
        return stream(self.seed, "statistical", self.name, access_point, quantity)

    def _checked(self, points: npt.ArrayLike) -> Floats:
        place = np.asarray(points, dtype=np.float64)
        sound = bool((np.abs(place) <= _FARTHEST_M).all())
        if place.ndim != 2 or place.shape[1] != 3 or len(place) == 0 or not sound:
            expected = f"coordinates (n, 3) with n >= 1, within {_FARTHEST_M:g} m"
            found = f"shape {place.shape}" + ("" if sound else ", not all finite and within")
            refuse([Fault(self._where, "points", expected, found)])
        return place

    @property
    def _where(self) -> str:
        return f"statistical environment {self.name}"

    def _faults(self) -> list[Fault]:
        low, high = _FREQUENCIES_HZ
        carrier = low <= self.frequency_hz <= high
        correlation = self.shadowing_decorrelation_m
        checks = [
            ("name", "text", self.name, bool(self.name)),
            ("seed", "zero or greater", self.seed, self.seed >= 0),
            ("frequency_hz", f"from {low:g} to {high:g}", self.frequency_hz, carrier),
            ("power_dbm", "a finite level", self.power_dbm, math.isfinite(self.power_dbm)),
            ("gain_db", "a finite gain", self.gain_db, math.isfinite(self.gain_db)),
            (
                "shadowing_decorrelation_m",
                f"above 0 and at most {_FARTHEST_M:g}, or none",
                correlation,
                correlation is None or 0.0 < correlation <= _FARTHEST_M,
            ),
            ("access_points", "at least one", "none", bool(self.access_points)),
        ]
        for name, place in self.access_points.items():
            sound = len(place) == 3 and all(abs(x) <= _FARTHEST_M for x in place)
            expected = f"x, y and z within {_FARTHEST_M:g} m"
            checks.append((f"access_points.{name}", expected, tuple(place), sound))
        if carrier:
            reach = np.geomspace(NEAREST_M, 1e4, 41)
            rising = all(
                (np.diff(c.loss.loss_db(reach, self.frequency_hz)) >= 0.0).all()
                for c in _conditions(self.model)
            )
            expected = f"loss that rises with distance at {self.frequency_hz / 1e9:g} GHz"
            checks.append(("model", expected, "loss that falls", rising))
        return [
            Fault(self._where, key, expected, str(found))
            for key, expected, found, sound in checks
            if not sound
        ]


def trace_statistical(environment: StatisticalEnvironment, points: npt.ArrayLike) -> xr.Dataset:
    """What `twin.trace.engine.trace` gives of a scene, of a statistical environment.

    There are no paths, delays, channels or bandwidths, and `los` only where the model tells: what
    is not known is not in the data set.

    Args:
        environment: law, access points and draws.
        points: receivers (n, 3) [m].

    Returns:
        Data set over point, ap and xyz; every variable says its unit.

    Raises:
        InputError: points are not a non-empty, finite (n, 3) array.
    """
    rss = environment.rss_dbm(points)
    los = environment.los(points)
    place = np.asarray(points, dtype=np.float64)
    link, count = ("point", "ap"), len(environment.access_points)
    data = xr.Dataset(
        {
            "position": (("point", "xyz"), place, {"units": "m"}),
            "ap_position": (("ap", "xyz"), environment.positions_m, {"units": "m"}),
            "ap_frequency": (
                ("ap",),
                np.full(count, environment.frequency_hz),
                {"units": "Hz", "long_name": "carrier frequency"},
            ),
            "ap_active": (("ap",), np.ones(count, dtype=np.bool_), {"units": "1"}),
            "rss": (
                link,
                rss.astype(np.float32),
                {
                    "units": "dBm",
                    "definition": "transmit power and antenna gains less path loss and shadow "
                    "fading; no fast fading",
                },
            ),
            "status": (
                ("point",),
                np.full(len(place), STATUS_DONE, dtype=np.int8),
                {"units": "1", "values": "1 done, 2 done and no path from any access point"},
            ),
        },
        coords={"ap": list(environment.access_points)},
    )
    if los is not None:
        data["los"] = (link, los, {"units": "1"})
    correlation = environment.shadowing_decorrelation_m
    data.attrs = {
        "engine": "statistical",
        "scene": environment.name,
        "frequency_hz": environment.frequency_hz,
        "trace_seed": environment.seed,
        "trace_power_dbm": environment.power_dbm,
        "trace_gain_db": environment.gain_db,
        "trace_model": environment.model.model_dump_json(),
        "trace_shadowing": "independent from point to point"
        if correlation is None
        else f"correlation exp(-distance / {correlation:g} m)",
    }
    return data


def random_sites(
    count: int,
    area_m: tuple[float, float, float, float],
    height_m: float,
    seed: int,
    environment: str,
) -> dict[str, Position]:
    """Positions of access points AP1, AP2, ..., uniform in a rectangle at one height.

    Each has a stream of its own: one more access point moves none of the others.

    Args:
        count: how many.
        area_m: x from, y from, x to, y to [m].
        height_m: z of all.
        seed: of the draws.
        environment: name of the environment, which keys the streams.

    Raises:
        InputError: with every fault found.
    """
    x0, y0, x1, y1 = area_m
    finite = all(abs(x) <= _FARTHEST_M for x in (*area_m, height_m))
    checks = [
        ("count", "1 or more", count, count >= 1),
        ("area_m", "x from < x to, y from < y to", area_m, x0 < x1 and y0 < y1),
        ("area_m, height_m", f"within {_FARTHEST_M:g} m", (*area_m, height_m), finite),
        ("seed", "zero or greater", seed, seed >= 0),
    ]
    refuse(
        Fault("random sites", key, expected, str(found))
        for key, expected, found, sound in checks
        if not sound
    )
    placed = {}
    for name in (f"AP{number}" for number in range(1, count + 1)):
        x, y = stream(seed, "statistical", environment, name, "site").uniform((x0, y0), (x1, y1))
        placed[name] = (float(x), float(y), float(height_m))
    return placed


def _conditions(model: Model) -> tuple[Condition, ...]:
    """In line of sight first, where there are two."""
    return (model.los, model.nlos) if isinstance(model, MixedConditions) else (model.condition,)


def _uniform(place: Floats, generator: np.random.Generator) -> Floats:
    """Independent uniform numbers in (0, 1), a function of position: a keyed hash (n,).

    The mixing of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) over the coordinates, with keys
    from the stream. A stream for each point as well would cost tens of times as much.
    """
    keys = generator.integers(0, 2**64, size=4, dtype=np.uint64)
    cells = np.rint(place / _SAME_POINT_M).astype(np.int64).view(np.uint64)
    state = np.full(len(place), keys[3])
    for axis in range(3):
        state = _mixed(state ^ _mixed(cells[:, axis] + keys[axis]))
    # 52 bits, so that neither 0 nor 1 comes up.
    return np.asarray(((state >> np.uint64(12)) + 0.5) * 2.0**-52)


def _mixed(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _field(place: Floats, decorrelation_m: float, generator: np.random.Generator) -> Floats:
    """Gaussian field (n,) with mean 0, variance 1 and correlation exp(-distance / decorrelation).

    Plane waves drawn from the spectrum of that correlation, a multivariate Cauchy distribution
    (Rahimi and Recht, NIPS 2007); Gaussian as far as a sum of 1,024 waves is.
    """
    wave = generator.standard_normal((_FIELD_WAVES, 3))
    wave /= np.abs(generator.standard_normal((_FIELD_WAVES, 1))) * decorrelation_m
    phase = generator.uniform(0.0, 2.0 * np.pi, _FIELD_WAVES)
    total = np.empty(len(place))
    for start in range(0, len(place), _POINTS_AT_ONCE):
        x, y, z = place[start : start + _POINTS_AT_ONCE, :, None].swapaxes(0, 1)
        # No matrix product: the order of its sums may change with the number of points.
        angle = x * wave[:, 0] + y * wave[:, 1] + z * wave[:, 2] + phase
        total[start : start + _POINTS_AT_ONCE] = np.cos(angle).sum(axis=1)
    return np.asarray(np.sqrt(2.0 / _FIELD_WAVES) * total)
