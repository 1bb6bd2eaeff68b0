from __future__ import annotations

import base64
import hashlib
import hmac
import json
import traceback
import warnings
from functools import cache
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from stompcore._auth import Identity, Rejected, Token, TokenVerifier, validity
from stompcore._errors import ErrorCode, LocalProtocolError
from stompcore._headers import Headers
from stompcore.pyjwt import JWTVerifier

SECRET = "correct-horse-battery-staple-0123456789"
NOW = 1_700_000_000.0
GOOD: dict[str, Any] = {"sub": "ann", "exp": NOW + 60}


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def public_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def encoded(part: str) -> str:
    return base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode()


def signed(claims: str, header: str = '{"alg":"HS256"}', secret: str = SECRET) -> str:
    """A token of exactly this text, which PyJWT itself would not write."""
    start = f"{encoded(header)}.{encoded(claims)}"
    digest = hmac.new(secret.encode(), start.encode(), hashlib.sha256).digest()
    return f"{start}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def token(secret: Any = SECRET, algorithm: str = "HS256", /, **claims: Any) -> str:
    present = {name: value for name, value in (GOOD | claims).items() if value is not ...}
    return jwt.encode(present, secret, algorithm)


def hs256(**arguments: Any) -> JWTVerifier:
    return JWTVerifier(SECRET, algorithms=["HS256"], **arguments)


def verify(verifier: TokenVerifier, text: str | None, now: float = NOW) -> Identity:
    return verifier.verify(None if text is None else Token(text), headers=Headers(), now=now)


def refusal(verifier: TokenVerifier, text: str | None) -> Rejected:
    with pytest.raises(Rejected) as caught:
        verify(verifier, text)
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    assert "During handling" not in shown
    return caught.value


def test_a_good_token() -> None:
    identity = verify(hs256(), token(jti="j1", nbf=NOW - 5, role="admin"))
    assert identity == Identity(
        subject="ann", expires_at=NOW + 60, not_before=NOW - 5, token_id="j1"
    )
    assert identity.claims["role"] == "admin"


def test_no_token() -> None:
    assert refusal(hs256(), None).error_code is ErrorCode.TOKEN_MISSING


def test_pyjwts_own_clock_is_off() -> None:
    identity = verify(hs256(), token(exp=100, nbf=50, iat=2**40), now=99.0)
    assert (identity.expires_at, identity.not_before) == (100.0, 50.0)
    assert validity(identity, leeway=0.0, now=99.0) == 100.0
    with pytest.raises(Rejected, match="expired"):
        validity(identity, leeway=0.0, now=100.0)
    with pytest.raises(Rejected, match="not valid yet"):
        validity(identity, leeway=0.0, now=49.0)


INVALID = {
    "garbage": "x",
    "three empty parts": "..",
    "not base64": "a.b.c",
    "not ASCII": "é.é.é",
    "half a surrogate": "\ud800",
    "five parts": "a.b.c.d.e",
    "alg none": encoded('{"alg":"none"}') + "." + encoded(json.dumps(GOOD)) + ".",
    "alg nOnE": encoded('{"alg":"nOnE"}') + "." + encoded(json.dumps(GOOD)) + ".",
    "no alg": signed(json.dumps(GOOD), "{}"),
    "alg is a list": signed(json.dumps(GOOD), '{"alg":["HS256"]}'),
    "signature missing": token().rpartition(".")[0] + ".",
    "signature cut": token()[:-4],
    "claims changed": token().replace(".", "." + encoded('{"sub":"eve"}')[:4], 1),
    "another secret": token("another-secret-of-more-than-32-bytes!"),
    "another algorithm": token(SECRET * 2, "HS512"),
    "claims are a list": signed('["sub"]'),
    "claims are not JSON": signed("nonsense"),
    "claims are deep": signed("[" * 100_000),
    "header is deep": signed(json.dumps(GOOD), "[" * 100_000),
    "thousands of digits": signed('{"sub":"ann","exp":' + "9" * 5000 + "}"),
    "unknown crit": signed(json.dumps(GOOD), '{"alg":"HS256","crit":["x"],"x":1}'),
    "jti is a number": signed('{"sub":"ann","exp":9,"jti":7}'),
}


@pytest.mark.parametrize("name", INVALID)
def test_refused(name: str) -> None:
    error = refusal(hs256(), INVALID[name])
    assert error.error_code is ErrorCode.TOKEN_INVALID
    assert error.detail == "The token cannot be verified."


