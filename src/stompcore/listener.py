"""What the servers of all bindings share: where they listen, what they show, what they log."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from stompcore._events import (
    Connected,
    ConnectRequested,
    Ended,
    Reauthenticated,
    ReauthRequested,
)
from stompcore._http import Answer, Page, Pages
from stompcore._hub import Hub, Notice
from stompcore._server import ServerSession
from stompcore._url import format_host
from stompcore.metrics import CONTENT_TYPE, render
from stompcore.websocket import ServerEndpoint

__all__ = [
    "Address",
    "Level",
    "Listener",
    "LogLine",
    "health_page",
    "log_lines",
    "metrics_page",
    "open_machine",
    "pages",
]

#: (host, port); port 0 takes any that is free.
Address = tuple[str, int]

# A scrape or a probe wants to know how it is now.
_NOT_KEPT = [(b"Cache-Control", b"no-store")]


class Listener(NamedTuple):
    """One address that a server accepts connections on.

    Args:
        transport: "ws" or "tcp".
        host, port: as bound.
        path: of the WebSocket endpoint, None for "tcp".
        is_tls: whether TLS is spoken.
    """

    transport: str
    host: str
    port: int
    path: str | None
    is_tls: bool

    @property
    def url(self) -> str:
        """What a client dials."""
        host = format_host(self.host)
        if self.transport == "ws":
            return f"{'wss' if self.is_tls else 'ws'}://{host}:{self.port}{self.path}"
        return f"{'stomps' if self.is_tls else 'stomp'}://{host}:{self.port}"


def pages(hub: Hub) -> Pages:
    """What a plain GET may see on the WebSocket's port, by path: `ServerConfig` says where."""
    config = hub.config
    found: dict[str, Page] = {}
    if config.health_path is not None:
        found[config.health_path] = partial(health_page, hub)
    if config.metrics_path is not None:
        found[config.metrics_path] = partial(metrics_page, hub)
    return found


def health_page(hub: Hub) -> Answer:
    """Whether to send clients here: 200, or 503 once the server is on its way out."""
    if hub.is_draining:
        return Answer(503, b"draining\n", headers=_NOT_KEPT)
    return Answer(200, b"ok\n", headers=_NOT_KEPT)


def metrics_page(hub: Hub) -> Answer:
    """The hub's counters, for Prometheus."""
    return Answer(200, render(hub.snapshot()).encode(), CONTENT_TYPE, _NOT_KEPT)


def open_machine(
    hub: Hub, session_id: str, *, is_websocket: bool, now: float
) -> ServerSession | ServerEndpoint:
    """The machine for a transport that was just accepted."""
    session = hub.open(session_id, now=now)
    if not is_websocket:
        return session
    return ServerEndpoint(session, hub.config, now=now, pages=pages(hub))


class Level(enum.IntEnum):
    """How much a line of the log matters. The numbers are those of `logging`."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


class LogLine(NamedTuple):
    """What an operator reads of one event. Never a token.

    Args:
        text: what happened.
        fields: to whom, and why. Instants are floats, in Unix seconds.
        cause: the exception behind an internal error; it deserves a traceback.
        level: how much it matters.
    """

    text: str
    fields: dict[str, str | float]
    cause: Exception | None = None
    level: Level = Level.INFO


def log_lines(hub: Hub) -> Iterator[LogLine]:
    """Every notice of `hub` that is due, in words."""
    while (notice := hub.next_notice()) is not None:
        yield _describe(notice)


def _describe(notice: Notice) -> LogLine:
    event = notice.event
    fields: dict[str, str | float] = {"session": notice.session_id}
    if notice.subject is not None:
        fields["subject"] = notice.subject
    match event:
        case Connected():
            fields["version"] = event.version.value
            return LogLine("connected", fields | _validity(event.valid_until))
        case Reauthenticated():
            return LogLine("refreshed", fields | _validity(event.valid_until))
        case ConnectRequested():
            return LogLine("connect requested", fields)
        case ReauthRequested():
            return LogLine("refresh requested", fields)
        case Ended(error_code=None):
            # Who never logged in is a health check, a scrape or a port scan: there are many.
            level = Level.DEBUG if notice.subject is None else Level.INFO
            return LogLine("disconnected" if event.clean else "left", fields, level=level)
        case Ended():
            assert event.error_code is not None
            fields |= {"error_code": event.error_code.value, "detail": event.detail}
            level = Level.INFO if event.cause is None else Level.ERROR
            return LogLine("ended", fields, event.cause, level)


def _validity(valid_until: float) -> dict[str, str | float]:
    return {"valid_until": valid_until} if valid_until < math.inf else {}
