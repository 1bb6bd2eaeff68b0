"""The closing handshake: who says it first, who never says it, and what still counts."""

from __future__ import annotations

import pytest
from tests.websocket.wire import (
    CLOSE,
    NO_BEATS,
    NOW,
    PING,
    TEXT,
    close_payload,
    closes,
    connected_client,
    connected_server,
    ending,
    events,
    frame,
    frames,
    new_client,
    new_server,
    open_client,
    open_server,
    output,
    request,
    state,
    told,
)

from stompcore._auth import Identity, Token
from stompcore._config import ClientConfig, Limits, ServerConfig
from stompcore._errors import ErrorCode
from stompcore._events import Connected, Disconnected, Ended, ErrorReceived, Sent, Subscribed
from stompcore._frames import Command, Frame
from stompcore._headers import Headers
from stompcore._machine import Close
from stompcore._state import ClientConnectionState, EndpointState
from stompcore._timers import Timer

SEND = frame(TEXT, b"SEND\ndestination:/a\n\nhello\0", masked=True)
DISCONNECT = frame(TEXT, b"DISCONNECT\nreceipt:1\n\n\0", masked=True)
BYE = frame(CLOSE, close_payload(1000), masked=True)
ERROR = b"ERROR\nmessage:Token Expired\nerror-code:token-expired\n\n\0"


class UntilTen:
    """A verifier whose tokens are good for ten seconds."""

    def verify(self, token: Token | None, *, headers: Headers, now: float) -> Identity:
        return Identity(subject="u", expires_at=NOW + 10)


# --- the server says it first -----------------------------------------------------------------


def test_error_is_the_last_message_then_close_3000_token_expired() -> None:
    server = connected_server(verifier=UntilTen())
    assert server.next_deadline() == NOW + 10
    assert server.deadline_reason() is Timer.TOKEN_EXPIRY
    server.handle_timeout(now=NOW + 10)
    assert server.closing
    (ended,) = events(server)
    assert isinstance(ended, Ended)
    assert server.error is ended.error_code is ErrorCode.TOKEN_EXPIRED
    assert server.bytes_queued > 0
    (kind, error), (last, farewell) = frames(output(server))
    assert (kind, last) == (TEXT, CLOSE)
    assert error.startswith(b"ERROR\nmessage:Token Expired\nerror-code:token-expired\n")
    assert farewell == close_payload(3000, "Token Expired")
    assert server.bytes_queued == 0


def test_a_frame_that_comes_too_late_is_named_in_the_error() -> None:
    server = connected_server(verifier=UntilTen())
    late = frame(TEXT, b"SEND\ndestination:/a\nreceipt:r-1\n\nlate\0", masked=True)
    server.receive_data(late + SEND, now=NOW + 10)
    assert [type(each) for each in events(server)] == [Ended]
    data = output(server)
    assert b"\nreceipt-id:r-1\n" in frames(data)[0][1]
    assert closes(data) == [Close(3000, "Token Expired")]


def test_the_close_waits_until_the_error_can_be_written() -> None:
    server = connected_server(verifier=UntilTen())
    server.handle_timeout(now=NOW + 10)
    assert state(server) is EndpointState.OPEN
    assert not server.send_eof
    assert len(frames(output(server))) == 2
    assert state(server) is EndpointState.LOCAL_CLOSING
    assert (server.next_deadline(), server.deadline_reason()) == (NOW + 15, Timer.CLOSE)
    assert not server.send_eof  # the peer's Close comes over the same stream


def test_a_session_that_others_end_has_all_the_time_to_say_close() -> None:
    """A revocation, or a MESSAGE that comes too late, tells the session what time it is; no byte
    has told the endpoint for long."""
    server = connected_server()
    server.session.end(ErrorCode.TOKEN_REVOKED, now=NOW + 1000)
    assert closes(output(server)) == [Close(3003, "Token Revoked")]
    assert (server.next_deadline(), server.deadline_reason()) == (NOW + 1005, Timer.CLOSE)
    server.handle_timeout(now=NOW + 1001)
    assert not server.closed
    server.receive_data(BYE, now=NOW + 1001)
    assert server.closed


@pytest.mark.parametrize("end", ["close", "eof", "time-out"])
def test_a_flooding_peer_is_drained_until_its_own_end(end: str) -> None:
    server = connected_server(verifier=UntilTen())
    server.handle_timeout(now=NOW + 10)
    events(server)
    output(server)
    for at in range(100):
        server.receive_data(SEND + frame(PING, b"x", masked=True), now=NOW + 10 + at / 100)
        assert server.wants_read
    assert (events(server), output(server), server.bytes_queued) == ([], b"", 0)
    assert state(server) is not EndpointState.CLOSED
    match end:
        case "close":
            server.receive_data(BYE, now=NOW + 11)
        case "eof":
            server.receive_eof(now=NOW + 11)
        case _:
            server.handle_timeout(now=NOW + 14.9)
            assert state(server) is not EndpointState.CLOSED
            # Flooding does not prolong it, nor does it take a timer's call.
            server.receive_data(SEND, now=NOW + 15)
    assert server.closed
    assert (events(server), output(server), server.next_deadline()) == ([], b"", None)


