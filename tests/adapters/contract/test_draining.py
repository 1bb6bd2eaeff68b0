"""A server that goes away: spread over a window, once, and without leaving anything behind."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.adapters.contract.peers import Peer, ended, logged_in, peer, send_frame
from tests.adapters.contract.runtime import Runtime
from tests.adapters.contract.tokens import TokenServer
from tests.adapters.contract.world import FAST, PATIENT, ROOM, port, url

from stompcore import ConnectionState, HeartBeat, Limits, ServerConfig

CROWD = 40


def config(window: float, close_timeout: float = 3.0) -> ServerConfig:
    return ServerConfig(
        heart_beat=HeartBeat(send_interval=0, receive_interval=0),
        limits=Limits(close_timeout=close_timeout),
        drain_window=window,
        drain_rate=20.0,
    )


class Crowd:
    """Listeners that read to the end, and when that was."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.ended_at: list[float] = []
        self.codes: list[str] = []

    async def join(self, runtime: Runtime, server: Any, transport: str, count: int) -> None:
        for number in range(count):
            mine = await logged_in(runtime, server, transport, f"user {number}")
            await mine.hear("0", ROOM)
            self.peers.append(mine)

    def read(self, background: Any) -> None:
        """Begin to read, all of them."""
        for each in self.peers:
            background.start(lambda each=each: self._read(each))

    async def _read(self, mine: Peer) -> None:
        await mine.until("ERROR\n")
        self.ended_at.append(time.monotonic())
        self.codes.append(await ended(mine))


def test_a_crowd_goes_one_after_another(runtime: Runtime, transport: str) -> None:
    """At moments of their own within the window, each with all that was sent to it before."""

    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=config(1.0)) as server, runtime.background() as background:
            crowd = Crowd()
            await crowd.join(runtime, server, transport, CROWD)
            for number in range(10):
                server.publish(ROOM, f"{'x' * 8000} {number}".encode())
            began_at = time.monotonic()
            background.start(server.drain)
            await runtime.until(lambda: server.is_draining)
            crowd.read(background)
            await runtime.sleep(0.3)
            with pytest.raises(OSError, match=r"onnect"):
                await runtime.dial(port(server, transport))
            assert 0 < len(crowd.ended_at) < CROWD
            server.publish(ROOM, b"in between")
            began_again_at = time.monotonic()
            await server.drain()  # a second one ends with the first
            assert time.monotonic() - began_again_at < 2.0
            await runtime.until(lambda: len(crowd.codes) == CROWD)
            assert crowd.codes == ["going-away"] * CROWD
            moments = sorted(each - began_at for each in crowd.ended_at)
            assert moments[-1] - moments[0] > 0.5
            assert moments[-1] < 1.0 + 1.0
            for start in moments:
                assert sum(start <= each < start + 0.2 for each in moments) < CROWD * 3 // 4
            for each in crowd.peers:
                numbers = [text.split()[-1] for text in each.bodies()]
                assert numbers[:10] == [str(number) for number in range(10)]
                assert numbers[10:] in ([], ["between"])
                assert each.close == ((1001, "Going Away") if transport == "ws" else None)
            assert any("in between" in each.bodies() for each in crowd.peers)

    runtime.run(body)


def test_a_few_go_at_once(runtime: Runtime) -> None:
    """The window is no longer than so many sessions need, and none for nobody."""

    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=config(30.0)) as server, runtime.background() as background:
            crowd = Crowd()
            await crowd.join(runtime, server, "tcp", 2)
            crowd.read(background)
            began_at = time.monotonic()
            await server.drain()
            assert time.monotonic() - began_at < 2 / 20.0 + 1.0
            await runtime.until(lambda: len(crowd.codes) == 2)
            await server.drain()
            assert time.monotonic() - began_at < 2 / 20.0 + 1.5

    runtime.run(body)


