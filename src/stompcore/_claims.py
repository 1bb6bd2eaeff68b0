"""What a client can read in its own token: whose it is, and how long it lives.

Nothing is verified: a client has no key, and no reason to distrust its own token source. What is
read here only decides when to ask for the next token, and whether that speaks for the same user.
"""

from __future__ import annotations

import base64
import json
import math
from dataclasses import dataclass

from stompcore._auth import Token

__all__ = ["Claims", "peek"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Claims:
    """Three claims of a JWT (RFC 7519 section 4.1); each None where it does not say.

    Args:
        subject: the user (`sub`).
        issued_at, expires_at: Unix seconds by the issuer's clock (`iat`, `exp`).
    """

    subject: str | None = None
    issued_at: float | None = None
    expires_at: float | None = None

    def life(self, now: float) -> float | None:
        """For how many seconds a token lives that came at `now`; None if it does not say.

        Clocks need not agree: where the token says when it was issued, `now` is not looked at. (A
        token that had lain in a cache then counts as younger than it is. It runs out before it is
        renewed, which costs a reconnection; the other mistake would renew it for ever.)
        """
        if self.expires_at is None:
            return None
        life = self.expires_at - (now if self.issued_at is None else self.issued_at)
        return life if life > 0 else None


def peek(token: Token) -> Claims:
    """The claims of a compact JWT (RFC 7519 section 3); none of them for any other token."""
    parts = token.reveal().split(".")
    if len(parts) != 3:
        return Claims()
    payload = parts[1]
    try:
        text = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        claims = json.loads(text)
    except (ValueError, RecursionError):
        return Claims()
    if not isinstance(claims, dict):
        return Claims()
    subject = claims.get("sub")
    return Claims(
        subject=subject if isinstance(subject, str) and subject else None,
        issued_at=_instant(claims.get("iat")),
        expires_at=_instant(claims.get("exp")),
    )


def _instant(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        instant = float(value)
    except OverflowError:
        return None
    return instant if math.isfinite(instant) else None
