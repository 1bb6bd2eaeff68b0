"""Bad input over real sockets: an answer and a close for its sender, nothing for anybody else."""

from __future__ import annotations

import logging
import os
import time

import jwt
import pytest
from tests.adapters.contract.runtime import (
    KEY,
    QUICK,
    Runtime,
    collect,
    complaints,
    mint,
    port,
    raw_connect,
    url,
)
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Request, TextMessage

from stompcore import Limits, ServerConfig
from stompcore.pyjwt import JWTVerifier

ROOM = "/topic/room"
OTHER_KEY = "another secret of more than thirty-two bytes"
HUGE = b"SEND\ndestination:/topic/a\ncontent-length:2000000\n\n"
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def claims(**changed: object) -> bytes:
    """A CONNECT whose token has other claims; None leaves one out."""
    all_claims = {"sub": "eve", "exp": time.time() + 60, "iss": "us", "aud": "stomp", **changed}
    kept = {name: value for name, value in all_claims.items() if value is not None}
    return raw_connect(jwt.encode(kept, KEY, "HS256"))


def forged(key: str, algorithm: str) -> bytes:
    token = jwt.encode(
        {"sub": "eve", "exp": time.time() + 60, "iss": "us", "aud": "stomp"}, key, algorithm
    )
    return raw_connect(token)


def bad_inputs() -> dict[str, tuple[bytes, str]]:
    good = claims()
    return {
        "no token": (b"CONNECT\naccept-version:1.2\n\n\0", "token-missing"),
        "garbage token": (raw_connect("garbage"), "token-invalid"),
        "alg none": (forged("", "none"), "token-invalid"),
        "wrong key": (forged(OTHER_KEY, "HS256"), "token-invalid"),
        "wrong algorithm": (forged(KEY * 2, "HS512"), "token-invalid"),
        "no exp": (claims(exp=None), "token-invalid"),
        "text exp": (claims(exp="tomorrow"), "token-invalid"),
        "already expired": (claims(exp=time.time() - 1), "token-expired"),
        "wrong issuer": (claims(iss="them"), "token-invalid"),
        "wrong audience": (claims(aud="them"), "token-invalid"),
        "not yet valid": (claims(nbf=time.time() + 60), "token-invalid"),
        "half a frame": (b"CONNECT\naccept-version:1.2\n", "login-timeout"),
        "nothing at all": (b"", "login-timeout"),
        "garbage bytes": (os.urandom(40).replace(b"\n", b"x") + b"\0", "malformed-frame"),
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


@pytest.mark.parametrize("name", bad_inputs())
def test_bad_input(runtime: Runtime, name: str, caplog: pytest.LogCaptureFixture) -> None:
    data, error_code = bad_inputs()[name]

    async def body(runtime: Runtime) -> None:
        verifier = JWTVerifier(KEY, algorithms=["HS256"], issuer="us", audience="stomp")
        neighbour = jwt.encode(
            {"sub": "n", "exp": time.time() + 60, "iss": "us", "aud": "stomp"}, KEY, "HS256"
        )
        async with (
            runtime.serve(config=QUICK, verifier=verifier) as server,
            runtime.connect(url(server, "ws"), token=neighbour) as client,
            client.subscribe(ROOM) as messages,
            runtime.background() as background,
        ):
            got: list[str] = []
            background.start(lambda: collect(messages, got))
            await client.send(ROOM, "before")
            raw = await runtime.dial(port(server, "tcp"))
            await raw.send(data)
            answer = await raw.read_all()
            await raw.close()
            assert f"\nerror-code:{error_code}\n".encode() in answer
            assert answer.count(b"ERROR\n") == 1
            assert answer.endswith(b"\0")
            await client.send(ROOM, "after")
            await runtime.until(lambda: got == ["before", "after"])
            await runtime.until(lambda: len(server.connections) == 1)

    with caplog.at_level(logging.DEBUG):
        runtime.run(body)
    assert complaints(caplog.records) == []


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", 426),
        (b"\x16\x03\x01\x02\x00\x01\x00\n\n", 400),
        (b"GET /ws HTTP/1.1\r\nX: " + b"x" * 70_000, 431),
        (b"GET /ws HTT", 408),
        (b"", 408),
    ],
    ids=["path", "no upgrade", "TLS", "huge", "half", "nothing"],
)
def test_bad_handshakes(
    runtime: Runtime, data: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK) as server:
            raw = await runtime.dial(port(server, "ws"))
            await raw.send(data)
            answer = await raw.read_all()
            assert answer.startswith(f"HTTP/1.1 {status} ".encode())
            await raw.close()
            await runtime.until(lambda: not server.connections)

    with caplog.at_level(logging.DEBUG):
        runtime.run(body)
    assert complaints(caplog.records) == []


