"""Client rule 2, an overlap in which subscriptions come and go, transactions run, readers hold."""

from __future__ import annotations

import pytest
from tests.unit.client_player import commands, headers
from tests.unit.handover_player import TTL, Pair, msg, receipt

from stompcore._errors import LocalProtocolError, NotConnected
from stompcore._events import (
    ConnectionEnded,
    Outcome,
    SubscriptionActive,
    SubscriptionEnded,
    TransactionCommitted,
)
from stompcore._frames import Command
from stompcore._state import HandoverState

RESTORING, RETIRING = HandoverState.RESTORING, HandoverState.RETIRING


# --- subscriptions that come and go -----------------------------------------------------------


def test_one_that_is_made_in_the_middle_is_made_on_both() -> None:
    play = Pair()
    (one,) = play.to_restoring()
    play.wrote(2)
    two = play.subscribe("/new")
    assert headers(play.wrote(1), "receipt") == [f"subscribe-1-{two}"]
    assert headers(play.wrote(2), "receipt") == [f"subscribe-2-{two}"]
    play.confirm(2, one)
    assert play.handover() is RESTORING
    play.confirm(1, two)
    assert play.all(SubscriptionActive) == [SubscriptionActive(subscription=two, epoch=1)]
    play.confirm(2, two)
    assert play.handover() is RETIRING
    assert len(play.all(SubscriptionActive)) == 1


@pytest.mark.parametrize("late", [True, False])
def test_one_that_only_the_new_connection_has_confirmed_is_active(late: bool) -> None:
    play = Pair()
    (one,) = play.to_restoring()
    two = play.subscribe("/new")
    play.confirm(2, one, two)
    assert play.all(SubscriptionActive) == [SubscriptionActive(subscription=two, epoch=2)]
    if late:
        play.confirm(1, two)
    play.cut(1)
    assert len(play.all(SubscriptionActive)) == 1
    play.client.hold(two, now=play.now)
    play.drain()
    assert not play.lines[2].wants_read


@pytest.mark.parametrize("stage", ["dialing", "connecting"])
def test_one_that_is_made_before_the_new_one_is_up_is_restored_with_the_others(stage: str) -> None:
    play = Pair()
    (one,) = play.to_stage(HandoverState(stage))
    two = play.subscribe("/new")
    assert headers(play.wrote(1), "id") == [two]
    if stage == "dialing":
        play.dial()
    play.accept_on(2)
    assert [id for id in headers(play.wrote(2), "id") if id] == [one, two]


def test_one_that_is_made_while_the_old_one_leaves_is_made_on_the_new_one() -> None:
    play = Pair()
    (one,) = play.to_retiring()
    play.wrote(1)
    two = play.subscribe("/new")
    assert (play.wrote(1), headers(play.wrote(2), "id")) == ([], [two])
    play.confirm(2, two)
    assert play.all(SubscriptionActive) == [SubscriptionActive(subscription=two, epoch=2)]
    play.hears(2, msg(two, "x"))
    play.receipts(1, "disconnect")
    assert play.bodies() == ["x"]
    assert [each.id for each in play.client._subscriptions] == [one, two]


def test_one_that_ends_in_the_middle_ends_on_both() -> None:
    play = Pair()
    one, two = play.to_restoring(2)
    play.wrote(2)
    play.unsubscribe(one)
    for epoch in (1, 2):
        assert [(each.command, each.headers["id"]) for each in play.wrote(epoch)] == [
            (Command.UNSUBSCRIBE, one)
        ]
    play.hears(1, msg(one, "no"))
    play.hears(2, msg(one, "no"), receipt(f"subscribe-2-{one}"))
    assert play.handover() is RESTORING
    play.confirm(2, two)
    assert play.handover() is RETIRING
    play.receipts(1, "disconnect")
    assert play.bodies() == []


def test_the_last_one_that_is_waited_for_may_end() -> None:
    play = Pair()
    one, two = play.to_restoring(2)
    play.confirm(2, one)
    play.unsubscribe(two)
    assert play.handover() is RETIRING
    assert commands(play.wrote(1)) == [Command.UNSUBSCRIBE, Command.DISCONNECT]


def test_what_waited_for_one_that_has_ended_goes_to_nobody() -> None:
    play = Pair()
    one, two = play.to_restoring(2)
    play.hears(2, msg(one, "no"), msg(two, "yes"))
    play.unsubscribe(one)
    play.confirm(2, two)
    play.receipts(1, "disconnect")
    assert play.bodies() == ["yes"]


