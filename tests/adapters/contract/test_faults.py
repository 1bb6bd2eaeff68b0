"""What goes wrong around a connection: servers go, peers flood, readers do not read."""

from __future__ import annotations

import contextlib
import resource
import time

import pytest
from tests.adapters.contract.runtime import (
    QUICK,
    Runtime,
    TokenServer,
    collect,
    mint,
    open_files,
    port,
    raw_connect,
    url,
)

from stompcore import (
    AuthenticationFailed,
    Client,
    ClientConfig,
    ConnectionState,
    HeartBeat,
    Limits,
    LocalProtocolError,
    OutboxFull,
    ServerConfig,
    StaleEpoch,
    TokenRequest,
    Unauthorized,
)
from stompcore._config import Backoff

ROOM = "/topic/room"
FAST = ClientConfig(backoff=Backoff(minimum=0.05, maximum=0.2))


def test_a_flooding_peer_reads_its_error_to_the_end(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK) as server:
            raw = await runtime.dial(port(server, "tcp"))
            await raw.send(raw_connect(mint(ttl=0.5)))
            flood = b"SEND\ndestination:/topic/nobody\n\n" + b"x" * 2000 + b"\0"
            sent = 0

            async def pour() -> None:
                nonlocal sent
                with contextlib.suppress(OSError):
                    while True:
                        await raw.send(flood * 20)
                        sent += 20
                        await runtime.sleep(0)

            async with runtime.background() as background:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                background.start(pour)
                received = await raw.read_all()
                at_error = sent
                await runtime.until(lambda: sent > at_error)  # still pouring, still being drained
                began_at = time.monotonic()
                await runtime.until(lambda: not server.connections)
                assert time.monotonic() - began_at < QUICK.limits.close_timeout + 1.0
                after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            assert b"\nerror-code:token-expired\n" in received
            assert received.endswith(b"\0")
            assert after - before < 32 * 1024  # kilobytes
            await raw.close()

    runtime.run(body)


