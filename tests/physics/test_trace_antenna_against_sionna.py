"""Patterns, arrays and the synthesis of channels in NumPy against Sionna's own."""

from __future__ import annotations

import numpy as np
import pytest

from twin.trace import channel
from twin.trace.antenna import named_ports
from twin.trace.array import MountedArray, planar
from twin.trace.build import mi, rt
from twin.trace.paths import PathTable
from twin.waves import rotation_matrix, subcarrier_offsets_hz

FREQUENCY_HZ = 5.25e9
BANDWIDTH_HZ = 80e6
SUBCARRIERS = 8
PATTERNS = ["iso", "dipole", "hw_dipole", "tr38901"]
POLARISATIONS = ["V", "H", "VH", "cross"]
TRANSMITTER_ORIENTATION = [0.7, -0.2, 0.4]
RECEIVER_ORIENTATIONS = [[-2.1, 0.3, -0.6], [1.0, 0.0, 0.9], [0.0, -0.4, 0.0]]
UPRIGHT = [0.0, 0.0, 0.0]
RECEIVER_VELOCITIES = np.array([[3.0, 0.0, 0.0], [0.0, -2.0, 1.0], [1.0, 1.0, 1.0]])
TRANSMITTER_VELOCITY = np.array([0.0, 5.0, -1.0])


def sphere():
    """Directions over the whole sphere, both poles and the seam behind the antenna among them."""
    zenith, azimuth = np.meshgrid(np.linspace(0, np.pi, 91), np.linspace(-np.pi, np.pi, 121))
    return zenith.ravel(), azimuth.ravel()


@pytest.mark.parametrize("polarisation", POLARISATIONS)
@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_are_those_of_sionna(name, polarisation):
    zenith, azimuth = sphere()
    theirs = rt.antenna_pattern.antenna_pattern_registry.get(name)(polarization=polarisation)
    ours = named_ports(name, polarisation)
    assert len(ours) == len(theirs.patterns)
    for own, other in zip(ours, theirs.patterns, strict=True):
        expected = other(mi.Float(zenith.astype(np.float32)), mi.Float(azimuth.astype(np.float32)))
        for component, reference in zip(own.field(zenith, azimuth), expected, strict=True):
            values = np.array(reference.real) + 1j * np.array(reference.imag)
            # Single precision, times the steepest flank of the patterns.
            assert np.abs(component - values).max() < 2e-5


def test_rotation_is_that_of_sionna():
    for angles in RECEIVER_ORIENTATIONS:
        expected = np.array(rt.utils.rotation_matrix(mi.Point3f(*angles))).squeeze()
        assert np.abs(rotation_matrix(angles) - expected).max() < 1e-6


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 3), (4, 1), (1, 5)])
def test_elements_stand_and_are_numbered_as_those_of_sionna(rows, columns):
    spacing = {"vertical_spacing": 0.7, "horizontal_spacing": 0.4}
    theirs = rt.PlanarArray(
        num_rows=rows, num_cols=columns, pattern="iso", polarization="VH", **spacing
    )
    ours = planar(rows, columns, named_ports("iso", "VH"), **spacing)
    expected = np.array(theirs.normalized_positions).reshape(3, -1).T
    assert ours.positions == pytest.approx(expected, abs=1e-6)
    assert ours.ports == theirs.num_ant


@pytest.fixture(scope="module")
def street():
    """A ground and a wall, so that paths come from several directions and polarisations mix."""
    scene = rt.load_scene(rt.scene.floor_wall)
    scene.frequency = FREQUENCY_HZ
    scene.bandwidth = BANDWIDTH_HZ
    return scene


def solve(scene, transmit_array, receive_array, oriented):
    """Sionna's paths from one transmitter to three receivers."""
    for name in [*scene.transmitters, *scene.receivers]:
        scene.remove(name)
    scene.tx_array, scene.rx_array = transmit_array, receive_array
    scene.add(
        rt.Transmitter(
            "tx",
            position=mi.Point3f(-2.0, 0.4, 2.3),
            orientation=mi.Point3f(*(TRANSMITTER_ORIENTATION if oriented else UPRIGHT)),
            velocity=mi.Vector3f(*TRANSMITTER_VELOCITY.tolist()),
        )
    )
    points = [(-1.2, 1.9, 1.1), (-3.0, -1.7, 0.6), (-0.8, -1.1, 3.1)]
    for index, point in enumerate(points):
        scene.add(
            rt.Receiver(
                f"rx_{index}",
                position=mi.Point3f(*point),
                orientation=mi.Point3f(*(RECEIVER_ORIENTATIONS[index] if oriented else UPRIGHT)),
                velocity=mi.Vector3f(*RECEIVER_VELOCITIES[index].tolist()),
            )
        )
    return rt.PathSolver(deterministic=True)(
        scene,
        max_depth=2,
        samples_per_src=20_000,
        specular_reflection=True,
        refraction=False,
        synthetic_array=True,
    )


