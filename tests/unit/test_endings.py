from __future__ import annotations

import pytest

from stompcore._endings import DEFAULT_RULES, Rule, decide, in_words
from stompcore._errors import ErrorCode
from stompcore._events import Disconnected, ErrorReceived, Outcome
from stompcore._frames import Command, Frame
from stompcore._machine import Close

REFRESH, RETRY, STOP = Outcome.REFRESH, Outcome.RETRY, Outcome.STOP


def error(message: str = "", body: bytes = b"", **headers: str) -> ErrorReceived:
    if message:
        headers["message"] = message
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ErrorReceived(frame=Frame(Command.ERROR, named, body))


OWN = {
    "token-missing": REFRESH,
    "token-invalid": REFRESH,
    "token-expired": REFRESH,
    "reauth-rejected": REFRESH,
    "token-revoked": STOP,
    "access-denied": STOP,
    "unsupported-version": STOP,
    "malformed-frame": RETRY,
    "protocol-violation": RETRY,
    "limit-exceeded": RETRY,
    "slow-consumer": RETRY,
    "heartbeat-timeout": RETRY,
    "login-timeout": RETRY,
    "going-away": RETRY,
    "internal-error": RETRY,
}


@pytest.mark.parametrize("established", [False, True])
@pytest.mark.parametrize("code", ErrorCode)
def test_our_own_words_decide_whatever_else_is_said(code: ErrorCode, established: bool) -> None:
    for message in (code.message, "Token expired", ""):
        for close in (None, Close(1000), Close(3000, "Token Expired"), Close(3003)):
            ending = Disconnected(
                established=established, error=error(message, error_code=code), close=close
            )
            is_denied = code is ErrorCode.ACCESS_DENIED
            # Once CONNECTED has come, it is about a frame, and not about the client.
            assert decide(ending) is (RETRY if is_denied and established else OWN[code])


# What others say in an ERROR, after CONNECTED. Before it, each of them refuses the credentials.
EXPIRED_ELSEWHERE = [
    # RabbitMQ
    ("Provided JWT token has expired at timestamp 1700000000", b""),
    ("Bad CONNECT", b"Provided JWT token has expired\n"),
    ("not_allowed", b"credential has expired"),
    # ActiveMQ and its plugins
    ("javax.jms.JMSException: The access token expired", b""),
    ("java.lang.SecurityException: Token is expired", b"at org.apache.activemq..."),
    # Spring and Spring Security
    (
        "An error occurred while attempting to decode the Jwt: Jwt expired at 2024-01-01T00:00:00Z",
        b"",
    ),
    (
        "Failed to send message to ExecutorSubscribableChannel[clientInboundChannel]; nested "
        "exception is io.jsonwebtoken.ExpiredJwtException",
        b"",
    ),
    ("Session expired", b""),
    # In identifiers
    ("TokenExpiredError", b""),
    ("token_expired", b""),
    ("EXPIRED_TOKEN", b""),
    ("", b'{"error":"invalid_token","error_description":"The token expired"}'),
    ("TOKEN EXPIRED", b""),
]
OTHER_ELSEWHERE = [
    ("Bad CONNECT", b"Access refused for user 'ann'\n"),
    ("User name [ann] or password is invalid.", b""),
    ("Failed to send message to ExecutorSubscribableChannel[clientInboundChannel]", b""),
    ("Unauthorized", b""),
    ("Session closed.", b""),
    ("Message expired", b""),
    ("", b""),
    ("", b"\xff\xfe"),
]


@pytest.mark.parametrize(("message", "body"), EXPIRED_ELSEWHERE)
def test_other_servers_expiry(message: str, body: bytes) -> None:
    for established in (False, True):
        ending = Disconnected(established=established, error=error(message, body))
        assert decide(ending) is REFRESH


@pytest.mark.parametrize(("message", "body"), OTHER_ELSEWHERE)
def test_other_servers_other_words(message: str, body: bytes) -> None:
    assert decide(Disconnected(established=True, error=error(message, body))) is RETRY
    # An ERROR in answer to CONNECT refuses the credentials, whatever the words.
    assert decide(Disconnected(established=False, error=error(message, body))) is REFRESH


def test_an_error_code_of_another_dialect_is_not_ours() -> None:
    ending = Disconnected(established=True, error=error("no", error_code="E42"))
    assert decide(ending) is RETRY


