from __future__ import annotations

import pytest

import stompcore
from stompcore import _errors
from stompcore._errors import (
    AuthenticationFailed,
    ClientClosed,
    CloseCode,
    ErrorCode,
    LocalProtocolError,
    MessageTimedOut,
    OutboxFull,
    RemoteProtocolError,
    SendRefused,
    StaleEpoch,
    StompError,
    SubscriptionOverflow,
    SubscriptionRefused,
    Unauthorized,
)

# The machine-readable word, the human one, and the WebSocket close code: what peers rely on.
FAREWELLS = [
    ("token-missing", "Token Missing", 3000),
    ("token-invalid", "Token Invalid", 3000),
    ("token-expired", "Token Expired", 3000),
    ("token-revoked", "Token Revoked", 3003),
    ("reauth-rejected", "Reauthentication Failed", 3000),
    ("access-denied", "Access Denied", 3003),
    ("malformed-frame", "Malformed Frame", 1002),
    ("protocol-violation", "Protocol Violation", 1002),
    ("unsupported-version", "Unsupported Version", 1002),
    ("limit-exceeded", "Limit Exceeded", 1009),
    ("slow-consumer", "Slow Consumer", 1008),
    ("heartbeat-timeout", "Heart-beat Timeout", 3008),
    ("login-timeout", "Login Timeout", 3008),
    ("going-away", "Going Away", 1001),
    ("internal-error", "Internal Error", 1011),
]


@pytest.mark.parametrize(("value", "message", "close_code"), FAREWELLS)
def test_farewell(value: str, message: str, close_code: int) -> None:
    code = ErrorCode(value)
    assert (code.message, code.close_code) == (message, close_code)


def test_every_error_code_is_in_the_table() -> None:
    assert [each.value for each in ErrorCode] == [value for value, _, _ in FAREWELLS]


@pytest.mark.parametrize("code", ErrorCode)
def test_D19_a_message_fits_into_a_close_reason(code: ErrorCode) -> None:
    assert 0 < len(code.message.encode()) <= 123


@pytest.mark.parametrize("code", CloseCode)
def test_close_codes_are_in_the_ranges_of_rfc_6455(code: CloseCode) -> None:
    assert 1000 <= code <= 1011 or 3000 <= code <= 3999


def test_remote_error_takes_what_its_code_says() -> None:
    error = RemoteProtocolError(ErrorCode.TOKEN_EXPIRED)
    assert error.error_code is ErrorCode.TOKEN_EXPIRED
    assert error.message == "Token Expired"
    assert error.close_code == 3000
    assert (error.detail, error.receipt_id, dict(error.headers)) == ("", None, {})
    assert str(error) == "token-expired"


def test_remote_error_can_say_more() -> None:
    error = RemoteProtocolError(
        ErrorCode.LIMIT_EXCEEDED,
        "Too many.",
        receipt_id="r1",
        close_code=CloseCode.POLICY_VIOLATION,
        headers={"version": "1.2"},
    )
    assert (error.detail, error.receipt_id, error.close_code) == ("Too many.", "r1", 1008)
    assert error.headers == {"version": "1.2"}
    assert str(error) == "limit-exceeded: Too many."


def test_close_code_of_zero_is_not_the_default() -> None:
    assert RemoteProtocolError(ErrorCode.GOING_AWAY, close_code=0).close_code == 0


@pytest.mark.parametrize("kind", [SendRefused, SubscriptionRefused])
def test_refusal_says_what_the_server_said(
    kind: type[SendRefused] | type[SubscriptionRefused],
) -> None:
    error = kind("access-denied", "Access Denied")
    assert (error.error_code, error.message) == ("access-denied", "Access Denied")
    assert str(error) == "Access Denied (access-denied)"
    assert str(kind("", "Nope")) == "Nope"


@pytest.mark.parametrize(
    "kind",
    [
        AuthenticationFailed,
        ClientClosed,
        LocalProtocolError,
        MessageTimedOut,
        OutboxFull,
        RemoteProtocolError,
        SendRefused,
        StaleEpoch,
        SubscriptionOverflow,
        SubscriptionRefused,
        Unauthorized,
    ],
)
def test_one_except_clause_catches_all(kind: type[Exception]) -> None:
    assert issubclass(kind, StompError)


def test_local_and_remote_faults_never_mix() -> None:
    assert not issubclass(LocalProtocolError, RemoteProtocolError)
    assert not issubclass(RemoteProtocolError, LocalProtocolError)


def test_every_public_exception_can_be_imported_from_the_package() -> None:
    exceptions = [
        name
        for name in _errors.__all__
        if isinstance(getattr(_errors, name), type)
        and issubclass(getattr(_errors, name), StompError)
    ]
    assert [name for name in exceptions if not hasattr(stompcore, name)] == []
