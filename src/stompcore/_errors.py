"""Every way in which something can go wrong, and what the peer is told about it.

Faults of the caller and faults of the peer never mix: `LocalProtocolError` is raised and
changes nothing; `RemoteProtocolError` is never raised out of a machine but carries the
answer that the machine has queued by the time its caller hears of it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import NamedTuple

__all__ = [
    "AuthenticationFailed",
    "ClientClosed",
    "CloseCode",
    "ErrorCode",
    "Farewell",
    "LocalProtocolError",
    "MessageTimedOut",
    "NotConnected",
    "OutboxFull",
    "RemoteProtocolError",
    "ReplyLost",
    "RequestTimedOut",
    "SendRefused",
    "StaleEpoch",
    "StompError",
    "SubjectChanged",
    "SubscriptionOverflow",
    "SubscriptionRefused",
    "TokenFailed",
    "TokenTimedOut",
    "TokenUnavailable",
    "TokenUnchanged",
    "TokenUnusable",
    "TransactionLost",
    "TransactionRefused",
    "Unauthorized",
]


class CloseCode(enum.IntEnum):
    """WebSocket close codes that stompcore sends (RFC 6455 section 7.4; 3000-3999 by IANA)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    NO_STATUS = 1005
    ABNORMAL = 1006
    POLICY_VIOLATION = 1008
    TOO_LARGE = 1009
    INTERNAL_ERROR = 1011
    UNAUTHORIZED = 3000
    FORBIDDEN = 3003
    TIMEOUT = 3008


class Farewell(NamedTuple):
    """The fixed words of one `ErrorCode`: the ERROR's `message` header and the close code."""

    message: str
    close_code: int


class ErrorCode(enum.StrEnum):
    """The machine-readable `error-code` header of an ERROR frame.

    `message` is the fixed text that goes with it in the `message` header and in the WebSocket
    close reason (never an exception's text); `close_code` the WebSocket close code.
    """

    TOKEN_MISSING = "token-missing"
    TOKEN_INVALID = "token-invalid"
    TOKEN_EXPIRED = "token-expired"
    TOKEN_REVOKED = "token-revoked"
    REAUTH_REJECTED = "reauth-rejected"
    ACCESS_DENIED = "access-denied"
    MALFORMED_FRAME = "malformed-frame"
    PROTOCOL_VIOLATION = "protocol-violation"
    UNSUPPORTED_VERSION = "unsupported-version"
    LIMIT_EXCEEDED = "limit-exceeded"
    SLOW_CONSUMER = "slow-consumer"
    HEARTBEAT_TIMEOUT = "heartbeat-timeout"
    LOGIN_TIMEOUT = "login-timeout"
    GOING_AWAY = "going-away"
    INTERNAL_ERROR = "internal-error"

    @property
    def message(self) -> str:
        return _FAREWELLS[self].message

    @property
    def close_code(self) -> int:
        return _FAREWELLS[self].close_code


_FAREWELLS: Mapping[ErrorCode, Farewell] = {
    ErrorCode.TOKEN_MISSING: Farewell("Token Missing", CloseCode.UNAUTHORIZED),
    ErrorCode.TOKEN_INVALID: Farewell("Token Invalid", CloseCode.UNAUTHORIZED),
    ErrorCode.TOKEN_EXPIRED: Farewell("Token Expired", CloseCode.UNAUTHORIZED),
    ErrorCode.TOKEN_REVOKED: Farewell("Token Revoked", CloseCode.FORBIDDEN),
    ErrorCode.REAUTH_REJECTED: Farewell("Reauthentication Failed", CloseCode.UNAUTHORIZED),
    ErrorCode.ACCESS_DENIED: Farewell("Access Denied", CloseCode.FORBIDDEN),
    ErrorCode.MALFORMED_FRAME: Farewell("Malformed Frame", CloseCode.PROTOCOL_ERROR),
    ErrorCode.PROTOCOL_VIOLATION: Farewell("Protocol Violation", CloseCode.PROTOCOL_ERROR),
    ErrorCode.UNSUPPORTED_VERSION: Farewell("Unsupported Version", CloseCode.PROTOCOL_ERROR),
    ErrorCode.LIMIT_EXCEEDED: Farewell("Limit Exceeded", CloseCode.TOO_LARGE),
    ErrorCode.SLOW_CONSUMER: Farewell("Slow Consumer", CloseCode.POLICY_VIOLATION),
    ErrorCode.HEARTBEAT_TIMEOUT: Farewell("Heart-beat Timeout", CloseCode.TIMEOUT),
    ErrorCode.LOGIN_TIMEOUT: Farewell("Login Timeout", CloseCode.TIMEOUT),
    ErrorCode.GOING_AWAY: Farewell("Going Away", CloseCode.GOING_AWAY),
    ErrorCode.INTERNAL_ERROR: Farewell("Internal Error", CloseCode.INTERNAL_ERROR),
}


