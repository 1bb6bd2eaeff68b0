"""The client again on uvloop, where transports, buffers and cancellation are not asyncio's."""

from __future__ import annotations

from typing import Any

import pytest
from tests.adapters.contract import test_cancelled_calls as cancelled_calls
from tests.adapters.contract import test_cancelled_lives as cancelled_lives
from tests.adapters.contract import test_client_reading as reading
from tests.adapters.contract import test_client_refresh as refresh
from tests.adapters.contract import test_client_requests as requests
from tests.adapters.contract import test_client_transactions as transactions
from tests.adapters.contract import test_client_work as work
from tests.adapters.contract.runtime import Runtime

UvloopRuntime = pytest.importorskip("tests.adapters.contract.test_uvloop").UvloopRuntime


@pytest.fixture
def runtime() -> Runtime:
    made: Runtime = UvloopRuntime()
    return made


@pytest.mark.parametrize("way", [refresh.BREAK, refresh.OVERLAP], ids=["break", "overlap"])
def test_a_handover_is_not_noticed(runtime: Runtime, way: Any) -> None:
    refresh.test_a_handover_is_not_noticed(runtime, "ws", way)


def test_one_connection_outlives_many_tokens(runtime: Runtime) -> None:
    refresh.test_one_connection_outlives_many_tokens(runtime, "tcp")


def test_the_outbox_is_full_when_the_server_does_not_read(runtime: Runtime, transport: str) -> None:
    work.test_the_outbox_is_full_when_the_server_does_not_read(runtime, transport)


def test_whether_it_was_committed_is_not_known(runtime: Runtime) -> None:
    transactions.test_whether_it_was_committed_is_not_known(runtime, "ws")


def test_two_hundred_requests_at_once(runtime: Runtime) -> None:
    requests.test_two_hundred_at_once(runtime, "ws")


def test_a_slow_reader_gets_everything(runtime: Runtime) -> None:
    reading.test_a_slow_reader_gets_everything(runtime)


def test_a_reader_that_sends_and_asks_between_two_messages(runtime: Runtime) -> None:
    reading.test_a_reader_that_sends_and_asks_between_two_messages(runtime, "ws")


@pytest.mark.parametrize(
    "operation", cancelled_calls.OPERATIONS, ids=lambda operation: operation.__name__
)
def test_a_call_is_cancelled(runtime: Runtime, operation: cancelled_calls.Operation) -> None:
    cancelled_calls.test_of_a_client_that_goes_on(runtime, "ws", operation)


@pytest.mark.parametrize("again", [None, 1], ids=["once", "twice"])
def test_a_whole_life_is_cancelled(runtime: Runtime, again: int | None) -> None:
    cancelled_lives.test_a_whole_life(runtime, "ws", again)


def test_a_client_is_cancelled_in_the_middle_of_a_frame(runtime: Runtime, transport: str) -> None:
    cancelled_lives.test_of_the_client_itself_in_the_middle_of_a_frame(runtime, transport)


@pytest.mark.parametrize("moment", cancelled_lives.MOMENTS)
def test_cancelled_while_the_token_is_renewed(runtime: Runtime, moment: str) -> None:
    cancelled_lives.test_while_the_token_is_renewed(runtime, "tcp", moment)
