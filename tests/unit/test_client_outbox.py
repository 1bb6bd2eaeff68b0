"""Client rule 6: a SEND is kept until its RECEIPT, and has exactly one fate."""

from __future__ import annotations

import pytest
from tests.unit.client_player import EXPIRED, GOING_AWAY, Player, commands, headers

from stompcore._config import HeartBeat, Limits
from stompcore._errors import (
    AuthenticationFailed,
    ClientClosed,
    LocalProtocolError,
    MessageTimedOut,
    OutboxFull,
    SendRefused,
)
from stompcore._events import ConnectionEnded, Outcome, Published, PublishFailed, Resubscribed
from stompcore._frames import Command
from stompcore._state import ConnectionState
from stompcore._timers import Timer


def bodies(play: Player) -> list[str]:
    return [each.body.decode() for each in play.written() if each.command is Command.SEND]


def fates(play: Player) -> dict[int, str]:
    """What became of each message; fails if that was told twice."""
    found: dict[int, str] = {}
    for event in play.events:
        if isinstance(event, Published | PublishFailed):
            assert event.key not in found
            found[event.key] = "ok" if isinstance(event, Published) else type(event.error).__name__
    return found


# --- until the RECEIPT ------------------------------------------------------------------------


def test_a_message_is_kept_until_its_receipt() -> None:
    play = Player(has_token=False)
    play.connect()
    key = play.send("hello")
    (sent,) = play.written()
    assert (sent.command, sent.body, sent.headers["destination"]) == (Command.SEND, b"hello", "/a")
    assert (play.client.unconfirmed, play.all(Published)) == (1, [])
    play.receipt(sent.headers["receipt"])
    assert (play.client.unconfirmed, play.all(Published)) == (0, [Published(key=key)])
    assert play.client.deadline_reason() is Timer.STABLE


def test_a_receipt_counts_once_and_only_for_what_was_sent() -> None:
    play = Player(has_token=False)
    play.connect()
    play.send("a")
    for receipt in ("message-1", "message-1", "message-2", "message-", "message-x", "", "1"):
        play.receipt(receipt)
    assert play.all(Published) == [Published(key=1)]


def test_receipts_may_come_in_any_order() -> None:
    play = Player(has_token=False)
    play.connect()
    for body in "abc":
        play.send(body)
    for number in (3, 1, 2):
        play.receipt(f"message-{number}")
    assert [each.key for each in play.all(Published)] == [3, 1, 2]


def test_what_is_sent_before_there_is_a_connection_waits_for_it() -> None:
    play = Player(has_token=False)
    play.send("while idle")
    play.start()
    play.send("while dialling")
    assert commands(play.dial()) == [Command.CONNECT]
    play.send("while connecting")
    assert play.written() == []
    assert [each.body for each in play.accept()] == [
        b"while idle",
        b"while dialling",
        b"while connecting",
    ]
    assert play.last(Resubscribed).resent == 3


def test_what_is_sent_before_connected_was_looked_at_leaves_once() -> None:
    play = Player(has_token=False)
    play.start()
    play.dial()
    play.client.receive_data(b"CONNECTED\nversion:1.2\n\n\0", now=play.now)
    play.client.send("/a", b"x", now=play.now)
    play.drain()
    assert bodies(play) == ["x"]


def test_it_is_sent_again_first_and_in_order_over_many_connections() -> None:
    play = Player(has_token=False, outbox_timeout=1e6)
    play.connect()
    for body in "abcde":
        play.send(body)
    assert bodies(play) == list("abcde")
    play.receipt("message-2")
    left = list("acde")
    for round in range(20):
        play.lose()
        play.send(f"late {round}")  # while there is no connection
        left.append(f"late {round}")
        assert [each.body.decode() for each in play.connect()] == left
        assert play.last(Resubscribed).resent == len(left)
        play.send(f"new {round}")  # behind all that is sent again
        left.append(f"new {round}")
        assert bodies(play) == [f"new {round}"]
    for number in range(46):
        play.receipt(f"message-{number}")
    assert list(fates(play)) == [2, 1, *range(3, 46)]
    assert set(fates(play).values()) == {"ok"}


