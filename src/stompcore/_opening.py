"""Whether an HTTP request opens a WebSocket for STOMP: the server's half of the handshake."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qs

import h11
from wsproto import WSConnection
from wsproto.events import RejectConnection
from wsproto.events import Request as WireRequest
from wsproto.utilities import RemoteProtocolError as WireRemoteError

from stompcore._auth import Token, bearer_token
from stompcore._config import ServerConfig
from stompcore._http import Exchange, Page, Pages, Refused, Request

__all__ = ["SUBPROTOCOLS", "Opening", "judge"]

#: Of STOMP over WebSocket, the best first.
SUBPROTOCOLS = ("v12.stomp", "v11.stomp", "v10.stomp")


class Opening(NamedTuple):
    """A handshake that is to be accepted.

    Args:
        subprotocol: one of `SUBPROTOCOLS`, None if none was asked for.
        token: what the handshake offers to a CONNECT that brings none.
    """

    subprotocol: str | None
    token: Token | None


def judge(
    exchange: Exchange, request: Request, wire: WSConnection, config: ServerConfig, pages: Pages
) -> Opening | Page:
    """What to do with a request to the WebSocket's port.

    Args:
        exchange, request: the request.
        wire: fresh; it has seen the handshake afterwards.
        config: for the path, the origins and the token's place.
        pages: what a plain GET may see, by path.

    Returns:
        An opening, or the page that was asked for.

    Raises:
        Refused: neither.
    """
    if request.path != config.path and request.path in pages:
        if request.method not in ("GET", "HEAD"):
            raise Refused(405, "This page can only be read.", [(b"Allow", b"GET, HEAD")])
        _check_origin(request, config)
        return pages[request.path]
    if request.method != "GET":
        raise Refused(405, "WebSocket connections start with GET.", [(b"Allow", b"GET")])
    if request.path != config.path:
        raise Refused(404, "There is nothing here.")
    if b"websocket" not in (request.header(b"upgrade") or b"").lower():
        raise Refused(426, "This is a WebSocket endpoint.", [(b"Upgrade", b"websocket")])
    _check_origin(request, config)
    if not exchange.ends_with_head():
        raise Refused(400, "A WebSocket handshake has no body.")
    offered = _offered(wire, request)
    chosen = next((each for each in SUBPROTOCOLS if each in offered), None)
    if offered and chosen is None:
        raise Refused(400, "None of the sub-protocols is STOMP's.")
    return Opening(chosen, _token(request, config.token_in_query))


def _check_origin(request: Request, config: ServerConfig) -> None:
    """Browsers always say where they come from; who does not is none."""
    origin = request.header(b"origin")
    if config.origins is None or origin is None:
        return
    if origin.decode("latin-1") not in config.origins:
        raise Refused(403, "This origin may not connect.")


def _offered(wire: WSConnection, request: Request) -> list[str]:
    """The sub-protocols that a handshake offers."""
    try:
        wire.initiate_upgrade_connection(request.headers, request.target)
        wanted = next(each for each in wire.events() if isinstance(each, WireRequest))
    except WireRemoteError as error:
        hint = error.event_hint
        if isinstance(hint, RejectConnection):
            raise Refused(
                hint.status_code, "This is not a WebSocket handshake.", list(hint.headers)
            ) from None
        raise Refused(400, "This is not a WebSocket handshake.") from None
    except (ValueError, h11.LocalProtocolError):
        # A Host or a target that wsproto cannot decode.
        raise Refused(400, "This is not a WebSocket handshake.") from None
    return wanted.subprotocols


def _token(request: Request, parameter: str | None) -> Token | None:
    value = request.header(b"authorization")
    if value is not None:
        return bearer_token(value.decode("latin-1"))
    if parameter is None:
        return None
    values = parse_qs(request.query).get(parameter)
    return Token(values[0]) if values else None
