"""Client rules 1 and 3: the token, where it comes from, and how a client gets a new one."""

from __future__ import annotations

import pytest
from tests.unit.client_player import EXPIRED, NOW, Player, headers

from stompcore._client import ClientSession
from stompcore._config import Backoff, ClientConfig
from stompcore._errors import (
    AuthenticationFailed,
    LocalProtocolError,
    TokenTimedOut,
    TokenUnusable,
    Unauthorized,
)
from stompcore._events import (
    ConnectionEnded,
    Dial,
    FetchToken,
    Outcome,
    TokenFetchFailed,
    TokenReason,
    TokenReceived,
    TokenRequested,
)
from stompcore._state import ConnectionState, TokenState
from stompcore._timers import Timer

REFUSED = b"ERROR\nmessage:Token Invalid\nerror-code:token-invalid\n\n\0"


# --- where the token stands in CONNECT --------------------------------------------------------


def test_a_token_is_fetched_before_the_first_dial() -> None:
    play = Player()
    play.start()
    assert play.state() is ConnectionState.WAITING
    assert play.all(FetchToken) == [FetchToken(generation=1, reason=TokenReason.INITIAL)]
    assert play.all(TokenRequested) == [TokenRequested(generation=1, reason=TokenReason.INITIAL)]
    assert play.all(Dial) == []
    play.give_token("abc")
    assert play.all(TokenReceived) == [TokenReceived(generation=1)]
    assert play.all(Dial) == [Dial(url="stomp://h", epoch=1)]
    (connect,) = play.dial()
    assert connect.headers["Authorization"] == "Bearer abc"
    assert connect.headers["host"] == "h"


def test_without_a_source_nothing_is_fetched() -> None:
    play = Player(has_token=False, login="me", host="virtual")
    play.start()
    assert play.all(FetchToken) == []
    (connect,) = play.dial()
    assert "Authorization" not in connect.headers
    assert (connect.headers["login"], connect.headers["host"]) == ("me", "virtual")
    assert play.token_state() is TokenState.NONE


def test_the_token_can_be_sent_as_the_passcode() -> None:
    play = Player(passcode=True, login="me")
    play.start()
    play.give_token("abc")
    (connect,) = play.dial()
    assert (connect.headers["login"], connect.headers["passcode"]) == ("me", "abc")
    assert "Authorization" not in connect.headers


def test_a_new_token_stands_in_the_next_connect() -> None:
    play = Player()
    play.connect()
    play.wait(60)
    play.hear(EXPIRED)
    assert play.token_state() is TokenState.FETCHING
    play.give_token()
    (connect,) = play.dial()
    assert connect.headers["Authorization"] == "Bearer token-2"


def test_a_token_that_was_not_refused_is_used_again() -> None:
    play = Player()
    play.connect()
    play.lose()
    assert play.wait_for(Timer.REDIAL) > 0
    assert headers(play.dial(), "Authorization") == ["Bearer token-1"]
    assert len(play.all(FetchToken)) == 1


# --- one fetch at a time, whoever asks --------------------------------------------------------


def test_one_fetch_at_a_time_whoever_asks() -> None:
    play = Player()
    play.connect()
    play.wait(60)
    play.forget()
    play.hear(EXPIRED)
    play.client.dial_failed(1, "too late", now=play.now)
    play.lose()
    play.send("a")
    play.client.subscribe("/a", now=play.now)
    play.wait(5)
    assert play.all(FetchToken) == [FetchToken(generation=2, reason=TokenReason.EXPIRED)]


def test_one_fetch_while_the_backoff_runs_as_well() -> None:
    play = Player(draw=0.0)
    play.connect()
    play.forget()
    play.hear(EXPIRED)  # at once after CONNECTED: both the fetch and the backoff begin
    assert play.reason() is Timer.REDIAL
    play.wait_for(Timer.REDIAL)
    assert len(play.all(FetchToken)) == 1
    assert play.all(Dial) == []
    play.give_token()
    assert len(play.all(Dial)) == 1


def test_a_token_that_comes_during_the_backoff_waits_for_its_end() -> None:
    play = Player()
    play.connect()
    play.forget()
    play.hear(EXPIRED)
    play.give_token()
    assert play.all(Dial) == []
    play.wait_for(Timer.REDIAL)
    assert len(play.all(Dial)) == 1


# --- answers that nobody waits for ------------------------------------------------------------


