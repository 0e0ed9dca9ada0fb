from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.errors import InputError
from twin.trace.antenna import (
    measured_pattern,
    named_ports,
    port_gain,
    world_field,
)
from twin.waves import direction, rotation_matrix

HEADER = "theta_deg,phi_deg,gain_theta_dbi,phase_theta_deg,gain_phi_dbi,phase_phi_deg"
NO_TURN = np.eye(3)
# Line of sight between unit vectors of opposite directions: those of zenith are the same, those of
# azimuth opposite.
LINE_OF_SIGHT = np.diag([1.0 + 0j, -1.0])

angles = st.floats(-3.1, 3.1)


def gain_db(name, zenith_deg, azimuth_deg):
    (port,) = named_ports(name, "V")
    components = port.field(np.radians([zenith_deg]), np.radians([azimuth_deg]))
    return 10 * np.log10(sum(np.abs(component) ** 2 for component in components))[0]


def vectors(field, azimuth, zenith):
    """Field as vectors in space (..., 3)."""
    along_zenith = direction(azimuth, zenith + np.pi / 2)
    along_azimuth = direction(azimuth + np.pi / 2, np.full_like(zenith, np.pi / 2))
    return field[..., :1] * along_zenith + field[..., 1:] * along_azimuth


def spherical(vector):
    return np.arctan2(vector[1], vector[0]), np.arccos(np.clip(vector[2], -1.0, 1.0))


def test_gains_of_the_named_patterns():
    assert gain_db("iso", 70.0, 20.0) == pytest.approx(0.0, abs=1e-9)
    assert gain_db("dipole", 90.0, 33.0) == pytest.approx(1.761, abs=1e-3)
    assert gain_db("hw_dipole", 90.0, 33.0) == pytest.approx(2.156, abs=1e-3)
    assert gain_db("tr38901", 90.0, 0.0) == pytest.approx(8.0)
    # Half of the beamwidth of 65 degrees off the axis, in both planes.
    assert gain_db("tr38901", 90.0, 32.5) == pytest.approx(5.0)
    assert gain_db("tr38901", 57.5, 0.0) == pytest.approx(5.0)
    assert gain_db("tr38901", 90.0, 180.0) == pytest.approx(-22.0)
    assert gain_db("tr38901", 0.0, 180.0) == pytest.approx(-22.0)


@pytest.mark.parametrize(
    ("name", "tolerance"), [("iso", 1e-4), ("dipole", 1e-4), ("hw_dipole", 2e-3)]
)
def test_lossless_patterns_radiate_what_they_are_fed(name, tolerance):
    zenith = (np.arange(2000) + 0.5) * np.pi / 2000
    (port,) = named_ports(name, "V")
    power = np.abs(port.field(zenith, np.zeros(2000))[0]) ** 2
    assert (power * np.sin(zenith)).sum() * np.pi / 2000 / 2 == pytest.approx(1.0, rel=tolerance)


def test_dipoles_are_silent_along_their_axis():
    for name in ("dipole", "hw_dipole"):
        (port,) = named_ports(name, "V")
        along_zenith, along_azimuth = port.field(np.array([0.0, np.pi]), np.zeros(2))
        assert np.abs(along_zenith).max() < 1e-9
        assert not along_azimuth.any()


def test_polarisations_are_slant_angles():
    zenith, azimuth = np.array([1.1]), np.array([0.4])
    expected = {
        "V": [(1.0, 0.0)],
        "H": [(0.0, 1.0)],
        "VH": [(1.0, 0.0), (0.0, 1.0)],
        "cross": [(0.5**0.5, -(0.5**0.5)), (0.5**0.5, 0.5**0.5)],
    }
    for name, ports in expected.items():
        found = [np.concatenate(port.field(zenith, azimuth)) for port in named_ports("iso", name)]
        assert np.array(found) == pytest.approx(np.array(ports), abs=1e-12)


def test_unknown_names_are_refused_together():
    with pytest.raises(InputError) as error:
        named_ports("yagi", "circular")
    assert [fault.key for fault in error.value.faults] == ["pattern", "polarisation"]
    assert "tr38901" in str(error.value)
    assert "cross" in str(error.value)


