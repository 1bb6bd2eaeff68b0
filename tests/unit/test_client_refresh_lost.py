"""Client rule 2, the rest: lost connections, tokens of milliseconds, and the end."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from tests.unit.client_player import EXPIRED, NOW, Player, commands, headers
from tests.unit.refresh_player import THERE, ahead, in_place, jwt, moment, taken

from stompcore._config import Backoff, Handover, Refresh
from stompcore._errors import MessageTimedOut
from stompcore._events import (
    Delivered,
    Dial,
    FetchToken,
    HangUp,
    Published,
    PublishFailed,
    Refreshed,
    SubscriptionActive,
    SubscriptionEnded,
    TokenFetchFailed,
    TokenReason,
    TokenReceived,
)
from stompcore._frames import Command
from stompcore._state import ConnectionState, TokenState
from stompcore._timers import Timer

EXPIRED_REASON = TokenReason.EXPIRED


# --- the connection is lost in the meantime ---------------------------------------------------


def test_a_connection_lost_meanwhile_is_dialled_again_with_the_token_that_still_counts() -> None:
    play = ahead()
    play.lose()
    assert play.token_state() is TokenState.RENEWING
    play.wait_for(Timer.REDIAL)
    assert headers(play.dial(), "Authorization") == ["Bearer token-1"]
    assert play.accept(token_ttl="10000", token_refresh=THERE) == []
    assert len(play.all(FetchToken)) == 1
    play.give_token()
    assert headers(play.written(), "Authorization") == ["Bearer token-2"]
    taken(play)
    assert moment(play) == pytest.approx(play.now + 85)


def test_a_token_that_comes_before_the_dial_is_used_for_it() -> None:
    play = ahead()
    play.lose()
    play.give_token()
    play.wait_for(Timer.REDIAL)
    assert headers(play.dial(), "Authorization") == ["Bearer token-2"]


@pytest.mark.parametrize("ttl", ["10000", "x"])
def test_one_that_comes_behind_connect_is_given_as_soon_as_it_can_be(ttl: str) -> None:
    play = ahead()
    play.lose()
    play.wait_for(Timer.REDIAL)
    play.dial()
    play.give_token()
    (sent,) = play.accept(token_ttl=ttl, token_refresh=THERE)
    assert sent.headers["Authorization"] == "Bearer token-2"
    assert moment(play) is None  # of the older one
    taken(play)
    assert moment(play) == pytest.approx(play.now + 85)


def test_what_the_server_said_of_an_older_token_does_not_count_against_the_newer() -> None:
    play = ahead()
    play.lose()
    play.wait_for(Timer.REDIAL)
    play.dial()
    play.give_token()
    play.accept(token_ttl="1000", token_refresh=THERE)
    play.wait(2)
    play.lose()
    play.wait_for(Timer.REDIAL)
    assert headers(play.dial(), "Authorization") == ["Bearer token-2"]
    assert len(play.all(FetchToken)) == 1


def test_it_runs_out_while_there_is_no_connection() -> None:
    """Nobody has said so; but it need not be sent to be refused."""
    play = ahead(backoff=Backoff(minimum=30.0, maximum=30.0))
    play.lose()
    play.wait_for(Timer.TOKEN_FETCH)
    play.wait_for(Timer.REDIAL)
    assert (play.token_state(), play.all(Dial)) == (TokenState.STALE, [])
    play.wait_for(Timer.TOKEN_RETRY)
    assert play.last(FetchToken) == FetchToken(generation=3, reason=EXPIRED_REASON)
    assert play.all(Dial) == []
    play.give_token()
    assert headers(play.dial(), "Authorization") == ["Bearer token-3"]


def test_it_runs_out_while_there_is_no_connection_and_the_source_is_being_asked() -> None:
    play = ahead(backoff=Backoff(minimum=30.0, maximum=30.0), token_timeout=60.0)
    play.lose()
    play.wait_for(Timer.REDIAL)
    assert play.token_state() is TokenState.FETCHING
    assert len(play.all(FetchToken)) == 1
    play.give_token()
    assert headers(play.dial(), "Authorization") == ["Bearer token-2"]


def test_a_source_may_insist_that_it_has_not_run_out() -> None:
    play = in_place()
    play.wait(50)
    play.lose()
    play.now += 7200  # a laptop slept
    play.client.handle_timeout(now=play.now)
    play.drain()
    assert play.last(FetchToken).reason is EXPIRED_REASON
    play.give_token("token-1")
    assert headers(play.dial(), "Authorization") == ["Bearer token-1"]


def test_nothing_is_asked_ahead_while_there_is_no_connection() -> None:
    play = in_place()
    play.wait(50)
    play.lose()
    assert moment(play) is None


def test_nor_asked_again() -> None:
    play = ahead(backoff=Backoff(minimum=1.0, maximum=60.0))
    play.fail_token()
    play.lose()
    assert play.wait_for(Timer.TOKEN_RETRY) == 1.5
    assert len(play.all(FetchToken)) == 1


def test_a_new_connection_on_the_old_token_asks_for_what_is_left() -> None:
    play = in_place()
    play.wait(50)
    play.lose()
    play.wait_for(Timer.REDIAL)
    play.dial()
    play.accept()
    left = NOW + 100 - play.now
    assert moment(play) == pytest.approx(play.now + 0.85 * left)


def test_a_pending_retry_and_a_new_plan_make_one_call() -> None:
    play = ahead(backoff=Backoff(minimum=1.0, maximum=20.0))
    for _ in range(3):
        play.fail_token()
        play.wait_for(Timer.TOKEN_RETRY)
    play.fail_token()  # 10.5 s until it is asked again
    play.lose()
    play.wait_for(Timer.REDIAL)
    play.dial()
    play.accept(token_ttl="10000", token_refresh=THERE)
    assert moment(play) == pytest.approx(play.now + 8.5)
    play.forget()
    play.wait(10)
    assert len(play.all(FetchToken)) == 1
    play.give_token()
    taken(play)
    play.wait(50)
    assert len(play.all(FetchToken)) == 1


# --- no hot loop ------------------------------------------------------------------------------


def spacing(play: Player, answer: Callable[[], None], *, turns: int = 12) -> list[float]:
    """How far apart the calls of the source are, each answered at once."""
    at = []
    for _ in range(turns):
        while play.token_state() not in (TokenState.FETCHING, TokenState.RENEWING):
            deadline = play.client.next_deadline()
            assert deadline is not None
            play.wait(max(0.0, deadline - play.now))
        at.append(play.now)
        answer()
    return [after - before for before, after in pairwise(at)]


def test_D18_tokens_of_ten_milliseconds_in_place_are_no_hot_loop() -> None:
    play = in_place(ttl="10")

    def answer() -> None:
        play.give_token()
        taken(play, "10")

    assert min(spacing(play, answer)) >= 0.5


@pytest.mark.parametrize("handover", list(Handover))
def test_D18_nor_by_new_connections(handover: Handover) -> None:
    play = Player(refresh=Refresh(handover=handover))
    play.connect(token_ttl="10")
    dials = [play.now]

    def answer() -> None:
        play.give_token()
        if play.client.handover_state.value != "none":
            play.lose()  # let it be the only one: this player feeds no more
        elif play.state() is ConnectionState.CONNECTED:
            play.receipt("disconnect")
        if play.reason() is Timer.REDIAL:
            play.wait_for(Timer.REDIAL)
        if play.state() is ConnectionState.DIALING:
            dials.append(play.now)
            play.dial()
            play.accept(token_ttl="10")

    spacings = spacing(play, answer)
    assert min(spacings) >= 0.5
    assert min(after - before for before, after in pairwise(dials)) >= 0.5


def test_D18_nor_when_each_has_expired_by_the_time_it_is_used() -> None:
    play = Player()
    play.start()
    dials: list[float] = []

    def answer() -> None:
        play.give_token()
        if play.reason() is Timer.REDIAL:
            play.wait_for(Timer.REDIAL)
        if play.state() is ConnectionState.DIALING:
            dials.append(play.now)
            play.dial()
            play.accept(token_ttl="0")
            play.hear(EXPIRED)

    answer()
    spacing(play, answer, turns=10)
    assert min(after - before for before, after in pairwise(dials)) >= 0.5


def test_a_source_that_is_asked_ahead_is_not_asked_twice_for_one_token() -> None:
    play = in_place(ttl="1000")
    play.wait(0.85)
    assert len(play.all(FetchToken)) == 1
    play.wait(5)
    assert len(play.all(FetchToken)) == 1


# --- the end ----------------------------------------------------------------------------------

PHASES = ["planned", "asking", "asked again later", "on its way", "taken"]


def at(phase: str) -> Player:
    play = in_place()
    play.client.subscribe("/a", now=play.now)
    play.receipt("subscribe-1-1")
    if phase == "planned":
        play.written()
        return play
    play.wait(85)
    match phase:
        case "asked again later":
            play.fail_token()
        case "on its way":
            play.give_token()
        case "taken":
            play.give_token()
            taken(play)
    play.written()
    return play


@pytest.mark.parametrize("phase", PHASES)
def test_close_says_disconnect_in_every_phase_and_asks_nobody_any_more(phase: str) -> None:
    play = at(phase)
    calls = len(play.all(FetchToken))
    play.client.close(now=play.now)
    play.drain()
    assert commands(play.written()) == [Command.DISCONNECT]
    if phase == "on its way":
        taken(play, "10")
    play.wait(4.9)
    assert len(play.all(FetchToken)) == calls
    play.receipt("disconnect")
    assert play.stopped().error is None
    assert play.all(HangUp) == [HangUp(epoch=1)]


@pytest.mark.parametrize("phase", PHASES)
def test_abort_stops_at_once_in_every_phase(phase: str) -> None:
    play = at(phase)
    play.client.abort(now=play.now)
    play.drain()
    assert play.stopped().error is None
    assert play.all(HangUp) == [HangUp(epoch=1)]


@pytest.mark.parametrize("answer", ["token", "other subject", "unavailable", "unauthorized"])
@pytest.mark.parametrize("expired", [False, True])
def test_D13_D14_an_answer_that_comes_while_closing_is_nobodys(answer: str, expired: bool) -> None:
    play = Player()
    play.start()
    play.give_token(jwt(sub="alice", iat=1, exp=101))
    play.dial()
    play.accept(token_refresh=THERE)
    key = play.send("in flight")
    play.wait(85)
    play.client.close(now=play.now)
    play.drain()
    play.written()
    match answer:
        case "token":
            play.give_token()
        case "other subject":
            play.give_token(jwt(sub="bob"))
        case _:
            play.fail_token(permanent=answer == "unauthorized")
    assert play.state() is ConnectionState.DISCONNECTING
    assert play.written() == []
    assert len(play.all(TokenReceived)) == 1
    assert play.all(TokenFetchFailed) == []
    if expired:
        play.hear(EXPIRED)
    else:
        play.receipt(f"message-{key}")
        play.receipt("disconnect")
        assert play.all(Published) == [Published(key=key)]
    assert play.stopped().error is None
    assert play.all(Dial) == [Dial(url="stomp://h", epoch=1)]


def test_a_message_that_times_out_meanwhile_does_so() -> None:
    play = in_place(outbox_timeout=90.0)
    key = play.send("never confirmed")
    play.wait(85)
    play.give_token()
    play.wait(5)
    (failed,) = play.all(PublishFailed)
    assert (failed.key, type(failed.error)) == (key, MessageTimedOut)
    taken(play)
    assert play.state() is ConnectionState.CONNECTED


def test_messages_and_subscriptions_know_nothing_of_it() -> None:
    play = in_place()
    id = play.client.subscribe("/a", now=play.now)
    play.receipt(f"subscribe-1-{id}")
    play.forget()
    play.wait(85)
    play.give_token()
    taken(play)
    play.hear(b"MESSAGE\nsubscription:1\nmessage-id:m\ndestination:/a\n\nx\0")
    assert (play.all(SubscriptionActive), play.all(SubscriptionEnded)) == ([], [])
    assert [each.epoch for each in play.all(Delivered)] == [1]


def test_a_paused_reader_does_not_keep_the_answer_from_being_read() -> None:
    play = in_place()
    id = play.client.subscribe("/a", now=play.now)
    play.receipt(f"subscribe-1-{id}")
    play.client.hold(id, now=play.now)
    play.drain()
    assert play.client.wants_read is False
    play.wait(85)
    play.give_token()
    assert play.client.connection is not None
    assert play.client.connection.wants_read
    taken(play)
    assert len(play.all(Refreshed)) == 1
    assert not play.client.connection.wants_read


def test_no_token_shows() -> None:
    play = ahead()
    play.give_token("s3cret")
    taken(play)
    seen = [*play.events, *play.actions, play.client.__dict__, play.client._line]
    assert "s3cret" not in repr(seen)
