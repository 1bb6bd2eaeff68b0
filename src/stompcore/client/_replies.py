"""Requests that wait for a reply, and the one subscription by which all replies come."""

from __future__ import annotations

from collections.abc import Callable

from stompcore._errors import ReplyLost, RequestTimedOut, StompError
from stompcore._timers import earliest
from stompcore.client._messages import ReceivedMessage, Waiter

__all__ = ["Replies", "Request"]


class Request:
    """One request.

    Args:
        id: its `correlation-id`.
        key: of its message in the outbox.
        expires_at: when to give it up, in Unix seconds.
        waiter: set when it is decided.
    """

    __slots__ = ("error", "expires_at", "id", "is_confirmed", "key", "reply", "waiter")

    def __init__(self, id: str, key: int, expires_at: float, waiter: Waiter) -> None:
        self.id = id
        self.key = key
        self.expires_at = expires_at
        self.waiter = waiter
        self.is_confirmed = False
        self.reply: ReceivedMessage | None = None
        self.error: StompError | None = None


class Replies:
    """The requests of one client that are open.

    Args:
        waiter: makes events to wait on.
    """

    def __init__(self, waiter: Callable[[], Waiter]) -> None:
        #: The subscription's id, once there is one.
        self.subscription = ""
        self._new_waiter = waiter
        self._open: dict[str, Request] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._open)

    def next_id(self) -> str:
        """A `correlation-id` that was never used before."""
        self._last += 1
        return str(self._last)

    def add(self, id: str, key: int, expires_at: float) -> Request:
        """A request has been sent."""
        request = self._open[id] = Request(id, key, expires_at, self._new_waiter())
        return request

    def forget(self, request: Request) -> None:
        """Nobody waits for it any more."""
        self._open.pop(request.id, None)

    def next_deadline(self) -> float | None:
        """When to call `expire`, in Unix seconds, or None."""
        return earliest(*(each.expires_at for each in self._open.values()))

    # --- what happens ---------------------------------------------------------------------

    def arrived(self, message: ReceivedMessage) -> None:
        """A reply has come. One that nobody waits for is dropped."""
        request = self._open.pop(message.headers.get("correlation-id", ""), None)
        if request is not None:
            request.reply = message
            request.waiter.set()

    def published(self, key: int) -> None:
        """The message with this key has been confirmed: it is not sent again."""
        for request in self._open.values():
            if request.key == key:
                request.is_confirmed = True

    def failed(self, key: int, error: StompError) -> None:
        """The message with this key will not be sent."""
        self._fail(lambda request: request.key == key, error)

    def connection_ended(self) -> None:
        """No reply can come to what the server has had: its name for us is gone."""
        text = "the connection has ended on which the reply would have come"
        self._fail(lambda request: request.is_confirmed, ReplyLost(text))

    def expire(self, now: float) -> None:
        """Give up what is overdue."""
        error = RequestTimedOut("no reply has come in time")
        self._fail(lambda request: now >= request.expires_at, error)

    def unsubscribed(self, error: StompError) -> None:
        """The server does not let us listen for replies."""
        self.subscription = ""
        self._fail(lambda request: True, error)

    def _fail(self, concerns: Callable[[Request], bool], error: StompError) -> None:
        for request in [each for each in self._open.values() if concerns(each)]:
            del self._open[request.id]
            request.error = error
            request.waiter.set()
