"""A token ahead of its end: when the source is asked, what is of no use, and whose it may be."""

from __future__ import annotations

import base64
import json
import math
from itertools import pairwise
from typing import Any

import pytest

from stompcore._auth import Token
from stompcore._config import Backoff, ClientConfig, Refresh
from stompcore._credential import Credential
from stompcore._errors import SubjectChanged, TokenUnchanged, TokenUnusable
from stompcore._events import FetchToken, TokenReason
from stompcore._state import TokenState
from stompcore._timers import Timer, Timers

CONFIG = ClientConfig(backoff=Backoff(minimum=1.0, maximum=8.0))
OLD, NEW = Token("old"), Token("new")
AHEAD, EXPIRED = TokenReason.AHEAD, TokenReason.EXPIRED


def credential(
    timers: Timers | None = None, config: ClientConfig = CONFIG, draw: float = 0.5
) -> Credential:
    return Credential(config, timers or Timers(), random=lambda: draw)


def jwt(**claims: Any) -> Token:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return Token(f"e30.{payload}.sig")


def renewed(made: Credential, token: Token, now: float = 0.0) -> None:
    """The source is asked, and gives this."""
    call = made.fetch(now)
    assert call is not None
    assert made.fault(token.reveal()) is None
    assert made.arrived(call.generation, token, now)


def fresh(timers: Timers | None = None) -> Credential:
    made = credential(timers)
    renewed(made, OLD)
    return made


# --- ahead of its end -------------------------------------------------------------------------


def test_asked_ahead_of_time_the_token_that_there_is_still_counts() -> None:
    timers = Timers()
    made = fresh(timers)
    assert made.fetch(50.0) == FetchToken(generation=2, reason=AHEAD)
    assert (made.state, made.is_usable, made.token) == (TokenState.RENEWING, True, OLD)
    assert (made.token_generation, made.generation) == (1, 2)
    assert timers.at(Timer.TOKEN_FETCH) == 60.0
    assert made.fetch(50.0) is None
    assert made.arrived(2, NEW, 51.0)
    assert (made.state, made.token, made.token_generation) == (TokenState.FRESH, NEW, 2)
    assert timers.next_deadline() is None


def test_D15_a_failure_ahead_of_time_costs_nothing_but_a_delay() -> None:
    timers = Timers()
    made = fresh(timers)
    delays = []
    for generation in range(2, 6):
        assert made.fetch(0.0) == FetchToken(generation=generation, reason=AHEAD)
        assert made.failed(generation, 0.0, permanent=False)
        assert (made.state, made.token) == (TokenState.FRESH, OLD)
        assert made.fetch(0.0) is None
        due = timers.pop_due(1e9)
        assert due is not None
        assert due[0] is Timer.TOKEN_RETRY
        delays.append(due[1])
    assert delays == [1.5, 2.5, 4.5, 4.5]


def test_a_permanent_failure_ahead_of_time_is_the_end_as_well() -> None:
    made = fresh()
    made.fetch(0.0)
    assert made.failed(2, 0.0, permanent=True)
    assert (made.state, made.is_usable) == (TokenState.REFUSED, False)


def test_D13_the_token_dies_while_the_source_is_asked_and_the_same_call_goes_on() -> None:
    timers = Timers()
    made = fresh(timers)
    assert made.fetch(50.0) is not None
    assert made.refused(1, was_accepted=True)
    assert (made.state, made.is_usable) == (TokenState.FETCHING, False)
    assert made.fetch(51.0) is None
    assert (made.generation, timers.at(Timer.TOKEN_FETCH)) == (2, 60.0)
    assert made.failed(2, 52.0, permanent=False)
    assert made.state is TokenState.STALE
    timers.cancel(Timer.TOKEN_RETRY)
    assert made.fetch(60.0) == FetchToken(generation=3, reason=EXPIRED)


def test_C5_the_refusal_of_an_older_token_does_not_fall_upon_a_newer() -> None:
    made = fresh()
    renewed(made, NEW)
    assert made.refused(1, was_accepted=True)
    assert (made.state, made.token) == (TokenState.FRESH, NEW)
    assert made.refused(2, was_accepted=True)
    assert made.state is TokenState.STALE


def test_a_token_is_refused_once_however_often_that_is_said() -> None:
    made = fresh()
    for _ in range(3):
        assert made.refused(1, was_accepted=True)
    assert made.state is TokenState.STALE


def test_whoever_asks_later_does_not_ask_while_a_call_is_under_way() -> None:
    timers = Timers()
    made = fresh(timers)
    made.fetch(0.0)
    made.ask_later(0.0)
    assert timers.at(Timer.TOKEN_RETRY) is None
    assert made.arrived(2, NEW, 0.0)
    made.refused(2, was_accepted=False)
    made.ask_later(0.0)
    assert timers.at(Timer.TOKEN_RETRY) == 1.5


