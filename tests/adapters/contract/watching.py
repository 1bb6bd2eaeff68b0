"""What a client says of its own life while a test goes on, and who talks to it."""

from __future__ import annotations

from typing import Any, TypeVar

from tests.adapters.contract.runtime import Runtime

from stompcore import Client, ClientEvent, Status

__all__ = ["Talker", "Watch", "cut", "lose"]

E = TypeVar("E", bound=ClientEvent)


class Watch:
    """A reader of `client.events()`; start `run` in the background.

    Args:
        client: whose.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.events: list[ClientEvent] = []
        self.statuses: set[Status] = set()

    async def run(self) -> None:
        """Until the client has stopped."""
        self.statuses.add(self.client.status)
        async for event in self.client.events():
            self.events.append(event)
            self.statuses.add(self.client.status)

    def of(self, kind: type[E]) -> list[E]:
        """The events of one kind so far, in order."""
        return [each for each in self.events if isinstance(each, kind)]


class Talker:
    """Sends numbers to a destination without a pause; start `run` in the background.

    Args:
        runtime: for the breath between two.
        client: through which.
        destination: where to.
        limit: after so many it stops by itself.
    """

    def __init__(
        self, runtime: Runtime, client: Client, destination: str, *, limit: int = 100_000
    ) -> None:
        self.sent: list[str] = []
        self.is_done = False
        self._runtime = runtime
        self._client = client
        self._destination = destination
        self._limit = limit

    async def run(self) -> None:
        """Until `stop`; each one is confirmed before the next."""
        while not self.is_done and len(self.sent) < self._limit:
            text = str(len(self.sent))
            await self._client.send(self._destination, text)
            self.sent.append(text)
            await self._runtime.sleep(0.001)
        self.is_done = True

    async def stop(self) -> None:
        """After the next one; at least one has been sent then."""
        self._limit = len(self.sent) + 1
        await self._runtime.until(lambda: self.is_done)


def cut(server: Any) -> None:
    """End every connection of a server, without a word."""
    for connection in list(server.connections.values()):
        connection.abort()


async def lose(runtime: Runtime, server: Any, client: Client) -> None:
    """Cut every connection of `server`, and wait until `client` has noticed: it dials again."""
    epoch = client._session.epoch
    cut(server)
    await runtime.until(lambda: client._session.epoch > epoch)