def test_the_one_that_ran_into_the_expiry_is_sent_again_first() -> None:
    play = Player()
    play.connect()
    play.wait(60)
    play.send("late")
    receipt = headers(play.written(), "receipt")[0]
    error = f"ERROR\nmessage:Token Expired\nerror-code:token-expired\nreceipt-id:{receipt}\n\n\0"
    play.hear(error.encode())
    play.send("later")
    assert [each.body for each in play.connect()] == [b"late", b"later"]
    assert fates(play) == {}


# --- no room ----------------------------------------------------------------------------------


def test_outbox_full_by_count_is_told_at_once_and_changes_nothing() -> None:
    play = Player(has_token=False, outbox_count=2)
    play.connect()
    play.send("a")
    play.send("b")
    with pytest.raises(OutboxFull):
        play.send("c")
    assert (bodies(play), play.client.unconfirmed) == (["a", "b"], 2)
    play.receipt("message-1")
    assert play.send("d") == 3


def test_outbox_full_by_bytes_is_told_at_once() -> None:
    play = Player(has_token=False, outbox_size=1000)
    play.send("x" * 900)
    with pytest.raises(OutboxFull):
        play.send("x" * 100)
    assert play.client.unconfirmed == 1


@pytest.mark.parametrize(
    ("destination", "fields"),
    [("/a", {"receipt": "x"}), ("/a\0", {}), ("/a", {"": "x"}), ("/a", {"transaction": "t"})],
)
def test_what_can_never_be_sent_is_refused_at_once(
    destination: str, fields: dict[str, str]
) -> None:
    play = Player(has_token=False, limits=Limits(frame_size=1000))
    with pytest.raises(LocalProtocolError):
        play.client.send(destination, b"", fields, now=play.now)
    with pytest.raises(LocalProtocolError):
        play.send("x" * 1000)
    assert play.client.unconfirmed == 0


def test_what_the_agreed_version_cannot_carry_fails_alone() -> None:
    play = Player(has_token=False)
    play.client.send("/a", b"", {"x": "two\nlines"}, now=play.now)
    play.send("fine")
    play.start()
    play.dial()
    assert [each.body for each in play.accept("1.0")] == [b"fine"]
    assert play.last(Resubscribed).resent == 1
    assert fates(play) == {1: "LocalProtocolError"}
    play.client.send("/a", b"", {"x": "two\nlines"}, now=play.now)
    play.drain()
    assert fates(play) == {1: "LocalProtocolError", 3: "LocalProtocolError"}


# --- too old ----------------------------------------------------------------------------------


def test_age_is_measured_from_when_it_was_accepted() -> None:
    play = Player(has_token=False, outbox_timeout=30.0, dial_timeout=1000.0)
    play.start()
    play.send("a")
    play.wait(10)
    play.send("b")
    play.wait(19.9)
    assert fates(play) == {}
    play.wait(0.1)
    assert fates(play) == {1: "MessageTimedOut"}
    play.wait(10)
    assert fates(play) == {1: "MessageTimedOut", 2: "MessageTimedOut"}
    assert isinstance(play.last(PublishFailed).error, MessageTimedOut)
    play.dial()
    assert play.accept() == []


def test_a_message_in_flight_can_be_too_old_and_its_receipt_too_late() -> None:
    play = Player(has_token=False, outbox_timeout=30.0)
    play.connect()
    play.send("a")
    play.wait(30)
    play.receipt("message-1")
    assert fates(play) == {1: "MessageTimedOut"}
    play.lose()
    assert play.connect()[1:] == []
    assert bodies(play) == []


def test_a_reconnect_does_not_make_it_younger() -> None:
    play = Player(has_token=False, outbox_timeout=30.0)
    play.connect()
    play.send("a")
    play.wait(20)
    play.lose()
    play.connect()
    play.wait(10)
    assert fates(play) == {1: "MessageTimedOut"}


# --- poison -----------------------------------------------------------------------------------


def poison(receipt: str, code: str = "") -> bytes:
    line = f"error-code:{code}\n" if code else ""
    return f"ERROR\nmessage:No\n{line}receipt-id:{receipt}\n\n\0".encode()


