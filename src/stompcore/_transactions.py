"""Transactions of a server session (STOMP 1.2, "BEGIN"): work that waits for its COMMIT."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from stompcore._config import Limits
from stompcore._errors import CloseCode, ErrorCode, RemoteProtocolError
from stompcore._events import Acked, Nacked, Sent

__all__ = ["Transactions"]


@dataclass(slots=True)
class _Transaction:
    events: list[Sent | Acked | Nacked] = field(default_factory=list)
    size: int = 0


class Transactions:
    """The open transactions of one session, bounded in number, frames and bytes.

    Args:
        limits: `transactions`, `transaction_frames`, and `frame_size` for the bytes that all of
            them together may hold.
    """

    __slots__ = ("_limits", "_open")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: dict[str, _Transaction] = {}

    def begin(self, name: str) -> None:
        """BEGIN.

        Raises:
            RemoteProtocolError: one of this name is open, or too many are.
        """
        if name in self._open:
            raise RemoteProtocolError(
                ErrorCode.PROTOCOL_VIOLATION, "This transaction has begun already."
            )
        if len(self._open) >= self._limits.transactions:
            raise _too_much("Too many transactions.")
        self._open[name] = _Transaction()

    def add(self, name: str, event: Sent | Acked | Nacked) -> None:
        """Hold an event for COMMIT, without its receipt: that one is for having been held.

        Raises:
            RemoteProtocolError: there is no such transaction, or it holds too much.
        """
        transaction = self._get(name)
        size = _size(event)
        held = sum(each.size for each in self._open.values())
        if (
            len(transaction.events) >= self._limits.transaction_frames
            or held + size > self._limits.frame_size
        ):
            raise _too_much("Too much in a transaction.")
        transaction.size += size
        transaction.events.append(replace(event, receipt_id=None))

    def end(self, name: str) -> tuple[Sent | Acked | Nacked, ...]:
        """COMMIT or ABORT: what was held, in order.

        Raises:
            RemoteProtocolError: there is no such transaction.
        """
        events = self._get(name).events
        del self._open[name]
        return tuple(events)

    def clear(self) -> None:
        """Abort everything: the session is over."""
        self._open.clear()

    def _get(self, name: str) -> _Transaction:
        transaction = self._open.get(name)
        if transaction is None:
            raise RemoteProtocolError(ErrorCode.PROTOCOL_VIOLATION, "There is no such transaction.")
        return transaction


def _size(event: Sent | Acked | Nacked) -> int:
    """About as many bytes as the event holds on to: a frame can be all headers."""
    if not isinstance(event, Sent):
        return len(event.message_id) + len(event.subscription or "")
    headers = sum(len(name) + len(value) for name, value in event.headers.pairs())
    return headers + len(event.body)


def _too_much(detail: str) -> RemoteProtocolError:
    return RemoteProtocolError(
        ErrorCode.LIMIT_EXCEEDED, detail, close_code=CloseCode.POLICY_VIOLATION
    )
