"""What a peer reads and when, byte for byte: the ERROR, the close, and nothing after the expiry."""

from __future__ import annotations

import contextlib
import time

import pytest
from tests.adapters.contract.conftest import Tls
from tests.adapters.contract.peers import connect_frame, peer, send_frame, subscriber
from tests.adapters.contract.runtime import Runtime
from tests.adapters.contract.tokens import mint
from tests.adapters.contract.world import PATIENT, QUICK, ROOM, resident, url

EXPIRED = (
    "ERROR\nmessage:Token Expired\nerror-code:token-expired\n"
    "content-type:text/plain\ncontent-length:62\n\n"
    "The access token has expired. Get a new one and connect again."
)


def test_the_farewell_to_the_byte(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=PATIENT) as server:
            mine = await peer(runtime, server, transport)
            await mine.send(connect_frame(mint(ttl=0.3)))
            await mine.to_the_end()
            assert mine.frames[0].startswith("CONNECTED\nversion:1.2\n")
            assert mine.frames[1:] == [EXPIRED]
            if transport == "ws":
                assert mine.close == (3000, "Token Expired")  # and both have said Close
            else:
                assert len(server.connections) == 1  # the other half is still open
                await mine.raw.close()
            await runtime.until(lambda: not server.connections)

    runtime.run(body)


def test_over_tcp_only_the_servers_half_is_closed(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=PATIENT) as server:
            mine = await peer(runtime, server, "tcp")
            await mine.send(connect_frame(mint(ttl=0.3)))
            await mine.to_the_end()
            for _ in range(5):
                await mine.send(send_frame(ROOM, "nobody hears this"))
                await runtime.sleep(0.01)
            assert await mine.raw.receive() == b""  # and not a reset
            await mine.raw.close()
            await runtime.until(lambda: not server.connections)

    runtime.run(body)


def test_a_peer_that_never_closes_is_gone_in_time(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK) as server:
            mine = await peer(runtime, server, transport)
            await mine.send(connect_frame(mint(ttl=0.2)))
            await runtime.until(lambda: len(server.hub) == 0)
            began_at = time.monotonic()
            await runtime.until(lambda: not server.connections)
            assert time.monotonic() - began_at < QUICK.limits.close_timeout + 1.0

    runtime.run(body)


@pytest.mark.parametrize(
    ("transport", "is_tls"), [("tcp", False), ("ws", False), ("ws", True)], ids=["tcp", "ws", "wss"]
)
def test_a_flood_does_not_drown_the_error(
    runtime: Runtime, transport: str, is_tls: bool, tls: Tls
) -> None:
    async def body(runtime: Runtime) -> None:
        server_tls, client_tls = tls if is_tls else (None, None)
        async with runtime.serve(config=QUICK, ssl=server_tls) as server:
            mine = await peer(runtime, server, transport, client_tls)
            await mine.send(connect_frame(mint(ttl=0.3)))
            flood = b"".join(mine.wrap(send_frame("/topic/nobody", "x" * 2000)) for _ in range(20))
            poured = 0

            async def pour() -> None:
                nonlocal poured
                with contextlib.suppress(OSError):
                    while True:
                        await mine.raw.send(flood)
                        poured += 1
                        await runtime.sleep(0)

            async with runtime.background() as background:
                before = resident()
                background.start(pour)
                await mine.until("Token Expired")
                assert mine.frames[1:] == [EXPIRED]
                began_at = time.monotonic()
                at_error = poured
                await runtime.until(lambda: poured > at_error)  # which is still drained
                await runtime.until(lambda: not server.connections)
                assert time.monotonic() - began_at < QUICK.limits.close_timeout + 1.0
                assert resident() - before < 32 * 1024

    runtime.run(body)


def test_a_subscriber_that_only_listens_is_cut_off(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=QUICK) as server,
            runtime.connect(url(server, transport), token=mint("talker")) as talker,
            runtime.background() as background,
        ):
            expires_at = time.time() + 0.5
            listener = await subscriber(runtime, server, transport, exp=expires_at)

            async def talk() -> None:
                while True:
                    await talker.send(ROOM, f"at {time.time()!r}")
                    await runtime.sleep(0.002)

            background.start(talk)
            await listener.until("Token Expired")
            cut_at = time.time()
            assert expires_at <= cut_at < expires_at + 1.0
            await listener.to_the_end()
            *messages, error = listener.frames[2:]
            assert error == EXPIRED
            sent_at = [float(frame.rpartition("at ")[2]) for frame in messages]
            assert len(sent_at) > 10
            assert max(sent_at) < expires_at
            await listener.raw.close()

    runtime.run(body)
