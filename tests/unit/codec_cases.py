"""Frames and what is none, for the tests of the codec."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from stompcore._codec import FrameDecoder
from stompcore._config import Limits
from stompcore._errors import ErrorCode
from stompcore._frames import Command, Frame
from stompcore._headers import Version

V10, V11, V12 = Version
LIMITS = Limits()


def decoder_for(version: Version | None, limits: Limits = LIMITS, **sizes: int) -> FrameDecoder:
    decoder = FrameDecoder(limits, max_frame_size=sizes.get("max_frame_size"))
    decoder.version = version
    return decoder


def read(decoder: FrameDecoder, chunks: Iterable[bytes]) -> list[Frame]:
    frames = []
    for chunk in chunks:
        decoder.receive_data(chunk)
        while (frame := decoder.next_frame()) is not None:
            frames.append(frame)
    return frames


def octets(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


class Case(NamedTuple):
    id: str
    version: Version | None
    wire: bytes
    frame: Frame
    canonical: bool = True  # written back, it is the same bytes


CASES = [
    Case(
        "send",
        V12,
        b"SEND\ndestination:/topic/a\ncontent-length:5\n\nhello\0",
        Frame(Command.SEND, {"destination": "/topic/a", "content-length": "5"}, b"hello"),
    ),
    Case(
        "no body, no headers",
        V12,
        b"DISCONNECT\n\n\0",
        Frame(Command.DISCONNECT),
    ),
    Case(
        "body to the NUL",
        V12,
        b"SEND\ndestination:a\n\nhello\n\nworld\0",
        Frame(Command.SEND, {"destination": "a"}, b"hello\n\nworld"),
        canonical=False,
    ),
    Case(
        "NULs in the body",
        V12,
        b"MESSAGE\ndestination:a\nmessage-id:1\nsubscription:0\ncontent-length:3\n\n\0\0\0\0",
        Frame(
            Command.MESSAGE,
            {"destination": "a", "message-id": "1", "subscription": "0", "content-length": "3"},
            b"\0\0\0",
        ),
    ),
    Case(
        "body looks like a frame",
        V12,
        b"SEND\ndestination:a\ncontent-length:21\n\nSEND\ndestination:b\n\n\0\0",
        Frame(
            Command.SEND,
            {"destination": "a", "content-length": "21"},
            b"SEND\ndestination:b\n\n\0",
        ),
    ),
    Case(
        "CR LF",
        V12,
        b"SEND\r\ndestination:a\r\n\r\nx\r\n\0",
        Frame(Command.SEND, {"destination": "a"}, b"x\r\n"),
        canonical=False,
    ),
    Case(
        "CR LF and LF mixed",
        V12,
        b"SEND\ndestination:a\r\nb:c\n\r\n\n\n\0",
        Frame(Command.SEND, {"destination": "a", "b": "c"}, b"\n\n"),
        canonical=False,
    ),
    Case(
        "LF LF behind a CR LF blank line is body",
        V12,
        b"SEND\ndestination:a\r\n\r\n\n\nx\0",
        Frame(Command.SEND, {"destination": "a"}, b"\n\nx"),
        canonical=False,
    ),
    Case(
        "blank line by LF before one by CR LF",
        V12,
        b"SEND\ndestination:a\n\n\r\n\r\n\0",
        Frame(Command.SEND, {"destination": "a"}, b"\r\n\r\n"),
        canonical=False,
    ),
    Case(
        "CONNECT before a version is known",
        None,
        b"CONNECT\naccept-version:1.2\npasscode:a\\b:c\n\n\0",
        Frame(Command.CONNECT, {"accept-version": "1.2", "passcode": "a\\b:c"}),
    ),
    Case(
        "CONNECT with CR LF",
        None,
        b"CONNECT\r\nlogin:ann\r\n\r\n\0",
        Frame(Command.CONNECT, {"login": "ann"}),
        canonical=False,
    ),
    Case(
        "escapes 1.2",
        V12,
        b"BEGIN\ntransaction:\\c\\n\\r\\\\\n\\cx:\n\n\0",
        Frame(Command.BEGIN, {"transaction": ":\n\r\\", ":x": ""}),
    ),
    Case(
        "escapes 1.1",
        V11,
        b"BEGIN\ntransaction:\\c\\n\\\\\r\n\n\0",
        Frame(Command.BEGIN, {"transaction": ":\n\\\r"}),
    ),
    Case(
        "no escapes 1.0",
        V10,
        b"BEGIN\ntransaction:a\\c:\\t\\\n\n\0",
        Frame(Command.BEGIN, {"transaction": "a\\c:\\t\\"}),
    ),
    Case(
        "UTF-8",
        V12,
        "RECEIPT\nreceipt-id:käse 🧀\nключ:值\n\n\0".encode(),
        Frame(Command.RECEIPT, {"receipt-id": "käse 🧀", "ключ": "值"}),
    ),
    Case(
        "repeated headers",
        V12,
        b"ACK\nid:1\nx:1\nid:2\nx:2\n\n\0",
        Frame(Command.ACK, [("id", "1"), ("x", "1"), ("id", "2"), ("x", "2")]),
    ),
    Case(
        "the same length twice, padded",
        V12,
        b"SEND\ndestination:a\ncontent-length: 2 \ncontent-length: 2 \n\na\0\0",
        Frame(
            Command.SEND,
            [("destination", "a"), ("content-length", " 2 "), ("content-length", " 2 ")],
            b"a\0",
        ),
        canonical=False,
    ),
    Case(
        "empty body of a stated length",
        V12,
        b"RECEIPT\nreceipt-id:1\ncontent-length:0\n\n\0",
        Frame(Command.RECEIPT, {"receipt-id": "1", "content-length": "0"}),
        canonical=False,
    ),
]


class Bad(NamedTuple):
    id: str
    version: Version | None
    wire: bytes
    detail: str
    receipt_id: str | None = None
    code: ErrorCode = ErrorCode.MALFORMED_FRAME


SEND = b"SEND\nreceipt:r\ndestination:a\n"
BAD = [
    Bad("A4 undefined escape", V12, b"ACK\nid:\\t\n\n\0", "escape that STOMP 1.2"),
    Bad("A4 backslash at the end", V12, b"ACK\nid:a\\\n\n\0", "escape that STOMP 1.2"),
    Bad("A4 undefined escape in a name", V12, b"ACK\nid:1\n\\x:1\n\n\0", "escape"),
    Bad("A2 CR escape in 1.1", V11, b"BEGIN\ntransaction:\\r\n\n\0", "escape that STOMP 1.1"),
    Bad("A8 two lengths", V12, SEND + b"content-length:1\ncontent-length:2\n\nab\0", "twice", "r"),
    Bad("A8 two destinations", V12, SEND + b"destination:b\n\nx\0", "destination is given", "r"),
    Bad("A9 no NUL after the body", V12, SEND + b"content-length:1\n\nab\0", "not NUL", "r"),
    Bad("A9 negative", V12, SEND + b"content-length:-1\n\na\0", "not a number", "r"),
    Bad("A9 plus", V12, SEND + b"content-length:+1\n\na\0", "not a number", "r"),
    Bad("A9 text", V12, SEND + b"content-length:x\n\na\0", "not a number", "r"),
    Bad("A9 empty", V12, SEND + b"content-length:\n\na\0", "not a number", "r"),
    Bad("A9 underscore", V12, SEND + b"content-length:1_0\n\na\0", "not a number", "r"),
    Bad("A9 other digits", V12, SEND + "content-length:٣\n\nabc\0".encode(), "not a number", "r"),
    Bad("A9 superscript", V12, SEND + "content-length:²\n\nab\0".encode(), "not a number", "r"),
    Bad(
        "A9 too many digits",
        V12,
        SEND + b"content-length:" + b"0" * 19 + b"\n\n\0",
        "not a nu",
        "r",
    ),
    Bad("A10 CR in a line", V12, b"SEND\ndestination:a\rb\n\nx\0", "carriage return"),
    Bad("A10 CR in CONNECT", None, b"CONNECT\nlogin:a\rb\n\n\0", "carriage return"),
    Bad("A10 two CRs", V12, b"SEND\ndestination:a\r\r\n\nx\0", "carriage return"),
    Bad("A10 CR between frames", V12, b"\n\rSEND\ndestination:a\n\nx\0", "between frames"),
    Bad("A15 body of SUBSCRIBE", V12, b"ABORT\nreceipt:r\ntransaction:1\n\nx\0", "a body", "r"),
    Bad("A15 body of CONNECT", None, b"CONNECT\n\nx\0", "a CONNECT frame cannot have a body"),
    Bad("A16 unknown", V12, b"HELO\nreceipt:r\n\n\0", "unknown", "r", ErrorCode.PROTOCOL_VIOLATION),
    Bad("A16 case matters", V12, b"send\n\n\0", "unknown", None, ErrorCode.PROTOCOL_VIOLATION),
    Bad(
        "A16 HTTP",
        None,
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
        None,
        ErrorCode.PROTOCOL_VIOLATION,
    ),
    Bad("A16 TLS", None, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 20, ""),
    Bad("1.1 has no CR LF", V11, b"SEND\r\na:b\n\n\0", "", None, ErrorCode.PROTOCOL_VIOLATION),
    Bad("no colon", V12, b"SEND\ndestination\n\n\0", "no name or no colon"),
    Bad("no name", V12, b"SEND\n:a\n\n\0", "no name or no colon"),
    Bad("NUL in the head", V12, b"SEND\ndestination:a\0\n\n\0", "before its blank line"),
    Bad("NUL for a blank line", V12, b"SEND\ndestination:a\0", "before its blank line"),
    Bad("not UTF-8", V12, b"SEND\ndestination:\xff\n\n\0", "not UTF-8"),
    Bad("surrogate", V12, b"SEND\ndestination:\xed\xa0\x80\n\n\0", "not UTF-8"),
    Bad("no destination", V12, b"SEND\nreceipt:r\n\nx\0", "needs the header destination", "r"),
    Bad("no id", V12, b"SUBSCRIBE\ndestination:a\n\n\0", "needs the header id"),
    Bad("no id in 1.1", V11, b"SUBSCRIBE\ndestination:a\n\n\0", "needs the header id"),
    Bad("no message-id", V10, b"ACK\nid:a\n\n\0", "needs the header message-id"),
]
