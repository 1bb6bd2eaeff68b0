"""Servers for other people's clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.serving import Serving, serving

#: In milliseconds, both ways.
HEART_BEAT = 1000


@pytest.fixture(scope="session", params=["asyncio", "trio"])
def server(request: pytest.FixtureRequest) -> Iterator[Serving]:
    """A `stompcore serve`, on WebSocket and TCP, the same one for all tests of a runtime."""
    with serving(
        "--runtime", request.param, "--heart-beat", f"{HEART_BEAT},{HEART_BEAT}"
    ) as server:
        yield server


@pytest.fixture
def destination(request: pytest.FixtureRequest) -> str:
    """A topic of the test's own."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    return f"/topic/{name}"
