"""What the servers of all bindings share: where they listen, and what they log, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from stompcore._events import Connected, Ended
from stompcore._hub import Hub, Notice
from stompcore._server import ServerSession
from stompcore._url import format_host
from stompcore.websocket import ServerEndpoint

__all__ = ["Address", "Listener", "LogLine", "log_lines", "open_machine"]

#: (host, port); port 0 takes any that is free.
Address = tuple[str, int]


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


def open_machine(
    hub: Hub, session_id: str, *, is_websocket: bool, now: float
) -> ServerSession | ServerEndpoint:
    """The machine for a transport that was just accepted."""
    session = hub.open(session_id, now=now)
    return ServerEndpoint(session, hub.config, now=now) if is_websocket else session


class LogLine(NamedTuple):
    """What an operator reads of one event. Never a token.

    Args:
        text: what happened.
        fields: to whom, and why.
        cause: the exception behind an internal error; it deserves a traceback.
    """

    text: str
    fields: dict[str, str]
    cause: Exception | None = None


def log_lines(hub: Hub) -> Iterator[LogLine]:
    """Every notice of `hub` that is due, in words."""
    while (notice := hub.next_notice()) is not None:
        yield _describe(notice)


def _describe(notice: Notice) -> LogLine:
    event = notice.event
    fields = {"session": notice.session_id}
    if notice.subject is not None:
        fields["subject"] = notice.subject
    match event:
        case Connected():
            fields["version"] = event.version.value
            if event.valid_until < math.inf:
                fields["valid_until"] = f"{event.valid_until:.3f}"
            return LogLine("connected", fields)
        case Ended():
            if event.error_code is None:
                return LogLine("disconnected" if event.clean else "left", fields)
            fields |= {"error_code": event.error_code.value, "detail": event.detail}
            return LogLine("ended", fields, event.cause)
        case _:
            return LogLine("connect requested", fields)
