"""One WebSocket peer, as cheap as it can be: bytes made beforehand, and no state machine.

It believes the server, so it proves nothing about conformance; many thousands of it fit a process.
"""

from __future__ import annotations

import asyncio
import struct
import time
from typing import cast

__all__ = ["BEAT", "HALF_HANDSHAKE", "HANDSHAKE", "NEVER", "Peer", "connect_frame", "frame"]

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: v12.stomp\r\n\r\n"
)
HALF_HANDSHAKE = HANDSHAKE[: len(HANDSHAKE) // 2]

_TEXT, _CLOSE = 1, 8
NEVER = float("inf")


def _masked(payload: bytes, opcode: int = _TEXT) -> bytes:
    """One message from a client. The mask is all zeroes: legal, and no work for us."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, 0xFE, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0xFF, size)
    return head + b"\0\0\0\0" + payload


def frame(command: str, body: bytes = b"", **headers: str) -> bytes:
    """A STOMP frame in a message; `_` in a header's name stands for `-`."""
    lines = [command, *(f"{name.replace('_', '-')}:{value}" for name, value in headers.items())]
    return _masked("\n".join([*lines, "\n"]).encode() + body + b"\0")


def connect_frame(token: str, *, heart_beat: str = "0,0") -> bytes:
    """CONNECT with `token`."""
    return frame(
        "CONNECT", accept_version="1.2", host="localhost", passcode=token, heart_beat=heart_beat
    )


BEAT = _masked(b"\n")


class Peer(asyncio.Protocol):
    """Connects, says what it has to say, and notes what it is told, and when (Unix seconds).

    Args:
        opening: what to say once the WebSocket is open. It asks for a receipt at its end.
        handshake: what to say before.
        lingers: it answers no farewell, and leaves it to the server to end the connection.
    """

    def __init__(
        self, opening: bytes = b"", *, handshake: bytes = HANDSHAKE, lingers: bool = False
    ) -> None:
        self.is_open = False
        self.status = ""  # of the answer to the handshake
        self.beats = 0
        self.receipts = 0
        self.messages = 0
        self.gaps = 0  # messages whose number does not follow on the one before
        self.message_at = NEVER
        self.error_code = ""
        self.close_code = 0
        self.told_at = NEVER  # the server said that this is the end
        self.ended_at = NEVER  # its side of the connection was closed, or the whole of it
        self._opening = opening
        self._handshake = handshake
        self._lingers = lingers
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._handshake)

    def write(self, data: bytes) -> None:
        """Send messages that are ready for the wire."""
        self.transport.write(data)

    def eof_received(self) -> bool:
        self.ended_at = time.time()
        return self._lingers

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended_at = min(self.ended_at, time.time())

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data if self._buffer else data
        position = 0 if self.is_open else self._receive_answer(data)
        while len(data) - position >= 2:
            size, body_at = data[position + 1], position + 2
            if size == 126:
                size, body_at = int.from_bytes(data[body_at : body_at + 2]), body_at + 2
            elif size == 127:
                size, body_at = int.from_bytes(data[body_at : body_at + 8]), body_at + 8
            end = body_at + size
            if end > len(data):
                break
            if data[position] & 0x0F == _CLOSE:
                self._receive_close(data[body_at:end])
            else:
                self._receive_frame(data, body_at, end)
            position = end
        self._buffer = data[position:]

    def _receive_answer(self, data: bytes) -> int:
        """To the handshake; how much of `data` it takes."""
        end = data.find(b"\r\n\r\n")
        self.status = data[9:12].decode()
        if self.status != "101":
            self.told_at = min(self.told_at, time.time())
            return len(data)
        assert end > 0, "a server writes its answer in one piece"
        self.is_open = True
        self.transport.write(self._opening)
        return end + 4

    def _receive_frame(self, data: bytes, start: int, end: int) -> None:
        if data.startswith(b"MESSAGE", start):
            body_at = data.find(b"\n\n", start, end) + 2
            # Bodies of the proofs start with their number, in eight digits.
            self.gaps += int(data[body_at : body_at + 8]) != self.messages
            self.messages += 1
            self.message_at = time.time()
        elif data.startswith(b"RECEIPT", start):
            self.receipts += 1
        elif data.startswith(b"ERROR", start):
            self.error_code = data[start:end].partition(b"error-code:")[2].split(b"\n")[0].decode()
        elif data.startswith(b"\n", start):
            self.beats += 1

    def _receive_close(self, payload: bytes) -> None:
        self.close_code = int.from_bytes(payload[:2])
        self.told_at = time.time()
        if not self._lingers:
            self.transport.write(_masked(payload[:2], _CLOSE))