def test_disconnect_gets_its_receipt_then_close_1000() -> None:
    server = connected_server()
    server.receive_data(DISCONNECT + SEND, now=NOW)
    assert events(server) == [Ended(error_code=None, detail="DISCONNECT", clean=True)]
    receipt, farewell = frames(output(server))
    assert receipt[1].startswith(b"RECEIPT\nreceipt-id:1\n")
    assert farewell == (CLOSE, close_payload(1000))
    server.receive_data(BYE, now=NOW)
    assert server.closed


# --- a transport that never becomes writable --------------------------------------------------


@pytest.mark.parametrize("noticed_by", ["timer", "data"])
def test_a_farewell_that_can_never_be_written_ends_all_the_same(noticed_by: str) -> None:
    server = connected_server(verifier=UntilTen())
    server.handle_timeout(now=NOW + 10)
    events(server)
    assert (server.next_deadline(), server.deadline_reason()) == (NOW + 15, Timer.CLOSE)
    if noticed_by == "timer":
        server.handle_timeout(now=NOW + 15)
    else:
        server.receive_data(SEND, now=NOW + 15)
    assert server.closed
    assert (server.next_deadline(), output(server)) == (None, b"")


def test_a_peer_that_stops_reading_is_a_slow_consumer() -> None:
    config = ServerConfig(heart_beat=NO_BEATS, limits=Limits(send_backlog_timeout=2.0))
    server = connected_server(config)
    server.receive_data(
        frame(TEXT, b"SUBSCRIBE\ndestination:/a\nid:1\nreceipt:1\n\n\0", masked=True), now=NOW
    )
    (subscribed,) = events(server)
    assert isinstance(subscribed, Subscribed)
    server.session.done(subscribed, now=NOW)
    assert server.deadline_reason() is Timer.SEND_BACKLOG
    server.handle_timeout(now=NOW + 2)
    assert server.error is ErrorCode.SLOW_CONSUMER
    server.handle_timeout(now=NOW + 7)
    assert server.closed


def test_a_session_that_ends_during_the_handshake_takes_the_endpoint_along() -> None:
    config = ServerConfig(limits=Limits(close_timeout=1.0))
    server = new_server(config)
    server.session.end(ErrorCode.GOING_AWAY, now=NOW)
    assert output(server) == b""
    server.handle_timeout(now=NOW + 1)
    assert server.closed
    server.receive_data(request(), now=NOW + 2)
    assert (output(server), server.next_deadline()) == (b"", None)


def test_a_session_that_ends_during_the_handshake_can_still_say_so_behind_it() -> None:
    server = new_server()
    server.session.end(ErrorCode.GOING_AWAY, now=NOW)
    server.receive_data(request(), now=NOW + 1)
    head, _, rest = output(server).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert closes(rest) == [Close(1001, "Going Away")]


# --- the peer says it first -------------------------------------------------------------------


def test_server_frames_before_the_peers_close_in_the_same_chunk_still_count() -> None:
    server = connected_server()
    server.receive_data(SEND + SEND + BYE + SEND, now=NOW)
    assert [type(each) for each in events(server)] == [Sent, Sent, Ended]
    assert frames(output(server)) == [(CLOSE, close_payload(1000))]
    assert server.closed


def test_server_frames_before_garbage_in_the_same_chunk_still_count() -> None:
    server = connected_server()
    server.receive_data(SEND + b"\xff" * 10, now=NOW)
    assert [type(each) for each in events(server)] == [Sent, Ended]
    assert closes(output(server)) == [Close(1002, "Malformed Frame")]


def test_server_connect_and_close_in_the_chunk_of_the_handshake() -> None:
    server = new_server()
    connect = frame(TEXT, b"CONNECT\naccept-version:1.2\nhost:h\n\n\0", masked=True)
    server.receive_data(request() + connect + SEND + BYE, now=NOW)
    assert [type(each) for each in events(server)] == [Connected, Sent, Ended]
    head, _, rest = output(server).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert frames(rest) == [(CLOSE, close_payload(1000))]


def test_client_frames_before_the_servers_close_in_the_same_chunk_still_count() -> None:
    client = connected_client()
    message = b"MESSAGE\nsubscription:1\nmessage-id:1\ndestination:/a\n\nhello\0"
    bye = frame(CLOSE, close_payload(3000, "Token Expired"), masked=False)
    client.receive_data(
        frame(TEXT, message, masked=False) + frame(TEXT, ERROR, masked=False) + bye, now=NOW
    )
    delivered, error, end = told(client)
    assert isinstance(delivered, Frame)
    assert isinstance(error, ErrorReceived)
    assert isinstance(end, Disconnected)
    assert (end.error, end.close) == (error, Close(3000, "Token Expired"))
    assert client.closed
    assert frames(output(client)) == [(CLOSE, close_payload(3000))]