def test_a_refusal_ends_what_was_planned() -> None:
    timers = Timers()
    made = fresh(timers)
    made.accepted(1, 100.0, 0.0)
    made.refused(1, was_accepted=True)
    assert timers.next_deadline() is None


# --- when to ask ahead ------------------------------------------------------------------------


def armed(ttl: float | None, token: Token = OLD, *, draw: float = 0.5, now: float = 0.0) -> Any:
    """When the source will be asked, for a token that came and was accepted at `now`."""
    timers = Timers()
    made = credential(timers, draw=draw)
    renewed(made, token, now)
    made.accepted(1, ttl, now)
    return timers.at(Timer.TOKEN_REFRESH)


def test_D18_the_moment_is_drawn() -> None:
    assert armed(100.0, draw=0.0) == 80.0
    assert armed(100.0, draw=0.5) == pytest.approx(85.0)
    assert armed(100.0, draw=0.999) == pytest.approx(89.99)


def test_the_share_is_the_users() -> None:
    timers = Timers()
    made = credential(timers, ClientConfig(refresh=Refresh(earliest=0.25, latest=0.5)), draw=0.5)
    renewed(made, OLD)
    made.accepted(1, 100.0, 0.0)
    assert timers.at(Timer.TOKEN_REFRESH) == 37.5


def test_of_what_the_server_says_and_what_the_token_says_the_server_counts() -> None:
    token = jwt(exp=1060, iat=1000)
    assert armed(None, token, now=1000.0) == pytest.approx(1051.0)
    assert armed(100.0, token, now=1000.0) == pytest.approx(1085.0)
    assert armed(20.0, token, now=1000.0) == pytest.approx(1017.0)


def test_a_token_of_which_nothing_is_known_is_not_asked_for_ahead() -> None:
    assert armed(None) is None
    assert armed(None, jwt(sub="a")) is None
    assert armed(None, jwt(exp=900, iat=1000)) is None
    assert armed(math.inf) is None


@pytest.mark.parametrize("skew", [-7200.0, -1.0, 0.0, 1.0, 7200.0])
def test_D20_a_clock_that_is_hours_off_changes_nothing(skew: float) -> None:
    now = 1_700_000_000.0
    token = jwt(iat=now, exp=now + 100)
    assert armed(None, token, now=now + skew) - (now + skew) == pytest.approx(85.0)
    timers = Timers()
    made = credential(timers)
    renewed(made, token, now + skew)
    made.run_out(now + skew + 99.9)
    assert made.is_usable
    made.run_out(now + skew + 100)
    assert not made.is_usable


def test_without_iat_a_clock_that_is_ahead_finds_no_life_and_waits_for_the_server() -> None:
    timers = Timers()
    made = credential(timers)
    renewed(made, jwt(exp=1060), 5000.0)
    made.accepted(1, None, 5000.0)
    made.run_out(1e9)
    assert (made.is_usable, timers.next_deadline()) == (True, None)


def test_the_time_since_it_came_is_not_granted_twice() -> None:
    """It was accepted again later, after a lost connection: half of its life was over by then."""
    timers = Timers()
    made = credential(timers)
    renewed(made, jwt(iat=0, exp=100))
    made.accepted(1, None, 50.0)
    assert timers.at(Timer.TOKEN_REFRESH) == pytest.approx(50 + 0.85 * 50)


@pytest.mark.parametrize("ttl", [0.0, 0.01, 0.5])
def test_D18_short_lives_are_no_hot_loop(ttl: float) -> None:
    timers = Timers()
    made = credential(timers)
    now = 100.0
    calls = []
    for generation in range(1, 8):
        call = made.fetch(now)
        assert call is not None
        calls.append(now)
        assert made.arrived(generation, Token(f"t{generation}"), now)
        made.accepted(generation, ttl, now)
        due = timers.pop_due(math.inf)
        assert due is not None
        assert due[0] is Timer.TOKEN_REFRESH
        now = due[1]
    assert [after - before for before, after in pairwise(calls)] == [1.0] * 6


def test_a_token_that_has_run_out_on_arrival_is_not_asked_for_in_the_past() -> None:
    timers = Timers()
    made = credential(timers)
    renewed(made, jwt(iat=0, exp=100), 0.0)
    made.accepted(1, None, 1000.0)
    at = timers.at(Timer.TOKEN_REFRESH)
    assert at is not None
    assert made.fetch(1000.0) is not None  # and it is asked for once
    assert timers.at(Timer.TOKEN_REFRESH) is None


def test_while_the_source_is_asked_nothing_else_is_planned() -> None:
    timers = Timers()
    made = fresh(timers)
    made.fetch(0.0)
    made.accepted(1, 100.0, 0.0)
    assert timers.at(Timer.TOKEN_REFRESH) is None