def test_work_goes_on_until_it_is_ones_turn(runtime: Runtime, transport: str) -> None:
    """A drain tells nobody to hurry: what is sent before the ERROR is done, and has its RECEIPT."""

    async def body(runtime: Runtime) -> None:
        slow = ServerConfig(heart_beat=PATIENT.heart_beat, drain_window=0.5, drain_rate=0.1)
        async with runtime.serve(config=slow) as server, runtime.background() as background:
            mine = await logged_in(runtime, server, transport)
            await mine.hear("0", ROOM)
            background.start(server.drain)
            await runtime.until(lambda: server.is_draining)
            sent = 0
            while len(server.hub):
                await mine.send(send_frame(ROOM, str(sent), receipt=f"r{sent}"))
                sent += 1
                await runtime.sleep(0.005)
                assert sent < 500
            assert await ended(mine) == "going-away"
            receipts = [f for f in mine.frames if f.startswith("RECEIPT\nreceipt-id:r")][1:]
            assert mine.bodies() == [str(number) for number in range(len(receipts))]
            assert len(receipts) >= sent - 2

    runtime.run(body)


def test_who_is_no_session_yet_goes_too(runtime: Runtime, transport: str) -> None:
    """Connected, and not logged in; or not through the handshake, for which there is some time."""

    async def body(runtime: Runtime) -> None:
        quick = config(0.1, close_timeout=0.4)
        async with runtime.serve(config=quick) as server, runtime.background() as background:
            early = await peer(runtime, server, transport)
            raw = await runtime.dial(port(server, "ws"))
            await raw.send(b"GET /ws HTTP/1.1\r\n")
            await runtime.until(lambda: len(server.connections) == 2)
            codes: list[str] = []
            answers: list[bytes] = []

            async def hear() -> None:
                codes.append(await ended(early))

            async def read() -> None:
                answers.append(await raw.read_all())
                await raw.close()

            background.start(hear)
            background.start(read)
            began_at = time.monotonic()
            await server.drain()
            assert time.monotonic() - began_at < 0.1 + 2 * 0.4 + 0.5
            await runtime.until(lambda: codes and answers)
            assert codes == ["going-away"]
            assert answers == [b""]

    runtime.run(body)


def test_cancelled_in_the_middle(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async def live() -> None:
            async with runtime.serve(config=config(20.0, 20.0)) as server:
                crowd = Crowd()
                await crowd.join(runtime, server, transport, 5)
                try:
                    async with runtime.limit(0.1):
                        await server.drain()
                finally:
                    for each in crowd.peers:
                        await each.raw.close()

        began_at = time.monotonic()
        await runtime.leaves_nothing(live, limit=5.0, raises=TimeoutError)
        assert time.monotonic() - began_at < 2.0

    runtime.run(body)


def test_left_and_cancelled_in_the_middle(runtime: Runtime, transport: str) -> None:
    """The block itself is cancelled while it waits for deaf peers."""

    async def body(runtime: Runtime) -> None:
        crowd = Crowd()

        async def live() -> None:
            async with runtime.limit(0.4):
                async with runtime.serve(config=config(0.0, 20.0)) as server:
                    await crowd.join(runtime, server, transport, 3)
            raise AssertionError("it should have waited for them")

        async def live_and_close() -> None:
            try:
                await live()
            finally:
                for each in crowd.peers:
                    await each.raw.close()

        await runtime.leaves_nothing(live_and_close, limit=5.0, raises=TimeoutError)

    runtime.run(body)


def test_a_client_waits_for_the_next_server(runtime: Runtime, transport: str) -> None:
    """To be told to go away is no reason for a new token."""

    async def body(runtime: Runtime) -> None:
        tokens = TokenServer()
        async with (
            runtime.serve(config=config(0.2)) as server,
            runtime.connect(url(server, transport), token=tokens, config=FAST) as client,
        ):
            await server.drain()
            await runtime.until(lambda: client.state is not ConnectionState.CONNECTED)
            where = {"ws": "websocket", "tcp": "tcp"}[transport]
            address = ("127.0.0.1", port(server, transport))
            async with runtime.serve(config=config(0.2), **{where: address}):
                await client.send(ROOM, "hello again")
                await client.close()
        assert len(tokens.requests) == 1

    runtime.run(body)
