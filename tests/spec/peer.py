"""Peers of one `Hub`, written by hand: bytes in, bytes out, in virtual time.

Nothing here uses our own encoder or decoder: what a server must send is written down in bytes.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tests.websocket.wire import TEXT, closes, frames, request
from tests.websocket.wire import frame as ws_frame

from stompcore import (
    Close,
    Connected,
    ErrorCode,
    Headers,
    HeartBeat,
    Hub,
    Identity,
    Limits,
    Rejected,
    Sent,
    ServerConfig,
    ServerSession,
    Token,
    TokenVerifier,
)
from stompcore.websocket import ServerEndpoint

__all__ = [
    "NOW",
    "NO_BEATS",
    "WRONG",
    "Doorman",
    "Heard",
    "Peer",
    "WebSocketPeer",
    "World",
    "connect",
    "decoded",
    "duet",
    "frame",
    "joined",
    "receipt",
    "send",
    "split",
    "subscribe",
]

NOW = 1_700_000_000.0
NO_BEATS = HeartBeat(send_interval=0, receive_interval=0)
MAX_TURNS = 10_000
#: The passcode that nobody gets in with.
WRONG = "wrong"


# --- frames, written by hand ------------------------------------------------------------------


def frame(command: str, *lines: str, body: bytes = b"", eol: str = "\n") -> bytes:
    """A frame's bytes, its header lines as they stand here."""
    return eol.join([command, *lines, "", ""]).encode() + body + b"\0"


def connect(version: str | None, *lines: str) -> bytes:
    """CONNECT; a version of None leaves `accept-version` out."""
    offer = () if version is None else (f"accept-version:{version}",)
    return frame("CONNECT", *offer, "host:h", *lines)


def send(body: bytes = b"x", *lines: str, to: str = "/topic/a") -> bytes:
    """SEND."""
    return frame("SEND", f"destination:{to}", *lines, body=body)


def subscribe(key: str = "0", *lines: str, to: str = "/topic/a") -> bytes:
    """SUBSCRIBE with an id."""
    return frame("SUBSCRIBE", f"id:{key}", f"destination:{to}", *lines)


def receipt(receipt_id: str) -> bytes:
    """The RECEIPT of every version, whole."""
    return b"RECEIPT\nreceipt-id:" + receipt_id.encode() + b"\n\n\0"


