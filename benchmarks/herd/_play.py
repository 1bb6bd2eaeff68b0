"""One client's decisions, played through: when it asks for tokens, and when it dials."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.herd._outside import START, Outside

from stompcore._auth import Token
from stompcore._config import Backoff, ClientConfig, HeartBeat, Refresh
from stompcore._credential import Credential
from stompcore._redial import Redial
from stompcore._timers import Timer, Timers

__all__ = ["Cut", "asks", "client_config", "dials"]

_NO_BEATS = HeartBeat(send_interval=0, receive_interval=0)


class Cut:
    """A STOMP server that cuts everybody at once, and takes nobody for a while.

    Args:
        outage: for how many seconds, from the cut on.
    """

    def __init__(self, outage: float) -> None:
        self.cut_at = START
        self.up_at = START + outage


def client_config(refresh: Refresh | None = None, backoff: Backoff | None = None) -> ClientConfig:
    """A client without heart-beats, which decide nothing here."""
    return ClientConfig(heart_beat=_NO_BEATS, refresh=refresh, backoff=backoff or Backoff())


def asks(
    config: ClientConfig,
    outside: Outside,
    draw: Callable[[], float],
    *,
    born_at: float,
    until: float,
) -> list[float]:
    """The instants at which the auth server hears from one client, the login among them.

    The STOMP server takes new tokens in place. Without `config.refresh` it cuts the client when the
    token expires, and the client comes back with the next one.

    Args:
        config: of the client.
        outside: where it lives.
        draw: its jitter.
        born_at: when it is started; Unix seconds.
        until: where to stop; Unix seconds.
    """
    timers = Timers()
    credential = Credential(config, timers, random=draw)
    now, is_connected = born_at, False
    heard: list[float] = []
    while True:
        call = credential.fetch(now)
        assert call is not None
        heard_at, text, now = outside.fetch(now)
        if heard_at >= until:
            return heard
        heard.append(heard_at)
        assert credential.fault(text) is None
        assert credential.arrived(call.generation, Token(text), now)
        if not is_connected:
            _, now = outside.dial(now)
        ttl, now = outside.ask(now)
        credential.accepted(call.generation, ttl / 1000.0, now)
        refresh_at = timers.at(Timer.TOKEN_REFRESH)
        is_connected = refresh_at is not None
        if refresh_at is None:
            now = outside.expires_at + outside.way()
            assert credential.refused(call.generation, was_accepted=True)
        else:
            now = refresh_at
            timers.cancel(Timer.TOKEN_REFRESH)


def dials(
    config: ClientConfig, outside: Outside, draw: Callable[[], float], cut: Cut
) -> list[float]:
    """The instants at which the STOMP server hears from one client that it has cut.

    The last one finds it up again.

    Args:
        config: of the client.
        outside: where it lives.
        draw: its jitter.
        cut: by the server.
    """
    timers = Timers()
    redial = Redial(config.backoff, timers, random=draw)
    now = cut.cut_at + outside.way()
    heard: list[float] = []
    while True:
        redial.back_off(now)
        redial_at = timers.at(Timer.REDIAL)
        assert redial_at is not None
        timers.cancel(Timer.REDIAL)
        redial.dialing(redial_at)
        heard_at, now = outside.dial(redial_at)
        heard.append(heard_at)
        if heard_at >= cut.up_at:
            return heard
