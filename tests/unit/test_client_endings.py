"""Client rules 1 and 4: why a connection ended, and when the next one comes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from tests.unit.client_player import EXPIRED, GOING_AWAY, NOW, Player, message

from stompcore._client import ClientSession
from stompcore._config import Backoff, HeartBeat, Refresh
from stompcore._endings import DEFAULT_RULES, Rule
from stompcore._errors import AuthenticationFailed, ErrorCode
from stompcore._events import (
    ConnectionEnded,
    Delivered,
    Dial,
    Dialing,
    Disconnected,
    HangUp,
    Outcome,
    Resubscribed,
    TokenRequested,
)
from stompcore._machine import Close
from stompcore._state import ConnectionState, TokenState
from stompcore._timers import Timer

REFRESH, RETRY, STOP = Outcome.REFRESH, Outcome.RETRY, Outcome.STOP


def outcomes(play: Player) -> list[Outcome]:
    return [each.outcome for each in play.all(ConnectionEnded)]


# --- why did it end? --------------------------------------------------------------------------


def test_the_reason_stands_in_the_error() -> None:
    play = Player()
    play.connect()
    play.wait(60)
    play.hear(EXPIRED)
    ended = play.last(ConnectionEnded)
    assert (ended.epoch, ended.outcome) == (1, REFRESH)
    assert ended.ending.error is not None
    assert ended.ending.error.error_code == "token-expired"
    assert ended.ending.established


@pytest.mark.parametrize(
    ("code", "reason", "outcome"),
    [
        (3000, "Token Expired", REFRESH),
        (3000, "", REFRESH),
        (1000, "your token has expired", REFRESH),
        (4001, "JWT expired", REFRESH),
        (1001, "Going Away", RETRY),
        (1006, "", RETRY),
        (1011, "", RETRY),
        (3003, "Token Revoked", STOP),
    ],
)
def test_the_reason_stands_only_in_the_close(code: int, reason: str, outcome: Outcome) -> None:
    play = Player()
    play.connect(awaits_close=True)
    play.wait(60)
    play.close_websocket(code, reason)
    assert outcomes(play) == [outcome]
    assert play.last(ConnectionEnded).ending.close == Close(code, reason)


def test_the_error_decides_over_the_close() -> None:
    play = Player()
    play.connect(awaits_close=True)
    play.hear(GOING_AWAY)
    play.close_websocket(3003, "Token Revoked")
    assert outcomes(play) == [RETRY]


@pytest.mark.parametrize(("status", "outcome"), [(401, REFRESH), (403, STOP), (503, RETRY)])
def test_the_reason_stands_in_the_http_status(status: int, outcome: Outcome) -> None:
    play = Player()
    play.start()
    play.give_token()
    play.dial()
    assert play.client.connection is not None
    play.client.connection.receive_refusal(status, now=play.now)
    play.drain()
    assert outcomes(play) == [outcome]


@pytest.mark.parametrize("code", ["token-revoked", "unsupported-version"])
def test_what_no_new_token_can_mend_stops_the_client(code: str) -> None:
    play = Player()
    play.connect()
    play.hear(f"ERROR\nmessage:No\nerror-code:{code}\n\n\0".encode())
    assert outcomes(play) == [STOP]
    error = play.stopped().error
    assert isinstance(error, AuthenticationFailed)
    assert str(error) == "the server refuses this client: No"
    assert len(play.all(HangUp)) == 1


def test_access_denied_refuses_the_client_at_connect() -> None:
    play = Player()
    play.start()
    play.give_token()
    play.dial()
    play.hear(b"ERROR\nmessage:Access Denied\nerror-code:access-denied\n\n\0")
    assert outcomes(play) == [STOP]
    assert isinstance(play.stopped().error, AuthenticationFailed)


def test_access_denied_to_a_message_that_nobody_confirms_does_not_end_the_client() -> None:
    play = Player()
    play.connect()
    play.client.send("/topic/forbidden", b"x", confirm=False, now=play.now)
    play.drain()
    play.hear(b"ERROR\nmessage:Access Denied\nerror-code:access-denied\n\n\0")
    assert outcomes(play) == [RETRY]
    play.connect()
    assert play.state() is ConnectionState.CONNECTED


def test_users_can_replace_the_table() -> None:
    rules = (Rule(outcome=STOP, close_codes=frozenset({4500})), *DEFAULT_RULES)
    play = Player(rules=rules)
    play.connect(awaits_close=True)
    play.close_websocket(4500)
    assert outcomes(play) == [STOP]
    assert str(play.stopped().error) == "the server refuses this client: WebSocket close 4500"


def test_a_dial_that_fails_is_retried() -> None:
    play = Player(has_token=False)
    play.start()
    play.client.dial_failed(1, "no route", now=play.now)
    play.drain()
    assert play.last(ConnectionEnded) == ConnectionEnded(
        epoch=1, ending=Disconnected(fault="no route"), outcome=RETRY
    )
    play.wait_for(Timer.REDIAL)
    assert play.last(Dial).epoch == 2


# --- after an ERROR ---------------------------------------------------------------------------


def test_on_tcp_it_hangs_up_at_once_after_an_error() -> None:
    play = Player()
    play.connect()
    play.hear(GOING_AWAY)
    assert play.all(HangUp) == [HangUp(epoch=1)]
    assert play.state() is ConnectionState.WAITING


def test_over_websocket_it_waits_for_the_close_then_hangs_up_itself() -> None:
    play = Player(error_timeout=1.0)
    play.connect(awaits_close=True)
    play.wait(60)
    play.hear(EXPIRED)
    assert play.client.error is ErrorCode.TOKEN_EXPIRED
    assert (play.all(HangUp), play.state()) == ([], ConnectionState.CONNECTED)
    play.send("late")  # kept, not written: nothing that is said now would be heard
    assert play.written() == []
    assert play.wait_for(Timer.CLOSE) == 1.0
    assert play.all(HangUp) == [HangUp(epoch=1)]
    assert outcomes(play) == [REFRESH]
    play.give_token()
    play.dial()
    assert [each.body for each in play.accept()] == [b"late"]


def test_over_websocket_the_close_that_follows_an_error_ends_the_waiting() -> None:
    play = Player()
    play.connect(awaits_close=True)
    play.hear(EXPIRED)
    play.close_websocket(3000, "Token Expired")
    ending = play.last(ConnectionEnded).ending
    assert ending.error is not None
    assert ending.close == Close(3000, "Token Expired")


def test_what_comes_behind_an_error_is_dropped() -> None:
    play = Player(has_token=False)
    play.connect(awaits_close=True)
    id = play.client.subscribe("/a", now=play.now)
    play.hear(message(id) + GOING_AWAY + message(id))
    play.hear(message(id))
    assert len(play.all(Delivered)) == 1


def test_what_the_transport_of_an_older_epoch_says_is_dropped() -> None:
    play = Player()
    play.connect()
    old = play.client.connection
    assert old is not None
    play.lose()
    play.connect()
    play.forget()
    old.receive_data(EXPIRED, now=play.now)
    old.receive_eof(now=play.now)
    play.drain()
    assert play.events == []
    assert play.state() is ConnectionState.CONNECTED


def test_a_dial_that_has_failed_cannot_time_out_as_well() -> None:
    play = Player(has_token=False, dial_timeout=5.0, backoff=Backoff(minimum=15.0))
    play.start()
    play.client.dial_failed(1, "no route", now=play.now)
    play.drain()
    assert play.reason() is Timer.REDIAL
    play.wait(14)
    assert outcomes(play) == [RETRY]


# --- backoff ----------------------------------------------------------------------------------


def test_backoff_grows_to_its_ceiling() -> None:
    play = Player(has_token=False, draw=0.5, backoff=Backoff(minimum=1.0, maximum=8.0))
    play.start()
    delays = []
    for _ in range(5):
        play.client.dial_failed(play.client.epoch, "no", now=play.now)
        play.drain()
        delays.append(play.wait_for(Timer.REDIAL))
    assert delays == [1.5, 2.5, 4.5, 4.5, 4.5]


def test_backoff_is_forgotten_only_after_a_stable_connection() -> None:
    play = Player(has_token=False, backoff=Backoff(minimum=1.0, maximum=8.0, stable_timeout=5.0))
    delays = []
    for held in (0.0, 4.9, 4.9, 5.0, 4.9, 100.0):
        play.connect()
        play.wait(held)
        play.lose()
        at = play.client.next_deadline()
        assert at is not None
        delays.append(at - play.now)
    assert delays == pytest.approx([1.5, 2.5, 4.5, 1.5, 2.5, 1.5])


def test_expiry_after_a_connection_that_held_redials_at_once_and_burns_no_step() -> None:
    play = Player()
    for round in range(1, 10):
        play.connect()
        play.wait(0.6)  # the floor of the backoff is 0.5; far from stable
        play.hear(EXPIRED)
        before = play.now
        play.give_token()
        assert play.now == before
        assert play.last(Dial).epoch == round + 1
    play.dial()
    play.lose()
    assert play.wait_for(Timer.REDIAL) == 0.75  # the first step still


@pytest.mark.parametrize("farewell", [EXPIRED, GOING_AWAY, b""])
def test_accept_then_kick_never_becomes_a_hot_loop(farewell: bytes) -> None:
    play = Player(draw=0.0, backoff=Backoff(minimum=0.5, maximum=20.0))
    play.start()
    dials = []
    for _ in range(20):
        if play.token_state() is TokenState.FETCHING:
            play.give_token()
        if play.reason() is Timer.REDIAL:
            play.wait_for(Timer.REDIAL)
        dials.append(play.now)
        play.dial()
        play.accept()
        play.hear(farewell)
        if not farewell:
            play.lose()
    gaps = [later - earlier for earlier, later in pairwise(dials)]
    assert min(gaps) >= 0.5


def test_accept_then_kick_backs_off_further_each_time() -> None:
    play = Player(draw=0.999, backoff=Backoff(minimum=0.5, maximum=20.0))
    play.start()
    began = play.now
    for _ in range(10):
        if play.token_state() is TokenState.FETCHING:
            play.give_token()
        if play.reason() is Timer.REDIAL:
            play.wait_for(Timer.REDIAL)
        play.dial()
        play.accept()
        play.hear(EXPIRED)
    assert play.now - began > 80


# --- the order of things ----------------------------------------------------------------------


def test_the_life_of_a_client_in_events() -> None:
    play = Player()
    play.connect()
    play.wait(60)
    play.hear(EXPIRED)
    play.connect()
    play.client.close(now=play.now)
    play.receipt("disconnect")
    assert play.names() == [
        "TokenRequested",
        "TokenReceived",
        "Dialing",
        "Resubscribed",
        "StatusChanged",
        "ConnectionEnded",
        "TokenRequested",
        "TokenReceived",
        "Dialing",
        "Resubscribed",
        "ConnectionEnded",
        "StatusChanged",
        "Stopped",
    ]
    assert [each.epoch for each in play.all(Dialing)] == [1, 2]
    assert [each.epoch for each in play.all(Resubscribed)] == [1, 2]
    assert [each.generation for each in play.all(TokenRequested)] == [1, 2]
    assert play.all(HangUp) == [HangUp(epoch=1), HangUp(epoch=2)]


# --- a machine like the others ----------------------------------------------------------------


def test_it_reads_always_and_never_half_closes() -> None:
    play = Player()
    assert play.client.wants_read
    assert not play.client.send_eof
    assert play.client.data_to_send() == []
    assert (play.client.bytes_queued, play.client.error, play.reason()) == (0, None, None)
    play.start()
    play.give_token()
    assert play.client.dialed(1, now=play.now) is play.client.connection
    assert play.client.bytes_queued > 0


def test_the_clock_never_runs_backwards() -> None:
    play = Player()
    play.start()
    play.client.handle_timeout(now=NOW - 500)
    assert play.client.now == NOW
    assert play.client.next_deadline() == NOW + 10
    play.client.handle_timeout(now=NOW + 5)
    play.client.token(1, "abc", now=NOW)
    assert play.client.next_deadline() == NOW + 15


def test_the_earlier_deadline_counts_whoever_has_it() -> None:
    beats = HeartBeat(send_interval=2.0, receive_interval=0)
    play = Player(heart_beat=beats)
    play.start()
    play.give_token()
    play.dial()
    assert (play.client.next_deadline(), play.reason()) == (NOW + 10, Timer.CONNECT)
    play.hear(b"CONNECTED\nversion:1.2\nheart-beat:0,1000\n\n\0")
    assert (play.client.next_deadline(), play.reason()) == (NOW + 1.8, Timer.HEART_BEAT)
    play.wait(4)
    assert play.client.data_to_send()[-1] == b"\n"


def test_a_silent_server_is_left() -> None:
    play = Player(heart_beat=HeartBeat(send_interval=0, receive_interval=2.0))
    play.start()
    play.give_token()
    play.dial()
    play.hear(b"CONNECTED\nversion:1.2\nheart-beat:2000,0\n\n\0")
    play.wait(4)
    assert play.last(ConnectionEnded).ending.fault == "the server fell silent"
    assert outcomes(play) == [RETRY]


CALLS: dict[str, Callable[[ClientSession, float], object]] = {
    "start": lambda client, now: client.start(now=now),
    "send": lambda client, now: client.send("/a", b"", now=now),
    "subscribe": lambda client, now: client.subscribe("/a", now=now),
    "unsubscribe": lambda client, now: client.unsubscribe("1", now=now),
    "close": lambda client, now: client.close(now=now),
    "abort": lambda client, now: client.abort(now=now),
    "dialed": lambda client, now: client.dialed(1, now=now),
    "dial_failed": lambda client, now: client.dial_failed(1, "", now=now),
    "token": lambda client, now: client.token(1, "t", now=now),
    "token_failed": lambda client, now: client.token_failed(1, permanent=False, now=now),
    "receive_data": lambda client, now: client.receive_data(b"", now=now),
    "receive_eof": lambda client, now: client.receive_eof(now=now),
    "handle_timeout": lambda client, now: client.handle_timeout(now=now),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_every_call_moves_the_clock(call: Callable[[ClientSession, float], object]) -> None:
    client = Player().client
    call(client, NOW + 1)
    assert client.now == NOW + 1


def test_an_acknowledgement_moves_the_clock() -> None:
    play = Player()
    play.connect()
    id = play.client.subscribe("/a", now=play.now)
    play.hear(message(id, ack="k"))
    play.client.ack(play.last(Delivered), now=play.now + 1)
    assert play.client.now == play.now + 1


def test_it_learns_the_time_from_its_connection() -> None:
    # A WebSocket endpoint feeds the connection, not the client.
    play = Player()
    play.connect(awaits_close=True)
    assert play.client.connection is not None
    play.client.connection.receive_eof(now=NOW + 60)
    play.drain()
    assert play.client.now == NOW + 60
    assert play.client.next_deadline() == NOW + 60.75


def test_a_time_out_of_the_connection_counts_before_any_event_is_asked_for() -> None:
    play = Player(connect_timeout=4.0)
    play.start()
    play.give_token()
    play.dial()
    play.client.handle_timeout(now=NOW + 4)
    assert play.state() is ConnectionState.WAITING
    assert play.reason() is Timer.REDIAL


def test_what_is_due_fires_before_bytes_are_looked_at() -> None:
    play = Player(outbox_timeout=30.0)
    play.connect()
    play.send("a")
    play.now += 30
    play.receipt("message-1")
    assert "PublishFailed" in play.names()
    assert "Published" not in play.names()


# --- while it leaves by itself, for a newer token -----------------------------------------------


def leaving(**more: Any) -> Player:
    play = Player(refresh=Refresh(earliest=0.5, latest=0.5), **more)
    play.connect(token_ttl="100000", awaits_close=True)
    play.wait(50)
    play.give_token()
    return play


@pytest.mark.parametrize("code", [1000, 1001, 1006, 3000])
def test_whatever_closes_a_connection_that_is_left_it_is_left(code: int) -> None:
    play = leaving()
    play.close_websocket(code)
    assert outcomes(play) == [Outcome.RENEW]
    assert play.state() is ConnectionState.DIALING


def test_a_client_that_is_forbidden_while_it_leaves_does_not_come_back() -> None:
    # The ERROR that said so was lost, or never sent: the close is all there is.
    play = leaving()
    play.close_websocket(3003, "Token Revoked")
    assert outcomes(play) == [STOP]
    assert isinstance(play.stopped().error, AuthenticationFailed)


def test_once_disconnect_is_answered_no_close_says_anything_more() -> None:
    play = leaving(rules=(Rule(outcome=STOP, close_codes=frozenset({1000})), *DEFAULT_RULES))
    play.receipt("disconnect")
    play.close_websocket(1000)
    assert outcomes(play) == [Outcome.RENEW]
    assert play.state() is ConnectionState.DIALING
