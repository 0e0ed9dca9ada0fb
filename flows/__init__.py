"""Prefect flows: parameters, job list, map, verify, publish.

Prefect and TensorFlow read their settings when they are first imported, so the defaults below are
set by this package, which every flow imports first; a variable that the user set wins.
"""

from __future__ import annotations

import os

_QUIET = {
    # Usage events of the client, heartbeats of the server, traces to the cloud.
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    # The flows print their own progress, retries and errors.
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}
for _name, _value in _QUIET.items():
    os.environ.setdefault(_name, _value)

# A proxy must not come between a flow and the server beside it.
for _name in ("no_proxy", "NO_PROXY"):
    _hosts = [host for host in os.environ.get(_name, "").split(",") if host]
    os.environ[_name] = ",".join(dict.fromkeys([*_hosts, "127.0.0.1"]))