@pytest.mark.parametrize("permanent", [False, True])
def test_answers_of_another_generation_are_dropped(permanent: bool) -> None:
    play = Player()
    play.start()
    for generation in (0, 2, -1):
        play.client.token(generation, "stale", now=play.now)
        play.client.token_failed(generation, permanent=permanent, now=play.now)
    play.drain()
    assert play.names() == ["TokenRequested"]
    assert play.token_state() is TokenState.FETCHING
    play.give_token("good")
    assert headers(play.dial(), "Authorization") == ["Bearer good"]


def test_an_answer_given_twice_counts_once() -> None:
    play = Player()
    play.start()
    play.give_token("first")
    play.client.token(1, "second", now=play.now)
    play.client.token_failed(1, permanent=True, now=play.now)
    play.drain()
    assert headers(play.dial(), "Authorization") == ["Bearer first"]


def test_an_answer_after_its_time_out_is_dropped() -> None:
    play = Player(token_timeout=3.0)
    play.start()
    play.wait_for(Timer.TOKEN_FETCH)
    play.wait_for(Timer.TOKEN_RETRY)
    play.client.token(1, "late", now=play.now)
    play.drain()
    assert play.token_state() is TokenState.FETCHING
    play.give_token()
    assert headers(play.dial(), "Authorization") == ["Bearer token-2"]


@pytest.mark.parametrize("how", ["close", "abort"])
def test_an_answer_after_the_stop_is_dropped(how: str) -> None:
    play = Player()
    play.start()
    getattr(play.client, how)(now=play.now)
    play.drain()
    play.give_token("late")
    play.client.token_failed(1, permanent=True, now=play.now)
    play.drain()
    assert play.stopped().error is None
    assert play.all(Dial) == []


def test_answers_to_a_client_without_a_source_are_dropped() -> None:
    play = Player(has_token=False)
    play.start()
    play.client.token(0, "x", now=play.now)
    play.client.token_failed(0, permanent=True, now=play.now)
    play.drain()
    assert play.state() is ConnectionState.DIALING


@pytest.mark.parametrize("epoch", [0, 2, -1])
def test_answers_of_another_epoch_are_dropped(epoch: int) -> None:
    play = Player(has_token=False)
    play.start()
    assert play.client.dialed(epoch, now=play.now) is None
    play.client.dial_failed(epoch, "x", now=play.now)
    play.drain()
    assert play.state() is ConnectionState.DIALING
    play.dial()
    # It has been answered: neither counts a second time.
    assert play.client.dialed(1, now=play.now) is None
    play.client.dial_failed(1, "x", now=play.now)
    play.drain()
    assert play.state() is ConnectionState.CONNECTING


def test_a_dial_that_took_too_long_is_dropped() -> None:
    play = Player(has_token=False, dial_timeout=4.0)
    play.start()
    assert play.wait_for(Timer.DIAL) == 4.0
    assert play.last(ConnectionEnded).ending.fault == "dialling took too long"
    assert play.client.dialed(1, now=play.now) is None


# --- a source that fails ----------------------------------------------------------------------


def test_a_fetch_has_a_time_out() -> None:
    play = Player(token_timeout=3.0)
    play.start()
    assert play.wait_for(Timer.TOKEN_FETCH) == 3.0
    (failed,) = play.all(TokenFetchFailed)
    assert (failed.generation, type(failed.error), failed.permanent) == (1, TokenTimedOut, False)


def test_a_temporary_failure_is_retried_with_backoff() -> None:
    play = Player(draw=0.5, backoff=Backoff(minimum=1.0, maximum=8.0))
    play.start()
    delays = []
    for _ in range(6):
        play.fail_token()
        delays.append(play.wait_for(Timer.TOKEN_RETRY))
    assert delays == [1.5, 2.5, 4.5, 4.5, 4.5, 4.5]
    assert [each.generation for each in play.all(FetchToken)] == [1, 2, 3, 4, 5, 6, 7]
    assert {each.reason for each in play.all(FetchToken)} == {TokenReason.INITIAL}
    play.give_token()
    play.dial()
    play.accept()
    play.wait(60)
    play.hear(EXPIRED)
    play.fail_token()
    assert play.wait_for(Timer.TOKEN_RETRY) == 1.5  # forgotten by the token that came


@pytest.mark.parametrize("answer", ["", "\n", "a\nb", "a\0b", "tökén", "\ud800"])
def test_what_no_header_can_carry_is_no_token(answer: str) -> None:
    play = Player()
    play.start()
    play.give_token(answer)
    (failed,) = play.all(TokenFetchFailed)
    assert (failed.generation, type(failed.error), failed.permanent) == (1, TokenUnusable, False)
    assert play.token_state() is TokenState.STALE
    play.wait_for(Timer.TOKEN_RETRY)
    assert len(play.all(FetchToken)) == 2


