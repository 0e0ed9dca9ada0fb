"""Importer of the CSUIndoorLoc CSI: on small files made here, and on the real ones."""

from __future__ import annotations

import dataclasses
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from twin.errors import InputError
from twin.measured.csu_csi_rssi import DATA_SET, SITES, read_sites, reference_points
from twin.measured.data_set import content_sha256
from twin.measured.importing import import_data_set
from twin.measured.nexmon import channel_frequency_hz, read_capture
from twin.store.layout import Job
from twin.store.reader import environments, open_site
from twin.store.verify import verify

SUBCARRIERS = 64
# Part -> points of each of five paths, packets a point.
SIZES = {"reference": (2, 3), "test": (1, 2)}
ADDRESSES = [bytes([2, 0, 0, 0, 0, number]) for number in range(7)]


def response(delay_samples: float) -> np.ndarray:
    """A single path: (64, 2) integers in FFT order, imaginary part first."""
    index = np.fft.fftfreq(SUBCARRIERS, 1 / SUBCARRIERS)
    csi = 1000 * np.exp(-2j * np.pi * index * delay_samples / SUBCARRIERS)
    return np.stack([csi.imag, csi.real], axis=-1).round().astype(np.int16)


def arrays(part: str) -> dict[str, np.ndarray]:
    points, packets = SIZES[part]
    path = np.repeat(np.arange(1, 6, dtype=np.int8), points)
    count = len(path)
    # Path 5 is measured from another access point in the test part.
    ap = np.where((path == 5) & (part == "test"), 6, path).astype(np.int8)
    return {
        "csi": np.array([[response(p + k) for k in range(packets)] for p in range(count)]),
        "label": np.array([f"{200 + p}_{1 + p % 2}" for p in range(count)]),
        "xy": np.arange(2.0 * count).reshape(-1, 2),
        "path": path,
        "rssi": -40.0 - np.arange(count),
        "channel": np.where(ap == 6, 140, 48).astype(np.int64),
        "ap": ap,
    }


def reduced(folder: Path, **changes):
    """Writes the reduced files; gives the record that knows them."""
    files = []
    for part, file in zip(SIZES, DATA_SET.files, strict=True):
        content = {**arrays(part), **(changes if part == "reference" else {})}
        path = folder / file.name
        np.savez_compressed(path, **{k: v for k, v in content.items() if v is not None})
        digest = content_sha256(path.read_bytes(), text=False)
        files.append(dataclasses.replace(file, sha256=digest))
    counts = {"reference": 10, "reference_packets": 3, "test": 5, "test_packets": 2, "paths": 5}
    return dataclasses.replace(DATA_SET, files=tuple(files), counts=counts)


def frame(csi: np.ndarray, rssi: int, source: bytes, channel: int, port: int = 5500) -> bytes:
    payload = b"\x11\x11" + struct.pack("<bB", rssi, 0x80) + source
    payload += struct.pack("<HHBBH", 7, 0, channel, 0xD0, 0x6500) + csi.astype("<i2").tobytes()
    udp = struct.pack(">HHHH", port, port, 8 + len(payload), 0) + payload
    ip = (
        bytes([0x45, 0]) + struct.pack(">H", 20 + len(udp)) + bytes(4) + bytes([64, 17]) + bytes(10)
    )
    return bytes(12) + b"\x08\x00" + ip + udp + b"padding"


def pcap(frames: list[bytes], order: str = "<", magic: int = 0xA1B2C3D4, link: int = 1) -> bytes:
    head = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    return head + b"".join(
        struct.pack(f"{order}IIII", 1_600_000_000 + i, 500, len(f), len(f)) + f
        for i, f in enumerate(frames)
    )


