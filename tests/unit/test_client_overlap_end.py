"""Client rule 2, an overlap that the user ends: `close` and `abort` at every stage."""

from __future__ import annotations

import pytest
from tests.unit.client_player import commands
from tests.unit.handover_player import Pair, msg

from stompcore._errors import ClientClosed
from stompcore._events import Outcome, Published, PublishFailed, SubscriptionEnded
from stompcore._frames import Command
from stompcore._state import ConnectionState, HandoverState
from stompcore._timers import Timer

STAGES = [each for each in HandoverState if each is not HandoverState.NONE]
BEFORE = [each for each in STAGES if each is not HandoverState.RETIRING]
RETIRING = HandoverState.RETIRING


@pytest.mark.parametrize("stage", STAGES)
def test_close_leaves_one_connection_and_says_disconnect_on_it(stage: HandoverState) -> None:
    play = Pair()
    play.to_stage(stage)
    left, stays = (1, 2) if stage is RETIRING else (2, 1)
    play.wrote(1)
    for _ in range(2):
        play.close()
    assert play.hung_up() == [left]
    assert commands(play.wrote(stays))[-1] is Command.DISCONNECT
    assert play.state() is ConnectionState.DISCONNECTING
    assert play.reason() is Timer.CLOSE
    play.receipts(stays, "disconnect")
    assert play.stopped().error is None
    assert sorted(play.hung_up()) == [1, 2]
    assert play.dials() == [2]


@pytest.mark.parametrize("stage", STAGES)
def test_close_waits_for_what_is_in_flight(stage: HandoverState) -> None:
    play = Pair()
    play.online()
    play.renew()
    play.send("x")
    if stage is not HandoverState.DIALING:
        play.dial()
    if stage in (HandoverState.RESTORING, RETIRING):
        play.accept_on(2)
    if stage is RETIRING:
        play.confirm(2, "1")
    assert play.handover() is stage
    stays = 2 if stage is RETIRING else 1
    play.close()
    sent = play.wrote(stays)[-2:]
    assert [each.body or each.command for each in sent] == [b"x", "DISCONNECT"]
    play.receipts(stays, "message-1", "disconnect")
    assert play.all(Published) == [Published(key=1)]
    assert play.stopped().error is None


def test_close_gives_what_had_waited_for_the_old_one_to_leave() -> None:
    play = Pair()
    (room,) = play.to_retiring()
    play.hears(1, msg(room, "a"))
    play.hears(2, msg(room, "a"), msg(room, "b"))
    play.close()
    assert play.bodies() == ["a", "b"]
    play.hears(2, msg(room, "c"))
    assert play.bodies() == ["a", "b", "c"]


def test_so_does_any_other_stop() -> None:
    play = Pair()
    (room,) = play.to_retiring()
    play.hears(1, msg(room, "a"))
    play.hears(2, msg(room, "a"), msg(room, "b"))
    play.abort()
    assert play.bodies() == ["a", "b"]
    assert play.stopped().error is None


def test_close_finds_the_old_one_already_ending() -> None:
    play = Pair()
    play.to_restoring(awaits_close=True)
    play.send("x")
    play.hears(1, b"ERROR\nmessage:Going Away\nerror-code:going-away\n\n\0")
    play.close()
    assert play.stopped().error is None
    assert isinstance(play.last(PublishFailed).error, ClientClosed)
    assert sorted(play.hung_up()) == [1, 2]


@pytest.mark.parametrize("stage", STAGES)
def test_close_and_a_server_that_answers_nothing(stage: HandoverState) -> None:
    play = Pair(close_timeout=3.0)
    play.to_stage(stage)
    play.close()
    play.wait(3)
    assert play.stopped().error is None
    assert sorted(play.hung_up()) == [1, 2]


@pytest.mark.parametrize("stage", BEFORE)
def test_close_after_the_old_one_is_lost(stage: HandoverState) -> None:
    play = Pair()
    play.to_stage(stage)
    play.cut(1)
    play.close()
    if stage is HandoverState.RESTORING:
        assert commands(play.wrote(2))[-1] is Command.DISCONNECT
        play.receipts(2, "disconnect")
    assert play.stopped().error is None
    assert play.hung_up() == [1, 2]


@pytest.mark.parametrize("stage", STAGES)
def test_abort_stops_at_once_and_says_nothing(stage: HandoverState) -> None:
    play = Pair()
    ids = play.to_stage(stage, subscriptions=2)
    for epoch in play.lines:
        play.wrote(epoch)
    lines = dict(play.lines)
    play.send("x")
    if stage is not RETIRING:
        play.wrote(1)
    play.abort()
    play.abort()
    assert play.stopped().error is None
    assert sorted(play.hung_up()) == [1, 2]
    assert [each.subscription for each in play.all(SubscriptionEnded)] == ids
    assert isinstance(play.last(PublishFailed).error, ClientClosed)
    assert [each.data_to_send() for each in lines.values()] == [[] for _ in lines]


@pytest.mark.parametrize("stage", STAGES)
def test_what_comes_after_the_stop_is_nobodys(stage: HandoverState) -> None:
    play = Pair()
    (room,) = play.to_stage(stage)
    lines = dict(play.lines)
    play.abort()
    events = len(play.events)
    for epoch, line in lines.items():
        line.receive_data(msg(room, "a"), now=play.now)
        line.receive_eof(now=play.now)
        assert play.client.dialed(epoch, now=play.now) is None
    assert play.client.dialed(2, now=play.now) is None
    play.client.dial_failed(2, "late", now=play.now)
    play.client.token(2, "late", now=play.now)
    play.wait(1000)
    assert len(play.events) == events
    assert len(play.hung_up()) == 2


@pytest.mark.parametrize("epoch", [0, 1, 3])
def test_answers_to_dials_that_are_not_open_are_dropped(epoch: int) -> None:
    play = Pair()
    play.to_dialing()
    assert play.client.dialed(epoch, now=play.now) is None
    play.client.dial_failed(epoch, "x", now=play.now)
    play.drain()
    assert play.handover() is HandoverState.DIALING
    play.dial()
    assert play.client.dialed(2, now=play.now) is None
    play.client.dial_failed(2, "x", now=play.now)
    play.drain()
    assert play.handover() is HandoverState.CONNECTING


@pytest.mark.parametrize("how", ["refused", "timed out"])
def test_a_dial_that_is_answered_too_late_is_dropped(how: str) -> None:
    play = Pair(dial_timeout=3.0)
    play.to_dialing()
    if how == "refused":
        play.refuse_dial()
    else:
        play.wait_for(Timer.DIAL)
    assert play.client.dialed(2, now=play.now) is None
    assert play.endings() == [(2, Outcome.RETRY)]


def test_no_token_shows() -> None:
    play = Pair()
    play.online()
    play.wait(85)
    play.give_token("s3cret")
    play.dial()
    play.accept_on(2)
    seen = [*play.events, *play.actions, play.client.__dict__, play.client._handover.__dict__]
    assert "s3cret" not in repr(seen)
