from __future__ import annotations

import pytest
from tests.adapters.contract.runtime import AsyncioRuntime, Runtime, TrioRuntime


@pytest.fixture(params=[AsyncioRuntime, TrioRuntime], ids=lambda each: each.name)
def runtime(request: pytest.FixtureRequest) -> Runtime:
    made: Runtime = request.param()
    return made


@pytest.fixture(params=["ws", "tcp"])
def transport(request: pytest.FixtureRequest) -> str:
    made: str = request.param
    return made