def official(folder: Path) -> None:
    """The same content as `reduced` in the official layout, with the content of the spreadsheet."""
    rows = ["part,label,path,x,y"]
    for part, short in zip(SIZES, ("ref", "test"), strict=True):
        a = arrays(part)
        (folder / "data" / short).mkdir(parents=True)
        for p, label in enumerate(a["label"]):
            x, y = a["xy"][p]
            rows.append(f"{short},{label},{a['path'][p]},{x},{y}")
            frames = [b"\0" * 60]
            for csi in a["csi"][p]:
                source = ADDRESSES[a["ap"][p]]
                frames.append(frame(csi, int(a["rssi"][p]), source, int(a["channel"][p])))
                frames.append(frame(csi, -1, source, 48, port=5501))
            count = SIZES[part][1]
            (folder / "data" / short / f"{short}_{label}_{count}.pcap").write_bytes(pcap(frames))
    (folder / "locations").mkdir()
    (folder / "locations" / "locations.csv").write_text("\n".join(rows), encoding="utf-8")


def test_packets_are_snapshots_and_later_paths_have_later_delays(tmp_path):
    record = reduced(tmp_path)
    (site,) = read_sites(tmp_path, ["csu_csi_path2"], data_set=record)
    assert site.spec.access_points == ("bssid2",)
    assert site.spec.ap_frequency_hz == (5.24e9,)
    assert (site.spec.points, site.spec.snapshots) == (3, 3)
    block = site.block(Job(0, 0, 3))
    assert block["split"].to_numpy().tolist() == [1, 1, 2]
    np.testing.assert_allclose(block["position"][:, :2], [[4, 5], [6, 7], [2, 3]])
    np.testing.assert_array_equal(block["rss"][0, :, 0], [-42] * 3)
    np.testing.assert_array_equal(np.isfinite(block["rss"][2, :, 0]), [True, True, False])
    csi = block["reported_csi"].to_numpy()[:, :, 0]
    assert np.isnan(csi[2, 2]).all()
    # The second reference point of the path is the fourth of all; its first packet is delayed by
    # three samples in the convention of the schema, sum of gains times exp(-j 2 pi f delay).
    offsets = (np.arange(SUBCARRIERS) - 32) * 312_500.0
    expected = 1000 * np.exp(-2j * np.pi * offsets * 3 / 20e6)
    np.testing.assert_allclose(csi[1, 0], expected, atol=1.0)
    impulse = np.abs(np.fft.ifft(np.fft.ifftshift(csi[1], axes=-1)))
    assert impulse.argmax(axis=-1).tolist() == [3, 4, 5]


def test_two_access_points_of_a_path_and_the_mismatch(tmp_path):
    record = reduced(tmp_path)
    sites = {site.name: site.spec for site in read_sites(tmp_path, data_set=record)}
    assert tuple(sites) == SITES
    spec = sites["csu_csi_path5"]
    assert spec.access_points == ("bssid5", "bssid6")
    assert spec.ap_frequency_hz == (5.24e9, 5.7e9)
    assert spec.attributes["access_points_of_reference"] == ["bssid5"]
    assert spec.attributes["access_points_of_test"] == ["bssid6"]
    assert "mismatch" in spec.attributes["mismatch"]
    assert "mismatch" not in sites["csu_csi_path4"].attributes


def test_reference_points_are_counted_and_checked(tmp_path):
    record = reduced(tmp_path)
    assert reference_points(tmp_path, data_set=record) == dict.fromkeys(SITES, 2)
    (tmp_path / DATA_SET.files[1].name).unlink()
    with pytest.raises(InputError, match=DATA_SET.files[1].name):
        reference_points(tmp_path, data_set=record)


def test_official_captures_give_the_same_as_the_reduced_files(tmp_path):
    (tmp_path / "reduced").mkdir()
    record = reduced(tmp_path / "reduced")
    official(tmp_path)
    pairs = zip(
        read_sites(tmp_path / "reduced", data_set=record),
        read_sites(tmp_path, data_set=record),
        strict=True,
    )
    for one, other in pairs:
        job = Job(0, 0, one.spec.points)
        assert one.block(job).identical(other.block(job))
        assert one.spec.ap_frequency_hz == other.spec.ap_frequency_hz
    assert other.spec.access_points == ("02:00:00:00:00:05", "02:00:00:00:00:06")


