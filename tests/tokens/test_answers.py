"""How an answer is read: the lifetime, the kind, and what passes for a token."""

from __future__ import annotations

import json
import math

import pytest

from stompcore import Token, TokenUnavailable
from stompcore_tokens._answers import Answer, Refused, judge


def answer(**content: object) -> Answer:
    return judge(200, json.dumps({"access_token": "secret"} | content).encode())


@pytest.mark.parametrize(
    ("said", "lifetime"),
    [
        (3600, 3600.0),
        (0.5, 0.5),
        ("3600", 3600.0),
        (10**400, None),
        (1e300, 365 * 86400.0),
        (math.inf, 365 * 86400.0),
        (math.nan, None),
        (-math.inf, None),
        (0, None),
        (-1, None),
        (True, None),
        ("soon", None),
        ("", None),
        (None, None),
        ([60], None),
    ],
)
def test_a_lifetime(said: object, lifetime: float | None) -> None:
    assert answer(expires_in=said).lifetime == lifetime


def test_a_lifetime_that_is_not_said() -> None:
    assert answer().lifetime is None


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER", None])
def test_a_bearer_token(kind: object) -> None:
    assert answer(token_type=kind) == Answer(access_token=Token("secret"))


@pytest.mark.parametrize("kind", ["mac", "", 1, ["bearer"]])
def test_a_token_of_another_kind_is_not_used(kind: object) -> None:
    # Section 7.1 forbids it. The refresh token beside it counts.
    found = answer(token_type=kind, refresh_token="refresh-secret")
    assert found.access_token is None
    assert found.fault == "the auth server's access token is no bearer token"
    assert found.refresh_token == Token("refresh-secret")


@pytest.mark.parametrize("token", ["", " ", "a b", "a\n", "ü", "a\x7f", 1, None, ["a"]])
def test_what_cannot_stand_in_a_header_is_no_access_token(token: object) -> None:
    found = answer(access_token=token)
    assert found.access_token is None
    assert found.fault == "the auth server's answer holds no access token"


@pytest.mark.parametrize("token", ["", "a\n", "ü", 1, None])
def test_an_odd_refresh_token_replaces_none(token: object) -> None:
    assert answer(refresh_token=token).refresh_token is None


@pytest.mark.parametrize("status", [200, 201, 299])
def test_any_success_is_one(status: int) -> None:
    assert judge(status, b'{"access_token":"secret"}').access_token == Token("secret")


@pytest.mark.parametrize("status", [100, 304, 404, 405, 408, 425, 429, 500, 502, 599])
def test_a_status_that_may_pass(status: int) -> None:
    with pytest.raises(TokenUnavailable):
        judge(status, b"")


@pytest.mark.parametrize(
    ("error", "is_dead"),
    [("invalid_grant", True), ("bad_refresh_token", True), ("invalid_client", False)],
)
def test_which_refusals_end_a_refresh_token(error: str, is_dead: bool) -> None:
    with pytest.raises(Refused) as caught:
        judge(400, json.dumps({"error": error, "error_description": "secret"}).encode())
    assert caught.value.is_dead is is_dead
    assert "secret" not in str(caught.value)


def test_no_answer_shows_its_tokens() -> None:
    assert "secret" not in repr(answer(refresh_token="refresh-secret"))
