from __future__ import annotations

import sys
from typing import Any

import pytest
from tests.unit.codec_cases import (
    BAD,
    CASES,
    LIMITS,
    SEND,
    V10,
    V11,
    V12,
    Bad,
    Case,
    decoder_for,
    octets,
    read,
)

from stompcore._codec import FrameDecoder, Message, content_length, encode_frame
from stompcore._config import Limits
from stompcore._errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from stompcore._frames import Command, Frame
from stompcore._headers import Headers, Version

BY_ID = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


@BY_ID
def test_read_whole(case: Case) -> None:
    decoder = decoder_for(case.version)
    assert read(decoder, [case.wire]) == [case.frame]
    assert len(decoder) == 0


@BY_ID
def test_read_byte_by_byte(case: Case) -> None:
    decoder = decoder_for(case.version)
    assert read(decoder, octets(case.wire)[:-1]) == []
    assert read(decoder, [case.wire[-1:]]) == [case.frame]
    assert len(decoder) == 0


@BY_ID
def test_read_in_two_halves(case: Case) -> None:
    for at in range(1, len(case.wire)):
        assert read(decoder_for(case.version), [case.wire[:at], case.wire[at:]]) == [case.frame]


@BY_ID
def test_read_with_trailing_bytes(case: Case) -> None:
    decoder = decoder_for(case.version)
    assert read(decoder, [case.wire + b"SEND\ndest"]) == [case.frame]
    assert len(decoder) == len(b"SEND\ndest")
    assert read(decoder, [b"ination:a\n\nx\0"]) == [Frame(Command.SEND, {"destination": "a"}, b"x")]


@BY_ID
def test_read_behind_another_frame_with_a_cut_in_its_body(case: Case) -> None:
    ack = b"ACK\nmessage-id:1\nsubscription:2\nid:3\n\n\0"
    for at in range(1, len(case.wire)):
        decoder = decoder_for(case.version)
        frames = read(decoder, [ack + case.wire[:at], case.wire[at:] + ack])
        assert [each.command for each in frames] == ["ACK", case.frame.command, "ACK"]
        assert frames[1] == case.frame


@BY_ID
def test_read_three_times_over(case: Case) -> None:
    wire = b"\n" + case.wire + b"\r\n\n" + case.wire + case.wire + b"\n"
    assert read(decoder_for(case.version), [wire]) == [case.frame] * 3
    assert read(decoder_for(case.version), octets(wire)) == [case.frame] * 3


@BY_ID
def test_written_back(case: Case) -> None:
    written = encode_frame(case.frame, case.version or V12)
    if case.canonical:
        # php-stomp, of 1.0, loses the next frame where no line feed stands between the two.
        assert written == case.wire + (b"\n" if case.version is V10 else b"")
    again = read(decoder_for(case.version), [written])
    assert [(each.command, each.body) for each in again] == [(case.frame.command, case.frame.body)]
    assert without_length(again[0].headers) == without_length(case.frame.headers)


def without_length(headers: Headers) -> list[tuple[str, str]]:
    return [pair for pair in headers.pairs() if pair[0] != "content-length"]


@BY_ID
@pytest.mark.parametrize("bytewise", [False, True])
def test_at_and_over_the_frame_size(case: Case, bytewise: bool) -> None:
    chunks = octets(case.wire) if bytewise else [case.wire]
    size = len(case.wire) - 1  # the NUL is no part of what a frame may hold
    assert read(decoder_for(case.version, max_frame_size=size), chunks) == [case.frame]
    with pytest.raises(RemoteProtocolError) as caught:
        read(decoder_for(case.version, max_frame_size=size - 1), chunks)
    assert caught.value.error_code is ErrorCode.LIMIT_EXCEEDED
    assert caught.value.close_code == 1009


@BY_ID
@pytest.mark.parametrize("bytewise", [False, True])
def test_at_and_over_the_number_of_headers(case: Case, bytewise: bool) -> None:
    chunks = octets(case.wire) if bytewise else [case.wire]
    count = len(case.frame.headers.pairs())
    limits = Limits(headers=max(1, count))
    assert read(decoder_for(case.version, limits), chunks) == [case.frame]
    if count > 1:
        with pytest.raises(RemoteProtocolError, match="more headers") as caught:
            read(decoder_for(case.version, Limits(headers=count - 1)), chunks)
        assert caught.value.error_code is ErrorCode.LIMIT_EXCEEDED


