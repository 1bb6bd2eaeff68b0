"""`ClientConnection`: one physical connection, from CONNECT to its one `Disconnected`."""

from __future__ import annotations

from typing import Any

import pytest

from stompcore._auth import Token
from stompcore._config import ClientConfig, HeartBeat, Limits
from stompcore._connection import ClientConnection, connect_headers
from stompcore._errors import ErrorCode, LocalProtocolError
from stompcore._events import (
    ConnectionEvent,
    Disconnected,
    ErrorReceived,
    Receipted,
    SessionEstablished,
)
from stompcore._frames import Command, Frame
from stompcore._headers import Version
from stompcore._machine import Close
from stompcore._state import ClientConnectionState
from stompcore._timers import Timer

NOW = 1000.0
CONNECTED = b"CONNECTED\nversion:1.2\n\n\0"
MESSAGE = b"MESSAGE\nsubscription:1\nmessage-id:1\ndestination:/a\n\nhello\0"
RECEIPT = b"RECEIPT\nreceipt-id:1\n\n\0"
ERROR = b"ERROR\nmessage:No\n\nwhy\0"
BEATS = b"CONNECTED\nversion:1.2\nheart-beat:1000,2000\n\n\0"


def connection(data: bytes = b"", **config: Any) -> ClientConnection:
    """A connection that has written its CONNECT, and has heard `data`."""
    fields = {"heart_beat": HeartBeat(send_interval=0, receive_interval=0), **config}
    made = ClientConnection(ClientConfig(**fields), {"host": "h"}, now=NOW)
    made.data_to_send()
    if data:
        made.receive_data(data, now=NOW)
        events(made)
    return made


def events(machine: ClientConnection) -> list[ConnectionEvent]:
    found = []
    while (event := machine.next_event()) is not None:
        found.append(event)
    return found


def kinds(machine: ClientConnection) -> list[type]:
    return [type(each) for each in events(machine)]


def ending(machine: ClientConnection) -> Disconnected:
    last = events(machine)[-1]
    assert isinstance(last, Disconnected)
    assert machine.closed
    assert machine.next_deadline() is None
    return last


def state(machine: ClientConnection) -> ClientConnectionState:
    return machine.state


def at(machine: ClientConnection) -> tuple[float | None, Timer | None]:
    return machine.next_deadline(), machine.deadline_reason()


# --- CONNECT ----------------------------------------------------------------------------------


def test_connect_is_queued_at_once() -> None:
    made = ClientConnection(ClientConfig(), {"host": "h", "x": "y"}, now=NOW)
    assert made.bytes_queued > 0
    assert made.data_to_send() == [
        b"CONNECT\naccept-version:1.0,1.1,1.2\nheart-beat:10000,10000\nhost:h\nx:y\n\n\0"
    ]
    assert (made.bytes_queued, made.data_to_send()) == (0, [])
    assert at(made) == (NOW + 10, Timer.CONNECT)
    assert (made.wants_read, made.send_eof, made.closing, made.closed) == (
        True,
        False,
        False,
        False,
    )
    assert (made.version, made.error, made.close) == (None, None, None)


def test_the_headers_of_connect() -> None:
    token = Token("abc")
    assert connect_headers(ClientConfig(), "h", None) == {"host": "h"}
    assert connect_headers(ClientConfig(host="v", login="me"), "h", token) == {
        "host": "v",
        "login": "me",
        "Authorization": "Bearer abc",
    }
    assert connect_headers(ClientConfig(passcode=True), "h", token) == {
        "host": "h",
        "passcode": "abc",
    }


@pytest.mark.parametrize(
    ("data", "version"),
    [
        (b"CONNECTED\nversion:1.2\n\n\0", Version.V1_2),
        (b"CONNECTED\nversion:1.1\n\n\0", Version.V1_1),
        (b"CONNECTED\nversion:1.0\n\n\0", Version.V1_0),
        (b"CONNECTED\nsession:1\n\n\0", Version.V1_0),
        (b"\n\nCONNECTED\r\nversion:1.2\r\n\r\n\0\n", Version.V1_2),
    ],
)
def test_connected_settles_the_version(data: bytes, version: Version) -> None:
    made = connection()
    made.receive_data(data, now=NOW)
    (event,) = events(made)
    assert isinstance(event, SessionEstablished)
    assert event.version is made.version is version
    assert state(made) is ClientConnectionState.OPEN
    assert made.next_deadline() is None


@pytest.mark.parametrize("version", ["1.3", "2.0", "", "1.2 "])
def test_a_version_that_nobody_knows_ends_the_connection(version: str) -> None:
    made = connection()
    made.receive_data(f"CONNECTED\nversion:{version}\n\n\0".encode(), now=NOW)
    end = ending(made)
    assert not end.established
    assert "unknown version" in end.fault