@pytest.mark.parametrize(
    ("claims", "detail"),
    [
        ({"exp": ...}, "has no exp"),
        ({"exp": None}, "has no exp"),
        ({"exp": str(NOW + 60)}, "claim exp is not a number"),
        ({"exp": "soon"}, "claim exp is not a number"),
        ({"exp": True}, "claim exp is not a number"),
        ({"exp": [NOW]}, "claim exp is not a number"),
        ({"exp": {}}, "claim exp is not a number"),
        ({"exp": float("nan")}, "claim exp is not a number"),
        ({"nbf": "0"}, "claim nbf is not a number"),
        ({"nbf": False}, "claim nbf is not a number"),
        ({"nbf": None}, "claim nbf is not a number"),
        ({"nbf": float("nan")}, "claim nbf is not a number"),
        ({"sub": ...}, "has no sub"),
        ({"sub": None}, "has no sub"),
        ({"sub": ""}, "claim sub is not text"),
    ],
)
def test_D3_claims_of_the_wrong_shape(claims: dict[str, Any], detail: str) -> None:
    present = {name: value for name, value in (GOOD | claims).items() if value is not ...}
    error = refusal(hs256(), signed(json.dumps(present)))
    assert error.error_code is ErrorCode.TOKEN_INVALID
    assert detail in error.detail


@pytest.mark.parametrize("subject", ["7", '["ann"]', "true"])
def test_the_subject_is_text(subject: str) -> None:
    text = signed('{"exp":9,"sub":' + subject + "}")
    assert refusal(hs256(), text).error_code is ErrorCode.TOKEN_INVALID


@pytest.mark.parametrize(
    ("exp", "expected"),
    [
        ("1700000060", NOW + 60),
        ("1700000060.75", NOW + 60.75),
        ("1.7e9", NOW),
        ("0", 0.0),
        ("-1", -1.0),
        ("1e400", 1e12),
        ("Infinity", 1e12),
        ("-Infinity", -1e12),
        ("9" * 400, 1e12),
        ("-" + "9" * 400, -1e12),
    ],
)
def test_D3_any_number_is_an_instant(exp: str, expected: float) -> None:
    identity = verify(hs256(), signed('{"sub":"ann","exp":' + exp + "}"))
    assert identity.expires_at == expected


def test_D3_a_life_without_end_is_cut() -> None:
    identity = verify(hs256(), signed('{"sub":"ann","exp":Infinity}'))
    assert validity(identity, leeway=0.0, now=NOW) == NOW + 365 * 86400


@pytest.mark.parametrize(
    ("settings", "claims", "detail"),
    [
        ({"issuer": "a"}, {"iss": "a"}, None),
        ({"issuer": "a"}, {"iss": "b"}, "from another issuer"),
        ({"issuer": "a"}, {}, "has no iss"),
        ({"issuer": "ab"}, {"iss": "a"}, "from another issuer"),
        ({}, {"iss": "anyone"}, None),
        ({"audience": "a"}, {"aud": "a"}, None),
        ({"audience": "a"}, {"aud": ["b", "a"]}, None),
        ({"audience": ["a", "b"]}, {"aud": "b"}, None),
        ({"audience": "a"}, {"aud": "b"}, "for another audience"),
        ({"audience": "a"}, {"aud": ["b"]}, "for another audience"),
        ({"audience": "a"}, {"aud": []}, "has no aud"),
        ({"audience": "a"}, {}, "has no aud"),
        ({}, {"aud": "anyone"}, None),
    ],
)
def test_issuer_and_audience(
    settings: dict[str, Any], claims: dict[str, Any], detail: str | None
) -> None:
    verifier = hs256(**settings)
    if detail is None:
        assert verify(verifier, token(**claims)).subject == "ann"
    else:
        error = refusal(verifier, token(**claims))
        assert detail in error.detail
        assert error.error_code is ErrorCode.TOKEN_INVALID


def test_asymmetric() -> None:
    verifier = JWTVerifier(public_pem(rsa_key()), algorithms=["RS256", "PS256"])
    for algorithm in ("RS256", "PS256"):
        assert verify(verifier, token(rsa_key(), algorithm)).subject == "ann"
    refusal(verifier, token(rsa_key(), "RS512"))
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    refusal(verifier, token(other, "RS256"))


def test_a_public_key_does_not_pass_as_an_hmac_secret() -> None:
    pem = public_pem(rsa_key())
    verifier = JWTVerifier(pem, algorithms=["RS256"])
    for algorithm in ("HS256", "HS384", "HS512"):
        forged = signed(json.dumps(GOOD), json.dumps({"alg": algorithm}), pem)
        refusal(verifier, forged)
    with pytest.raises(LocalProtocolError, match="cannot be used with HS256"):
        JWTVerifier(pem, algorithms=["HS256"])


@pytest.mark.parametrize(
    ("algorithms", "sentence"),
    [
        ([], "name the algorithms"),
        (["none"], "name the algorithms"),
        (["HS256", "None"], "name the algorithms"),
        (["HS256", "RS256"], "cannot share a key"),
        (["HS999"], "cannot be used with HS999"),
        (["hs256"], "cannot be used with hs256"),
        (["RS256"], "cannot be used with RS256"),
    ],
)
def test_misconfigured(algorithms: list[str], sentence: str) -> None:
    with pytest.raises(LocalProtocolError, match=sentence) as caught:
        JWTVerifier(SECRET, algorithms=algorithms)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("key", ["", b""])