def test_a_store_of_it(tmp_path, monkeypatch):
    record = reduced(tmp_path)
    monkeypatch.setattr(read_sites, "__kwdefaults__", {"data_set": record})
    store = tmp_path / "store.zarr"
    import_data_set("csu_csi_rssi", tmp_path, store, ["csu_csi_path1"])
    (environment,) = environments(store, "csu_csi_path1")
    assert environment.split.tolist() == ["reference", "reference", "test"]
    data = open_site(store, "csu_csi_path1")
    assert data["reported_csi"].dims[2:] == (
        "snapshot", "ap", "rx_antenna", "ap_antenna", "subcarrier",
    )  # fmt: skip
    assert data.attrs["spaces"] == ["200", "201"]
    assert verify(store) == []


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"csi": None}, "csi: expected an array of this name"),
        ({"xy": np.full((10, 2), np.nan)}, r"xy\[0, 0\]: expected a finite number"),
        ({"xy": np.zeros((9, 2))}, r"xy: expected \(10, 2\)"),
        ({"csi": np.zeros((10, 3, 32, 2), np.int16)}, "csi: expected"),
        ({"csi": np.zeros((10, 2, 64, 2), np.int16)}, "packets a point: expected 3, found 2"),
        ({"rssi": np.full(10, 12.0)}, r"rssi\[0, 0\]: expected a number from -128 to 0"),
        ({"path": np.full(10, 2, np.int8)}, "path: expected points on each of"),
        ({"label": np.arange(10)}, "label: expected text"),
        ({"channel": np.arange(40, 50)}, "one channel an access point"),
    ],
)
def test_bad_arrays_are_refused(tmp_path, changes, part):
    record = reduced(tmp_path, **changes)
    with pytest.raises(InputError, match=part):
        list(read_sites(tmp_path, data_set=record))


def test_damaged_files_are_refused(tmp_path):
    record = reduced(tmp_path)
    path = tmp_path / DATA_SET.files[0].name
    whole = path.read_bytes()
    with pytest.raises(InputError, match="sha256"):
        list(read_sites(tmp_path))
    path.write_bytes(whole[:-100])
    with pytest.raises(InputError, match="a whole NumPy archive"):
        list(read_sites(tmp_path, data_set=record))
    path.write_bytes(whole[:500] + bytes(40) + whole[540:])
    with pytest.raises(InputError, match=r"NumPy archive|sha256"):
        list(read_sites(tmp_path, data_set=record))
    path.unlink()
    with pytest.raises(InputError, match="no such file"):
        list(read_sites(tmp_path, data_set=record))
    with pytest.raises(InputError, match="one of csu_csi_path1"):
        list(read_sites(tmp_path, ["csu_csi_path9"], data_set=record))