def test_the_version_decides_how_the_next_frame_is_read() -> None:
    for version, value in (("1.0", "a\\cb"), ("1.1", "a:b"), ("1.2", "a:b")):
        made = connection()
        connected = f"CONNECTED\nversion:{version}\n\n\0".encode()
        made.receive_data(connected + MESSAGE.replace(b"1\nd", b"1\nx:a\\cb\nd"), now=NOW)
        frame = events(made)[-1]
        assert isinstance(frame, Frame)
        assert frame.headers["x"] == value


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_b17_frames_glued_to_connected_are_not_lost(step: int) -> None:
    made = connection()
    data = CONNECTED + b"\n" + MESSAGE + RECEIPT + MESSAGE + ERROR
    seen: list[ConnectionEvent] = []
    for start in range(0, len(data), step):
        made.receive_data(data[start : start + step], now=NOW)
        seen += events(made)
    assert [type(each) for each in seen] == [
        SessionEstablished,
        Frame,
        Receipted,
        Frame,
        ErrorReceived,
        Disconnected,
    ]


def test_no_connected_in_time() -> None:
    made = connection(connect_timeout=4.0)
    made.receive_data(b"CONNECTED\nversion:1.2\n", now=NOW + 3.9)
    made.handle_timeout(now=NOW + 3.9)
    assert events(made) == []
    made.handle_timeout(now=NOW + 4)
    assert ending(made).fault == "the server did not answer CONNECT in time"
    made.handle_timeout(now=NOW + 4)
    assert events(made) == []


def test_a_connected_that_comes_too_late_does_not_count() -> None:
    made = connection(connect_timeout=4.0)
    made.receive_data(CONNECTED, now=NOW + 4)
    assert not ending(made).established


# --- out of turn ------------------------------------------------------------------------------

SEND = b"SEND\ndestination:/a\n\n\0"


@pytest.mark.parametrize("data", [MESSAGE, RECEIPT, SEND, b"CONNECT\n\n\0"])
def test_out_of_turn_before_connected(data: bytes) -> None:
    made = connection()
    made.receive_data(data + CONNECTED, now=NOW)
    end = ending(made)
    assert end.fault.endswith("out of turn")
    assert not end.established


@pytest.mark.parametrize("data", [CONNECTED, SEND, b"DISCONNECT\n\n\0"])
def test_out_of_turn_behind_connected(data: bytes) -> None:
    made = connection(CONNECTED)
    made.receive_data(MESSAGE + data + MESSAGE, now=NOW)
    frame, end = events(made)
    assert isinstance(frame, Frame)
    assert isinstance(end, Disconnected)
    assert end.established
    assert end.fault.endswith("out of turn")


@pytest.mark.parametrize(
    "data",
    [b"NONSENSE\n\n\0", b"MESSAGE\n\n\0", b"\xff\xff\n\n\0", b"x" * 100_000, b"MESSAGE\nx\n\n\0"],
)
def test_a_malformed_frame_ends_the_connection(data: bytes) -> None:
    made = connection(CONNECTED, limits=Limits(frame_size=1000))
    made.receive_data(data, now=NOW)
    assert ending(made).fault.startswith("the server broke the protocol: ")


# --- heart-beats ------------------------------------------------------------------------------


def test_heart_beats_are_negotiated_and_sent() -> None:
    made = connection(BEATS, heart_beat=HeartBeat(send_interval=1.0, receive_interval=0))
    assert at(made) == (NOW + 1.8, Timer.HEART_BEAT)
    made.handle_timeout(now=NOW + 1.8)
    assert made.data_to_send() == [b"\n"]
    assert at(made)[0] == pytest.approx(NOW + 3.6)
    made.send_frame(Frame(Command.SEND, {"destination": "/a"}), now=NOW + 3)
    assert at(made) == (NOW + 4.8, Timer.HEART_BEAT)
    # What waits to be written is a sign of life already.
    made.handle_timeout(now=NOW + 4.8)
    assert len(made.data_to_send()) == 1
    assert at(made)[0] == pytest.approx(NOW + 6.6)


def test_a_silent_server_is_dead() -> None:
    made = connection(BEATS, heart_beat=HeartBeat(send_interval=0, receive_interval=1.0))
    assert at(made) == (NOW + 2, Timer.PEER_SILENT)
    made.receive_data(b"\n", now=NOW + 1.5)
    made.receive_data(b"", now=NOW + 2)
    assert at(made) == (NOW + 3.5, Timer.PEER_SILENT)
    made.handle_timeout(now=NOW + 3.5)
    assert ending(made).fault == "the server fell silent"


