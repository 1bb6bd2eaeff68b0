"""`ControlEndpoint`: what operators can ask, what they are told, and what it does to the hub."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from stompcore._auth import Identity, Token
from stompcore._config import Limits, ServerConfig
from stompcore._errors import ErrorCode
from stompcore._headers import Headers
from stompcore._hub import Hub
from stompcore._server import ServerSession
from stompcore._state import EndpointState
from stompcore._timers import Timer
from stompcore.control import BODY_SIZE, Commanded, ControlEndpoint
from stompcore.driver import EpochClock, Pump
from stompcore.listener import Level

NOW = 1000.0
CONFIG = ServerConfig(limits=Limits(handshake_timeout=2.0, close_timeout=3.0, handshake_size=4096))


class Believe:
    """The token is SUBJECT/JTI/SECONDS."""

    def verify(self, token: Token | None, *, headers: Headers, now: float) -> Identity:
        assert token is not None
        subject, token_id, ttl = token.reveal().split("/")
        return Identity(
            subject=subject,
            token_id=token_id or None,
            expires_at=NOW + float(ttl) if ttl else None,
            issued_at=NOW,
        )


def new_hub() -> Hub:
    return Hub(CONFIG, verifier=Believe())


def log_in(hub: Hub, session_id: str, token: str) -> ServerSession:
    session = hub.open(session_id, now=NOW)
    session.receive_data(f"CONNECT\npasscode:{token}\n\n\0".encode(), now=NOW)
    hub.process(session_id, now=NOW)
    assert session.identity is not None
    return session


def busy_hub() -> Hub:
    """Ada twice, Bob once, and somebody who has said nothing yet."""
    hub = new_hub()
    log_in(hub, "a1", "ada/t1/60")
    second = log_in(hub, "a2", "ada/t2/")
    second.receive_data(b"SUBSCRIBE\ndestination:/topic/a\n\n\0", now=NOW)
    hub.process("a2", now=NOW)
    log_in(hub, "b1", "bob//60")
    hub.open("x1", now=NOW)
    while hub.next_notice() is not None:
        pass
    return hub


def request(method: str, target: str, body: object = None, **headers: str) -> bytes:
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"Host": "x", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if data:
        fields.setdefault("Content-Length", str(len(data)))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + data


class Answered(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)

    @classmethod
    def parse(cls, data: bytes) -> Answered:
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        assert headers["connection"] == "close"
        return cls(int(first.split()[1]), headers, body)


def output(endpoint: ControlEndpoint) -> bytes:
    chunks = endpoint.data_to_send()
    assert b"" not in chunks
    return b"".join(chunks)


def state(endpoint: ControlEndpoint) -> EndpointState:
    """A call, because a type checker believes that an attribute stays what it was."""
    return endpoint.state


def ask(hub: Hub, data: bytes) -> tuple[Answered, Commanded | None]:
    """The answer to a request, and what was done."""
    endpoint = ControlEndpoint(hub, now=NOW)
    endpoint.receive_data(data, now=NOW)
    answered = Answered.parse(output(endpoint))
    assert endpoint.send_eof
    commanded = endpoint.next_event()
    assert endpoint.next_event() is None
    return answered, commanded


def look(hub: Hub, target: str) -> Answered:
    answered, commanded = ask(hub, request("GET", target))
    assert commanded is None
    return answered


def alive(hub: Hub) -> list[str]:
    return [each.session_id for each in hub]


# --- looking ----------------------------------------------------------------------------------


def test_the_sessions() -> None:
    answered = look(busy_hub(), "/sessions")
    assert answered.status == 200
    assert answered.json == {
        "sessions": [
            {
                "session": "a1",
                "subject": "ada",
                "token_id": "t1",
                "state": "open",
                "valid_until": NOW + 60,
                "subscriptions": 0,
            },
            {
                "session": "a2",
                "subject": "ada",
                "token_id": "t2",
                "state": "open",
                "valid_until": None,
                "subscriptions": 1,
            },
            {
                "session": "b1",
                "subject": "bob",
                "token_id": None,
                "state": "open",
                "valid_until": NOW + 60,
                "subscriptions": 0,
            },
            {
                "session": "x1",
                "subject": None,
                "token_id": None,
                "state": "connecting",
                "valid_until": None,
                "subscriptions": 0,
            },
        ]
    }
    assert b"t1/60" not in answered.body  # the token


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("subject=ada", ["a1", "a2"]),
        ("subject=ada&subject=bob", ["a1", "a2", "b1"]),
        ("subject=%61da", ["a1", "a2"]),
        ("subject=nobody", []),
        ("other=ada", ["a1", "a2", "b1", "x1"]),
    ],
)
def test_the_sessions_of_a_subject(query: str, found: list[str]) -> None:
    listed = look(busy_hub(), f"/sessions?{query}").json["sessions"]
    assert [each["session"] for each in listed] == found


def test_a_name_cannot_break_the_json() -> None:
    hub = new_hub()
    subject = 'a"\\ü\x1b[31m'
    log_in(hub, "s", f"{subject}//")
    answered = look(hub, "/sessions")
    assert answered.json["sessions"][0]["subject"] == subject
    assert answered.body.isascii()
    assert b"\x1b" not in answered.body


def test_metrics() -> None:
    answered = look(busy_hub(), "/metrics")
    assert answered.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {
        family.name: family for family in text_string_to_metric_families(answered.body.decode())
    }
    by_state = {
        sample.labels["state"]: sample.value for sample in families["stompcore_sessions"].samples
    }
    assert (by_state["open"], by_state["connecting"]) == (3, 1)
    assert families["stompcore_connects"].samples[0].value == 3


def test_health() -> None:
    hub = new_hub()
    answered = look(hub, "/healthz")
    assert (answered.status, answered.body) == (200, b"ok\n")
    hub.drain(now=NOW, random=lambda: 0.5)
    answered = look(hub, "/healthz")
    assert (answered.status, answered.body) == (503, b"draining\n")


@pytest.mark.parametrize("target", ["/sessions", "/metrics", "/healthz"])
def test_head_gets_the_same_without_the_body(target: str) -> None:
    hub = busy_hub()
    whole = look(hub, target)
    answered, commanded = ask(hub, request("HEAD", target))
    assert (answered.status, answered.headers) == (whole.status, whole.headers)
    assert (answered.body, commanded) == (b"", None)


# --- doing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "ended"),
    [
        ({"session": "a1"}, ["a1"]),
        ({"subject": "ada"}, ["a1", "a2"]),
        ({"token_id": "t2"}, ["a2"]),
        ({"subject": "nobody"}, []),
        ({"token_id": "none"}, []),
    ],
)
def test_revoke(body: dict[str, str], ended: list[str]) -> None:
    hub = busy_hub()
    sessions = {each.session_id: each for each in hub}
    answered, commanded = ask(hub, request("POST", "/revoke", body))
    assert (answered.status, answered.json) == (200, {"ended": len(ended)})
    assert commanded is not None
    assert commanded.session_ids >= set(ended)
    assert not commanded.is_drain
    assert commanded.line.text == "revoked"
    assert commanded.line.fields == {**body, "ended": len(ended)}
    assert commanded.line.level is Level.INFO
    assert alive(hub) == [each for each in sessions if each not in ended]
    for session_id in ended:
        assert sessions[session_id].error is ErrorCode.TOKEN_REVOKED


@pytest.mark.parametrize(
    ("body", "ended"),
    [
        ({"session": "a1"}, ["a1"]),
        ({"subject": "ada"}, ["a1", "a2"]),
        ({"subject": "nobody"}, []),
    ],
)
def test_expire(body: dict[str, str], ended: list[str]) -> None:
    hub = busy_hub()
    sessions = {each.session_id: each for each in hub}
    answered, commanded = ask(hub, request("POST", "/expire", body))
    assert (answered.status, answered.json) == (200, {"ended": len(ended)})
    assert commanded is not None
    assert commanded.session_ids >= set(ended)
    assert commanded.line.text == "expired"
    assert alive(hub) == [each for each in sessions if each not in ended]
    for session_id in ended:
        assert sessions[session_id].error is ErrorCode.TOKEN_EXPIRED
    # It is no revocation: whoever comes back with a new token is welcome.
    log_in(hub, "again", "ada/t3/60")


@pytest.mark.parametrize("path", ["/revoke", "/expire"])
def test_a_session_that_is_not_there(path: str) -> None:
    hub = busy_hub()
    answered, commanded = ask(hub, request("POST", path, {"session": "zz"}))
    assert (answered.status, answered.json) == (404, {"error": "There is no such session."})
    assert commanded is None
    assert len(hub) == 4


@pytest.mark.parametrize(
    ("body", "token"), [({"subject": "ada"}, "ada//"), ({"token_id": "t1"}, "eve/t1/60")]
)
def test_pardon(body: dict[str, str], token: str) -> None:
    hub = busy_hub()
    ask(hub, request("POST", "/revoke", body))
    refused = hub.open("n1", now=NOW)
    refused.receive_data(f"CONNECT\npasscode:{token}\n\n\0".encode(), now=NOW)
    hub.process("n1", now=NOW)
    assert refused.error is ErrorCode.TOKEN_REVOKED
    answered, commanded = ask(hub, request("POST", "/pardon", body))
    assert (answered.status, answered.json) == (200, {"pardoned": True})
    assert commanded is not None
    assert commanded.session_ids == frozenset()
    assert (commanded.line.text, commanded.line.fields) == ("pardoned", body)
    log_in(hub, "n2", token)
    answered, _ = ask(hub, request("POST", "/pardon", body))
    assert (answered.status, answered.json) == (200, {"pardoned": False})


def test_drain_is_the_servers_own_to_do() -> None:
    hub = busy_hub()
    answered, commanded = ask(hub, request("POST", "/drain"))
    assert (answered.status, answered.json) == (202, {"sessions": 4})
    assert commanded is not None
    assert commanded.is_drain
    assert (commanded.line.text, commanded.line.fields) == ("drain requested", {"sessions": 4})
    assert len(hub) == 4


# --- what cannot be done ----------------------------------------------------------------------

NO_TARGET = {
    "nothing": None,
    "no JSON": b"session=a1",
    "no UTF-8": b'{"session": "\xff"}',
    "half of it": b'{"session": "a1"',
    "a list": [{"session": "a1"}],
    "a string": "a1",
    "nothing in it": {},
    "another name": {"sessions": "a1"},
    "two": {"session": "a1", "subject": "ada"},
    "one twice": b'{"session": "a1", "session": "a2"}',
    "a number": {"session": 1},
    "nobody": {"session": None},
    "an empty name": {"session": ""},
    "a name in a name": {"session": {"subject": "ada"}},
    "a list of names": {"session": ["a1"]},
    "an abyss": b"[" * (BODY_SIZE - 1),
}


@pytest.mark.parametrize("path", ["/revoke", "/expire", "/pardon"])
@pytest.mark.parametrize("body", NO_TARGET.values(), ids=NO_TARGET)
def test_a_body_that_names_nobody(path: str, body: object) -> None:
    hub = busy_hub()
    answered, commanded = ask(hub, request("POST", path, body))
    assert answered.status == 400
    assert answered.json["error"].startswith('The body has to be JSON: {"')
    assert commanded is None
    assert len(hub) == 4


@pytest.mark.parametrize("path", ["/revoke", "/expire", "/pardon"])
def test_a_token_names_nobody(path: str) -> None:
    # By mistake; and a name would be logged.
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl_-"
    answered, commanded = ask(busy_hub(), request("POST", path, {"subject": token}))
    assert answered.status == 400
    assert answered.json["error"].startswith("That is a token.")
    assert b"eyJ" not in answered.body
    assert commanded is None


@pytest.mark.parametrize(
    ("path", "body"), [("/expire", {"token_id": "t1"}), ("/pardon", {"session": "a1"})]
)
def test_what_a_command_is_not_for(path: str, body: dict[str, str]) -> None:
    answered, _ = ask(busy_hub(), request("POST", path, body))
    assert answered.status == 400


@pytest.mark.parametrize(
    ("method", "target", "allow"),
    [
        ("POST", "/sessions", "get, head"),
        ("DELETE", "/sessions", "get, head"),
        ("POST", "/metrics", "get, head"),
        ("PUT", "/healthz", "get, head"),
        ("GET", "/revoke", "post"),
        ("HEAD", "/revoke", "post"),
        ("GET", "/pardon", "post"),
        ("GET", "/expire", "post"),
        ("GET", "/drain", "post"),
        ("PUT", "/drain", "post"),
    ],
)
def test_another_method(method: str, target: str, allow: str) -> None:
    answered, commanded = ask(busy_hub(), request(method, target))
    assert (answered.status, answered.headers["allow"]) == (405, allow)
    assert commanded is None
    assert method == "HEAD" or answered.json["error"].startswith("Ask for this with ")


@pytest.mark.parametrize("target", ["/", "/session", "/sessions/", "/DRAIN", "/ws", "*"])
def test_another_path(target: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        answered, commanded = ask(busy_hub(), request(method, target))
        assert answered.status == 404
        assert answered.json["error"].startswith("There is nothing here. There is: /sessions, ")
        assert commanded is None


REFUSED = {
    "no HTTP": (400, b"CONNECT\n\n\0"),
    "no host": (400, b"GET /sessions HTTP/1.1\r\n\r\n"),
    "a broken target": (400, request("GET", "//[x")),
    "two lengths": (400, request("POST", "/drain", b"{}", Content_Length="2, 3")),
    "a coding that HTTP does not know": (501, request("POST", "/drain", Transfer_Encoding="gzip")),
    "a long line": (431, b"GET /" + b"x" * 5000),
    "a long header": (431, request("GET", "/sessions", X="x" * 5000)),
    "a long body": (413, request("POST", "/revoke", b" " * (BODY_SIZE + 1))),
    "a long body in chunks": (
        413,
        request("POST", "/revoke", Transfer_Encoding="chunked")
        + b"%x\r\n%b\r\n" % (BODY_SIZE + 1, b" " * (BODY_SIZE + 1)),
    ),
    "a broken chunk": (
        400,
        request("POST", "/revoke", Transfer_Encoding="chunked") + b"zz\r\n\r\n",
    ),
}


@pytest.mark.parametrize(("status", "data"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(status: int, data: bytes) -> None:
    hub = busy_hub()
    answered, commanded = ask(hub, data)
    assert answered.status == status
    error = answered.json["error"]
    assert error[0].isupper()
    assert error.endswith(".")
    assert commanded is None
    assert len(hub) == 4


def test_a_body_of_just_the_right_size() -> None:
    padding = b" " * (BODY_SIZE - len(b'{"subject": "x"}'))
    answered, _ = ask(new_hub(), request("POST", "/revoke", b'{"subject": "x"}' + padding))
    assert answered.status == 200


# --- the connection ---------------------------------------------------------------------------


def test_byte_by_byte() -> None:
    hub = busy_hub()
    endpoint = ControlEndpoint(hub, now=NOW)
    data = request("POST", "/revoke", {"session": "b1"})
    for at in range(len(data)):
        assert output(endpoint) == b""
        assert not endpoint.closing
        assert len(hub) == 4
        endpoint.receive_data(b"", now=NOW)
        endpoint.receive_data(data[at : at + 1], now=NOW)
    assert endpoint.next_event() is not None
    assert Answered.parse(output(endpoint)).json == {"ended": 1}


def test_a_body_in_chunks() -> None:
    chunked = request("POST", "/expire", Transfer_Encoding="chunked")
    answered, _ = ask(busy_hub(), chunked + b'5\r\n{"sub\r\nd\r\nject": "ada"}\r\n0\r\n\r\n')
    assert answered.json == {"ended": 2}


def test_who_waits_for_a_go_ahead_gets_it() -> None:
    endpoint = ControlEndpoint(busy_hub(), now=NOW)
    body = b'{"subject": "ada"}'
    head = request("POST", "/revoke", Expect="100-continue", Content_Length=str(len(body)))
    endpoint.receive_data(head, now=NOW)
    assert output(endpoint).startswith(b"HTTP/1.1 100 ")
    assert not endpoint.send_eof
    endpoint.receive_data(body, now=NOW)
    assert Answered.parse(output(endpoint)).json == {"ended": 2}


def test_nobody_is_told_to_go_ahead_with_what_is_refused() -> None:
    answered, _ = ask(
        new_hub(), request("POST", "/nowhere", Expect="100-continue", Content_Length="10")
    )
    assert answered.status == 404


def test_one_request_a_connection() -> None:
    hub = busy_hub()
    revoke = request("POST", "/revoke", {"session": "a1"})
    endpoint = ControlEndpoint(hub, now=NOW)
    endpoint.receive_data(revoke + request("POST", "/revoke", {"session": "b1"}), now=NOW)
    assert Answered.parse(output(endpoint)).json == {"ended": 1}
    endpoint.receive_data(request("POST", "/drain"), now=NOW)
    assert output(endpoint) == b""
    assert alive(hub) == ["a2", "b1", "x1"]


@pytest.mark.parametrize("so_far", [b"", request("POST", "/revoke", {"session": "a1"})[:-1]])
def test_who_is_slow_is_refused(so_far: bytes) -> None:
    hub = busy_hub()
    endpoint = ControlEndpoint(hub, now=NOW)
    endpoint.receive_data(so_far, now=NOW + 1)
    assert (endpoint.next_deadline(), endpoint.deadline_reason()) == (NOW + 2, Timer.HANDSHAKE)
    endpoint.handle_timeout(now=NOW + 1.9)
    assert output(endpoint) == b""
    endpoint.handle_timeout(now=NOW + 2)
    answered = Answered.parse(output(endpoint))
    assert (answered.status, answered.json) == (408, {"error": "The request took too long."})
    assert (endpoint.next_deadline(), endpoint.deadline_reason()) == (NOW + 5, Timer.CLOSE)
    endpoint.handle_timeout(now=NOW + 5)
    assert (endpoint.closed, endpoint.next_deadline()) == (True, None)
    assert len(hub) == 4


def test_bytes_that_come_with_the_time_out_are_too_late() -> None:
    hub = busy_hub()
    endpoint = ControlEndpoint(hub, now=NOW)
    endpoint.receive_data(request("POST", "/revoke", {"session": "a1"}), now=NOW + 2)
    assert Answered.parse(output(endpoint)).status == 408
    assert endpoint.next_event() is None
    assert len(hub) == 4


def test_how_a_connection_ends() -> None:
    endpoint = ControlEndpoint(busy_hub(), now=NOW)
    assert (endpoint.closing, endpoint.closed, endpoint.send_eof) == (False, False, False)
    assert (endpoint.wants_read, endpoint.error) == (True, None)
    endpoint.receive_data(request("GET", "/healthz"), now=NOW)
    assert (endpoint.closing, endpoint.closed, endpoint.send_eof) == (True, False, False)
    assert endpoint.bytes_queued == len(output(endpoint))
    assert (endpoint.bytes_queued, endpoint.send_eof) == (0, True)
    endpoint.receive_data(b"more", now=NOW + 1)
    for _ in range(2):
        endpoint.receive_eof(now=NOW + 1)
        assert (endpoint.closed, endpoint.send_eof) == (True, False)
    assert endpoint.next_deadline() is None
    assert state(endpoint) is EndpointState.CLOSED


def test_what_was_answered_still_leaves_when_the_client_has_closed_its_half() -> None:
    endpoint = ControlEndpoint(busy_hub(), now=NOW)
    endpoint.receive_data(request("GET", "/healthz"), now=NOW)
    endpoint.receive_eof(now=NOW)
    assert output(endpoint).endswith(b"ok\n")


def test_half_a_request_does_nothing() -> None:
    hub = busy_hub()
    endpoint = ControlEndpoint(hub, now=NOW)
    endpoint.receive_data(request("POST", "/revoke", {"session": "a1"})[:-1], now=NOW)
    endpoint.receive_eof(now=NOW)
    assert (endpoint.closed, output(endpoint), endpoint.next_event()) == (True, b"", None)
    assert len(hub) == 4


def test_a_pump_drives_it() -> None:
    at = NOW
    clock = EpochClock(lambda: 0.0, lambda: at)
    pump = Pump(ControlEndpoint(busy_hub(), now=clock.now()), clock)
    pump.feed(request("GET", "/healthz"))
    assert pump.output()[0].startswith(b"HTTP/1.1 200 ")
    assert pump.should_send_eof()
    pump.eof()
    assert pump.deadline() is None
