"""From options to what judges tokens, and to TLS; one sentence for whatever cannot be used."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import httpx
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from stompcore import AllowAll, LocalProtocolError, TokenVerifier
from stompcore.pyjwt import JWTVerifier
from stompcore_cli._errors import fail, sentence
from stompcore_cli._options import ServeOptions

__all__ = ["make_tls_context", "make_verifier"]

_JWKS_TIMEOUT = 10.0
_PUBLIC_KEY_ALGORITHMS = ("RS256", "ES256", "ES384", "ES512", "EdDSA")


def make_tls_context(options: ServeOptions) -> ssl.SSLContext | None:
    """TLS for the listeners, if it was asked for."""
    if options.tls_cert is None and options.tls_key is None:
        return None
    if options.tls_cert is None or options.tls_key is None:
        raise click.UsageError("--tls-cert and --tls-key go together.")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # An encrypted key fails for lack of its password, where OpenSSL would ask the terminal.
        context.load_cert_chain(options.tls_cert, options.tls_key, password="")
    except FileNotFoundError:
        raise fail("The TLS certificate or its key cannot be found.") from None
    except OSError:
        raise fail("The TLS certificate and its key cannot be used.") from None
    return context


def make_verifier(options: ServeOptions) -> TokenVerifier:
    """The one way of judging tokens that was asked for."""
    chosen = [
        options.jwt_secret is not None,
        options.jwt_public_key is not None,
        options.jwks_url is not None,
        options.no_auth,
    ]
    if sum(chosen) != 1:
        raise click.UsageError(
            "Give one of --jwt-secret (or STOMPCORE_JWT_SECRET), --jwt-public-key, --jwks-url and "
            "--no-auth."
        )
    if options.no_auth:
        if (options.jwt_algorithm, options.issuer, options.audience) != (None, None, None):
            raise click.UsageError(
                "--jwt-algorithm, --issuer and --audience have no meaning with --no-auth."
            )
        return AllowAll()
    named = None if options.jwt_algorithm is None else (options.jwt_algorithm,)
    if options.jwt_secret is not None:
        secret = options.jwt_secret
        return _first_that_fits(
            lambda algorithm: JWTVerifier(
                secret, algorithms=[algorithm], issuer=options.issuer, audience=options.audience
            ),
            named or ("HS256",),
            "The secret cannot be used.",
        )
    public = named or _PUBLIC_KEY_ALGORITHMS
    if options.jwks_url is not None:
        document = _fetch(options.jwks_url)
        return _first_that_fits(
            lambda algorithm: JWTVerifier.from_jwks(
                document,
                algorithms=[algorithm],
                issuer=options.issuer,
                audience=options.audience,
            ),
            public,
            "The JWK set has no key that can be used.",
        )
    assert options.jwt_public_key is not None
    name = repr(options.jwt_public_key)
    try:
        # Parsed here, so that no other text can pass as an HMAC secret.
        key = load_pem_public_key(Path(options.jwt_public_key).read_bytes())
    except OSError:
        raise fail(f"The public key {name} cannot be read.") from None
    except (ValueError, UnsupportedAlgorithm):
        raise fail(f"{name} holds no public key that can be used.") from None
    return _first_that_fits(
        lambda algorithm: JWTVerifier(
            key, algorithms=[algorithm], issuer=options.issuer, audience=options.audience
        ),
        public,
        f"{name} holds no public key that can be used.",
    )


def _first_that_fits(
    make: Callable[[str], JWTVerifier], algorithms: Sequence[str], otherwise: str
) -> JWTVerifier:
    """The verifier for the first of the algorithms that the keys are for."""
    for algorithm in algorithms:
        try:
            return make(algorithm)
        except LocalProtocolError as error:
            if len(algorithms) == 1:
                raise fail(sentence(error)) from None
    raise fail(otherwise)


def _fetch(url: str) -> str:
    # The URL may hold a password, so no message repeats it.
    try:
        response = httpx.get(url, timeout=_JWKS_TIMEOUT, follow_redirects=False)
        response.raise_for_status()
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        raise fail(f"No keys can be had from --jwks-url: the answer is HTTP {status}.") from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise fail("No keys can be had from --jwks-url: it is no http(s) URL.") from None
    except httpx.HTTPError:
        raise fail("No keys can be had from --jwks-url: there is no answer.") from None
    return response.text
