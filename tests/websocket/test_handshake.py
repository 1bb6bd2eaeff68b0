"""The opening handshake, both roles: what is refused with which status, and what is passed on."""

from __future__ import annotations

import pytest
from tests.websocket.wire import (
    CONNECT,
    CONNECTED,
    NO_BEATS,
    NOW,
    TEXT,
    answer_to,
    ending,
    events,
    frame,
    frames,
    new_client,
    new_server,
    output,
    request,
    state,
    told,
)

from stompcore._auth import Identity, Rejected, Token
from stompcore._config import ClientConfig, Limits, ServerConfig
from stompcore._errors import ErrorCode
from stompcore._events import Connected, Ended
from stompcore._frames import Frame
from stompcore._headers import Headers
from stompcore._state import EndpointState
from stompcore._timers import Timer
from stompcore.websocket import SUBPROTOCOLS


class Keep:
    """A verifier that keeps the tokens it was shown."""

    def __init__(self) -> None:
        self.shown: list[Token | None] = []

    def verify(self, token: Token | None, *, headers: Headers, now: float) -> Identity:
        self.shown.append(token)
        if token is None:
            raise Rejected(ErrorCode.TOKEN_MISSING)
        return Identity(subject="u", expires_at=None)


# --- refusals ---------------------------------------------------------------------------------

ORIGINS = ServerConfig(origins=["https://good.example"])
REFUSALS = {
    "another path": (404, request("/other")),
    "the root": (404, request("/")),
    "a path that goes on": (404, request("/ws/more")),
    "POST": (405, request(method="POST")),
    "HEAD": (405, request(method="HEAD")),
    "HEAD of another path": (405, request("/other", method="HEAD")),
    "CONNECT": (405, request("h:80", method="CONNECT")),
    "no upgrade": (426, request(Upgrade=None)),
    "an upgrade to something else": (426, request(Upgrade="h2c")),
    "an old version of WebSocket": (426, request(Sec_WebSocket_Version="8")),
    "no version of WebSocket": (400, request(Sec_WebSocket_Version=None)),
    "no connection header": (400, request(Connection=None)),
    "a connection header without upgrade": (400, request(Connection="close")),
    "no key": (400, request(Sec_WebSocket_Key=None)),
    "no host": (400, request(Host=None)),
    "a host that is not ASCII": (400, request(Host="\xff")),
    "a target with a broken address": (400, request("//[x")),
    "a target with an address that is none": (400, request("http://[zz]/ws")),
    "sub-protocols that are not ASCII": (400, request(Sec_WebSocket_Protocol="\xff")),
    "sub-protocols of others": (400, request(Sec_WebSocket_Protocol="mqtt, graphql-ws")),
    "a body to come": (400, request(Content_Length="5")),
    "a chunked body": (400, request(Transfer_Encoding="chunked")),
    "two lengths": (400, request(Content_Length="5, 6")),
    "a coding that HTTP does not know": (501, request(Transfer_Encoding="gzip")),
    "STOMP over a plain stream": (400, CONNECT),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    "a line without end": (431, b"GET /" + b"x" * 20_000),
    "a header without end": (431, request(Cookie="x" * 20_000)[:-4]),
}


@pytest.mark.parametrize(("status", "data"), REFUSALS.values(), ids=REFUSALS)
def test_refusals_keep_their_status(status: int, data: bytes) -> None:
    server = new_server()
    server.receive_data(data, now=NOW)
    answer = output(server)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nConnection: close\r\n" in answer
    assert state(server) is EndpointState.REFUSED
    assert server.closing
    assert server.send_eof
    assert [type(each) for each in events(server)] == [Ended]
    # Refused is refused: a second request on the same stream is not looked at.
    server.receive_data(request(), now=NOW)
    assert output(server) == b""
    assert (server.next_deadline(), server.deadline_reason()) == (NOW + 5, Timer.CLOSE)
    server.handle_timeout(now=NOW + 5)
    assert state(server) is EndpointState.CLOSED