def test_client_what_it_had_queued_is_not_sent_behind_the_servers_close() -> None:
    client = connected_client()
    client.connection.send_frame(Frame(Command.SEND, {"destination": "/a"}, b"x"), now=NOW)
    assert client.bytes_queued > 0
    client.receive_data(frame(CLOSE, close_payload(1001), masked=False), now=NOW)
    assert frames(output(client)) == [(CLOSE, close_payload(1001))]
    assert client.bytes_queued == 0


def test_both_say_it_at_once() -> None:
    client = connected_client()
    client.hang_up(now=NOW)
    assert closes(output(client)) == [Close(1000)]
    assert client.closing
    client.receive_data(frame(CLOSE, close_payload(1001, "bye"), masked=False), now=NOW)
    assert (client.closed, output(client)) == (True, b"")
    assert ending(client).close == Close(1001, "bye")


# --- the client waits for the server's close, then says its own -------------------------------


def test_client_waits_for_the_close_behind_an_error() -> None:
    client = connected_client(ClientConfig(heart_beat=NO_BEATS, error_timeout=1.0))
    client.receive_data(frame(TEXT, ERROR, masked=False), now=NOW)
    assert [type(each) for each in told(client)] == [ErrorReceived]
    assert client.error is ErrorCode.TOKEN_EXPIRED
    assert client.connection.state is ClientConnectionState.CLOSING
    assert client.closing
    assert (client.next_deadline(), client.deadline_reason()) == (NOW + 1, Timer.CLOSE)
    client.handle_timeout(now=NOW + 1)
    end = ending(client)
    assert end.error is not None
    assert end.close is None
    assert state(client) is not EndpointState.CLOSED  # the WebSocket itself is open still
    client.hang_up(now=NOW + 1)
    assert closes(output(client)) == [Close(1000)]
    assert (client.next_deadline(), client.deadline_reason()) == (NOW + 6, Timer.CLOSE)
    client.handle_timeout(now=NOW + 6)
    assert client.closed


def test_client_hangs_up_once_and_in_every_state() -> None:
    fresh = new_client()
    fresh.hang_up(now=NOW)
    assert fresh.closed
    fresh.hang_up(now=NOW)

    client = open_client()
    client.hang_up(now=NOW)
    client.hang_up(now=NOW)
    assert state(client) is EndpointState.LOCAL_CLOSING
    assert client.wants_read
    assert not client.send_eof
    assert closes(output(client)) == [Close(1000)]
    client.receive_eof(now=NOW)
    client.hang_up(now=NOW)
    assert client.closed


def test_client_does_not_answer_pings_behind_its_own_close() -> None:
    client = connected_client()
    client.hang_up(now=NOW)
    output(client)
    client.receive_data(frame(PING, b"?", masked=False), now=NOW)
    assert client.bytes_queued == 1
    assert (output(client), client.bytes_queued) == (b"", 0)


def test_the_end_of_the_stream_and_hanging_up_move_the_clock() -> None:
    server, client, other = connected_server(), connected_client(), connected_client()
    server.receive_eof(now=NOW + 1)
    client.receive_eof(now=NOW + 1)
    other.hang_up(now=NOW + 1)
    assert (server.now, client.now, other.now) == (NOW + 1,) * 3
    assert other.next_deadline() == NOW + 6


# --- nothing after closed ---------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["new", "open", "connected", "closing", "refused"])
def test_server_nothing_comes_after_closed(stage: str) -> None:
    server = {"new": new_server, "refused": new_server, "open": open_server}.get(
        stage, connected_server
    )()
    if stage == "closing":
        server.session.end(ErrorCode.GOING_AWAY, now=NOW)
        output(server)
    elif stage == "refused":
        server.receive_data(request("/elsewhere"), now=NOW)
        output(server)
    server.receive_eof(now=NOW)
    events(server)
    assert server.closed
    assert server.closing
    for data in (request(), SEND, BYE, b"", b"\xff" * 10):
        server.receive_data(data, now=NOW)
        server.receive_eof(now=NOW)
        server.handle_timeout(now=NOW + 100)
    assert (events(server), output(server), server.next_deadline()) == ([], b"", None)
    assert not server.send_eof


@pytest.mark.parametrize("stage", ["new", "open", "connected", "closing"])
def test_client_nothing_comes_after_closed(stage: str) -> None:
    client = {"new": new_client, "open": open_client}.get(stage, connected_client)()
    if stage == "closing":
        client.hang_up(now=NOW)
        output(client)
    client.receive_eof(now=NOW)
    told(client)
    output(client)
    assert client.closed
    for data in (b"HTTP/1.1 101 X\r\n\r\n", frame(TEXT, ERROR, masked=False), b"", b"\xff" * 10):
        client.receive_data(data, now=NOW)
        client.receive_eof(now=NOW)
        client.handle_timeout(now=NOW + 100)
    assert (told(client), output(client), client.next_deadline()) == ([], b"", None)
