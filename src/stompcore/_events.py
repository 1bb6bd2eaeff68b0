"""Everything that a machine tells its caller, and everything that it asks of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from stompcore._auth import Identity, Token
from stompcore._errors import ErrorCode, StompError, SubjectChanged, TokenFailed, Unauthorized
from stompcore._frames import Frame
from stompcore._headers import Headers, Version
from stompcore._machine import Close
from stompcore._state import Status

__all__ = [
    "AckMode",
    "Acked",
    "Action",
    "ClientEvent",
    "Committed",
    "ConnectRequested",
    "Connected",
    "ConnectionEnded",
    "ConnectionEvent",
    "Delivered",
    "Dial",
    "Dialing",
    "Disconnected",
    "Ended",
    "ErrorReceived",
    "FetchToken",
    "HangUp",
    "Nacked",
    "Outcome",
    "PublishFailed",
    "Published",
    "ReauthRequested",
    "Reauthenticated",
    "Receipted",
    "Refreshed",
    "Resubscribed",
    "Sent",
    "ServerEvent",
    "SessionEstablished",
    "StatusChanged",
    "Stopped",
    "Subscribed",
    "SubscriptionActive",
    "SubscriptionEnded",
    "TokenFetchFailed",
    "TokenReason",
    "TokenReceived",
    "TokenRequested",
    "TransactionCommitted",
    "TransactionFailed",
    "Unsubscribed",
    "Work",
]


class AckMode(enum.StrEnum):
    """The `ack` header of SUBSCRIBE."""

    AUTO = "auto"
    CLIENT = "client"
    CLIENT_INDIVIDUAL = "client-individual"


# --- a server session tells -------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectRequested:
    """A CONNECT waits for `ServerSession.accept` or `reject`; nothing else is read until then."""

    token: Token | None
    headers: Headers


@dataclass(frozen=True, kw_only=True, slots=True)
class Connected:
    """A session is open. `valid_until` is Unix seconds, `math.inf` for never expiring."""

    identity: Identity
    version: Version
    valid_until: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """Something that the peer asked for: answer with `done(event)` or `refuse(event, ...)`.

    `receipt_id` is the RECEIPT that `done` sends, None for none.
    """

    receipt_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent(Work):
    """SEND: a message to a destination. `headers` are the frame's, as they came."""

    destination: str
    headers: Headers
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscribed(Work):
    """SUBSCRIBE. `subscription` is the id by which this session knows it."""

    subscription: str
    destination: str
    ack: AckMode
    headers: Headers


