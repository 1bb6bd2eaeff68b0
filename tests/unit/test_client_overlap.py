"""Client rule 2, handover by an overlap: two connections, and every message once, in its order."""

from __future__ import annotations

import pytest
from tests.unit.client_player import commands, headers
from tests.unit.handover_player import AHEAD, TTL, Pair, msg, receipt

from stompcore._errors import StaleEpoch
from stompcore._events import (
    AckMode,
    Delivered,
    Dial,
    FetchToken,
    HangUp,
    Outcome,
    Published,
    Resubscribed,
    StatusChanged,
    SubscriptionActive,
    SubscriptionEnded,
    TokenReason,
)
from stompcore._frames import Command, Frame
from stompcore._state import ConnectionState, HandoverState, Status
from stompcore._timers import Timer

RESTORING, RETIRING = HandoverState.RESTORING, HandoverState.RETIRING


# --- the whole of it --------------------------------------------------------------------------


def test_the_new_connection_is_subscribed_before_the_old_one_is_left() -> None:
    play = Pair()
    one, two = play.to_dialing(2)
    assert play.all(Dial) == [Dial(url="stomp://h", epoch=2)]
    assert play.all(HangUp) == []
    assert headers(play.dial(), "Authorization") == ["Bearer token-2"]
    play.accept_on(2)
    sent = play.wrote(2)
    assert commands(sent) == [Command.SUBSCRIBE] * 2
    assert headers(sent, "id") == [one, two]
    assert headers(sent, "receipt") == [f"subscribe-2-{one}", f"subscribe-2-{two}"]
    assert play.wrote(1) == []
    play.confirm(2, one)
    assert play.wrote(1) == []
    play.confirm(2, two)
    assert commands(play.wrote(1)) == [Command.DISCONNECT]
    assert play.handover() is RETIRING
    play.receipts(1, "disconnect")
    assert play.handover() is HandoverState.NONE
    assert play.endings() == [(1, Outcome.RENEW)]
    assert play.all(HangUp) == [HangUp(epoch=1)]
    assert play.client.connection is play.lines[2]


def test_nothing_of_it_shows() -> None:
    play = Pair(status_grace=0.1, offline_timeout=0.2)
    play.to_retiring()
    play.wait(3)
    play.receipts(1, "disconnect")
    assert play.all(StatusChanged) == []
    assert play.client.status is Status.ONLINE
    assert (play.all(SubscriptionActive), play.all(SubscriptionEnded)) == ([], [])


@pytest.mark.parametrize("stage", list(HandoverState))
def test_a_client_that_hands_over_stays_connected(stage: HandoverState) -> None:
    play = Pair()
    if stage is HandoverState.NONE:
        play.online()
    else:
        play.to_stage(stage)
    assert play.state() is ConnectionState.CONNECTED


def test_what_it_tells_in_the_end() -> None:
    play = Pair()
    ids = play.to_retiring(2)
    assert play.all(Resubscribed) == []
    play.receipts(1, "disconnect")
    (back,) = play.all(Resubscribed)
    assert (back.epoch, back.subscriptions, back.resent) == (2, tuple(ids), 0)


def test_on_and_on_with_one_dial_and_one_hang_up_each() -> None:
    play = Pair()
    (room,) = play.online()
    play.forget()
    for epoch in range(2, 8):
        play.renew()
        assert headers(play.dial(), "Authorization") == [f"Bearer token-{epoch}"]
        play.accept_on(epoch)
        play.confirm(epoch, room)
        play.receipts(epoch - 1, "disconnect")
        assert play.handover() is HandoverState.NONE
        play.hears(epoch, msg(room, str(epoch)))
    assert play.dials() == list(range(2, 8))
    assert play.hung_up() == list(range(1, 7))
    assert play.bodies() == [str(epoch) for epoch in range(2, 8)]
    assert {each.reason for each in play.all(FetchToken)} == {TokenReason.AHEAD}


def test_the_next_token_is_asked_for_by_the_life_of_the_new_one() -> None:
    play = Pair()
    play.to_connecting()
    play.accept_on(2, token_ttl="20000")
    play.confirm(2, "1")
    play.receipts(1, "disconnect")
    play.forget()
    play.wait(16.9)
    assert play.all(FetchToken) == []
    play.wait(0.1)
    assert len(play.all(FetchToken)) == 1


def test_without_a_subscription_there_is_nothing_to_wait_for() -> None:
    play = Pair()
    play.to_connecting(0)
    play.accept_on(2)
    assert play.handover() is RETIRING
    assert commands(play.wrote(1)) == [Command.DISCONNECT]
    play.receipts(1, "disconnect")
    assert play.endings() == [(1, Outcome.RENEW)]


def test_a_server_that_takes_tokens_in_place_needs_no_second_connection() -> None:
    play = Pair()
    play.connect(token_ttl=TTL, token_refresh="/refresh")
    play.wait(AHEAD)
    play.give_token()
    assert commands(play.wrote(1)) == [Command.SEND]
    assert play.dials() == [1]


