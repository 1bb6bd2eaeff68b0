"""The two endpoints, and the other side of each written by hand, byte for byte."""

from __future__ import annotations

import base64
import hashlib
import struct

from stompcore._auth import AllowAll, TokenVerifier
from stompcore._config import ClientConfig, HeartBeat, ServerConfig
from stompcore._connection import ClientConnection
from stompcore._events import ConnectionEvent, Disconnected, ServerEvent
from stompcore._machine import Close
from stompcore._server import ServerSession
from stompcore._state import EndpointState
from stompcore._url import parse_url
from stompcore.websocket import ClientEndpoint, ServerEndpoint

NOW = 1000.0
NO_BEATS = HeartBeat(send_interval=0, receive_interval=0)
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
CONNECT = b"CONNECT\naccept-version:1.2\nhost:h\n\n\0"
CONNECTED = b"CONNECTED\nversion:1.2\n\n\0"

TEXT, BINARY, CONTINUATION = 1, 2, 0
CLOSE, PING, PONG = 8, 9, 10


# --- frames, written and read by hand ---------------------------------------------------------


def frame(opcode: int, payload: bytes = b"", *, masked: bool, fin: bool = True) -> bytes:
    """One WebSocket frame (RFC 6455 section 5.2)."""
    first = opcode | (0x80 if fin else 0)
    mask_bit = 0x80 if masked else 0
    if len(payload) < 126:
        head = bytes([first, mask_bit | len(payload)])
    elif len(payload) < 1 << 16:
        head = bytes([first, mask_bit | 126]) + struct.pack("!H", len(payload))
    else:
        head = bytes([first, mask_bit | 127]) + struct.pack("!Q", len(payload))
    if not masked:
        return head + payload
    key = b"\x01\x02\x03\x04"
    return head + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


def close_payload(code: int, reason: str = "") -> bytes:
    return struct.pack("!H", code) + reason.encode()


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """The opcode and payload of every frame in `data`, which holds nothing else."""
    found = []
    while data:
        opcode, length = data[0] & 0x0F, data[1] & 0x7F
        assert data[0] & 0x80, "no endpoint of ours sends fragments"
        masked, at = bool(data[1] & 0x80), 2
        if length == 126:
            length, at = int(struct.unpack("!H", data[2:4])[0]), 4
        elif length == 127:
            length, at = int(struct.unpack("!Q", data[2:10])[0]), 10
        key = data[at : at + 4] if masked else b"\0\0\0\0"
        at += 4 if masked else 0
        payload = data[at : at + length]
        assert len(payload) == length
        found.append((opcode, bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))))
        data = data[at + length :]
    return found


# --- the server's side ------------------------------------------------------------------------


def request(target: str = "/ws", *, method: str = "GET", **headers: str | None) -> bytes:
    """An opening handshake; a header given as None is left out."""
    fields: dict[str, str | None] = {
        "Host": "h",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": KEY,
    }
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def new_server(
    config: ServerConfig | None = None, *, verifier: TokenVerifier | None = None
) -> ServerEndpoint:
    """An endpoint that has not seen a byte."""
    config = config or ServerConfig(heart_beat=NO_BEATS)
    session = ServerSession(config, session_id="s", now=NOW, verifier=verifier or AllowAll())
    return ServerEndpoint(session, config, now=NOW)


def open_server(
    config: ServerConfig | None = None, *, verifier: TokenVerifier | None = None
) -> ServerEndpoint:
    """An endpoint behind its handshake, before CONNECT."""
    server = new_server(config, verifier=verifier)
    server.receive_data(request(), now=NOW)
    assert output(server).startswith(b"HTTP/1.1 101 ")
    return server


def connected_server(
    config: ServerConfig | None = None, *, verifier: TokenVerifier | None = None
) -> ServerEndpoint:
    """An endpoint whose session is open."""
    server = open_server(config, verifier=verifier)
    server.receive_data(frame(TEXT, CONNECT, masked=True), now=NOW)
    events(server)
    assert frames(output(server))[0][1].startswith(b"CONNECTED\n")
    return server


def state(machine: ServerEndpoint | ClientEndpoint) -> EndpointState:
    """A call, because a type checker believes that an attribute stays what it was."""
    return machine.state


def output(machine: ServerEndpoint | ClientEndpoint) -> bytes:
    return b"".join(machine.data_to_send())


def events(machine: ServerEndpoint) -> list[ServerEvent]:
    found = []
    while (event := machine.next_event()) is not None:
        found.append(event)
    return found


# --- the client's side ------------------------------------------------------------------------


def new_client(config: ClientConfig | None = None, **headers: str) -> ClientEndpoint:
    """An endpoint whose request has not been written."""
    config = config or ClientConfig(heart_beat=NO_BEATS)
    connection = ClientConnection(config, {"host": "h"}, now=NOW)
    target = parse_url("ws://h/ws?a=b")
    return ClientEndpoint(connection, target, now=NOW, headers=headers)


def answer_to(wanted: bytes, **headers: str) -> bytes:
    """The 101 that fits a client's request."""
    key = next(
        line.split(b": ")[1]
        for line in wanted.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key")
    )
    magic = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key + magic, usedforsecurity=False).digest()).decode()
    fields = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": accept,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = ["HTTP/1.1 101 Switching Protocols", *(f"{k}: {v}" for k, v in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def open_client(config: ClientConfig | None = None) -> ClientEndpoint:
    """An endpoint behind its handshake, its CONNECT written."""
    client = new_client(config)
    client.receive_data(answer_to(output(client)), now=NOW)
    assert frames(output(client))[0][1].startswith(b"CONNECT\n")
    return client


def connected_client(config: ClientConfig | None = None) -> ClientEndpoint:
    """An endpoint whose connection is open."""
    client = open_client(config)
    client.receive_data(frame(TEXT, CONNECTED, masked=False), now=NOW)
    told(client)
    return client


def told(client: ClientEndpoint) -> list[ConnectionEvent]:
    found = []
    while (event := client.next_event()) is not None:
        found.append(event)
    return found


def ending(client: ClientEndpoint) -> Disconnected:
    """The one `Disconnected`, which is the last event."""
    last = told(client)[-1]
    assert isinstance(last, Disconnected)
    return last


def closes(data: bytes) -> list[Close]:
    """The Close frames in `data`."""
    return [
        Close(struct.unpack("!H", payload[:2])[0], payload[2:].decode())
        for opcode, payload in frames(data)
        if opcode == CLOSE
    ]
