"""Client rule 2, in trouble: no answer, no token, or the old one dies in the meantime."""

from __future__ import annotations

from itertools import pairwise

import pytest
from tests.unit.client_player import EXPIRED, GOING_AWAY, Player, headers
from tests.unit.refresh_player import REFUSED, REJECTED, THERE, ahead, asked, jwt, taken

from stompcore._config import Backoff
from stompcore._errors import (
    AuthenticationFailed,
    SubjectChanged,
    TokenFailed,
    TokenTimedOut,
    TokenUnavailable,
    TokenUnchanged,
    Unauthorized,
)
from stompcore._events import (
    ConnectionEnded,
    Dial,
    FetchToken,
    HangUp,
    Outcome,
    PublishFailed,
    TokenFetchFailed,
    TokenReason,
)
from stompcore._state import ConnectionState, Status, TokenState
from stompcore._timers import Timer

AHEAD, EXPIRED_REASON = TokenReason.AHEAD, TokenReason.EXPIRED
DENIED = b"ERROR\nmessage:Access Denied\nerror-code:access-denied\nreceipt-id:token-2\n\n\0"


# --- no answer, or another --------------------------------------------------------------------


def test_a_server_that_does_not_answer_is_left() -> None:
    play, _ = asked(connect_timeout=4.0)
    assert play.reason() is Timer.REAUTH
    assert play.wait_for(Timer.REAUTH) == 4.0
    ended = play.last(ConnectionEnded)
    assert ended.ending.fault == "the server did not confirm the new token in time"
    assert ended.outcome is Outcome.RETRY
    assert play.all(HangUp) == [HangUp(epoch=1)]
    play.wait_for(Timer.REDIAL)
    assert headers(play.dial(), "Authorization") == ["Bearer token-2"]
    assert len(play.all(FetchToken)) == 1


def test_the_answer_ends_the_wait_for_it() -> None:
    play, _ = asked(connect_timeout=4.0)
    play.wait(3.9)
    taken(play)
    play.wait(10)
    assert play.all(ConnectionEnded) == []


def test_a_lost_connection_ends_the_wait_for_it_as_well() -> None:
    play, _ = asked(connect_timeout=4.0)
    play.lose()
    play.connect(token_ttl="100000")
    play.wait(10)
    assert len(play.all(ConnectionEnded)) == 1
    assert play.state() is ConnectionState.CONNECTED


def test_D8_D12_a_rejected_token_is_dead_and_another_is_asked_for() -> None:
    play, _ = asked()
    play.hear(REJECTED)
    assert play.last(ConnectionEnded).outcome is Outcome.REFRESH
    assert play.last(FetchToken) == FetchToken(generation=3, reason=EXPIRED_REASON)
    assert play.all(Dial) == []
    play.give_token()
    assert headers(play.dial(), "Authorization") == ["Bearer token-3"]


def test_D12_rejected_tokens_count_as_refused_ones() -> None:
    play, _ = asked(token_refusals=3)
    play.hear(REJECTED)
    for _ in range(2):
        play.give_token()
        if play.reason() is Timer.REDIAL:
            play.wait_for(Timer.REDIAL)
        play.dial()
        play.hear(REFUSED)
    assert isinstance(play.stopped().error, AuthenticationFailed)


def test_a_rejection_may_be_the_one_too_many() -> None:
    play, _ = asked(token_refusals=1)
    play.hear(REJECTED)
    assert isinstance(play.stopped().error, AuthenticationFailed)


def test_a_user_who_is_denied_by_it_is_out_at_the_next_connect() -> None:
    play, _ = asked()
    play.hear(DENIED)
    assert play.last(ConnectionEnded).outcome is Outcome.RETRY
    play.wait_for(Timer.REDIAL)
    play.dial()
    play.hear(DENIED)
    assert isinstance(play.stopped().error, AuthenticationFailed)


def test_an_expiry_that_crosses_it_does_not_cost_the_newer_token() -> None:
    """The server's word is about the old one; it has not seen the new one."""
    play, _ = asked()
    play.wait(5)
    play.hear(EXPIRED)
    assert play.last(ConnectionEnded).outcome is Outcome.REFRESH
    assert len(play.all(FetchToken)) == 1
    assert play.all(Dial) == [Dial(url="stomp://h", epoch=2)]  # at once
    assert headers(play.dial(), "Authorization") == ["Bearer token-2"]