@BY_ID
@pytest.mark.parametrize("bytewise", [False, True])
def test_at_and_over_the_header_line_size(case: Case, bytewise: bool) -> None:
    chunks = octets(case.wire) if bytewise else [case.wire]
    crlf = case.version in (None, V12)
    head = case.wire[: min(at for at in (case.wire.find(b"\n\n"), 10**6) if at >= 0)]
    lines = [line.removesuffix(b"\r") if crlf else line for line in head.split(b"\n")]
    longest = max(len(line) for line in lines if line)
    if b"\n\r\n" in case.wire:
        longest = max(len(line.removesuffix(b"\r")) for line in case.wire.split(b"\n")[:2])
    assert read(decoder_for(case.version, Limits(header_line_size=longest)), chunks) == [case.frame]
    if len(lines) > 1:
        with pytest.raises(RemoteProtocolError, match="header line") as caught:
            read(decoder_for(case.version, Limits(header_line_size=longest - 1)), chunks)
        assert caught.value.error_code is ErrorCode.LIMIT_EXCEEDED


@BY_ID
@pytest.mark.parametrize("bytewise", [False, True])
def test_A16_at_and_over_the_command_size(case: Case, bytewise: bool) -> None:
    chunks = octets(case.wire) if bytewise else [case.wire]
    size = len(case.frame.command.value)
    assert read(decoder_for(case.version, Limits(command_size=size)), chunks) == [case.frame]
    with pytest.raises(RemoteProtocolError, match="command is too long") as caught:
        read(decoder_for(case.version, Limits(command_size=size - 1)), chunks)
    assert caught.value.error_code is ErrorCode.MALFORMED_FRAME


@pytest.mark.parametrize("bytewise", [False, True])
@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.id)
def test_refused(bad: Bad, bytewise: bool) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        read(decoder_for(bad.version), octets(bad.wire) if bytewise else [bad.wire])
    error = caught.value
    assert bad.detail.lower() in error.detail.lower()
    assert error.detail
    assert (error.error_code, error.receipt_id) == (bad.code, bad.receipt_id)
    assert error.close_code == 1002


def test_A1_connect_is_not_unescaped() -> None:
    wire = b"%s\nversion:1.2\nx:a\\cb\\\n\n\0"
    for command in (b"CONNECT", b"STOMP", b"CONNECTED"):
        for version in (None, V11, V12):
            (frame,) = read(decoder_for(version), [wire % command])
            assert frame.headers["x"] == "a\\cb\\"


@pytest.mark.parametrize("command", [Command.CONNECT, Command.STOMP, Command.CONNECTED])
@pytest.mark.parametrize("version", Version)
def test_A1_header_injection_in_connect(command: Command, version: Version) -> None:
    for injected in ("a\nadmin:true", "a\rb", "a\0b"):
        for headers in ({"login": injected}, {injected: "x"}):
            with pytest.raises(LocalProtocolError) as caught:
                encode_frame(Frame(command, headers), version)
            assert "admin" not in str(caught.value)
    with pytest.raises(LocalProtocolError):
        encode_frame(Frame(command, {"a:b": "c"}), version)


def test_A2_the_version_switches_between_two_frames_of_one_chunk() -> None:
    decoder = decoder_for(None)
    decoder.receive_data(b"CONNECT\nx:a\\cb\n\n\0BEGIN\ntransaction:a\\cb\\r\n\n\0")
    connect = decoder.next_frame()
    assert connect is not None
    assert connect.headers["x"] == "a\\cb"
    decoder.version = V12
    begin = decoder.next_frame()
    assert begin is not None
    assert begin.headers["transaction"] == "a:b\r"


def test_A3_one_pass() -> None:
    wire = encode_frame(Frame(Command.ACK, {"id": "a\\nb"}), V12)
    assert wire == b"ACK\nid:a\\\\nb\n\n\0"
    assert read(decoder_for(V12), [wire])[0].headers["id"] == "a\\nb"


def test_A5_names_are_escaped_too() -> None:
    frame = Frame(Command.ACK, {"id": "1", "a:\n\\b": "2"})
    wire = encode_frame(frame, V12)
    assert b"a\\c\\n\\\\b:2" in wire
    assert read(decoder_for(V12), [wire]) == [frame]


@pytest.mark.parametrize("version", Version)
def test_A6_split_at_the_first_colon(version: Version) -> None:
    (frame,) = read(decoder_for(version), [b"BEGIN\ntransaction:a:b::\n\n\0"])
    assert frame.headers["transaction"] == "a:b::"


@pytest.mark.parametrize(
    ("version", "expected"), [(V10, {"transaction": "a  b"}), (V11, None), (V12, None)]
)
def test_A7_only_1_0_trims(version: Version, expected: dict[str, str] | None) -> None:
    (frame,) = read(decoder_for(version), [b"ABORT\ntransaction: a  b \n\n\0"])
    assert frame.headers == (expected or {"transaction": " a  b "})