class StompError(Exception):
    """The base of every exception that stompcore raises."""


class LocalProtocolError(StompError):
    """The caller misused a machine. Nothing was changed and nothing was sent."""


class RemoteProtocolError(StompError):
    """The peer broke the protocol. Carries the answer that it gets.

    Args:
        error_code: what the `error-code` header says.
        detail: one plain sentence for the ERROR's body. It reaches the peer: no secrets,
            no text of other exceptions.
        receipt_id: the `receipt` header of the offending frame, if it had one.
        close_code: the WebSocket close code, where it differs from the error code's own.
        headers: further headers of the ERROR frame.
    """

    def __init__(
        self,
        error_code: ErrorCode,
        detail: str = "",
        *,
        receipt_id: str | None = None,
        close_code: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{error_code}: {detail}" if detail else str(error_code))
        self.error_code = error_code
        self.detail = detail
        self.receipt_id = receipt_id
        self.close_code = error_code.close_code if close_code is None else close_code
        self.headers: Mapping[str, str] = headers or {}

    @property
    def message(self) -> str:
        """The fixed text of the `message` header and of the close reason."""
        return self.error_code.message


class TokenFailed(StompError):
    """A call of the token source has brought no token that is of use.

    The subclasses say why, and decide what comes of it: the permanent ones, `Unauthorized` and
    `SubjectChanged`, stop the client; after all others the source is asked again after a backoff,
    for as long as it takes, while a token that still counts stays in use.
    """


class TokenUnavailable(TokenFailed):
    """Temporary: the token source raised something, as when the auth server cannot be reached."""


class TokenTimedOut(TokenFailed):
    """The token source did not answer within `ClientConfig.token_timeout`."""


class TokenUnusable(TokenFailed):
    """What the token source gave is no token: it is empty, or cannot stand in a header."""


class TokenUnchanged(TokenFailed):
    """The token source gave again the very token that was to be replaced (a cache, as a rule)."""


class Unauthorized(TokenFailed):
    """A token source's word that no token will come any more: the user has to log in again.

    Raise it from the callable given as `token=`. Any other exception counts as temporary.
    """


class SubjectChanged(TokenFailed):
    """A new token, or the server, speaks of another subject than the session began with.

    Permanent: what this user has sent, and listens to, must not pass to another one.
    """


class AuthenticationFailed(StompError):
    """The server kept refusing fresh tokens, or refused this user for good."""


class ClientClosed(StompError):
    """The client was closed, or had stopped, before this could be done."""


class OutboxFull(StompError):
    """The outbox has no room for another message, by count or by bytes. Nothing was queued."""


class MessageTimedOut(StompError):
    """A message waited in the outbox for longer than `ClientConfig.outbox_timeout`."""


class _Refused(StompError):
    def __init__(self, error_code: str, message: str) -> None:
        super().__init__(f"{message} ({error_code})" if error_code else message)
        self.error_code = error_code
        self.message = message


class SendRefused(_Refused):
    """The server answered this very SEND with an ERROR; it will not be sent again."""


class SubscriptionRefused(_Refused):
    """The server answered this very SUBSCRIBE with an ERROR; it has ended."""


class SubscriptionOverflow(StompError):
    """Nobody read a subscription's messages; it ended when its buffer was full."""


class NotConnected(StompError):
    """There is no connection at this moment, and this cannot wait for one."""


class TransactionLost(StompError):
    """The connection of a transaction has ended, and the transaction with it.

    Args:
        is_unknown: COMMIT had left, and its RECEIPT had not come: whether the server has done it
            is not known. False: it has not.
    """

    def __init__(self, text: str, *, is_unknown: bool = False) -> None:
        super().__init__(text)
        self.is_unknown = is_unknown


class TransactionRefused(_Refused):
    """The server answered the transaction with an ERROR: nothing of it was done."""


class RequestTimedOut(StompError):
    """No reply to a request came in time."""


class ReplyLost(StompError):
    """The connection on which a reply to a request could have come has ended."""


class StaleEpoch(StompError):
    """An ACK or NACK for a message that came over a connection which is gone."""
