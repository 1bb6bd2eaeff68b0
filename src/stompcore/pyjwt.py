"""`JWTVerifier`: JSON Web Tokens (RFC 7519) by PyJWT. The only module that imports it."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from typing import Any

import jwt

from stompcore._auth import Identity, Rejected, Token
from stompcore._errors import ErrorCode, LocalProtocolError
from stompcore._headers import Headers

__all__ = ["JWTVerifier"]

_SYMMETRIC = frozenset({"HS256", "HS384", "HS512"})

_FAR = 1e12

# The session compares `exp` and `nbf` with its own `now`; PyJWT would ask a clock.
_OPTIONS = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "require": ["exp", "sub"],
}


def _instant(claims: dict[str, Any], name: str) -> float:
    value = claims[name]
    # bool is an int in Python, and NaN would never expire.
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise Rejected(ErrorCode.TOKEN_INVALID, f"The claim {name} is not a number.")
    # JSON knows Infinity (in Python) and integers that no float can hold.
    return float(max(-_FAR, min(_FAR, value)))


class JWTVerifier:
    """Verifies compact JWTs at CONNECT. A `TokenVerifier`.

    Args:
        key: the HMAC secret, or the public key (PEM text, or an object of `cryptography`).
        algorithms: the accepted `alg` values, explicitly; symmetric and asymmetric ones cannot
            be mixed, since a public key would then pass as an HMAC secret.
        issuer: the required `iss`, or None not to ask.
        audience: one or more accepted `aud`, or None not to ask.

    Raises:
        LocalProtocolError: no algorithm, `none`, a mixture, or one that PyJWT does not know or
            that does not fit the key.
    """

    def __init__(
        self,
        key: Any,
        *,
        algorithms: Sequence[str],
        issuer: str | None = None,
        audience: str | Collection[str] | None = None,
    ) -> None:
        chosen = frozenset(algorithms)
        if not chosen or any(name.lower() == "none" for name in chosen):
            raise LocalProtocolError("name the algorithms to accept; none is not one")
        if chosen & _SYMMETRIC and chosen - _SYMMETRIC:
            raise LocalProtocolError("symmetric and asymmetric algorithms cannot share a key")
        if isinstance(key, str | bytes) and not key:
            raise LocalProtocolError("the key is empty")
        self._jwt = jwt.PyJWT()
        self._key = key
        self._keys: dict[str, Any] | None = None  # by `kid`, from a JWK set
        self._algorithms = sorted(chosen)
        self._issuer = issuer
        self._audience = audience
        self._options: Any = {
            **_OPTIONS,
            "verify_aud": audience is not None,
            "verify_iss": issuer is not None,
        }
        for name in self._algorithms:
            try:
                jwt.get_algorithm_by_name(name).prepare_key(key)
            except Exception:
                # Nothing of the key may stand in the message, and PyJWT's texts are not ours.
                raise LocalProtocolError(f"this key cannot be used with {name}") from None

    @classmethod
    def from_jwks(
        cls,
        document: str,
        *,
        algorithms: Sequence[str],
        issuer: str | None = None,
        audience: str | Collection[str] | None = None,
    ) -> JWTVerifier:
        """A verifier that takes the key that a token's `kid` names from a JWK set (RFC 7517).

        Args:
            document: the set, as JSON. It is read once: keys that rotate need a new verifier.
            algorithms, issuer, audience: as above; asymmetric algorithms only.

        Raises:
            LocalProtocolError: no set, or none of its keys fits the algorithms.
        """
        chosen = frozenset(algorithms)
        if chosen & _SYMMETRIC or any(name.lower() == "none" for name in chosen):
            raise LocalProtocolError("a published key cannot be an HMAC secret")
        try:
            keys = jwt.PyJWKSet.from_json(document).keys
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
            raise LocalProtocolError("this is no JWK set") from None
        usable = [
            key
            for key in keys
            if key.algorithm_name in chosen and key.public_key_use in (None, "sig")
        ]
        if not usable:
            raise LocalProtocolError(f"the JWK set has no key for {', '.join(sorted(chosen))}")
        # A set may mix kinds of keys, so no one of them has to fit every algorithm.
        first = usable[0]
        verifier = cls(
            first.key, algorithms=[first.algorithm_name], issuer=issuer, audience=audience
        )
        verifier._algorithms = sorted(chosen)
        verifier._keys = {key.key_id or "": key.key for key in usable}
        return verifier

    def _key_for(self, token: str) -> Any:
        if self._keys is None:
            return self._key
        # `kid` is only a hint to which of our own keys to try; the signature decides.
        key_id = jwt.get_unverified_header(token).get("kid", "")
        if not isinstance(key_id, str) or key_id not in self._keys:
            raise Rejected(ErrorCode.TOKEN_INVALID, "The token was signed with an unknown key.")
        return self._keys[key_id]

    def __repr__(self) -> str:
        return f"JWTVerifier(algorithms={self._algorithms}, key=<hidden>)"

    def verify(self, token: Token | None, *, headers: Headers, now: float) -> Identity:
        """See `TokenVerifier.verify`. Claims are required: `exp` (a number) and `sub` (text).

        Raises:
            Rejected: `token-missing`, or `token-invalid`.
        """
        if token is None:
            raise Rejected(ErrorCode.TOKEN_MISSING, "CONNECT needs an access token.")
        try:
            with warnings.catch_warnings():
                # A short HMAC key is the operator's concern at start-up, not at every CONNECT.
                # Its category is newer than the oldest PyJWT that we work with, so by no name.
                warnings.simplefilter("ignore")
                claims = self._jwt.decode(
                    token.reveal(),
                    self._key_for(token.reveal()),
                    algorithms=self._algorithms,
                    issuer=self._issuer,
                    audience=self._audience,
                    options=self._options,
                )
        except jwt.InvalidAudienceError:
            raise Rejected(ErrorCode.TOKEN_INVALID, "The token is for another audience.") from None
        except jwt.InvalidIssuerError:
            raise Rejected(ErrorCode.TOKEN_INVALID, "The token is from another issuer.") from None
        except jwt.MissingRequiredClaimError as error:
            raise Rejected(ErrorCode.TOKEN_INVALID, f"The token has no {error.claim}.") from None
        except jwt.PyJWTError:
            raise Rejected(ErrorCode.TOKEN_INVALID, "The token cannot be verified.") from None
        except (ValueError, TypeError, RecursionError, OverflowError):
            raise Rejected(ErrorCode.TOKEN_INVALID, "The token cannot be verified.") from None
        return _identity(claims)


def _identity(claims: dict[str, Any]) -> Identity:
    subject = claims["sub"]
    if not isinstance(subject, str) or not subject:
        raise Rejected(ErrorCode.TOKEN_INVALID, "The claim sub is not text.")
    token_id = claims.get("jti")
    return Identity(
        subject=subject,
        expires_at=_instant(claims, "exp"),
        not_before=_instant(claims, "nbf") if "nbf" in claims else None,
        token_id=token_id if isinstance(token_id, str) else None,
        issued_at=_instant(claims, "iat") if "iat" in claims else None,
        claims=claims,
    )
