"""Fixtures that several folders of tests share."""

from __future__ import annotations

import pytest

from flows.server import connected, local_server


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory):
    """Address of a Prefect server that serves all tests of flows; flows run against it."""
    home = tmp_path_factory.mktemp("prefect")
    with local_server(home) as api_url, connected(api_url, home):
        yield api_url
