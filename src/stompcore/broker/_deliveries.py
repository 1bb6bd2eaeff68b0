"""What the broker's parts hand one another: deliveries, and the faults of whoever asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from stompcore._codec import Message
from stompcore._errors import CloseCode, ErrorCode, RemoteProtocolError

if TYPE_CHECKING:
    from stompcore.broker._queues import Entry

__all__ = ["DEAD_LETTERS", "Delivery", "Subscriber", "too_much", "violation"]

#: Where a queue's message ends that nobody has consumed in `Limits.deliveries` attempts.
DEAD_LETTERS = "/queue/dead-letters"


class Subscriber(NamedTuple):
    """One subscription of one session."""

    session_id: str
    subscription: str


class Delivery(NamedTuple):
    """One copy of a message on its way to one subscription.

    Args:
        session_id, subscription: whose.
        message: what.
        is_redelivered: a queue has tried before.
        entry, attempt: a queue's own note of it; None for whatever is not kept.
    """

    session_id: str
    subscription: str
    message: Message
    is_redelivered: bool = False
    entry: Entry | None = None
    attempt: int = 0


def violation(detail: str) -> RemoteProtocolError:
    """The peer asked for what there is not."""
    return RemoteProtocolError(ErrorCode.PROTOCOL_VIOLATION, detail)


def too_much(detail: str) -> RemoteProtocolError:
    """The peer asked for more than there may be."""
    return RemoteProtocolError(
        ErrorCode.LIMIT_EXCEEDED, detail, close_code=CloseCode.POLICY_VIOLATION
    )
