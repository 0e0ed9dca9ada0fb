"""Records of measured walks, of channel captures and of another tracer's output."""

from __future__ import annotations

from twin.measured.data_set import Archive, DataFile, DataSet

_GITHUB = "https://github.com"

# Digests: of the files made smaller for this project's data folder.
INDOOR_LOCATION_COMPETITION20 = DataSet(
    name="indoor_location_competition20",
    title="Indoor Location Competition 2.0: WiFi and iBeacon on walks in two malls",
    url=f"{_GITHUB}/location-competition/indoor-location-competition-20",
    archives=(
        Archive(f"{_GITHUB}/location-competition/indoor-location-competition-20/archive/HEAD.zip"),
    ),
    licence="MIT",
    citation=(
        (
            "XYZ10 (2020). Indoor Location Competition 2.0. "
            "github.com/location-competition/indoor-location-competition-20"
        ),
    ),
    units="RSS in dBm; x and y in metres of each floor, interpolated between waypoints (1-2 m)",
    files=(
        DataFile(
            "ilc20_wifi_scans.npz",
            "99df21863b0e0c1daf066efbcfdb0963c25705517c14a1792b1bce519d17d6d3",
            text=False,
            kept=True,
        ),
        DataFile(
            "ilc20_ibeacon.npz",
            "bffb4171ac186677447027a9b0a04e1005fb1d7aa258f1808cca3065d044a2ea",
            text=False,
            kept=True,
        ),
        DataFile(
            "floor_maps_geojson.tar.xz",
            "bcdf8f6d8a72cb04049197e2e8b9f960191c45f1355eaa442d4226b9bd3fab40",
            text=False,
            kept=True,
        ),
    ),
    patterns=(
        "data/*/*/path_data_files/*.txt",
        "data/*/*/floor_info.json",
        "data/*/*/geojson_map.json",
    ),
    counts={
        "floors": 14,
        "traces": 988,
        "scans": 15_251,
        "readings": 3_873_277,
        "access_points": 8_254,
        "waypoints": 7_025,
        "beacon_readings": 89_842,
    },
)

# Digests: of the files made smaller for this project's data folder.
CSU_CSI_RSSI = DataSet(
    name="csu_csi_rssi",
    title="CSUIndoorLoc: WiFi CSI and RSSI in corridors of a university",
    url=f"{_GITHUB}/EPIC-CSU/csi-rssi-dataset-indoor-nav",
    licence="BSD-3-Clause",
    citation=(
        (
            "Wang, L., Pasricha, S. (2022). A Framework for CSI-Based Indoor Localization with 1D "
            "Convolutional Neural Networks. IPIN 2022"
        ),
    ),
    units="CSI as integers, 64 subcarriers in FFT order, 20 MHz; RSSI in dBm; x and y in metres",
    files=(
        DataFile(
            "csu_csi_ref.npz",
            "00ae4e100ab11660aa223fa02bbb643f92b6cfb09fcd54e0e8a3d85ab42aab92",
            text=False,
            kept=True,
        ),
        DataFile(
            "csu_csi_test.npz",
            "be074a872970a3bdb1245073250e3c565670abb0e0534d6b821aff833169999b",
            text=False,
            kept=True,
        ),
    ),
    patterns=("data/*/*.pcap", "locations/*.xlsx"),
    counts={
        "reference": 180,
        "reference_packets": 200,
        "test": 164,
        "test_packets": 100,
        "paths": 5,
    },
    note="path 5 is mismatched: its reference and test files hold different access points",
    by_hand="its places are in spreadsheets that have to be saved as locations/locations.csv, with "
    "the columns part, label, path, x and y",
)

# Digests: of the rooms as OBJ (official: AMF and XML) and of the archive of the tracer's runs.
NIST_ROOMS = DataSet(
    name="nist_rooms",
    title="NIST Q-D rooms: four furnished rooms and what the NIST tracer found in them at 60 GHz",
    url=f"{_GITHUB}/usnistgov/qd-realization",
    archives=(Archive(f"{_GITHUB}/usnistgov/qd-realization/archive/HEAD.zip"),),
    licence="NIST-Software",
    citation=(
        (
            "Lecci, M., Polese, M., Lai, C., Wang, J., Gentile, C., Golmie, N., Zorzi, M. (2020). "
            "Quasi-Deterministic Channel Model for mmWaves: Mathematical Formalization and "
            "Validation. IEEE GLOBECOM"
        ),
        "NIST (2021). Q-D Realization software. github.com/usnistgov/qd-realization",
    ),
    units="metres; delays in s, gains in dB, angles in degrees",
    files=(
        DataFile(
            "reference_L-Room_LectureRoom_ConferenceRoom_EnterpriseCubicle.tar.xz",
            "d78fc68d80096c7e4f1b2c48481ff54151596c0227db90ee7f15a53d397e00d3",
            text=False,
            kept=True,
        ),
    ),
    patterns=(
        "src/material_libraries/*.csv",
        "src/examples/*/Input/*",
        "src/examples/*/Output/*/*",
        "src/examples/*/Output/*/*/*",
    ),
)
