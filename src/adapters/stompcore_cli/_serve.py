"""`stompcore serve`: from options to a running server, on either runtime."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import signal
from contextlib import suppress
from typing import Any, Protocol

import click
import trio

import stompcore_asyncio
import stompcore_trio
from stompcore import Limits, ServerConfig, __version__
from stompcore.listener import Address, Listener
from stompcore_cli._errors import fail
from stompcore_cli._keys import make_tls_context, make_verifier
from stompcore_cli._logs import set_up_logging
from stompcore_cli._options import ServeOptions

__all__ = ["run_serve"]

logger = logging.getLogger("stompcore.serve")

_DEFAULT_WS: Address = ("127.0.0.1", 8080)
_SHORT_SECRET = 32  # RFC 7518 section 3.2: at least as many bytes as the hash has
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _Server(Protocol):
    listeners: list[Listener]


def run_serve(options: ServeOptions) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        click.ClickException: in one plain sentence, why it cannot serve.
    """
    verifier = make_verifier(options)
    context = make_tls_context(options)
    config = _make_config(options)
    websocket = options.ws
    if websocket is None and options.tcp is None:
        websocket = _DEFAULT_WS
    set_up_logging(options.log_format)
    if options.no_auth:
        logger.warning("no authentication: everybody is believed to be who they say they are")
    elif options.jwt_secret is not None and len(options.jwt_secret.encode()) < _SHORT_SECRET:
        logger.warning("the secret is short: use %d random bytes or more", _SHORT_SECRET)
    arguments = {
        "verifier": verifier,
        "config": config,
        "websocket": websocket,
        "tcp": options.tcp,
        "ssl": context,
        "control": options.control,
    }
    _spare_the_collector()
    try:
        if options.runtime == "asyncio":
            asyncio.run(_on_asyncio(arguments))
        else:
            trio.run(_on_trio, arguments)
    except OSError as error:
        raise fail(f"Cannot listen: {error.strerror or error}.") from None
    except UnicodeError:
        raise fail("Cannot listen: that is no name of a host.") from None


def _spare_the_collector() -> None:
    """Let the garbage collector look at what lives long but rarely: it stops everything for that.

    Sessions leave almost nothing that it would have to find, and by default it looks through all
    of them every few thousand heart-beats: a second each time, with ten thousand on trio.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(2_000, 10, 25)


def _make_config(options: ServeOptions) -> ServerConfig:
    metrics_path = None if options.no_metrics else options.metrics_path
    paths = [options.path, options.health_path, metrics_path]
    if len(set(paths)) < len(paths):
        raise click.UsageError("--path, --health-path and --metrics-path are to be different.")
    return ServerConfig(
        server=f"stompcore/{__version__}",
        limits=Limits(login_timeout=options.login_timeout),
        heart_beat=options.heart_beat,
        leeway=options.leeway,
        path=options.path,
        origins=frozenset(options.origin) or None,
        refresh_destination=None if options.no_refresh else options.refresh_destination,
        health_path=options.health_path,
        metrics_path=metrics_path,
        drain_window=options.drain_window,
    )


async def _on_asyncio(arguments: dict[str, Any]) -> None:
    server = stompcore_asyncio.serve(**arguments)
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, server.drain_requested.set)
    async with server:
        _announce(server)
        await server.drain_requested.wait()
        logger.info("draining")


async def _on_trio(arguments: dict[str, Any]) -> None:
    server = stompcore_trio.serve(**arguments)
    token = trio.lowlevel.current_trio_token()

    def on_signal(*_: object) -> None:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(server.drain_requested.set, idempotent=True)

    # Not trio's own receiver: it delivers a second signal, which comes while we drain, once more
    # when it is closed, and that one kills.
    before = {number: signal.signal(number, on_signal) for number in _SIGNALS}
    try:
        async with server:
            _announce(server)
            await server.drain_requested.wait()
            logger.info("draining")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _announce(server: _Server) -> None:
    for listener in server.listeners:
        line: dict[str, object] = {
            "event": "listening",
            "transport": listener.transport,
            "host": listener.host,
            "port": listener.port,
        }
        if listener.path is not None:
            line["path"] = listener.path
        if listener.is_tls:
            line["tls"] = True
        click.echo(json.dumps(line))
