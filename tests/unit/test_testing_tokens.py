"""A token issuer that fails in every way, and a verifier that must never meet a real one."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import jwt
import pytest

from stompcore import (
    ErrorCode,
    Headers,
    LocalProtocolError,
    Rejected,
    Token,
    TokenReason,
    TokenRequest,
    Unauthorized,
)
from stompcore.pyjwt import JWTVerifier
from stompcore.testing import AuthMode, AuthServer, InsecureTestVerifier, VirtualClock
from stompcore.testing._schedule import Schedule, Task

NOW = 1_700_000_000.0
REQUEST = TokenRequest(reason=TokenReason.INITIAL, generation=1)
KEY = "a secret of more than thirty-two bytes"


def answer(server: AuthServer, subject: str = "ann", *, within: float = 60.0) -> Any:
    """What the subject's token source gives or raises, and after how long."""
    schedule = Schedule(server.clock)
    began_at = server.clock.monotonic()
    found: list[Any] = []

    def done(token: str | None, error: Exception | None) -> None:
        found.append((error or token, server.clock.monotonic() - began_at))

    asked: Awaitable[str] = server.source(subject)(REQUEST)
    task = Task(schedule, asked, done)
    task.start()
    schedule.run(began_at + within)
    task.cancel()
    return found[0] if found else None


def verified(token: str, *, now: float = NOW) -> Any:
    return InsecureTestVerifier().verify(Token(token), headers=Headers(), now=now)


def test_a_token_says_who_and_for_how_long() -> None:
    server = AuthServer(VirtualClock(NOW), ttl=60.0)
    token, _ = answer(server)
    identity = verified(token)
    assert (identity.subject, identity.issued_at, identity.expires_at, identity.token_id) == (
        "ann",
        NOW,
        NOW + 60.0,
        "1",
    )
    assert server.issued == server.calls == 1


def test_every_token_is_another() -> None:
    server = AuthServer(VirtualClock())
    assert len({server.issue("ann") for _ in range(100)}) == 100


@pytest.mark.parametrize("subject", ["a.b", "1.2.3.4", "user@example.com", "-"])
def test_subjects_may_have_dots(subject: str) -> None:
    assert verified(AuthServer(VirtualClock()).issue(subject)).subject == subject


@pytest.mark.parametrize("subject", ["", "two words", "líne", "a\nb"])
def test_a_subject_that_cannot_stand_in_a_header_is_refused(subject: str) -> None:
    with pytest.raises(LocalProtocolError):
        AuthServer(VirtualClock()).issue(subject)


def test_the_issuer_goes_by_its_own_wall_clock() -> None:
    clock = VirtualClock(NOW)
    server = AuthServer(clock, ttl=10.0)
    clock.step(-3600.0)
    assert verified(server.issue("ann")).expires_at == NOW - 3590.0


def test_a_call_takes_its_time() -> None:
    server = AuthServer(VirtualClock(NOW), ttl=60.0, latency=2.0)
    token, after = answer(server)
    assert after == 2.0
    assert verified(token).expires_at == NOW + 62.0


def test_one_that_is_down_raises_what_counts_as_temporary() -> None:
    server = AuthServer(VirtualClock())
    server.mode = AuthMode.DOWN
    error, _ = answer(server)
    assert isinstance(error, ConnectionError)


def test_one_that_hangs_never_answers() -> None:
    server = AuthServer(VirtualClock())
    server.mode = AuthMode.HANGING
    assert answer(server, within=3600.0) is None


def test_one_may_give_a_token_that_has_expired() -> None:
    server = AuthServer(VirtualClock(NOW))
    server.mode = AuthMode.EXPIRED
    token, _ = answer(server)
    assert verified(token).expires_at == NOW - 1.0


def test_one_may_give_the_last_token_again() -> None:
    server = AuthServer(VirtualClock())
    server.mode = AuthMode.CACHED
    first, _ = answer(server)
    assert answer(server)[0] == first
    assert answer(server, "bob")[0] != first


def test_one_may_refuse_one_user_for_good() -> None:
    server = AuthServer(VirtualClock())
    server.modes["ann"] = AuthMode.REFUSING
    assert isinstance(answer(server)[0], Unauthorized)
    assert isinstance(answer(server, "bob")[0], str)


def test_tokens_may_be_jwts() -> None:
    server = AuthServer(
        VirtualClock(NOW), sign=lambda claims: jwt.encode(claims, KEY, algorithm="HS256")
    )
    identity = JWTVerifier(KEY, algorithms=["HS256"]).verify(
        Token(server.issue("ann")), headers=Headers(), now=NOW
    )
    assert (identity.subject, identity.expires_at) == ("ann", NOW + 60.0)


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "ann.1.2.3",
        "insecure-test-token.ann.1.2",
        "insecure-test-token.ann.1.x.3",
        "insecure-test-token.ann.-1.2.3",
        "insecure-test-token.ann.1.999999999999999999999.3",
        "insecure-test-token.ann.1.\u0662.3",
        jwt.encode({"sub": "ann", "exp": NOW + 60}, KEY, algorithm="HS256"),
    ],
)
def test_what_is_no_token_of_a_test_is_refused(text: str) -> None:
    with pytest.raises(Rejected) as refused:
        verified(text)
    assert refused.value.error_code is ErrorCode.TOKEN_INVALID
    assert text not in str(refused.value)


def test_no_token_at_all_is_refused() -> None:
    with pytest.raises(Rejected) as refused:
        InsecureTestVerifier().verify(None, headers=Headers(), now=NOW)
    assert refused.value.error_code is ErrorCode.TOKEN_MISSING
