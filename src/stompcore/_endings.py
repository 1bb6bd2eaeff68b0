"""Why did it end, and what now? The decision of a client, as a table.

The first rule that fits decides. Our own servers say `error-code`; the others' words stand below
theirs. A user's own rules go in front.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from stompcore._errors import CloseCode, ErrorCode
from stompcore._events import Disconnected, Outcome

__all__ = ["DEFAULT_RULES", "Rule", "decide", "in_words"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One line of the table. A field that is None asks nothing; all others must fit.

    Args:
        outcome: what to do when it fits.
        error_codes: the ERROR's `error-code` is one of these.
        close_codes: the WebSocket close code is one of these.
        text: a regular expression, looked for, whatever the case, in the ERROR's `message`, the
            ERROR's body and the close reason.
        established: whether CONNECTED had come.
        had_error: whether an ERROR came.
        http_statuses: the WebSocket handshake was refused with one of these.
    """

    outcome: Outcome
    error_codes: frozenset[str] | None = None
    close_codes: frozenset[int] | None = None
    text: str | None = None
    established: bool | None = None
    had_error: bool | None = None
    http_statuses: frozenset[int] | None = None

    def fits(self, ending: Disconnected) -> bool:
        """Whether this rule decides for `ending`."""
        error, close = ending.error, ending.close
        return (
            (self.established is None or self.established == ending.established)
            and (self.had_error is None or self.had_error == (error is not None))
            and (
                self.error_codes is None
                or (error is not None and error.error_code in self.error_codes)
            )
            and (self.close_codes is None or (close is not None and close.code in self.close_codes))
            and (self.http_statuses is None or ending.http_status in self.http_statuses)
            and (self.text is None or re.search(self.text, _words(ending), re.I) is not None)
        )


def _words(ending: Disconnected) -> str:
    words = []
    if ending.error is not None:
        words += [ending.error.message, ending.error.frame.body.decode(errors="replace")]
    if ending.close is not None:
        words.append(ending.close.reason)
    return "\n".join(words)


# In words, and in identifiers such as `expired_token` or `ExpiredJwtException`.
_EXPIRED = r"(token|jwt|credential|session).{0,40}expired|expired.{0,40}(token|jwt|credential)"

DEFAULT_RULES: tuple[Rule, ...] = (
    # Our own servers, and whoever adopts their words.
    Rule(
        outcome=Outcome.REFRESH,
        error_codes=frozenset(
            {
                ErrorCode.TOKEN_EXPIRED,
                ErrorCode.TOKEN_INVALID,
                ErrorCode.TOKEN_MISSING,
                ErrorCode.REAUTH_REJECTED,
            }
        ),
    ),
    Rule(
        outcome=Outcome.STOP,
        error_codes=frozenset({ErrorCode.TOKEN_REVOKED, ErrorCode.UNSUPPORTED_VERSION}),
    ),
    # Later than CONNECT it is about one frame, and the client itself may stay.
    Rule(
        outcome=Outcome.STOP,
        error_codes=frozenset({ErrorCode.ACCESS_DENIED}),
        established=False,
    ),
    Rule(outcome=Outcome.RETRY, error_codes=frozenset(each.value for each in ErrorCode)),
    # The words of others: Spring's interceptors, RabbitMQ's and ActiveMQ's OAuth plugins.
    Rule(outcome=Outcome.REFRESH, text=_EXPIRED),
    # RabbitMQ: "Bad CONNECT", ActiveMQ: "User name [..] or password is invalid", Spring: the
    # broker's refusal. Whatever the words, an ERROR in answer to CONNECT refuses the credentials.
    Rule(outcome=Outcome.REFRESH, established=False, had_error=True),
    # No ERROR was seen; the close is all there is.
    Rule(outcome=Outcome.REFRESH, close_codes=frozenset({CloseCode.UNAUTHORIZED})),
    Rule(outcome=Outcome.STOP, close_codes=frozenset({CloseCode.FORBIDDEN})),
    # The WebSocket handshake itself looked at the token.
    Rule(outcome=Outcome.REFRESH, http_statuses=frozenset({401})),
    Rule(outcome=Outcome.STOP, http_statuses=frozenset({403})),
)


def decide(ending: Disconnected, rules: Sequence[Rule] = DEFAULT_RULES) -> Outcome:
    """What to do after `ending`: the outcome of the first rule that fits, else RETRY."""
    for rule in rules:
        if rule.fits(ending):
            return rule.outcome
    return Outcome.RETRY


def in_words(ending: Disconnected) -> str:
    """The shortest honest description of why a connection ended."""
    error, close = ending.error, ending.close
    if error is not None:
        return error.message or error.error_code or "ERROR"
    if close is not None:
        return close.reason or f"WebSocket close {close.code}"
    if ending.http_status is not None:
        return f"HTTP {ending.http_status}"
    return ending.fault or ("disconnected" if ending.clean else "the connection was lost")
