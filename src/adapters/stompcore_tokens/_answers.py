"""What an auth server's answer comes to (RFC 6749 sections 5.1 and 5.2). No I/O."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass

from stompcore import Token, TokenUnavailable

__all__ = ["Answer", "Refused", "judge"]

_MAX_LIFETIME = 365 * 86400.0
_TOKEN = re.compile(r"[!-~]+")
_REFRESH_TOKEN = re.compile(r"[ -~]+")

#: No token will come of asking again: section 5.2, RFC 6749 section 4.1.2.1, and GitHub's words.
_PERMANENT = frozenset(
    {
        "access_denied",
        "bad_refresh_token",
        "incorrect_client_credentials",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)
#: These end a refresh token for good.
_DEAD = frozenset({"bad_refresh_token", "invalid_grant"})
#: RFC 6749 has these for another endpoint; some servers say them here, with status 400.
_TEMPORARY = frozenset({"server_error", "slow_down", "temporarily_unavailable"})


class Refused(Exception):
    """The auth server has said no, and will again.

    Args:
        text: one plain sentence.
        is_dead: whether the refresh token that was sent is of no use any more.
    """

    def __init__(self, text: str, *, is_dead: bool = False) -> None:
        super().__init__(text)
        self.is_dead = is_dead


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a successful answer holds.

    Args:
        access_token: None if there is none that could be used; `fault` says why.
        fault: one plain sentence, or "".
        lifetime: of the access token, in seconds (`expires_in`), or None if it does not say.
        refresh_token: the one that replaces the one that was sent, or None. It counts even
            where the access token is of no use.
    """

    access_token: Token | None
    fault: str = ""
    lifetime: float | None = None
    refresh_token: Token | None = None


def judge(status: int, body: bytes) -> Answer:
    """What an answer comes to. Nothing of the body gets into any text.

    Raises:
        Refused: no token will come of asking again.
        TokenUnavailable: it may be different next time.
    """
    content = _content(body)
    error = content.get("error")
    if not isinstance(error, str):
        error = ""
    if status >= 500 or status in (408, 425, 429):
        raise TokenUnavailable(f"the auth server answered with status {status}")
    if 300 <= status < 400:
        raise TokenUnavailable(
            f"the auth server answered with status {status}, and redirects are not followed"
        )
    is_refusal = status in (400, 401, 403) and error not in _TEMPORARY
    if is_refusal or error in _PERMANENT:
        why = error if error in _PERMANENT else f"status {status}"
        raise Refused(f"the auth server refuses to give a token ({why})", is_dead=error in _DEAD)
    if not 200 <= status < 300:
        raise TokenUnavailable(f"the auth server answered with status {status}")
    refresh_token = _token(content.get("refresh_token"), _REFRESH_TOKEN)
    access_token = _token(content.get("access_token"), _TOKEN)
    if access_token is None:
        fault = "the auth server's answer holds no access token"
    elif not _is_bearer(content.get("token_type")):
        access_token, fault = None, "the auth server's access token is no bearer token"
    else:
        fault = ""
    return Answer(
        access_token=access_token,
        fault=fault,
        lifetime=_lifetime(content.get("expires_in")),
        refresh_token=refresh_token,
    )


def _content(body: bytes) -> dict[str, object]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _token(value: object, shape: re.Pattern[str]) -> Token | None:
    return Token(value) if isinstance(value, str) and shape.fullmatch(value) else None


def _is_bearer(kind: object) -> bool:
    # It is required, and compared without regard to case (section 5.1). Servers that leave it out
    # mean this one.
    return kind is None or (isinstance(kind, str) and kind.lower() == "bearer")


def _lifetime(value: object) -> float | None:
    # Some servers send it as a string, some send 0 for a token that never ends.
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (OverflowError, ValueError):
        return None
    return min(seconds, _MAX_LIFETIME) if seconds > 0 and not math.isnan(seconds) else None
