"""Client rule 2, an overlap whose old connection ends before its time, at every stage; or both."""

from __future__ import annotations

import pytest
from tests.unit.client_player import EXPIRED, GOING_AWAY, commands, headers
from tests.unit.handover_player import AHEAD, Pair, error, msg

from stompcore._config import Backoff
from stompcore._errors import AuthenticationFailed, SendRefused
from stompcore._events import (
    Dial,
    FetchToken,
    Outcome,
    PublishFailed,
    Resubscribed,
    StatusChanged,
    SubscriptionActive,
)
from stompcore._frames import Command
from stompcore._state import ConnectionState, HandoverState, Status
from stompcore._timers import Timer

NONE, DIALING = HandoverState.NONE, HandoverState.DIALING
CONNECTING, RESTORING = HandoverState.CONNECTING, HandoverState.RESTORING
RETIRING = HandoverState.RETIRING
BEFORE = [DIALING, CONNECTING, RESTORING]
RETRY, REFRESH, RENEW = Outcome.RETRY, Outcome.REFRESH, Outcome.RENEW


def timer(play: Pair, which: Timer) -> float | None:
    return play.client._timers.at(which)


# --- the old one ------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["cut", "expired", "going away"])
@pytest.mark.parametrize("stage", [DIALING, CONNECTING])
def test_the_old_one_is_lost_before_the_new_one_is_up(stage: HandoverState, end: str) -> None:
    play = Pair(dial_timeout=10.0)
    (room,) = play.to_stage(stage)
    play.send("x")
    play.wait(4)
    match end:
        case "cut":
            play.cut(1)
        case "expired":
            play.hears(1, EXPIRED)
        case _:
            play.hears(1, GOING_AWAY)
    assert play.endings() == [(1, RENEW)]
    assert (play.hung_up(), play.dials(), play.handover()) == ([1], [2], NONE)
    assert play.state() is ConnectionState(stage.value)
    assert len(play.all(FetchToken)) == 1
    if stage is DIALING:
        assert timer(play, Timer.DIAL) == play.now + 10
        assert headers(play.dial(), "Authorization") == ["Bearer token-2"]
    play.accept_on(2)
    sent = play.wrote(2)
    assert commands(sent)[-2:] == [Command.SUBSCRIBE, Command.SEND]
    assert (headers(sent, "id")[-2], sent[-1].body) == (room, b"x")
    assert play.state() is ConnectionState.CONNECTED
    assert play.last(Resubscribed).resent == 1


def test_then_the_grace_begins() -> None:
    play = Pair(status_grace=2.0, offline_timeout=20.0)
    play.to_dialing()
    play.cut(1)
    play.wait(1.9)
    assert play.status() is Status.ONLINE
    play.wait(0.1)
    assert play.status() is Status.RECOVERING
    play.dial()
    play.accept_on(2)
    assert [each.status for each in play.all(StatusChanged)] == [Status.RECOVERING, Status.ONLINE]


@pytest.mark.parametrize("stage", [DIALING, CONNECTING])
def test_then_the_new_one_fails_like_any_other(stage: HandoverState) -> None:
    play = Pair(dial_timeout=3.0, connect_timeout=3.0)
    play.to_stage(stage)
    play.cut(1)
    play.wait(3)
    assert play.endings() == [(1, RENEW), (2, RETRY)]
    assert play.state() is ConnectionState.WAITING
    assert play.hung_up() == [1, 2]
    play.until(Dial, 2)
    assert headers(play.dial(), "Authorization") == ["Bearer token-2"]


