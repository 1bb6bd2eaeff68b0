"""Our client, as the tests set it up for a broker."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from tests.adapters.contract.runtime import AsyncioRuntime, Background, Runtime, TrioRuntime
from tests.brokers.activemq import ActiveMQ
from tests.brokers.proxy import Wire
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.running import PATIENCE

from stompcore import (
    Backoff,
    Client,
    ClientConfig,
    ClientEvent,
    ConnectionEnded,
    ReceivedMessage,
    Resubscribed,
    StatusChanged,
    Subscription,
    SubscriptionActive,
    TokenReason,
    TokenRequest,
)

__all__ = [
    "Life",
    "PatientAsyncio",
    "PatientTrio",
    "Tokens",
    "Way",
    "config",
    "take",
    "together",
    "watch",
]

_LIMIT = 100.0


class PatientAsyncio(AsyncioRuntime):
    """asyncio, for bodies in which a broker starts."""

    limit_of_a_body = _LIMIT


class PatientTrio(TrioRuntime):
    """trio, for bodies in which a broker starts."""

    limit_of_a_body = _LIMIT


def config(**options: Any) -> ClientConfig:
    """Settings for a broker on the same machine, whose tokens are passcodes.

    `host` is the virtual host that every RabbitMQ has; ActiveMQ looks at none.
    """
    options.setdefault("host", "/")
    options.setdefault("login", "ada")
    options.setdefault("passcode", True)
    options.setdefault("backoff", Backoff(minimum=0.1, maximum=0.5))
    options.setdefault("refresh", None)
    options.setdefault("error_timeout", 0.2)
    options.setdefault("outbox_timeout", 2 * PATIENCE)
    return ClientConfig(**options)


async def take(messages: Subscription, count: int) -> list[ReceivedMessage]:
    """The next messages."""
    return [await anext(messages) for _ in range(count)]


@dataclass(frozen=True)
class Way:
    """One way to one broker: where to dial, and what lets `ada` in for long."""

    broker: RabbitMQ | ActiveMQ
    url: str

    @property
    def port(self) -> int:
        """Where it leads to on loopback."""
        return int(self.url.split(":")[2].partition("/")[0])

    def through(self, wire: Wire) -> Way:
        """The same way, over `wire`."""
        return replace(self, url=self.url.replace(f":{self.port}", f":{wire.port}"))

    def token(self) -> str:
        """A passcode that counts for now."""
        broker = self.broker
        return broker.mint() if isinstance(broker, RabbitMQ) else broker.passwords["ada"]

    def connect(
        self, runtime: Runtime, token: object = None, **options: Any
    ) -> AbstractAsyncContextManager[Client]:
        """A client."""
        options.setdefault("config", config())
        client: AbstractAsyncContextManager[Client] = runtime.connect(
            self.url, token=token or self._source, **options
        )
        return client

    async def _source(self, request: TokenRequest) -> str:
        return self.token()


class Tokens:
    """A token source that keeps what it was asked for.

    Args:
        mint: makes a token; it is told how many there were before.
    """

    def __init__(self, mint: Callable[[int], str]) -> None:
        self._mint = mint
        self.reasons: list[TokenReason] = []
        self.first_at = 0.0  # when the first one was made, in Unix seconds

    def __call__(self, request: TokenRequest) -> Awaitable[str]:
        return self._answer(request)

    async def _answer(self, request: TokenRequest) -> str:
        self.reasons.append(request.reason)
        self.first_at = self.first_at or time.time()
        return self._mint(len(self.reasons) - 1)


class Life:
    """What has happened to a client."""

    def __init__(self) -> None:
        self.events: list[ClientEvent] = []

    @property
    def ends(self) -> list[ConnectionEnded]:
        """How its connections have ended."""
        return [each for each in self.events if isinstance(each, ConnectionEnded)]

    @property
    def beginnings(self) -> list[Resubscribed]:
        """The connections that it has had since the first one."""
        return [each for each in self.events if isinstance(each, Resubscribed)]

    @property
    def restored(self) -> list[SubscriptionActive]:
        """The subscriptions that a broker has confirmed anew."""
        return [each for each in self.events if isinstance(each, SubscriptionActive)]

    @property
    def statuses(self) -> list[StatusChanged]:
        """What has been shown of it."""
        return [each for each in self.events if isinstance(each, StatusChanged)]


def watch(client: Client, background: Background) -> Life:
    """Keep the events of a client."""
    life = Life()

    async def keep() -> None:
        async for event in client.events():
            life.events.append(event)

    background.start(keep)
    return life


async def together(runtime: Runtime, *stories: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Go through all of them at once, since each has to wait."""
    over = 0

    async def go_through(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
        nonlocal over
        try:
            await story()
        finally:
            over += 1

    async with runtime.background() as background:
        for story in stories:
            background.start(partial(go_through, story))
        await runtime.until(lambda: over == len(stories), PATIENCE)