def test_A8_the_first_of_repeated_headers_counts() -> None:
    (frame,) = read(decoder_for(V12), [b"ACK\nid:1\nid:2\n\n\0"])
    assert frame.headers["id"] == "1"


def test_A8_the_same_destination_twice_is_harmless() -> None:
    (frame,) = read(decoder_for(V12), [b"SEND\ndestination:a\ndestination:a\n\n\0"])
    assert frame.headers["destination"] == "a"


def test_A9_content_length_counts_octets_and_is_written_once() -> None:
    frame = Frame(Command.SEND, {"destination": "a", "content-length": "99"}, "käse".encode())
    wire = encode_frame(frame, V12)
    assert wire.count(b"content-length") == 1
    assert b"content-length:5\n" in wire


@pytest.mark.parametrize(
    ("value", "expected"), [(None, None), ("0", 0), (" 7 ", 7), ("007", 7), ("9" * 18, 10**18 - 1)]
)
def test_A9_content_length(value: str | None, expected: int | None) -> None:
    assert content_length(Headers({} if value is None else {"content-length": value})) == expected


def test_A9_a_length_over_the_limit_is_refused_before_the_body_comes() -> None:
    decoder = decoder_for(V12, max_frame_size=100)
    decoder.receive_data(SEND + b"content-length:101\n\n")
    with pytest.raises(RemoteProtocolError) as caught:
        decoder.next_frame()
    assert caught.value.error_code is ErrorCode.LIMIT_EXCEEDED
    assert caught.value.receipt_id == "r"


def test_A10_cr_at_chunk_end() -> None:
    decoder = decoder_for(V12)
    assert read(decoder, [b"\r"]) == []
    assert len(decoder) == 1
    assert read(decoder, [b"\nACK\r", b"\nid:1\r", b"\n\r"]) == []
    assert read(decoder, [b"\n\0\r"]) == [Frame(Command.ACK, {"id": "1"})]


def test_A10_a_cr_at_chunk_end_and_no_lf_behind_it() -> None:
    decoder = decoder_for(V12)
    assert read(decoder, [b"\n\r"]) == []
    with pytest.raises(RemoteProtocolError, match="carriage return"):
        read(decoder, [b"ACK"])


@pytest.mark.parametrize("version", [None, *Version])
def test_A11_line_ends_and_nuls_between_frames(version: Version | None) -> None:
    noise = b"\n\r\n\0\0\n\n"
    ack = b"CONNECTED\nversion:1.2\n\n\0"
    frames = [Frame(Command.CONNECTED, {"version": "1.2"})] * 2
    decoder = decoder_for(version)
    assert read(decoder, [noise + ack + noise + ack + noise]) == frames
    assert len(decoder) == 0
    assert read(decoder_for(version), octets(noise + ack + noise + ack + noise)) == frames


def test_A12_a_frame_in_two_messages_with_a_beat_behind_it() -> None:
    decoder = decoder_for(V12)
    assert read(decoder, [b"\nSEND\ndestination:a\n", b"\nhal"]) == []
    assert read(decoder, [b"f\0\n\n", b"\n"]) == [
        Frame(Command.SEND, {"destination": "a"}, b"half")
    ]
    assert len(decoder) == 0


