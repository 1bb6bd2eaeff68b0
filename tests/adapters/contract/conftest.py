from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from typing import NamedTuple

import pytest
import trustme
from tests.adapters.contract.runtime import AsyncioRuntime, Runtime, TrioRuntime
from tests.adapters.contract.world import complaints


class Tls(NamedTuple):
    """Two ends that trust one another, for `localhost`."""

    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture(params=[AsyncioRuntime, TrioRuntime], ids=lambda each: each.name)
def runtime(request: pytest.FixtureRequest) -> Runtime:
    made: Runtime = request.param()
    return made


@pytest.fixture(params=["ws", "tcp"])
def transport(request: pytest.FixtureRequest) -> str:
    made: str = request.param
    return made


@pytest.fixture(scope="session")
def tls() -> Tls:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return Tls(server, client)


@pytest.fixture(autouse=True)
def quiet_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a test does to the other end, nothing of it is an error in the log."""
    with caplog.at_level(logging.DEBUG):
        yield
    assert complaints(caplog.get_records("call")) == []
