from __future__ import annotations

import pytest

from stompcore._auth import Token
from stompcore._config import Backoff, ClientConfig
from stompcore._credential import Credential
from stompcore._errors import LocalProtocolError
from stompcore._events import FetchToken, TokenReason
from stompcore._state import TokenState
from stompcore._timers import Timer, Timers

CONFIG = ClientConfig(
    token_timeout=10.0, token_refusals=3, backoff=Backoff(minimum=1.0, maximum=8.0)
)
OLD, NEW = Token("old"), Token("new")


def credential(timers: Timers | None = None) -> Credential:
    return Credential(CONFIG, timers or Timers(), random=lambda: 0.5)


def fresh(timers: Timers | None = None) -> Credential:
    made = credential(timers)
    call = made.fetch(0.0)
    assert call is not None
    assert made.arrived(call.generation, OLD, 0.0)
    return made


def test_at_first_there_is_none() -> None:
    made = credential()
    assert (made.state, made.token, made.is_usable, made.generation) == (
        TokenState.NONE,
        None,
        False,
        0,
    )


def test_fetch() -> None:
    timers = Timers()
    made = credential(timers)
    assert made.fetch(100.0) == FetchToken(generation=1, reason=TokenReason.INITIAL)
    assert made.state is TokenState.FETCHING
    assert timers.at(Timer.TOKEN_FETCH) == 110.0
    assert made.arrived(1, OLD, 0.0)
    assert (made.is_usable, made.token) == (True, OLD)
    assert timers.at(Timer.TOKEN_FETCH) is None


def test_D13_one_call_at_a_time_whoever_asks() -> None:
    timers = Timers()
    made = credential(timers)
    assert made.fetch(100.0) is not None
    for now in (100.0, 105.0, 1000.0):
        assert made.fetch(now) is None
    assert (made.generation, timers.at(Timer.TOKEN_FETCH)) == (1, 110.0)


def test_D13_the_answer_of_another_generation_is_void() -> None:
    timers = Timers()
    made = fresh(timers)
    made.refused(made.token_generation, was_accepted=True)
    assert made.fetch(0.0) == FetchToken(generation=2, reason=TokenReason.EXPIRED)
    for generation in (0, 1, 3):
        assert not made.arrived(generation, NEW, 0.0)
        assert not made.failed(generation, 0.0, permanent=True)
    assert (made.state, made.token) == (TokenState.FETCHING, OLD)
    assert timers.at(Timer.TOKEN_FETCH) == 10.0
    assert made.arrived(2, NEW, 0.0)


def test_an_answer_counts_once() -> None:
    made = fresh()
    assert not made.arrived(1, NEW, 0.0)
    assert not made.failed(1, 0.0, permanent=True)
    assert (made.state, made.token) == (TokenState.FRESH, OLD)


def test_D15_a_temporary_failure_is_tried_again_after_a_growing_delay() -> None:
    timers = Timers()
    made = credential(timers)
    delays = []
    for generation in range(1, 6):
        assert made.fetch(100.0) == FetchToken(generation=generation, reason=TokenReason.INITIAL)
        assert made.failed(generation, 100.0, permanent=False)
        assert made.state is TokenState.STALE
        assert timers.at(Timer.TOKEN_FETCH) is None
        assert made.fetch(100.0) is None
        due = timers.pop_due(1e9)
        assert due is not None
        assert due[0] is Timer.TOKEN_RETRY
        delays.append(due[1] - 100.0)
    assert delays == [1.5, 2.5, 4.5, 4.5, 4.5]


def test_a_token_ends_the_row_of_failures() -> None:
    timers = Timers()
    made = credential(timers)
    for generation in (1, 2):
        made.fetch(0.0)
        made.failed(generation, 0.0, permanent=False)
        timers.cancel(Timer.TOKEN_RETRY)
    made.fetch(0.0)
    assert made.arrived(3, OLD, 0.0)
    made.refused(made.token_generation, was_accepted=True)
    made.fetch(0.0)
    made.failed(4, 0.0, permanent=False)
    assert timers.at(Timer.TOKEN_RETRY) == 1.5


def test_D15_a_permanent_failure_is_the_end() -> None:
    timers = Timers()
    made = credential(timers)
    made.fetch(0.0)
    assert made.failed(1, 0.0, permanent=True)
    assert made.state is TokenState.REFUSED
    assert timers.next_deadline() is None
    with pytest.raises(LocalProtocolError):
        made.fetch(1.0)
    assert (made.generation, timers.next_deadline()) == (1, None)


def test_D11_an_expired_token_is_stale_at_once() -> None:
    made = fresh()
    assert made.refused(made.token_generation, was_accepted=True)
    assert (made.state, made.is_usable) == (TokenState.STALE, False)
    assert made.fetch(0.0) == FetchToken(generation=2, reason=TokenReason.EXPIRED)


def test_expired_while_the_next_one_is_on_its_way() -> None:
    made = fresh()
    assert made.fetch(0.0) is not None
    assert made.refused(made.token_generation, was_accepted=True)
    assert made.state is TokenState.FETCHING
    assert made.arrived(2, NEW, 0.0)
    assert made.token == NEW


def refuse(made: Credential) -> tuple[bool, bool]:
    """One fresh token, refused at CONNECT: whether to go on, and whether it was the first."""
    if not made.is_usable:
        call = made.fetch(0.0)
        assert call is not None
        assert made.arrived(call.generation, NEW, 0.0)
    return made.refused(made.token_generation, was_accepted=False), made.was_refused_once


def test_D12_fresh_tokens_refused_in_a_row_stop_the_client() -> None:
    made = fresh()
    assert [refuse(made) for _ in range(3)] == [(True, True), (True, False), (False, False)]


def test_D12_connected_ends_the_row() -> None:
    made = fresh()
    assert not made.was_refused_once
    assert [refuse(made)[0] for _ in range(2)] == [True, True]
    made.accepted(made.token_generation, None, 0.0)
    assert not made.was_refused_once
    assert [refuse(made)[0] for _ in range(3)] == [True, True, False]


def test_a_token_that_served_and_then_expired_was_not_refused() -> None:
    made = fresh()
    for generation in range(2, 12):
        assert made.refused(made.token_generation, was_accepted=True)
        made.fetch(0.0)
        assert made.arrived(generation, NEW, 0.0)
    assert not made.was_refused_once


def test_D14_an_answer_that_comes_after_the_end_is_void() -> None:
    made = fresh()
    made.refused(made.token_generation, was_accepted=True)
    call = made.fetch(0.0)
    assert call is not None
    made.forget()
    assert made.token is None
    assert not made.arrived(call.generation, NEW, 0.0)
    assert not made.failed(call.generation, 0.0, permanent=True)
    assert made.token is None
