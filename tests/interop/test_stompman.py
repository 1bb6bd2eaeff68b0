"""stompman, over TCP and WebSocket, against `stompcore serve`; the token is its passcode."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Self

import pytest
import stompman
from stompman.connection import AbstractConnection, Connection
from stompman.connection_ws import WebSocketConnection
from tests.serving import PATIENCE, Serving

pytestmark = pytest.mark.interop

TRANSPORTS = ["tcp", "ws"]


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        opened: list[AbstractConnection] = []
        _opened.set(opened)
        try:
            async with asyncio.timeout(PATIENCE):
                await story()
        finally:
            # When stompman gives up it leaves a dial going, and nobody to close what comes of it.
            left = asyncio.all_tasks() - {asyncio.current_task()}
            if left:
                await asyncio.wait(left, timeout=PATIENCE)
            for connection in opened:
                await connection.close()

    asyncio.run(bounded())


_opened: ContextVar[list[AbstractConnection]] = ContextVar("_opened")


class TCPConnection(Connection):
    """stompman's, remembered."""

    @classmethod
    async def connect(cls, **options: Any) -> Self | None:
        connection = await super().connect(**options)
        if connection is not None:
            _opened.get().append(connection)
        return connection


class WSConnection(WebSocketConnection):
    """stompman's, remembered."""

    @classmethod
    async def connect(cls, **options: Any) -> Self | None:
        connection = await super().connect(**options)
        if connection is not None:
            _opened.get().append(connection)
        return connection


@asynccontextmanager
async def client(
    server: Serving, transport: str, token: str, **options: Any
) -> AsyncIterator[stompman.Client]:
    host, port = server.address(transport)
    path = "/ws" if transport == "ws" else None
    async with stompman.Client(
        [stompman.ConnectionParameters(host, port, "ada", token, path)],
        connection_class=WSConnection if transport == "ws" else TCPConnection,
        connect_retry_attempts=1,
        connect_retry_interval=0,
        **options,
    ) as stomp_client:
        yield stomp_client


async def subscribe(
    stomp_client: stompman.Client, destination: str
) -> tuple[stompman.AutoAckSubscription, asyncio.Queue[stompman.MessageFrame]]:
    """A subscription that the server has confirmed, and what it gets."""
    messages: asyncio.Queue[stompman.MessageFrame] = asyncio.Queue()
    subscription = await stomp_client.subscribe(
        destination,
        messages.put,
        on_suppressed_exception=lambda error, frame: None,
        receipt_timeout=PATIENCE,
    )
    return subscription, messages


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_whole_session(server: Serving, destination: str, transport: str) -> None:
    async def story() -> None:
        bodies = [b"hello", b"", "größer als ASCII: €".encode(), b"\0\n\0", b"x" * 100_000]
        async with client(server, transport, server.mint("ada")) as stomp_client:
            subscription, messages = await subscribe(stomp_client, destination)
            for body in bodies:
                await stomp_client.send(
                    body, destination, headers={"x-note": "a:b\\c\n"}, receipt_timeout=PATIENCE
                )
            for body in bodies:
                message = await messages.get()
                assert message.body == body
                assert message.headers["destination"] == destination
                assert message.headers["x-note"] == "a:b\\c\n"  # type: ignore[typeddict-item]
            async with stomp_client.begin() as transaction:
                await transaction.send(b"together", destination)
                await stomp_client.send(b"before", destination)
                assert (await messages.get()).body == b"before"
            assert (await messages.get()).body == b"together"
            await subscription.unsubscribe()
            await stomp_client.send(b"nobody hears it", destination, receipt_timeout=PATIENCE)
            assert messages.empty()

    run(story)


def test_heart_beats(server: Serving) -> None:
    async def story() -> None:
        # An interval of 0 on either side would make stompman busy.
        beats = stompman.Heartbeat(1000, 1000)
        async with (
            client(server, "tcp", server.mint("ada"), heartbeat=beats) as over_tcp,
            client(server, "ws", server.mint("ada"), heartbeat=beats) as over_websocket,
        ):
            await asyncio.sleep(3)  # the server gives up a silent client after 2
            assert over_tcp.is_alive()
            assert over_websocket.is_alive()

    run(story)
    assert "heartbeat-timeout" not in server.log


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_expiry_is_an_error(server: Serving, destination: str, transport: str) -> None:
    errors: list[tuple[float, dict[str, Any]]] = []

    def on_error(frame: stompman.ErrorFrame) -> None:
        errors.append((time.time(), dict(frame.headers)))

    expires_at = time.time() + 1

    async def story() -> None:
        token = server.mint("ada", exp=expires_at)
        async with client(server, transport, token, on_error_frame=on_error) as stomp_client:
            await subscribe(stomp_client, destination)
            await asyncio.sleep(PATIENCE)

    # It comes back by itself, with the token that it has, and gives up when that is refused.
    with pytest.raises(BaseExceptionGroup) as caught:
        run(story)
    assert caught.group_contains(stompman.FailedAllConnectAttemptsError)
    ((at, headers),) = errors
    assert 0 <= at - expires_at < 1
    assert headers["message"] == "Token Expired"
    assert headers["error-code"] == "token-expired"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_bad_token_is_refused(server: Serving, transport: str) -> None:
    async def story() -> None:
        async with client(server, transport, "garbage"):
            pytest.fail("it was let in")

    with pytest.raises(stompman.FailedAllConnectAttemptsError) as caught:
        run(story)
    assert caught.value.issues