@pytest.fixture(scope="module")
def table(street):
    """Paths without antennas: both ends isotropic, one port along each unit vector of the world."""
    both = rt.PlanarArray(num_rows=1, num_cols=1, pattern="iso", polarization="VH")
    paths = solve(street, both, both, oriented=False)
    valid = np.array(paths.valid)
    assert (valid.sum(axis=-1) >= 3).all()
    delay = np.array(paths.tau, dtype=np.float64)
    real, imag = (np.array(part, dtype=np.float64) for part in paths.a)
    # Sionna's amplitudes lack the phase of the carrier.
    turned = np.exp(-2j * np.pi * FREQUENCY_HZ * delay)[:, None, :, None]
    transfer = np.where(valid[:, None, :, None], (real + 1j * imag) * turned, 0.0)
    transfer = np.transpose(transfer, (0, 2, 4, 1, 3)).astype(np.complex64)

    def known(values):
        return np.where(valid, np.array(values), np.nan).astype(np.float32)

    return PathTable(
        gain=transfer[..., 0, 0].copy(),
        transfer=transfer,
        delay_s=np.where(valid, delay, np.nan),
        aoa_azimuth=known(paths.phi_r),
        aoa_zenith=known(paths.theta_r),
        aod_azimuth=known(paths.phi_t),
        aod_zenith=known(paths.theta_t),
        interactions=np.zeros(valid.shape, dtype=np.int32),
        num_paths=valid.sum(axis=-1).astype(np.int16),
        power_left_out=np.zeros(valid.shape[:-1], dtype=np.float32),
        power_undiscovered=np.zeros(valid.shape[:-1], dtype=np.float32),
    )


ARRAYS = [
    (("tr38901", "cross"), ("dipole", "VH")),
    (("hw_dipole", "VH"), ("tr38901", "cross")),
    (("iso", "H"), ("iso", "V")),
]


@pytest.mark.parametrize(("transmit", "receive"), ARRAYS)
def test_array_csi_is_that_of_sionna(street, table, transmit, receive):
    shapes = {"num_rows": 2, "num_cols": 3}, {"num_rows": 3, "num_cols": 1}
    theirs = [
        rt.PlanarArray(pattern=pattern, polarization=polarisation, **shape)
        for (pattern, polarisation), shape in zip((transmit, receive), shapes, strict=True)
    ]
    paths = solve(street, *theirs, oriented=True)
    offsets = subcarrier_offsets_hz(BANDWIDTH_HZ, SUBCARRIERS)
    times = 3
    sampling_hz = 500.0
    expected = paths.cfr(
        frequencies=mi.Float(offsets),
        sampling_frequency=sampling_hz,
        num_time_steps=times,
        normalize_delays=False,
        out_type="numpy",
    )
    transmitter = MountedArray(planar(2, 3, named_ports(*transmit)), TRANSMITTER_ORIENTATION)
    receiver = MountedArray(planar(3, 1, named_ports(*receive)), RECEIVER_ORIENTATIONS)
    shift = channel.doppler_hz(table, FREQUENCY_HZ, RECEIVER_VELOCITIES, TRANSMITTER_VELOCITY)
    for step in range(times):
        later = channel.at_time(table, shift, step / sampling_hz)
        found = channel.array_csi(later, 0, transmitter, receiver, BANDWIDTH_HZ, SUBCARRIERS)
        reference = expected[:, :, 0, :, step, :]
        assert found.shape == reference.shape
        scale = np.abs(reference).max(axis=(1, 2, 3), keepdims=True)
        # Phases of some hundred turns in single precision.
        assert (np.abs(found - reference) / scale).max() < 2e-4


def test_doppler_is_that_of_sionna(street, table):
    both = rt.PlanarArray(num_rows=1, num_cols=1, pattern="iso", polarization="VH")
    paths = solve(street, both, both, oriented=False)
    shift = channel.doppler_hz(table, FREQUENCY_HZ, RECEIVER_VELOCITIES, TRANSMITTER_VELOCITY)
    there = np.isfinite(table.delay_s)
    expected = np.array(paths.doppler)
    assert np.abs(expected[there]).max() > 10.0
    assert shift[there] == pytest.approx(expected[there], abs=1e-3)
    assert np.isnan(shift[~there]).all()
