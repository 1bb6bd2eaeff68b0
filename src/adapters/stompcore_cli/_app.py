"""The command line itself: options in, one plain sentence out when something is wrong."""

from __future__ import annotations

import math
import sys
import time
import warnings

import click
import jwt

from stompcore import LocalProtocolError, ServerConfig, __version__
from stompcore_cli._connect import connect
from stompcore_cli._control import control
from stompcore_cli._demo import run_demo
from stompcore_cli._errors import fail, sentence
from stompcore_cli._logs import FORMATS
from stompcore_cli._options import ADDRESS, HEART_BEAT, ServeOptions
from stompcore_cli._serve import run_serve

__all__ = ["main"]

_DEFAULT = ServerConfig()


@click.group(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="stompcore")
def cli() -> None:
    """STOMP over WebSocket and TCP, with sessions that live on expiring access tokens."""


@cli.command()
@click.option("--runtime", type=click.Choice(["asyncio", "trio"]), default="asyncio")
@click.option("--ws", type=ADDRESS, metavar="HOST:PORT", help="STOMP over WebSocket. Port 0: any.")
@click.option("--path", default="/ws", show_default=True, help="The WebSocket's path.")
@click.option("--tcp", type=ADDRESS, metavar="HOST:PORT", help="STOMP over TCP. Port 0: any.")
@click.option("--tls-cert", type=click.Path(), metavar="FILE", help="PEM: the certificate chain.")
@click.option("--tls-key", type=click.Path(), metavar="FILE", help="PEM: its private key.")
@click.option(
    "--jwt-secret",
    metavar="SECRET",
    envvar="STOMPCORE_JWT_SECRET",
    show_envvar=True,
    help="Verify tokens by this HMAC secret.",
)
@click.option(
    "--jwt-public-key",
    type=click.Path(),
    metavar="FILE",
    help="Verify tokens by this public key (PEM).",
)
@click.option("--jwks-url", metavar="URL", help="Verify tokens by these keys, read once at start.")
@click.option("--no-auth", is_flag=True, help="Believe everybody. For development only.")
@click.option(
    "--jwt-algorithm",
    metavar="ALG",
    help="The accepted `alg`. By default HS256 for a secret, and what fits a public key.",
)
@click.option("--issuer", help="The required `iss`.")
@click.option("--audience", help="The required `aud`.")
@click.option(
    "--leeway",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="How long after `exp` a token still counts.",
)
@click.option("--origin", multiple=True, help="A browser origin that may connect; repeatable.")
@click.option(
    "--heart-beat",
    type=HEART_BEAT,
    default="10000,10000",
    show_default=True,
    metavar="SX,SY",
    help="Milliseconds between beats that the server can send, and wants. 0: none.",
)
@click.option(
    "--login-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=_DEFAULT.limits.login_timeout,
    show_default=True,
    metavar="SECONDS",
    help="How long a client may take until its token is accepted.",
)
@click.option(
    "--refresh-destination",
    default=_DEFAULT.refresh_destination,
    show_default=True,
    metavar="DESTINATION",
    help="Where a SEND with a new token renews a session.",
)
@click.option("--no-refresh", is_flag=True, help="Renew no session in place.")
@click.option(
    "--health-path",
    default=_DEFAULT.health_path,
    show_default=True,
    metavar="PATH",
    help="Where the WebSocket's port says that it is well.",
)
@click.option(
    "--metrics-path",
    default=_DEFAULT.metrics_path,
    show_default=True,
    metavar="PATH",
    help="Where the WebSocket's port has its counters, for Prometheus.",
)
@click.option("--no-metrics", is_flag=True, help="Show no counters on the WebSocket's port.")
@click.option(
    "--drain-window",
    type=click.FloatRange(min=0),
    default=_DEFAULT.drain_window,
    show_default=True,
    metavar="SECONDS",
    help="Over how long, at most, the ends of the sessions are spread on the way out.",
)
@click.option(
    "--control",
    type=click.Path(),
    metavar="PATH",
    help="A Unix socket for `stompcore control`; only this user can open it.",
)
@click.option(
    "--log-format",
    type=click.Choice(FORMATS),
    default=FORMATS[0],
    show_default=True,
    help="How the log is written.",
)
def serve(**options: object) -> None:
    """Run a server until SIGTERM, SIGINT or `stompcore control PATH drain`.

    One JSON line per listener goes to stdout once it accepts; the log goes to stderr.
    """
    run_serve(ServeOptions(**options))  # type: ignore[arg-type]


@cli.command()
@click.option(
    "--secret",
    metavar="SECRET",
    envvar="STOMPCORE_JWT_SECRET",
    show_envvar=True,
    required=True,
    help="The HMAC secret (HS256).",
)
@click.option("--subject", metavar="NAME", required=True, help="The `sub` claim.")
@click.option("--ttl", type=float, metavar="SECONDS", required=True, help="How long it is to live.")
def token(secret: str, subject: str, ttl: float) -> None:
    """Print a JWT, for trying things out."""
    if not secret:
        raise fail("The secret is empty.")
    if not subject:
        raise fail("The subject is empty.")
    if not math.isfinite(ttl):
        raise fail("The life-time is not a number of seconds.")
    now = time.time()
    claims = {"sub": subject, "iat": now, "exp": now + ttl}
    with warnings.catch_warnings():
        # `serve` says so, once, where the secret is to be kept.
        warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)
        try:
            click.echo(jwt.encode(claims, secret, algorithm="HS256"))
        except (jwt.PyJWTError, UnicodeEncodeError):
            raise fail("The secret cannot be used with HS256.") from None


@cli.command()
def demo() -> None:
    """Show the whole life of a token, live, over real sockets."""
    sys.exit(run_demo())


cli.add_command(connect)
cli.add_command(control)


def main() -> None:
    """Run the command; never a traceback for what the user can mend."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        click.echo(f"stompcore: {error.format_message()}", err=True)
        sys.exit(error.exit_code)
    except LocalProtocolError as error:
        click.echo(f"stompcore: {sentence(error)}", err=True)
        sys.exit(2)
