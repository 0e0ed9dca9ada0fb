"""All real data sets: where they come from, on what terms, and how to know that a copy is whole."""

from __future__ import annotations

from collections.abc import Mapping

from twin.measured.data_set import Archive, DataFile, DataSet, content_sha256
from twin.measured.records_surveys import (
    RSS_COLLECTION,
    TAMPERE_2017,
    UJI_INDOORLOC,
    UJI_LIBRARY_LONGTERM,
    UTS_INDOORLOC,
    WIFI_RTT_ROOMS,
)
from twin.measured.records_traces import (
    CSU_CSI_RSSI,
    INDOOR_LOCATION_COMPETITION20,
    NIST_ROOMS,
)

__all__ = [
    "CSU_CSI_RSSI",
    "DATA_SETS",
    "INDOOR_LOCATION_COMPETITION20",
    "NIST_ROOMS",
    "RSS_COLLECTION",
    "TAMPERE_2017",
    "UJI_INDOORLOC",
    "UJI_LIBRARY_LONGTERM",
    "UTS_INDOORLOC",
    "WIFI_RTT_ROOMS",
    "Archive",
    "DataFile",
    "DataSet",
    "content_sha256",
]

DATA_SETS: Mapping[str, DataSet] = {
    data_set.name: data_set
    for data_set in (
        CSU_CSI_RSSI,
        INDOOR_LOCATION_COMPETITION20,
        NIST_ROOMS,
        RSS_COLLECTION,
        TAMPERE_2017,
        UJI_INDOORLOC,
        UJI_LIBRARY_LONGTERM,
        UTS_INDOORLOC,
        WIFI_RTT_ROOMS,
    )
}
