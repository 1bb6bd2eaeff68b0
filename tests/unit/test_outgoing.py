from __future__ import annotations

import itertools

import pytest

from stompcore._events import Work
from stompcore._outgoing import Receipts, SendQueue


def filled() -> SendQueue:
    queue = SendQueue()
    queue.push(b"receipt", is_message=False)
    queue.push(b"message", is_message=True)
    queue.push(b"error!", is_message=False)
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


def test_dropping_messages_may_empty_the_queue() -> None:
    queue = SendQueue()
    queue.push(b"message", is_message=True)
    queue.drop_messages()
    assert not queue
    assert queue.size == 0


def test_queue_can_be_used_after_it_was_emptied() -> None:
    queue = filled()
    queue.clear()
    assert (bool(queue), queue.size) == (False, 0)
    queue.push(b"x", is_message=True)
    assert (queue.size, queue.take()) == (1, [b"x"])


WORKS = [Work(receipt_id="a"), Work(receipt_id="b"), Work(receipt_id="c")]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_B11_receipts_go_out_in_the_order_of_their_frames(order: tuple[int, ...]) -> None:
    receipts = Receipts()
    for work in WORKS:
        receipts.expect(work)
    ready: list[str] = []
    for count, index in enumerate(order, start=1):
        ready += receipts.done(WORKS[index])
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
    assert receipts.done(WORKS[0]) == ["a"]


def test_work_is_told_apart_by_identity() -> None:
    receipts = Receipts()
    one, other = Work(receipt_id="same"), Work(receipt_id="same")
    receipts.expect(one)
    receipts.expect(other)
    assert receipts.done(other) == []
    assert receipts.done(other) == []
    assert receipts.done(one) == ["same", "same"]


def test_done_twice_or_unexpected_is_harmless() -> None:
    receipts = Receipts()
    receipts.expect(WORKS[0])
    assert receipts.done(WORKS[1]) == []
    assert receipts.done(WORKS[0]) == ["a"]
    assert receipts.done(WORKS[0]) == []


def test_an_empty_receipt_id_is_one() -> None:
    receipts = Receipts()
    work = Work(receipt_id="")
    receipts.expect(work)
    assert receipts.done(work) == [""]


def test_cleared_receipts_are_never_sent() -> None:
    receipts = Receipts()
    receipts.expect(WORKS[0])
    receipts.clear()
    assert not receipts
    assert receipts.done(WORKS[0]) == []
