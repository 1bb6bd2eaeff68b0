"""What a message carries: one frame out, a byte stream in; and Pings."""

from __future__ import annotations

import pytest
from tests.websocket.wire import (
    BINARY,
    CONTINUATION,
    NO_BEATS,
    NOW,
    PING,
    PONG,
    TEXT,
    connected_client,
    connected_server,
    events,
    frame,
    frames,
    open_server,
    output,
    told,
)

from stompcore._codec import Message
from stompcore._config import HeartBeat, Limits, ServerConfig
from stompcore._errors import ErrorCode
from stompcore._events import Sent, Subscribed
from stompcore._frames import Command, Frame
from stompcore._headers import Headers, Version
from stompcore._timers import Timer
from stompcore.websocket import ServerEndpoint

BODIES = {
    "empty": b"",
    "ASCII": b"hello",
    "UTF-8": "äöü €😀".encode(),
    "a NUL inside": b"a\0b",
    "not UTF-8": b"\xff\xfe\x00",
    "half a character": "€".encode()[:2],
    "a surrogate": b"\xed\xa0\x80",
}


def send(body: bytes) -> bytes:
    return b"SEND\ndestination:/a\ncontent-length:%d\n\n%s\0" % (len(body), body)


def message(body: bytes) -> bytes:
    head = b"MESSAGE\nsubscription:1\nmessage-id:1\ndestination:/a\ncontent-length:%d\n\n"
    return head % len(body) + body + b"\0"


def bodies_sent(server: ServerEndpoint) -> list[bytes]:
    return [each.body for each in events(server) if isinstance(each, Sent)]


def is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


# --- out: one frame is one message, text if it is UTF-8, else binary ---------------------------


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_client_sends_text_if_it_is_utf8_else_binary(body: bytes) -> None:
    client = connected_client()
    for _ in range(2):
        client.connection.send_frame(Frame(Command.SEND, {"destination": "/a"}, body), now=NOW)
    written = frames(output(client))
    assert [kind for kind, _ in written] == [TEXT if is_text(body) else BINARY] * 2
    assert all(payload.endswith(body + b"\0") for _, payload in written)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_server_sends_text_if_it_is_utf8_else_binary(body: bytes) -> None:
    server = connected_server()
    server.receive_data(frame(TEXT, b"SUBSCRIBE\nid:1\ndestination:/a\n\n\0", masked=True), now=NOW)
    (subscribed,) = events(server)
    assert isinstance(subscribed, Subscribed)
    server.session.done(subscribed, now=NOW)
    made = Message("/a", "m-1", Headers(), body)
    for _ in range(2):
        assert server.session.deliver(subscribed.subscription, made, now=NOW)
    written = frames(output(server))
    assert [kind for kind, _ in written] == [TEXT if is_text(body) else BINARY] * 2
    assert written[0][1] == made.encode(Version.V1_2, "1", None)


def test_a_heart_beat_is_a_message_of_its_own() -> None:
    server = open_server(ServerConfig(heart_beat=HeartBeat(send_interval=10, receive_interval=0)))
    connect = b"CONNECT\naccept-version:1.2\nheart-beat:0,10000\n\n\0"
    server.receive_data(frame(TEXT, connect, masked=True), now=NOW)
    events(server)
    output(server)
    assert (server.next_deadline(), server.deadline_reason()) == (NOW + 9, Timer.HEART_BEAT)
    server.handle_timeout(now=NOW + 9)
    assert frames(output(server)) == [(TEXT, b"\n")]


# --- in: both kinds, whatever the body --------------------------------------------------------


@pytest.mark.parametrize("kind", [TEXT, BINARY])
@pytest.mark.parametrize("body", [b"", b"hello", "€".encode(), b"a\0b"])
def test_both_kinds_of_message_are_read(kind: int, body: bytes) -> None:
    server, client = connected_server(), connected_client()
    server.receive_data(frame(kind, send(body), masked=True), now=NOW)
    client.receive_data(frame(kind, message(body), masked=False), now=NOW)
    assert bodies_sent(server) == [body]
    assert [each.body for each in told(client) if isinstance(each, Frame)] == [body]


def test_binary_bodies_come_in_binary_messages() -> None:
    server, client = connected_server(), connected_client()
    server.receive_data(frame(BINARY, send(b"\xff\0\xfe"), masked=True), now=NOW)
    client.receive_data(frame(BINARY, message(b"\xff\0\xfe"), masked=False), now=NOW)
    assert bodies_sent(server) == [b"\xff\0\xfe"]
    assert [each.body for each in told(client) if isinstance(each, Frame)] == [b"\xff\0\xfe"]


