"""`stompcore control`: what operators ask a running server, over its control socket."""

from __future__ import annotations

import http.client
import json
import math
import socket
import sys
import time
from typing import Any
from urllib.parse import urlencode

import click
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from stompcore_cli._errors import fail
from stompcore_cli._logs import quote

__all__ = ["control"]

_TIMEOUT = 10.0


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("stompcore", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT)
        self.sock.connect(self._path)


def _ask(path: str, method: str, target: str, body: object = None) -> tuple[int, str]:
    """The status and the text of an answer that is no refusal."""
    connection = _Connection(path)
    try:
        connection.request(method, target, None if body is None else json.dumps(body).encode())
        response = connection.getresponse()
        status, text = response.status, response.read().decode()
    except FileNotFoundError:
        raise fail(f"There is no control socket at {path!r}.") from None
    except ConnectionRefusedError:
        raise fail(f"No server listens at {path!r}.") from None
    except PermissionError:
        raise fail(f"The control socket {path!r} is another user's.") from None
    except (OSError, ValueError, http.client.HTTPException):
        raise fail(f"No server answers at {path!r}.") from None
    finally:
        connection.close()
    if status >= 400 and response.getheader("Content-Type") == "application/json":
        raise fail(_member(path, text, "error"))
    return status, text


def _member(path: str, text: str, name: str) -> Any:
    try:
        return json.loads(text)[name]
    except (ValueError, TypeError, KeyError):
        raise fail(f"What answers at {path!r} is no server of ours.") from None


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def _say(path: str, text: str, name: str, one: str, many: str) -> None:
    """The outcome: a sentence for a person, the JSON for a program."""
    count = _member(path, text, name)
    if _is_terminal():
        click.echo(one if count == 1 else many.format(count))
    else:
        click.echo(text.rstrip("\n"))


@click.group(no_args_is_help=False)
@click.argument("path", type=click.Path())
@click.pass_context
def control(context: click.Context, path: str) -> None:
    """Look at a running server, or end sessions: PATH is what `serve --control` was given."""
    context.obj = path


@control.command()
@click.option("--subject", metavar="NAME", help="Of this user only.")
@click.pass_obj
def sessions(path: str, subject: str | None) -> None:
    """List the sessions: a table, or one JSON line each when piped."""
    wanted = {} if subject is None else {"subject": subject}
    query = f"?{urlencode(wanted, errors='surrogateescape')}"
    _, text = _ask(path, "GET", f"/sessions{query}")
    listed = _member(path, text, "sessions")
    if not _is_terminal():
        for each in listed:
            click.echo(json.dumps(each))
        return
    # What is to be typed again is never cut short.
    table = Table(
        Column(
            "SESSION",
            no_wrap=True,
            min_width=max((len(each["session"]) for each in listed), default=0),
        ),
        Column("SUBJECT", overflow="fold"),
        Column("STATE", no_wrap=True),
        Column("JTI", overflow="fold"),
        Column("VALID FOR", no_wrap=True),
        Column("SUBSCRIPTIONS", justify="right"),
        box=None,
        pad_edge=False,
    )
    now = time.time()
    for each in listed:
        table.add_row(
            _cell(each["session"]),
            _cell(each["subject"]),
            _cell(each["state"]),
            _cell(each["token_id"]),
            _duration(each["valid_until"], now),
            str(each["subscriptions"]),
        )
    Console().print(table)


def _cell(value: str | None) -> Text:
    """Text of a peer's choice, which must not draw on the terminal."""
    return Text("" if value is None else value if value.isprintable() else quote(value))


def _duration(valid_until: float | None, now: float) -> str:
    if valid_until is None:
        return "ever"
    seconds = max(0, math.ceil(valid_until - now))
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


@control.command()
@click.pass_obj
def metrics(path: str) -> None:
    """Print the counters, as Prometheus reads them."""
    click.echo(_ask(path, "GET", "/metrics")[1], nl=False)


@control.command()
@click.pass_obj
def health(path: str) -> None:
    """Print `ok` and exit with 0, or `draining` and exit with 1."""
    status, text = _ask(path, "GET", "/healthz")
    click.echo(text, nl=False)
    if status >= 400:
        sys.exit(1)


def _whom(**options: str | None) -> dict[str, str]:
    """The one option of several that was given."""
    given = {name: value for name, value in options.items() if value is not None}
    if len(given) != 1:
        *names, last = ("--jti" if name == "token_id" else f"--{name}" for name in options)
        raise click.UsageError(f"Give one of {', '.join(names)} and {last}.")
    return given


_SESSION = click.option("--session", metavar="ID", help="This session.")
_SUBJECT = click.option("--subject", metavar="NAME", help="Every session of this user.")
_JTI = click.option("--jti", metavar="ID", help="The token with this `jti`.")


@control.command()
@_SESSION
@_SUBJECT
@_JTI
@click.pass_obj
def revoke(path: str, session: str | None, subject: str | None, jti: str | None) -> None:
    """End sessions, with `Token Revoked`: their users have to log in again.

    With --subject or --jti, the tokens that there are do not count any more either.
    """
    whom = _whom(session=session, subject=subject, token_id=jti)
    _, text = _ask(path, "POST", "/revoke", whom)
    _say(path, text, "ended", "One session was ended.", "{} sessions were ended.")


@control.command()
@_SUBJECT
@_JTI
@click.pass_obj
def pardon(path: str, subject: str | None, jti: str | None) -> None:
    """Take a revocation back."""
    whom = _whom(subject=subject, token_id=jti)
    _, text = _ask(path, "POST", "/pardon", whom)
    _say(path, text, "pardoned", "The revocation was taken back.", "There was no revocation.")


@control.command()
@_SESSION
@_SUBJECT
@click.pass_obj
def expire(path: str, session: str | None, subject: str | None) -> None:
    """End sessions as if their token had expired: their clients get a new one and come back."""
    whom = _whom(session=session, subject=subject)
    _, text = _ask(path, "POST", "/expire", whom)
    _say(path, text, "ended", "One session was ended.", "{} sessions were ended.")


@control.command()
@click.pass_obj
def drain(path: str) -> None:
    """Have the server stop accepting, end its sessions bit by bit, and exit."""
    _, text = _ask(path, "POST", "/drain")
    _say(path, text, "sessions", "One session will be ended.", "{} sessions will be ended.")
