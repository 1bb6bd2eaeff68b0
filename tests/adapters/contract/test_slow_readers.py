"""Who does not read is cut off, at the cost of nobody else."""

from __future__ import annotations

import time
from typing import Any

from tests.adapters.contract.peers import ended, subscriber
from tests.adapters.contract.runtime import Runtime
from tests.adapters.contract.tokens import mint
from tests.adapters.contract.world import ROOM, collect, resident, url

from stompcore import HeartBeat, Limits, ServerConfig

BODY = b"x" * 60_000


def config(**limits: Any) -> ServerConfig:
    return ServerConfig(
        heart_beat=HeartBeat(send_interval=0, receive_interval=0), limits=Limits(**limits)
    )


def test_too_many_bytes(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        limit = 256 * 1024
        limits = config(send_backlog=limit, send_backlog_timeout=60.0, close_timeout=0.2)
        async with (
            runtime.serve(config=limits) as server,
            runtime.connect(url(server, "ws"), token=mint("publisher")) as publisher,
            publisher.subscribe("/topic/quiet") as messages,
            runtime.background() as background,
        ):
            got: list[str] = []
            background.start(lambda: collect(messages, got))
            await subscriber(runtime, server, transport)
            sloth = next(each for each in server.hub if each.identity.subject == "listener")
            before = resident()
            sent = backlog = 0
            while len(server.hub) == 2:
                await publisher.send(ROOM, BODY)
                sent += len(BODY)
                backlog = max(backlog, sloth.bytes_queued)
                assert sent < 64 * 1024 * 1024, "it was never cut off"
            assert backlog <= limit
            ended_at = time.monotonic()
            await runtime.until(lambda: len(server.connections) == 1)
            assert time.monotonic() - ended_at < 2 * limits.limits.close_timeout + 1.0
            for _ in range(50):
                await publisher.send(ROOM, BODY)
            assert resident() - before < 32 * 1024
            await publisher.send("/topic/quiet", "still here")
            await runtime.until(lambda: got == ["still here"])

    runtime.run(body)


def test_for_too_long(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        limits = config(send_backlog=1 << 30, send_backlog_timeout=0.3, close_timeout=0.2)
        async with (
            runtime.serve(config=limits) as server,
            runtime.connect(url(server, "ws"), token=mint("publisher")) as publisher,
        ):
            await subscriber(runtime, server, transport)
            for _ in range(150):
                await publisher.send(ROOM, BODY)
            await runtime.until(lambda: len(server.hub) == 1)
            assert server.hub.snapshot().slow_consumers == 1
            await runtime.until(lambda: len(server.connections) == 1)
            await publisher.send(ROOM, "still here")

    runtime.run(body)


def test_who_reads_on_hears_why(runtime: Runtime, transport: str) -> None:
    """The ERROR is not behind what it could not read in time, but in its place."""

    async def body(runtime: Runtime) -> None:
        limits = config(send_backlog=256 * 1024, close_timeout=3.0)
        async with runtime.serve(config=limits) as server:
            sloth = await subscriber(runtime, server, transport)
            sent = 0
            while len(server.hub):
                server.publish(ROOM, BODY + str(sent).encode())
                sent += 1
                await runtime.sleep(0)
                assert sent < 1000, "it was never cut off"
            assert await ended(sloth) == "slow-consumer"
            if transport == "ws":
                assert sloth.close == (1008, "Slow Consumer")
            numbers = [int(text.rpartition("x")[2]) for text in sloth.bodies()]
            assert numbers == list(range(len(numbers)))
            assert len(numbers) < sent

    runtime.run(body)


def test_who_reads_slowly_but_steadily_gets_everything(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=config()) as server,
            runtime.connect(url(server, "ws"), token=mint("publisher")) as publisher,
            runtime.background() as background,
        ):
            slow = await subscriber(runtime, server, "tcp")

            async def talk() -> None:
                for number in range(100):
                    await publisher.send(ROOM, BODY + str(number).encode())
                    await runtime.sleep(0.003)

            background.start(talk)
            while len(slow.frames) < 102:
                await runtime.sleep(0.002)
                assert await slow.read()
            numbers = [int(frame.rpartition("x")[2]) for frame in slow.frames[2:]]
            assert numbers == list(range(100))
            await slow.raw.close()

    runtime.run(body)


def test_an_expired_one_gets_nothing_more(runtime: Runtime, transport: str) -> None:
    """What waits for it when its token expires is dropped; only what has left is on its way."""

    async def body(runtime: Runtime) -> None:
        expires_at = time.time() + 0.5
        async with (
            runtime.serve(config=config(close_timeout=3.0)) as server,
            runtime.connect(url(server, "ws"), token=mint("publisher")) as publisher,
        ):
            sloth = await subscriber(runtime, server, transport, exp=expires_at)
            session = next(each for each in server.hub if each.identity.subject == "listener")
            while session.bytes_queued < 400_000:
                await publisher.send(ROOM, BODY)
            sent = 0
            for sent in range(5):
                await publisher.send(ROOM, f"queued behind {sent}")
            assert time.time() < expires_at, "this machine is too slow for this test"
            await runtime.until(lambda: len(server.hub) == 1)
            assert session.bytes_queued < 1000
            await sloth.to_the_end()
            assert "Token Expired" in sloth.frames[-1]
            assert not any("queued behind" in frame for frame in sloth.frames)
            await sloth.raw.close()

    runtime.run(body)