def swap(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_damaged_captures_are_refused(tmp_path):
    (tmp_path / "reduced").mkdir()
    record = reduced(tmp_path / "reduced")
    official(tmp_path)
    first, second = sorted((tmp_path / "data" / "ref").iterdir())[:2]
    first.write_bytes(first.read_bytes()[:-400])
    second.unlink()
    third = min((tmp_path / "data" / "test").iterdir())
    third.write_bytes(third.read_bytes()[: 24 + 16 + 60])
    locations = tmp_path / "locations" / "locations.csv"
    swap(locations, "test,204_1,5", "tests,204_1,5")
    with pytest.raises(InputError) as caught:
        list(read_sites(tmp_path, data_set=record))
    for part in (
        "a whole packet, found the end",
        "expected one file, found 0",
        "packets with CSI: expected 2, found 0",
        "column 'part': expected ref or test, found 'tests'",
    ):
        assert part in str(caught.value)
    for old, new, part in (
        ("part,label", "label,part", "row 1"),
        ("ref,200_1,1,0.0", "ref,200_1,one,0.0", "row 2: expected part, label"),
        ("ref,201_2", "ref,200_1", "row 3, column 'label'"),
    ):
        text = locations.read_text(encoding="utf-8")
        swap(locations, old, new)
        with pytest.raises(InputError, match=part):
            list(read_sites(tmp_path, data_set=record))
        locations.write_text(text, encoding="utf-8")
    locations.unlink()
    with pytest.raises(InputError, match=r"locations\.csv: .* Save what the spreadsheets"):
        list(read_sites(tmp_path, data_set=record))


def test_captures_of_other_kinds(tmp_path):
    path = tmp_path / "a.pcap"
    one = frame(response(1.0), -60, ADDRESSES[1], 36)
    for order, magic, time in (
        ("<", 0xA1B2C3D4, 1_600_000_000.0005),
        (">", 0xA1B2C3D4, 1_600_000_000.0005),
        ("<", 0xA1B23C4D, 1_600_000_000.0000005),
    ):
        path.write_bytes(pcap([one], order, magic))
        faults = []
        capture = read_capture(path, faults)
        assert faults == []
        assert capture.rssi_dbm.tolist() == [-60]
        assert capture.source == ("02:00:00:00:00:01",)
        assert capture.channel.tolist() == [36]
        assert capture.time_s[0] == pytest.approx(time, abs=2e-7)
    for content, part in (
        (pcap([one], link=127), "link type 1"),
        (b"\x0a\x0d\x0d\x0a" + bytes(40), "0a0d0d0a"),
        (b"", "libpcap"),
    ):
        path.write_bytes(content)
        faults = []
        assert read_capture(path, faults) is None
        assert part in str(faults[0])
    faults = []
    assert read_capture(tmp_path / "none.pcap", faults) is None
    assert "readable" in str(faults[0])


def test_frequencies_of_channels():
    found = [channel_frequency_hz(channel) for channel in (1, 13, 14, 36, 140)]
    assert found == [2.412e9, 2.472e9, 2.484e9, 5.18e9, 5.7e9]


REAL = Path(os.environ.get("TWIN_DATA_DIR", ""))


@pytest.mark.skipif(
    not os.environ.get("TWIN_DATA_DIR") or not (REAL / "csu_csi_rssi").is_dir(),
    reason="needs TWIN_DATA_DIR with csu_csi_rssi",
)
def test_real_paths():
    sizes = {}
    for site in read_sites(REAL):
        points = site.spec.points
        block = site.block(Job(0, 0, points))
        split = block["split"].to_numpy()
        sizes[site.name] = ((split == 1).sum(), (split == 2).sum(), len(site.spec.access_points))
        csi = block["reported_csi"].to_numpy()
        heard = np.isfinite(csi).all(axis=-1)
        assert heard.sum() == 200 * (split == 1).sum() + 100 * (split == 2).sum()
        # Echoes follow the strongest path: tells the order of real and imaginary part, and of
        # the subcarriers. Guard subcarriers and the carrier hold no response.
        used = csi[heard] * np.isin(np.arange(64), [*range(4, 32), *range(33, 61)])
        taper = np.zeros(64)
        taper[3:62] = np.hanning(59)
        power = np.abs(np.fft.ifft(np.fft.ifftshift(used * taper, axes=-1))) ** 2
        power /= power.sum(axis=-1, keepdims=True)
        after = (power.argmax(axis=-1)[:, None] + np.arange(3, 10)) % 64
        before = (power.argmax(axis=-1)[:, None] - np.arange(3, 10)) % 64
        late = np.take_along_axis(power, after, -1).mean()
        early = np.take_along_axis(power, before, -1).mean()
        assert late > 1.5 * early
    assert sizes == {
        "csu_csi_path1": (52, 49, 2),
        "csu_csi_path2": (30, 26, 1),
        "csu_csi_path3": (26, 20, 1),
        "csu_csi_path4": (30, 28, 1),
        "csu_csi_path5": (42, 41, 2),
    }