def test_a_frame_over_several_messages_of_both_kinds() -> None:
    server = connected_server()
    data = send(b"hello")
    for at in range(0, len(data), 7):
        kind = BINARY if at % 2 else TEXT
        server.receive_data(frame(kind, data[at : at + 7], masked=True), now=NOW)
    assert bodies_sent(server) == [b"hello"]


def test_a_frame_over_several_fragments_with_a_ping_between_them() -> None:
    server = connected_server()
    data = send("€".encode())  # cut in the middle of the character, too
    parts = [data[at : at + 1] for at in range(len(data))]
    for number, part in enumerate(parts):
        kind = CONTINUATION if number else TEXT
        is_last = number == len(parts) - 1
        server.receive_data(frame(kind, part, masked=True, fin=is_last), now=NOW)
        server.receive_data(frame(PING, b"%d" % number, masked=True), now=NOW)
    assert bodies_sent(server) == ["€".encode()]
    assert frames(output(server)) == [(PONG, b"%d" % (len(parts) - 1))]


def test_many_frames_and_heart_beats_in_one_message() -> None:
    server, client = connected_server(), connected_client()
    many = b"\n".join(send(b"%d" % number) for number in range(100))
    server.receive_data(frame(TEXT, b"\n" + many + b"\r\n\n", masked=True), now=NOW)
    assert bodies_sent(server) == [b"%d" % number for number in range(100)]
    many = b"\n".join(message(b"%d" % number) for number in range(100))
    client.receive_data(frame(TEXT, many, masked=False), now=NOW)
    assert [each.body for each in told(client) if isinstance(each, Frame)] == [
        b"%d" % number for number in range(100)
    ]


def test_one_and_a_half_frames_in_a_message_and_the_rest_in_the_next() -> None:
    server = connected_server()
    data = send(b"one") + send(b"two")
    server.receive_data(frame(TEXT, data[:-5], masked=True), now=NOW)
    assert bodies_sent(server) == [b"one"]
    server.receive_data(frame(TEXT, data[-5:] + b"\n", masked=True), now=NOW)
    assert bodies_sent(server) == [b"two"]


@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_an_empty_message_means_nothing(kind: int) -> None:
    server = connected_server()
    server.receive_data(frame(kind, b"", masked=True) * 100, now=NOW)
    assert (events(server), output(server), server.bytes_queued) == ([], b"", 0)


# --- Pings ------------------------------------------------------------------------------------


def test_a_flood_of_pings_fills_no_memory() -> None:
    server, client = connected_server(), connected_client()
    for number in range(1000):
        server.receive_data(frame(PING, b"%0125d" % number, masked=True), now=NOW)
        client.receive_data(frame(PING, b"%0125d" % number, masked=False), now=NOW)
    assert server.bytes_queued == client.bytes_queued == 125
    # "it MAY elect to send a response for only the most recently processed Ping frame"
    assert frames(output(server)) == frames(output(client)) == [(PONG, b"%0125d" % 999)]
    assert server.bytes_queued == client.bytes_queued == 0
    assert (output(server), output(client)) == (b"", b"")


def test_a_ping_with_nothing_in_it_is_answered() -> None:
    server = connected_server()
    server.receive_data(frame(PING, b"", masked=True), now=NOW)
    assert frames(output(server)) == [(PONG, b"")]


def test_a_pong_does_not_overtake_what_was_queued() -> None:
    server = connected_server()
    receipted = b"SEND\ndestination:/a\nreceipt:1\n\n\0"
    server.receive_data(
        frame(TEXT, receipted, masked=True) + frame(PING, b"?", masked=True), now=NOW
    )
    (sent,) = events(server)
    assert isinstance(sent, Sent)
    server.session.done(sent, now=NOW)
    assert [kind for kind, _ in frames(output(server))] == [TEXT, PONG]


def test_pings_do_not_put_off_the_login_time_out() -> None:
    server = open_server(ServerConfig(heart_beat=NO_BEATS, limits=Limits(login_timeout=2.0)))
    server.receive_data(frame(PING, b"", masked=True), now=NOW + 1.9)
    server.handle_timeout(now=NOW + 2)
    assert server.error is ErrorCode.LOGIN_TIMEOUT