@dataclass(frozen=True, kw_only=True, slots=True)
class Unsubscribed(Work):
    """UNSUBSCRIBE."""

    subscription: str
    destination: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Acked(Work):
    """ACK. `subscription` is None only in 1.0, whose ACK does not say."""

    message_id: str
    subscription: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Nacked(Work):
    """NACK, with the same fields as `Acked`."""

    message_id: str
    subscription: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Committed(Work):
    """COMMIT: everything that the transaction held, in order. Do all of it, or refuse it whole.

    One receipt, that of the COMMIT, is for all of it.
    """

    transaction: str
    work: tuple[Sent | Acked | Nacked, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReauthRequested:
    """A new token waits for `ServerSession.accept` or `reject`; nothing else is read until then.

    Meanwhile the session lives on its old token, and no longer than that.
    """

    token: Token | None
    headers: Headers


@dataclass(frozen=True, kw_only=True, slots=True)
class Reauthenticated(Work):
    """A session was renewed in place. `valid_until` is Unix seconds, `math.inf` for never expiring.

    Look again at what its peer may listen to, end what it may not (`ServerSession.unsubscribe`),
    then answer with `done`.
    """

    identity: Identity
    valid_until: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """The session is over, for whatever reason; it comes once, and last.

    `error_code` None means in peace: DISCONNECT, or the peer just left (`clean` tells which).
    `cause` is the exception behind an internal error, for the operator's log only.
    """

    error_code: ErrorCode | None
    detail: str
    clean: bool
    cause: Exception | None = field(default=None, repr=False)


ServerEvent = (
    ConnectRequested
    | Connected
    | ReauthRequested
    | Reauthenticated
    | Sent
    | Subscribed
    | Unsubscribed
    | Acked
    | Nacked
    | Committed
    | Ended
)


# --- one connection of a client tells -----------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionEstablished:
    """CONNECTED came."""

    version: Version
    headers: Headers


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipted:
    """RECEIPT came; `headers` are all that it said."""

    receipt_id: str
    headers: Headers = field(default_factory=Headers, repr=False, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorReceived:
    """ERROR came. The server closes next; if it does not, the client will."""

    frame: Frame

    @property
    def error_code(self) -> str:
        """The `error-code` header, empty from servers that have none."""
        return self.frame.headers.get("error-code", "")

    @property
    def message(self) -> str:
        """The `message` header, empty if there is none."""
        return self.frame.headers.get("message", "")

    @property
    def receipt_id(self) -> str | None:
        """The `receipt` of the frame that it answers, if it says so."""
        return self.frame.headers.get("receipt-id")


@dataclass(frozen=True, kw_only=True, slots=True)
class Disconnected:
    """A connection has ended: all that is known of why.

    Args:
        established: CONNECTED had come.
        error: the ERROR, if one came.
        close: the WebSocket close code and reason, if there was one.
        http_status: of a refused WebSocket handshake.
        fault: what we ended it for ourselves (a silent peer, a malformed frame), or how dialling
            failed, in words.
        clean: our DISCONNECT was answered.
    """

    established: bool = False
    error: ErrorReceived | None = None
    close: Close | None = None
    http_status: int | None = None
    fault: str = ""
    clean: bool = False


ConnectionEvent = SessionEstablished | Receipted | ErrorReceived | Frame | Disconnected


# --- a client session tells ---------------------------------------------------------------------


class Outcome(enum.Enum):
    """What a client does after its connection has ended."""

    REFRESH = "refresh"  # get a new token first, then dial at once
    RETRY = "retry"  # dial again after the backoff
    RENEW = "renew"  # we ended it ourselves, for one that lives on a newer token
    STOP = "stop"  # dialling again would be of no use


class TokenReason(enum.Enum):
    """Why a token is asked for."""

    INITIAL = "initial"
    AHEAD = "ahead"  # of its end: the token that there is still counts
    EXPIRED = "expired"


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialing:
    """A new connection is being opened."""

    epoch: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Resubscribed:
    """A connection is up: CONNECTED came, and `subscriptions` went out again, in this order."""

    epoch: int
    version: Version
    subscriptions: tuple[str, ...]
    resent: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionEnded:
    """A connection has ended, and what comes next."""

    epoch: int
    ending: Disconnected
    outcome: Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenRequested:
    """The token source is being asked."""

    generation: int
    reason: TokenReason


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenReceived:
    """The token source has answered."""

    generation: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenFetchFailed:
    """The token source has failed; `error` says how."""

    generation: int
    error: TokenFailed

    @property
    def permanent(self) -> bool:
        """Whether it will not be asked again."""
        return isinstance(self.error, Unauthorized | SubjectChanged)


@dataclass(frozen=True, kw_only=True, slots=True)
class Refreshed:
    """The server has taken a new token on the connection that there is."""

    epoch: int
    generation: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StatusChanged:
    """What the person at the screen should see has changed."""

    status: Status


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivered:
    """A MESSAGE for a live subscription, with the epoch of the connection that it came by."""

    subscription: str
    epoch: int
    frame: Frame


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """The server has confirmed the message with this key.

    Where no confirmation was asked for, `is_confirmed` is False: it was handed to the connection.
    """

    key: int
    is_confirmed: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishFailed:
    """The message with this key will not be sent any more."""

    key: int
    error: StompError


@dataclass(frozen=True, kw_only=True, slots=True)
class TransactionCommitted:
    """The server has done all of a transaction."""

    transaction: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TransactionFailed:
    """A transaction is over; `error` says why, and whether anything of it may have been done."""

    transaction: str
    error: StompError


@dataclass(frozen=True, kw_only=True, slots=True)
class SubscriptionActive:
    """The server has confirmed a subscription, for the first time or again."""

    subscription: str
    epoch: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SubscriptionEnded:
    """A subscription is over: `error` says why, None that it was unsubscribed."""

    subscription: str
    error: StompError | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """The client is done; `error` None means that it was closed by its user."""

    error: StompError | None


ClientEvent = (
    Dialing
    | Resubscribed
    | ConnectionEnded
    | TokenRequested
    | TokenReceived
    | TokenFetchFailed
    | Refreshed
    | StatusChanged
    | Delivered
    | Published
    | PublishFailed
    | TransactionCommitted
    | TransactionFailed
    | SubscriptionActive
    | SubscriptionEnded
    | Stopped
)


# --- a client session asks of its driver --------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Dial:
    """Open a transport to `url`, then call `dialed(epoch)` or `dial_failed(epoch, ...)`."""

    url: str
    epoch: int


@dataclass(frozen=True, kw_only=True, slots=True)
class HangUp:
    """Close the transport of `epoch`, or stop dialling it. Nothing that it says counts now."""

    epoch: int


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchToken:
    """Ask the token source, then call `token(generation, ...)` or `token_failed(...)`.

    An earlier generation's call that still runs is void: cancel it.
    """

    generation: int
    reason: TokenReason


Action = Dial | HangUp | FetchToken