def test_after_a_suspend_the_server_gets_one_more_chance() -> None:
    made = connection(BEATS, heart_beat=HeartBeat(send_interval=0, receive_interval=1.0))
    made.handle_timeout(now=NOW + 500)
    assert events(made) == []
    assert at(made) == (NOW + 502, Timer.PEER_SILENT)
    made.handle_timeout(now=NOW + 502)
    assert ending(made).fault == "the server fell silent"


def test_no_heart_beats_where_one_side_wants_none() -> None:
    made = connection(CONNECTED, heart_beat=HeartBeat())
    assert made.next_deadline() is None


def test_heart_beats_that_are_no_numbers_end_the_connection() -> None:
    made = connection()
    made.receive_data(b"CONNECTED\nversion:1.2\nheart-beat:x\n\n\0", now=NOW)
    assert not ending(made).established


# --- ERROR ------------------------------------------------------------------------------------


def test_error_ends_it_at_once_where_there_is_no_close_to_wait_for() -> None:
    made = connection(CONNECTED)
    made.send_frame(Frame(Command.SEND, {"destination": "/a"}), now=NOW)
    made.receive_data(ERROR + MESSAGE, now=NOW)
    error, end = events(made)
    assert isinstance(error, ErrorReceived)
    assert (error.message, error.error_code, error.receipt_id) == ("No", "", None)
    assert end == Disconnected(established=True, error=error)
    assert (made.data_to_send(), made.close) == ([], Close(1000))


@pytest.mark.parametrize("code", ErrorCode)
def test_error_codes_of_ours_are_known(code: ErrorCode) -> None:
    made = connection()
    made.receive_data(f"ERROR\nerror-code:{code}\nreceipt-id:7\n\n\0".encode(), now=NOW)
    error = events(made)[0]
    assert isinstance(error, ErrorReceived)
    assert (error.error_code, error.receipt_id, made.error) == (code, "7", code)
    foreign = connection(b"ERROR\nerror-code:other\n\n\0")
    assert foreign.error is None


def test_error_waits_for_the_close_where_there_is_one() -> None:
    made = connection(CONNECTED, error_timeout=1.0)
    made.awaits_close = True
    made.receive_data(ERROR, now=NOW)
    assert kinds(made) == [ErrorReceived]
    assert state(made) is ClientConnectionState.CLOSING
    assert at(made) == (NOW + 1, Timer.CLOSE)
    made.receive_data(MESSAGE + ERROR, now=NOW)
    assert events(made) == []
    with pytest.raises(LocalProtocolError):
        made.send_frame(Frame(Command.SEND, {"destination": "/a"}), now=NOW)
    made.receive_close(Close(3000, "Token Expired"), now=NOW + 0.5)
    end = ending(made)
    assert end.error is not None
    assert end.close == Close(3000, "Token Expired")


def test_error_does_not_wait_for_ever() -> None:
    made = connection(CONNECTED, error_timeout=1.0)
    made.awaits_close = True
    made.receive_data(ERROR, now=NOW)
    events(made)
    made.receive_data(b"\n", now=NOW + 1)  # nor does a server that talks on put it off
    assert ending(made).close is None


# --- DISCONNECT -------------------------------------------------------------------------------


def test_the_receipt_of_disconnect_is_a_clean_end() -> None:
    made = connection(CONNECTED, close_timeout=5.0)
    made.disconnect(now=NOW)
    assert made.data_to_send() == [b"DISCONNECT\nreceipt:disconnect\n\n\0"]
    assert at(made) == (NOW + 5, Timer.CLOSE)
    made.receive_data(MESSAGE + RECEIPT + b"RECEIPT\nreceipt-id:disconnect\n\n\0", now=NOW)
    assert kinds(made) == [Frame, Receipted, Disconnected]


def test_the_receipt_of_disconnect_waits_for_the_close_of_a_websocket() -> None:
    made = connection(CONNECTED, close_timeout=5.0, error_timeout=1.0)
    made.awaits_close = True
    made.disconnect(now=NOW)
    made.receive_data(b"RECEIPT\nreceipt-id:disconnect\n\n\0", now=NOW + 1)
    assert events(made) == []
    assert at(made) == (NOW + 6, Timer.CLOSE)
    made.receive_close(Close(), now=NOW + 2)
    assert ending(made) == Disconnected(established=True, close=Close(), clean=True)


