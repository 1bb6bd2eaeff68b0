from __future__ import annotations

import itertools

import pytest

from stompcore._events import Work
from stompcore._frames import Command, Frame
from stompcore._outgoing import Receipts, SendQueue


def filled() -> SendQueue:
    queue = SendQueue()
    queue.push(b"receipt")
    queue.push_message(b"message", "s", "ref")
    queue.push(b"error!")
    return queue


def test_queue_keeps_order_and_counts_bytes() -> None:
    queue = filled()
    assert queue
    assert queue.size == 20
    assert queue.take() == [b"receipt", b"message", b"error!"]
    assert not queue
    assert (queue.size, queue.take()) == (0, [])


def test_D6_a_queued_message_does_not_leave_on_a_dead_token() -> None:
    queue = filled()
    queue.drop_messages()
    assert queue.size == 13
    assert queue.take() == [b"receipt", b"error!"]


def test_what_never_left_comes_back_in_order_and_once() -> None:
    queue = SendQueue()
    for key, reference in (("s", 1), ("t", 2), ("s", 3), ("s", None), ("t", 4)):
        queue.push_message(b"message", key, reference)
    queue.drop_messages("s")
    assert (queue.size, queue.take_unsent(), queue.take_unsent()) == (14, [1, 3], [])
    queue.give_back(5)
    queue.give_back(None)
    queue.clear()
    assert queue.take_unsent() == [5, 2, 4]


def test_what_has_left_does_not_come_back() -> None:
    queue = filled()
    queue.take()
    queue.drop_messages()
    queue.clear()
    assert queue.take_unsent() == []


def test_one_subscription_s_messages_are_dropped() -> None:
    queue = SendQueue()
    queue.push_message(b"1", "", "empty id")
    queue.push(b"receipt")
    queue.push_message(b"2", "s", "s")
    queue.drop_messages("")
    assert queue.take() == [b"receipt", b"2"]
    assert queue.take_unsent() == ["empty id"]


def test_dropping_messages_may_empty_the_queue() -> None:
    queue = SendQueue()
    queue.push_message(b"message", "s", None)
    queue.drop_messages()
    assert not queue
    assert (queue.size, queue.take_unsent()) == (0, [])


def test_queue_can_be_used_after_it_was_emptied() -> None:
    queue = filled()
    queue.clear()
    assert (bool(queue), queue.size) == (False, 0)
    queue.push_message(b"x", "s", None)
    assert (queue.size, queue.take()) == (1, [b"x"])


def ids(frames: list[Frame]) -> list[str]:
    """What the RECEIPTs are for."""
    assert all(each.command is Command.RECEIPT and not each.body for each in frames)
    return [each.headers["receipt-id"] for each in frames]


WORKS = [Work(receipt_id="a"), Work(receipt_id="b"), Work(receipt_id="c")]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_B11_receipts_go_out_in_the_order_of_their_frames(order: tuple[int, ...]) -> None:
    receipts = Receipts()
    for work in WORKS:
        receipts.expect(work)
    ready: list[str] = []
    for count, index in enumerate(order, start=1):
        ready += ids(receipts.done(WORKS[index]))
        finished = {*order[:count]}
        due = list(itertools.takewhile(finished.__contains__, range(3)))
        assert ready == ["abc"[each] for each in due]
    assert not receipts


def test_work_that_wants_no_receipt_holds_up_nothing() -> None:
    receipts = Receipts()
    silent = Work()
    receipts.expect(silent)
    assert not receipts
    receipts.expect(WORKS[0])
    assert receipts
    assert receipts.done(silent) == []
    assert ids(receipts.done(WORKS[0])) == ["a"]


def test_work_is_told_apart_by_identity() -> None:
    receipts = Receipts()
    one, other = Work(receipt_id="same"), Work(receipt_id="same")
    receipts.expect(one)
    receipts.expect(other)
    assert receipts.done(other) == []
    assert receipts.done(other) == []
    assert ids(receipts.done(one)) == ["same", "same"]


def test_done_twice_or_unexpected_is_harmless() -> None:
    receipts = Receipts()
    receipts.expect(WORKS[0])
    assert receipts.done(WORKS[1]) == []
    assert ids(receipts.done(WORKS[0])) == ["a"]
    assert receipts.done(WORKS[0]) == []


def test_a_receipt_says_more_even_if_it_has_to_wait() -> None:
    receipts = Receipts()
    receipts.expect(WORKS[0])
    receipts.expect(WORKS[1])
    assert receipts.done(WORKS[1], [("token-ttl", "5"), ("gone", "1"), ("gone", "2")]) == []
    first, second = receipts.done(WORKS[0])
    assert first.headers.pairs() == (("receipt-id", "a"),)
    assert second.headers.pairs() == (
        *(("receipt-id", "b"), ("token-ttl", "5")),
        *(("gone", "1"), ("gone", "2")),
    )


def test_an_empty_receipt_id_is_one() -> None:
    receipts = Receipts()
    work = Work(receipt_id="")
    receipts.expect(work)
    assert ids(receipts.done(work)) == [""]


def test_cleared_receipts_are_never_sent() -> None:
    receipts = Receipts()
    receipts.expect(WORKS[0])
    receipts.clear()
    assert not receipts
    assert receipts.done(WORKS[0]) == []
