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
