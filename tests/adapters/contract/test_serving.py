"""`serve`: how it begins and how it ends."""

from __future__ import annotations

import socket
import time
from functools import partial

import pytest
from tests.adapters.contract.conftest import Tls
from tests.adapters.contract.peers import connect_frame, peer
from tests.adapters.contract.runtime import Runtime, open_files
from tests.adapters.contract.tokens import TokenServer, mint
from tests.adapters.contract.world import FAST, PATIENT, QUICK, ROOM, collect, port, url

from stompcore import ConnectionState, Limits, ServerConfig

TRANSPORTS = {"ws": "websocket", "tcp": "tcp"}


def test_drain_tells_everybody(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=PATIENT) as server:
            mine = await peer(runtime, server, transport)
            await mine.send(connect_frame(mint()))
            await mine.until("CONNECTED")
            async with runtime.background() as background:

                async def listen() -> None:
                    await mine.to_the_end()
                    await mine.raw.close()

                background.start(listen)
                began_at = time.monotonic()
                await server.drain()
                assert time.monotonic() - began_at < 3.0
            assert "\nerror-code:going-away\n" in mine.frames[-1]
            if transport == "ws":
                assert mine.close is not None
                assert mine.close[0] == 1001
            with pytest.raises(OSError, match=r"onnect"):
                await runtime.dial(port(server, transport))

    runtime.run(body)


def test_drain_waits_for_nobody_for_ever(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK) as server:
            deaf = await peer(runtime, server, transport)
            await deaf.send(connect_frame(mint()))
            await deaf.until("CONNECTED")
            began_at = time.monotonic()
            await server.drain()
            assert time.monotonic() - began_at < QUICK.limits.close_timeout + 1.0
            assert not server.connections

    runtime.run(body)


def test_the_port_is_free_at_once(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        where = TRANSPORTS[transport]
        at = 0
        for number in range(3):
            async with (
                runtime.serve(config=QUICK, **{where: ("127.0.0.1", at)}) as server,
                runtime.connect(url(server, transport), token=mint()) as client,
            ):
                at = port(server, transport)
                await client.send(ROOM, str(number))

    runtime.run(body)


def test_the_server_goes_and_comes_back(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        tokens = TokenServer()
        async with (
            runtime.serve(config=QUICK) as first,
            runtime.connect(url(first, transport), token=tokens, config=FAST) as client,
            client.subscribe(ROOM) as messages,
            runtime.background() as background,
        ):
            sent: list[str] = []
            got: list[str] = []

            async def send() -> None:
                await client.send(ROOM, "written while nobody was there")
                sent.append("confirmed")

            background.start(lambda: collect(messages, got))
            await first.drain()
            await runtime.until(lambda: client.state is not ConnectionState.CONNECTED)
            background.start(send)
            await runtime.sleep(0.3)
            assert sent == []
            where = {TRANSPORTS[transport]: ("127.0.0.1", port(first, transport))}
            async with runtime.serve(config=QUICK, **where):
                await runtime.until(lambda: sent and got)
                await client.close()
        assert got == ["written while nobody was there"]
        assert len(tokens.requests) == 1  # the token was good all the time

    runtime.run(body)


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
def test_who_comes_at_the_last_moment(runtime: Runtime, is_tls: bool, tls: Tls) -> None:
    """Accepted, or not yet, or in the middle of a TLS handshake, as the server is left."""

    async def body(runtime: Runtime) -> None:
        config = ServerConfig(limits=Limits(handshake_timeout=0.1, close_timeout=0.1))

        async def leave(late: socket.socket, turns: int) -> None:
            async with runtime.serve(config=config, ssl=tls.server if is_tls else None) as server:
                late.connect(("127.0.0.1", port(server, "tcp")))
                for _ in range(turns):
                    await runtime.sleep(0)
            assert not server.connections

        for turns in range(6):
            with socket.socket() as late:
                began_at = time.monotonic()
                await runtime.leaves_nothing(partial(leave, late, turns))
                assert time.monotonic() - began_at < 2 * 0.1 + 1.0

    runtime.run(body)


@pytest.mark.parametrize("taken", ["ws", "tcp"])
def test_a_taken_port(runtime: Runtime, taken: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK) as server:
            options = {"websocket": ("127.0.0.1", 0), "tcp": ("127.0.0.1", 0)}
            options[TRANSPORTS[taken]] = ("127.0.0.1", port(server, taken))
            files = open_files()

            async def enter() -> None:
                async with runtime.serve(config=QUICK, **options):
                    raise AssertionError("two servers on one port")

            await runtime.leaves_nothing(enter, raises=OSError)
            assert open_files() <= files
            async with runtime.connect(url(server, taken), token=mint()) as client:
                await client.send(ROOM, "the first one does not mind")

    runtime.run(body)