def test_none_is_no_token() -> None:
    play = Player()
    play.start()
    play.client.token(1, None, now=play.now)  # type: ignore[arg-type]
    play.drain()
    (failed,) = play.all(TokenFetchFailed)
    assert (failed.generation, type(failed.error), failed.permanent) == (1, TokenUnusable, False)


def test_the_line_end_of_a_file_is_no_part_of_the_token() -> None:
    play = Player()
    play.start()
    play.give_token(" abc\r\n")
    assert headers(play.dial(), "Authorization") == ["Bearer abc"]


def test_unauthorized_stops_the_client() -> None:
    play = Player()
    play.start()
    play.fail_token(permanent=True)
    (failed,) = play.all(TokenFetchFailed)
    assert (failed.generation, type(failed.error), failed.permanent) == (1, Unauthorized, True)
    assert isinstance(play.stopped().error, Unauthorized)
    assert play.token_state() is TokenState.REFUSED


def test_unauthorized_at_the_refresh_stops_the_client() -> None:
    play = Player()
    play.connect()
    play.wait(60)
    play.hear(EXPIRED)
    play.fail_token(permanent=True)
    assert isinstance(play.stopped().error, Unauthorized)


# --- fresh tokens that are refused ------------------------------------------------------------


def test_three_fresh_tokens_refused_in_a_row_stop_the_client() -> None:
    play = Player(token_refusals=3)
    play.start()
    for attempt in range(3):
        play.give_token()
        if attempt == 2:  # the first refusal may be a token that ran out on the way
            play.wait_for(Timer.REDIAL)
        play.dial()
        play.hear(REFUSED)
    error = play.stopped().error
    assert isinstance(error, AuthenticationFailed)
    assert str(error) == "the server refuses this client: Token Invalid"
    outcomes = [each.outcome for each in play.all(ConnectionEnded)]
    assert outcomes == [Outcome.REFRESH, Outcome.REFRESH, Outcome.STOP]
    assert len(play.all(FetchToken)) == len(play.all(Dial)) == 3


def test_the_first_refusal_redials_at_once_and_burns_no_step() -> None:
    play = Player()
    play.start()
    play.give_token()
    play.dial()
    play.hear(REFUSED)
    play.give_token()
    assert play.now == NOW
    assert len(play.all(Dial)) == 2
    play.dial()
    play.hear(REFUSED)
    play.give_token()
    assert len(play.all(Dial)) == 2
    assert play.wait_for(Timer.REDIAL) == 0.75  # the first step: 0.5 to 1 s


def test_a_token_that_is_accepted_forgives_the_refusals_before() -> None:
    play = Player(token_refusals=2)
    for _ in range(5):
        play.connect()
        play.wait(60)
        play.hear(EXPIRED)
        play.give_token()
        play.dial()
        play.hear(REFUSED)
    assert play.state() is ConnectionState.WAITING


def test_one_refusal_is_enough_if_that_is_the_limit() -> None:
    play = Player(token_refusals=1)
    play.start()
    play.give_token()
    play.dial()
    play.hear(REFUSED)
    assert isinstance(play.stopped().error, AuthenticationFailed)


def test_expiry_without_a_token_source_stops_the_client() -> None:
    play = Player(has_token=False)
    play.connect()
    play.wait(60)
    play.hear(EXPIRED)
    assert isinstance(play.stopped().error, AuthenticationFailed)


# --- what never shows -------------------------------------------------------------------------


def test_no_token_in_any_repr() -> None:
    play = Player()
    play.start()
    play.give_token("s3cret")
    play.dial()
    play.accept()
    play.wait(60)
    play.hear(EXPIRED)
    seen: list[object] = [*play.events, *play.actions, play.client, play.client.__dict__]
    assert play.client._credential is not None
    seen += [play.client._credential, play.client._credential.__dict__]
    assert "s3cret" not in repr(seen)


def test_a_stopped_client_keeps_no_token() -> None:
    play = Player()
    play.connect()
    play.client.abort(now=play.now)
    assert play.client._credential is not None
    assert play.client._credential.token is None


# --- what cannot be started -------------------------------------------------------------------


def test_a_client_starts_once() -> None:
    play = Player()
    play.start()
    with pytest.raises(LocalProtocolError):
        play.client.start(now=play.now)
    assert play.state() is ConnectionState.WAITING
    play.client.abort(now=play.now)
    with pytest.raises(LocalProtocolError):
        play.client.start(now=play.now)


def test_a_url_that_cannot_be_dialled_is_refused_at_once() -> None:
    with pytest.raises(LocalProtocolError):
        ClientSession("http://h", ClientConfig(), now=NOW, random=lambda: 0.5)