def test_a_new_connection_that_takes_tokens_in_place_is_given_them_there() -> None:
    play = Pair()
    play.to_connecting()
    play.accept_on(2, token_refresh="/refresh")
    play.confirm(2, "1")
    play.receipts(1, "disconnect")
    play.wrote(2)
    play.wait(AHEAD)
    play.give_token()
    assert headers(play.wrote(2), "destination") == ["/refresh"]


def test_a_second_connection_is_dialled_no_sooner_than_the_backoff_allows() -> None:
    """The newer token came behind CONNECT; the first connection is not half a second old."""
    play = Pair()
    play.online()
    play.wait(AHEAD)
    play.cut(1)
    play.wait_for(Timer.REDIAL)
    play.dial()
    play.give_token()
    play.wait(0.1)
    play.accept_on(2)
    assert (play.dials(), play.handover()) == ([1, 2], HandoverState.NONE)
    assert play.wait_for(Timer.REDIAL) == pytest.approx(0.4)
    assert (play.dials(), play.handover()) == ([1, 2, 3], HandoverState.DIALING)
    assert headers(play.dial(), "Authorization") == ["Bearer token-2"]


# --- order, no gap, no copy -------------------------------------------------------------------


@pytest.mark.parametrize("seam", range(6))
@pytest.mark.parametrize("lag", range(4))
def test_every_message_passes_once_and_in_its_order(seam: int, lag: int) -> None:
    """The server subscribes the new connection after `seam` of nine messages; the old one lags."""
    all_of_them = [str(at) for at in range(9)]
    play = Pair()
    (room,) = play.to_restoring()
    play.hears(1, *(msg(room, each) for each in all_of_them[:seam]))
    play.receipts(2, f"subscribe-2-{room}")
    assert play.handover() is RETIRING
    behind = all_of_them[seam:6]
    late = max(0, len(behind) - lag)
    play.hears(1, *(msg(room, each) for each in behind[:late]))
    play.hears(2, *(msg(room, each) for each in all_of_them[seam:8]))
    play.hears(1, *(msg(room, each) for each in behind[late:]))
    play.receipts(1, "disconnect")
    play.hears(2, msg(room, "8"))
    assert play.bodies() == all_of_them


def test_messages_in_one_piece_with_the_last_receipt() -> None:
    """B17: what stands behind it in the buffer is not lost."""
    play = Pair()
    (room,) = play.to_restoring()
    play.hears(2, receipt(f"subscribe-2-{room}"), msg(room, "b"), msg(room, "c"))
    play.hears(1, msg(room, "a"), msg(room, "b"), receipt("disconnect"), msg(room, "no"))
    assert play.bodies() == ["a", "b", "c"]


def test_the_new_ones_messages_before_its_receipt_wait_as_well() -> None:
    play = Pair()
    one, two = play.to_restoring(2)
    play.hears(2, msg(one, "b"), receipt(f"subscribe-2-{one}"), msg(one, "c"))
    play.hears(1, msg(one, "a"), msg(one, "b"), msg(two, "x"))
    play.confirm(2, two)
    assert play.bodies() == ["a", "b", "x"]
    play.receipts(1, "disconnect")
    assert play.bodies() == ["a", "b", "x", "c"]


def test_late_copies_are_dropped_once_each() -> None:
    play = Pair()
    (room,) = play.to_retiring()
    play.hears(1, msg(room, "a"), msg(room, "b"), receipt("disconnect"))
    play.hears(2, msg(room, "a"), msg(room, "b"), msg(room, "c"), msg(room, "a"))
    assert play.bodies() == ["a", "b", "c", "a"]


def test_each_message_names_the_connection_that_it_came_by() -> None:
    play = Pair()
    (room,) = play.to_retiring()
    play.hears(1, msg(room, "a"))
    play.hears(2, msg(room, "a"), msg(room, "b"))
    play.receipts(1, "disconnect")
    assert [(each.frame.body, each.epoch) for each in play.all(Delivered)] == [(b"a", 1), (b"b", 2)]


def test_a_server_that_counts_anew_is_not_taken_for_one_that_repeats_itself() -> None:
    play = Pair()
    (room,) = play.to_retiring()
    play.hears(1, msg(room, "1"), receipt("disconnect"))
    play.cut(2)
    play.wait_for(Timer.REDIAL)
    play.dial()
    play.accept_on(3)
    play.hears(3, msg(room, "1", body="after its restart"))
    assert play.bodies() == ["1", "after its restart"]


def test_without_stable_ids_a_key_function_knows_the_copies() -> None:
    def body(frame: Frame) -> str:
        return frame.body.decode()

    play = Pair()
    play.connect(token_ttl=TTL)
    room = play.subscribe(key=body)
    play.confirm(1, room)
    play.renew()
    play.dial()
    play.accept_on(2)
    play.hears(1, msg(room, "T_1-1", body="x"))
    play.hears(2, msg(room, "T_2-1", body="x"), msg(room, "T_2-2", body="y"))
    play.confirm(2, room)
    play.receipts(1, "disconnect")
    assert play.bodies() == ["x", "y"]


