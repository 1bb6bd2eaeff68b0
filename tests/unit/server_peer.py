"""A server session, and the peer that speaks to it, written by hand."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterator
from typing import Any

from stompcore._auth import Identity, Rejected, Token, TokenVerifier
from stompcore._codec import FrameDecoder
from stompcore._config import HeartBeat, Limits, ServerConfig
from stompcore._errors import ErrorCode, LocalProtocolError
from stompcore._events import Ended, ServerEvent
from stompcore._frames import Command, Frame
from stompcore._headers import Headers
from stompcore._machine import Close
from stompcore._server import ServerSession
from stompcore._state import ServerState
from stompcore._timers import Timer

NOW = 1000.0
EXP = 1010.0
NO_BEATS = HeartBeat(send_interval=0, receive_interval=0)
MAX_EVENTS = 10_000

# The whole of it, byte for byte: order, spelling and the count of octets.
EXPIRED_BODY = "The access token has expired. Get a new one and connect again."
EXPIRED = (
    b"ERROR\nmessage:Token Expired\nerror-code:token-expired\ncontent-type:text/plain\n"
    b"content-length:62\n\nThe access token has expired. Get a new one and connect again.\0"
)


def expired_error(receipt_id: str) -> bytes:
    """The ERROR that a frame with a receipt gets when it comes too late."""
    return EXPIRED.replace(
        b"content-type:", b"receipt-id:" + receipt_id.encode() + b"\ncontent-type:"
    )


def frame(command: str, *lines: str, body: bytes = b"") -> bytes:
    """The bytes of a frame, its header lines as they stand here."""
    return "\n".join([command, *lines, "", ""]).encode() + body + b"\0"


def connect(token: str | None = "ann@1010", *lines: str, version: str = "1.2") -> bytes:
    """CONNECT with a token that `Tokens` reads."""
    bearer = [] if token is None else [f"Authorization:Bearer {token}"]
    return frame("CONNECT", f"accept-version:{version}", "host:h", *bearer, *lines)


def send(body: bytes = b"x", *lines: str, to: str = "/topic/a") -> bytes:
    return frame("SEND", f"destination:{to}", *lines, body=body)


def subscribe(key: str = "s", *lines: str, to: str = "/topic/a") -> bytes:
    return frame("SUBSCRIBE", f"id:{key}", f"destination:{to}", *lines)


class Tokens:
    """Reads "subject@expiry" and nothing else; without an expiry it never expires."""

    def __init__(self) -> None:
        self.seen: list[Token | None] = []

    def verify(self, token: Token | None, *, headers: Headers, now: float) -> Identity:
        self.seen.append(token)
        if token is None:
            raise Rejected(ErrorCode.TOKEN_MISSING, "CONNECT needs an access token.")
        subject, at, expiry = token.reveal().partition("@")
        try:
            return Identity(subject=subject, expires_at=float(expiry) if at else None)
        except ValueError:
            raise Rejected(ErrorCode.TOKEN_INVALID, "The token cannot be verified.") from None


class Peer:
    """One session and its far end.

    Args:
        verifier: None for a session that asks with `ConnectRequested`.
        now: when the transport opened.
        heart_beat, leeway, limits: of the configuration.
    """

    def __init__(
        self,
        verifier: TokenVerifier | None = None,
        *,
        now: float = NOW,
        heart_beat: HeartBeat = NO_BEATS,
        leeway: float = 0.0,
        **limits: Any,
    ) -> None:
        self.config = ServerConfig(
            heart_beat=heart_beat, leeway=leeway, limits=Limits(**limits), server="test"
        )
        self.session = ServerSession(self.config, session_id="s-1", now=now, verifier=verifier)
        self._decoder = FrameDecoder(Limits(frame_size=1 << 24))

    def say(self, *data: bytes, at: float = NOW) -> list[ServerEvent]:
        """What the peer sends arrives at once; what the session makes of it."""
        self.session.receive_data(b"".join(data), now=at)
        return self.events()

    def at(self, now: float) -> list[ServerEvent]:
        """Only time passes."""
        self.session.handle_timeout(now=now)
        return self.events()

    def events(self) -> list[ServerEvent]:
        found: list[ServerEvent] = []
        while (event := self.session.next_event()) is not None:
            found.append(event)
            assert len(found) < MAX_EVENTS
        return found

    def bytes(self) -> bytes:
        """What the session writes."""
        return b"".join(self.session.data_to_send())

    def heard(self) -> list[Frame]:
        """What the session writes, as frames."""
        self._decoder.version = self.session.version
        self._decoder.receive_data(self.bytes())
        return list(self._frames())

    def _frames(self) -> Iterator[Frame]:
        while (each := self._decoder.next_frame()) is not None:
            yield each

    # Functions, not properties: a type checker would hold on to what an assertion has learnt.

    def state(self) -> ServerState:
        return self.session.state

    def ending(self) -> tuple[ErrorCode | None, Close | None, ServerState]:
        """How it ended, if it did."""
        return self.session.error, self.session.close, self.session.state

    def deadline(self) -> tuple[float | None, Timer | None]:
        return self.session.next_deadline(), self.session.deadline_reason()


def open_peer(token: str = "ann@1010", *, version: str = "1.2", **settings: Any) -> Peer:
    """A peer whose session is open, its CONNECTED read."""
    peer = Peer(settings.pop("verifier", None) or Tokens(), **settings)
    peer.say(connect(token, version=version))
    (connected,) = peer.heard()
    assert connected.command is Command.CONNECTED
    return peer


def ended(events: list[ServerEvent]) -> Ended:
    """The one `Ended`, which is the last event."""
    last = events[-1]
    assert isinstance(last, Ended)
    assert sum(isinstance(each, Ended) for each in events) == 1
    return last


def only_error(peer: Peer) -> Frame:
    """The one frame that the session writes now, an ERROR."""
    (error,) = peer.heard()
    assert error.command is Command.ERROR
    return error


def picture(thing: object) -> object:
    """Everything that `thing` is made of, as plain data: equal before and after if it is."""
    if thing is None or isinstance(thing, str | bytes | int | float | enum.Enum | type):
        return thing
    if isinstance(thing, bytearray):
        return bytes(thing)
    if isinstance(thing, dict):
        return [(picture(key), picture(value)) for key, value in thing.items()]
    if isinstance(thing, list | tuple | deque):
        return [picture(each) for each in thing]
    names = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    names += list(getattr(thing, "__dict__", {}))
    return type(thing).__name__, [
        (name, picture(getattr(thing, name))) for name in names if hasattr(thing, name)
    ]


__all__ = [
    "EXP",
    "EXPIRED",
    "EXPIRED_BODY",
    "NOW",
    "NO_BEATS",
    "LocalProtocolError",
    "Peer",
    "Tokens",
    "connect",
    "ended",
    "expired_error",
    "frame",
    "only_error",
    "open_peer",
    "picture",
    "send",
    "subscribe",
]
