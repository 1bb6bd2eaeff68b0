"""Frames out of bytes, for people, without secrets."""

from __future__ import annotations

import pytest

from stompcore import Command, Frame, ServerConfig, Version, encode_frame
from stompcore.testing import Pair, Passed, Trace
from stompcore.testing._trace import Tap, describe_frame

SEND = Frame(Command.SEND, {"destination": "/topic/a", "x": "a:b\nc"}, b"hello")


def test_a_frame_is_one_line() -> None:
    assert describe_frame(Frame(Command.RECEIPT, {"receipt-id": "1"})) == "RECEIPT receipt-id:1"
    assert describe_frame(SEND) == "SEND destination:/topic/a x:a:b\\nc | 'hello'"


def test_a_long_body_is_shown_in_part_and_a_binary_one_does_no_harm() -> None:
    frame = Frame(Command.SEND, {"destination": "/a"}, b"\xff\n" + b"x" * 100)
    text = describe_frame(frame)
    assert text.endswith("...")
    assert "\n" not in text
    assert len(text) < 100


@pytest.mark.parametrize("name", ["Authorization", "authorization", "passcode"])
def test_a_secret_header_is_hidden(name: str) -> None:
    text = describe_frame(Frame(Command.CONNECT, {"host": "h", name: "Bearer s3cret"}))
    assert "s3cret" not in text
    assert f"{name}:<hidden>" in text


@pytest.mark.parametrize("transport", ["tcp", "websocket"])
@pytest.mark.parametrize("destination", ["/auth/refresh", "/app/renew"])
def test_a_token_that_is_renewed_in_place_is_hidden(transport: str, destination: str) -> None:
    pair = Pair(transport=transport, config=ServerConfig(refresh_destination=destination))
    token = pair.auth.issue("alice")
    pair.client.send(destination, token)
    pair.settle()
    assert [each.frame.command for each in pair.frames][-1] is Command.RECEIPT
    assert "insecure-test-token" not in str(pair.trace)
    assert "<hidden>" in str(pair.frames[-2])
    assert pair.frames[-2].frame.body == token.encode()


def test_a_passed_frame_says_whose_it_was_and_which_way_it_went() -> None:
    up = Passed(1.0, "ann", 2, True, Frame(Command.RECEIPT, {"receipt-id": "1"}))
    assert str(up) == "ann#2 -> RECEIPT receipt-id:1"
    assert str(up._replace(is_up=False)) == "ann#2 <- RECEIPT receipt-id:1"


def test_frames_are_read_byte_by_byte_and_garbage_ends_the_reading() -> None:
    tap = Tap(is_websocket=False)
    data = encode_frame(Frame(Command.CONNECT, {"host": "h"}), Version.V1_2)
    data += b"\n\n" + encode_frame(SEND, Version.V1_2)
    found = [frame for octet in data for frame in tap.read(bytes([octet]))]
    assert [each.command for each in found] == [Command.CONNECT, Command.SEND]
    assert found[1].headers["x"] == "a:b\nc"
    assert tap.read(b"NONSENSE\n\n\0") == []
    assert tap.read(data) == []


def test_a_trace_keeps_the_last_lines() -> None:
    trace = Trace(limit=3)
    for number in range(5):
        trace.add(number, f"line {number}")
    assert len(trace) == 3
    assert str(trace) == ("    2.000000  line 2\n    3.000000  line 3\n    4.000000  line 4")
    assert trace.lines(1) == ["    4.000000  line 4"]


def test_what_a_trace_holds_is_put_into_words_when_it_is_read() -> None:
    class Slow:
        asked = 0

        def __str__(self) -> str:
            Slow.asked += 1
            return "slow"

    trace = Trace()
    trace.add(0.0, Slow())
    assert Slow.asked == 0
    assert trace.lines() == ["    0.000000  slow"]
