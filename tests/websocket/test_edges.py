"""The eight edges of wsproto, each by name, in both roles where both have it."""

from __future__ import annotations

import struct
import zlib

import pytest
from tests.websocket.wire import (
    BINARY,
    CLOSE,
    CONNECT,
    CONNECTED,
    NOW,
    PING,
    PONG,
    TEXT,
    answer_to,
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

from stompcore._errors import ErrorCode
from stompcore._events import Ended, Sent
from stompcore._frames import Frame
from stompcore._machine import Close
from stompcore._state import EndpointState

# A frame of the wrong role: a client must mask, a server must not.
UNMASKED = frame(TEXT, CONNECT, masked=False)
MASKED = frame(TEXT, CONNECTED, masked=True)
GARBAGE = b"\xff" * 16


# --- 1. Garbage and a peer's own Close 1002 differ in wsproto's state alone --------------------


@pytest.mark.parametrize("garbage", [GARBAGE, UNMASKED, b"\x83\x80\0\0\0\0", b"\xc1\x80\0\0\0\0"])
def test_edge_1_server_garbage_is_answered_with_error_and_close_1002(garbage: bytes) -> None:
    server = connected_server()
    server.receive_data(garbage, now=NOW)
    ended = events(server)[-1]
    assert isinstance(ended, Ended)
    assert ended.error_code is ErrorCode.MALFORMED_FRAME
    data = output(server)
    assert frames(data)[0][1].startswith(b"ERROR\n")
    assert closes(data) == [Close(1002, "Malformed Frame")]
    assert state(server) is EndpointState.LOCAL_CLOSING
    # The frames' boundaries are lost: nothing is read any more, not even a Close.
    server.receive_data(frame(CLOSE, close_payload(1000), masked=True), now=NOW)
    assert state(server) is EndpointState.LOCAL_CLOSING
    server.handle_timeout(now=NOW + 5)
    assert server.closed


def test_edge_1_server_peers_own_close_1002_is_echoed() -> None:
    server = connected_server()
    server.receive_data(frame(CLOSE, close_payload(1002, "you"), masked=True), now=NOW)
    assert events(server) == [Ended(error_code=None, detail="the peer left", clean=False)]
    assert closes(output(server)) == [Close(1002)]
    assert server.closed


@pytest.mark.parametrize("garbage", [GARBAGE, MASKED])
def test_edge_1_client_garbage_is_answered_with_close_1002(garbage: bytes) -> None:
    client = connected_client()
    client.receive_data(garbage, now=NOW)
    assert closes(output(client)) == [Close(1002)]
    end = ending(client)
    assert (end.close, end.fault) == (None, "the server sent no WebSocket frames")
    assert client.closing
    assert state(client) is not EndpointState.CLOSED
    client.receive_data(frame(CLOSE, close_payload(1000), masked=False), now=NOW)
    assert state(client) is not EndpointState.CLOSED
    client.handle_timeout(now=NOW + 5)
    assert client.closed


def test_edge_1_client_peers_own_close_1002_is_echoed_and_told() -> None:
    client = connected_client()
    client.receive_data(frame(CLOSE, close_payload(1002, "you"), masked=False), now=NOW)
    assert closes(output(client)) == [Close(1002)]
    end = ending(client)
    assert (end.close, end.fault) == (Close(1002, "you"), "")
    assert client.closed


def test_edge_1_invalid_utf8_in_a_text_message_is_garbage_with_its_own_code() -> None:
    client = connected_client()
    client.receive_data(frame(TEXT, b"\xc3\x28", masked=False), now=NOW)
    assert closes(output(client)) == [Close(1007)]


# --- 2. What comes behind the peer's Close is dropped in silence -------------------------------


@pytest.mark.parametrize("together", [True, False])
def test_edge_2_server_data_behind_the_peers_close_is_dropped(together: bool) -> None:
    server = connected_server()
    send = frame(TEXT, b"SEND\ndestination:/a\n\nx\0", masked=True)
    parts = [frame(CLOSE, close_payload(1000), masked=True), send, GARBAGE]
    for part in [b"".join(parts)] if together else parts:
        server.receive_data(part, now=NOW)
    assert [type(each) for each in events(server)] == [Ended]
    assert frames(output(server)) == [(CLOSE, close_payload(1000))]
    assert server.closed
    assert server.next_deadline() is None


@pytest.mark.parametrize("together", [True, False])
def test_edge_2_client_data_behind_the_peers_close_is_dropped(together: bool) -> None:
    client = connected_client()
    message = frame(
        TEXT, b"MESSAGE\nsubscription:1\nmessage-id:1\ndestination:/a\n\n\0", masked=False
    )
    parts = [frame(CLOSE, close_payload(1001), masked=False), message, GARBAGE]
    for part in [b"".join(parts)] if together else parts:
        client.receive_data(part, now=NOW)
    assert len(told(client)) == 1
    assert frames(output(client)) == [(CLOSE, close_payload(1001))]


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
def test_edge_2_data_behind_both_closes_does_not_raise(code: int) -> None:
    server = connected_server()
    server.session.end(ErrorCode.GOING_AWAY, now=NOW)
    assert closes(output(server)) == [Close(1001, "Going Away")]
    theirs = frame(CLOSE, close_payload(code), masked=True)
    server.receive_data(theirs + GARBAGE, now=NOW)
    assert server.closed
    server.receive_data(theirs, now=NOW)
    assert output(server) == b""


# --- 3. The end of the stream twice is one end ------------------------------------------------


@pytest.mark.parametrize("is_open", [True, False])
def test_edge_3_server_two_ends_of_the_stream_are_one(is_open: bool) -> None:
    server = connected_server() if is_open else new_server()
    server.receive_eof(now=NOW)
    server.receive_eof(now=NOW)
    assert [type(each) for each in events(server)] == [Ended]
    assert server.closed
    server.receive_data(GARBAGE, now=NOW)
    server.receive_eof(now=NOW)
    server.handle_timeout(now=NOW + 100)
    assert (events(server), output(server)) == ([], b"")


@pytest.mark.parametrize("is_open", [True, False])
def test_edge_3_client_two_ends_of_the_stream_are_one(is_open: bool) -> None:
    client = connected_client() if is_open else new_client()
    client.receive_eof(now=NOW)
    client.receive_eof(now=NOW)
    assert ending(client).established is is_open
    client.receive_data(GARBAGE, now=NOW)
    client.receive_eof(now=NOW)
    client.handle_timeout(now=NOW + 100)
    assert told(client) == []
    assert client.closed


# --- 4. permessage-deflate has no bound: it is neither offered nor accepted -------------------


def test_edge_4_server_accepts_no_permessage_deflate() -> None:
    server = new_server()
    offer = "permessage-deflate; client_max_window_bits"
    server.receive_data(request(Sec_WebSocket_Extensions=offer), now=NOW)
    head = output(server)
    assert head.startswith(b"HTTP/1.1 101 ")
    assert b"extensions" not in head.lower()


def test_edge_4_server_does_not_inflate_what_comes_deflated_all_the_same() -> None:
    server = connected_server()
    deflate = zlib.compressobj(wbits=-15)
    bomb = deflate.compress(b"\0" * 1_000_000) + deflate.flush(zlib.Z_SYNC_FLUSH)
    data = bytearray(frame(BINARY, bomb, masked=True))
    data[0] |= 0x40  # RSV1: this message is deflated
    server.receive_data(bytes(data), now=NOW)
    assert isinstance(events(server)[-1], Ended)
    assert closes(output(server)) == [Close(1002, "Malformed Frame")]


def test_edge_4_client_offers_no_permessage_deflate_and_takes_none() -> None:
    client = new_client()
    wanted = output(client)
    assert b"extensions" not in wanted.lower()
    client.receive_data(answer_to(wanted, Sec_WebSocket_Extensions="permessage-deflate"), now=NOW)
    assert ending(client).fault == "the server did not answer as a WebSocket"
    assert client.closed


# --- 5. wsproto bounds no message: the decoder behind it does ---------------------------------


def test_edge_5_server_a_message_past_the_limit_is_refused_before_it_is_complete() -> None:
    server = open_server()
    payload = CONNECT.replace(b"\n\n", b"\nx:") + b"y" * 70_000  # no blank line, never an end
    announced = bytes([0x80 | TEXT, 0x80 | 127]) + struct.pack("!Q", 1 << 40)
    server.receive_data(announced + b"\0\0\0\0" + payload, now=NOW)
    ended = events(server)[-1]
    assert isinstance(ended, Ended)
    assert ended.error_code is ErrorCode.LIMIT_EXCEEDED
    assert closes(output(server)) == [Close(1009, "Limit Exceeded")]


def test_edge_5_client_a_message_past_the_limit_ends_the_connection() -> None:
    client = connected_client()
    head = b"MESSAGE\nsubscription:1\nmessage-id:1\ndestination:/a\ncontent-length:9999999\n\n"
    client.receive_data(frame(TEXT, head, masked=False), now=NOW)
    assert "broke the protocol" in ending(client).fault


# --- 6. A huge header keeps its own status ----------------------------------------------------


def test_edge_6_a_header_of_20_kb_is_refused_with_431() -> None:
    server = new_server()
    server.receive_data(request(Cookie="c" * 20_000)[:17_000], now=NOW)
    assert output(server).startswith(b"HTTP/1.1 431 ")
    assert state(server) is EndpointState.REFUSED


# --- 7. One message may come as several events ------------------------------------------------


@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_edge_7_server_one_message_in_several_events_is_one_frame(kind: int) -> None:
    server = connected_server()
    body = "ä€😀".encode() * 100
    send = b"SEND\ndestination:/a\n\n" + body + b"\0"
    data = frame(kind, send, masked=True)
    # Every cut, also those in the middle of a character.
    for cut in range(300, 320):
        server.receive_data(data[:cut], now=NOW)
        server.receive_data(data[cut:], now=NOW)
    sent = events(server)
    assert [each.body for each in sent if isinstance(each, Sent)] == [body] * 20
    assert len(sent) == 20


def test_edge_7_client_one_message_in_several_events_is_one_frame() -> None:
    client = connected_client()
    body = "ä€😀".encode() * 100
    head = b"MESSAGE\nsubscription:1\nmessage-id:1\ndestination:/a\n\n"
    data = frame(TEXT, head + body + b"\0", masked=False)
    for cut in range(200, 220):
        client.receive_data(data[:cut], now=NOW)
        client.receive_data(data[cut:], now=NOW)
    bodies = [each.body for each in told(client) if isinstance(each, Frame)]
    assert bodies == [body] * 20


# --- 8. Neither Ping nor Close is answered by wsproto -----------------------------------------


def test_edge_8_server_answers_ping_and_close() -> None:
    server = connected_server()
    server.receive_data(frame(PING, b"are you there", masked=True), now=NOW)
    assert frames(output(server)) == [(PONG, b"are you there")]
    server.receive_data(frame(CLOSE, b"", masked=True), now=NOW)
    # 1005 stands for "no code" and may not be sent.
    assert frames(output(server)) == [(CLOSE, close_payload(1000))]


def test_edge_8_client_answers_ping_and_close() -> None:
    client = connected_client()
    client.receive_data(frame(PING, b"are you there", masked=False), now=NOW)
    assert frames(output(client)) == [(PONG, b"are you there")]
    client.receive_data(frame(CLOSE, b"", masked=False), now=NOW)
    assert frames(output(client)) == [(CLOSE, close_payload(1000))]
    assert ending(client).close == Close(1005)


def test_edge_8_a_pong_that_nobody_asked_for_means_nothing() -> None:
    client, server = open_client(), connected_server()
    client.receive_data(frame(PONG, b"?", masked=False), now=NOW)
    server.receive_data(frame(PONG, b"?", masked=True), now=NOW)
    assert (output(client), output(server)) == (b"", b"")
    assert (told(client), events(server)) == ([], [])
