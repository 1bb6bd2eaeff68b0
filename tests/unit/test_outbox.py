from __future__ import annotations

from typing import Any

import pytest

from stompcore._config import ClientConfig, Limits
from stompcore._errors import LocalProtocolError, OutboxFull
from stompcore._frames import Command, Frame
from stompcore._outbox import Outbox
from stompcore._state import MessageState, MessageTrigger
from stompcore._timers import Timer, Timers

# The bytes of a SEND to "a" with an empty body and a key of one digit.
EMPTY = len(b"SEND\ndestination:a\nreceipt:message-1\n\n\0")


def outbox(timers: Timers | None = None, **config: Any) -> Outbox:
    return Outbox(ClientConfig(**config), timers or Timers())


def test_a_message_is_a_send_that_asks_for_its_receipt() -> None:
    box = outbox()
    message = box.add("/topic/a", b"hello", {"x": "y"}, now=100.0)
    assert message.key == 1
    assert message.state is MessageState.QUEUED
    assert message.frame == Frame(
        Command.SEND, {"destination": "/topic/a", "receipt": "message-1", "x": "y"}, b"hello"
    )
    assert len(box) == 1


def test_keys_are_counted_up_and_never_used_again() -> None:
    box = outbox()
    first = box.add("a", b"", {}, now=0.0)
    box.settle(first, MessageTrigger.FAIL)
    assert box.add("a", b"", {}, now=0.0).key == 2


@pytest.mark.parametrize("name", ["destination", "receipt", "content-length", "transaction"])
def test_headers_that_are_the_clients_own(name: str) -> None:
    box = outbox()
    with pytest.raises(LocalProtocolError, match=f"{name} is the client's own"):
        box.add("a", b"", {name: "x"}, now=0.0)
    assert len(box) == 0


@pytest.mark.parametrize(
    ("destination", "headers"), [("a\0", {}), ("a", {"x": "\0"}), ("a", {"": "x"}), ("\ud800", {})]
)
def test_what_no_version_can_carry_is_refused_at_once(
    destination: str, headers: dict[str, str]
) -> None:
    timers = Timers()
    box = outbox(timers)
    with pytest.raises(LocalProtocolError):
        box.add(destination, b"", headers, now=0.0)
    assert (len(box), timers.next_deadline()) == (0, None)
    assert box.add("a", b"", {}, now=0.0).key == 1


def test_frame_size() -> None:
    box = outbox(limits=Limits(frame_size=EMPTY))
    box.add("a", b"", {}, now=0.0)
    with pytest.raises(LocalProtocolError, match="frame_size"):
        box.add("ab", b"", {}, now=0.0)
    assert len(box) == 1


def test_bounded_by_count() -> None:
    box = outbox(outbox_count=2)
    first = box.add("a", b"", {}, now=0.0)
    box.add("a", b"", {}, now=0.0)
    with pytest.raises(OutboxFull):
        box.add("a", b"", {}, now=0.0)
    assert [each.key for each in box.pending()] == [1, 2]
    box.settle(first, MessageTrigger.FAIL)
    assert box.add("a", b"", {}, now=0.0).key == 3


def test_bounded_by_bytes() -> None:
    box = outbox(outbox_size=2 * EMPTY)
    first = box.add("a", b"", {}, now=0.0)
    with pytest.raises(OutboxFull):
        box.add("ab", b"", {}, now=0.0)
    box.add("a", b"", {}, now=0.0)
    with pytest.raises(OutboxFull):
        box.add("a", b"", {}, now=0.0)
    first.fire(MessageTrigger.SENT)
    box.settle(first, MessageTrigger.RECEIPT)
    box.add("a", b"", {}, now=0.0)


def test_in_flight_still_counts() -> None:
    box = outbox(outbox_count=1)
    box.add("a", b"", {}, now=0.0).fire(MessageTrigger.SENT)
    with pytest.raises(OutboxFull):
        box.add("a", b"", {}, now=0.0)