def test_yaw_pitch_and_roll_turn_about_z_y_and_x():
    x, y, z = np.eye(3)
    quarter = np.pi / 2
    yaw, pitch, roll = rotation_matrix(quarter * np.eye(3))
    assert np.array([yaw @ x, yaw @ y]) == pytest.approx(np.array([y, -x]), abs=1e-12)
    assert np.array([pitch @ x, pitch @ z]) == pytest.approx(np.array([-z, x]), abs=1e-12)
    assert np.array([roll @ y, roll @ z]) == pytest.approx(np.array([z, -y]), abs=1e-12)
    # Roll first, yaw last.
    assert rotation_matrix([0.3, 0.2, 0.1]) == pytest.approx(
        rotation_matrix([0.3, 0, 0]) @ rotation_matrix([0, 0.2, 0]) @ rotation_matrix([0, 0, 0.1])
    )


def test_a_quarter_roll_makes_vertical_horizontal():
    vertical, horizontal = named_ports("iso", "VH")
    ahead = np.zeros(1), np.full(1, np.pi / 2)
    rolled = rotation_matrix([0.0, 0.0, np.pi / 2])
    found = world_field(vertical, rolled, *ahead)[0]
    assert found == pytest.approx(np.array([0.0, 1.0]), abs=1e-12)
    found = world_field(horizontal, rolled, *ahead)[0]
    assert found == pytest.approx(np.array([-1.0, 0.0]), abs=1e-12)


def test_yaw_turns_the_beam_and_keeps_the_polarisation():
    (port,) = named_ports("tr38901", "V")
    turned = rotation_matrix([1.2, 0.0, 0.0])
    azimuth, zenith = np.array([1.2, 1.2 + np.pi]), np.full(2, np.pi / 2)
    field = world_field(port, turned, azimuth, zenith)
    assert 20 * np.log10(np.abs(field[:, 0])) == pytest.approx([8.0, -22.0])
    assert np.abs(field[:, 1]).max() < 1e-12


@given(orientation=st.tuples(angles, angles, angles), azimuth=angles, zenith=st.floats(0.01, 3.13))
@pytest.mark.parametrize("name", ["dipole", "tr38901"])
def test_the_field_turns_with_the_antenna(name, orientation, azimuth, zenith):
    """Turning antenna and direction together turns the field as a vector, and nothing else."""
    port = named_ports(name, "cross")[1]
    rotation = rotation_matrix(orientation)
    before = np.array([azimuth]), np.array([zenith])
    vector = vectors(world_field(port, NO_TURN, *before), *before)[0]
    after = tuple(np.array([angle]) for angle in spherical(rotation @ direction(*before)[0]))
    turned = vectors(world_field(port, rotation, *after), *after)[0]
    assert np.abs(turned - rotation @ vector).max() < 1e-5


@pytest.mark.parametrize("transmit_slant", [0.0, 0.3, np.pi / 4])
@pytest.mark.parametrize("receive_slant", [0.0, -0.3, np.pi / 4, np.pi / 2])
def test_facing_linear_antennas_couple_by_the_cosine_between_them(transmit_slant, receive_slant):
    # Both lean to their own right, so each sees the other lean the other way.
    fields = [np.array([np.cos(slant), np.sin(slant)]) for slant in (transmit_slant, receive_slant)]
    expected = np.cos(transmit_slant + receive_slant)
    assert port_gain(LINE_OF_SIGHT, *fields) == pytest.approx(expected, abs=1e-12)


def test_like_circular_antennas_hear_each_other_and_unlike_ones_do_not():
    right, left = np.array([1.0, -1j]) / 2**0.5, np.array([1.0, 1j]) / 2**0.5
    assert abs(port_gain(LINE_OF_SIGHT, right, right)) == pytest.approx(1.0)
    assert abs(port_gain(LINE_OF_SIGHT, right, left)) == pytest.approx(0.0, abs=1e-12)


def test_the_same_gain_in_either_direction():
    rng = np.random.default_rng(4)
    transfer, one, other = (
        rng.normal(size=shape) + 1j * rng.normal(size=shape)
        for shape in ((5, 2, 2), (5, 2), (5, 2))
    )
    there = port_gain(transfer, one, other)
    assert there == pytest.approx(port_gain(np.swapaxes(transfer, 1, 2), other, one))
    assert there[3] == pytest.approx(other[3] @ transfer[3] @ one[3])


def lying_dipole(zenith, azimuth):
    """A short dipole along x, with a phase that turns with the azimuth: smooth at both poles."""
    phase = np.exp(0.7j * np.sin(zenith) * np.cos(azimuth - 0.5))
    scale = np.sqrt(1.5) * phase
    return scale * np.cos(zenith) * np.cos(azimuth), -scale * np.sin(azimuth)


