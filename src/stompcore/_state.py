"""Every transition table. They are data: the machines run on them, the documentation is drawn
from them, and the tests walk through every cell.

There is no single big machine. A server session has one small table. A client has four that do
not know one another: where its connection is, whether it has a token, and, for each
subscription and each message, what has become of it. What ties them together is plain code in
`_client`, which asks one table before it moves another.

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
    "MESSAGE",
    "SERVER_SESSION",
    "SUBSCRIPTION",
    "TOKEN",
    "ClientConnectionState",
    "ClientConnectionTrigger",
    "ConnectionState",
    "ConnectionTrigger",
    "EndpointState",
    "EndpointTrigger",
    "MessageState",
    "MessageTrigger",
    "ServerState",
    "ServerTrigger",
    "SubscriptionState",
    "SubscriptionTrigger",
    "TokenState",
    "TokenTrigger",
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
    """A client's token. FETCHING is the only state with a call of the token source in flight."""

    NONE = "none"
    FETCHING = "fetching"
    FRESH = "fresh"
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
        TokenTrigger.FETCH: TokenState.FETCHING,
    },
    TokenState.STALE: {TokenTrigger.FETCH: TokenState.FETCHING},
    TokenState.REFUSED: {},
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
    """One message that a client sends. It ends in exactly one of the last two."""

    QUEUED = "queued"
    IN_FLIGHT = "in flight"
    CONFIRMED = "confirmed"
    FAILED = "failed"


class MessageTrigger(enum.Enum):
    SENT = "sent"
    RECEIPT = "receipt received"
    LOST = "connection lost"
    FAIL = "refused, too old, or the client stopped"


MESSAGE: Table[MessageState, MessageTrigger] = {
    MessageState.QUEUED: {
        MessageTrigger.SENT: MessageState.IN_FLIGHT,
        MessageTrigger.FAIL: MessageState.FAILED,
    },
    MessageState.IN_FLIGHT: {
        MessageTrigger.RECEIPT: MessageState.CONFIRMED,
        MessageTrigger.LOST: MessageState.QUEUED,
        MessageTrigger.FAIL: MessageState.FAILED,
    },
    MessageState.CONFIRMED: {},
    MessageState.FAILED: {},
}