def test_a_refusal_says_why_in_plain_text_and_hides_what_it_was_sent() -> None:
    server = new_server()
    server.receive_data(request("/other?token=s3cret", Authorization="Bearer s3cret"), now=NOW)
    assert not server.send_eof  # not before the answer is written
    head, _, body = output(server).partition(b"\r\n\r\n")
    assert b"Content-Type: text/plain; charset=utf-8" in head
    assert b"Content-Length: %d" % len(body) in head
    assert body == b"There is nothing here.\n"


def test_what_is_refused_is_not_refused_again_by_the_clock() -> None:
    server = new_server(ServerConfig(limits=Limits(handshake_timeout=2.0, close_timeout=9.0)))
    server.receive_data(request("/other"), now=NOW)
    assert output(server).startswith(b"HTTP/1.1 404 ")
    assert (server.next_deadline(), server.deadline_reason()) == (NOW + 9, Timer.CLOSE)
    server.handle_timeout(now=NOW + 2)
    assert output(server) == b""


def test_head_is_refused_without_a_body() -> None:
    server = new_server()
    server.receive_data(request(method="HEAD"), now=NOW)
    assert output(server).endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("data", "header"),
    [
        (request(method="PUT"), b"\r\nAllow: GET\r\n"),
        (request(Upgrade=None), b"\r\nUpgrade: websocket\r\n"),
        (request(Sec_WebSocket_Version="8"), b"\r\nSec-WebSocket-Version: 13\r\n"),
    ],
)
def test_a_refusal_says_what_would_do(data: bytes, header: bytes) -> None:
    server = new_server()
    server.receive_data(data, now=NOW)
    assert header.lower() in output(server).lower()


@pytest.mark.parametrize("so_far", [b"", request()[:40]])
def test_a_slow_handshake_is_refused_with_408(so_far: bytes) -> None:
    server = new_server(ServerConfig(limits=Limits(handshake_timeout=3.0)))
    server.receive_data(so_far, now=NOW + 2)
    assert (server.next_deadline(), server.deadline_reason()) == (NOW + 3, Timer.HANDSHAKE)
    server.handle_timeout(now=NOW + 3)
    assert output(server).startswith(b"HTTP/1.1 408 ")
    server.receive_data(request(), now=NOW + 4)
    server.handle_timeout(now=NOW + 8)
    assert state(server) is EndpointState.CLOSED


def test_no_bytes_are_not_the_end_of_the_stream() -> None:
    server = new_server()
    server.receive_data(b"", now=NOW)
    assert state(server) is EndpointState.HANDSHAKE
    data = request()
    for cut in (0, 20):
        server.receive_data(data[cut : cut + 20], now=NOW)
        server.receive_data(b"", now=NOW)
    server.receive_data(data[40:], now=NOW)
    server.receive_data(b"", now=NOW)
    assert state(server) is EndpointState.OPEN

    client = new_client()
    answer = answer_to(output(client))
    for part in (b"", answer[:30], b"", answer[30:], b""):
        client.receive_data(part, now=NOW)
    assert state(client) is EndpointState.OPEN


def test_a_stream_that_ends_in_the_handshake_ends_the_session() -> None:
    server = new_server()
    server.receive_data(request()[:30], now=NOW)
    server.receive_eof(now=NOW)
    assert [type(each) for each in events(server)] == [Ended]
    assert (output(server), server.next_deadline()) == (b"", None)
    assert state(server) is EndpointState.CLOSED


# --- origins ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "origin", "status"),
    [
        (ServerConfig(), "https://anywhere.example", 101),
        (ORIGINS, None, 101),  # not a browser
        (ORIGINS, "https://good.example", 101),
        (ORIGINS, "https://good.example:444", 403),
        (ORIGINS, "https://evil.example", 403),
        (ORIGINS, "null", 403),
        (ORIGINS, "\xff", 403),
        (ORIGINS, "", 403),
    ],
)
def test_origins(config: ServerConfig, origin: str | None, status: int) -> None:
    server = new_server(config)
    server.receive_data(request(Origin=origin), now=NOW)
    assert output(server).startswith(b"HTTP/1.1 %d " % status)


