"""Every transition table. They are data: the machines run on them, the documentation is drawn
from them, and the tests walk through every cell.

There is no single big machine. A server session has one small table. A client has several that do
not know one another: where its connection is, whether it has a token, how far a handover is, what
its user should see, and, for each subscription, message and transaction, what has become of it.
What ties them together is plain code in `_client`, which asks one table before it moves another.

Two ideas run through all of them:

*Closing is a state, not a moment.* When a side has queued its farewell it is CLOSING: the peer
has lost the right to be heard but not the right to read, so bytes are still drained, for a bounded
time, and nothing that they say counts. Only then is it CLOSED.

*A table says what is legal, never what is due.* Deadlines live in `_timers`.
"""

from __future__ import annotations

import enum

from stompcore._machine import Table

__all__ = [
    "CLIENT_CONNECTION",
    "CONNECTION",
    "ENDPOINT",
    "HANDOVER",
    "MESSAGE",
    "SERVER_SESSION",
    "STATUS",
    "SUBSCRIPTION",
    "TOKEN",
    "TRANSACTION",
    "ClientConnectionState",
    "ClientConnectionTrigger",
    "ConnectionState",
    "ConnectionTrigger",
    "EndpointState",
    "EndpointTrigger",
    "HandoverState",
    "HandoverTrigger",
    "MessageState",
    "MessageTrigger",
    "ServerState",
    "ServerTrigger",
    "Status",
    "StatusTrigger",
    "SubscriptionState",
    "SubscriptionTrigger",
    "TokenState",
    "TokenTrigger",
    "TransactionState",
    "TransactionTrigger",
]


class ServerState(enum.Enum):
    """A server session."""

    CONNECTING = "connecting"  # nothing but CONNECT or STOMP is legal
    VERIFYING = "verifying"  # paused until the caller has judged the token
    OPEN = "open"
    REFRESHING = "refreshing"  # open, but paused until the caller has judged a new token
    CLOSING = "closing"
    CLOSED = "closed"


class ServerTrigger(enum.Enum):
    CONNECT = "connect received"
    REFRESH = "new token received"
    ACCEPT = "token accepted"
    END = "farewell queued"
    GONE = "transport gone or drained"


SERVER_SESSION: Table[ServerState, ServerTrigger] = {
    ServerState.CONNECTING: {
        ServerTrigger.CONNECT: ServerState.VERIFYING,
        ServerTrigger.END: ServerState.CLOSING,
        ServerTrigger.GONE: ServerState.CLOSED,
    },
    ServerState.VERIFYING: {
        ServerTrigger.ACCEPT: ServerState.OPEN,
        ServerTrigger.END: ServerState.CLOSING,
        ServerTrigger.GONE: ServerState.CLOSED,
    },
    ServerState.OPEN: {
        ServerTrigger.REFRESH: ServerState.REFRESHING,
        ServerTrigger.END: ServerState.CLOSING,
        ServerTrigger.GONE: ServerState.CLOSED,
    },
    ServerState.REFRESHING: {
        ServerTrigger.ACCEPT: ServerState.OPEN,
        ServerTrigger.END: ServerState.CLOSING,
        ServerTrigger.GONE: ServerState.CLOSED,
    },
    ServerState.CLOSING: {ServerTrigger.GONE: ServerState.CLOSED},
    ServerState.CLOSED: {},
}


class ClientConnectionState(enum.Enum):
    """One physical connection of a client."""

    CONNECTING = "connecting"  # CONNECT is queued, CONNECTED has not come
    OPEN = "open"
    DISCONNECTING = "disconnecting"  # DISCONNECT is queued, its RECEIPT has not come
    CLOSING = "closing"  # ERROR or the RECEIPT came: waiting for the server to close
    CLOSED = "closed"


class ClientConnectionTrigger(enum.Enum):
    CONNECTED = "connected received"
    DISCONNECT = "disconnect queued"
    END = "error or last receipt received"
    GONE = "transport gone"


