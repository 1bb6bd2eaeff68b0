"""The URLs that a client can dial."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from stompcore._errors import LocalProtocolError

__all__ = ["Target", "format_host", "parse_url"]

_SCHEMES = {
    # scheme: (is WebSocket, is TLS, default port)
    "ws": (True, False, 80),
    "wss": (True, True, 443),
    "stomp": (False, False, 61613),
    "tcp": (False, False, 61613),
    "stomps": (False, True, 61614),
    "ssl": (False, True, 61614),
}


class Target(NamedTuple):
    """Where to dial, and what to speak there.

    Args:
        is_websocket: STOMP over WebSocket, else over plain TCP.
        is_tls: TLS under it.
        host, port: the address; `host` is also the server's name for TLS.
        path: of the WebSocket request, query included.
    """

    is_websocket: bool
    is_tls: bool
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The HTTP `Host` header's value."""
        host = format_host(self.host)
        default = 443 if self.is_tls else 80
        return host if self.port == default else f"{host}:{self.port}"


def format_host(host: str) -> str:
    """`host` as it stands in a URL: an IPv6 address in brackets (RFC 3986 section 3.2.2)."""
    return f"[{host}]" if ":" in host else host


def parse_url(url: str) -> Target:
    """What `url` stands for.

    Args:
        url: ``ws://``, ``wss://``, ``stomp://`` (or ``tcp://``), ``stomps://`` (or ``ssl://``).

    Raises:
        LocalProtocolError: another scheme, no host, a bad host or port, or credentials in it.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise LocalProtocolError("the URL cannot be read") from None
    if parts.scheme not in _SCHEMES:
        raise LocalProtocolError(f"a URL starts with one of {', '.join(_SCHEMES)} and ://")
    if not host:
        raise LocalProtocolError("the URL has no host")
    if not host.isascii() or not host.isprintable() or any(each in " \\" for each in host):
        raise LocalProtocolError("the host of the URL must be a host name in ASCII, or an address")
    if "@" in parts.netloc:
        # URLs end up in logs.
        raise LocalProtocolError("credentials do not belong in a URL")
    is_websocket, is_tls, default_port = _SCHEMES[parts.scheme]
    path = parts.path or "/"
    if parts.query:
        path = f"{path}?{parts.query}"
    if not path.isascii() or not path.isprintable() or " " in path:
        raise LocalProtocolError("the path of the URL must be percent-encoded")
    return Target(is_websocket, is_tls, host, default_port if port is None else port, path)
