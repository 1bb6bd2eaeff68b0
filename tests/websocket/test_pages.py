"""Pages of HTTP on the WebSocket's port: what a plain GET sees, and that it disturbs nothing."""

from __future__ import annotations

import pytest
from tests.websocket.wire import NOW, events, output, request, state

from stompcore._auth import AllowAll
from stompcore._config import Limits, ServerConfig
from stompcore._events import Ended
from stompcore._http import Answer
from stompcore._server import ServerSession
from stompcore._state import EndpointState
from stompcore._timers import Timer
from stompcore.websocket import ServerEndpoint

PAGES = {
    "/healthz": lambda: Answer(200, b"ok\n"),
    "/sick": lambda: Answer(503, b"draining\n", headers=[(b"Retry-After", b"5")]),
    "/metrics": lambda: Answer(200, "größe 1\n".encode(), "text/plain; version=0.0.4"),
    "/ws": lambda: Answer(200, b"not to be seen\n"),
}


def new_endpoint(config: ServerConfig | None = None) -> ServerEndpoint:
    config = config or ServerConfig()
    session = ServerSession(config, session_id="s", now=NOW, verifier=AllowAll())
    return ServerEndpoint(session, config, now=NOW, pages=PAGES)


def plain(target: str, method: str = "GET", **headers: str) -> bytes:
    """A request as a scraper sends it."""
    return request(
        target,
        method=method,
        Upgrade=None,
        Connection=None,
        Sec_WebSocket_Version=None,
        Sec_WebSocket_Key=None,
        **headers,
    )


def ask(data: bytes, config: ServerConfig | None = None) -> tuple[bytes, bytes]:
    """The head and the body of the answer, after which the endpoint is done."""
    endpoint = new_endpoint(config)
    endpoint.receive_data(data, now=NOW)
    head, _, body = output(endpoint).partition(b"\r\n\r\n")
    assert state(endpoint) is EndpointState.REFUSED
    assert endpoint.send_eof
    return head, body


@pytest.mark.parametrize(
    ("target", "status", "content_type", "body"),
    [
        ("/healthz", 200, b"text/plain; charset=utf-8", b"ok\n"),
        ("/sick", 503, b"text/plain; charset=utf-8", b"draining\n"),
        ("/metrics", 200, b"text/plain; version=0.0.4", "größe 1\n".encode()),
        ("/metrics?name[]=up", 200, b"text/plain; version=0.0.4", "größe 1\n".encode()),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_page(method: str, target: str, status: int, content_type: bytes, body: bytes) -> None:
    head, got = ask(plain(target, method))
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nContent-Type: %s\r\n" % content_type in head
    assert b"\r\nContent-Length: %d\r\n" % len(body) in head
    assert b"\r\nConnection: close" in head
    assert (b"\r\nRetry-After: 5" in head) is (target == "/sick")
    assert got == (b"" if method == "HEAD" else body)


def test_a_page_is_asked_for_anew_each_time() -> None:
    seen: list[None] = []

    def count() -> Answer:
        seen.append(None)
        return Answer(200, b"%d" % len(seen))

    config = ServerConfig()
    for number in (b"1", b"2"):
        session = ServerSession(config, session_id="s", now=NOW, verifier=AllowAll())
        endpoint = ServerEndpoint(session, config, now=NOW, pages={"/count": count})
        endpoint.receive_data(plain("/count"), now=NOW)
        assert output(endpoint).endswith(b"\r\n\r\n" + number)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_a_page_can_only_be_read(method: str) -> None:
    head, body = ask(plain("/metrics", method))
    assert head.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: GET, HEAD" in head
    assert body == b"This page can only be read.\n"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (plain("/healthz/"), 404),
        (plain("/health"), 404),
        (plain("/HEALTHZ"), 404),
        (plain("/"), 404),
        (plain("/ws"), 426),  # the WebSocket's own path is no page
        (request("/healthz"), 200),  # and at a page's path there is no WebSocket
    ],
)
def test_what_is_a_page_and_what_is_not(data: bytes, status: int) -> None:
    assert ask(data)[0].startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize(
    ("origin", "status"),
    [(None, 200), ("https://good.example", 200), ("https://evil.example", 403), ("null", 403)],
)
def test_an_origin_is_checked_when_it_is_given(origin: str | None, status: int) -> None:
    config = ServerConfig(origins=["https://good.example"])
    headers = {} if origin is None else {"Origin": origin}
    assert ask(plain("/metrics", **headers), config)[0].startswith(b"HTTP/1.1 %d " % status)
    assert ask(plain("/metrics", **headers))[0].startswith(b"HTTP/1.1 200 ")


def test_the_session_behind_it_ends_in_peace() -> None:
    endpoint = new_endpoint()
    endpoint.receive_data(plain("/metrics", Authorization="Bearer s3cret"), now=NOW)
    assert events(endpoint) == [Ended(error_code=None, detail="the peer left", clean=False)]
    assert endpoint.error is None
    assert b"s3cret" not in output(endpoint)


def test_what_comes_behind_the_request_is_not_looked_at() -> None:
    head, body = ask(plain("/healthz") + plain("/metrics") + request())
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == b"ok\n"
    head, body = ask(plain("/healthz", Content_Length="1000000") + b"x" * 100)
    assert body == b"ok\n"


def test_a_request_in_pieces() -> None:
    endpoint = new_endpoint()
    data = plain("/healthz")
    for at in range(len(data)):
        assert output(endpoint) == b""
        endpoint.receive_data(data[at : at + 1], now=NOW)
    assert output(endpoint).endswith(b"\r\n\r\nok\n")


def test_the_limits_of_a_handshake_bound_it() -> None:
    config = ServerConfig(limits=Limits(handshake_timeout=2.0, close_timeout=3.0))
    slow = new_endpoint(config)
    slow.receive_data(plain("/healthz")[:-2], now=NOW)
    assert (slow.next_deadline(), slow.deadline_reason()) == (NOW + 2, Timer.HANDSHAKE)
    slow.handle_timeout(now=NOW + 2)
    assert output(slow).startswith(b"HTTP/1.1 408 ")

    answered = new_endpoint(config)
    answered.receive_data(plain("/healthz"), now=NOW + 1)
    assert (answered.next_deadline(), answered.deadline_reason()) == (NOW + 4, Timer.CLOSE)
    answered.receive_data(b"x" * 100_000, now=NOW + 3)
    answered.handle_timeout(now=NOW + 4)
    assert answered.closed


@pytest.mark.parametrize("cut", [None, 100])
def test_a_header_that_is_too_large_is_refused_in_one_piece_too(cut: int | None) -> None:
    config = ServerConfig(limits=Limits(handshake_size=1000))
    endpoint = new_endpoint(config)
    data = plain("/healthz", Cookie="x" * 1000)
    for part in [data] if cut is None else [data[:-cut], data[-cut:]]:
        endpoint.receive_data(part, now=NOW)
    assert output(endpoint).startswith(b"HTTP/1.1 431 ")


def test_a_server_has_no_page_unless_it_is_given_one() -> None:
    config = ServerConfig()
    session = ServerSession(config, session_id="s", now=NOW, verifier=AllowAll())
    endpoint = ServerEndpoint(session, config, now=NOW)
    endpoint.receive_data(plain("/healthz"), now=NOW)
    assert output(endpoint).startswith(b"HTTP/1.1 404 ")