def test_an_empty_key(key: str | bytes) -> None:
    with pytest.raises(LocalProtocolError, match="empty"):
        JWTVerifier(key, algorithms=["HS256"])


def test_the_key_does_not_show() -> None:
    verifier = hs256()
    assert repr(verifier) == "JWTVerifier(algorithms=['HS256'], key=<hidden>)"
    assert SECRET not in f"{verifier} {[verifier]}"


def test_a_short_key_is_not_mourned_at_every_connect() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = token("short")
    assert verify(JWTVerifier("short", algorithms=["HS256"]), text).subject == "ann"


def jwks(**changes: Any) -> str:
    rsa_jwk = RSAAlgorithm.to_jwk(rsa_key().public_key(), as_dict=True)
    ec_jwk = ECAlgorithm.to_jwk(ec_key().public_key(), as_dict=True)
    keys = [
        {**rsa_jwk, "kid": "r", "alg": "RS256", "use": "sig", **changes},
        {**ec_jwk, "kid": "e", "alg": "ES256"},
    ]
    return json.dumps({"keys": keys})


def with_kid(kid: Any, key: Any, algorithm: str) -> str:
    return jwt.encode(GOOD, key, algorithm, headers={} if kid is ... else {"kid": kid})


def test_a_key_set_may_mix_kinds_of_keys() -> None:
    verifier = JWTVerifier.from_jwks(jwks(), algorithms=["RS256", "ES256"])
    assert verify(verifier, with_kid("r", rsa_key(), "RS256")).subject == "ann"
    assert verify(verifier, with_kid("e", ec_key(), "ES256")).subject == "ann"
    refusal(verifier, with_kid("r", ec_key(), "ES256"))
    refusal(verifier, with_kid("e", rsa_key(), "RS256"))


@pytest.mark.parametrize("kid", ["x", "", "e", ...])
def test_the_token_names_its_key(kid: Any) -> None:
    verifier = JWTVerifier.from_jwks(jwks(), algorithms=["RS256"])
    error = refusal(verifier, with_kid(kid, rsa_key(), "RS256"))
    assert error.detail == "The token was signed with an unknown key."


def test_a_key_id_is_text() -> None:
    verifier = JWTVerifier.from_jwks(jwks(), algorithms=["RS256"])
    for kid in ("7", "[]", "{}"):
        header = '{"alg":"RS256","kid":' + kid + "}"
        assert refusal(verifier, signed(json.dumps(GOOD), header)).error_code is (
            ErrorCode.TOKEN_INVALID
        )
    assert refusal(verifier, "garbage").error_code is ErrorCode.TOKEN_INVALID


def test_a_lone_key_needs_no_name() -> None:
    jwk = RSAAlgorithm.to_jwk(rsa_key().public_key(), as_dict=True)
    verifier = JWTVerifier.from_jwks(json.dumps({"keys": [jwk]}), algorithms=["RS256"])
    assert verify(verifier, with_kid(..., rsa_key(), "RS256")).subject == "ann"


def test_a_key_set_is_asked_for_issuer_and_audience_too() -> None:
    verifier = JWTVerifier.from_jwks(jwks(), algorithms=["RS256"], issuer="i", audience="a")
    text = jwt.encode(GOOD | {"iss": "i", "aud": "b"}, rsa_key(), "RS256", headers={"kid": "r"})
    assert refusal(verifier, text).detail == "The token is for another audience."


@pytest.mark.parametrize("algorithms", [["HS256"], ["RS256", "HS512"], ["RS256", "none"]])
def test_a_published_key_is_no_secret(algorithms: list[str]) -> None:
    with pytest.raises(LocalProtocolError, match="published key"):
        JWTVerifier.from_jwks(jwks(), algorithms=algorithms)


@pytest.mark.parametrize(
    "document",
    ["", "nonsense", "[]", "{}", '{"keys":5}', '{"keys":[5]}', '{"keys":[]}', "[" * 100_000],
)
def test_no_key_set(document: str) -> None:
    with pytest.raises(LocalProtocolError, match="no JWK set"):
        JWTVerifier.from_jwks(document, algorithms=["RS256"])


@pytest.mark.parametrize(
    ("document", "algorithms"),
    [
        (jwks(), ["RS512"]),
        (jwks(), []),
        (jwks(use="enc"), ["RS256"]),
        ('{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}', ["RS256"]),
    ],
)
def test_no_key_for_the_algorithms(document: str, algorithms: list[str]) -> None:
    with pytest.raises(LocalProtocolError, match="has no key for"):
        JWTVerifier.from_jwks(document, algorithms=algorithms)
