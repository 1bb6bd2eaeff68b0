"""A hub in virtual time, and the peers that talk to it, written by hand."""

from __future__ import annotations

import asyncio
from typing import Any

from stompcore import (
    Command,
    ErrorCode,
    Frame,
    FrameDecoder,
    Headers,
    HeartBeat,
    Hub,
    Identity,
    Limits,
    Rejected,
    ServerConfig,
    ServerSession,
    Token,
    TokenVerifier,
    Version,
)
from stompcore._duplicates import Duplicates
from stompcore._hub import NoticeEvent
from stompcore.handlers import Handlers
from stompcore.policy import Policy

__all__ = ["NOW", "Peers", "Tokens", "frame", "identity_of", "send", "subscribe", "token"]

NOW = 1_700_000_000.0
NO_BEATS = HeartBeat(send_interval=0, receive_interval=0)
MAX_TURNS = 1000


def frame(command: str, *lines: str, body: str = "") -> str:
    return "\n".join([command, *lines, "", ""]) + body + "\0"


def send(to: str, body: str = "x", *lines: str) -> str:
    return frame("SEND", f"destination:{to}", *lines, body=body)


def subscribe(to: str, key: str = "0", *lines: str) -> str:
    return frame("SUBSCRIBE", f"id:{key}", f"destination:{to}", *lines)


def token(
    subject: str = "ann",
    *,
    life: float | None = 60.0,
    jti: str = "",
    iat: float | None = None,
    scope: str = "",
) -> str:
    """What `Tokens` reads: `life` is in seconds from `NOW`, None for never expiring."""
    issued = "" if iat is None else repr(NOW + iat)
    return "|".join([subject, "" if life is None else repr(NOW + life), jti, issued, scope])


def identity_of(text: str) -> Identity:
    subject, expires_at, jti, issued_at, scope = text.split("|")
    return Identity(
        subject=subject,
        expires_at=float(expires_at) if expires_at else None,
        token_id=jti or None,
        issued_at=float(issued_at) if issued_at else None,
        claims={"scope": scope},
    )


class Tokens:
    """Reads what `token` has written, and refuses all else."""

    def verify(self, token: Token | None, *, headers: Headers, now: float) -> Identity:
        if token is None:
            raise Rejected(ErrorCode.TOKEN_MISSING, "Where is it?")
        if token.reveal().count("|") != 4:
            raise Rejected(ErrorCode.TOKEN_INVALID, "It cannot be read.")
        return identity_of(token.reveal())


class Peers:
    """A hub and its peers, who read what they get as soon as it is there.

    Args:
        policy, handlers: of the hub.
        asks: there is no verifier, the hub asks its owner.
        verifier: `Tokens` by default.
        limits: of the configuration.
        duplicates: of an earlier hub.
    """

    def __init__(
        self,
        *,
        policy: Policy | None = None,
        handlers: Handlers | None = None,
        asks: bool = False,
        verifier: TokenVerifier | None = None,
        limits: Limits | None = None,
        duplicates: Duplicates | None = None,
        **settings: Any,
    ) -> None:
        config = ServerConfig(heart_beat=NO_BEATS, limits=limits or Limits(), **settings)
        self.hub = Hub(
            config,
            verifier=None if asks else verifier or Tokens(),
            policy=policy,
            handlers=handlers,
            reply_key=b"secret",
            duplicates=duplicates,
        )
        self.now = NOW
        self.sessions: dict[str, ServerSession] = {}
        self.asleep: set[str] = set()  # those that do not read
        self._heard: dict[str, list[Frame]] = {}
        self._decoders: dict[str, FrameDecoder] = {}

    # --- peers ----------------------------------------------------------------------------

    def enter(self, name: str, text: str | None = None) -> None:
        """A peer connects, with the token `text` or one of its own name."""
        self.open(name)
        (connected,) = self.say(name, self.connect(name, text))
        assert connected.command is Command.CONNECTED

    def open(self, name: str) -> None:
        self.sessions[name] = self.hub.open(name, now=self.now)
        decoder = self._decoders[name] = FrameDecoder(Limits(frame_size=1 << 24))
        decoder.version = Version.V1_2
        self._heard[name] = []

    def connect(self, name: str, text: str | None = None) -> str:
        return frame("CONNECT", "accept-version:1.2", "host:h", f"passcode:{text or token(name)}")

    def say(self, name: str, *frames: str) -> list[Frame]:
        """As `tell`; all that the peer has heard since it was last asked."""
        self.tell(name, *frames)
        return self.heard(name)

    def tell(self, name: str, *frames: str) -> None:
        """What a peer sends arrives at once."""
        self.sessions[name].receive_data("".join(frames).encode(), now=self.now)
        self.reached(self.hub.process(name, now=self.now))

    def leave(self, name: str) -> None:
        self.sessions[name].receive_eof(now=self.now)
        self.reached(self.hub.process(name, now=self.now))

    def wake(self, name: str) -> list[Frame]:
        """It reads again."""
        self.asleep.discard(name)
        self._read(name)
        return self.heard(name)

    def heard(self, name: str) -> list[Frame]:
        """What a peer has read since it was last asked."""
        self.reached(set())
        found, self._heard[name] = self._heard[name], []
        return found

    def bodies(self, name: str) -> list[str]:
        """The MESSAGEs' bodies, and nothing else may have come."""
        found = self.heard(name)
        assert all(each.command is Command.MESSAGE for each in found), found
        return [each.body.decode() for each in found]

    def error(self, name: str) -> Frame:
        """The one thing that a peer has heard, an ERROR; the session is over."""
        (error,) = self.heard(name)
        assert error.command is Command.ERROR
        assert self.sessions[name].closing
        return error

    # --- the hub --------------------------------------------------------------------------

    def reached(self, names: set[str]) -> set[str]:
        """What a binding does after every call: hand the output on, see to timers due now."""
        for name in self.sessions:
            self._read(name)
        return names

    def at(self, seconds: float) -> None:
        """Time passes until `seconds` after `NOW`; timers fire when they are due."""
        for _ in range(MAX_TURNS):
            due = min(
                (
                    deadline
                    for each in self.sessions.values()
                    if (deadline := each.next_deadline()) is not None
                ),
                default=None,
            )
            if due is None or due > NOW + seconds:
                break
            self.now = max(self.now, due)
            for name, session in self.sessions.items():
                session.handle_timeout(now=self.now)
                self.reached(self.hub.process(name, now=self.now))
        else:
            raise AssertionError("the timers never come to rest")
        self.now = NOW + seconds

    def run_job(self) -> None:
        """The next async handler runs to its end."""
        job = self.hub.next_job()
        assert job is not None
        asyncio.run(job.run())
        self.reached(self.hub.finish(job, now=self.now))

    def notices(self) -> list[NoticeEvent]:
        found = []
        while (notice := self.hub.next_notice()) is not None:
            found.append(notice.event)
        return found

    def _read(self, name: str) -> None:
        session, decoder = self.sessions[name], self._decoders[name]
        for _ in range(MAX_TURNS):
            if name in self.asleep:
                return
            chunks = session.data_to_send()
            decoder.receive_data(b"".join(chunks))
            if self.hub.is_holding_back(name):
                self.hub.refill(name, now=self.now)
            elif not chunks:
                break
        else:
            raise AssertionError("it never stops")
        while (each := decoder.next_frame()) is not None:
            self._heard[name].append(each)