def test_what_a_websocket_peer_sees(runtime: Runtime) -> None:
    """The exact ERROR, then the Close 3000 `Token Expired`, read by somebody else's WebSocket."""

    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK) as server:
            raw = await runtime.dial(port(server, "ws"))
            wire = WSConnection(ConnectionType.CLIENT)
            await raw.send(wire.send(Request(host="x", target="/ws", subprotocols=["v12.stomp"])))
            texts: list[str] = []
            closes: list[tuple[int, str | None]] = []
            while not closes:
                wire.receive_data(await raw.receive())
                for event in wire.events():
                    match event:
                        case AcceptConnection():
                            assert event.subprotocol == "v12.stomp"
                            frame = raw_connect(mint(ttl=0.4))
                            await raw.send(wire.send(TextMessage(data=frame.decode())))
                        case TextMessage():
                            texts.append(event.data)
                        case CloseConnection():
                            closes.append((event.code, event.reason))
                            await raw.send(wire.send(event.response()))
            assert await raw.read_all() == b""
            await raw.close()
            assert closes == [(3000, "Token Expired")]
            assert texts[0].startswith("CONNECTED\nversion:1.2\n")
            assert texts[1:] == [
                "ERROR\nmessage:Token Expired\nerror-code:token-expired\n"
                "content-type:text/plain\ncontent-length:62\n\n"
                "The access token has expired. Get a new one and connect again.\0"
            ]

    runtime.run(body)


def test_garbage_behind_the_handshake(runtime: Runtime, caplog: pytest.LogCaptureFixture) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK) as server:
            raw = await runtime.dial(port(server, "ws"))
            await raw.send(HANDSHAKE + b"\xff" * 100)
            answer = await raw.read_all()
            assert b"\nerror-code:malformed-frame\n" in answer
            assert (1002).to_bytes(2) + b"Malformed Frame" in answer
            await raw.close()

    with caplog.at_level(logging.DEBUG):
        runtime.run(body)
    assert complaints(caplog.records) == []


def test_a_crowd_of_bad_peers(runtime: Runtime, caplog: pytest.LogCaptureFixture) -> None:
    """A hundred at once, each in its own way, beside one that means well."""

    async def body(runtime: Runtime) -> None:
        config = ServerConfig(limits=Limits(login_timeout=0.5, close_timeout=0.5))
        async with (
            runtime.serve(config=config) as server,
            runtime.connect(url(server, "ws"), token=mint()) as client,
            client.subscribe(ROOM) as messages,
            runtime.background() as background,
        ):
            got: list[str] = []
            background.start(lambda: collect(messages, got))
            inputs = [data for data, _ in bad_inputs().values()]
            streams = []
            for number in range(100):
                raw = await runtime.dial(port(server, "tcp"))
                await raw.send(inputs[number % len(inputs)])
                streams.append(raw)
            for number in range(20):
                await client.send(ROOM, str(number))
            for raw in streams:
                await raw.close()
            await runtime.until(lambda: len(got) == 20)
            await runtime.until(lambda: len(server.connections) == 1)

    with caplog.at_level(logging.DEBUG):
        runtime.run(body)
    assert complaints(caplog.records) == []