def test_order_survives_a_lost_connection() -> None:
    box = outbox()
    messages = [box.add("a", bytes([each]), {}, now=0.0) for each in range(4)]
    for message in messages[:3]:
        message.fire(MessageTrigger.SENT)
    assert box.queued() == messages[3:]
    box.settle(messages[1], MessageTrigger.RECEIPT)
    box.lose_connection()
    assert box.queued() == [messages[0], messages[2], messages[3]]
    assert [each.state for each in box.queued()] == [MessageState.QUEUED] * 3
    assert messages[1].state is MessageState.CONFIRMED


def test_by_receipt() -> None:
    box = outbox()
    for _ in range(12):
        box.add("a", b"", {}, now=0.0)
    for message in box.pending():
        assert box.by_receipt(message.frame.headers["receipt"]) is message


@pytest.mark.parametrize(
    "receipt_id",
    [
        None,
        "",
        "message-",
        "message-2",
        "message-x",
        "message--1",
        "message-٣",
        "message-²",
        "1",
        "subscription-1",
        # More than Python converts: it must not raise, since the server chooses it.
        "message-" + "9" * 5000,
    ],
)
def test_receipts_that_are_nobodys(receipt_id: str | None) -> None:
    box = outbox()
    box.add("a", b"", {}, now=0.0)
    assert box.by_receipt(receipt_id) is None


def test_settled_messages_have_no_receipt_any_more() -> None:
    box = outbox()
    message = box.add("a", b"", {}, now=0.0)
    message.fire(MessageTrigger.SENT)
    box.settle(message, MessageTrigger.RECEIPT)
    assert box.by_receipt("message-1") is None
    assert len(box) == 0


def test_a_fate_that_the_table_does_not_allow_changes_nothing() -> None:
    timers = Timers()
    box = outbox(timers)
    message = box.add("a", b"", {}, now=0.0)
    with pytest.raises(LocalProtocolError):
        box.settle(message, MessageTrigger.RECEIPT)
    assert box.pending() == [message]
    assert timers.at(Timer.OUTBOX) == 120.0


def test_age() -> None:
    timers = Timers()
    box = outbox(timers, outbox_timeout=10.0)
    assert timers.at(Timer.OUTBOX) is None
    first = box.add("a", b"", {}, now=100.0)
    second = box.add("a", b"", {}, now=104.0)
    assert timers.at(Timer.OUTBOX) == 110.0
    assert box.expired(109.9) == []
    assert box.expired(110.0) == [first]
    assert box.expired(114.0) == [first, second]
    box.settle(first, MessageTrigger.FAIL)
    assert timers.at(Timer.OUTBOX) == 114.0
    box.settle(second, MessageTrigger.FAIL)
    assert timers.at(Timer.OUTBOX) is None


def test_a_message_in_flight_ages_too() -> None:
    box = outbox(outbox_timeout=10.0)
    message = box.add("a", b"", {}, now=100.0)
    message.fire(MessageTrigger.SENT)
    assert box.expired(110.0) == [message]


# --- the key by which a server knows a message again --------------------------------------------


def keyed(**config: Any) -> Outbox:
    return Outbox(ClientConfig(**config), Timers(), client_id="c0ffee")


def test_every_message_that_is_confirmed_has_a_key_of_its_own() -> None:
    box = keyed()
    sent = [box.add("a", b"", {}, now=0.0) for _ in range(3)]
    assert [each.frame.headers["message-key"] for each in sent] == [
        "c0ffee-1",
        "c0ffee-2",
        "c0ffee-3",
    ]


def test_a_key_is_never_used_again() -> None:
    box = keyed(limits=Limits(frame_size=200))
    box.settle(box.add("a", b"", {}, now=0.0), MessageTrigger.FAIL)
    with pytest.raises(LocalProtocolError):
        box.add("a", b"x" * 200, {}, now=0.0)
    box.add("a", b"", {}, is_confirmed=False, now=0.0)
    assert box.add("a", b"", {}, now=0.0).frame.headers["message-key"] == "c0ffee-3"


