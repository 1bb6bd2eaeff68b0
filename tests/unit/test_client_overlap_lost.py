"""Client rule 2, an overlap whose new connection fails, at every stage."""

from __future__ import annotations

import pytest
from tests.unit.client_player import EXPIRED, commands, connected, headers
from tests.unit.handover_player import TTL, Pair, error, msg, receipt

from stompcore._config import Backoff
from stompcore._errors import AuthenticationFailed, SubjectChanged, SubscriptionRefused
from stompcore._events import (
    ConnectionEnded,
    Dial,
    FetchToken,
    Outcome,
    PublishFailed,
    StatusChanged,
    SubscriptionEnded,
    TokenReason,
)
from stompcore._frames import Command
from stompcore._state import ConnectionState, HandoverState, Status, TokenState
from stompcore._timers import Timer

NONE, DIALING = HandoverState.NONE, HandoverState.DIALING
CONNECTING, RESTORING = HandoverState.CONNECTING, HandoverState.RESTORING
RETIRING = HandoverState.RETIRING
BEFORE = [DIALING, CONNECTING, RESTORING]
RETRY, REFRESH, RENEW = Outcome.RETRY, Outcome.REFRESH, Outcome.RENEW


def lose_new(play: Pair) -> None:
    """The new connection is gone, at whatever stage it is."""
    if play.handover() is DIALING:
        play.refuse_dial()
    else:
        play.cut(2)


# --- the new one ------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", BEFORE)
def test_the_new_one_is_lost_and_the_old_one_lives_on(stage: HandoverState) -> None:
    play = Pair()
    (room,) = play.to_stage(stage)
    lose_new(play)
    assert play.endings() == [(2, RETRY)]
    assert play.hung_up() == [2]
    assert (play.handover(), play.state()) == (NONE, ConnectionState.CONNECTED)
    play.send("x")
    assert [each.body for each in play.wrote(1)] == [b"x"]
    play.hears(1, msg(room, "a"))
    assert play.bodies() == ["a"]
    assert play.all(StatusChanged) == []


@pytest.mark.parametrize("stage", BEFORE)
def test_it_is_tried_again_after_the_backoff_with_the_same_token(stage: HandoverState) -> None:
    play = Pair()
    play.to_stage(stage)
    lose_new(play)
    assert play.dials() == [2]
    assert play.wait_for(Timer.REDIAL) >= 0.5
    assert (play.dials(), play.handover()) == ([2, 3], DIALING)
    assert headers(play.dial(), "Authorization") == ["Bearer token-2"]
    play.accept_on(3)
    play.confirm(3, "1")
    play.receipts(1, "disconnect")
    assert play.endings() == [(2, RETRY), (1, RENEW)]


def test_it_is_tried_again_ever_more_slowly() -> None:
    play = Pair(backoff=Backoff(minimum=1.0, maximum=16.0), dial_timeout=100.0)
    play.to_dialing()
    delays = []
    for _ in range(6):
        play.refuse_dial()
        delays.append(play.wait_for(Timer.REDIAL))
    assert delays == [1.5, 2.5, 4.5, 8.5, 8.5, 8.5]


def test_d17_one_that_is_kicked_as_soon_as_it_is_up_is_tried_ever_more_slowly() -> None:
    play = Pair(backoff=Backoff(minimum=1.0, maximum=64.0, stable_timeout=5.0))
    play.to_dialing()
    delays = []
    for epoch in range(2, 8):
        play.dial()
        play.accept_on(epoch)
        play.cut(epoch)
        delays.append(play.wait_for(Timer.REDIAL))
    assert delays == [1.5, 2.5, 4.5, 8.5, 16.5, 32.5]


@pytest.mark.parametrize("stage", BEFORE)
def test_it_takes_too_long(stage: HandoverState) -> None:
    play = Pair(dial_timeout=3.0, connect_timeout=4.0)
    play.to_stage(stage)
    expected = {
        DIALING: (Timer.DIAL, 3.0, "dialling took too long"),
        CONNECTING: (Timer.CONNECT, 4.0, "the server did not answer CONNECT in time"),
        RESTORING: (Timer.HANDOVER, 4.0, "it took too long to subscribe to everything again"),
    }
    which, timeout, fault = expected[stage]
    assert play.reason() is which
    assert play.wait_for(which) == timeout
    assert play.last(ConnectionEnded).ending.fault == fault
    assert (play.endings(), play.hung_up()) == ([(2, RETRY)], [2])
    assert play.handover() is NONE