# --- sub-protocols ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (None, None),
        ("v12.stomp", b"v12.stomp"),
        ("v10.stomp, v11.stomp, v12.stomp", b"v12.stomp"),
        ("v10.stomp,v11.stomp", b"v11.stomp"),
        ("mqtt, v10.stomp", b"v10.stomp"),
    ],
)
def test_the_best_sub_protocol_is_chosen(offered: str | None, chosen: bytes | None) -> None:
    server = new_server()
    server.receive_data(request(Sec_WebSocket_Protocol=offered), now=NOW)
    head = output(server).lower()
    assert head.startswith(b"http/1.1 101 ")
    if chosen is None:
        assert b"sec-websocket-protocol" not in head
    else:
        assert b"\r\nsec-websocket-protocol: " + chosen + b"\r\n" in head


# --- the token of the handshake ---------------------------------------------------------------

BEARER = {"Authorization": "Bearer abc"}
QUERY = ServerConfig(token_in_query="token")


@pytest.mark.parametrize(
    ("config", "target", "headers", "connect", "shown"),
    [
        (ServerConfig(), "/ws", BEARER, "", "abc"),
        (ServerConfig(), "/ws", {"authorization": "bearer abc"}, "", "abc"),
        (ServerConfig(), "/ws", BEARER, "passcode:inner\n", "inner"),
        (ServerConfig(), "/ws", {"Authorization": "Basic abc"}, "", None),
        (ServerConfig(), "/ws", {"Authorization": "Bearer "}, "", None),
        (ServerConfig(), "/ws?token=abc", {}, "", None),
        (QUERY, "/ws?token=abc", {}, "", "abc"),
        (QUERY, "/ws?a=b&token=a%2Fc&token=no", {}, "", "a/c"),
        (QUERY, "/ws?token=", {}, "", None),
        (QUERY, "/ws?other=abc", {}, "", None),
        (QUERY, "/ws", {}, "", None),
        (QUERY, "/ws?token=abc", {"Authorization": "Bearer xyz"}, "", "xyz"),
    ],
)
def test_the_token_of_the_handshake(
    config: ServerConfig, target: str, headers: dict[str, str], connect: str, shown: str | None
) -> None:
    keep = Keep()
    server = new_server(config, verifier=keep)
    server.receive_data(request(target, **headers), now=NOW)
    first = f"CONNECT\naccept-version:1.2\nhost:h\n{connect}\n\0".encode()
    server.receive_data(frame(TEXT, first, masked=True), now=NOW)
    (event,) = events(server)
    assert keep.shown == [None if shown is None else Token(shown)]
    assert isinstance(event, Connected if shown else Ended)
    assert shown is None or shown not in repr(event)


# --- bytes behind the handshake, and the handshake in pieces ----------------------------------


def test_server_bytes_behind_the_request_are_read() -> None:
    server = new_server()
    server.receive_data(request() + frame(TEXT, CONNECT, masked=True), now=NOW)
    assert [type(each) for each in events(server)] == [Connected]
    head, _, rest = output(server).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert frames(rest)[0][1].startswith(b"CONNECTED\n")


def test_server_byte_by_byte() -> None:
    server = new_server()
    seen: list[object] = []
    written = b""
    for byte in request() + frame(TEXT, CONNECT, masked=True):
        server.receive_data(bytes([byte]), now=NOW)
        seen += events(server)
        written += output(server)
    assert [type(each) for each in seen] == [Connected]
    head, _, rest = written.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert len(frames(rest)) == 1


def test_the_handshakes_timer_is_over_with_it() -> None:
    server = new_server()
    server.receive_data(request(), now=NOW + 1)
    assert server.deadline_reason() is Timer.LOGIN
    assert server.next_deadline() == NOW + 10