def test_without_a_client_id_or_a_confirmation_there_is_no_key() -> None:
    for message in (
        outbox().add("a", b"", {}, now=0.0),
        keyed().add("a", b"", {}, is_confirmed=False, now=0.0),
    ):
        assert "message-key" not in message.frame.headers


@pytest.mark.parametrize("is_confirmed", [True, False])
def test_a_key_of_its_users_own_stands_alone(is_confirmed: bool) -> None:
    headers = {"message-key": "order-7"}
    message = keyed().add("a", b"", headers, is_confirmed=is_confirmed, now=0.0)
    assert message.frame.headers.get_all("message-key") == ["order-7"]


def test_the_key_counts_in_the_size() -> None:
    key = len(b"message-key:c0ffee-1\n")
    box = keyed(outbox_size=EMPTY + key)
    box.settle(box.add("a", b"", {}, now=0.0), MessageTrigger.FAIL)
    box = keyed(outbox_size=EMPTY + key - 1)
    with pytest.raises(OutboxFull):
        box.add("a", b"", {}, now=0.0)


# --- without a confirmation ---------------------------------------------------------------------


def test_a_message_that_nobody_confirms_asks_for_no_receipt() -> None:
    box = outbox()
    message = box.add("a", b"hi", {"x": "y"}, is_confirmed=False, now=0.0)
    assert message.frame == Frame(Command.SEND, {"destination": "a", "x": "y"}, b"hi")
    assert (message.key, message.is_confirmed, len(box)) == (1, False, 1)


def test_it_has_met_its_fate_when_it_is_let_go() -> None:
    timers = Timers()
    box = outbox(timers, outbox_count=1)
    message = box.add("a", b"", {}, is_confirmed=False, now=0.0)
    with pytest.raises(OutboxFull):
        box.add("a", b"", {}, is_confirmed=False, now=0.0)
    box.settle(message, MessageTrigger.LET_GO)
    assert (message.state, len(box), timers.next_deadline()) == (MessageState.SENT, 0, None)
    box.add("a", b"", {}, now=0.0)


def test_it_is_as_old_as_any_other() -> None:
    timers = Timers()
    box = outbox(timers, outbox_timeout=10.0)
    first = box.add("a", b"", {}, is_confirmed=False, now=100.0)
    second = box.add("a", b"", {}, now=101.0)
    assert timers.at(Timer.OUTBOX) == 110.0
    assert box.expired(111.0) == [first, second]


def test_it_takes_room_as_any_other() -> None:
    size = EMPTY - len(b"receipt:message-1\n")
    box = outbox(outbox_size=2 * size)
    box.add("a", b"", {}, is_confirmed=False, now=0.0)
    box.add("a", b"", {}, is_confirmed=False, now=0.0)
    with pytest.raises(OutboxFull):
        box.add("a", b"", {}, is_confirmed=False, now=0.0)


def test_it_keeps_its_place_among_the_others() -> None:
    box = outbox()
    them = [box.add("a", b"", {}, is_confirmed=at % 2 == 0, now=0.0) for at in range(5)]
    assert box.queued() == them
    them[0].fire(MessageTrigger.SENT)
    box.settle(them[1], MessageTrigger.LET_GO)
    box.lose_connection()
    assert box.queued() == [them[0], *them[2:]]


def test_whether_a_receipt_is_awaited() -> None:
    box = outbox()
    waits = [box.awaits_receipt]
    loose = box.add("a", b"", {}, is_confirmed=False, now=0.0)
    box.settle(loose, MessageTrigger.LET_GO)
    waits.append(box.awaits_receipt)
    first = box.add("a", b"", {}, now=0.0)
    second = box.add("a", b"", {}, now=0.0)
    waits.append(box.awaits_receipt)
    first.fire(MessageTrigger.SENT)
    second.fire(MessageTrigger.SENT)
    waits.append(box.awaits_receipt)
    box.settle(first, MessageTrigger.RECEIPT)
    waits.append(box.awaits_receipt)
    box.lose_connection()
    waits.append(box.awaits_receipt)
    assert waits == [False, False, False, True, True, False]
