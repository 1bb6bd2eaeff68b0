"""Tokens, the identity that one stands for, and the one rule of when it has expired.

The rule (RFC 7519 section 4.1.4, "on or after"): a token has expired when
``now >= exp + leeway``. It is computed once, by `validity`, when a token is accepted; from then on
a session compares `now` with that one float, wherever it looks: at a frame that comes in, at a
MESSAGE that would go out, and at its timer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from stompcore._errors import ErrorCode, LocalProtocolError, StompError
from stompcore._headers import Headers

__all__ = [
    "MAX_LIFETIME",
    "AllowAll",
    "Identity",
    "Rejected",
    "Token",
    "TokenVerifier",
    "bearer_token",
    "token_from_connect",
    "user_name",
    "validity",
]

#: A token that claims to live longer is treated as if it lived this long, in seconds.
MAX_LIFETIME = 365 * 86400.0

# What CONNECTED can carry, which has no escapes, and what no peer trims.
_NAME = re.compile(r"(?!\s)[^\r\n\0\ud800-\udfff]+(?<!\s)")


class Token:
    """A credential. Neither its repr nor its str shows it; `reveal()` does.

    Args:
        value: the token's text, a compact JWT for example.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if not value:
            raise LocalProtocolError("a token cannot be empty")
        self._value = value

    def reveal(self) -> str:
        """The token itself."""
        return self._value

    def __repr__(self) -> str:
        return "Token(<hidden>)"

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, Token) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Who a verified token speaks for, and for how long.

    Args:
        subject: the user (`sub`).
        expires_at: Unix seconds (`exp`), or None for an identity that never expires.
        not_before: Unix seconds (`nbf`), or None.
        token_id: the token's own id (`jti`), by which it can be revoked, or None.
        issued_at: Unix seconds (`iat`), or None; what tells a token from those that were issued
            before all of a subject's were revoked.
        claims: what else the token says; hidden in the repr.
        is_anonymous: nobody in particular, so that CONNECTED names no user.
    """

    subject: str
    expires_at: float | None
    not_before: float | None = None
    token_id: str | None = None
    issued_at: float | None = None
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    is_anonymous: bool = False

    def __post_init__(self) -> None:
        for instant in (self.expires_at, self.not_before, self.issued_at):
            if instant is not None and not math.isfinite(instant):
                raise LocalProtocolError("an instant of an identity must be a finite number")


class Rejected(StompError):
    """A verifier's refusal of a token.

    Args:
        error_code: what the peer is told.
        detail: one plain sentence for the peer; never the token, never another exception's text.
    """

    def __init__(self, error_code: ErrorCode, detail: str = "") -> None:
        super().__init__(detail or error_code.message)
        self.error_code = error_code
        self.detail = detail


class TokenVerifier(Protocol):
    """What decides at CONNECT who a token speaks for."""

    def verify(self, token: Token | None, *, headers: Headers, now: float) -> Identity:
        """The identity behind `token`.

        The session compares its instants with `now` itself (`validity`).

        Args:
            token: None when the client brought none.
            headers: those of CONNECT.
            now: Unix seconds.

        Raises:
            Rejected: no identity for this token.
        """


class AllowAll:
    """A verifier for development: whoever says `login` is believed, and never expires."""

    def verify(self, token: Token | None, *, headers: Headers, now: float) -> Identity:
        """See `TokenVerifier.verify`; never refuses."""
        login = headers.get("login")
        if not login:
            return Identity(subject="anonymous", expires_at=None, is_anonymous=True)
        return Identity(subject=login, expires_at=None)


def validity(identity: Identity, *, leeway: float, now: float) -> float:
    """The instant from which `identity` counts as expired (`math.inf` for never).

    Args:
        identity: what the token says.
        leeway: seconds that clocks may differ.
        now: Unix seconds.

    Raises:
        Rejected: it has expired already, or is not valid yet (RFC 7519 section 4.1.5).
    """
    if identity.not_before is not None and now < identity.not_before - leeway:
        raise Rejected(ErrorCode.TOKEN_INVALID, "The token is not valid yet.")
    if identity.expires_at is None:
        return math.inf
    valid_until = min(identity.expires_at + leeway, now + MAX_LIFETIME)
    if now >= valid_until:
        raise Rejected(ErrorCode.TOKEN_EXPIRED, "The token has expired.")
    return valid_until


def user_name(identity: Identity, *, max_size: int) -> str | None:
    """What CONNECTED's `user-name` says of `identity`, as Spring's does.

    Args:
        identity: whose token was accepted.
        max_size: in characters.

    Returns:
        The subject, or None: it is nobody in particular, or a name that cannot be told as it is.
    """
    name = identity.subject
    if identity.is_anonymous or len(name) > max_size or not _NAME.fullmatch(name):
        return None
    return name


def bearer_token(value: str) -> Token | None:
    """The token of an `Authorization` value (RFC 6750 section 2.1), or None if it holds none."""
    scheme, _, credential = value.strip().partition(" ")
    credential = credential.strip()
    return Token(credential) if scheme.lower() == "bearer" and credential else None


def token_from_connect(headers: Headers) -> Token | None:
    """The token in a CONNECT's headers: `Authorization: Bearer`, else `passcode`, else None."""
    for name in ("Authorization", "authorization"):
        if name in headers:
            return bearer_token(headers[name])
    passcode = headers.get("passcode")
    return Token(passcode) if passcode else None