def rows_of(field, zeniths_deg, azimuths_deg):
    rows = []
    for zenith in zeniths_deg:
        for azimuth in azimuths_deg:
            cells = [f"{zenith:g}", f"{azimuth:g}"]
            for part in field(np.radians(zenith), np.radians(azimuth)):
                level = max(20 * np.log10(abs(part) + 1e-30), -200.0)
                cells += [f"{level:.9f}", f"{np.degrees(np.angle(part)):.9f}"]
            rows.append(",".join(cells))
    return rows


@pytest.fixture
def write(tmp_path):
    def writer(rows, header=HEADER, encoding="utf-8"):
        path = tmp_path / "antenna.csv"
        path.write_text("\n".join([header, *rows]) + "\n", encoding=encoding)
        return path

    return writer


def test_a_measured_pattern_is_exact_on_its_grid(write):
    zeniths, azimuths = range(0, 181, 15), range(0, 360, 30)
    pattern = measured_pattern(write(rows_of(lying_dipole, zeniths, azimuths)))
    zenith, azimuth = (np.radians(a).ravel() for a in np.meshgrid(zeniths, range(-180, 181, 30)))
    found = pattern.field(zenith, azimuth)
    assert np.array(found) == pytest.approx(np.array(lying_dipole(zenith, azimuth)), abs=1e-7)


def test_between_its_angles_a_measured_pattern_is_interpolated_in_amplitude(write):
    step = 2.0
    rows = rows_of(lying_dipole, np.arange(0.0, 181.0, step), np.arange(-180.0, 180.0, step))
    pattern = measured_pattern(write(rows))
    rng = np.random.default_rng(3)
    zenith = np.concatenate([np.arccos(rng.uniform(-1, 1, 400)), [0.0, np.pi, 1e-4, np.pi / 2]])
    azimuth = np.concatenate([rng.uniform(-np.pi, np.pi, 400), [0.3, -2.0, 3.14, np.pi]])
    found = np.array(pattern.field(zenith, azimuth))
    # The error of a linear interpolation is h^2 / 8 times the second derivative, in two
    # directions; of this field that derivative stays below 4.
    bound = 2 * np.radians(step) ** 2 / 8 * 4
    assert np.abs(found - np.array(lying_dipole(zenith, azimuth))).max() < bound


def test_halfway_between_two_phases_the_amplitudes_are_averaged(write):
    rows = [
        f"{zenith},{azimuth},0,{0 if azimuth == 0 else 90},-200,0"
        for zenith in (0, 90, 180)
        for azimuth in (0, 180)
    ]
    found, _ = measured_pattern(write(rows)).field(np.full(1, 1.0), np.full(1, np.pi / 2))
    assert found[0] == pytest.approx((1 + 1j) / 2)


def test_a_pattern_without_azimuths_is_round(write):
    rows = rows_of(lambda zenith, _: (np.sin(zenith), 0.0), range(0, 181, 10), [0.0])
    found, _ = measured_pattern(write(rows)).field(np.full(4, np.pi / 2), np.linspace(-3, 3, 4))
    assert found == pytest.approx(np.ones(4))


def test_order_of_rows_start_of_azimuth_and_a_byte_order_mark_do_not_matter(write):
    zeniths = range(0, 181, 30)
    rows = rows_of(lying_dipole, zeniths, range(0, 360, 40))
    one = measured_pattern(write(rows))
    order = np.random.default_rng(0).permutation(len(rows))
    other = measured_pattern(write([rows[i] for i in order], encoding="utf-8-sig"))
    negative = measured_pattern(write(rows_of(lying_dipole, zeniths, range(-160, 200, 40))))
    zenith, azimuth = np.linspace(0.1, 3.0, 9), np.linspace(-3.0, 3.0, 9)
    for again in (other, negative):
        found = np.array(again.field(zenith, azimuth))
        assert found == pytest.approx(np.array(one.field(zenith, azimuth)), abs=1e-8)


def test_a_measured_antenna_can_be_turned(write):
    pattern = measured_pattern(write(rows_of(lying_dipole, range(0, 181, 2), range(0, 360, 2))))
    upright = rotation_matrix([0.0, -np.pi / 2, 0.0])
    azimuth, zenith = np.array([1.0, 1.0, -2.0]), np.array([0.0, np.pi / 2, np.pi / 2])
    field = np.abs(world_field(pattern, upright, azimuth, zenith))
    assert field[:, 0] == pytest.approx([0.0, 1.5**0.5, 1.5**0.5], abs=3e-3)
    assert field[:, 1] == pytest.approx(np.zeros(3), abs=3e-3)


