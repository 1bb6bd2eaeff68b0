"""From options to what `connect` of the binding takes; one sentence for whatever cannot be used."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import click

from stompcore import ClientConfig, Handover, LocalProtocolError, Refresh, TokenRequest
from stompcore.websocket import parse_url
from stompcore_cli._errors import fail, sentence
from stompcore_tokens import from_command, from_file

__all__ = ["ConnectOptions", "Settings", "make_settings"]


@dataclass(frozen=True, kw_only=True)
class ConnectOptions:
    """What the command line of `connect` said."""

    url: str
    token: str | None
    token_command: str | None
    token_file: str | None
    login: str | None
    passcode: bool
    host: str | None
    handover: str | None
    no_refresh: bool
    subscribe: Sequence[str]
    ca: str | None
    once: bool
    listen: float
    plain: bool
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The same, ready for use.

    Args:
        token: that never changes, if there is one.
        source: of tokens, if there is one.
        config, ssl: for the binding.
    """

    token: str | None
    source: Callable[[TokenRequest], Awaitable[str]] | None
    config: ClientConfig
    ssl: ssl.SSLContext | None


def make_settings(options: ConnectOptions) -> Settings:
    """Look at all of it before anything is dialled.

    Raises:
        click.ClickException: in one plain sentence, why it cannot be used.
    """
    ways = (options.token, options.token_command, options.token_file)
    if sum(each is not None for each in ways) > 1:
        raise click.UsageError(
            "Give one of --token (or STOMPCORE_TOKEN), --token-command and --token-file."
        )
    if options.no_refresh and options.handover is not None:
        raise click.UsageError("--handover has no meaning with --no-refresh.")
    if options.plain and options.as_json:
        raise click.UsageError("--plain and --json do not go together.")
    for text in (options.login, options.host, *options.subscribe):
        if text is not None and not _is_text(text):
            raise fail(f"{text!r} is not UTF-8.")
    token = None if options.token is None else options.token.strip()
    if token is not None and not (token and token.isascii() and token.isprintable()):
        raise fail("The token is none: it is empty, or cannot stand in a header.")
    try:
        parse_url(options.url)
        return Settings(
            token=token,
            source=_make_source(options),
            config=_make_config(options),
            ssl=_make_context(options.ca),
        )
    except LocalProtocolError as error:
        raise fail(sentence(error)) from None


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # the command line was in another encoding
        return False
    return True


def _make_source(options: ConnectOptions) -> Callable[[TokenRequest], Awaitable[str]] | None:
    if options.token_command is not None:
        return from_command(options.token_command)
    if options.token_file is not None:
        return from_file(options.token_file)
    return None


def _make_config(options: ConnectOptions) -> ClientConfig:
    handover = Handover.BREAK if options.handover is None else Handover(options.handover)
    return ClientConfig(
        host=options.host,
        login=options.login,
        passcode=options.passcode,
        refresh=None if options.no_refresh else Refresh(handover=handover),
    )


def _make_context(ca: str | None) -> ssl.SSLContext | None:
    if ca is None:
        return None
    try:
        return ssl.create_default_context(cafile=ca)
    except FileNotFoundError:
        raise fail(f"The certificates {ca!r} cannot be found.") from None
    except (OSError, ValueError):  # an SSLError is an OSError
        raise fail(f"The certificates {ca!r} cannot be used.") from None