CLIENT_CONNECTION: Table[ClientConnectionState, ClientConnectionTrigger] = {
    ClientConnectionState.CONNECTING: {
        ClientConnectionTrigger.CONNECTED: ClientConnectionState.OPEN,
        ClientConnectionTrigger.END: ClientConnectionState.CLOSING,
        ClientConnectionTrigger.GONE: ClientConnectionState.CLOSED,
    },
    ClientConnectionState.OPEN: {
        ClientConnectionTrigger.DISCONNECT: ClientConnectionState.DISCONNECTING,
        ClientConnectionTrigger.END: ClientConnectionState.CLOSING,
        ClientConnectionTrigger.GONE: ClientConnectionState.CLOSED,
    },
    ClientConnectionState.DISCONNECTING: {
        ClientConnectionTrigger.END: ClientConnectionState.CLOSING,
        ClientConnectionTrigger.GONE: ClientConnectionState.CLOSED,
    },
    ClientConnectionState.CLOSING: {ClientConnectionTrigger.GONE: ClientConnectionState.CLOSED},
    ClientConnectionState.CLOSED: {},
}


class EndpointState(enum.Enum):
    """A WebSocket endpoint, either role (RFC 6455 sections 4 and 7)."""

    HANDSHAKE = "handshake"
    OPEN = "open"
    REFUSED = "refused"  # an HTTP answer that is not 101 is on its way
    LOCAL_CLOSING = "local closing"  # our Close is queued, the peer's has not come
    CLOSED = "closed"


class EndpointTrigger(enum.Enum):
    OPENED = "handshake done"
    REFUSE = "handshake refused"
    CLOSE = "close queued"
    GONE = "close handshake done or transport gone"


ENDPOINT: Table[EndpointState, EndpointTrigger] = {
    EndpointState.HANDSHAKE: {
        EndpointTrigger.OPENED: EndpointState.OPEN,
        EndpointTrigger.REFUSE: EndpointState.REFUSED,
        EndpointTrigger.GONE: EndpointState.CLOSED,
    },
    EndpointState.OPEN: {
        EndpointTrigger.CLOSE: EndpointState.LOCAL_CLOSING,
        EndpointTrigger.GONE: EndpointState.CLOSED,
    },
    EndpointState.REFUSED: {EndpointTrigger.GONE: EndpointState.CLOSED},
    EndpointState.LOCAL_CLOSING: {EndpointTrigger.GONE: EndpointState.CLOSED},
    EndpointState.CLOSED: {},
}


class ConnectionState(enum.Enum):
    """A client, as far as its connection goes."""

    IDLE = "idle"
    WAITING = "waiting"  # for a token, or for the backoff
    DIALING = "dialing"
    CONNECTING = "connecting"  # the transport is there, CONNECTED is not
    CONNECTED = "connected"
    DISCONNECTING = "disconnecting"
    STOPPED = "stopped"


class ConnectionTrigger(enum.Enum):
    START = "start"
    DIAL = "dial"
    DIALED = "dialed"
    CONNECTED = "connected"
    ENDED = "ended"
    CLOSE = "close"
    STOP = "stop"


CONNECTION: Table[ConnectionState, ConnectionTrigger] = {
    ConnectionState.IDLE: {
        ConnectionTrigger.START: ConnectionState.WAITING,
        ConnectionTrigger.STOP: ConnectionState.STOPPED,
    },
    ConnectionState.WAITING: {
        ConnectionTrigger.DIAL: ConnectionState.DIALING,
        ConnectionTrigger.STOP: ConnectionState.STOPPED,
    },
    ConnectionState.DIALING: {
        ConnectionTrigger.DIALED: ConnectionState.CONNECTING,
        ConnectionTrigger.ENDED: ConnectionState.WAITING,
        ConnectionTrigger.STOP: ConnectionState.STOPPED,
    },
    ConnectionState.CONNECTING: {
        ConnectionTrigger.CONNECTED: ConnectionState.CONNECTED,
        ConnectionTrigger.ENDED: ConnectionState.WAITING,
        ConnectionTrigger.STOP: ConnectionState.STOPPED,
    },
    ConnectionState.CONNECTED: {
        ConnectionTrigger.ENDED: ConnectionState.WAITING,
        ConnectionTrigger.CLOSE: ConnectionState.DISCONNECTING,
        ConnectionTrigger.STOP: ConnectionState.STOPPED,
    },
    ConnectionState.DISCONNECTING: {ConnectionTrigger.STOP: ConnectionState.STOPPED},
    ConnectionState.STOPPED: {},
}