def test_its_time_is_over_once_it_is_the_only_one() -> None:
    play = Pair(dial_timeout=3.0, connect_timeout=4.0, close_timeout=60.0)
    play.to_retiring()
    play.wait(30)
    assert (play.endings(), play.handover()) == ([], RETIRING)


def test_what_it_had_brought_comes_by_the_old_one() -> None:
    play = Pair()
    (room,) = play.to_restoring()
    play.hears(1, msg(room, "a"))
    play.hears(2, msg(room, "a"), msg(room, "b"))
    play.cut(2)
    play.hears(1, msg(room, "b"), msg(room, "c"), msg(room, "a"))
    assert play.bodies() == ["a", "b", "c", "a"]  # there is nobody who could bring a copy


def test_without_it_nothing_that_the_old_one_brings_is_a_copy() -> None:
    play = Pair()
    (room,) = play.to_restoring()
    play.hears(1, msg(room, "a"))
    play.cut(2)
    play.hears(1, msg(room, "a"))
    assert play.bodies() == ["a", "a"]


def test_nothing_of_a_handover_that_failed_is_left_in_the_next_one() -> None:
    play = Pair()
    (room,) = play.to_restoring()
    play.hears(2, msg(room, "only here"), msg(room, "a"))
    play.cut(2)
    play.hears(1, msg(room, "a"))
    play.wait_for(Timer.REDIAL)
    play.dial()
    play.accept_on(3)
    play.hears(3, msg(room, "b"))
    play.confirm(3, room)
    play.receipts(1, "disconnect")
    assert play.bodies() == ["a", "only here", "b"]


# --- what only the new one had brought, as from a queue ---------------------------------------


def test_what_no_other_brings_is_waited_for_a_while_and_then_passes() -> None:
    play = Pair()
    (room,) = play.to_restoring()
    play.hears(2, msg(room, "mine"), msg(room, "both"))
    play.cut(2)
    play.hears(1, msg(room, "both"))
    assert play.bodies() == ["both"]
    play.wait(5.0)
    assert play.bodies() == ["both", "mine"]
    play.wait(60.0)
    play.hears(1, msg(room, "mine"))
    assert play.bodies() == ["both", "mine", "mine"]  # another one, of the same name


def test_it_passes_when_the_old_one_ends_too() -> None:
    play = Pair()
    (room,) = play.to_restoring()
    play.hears(2, msg(room, "mine"))
    play.cut(2)
    play.cut(1)
    assert play.bodies() == ["mine"]


def test_it_passes_when_the_client_is_closed() -> None:
    play = Pair()
    (room,) = play.to_restoring()
    play.hears(2, msg(room, "mine"))
    play.client.close(now=play.now)
    play.drain()
    play.receipts(1, "disconnect")
    assert play.bodies() == ["mine"]


def test_not_to_a_subscription_that_has_ended() -> None:
    play = Pair()
    (room,) = play.to_restoring()
    play.hears(2, msg(room, "mine"))
    play.cut(2)
    play.client.unsubscribe(room, now=play.now)
    play.wait(60.0)
    assert play.bodies() == []


def test_what_cannot_be_told_from_others_passes_at_once() -> None:
    play = Pair()
    play.to_restoring()
    id = play.client.subscribe("/queue/a", duplicate_key=lambda frame: None, now=play.now)
    play.drain()
    play.hears(2, msg(id, "mine"))
    play.cut(2)
    assert play.bodies() == ["mine"]