def test_so_does_an_expiry_that_names_its_very_frame() -> None:
    """It came too late, and was not looked at: every frame behind the end of a token is refused."""
    play, _ = asked()
    play.hear(EXPIRED.replace(b"\n\n", b"\nreceipt-id:token-2\n\n"))
    assert len(play.all(FetchToken)) == 1
    assert headers(play.dial(), "Authorization") == ["Bearer token-2"]


def test_an_expiry_behind_the_answer_is_the_newer_ones() -> None:
    play, _ = asked()
    taken(play)
    play.wait(50)
    play.hear(EXPIRED)
    assert play.last(FetchToken) == FetchToken(generation=3, reason=EXPIRED_REASON)
    assert play.all(Dial) == []


def test_a_crossed_expiry_behind_a_time_out_finds_nobody() -> None:
    play, _ = asked(connect_timeout=4.0)
    connection = play.client.connection
    assert connection is not None
    play.wait(4)
    connection.receive_data(EXPIRED, now=play.now)
    play.drain()
    assert play.token_state() is TokenState.FRESH


@pytest.mark.parametrize("end", [REJECTED, EXPIRED, GOING_AWAY])
def test_a_message_that_was_in_flight_is_sent_again_first(end: bytes) -> None:
    play = ahead()
    play.send("in flight")
    play.give_token()
    play.send("behind")
    play.written()
    play.hear(end)
    if end is REJECTED:
        play.give_token()
    if play.reason() is Timer.REDIAL:
        play.wait_for(Timer.REDIAL)
    play.dial()
    assert [each.body for each in play.accept()] == [b"in flight", b"behind"]


@pytest.mark.parametrize("end", [GOING_AWAY, EXPIRED])
def test_the_next_connection_is_given_the_next_token_all_the_same(end: bytes) -> None:
    """What the last one left unanswered is nobody's to wait for."""
    play, _ = asked()
    play.hear(end)
    if play.reason() is Timer.REDIAL:
        play.wait_for(Timer.REDIAL)
    play.dial()
    play.accept(token_ttl="100000", token_refresh=THERE)
    play.wait(85)
    play.give_token()
    assert headers(play.written(), "receipt") == ["token-3"]


# --- a source that does not give one ----------------------------------------------------------


def test_a_source_that_fails_is_asked_again_and_the_session_lives_on() -> None:
    play = ahead(backoff=Backoff(minimum=1.0, maximum=8.0))
    delays = []
    for _ in range(4):
        play.fail_token()
        assert play.token_state() is TokenState.FRESH
        delays.append(play.wait_for(Timer.TOKEN_RETRY))
    assert delays == [1.5, 2.5, 4.5, 4.5]
    assert {each.reason for each in play.all(FetchToken)} == {AHEAD}
    assert {type(each.error) for each in play.all(TokenFetchFailed)} == {TokenUnavailable}
    assert play.state() is ConnectionState.CONNECTED
    play.give_token()
    assert headers(play.written(), "receipt") == ["token-6"]


@pytest.mark.parametrize(
    "fault",
    [TokenUnavailable("maintenance until noon"), TokenTimedOut("busy")],
    ids=["down", "busy"],
)
def test_a_source_may_say_in_its_own_words_why(fault: TokenFailed) -> None:
    play = ahead()
    play.client.token_failed(2, permanent=False, error=fault, now=play.now)
    play.drain()
    assert play.last(TokenFetchFailed).error is fault
    assert play.reason() is Timer.TOKEN_RETRY


def test_D16_a_source_that_does_not_answer_is_given_up_on_and_asked_again() -> None:
    play = ahead(token_timeout=3.0)
    assert play.wait_for(Timer.TOKEN_FETCH) == 3.0
    assert type(play.last(TokenFetchFailed).error) is TokenTimedOut
    play.client.token(2, "late", now=play.now)
    play.drain()
    assert play.written() == []
    play.wait_for(Timer.TOKEN_RETRY)
    play.give_token()
    assert headers(play.written(), "Authorization") == ["Bearer token-3"]


def test_a_source_that_gives_the_same_again_is_asked_again() -> None:
    play = ahead()
    play.give_token("token-1")
    assert type(play.last(TokenFetchFailed).error) is TokenUnchanged
    assert play.written() == []
    assert play.token_state() is TokenState.FRESH
    play.wait_for(Timer.TOKEN_RETRY)
    assert play.last(FetchToken).reason is AHEAD


