"""Peers that are not ours: STOMP frames by hand, over a bare stream or wsproto."""

from __future__ import annotations

import abc
import ssl as ssl_module
from typing import Any

from tests.adapters.contract.runtime import Raw, Runtime
from tests.adapters.contract.tokens import mint
from tests.adapters.contract.world import ROOM, port
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Request, TextMessage

__all__ = [
    "Peer",
    "connect_frame",
    "ended",
    "logged_in",
    "peer",
    "refused",
    "send_frame",
    "subscribe_frame",
    "subscriber",
]


def connect_frame(token: str) -> bytes:
    """A CONNECT frame."""
    return f"CONNECT\naccept-version:1.2\npasscode:{token}\n\n\0".encode()


def send_frame(destination: str, body: str, **headers: str) -> bytes:
    """A SEND frame."""
    lines = "".join(f"{name.replace('_', '-')}:{value}\n" for name, value in headers.items())
    return f"SEND\ndestination:{destination}\n{lines}\n{body}\0".encode()


def subscribe_frame(destination: str, subscription: str = "0", **headers: str) -> bytes:
    """A SUBSCRIBE frame, which asks for a receipt: "ready" and the id of the subscription."""
    lines = "".join(f"{name.replace('_', '-')}:{value}\n" for name, value in headers.items())
    return (
        f"SUBSCRIBE\nid:{subscription}\ndestination:{destination}\n"
        f"receipt:ready {subscription}\n{lines}\n\0"
    ).encode()


class Peer(abc.ABC):
    """One connection, and what came over it."""

    def __init__(self, raw: Raw) -> None:
        self.raw = raw
        self.frames: list[str] = []
        self.close: tuple[int, str | None] | None = None

    @abc.abstractmethod
    def wrap(self, data: bytes) -> bytes:
        """`data` as it goes over the stream."""

    @abc.abstractmethod
    async def read(self) -> bool:
        """Read on; False at the end of the stream."""

    async def send(self, data: bytes) -> None:
        """Send `data`, framed."""
        await self.raw.send(self.wrap(data))

    async def until(self, text: str) -> None:
        """Read until a frame holds `text`."""
        while not any(text in frame for frame in self.frames):
            assert await self.read(), self.frames

    def bodies(self, subscription: str = "0") -> list[str]:
        """The bodies of the MESSAGEs for one subscription so far."""
        return [
            frame.partition("\n\n")[2]
            for frame in self.frames
            if frame.lstrip("\n").startswith("MESSAGE\n")
            and f"\nsubscription:{subscription}\n" in frame
        ]

    async def hear(self, subscription: str, destination: str, **headers: str) -> None:
        """Subscribe, and wait until that is done."""
        await self.send(subscribe_frame(destination, subscription, **headers))
        await self.until(f"receipt-id:ready {subscription}\n")

    async def messages(self, count: int, subscription: str = "0") -> list[str]:
        """Read on until there are so many MESSAGEs for one subscription; their bodies."""
        while len(bodies := self.bodies(subscription)) < count:
            assert await self.read(), self.frames[-3:]
        return bodies

    async def to_the_end(self) -> None:
        """Read until the stream has ended."""
        while await self.read():
            pass


class _TcpPeer(Peer):
    def __init__(self, raw: Raw) -> None:
        super().__init__(raw)
        self._data = b""

    def wrap(self, data: bytes) -> bytes:
        return data

    async def read(self) -> bool:
        data = await self.raw.receive()
        *frames, self._data = (self._data + data).split(b"\0")
        self.frames += [frame.decode() for frame in frames]
        assert data or not self._data, "the stream ended inside a frame"
        return bool(data)


class _WebSocketPeer(Peer):
    def __init__(self, raw: Raw) -> None:
        super().__init__(raw)
        self.is_open = False
        self.answers_close = True
        self._wire = WSConnection(ConnectionType.CLIENT)
        self._text = ""

    def request(self) -> bytes:
        return self._wire.send(Request(host="x", target="/ws", subprotocols=["v12.stomp"]))

    def wrap(self, data: bytes) -> bytes:
        return self._wire.send(TextMessage(data=data.decode()))

    async def read(self) -> bool:
        data = await self.raw.receive()
        if not data or self.close is not None:
            return bool(data)
        self._wire.receive_data(data)
        for event in self._wire.events():
            match event:
                case AcceptConnection():
                    assert event.subprotocol == "v12.stomp"
                    self.is_open = True
                case TextMessage() | BytesMessage():
                    assert isinstance(event, TextMessage)
                    self._text += event.data
                    if event.message_finished:
                        assert self._text[-1] == "\0"
                        self.frames.append(self._text[:-1])
                        self._text = ""
                case CloseConnection():
                    self.close = (event.code, event.reason)
                    await self.raw.send(self._wire.send(event.response()))
        return True


async def peer(
    runtime: Runtime, server: Any, transport: str, tls: ssl_module.SSLContext | None = None
) -> Peer:
    """A peer that has said nothing of STOMP yet."""
    raw = await runtime.dial(port(server, transport), tls)
    if transport == "tcp":
        return _TcpPeer(raw)
    made = _WebSocketPeer(raw)
    await raw.send(made.request())
    while not made.is_open:
        assert await made.read(), "the handshake was refused"
    return made


async def subscriber(runtime: Runtime, server: Any, transport: str, **token: Any) -> Peer:
    """A peer that is connected and subscribed to ROOM; `token` as of `mint`."""
    made = await peer(runtime, server, transport)
    await made.send(connect_frame(mint("listener", **token)))
    await made.send(f"SUBSCRIBE\nid:0\ndestination:{ROOM}\nreceipt:ready\n\n\0".encode())
    await made.until("receipt-id:ready")
    return made


async def logged_in(
    runtime: Runtime, server: Any, transport: str, subject: str = "alice", **token: Any
) -> Peer:
    """A peer that is connected; `token` as of `mint`."""
    made = await peer(runtime, server, transport)
    await made.send(connect_frame(mint(subject, **token)))
    await made.until("CONNECTED")
    return made


async def refused(runtime: Runtime, server: Any, transport: str, token: str) -> str:
    """The `error-code` that answers a CONNECT with this token."""
    made = await peer(runtime, server, transport)
    await made.send(connect_frame(token))
    return await ended(made)


async def ended(peer: Peer) -> str:
    """Read to the end of a peer that is being cut off, and close; the `error-code` of its ERROR."""
    await peer.to_the_end()
    await peer.raw.close()
    error = peer.frames[-1]
    assert error.startswith("ERROR\n"), peer.frames
    return error.partition("\nerror-code:")[2].partition("\n")[0]
