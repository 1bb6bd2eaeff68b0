"""The asyncio binding on uvloop, as it is: the main stories once more."""

from __future__ import annotations

import asyncio

import pytest
from tests.adapters.contract import test_bad_input as bad_input
from tests.adapters.contract import test_cancellation as cancellation
from tests.adapters.contract import test_draining as draining
from tests.adapters.contract import test_handlers as handlers
from tests.adapters.contract import test_lifecycle as lifecycle
from tests.adapters.contract import test_queues as queues
from tests.adapters.contract import test_serving as serving
from tests.adapters.contract import test_wire as wire
from tests.adapters.contract.conftest import Tls
from tests.adapters.contract.runtime import AsyncioRuntime, Body, Runtime

uvloop = pytest.importorskip("uvloop")


class UvloopRuntime(AsyncioRuntime):
    name = "uvloop"

    def _new_loop(self) -> asyncio.AbstractEventLoop:
        made: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        return made

    async def _bounded(self, body: Body) -> None:
        # With the first listener, libuv takes a spare descriptor for the day when there is none.
        first = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
        first.close()
        await first.wait_closed()
        await super()._bounded(body)


@pytest.fixture
def runtime() -> Runtime:
    return UvloopRuntime()


def test_expiry_is_not_noticed(runtime: Runtime) -> None:
    lifecycle.test_expiry_is_not_noticed(runtime, "ws")


def test_over_tls(runtime: Runtime, tls: Tls) -> None:
    lifecycle.test_over_tls(runtime, "ws", tls)


def test_the_farewell_to_the_byte(runtime: Runtime, transport: str) -> None:
    wire.test_the_farewell_to_the_byte(runtime, transport)


def test_a_flood_does_not_drown_the_error(runtime: Runtime, tls: Tls) -> None:
    wire.test_a_flood_does_not_drown_the_error(runtime, "ws", True, tls)


def test_a_crowd_of_bad_peers(runtime: Runtime) -> None:
    bad_input.test_a_crowd_of_bad_peers(runtime)


def test_at_every_turn_of_the_loop(runtime: Runtime, tls: Tls) -> None:
    cancellation.test_at_every_turn_of_the_loop(runtime, "ws", True, tls)


def test_drain(runtime: Runtime, transport: str) -> None:
    serving.test_drain_tells_everybody(runtime, transport)


def test_who_comes_at_the_last_moment(runtime: Runtime, tls: Tls) -> None:
    serving.test_who_comes_at_the_last_moment(runtime, True, tls)


def test_a_drain_lets_handlers_finish(runtime: Runtime, transport: str) -> None:
    handlers.test_a_drain_lets_them_finish(runtime, transport)


def test_five_megabytes_flow(runtime: Runtime, transport: str) -> None:
    queues.test_five_megabytes_flow(runtime, transport, False)


def test_a_drain_that_is_cancelled(runtime: Runtime, transport: str) -> None:
    draining.test_cancelled_in_the_middle(runtime, transport)
