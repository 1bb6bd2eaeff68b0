"""What servers share: where they listen, what pages they show, and what they log, in words."""

from __future__ import annotations

import logging
import math

import pytest
from prometheus_client.parser import text_string_to_metric_families

from stompcore._auth import AllowAll, Identity, Rejected, Token
from stompcore._config import HeartBeat, Limits, ServerConfig
from stompcore._errors import ErrorCode
from stompcore._headers import Headers
from stompcore._hub import Hub
from stompcore._server import ServerSession
from stompcore.handlers import Call, Handlers, Refused
from stompcore.listener import (
    Level,
    Listener,
    LogLine,
    health_page,
    log_lines,
    metrics_page,
    open_machine,
    pages,
)
from stompcore.websocket import ServerEndpoint

NOW = 1000.0
CONFIG = ServerConfig(
    heart_beat=HeartBeat(send_interval=0, receive_interval=0), limits=Limits(login_timeout=10.0)
)


class Tokens:
    """The token is SUBJECT or SUBJECT/SECONDS; "broken" breaks it, others are refused."""

    def verify(self, token: Token | None, *, headers: Headers, now: float) -> Identity:
        if token is None:
            raise Rejected(ErrorCode.TOKEN_MISSING, "There is no token.")
        subject, _, ttl = token.reveal().partition("/")
        if subject == "broken":
            raise ZeroDivisionError
        return Identity(subject=subject, expires_at=NOW + float(ttl) if ttl else None)


def lines_of(
    *data: bytes, eof: bool = True, hub: Hub | None = None, until: float = NOW
) -> list[LogLine]:
    """What is logged of one session that says this."""
    hub = Hub(CONFIG, verifier=Tokens()) if hub is None else hub
    session = hub.open("s1", now=NOW)
    for each in data:
        session.receive_data(each, now=NOW)
        hub.process("s1", now=NOW)
    if until > NOW:
        session.handle_timeout(now=until)
        hub.process("s1", now=until)
    if eof:
        session.receive_eof(now=until)
        hub.process("s1", now=until)
    return list(log_lines(hub))


def connect(token: str) -> bytes:
    return f"CONNECT\naccept-version:1.2\nhost:h\npasscode:{token}\n\n\0".encode()


# --- addresses --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listener", "url"),
    [
        (Listener("ws", "h", 80, "/ws", False), "ws://h:80/ws"),
        (Listener("ws", "::1", 80, "/ws", True), "wss://[::1]:80/ws"),
        (Listener("tcp", "127.0.0.1", 61613, None, False), "stomp://127.0.0.1:61613"),
        (Listener("tcp", "h", 61614, None, True), "stomps://h:61614"),
    ],
)
def test_what_a_client_dials(listener: Listener, url: str) -> None:
    assert listener.url == url


# --- the log ----------------------------------------------------------------------------------


def test_levels_are_those_of_logging() -> None:
    assert {level.name: level.value for level in Level} == {
        name: getattr(logging, name) for name in ("DEBUG", "INFO", "WARNING", "ERROR")
    }


def test_a_session_that_comes_and_goes() -> None:
    who: dict[str, str | float] = {"session": "s1", "subject": "ada"}
    connected, disconnected = lines_of(connect("ada/60"), b"DISCONNECT\n\n\0")
    assert connected == LogLine("connected", {**who, "version": "1.2", "valid_until": NOW + 60})
    assert disconnected == LogLine("disconnected", who)
    connected, left = lines_of(connect("ada"))
    assert connected == LogLine("connected", {**who, "version": "1.2"})
    assert left == LogLine("left", who)


def test_a_session_that_is_renewed() -> None:
    refresh = b"SEND\ndestination:/auth/refresh\npasscode:%b\n\n\0"
    _, refreshed, _ = lines_of(connect("ada/60"), refresh % b"ada/90")
    who: dict[str, str | float] = {"session": "s1", "subject": "ada"}
    assert refreshed == LogLine("refreshed", {**who, "valid_until": NOW + 90})
    _, ended = lines_of(connect("ada/60"), refresh % b"bob/90")
    assert (ended.text, ended.fields["error_code"]) == ("ended", "reauth-rejected")
    assert ended.fields["subject"] == "ada"


def test_a_session_that_is_ended() -> None:
    _, ended = lines_of(connect("ada/60"), until=NOW + 60)
    assert ended.text == "ended"
    assert list(ended.fields) == ["session", "subject", "error_code", "detail"]
    assert ended.fields["error_code"] == "token-expired"
    assert (ended.level, ended.cause) == (Level.INFO, None)


def test_a_session_that_is_revoked() -> None:
    hub = Hub(CONFIG, verifier=Tokens())
    lines_of(connect("ada/60"), eof=False, hub=hub)
    hub.revoke(subject="ada", now=NOW)
    (ended,) = log_lines(hub)
    assert (ended.fields["subject"], ended.fields["error_code"]) == ("ada", "token-revoked")


