"""Frames that cross: the server has ended a subscription, and the peer does not know it yet."""

from __future__ import annotations

import pytest
from tests.unit.peer import NOW, Peer, config, frame, opened

from stompcore import ErrorCode
from stompcore._events import Acked, Committed, Subscribed, Unsubscribed

RECEIPT = b"RECEIPT\nreceipt-id:r\n\n\0"


def listener() -> Peer:
    peer = opened()
    peer.feed(frame("SUBSCRIBE", id="a", destination="/queue/a", ack="client-individual"))
    peer.session.unsubscribe("a", now=NOW)
    peer.events.clear()
    return peer


@pytest.mark.parametrize(
    "data",
    [
        frame("UNSUBSCRIBE", id="a", receipt="r"),
        frame("ACK", id="1/a", receipt="r"),
        frame("NACK", id="1/a", receipt="r"),
    ],
    ids=["unsubscribe", "ack", "nack"],
)
def test_what_concerns_an_ended_subscription_is_answered_and_does_nothing(data: bytes) -> None:
    peer = listener()
    peer.feed(data + data)
    assert peer.take() == RECEIPT * 2
    assert not peer.events


@pytest.mark.parametrize("ends_before_the_ack", [True, False])
def test_an_ack_in_a_transaction_is_left_out_of_its_work(ends_before_the_ack: bool) -> None:
    peer = listener() if ends_before_the_ack else opened()
    peer.feed(frame("SUBSCRIBE", id="b", destination="/queue/b", ack="client"))
    if not ends_before_the_ack:
        peer.feed(frame("SUBSCRIBE", id="a", destination="/queue/a", ack="client"))
    peer.feed(frame("BEGIN", transaction="t"))
    peer.feed(frame("ACK", id="1/a", transaction="t") + frame("ACK", id="2/b", transaction="t"))
    if not ends_before_the_ack:
        peer.session.unsubscribe("a", now=NOW)
    peer.feed(frame("COMMIT", transaction="t", receipt="r"))
    committed = peer.events[-1]
    assert isinstance(committed, Committed)
    assert committed.work == (Acked(message_id="2", subscription="b"),)
    assert peer.take() == RECEIPT


def test_the_id_can_be_used_again_and_means_the_new_one() -> None:
    peer = listener()
    peer.feed(frame("SUBSCRIBE", id="a", destination="/queue/b"))
    peer.feed(frame("UNSUBSCRIBE", id="a"))
    assert [type(each) for each in peer.events] == [Subscribed, Unsubscribed]
    peer.feed(frame("UNSUBSCRIBE", id="a"))
    assert peer.ended is not None
    assert peer.ended.error_code is ErrorCode.PROTOCOL_VIOLATION


def test_what_is_remembered_is_bounded() -> None:
    peer = opened(config(subscriptions=3))
    for number in range(5):
        peer.feed(frame("SUBSCRIBE", id=str(number), destination="/topic/a"))
        peer.session.unsubscribe(str(number), now=NOW)
    peer.feed(frame("UNSUBSCRIBE", id="2"))
    assert not peer.session.closing
    peer.feed(frame("UNSUBSCRIBE", id="1"))
    assert peer.ended is not None


def test_an_id_is_no_longer_than_a_destination() -> None:
    peer = opened(config(destination_size=8))
    peer.feed(frame("SUBSCRIBE", id="a" * 8, destination="/topic/a"))
    assert not peer.session.closing
    peer.feed(frame("SUBSCRIBE", id="b" * 9, destination="/topic/a"))
    assert peer.ended is not None
    assert peer.ended.error_code is ErrorCode.LIMIT_EXCEEDED
