"""`stompcore connect`: a small client for people, and for scripts, that shows its whole life.

A line becomes a command (`_commands`), which `_desk` has the client do. What happens becomes
entries (`_entries`), which a view tells: plain or JSON lines (`_views`), or a picture of a model
(`_model`, `_screen`, `_live`). `_run` holds it together.
"""

from __future__ import annotations

import math

import click
from click.core import ParameterSource

from stompcore_cli._connect._settings import ConnectOptions, make_settings

__all__ = ["connect"]


@click.command()
@click.argument("url")
@click.option(
    "--token",
    metavar="TOKEN",
    envvar="STOMPCORE_TOKEN",
    show_envvar=True,
    help="The token. There is no next one when it has expired.",
)
@click.option("--token-command", metavar="COMMAND", help="Run this for each token; no shell.")
@click.option("--token-file", metavar="FILE", help="Read this for each token.")
@click.option("--login", metavar="NAME", help="The `login` of CONNECT.")
@click.option("--passcode", is_flag=True, help="Send the token as `passcode`, not as a Bearer.")
@click.option("--host", metavar="NAME", help="The `host` of CONNECT. By default the URL's.")
@click.option(
    "--handover",
    type=click.Choice(["break", "overlap"]),
    help="How to change to the next token where the server takes none in place. By default: break.",
)
@click.option("--no-refresh", is_flag=True, help="Get the next token only when one has expired.")
@click.option(
    "--subscribe", multiple=True, metavar="DEST", help="Listen to this from the start; repeatable."
)
@click.option("--ca", metavar="FILE", help="Trust these certificates (PEM), and no others.")
@click.option("--once", is_flag=True, help="Give up at the first failure, with exit status 1.")
@click.option(
    "--listen",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="How long to go on when stdin has ended, and all of it is done. `inf`: for ever.",
)
@click.option("--plain", is_flag=True, help="Plain lines, even in a terminal.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def connect(context: click.Context, /, **options: object) -> None:
    """Connect to URL (ws, wss, stomp or stomps), and do what is typed.

    In a terminal: a live view of status, token, subscriptions, messages and log. Piped: a line for
    each thing that happens, and a command on each line of stdin. `help` lists the commands.
    """
    if context.get_parameter_source("token") is ParameterSource.ENVIRONMENT and (
        options["token_command"] or options["token_file"]
    ):
        options["token"] = None  # what was typed counts
    made = ConnectOptions(**options)  # type: ignore[arg-type]
    if math.isnan(made.listen):
        raise click.UsageError("--listen is a number of seconds.")
    settings = make_settings(made)
    # Only now: the terminal's module is not there on every system.
    from stompcore_cli._connect._run import run_connect

    run_connect(made, settings)