@pytest.mark.parametrize("code", ["", "protocol-violation", "limit-exceeded", "access-denied"])
def test_the_message_that_an_error_names_is_refused_and_not_sent_again(code: str) -> None:
    play = Player(has_token=False)
    play.connect()
    for body in ("good", "poison", "better"):
        play.send(body)
    play.hear(poison("message-2", code))
    assert fates(play) == {2: "SendRefused"}
    error = play.last(PublishFailed).error
    assert isinstance(error, SendRefused)
    assert (error.error_code, error.message) == (code, "No")
    # Even what would stop the client: without the frame at fault there is nothing against it.
    assert play.last(ConnectionEnded).outcome is Outcome.RETRY
    assert [each.body for each in play.connect()] == [b"good", b"better"]


@pytest.mark.parametrize("code", ["going-away", "slow-consumer", "heartbeat-timeout"])
def test_an_error_that_is_no_messages_fault_blames_none(code: str) -> None:
    play = Player(has_token=False)
    play.connect()
    play.send("innocent")
    play.hear(poison("message-1", code))
    assert fates(play) == {}
    assert [each.body for each in play.connect()] == [b"innocent"]


@pytest.mark.parametrize("receipt", ["message-2", "message-", "nobody", "message-" + "9" * 5000])
def test_an_error_that_names_nothing_of_ours_blames_none(receipt: str) -> None:
    play = Player(has_token=False)
    play.connect()
    play.send("innocent")
    play.hear(poison(receipt))
    assert fates(play) == {}
    assert play.last(ConnectionEnded).outcome is Outcome.RETRY


# --- the end ----------------------------------------------------------------------------------


def test_close_says_disconnect_behind_everything_and_ends_in_peace() -> None:
    play = Player(has_token=False)
    play.connect()
    play.send("a")
    play.send("b")
    play.client.close(now=play.now)
    play.drain()
    written = play.written()
    assert commands(written) == [Command.SEND, Command.SEND, Command.DISCONNECT]
    assert play.state() is ConnectionState.DISCONNECTING
    play.receipt("message-1")
    play.receipt("message-2")
    play.receipt(written[-1].headers["receipt"])
    assert fates(play) == {1: "ok", 2: "ok"}
    assert play.last(ConnectionEnded).ending.clean
    assert play.stopped().error is None


def test_what_close_leaves_unconfirmed_fails_as_closed() -> None:
    play = Player(has_token=False, close_timeout=5.0)
    play.connect()
    play.send("a")
    play.send("b")
    play.client.close(now=play.now)
    play.drain()
    play.receipt("message-1")
    assert play.wait_for(Timer.CLOSE) == 5.0
    assert fates(play) == {1: "ok", 2: "ClientClosed"}
    assert play.stopped().error is None


@pytest.mark.parametrize("how", ["close", "abort"])
def test_what_was_never_sent_fails_as_closed(how: str) -> None:
    play = Player()
    play.send("a")
    play.start()
    play.send("b")
    getattr(play.client, how)(now=play.now)
    play.drain()
    assert fates(play) == {1: "ClientClosed", 2: "ClientClosed"}
    assert play.stopped().error is None


def test_what_a_stop_leaves_fails_with_the_reason_of_the_stop() -> None:
    play = Player()
    play.connect()
    play.send("a")
    play.hear(b"ERROR\nmessage:Token Revoked\nerror-code:token-revoked\n\n\0")
    error = play.stopped().error
    assert isinstance(error, AuthenticationFailed)
    assert play.last(PublishFailed).error is error


def test_nothing_is_accepted_after_close() -> None:
    play = Player(has_token=False)
    play.connect()
    play.client.close(now=play.now)
    with pytest.raises(ClientClosed):
        play.send("a")
    play.client.abort(now=play.now)
    with pytest.raises(ClientClosed):
        play.send("a")
    assert play.client.unconfirmed == 0


def test_every_message_has_exactly_one_fate() -> None:
    play = Player(outbox_count=100, outbox_timeout=100.0)
    play.connect()
    keys = [play.send(str(number)) for number in range(10)]
    play.receipt("message-1")
    play.hear(poison("message-2"))
    play.receipt("message-3")  # of a connection that is gone
    play.connect()
    play.receipt("message-3")
    play.hear(GOING_AWAY)
    keys += [play.send("more")]
    play.connect()
    play.receipt("message-4")
    play.wait(90)
    play.hear(EXPIRED)
    keys += [play.send("last")]
    play.wait(8.3)
    play.client.abort(now=play.now)
    play.client.close(now=play.now)
    play.drain()
    assert list(fates(play)) == keys
    timed_out = dict.fromkeys(range(5, 11), "MessageTimedOut")
    assert fates(play) == {
        1: "ok",
        2: "SendRefused",
        3: "ok",
        4: "ok",
        **timed_out,
        11: "ClientClosed",
        12: "ClientClosed",
    }


