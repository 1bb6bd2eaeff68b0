"""stompcore: a sans-IO core for STOMP whose sessions live on expiring access tokens.

The contract of every machine, whole: *after every call that takes `now`, drain `next_event()` (a
client also `next_action()`), send `data_to_send()`, then wait for input or for
`next_deadline()`.*

WebSocket endpoints are in `stompcore.websocket`, JWTs in `stompcore.pyjwt`, what bindings share in
`stompcore.driver`.
"""

from __future__ import annotations

from stompcore._auth import AllowAll, Identity, Rejected, Token, TokenVerifier
from stompcore._client import ClientSession
from stompcore._codec import FrameDecoder, Message, encode_frame
from stompcore._config import Backoff, ClientConfig, HeartBeat, Limits, ServerConfig
from stompcore._connection import ClientConnection
from stompcore._counters import Snapshot
from stompcore._endings import DEFAULT_RULES, Rule
from stompcore._errors import (
    AuthenticationFailed,
    ClientClosed,
    CloseCode,
    ErrorCode,
    LocalProtocolError,
    MessageTimedOut,
    OutboxFull,
    RemoteProtocolError,
    SendRefused,
    StaleEpoch,
    StompError,
    SubscriptionOverflow,
    SubscriptionRefused,
    Unauthorized,
)
from stompcore._events import (
    Acked,
    AckMode,
    Action,
    ClientEvent,
    Committed,
    Connected,
    ConnectionEnded,
    ConnectionEvent,
    ConnectRequested,
    Delivered,
    Dial,
    Dialing,
    Disconnected,
    Ended,
    ErrorReceived,
    FetchToken,
    HangUp,
    Nacked,
    Outcome,
    Published,
    PublishFailed,
    Reauthenticated,
    ReauthRequested,
    Receipted,
    Resubscribed,
    Sent,
    ServerEvent,
    SessionEstablished,
    Stopped,
    Subscribed,
    SubscriptionActive,
    SubscriptionEnded,
    TokenFetchFailed,
    TokenReason,
    TokenReceived,
    TokenRequested,
    Unsubscribed,
    Work,
)
from stompcore._frames import Command, Frame
from stompcore._headers import Headers, Version
from stompcore._hub import Hub, Notice
from stompcore._machine import Close, Machine
from stompcore._server import ServerSession
from stompcore._state import ConnectionState, ServerState
from stompcore._timers import Timer
from stompcore.broker import Broker
from stompcore.client import Client, ReceivedMessage, Subscription, TokenRequest, TokenSource
from stompcore.handlers import Call, Handlers, Refused
from stompcore.policy import Access, AllowEverything, Grant, Grants, Policy

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_RULES",
    "Access",
    "AckMode",
    "Acked",
    "Action",
    "AllowAll",
    "AllowEverything",
    "AuthenticationFailed",
    "Backoff",
    "Broker",
    "Call",
    "Client",
    "ClientClosed",
    "ClientConfig",
    "ClientConnection",
    "ClientEvent",
    "ClientSession",
    "Close",
    "CloseCode",
    "Command",
    "Committed",
    "ConnectRequested",
    "Connected",
    "ConnectionEnded",
    "ConnectionEvent",
    "ConnectionState",
    "Delivered",
    "Dial",
    "Dialing",
    "Disconnected",
    "Ended",
    "ErrorCode",
    "ErrorReceived",
    "FetchToken",
    "Frame",
    "FrameDecoder",
    "Grant",
    "Grants",
    "Handlers",
    "HangUp",
    "Headers",
    "HeartBeat",
    "Hub",
    "Identity",
    "Limits",
    "LocalProtocolError",
    "Machine",
    "Message",
    "MessageTimedOut",
    "Nacked",
    "Notice",
    "OutboxFull",
    "Outcome",
    "Policy",
    "PublishFailed",
    "Published",
    "ReauthRequested",
    "Reauthenticated",
    "Receipted",
    "ReceivedMessage",
    "Refused",
    "Rejected",
    "RemoteProtocolError",
    "Resubscribed",
    "Rule",
    "SendRefused",
    "Sent",
    "ServerConfig",
    "ServerEvent",
    "ServerSession",
    "ServerState",
    "SessionEstablished",
    "Snapshot",
    "StaleEpoch",
    "StompError",
    "Stopped",
    "Subscribed",
    "Subscription",
    "SubscriptionActive",
    "SubscriptionEnded",
    "SubscriptionOverflow",
    "SubscriptionRefused",
    "Timer",
    "Token",
    "TokenFetchFailed",
    "TokenReason",
    "TokenReceived",
    "TokenRequest",
    "TokenRequested",
    "TokenSource",
    "TokenVerifier",
    "Unauthorized",
    "Unsubscribed",
    "Version",
    "Work",
    "encode_frame",
]
