"""`AuthServer`: a token issuer for tests, and what verifies its tokens."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from typing import Any

from stompcore._auth import Identity, Rejected, Token
from stompcore._errors import ErrorCode, LocalProtocolError, Unauthorized
from stompcore._headers import Headers
from stompcore.client import TokenRequest
from stompcore.testing._clock import VirtualClock

__all__ = ["AuthMode", "AuthServer", "InsecureTestVerifier"]

_PREFIX = "insecure-test-token"
_MICRO = 1_000_000
_FOREVER = 1e9
_MAX_DIGITS = 17


class AuthMode(enum.Enum):
    """How an `AuthServer` behaves."""

    UP = "up"
    DOWN = "down"  # every call fails, after `latency`
    HANGING = "hanging"  # no call is ever answered
    EXPIRED = "expired"  # what it gives has expired already
    CACHED = "cached"  # it gives the subject's last token again
    REFUSING = "refusing"  # `Unauthorized`: this user gets no token any more


class AuthServer:
    """Issues tokens, in virtual time, and fails in every way in which such servers fail.

    Its tokens are not signed, on purpose: `InsecureTestVerifier` believes whatever it reads. With
    `sign` they can be of any kind, JWTs for example.

    Args:
        clock: its wall clock says when a token ends; steps of that clock are felt.
        ttl: how long a token lives, in seconds.
        latency: how long a call takes, in seconds.
        sign: makes a token of the claims `sub`, `iat`, `exp` (Unix seconds) and `jti`.

    Attributes:
        clock: as given.
        mode: how it behaves; may be changed at any time, for the calls to come.
        modes: the same for single subjects, by name.
        issued: how many tokens it has given.
        calls: how often it was asked.
    """

    def __init__(
        self,
        clock: VirtualClock,
        *,
        ttl: float = 60.0,
        latency: float = 0.0,
        sign: Callable[[dict[str, Any]], str] | None = None,
    ) -> None:
        self.ttl = ttl
        self.latency = latency
        self.mode = AuthMode.UP
        self.modes: dict[str, AuthMode] = {}
        self.issued = 0
        self.calls = 0
        self.clock = clock
        self._sign = _plain if sign is None else sign
        self._last: dict[str, str] = {}

    def issue(self, subject: str, *, ttl: float | None = None) -> str:
        """A token for `subject` that lives for `ttl` seconds, from now, by this server's clock."""
        self.issued += 1
        now = self.clock.wall()
        claims = {
            "sub": subject,
            "iat": now,
            "exp": now + (self.ttl if ttl is None else ttl),
            "jti": str(self.issued),
        }
        token = self._last[subject] = self._sign(claims)
        return token

    def source(self, subject: str) -> Callable[[TokenRequest], Awaitable[str]]:
        """The token source of a client: an async callable, for use in virtual time."""

        async def fetch(request: TokenRequest) -> str:
            self.calls += 1
            mode = self.modes.get(subject, self.mode)
            if mode is AuthMode.HANGING:
                await self.clock.sleep(_FOREVER)
            if self.latency:
                await self.clock.sleep(self.latency)
            match mode:
                case AuthMode.DOWN | AuthMode.HANGING:
                    raise ConnectionError("the auth server is down")
                case AuthMode.REFUSING:
                    raise Unauthorized("this user gets no token any more")
                case AuthMode.CACHED if subject in self._last:
                    return self._last[subject]
                case AuthMode.EXPIRED:
                    return self.issue(subject, ttl=-1.0)
                case _:
                    return self.issue(subject)

        return fetch


class InsecureTestVerifier:
    """Believes the tokens of an `AuthServer`, which anybody could write. For tests only.

    It refuses every token that does not begin with `insecure-test-token`.
    """

    def verify(self, token: Token | None, *, headers: Headers, now: float) -> Identity:
        """See `TokenVerifier.verify`."""
        if token is None:
            raise Rejected(ErrorCode.TOKEN_MISSING)
        prefix, _, rest = token.reveal().partition(".")
        parts = rest.rsplit(".", 3)
        if prefix != _PREFIX or len(parts) != 4:
            raise Rejected(ErrorCode.TOKEN_INVALID, "This is no token of a test.")
        subject, issued_at, expires_at, number = parts
        return Identity(
            subject=subject,
            issued_at=_instant(issued_at),
            expires_at=_instant(expires_at),
            token_id=number,
        )


def _instant(text: str) -> float:
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise Rejected(ErrorCode.TOKEN_INVALID, "This is no token of a test.")
    return int(text) / _MICRO


def _plain(claims: dict[str, Any]) -> str:
    subject = claims["sub"]
    if not (subject.isascii() and subject.isprintable() and subject and " " not in subject):
        raise LocalProtocolError("a subject of a plain test token is printable ASCII, no spaces")
    issued, expires = (round(claims[name] * _MICRO) for name in ("iat", "exp"))
    return f"{_PREFIX}.{subject}.{issued}.{expires}.{claims['jti']}"