def test_a_header_that_fails_for_the_new_one_ends_the_subscription_on_the_old_one() -> None:
    calls: list[int] = []

    def value() -> str:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError
        return "x"

    play = Pair()
    play.connect(token_ttl=TTL)
    one = play.subscribe(headers={"x": value})
    two = play.subscribe("/other")
    play.confirm(1, one, two)
    play.renew()
    play.dial()
    play.wrote(1)
    play.accept_on(2)
    (ended,) = play.all(SubscriptionEnded)
    assert (ended.subscription, type(ended.error)) == (one, LocalProtocolError)
    assert [(each.command, each.headers["id"]) for each in play.wrote(1)] == [
        (Command.UNSUBSCRIBE, one)
    ]
    assert headers(play.wrote(2), "id") == [two]
    play.confirm(2, two)
    assert play.handover() is RETIRING


@pytest.mark.parametrize("good", [0, 1])
def test_a_header_that_fails_for_a_subscription_made_in_the_middle(good: int) -> None:
    """On the old one: the new one is not told of it at all. On the new one: both are."""
    left = good

    def value() -> str:
        nonlocal left
        left -= 1
        if left < 0:
            raise RuntimeError
        return "x"

    play = Pair()
    play.to_restoring()
    play.wrote(2)
    id = play.subscribe("/new", headers={"x": value})
    (ended,) = play.all(SubscriptionEnded)
    assert (ended.subscription, type(ended.error)) == (id, LocalProtocolError)
    old = [Command.SUBSCRIBE, Command.UNSUBSCRIBE] if good else []
    assert (commands(play.wrote(1)), play.wrote(2)) == (old, [])
    play.confirm(2, "1")
    assert play.handover() is RETIRING


def test_one_without_a_frame_is_there_at_once() -> None:
    play = Pair()
    play.to_connecting(0)
    reply = play.subscribe("/temp-queue/x", implicit=True)
    assert play.all(SubscriptionActive) == [SubscriptionActive(subscription=reply, epoch=1)]
    play.accept_on(2)
    assert play.handover() is RETIRING
    play.unsubscribe(reply)
    assert (commands(play.wrote(1)), play.wrote(2)) == ([Command.DISCONNECT], [])


# --- transactions and readers -----------------------------------------------------------------


def test_it_does_not_begin_before_transactions_are_over() -> None:
    play = Pair()
    play.online()
    name = play.client.begin(now=play.now)
    play.renew()
    assert play.handover() is HandoverState.NONE
    play.client.commit(name, now=play.now)
    play.receipts(1, f"commit-{name}")
    assert play.handover() is HandoverState.DIALING


@pytest.mark.parametrize("stage", ["dialing", "connecting", "restoring"])
@pytest.mark.parametrize("how", ["commit", "abort"])
def test_one_that_begins_in_the_middle_is_not_lost_with_the_old_one(stage: str, how: str) -> None:
    play = Pair()
    play.to_stage(HandoverState(stage))
    name = play.client.begin(now=play.now)
    if stage == "dialing":
        play.dial()
    if stage != "restoring":
        play.accept_on(2)
    play.confirm(2, "1")
    assert play.handover() is RESTORING
    assert Command.DISCONNECT not in commands(play.wrote(1))
    if how == "commit":
        play.client.commit(name, now=play.now)
        play.receipts(1, f"commit-{name}")
        assert play.all(TransactionCommitted) == [TransactionCommitted(transaction=name)]
    else:
        play.client.abort_transaction(name, now=play.now)
        play.drain()
    assert play.handover() is RETIRING
    assert commands(play.wrote(1))[-1] is Command.DISCONNECT


def test_one_that_lasts_longer_than_a_handover_may_puts_it_off() -> None:
    play = Pair(connect_timeout=4.0)
    play.to_restoring()
    name = play.client.begin(now=play.now)
    play.confirm(2, "1")
    play.wait(4)
    assert (play.handover(), play.endings()) == (HandoverState.NONE, [(2, Outcome.RETRY)])
    play.wait(30)
    assert play.dials() == [2]
    play.client.abort_transaction(name, now=play.now)
    play.drain()
    assert (play.handover(), play.dials()) == (HandoverState.DIALING, [2, 3])


def test_none_begins_while_the_old_one_leaves() -> None:
    play = Pair()
    play.to_retiring()
    with pytest.raises(NotConnected):
        play.client.begin(now=play.now)
    play.receipts(1, "disconnect")
    play.wrote(2)
    play.client.begin(now=play.now)
    assert commands(play.wrote(2)) == [Command.BEGIN]


def test_a_reader_who_holds_does_not_hold_the_handover() -> None:
    play = Pair()
    (room,) = play.online()
    play.client.hold(room, now=play.now)
    play.drain()
    reads = [play.lines[1].wants_read]
    play.renew()
    reads.append(play.lines[1].wants_read)
    play.dial()
    play.accept_on(2)
    play.hears(1, msg(room, "a"))
    play.confirm(2, room)
    reads.append(play.lines[2].wants_read)
    play.receipts(1, "disconnect")
    reads.append(play.lines[2].wants_read)
    assert reads == [False, True, True, False]
    assert play.bodies() == ["a"]
    assert [each.epoch for each in play.all(ConnectionEnded)] == [1]
