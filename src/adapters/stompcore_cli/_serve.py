"""`stompcore serve`: from options to a running server, on either runtime."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import click
import httpx
import trio

import stompcore_asyncio
import stompcore_trio
from stompcore import (
    AllowAll,
    HeartBeat,
    LocalProtocolError,
    ServerConfig,
    TokenVerifier,
    __version__,
)
from stompcore.listener import Address, Listener
from stompcore.pyjwt import JWTVerifier
from stompcore_cli._errors import fail
from stompcore_cli._logs import set_up_logging

__all__ = ["ServeOptions", "run_serve"]

logger = logging.getLogger("stompcore.serve")

_DEFAULT_WS: Address = ("127.0.0.1", 8080)
_SHORT_SECRET = 32  # RFC 7518 section 3.2: at least as many bytes as the hash has
_JWKS_TIMEOUT = 10.0


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """What the command line said."""

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


class _Server(Protocol):
    listeners: list[Listener]


def run_serve(options: ServeOptions) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        click.ClickException: in one plain sentence, why it cannot serve.
    """
    verifier = _verifier(options)
    context = _tls(options)
    config = ServerConfig(
        server=f"stompcore/{__version__}",
        heart_beat=options.heart_beat,
        leeway=options.leeway,
        path=options.path,
        origins=frozenset(options.origin) or None,
    )
    websocket = options.ws
    if websocket is None and options.tcp is None:
        websocket = _DEFAULT_WS
    set_up_logging()
    if options.no_auth:
        logger.warning("no authentication: everybody is believed to be who they say they are")
    elif options.jwt_secret is not None and len(options.jwt_secret.encode()) < _SHORT_SECRET:
        logger.warning("the secret is short: use %d random bytes or more", _SHORT_SECRET)
    try:
        if options.runtime == "asyncio":
            asyncio.run(_on_asyncio(verifier, config, websocket, options.tcp, context))
        else:
            trio.run(_on_trio, verifier, config, websocket, options.tcp, context)
    except OSError as error:
        raise fail(f"Cannot listen: {error.strerror or error}.") from None


async def _on_asyncio(
    verifier: TokenVerifier,
    config: ServerConfig,
    websocket: Address | None,
    tcp: Address | None,
    context: ssl.SSLContext | None,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with stompcore_asyncio.serve(
        verifier=verifier, config=config, websocket=websocket, tcp=tcp, ssl=context
    ) as server:
        _announce(server)
        await stop.wait()
        logger.info("draining")


async def _on_trio(
    verifier: TokenVerifier,
    config: ServerConfig,
    websocket: Address | None,
    tcp: Address | None,
    context: ssl.SSLContext | None,
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with stompcore_trio.serve(
            verifier=verifier, config=config, websocket=websocket, tcp=tcp, ssl=context
        ) as server:
            _announce(server)
            async for _ in signals:
                break
            logger.info("draining")


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


def _tls(options: ServeOptions) -> ssl.SSLContext | None:
    if options.tls_cert is None and options.tls_key is None:
        return None
    if options.tls_cert is None or options.tls_key is None:
        raise click.UsageError("--tls-cert and --tls-key go together.")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.tls_cert, options.tls_key)
    except FileNotFoundError:
        raise fail("The TLS certificate or its key cannot be found.") from None
    except OSError:
        raise fail("The TLS certificate and its key cannot be used.") from None
    return context


def _verifier(options: ServeOptions) -> TokenVerifier:
    """The one way of judging tokens that was asked for."""
    chosen = [
        options.jwt_secret is not None,
        options.jwt_public_key is not None,
        options.jwks_url is not None,
        options.no_auth,
    ]
    if sum(chosen) != 1:
        raise click.UsageError(
            "Give one of --jwt-secret, --jwt-public-key, --jwks-url and --no-auth."
        )
    if options.no_auth:
        return AllowAll()
    if options.jwt_secret is not None:
        return _jwt_verifier(options, options.jwt_secret, [options.jwt_algorithm or "HS256"])
    if options.jwks_url is not None:
        document = _fetch(options.jwks_url)
        try:
            return JWTVerifier.from_jwks(
                document,
                algorithms=[options.jwt_algorithm or "RS256"],
                issuer=options.issuer,
                audience=options.audience,
            )
        except LocalProtocolError as error:
            raise fail(f"{error}.") from None
    assert options.jwt_public_key is not None
    try:
        key = Path(options.jwt_public_key).read_text("ascii")
    except (OSError, UnicodeDecodeError):
        raise fail(f"The public key {options.jwt_public_key!r} cannot be read.") from None
    if options.jwt_algorithm is not None:
        return _jwt_verifier(options, key, [options.jwt_algorithm])
    for algorithm in ("RS256", "ES256", "EdDSA"):
        try:
            return _jwt_verifier(options, key, [algorithm])
        except click.ClickException:
            continue
    raise fail(f"{options.jwt_public_key!r} holds no public key that can be used.")


def _jwt_verifier(options: ServeOptions, key: str, algorithms: list[str]) -> JWTVerifier:
    try:
        return JWTVerifier(
            key, algorithms=algorithms, issuer=options.issuer, audience=options.audience
        )
    except LocalProtocolError as error:
        text = str(error)
        raise fail(f"{text[0].upper()}{text[1:]}.") from None


def _fetch(url: str) -> str:
    try:
        response = httpx.get(url, timeout=_JWKS_TIMEOUT, follow_redirects=False)
        response.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL):
        raise fail(f"No keys can be had from {url}.") from None
    return response.text