def test_a_source_that_never_gives_another_is_no_hot_loop() -> None:
    play = ahead()
    at = [play.now]
    for _ in range(20):
        play.give_token("token-1")
        play.wait_for(Timer.TOKEN_RETRY)
        at.append(play.now)
    assert min(after - before for before, after in pairwise(at)) >= 0.5
    play.hear(EXPIRED)
    for _ in range(20):
        assert play.last(FetchToken).reason in (EXPIRED_REASON, AHEAD)
        play.give_token("token-1")
        assert play.reason() is Timer.TOKEN_RETRY
        play.wait_for(Timer.TOKEN_RETRY)
    assert play.all(Dial) == []


def test_unauthorized_ahead_of_time_is_the_end() -> None:
    play = ahead()
    play.send("in flight")
    play.fail_token(permanent=True)
    assert isinstance(play.stopped().error, Unauthorized)
    assert isinstance(play.last(PublishFailed).error, Unauthorized)
    assert play.all(HangUp) == [HangUp(epoch=1)]
    assert play.client.status is Status.LOGGED_OUT


def test_D7_a_token_for_another_subject_ahead_of_time_is_the_end() -> None:
    play = Player()
    play.start()
    play.give_token(jwt(sub="alice", iat=1, exp=101))
    play.dial()
    play.accept(token_refresh=THERE)
    play.written()
    play.wait(85)
    play.give_token(jwt(sub="bob", iat=1, exp=101))
    assert isinstance(play.stopped().error, SubjectChanged)
    assert play.last(TokenFetchFailed).permanent
    assert play.client.status is Status.LOGGED_OUT
    assert play.all(HangUp) == [HangUp(epoch=1)]


def test_a_server_that_takes_us_for_another_is_left_for_good() -> None:
    play = Player()
    play.connect(user_name="alice")
    play.lose()
    play.connect(user_name="bob")
    assert isinstance(play.stopped().error, SubjectChanged)
    assert play.client.status is Status.LOGGED_OUT
    assert len(play.all(HangUp)) == 2


def test_the_same_user_is_welcome_back() -> None:
    play = Player()
    for name in ("alice", "", "alice"):
        play.connect(user_name=name)
        assert play.state() is ConnectionState.CONNECTED
        play.lose()


# --- the old token dies in the meantime -------------------------------------------------------


def test_D13_D14_the_token_dies_while_the_source_is_asked_and_the_same_call_goes_on() -> None:
    play = ahead()
    play.hear(EXPIRED)
    assert play.token_state() is TokenState.FETCHING
    assert [each.generation for each in play.all(FetchToken)] == [2]
    assert play.all(Dial) == []
    play.wait(3)
    play.give_token()
    assert headers(play.dial(), "Authorization") == ["Bearer token-2"]
    assert [each.generation for each in play.all(FetchToken)] == [2]


def test_a_call_that_outlives_its_token_still_has_its_time_out() -> None:
    play = ahead(token_timeout=10.0)
    play.wait(4)
    play.hear(EXPIRED)
    play.wait(5.9)
    assert play.all(TokenFetchFailed) == []
    play.wait(0.1)
    assert type(play.last(TokenFetchFailed).error) is TokenTimedOut
    assert play.token_state() is TokenState.STALE
    play.wait_for(Timer.TOKEN_RETRY)
    assert play.last(FetchToken) == FetchToken(generation=3, reason=EXPIRED_REASON)


def test_it_dies_while_the_source_is_left_alone_for_a_while() -> None:
    play = ahead()
    play.fail_token()
    play.hear(EXPIRED)
    assert len(play.all(FetchToken)) == 1
    play.wait_for(Timer.TOKEN_RETRY)
    assert play.last(FetchToken) == FetchToken(generation=3, reason=EXPIRED_REASON)
    play.give_token()
    assert headers(play.dial(), "Authorization") == ["Bearer token-3"]


def test_a_call_that_brings_the_dead_one_back_has_brought_nothing() -> None:
    play = ahead()
    play.hear(EXPIRED)
    play.give_token("token-1")
    assert type(play.last(TokenFetchFailed).error) is TokenUnchanged
    assert play.all(Dial) == []
