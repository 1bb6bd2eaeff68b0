"""What goes wrong around a client: wires are cut, servers fall silent, users err."""

from __future__ import annotations

import socket

import pytest
from tests.adapters.contract.runtime import Runtime
from tests.adapters.contract.tokens import mint
from tests.adapters.contract.world import FAST, QUICK, ROOM, collect, url

from stompcore import (
    ClientConfig,
    ConnectionState,
    HeartBeat,
    LocalProtocolError,
    OutboxFull,
    SendRefused,
    ServerConfig,
    StaleEpoch,
    SubscriptionRefused,
)


def test_the_wire_is_cut(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=QUICK) as server,
            runtime.connect(url(server, transport), token=mint(), config=FAST) as client,
            client.subscribe(ROOM) as messages,
            runtime.background() as background,
        ):
            got: list[str] = []
            background.start(lambda: collect(messages, got))
            for number in range(3):
                for connection in list(server.connections.values()):
                    connection.abort()
                await client.send(ROOM, str(number))
            await runtime.until(lambda: "2" in got)
            # Confirmed means that it has arrived; cut off, a confirmation may be lost.
            assert list(dict.fromkeys(got)) == [str(number) for number in range(3)]

    runtime.run(body)


def test_both_keep_the_other_alive(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        beats = HeartBeat(send_interval=0.1, receive_interval=0.1, tolerance=4.0)
        config = ClientConfig(heart_beat=beats, backoff=FAST.backoff)
        async with (
            runtime.serve(config=ServerConfig(heart_beat=beats)) as server,
            runtime.connect(url(server, "ws"), token=mint(), config=config) as client,
        ):
            sessions = [each.session_id for each in server.hub]
            await runtime.sleep(0.6)
            await client.send(ROOM, "after many beats")
            assert [each.session_id for each in server.hub] == sessions

    runtime.run(body)


@pytest.mark.parametrize("scheme", ["ws", "stomps"])
def test_a_server_that_never_answers(runtime: Runtime, scheme: str) -> None:
    """The kernel accepts for it, and that is all. The client tries again until it is told off."""

    async def body(runtime: Runtime) -> None:
        with socket.create_server(("127.0.0.1", 0)) as mute:
            mute.setblocking(False)
            address = f"{scheme}://127.0.0.1:{mute.getsockname()[1]}"
            config = ClientConfig(backoff=FAST.backoff, connect_timeout=0.1, dial_timeout=0.1)

            async def wait() -> None:
                async with runtime.connect(address, token=mint(), config=config):
                    raise AssertionError("nobody said CONNECTED")

            await runtime.leaves_nothing(wait, limit=0.4, raises=TimeoutError)
            for _ in range(2):
                accepted, _address = mute.accept()
                with accepted:
                    accepted.settimeout(2.0)
                    while accepted.recv(65536):
                        pass

    runtime.run(body)


def test_misuse_and_refusals(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        config = ClientConfig(outbox_size=1000, backoff=FAST.backoff)
        async with (
            runtime.serve(config=QUICK) as server,
            runtime.connect(url(server, "ws"), token=mint(), config=config) as client,
        ):
            with pytest.raises(OutboxFull):
                await client.send(ROOM, b"x" * 2000)
            with pytest.raises(LocalProtocolError):
                await client.send(ROOM, b"x", {"receipt": "mine"})
            with pytest.raises(SendRefused, match="protocol-violation"):
                await client.send("/nowhere", "x")
            with pytest.raises(SubscriptionRefused, match="protocol-violation"):
                async with client.subscribe("/nowhere"):
                    raise AssertionError("there is no such place")
            async with client.subscribe(ROOM, ack="client") as messages:
                await client.send(ROOM, "to be acknowledged")
                message = await anext(messages)
                await client.ack(message)
                for connection in list(server.connections.values()):
                    connection.abort()
                await runtime.until(lambda: client.state is not ConnectionState.CONNECTED)
                with pytest.raises(StaleEpoch):
                    await client.nack(message)
            await client.send(ROOM, "and the client lives on")

    runtime.run(body)