def test_client_the_request() -> None:
    client = new_client(X_Extra="1")
    assert client.bytes_queued > 0
    data = output(client)
    assert data.startswith(b"GET /ws?a=b HTTP/1.1\r\n")
    assert b"\r\nHost: h\r\n" in data
    assert ", ".join(SUBPROTOCOLS).encode() in data
    assert b"\r\nX_Extra: 1\r\n" in data
    # Not even CONNECT is sent before the 101.
    assert (output(client), client.bytes_queued) == (b"", 0)


def test_client_bytes_behind_the_101_are_read() -> None:
    client = new_client()
    message = b"MESSAGE\nsubscription:1\nmessage-id:1\ndestination:/a\n\n\0"
    answer = answer_to(output(client))
    client.receive_data(
        answer + frame(TEXT, CONNECTED, masked=False) + frame(TEXT, message, masked=False), now=NOW
    )
    assert client.bytes_queued > 0
    assert isinstance(told(client)[-1], Frame)
    assert frames(output(client))[0][1].startswith(b"CONNECT\n")


@pytest.mark.parametrize("protocol", [None, *SUBPROTOCOLS])
def test_client_byte_by_byte(protocol: str | None) -> None:
    client = new_client()
    headers = {"Sec-WebSocket-Protocol": protocol} if protocol else {}
    for byte in answer_to(output(client), **headers) + frame(TEXT, CONNECTED, masked=False):
        client.receive_data(bytes([byte]), now=NOW)
    assert len(told(client)) == 1


def test_client_an_interim_answer_counts_as_a_refusal() -> None:
    # wsproto knows no other interim answer than 101. Dialling again is what is left.
    client = new_client()
    wanted = output(client)
    early = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    client.receive_data(early + answer_to(wanted), now=NOW)
    assert ending(client).http_status == 103
    assert state(client) is EndpointState.CLOSED


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 426, 500, 503])
@pytest.mark.parametrize("body", [b"", b"no"])
def test_client_a_refusal_is_told_with_its_status(status: int, body: bytes) -> None:
    client = new_client()
    output(client)
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    client.receive_data(head + body, now=NOW)
    end = ending(client)
    assert (end.http_status, end.established, end.close) == (status, False, None)
    assert state(client) is EndpointState.CLOSED
    assert output(client) == b""


WRONG_ANSWERS = {
    "not HTTP": b"RECEIPT\nreceipt-id:1\n\n\0\r\n\r\n",
    "a wrong accept": b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Sec-WebSocket-Accept: AAAA\r\n\r\n",
    "no upgrade": b"HTTP/1.1 101 X\r\nConnection: upgrade\r\n\r\n",
    "no connection": b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n",
    "not ASCII": b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: \xff\r\n\r\n",
    "a huge header": b"HTTP/1.1 101 X\r\nX: " + b"x" * 200_000,
    "TLS": b"\x15\x03\x01\x00\x02\x02\x16\r\n\r\n",
}


@pytest.mark.parametrize("data", WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
def test_client_a_wrong_answer_ends_the_connection(data: bytes) -> None:
    client = new_client()
    output(client)
    client.receive_data(data, now=NOW)
    assert ending(client).fault == "the server did not answer as a WebSocket"
    assert state(client) is EndpointState.CLOSED
    assert (output(client), client.next_deadline()) == (b"", None)


def test_client_a_sub_protocol_that_it_did_not_offer_ends_the_connection() -> None:
    client = new_client()
    answer = answer_to(output(client), **{"Sec-WebSocket-Protocol": "mqtt"})
    client.receive_data(answer, now=NOW)
    assert ending(client).fault == "the server did not answer as a WebSocket"


def test_client_the_connect_timeout_bounds_the_handshake_too() -> None:
    client = new_client(ClientConfig(heart_beat=NO_BEATS, connect_timeout=4.0))
    output(client)
    assert (client.next_deadline(), client.deadline_reason()) == (NOW + 4, Timer.CONNECT)
    client.handle_timeout(now=NOW + 4)
    assert ending(client).fault == "the server did not answer CONNECT in time"
    assert client.closing
