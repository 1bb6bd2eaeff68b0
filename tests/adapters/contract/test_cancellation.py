"""Cancelled anywhere, nothing is left behind: no task, no socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.adapters.contract.runtime import (
    QUICK,
    Runtime,
    TokenServer,
    mint,
    open_files,
    port,
    url,
)

from stompcore import ClientConfig, ConnectionState, TokenRequest
from stompcore._config import Backoff

ROOM = "/topic/room"
FAST = ClientConfig(backoff=Backoff(minimum=0.05, maximum=0.2), close_timeout=0.5)


async def _never(request: TokenRequest) -> str:
    await _forever()
    raise AssertionError("for ever is over")


async def _forever() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        import trio

        await trio.sleep_forever()
    await asyncio.Event().wait()


async def _leaves_nothing(
    runtime: Runtime, what: Callable[[], Any], *, exception: type[BaseException] = TimeoutError
) -> None:
    await runtime.sleep(0.05)  # what a server starts has started
    files, tasks = open_files(), runtime.tasks()
    with pytest.raises(exception):
        async with runtime.limit(0.3):
            await what()
    await runtime.until(lambda: runtime.tasks() <= tasks)
    await runtime.until(lambda: open_files() <= files)


def test_while_nobody_listens(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK) as server:
            gone = url(server, transport)

        async def what() -> None:
            async with runtime.connect(gone, token=mint(), config=FAST):
                raise AssertionError("there is nobody")

        await _leaves_nothing(runtime, what)

    runtime.run(body)


def test_while_fetching_a_token(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK) as server:

            async def what() -> None:
                async with runtime.connect(url(server, "ws"), token=_never, config=FAST):
                    raise AssertionError("there is no token")

            await _leaves_nothing(runtime, what)

    runtime.run(body)


def test_while_sending_and_reading(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK) as server:

            async def what() -> None:
                async with (
                    runtime.connect(url(server, transport), token=mint(), config=FAST) as client,
                    client.subscribe(ROOM) as messages,
                ):
                    async for _ in messages:
                        raise AssertionError("nobody sent anything")

            await _leaves_nothing(runtime, what)
            await runtime.until(lambda: not server.connections)

    runtime.run(body)


def test_an_exception_of_the_body_comes_out_as_it_is(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async def what() -> None:
            async with (
                runtime.serve(config=QUICK) as server,
                runtime.connect(url(server, transport), token=TokenServer()) as client,
                client.subscribe(ROOM),
            ):
                raise KeyError("mine")

        await _leaves_nothing(runtime, what, exception=KeyError)

    runtime.run(body)


def test_a_cancelled_send_leaves_the_client_whole(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=QUICK) as server,
            runtime.connect(url(server, transport), token=mint(), config=FAST) as client,
        ):
            for connection in list(server.connections.values()):
                connection.abort()
            await runtime.until(lambda: client.state is not ConnectionState.CONNECTED)
            with pytest.raises(TimeoutError):
                async with runtime.limit(0.001):
                    await client.send(ROOM, "never mind")
            await client.send(ROOM, "this one matters")

    runtime.run(body)


def test_close_in_the_middle(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        files, tasks = open_files(), runtime.tasks()
        async with runtime.serve(config=QUICK) as server:
            client = runtime.connect(url(server, transport), token=mint(), config=FAST)
            async with client:
                await client.close()
                await client.close()
                with pytest.raises(Exception, match="closed"):
                    await client.send(ROOM, "too late")
            assert port(server, transport)
        await runtime.until(lambda: runtime.tasks() <= tasks)
        await runtime.until(lambda: open_files() <= files)

    runtime.run(body)
