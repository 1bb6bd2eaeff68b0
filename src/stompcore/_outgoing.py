"""What a server session owes its peer: bytes, and receipts for work that is still being done."""

from __future__ import annotations

from collections import deque

from stompcore._events import Work

__all__ = ["TAKE_SIZE", "Receipts", "SendQueue"]

#: As much as a binding's own write buffer holds, in bytes.
TAKE_SIZE = 64 * 1024


class SendQueue:
    """Bytes that wait for the transport, and which of them are MESSAGEs."""

    __slots__ = ("_items", "size")

    def __init__(self) -> None:
        self._items: deque[tuple[bool, bytes]] = deque()
        self.size = 0

    def __bool__(self) -> bool:
        return bool(self._items)

    def push(self, chunk: bytes, *, is_message: bool) -> None:
        """Queue one item."""
        self._items.append((is_message, chunk))
        self.size += len(chunk)

    def take(self) -> list[bytes]:
        """The next items, in order, up to `TAKE_SIZE` bytes, but one item at least.

        What has been taken cannot be called back, so a backlog must not leave all at once: the
        token may expire while the transport is still busy with its beginning.
        """
        chunks, size = [], 0
        while self._items and size < TAKE_SIZE:
            chunk = self._items.popleft()[1]
            chunks.append(chunk)
            size += len(chunk)
        self.size -= size
        return chunks

    def drop_messages(self) -> None:
        """Keep only what answers work that was done: a MESSAGE must not leave on a dead token."""
        self._items = deque(item for item in self._items if not item[0])
        self.size = sum(len(chunk) for _, chunk in self._items)

    def clear(self) -> None:
        """Forget everything."""
        self._items.clear()
        self.size = 0


class Receipts:
    """RECEIPTs in the order of the frames that asked for them, each after its work."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: deque[tuple[Work, str]] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def expect(self, work: Work) -> None:
        """`work` has begun; if it wants a RECEIPT, that takes its place in the order now."""
        if work.receipt_id is not None:
            self._waiting.append((work, work.receipt_id))

    def done(self, work: Work) -> list[str]:
        """`work` is finished: the receipt ids that may go out now, in order."""
        for index, (each, receipt_id) in enumerate(self._waiting):
            if each is work:
                self._waiting[index] = (_DONE, receipt_id)
                break
        ready = []
        while self._waiting and self._waiting[0][0] is _DONE:
            ready.append(self._waiting.popleft()[1])
        return ready

    def clear(self) -> None:
        """Nobody gets one any more."""
        self._waiting.clear()


_DONE = Work()
