"""Bad input over real sockets: an answer and a close for its sender, nothing for anybody else.

That none of it is an error in our log is checked for every test of this suite.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
from tests.adapters.contract.conftest import Tls
from tests.adapters.contract.peers import connect_frame, ended, peer
from tests.adapters.contract.runtime import Runtime
from tests.adapters.contract.tokens import KEY, mint
from tests.adapters.contract.world import QUICK, ROOM, collect, port, url

from stompcore import ServerConfig
from stompcore.pyjwt import JWTVerifier

OTHER_KEY = "another secret of more than thirty-two bytes"
HUGE = b"SEND\ndestination:/topic/a\ncontent-length:2000000\n\n"
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SLOW = {"half a frame", "nothing at all"}  # it takes the login time-out to answer them
CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\n\n"


def connect(key: str = KEY, algorithm: str = "HS256", **changed: Any) -> bytes:
    """A CONNECT whose token is not quite the right one; None leaves a claim out."""
    claims = {"sub": "eve", "exp": time.time() + 60, "iss": "us", "aud": "stomp", **changed}
    kept = {name: value for name, value in claims.items() if value is not None}
    return connect_frame(jwt.encode(kept, key, algorithm))


def bad_inputs() -> dict[str, tuple[bytes, str]]:
    """What is sent, and the `error-code` that answers it."""
    good = connect()
    return {
        "no token": (b"CONNECT\naccept-version:1.2\n\n\0", "token-missing"),
        "garbage token": (connect_frame("garbage"), "token-invalid"),
        "alg none": (connect("", "none"), "token-invalid"),
        "wrong key": (connect(OTHER_KEY), "token-invalid"),
        "wrong algorithm": (connect(KEY * 2, "HS512"), "token-invalid"),
        "no exp": (connect(exp=None), "token-invalid"),
        "text exp": (connect(exp="tomorrow"), "token-invalid"),
        "already expired": (connect(exp=time.time() - 1), "token-expired"),
        "wrong issuer": (connect(iss="them"), "token-invalid"),
        "wrong audience": (connect(aud="them"), "token-invalid"),
        "not yet valid": (connect(nbf=time.time() + 60), "token-invalid"),
        "half a frame": (b"CONNECT\naccept-version:1.2\n", "login-timeout"),
        "nothing at all": (b"", "login-timeout"),
        "garbage bytes": (b"\1" + os.urandom(40).replace(b"\n", b"x") + b"\0", "malformed-frame"),
        "unknown command": (good + b"MEOW\n\n\0", "protocol-violation"),
        "a frame before CONNECT": (b"SEND\ndestination:/topic/a\n\nx\0", "protocol-violation"),
        "a second CONNECT": (good + good, "protocol-violation"),
        "a server's frame": (good + b"RECEIPT\nreceipt-id:1\n\n\0", "protocol-violation"),
        "content-length is no number": (
            good + b"SEND\ndestination:/topic/a\ncontent-length:ten\n\nx\0",
            "malformed-frame",
        ),
        "content-length is too short": (
            good + b"SEND\ndestination:/topic/a\ncontent-length:1\n\nxyz\0",
            "malformed-frame",
        ),
        "content-length is too long": (good + HUGE, "limit-exceeded"),
        "no destination": (good + b"SEND\n\nx\0", "malformed-frame"),
        "unknown version": (b"CONNECT\naccept-version:9.9\n\n\0", "unsupported-version"),
        "too large before login": (b"CONNECT\nx:" + b"x" * 70_000, "limit-exceeded"),
    }


@asynccontextmanager
async def with_neighbour(runtime: Runtime, **options: Any) -> AsyncIterator[Any]:
    """A server with somebody on it whose connection and messages nothing may touch."""
    verifier = JWTVerifier(KEY, algorithms=["HS256"], issuer="us", audience="stomp")
    token = mint("neighbour", iss="us", aud="stomp")
    trust = options.pop("trust", None)
    async with (
        runtime.serve(config=QUICK, verifier=verifier, **options) as server,
        runtime.connect(url(server, "ws"), token=token, ssl=trust) as client,
        client.subscribe(ROOM) as messages,
        runtime.background() as background,
    ):
        got: list[str] = []
        background.start(lambda: collect(messages, got))
        ids = [each.session_id for each in server.hub]
        await client.send(ROOM, "before")
        yield server
        await client.send(ROOM, "after")
        await runtime.until(lambda: got == ["before", "after"])
        await runtime.until(lambda: len(server.connections) == 1)
        assert [each.session_id for each in server.hub] == ids


@pytest.mark.parametrize("name", bad_inputs())
def test_over_tcp(runtime: Runtime, name: str) -> None:
    stomp(runtime, "tcp", name)


@pytest.mark.parametrize("name", sorted(bad_inputs().keys() - SLOW))
def test_over_websocket(runtime: Runtime, name: str) -> None:
    stomp(runtime, "ws", name)


def stomp(runtime: Runtime, transport: str, name: str) -> None:
    data, error_code = bad_inputs()[name]

    async def body(runtime: Runtime) -> None:
        async with with_neighbour(runtime) as server:
            mine = await peer(runtime, server, transport)
            if transport == "ws" and name == "garbage bytes":
                await mine.send(b"\x01\x02garbage\0")  # a text message is always UTF-8
            else:
                await mine.send(data)
            await mine.to_the_end()
            errors = [frame for frame in mine.frames if frame.startswith("ERROR\n")]
            assert errors == mine.frames[-1:]
            assert f"\nerror-code:{error_code}\n" in errors[0]
            assert (mine.close is not None) == (transport == "ws")
            await mine.raw.close()

    runtime.run(body)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", 426),
        (b"POST /ws HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405),
        (CLIENT_HELLO, 400),
        (b"CONNECT\naccept-version:1.2\n\n\0", 400),
        (b"GET /ws HTTP/1.1\r\nX: " + b"x" * 70_000, 431),
        (b"GET /ws HTT", 408),
        (b"", 408),
    ],
    ids=["path", "no upgrade", "method", "TLS", "STOMP", "huge", "half", "nothing"],
)
def test_handshakes(runtime: Runtime, data: bytes, status: int) -> None:
    async def body(runtime: Runtime) -> None:
        async with with_neighbour(runtime) as server:
            raw = await runtime.dial(port(server, "ws"))
            await raw.send(data)
            answer = await raw.read_all()
            assert answer.startswith(f"HTTP/1.1 {status} ".encode())
            await raw.close()

    runtime.run(body)


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://good.example", 101), ("https://evil.example", 403), (None, 101)],
    ids=["allowed", "not allowed", "no browser"],
)
def test_origins(runtime: Runtime, origin: str | None, status: int) -> None:
    """A page of somebody else's cannot use its reader's connection; what is no browser can."""

    async def body(runtime: Runtime) -> None:
        config = ServerConfig(origins=["https://good.example"])
        async with runtime.serve(config=config) as server:
            raw = await runtime.dial(port(server, "ws"))
            line = "" if origin is None else f"Origin: {origin}\r\n"
            await raw.send(HANDSHAKE[:-2] + line.encode() + b"\r\n")
            answer = b""
            while b"\r\n\r\n" not in answer:
                chunk = await raw.receive()
                assert chunk, answer
                answer += chunk
            assert answer.startswith(f"HTTP/1.1 {status} ".encode())
            if status != 101:
                await raw.read_all()  # which comes to its end
            await raw.close()

    runtime.run(body)


def test_no_login_over_websocket(runtime: Runtime) -> None:
    """The handshake is in time; what should come behind it is not."""

    async def body(runtime: Runtime) -> None:
        async with with_neighbour(runtime) as server:
            mine = await peer(runtime, server, "ws")
            began_at = time.monotonic()
            assert await ended(mine) == "login-timeout"
            assert time.monotonic() - began_at < QUICK.limits.login_timeout + 1.0
            assert mine.close == (3008, "Login Timeout")

    runtime.run(body)


def test_garbage_behind_the_handshake(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        async with with_neighbour(runtime) as server:
            raw = await runtime.dial(port(server, "ws"))
            await raw.send(HANDSHAKE + b"\xff" * 100)
            answer = await raw.read_all()
            assert b"\nerror-code:malformed-frame\n" in answer
            assert (1002).to_bytes(2) + b"Malformed Frame" in answer
            await raw.close()

    runtime.run(body)


@pytest.mark.parametrize(
    "data",
    [b"\xff" * 200, b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", CLIENT_HELLO, b""],
    ids=["garbage", "HTTP", "half a hello", "nothing"],
)
def test_no_tls_on_a_tls_port(runtime: Runtime, data: bytes, tls: Tls) -> None:
    async def body(runtime: Runtime) -> None:
        async with with_neighbour(runtime, ssl=tls.server, trust=tls.client) as server:
            raw = await runtime.dial(port(server, "tcp"))
            await raw.send(data)
            began_at = time.monotonic()
            await raw.read_all()  # an alert, at most
            assert time.monotonic() - began_at < QUICK.limits.handshake_timeout + 1.0
            await raw.close()

    runtime.run(body)


@pytest.mark.parametrize(
    "data", [b"", b"CONN", connect_frame(mint())], ids=["nothing", "half", "login"]
)
def test_who_leaves_early(runtime: Runtime, transport: str, data: bytes) -> None:
    """A half-close, and then a reset, in the middle of it: no answer is owed, nothing stays."""

    async def body(runtime: Runtime) -> None:
        async with with_neighbour(runtime) as server:
            polite = await peer(runtime, server, transport)
            if data:
                await polite.send(data)
            await polite.raw.send_eof()
            while await polite.raw.receive():
                pass
            await polite.raw.close()
            rude = await peer(runtime, server, transport)
            if data:
                await rude.send(data)
            await rude.raw.close()

    runtime.run(body)


def test_a_crowd_of_bad_peers(runtime: Runtime) -> None:
    """A hundred at once, each in its own way, beside one that means well."""

    async def body(runtime: Runtime) -> None:
        async with with_neighbour(runtime) as server:
            inputs = [data for data, _ in bad_inputs().values()]
            raws = []
            for number in range(100):
                raws.append(await runtime.dial(port(server, ("tcp", "ws")[number % 2])))
                await raws[-1].send(inputs[number % len(inputs)])
            for raw in raws:
                await raw.close()

    runtime.run(body)
