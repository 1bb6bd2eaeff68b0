from __future__ import annotations

import itertools

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from tests.unit.codec_cases import BAD, CASES

from stompcore._codec import FrameDecoder, Message, encode_frame
from stompcore._config import Limits
from stompcore._errors import RemoteProtocolError
from stompcore._frames import BODY_COMMANDS, Command, Frame, required
from stompcore._headers import Headers, Version, can_express, escape, unescape

SMALL = Limits(frame_size=120, headers=6, header_line_size=40, command_size=16)

# Dense in what the grammar is made of.
TEXT = st.text(st.sampled_from("ab:\\ncr\r\n \t\0ü🧀") | st.characters(codec="utf-8"), max_size=12)
WIRE = st.lists(
    st.sampled_from(
        [
            *(each.value.encode() for each in Command),
            *(b"\n", b"\r\n", b"\n\n", b"\r", b"\0", b":", b"\\", b"\\c", b"\xff", b"\xc3\xbc"),
            *(b"destination:a", b"id:1", b"content-length:3", b"content-length:", b"abc", b"9"),
            b"SEND\ndestination:a\n\nbody\0",
            b"SEND\ndestination:a\ncontent-length:3\n\na\0b\0",
        ]
    )
    | st.binary(max_size=8),
    max_size=30,
).map(b"".join)
VERSIONS = st.sampled_from([None, *Version])


@st.composite
def frames(draw: st.DrawFn, version: Version) -> Frame:
    command = draw(st.sampled_from(Command))
    exempt = command in {Command.CONNECT, Command.STOMP, Command.CONNECTED}
    rules = Version.V1_0 if exempt else version

    def fits(pair: tuple[str, str]) -> bool:
        name, value = pair
        if version is Version.V1_0 and value != value.strip(" "):
            return False  # 1.0 trims
        if exempt and "\r" in name + value:
            return False
        return can_express(name, value, rules) and name not in {"content-length", "destination"}

    pairs = draw(st.lists(st.tuples(TEXT, TEXT).filter(fits), max_size=4))
    values = TEXT.filter(lambda value: fits(("x", value)))
    pairs += [(name, draw(values)) for name in required(command, version)]
    body = draw(st.binary(max_size=40)) if command in BODY_COMMANDS else b""
    return Frame(command, pairs, body)


def read(decoder: FrameDecoder, chunks: list[bytes]) -> tuple[list[Frame], bool]:
    """The frames that came, and whether the stream ended in a fault."""
    result = []
    for chunk in chunks:
        decoder.receive_data(chunk)
        try:
            while (frame := decoder.next_frame()) is not None:
                result.append(frame)
        except RemoteProtocolError:
            return result, True
        assert len(decoder) <= decoder.max_frame_size
    return result, False


def decoder_for(version: Version | None, limits: Limits) -> FrameDecoder:
    decoder = FrameDecoder(limits)
    decoder.version = version
    return decoder


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


@pytest.mark.parametrize("version", Version)
@given(data=st.data())
def test_round_trip(version: Version, data: st.DataObject) -> None:
    sent = data.draw(st.lists(frames(version), max_size=4))
    cuts = data.draw(st.lists(st.integers(0, 10_000), max_size=8))
    wire = b"".join(encode_frame(each, version) for each in sent)
    received, failed = read(decoder_for(version, Limits()), pieces(wire, cuts))
    assert not failed
    assert len(received) == len(sent)
    for got, want in zip(received, sent, strict=True):
        added = [("content-length", str(len(want.body)))] if want.body else []
        assert got == Frame(want.command, [*want.headers.pairs(), *added], want.body)
    assert b"".join(encode_frame(each, version) for each in received) == wire


@pytest.mark.parametrize("version", Version)
@given(text=TEXT)
@example("a\\nb")
@example("\\\r\n:")
def test_escape_round_trip(version: Version, text: str) -> None:
    assume(can_express("x", text, version))
    escaped = escape(text, version)
    assert "\n" not in escaped
    if version is not Version.V1_0:
        assert ":" not in escaped
    if version is Version.V1_2:
        assert "\r" not in escaped
    assert unescape(escaped, version) == text


@given(
    version=VERSIONS,
    wire=WIRE | st.sampled_from([*(each.wire for each in CASES), *(each.wire for each in BAD)]),
    cuts=st.lists(st.integers(0, 10_000), max_size=12),
)
@example(version=None, wire=b"\r\n\r\nCONNECT\r\n\r\n\0", cuts=[1, 3, 12, 14])
@example(version=None, wire=b"CONNECT\n" + b"a" * 42 + b"\n", cuts=[45])
@example(version=Version.V1_2, wire=b"SEND\ndestination:a\n\r\n\n\0", cuts=[19, 20, 21])
def test_any_chunking_gives_the_same_frames(
    version: Version | None, wire: bytes, cuts: list[int]
) -> None:
    expected, faulty = read(decoder_for(version, SMALL), [wire])
    octets = [wire[at : at + 1] for at in range(len(wire))]
    for chunks in (pieces(wire, cuts), octets):
        received, failed = read(decoder_for(version, SMALL), chunks)
        assert received == expected
        assert failed >= faulty
        if failed > faulty:
            # Only a head that is not complete may be refused earlier, and it stays refused.
            assert read(decoder_for(version, SMALL), [wire + b"\n\n"]) == (expected, True)


@given(version=VERSIONS, chunks=st.lists(WIRE | st.binary(max_size=200), max_size=6))
def test_arbitrary_bytes_only_ever_raise_the_documented_error(
    version: Version | None, chunks: list[bytes]
) -> None:
    # `read` lets any other exception pass, and checks that no more is held than a frame may have.
    received, _ = read(decoder_for(version, SMALL), chunks)
    for frame in received:
        assert len(frame.body) <= SMALL.frame_size
        assert len(frame.headers.pairs()) <= SMALL.headers


@given(version=st.sampled_from(Version), wire=WIRE)
def test_what_was_read_can_be_written_and_read_again(version: Version, wire: bytes) -> None:
    received, _ = read(decoder_for(version, Limits()), [wire])
    for frame in received:
        again, failed = read(decoder_for(version, Limits()), [encode_frame(frame, version)])
        assert not failed
        assert [each.body for each in again] == [frame.body]
        assert again[0].command is frame.command


@pytest.mark.parametrize("version", Version)
@given(
    destination=TEXT,
    pairs=st.lists(st.tuples(TEXT, TEXT), max_size=4),
    body=st.binary(max_size=40),
)
def test_no_publisher_can_harm_a_subscriber(
    version: Version, destination: str, pairs: list[tuple[str, str]], body: bytes
) -> None:
    assume(can_express("destination", destination, version))
    assume(not {"content-length", "destination"} & {name for name, _ in pairs})
    message = Message(destination, "m-1", Headers(pairs), body)
    received, failed = read(decoder_for(version, Limits()), [message.encode(version, "s-1", "a-1")])
    assert not failed
    assert [each.body for each in received] == [body]
    assert received[0].headers["subscription"] == "s-1"