def faults_of(path):
    with pytest.raises(InputError) as error:
        measured_pattern(path)
    assert all(fault.where == str(path) for fault in error.value.faults)
    return error.value.faults


def small(**changes):
    """Rows of a grid of 3 x 4 directions; `changes` replace whole rows by their line."""
    rows = [f"{z},{a},0,0,-200,0" for z in (0, 90, 180) for a in (0, 90, 180, 270)]
    for line, text in changes.items():
        rows[int(line.removeprefix("line_")) - 2] = text
    return [row for row in rows if row is not None]


def test_the_small_grid_itself_is_good(write):
    found, _ = measured_pattern(write(small())).field(np.ones(1), np.ones(1))
    assert found == pytest.approx(np.ones(1))


def test_all_bad_cells_are_found_with_their_lines(write):
    rows = small(
        line_3="0,90,nan,0,-200,0",
        line_5="0,270,0,x,-inf,0",
        line_6="190,400,0,0,-200,0",
        line_7="90,90,0",
        line_8="90,180,0,0,1e4,0",
    )
    found = [(fault.key, fault.found) for fault in faults_of(write(rows))]
    assert found == [
        ("line 3, gain_theta_dbi", "'nan'"),
        ("line 5, phase_theta_deg", "'x'"),
        ("line 5, gain_phi_dbi", "'-inf'"),
        ("line 6, theta_deg", "'190'"),
        ("line 6, phi_deg", "'400'"),
        ("line 7", "3"),
        ("line 8, gain_phi_dbi", "'1e4'"),
    ]


def test_a_missing_column_is_named_by_the_header(write):
    (fault,) = faults_of(write(small(), header=HEADER.replace(",phase_phi_deg", "")))
    assert fault.key == "line 1 (header)"
    assert fault.expected == HEADER
    assert "phase_phi_deg" not in fault.found


def test_directions_given_twice_or_not_at_all_are_all_found(write):
    # 360 degrees is 0 degrees, which line 6 has already.
    rows = small(line_9="90,360,0,0,-200,0", line_12=None)
    twice, *missing = faults_of(write(rows))
    assert twice.key == "line 9"
    assert "line 6" in twice.found
    assert [fault.key for fault in missing] == [
        "theta_deg 90, phi_deg 270",
        "theta_deg 180, phi_deg 180",
    ]


@pytest.mark.parametrize(
    ("zeniths", "azimuths", "key"),
    [
        ((0, 30, 60, 120, 150, 180), (0, 90, 180, 270), "theta_deg"),
        ((0, 30, 60, 90), (0, 90, 180, 270), "theta_deg"),
        ((90,), (0, 90, 180, 270), "theta_deg"),
        ((0, 90, 180), (0, 90, 180), "phi_deg"),
        ((0, 90, 180), (0, 10, 20, 30), "phi_deg"),
    ],
)
def test_gaps_in_the_grid_are_found(write, zeniths, azimuths, key):
    rows = [f"{z},{a},0,0,-200,0" for z in zeniths for a in azimuths]
    (fault,) = faults_of(write(rows))
    assert fault.key.startswith(key)
    assert fault.expected == "even steps"


def test_rounded_angles_still_make_an_even_grid(write):
    azimuths = [f"{360 * i / 7:.2f}" for i in range(7)]
    rows = [f"{z},{a},0,0,-200,0" for z in (0, 90, 180) for a in azimuths]
    assert measured_pattern(write(rows)).field_theta.shape == (3, 7)


def test_of_many_faults_twenty_are_shown_and_the_rest_counted(write):
    rows = ["0,0,x,0,0,0"] * 30
    faults = faults_of(write(rows))
    assert len(faults) == 21
    assert faults[-1].found == "10 more"


def test_no_file_no_rows_no_text(write, tmp_path):
    assert "No such file" in faults_of(tmp_path / "none.csv")[0].found
    assert faults_of(write([]))[0].found == "no rows"
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in faults_of(tmp_path / "binary.csv")[0].expected
    (tmp_path / "empty.csv").write_bytes(b"")
    assert faults_of(tmp_path / "empty.csv")[0].key == "line 1 (header)"
