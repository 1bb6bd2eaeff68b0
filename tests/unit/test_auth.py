from __future__ import annotations

import math
from typing import Any

import pytest

from stompcore._auth import (
    MAX_LIFETIME,
    AllowAll,
    Identity,
    Rejected,
    Token,
    TokenVerifier,
    bearer_token,
    token_from_connect,
    user_name,
    validity,
)
from stompcore._errors import ErrorCode, LocalProtocolError, StompError
from stompcore._headers import Headers

NOW = 1_700_000_000.0


def test_D23_a_token_hides_itself() -> None:
    token = Token("s3cret")
    assert token.reveal() == "s3cret"
    for shown in (repr(token), str(token), f"{token}", f"{[token]}", "%s" % token):  # noqa: UP031
        assert "s3cret" not in shown
    assert not hasattr(token, "__dict__")


def test_D15_an_empty_token_is_none() -> None:
    with pytest.raises(LocalProtocolError, match="empty"):
        Token("")


def test_tokens_compare_by_value() -> None:
    assert Token("a") == Token("a")
    assert hash(Token("a")) == hash(Token("a"))
    assert Token("a") != Token("b")
    assert Token("a") != "a"


@pytest.mark.parametrize("field", ["expires_at", "not_before"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_D3_an_instant_is_a_finite_number(field: str, value: float) -> None:
    instants: dict[str, Any] = {"expires_at": 1.0, "not_before": 1.0, field: value}
    with pytest.raises(LocalProtocolError, match="finite"):
        Identity(subject="ann", **instants)


def test_identity_hides_its_claims() -> None:
    identity = Identity(subject="ann", expires_at=1.0, claims={"email": "s3cret"})
    assert "s3cret" not in repr(identity)
    assert identity == Identity(subject="ann", expires_at=1.0)


@pytest.mark.parametrize(
    ("expires_at", "leeway", "expected"),
    [
        (NOW + 60, 0.0, NOW + 60),
        (NOW + 60, 5.0, NOW + 65),
        (NOW - 4, 5.0, NOW + 1),
        (NOW + 0.5, 0.0, NOW + 0.5),
        (NOW + MAX_LIFETIME, 0.0, NOW + MAX_LIFETIME),
        (NOW + MAX_LIFETIME + 1, 0.0, NOW + MAX_LIFETIME),
        (1e12, 0.0, NOW + 365 * 86400),
        (None, 0.0, math.inf),
        (None, 5.0, math.inf),
    ],
)
def test_valid_until(expires_at: float | None, leeway: float, expected: float) -> None:
    identity = Identity(subject="ann", expires_at=expires_at)
    assert validity(identity, leeway=leeway, now=NOW) == expected


@pytest.mark.parametrize(
    ("expires_at", "leeway"),
    [(NOW, 0.0), (NOW - 1, 0.0), (NOW - 5, 5.0), (0.0, 0.0), (-1e12, 0.0), (NOW - 1e-3, 0.0)],
)
def test_D1_on_or_after_exp_is_expired(expires_at: float, leeway: float) -> None:
    with pytest.raises(Rejected, match="expired") as caught:
        validity(Identity(subject="ann", expires_at=expires_at), leeway=leeway, now=NOW)
    assert caught.value.error_code is ErrorCode.TOKEN_EXPIRED


@pytest.mark.parametrize(
    ("not_before", "leeway", "valid"),
    [
        (NOW, 0.0, True),
        (NOW + 0.001, 0.0, False),
        (NOW + 5, 5.0, True),
        (NOW + 5.001, 5.0, False),
        (-1e12, 0.0, True),
    ],
)
def test_not_before(not_before: float, leeway: float, valid: bool) -> None:
    for expires_at, expected in ((NOW + 60, NOW + 60 + leeway), (None, math.inf)):
        identity = Identity(subject="ann", expires_at=expires_at, not_before=not_before)
        if valid:
            assert validity(identity, leeway=leeway, now=NOW) == expected
        else:
            with pytest.raises(Rejected, match="not valid yet") as caught:
                validity(identity, leeway=leeway, now=NOW)
            assert caught.value.error_code is ErrorCode.TOKEN_INVALID


def test_rejected() -> None:
    error = Rejected(ErrorCode.TOKEN_INVALID, "Because.")
    assert (error.error_code, error.detail, str(error)) == (
        ErrorCode.TOKEN_INVALID,
        "Because.",
        "Because.",
    )
    assert str(Rejected(ErrorCode.TOKEN_EXPIRED)) == "Token Expired"
    assert isinstance(error, StompError)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER abc", "abc"),
        ("  Bearer   abc  ", "abc"),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic abc", None),
        ("abc", None),
        ("Bearerabc", None),
        ("", None),
    ],
)
def test_bearer_token(value: str, expected: str | None) -> None:
    assert bearer_token(value) == (None if expected is None else Token(expected))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Authorization": "Bearer a"}, "a"),
        ({"authorization": "Bearer a"}, "a"),
        ({"Authorization": "Bearer a", "authorization": "Bearer b", "passcode": "c"}, "a"),
        ({"login": "x", "passcode": "c"}, "c"),
        ({"passcode": ""}, None),
        ({}, None),
        # An Authorization that holds no token is an answer; the passcode is no second chance.
        ({"Authorization": "Basic a", "passcode": "c"}, None),
    ],
)
def test_token_from_connect(headers: dict[str, str], expected: str | None) -> None:
    token = token_from_connect(Headers(headers))
    assert token == (None if expected is None else Token(expected))


@pytest.mark.parametrize(
    ("headers", "subject"), [({}, "anonymous"), ({"login": ""}, "anonymous"), ({"login": "x"}, "x")]
)
def test_allow_all(headers: dict[str, str], subject: str) -> None:
    verifier: TokenVerifier = AllowAll()
    for token in (None, Token("a")):
        identity = verifier.verify(token, headers=Headers(headers), now=NOW)
        is_anonymous = subject == "anonymous"
        assert identity == Identity(subject=subject, expires_at=None, is_anonymous=is_anonymous)


@pytest.mark.parametrize(
    ("subject", "told"),
    [
        ("ann", True),
        ("Ann Lee", True),
        ("ann:lee", True),  # only the first colon of a line counts
        ("a\\nb", True),  # CONNECTED has no escapes
        ("größer", True),
        ("x" * 10, True),
        ("x" * 11, False),
        ("", False),
        ("a\nb", False),
        ("a\rb", False),
        ("a\0b", False),
        ("ann\n", False),
        ("a\ud800b", False),
        (" ann", False),  # some peers trim: that is another user
        ("ann\t", False),
        (" ", False),
    ],
)
def test_a_user_name_is_told_only_as_it_is(subject: str, told: bool) -> None:
    identity = Identity(subject=subject, expires_at=None)
    assert user_name(identity, max_size=10) == (subject if told else None)
    nobody = Identity(subject=subject, expires_at=None, is_anonymous=True)
    assert user_name(nobody, max_size=10) is None