def test_who_never_logged_in_is_hardly_worth_a_line() -> None:
    # A health check, a scrape, a port scan: there is one a second of them.
    (left,) = lines_of()
    assert left == LogLine("left", {"session": "s1"}, level=Level.DEBUG)
    # One that was refused, or said nothing for long, is another matter.
    (late,) = lines_of(eof=False, until=NOW + 10)
    assert (late.fields["error_code"], late.level) == ("login-timeout", Level.INFO)
    (refused,) = lines_of(b"CONNECT\n\n\0")
    assert (refused.fields["error_code"], refused.level) == ("token-missing", Level.INFO)
    assert "subject" not in refused.fields


def test_a_bug_is_an_error_with_its_cause() -> None:
    (ended,) = lines_of(connect("broken"))
    assert (ended.level, type(ended.cause)) == (Level.ERROR, ZeroDivisionError)
    assert ended.fields["error_code"] == "internal-error"


def test_a_handler_that_fails_is_named_with_whom_it_failed() -> None:
    handlers = Handlers()

    @handlers.on("/app/{what}")
    def fail(call: Call) -> None:
        if call.params["what"] == "refused":
            raise Refused("Not you.")
        raise ZeroDivisionError

    who: dict[str, str | float] = {"session": "s1", "subject": "ada"}
    send = b"SEND\ndestination:/app/%b\n\n\0"
    _, ended = lines_of(
        connect("ada"), send % b"broken", hub=Hub(CONFIG, verifier=Tokens(), handlers=handlers)
    )
    assert (ended.level, type(ended.cause)) == (Level.ERROR, ZeroDivisionError)
    assert ended.fields.items() >= {**who, "error_code": "internal-error"}.items()
    _, ended = lines_of(
        connect("ada"), send % b"refused", hub=Hub(CONFIG, verifier=Tokens(), handlers=handlers)
    )
    assert (ended.level, ended.cause) == (Level.INFO, None)
    assert ended.fields.items() >= {**who, "error_code": "access-denied"}.items()


def test_tokens_that_somebody_else_judges() -> None:
    hub = Hub(CONFIG)
    (requested,) = lines_of(connect("s3cret"), eof=False, hub=hub)
    assert requested == LogLine("connect requested", {"session": "s1"})
    hub.accept("s1", Identity(subject="ada", expires_at=NOW + 60), now=NOW)
    assert [each.text for each in log_lines(hub)] == ["connected"]
    (session,) = hub
    session.receive_data(b"SEND\ndestination:/auth/refresh\n\ns3cret\0", now=NOW)
    hub.process("s1", now=NOW)
    (requested,) = log_lines(hub)
    assert requested == LogLine("refresh requested", {"session": "s1", "subject": "ada"})


# --- pages ------------------------------------------------------------------------------------


def test_pages_stand_where_the_settings_say() -> None:
    hub = Hub(CONFIG, verifier=AllowAll())
    assert list(pages(hub)) == ["/healthz", "/metrics"]
    hub = Hub(ServerConfig(health_path="/up", metrics_path=None), verifier=AllowAll())
    assert list(pages(hub)) == ["/up"]
    hub = Hub(ServerConfig(health_path=None, metrics_path="/numbers"), verifier=AllowAll())
    assert list(pages(hub)) == ["/numbers"]


def test_health_is_ok_until_the_server_drains() -> None:
    hub = Hub(CONFIG, verifier=AllowAll())
    page = pages(hub)["/healthz"]
    assert (page().status, page().body) == (200, b"ok\n")
    hub.drain(now=NOW, random=lambda: 0.5)
    assert (page().status, page().body) == (503, b"draining\n")
    assert page() == health_page(hub)


def test_metrics_are_the_hubs() -> None:
    hub = Hub(CONFIG, verifier=AllowAll())
    lines_of(connect("ada"), eof=False, hub=hub)
    answer = metrics_page(hub)
    assert (answer.status, answer.content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }
    assert found["stompcore_sessions", "open"] == 1
    assert found["stompcore_connects_total",] == 1
    assert found["stompcore_frames_received_total", "CONNECT"] == 1


@pytest.mark.parametrize("page", [health_page, metrics_page])
def test_nobody_keeps_a_page(page: object) -> None:
    assert callable(page)
    assert page(Hub(CONFIG, verifier=AllowAll())).headers == [(b"Cache-Control", b"no-store")]


# --- machines ---------------------------------------------------------------------------------


def test_machines() -> None:
    hub = Hub(CONFIG, verifier=AllowAll())
    plain = open_machine(hub, "t", is_websocket=False, now=NOW)
    assert isinstance(plain, ServerSession)
    assert plain.valid_until == math.inf
    endpoint = open_machine(hub, "w", is_websocket=True, now=NOW)
    assert isinstance(endpoint, ServerEndpoint)
    assert {each.session_id for each in hub} == {"t", "w"}
    endpoint.receive_data(b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n", now=NOW)
    hub.process("w", now=NOW)
    answer = b"".join(endpoint.data_to_send())
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'\nstompcore_sessions{state="connecting"} 1\n' in answer
    assert {each.session_id for each in hub} == {"t"}
    assert [line.level for line in log_lines(hub)] == [Level.DEBUG]
