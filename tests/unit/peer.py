"""A peer of one `ServerSession` in virtual time, and short ways to say what it sends."""

from __future__ import annotations

from collections.abc import Callable

from stompcore import (
    Committed,
    Ended,
    Frame,
    FrameDecoder,
    HeartBeat,
    Identity,
    Limits,
    ServerConfig,
    ServerEvent,
    ServerSession,
    Token,
    TokenVerifier,
    Version,
)
from stompcore._events import Acked, Nacked, Sent, Subscribed, Unsubscribed
from stompcore._headers import Headers

__all__ = [
    "EXPIRED",
    "NOW",
    "NO_BEATS",
    "TTL",
    "Doorman",
    "Peer",
    "WorkEvent",
    "config",
    "connect",
    "frame",
    "frames_of",
    "opened",
]

NOW = 1_700_000_000.0
TTL = 60.0
NO_BEATS = HeartBeat(send_interval=0, receive_interval=0)
WorkEvent = Sent | Subscribed | Unsubscribed | Acked | Nacked | Committed

#: The whole farewell of a session whose token has run out.
EXPIRED = (
    b"ERROR\nmessage:Token Expired\nerror-code:token-expired\n%scontent-type:text/plain\n"
    b"content-length:62\n\n"
    b"The access token has expired. Get a new one and connect again.\0"
)


def config(**limits: float) -> ServerConfig:
    """A server without heart-beats, and with these limits."""
    return ServerConfig(heart_beat=NO_BEATS, limits=Limits(**limits))  # type: ignore[arg-type]


def frame(command: str, body: bytes = b"", /, **headers: str) -> bytes:
    """A frame's bytes; `message_id` stands for `message-id`."""
    lines = [command, *(f"{name.replace('_', '-')}:{value}" for name, value in headers.items())]
    return "\n".join([*lines, "\n"]).encode() + body + b"\0"


def connect(version: str = "1.2", /, **headers: str) -> bytes:
    """CONNECT with a token as its passcode."""
    return frame(
        "CONNECT", **{"accept-version": version, "host": "h", "passcode": "secret", **headers}
    )


def frames_of(data: bytes, version: Version = Version.V1_2) -> list[Frame]:
    """The frames in `data`, which must hold nothing but whole ones and beats."""
    decoder = FrameDecoder(Limits())
    decoder.version = version
    decoder.receive_data(data)
    found = []
    while (each := decoder.next_frame()) is not None:
        found.append(each)
    assert not len(decoder)
    return found


class Doorman:
    """A verifier that lets everybody in, for a while, and notes what it was shown."""

    def __init__(
        self,
        expires_at: float | None = NOW + TTL,
        *,
        not_before: float | None = None,
        error: Exception | None = None,
    ) -> None:
        self.identity = Identity(subject="ann", expires_at=expires_at, not_before=not_before)
        self.error = error
        self.seen: list[Token | None] = []

    def verify(self, token: Token | None, *, headers: Headers, now: float) -> Identity:
        self.seen.append(token)
        if self.error is not None:
            raise self.error
        return self.identity


class Peer:
    """Feeds a session as a binding would, and keeps all that came out of it.

    Args:
        settings: the server's.
        verifier: None lets the test answer `ConnectRequested`.
        on_work: called with each piece of work, in place of `done`.
    """

    def __init__(
        self,
        settings: ServerConfig | None = None,
        *,
        verifier: TokenVerifier | None = None,
        on_work: Callable[[WorkEvent], None] | None = None,
        now: float = NOW,
    ) -> None:
        self.now = now
        self.session = ServerSession(
            settings or config(), session_id="s-1", now=now, verifier=verifier
        )
        self.on_work = on_work
        self.reads = True
        self.events: list[ServerEvent] = []
        self.output = b""

    def feed(self, data: bytes, *, at: float = 0.0) -> None:
        """`data` comes in, `at` seconds after `NOW` (or as late as the last call was)."""
        self._at(at)
        self.session.receive_data(data, now=self.now)
        self.drain()

    def tick(self, at: float = 0.0) -> None:
        """The timer fires, `at` seconds after `NOW`."""
        self._at(at)
        self.session.handle_timeout(now=self.now)
        after = self.session.next_deadline()
        assert after is None or after > self.now
        self.drain()

    def leave(self, *, at: float = 0.0) -> None:
        """The peer closes its side."""
        self._at(at)
        self.session.receive_eof(now=self.now)
        self.drain()

    def drain(self) -> None:
        """What a binding does after every call."""
        while (event := self.session.next_event()) is not None:
            self.events.append(event)
            if isinstance(event, WorkEvent):
                if self.on_work is None:
                    self.session.done(event, now=self.now)
                else:
                    self.on_work(event)
        if self.reads:
            self.read()

    def read(self) -> None:
        """The transport takes everything."""
        self.output += b"".join(self.session.data_to_send())

    def take(self) -> bytes:
        """What has come out since the last call."""
        output, self.output = self.output, b""
        return output

    @property
    def work(self) -> list[WorkEvent]:
        """What the peer has had done, in order."""
        return [each for each in self.events if isinstance(each, WorkEvent)]

    @property
    def ended(self) -> Ended | None:
        """How it ended; at most once, and last."""
        found = [each for each in self.events if isinstance(each, Ended)]
        assert len(found) <= 1
        assert not found or self.events[-1] is found[0]
        return found[0] if found else None

    def _at(self, at: float) -> None:
        self.now = max(self.now, NOW + at)


def opened(
    settings: ServerConfig | None = None,
    version: str = "1.2",
    /,
    *,
    expires_at: float | None = NOW + TTL,
    on_work: Callable[[WorkEvent], None] | None = None,
    **headers: str,
) -> Peer:
    """A peer whose CONNECT was accepted, with CONNECTED read already."""
    peer = Peer(settings, verifier=Doorman(expires_at), on_work=on_work)
    peer.feed(connect(version, **headers))
    assert peer.take().startswith(b"CONNECTED\n")
    peer.events.clear()
    return peer
