"""A subscription as its reader sees it: an async iterator over as many connections as it takes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Protocol

from stompcore._errors import ClientClosed, StompError
from stompcore._events import AckMode
from stompcore._subscription import HeaderValue, KeyFunction
from stompcore.client._messages import ReceivedMessage, Waiter

__all__ = ["Subscription", "SubscriptionOwner"]


class SubscriptionOwner(Protocol):
    """What a subscription asks of its client."""

    def _register(self, subscription: Subscription) -> str:
        """Subscribe; the id."""

    def _unregister(self, subscription: Subscription) -> None:
        """Unsubscribe, unless it has ended."""

    def _room_made(self) -> None:
        """A message was read from a full buffer."""


class Subscription:
    """The messages of one destination, over as many connections as it takes.

    Use it as ``async with client.subscribe(...) as messages: async for message in messages``.
    Entering waits until the server has confirmed it, so that nothing sent afterwards is missed;
    leaving unsubscribes.

    A reader that is slow is waited for: when its buffer is full, the client stops reading from the
    server, whose own back-pressure then begins.

    Args:
        destination, ack, headers, duplicate_key: see `Client.subscribe`.
        owner: the client.
        waiter: makes events to wait on.
        buffer: how many messages may wait before the client is to stop reading.
        limit: how many may wait at all.
    """

    def __init__(
        self,
        destination: str,
        owner: SubscriptionOwner,
        *,
        ack: AckMode,
        headers: Mapping[str, HeaderValue] | None,
        duplicate_key: KeyFunction | None,
        waiter: Callable[[], Waiter],
        buffer: int,
        limit: int,
    ) -> None:
        self.destination = destination
        self.ack = ack
        self.headers = headers
        self.duplicate_key = duplicate_key
        self.id = ""
        self._owner = owner
        self._new_waiter = waiter
        self._wake = waiter()
        self._buffer = buffer
        self._limit = limit
        self._messages: deque[ReceivedMessage] = deque()
        self._is_active = False
        self._has_ended = False
        self._error: StompError | None = None

    async def __aenter__(self) -> Subscription:
        if self.id:
            raise ClientClosed("a subscription can be entered once")
        self.id = self._owner._register(self)
        try:
            while not (self._is_active or self._has_ended):
                await self._wait()
        except BaseException:
            self._owner._unregister(self)
            raise
        if self._error is not None:
            raise self._error
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._owner._unregister(self)

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> ReceivedMessage:
        """The next message.

        Raises:
            StopAsyncIteration: the client was closed, or the subscription was left.
            StompError: why the subscription has ended: `SubscriptionRefused`, `Unauthorized`...
        """
        while not self._messages:
            if self._error is not None:
                raise self._error
            if self._has_ended:
                raise StopAsyncIteration
            await self._wait()
        message = self._messages.popleft()
        if len(self._messages) == self._buffer // 2:
            self._owner._room_made()
        return message

    async def _wait(self) -> None:
        await self._wake.wait()

    def _wake_up(self) -> None:
        # A new one for the next time: several tasks may read, and all of them look again.
        self._wake.set()
        self._wake = self._new_waiter()

    # --- for its client -------------------------------------------------------------------

    def activate(self) -> None:
        """The server has confirmed it."""
        self._is_active = True
        self._wake_up()

    def push(self, message: ReceivedMessage) -> bool:
        """Buffer a message; False when there was no room."""
        if len(self._messages) >= self._limit:
            return False
        self._messages.append(message)
        self._wake_up()
        return True

    def wants_pause(self, *, is_paused: bool) -> bool:
        """Whether no more should come: from a full buffer on, until it is half empty."""
        return len(self._messages) >= (self._buffer // 2 + 1 if is_paused else self._buffer)

    def end(self, error: StompError | None) -> None:
        """It is over, once what has come was read."""
        if not self._has_ended:
            self._has_ended = True
            self._error = error
            self._wake_up()