@pytest.mark.parametrize("end", ["cut", "expired"])
def test_the_old_one_is_lost_while_all_is_restored(end: str) -> None:
    play = Pair(status_grace=0.1, offline_timeout=1.0)
    one, two = play.to_restoring(2)
    play.send("x")
    play.confirm(2, one)
    play.hears(1, msg(one, "a"))
    play.hears(2, msg(one, "a"), msg(one, "b"))
    play.wrote(2)
    play.forget()
    play.cut(1) if end == "cut" else play.hears(1, EXPIRED)
    assert play.endings() == [(1, RENEW)]
    assert (play.handover(), play.state()) == (NONE, ConnectionState.CONNECTED)
    assert play.bodies() == ["b"]
    assert timer(play, Timer.HANDOVER) is None
    assert play.all(SubscriptionActive) == [SubscriptionActive(subscription=one, epoch=2)]
    assert [each.body for each in play.wrote(2)] == [b"x"]
    assert play.last(Resubscribed).subscriptions == (one, two)
    play.confirm(2, two)
    assert play.last(SubscriptionActive) == SubscriptionActive(subscription=two, epoch=2)
    play.hears(2, msg(two, "c"))
    assert play.bodies() == ["b", "c"]
    play.wait(5)
    assert play.all(StatusChanged) == []


def test_a_late_copy_is_known_to_the_one_that_was_promoted_early() -> None:
    play = Pair()
    (room,) = play.to_restoring()
    play.hears(1, msg(room, "a"))
    play.cut(1)
    play.hears(2, msg(room, "a"), msg(room, "b"))
    assert play.bodies() == ["a", "b"]


def test_one_that_was_promoted_early_is_renewed_and_forgotten_failures_like_any_other() -> None:
    play = Pair(backoff=Backoff(minimum=1.0, maximum=64.0, stable_timeout=5.0))
    play.to_dialing()
    play.refuse_dial()
    play.until(Dial, 2)
    play.dial()
    play.accept_on(3)
    play.cut(1)
    assert play.state() is ConnectionState.CONNECTED
    play.wait(5)
    play.forget()
    play.wait(AHEAD)
    assert len(play.all(FetchToken)) == 1
    play.cut(3)
    assert play.wait_for(Timer.REDIAL) == 1.5  # the first step again


def test_subscribing_while_the_old_one_has_an_error_and_is_not_closed_yet() -> None:
    play = Pair()
    (one,) = play.to_restoring(awaits_close=True)
    play.wrote(2)
    play.hears(1, GOING_AWAY)
    two = play.subscribe("/new")
    assert headers(play.wrote(2), "id") == [two]
    play.closes(1, 1001)
    play.confirm(2, one, two)
    assert [each.subscription for each in play.all(SubscriptionActive)] == [one, two]


def test_the_old_one_has_an_error_and_is_not_closed_when_the_new_one_is_ready() -> None:
    play = Pair()
    (room,) = play.to_restoring(awaits_close=True)
    play.send("x")
    play.hears(1, GOING_AWAY)
    play.confirm(2, room)
    assert play.handover() is RETIRING
    play.wrote(2)
    play.closes(1, 1001)
    assert (play.endings(), play.handover()) == ([(1, RENEW)], NONE)
    assert [each.body for each in play.wrote(2)] == [b"x"]


@pytest.mark.parametrize("how", ["receipt", "cut", "error", "silence"])
def test_however_the_old_one_leaves_the_new_one_goes_on(how: str) -> None:
    play = Pair(close_timeout=3.0)
    (room,) = play.to_retiring()
    play.send("x")
    play.hears(2, msg(room, "a"))
    play.wrote(2)
    match how:
        case "receipt":
            play.receipts(1, "disconnect")
        case "cut":
            play.cut(1)
        case "error":
            play.hears(1, EXPIRED)
        case _:
            assert play.wait_for(Timer.CLOSE) == 3.0
    assert (play.endings(), play.hung_up()) == ([(1, RENEW)], [1])
    assert play.bodies() == ["a"]
    assert [each.body for each in play.wrote(2)] == [b"x"]
    assert len(play.all(FetchToken)) == 1


