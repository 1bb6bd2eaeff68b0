"""A `Player` whose server takes a new token in place, at each stage of that."""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.unit.client_player import Player

from stompcore._events import FetchToken
from stompcore._frames import Frame
from stompcore._state import TokenState
from stompcore._timers import Timer

THERE = "/auth/refresh"
REJECTED = b"ERROR\nmessage:Reauthentication Failed\nerror-code:reauth-rejected\n\n\0"
REFUSED = b"ERROR\nmessage:Token Invalid\nerror-code:token-invalid\n\n\0"


def jwt(**claims: Any) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.sig"


def in_place(*, ttl: str = "100000", **config: Any) -> Player:
    """Connected to a server that takes a new token where it is, on one of 100 s."""
    play = Player(**config)
    play.connect(token_ttl=ttl, token_refresh=THERE)
    play.forget()
    return play


def ahead(**config: Any) -> Player:
    """The same, with the source being asked ahead of time."""
    play = in_place(**config)
    play.wait(85.0)
    assert play.token_state() is TokenState.RENEWING
    return play


def asked(**config: Any) -> tuple[Player, Frame]:
    """The same, with the new token on its way to the server."""
    play = ahead(**config)
    play.give_token()
    (sent,) = play.written()
    return play, sent


def taken(play: Player, ttl: str = "100000", *ended: str) -> None:
    """The server has taken the token that it was sent last."""
    generation = play.last(FetchToken).generation
    lines = "".join(f"subscription-ended:{each}\n" for each in ended)
    play.hear(f"RECEIPT\nreceipt-id:token-{generation}\ntoken-ttl:{ttl}\n{lines}\n\0".encode())


def moment(play: Player) -> float | None:
    """When the source will be asked ahead of time."""
    return play.client._timers.at(Timer.TOKEN_REFRESH)


__all__ = [
    "REFUSED",
    "REJECTED",
    "THERE",
    "ahead",
    "asked",
    "in_place",
    "jwt",
    "moment",
    "taken",
]
