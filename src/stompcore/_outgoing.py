"""What a server session owes its peer: bytes, and receipts for work that is still being done."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from stompcore._events import Work
from stompcore._frames import Command, Frame

__all__ = ["TAKE_SIZE", "Receipts", "SendQueue"]

#: As much as a binding's own write buffer holds, in bytes.
TAKE_SIZE = 64 * 1024


class _Item(NamedTuple):
    chunk: bytes
    subscription: str | None = None  # of a MESSAGE; None for every other frame
    reference: object = None


class SendQueue:
    """Bytes that wait for the transport, and which of them are MESSAGEs.

    What is dropped before it has left is not forgotten: `take_unsent` gives the references back
    that were pushed with it, so that a queue can have its messages again.
    """

    __slots__ = ("_items", "_unsent", "size")

    def __init__(self) -> None:
        self._items: deque[_Item] = deque()
        self._unsent: list[object] = []
        self.size = 0

    def __bool__(self) -> bool:
        return bool(self._items)

    def push(self, chunk: bytes) -> None:
        """Queue one item that is no MESSAGE."""
        self._items.append(_Item(chunk))
        self.size += len(chunk)

    def push_message(self, chunk: bytes, subscription: str, reference: object) -> None:
        """Queue a MESSAGE."""
        self._items.append(_Item(chunk, subscription, reference))
        self.size += len(chunk)

    def take(self) -> list[bytes]:
        """The next items, in order, up to `TAKE_SIZE` bytes, but one item at least.

        What has been taken cannot be called back, so a backlog must not leave all at once: the
        token may expire while the transport is still busy with its beginning.
        """
        chunks, size = [], 0
        while self._items and size < TAKE_SIZE:
            chunk = self._items.popleft().chunk
            chunks.append(chunk)
            size += len(chunk)
        self.size -= size
        return chunks

    def drop_messages(self, subscription: str | None = None) -> None:
        """Keep only what answers work that was done: a MESSAGE must not leave on a dead token.

        Args:
            subscription: drop the MESSAGEs of this one only; None for those of all.
        """
        kept: deque[_Item] = deque()
        for item in self._items:
            if item.subscription is None or subscription not in (None, item.subscription):
                kept.append(item)
            else:
                self.give_back(item.reference)
        self._items = kept
        self.size = sum(len(item.chunk) for item in kept)

    def clear(self) -> None:
        """Nothing more leaves."""
        for item in self._items:
            self.give_back(item.reference)
        self._items.clear()
        self.size = 0

    def give_back(self, reference: object) -> None:
        """What this stands for will not leave."""
        if reference is not None:
            self._unsent.append(reference)

    def take_unsent(self) -> list[object]:
        """The references of MESSAGEs that were dropped, in order, once."""
        unsent, self._unsent = self._unsent, []
        return unsent


class Receipts:
    """RECEIPTs in the order of the frames that asked for them, each after its work."""

    __slots__ = ("_size", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[tuple[Work, Frame]] = deque()
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether so many wait that no further work should be begun."""
        return self._size >= TAKE_SIZE

    def expect(self, work: Work) -> None:
        """`work` has begun; if it wants a RECEIPT, that takes its place in the order now."""
        if work.receipt_id is not None:
            self._waiting.append((work, _receipt(work.receipt_id)))
            self._size += _size(work.receipt_id)

    def done(self, work: Work, headers: Iterable[tuple[str, str]] = ()) -> list[Frame]:
        """`work` is finished: the RECEIPTs that may go out now, in order.

        Args:
            work: the very object that was expected.
            headers: further headers of its RECEIPT.
        """
        for index, (each, receipt) in enumerate(self._waiting):
            if each is work:
                self._waiting[index] = (_DONE, _receipt(receipt.headers["receipt-id"], headers))
                break
        ready = []
        while self._waiting and self._waiting[0][0] is _DONE:
            receipt = self._waiting.popleft()[1]
            self._size -= _size(receipt.headers["receipt-id"])
            ready.append(receipt)
        return ready

    def clear(self) -> None:
        """Nobody gets one any more."""
        self._waiting.clear()
        self._size = 0


_DONE = Work()
_OVERHEAD = 64  # what a RECEIPT that waits takes at least: a thousand of them are many


def _size(receipt_id: str) -> int:
    return len(receipt_id) + _OVERHEAD


def _receipt(receipt_id: str, headers: Iterable[tuple[str, str]] = ()) -> Frame:
    return Frame(Command.RECEIPT, [("receipt-id", receipt_id), *headers])
