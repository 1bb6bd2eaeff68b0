"""Client rule 2, handover by a break: DISCONNECT, then a connection on the newer token."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.client_player import EXPIRED, GOING_AWAY, Player, commands, headers, message

from stompcore._errors import AuthenticationFailed, NotConnected, SendRefused, StaleEpoch
from stompcore._events import (
    ConnectionEnded,
    Delivered,
    Dial,
    FetchToken,
    HangUp,
    Outcome,
    Published,
    PublishFailed,
    Resubscribed,
    StatusChanged,
    SubscriptionActive,
    SubscriptionEnded,
    TransactionCommitted,
)
from stompcore._frames import Command
from stompcore._state import ConnectionState, HandoverState, Status, TokenState
from stompcore._timers import Timer

DENIED = b"ERROR\nmessage:no\nerror-code:access-denied\nreceipt-id:message-1\n\n\0"
REFUSED = b"ERROR\nmessage:Token Invalid\nerror-code:token-invalid\n\n\0"


def ahead(*, awaits_close: bool = False, subscribed: bool = False, **config: Any) -> Player:
    """Connected on a token of 100 s, to a server that takes none in place; the source is asked."""
    play = Player(**config)
    play.connect(token_ttl="100000", awaits_close=awaits_close)
    if subscribed:
        play.client.subscribe("/a", now=play.now)
        play.receipt("subscribe-1-1")
    play.written()
    play.forget()
    play.wait(85)
    assert play.token_state() is TokenState.RENEWING
    return play


def breaking(**more: Any) -> Player:
    """The same, and the newer token is here."""
    play = ahead(**more)
    play.give_token()
    return play


def last_ending(play: Player) -> tuple[int, Outcome]:
    ended = play.last(ConnectionEnded)
    return ended.epoch, ended.outcome


# --- the break --------------------------------------------------------------------------------


def test_disconnect_then_a_new_connection_at_once() -> None:
    play = breaking()
    assert commands(play.written()) == [Command.DISCONNECT]
    assert (play.all(Dial), play.all(ConnectionEnded)) == ([], [])
    now = play.now
    play.receipt("disconnect")
    assert last_ending(play) == (1, Outcome.RENEW)
    assert play.last(ConnectionEnded).ending.clean
    assert play.all(HangUp) == [HangUp(epoch=1)]
    assert play.all(Dial) == [Dial(url="stomp://h", epoch=2)]
    assert play.now == now
    assert headers(play.dial(), "Authorization") == ["Bearer token-2"]
    play.accept(token_ttl="100000")
    play.wait(84)
    assert len(play.all(FetchToken)) == 1
    play.wait(1)
    assert len(play.all(FetchToken)) == 2


def test_it_is_what_happens_unless_the_user_wants_an_overlap() -> None:
    play = breaking()
    assert play.client.handover_state is HandoverState.NONE
    assert commands(play.written()) == [Command.DISCONNECT]


def test_hang_up_comes_before_the_next_dial() -> None:
    play = breaking()
    play.receipt("disconnect")
    assert [type(each) for each in play.actions[-2:]] == [HangUp, Dial]


def test_everything_is_subscribed_again_and_nothing_shows() -> None:
    play = breaking(subscribed=True, status_grace=2.0, offline_timeout=3.0)
    play.written()
    play.receipt("disconnect")
    play.wait(1.9)
    play.dial()
    assert headers(play.accept(), "id") == ["1"]
    play.receipt("subscribe-2-1")
    assert play.all(SubscriptionActive) == [SubscriptionActive(subscription="1", epoch=2)]
    assert play.all(StatusChanged) == []
    assert play.client.status is Status.ONLINE
    assert play.all(SubscriptionEnded) == []


def test_on_and_on() -> None:
    play = breaking()
    for epoch in range(2, 8):
        play.receipt("disconnect")
        assert play.state() is ConnectionState.DIALING
        assert headers(play.dial(), "Authorization") == [f"Bearer token-{epoch}"]
        play.accept(token_ttl="100000")
        play.wait(85)
        play.give_token()
        assert commands(play.written()) == [Command.DISCONNECT]
    assert {each.outcome for each in play.all(ConnectionEnded)} == {Outcome.RENEW}


def test_a_websocket_is_closed_by_the_server_first() -> None:
    play = breaking(awaits_close=True)
    play.receipt("disconnect")
    assert play.all(ConnectionEnded) == []
    play.close_websocket(1000)
    assert last_ending(play) == (1, Outcome.RENEW)
    assert len(play.all(Dial)) == 1


# --- what was in flight -----------------------------------------------------------------------


def test_disconnect_waits_for_every_receipt() -> None:
    """RabbitMQ answers it before what it has not confirmed yet, which would be sent again."""
    play = ahead()
    play.send("a")
    play.send("b")
    play.give_token()
    assert [each.body or each.command for each in play.written()] == [b"a", b"b"]
    play.send("c")
    play.receipt("message-1")
    assert play.written() == []
    play.receipt("message-2")
    assert commands(play.written()) == [Command.DISCONNECT]
    play.receipt("disconnect")
    assert [each.key for each in play.all(Published)] == [1, 2]
    play.dial()
    assert [each.body for each in play.accept()] == [b"c"]
    assert play.last(Resubscribed).resent == 1


def test_disconnect_does_not_wait_for_ever() -> None:
    play = ahead(client_id="me")
    play.send("never confirmed")
    play.give_token()
    play.written()
    assert play.wait_for(Timer.HANDOVER) == 5.0
    assert commands(play.written()) == [Command.DISCONNECT]


def test_closed_while_disconnect_waits_for_a_receipt() -> None:
    play = ahead()
    play.send("a")
    play.give_token()
    play.written()
    play.client.close(now=play.now)
    play.drain()
    assert commands(play.written()) == [Command.DISCONNECT]
    play.receipt("message-1")
    play.receipt("disconnect")
    assert play.stopped().error is None
    assert [each.key for each in play.all(Published)] == [1]


def test_lost_while_disconnect_waits_for_a_receipt() -> None:
    play = ahead()
    play.send("a")
    play.give_token()
    play.written()
    play.lose()
    play.dial()
    assert [each.body for each in play.accept()] == [b"a"]
    play.wait(60)
    assert play.state() is ConnectionState.CONNECTED


def test_what_comes_behind_it_waits_for_the_next_connection() -> None:
    play = ahead(client_id="me")
    play.send("before")
    play.give_token()
    play.written()
    play.send("behind")
    play.client.send("/a", b"unconfirmed", confirm=False, now=play.now)
    assert play.written() == []
    play.receipt("message-1")
    play.receipt("disconnect")
    play.dial()
    assert [each.body for each in play.accept()] == [b"behind", b"unconfirmed"]


def test_what_was_not_confirmed_is_sent_again_first_with_its_key() -> None:
    play = ahead(client_id="me")
    play.send("lost receipt")
    (before,) = play.written()
    play.give_token()
    play.send("behind")
    play.wait_for(Timer.HANDOVER)
    play.receipt("disconnect")
    play.dial()
    sent = play.accept()
    assert [each.body for each in sent] == [b"lost receipt", b"behind"]
    assert headers(sent, "message-key") == ["me-1", "me-2"]
    assert before.headers == sent[0].headers


def test_messages_that_come_in_the_meantime_are_delivered() -> None:
    play = breaking(subscribed=True)
    play.hear(message("1", "late") + b"RECEIPT\nreceipt-id:disconnect\n\n\0" + message("1", "no"))
    assert [each.frame.body for each in play.all(Delivered)] == [b"late"]


def test_b14_an_ack_for_a_connection_that_is_leaving_is_refused() -> None:
    play = Player()
    play.connect(token_ttl="100000")
    play.client.subscribe("/a", now=play.now)
    play.hear(message("1", ack="k"))
    play.wait(85)
    play.give_token()
    play.written()
    with pytest.raises(StaleEpoch):
        play.client.ack(play.last(Delivered), now=play.now)
    assert play.written() == []


def test_subscriptions_may_come_and_go_in_the_meantime() -> None:
    play = breaking(subscribed=True)
    play.written()
    two = play.client.subscribe("/b", now=play.now)
    play.client.unsubscribe("1", now=play.now)
    play.drain()
    assert play.written() == []
    play.receipt("disconnect")
    play.dial()
    sent = play.accept()
    assert (commands(sent), headers(sent, "id")) == ([Command.SUBSCRIBE], [two])


def test_a_reader_who_holds_does_not_hold_the_break() -> None:
    play = ahead(subscribed=True)
    play.client.hold("1", now=play.now)
    play.drain()
    connection = play.client.connection
    assert connection is not None
    reads = [connection.wants_read]
    play.give_token()
    reads.append(connection.wants_read)
    assert reads == [False, True]
    play.receipt("disconnect")
    assert last_ending(play) == (1, Outcome.RENEW)


# --- transactions -----------------------------------------------------------------------------


def test_it_waits_for_a_transaction_to_commit() -> None:
    play = ahead()
    name = play.client.begin(now=play.now)
    play.give_token()
    assert commands(play.written()) == [Command.BEGIN]
    play.client.send_in(name, "/a", b"x", now=play.now)
    play.client.commit(name, now=play.now)
    play.drain()
    assert commands(play.written()) == [Command.SEND, Command.COMMIT]
    play.receipt(f"commit-{name}")
    assert play.all(TransactionCommitted) == [TransactionCommitted(transaction=name)]
    assert commands(play.written()) == [Command.DISCONNECT]


def test_it_waits_for_a_transaction_to_be_given_up() -> None:
    play = ahead()
    one, two = play.client.begin(now=play.now), play.client.begin(now=play.now)
    play.give_token()
    play.client.abort_transaction(one, now=play.now)
    play.written()
    play.client.abort_transaction(two, now=play.now)
    assert commands(play.written()) == [Command.ABORT, Command.DISCONNECT]


def test_a_reader_who_holds_does_not_hold_one_that_waited_for_a_transaction() -> None:
    play = ahead(subscribed=True)
    name = play.client.begin(now=play.now)
    play.give_token()
    play.client.hold("1", now=play.now)
    play.client.abort_transaction(name, now=play.now)
    play.drain()
    assert commands(play.written())[-1] == Command.DISCONNECT
    assert play.client.connection is not None
    assert play.client.connection.wants_read


def test_none_begins_behind_it() -> None:
    play = breaking()
    with pytest.raises(NotConnected):
        play.client.begin(now=play.now)
    play.receipt("disconnect")
    play.dial()
    play.accept()
    assert play.client.begin(now=play.now)


def test_a_connection_that_is_lost_before_the_transaction_is_over_needs_no_break() -> None:
    play = ahead()
    play.client.begin(now=play.now)
    play.give_token()
    play.lose()
    assert last_ending(play) == (1, Outcome.RETRY)
    play.wait_for(Timer.REDIAL)
    assert headers(play.dial(), "Authorization") == ["Bearer token-2"]
    assert play.accept() == []


# --- it ends otherwise ------------------------------------------------------------------------


@pytest.mark.parametrize("awaits_close", [False, True])
def test_a_server_that_never_answers_is_left_all_the_same(awaits_close: bool) -> None:
    play = breaking(close_timeout=3.0, awaits_close=awaits_close)
    play.wait(2.9)
    assert play.all(Dial) == []
    play.wait(0.1)
    assert last_ending(play) == (1, Outcome.RENEW)
    assert not play.last(ConnectionEnded).ending.clean
    assert len(play.all(Dial)) == 1


def test_so_is_one_that_answers_and_does_not_close() -> None:
    play = breaking(close_timeout=3.0, awaits_close=True)
    play.receipt("disconnect")
    play.wait(3.0)
    assert last_ending(play) == (1, Outcome.RENEW)
    assert len(play.all(Dial)) == 1


def test_and_one_that_just_closes() -> None:
    play = breaking()
    play.lose()
    assert last_ending(play) == (1, Outcome.RENEW)
    assert len(play.all(Dial)) == 1


def test_an_expiry_that_crosses_it_does_not_cost_the_newer_token() -> None:
    play = breaking()
    play.hear(EXPIRED)
    assert last_ending(play) == (1, Outcome.REFRESH)
    assert len(play.all(FetchToken)) == 1
    assert headers(play.dial(), "Authorization") == ["Bearer token-2"]


def test_an_error_that_says_come_back_later_is_believed() -> None:
    play = breaking()
    play.hear(GOING_AWAY)
    assert last_ending(play) == (1, Outcome.RETRY)
    assert play.all(Dial) == []
    play.wait_for(Timer.REDIAL)
    assert headers(play.dial(), "Authorization") == ["Bearer token-2"]


def test_a_message_that_is_refused_meanwhile_fails_alone() -> None:
    play = ahead()
    play.send("refused")
    play.give_token()
    play.hear(DENIED)
    (failed,) = play.all(PublishFailed)
    assert (failed.key, type(failed.error)) == (1, SendRefused)
    play.wait_for(Timer.REDIAL)
    play.dial()
    assert play.accept() == []


def test_a_user_who_is_thrown_out_meanwhile_is_out() -> None:
    play = breaking()
    play.hear(b"ERROR\nmessage:Token Revoked\nerror-code:token-revoked\n\n\0")
    assert isinstance(play.stopped().error, AuthenticationFailed)


def test_a_connection_that_has_just_begun_is_no_hot_loop() -> None:
    """The newer token came behind CONNECT: breaking at once is fine, dialling at once is not."""
    play = ahead()
    play.lose()
    play.wait_for(Timer.REDIAL)
    play.dial()
    play.give_token()
    assert commands(play.accept(token_ttl="100000")) == [Command.DISCONNECT]
    dials = len(play.all(Dial))
    play.receipt("disconnect")
    assert len(play.all(Dial)) == dials
    assert play.wait_for(Timer.REDIAL) >= 0.5
    assert headers(play.dial(), "Authorization") == ["Bearer token-2"]


def test_a_new_connection_that_is_refused_is_one_refusal() -> None:
    play = breaking()
    play.receipt("disconnect")
    play.dial()
    play.hear(REFUSED)
    assert last_ending(play) == (2, Outcome.REFRESH)
    play.give_token()
    assert headers(play.dial(), "Authorization") == ["Bearer token-3"]


def test_a_new_connection_that_fails_is_tried_again_with_backoff() -> None:
    play = breaking()
    play.receipt("disconnect")
    play.client.dial_failed(2, "no", now=play.now)
    play.drain()
    assert last_ending(play) == (2, Outcome.RETRY)
    assert play.wait_for(Timer.REDIAL) >= 0.5


# --- the end ----------------------------------------------------------------------------------


def test_close_in_the_middle_says_disconnect_once() -> None:
    play = breaking()
    play.client.close(now=play.now)
    play.drain()
    assert commands(play.written()) == [Command.DISCONNECT]
    assert play.state() is ConnectionState.DISCONNECTING
    play.receipt("disconnect")
    assert play.stopped().error is None
    assert (play.all(Dial), play.all(HangUp)) == ([], [HangUp(epoch=1)])


def test_close_in_the_middle_waits_for_what_is_in_flight() -> None:
    play = ahead()
    play.send("in flight")
    play.give_token()
    play.client.close(now=play.now)
    play.receipt("message-1")
    play.receipt("disconnect")
    assert play.all(Published) == [Published(key=1)]
    assert play.stopped().error is None


def test_close_in_the_middle_waits_no_longer_than_the_break() -> None:
    play = breaking(close_timeout=3.0)
    play.wait(2)
    play.client.close(now=play.now)
    play.wait(1)
    assert play.stopped().error is None


def test_abort_in_the_middle_stops_at_once() -> None:
    play = breaking()
    play.client.abort(now=play.now)
    play.drain()
    assert play.stopped().error is None
    assert play.all(HangUp) == [HangUp(epoch=1)]


@pytest.mark.parametrize("how", ["close", "abort"])
def test_the_end_between_the_two_connections(how: str) -> None:
    play = breaking()
    play.receipt("disconnect")
    getattr(play.client, how)(now=play.now)
    play.drain()
    assert play.stopped().error is None
    assert play.all(HangUp) == [HangUp(epoch=1), HangUp(epoch=2)]