def test_A13_partial_frames_are_bounded_before_login() -> None:
    decoder = FrameDecoder(LIMITS, max_frame_size=LIMITS.frame_size_before_login)
    decoder.receive_data(b"CONNECT\n")
    line = b"a:" + b"b" * 1000 + b"\n"
    for _ in range(LIMITS.frame_size_before_login // len(line)):
        decoder.receive_data(line)
        assert decoder.next_frame() is None
        assert len(decoder) <= LIMITS.frame_size_before_login
    decoder.receive_data(line)
    with pytest.raises(RemoteProtocolError, match="larger") as caught:
        decoder.next_frame()
    assert caught.value.error_code is ErrorCode.LIMIT_EXCEEDED


def test_A15_1_0_forgives_a_body_and_drops_it() -> None:
    (frame,) = read(decoder_for(V10), [b"BEGIN\ntransaction:1\n\nhello\0"])
    assert frame == Frame(Command.BEGIN, {"transaction": "1"})


def test_A16_a_command_without_end_is_refused_before_it_is_buffered() -> None:
    decoder = decoder_for(None)
    with pytest.raises(RemoteProtocolError, match="command is too long"):
        read(decoder, [b"A"] * 1000)
    assert len(decoder) == LIMITS.command_size + 3


def test_A16_a_header_line_without_end_is_refused_before_it_is_buffered() -> None:
    decoder = decoder_for(V12, Limits(header_line_size=100))
    with pytest.raises(RemoteProtocolError, match="header line is longer"):
        read(decoder, [b"SEND\n", *[b"a"] * 1000])
    assert len(decoder) <= len(b"SEND\n") + 102


def test_A17_what_the_server_sets_stands_in_front_of_what_the_publisher_set() -> None:
    headers = Headers({"subscription": "forged", "ack": "forged", "message-id": "forged"})
    message = Message("/topic/a", "m1", headers, b"x")
    (frame,) = read(decoder_for(V12), [message.encode(V12, "s1", "a1")])
    assert frame.headers["subscription"] == "s1"
    assert frame.headers["ack"] == "a1"
    assert frame.headers["message-id"] == "m1"


class Counting:
    """Counts the octets that searches look at, those that a deletion has to move, and copies."""

    touched = 0

    def find(self: Any, what: Any, start: Any = 0, end: Any = None, /) -> int:
        stop = len(self) if end is None else min(end, len(self))
        at = int(super().find(what, start, stop))  # type: ignore[misc]
        self.touched += max(0, (stop if at < 0 else at + len(what)) - start)
        return at

    def rfind(self: Any, what: Any, start: Any = 0, end: Any = sys.maxsize, /) -> int:
        at = int(super().rfind(what, start, end))  # type: ignore[misc]
        self.touched += len(self) - max(at, start)
        return at

    def __getitem__(self: Any, index: Any, /) -> Any:
        found = super().__getitem__(index)  # type: ignore[misc]
        self.touched += 1 if isinstance(index, int) else len(found)
        return found

    def __delitem__(self: Any, index: Any, /) -> None:
        super().__delitem__(index)  # type: ignore[misc]
        self.touched += len(self)


class CountingChunk(Counting, bytes):
    """What a decoder reads from while one chunk is enough."""


class CountingBuffer(Counting, bytearray):
    """What it reads from when a frame has come in several."""


ROOMY = Limits(headers=10**6, header_line_size=10**5)
SHAPES = {
    "body to the NUL": lambda n: b"SEND\ndestination:a\n\n" + b"x" * n + b"\0",
    "body of a stated length": lambda n: (
        b"SEND\ndestination:a\ncontent-length:%d\n\n" % n + b"\n" * n + b"\0"
    ),
    "many headers": lambda n: b"SEND\ndestination:a\n" + b"a:bcdef\n" * (n // 8) + b"\n\0",
    "one long header": lambda n: b"SEND\ndestination:" + b"a" * n + b"\n\n\0",
    "line ends": lambda n: b"\r\n" * (n // 2) + b"ACK\nid:1\n\n\0",
    "many frames": lambda n: b"ACK\nid:1\n\n\0" * (n // 11),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_byte_at_a_time_is_linear(shape: str) -> None:
    touched = []
    for size in (5_000, 10_000):
        decoder = decoder_for(V12, ROOMY)
        first, *others = octets(SHAPES[shape](size))
        count, found = 0, read(decoder, [first])
        for octet in others:
            if not isinstance(decoder._buffer, CountingBuffer):
                count += getattr(decoder._buffer, "touched", 0)
                decoder._buffer = CountingBuffer(decoder._buffer)
            buffer = decoder._buffer
            found += read(decoder, [octet])
            if decoder._buffer is not buffer:
                count += buffer.touched
        assert found
        touched.append(count + getattr(decoder._buffer, "touched", 0))
    assert 0 < touched[1] < 2.2 * touched[0]


@pytest.mark.parametrize("shape", SHAPES)
def test_many_frames_in_one_chunk_are_linear(shape: str) -> None:
    touched = []
    for size in (5_000, 10_000):
        decoder = decoder_for(V12, ROOMY)
        buffer = decoder._buffer = CountingChunk(SHAPES[shape](size) * 3)
        assert list(iter(decoder.next_frame, None))
        touched.append(buffer.touched)
    assert 0 < touched[1] < 2.2 * touched[0]


def test_clear_forgets_everything() -> None:
    decoder = decoder_for(V12)
    decoder.receive_data(b"\n" + SEND + b"content-length:9\n\nhal")
    assert decoder.next_frame() is None
    decoder.clear()
    assert len(decoder) == 0
    assert read(decoder, [b"ACK\nid:1\n\n\0"]) == [Frame(Command.ACK, {"id": "1"})]


def test_the_frame_size_can_be_raised_between_two_frames() -> None:
    decoder = decoder_for(V12, max_frame_size=20)
    decoder.receive_data(b"ACK\nid:1\n\n\0" + SEND + b"\n" + b"x" * 20 + b"\0")
    assert decoder.next_frame() is not None
    decoder.max_frame_size = 100
    assert decoder.next_frame() is not None


def test_the_default_frame_size_is_that_of_the_limits() -> None:
    assert FrameDecoder(Limits(frame_size=77)).max_frame_size == 77


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        (V10, {"destination": "a", "x": "a\nb"}),
        (V10, {"destination": "a", "x:y": "z"}),
        (V12, {"destination": "a", "x": "a\0b"}),
        (V12, {"destination": "a", "x": "\ud800"}),
        (V12, {"destination": "a", "": "x"}),
    ],
)
def test_encode_refuses_what_a_version_cannot_carry(
    version: Version, headers: dict[str, str]
) -> None:
    with pytest.raises(LocalProtocolError, match=f"STOMP {version} cannot carry this header"):
        encode_frame(Frame(Command.SEND, headers), version)


@pytest.mark.parametrize("version", Version)
@pytest.mark.parametrize(("subscription", "ack"), [("s:1", None), ("s:1", "a:1"), (None, None)])
def test_message(version: Version, subscription: str | None, ack: str | None) -> None:
    message = Message("/topic/a", "m-1", Headers({"x": "y"}), b"body")
    expected = {"subscription": subscription, "ack": ack, "destination": "/topic/a"}
    expected |= {"message-id": "m-1", "x": "y", "content-length": "4"}
    wire = message.encode(version, subscription, ack)
    decoder = decoder_for(version)
    if version is not V10 and subscription is None:
        with pytest.raises(RemoteProtocolError):
            read(decoder, [wire])
        return
    headers = {name: value for name, value in expected.items() if value is not None}
    assert read(decoder, [wire]) == [Frame(Command.MESSAGE, headers, b"body")]
    assert message.encode(version, subscription, ack) == wire


def test_only_a_message_of_1_0_ends_with_a_line_feed() -> None:
    message = Message("/topic/a", "m", Headers(), b"x")
    ends = [message.encode(version, "1")[-2:] for version in (V10, V11, V12)]
    assert ends == [b"\0\n", b"x\0", b"x\0"]


def test_message_is_encoded_once_for_each_version() -> None:
    message = Message("/topic/a", "m", Headers(), b"x" * 100)
    for subscription in ("1", "2"):
        message.encode(V11, subscription)
        message.encode(V12, subscription)
    assert set(message._encoded) == {V11, V12}


def test_message_leaves_out_what_a_version_cannot_carry() -> None:
    message = Message("/topic/a", "m", Headers({"x": "a\nb", "y": "c"}))
    (old,) = read(decoder_for(V10), [message.encode(V10, "1")])
    assert old.headers.pairs()[-2:] == (("message-id", "m"), ("y", "c"))
    (new,) = read(decoder_for(V12), [message.encode(V12, "1")])
    assert new.headers["x"] == "a\nb"


def test_A17_a_padded_name_is_no_way_around_what_a_server_sets() -> None:
    headers = Headers({" content-length": "1", " destination": "b", " ": "c"})
    wire = Message("/topic/a", "m", headers, b"forged").encode(V10, "1")
    (frame,) = read(decoder_for(V10), [wire])
    assert frame.body == b"forged"
    assert frame.headers.get_all("content-length") == ["6"]
    assert frame.headers.get_all("destination") == ["/topic/a"]


def test_message_repr_shows_no_body() -> None:
    message = Message("/topic/a", "m", Headers({"token": "s3cret"}), b"s3cret")
    assert repr(message) == "<Message m to /topic/a 6 bytes>"


@pytest.mark.parametrize(
    ("data", "receipt_id"),
    [
        (b"SEND\ndestination:/topic/a\nreceipt:r\n\nx\0", "r"),
        (b"SEND\ndestination:/topic/a\n\nx\0", None),
        (b"SEND\nreceipt:r\n\nno destination\0", "r"),
        (b"SEND\ndestination:/topic/a\nreceipt:r\n\nhalf", None),
        (b"\n", None),
    ],
)
def test_the_receipt_of_a_frame_that_is_too_late(data: bytes, receipt_id: str | None) -> None:
    decoder = FrameDecoder(Limits())
    decoder.version = Version.V1_2
    decoder.receive_data(data)
    assert decoder.next_receipt_id() == receipt_id
