"""What passes between a user's program and its client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from stompcore._events import Delivered, TokenReason
from stompcore._headers import Headers

__all__ = ["Answerer", "ReceivedMessage", "TokenRequest", "TokenSource", "Waiter"]


class Waiter(Protocol):
    """What `asyncio.Event` and `trio.Event` have in common."""

    def set(self) -> Any:
        """Let everybody go on."""

    async def wait(self) -> Any:
        """Until it is set."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenRequest:
    """What a token source is told.

    Args:
        reason: `TokenReason.INITIAL` for the first one, `AHEAD` while the last one still counts,
            `EXPIRED` when it does not.
        generation: counts the requests of one client.
    """

    reason: TokenReason
    generation: int


#: A token, or an async callable that gets one. Raising `Unauthorized` there is permanent.
TokenSource = str | Callable[[TokenRequest], Awaitable[str]]


class Answerer(Protocol):
    """Who can tell the server what became of a message."""

    async def ack(self, message: ReceivedMessage) -> None:
        """It was consumed."""

    async def nack(self, message: ReceivedMessage) -> None:
        """It was not."""


class ReceivedMessage:
    """A message that came for a subscription."""

    __slots__ = ("_answerer", "_delivered")

    def __init__(self, delivered: Delivered, answerer: Answerer) -> None:
        self._delivered = delivered
        self._answerer = answerer

    async def ack(self) -> None:
        """Acknowledge it, where the subscription asks for that.

        Raises:
            StaleEpoch: the connection that brought it is gone, and its id with it.
            LocalProtocolError: it asks for no acknowledgement.
        """
        await self._answerer.ack(self)

    async def nack(self) -> None:
        """Tell the server that it was not consumed; see `ack`."""
        await self._answerer.nack(self)

    @property
    def delivered(self) -> Delivered:
        """The event it came by."""
        return self._delivered

    @property
    def headers(self) -> Headers:
        """The MESSAGE frame's headers."""
        return self._delivered.frame.headers

    @property
    def body(self) -> bytes:
        """The MESSAGE frame's body."""
        return self._delivered.frame.body

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode()

    @property
    def destination(self) -> str:
        """Where it was sent to."""
        return self.headers["destination"]

    @property
    def message_id(self) -> str:
        """The server's id for it."""
        return self.headers["message-id"]

    def __repr__(self) -> str:
        return f"<ReceivedMessage {self.message_id} from {self.destination}>"