@pytest.mark.parametrize("tail", [[], ["a"]], ids=["connected", "messages"])
def test_one_that_ends_in_the_very_bytes_that_would_promote_it_is_not_promoted(
    tail: list[str],
) -> None:
    """CONNECTED or the last RECEIPT, and a close, in one segment: the old one is kept."""
    play = Pair()
    (room,) = play.to_connecting()
    play.lines[2].receive_data(connected(token_ttl=TTL), now=play.now)
    if tail:
        play.drain()
        play.lines[2].receive_data(
            receipt(f"subscribe-2-{room}") + msg(room, "a"),
            now=play.now,
        )
    play.cut(2)
    assert (play.endings(), play.hung_up()) == ([(2, RETRY)], [2])
    assert commands(play.wrote(1)) == []
    play.hears(1, msg(room, "a"))
    assert play.bodies() == ["a"]


def test_nor_without_any_subscription() -> None:
    play = Pair()
    play.to_connecting(0)
    play.lines[2].receive_data(connected(token_ttl=TTL), now=play.now)
    play.cut(2)
    assert (play.endings(), play.hung_up()) == ([(2, RETRY)], [2])
    assert play.wrote(1) == []


# --- its token is refused ---------------------------------------------------------------------


def test_a_token_that_is_refused_is_dead_and_another_is_asked_for_at_leisure() -> None:
    play = Pair()
    play.to_connecting()
    play.hears(2, error("token-invalid"))
    assert play.endings() == [(2, REFRESH)]
    assert (play.state(), play.token_state()) == (ConnectionState.CONNECTED, TokenState.STALE)
    assert len(play.all(FetchToken)) == 1
    now = play.now
    play.until(FetchToken, 2)
    assert play.now >= now + 0.5
    assert play.last(FetchToken) == FetchToken(generation=3, reason=TokenReason.EXPIRED)
    play.give_token()
    play.until(Dial, 2)
    assert headers(play.dial(), "Authorization") == ["Bearer token-3"]
    assert play.all(StatusChanged) == []


def test_D12_three_in_a_row_stop_the_client_though_the_old_one_lives() -> None:
    play = Pair(token_refusals=3)
    play.to_dialing()
    for epoch in (2, 3, 4):
        play.until(Dial, epoch - 1)
        play.dial()
        play.hears(epoch, error("token-invalid"))
        if epoch < 4:
            play.until(FetchToken, epoch)
            play.give_token()
    assert isinstance(play.stopped().error, AuthenticationFailed)
    assert sorted(play.hung_up()) == [1, 2, 3, 4]


def test_the_old_one_dies_while_another_token_is_awaited() -> None:
    play = Pair()
    play.to_connecting()
    play.hears(2, error("token-invalid"))
    play.hears(1, EXPIRED)
    assert play.endings() == [(2, REFRESH), (1, REFRESH)]
    play.until(FetchToken, 2)
    play.give_token()
    play.until(Dial, 2)
    assert headers(play.dial(), "Authorization") == ["Bearer token-3"]
    play.accept_on(3)
    assert headers(play.wrote(3), "id") == ["1"]


def test_a_source_that_is_being_asked_when_the_newer_token_dies_is_not_asked_twice() -> None:
    """A token of two seconds: the third is asked for before the second has replaced the first."""
    play = Pair()
    play.to_connecting()
    play.accept_on(2, token_ttl="2000")
    play.until(FetchToken, 2)
    play.hears(2, EXPIRED)
    assert play.endings() == [(2, REFRESH)]
    assert play.token_state() is TokenState.FETCHING
    play.give_token()
    play.wait(60)
    assert len(play.all(FetchToken)) == 2


@pytest.mark.parametrize("code", ["token-revoked", "access-denied"])
def test_a_refusal_for_good_is_for_both(code: str) -> None:
    play = Pair()
    play.to_connecting()
    play.send("x")
    play.hears(2, error(code))
    assert isinstance(play.stopped().error, AuthenticationFailed)
    assert isinstance(play.last(PublishFailed).error, AuthenticationFailed)
    assert play.hung_up() == [2, 1]
    assert play.status() is Status.LOGGED_OUT


def test_another_user_on_the_new_one_is_for_both() -> None:
    play = Pair()
    play.connect(token_ttl=TTL, user_name="alice")
    play.renew()
    play.dial()
    play.accept_on(2, user_name="bob")
    assert isinstance(play.stopped().error, SubjectChanged)
    assert sorted(play.hung_up()) == [1, 2]


