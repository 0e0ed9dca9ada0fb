"""Reader of captures of channel state information made with the Nexmon CSI Extractor.

Format: the extractor's ``README`` and ``src/csi_extractor.c`` (seemoo-lab/nexmon_csi; Gringoli,
Schulz, Link and Hollick, "Free Your CSI", WiNTECH 2019). A capture is a libpcap file of Ethernet
frames; each measurement is a UDP datagram to port 5500 whose payload has 18 bytes of header (magic,
RSSI, frame control, source address, sequence number, core and spatial stream, channel, chip) and
then two 16-bit integers a subcarrier. On the chips read here, bcm43455c0 (Raspberry Pi) and
bcm4339, the imaginary part stands first; the extractor's own examples have it the other way round
(its issue 44), which mirrors the axis of delay.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from twin.errors import Fault

SUBCARRIERS_20_MHZ = 64
SUBCARRIER_SPACING_HZ = 312_500.0

_GLOBAL_HEADER, _RECORD_HEADER = 24, 16
_ETHERNET, _UDP, _NEXMON = 14, 8, 18
_LINK_ETHERNET = 1
_PROTOCOL_UDP = 17
_PORT = 5500
_MAGIC = b"\x11\x11"
# Byte order and parts of a second, by the first four bytes.
_BYTE_ORDERS = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e6),
    b"\xa1\xb2\xc3\xd4": (">", 1e6),
    b"\x4d\x3c\xb2\xa1": ("<", 1e9),
    b"\xa1\xb2\x3c\x4d": (">", 1e9),
}
_CURE = "Fetch the file anew."


@dataclass(frozen=True, eq=False)
class Capture:
    """Measurements of a capture at 20 MHz, in the order of the file.

    Args:
        time_s: (packet,) seconds since 1970.
        rssi_dbm: (packet,)
        source: (packet,) address of the sender, such as ``aa:bb:cc:00:11:22``.
        channel: (packet,) number of the channel.
        csi: (packet, subcarrier) complex64 in the receiver's units, subcarriers by rising offset.
    """

    time_s: npt.NDArray[np.float64]
    rssi_dbm: npt.NDArray[np.int8]
    source: tuple[str, ...]
    channel: npt.NDArray[np.int64]
    csi: npt.NDArray[np.complex64]


def read_capture(path: Path, faults: list[Fault], packets: int | None = None) -> Capture | None:
    """The measurements of a file; packets of another kind or bandwidth are passed over.

    Args:
        path: the file.
        faults: gets what is wrong.
        packets: measurements to read, from the first; all where not given.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        faults.append(Fault(str(path), "", "a readable file", str(error), _CURE))
        return None
    order, fraction = _BYTE_ORDERS.get(raw[:4], ("", 0.0))
    if not order or len(raw) < _GLOBAL_HEADER:
        expected = "a capture in libpcap format"
        cure = "Save a pcapng file as pcap."
        faults.append(Fault(str(path), "", expected, f"the bytes {raw[:4].hex()}", cure))
        return None
    (link,) = struct.unpack_from(f"{order}I", raw, 20)
    if link != _LINK_ETHERNET:
        faults.append(Fault(str(path), "", "frames of Ethernet (link type 1)", f"type {link}"))
        return None
    times: list[float] = []
    payloads: list[bytes] = []
    place = _GLOBAL_HEADER
    while place < len(raw) and (packets is None or len(payloads) < packets):
        end = place + _RECORD_HEADER
        if end <= len(raw):
            second, part, length, _ = struct.unpack_from(f"{order}4I", raw, place)
            end += length
        if end > len(raw):
            expected, found = "a whole packet", "the end of the file"
            faults.append(Fault(str(path), f"byte {place}", expected, found, _CURE))
            return None
        payload = _measurement(raw[place + _RECORD_HEADER : end])
        if payload:
            times.append(second + part / fraction)
            payloads.append(payload)
        place = end
    return _decoded(times, payloads)


def _measurement(frame: bytes) -> bytes:
    """Payload of a frame that holds a measurement at 20 MHz; nothing of any other."""
    size = _NEXMON + 4 * SUBCARRIERS_20_MHZ
    ip = frame[_ETHERNET:]
    if frame[12:14] != b"\x08\x00" or len(ip) < 20 or ip[9] != _PROTOCOL_UDP:
        return b""
    udp = ip[4 * (ip[0] & 15) :]
    if len(udp) < _UDP + size or struct.unpack_from(">H", udp, 2) != (_PORT,):
        return b""
    (length,) = struct.unpack_from(">H", udp, 4)
    payload = udp[_UDP:]
    # Frames may be padded beyond the datagram.
    right = length == _UDP + size and payload[:2] == _MAGIC
    return payload[:size] if right else b""


def _decoded(times: list[float], payloads: list[bytes]) -> Capture:
    header = np.array(
        [np.frombuffer(payload, np.uint8, _NEXMON) for payload in payloads], np.uint8
    ).reshape(-1, _NEXMON)
    parts = np.array(
        [np.frombuffer(payload, "<i2", offset=_NEXMON) for payload in payloads], np.int16
    ).reshape(-1, SUBCARRIERS_20_MHZ, 2)
    return Capture(
        time_s=np.array(times, dtype=np.float64),
        rssi_dbm=header[:, 2].copy().view(np.int8),
        source=tuple(bytes(row[4:10]).hex(":") for row in header),
        # The low byte of the specification of the channel is its number.
        channel=header[:, 14].astype(np.int64),
        csi=complex_csi(parts),
    )


def complex_csi(parts: npt.NDArray[np.int16]) -> npt.NDArray[np.complex64]:
    """Channel frequency response, subcarriers by rising offset from the carrier.

    Args:
        parts: (..., subcarrier, 2) as the extractor sends them: in FFT order, imaginary part first.
    """
    csi = parts[..., 1].astype(np.float32) + np.complex64(1j) * parts[..., 0].astype(np.float32)
    return np.fft.fftshift(csi, axes=-1)


def channel_frequency_hz(channel: int) -> float:
    """Centre of a 20 MHz WiFi channel in the 2.4 or 5 GHz band, as IEEE 802.11 numbers them."""
    if channel == 14:
        return 2.484e9
    return 1e6 * ((2407 if channel < 14 else 5000) + 5 * channel)
