"""Back-pressure: a client whose messages find no reader stops reading, and no sooner (B8).

While it waits for an answer of the server it reads on all the same: the answer stands behind the
messages that nobody reads.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.unit.client_player import (
    EXPIRED,
    GOING_AWAY,
    NOW,
    Player,
    commands,
    connected,
    message,
)
from tests.unit.test_client_contract import depth
from tests.unit.web_player import WebPlayer
from tests.websocket import wire

from stompcore._config import ClientConfig, Handover, HeartBeat, Refresh
from stompcore._connection import ClientConnection
from stompcore._events import (
    ConnectionEnded,
    Delivered,
    Outcome,
    Published,
    SubscriptionActive,
    SubscriptionEnded,
)
from stompcore._frames import Command
from stompcore._state import ConnectionState, HandoverState
from stompcore._timers import Timer

BEATS = HeartBeat(send_interval=10.0, receive_interval=10.0)
TTL = "100000"
Make = Callable[..., Player]

both = pytest.mark.parametrize("make", [Player, WebPlayer], ids=["plain", "websocket"])


def reading(play: Player) -> bool:
    """Whether a driver would read, which is a call, so that a type checker asks again."""
    asked = {play.client.wants_read}
    if isinstance(play, WebPlayer) and play.endpoint is not None:
        asked.add(play.endpoint.wants_read)
    assert len(asked) == 1
    return asked.pop()


def listening(make: Make = Player, **config: object) -> tuple[Player, str]:
    """A client with one subscription, which is confirmed."""
    play = make(has_token=False, **config)
    play.connect()
    return play, subscribe(play)


def subscribe(play: Player, destination: str = "/a") -> str:
    id = play.client.subscribe(destination, now=play.now)
    play.drain()
    play.receipt(f"subscribe-{play.client.epoch}-{id}")
    assert play.last(SubscriptionActive).subscription == id
    play.written()
    return id


def hold(play: Player, *ids: str) -> None:
    for id in ids:
        play.client.hold(id, now=play.now)
    play.drain()


def release(play: Player, id: str) -> None:
    play.client.release(id, now=play.now)
    play.drain()


def bodies(play: Player) -> list[str]:
    return [each.frame.body.decode() for each in play.all(Delivered)]


# --- when it reads, and when it does not ------------------------------------------------------


@both
def test_it_reads_while_every_message_finds_a_reader(make: Make) -> None:
    play, id = listening(make)
    assert reading(play)
    release(play, id)  # legal when it always was
    assert reading(play)


@both
def test_held_with_nothing_to_wait_for_it_stops_and_released_it_goes_on(make: Make) -> None:
    play, id = listening(make)
    for _ in range(3):
        hold(play, id, id)  # twice is once
        assert not reading(play)
        release(play, id)
        assert reading(play)


def test_all_that_are_held_have_to_be_released() -> None:
    play, one = listening()
    other = subscribe(play, "/b")
    hold(play, one, other)
    release(play, one)
    assert not reading(play)
    release(play, other)
    assert reading(play)


def test_what_is_no_subscription_holds_nothing_up() -> None:
    play, id = listening()
    play.client.unsubscribe(id, now=play.now)
    play.drain()
    before = depth(play.client)
    hold(play, id, "never there")
    assert reading(play)
    assert depth(play.client) == before


def test_without_a_connection_there_is_nothing_to_stop() -> None:
    play = Player(has_token=False)
    id = play.client.subscribe("/a", now=play.now)
    for step in (play.drain, play.start, play.dial):
        hold(play, id)
        step()
        assert reading(play)
    play.accept()
    assert reading(play)  # for the subscription's RECEIPT
    play.receipt(f"subscribe-1-{id}")
    assert not reading(play)


# --- what it reads on for ---------------------------------------------------------------------


def test_it_reads_on_for_a_message_in_flight() -> None:
    play, id = listening()
    play.send("first")
    hold(play, id)
    play.send("second")
    assert reading(play)
    play.receipt("message-1")
    assert reading(play)
    play.receipt("message-2")
    assert not reading(play)
    play.send("third")
    assert reading(play)
    play.receipt("message-3")
    assert not reading(play)


def test_it_does_not_read_on_for_a_message_that_nobody_confirms() -> None:
    play, id = listening()
    hold(play, id)
    play.client.send("/a", b"", confirm=False, now=play.now)
    play.drain()
    assert not reading(play)


def test_it_reads_on_for_a_message_until_that_is_too_old() -> None:
    play, id = listening(outbox_timeout=30.0)
    hold(play, id)
    play.send()
    play.wait(29.9)
    assert reading(play)
    play.wait(0.1)
    assert not reading(play)


def test_it_reads_on_for_a_subscription_that_is_not_confirmed() -> None:
    play, one = listening()
    hold(play, one)
    other = play.client.subscribe("/b", now=play.now)
    assert reading(play)
    play.receipt(f"subscribe-1-{other}")
    assert not reading(play)


def test_it_reads_on_for_a_subscription_until_that_is_given_up() -> None:
    play, one = listening()
    hold(play, one)
    other = play.client.subscribe("/b", now=play.now)
    play.drain()
    play.client.unsubscribe(other, now=play.now)
    play.drain()
    assert not reading(play)


def test_it_reads_on_for_a_commit() -> None:
    play, id = listening()
    hold(play, id)
    name = play.client.begin(now=play.now)
    play.client.send_in(name, "/a", b"", now=play.now)
    assert not reading(play)
    play.client.commit(name, now=play.now)
    assert reading(play)
    play.receipt(f"commit-{name}")
    assert not reading(play)


def test_it_reads_on_for_a_new_token_in_place() -> None:
    play = Player(refresh=Refresh(earliest=0.5, latest=0.5))
    play.connect(token_refresh="/auth", token_ttl=TTL)
    id = subscribe(play)
    hold(play, id)
    play.wait(50)
    assert not reading(play)  # the source is asked, not the server
    play.give_token()
    assert commands(play.written()) == [Command.SEND]
    assert reading(play)
    play.receipt("token-2")
    assert not reading(play)


def test_it_reads_on_for_the_last_receipt_of_a_connection_that_breaks() -> None:
    play = Player(refresh=Refresh(earliest=0.5, latest=0.5))
    play.connect(token_ttl=TTL)
    id = subscribe(play)
    hold(play, id)
    play.wait(50)
    play.give_token()
    assert commands(play.written()) == [Command.DISCONNECT]
    assert reading(play)
    play.hear(message(id, "before the end"))
    play.receipt("disconnect")
    assert bodies(play) == ["before the end"]
    assert play.last(ConnectionEnded).outcome is Outcome.RENEW


def test_it_reads_on_for_a_handover_and_stops_when_that_is_over() -> None:
    play = Player(refresh=Refresh(earliest=0.5, latest=0.5, handover=Handover.OVERLAP))
    play.connect(token_ttl=TTL)
    id = subscribe(play)
    hold(play, id)
    play.wait(50)
    play.give_token()
    old = play.client.connection
    assert old is not None
    assert reading(play)
    new = play.client.dialed(2, now=play.now)
    assert new is not None
    new.receive_data(connected(), now=play.now)
    play.drain()
    assert play.client.handover_state is HandoverState.RESTORING
    assert [old.wants_read, new.wants_read] == [True, True]
    new.receive_data(f"RECEIPT\nreceipt-id:subscribe-2-{id}\n\n\0".encode(), now=play.now)
    play.drain()
    assert [old.wants_read, new.wants_read] == [True, True]
    old.receive_data(b"RECEIPT\nreceipt-id:disconnect\n\n\0", now=play.now)
    play.drain()
    assert not reading(play)
    assert not new.wants_read
    release(play, id)
    assert new.wants_read


@pytest.mark.parametrize("how", ["dial failed", "too slow"])
def test_it_stops_again_when_a_handover_comes_to_nothing(how: str) -> None:
    play = Player(refresh=Refresh(earliest=0.5, latest=0.5, handover=Handover.OVERLAP))
    play.connect(token_ttl=TTL)
    id = subscribe(play)
    hold(play, id)
    play.wait(50)
    play.give_token()
    assert reading(play)
    if how == "dial failed":
        play.client.dial_failed(2, "x", now=play.now)
        play.drain()
    else:
        play.wait(10)
    assert play.client.handover_state is HandoverState.NONE
    assert not reading(play)


def test_it_reads_on_for_the_answer_to_close() -> None:
    play, id = listening()
    hold(play, id)
    play.client.close(now=play.now)
    assert reading(play)
    play.receipt("disconnect")
    assert play.stopped().error is None


def test_the_next_connection_is_read_until_it_is_up_and_then_no_more() -> None:
    play, id = listening()
    hold(play, id)
    play.lose()
    assert reading(play)
    play.connect()
    assert reading(play)
    play.receipt(f"subscribe-2-{id}")
    assert not reading(play)
    release(play, id)
    assert reading(play)


# --- a held subscription that ends ------------------------------------------------------------


def test_unsubscribed_it_holds_nothing_up_any_more() -> None:
    play, id = listening()
    hold(play, id)
    play.client.unsubscribe(id, now=play.now)
    play.drain()
    assert reading(play)
    play.hear(message(id, "under way"))
    assert bodies(play) == []
    hold(play, id)
    assert reading(play)


def test_ended_by_a_new_token_it_holds_nothing_up_any_more() -> None:
    play = Player(refresh=Refresh(earliest=0.5, latest=0.5))
    play.connect(token_refresh="/auth", token_ttl=TTL)
    id = subscribe(play)
    hold(play, id)
    play.wait(50)
    play.give_token()
    play.hear(f"RECEIPT\nreceipt-id:token-2\nsubscription-ended:{id}\n\n\0".encode())
    assert play.last(SubscriptionEnded).subscription == id
    assert reading(play)


def test_refused_at_a_reconnection_it_holds_nothing_up_any_more() -> None:
    play, id = listening()
    other = subscribe(play, "/b")
    hold(play, id)
    play.lose()
    play.connect()
    play.hear(
        f"ERROR\nmessage:No\nerror-code:access-denied\nreceipt-id:subscribe-2-{id}\n\n\0".encode()
    )
    assert play.last(SubscriptionEnded).subscription == id
    play.connect()
    play.receipt(f"subscribe-3-{other}")
    assert reading(play)


# --- what was read already --------------------------------------------------------------------


@both
def test_no_message_is_handed_out_while_held(make: Make) -> None:
    play, id = listening(make)
    hold(play, id)
    play.hear(message(id, "a") + message(id, "b") + b"\n" + message(id, "c"))
    play.wait(100)
    assert bodies(play) == []
    release(play, id)
    assert bodies(play) == ["a", "b", "c"]


@both
def test_held_and_released_in_the_middle_of_a_buffer(make: Make) -> None:
    play, id = listening(make)
    data = b"".join(message(id, str(number)) for number in range(6))
    # The driver reads in chunks of its own; the last frame is cut in two.
    assert not play.all(Delivered)
    if isinstance(play, WebPlayer):
        assert play.endpoint is not None
        hear = wire_text(play)
    else:
        hear = plain_text(play)
    hear(data[:-10])
    seen: list[str] = []
    while (event := play.client.next_event()) is not None:
        assert isinstance(event, Delivered)
        seen.append(event.frame.body.decode())
        if len(seen) in (1, 3, 4):
            play.client.hold(id, now=play.now)
            assert play.client.next_event() is None
            assert play.client.next_event() is None
            play.client.release(id, now=play.now)
    assert seen == ["0", "1", "2", "3", "4"]
    hear(data[-10:])
    play.drain()
    assert bodies(play) == ["5"]


def plain_text(play: Player) -> Callable[[bytes], None]:
    return lambda data: play.client.receive_data(data, now=play.now)


def wire_text(play: WebPlayer) -> Callable[[bytes], None]:
    assert play.endpoint is not None
    endpoint = play.endpoint
    return lambda data: endpoint.receive_data(
        wire.frame(wire.TEXT, data, masked=False), now=play.now
    )


@both
def test_an_answer_is_reached_through_the_messages_before_it_and_no_further(make: Make) -> None:
    play, id = listening(make)
    hold(play, id)
    key = play.send("x")
    receipt = b"RECEIPT\nreceipt-id:message-1\n\n\0"
    play.hear(message(id, "before") + receipt + message(id, "behind"))
    assert bodies(play) == ["before"]
    assert play.all(Published) == [Published(key=key)]
    assert not reading(play)
    play.send("y")
    assert bodies(play) == ["before", "behind"]


# --- the end ----------------------------------------------------------------------------------


ENDS: dict[str, tuple[Callable[[Player], None], Outcome]] = {
    "end of stream": (lambda play: play.lose(), Outcome.RETRY),
    "close": (lambda play: play.close_websocket(1001), Outcome.RETRY),
    "expired": (lambda play: play.close_websocket(3000, "Token Expired"), Outcome.REFRESH),
}


@both
@pytest.mark.parametrize(("end", "outcome"), ENDS.values(), ids=list(ENDS))
def test_the_end_is_handed_out_while_held_behind_what_had_come(
    make: Make, end: Callable[[Player], None], outcome: Outcome
) -> None:
    play = make()
    play.connect()
    id = subscribe(play)
    hold(play, id)
    play.hear(message(id, "a") + message(id, "b"))
    assert play.all(ConnectionEnded) == []
    end(play)
    assert play.last(ConnectionEnded).outcome is outcome
    # They will not come a second time.
    assert bodies(play) == ["a", "b"]
    assert play.names().index("ConnectionEnded") > play.names().index("Delivered")


@both
def test_an_error_behind_unread_messages_says_why_when_the_end_comes(make: Make) -> None:
    play = make()
    play.connect()
    play.wait(60)
    id = subscribe(play)
    hold(play, id)
    play.hear(message(id, "a") + EXPIRED + message(id, "behind an ERROR nothing counts"))
    assert play.all(ConnectionEnded) == []
    assert not reading(play)
    play.lose()
    assert bodies(play) == ["a"]
    assert play.last(ConnectionEnded).outcome is Outcome.REFRESH


@both
def test_an_error_is_found_when_the_reader_comes_back(make: Make) -> None:
    play, id = listening(make)
    hold(play, id)
    play.hear(message(id, "a") + GOING_AWAY)
    play.wait(3600)
    assert play.state() is ConnectionState.CONNECTED
    release(play, id)
    play.wait(5)  # for the server's close
    assert bodies(play) == ["a"]
    assert play.last(ConnectionEnded).ending.error is not None


@both
def test_aborted_while_held_it_is_over_at_once(make: Make) -> None:
    play, id = listening(make)
    hold(play, id)
    play.hear(message(id, "a"))
    play.client.abort(now=play.now)
    play.drain()
    assert (play.stopped().error, bodies(play)) == (None, [])


# --- silence (B8) -----------------------------------------------------------------------------


def beating(make: Make) -> tuple[Player, str]:
    play = make(has_token=False, heart_beat=BEATS)
    play.start()
    play.dial()
    play.hear(connected(heart_beat="10000,10000"))
    return play, subscribe(play)


@both
def test_b8_whoever_does_not_read_does_not_count_the_servers_silence(make: Make) -> None:
    play, id = beating(make)
    hold(play, id)
    play.wait(3600)
    assert play.all(ConnectionEnded) == []
    release(play, id)
    play.wait(19.9)  # two whole intervals, from now on
    assert play.all(ConnectionEnded) == []
    play.wait(0.1)
    assert play.last(ConnectionEnded).ending.fault == "the server fell silent"


@both
def test_bytes_that_come_while_held_do_not_start_the_count_again(make: Make) -> None:
    play, id = beating(make)
    hold(play, id)
    play.hear(message(id))
    play.hear(b"\n")
    play.wait(3600)
    assert play.all(ConnectionEnded) == []
    assert not reading(play)


@both
def test_silence_counts_while_an_answer_is_awaited_however_long_it_was_held(make: Make) -> None:
    play, id = beating(make)
    hold(play, id)
    play.wait(3600)
    play.send("anybody there?")
    play.wait(19.9)
    assert play.all(ConnectionEnded) == []
    play.wait(0.1)
    assert play.last(ConnectionEnded).ending.fault == "the server fell silent"


@both
def test_our_own_beats_go_on_while_held(make: Make) -> None:
    play, id = beating(make)
    play.written()
    hold(play, id)
    beats = 0
    for _ in range(10):
        play.wait(9)
        if isinstance(play, WebPlayer):
            beats += play.beats()
        else:
            beats += play.client.data_to_send().count(b"\n")
    assert beats == 10


# --- one connection alone ---------------------------------------------------------------------


def connection() -> ClientConnection:
    made = ClientConnection(ClientConfig(heart_beat=BEATS), {"host": "h"}, now=NOW)
    made.receive_data(connected(heart_beat="10000,10000"), now=NOW)
    assert made.next_event() is not None
    made.data_to_send()
    return made


def test_a_connection_that_is_paused_has_no_deadline_for_its_peer() -> None:
    made = connection()
    made.pause(now=NOW + 1)
    made.pause(now=NOW + 2)
    assert (made.wants_read, made.deadline_reason()) == (False, Timer.HEART_BEAT)
    made.receive_data(b"\n", now=NOW + 3)
    made.handle_timeout(now=NOW + 100)
    assert made.data_to_send() == [b"\n"]
    assert made.deadline_reason() is Timer.HEART_BEAT
    made.resume(now=NOW + 200)
    made.handle_timeout(now=NOW + 219.9)
    assert made.next_event() is None
    made.handle_timeout(now=NOW + 220)
    assert made.closed


def test_a_connection_that_is_over_is_paused_and_resumed_without_effect() -> None:
    made = connection()
    made.receive_eof(now=NOW)
    for _ in range(2):
        made.pause(now=NOW)
        made.resume(now=NOW)
    assert made.next_deadline() is None