# --- the key by which the server knows a message again ----------------------------------------


def test_a_message_has_the_same_key_whenever_it_is_sent() -> None:
    play = Player(client_id="c0ffee")
    play.connect()
    play.send("a")
    play.send("b")
    assert headers(play.written(), "message-key") == ["c0ffee-1", "c0ffee-2"]
    play.receipt("message-1")
    for round in range(1, 6):
        play.wait(30 if round < 3 else 1)
        play.hear(EXPIRED if round % 2 else GOING_AWAY)
        play.send(str(round))
        keys = [f"c0ffee-{number}" for number in range(2, 3 + round)]
        assert headers(play.connect(), "message-key") == keys


def test_no_key_without_a_client_id() -> None:
    play = Player()
    play.connect()
    play.send("a")
    play.lose()
    assert headers(play.written() + play.connect(), "message-key") == [None]


def test_a_key_of_its_users_own_is_sent_and_sent_again() -> None:
    play = Player(client_id="c0ffee")
    play.connect()
    play.client.send("/a", b"", {"message-key": "order-7"}, now=play.now)
    assert headers(play.written(), "message-key") == ["order-7"]
    play.lose()
    assert headers(play.connect(), "message-key") == ["order-7"]


# --- without a confirmation -------------------------------------------------------------------


def loose(play: Player, body: str = "") -> int:
    key = play.client.send("/a", body.encode(), confirm=False, now=play.now)
    play.drain()
    return key


def test_a_message_that_nobody_confirms_has_its_fate_when_it_is_handed_over() -> None:
    play = Player(has_token=False, client_id="c0ffee")
    play.connect()
    key = loose(play, "hi")
    assert play.all(Published) == [Published(key=key, is_confirmed=False)]
    assert play.client.unconfirmed == 0
    (sent,) = play.written()
    assert (sent.command, sent.body) == (Command.SEND, b"hi")
    assert not {"receipt", "message-key"} & set(sent.headers)
    play.receipt(f"message-{key}")  # of a server that errs
    play.lose()
    assert play.connect() == []
    assert fates(play) == {key: "ok"}


def test_while_there_is_no_connection_it_waits_in_its_place() -> None:
    play = Player(has_token=False)
    order = []
    for stage in ("idle", "dialing", "connecting"):
        order += [f"{stage} 1", f"{stage} 2", f"{stage} 3"]
        play.send(order[-3])
        loose(play, order[-2])
        play.send(order[-1])
        if stage == "idle":
            play.start()
        elif stage == "dialing":
            play.dial()
    assert (fates(play), play.client.unconfirmed) == ({}, 9)
    assert [each.body.decode() for each in play.accept()] == order
    assert fates(play) == {2: "ok", 5: "ok", 8: "ok"}
    assert play.last(Resubscribed).resent == 9
    play.lose()
    assert [each.body.decode() for each in play.connect()] == [
        each for each in order if not each.endswith("2")
    ]


def test_it_goes_behind_what_is_sent_again() -> None:
    play = Player(has_token=False)
    play.connect()
    play.send("confirmed")
    play.written()
    play.lose()
    loose(play, "loose")
    assert [each.body for each in play.connect()] == [b"confirmed", b"loose"]
    loose(play, "later")
    assert bodies(play) == ["later"]


def test_between_the_end_and_its_telling_it_waits_for_the_next_connection() -> None:
    play = Player(has_token=False)
    play.connect()
    play.client.receive_eof(now=play.now)  # and nothing drained
    key = play.client.send("/a", b"x", confirm=False, now=play.now)
    play.drain()
    assert fates(play) == {}
    assert [each.body for each in play.connect()] == [b"x"]
    assert fates(play) == {key: "ok"}


