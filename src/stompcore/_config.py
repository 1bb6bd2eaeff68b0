"""Settings: frozen, keyword-only, checked when they are built.

Durations are seconds (float), sizes are bytes.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Collection
from dataclasses import dataclass, field, fields

from stompcore._errors import LocalProtocolError

__all__ = [
    "Backoff",
    "ClientConfig",
    "Handover",
    "HeartBeat",
    "Limits",
    "Refresh",
    "ServerConfig",
]


# None of these can stand in a header of CONNECT or CONNECTED, which have no escapes.
_NO_HEADER = re.compile(r"[\r\n\0]")


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise LocalProtocolError(sentence)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Bounds on what a peer may make us keep or wait for.

    Args:
        frame_size_before_login, frame_size: of a whole frame, in bytes.
        headers: of one frame.
        header_line_size: in bytes.
        command_size: in bytes.
        destination_size: of a destination, of a subscription's id, and of a subject that CONNECTED
            names, in characters.
        subscriptions: of one session.
        transactions: open at once in one session; together they hold `frame_size` bytes at most.
        transaction_frames: of one transaction.
        unacknowledged: messages that a subscription to a queue may hold without an answer.
        handler_backlog: calls of handlers of one session that may wait for one another.
        send_backlog: bytes that wait for a session to read them.
        send_backlog_timeout: how long they may wait without one of them leaving, in seconds.
        login_timeout: from the transport's opening to an accepted token, in seconds.
        handshake_timeout, handshake_size: of the WebSocket's HTTP request; seconds, bytes.
        close_timeout: how long a session that is over may take to read why, in seconds.
        queues: how many there may be.
        queue_messages, queue_size: of one queue; the size in bytes.
        queues_messages, queues_size: of all of them; the size in bytes.
        deliveries: how often a queue tries one message before it is a dead letter.
        message_keys, all_message_keys: how many a server remembers of one subject, and of all of
            them; the oldest are forgotten.
    """

    frame_size_before_login: int = 64 * 1024
    frame_size: int = 1024 * 1024
    headers: int = 100
    header_line_size: int = 16 * 1024
    command_size: int = 16
    destination_size: int = 1024
    subscriptions: int = 1000
    transactions: int = 16
    transaction_frames: int = 1000
    unacknowledged: int = 1000
    handler_backlog: int = 16
    send_backlog: int = 1024 * 1024
    send_backlog_timeout: float = 10.0
    login_timeout: float = 10.0
    handshake_timeout: float = 5.0
    handshake_size: int = 16 * 1024
    close_timeout: float = 5.0
    queues: int = 10_000
    queue_messages: int = 10_000
    queue_size: int = 16 * 1024 * 1024
    queues_messages: int = 250_000
    queues_size: int = 256 * 1024 * 1024
    deliveries: int = 5
    message_keys: int = 10_000
    all_message_keys: int = 250_000

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            _require(value > 0 and math.isfinite(value), f"{each.name} must be above 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class HeartBeat:
    """What we can send and what we want to receive (STOMP 1.2, "Heart-beating").

    Args:
        send_interval: seconds between our beats that we can guarantee; 0 for none.
        receive_interval: seconds between the peer's beats that we want; 0 for none.
        send_fraction: own beats leave after this share of the agreed interval.
        tolerance: the peer counts as dead after this many intervals without a byte.
    """

    send_interval: float = 10.0
    receive_interval: float = 10.0
    send_fraction: float = 0.9
    tolerance: float = 2.0

    def __post_init__(self) -> None:
        for interval in (self.send_interval, self.receive_interval):
            _require(
                math.isfinite(interval) and (interval == 0 or interval >= 0.001),
                "a heart-beat interval is 0 or at least one millisecond",
            )
        _require(0 < self.send_fraction <= 1, "send_fraction must be above 0 and at most 1")
        _require(1 < self.tolerance < math.inf, "tolerance must be above 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Backoff:
    """How long a client waits before it dials again: full jitter between a floor and a ceiling.

    Args:
        minimum: no two attempts are closer than this, in seconds.
        maximum: the ceiling, in seconds.
        stable_timeout: a connection must have been CONNECTED for this long before the next
            failure starts from the floor again, so that accept-then-kick is no hot loop.
    """

    minimum: float = 0.5
    maximum: float = 20.0
    stable_timeout: float = 5.0

    def __post_init__(self) -> None:
        _require(0 < self.minimum <= self.maximum < math.inf, "0 < minimum <= maximum must hold")
        _require(0 < self.stable_timeout < math.inf, "stable_timeout must be above 0")

    def delay(self, attempt: int, random: float) -> float:
        """The delay in seconds before attempt number `attempt` (from 0), `random` in [0, 1)."""
        ceiling = min(self.maximum, self.minimum * 2.0 ** min(attempt + 1, 64))
        return self.minimum + random * (ceiling - self.minimum)


class Handover(enum.Enum):
    """How a client changes to a newer token where the server cannot take one in place."""

    BREAK = "break"  # DISCONNECT, then dial again
    OVERLAP = "overlap"  # the new connection is subscribed before the old one is closed


@dataclass(frozen=True, kw_only=True, slots=True)
class Refresh:
    """When and how a client gets a new token ahead of the old one's end.

    Args:
        earliest, latest: the new token is asked for at a share of the old one's life that is drawn
            between these, so that tokens issued together are not refreshed together.
        handover: what to do with the new token where the server does not take it in place
            (`token-refresh` in CONNECTED).
    """

    earliest: float = 0.8
    latest: float = 0.9
    handover: Handover = Handover.BREAK

    def __post_init__(self) -> None:
        _require(0 < self.earliest <= self.latest < 1, "0 < earliest <= latest < 1 must hold")

    def delay(self, life: float, random: float) -> float:
        """How long to wait, in seconds, with a token that lives `life` seconds.

        `random` is in [0, 1).
        """
        return life * (self.earliest + random * (self.latest - self.earliest))


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerConfig:
    """What every session of one server has in common.

    Args:
        limits: see `Limits`.
        heart_beat: what the server offers and wants.
        leeway: seconds after `exp` for which a token still counts as valid.
        server: the `server` header of CONNECTED ("name/version").
        path: the path of the WebSocket endpoint.
        origins: the browser origins that may connect; None allows every origin.
        token_in_query: the query parameter of the WebSocket URL that may hold the token; None
            (the default) ignores the query, since URLs end up in logs.
        refresh_destination: where a SEND with a new token renews a session; None for nowhere.
        health_path, metrics_path: HTTP pages on the WebSocket's port; None for no such page.
        drain_window: seconds, at most, over which a drain spreads the ends of its sessions.
        drain_rate: sessions a second that a drain ends; a small server drains faster than its
            window.
        duplicate_window: for how many seconds a `message-key` is remembered, so that a message
            that is sent again is not done twice; longer than clients send again (their
            `outbox_timeout`). 0 looks at no key.
    """

    limits: Limits = field(default_factory=Limits)
    heart_beat: HeartBeat = field(default_factory=HeartBeat)
    leeway: float = 0.0
    server: str = "stompcore"
    path: str = "/ws"
    origins: Collection[str] | None = None
    token_in_query: str | None = None
    refresh_destination: str | None = "/auth/refresh"
    health_path: str | None = "/healthz"
    metrics_path: str | None = "/metrics"
    drain_window: float = 5.0
    drain_rate: float = 200.0
    duplicate_window: float = 300.0

    def __post_init__(self) -> None:
        _require(0 <= self.leeway < math.inf, "leeway must be 0 or more")
        _require(not _NO_HEADER.search(self.server), "server must be one line")
        for path in (self.path, self.health_path, self.metrics_path):
            _require(path is None or path.startswith("/"), "a path must start with /")
        refresh = self.refresh_destination
        _require(
            refresh is None or (refresh != "" and not _NO_HEADER.search(refresh)),
            "refresh_destination must be one line",
        )
        _require(0 <= self.drain_window < math.inf, "drain_window must be 0 or more")
        _require(0 < self.drain_rate < math.inf, "drain_rate must be above 0")
        _require(0 <= self.duplicate_window < math.inf, "duplicate_window must be 0 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientConfig:
    """How a client behaves.

    Args:
        host: the `host` header of CONNECT; None takes the host of the URL.
        login: the `login` header of CONNECT, if any.
        passcode: True sends the token as `passcode` instead of as `Authorization: Bearer`.
        heart_beat: what the client offers and wants.
        limits: bounds on what a server may make us keep.
        backoff: see `Backoff`.
        refresh: see `Refresh`; None waits until the server says that the token has expired.
        dial_timeout: for TCP, TLS and the WebSocket handshake together.
        connect_timeout: from CONNECT to CONNECTED, and from a new token to its confirmation.
        token_timeout: for one call of the token source.
        error_timeout: after an ERROR, how long the server may take to close by itself.
        close_timeout: for the RECEIPT of DISCONNECT, then for the close handshake.
        token_refusals: this many fresh tokens refused in a row stop the client.
        outbox_count, outbox_size: bounds on messages that are not confirmed yet.
        outbox_timeout: a message that is older and not confirmed fails.
        reply_destination: where `Client.request` listens for replies: a temporary destination of
            the session.
        subscription_buffer: messages that a subscription holds for a slow reader before the
            client stops reading from the server.
        subscription_limit: messages after which a subscription ends. It reads on past
            `subscription_buffer` only while it waits for an answer of the server.
        status_grace: seconds without a connection that the status does not show.
        offline_timeout: seconds without a connection after which the status says offline.
    """

    host: str | None = None
    login: str | None = None
    passcode: bool = False
    heart_beat: HeartBeat = field(default_factory=HeartBeat)
    # A RECEIPT names every subscription that a new token has ended, one header for each.
    limits: Limits = field(default_factory=lambda: Limits(headers=1100))
    backoff: Backoff = field(default_factory=Backoff)
    refresh: Refresh | None = field(default_factory=Refresh)
    dial_timeout: float = 10.0
    connect_timeout: float = 10.0
    token_timeout: float = 10.0
    error_timeout: float = 1.0
    close_timeout: float = 5.0
    token_refusals: int = 3
    outbox_count: int = 1000
    outbox_size: int = 8 * 1024 * 1024
    outbox_timeout: float = 120.0
    reply_destination: str = "/temp-queue/replies"
    subscription_buffer: int = 1000
    subscription_limit: int = 10_000
    status_grace: float = 2.0
    offline_timeout: float = 30.0

    def __post_init__(self) -> None:
        for text in (self.host, self.login, self.reply_destination):
            _require(
                not _NO_HEADER.search(text or ""),
                "host, login and reply_destination must be one line",
            )
        _require(self.reply_destination != "", "reply_destination must not be empty")
        for name in (
            "dial_timeout",
            "connect_timeout",
            "token_timeout",
            "error_timeout",
            "close_timeout",
            "token_refusals",
            "outbox_count",
            "outbox_size",
            "outbox_timeout",
            "subscription_buffer",
            "subscription_limit",
            "status_grace",
            "offline_timeout",
        ):
            value = getattr(self, name)
            _require(0 < value < math.inf, f"{name} must be above 0")
        _require(
            self.subscription_buffer <= self.subscription_limit,
            "subscription_limit must not be below subscription_buffer",
        )
        _require(
            self.status_grace <= self.offline_timeout,
            "offline_timeout must not be below status_grace",
        )