class TokenState(enum.Enum):
    """A client's token. A call of the token source is in flight in FETCHING and RENEWING only."""

    NONE = "none"
    FETCHING = "fetching"
    FRESH = "fresh"
    RENEWING = "renewing"  # asked ahead of time: the token that there is still counts
    STALE = "stale"  # known to be dead: it is never sent again
    REFUSED = "refused"  # the source says that there will be no other


class TokenTrigger(enum.Enum):
    FETCH = "fetch"
    ARRIVED = "arrived"
    FETCH_FAILED = "fetch failed"
    EXPIRED = "expired"
    UNAUTHORIZED = "unauthorized"


TOKEN: Table[TokenState, TokenTrigger] = {
    TokenState.NONE: {TokenTrigger.FETCH: TokenState.FETCHING},
    TokenState.FETCHING: {
        TokenTrigger.ARRIVED: TokenState.FRESH,
        TokenTrigger.FETCH_FAILED: TokenState.STALE,
        TokenTrigger.UNAUTHORIZED: TokenState.REFUSED,
    },
    TokenState.FRESH: {
        TokenTrigger.EXPIRED: TokenState.STALE,
        TokenTrigger.FETCH: TokenState.RENEWING,
    },
    TokenState.RENEWING: {
        TokenTrigger.ARRIVED: TokenState.FRESH,
        TokenTrigger.FETCH_FAILED: TokenState.FRESH,
        TokenTrigger.UNAUTHORIZED: TokenState.REFUSED,
        TokenTrigger.EXPIRED: TokenState.FETCHING,  # the same call, but now everything waits for it
    },
    TokenState.STALE: {TokenTrigger.FETCH: TokenState.FETCHING},
    TokenState.REFUSED: {},
}


class HandoverState(enum.Enum):
    """How far a client is with changing to a connection that lives on a newer token.

    None of it is seen in `ConnectionState`: a client that hands over stays CONNECTED.
    """

    NONE = "none"
    DIALING = "dialing"
    CONNECTING = "connecting"  # the new transport is there, CONNECTED is not
    RESTORING = "restoring"  # both connections are subscribed, or about to be
    RETIRING = "retiring"  # the old one has said DISCONNECT, its RECEIPT has not come


class HandoverTrigger(enum.Enum):
    BEGIN = "dial"
    DIALED = "dialed"
    CONNECTED = "connected"
    RESTORED = "every subscription confirmed"
    RETIRED = "old connection ended"
    ABANDON = "given up, or the new connection is the only one"


HANDOVER: Table[HandoverState, HandoverTrigger] = {
    HandoverState.NONE: {HandoverTrigger.BEGIN: HandoverState.DIALING},
    HandoverState.DIALING: {
        HandoverTrigger.DIALED: HandoverState.CONNECTING,
        HandoverTrigger.ABANDON: HandoverState.NONE,
    },
    HandoverState.CONNECTING: {
        HandoverTrigger.CONNECTED: HandoverState.RESTORING,
        HandoverTrigger.ABANDON: HandoverState.NONE,
    },
    HandoverState.RESTORING: {
        HandoverTrigger.RESTORED: HandoverState.RETIRING,
        HandoverTrigger.ABANDON: HandoverState.NONE,
    },
    HandoverState.RETIRING: {
        HandoverTrigger.RETIRED: HandoverState.NONE,
        HandoverTrigger.ABANDON: HandoverState.NONE,
    },
}


class SubscriptionState(enum.Enum):
    """One subscription of a client."""

    REQUESTED = "requested"  # never confirmed yet
    ACTIVE = "active"
    RESTORING = "restoring"  # was active; its connection ended
    ENDED = "ended"


class SubscriptionTrigger(enum.Enum):
    CONFIRMED = "receipt received"
    LOST = "connection lost"
    END = "unsubscribed or refused"


SUBSCRIPTION: Table[SubscriptionState, SubscriptionTrigger] = {
    SubscriptionState.REQUESTED: {
        SubscriptionTrigger.CONFIRMED: SubscriptionState.ACTIVE,
        SubscriptionTrigger.LOST: SubscriptionState.REQUESTED,
        SubscriptionTrigger.END: SubscriptionState.ENDED,
    },
    SubscriptionState.ACTIVE: {
        SubscriptionTrigger.LOST: SubscriptionState.RESTORING,
        SubscriptionTrigger.END: SubscriptionState.ENDED,
    },
    SubscriptionState.RESTORING: {
        SubscriptionTrigger.CONFIRMED: SubscriptionState.ACTIVE,
        SubscriptionTrigger.LOST: SubscriptionState.RESTORING,
        SubscriptionTrigger.END: SubscriptionState.ENDED,
    },
    SubscriptionState.ENDED: {},
}


