"""A wire between a client and a server that can be held, cut and looked into."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream, TaskGroup
from tests.adapters.contract.world import port

__all__ = ["Relay", "relay", "stomp_frames"]

# Small, so that what is held does not disappear in the kernel.
_KERNEL_BUFFER = 32 * 1024
_CHUNK = 64 * 1024


class Relay:
    """Every connection through it, and what clients have sent over each.

    Args:
        transport: "ws" or "tcp".
        target: the server's port.
    """

    def __init__(self, transport: str, target: int) -> None:
        self.port = 0
        #: Bytes of the clients, by connection, in the order in which they were opened.
        self.sent: list[bytearray] = []
        self.open = 0
        self._transport = transport
        self._target = target
        self._streams: set[SocketStream] = set()
        self._may_pass = anyio.Event()
        self._may_pass.set()

    @property
    def url(self) -> str:
        """What a client dials."""
        return {
            "ws": f"ws://127.0.0.1:{self.port}/ws",
            "tcp": f"stomp://127.0.0.1:{self.port}",
        }[self._transport]

    @property
    def is_held(self) -> bool:
        """Whether nothing passes."""
        return not self._may_pass.is_set()

    def hold(self) -> None:
        """Nothing passes any more, either way, but for a chunk that is on its way."""
        self._may_pass = anyio.Event()

    def go_on(self) -> None:
        """It passes again."""
        self._may_pass.set()

    async def cut(self) -> None:
        """End every connection, and drop what is held."""
        for stream in list(self._streams):
            await anyio.aclose_forcefully(stream)

    def frames(self) -> list[list[str]]:
        """The frames that clients have sent, by connection; each must be whole."""
        return [stomp_frames(bytes(data), self._transport) for data in self.sent]

    async def serve(self, tasks: TaskGroup) -> None:
        """Listen, in `tasks`."""
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        raw = listener.extra(SocketAttribute.raw_socket)  # noqa: S610 - not Django's
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _KERNEL_BUFFER)
        self.port = raw.getsockname()[1]

        async def accept() -> None:
            async with listener:
                await listener.serve(self._serve)

        tasks.start_soon(accept)

    async def _serve(self, client: SocketStream) -> None:
        record = bytearray()
        self.sent.append(record)
        self.open += 1
        try:
            async with client, await anyio.connect_tcp("127.0.0.1", self._target) as server:
                self._streams |= {client, server}
                try:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(self._pass_on, client, server, record)
                        await self._pass_on(server, client, None)
                        tasks.cancel_scope.cancel()
                finally:
                    self._streams -= {client, server}
        except OSError:
            pass  # the server is gone
        finally:
            self.open -= 1

    async def _pass_on(
        self, source: SocketStream, target: SocketStream, record: bytearray | None
    ) -> None:
        with contextlib.suppress(
            anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError
        ):
            while True:
                await self._may_pass.wait()
                data = await source.receive(_CHUNK)
                if record is not None:
                    record += data
                await self._may_pass.wait()
                await target.send(data)
        gone = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError)
        with contextlib.suppress(*gone, RuntimeError):  # which is what uvloop calls it
            await target.send_eof()


@asynccontextmanager
async def relay(server: Any, transport: str) -> AsyncIterator[Relay]:
    """A relay to this server, on a port of its own."""
    made = Relay(transport, port(server, transport))
    async with anyio.create_task_group() as tasks:
        await made.serve(tasks)
        await anyio.sleep(0.005)  # what that has started has started
        try:
            yield made
        finally:
            tasks.cancel_scope.cancel()


def stomp_frames(data: bytes, transport: str) -> list[str]:
    """What a client has sent, as frames; nothing may be left of one that is not whole."""
    if data and transport == "ws":
        _request, end, data = data.partition(b"\r\n\r\n")
        assert end, "the request is not whole"
        data = _unframed(data)
    *frames, rest = data.decode().split("\0")
    assert rest.strip("\n") == "", f"half a frame: {rest[-200:]!r}"
    return [frame.lstrip("\n") for frame in frames]


def _unframed(data: bytes) -> bytes:
    """The payloads of a client's WebSocket messages, without what is no message."""
    payloads, at = bytearray(), 0
    while at < len(data):
        opcode, size, at = data[at] & 0x0F, data[at + 1] & 0x7F, at + 2
        if size >= 126:
            length = {126: 2, 127: 8}[size]
            size, at = int.from_bytes(data[at : at + length], "big"), at + length
        mask, payload, at = data[at : at + 4], data[at + 4 : at + 4 + size], at + 4 + size
        assert at <= len(data), "half a WebSocket frame"
        key = (mask * (size // 4 + 1))[:size]
        plain = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
        if opcode < 8:
            payloads += plain.to_bytes(size, "big")
    return bytes(payloads)