def test_a_reader_that_does_not_read(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        config = ServerConfig(limits=Limits(send_backlog=256 * 1024, close_timeout=0.5))
        async with (
            runtime.serve(config=config) as server,
            runtime.connect(url(server, "ws"), token=mint()) as client,
        ):
            raw = await runtime.dial(port(server, "tcp"))
            await raw.send(raw_connect(mint("sloth")))
            await raw.send(f"SUBSCRIBE\nid:0\ndestination:{ROOM}\nreceipt:r\n\n\0".encode())
            await raw.read_until(b"receipt-id:r")
            for _ in range(400):
                await client.send(ROOM, b"x" * 60_000)
                if len(server.hub) == 1:
                    break
            assert len(server.hub) == 1  # the sloth's session is over, the publisher's is not
            await runtime.until(lambda: len(server.connections) == 1)
            await client.send(ROOM, "still here")
            await raw.close()

    runtime.run(body)


def test_a_reader_that_stops_for_too_long(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        limits = Limits(send_backlog=1 << 30, send_backlog_timeout=0.5, close_timeout=0.3)
        async with (
            runtime.serve(config=ServerConfig(limits=limits)) as server,
            runtime.connect(url(server, "ws"), token=mint()) as client,
        ):
            raw = await runtime.dial(port(server, "tcp"))
            await raw.send(raw_connect(mint("sloth")))
            await raw.send(f"SUBSCRIBE\nid:0\ndestination:{ROOM}\nreceipt:r\n\n\0".encode())
            await raw.read_until(b"receipt-id:r")
            for _ in range(150):
                await client.send(ROOM, b"x" * 60_000)
            await runtime.until(lambda: len(server.hub) == 1)
            await runtime.until(lambda: len(server.connections) == 1)
            await raw.close()

    runtime.run(body)


def test_the_server_goes_and_comes_back(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        tokens = TokenServer()
        where = {"ws": "websocket", "tcp": "tcp"}[transport]
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
            async with runtime.module.serve(
                verifier=runtime.verifier(),
                config=QUICK,
                **{where: ("127.0.0.1", port(first, transport))},
            ):
                await runtime.until(lambda: sent and got)
                await client.close()
        assert got == ["written while nobody was there"]
        assert len(tokens.requests) == 1  # the token was good all the time

    runtime.run(body)


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
            for number in range(5):
                for connection in list(server.connections.values()):
                    connection.abort()
                await client.send(ROOM, str(number))
            await runtime.until(lambda: "4" in got)
            # Confirmed means that it has arrived; cut off, a confirmation may be lost.
            assert list(dict.fromkeys(got)) == [str(number) for number in range(5)]

    runtime.run(body)


def test_a_silent_server(runtime: Runtime) -> None:
    """Half-open: it accepted, and says nothing more."""

    async def body(runtime: Runtime) -> None:
        beats = HeartBeat(send_interval=0.1, receive_interval=0.1)
        config = ClientConfig(heart_beat=beats, backoff=FAST.backoff)
        async with (
            runtime.serve(config=ServerConfig(heart_beat=beats)) as server,
            runtime.connect(url(server, "ws"), token=mint(), config=config) as client,
        ):
            await runtime.sleep(0.5)
            assert client.state is ConnectionState.CONNECTED  # both keep the other alive
            assert len(server.hub) == 1
            await client.send(ROOM, "after many beats")

    runtime.run(body)


def test_no_token_ever(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async def source(request: TokenRequest) -> str:
            raise Unauthorized("log in again")

        async with runtime.serve(config=QUICK) as server:
            with pytest.raises(Unauthorized):
                async with runtime.connect(url(server, transport), token=source):
                    raise AssertionError("it was never connected")

    runtime.run(body)


async def read_to_the_end(client: Client) -> None:
    async with client.subscribe(ROOM) as messages:
        async for _ in messages:
            raise AssertionError("nobody sent anything")


def test_a_static_token_that_expires(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK) as server:
            async with runtime.connect(url(server, transport), token=mint(ttl=0.5)) as client:
                with pytest.raises(Unauthorized):
                    await read_to_the_end(client)
                with pytest.raises(Exception, match="closed"):
                    await client.send(ROOM, "too late")

    runtime.run(body)


def test_a_source_of_expired_tokens_is_no_endless_loop(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        tokens = TokenServer(ttl=-1.0)
        async with runtime.serve(config=QUICK) as server:
            with pytest.raises(AuthenticationFailed, match="Token Expired"):
                async with runtime.connect(url(server, transport), token=tokens, config=FAST):
                    raise AssertionError("it was never connected")
        assert len(tokens.requests) == 3

    runtime.run(body)


def test_a_source_that_fails_now_and_then(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        tries = 0

        async def source(request: TokenRequest) -> str:
            nonlocal tries
            tries += 1
            if tries < 3:
                raise RuntimeError("the auth server is busy")
            return mint()

        async with (
            runtime.serve(config=QUICK) as server,
            runtime.connect(url(server, "ws"), token=source, config=FAST) as client,
        ):
            await client.send(ROOM, "in the end")
        assert tries == 3

    runtime.run(body)


def test_misuse_and_refusals(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        config = ClientConfig(outbox_size=1000, backoff=FAST.backoff)
        async with (
            runtime.serve(config=QUICK) as server,
            runtime.connect(url(server, transport), token=mint(), config=config) as client,
        ):
            with pytest.raises(OutboxFull):
                await client.send(ROOM, b"x" * 2000)
            with pytest.raises(LocalProtocolError):
                await client.send(ROOM, b"x", {"receipt": "mine"})
            with pytest.raises(Exception, match="protocol-violation"):
                await client.send("/nowhere", "x")
            with pytest.raises(Exception, match="protocol-violation"):
                async with client.subscribe("/nowhere"):
                    raise AssertionError("there is no such place")
            async with client.subscribe(ROOM, ack="client") as messages:
                await client.send(ROOM, "to be acknowledged")
                async for message in messages:
                    await client.ack(message)
                    break
                for connection in list(server.connections.values()):
                    connection.abort()
                await runtime.until(lambda: client.state is not ConnectionState.CONNECTED)
                with pytest.raises(StaleEpoch):
                    await client.nack(message)
            await client.send(ROOM, "and the client lives on")

    runtime.run(body)


def test_drain(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        files = open_files()
        async with runtime.serve(config=QUICK) as server:
            raw = await runtime.dial(port(server, "tcp"))
            await raw.send(raw_connect(mint()))
            await raw.read_until(b"\0")
            async with runtime.background() as background:
                goodbye: list[bytes] = []

                async def listen() -> None:
                    goodbye.append(await raw.read_all())
                    await raw.close()

                background.start(listen)
                began_at = time.monotonic()
                await server.drain()
                assert time.monotonic() - began_at < QUICK.limits.close_timeout + 1.0
                await runtime.until(lambda: goodbye)
            assert b"\nerror-code:going-away\n" in goodbye[0]
            with pytest.raises(OSError, match=r"onnect"):
                await runtime.dial(port(server, transport))
        await runtime.until(lambda: open_files() <= files)

    runtime.run(body)


def test_a_taken_port(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK) as server:
            files = open_files()
            taken = port(server, "tcp")
            with pytest.raises(OSError, match="in use"):
                async with runtime.serve(config=QUICK, tcp=("127.0.0.1", taken)):
                    raise AssertionError("two servers on one port")
            await runtime.until(lambda: open_files() <= files)

    runtime.run(body)