def test_what_waits_can_be_too_old_too_many_and_too_large() -> None:
    play = Player(has_token=False, outbox_count=2, outbox_size=1000, outbox_timeout=30.0)
    key = loose(play, "x" * 900)
    with pytest.raises(OutboxFull):  # by bytes
        loose(play, "x" * 100)
    loose(play)
    with pytest.raises(OutboxFull):  # by count
        loose(play)
    play.wait(30)
    assert fates(play) == {key: "MessageTimedOut", 2: "MessageTimedOut"}
    assert loose(play) == 3


@pytest.mark.parametrize("how", ["close", "abort"])
def test_what_still_waits_at_the_end_has_failed(how: str) -> None:
    play = Player()
    loose(play)
    play.start()
    getattr(play.client, how)(now=play.now)
    play.drain()
    assert fates(play) == {1: "ClientClosed"}


def test_what_the_agreed_version_cannot_carry_fails_though_nobody_confirms_it() -> None:
    play = Player(has_token=False)
    play.start()
    play.dial()
    play.accept("1.0")
    play.client.send("/a", b"", {"x": "two\nlines"}, confirm=False, now=play.now)
    play.drain()
    assert fates(play) == {1: "LocalProtocolError"}
    assert play.written() == []


def test_what_the_connection_does_not_take_is_not_queued_without_end() -> None:
    play = Player(has_token=False, outbox_size=10_000)
    play.connect()
    for _ in range(9):
        loose(play, "x" * 1000)
    queued = play.client.bytes_queued
    assert 9000 < queued <= 10_000
    with pytest.raises(OutboxFull):
        loose(play, "x" * 1000)
    assert play.client.bytes_queued == queued
    play.send("x" * 1000)  # which is bounded by what is not confirmed
    assert len(play.written()) == 10
    loose(play, "x" * 1000)
    assert fates(play) == dict.fromkeys([*range(1, 10), 11], "ok")


def test_messages_without_a_body_are_bounded_too() -> None:
    play = Player(has_token=False, outbox_size=1000)
    play.connect()

    def flood() -> None:
        for _ in range(1000):
            loose(play)

    with pytest.raises(OutboxFull):
        flood()
    assert play.client.bytes_queued < 1100
    assert play.client.unconfirmed == 0


# --- what waits to be written -----------------------------------------------------------------


def test_the_bytes_that_wait_are_counted_exactly() -> None:
    play = Player(has_token=False, heart_beat=HeartBeat(send_interval=1.0, receive_interval=1.0))
    assert play.client.bytes_queued == 0
    play.start()
    assert play.client.bytes_queued == 0
    connection = play.client.dialed(1, now=play.now)
    assert connection is not None
    play.drain()

    def taken() -> int:
        counted = connection.bytes_queued
        assert play.client.bytes_queued == counted
        chunks = play.client.data_to_send()
        assert (sum(map(len, chunks)), connection.bytes_queued) == (counted, 0)
        return len(chunks)

    assert taken() == 1  # CONNECT
    play.hear(b"CONNECTED\nversion:1.2\nheart-beat:1000,1000\n\n\0")
    assert taken() == 0
    play.send("a" * 5000)
    id = play.client.subscribe("/b", now=play.now)
    loose(play, "\u20ac\0")
    play.client.unsubscribe(id, now=play.now)
    play.client.commit(play.client.begin(now=play.now), now=play.now)
    assert taken() == 6
    play.wait(0.9)
    assert play.client.bytes_queued == len(b"\n")
    play.send("b")  # and no beat behind it
    assert taken() == 2
    play.client.close(now=play.now)
    assert taken() == 1
    assert taken() == 0


@pytest.mark.parametrize("how", ["lost", "error", "abort"])
def test_nothing_waits_to_be_written_to_a_connection_that_is_over(how: str) -> None:
    play = Player(has_token=False)
    play.connect()
    play.send("a" * 5000)
    connection = play.client.connection
    assert connection is not None
    match how:
        case "lost":
            play.lose()
        case "error":
            play.hear(GOING_AWAY)
        case _:
            play.client.abort(now=play.now)
    assert play.client.bytes_queued == 0
    if how != "abort":  # then it is the driver's to hang up
        assert (connection.bytes_queued, connection.data_to_send()) == (0, [])
