"""What a client reads in its own token, and everything that is no such token."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest

from stompcore._auth import Token
from stompcore._claims import Claims, peek

NOW = 1_700_000_000.0
HOUR = 3600.0


def encode(payload: bytes, *, padded: bool = False) -> str:
    text = base64.urlsafe_b64encode(payload).decode()
    return text if padded else text.rstrip("=")


def jwt(claims: Any, *, head: str = "e30", signature: str = "c2ln") -> Token:
    return Token(f"{head}.{encode(json.dumps(claims).encode())}.{signature}")


def raw(payload: bytes) -> str:
    """A token whose claims are these bytes, whatever they are."""
    return f"e30.{encode(payload)}.s"


# --- whose it is, and how long it lives -------------------------------------------------------


def test_the_three_claims() -> None:
    claims = peek(jwt({"sub": "alice", "iat": 100, "exp": 160.5, "aud": "x"}))
    assert claims == Claims(subject="alice", issued_at=100.0, expires_at=160.5)


def test_what_it_does_not_say_is_none() -> None:
    assert peek(jwt({})) == Claims()
    assert peek(jwt({"sub": "alice"})) == Claims(subject="alice")
    assert peek(jwt({"exp": 5})) == Claims(expires_at=5.0)


def test_nothing_is_verified() -> None:
    assert peek(jwt({"sub": "a"}, head="", signature="")).subject == "a"
    assert peek(jwt({"sub": "a"}, head="!", signature="!")).subject == "a"


@pytest.mark.parametrize("length", range(8))
def test_base64url_of_every_length_with_and_without_padding(length: int) -> None:
    payload = json.dumps({"sub": "x" * length + "ÿ>?"}, ensure_ascii=False).encode()
    for padded in (False, True):
        token = Token(f"e30.{encode(payload, padded=padded)}.s")
        assert peek(token).subject == "x" * length + "ÿ>?"


@pytest.mark.parametrize("subject", [None, "", 7, 0, True, ["alice"], {"sub": "alice"}])
def test_a_subject_is_a_string_that_is_not_empty(subject: object) -> None:
    assert peek(jwt({"sub": subject, "exp": 5})) == Claims(expires_at=5.0)


@pytest.mark.parametrize("value", [None, "1700000000", True, False, [5], {}, "", 10**400])
def test_D3_an_instant_is_a_number(value: object) -> None:
    assert peek(jwt({"sub": "a", "exp": value, "iat": value})) == Claims(subject="a")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_D3_an_instant_is_finite(value: str) -> None:
    token = Token(raw(b'{"exp":' + value.encode() + b',"iat":5}'))
    assert peek(token) == Claims(issued_at=5.0)


def test_D3_a_number_of_any_length_costs_nothing() -> None:
    token = Token(raw(b'{"exp":' + b"9" * 100_000 + b"}"))
    assert peek(token) == Claims()


@pytest.mark.parametrize(
    "text",
    [
        "opaque",
        "a.b",
        "a.b.c.d",
        "..",
        "a..c",
        "a.b.c",
        "e30.=.s",
        "e30.====.s",
        "e30.A.s",  # no length that base64 has
        "e30.!!!!.s",
        "e30.ÿ.s",
        "e30.\ud800.s",
        raw(b"{"),
        raw(b"[1]"),
        raw(b"7"),
        raw(b"null"),
        raw(b'"sub"'),
        raw(b"\xff\xfe"),
        raw(b'{"sub":"\xff"}'),
        raw(b"[" * 100_000),
        raw(b'{"sub":' * 50_000),
        "a.b.c.d.e",  # JWE: five parts, and nobody but its reader knows what it says
    ],
    ids=range(22),
)
def test_any_other_token_says_nothing(text: str) -> None:
    assert peek(Token(text)) == Claims()


def test_no_claim_is_in_a_repr_of_the_token() -> None:
    token = jwt({"sub": "alice"})
    assert "alice" not in repr(token)
    assert token.reveal() not in repr(peek(token))


# --- for how long -----------------------------------------------------------------------------


def test_a_life_is_counted_from_when_it_came() -> None:
    assert Claims(expires_at=NOW + 60).life(NOW) == 60


@pytest.mark.parametrize("skew", [-12 * HOUR, -60.0, 0.0, 60.0, 12 * HOUR])
def test_D20_a_token_that_says_when_it_was_issued_needs_no_clock_of_ours(skew: float) -> None:
    claims = Claims(issued_at=NOW, expires_at=NOW + 60)
    assert claims.life(NOW + skew) == 60


@pytest.mark.parametrize(
    "claims",
    [
        Claims(),
        Claims(subject="a"),
        Claims(issued_at=NOW),
        Claims(expires_at=NOW),
        Claims(expires_at=NOW - 1),
        Claims(issued_at=NOW, expires_at=NOW),
        Claims(issued_at=NOW + 1, expires_at=NOW),
    ],
)
def test_a_life_that_is_none_is_not_told(claims: Claims) -> None:
    assert claims.life(NOW) is None


def test_a_life_of_the_largest_numbers_is_no_surprise() -> None:
    life = peek(jwt({"exp": 1e308, "iat": -1e308})).life(NOW)
    assert life is None or life > 0
    assert not math.isnan(life or 0.0)
