"""Option types: texts of the command line turned into what the library takes."""

from __future__ import annotations

import click

from stompcore import HeartBeat, LocalProtocolError
from stompcore.listener import Address

__all__ = ["ADDRESS", "HEART_BEAT"]

_MAX_PORT = 65535


class _AddressType(click.ParamType[Address]):
    name = "address"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Address:
        host, _, port = str(value).rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not host or not (port.isascii() and port.isdigit()) or int(port) > _MAX_PORT:
            self.fail(f"{value!r} is not HOST:PORT.", param, ctx)
        return host, int(port)


class _HeartBeatType(click.ParamType[HeartBeat]):
    name = "heart-beat"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> HeartBeat:
        parts = str(value).split(",")
        if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
            self.fail(f"{value!r} is not two numbers with a comma between them.", param, ctx)
        try:
            return HeartBeat(
                send_interval=int(parts[0]) / 1000, receive_interval=int(parts[1]) / 1000
            )
        except LocalProtocolError as error:  # pragma: no cover - whole milliseconds always fit
            self.fail(f"{error}.", param, ctx)


ADDRESS = _AddressType()
HEART_BEAT = _HeartBeatType()
