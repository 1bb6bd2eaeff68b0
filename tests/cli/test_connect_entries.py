"""What `stompcore connect` says about what happens: words for people, fields for programs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stompcore import (
    AuthenticationFailed,
    ClientEvent,
    Close,
    Command,
    ConnectionEnded,
    Dialing,
    Disconnected,
    ErrorReceived,
    Frame,
    Outcome,
    Published,
    Refreshed,
    Resubscribed,
    Status,
    StatusChanged,
    Stopped,
    SubjectChanged,
    SubscriptionActive,
    TokenFetchFailed,
    TokenReason,
    TokenReceived,
    TokenRequested,
    TokenUnavailable,
    Unauthorized,
    Version,
)
from stompcore_cli._connect._entries import Entry, Facts, Tone, entry_of, fate, why

AT = 1_700_000_000.0
ADDRESS = "example.org:443"
FACTS = Facts(
    address=ADDRESS,
    status=Status.ONLINE,
    server="stompcore/1",
    subject="ada",
    token_valid_until=AT + 59.2,
)


def told(event: ClientEvent, facts: Facts = FACTS) -> Entry:
    entry = entry_of(event, facts, AT, {"7": 2})
    assert entry is not None
    assert entry.at == AT
    json.dumps(entry.fields)
    return entry


def error(message: str = "", code: str = "", body: str = "") -> ErrorReceived:
    headers = {"message": message, "error-code": code}
    frame = Frame(Command.ERROR, {k: v for k, v in headers.items() if v}, body.encode())
    return ErrorReceived(frame=frame)


@pytest.mark.parametrize(
    ("event", "kind", "text", "fields"),
    [
        (Dialing(epoch=1), "dialing", "connection 1: dials example.org:443", {"epoch": 1}),
        (
            TokenRequested(generation=1, reason=TokenReason.INITIAL),
            "token-requested",
            "a token is asked for",
            {"reason": "initial"},
        ),
        (
            TokenRequested(generation=2, reason=TokenReason.AHEAD),
            "token-requested",
            "the next token is asked for, ahead of the old one's end",
            {"reason": "ahead"},
        ),
        (
            TokenRequested(generation=2, reason=TokenReason.EXPIRED),
            "token-requested",
            "a new token is asked for: the old one does not count any more",
            {"reason": "expired"},
        ),
        (TokenReceived(generation=1), "token-received", "a token has come", {}),
        (
            Refreshed(epoch=3, generation=2),
            "refreshed",
            "connection 3 goes on with the new token; the token lives for 1:00",
            {"epoch": 3, "token_ttl": 59.2},
        ),
        (
            StatusChanged(status=Status.LOGGED_OUT),
            "status",
            "the client is logged out",
            {"status": "logged-out"},
        ),
        (
            SubscriptionActive(subscription="7", epoch=2),
            "subscribed",
            "subscription 2 is active on connection 2",
            {"subscription": 2, "epoch": 2},
        ),
        (Stopped(error=None), "stopped", "the client has stopped", {"error": None}),
        (
            Stopped(error=AuthenticationFailed("no more")),
            "stopped",
            "the client has stopped: no more",
            {"error": "no more"},
        ),
    ],
)
def test_an_event_has_words_and_fields(
    event: ClientEvent, kind: str, text: str, fields: dict[str, Any]
) -> None:
    entry = told(event)
    assert (entry.kind, entry.text, entry.fields) == (kind, text, fields)


def test_what_is_told_elsewhere_is_not_told_twice() -> None:
    for event in (Published(key=1), SubscriptionActive(subscription="replies", epoch=1)):
        assert entry_of(event, FACTS, AT, {"7": 2}) is None


def test_a_connection_that_is_up() -> None:
    first = Resubscribed(epoch=1, version=Version.V1_2, subscriptions=(), resent=0)
    entry = told(first)
    assert entry.text == (
        "connection 1 is up: STOMP 1.2, stompcore/1, as ada; the token lives for 1:00"
    )
    assert entry.fields == {
        "epoch": 1,
        "version": "1.2",
        "server": "stompcore/1",
        "subject": "ada",
        "token_ttl": 59.2,
        "subscriptions": 0,
        "resent": 0,
    }
    again = Resubscribed(epoch=2, version=Version.V1_0, subscriptions=("1", "2"), resent=1)
    entry = told(again, Facts())
    assert entry.text == (
        "connection 2 is up: STOMP 1.0; with 2 subscriptions and 1 message that waited"
    )
    assert (entry.fields["server"], entry.fields["token_ttl"]) == (None, None)
    only = Resubscribed(epoch=2, version=Version.V1_1, subscriptions=(), resent=2)
    assert told(only, Facts()).text.endswith("; with 2 messages that waited")


@pytest.mark.parametrize(
    ("ending", "outcome", "text", "tone"),
    [
        (
            Disconnected(
                established=True,
                error=error("Token Expired", "token-expired", "Get a new one."),
                close=Close(3000, "Token Expired"),
            ),
            Outcome.REFRESH,
            "connection 2 is over: Token Expired (WebSocket close 3000); "
            "a new token comes first, then the next connection",
            Tone.ODD,
        ),
        (
            Disconnected(established=True),
            Outcome.RETRY,
            "connection 2 is over: the connection was lost; the next one comes in a moment",
            Tone.BAD,
        ),
        (
            Disconnected(fault="dialling took too long"),
            Outcome.RETRY,
            "connection 2 has failed: dialling took too long; the next one comes in a moment",
            Tone.BAD,
        ),
        (
            Disconnected(established=True, clean=True),
            Outcome.RENEW,
            "connection 2 is over: we have left it, for one with a newer token",
            Tone.PLAIN,
        ),
        (
            Disconnected(established=True, clean=True),
            Outcome.STOP,
            "connection 2 is over: DISCONNECT was confirmed",
            Tone.PLAIN,
        ),
        (
            Disconnected(error=error("Access Denied", "access-denied")),
            Outcome.STOP,
            "connection 2 has failed: Access Denied",
            Tone.BAD,
        ),
    ],
)
def test_a_connection_that_has_ended(
    ending: Disconnected, outcome: Outcome, text: str, tone: Tone
) -> None:
    entry = told(ConnectionEnded(epoch=2, ending=ending, outcome=outcome))
    assert (entry.kind, entry.text, entry.tone) == ("ended", text, tone)
    assert entry.fields["next"] == outcome.value


def test_the_fields_of_an_ending() -> None:
    ending = Disconnected(
        established=True,
        error=error("Token Expired", "token-expired"),
        close=Close(3000, "Token Expired"),
    )
    event = ConnectionEnded(epoch=2, ending=ending, outcome=Outcome.REFRESH)
    assert told(event).fields == {
        "epoch": 2,
        "reason": "Token Expired (WebSocket close 3000)",
        "next": "refresh",
        "error_code": "token-expired",
        "close_code": 3000,
        "http_status": None,
    }
    assert fate(event, ADDRESS) == "connection 2 is over: Token Expired (WebSocket close 3000)"


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        (Disconnected(error=error("Bad CONNECT", body="Access\nrefused")), None),
        (Disconnected(error=error(body="no words but these")), None),
        (Disconnected(error=error("Bad CONNECT")), "Bad CONNECT"),
        (Disconnected(error=error(code="token-expired", body="more")), "token-expired"),
        (Disconnected(close=Close(1001, "Going Away")), "WebSocket close 1001 'Going Away'"),
        (Disconnected(close=Close(1006, "")), "WebSocket close 1006"),
        (Disconnected(http_status=401), "the server wants another token (HTTP 401)"),
        (Disconnected(http_status=404), "nothing is served at this path (HTTP 404)"),
        (Disconnected(http_status=502), "the server answers with HTTP 502"),
        (Disconnected(fault="the server fell silent"), "the server fell silent"),
        (
            Disconnected(fault="ConnectionRefusedError: [Errno 111] Connect call failed"),
            "nobody listens at example.org:443",
        ),
        (
            Disconnected(
                fault="OSError: Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), "
                "[Errno 111] Connect call failed ('127.0.0.1', 1)"
            ),
            "nobody listens at example.org:443",
        ),
        (
            Disconnected(fault="gaierror: [Errno -2] Name or service not known"),
            "there is no host of the name example.org",
        ),
        (
            Disconnected(fault="UnicodeEncodeError: label too long"),
            "there is no host of the name example.org",
        ),
        (
            Disconnected(
                fault="SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate "
                "verify failed: self-signed certificate (_ssl.c:1006)"
            ),
            "the server's certificate is not trusted: self-signed certificate",
        ),
        (
            Disconnected(fault="SSLError: [SSL: WRONG_VERSION_NUMBER] wrong version number"),
            "no TLS is spoken at example.org:443",
        ),
        (Disconnected(fault="TimeoutError: "), "nobody answers at example.org:443"),
        (
            Disconnected(fault="TimeoutError: [Errno 110] Connect call failed"),
            "nobody answers at example.org:443",
        ),
        (Disconnected(fault="ConnectionResetError: "), "example.org:443 hangs up at once"),
        (Disconnected(fault="OSError: [Errno 101] x"), "OSError: [Errno 101] x"),
    ],
)
def test_why_it_ended(ending: Disconnected, words: str | None) -> None:
    if words is None:
        assert ending.error is not None
        body = " ".join(ending.error.frame.body.decode().split())
        words = f"{ending.error.message or 'the server sent an ERROR'}: {body}"
    assert why(ending, ADDRESS) == words


def test_a_servers_words_are_cut_short_and_cannot_draw() -> None:
    ending = Disconnected(error=error("Bad\x1b[2J", body="x" * 5000))
    event = ConnectionEnded(epoch=1, ending=ending, outcome=Outcome.RETRY)
    text = told(event).text
    assert text.isprintable()
    assert r"Bad\x1b[2J: xxx" in text
    assert len(text) < 400


def test_a_token_that_does_not_come() -> None:
    words = "the token command ended with status 3"
    entry = told(TokenFetchFailed(generation=1, error=TokenUnavailable(words)))
    assert entry.text == f"no token: {words}"
    assert entry.fields == {"error": words, "permanent": False}
    for fault in (Unauthorized("none any more"), SubjectChanged("another user")):
        entry = told(TokenFetchFailed(generation=1, error=fault))
        assert (entry.text, entry.fields["permanent"]) == (f"no token: {fault}", True)
