"""Cancelled anywhere, nothing is left behind: no task, no socket."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest
from tests.adapters.contract.conftest import Tls
from tests.adapters.contract.runtime import Runtime
from tests.adapters.contract.tokens import TokenServer, mint
from tests.adapters.contract.world import FAST, QUICK, ROOM, port, url

from stompcore import ClientClosed, ConnectionState, TokenRequest


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """A port to which no connection can be opened: its queue is full, and nobody accepts."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as stack:
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        yield full.getsockname()[1]


def test_while_nobody_listens(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK) as server:
            gone = url(server, "ws")

        async def wait() -> None:
            async with runtime.connect(gone, token=mint(), config=FAST):
                raise AssertionError("there is nobody")

        await runtime.leaves_nothing(wait, limit=0.3, raises=TimeoutError)

    runtime.run(body)


def test_while_dialling(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        with black_hole() as port:

            async def wait() -> None:
                async with runtime.connect(f"ws://127.0.0.1:{port}", token=mint()):
                    raise AssertionError("nobody has accepted")

            await runtime.leaves_nothing(wait, limit=0.2, raises=TimeoutError)

    runtime.run(body)


def test_while_fetching_a_token(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        async def never(request: TokenRequest) -> str:
            await runtime.sleep(3600)
            raise AssertionError("for ever is over")

        async with runtime.serve(config=QUICK) as server:

            async def wait() -> None:
                async with runtime.connect(url(server, "ws"), token=never, config=FAST):
                    raise AssertionError("there is no token")

            await runtime.leaves_nothing(wait, limit=0.2, raises=TimeoutError)
            assert not server.connections

    runtime.run(body)


def test_while_reading(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK) as server:

            async def read() -> None:
                async with (
                    runtime.connect(url(server, transport), token=mint(), config=FAST) as client,
                    client.subscribe(ROOM) as messages,
                ):
                    await anext(messages)

            await runtime.leaves_nothing(read, limit=0.2, raises=TimeoutError)
            await runtime.until(lambda: not server.connections)

    runtime.run(body)


@pytest.mark.parametrize(
    ("transport", "is_tls"), [("tcp", False), ("ws", True)], ids=["tcp", "wss"]
)
def test_at_every_turn_of_the_loop(
    runtime: Runtime, transport: str, is_tls: bool, tls: Tls
) -> None:
    """A whole life, cancelled after none, one, two... turns of the loop."""

    async def body(runtime: Runtime) -> None:
        server_tls, client_tls = tls if is_tls else (None, None)
        async with (
            runtime.serve(config=QUICK, ssl=server_tls) as server,
            runtime.background() as background,
        ):
            ended: list[str] = []

            async def live() -> None:
                try:
                    async with (
                        runtime.connect(
                            url(server, transport), token=TokenServer(), ssl=client_tls, config=FAST
                        ) as client,
                        client.subscribe(ROOM) as messages,
                    ):
                        for number in range(3):
                            await client.send(ROOM, str(number))
                            await anext(messages)
                    ended.append("in peace")
                finally:
                    ended.append("left")

            turns = 0
            while "in peace" not in ended:

                async def cut() -> None:
                    ended.clear()
                    cancel = background.start(live)
                    for _ in range(turns):  # noqa: B023 - it is awaited in this very turn
                        await runtime.sleep(0)
                    cancel()
                    # One that was cancelled before it ever ran has nothing to say.
                    await runtime.until(lambda: ended or turns < 2)  # noqa: B023

                await runtime.leaves_nothing(cut)
                await runtime.until(lambda: not server.connections)
                turns += 1
                assert turns < 300, "it never came to its end"

    runtime.run(body)


def test_an_exception_of_the_body_comes_out_as_it_is(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async def err() -> None:
            async with (
                runtime.serve(config=QUICK) as server,
                runtime.connect(url(server, transport), token=TokenServer()) as client,
                client.subscribe(ROOM),
            ):
                raise KeyError("mine")

        await runtime.leaves_nothing(err, raises=KeyError)

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
        async with (
            runtime.serve(config=QUICK) as server,
            runtime.connect(url(server, transport), token=mint(), config=FAST) as client,
        ):
            await client.close()
            await client.close()
            with pytest.raises(ClientClosed):
                await client.send(ROOM, "too late")
            assert port(server, transport)

    runtime.run(body)