def test_a_message_that_the_old_one_refuses_as_it_leaves_fails_alone() -> None:
    play = Pair()
    play.to_restoring()
    play.send("refused")
    play.send("good")
    play.confirm(2, "1")
    play.wrote(2)
    play.hears(1, error("access-denied", "message-1"))
    (failed,) = play.all(PublishFailed)
    assert (failed.key, type(failed.error)) == (1, SendRefused)
    assert play.endings() == [(1, RENEW)]
    assert [each.body for each in play.wrote(2)] == [b"good"]


@pytest.mark.parametrize("code", ["token-revoked", "unsupported-version"])
@pytest.mark.parametrize("stage", BEFORE)
def test_thrown_out_on_the_old_one_is_out(stage: HandoverState, code: str) -> None:
    play = Pair()
    play.to_stage(stage)
    play.hears(1, error(code))
    assert isinstance(play.stopped().error, AuthenticationFailed)
    assert play.hung_up() == [1, 2]


def test_a_newer_token_that_comes_in_the_middle_is_the_next_to_be_given() -> None:
    """Tokens of two seconds: the third is here before the second has replaced the first."""
    play = Pair()
    play.to_connecting()
    play.accept_on(2, token_ttl="2000")
    play.confirm(2, "1")
    play.until(FetchToken, 2)
    play.give_token()
    assert play.dials() == [2]
    play.receipts(1, "disconnect")
    play.until(Dial, 2)
    assert headers(play.dial(), "Authorization") == ["Bearer token-3"]


def test_so_is_one_that_comes_before_the_old_one_is_lost() -> None:
    play = Pair()
    play.to_connecting()
    play.accept_on(2, token_ttl="2000")
    play.until(FetchToken, 2)
    play.give_token()
    play.cut(1)
    play.until(Dial, 2)
    assert headers(play.dial(), "Authorization") == ["Bearer token-3"]


# --- both -------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
@pytest.mark.parametrize("stage", [CONNECTING, RESTORING, RETIRING])
def test_both_are_lost_in_one_go(stage: HandoverState, order: tuple[int, int]) -> None:
    play = Pair(status_grace=2.0, offline_timeout=20.0)
    (room,) = play.to_stage(stage)
    play.send("x")
    if stage is not CONNECTING:
        play.hears(1, msg(room, "a"))
        play.hears(2, msg(room, "a"), msg(room, "b"))
    play.cut(*order)
    assert play.state() is ConnectionState.WAITING
    assert sorted(play.hung_up()) == [1, 2]
    assert sorted(epoch for epoch, _ in play.endings()) == [1, 2]
    assert play.bodies() == ([] if stage is CONNECTING else ["a", "b"])
    play.wait(2)
    assert play.status() is Status.RECOVERING
    play.until(Dial, 2)
    assert headers(play.dial(), "Authorization") == ["Bearer token-2"]
    play.accept_on(3)
    sent = play.wrote(3)
    assert [each.command for each in sent if each.command in (Command.SUBSCRIBE, Command.SEND)] == [
        Command.SUBSCRIBE,
        Command.SEND,
    ]
    assert play.status() is Status.ONLINE


def test_the_new_one_is_lost_while_the_old_one_leaves_and_both_are_over() -> None:
    play = Pair()
    (room,) = play.to_retiring()
    play.send("x")
    play.hears(2, msg(room, "a"))
    play.cut(2)
    assert play.endings() == [(1, RENEW), (2, RETRY)]
    assert sorted(play.hung_up()) == [1, 2]
    assert play.bodies() == ["a"]
    assert play.state() is ConnectionState.WAITING
    assert play.client.unconfirmed == 1


def test_a_refusal_for_good_on_the_new_one_while_the_old_one_leaves() -> None:
    play = Pair()
    (room,) = play.to_retiring()
    play.send("x")
    play.hears(2, msg(room, "a"))
    play.hears(2, error("token-revoked"))
    assert isinstance(play.stopped().error, AuthenticationFailed)
    assert play.bodies() == ["a"]
    assert sorted(play.hung_up()) == [1, 2]
    assert isinstance(play.last(PublishFailed).error, AuthenticationFailed)
