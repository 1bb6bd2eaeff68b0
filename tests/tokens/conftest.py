from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from tests.adapters.contract.runtime import AsyncioRuntime, Runtime, TrioRuntime
from tests.tokens.auth_server import AuthServer


@pytest.fixture(params=[AsyncioRuntime, TrioRuntime], ids=lambda each: each.name)
def runtime(request: pytest.FixtureRequest) -> Runtime:
    made: Runtime = request.param()
    return made


@pytest.fixture
def auth() -> Iterator[AuthServer]:
    with AuthServer() as server:
        yield server


@pytest.fixture(autouse=True)
def discreet_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever happens, and whoever logs: no secret, and no traceback."""
    with caplog.at_level(logging.DEBUG):
        yield
    for record in caplog.get_records("call"):
        message = record.getMessage()
        assert "secret" not in message
        assert "eyJ" not in message
        assert record.exc_info is None