class MessageState(enum.Enum):
    """One message that a client sends. It ends in exactly one of the last three."""

    QUEUED = "queued"
    IN_FLIGHT = "in flight"
    SENT = "sent"  # nobody asked for a confirmation
    CONFIRMED = "confirmed"
    FAILED = "failed"


class MessageTrigger(enum.Enum):
    SENT = "sent"
    LET_GO = "sent, and no receipt asked for"
    RECEIPT = "receipt received"
    LOST = "connection lost"
    FAIL = "refused, too old, or the client stopped"


MESSAGE: Table[MessageState, MessageTrigger] = {
    MessageState.QUEUED: {
        MessageTrigger.SENT: MessageState.IN_FLIGHT,
        MessageTrigger.LET_GO: MessageState.SENT,
        MessageTrigger.FAIL: MessageState.FAILED,
    },
    MessageState.IN_FLIGHT: {
        MessageTrigger.RECEIPT: MessageState.CONFIRMED,
        MessageTrigger.LOST: MessageState.QUEUED,
        MessageTrigger.FAIL: MessageState.FAILED,
    },
    MessageState.SENT: {},
    MessageState.CONFIRMED: {},
    MessageState.FAILED: {},
}


class TransactionState(enum.Enum):
    """One transaction of a client."""

    OPEN = "open"
    COMMITTING = "committing"  # COMMIT is on its way, its RECEIPT has not come
    COMMITTED = "committed"
    ABORTED = "aborted"
    FAILED = "failed"  # refused, or lost with its connection


class TransactionTrigger(enum.Enum):
    COMMIT = "commit"
    ABORT = "abort"
    RECEIPT = "receipt received"
    FAIL = "refused, or connection lost"


TRANSACTION: Table[TransactionState, TransactionTrigger] = {
    TransactionState.OPEN: {
        TransactionTrigger.COMMIT: TransactionState.COMMITTING,
        TransactionTrigger.ABORT: TransactionState.ABORTED,
        TransactionTrigger.FAIL: TransactionState.FAILED,
    },
    TransactionState.COMMITTING: {
        TransactionTrigger.RECEIPT: TransactionState.COMMITTED,
        TransactionTrigger.FAIL: TransactionState.FAILED,
    },
    TransactionState.COMMITTED: {},
    TransactionState.ABORTED: {},
    TransactionState.FAILED: {},
}


class Status(enum.Enum):
    """A client, as far as the person at the screen is concerned."""

    ONLINE = "online"
    RECOVERING = "recovering"  # not connected for longer than the grace
    OFFLINE = "offline"  # not connected for long, or not yet, or closed
    LOGGED_OUT = "logged out"  # only a login would help


class StatusTrigger(enum.Enum):
    CONNECTED = "connected"
    OVERDUE = "not connected again within the grace"
    GIVEN_UP = "not connected again for long, or closed"
    REFUSED = "no token, or refused for good"


STATUS: Table[Status, StatusTrigger] = {
    Status.OFFLINE: {
        StatusTrigger.CONNECTED: Status.ONLINE,
        StatusTrigger.GIVEN_UP: Status.OFFLINE,
        StatusTrigger.REFUSED: Status.LOGGED_OUT,
    },
    Status.ONLINE: {
        StatusTrigger.CONNECTED: Status.ONLINE,
        StatusTrigger.OVERDUE: Status.RECOVERING,
        StatusTrigger.GIVEN_UP: Status.OFFLINE,
        StatusTrigger.REFUSED: Status.LOGGED_OUT,
    },
    Status.RECOVERING: {
        StatusTrigger.CONNECTED: Status.ONLINE,
        StatusTrigger.GIVEN_UP: Status.OFFLINE,
        StatusTrigger.REFUSED: Status.LOGGED_OUT,
    },
    Status.LOGGED_OUT: {},
}