@pytest.mark.parametrize(
    ("close", "expected"),
    [
        (Close(1000), RETRY),
        (Close(1001, "Going Away"), RETRY),
        (Close(1002), RETRY),
        (Close(1006), RETRY),
        (Close(1008, "policy"), RETRY),
        (Close(1008, "jwt expired"), REFRESH),
        (Close(3000), REFRESH),
        (Close(3000, "Token Invalid"), REFRESH),
        (Close(3003), STOP),
        (Close(3003, "Token Revoked"), STOP),
        (Close(3008), RETRY),
        (Close(4500, "slow consumer"), RETRY),
        (None, RETRY),
    ],
)
@pytest.mark.parametrize("established", [False, True])
def test_B10_the_close_alone(close: Close | None, expected: Outcome, established: bool) -> None:
    assert decide(Disconnected(established=established, close=close)) is expected


@pytest.mark.parametrize(
    ("status", "expected"), [(401, REFRESH), (403, STOP), (400, RETRY), (404, RETRY), (503, RETRY)]
)
def test_the_handshake_looked_at_the_token(status: int, expected: Outcome) -> None:
    assert decide(Disconnected(http_status=status)) is expected


def test_a_lost_connection_is_tried_again() -> None:
    for ending in (Disconnected(), Disconnected(established=True), Disconnected(fault="refused")):
        assert decide(ending) is RETRY


FULL = Disconnected(
    established=True,
    error=error("Message", b"body", error_code="code"),
    close=Close(3000, "reason"),
    http_status=401,
)


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        (Rule(outcome=STOP), True),
        (Rule(outcome=STOP, established=True), True),
        (Rule(outcome=STOP, established=False), False),
        (Rule(outcome=STOP, had_error=True), True),
        (Rule(outcome=STOP, had_error=False), False),
        (Rule(outcome=STOP, error_codes=frozenset({"code", "other"})), True),
        (Rule(outcome=STOP, error_codes=frozenset({"other"})), False),
        (Rule(outcome=STOP, close_codes=frozenset({3000})), True),
        (Rule(outcome=STOP, close_codes=frozenset({1000})), False),
        (Rule(outcome=STOP, http_statuses=frozenset({401})), True),
        (Rule(outcome=STOP, http_statuses=frozenset({500})), False),
        (Rule(outcome=STOP, text="MESS"), True),
        (Rule(outcome=STOP, text="^body$"), False),
        (Rule(outcome=STOP, text="bod."), True),
        (Rule(outcome=STOP, text="reason"), True),
        (Rule(outcome=STOP, text="code"), False),
        (Rule(outcome=STOP, established=True, text="nothing"), False),
        (Rule(outcome=STOP, established=True, had_error=True, text="message"), True),
    ],
)
def test_every_field_of_a_rule_has_to_fit(rule: Rule, fits: bool) -> None:
    assert rule.fits(FULL) is fits


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        (Rule(outcome=STOP), True),
        (Rule(outcome=STOP, error_codes=frozenset({"", "code"})), False),
        (Rule(outcome=STOP, close_codes=frozenset({1000})), False),
        (Rule(outcome=STOP, http_statuses=frozenset({401})), False),
        (Rule(outcome=STOP, text="."), False),
        (Rule(outcome=STOP, had_error=False, established=False), True),
    ],
)
def test_a_rule_that_asks_for_what_is_not_there(rule: Rule, fits: bool) -> None:
    assert rule.fits(Disconnected()) is fits


def test_the_first_rule_that_fits_decides() -> None:
    stop, refresh = Rule(outcome=STOP, established=True), Rule(outcome=REFRESH)
    assert decide(FULL, [stop, refresh]) is STOP
    assert decide(FULL, [refresh, stop]) is REFRESH
    assert decide(Disconnected(), [stop, refresh]) is REFRESH
    assert decide(FULL, []) is RETRY
    assert decide(FULL, [stop, *DEFAULT_RULES]) is STOP


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        (Disconnected(error=error("Nope", error_code="e"), close=Close(3000, "x")), "Nope"),
        (Disconnected(error=error(error_code="e")), "e"),
        (Disconnected(error=error()), "ERROR"),
        (Disconnected(close=Close(3000, "Bye"), http_status=401), "Bye"),
        (Disconnected(close=Close(1006)), "WebSocket close 1006"),
        (Disconnected(http_status=401, fault="x"), "HTTP 401"),
        (Disconnected(fault="refused", clean=True), "refused"),
        (Disconnected(clean=True), "disconnected"),
        (Disconnected(), "the connection was lost"),
    ],
)
def test_in_words(ending: Disconnected, words: str) -> None:
    assert in_words(ending) == words