# --- a subscription is refused ----------------------------------------------------------------


def test_a_subscription_that_the_newer_token_has_no_right_to_ends_on_the_old_one_too() -> None:
    play = Pair()
    one, two = play.to_restoring(2)
    play.hears(2, receipt(f"subscribe-2-{two}"), error("access-denied", f"subscribe-2-{one}"))
    (ended,) = play.all(SubscriptionEnded)
    assert (ended.subscription, type(ended.error)) == (one, SubscriptionRefused)
    assert play.endings() == [(2, RETRY)]
    assert [(each.command, each.headers["id"]) for each in play.wrote(1)] == [
        (Command.UNSUBSCRIBE, one)
    ]
    play.hears(1, msg(one, "no"), msg(two, "yes"))
    assert play.bodies() == ["yes"]
    play.until(Dial, 2)
    play.dial()
    play.accept_on(3)
    assert headers(play.wrote(3), "id") == [two]
    play.confirm(3, two)
    assert play.handover() is RETIRING


def test_one_that_the_old_one_refuses_ends_on_the_new_one_too() -> None:
    """Made in the middle: the ERROR costs the old connection, and the new one takes its place."""
    play = Pair()
    (one,) = play.to_restoring()
    two = play.subscribe("/forbidden")
    play.confirm(2, one)
    play.wrote(2)
    play.hears(1, error("access-denied", f"subscribe-1-{two}"))
    (ended,) = play.all(SubscriptionEnded)
    assert (ended.subscription, type(ended.error)) == (two, SubscriptionRefused)
    assert play.endings() == [(1, RENEW)]
    assert [(each.command, each.headers["id"]) for each in play.wrote(2)] == [
        (Command.UNSUBSCRIBE, two)
    ]
    assert (play.handover(), play.state()) == (NONE, ConnectionState.CONNECTED)


def test_one_that_the_old_one_refuses_as_it_leaves() -> None:
    play = Pair()
    (one,) = play.to_restoring()
    two = play.subscribe("/forbidden")
    play.confirm(2, one, two)
    play.wrote(2)
    play.hears(1, error("access-denied", f"subscribe-1-{two}"))
    assert [each.subscription for each in play.all(SubscriptionEnded)] == [two]
    assert (play.endings(), play.handover()) == ([(1, RENEW)], NONE)


# --- too many messages ------------------------------------------------------------------------


def test_too_many_messages_by_the_new_one_end_it_before_it_is_promoted() -> None:
    play = Pair(subscription_buffer=3, subscription_limit=3)
    (room,) = play.to_restoring()
    play.hears(2, *(msg(room, str(at)) for at in range(3)))
    assert play.endings() == []
    play.hears(2, msg(room, "3"), receipt(f"subscribe-2-{room}"))
    assert play.endings() == [(2, RETRY)]
    assert play.last(ConnectionEnded).ending.fault == "too many messages came while handing over"
    play.hears(1, *(msg(room, str(at)) for at in range(6)))
    assert play.bodies() == list("012345")
    assert play.wrote(1) == []


def test_too_many_messages_by_the_new_one_end_the_old_one_behind_it() -> None:
    play = Pair(subscription_buffer=3, subscription_limit=3)
    (room,) = play.to_retiring()
    play.send("x")
    play.hears(1, msg(room, "0"))
    play.hears(2, *(msg(room, str(at)) for at in range(4)))
    assert play.endings() == [(1, RENEW)]
    assert play.hung_up() == [1]
    assert play.bodies() == list("0123")
    assert [each.body for each in play.wrote(2) if each.command is Command.SEND] == [b"x"]


def test_a_newer_token_goes_on_from_there() -> None:
    play = Pair(subscription_buffer=3, subscription_limit=3)
    play.to_connecting()
    play.accept_on(2, token_ttl="2000")
    play.confirm(2, "1")
    play.until(FetchToken, 2)
    play.give_token()
    assert play.dials() == [2]
    play.hears(2, *(msg("1", str(at)) for at in range(4)))
    assert play.endings() == [(1, RENEW)]
    assert play.dials() == [2, 3]
