"""Options: their types, and `serve`'s all together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click

from stompcore import HeartBeat, LocalProtocolError
from stompcore.listener import Address

__all__ = ["ADDRESS", "HEART_BEAT", "ServeOptions"]

_MAX_PORT = 65535
_MAX_DIGITS = 9  # what is longer is out of every range, and may be more than `int` takes


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS


class _AddressType(click.ParamType[Address]):
    name = "address"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Address:
        host, _, port = str(value).rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not host or not _is_number(port) or int(port) > _MAX_PORT:
            self.fail(f"{value!r} is not HOST:PORT.", param, ctx)
        return host, int(port)


class _HeartBeatType(click.ParamType[HeartBeat]):
    name = "heart-beat"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> HeartBeat:
        parts = str(value).split(",")
        if len(parts) != 2 or not all(map(_is_number, parts)):
            self.fail(f"{value!r} is not two numbers with a comma between them.", param, ctx)
        try:
            return HeartBeat(
                send_interval=int(parts[0]) / 1000, receive_interval=int(parts[1]) / 1000
            )
        except LocalProtocolError as error:  # pragma: no cover - whole milliseconds always fit
            self.fail(f"{error}.", param, ctx)


ADDRESS = _AddressType()
HEART_BEAT = _HeartBeatType()


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """What the command line of `serve` said."""

    runtime: str
    ws: Address | None
    path: str
    tcp: Address | None
    tls_cert: str | None
    tls_key: str | None
    jwt_secret: str | None
    jwt_public_key: str | None
    jwks_url: str | None
    no_auth: bool
    jwt_algorithm: str | None
    issuer: str | None
    audience: str | None
    leeway: float
    origin: Sequence[str]
    heart_beat: HeartBeat
    login_timeout: float
    refresh_destination: str
    no_refresh: bool
    health_path: str
    metrics_path: str
    no_metrics: bool
    drain_window: float
    control: str | None
    log_format: str