def test_a_key_function_that_fails_costs_copies_and_no_message() -> None:
    def fails(frame: Frame) -> str:
        raise RuntimeError(frame.body)

    play = Pair()
    play.connect(token_ttl=TTL)
    room = play.subscribe(key=fails)
    play.confirm(1, room)
    play.renew()
    play.dial()
    play.accept_on(2)
    play.hears(1, msg(room, "a"))
    play.hears(2, msg(room, "a"), msg(room, "b"))
    play.confirm(2, room)
    play.receipts(1, "disconnect")
    assert play.bodies() == ["a", "a", "b"]


# --- acknowledgements -------------------------------------------------------------------------


@pytest.mark.parametrize("ack", [AckMode.CLIENT, AckMode.CLIENT_INDIVIDUAL])
def test_b14_acks_go_to_the_connection_that_brought_the_message(ack: AckMode) -> None:
    play = Pair()
    play.connect(token_ttl=TTL)
    queue = play.subscribe("/queue/a", ack=ack)
    play.confirm(1, queue)
    play.renew()
    play.dial()
    play.accept_on(2)
    play.wrote(1), play.wrote(2)
    play.hears(1, msg(queue, "a", ack="k1"))
    play.hears(2, msg(queue, "b", ack="k2"))
    assert play.bodies() == ["a", "b"]  # neither has a copy, and neither waits
    old, new = play.all(Delivered)
    play.client.ack(new, now=play.now)
    play.client.nack(old, now=play.now)
    assert headers(play.wrote(2), "id") == ["k2"]
    assert headers(play.wrote(1), "id") == ["k1"]


def test_b14_an_ack_for_the_one_that_is_leaving_is_refused() -> None:
    play = Pair()
    play.connect(token_ttl=TTL)
    queue = play.subscribe("/queue/a", ack=AckMode.CLIENT)
    play.confirm(1, queue)
    play.renew()
    play.dial()
    play.accept_on(2)
    play.confirm(2, queue)
    play.hears(1, msg(queue, "a", ack="k1"))
    play.hears(2, msg(queue, "b", ack="k2"))
    old, new = play.all(Delivered)
    play.wrote(1), play.wrote(2)
    with pytest.raises(StaleEpoch):
        play.client.ack(old, now=play.now)
    play.client.ack(new, now=play.now)
    assert (play.wrote(1), headers(play.wrote(2), "id")) == ([], ["k2"])
    play.receipts(1, "disconnect")
    with pytest.raises(StaleEpoch):
        play.client.ack(old, now=play.now)
    play.client.nack(new, now=play.now)
    assert commands(play.wrote(2)) == [Command.NACK]


# --- what is sent -----------------------------------------------------------------------------


def test_what_is_in_flight_is_confirmed_by_the_old_one() -> None:
    play = Pair()
    play.to_restoring()
    play.send("a")
    play.confirm(2, "1")
    assert [each.body or each.command for each in play.wrote(1)] == [b"a"]
    play.send("b")
    play.receipts(1, "message-1")
    assert commands(play.wrote(1)) == [Command.DISCONNECT]
    assert Command.SEND not in commands(play.wrote(2))
    play.receipts(1, "disconnect")
    assert [each.body for each in play.wrote(2)] == [b"b"]
    play.receipts(2, "message-2")
    assert play.all(Published) == [Published(key=1), Published(key=2)]
    assert Command.SEND not in commands(play.wrote(2))


def test_what_comes_behind_the_disconnect_waits_for_the_end_of_the_old_one() -> None:
    play = Pair()
    play.to_retiring()
    play.wrote(1), play.wrote(2)
    play.send("b")
    play.client.send("/a", b"c", confirm=False, now=play.now)
    play.drain()
    assert (play.wrote(1), play.wrote(2)) == ([], [])
    play.receipts(1, "disconnect")
    assert [each.body for each in play.wrote(2)] == [b"b", b"c"]
    assert play.all(Published) == [Published(key=2, is_confirmed=False)]
    play.receipts(2, "message-1")
    assert Published(key=1) in play.all(Published)
    assert play.last(Resubscribed).resent == 2


def test_the_order_of_what_is_sent_holds_over_both() -> None:
    play = Pair(client_id="me")
    play.to_restoring()
    play.send("1")
    play.send("2")
    play.confirm(2, "1")
    play.wrote(1), play.wrote(2)
    play.send("3")
    play.receipts(1, "message-1")  # 2 is never confirmed by it
    play.send("4")
    play.cut(1)
    sent = play.wrote(2)
    assert [each.body for each in sent] == [b"2", b"3", b"4"]
    assert headers(sent, "message-key") == ["me-2", "me-3", "me-4"]
    assert play.all(Published) == [Published(key=1)]


def test_messages_go_over_the_old_one_until_all_is_restored() -> None:
    play = Pair()
    for stage in (play.to_connecting, lambda: play.accept_on(2)):
        stage()
        play.send("x")
        assert len(play.wrote(1)) == 1
