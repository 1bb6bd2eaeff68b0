"""What the contract tests share: addresses, settings, and what is looked at."""

from __future__ import annotations

import logging
from typing import Any

from stompcore import Backoff, ClientConfig, HeartBeat, Limits, ServerConfig

__all__ = ["FAST", "PATIENT", "QUICK", "ROOM", "collect", "complaints", "port", "resident", "url"]

ROOM = "/topic/room"

_NO_BEATS = HeartBeat(send_interval=0, receive_interval=0)

#: A server that waits for nobody for long.
QUICK = ServerConfig(
    heart_beat=_NO_BEATS,
    limits=Limits(login_timeout=0.4, handshake_timeout=0.4, close_timeout=0.3),
)

#: A server that would wait, where nothing should make it.
PATIENT = ServerConfig(heart_beat=_NO_BEATS, limits=Limits(close_timeout=20.0))

#: A client that does not wait long either: not to dial again, nor for a connection to hold. It
#: asks for a new token only when the old one has expired.
FAST = ClientConfig(backoff=Backoff(minimum=0.05, maximum=0.2), close_timeout=0.5, refresh=None)


def url(server: Any, transport: str) -> str:
    """What a client dials for "ws" or "tcp"; certificates are for `localhost`."""
    found = next(each for each in server.listeners if each.transport == transport)
    address: str = found.url
    return address.replace("127.0.0.1", "localhost") if found.is_tls else address


def port(server: Any, transport: str) -> int:
    """Where it listens."""
    found: int = next(each.port for each in server.listeners if each.transport == transport)
    return found


def resident() -> int:
    """This process's memory, in kilobytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4


def complaints(records: list[logging.LogRecord]) -> list[str]:
    """What no log may hold after a peer's fault: errors, tracebacks, and ever: a token."""
    return [
        record.getMessage()
        for record in records
        if record.exc_info is not None
        or record.levelno >= logging.ERROR
        or "eyJ" in record.getMessage()
    ]


async def collect(subscription: Any, texts: list[str]) -> None:
    """Read a subscription for ever."""
    async for message in subscription:
        texts.append(message.text)