def test_the_word_of_a_server_on_an_older_token_says_nothing_of_this_one() -> None:
    timers = Timers()
    made = fresh(timers)
    renewed(made, jwt(iat=0, exp=1000))
    made.accepted(1, 5.0, 0.0)
    assert timers.at(Timer.TOKEN_REFRESH) is None
    made.run_out(999.0)
    assert made.is_usable
    made.accepted(2, None, 0.0)
    assert timers.at(Timer.TOKEN_REFRESH) == pytest.approx(850.0)


def test_it_ends_a_row_of_refusals_all_the_same() -> None:
    made = fresh()
    made.refused(1, was_accepted=False)
    renewed(made, NEW)
    made.accepted(1, None, 0.0)
    assert not made.was_refused_once


def test_with_no_connection_nothing_is_asked_ahead() -> None:
    timers = Timers()
    made = fresh(timers)
    made.accepted(1, 100.0, 0.0)
    made.unused()
    assert timers.next_deadline() is None


def test_no_refresh_means_none() -> None:
    timers = Timers()
    made = credential(timers, ClientConfig(refresh=None))
    renewed(made, jwt(iat=0, exp=100))
    made.accepted(1, 10.0, 0.0)
    assert timers.next_deadline() is None
    made.run_out(1e9)
    assert made.is_usable  # the server will say so


# --- one that is presumed dead ----------------------------------------------------------------


def test_a_token_that_has_run_out_is_not_sent_again() -> None:
    made = credential()
    renewed(made, jwt(iat=0, exp=100))
    made.run_out(99.9)
    assert made.is_usable
    made.run_out(100.0)
    assert made.state is TokenState.STALE
    assert made.fetch(100.0) == FetchToken(generation=2, reason=EXPIRED)


def test_one_that_runs_out_while_the_source_is_asked() -> None:
    made = credential()
    renewed(made, jwt(iat=0, exp=100))
    made.fetch(95.0)
    made.run_out(100.0)
    assert made.state is TokenState.FETCHING
    assert made.fetch(100.0) is None


def test_a_source_may_insist_on_a_token_that_only_we_think_dead() -> None:
    """A laptop has slept, or a clock was set: the server has not said a word against it."""
    token = jwt(iat=0, exp=100)
    made = credential()
    renewed(made, token)
    made.run_out(500.0)
    renewed(made, token, 500.0)
    assert (made.is_usable, made.token) == (True, token)
    assert isinstance(made.fault(token.reveal()), TokenUnchanged)  # but not on and on


def test_the_servers_word_against_it_is_another_matter() -> None:
    token = jwt(iat=0, exp=100)
    made = credential()
    renewed(made, token)
    made.run_out(500.0)
    assert made.refused(1, was_accepted=True)
    made.fetch(500.0)
    assert isinstance(made.fault(token.reveal()), TokenUnchanged)


# --- what is of no use ------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "a\nb", "a\0b", "t\u00f6k", "\x7f", "a\rb", "\ud800"])
def test_D15_what_no_header_can_carry(text: str) -> None:
    assert isinstance(credential().fault(text), TokenUnusable)


def test_a_token_that_was_to_be_replaced_is_none() -> None:
    made = fresh()
    made.fetch(0.0)
    assert isinstance(made.fault("old"), TokenUnchanged)
    assert made.fault("new") is None


def test_no_fault_says_what_was_given() -> None:
    made = credential()
    renewed(made, jwt(sub="alice", jti="s3cret"))
    texts = ["s3cret\n", jwt(sub="alice", jti="s3cret").reveal(), jwt(sub="s3cret").reveal()]
    for text in texts:
        assert "s3cret" not in str(made.fault(text))
        assert text not in str(made.fault(text))


# --- whose it is ------------------------------------------------------------------------------


def test_D7_a_session_keeps_to_its_subject() -> None:
    made = credential()
    renewed(made, jwt(sub="alice", n=1))
    assert made.fault(jwt(sub="alice", n=2).reveal()) is None
    assert isinstance(made.fault(jwt(sub="bob").reveal()), SubjectChanged)
    assert made.fault(jwt(sub="alice", n=3).reveal()) is None


def test_a_token_that_does_not_say_is_taken() -> None:
    made = credential()
    renewed(made, Token("opaque"))
    renewed(made, jwt(sub="alice"))
    assert made.fault("another") is None
    assert isinstance(made.fault(jwt(sub="bob").reveal()), SubjectChanged)


def test_the_subject_outlives_its_token() -> None:
    made = credential()
    renewed(made, jwt(sub="alice"))
    made.refused(1, was_accepted=False)
    assert isinstance(made.fault(jwt(sub="bob").reveal()), SubjectChanged)


def test_a_server_keeps_to_the_name_it_calls_us_by() -> None:
    made = fresh()
    for name in (None, "", None, "Alice A.", "Alice A.", None, "", "Alice A."):
        assert made.fault_of_user(name) is None
    assert isinstance(made.fault_of_user("bob"), SubjectChanged)
    assert made.fault_of_user("Alice A.") is None