class Heard(NamedTuple):
    """A frame that the server has sent; its header lines as they stood on the wire."""

    command: str
    lines: tuple[str, ...]
    body: bytes

    def get(self, name: str) -> str | None:
        """The first value of a header, its escapes untouched."""
        return next(iter(self.all(name)), None)

    def all(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        return [line[len(name) + 1 :] for line in self.lines if line.startswith(f"{name}:")]


def split(data: bytes) -> list[Heard]:
    """The frames in `data`, which holds nothing else but line feeds between them."""
    found = []
    while data := data.lstrip(b"\n"):
        head, blank, rest = data.partition(b"\n\n")
        assert blank, data
        command, *lines = head.decode().split("\n")
        lengths = [line.partition(":")[2] for line in lines if line.startswith("content-length:")]
        size = int(lengths[0]) if lengths else rest.index(b"\0")
        assert rest[size : size + 1] == b"\0", data
        found.append(Heard(command, tuple(lines), rest[:size]))
        data = rest[size + 1 :]
    return found


# --- the server -------------------------------------------------------------------------------


class Doorman:
    """A verifier that believes every `login` and refuses one passcode. Notes what it was shown.

    Args:
        lifetime: seconds that each token lives; infinite for never expiring.
    """

    def __init__(self, lifetime: float = math.inf) -> None:
        self.lifetime = lifetime
        self.seen: list[tuple[str | None, str | None]] = []

    def verify(self, token: Token | None, *, headers: Headers, now: float) -> Identity:
        passcode = None if token is None else token.reveal()
        login = headers.get("login")
        self.seen.append((login, passcode))
        if passcode == WRONG:
            raise Rejected(ErrorCode.TOKEN_INVALID, "This token cannot be verified.")
        expires_at = None if math.isinf(self.lifetime) else now + self.lifetime
        return Identity(subject=login or "anonymous", expires_at=expires_at, is_anonymous=not login)


class World:
    """One hub and everybody who is connected to it.

    Args:
        heart_beat: of the server.
        doorman: its verifier, unless `verifier` names another one.
        server: its name.
        leeway: for the clocks of those who make tokens, in seconds.
        limits: of `Limits`.
    """

    def __init__(
        self,
        *,
        heart_beat: HeartBeat = NO_BEATS,
        doorman: Doorman | None = None,
        verifier: TokenVerifier | None = None,
        server: str = "stompcore",
        leeway: float = 0,
        **limits: Any,
    ) -> None:
        self.now = NOW
        self.doorman = doorman or Doorman()
        self.config = ServerConfig(
            heart_beat=heart_beat, server=server, leeway=leeway, limits=Limits(**limits)
        )
        self.hub = Hub(self.config, verifier=verifier or self.doorman)
        self.peers: dict[str, Peer] = {}

    def open(self) -> Peer:
        """A peer that has not said anything."""
        session = self.hub.open(f"s-{len(self.peers)}", now=self.now)
        return Peer(self, session, session)

    def connect(self, version: str | None, *lines: str) -> Peer:
        """A peer whose CONNECTED has come, and was read."""
        peer = self.open()
        peer.say(connect(version, *lines))
        (connected,) = peer.hear()
        assert connected.command == "CONNECTED"
        return peer

    def open_websocket(self, **headers: str) -> WebSocketPeer:
        """A peer behind its WebSocket handshake."""
        session = self.hub.open(f"s-{len(self.peers)}", now=self.now)
        peer = WebSocketPeer(self, session, ServerEndpoint(session, self.config, now=self.now))
        peer.say(request(**headers))
        peer.handshake = peer.raw()
        assert peer.handshake.startswith(b"HTTP/1.1 101 ")
        return peer

    def wait(self, seconds: float) -> None:
        """Time passes; every timer fires when it is due."""
        until = self.now + seconds
        for _ in range(MAX_TURNS):
            deadlines = {
                peer: at
                for peer in self.peers.values()
                if (at := peer.machine.next_deadline()) is not None and at <= until
            }
            if not deadlines:
                self.now = until
                return
            self.now = max(self.now, min(deadlines.values()))
            for peer, at in deadlines.items():
                if at <= self.now:
                    peer.machine.handle_timeout(now=self.now)
                    self.process(peer)
        raise AssertionError("timers never end")

    def process(self, peer: Peer) -> None:
        """What a binding does after every call."""
        for session_id in self.hub.process(peer.session.session_id, now=self.now):
            self.peers[session_id].take()


class Peer:
    """One client, and all that it has heard.

    Args:
        world: where it is.
        session: its session on the server.
        machine: what its transport feeds.
    """

    def __init__(
        self, world: World, session: ServerSession, machine: ServerSession | ServerEndpoint
    ) -> None:
        self.world = world
        self.session = session
        self.machine = machine
        self.is_reading = True
        self._heard = b""
        world.peers[session.session_id] = self

    def say(self, *data: bytes) -> None:
        """Bytes leave in one piece and arrive."""
        self.machine.receive_data(b"".join(data), now=self.world.now)
        self.world.process(self)

    def drip(self, data: bytes) -> None:
        """Bytes arrive one by one."""
        for at in range(len(data)):
            self.say(data[at : at + 1])

    def leave(self) -> None:
        """The connection is lost."""
        self.machine.receive_eof(now=self.world.now)
        self.world.process(self)

    def take(self) -> None:
        """The transport takes what the server has for it, unless it is stuck."""
        hub, own_id = self.world.hub, self.session.session_id
        for _ in range(MAX_TURNS):
            chunks = self.machine.data_to_send() if self.is_reading else []
            if not chunks:
                return
            self._heard += b"".join(chunks)
            if hub.is_holding_back(own_id):
                hub.refill(own_id, now=self.world.now)
        raise AssertionError("the server never stops")

    def raw(self) -> bytes:
        """All bytes that have come since the last look."""
        self.take()
        heard, self._heard = self._heard, b""
        return heard

    def hear(self) -> list[Heard]:
        """All frames that have come since the last look."""
        return split(self.raw())

    def ask(self, *data: bytes) -> bytes:
        """Say something, and have the answer's bytes."""
        self.say(*data)
        return self.raw()

    def get(self) -> Heard:
        """The one MESSAGE that has come since the last look."""
        (message,) = self.hear()
        assert message.command == "MESSAGE", message
        return message

    def bodies(self) -> list[bytes]:
        """Of the MESSAGEs, and nothing but MESSAGEs, that have come since the last look."""
        heard = self.hear()
        assert {each.command for each in heard} <= {"MESSAGE"}, heard
        return [each.body for each in heard]

    def error(self, *data: bytes) -> Heard:
        """Say something that is answered with an ERROR and the end, and nothing else."""
        self.say(*data)
        (error,) = self.hear()
        assert error.command == "ERROR", error
        assert self.is_over()
        return error

    def is_over(self) -> bool:
        """Whether the server has closed its side, and hears nothing any more."""
        answer = self.ask(frame("SEND", "destination:/topic/a", "receipt:over"))
        return not answer and (self.has_sent_all() or self.is_closed())

    def has_sent_all(self) -> bool:
        """Whether the server has closed its side, and only reads."""
        return self.machine.send_eof

    def is_closed(self) -> bool:
        """Whether the server has closed the connection."""
        return self.machine.closed

    def close(self) -> Close | None:
        """The WebSocket close that the session ends with."""
        return self.session.close


class WebSocketPeer(Peer):
    """One client behind a WebSocket; `say` and `raw` are the stream's, below its frames.

    `handshake` is what the server has answered before the first frame.
    """

    handshake = b""

    def message(self, *payloads: bytes, opcode: int = TEXT) -> None:
        """One WebSocket message for each payload."""
        self.say(b"".join(ws_frame(opcode, each, masked=True) for each in payloads))

    def messages(self) -> list[tuple[int, bytes]]:
        """The opcode and payload of every WebSocket frame since the last look."""
        return frames(self.raw())

    def closes(self) -> list[Close]:
        """The Close frames since the last look, which may follow other frames."""
        return closes(self.raw())


# --- short ways to begin ----------------------------------------------------------------------


def joined(version: str | None, *lines: str, **settings: Any) -> Peer:
    """The only peer of a world of its own."""
    return World(**settings).connect(version, *lines)


def duet(version: str, *, to: str = "/topic/a", **settings: Any) -> tuple[Peer, Peer]:
    """Ann, who may speak, and Bob, who listens to `to` as subscription 0."""
    world = World(**settings)
    ann, bob = world.connect(version, "login:ann"), world.connect(version, "login:bob")
    assert bob.ask(subscribe(to=to)) == b""
    return ann, bob


def decoded(version: str, *lines: str) -> Headers:
    """What the server makes of the header lines of a SEND."""
    session = ServerSession(ServerConfig(), session_id="s", now=NOW, verifier=Doorman())
    session.receive_data(connect(version) + send(b"", *lines), now=NOW)
    connected, sent = session.next_event(), session.next_event()
    assert isinstance(connected, Connected)
    assert isinstance(sent, Sent)
    return sent.headers