def test_a_receipt_of_that_name_that_was_not_asked_for_is_any_receipt() -> None:
    made = connection(CONNECTED)
    made.receive_data(b"RECEIPT\nreceipt-id:disconnect\n\n\0", now=NOW)
    assert events(made) == [Receipted(receipt_id="disconnect")]


def test_disconnect_without_an_answer_ends_unclean() -> None:
    made = connection(CONNECTED, close_timeout=5.0)
    made.disconnect(now=NOW)
    made.handle_timeout(now=NOW + 5)
    assert ending(made) == Disconnected(established=True)


def test_nothing_is_sent_before_connected_nor_behind_disconnect() -> None:
    frame = Frame(Command.SEND, {"destination": "/a"})
    made = connection()
    with pytest.raises(LocalProtocolError, match="CONNECTING"):
        made.send_frame(frame, now=NOW)
    with pytest.raises(LocalProtocolError, match="CONNECTING"):
        made.disconnect(now=NOW)
    made.receive_data(CONNECTED, now=NOW)
    events(made)
    made.disconnect(now=NOW)
    made.data_to_send()
    with pytest.raises(LocalProtocolError, match="DISCONNECTING"):
        made.send_frame(frame, now=NOW)
    with pytest.raises(LocalProtocolError, match="DISCONNECTING"):
        made.disconnect(now=NOW)
    assert made.data_to_send() == []


def test_a_frame_that_the_version_cannot_carry_changes_nothing() -> None:
    made = connection(CONNECTED.replace(b"1.2", b"1.0"))
    with pytest.raises(LocalProtocolError):
        made.send_frame(Frame(Command.SEND, {"destination": "a\nb"}), now=NOW + 1)
    assert (made.data_to_send(), made.now) == ([], NOW)


# --- the end of the transport -----------------------------------------------------------------


def test_what_came_before_the_end_is_still_read() -> None:
    made = connection(CONNECTED)
    made.receive_data(MESSAGE + ERROR, now=NOW)
    made.receive_eof(now=NOW)
    made.receive_eof(now=NOW)
    assert kinds(made) == [Frame, ErrorReceived, Disconnected]


def test_the_end_in_the_middle_of_a_frame() -> None:
    made = connection(CONNECTED)
    made.receive_data(MESSAGE[:-1], now=NOW)
    made.receive_eof(now=NOW)
    assert ending(made) == Disconnected(established=True)


def test_the_first_word_about_the_end_counts() -> None:
    made = connection(CONNECTED)
    made.receive_close(Close(1001), now=NOW)
    made.receive_close(Close(3000), now=NOW)
    made.receive_refusal(401, now=NOW)
    made.fail("x", now=NOW)
    made.receive_eof(now=NOW)
    assert events(made) == [Disconnected(established=True, close=Close(1001))]


def test_a_transport_that_fails_says_why_once() -> None:
    made = connection()
    made.fail("first", now=NOW)
    made.fail("second", now=NOW)
    assert events(made) == [Disconnected(fault="first")]


def test_a_handshake_that_is_refused() -> None:
    made = connection()
    made.receive_refusal(503, now=NOW)
    assert ending(made) == Disconnected(http_status=503)


def test_nothing_comes_after_the_end() -> None:
    made = connection(CONNECTED)
    made.receive_eof(now=NOW)
    events(made)
    made.receive_data(MESSAGE, now=NOW)
    made.handle_timeout(now=NOW + 100)
    made.receive_eof(now=NOW + 100)
    assert (events(made), made.data_to_send(), made.next_deadline()) == ([], [], None)
    assert (made.closing, made.now) == (True, NOW + 100)


def test_what_was_queued_is_not_written_behind_the_end() -> None:
    beats = HeartBeat(send_interval=1.0, receive_interval=1.0)
    made = connection(BEATS, heart_beat=beats, error_timeout=60.0)
    made.awaits_close = True
    made.send_frame(Frame(Command.SEND, {"destination": "/a"}), now=NOW)
    made.receive_data(ERROR, now=NOW)
    events(made)
    assert (made.data_to_send(), at(made)) == ([], (NOW + 60, Timer.CLOSE))
    lost = connection(CONNECTED)
    lost.send_frame(Frame(Command.SEND, {"destination": "/a"}), now=NOW)
    lost.receive_eof(now=NOW)
    assert (lost.data_to_send(), lost.bytes_queued) == ([], 0)


def test_every_word_about_the_end_moves_the_clock() -> None:
    for number in range(3):
        made = connection()
        match number:
            case 0:
                made.receive_close(Close(), now=NOW + 1)
            case 1:
                made.receive_refusal(401, now=NOW + 1)
            case _:
                made.fail("x", now=NOW + 1)
        assert made.now == NOW + 1
