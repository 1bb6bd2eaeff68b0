"""Client rule 6, the end: `close` and `abort`, in every state and more than once."""

from __future__ import annotations

import pytest
from tests.unit.client_player import EXPIRED, GOING_AWAY, Player, commands

from stompcore._errors import ClientClosed
from stompcore._events import (
    ConnectionEnded,
    HangUp,
    Outcome,
    Published,
    Stopped,
)
from stompcore._frames import Command
from stompcore._state import ConnectionState
from stompcore._timers import Timer

STATES = ["idle", "fetching", "backoff", "dialing", "connecting", "connected", "error", "stopped"]


def bring(play: Player, state: str) -> None:
    if state == "idle":
        return
    play.start()
    if state == "fetching":
        return
    play.give_token()
    if state == "dialing":
        return
    play.dial(awaits_close=True)
    if state == "connecting":
        return
    play.accept()
    play.written()
    match state:
        case "backoff":
            play.lose()
        case "error":
            play.hear(GOING_AWAY)
        case "stopped":
            play.client.abort(now=play.now)
            play.drain()


@pytest.mark.parametrize("state", STATES)
def test_abort_stops_at_once_in_every_state_and_says_nothing(state: str) -> None:
    play = Player()
    bring(play, state)
    hung_up = len(play.all(HangUp))
    for _ in range(2):
        play.client.abort(now=play.now)
        play.client.close(now=play.now)
        play.drain()
    assert play.stopped().error is None
    assert play.written() == []
    has_transport = state in ("dialing", "connecting", "connected", "error")
    assert len(play.all(HangUp)) - hung_up == has_transport
    assert play.client.closing


@pytest.mark.parametrize("state", STATES)
def test_close_in_every_state_ends_in_peace(state: str) -> None:
    play = Player()
    bring(play, state)
    hung_up = len(play.all(HangUp))
    play.client.close(now=play.now)
    play.client.close(now=play.now)
    play.drain()
    written = play.written()
    if state == "connected":
        assert commands(written) == [Command.DISCONNECT]
        assert play.state() is ConnectionState.DISCONNECTING
        play.receipt("disconnect")
        play.close_websocket(1000)
    else:
        assert written == []
    assert play.stopped().error is None
    has_transport = state in ("dialing", "connecting", "connected", "error")
    assert len(play.all(HangUp)) - hung_up == has_transport


@pytest.mark.parametrize("state", STATES)
def test_nothing_moves_a_stopped_client(state: str) -> None:
    play = Player()
    bring(play, state)
    play.client.abort(now=play.now)
    play.drain()
    play.forget()
    play.hear(EXPIRED)
    play.lose()
    play.wait(1000)
    assert play.client.dialed(play.client.epoch, now=play.now) is None
    play.client.dial_failed(play.client.epoch, "x", now=play.now)
    play.client.token(1, "x", now=play.now)
    play.drain()
    assert (play.events, play.actions, play.client.bytes_queued) == ([], [], 0)
    with pytest.raises(ClientClosed):
        play.send("x")


def test_the_receipt_of_disconnect_is_a_clean_end() -> None:
    play = Player()
    play.connect()
    play.client.close(now=play.now)
    play.receipt("disconnect")
    ended = play.last(ConnectionEnded)
    assert (ended.ending.clean, ended.outcome) == (True, Outcome.STOP)
    assert play.stopped().error is None


@pytest.mark.parametrize("how", ["time-out", "lost", "error", "close"])
def test_a_server_that_does_not_answer_disconnect_cannot_hold_it_up(how: str) -> None:
    play = Player(close_timeout=5.0)
    play.connect()
    play.client.close(now=play.now)
    match how:
        case "time-out":
            assert play.wait_for(Timer.CLOSE) == 5.0
        case "lost":
            play.lose()
        case "error":
            play.hear(EXPIRED)
        case _:
            play.close_websocket(3003)
    assert not play.last(ConnectionEnded).ending.clean
    assert play.last(ConnectionEnded).outcome is Outcome.STOP
    assert play.stopped().error is None
    assert len(play.all(HangUp)) == 1


def test_what_is_still_confirmed_behind_close_counts() -> None:
    play = Player()
    play.connect()
    key = play.send("a")
    play.client.close(now=play.now)
    play.receipt("message-1")
    play.receipt("disconnect")
    assert play.all(Published) == [Published(key=key)]


def test_abort_cuts_a_close_short() -> None:
    play = Player()
    play.connect()
    play.client.close(now=play.now)
    play.client.abort(now=play.now)
    play.drain()
    assert play.all(Stopped) == [Stopped(error=None)]
    assert play.all(HangUp) == [HangUp(epoch=1)]
