"""Every bad way to begin, and to go on: what the peer is told, and that nobody else notices."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from tests.unit.peer import NO_BEATS, NOW, frame, frames_of

from stompcore import Close, Ended, ErrorCode, Frame, Hub, ServerConfig, ServerSession, Version
from stompcore.pyjwt import JWTVerifier

KEY = "a secret of more than forty-eight bytes, whichever one"
OTHER_KEY = "another secret of more than forty-eight bytes, as long"
CLAIMS: dict[str, Any] = {"sub": "mallory", "exp": NOW + 60, "iss": "us", "aud": "here"}
ROUNDS = 5


def token(key: str = KEY, algorithm: str = "HS256", /, **claims: Any) -> str:
    present = {name: value for name, value in (CLAIMS | claims).items() if value is not ...}
    return jwt.encode(present, key, algorithm)


def part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(alg: str) -> str:
    return f"{part({'alg': alg})}.{part(CLAIMS)}."


def login(passcode: str | None = None, **headers: str) -> bytes:
    """CONNECT with this token; without one, with none."""
    given = {} if passcode is None else {"passcode": passcode}
    return frame("CONNECT", **{"accept-version": "1.2", "host": "h", **given, **headers})


GOOD = login(token())
SUBSCRIBE = frame("SUBSCRIBE", id="s", destination="/topic/b")

INVALID, MALFORMED = ErrorCode.TOKEN_INVALID, ErrorCode.MALFORMED_FRAME
VIOLATION, LIMIT = ErrorCode.PROTOCOL_VIOLATION, ErrorCode.LIMIT_EXCEEDED

# what it sends, error-code, close code
BAD: dict[str, tuple[bytes, ErrorCode, int]] = {
    # tokens
    "no token": (login(), ErrorCode.TOKEN_MISSING, 3000),
    "empty passcode": (login(""), ErrorCode.TOKEN_MISSING, 3000),
    "another scheme": (login(Authorization="Basic YTpi"), ErrorCode.TOKEN_MISSING, 3000),
    "garbage token": (login("garbage"), INVALID, 3000),
    "two dots": (login(".."), INVALID, 3000),
    "not ASCII": (login("é.é.é"), INVALID, 3000),
    "alg none": (login(unsigned("none")), INVALID, 3000),
    "alg None": (login(unsigned("None")), INVALID, 3000),
    "signature cut off": (login(token().rpartition(".")[0] + "."), INVALID, 3000),
    "wrong key": (login(token(OTHER_KEY)), INVALID, 3000),
    "wrong algorithm": (login(token(KEY, "HS384")), INVALID, 3000),
    "no exp": (login(token(exp=...)), INVALID, 3000),
    "text exp": (login(token(exp="tomorrow")), INVALID, 3000),
    "digits as exp": (login(token(exp=str(int(NOW + 60)))), INVALID, 3000),
    "exp true": (login(token(exp=True)), INVALID, 3000),
    "exp null": (login(token(exp=None)), INVALID, 3000),
    "exp not a number": (login(token(exp=float("nan"))), INVALID, 3000),
    "expired": (login(token(exp=NOW - 1)), ErrorCode.TOKEN_EXPIRED, 3000),
    "expires now": (login(token(exp=NOW)), ErrorCode.TOKEN_EXPIRED, 3000),
    "no subject": (login(token(sub=...)), INVALID, 3000),
    "wrong issuer": (login(token(iss="them")), INVALID, 3000),
    "no issuer": (login(token(iss=...)), INVALID, 3000),
    "wrong audience": (login(token(aud="there")), INVALID, 3000),
    "no audience": (login(token(aud=...)), INVALID, 3000),
    "not valid yet": (login(token(nbf=NOW + 30)), INVALID, 3000),
    "text nbf": (login(token(nbf="soon")), INVALID, 3000),
    # before CONNECT
    "nothing at all": (b"", ErrorCode.LOGIN_TIMEOUT, 3008),
    "line ends for ever": (b"\n" * 10_000, ErrorCode.LOGIN_TIMEOUT, 3008),
    "half a command": (b"CONN", ErrorCode.LOGIN_TIMEOUT, 3008),
    "half a CONNECT": (GOOD[:-1], ErrorCode.LOGIN_TIMEOUT, 3008),
    "send first": (frame("SEND", destination="/topic/a"), VIOLATION, 1002),
    "disconnect first": (frame("DISCONNECT"), VIOLATION, 1002),
    "a server's frame first": (frame("CONNECTED", version="1.2"), VIOLATION, 1002),
    "unknown command first": (frame("HELLO"), VIOLATION, 1002),
    "lower case": (GOOD.lower(), VIOLATION, 1002),
    "receipt on connect": (login(token(), receipt="r"), VIOLATION, 1002),
    "http": (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", VIOLATION, 1002),
    "binary": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 99, MALFORMED, 1002),
    "not UTF-8": (b"CONNECT\na:\xff\n\n\0", MALFORMED, 1002),
    "zero in the head": (b"CONNECT\na:b\0\n\n", MALFORMED, 1002),
    "a long command": (b"C" * 100, MALFORMED, 1002),
    "no colon": (b"CONNECT\npasscode\n\n\0", MALFORMED, 1002),
    "no name": (b"CONNECT\n:x\n\n\0", MALFORMED, 1002),
    "a body": (b"CONNECT\naccept-version:1.2\n\nbody\0", MALFORMED, 1002),
    "heart-beat in words": (login(token(), **{"heart-beat": "often"}), MALFORMED, 1002),
    "unknown version": (
        frame("CONNECT", passcode=token(), **{"accept-version": "1.3,2.0"}),
        ErrorCode.UNSUPPORTED_VERSION,
        1002,
    ),
    "too many headers": (b"CONNECT\n" + b"a:b\n" * 101 + b"\n\0", LIMIT, 1009),
    "a long header": (b"CONNECT\na:" + b"b" * 16384, LIMIT, 1009),
    "too large before login": (b"CONNECT\n" + (b"a:" + b"b" * 9999 + b"\n") * 7, LIMIT, 1009),
    "a large body announced": (b"CONNECT\ncontent-length:65536\n\n", LIMIT, 1009),
    # after CONNECT
    "second connect": (GOOD + GOOD, VIOLATION, 1002),
    "second, as STOMP": (GOOD + GOOD.replace(b"CONNECT", b"STOMP"), VIOLATION, 1002),
    "unknown command": (GOOD + frame("HELLO"), VIOLATION, 1002),
    "a server's frame": (GOOD + frame("RECEIPT", **{"receipt-id": "1"}), VIOLATION, 1002),
    "garbage": (GOOD + b"\x00\xff\xfe\xfd\n\n\0", MALFORMED, 1002),
    "octet after the body": (
        GOOD + b"SEND\ndestination:/topic/a\ncontent-length:3\n\nabcd\0",
        MALFORMED,
        1002,
    ),
    "content-length in words": (
        GOOD + b"SEND\ndestination:/topic/a\ncontent-length:x\n\nabc\0",
        MALFORMED,
        1002,
    ),
    "content-length below 0": (
        GOOD + b"SEND\ndestination:/topic/a\ncontent-length:-1\n\nabc\0",
        MALFORMED,
        1002,
    ),
    "two content-lengths": (
        GOOD + b"SEND\ndestination:/topic/a\ncontent-length:3\ncontent-length:4\n\nabc\0",
        MALFORMED,
        1002,
    ),
    "too large a body announced": (
        GOOD + b"SEND\ndestination:/topic/a\ncontent-length:1048576\n\n",
        LIMIT,
        1009,
    ),
    "too large a body": (
        GOOD + b"SEND\ndestination:/topic/a\n\n" + b"x" * 1048576,
        LIMIT,
        1009,
    ),
    "bad escape": (GOOD + b"SEND\ndestination:/topic/a\\t\n\n\0", MALFORMED, 1002),
    "no destination": (GOOD + frame("SEND"), MALFORMED, 1002),
    "no id": (GOOD + frame("SUBSCRIBE", destination="/topic/b"), MALFORMED, 1002),
    "one id twice": (GOOD + SUBSCRIBE * 2, VIOLATION, 1002),
    "no such subscription": (GOOD + frame("UNSUBSCRIBE", id="s"), VIOLATION, 1002),
    "no such ack mode": (GOOD + SUBSCRIBE.replace(b"id:", b"ack:all\nid:"), VIOLATION, 1002),
    "no such transaction": (GOOD + frame("COMMIT", transaction="t"), VIOLATION, 1002),
    "no such destination": (GOOD + frame("SEND", destination="/cue/a"), VIOLATION, 1002),
    "deaf to the same": (
        GOOD + frame("SUBSCRIBE", id="s", destination="/cue/a"),
        VIOLATION,
        1002,
    ),
    "half a frame, then silence": (GOOD + b"SEND\ndest", ErrorCode.TOKEN_EXPIRED, 3000),
}


class Neighbourhood:
    """A hub with ann, who talks to herself, and perhaps somebody else."""

    def __init__(self) -> None:
        verifier = JWTVerifier(KEY, algorithms=["HS256"], issuer="us", audience="here")
        self.hub = Hub(ServerConfig(heart_beat=NO_BEATS), verifier=verifier)
        self.output: dict[str, bytes] = {}
        self.ended: dict[str, Ended] = {}
        self.sessions: dict[str, ServerSession] = {}
        self.enter("ann")
        self.feed("ann", login(token(sub="ann", exp=NOW + 3600)))
        self.feed("ann", frame("SUBSCRIBE", id="s", destination="/topic/a"))

    def enter(self, name: str) -> None:
        self.sessions[name] = self.hub.open(name, now=NOW)
        self.output[name] = b""

    def feed(self, name: str, data: bytes, at: float = 0) -> None:
        self.sessions[name].receive_data(data, now=NOW + at)
        self.settle(name, at)

    def tick(self, name: str, at: float) -> None:
        self.sessions[name].handle_timeout(now=NOW + at)
        self.settle(name, at)

    def settle(self, name: str, at: float) -> None:
        for each in self.hub.process(name, now=NOW + at):
            self.output[each] += b"".join(self.sessions[each].data_to_send())
        while (notice := self.hub.next_notice()) is not None:
            if isinstance(notice.event, Ended):
                assert notice.session_id not in self.ended
                self.ended[notice.session_id] = notice.event

    def talk(self, turn: int) -> None:
        """What ann says to herself in this turn."""
        said = frame("SEND", b"%d" % turn, destination="/topic/a", receipt=f"r-{turn}")
        self.feed("ann", said[: turn + 1], at=turn)
        self.feed("ann", said[turn + 1 :], at=turn)


def undisturbed() -> bytes:
    place = Neighbourhood()
    for turn in range(ROUNDS):
        place.talk(turn)
    return place.output["ann"]


@pytest.mark.parametrize("chunk", [0, 1], ids=["whole", "byte by byte"])
@pytest.mark.parametrize(("data", "error_code", "close_code"), BAD.values(), ids=BAD)
def test_what_it_is_told_and_that_its_neighbour_does_not_notice(
    data: bytes, error_code: ErrorCode, close_code: int, chunk: int
) -> None:
    if chunk and len(data) > 100_000:
        chunk = 4099  # a megabyte byte by byte takes too long
    place = Neighbourhood()
    place.enter("mallory")
    pieces = [data] if not chunk else [data[at : at + chunk] for at in range(0, len(data), chunk)]
    for turn in range(ROUNDS):
        share = len(pieces) // (ROUNDS - 1) + 1
        for piece in pieces[turn * share : (turn + 1) * share]:
            place.feed("mallory", piece, at=turn)
        place.talk(turn)
    assert ("mallory" in place.ended) is (
        error_code not in (ErrorCode.LOGIN_TIMEOUT, ErrorCode.TOKEN_EXPIRED)
        or place.sessions["mallory"].closing
    )
    place.tick("mallory", 10)
    place.tick("mallory", 60)

    assert place.output["ann"] == undisturbed()
    assert "ann" not in place.ended
    assert place.ended["mallory"].error_code is error_code
    assert place.sessions["mallory"].close == Close(close_code, error_code.message)
    error = last_frame(place.output["mallory"])
    assert error.command == "ERROR"
    assert error.headers["error-code"] == error_code
    assert error.headers["message"] == error_code.message
    assert place.output["mallory"].count(b"ERROR\n") == 1
    assert b"eyJ" not in place.output["mallory"]
    # Nothing that it does now counts.
    said = place.output["mallory"]
    place.feed("mallory", GOOD + frame("SEND", destination="/topic/a"), at=60)
    assert (place.output["mallory"], place.output["ann"]) == (said, undisturbed())


def last_frame(output: bytes) -> Frame:
    return frames_of(output, Version.V1_0)[-1]


@pytest.mark.parametrize("name", ["half a command", "half a CONNECT", "half a frame, then silence"])
def test_half_a_frame_and_gone(name: str) -> None:
    place = Neighbourhood()
    place.enter("mallory")
    place.feed("mallory", BAD[name][0])
    place.sessions["mallory"].receive_eof(now=NOW + 1)
    place.settle("mallory", 1)
    assert place.ended["mallory"] == Ended(error_code=None, detail="the peer left", clean=False)
    assert b"ERROR" not in place.output["mallory"]
    assert len(place.hub) == 1


@pytest.mark.parametrize("name", BAD)
def test_many_of_them_at_once_leave_nothing_behind(name: str) -> None:
    place = Neighbourhood()
    data = BAD[name][0]
    for number in range(3):
        place.enter(f"mallory-{number}")
        place.feed(f"mallory-{number}", data)
    for number in range(3):
        place.tick(f"mallory-{number}", 60)
    assert len(place.hub) == 1
    assert len(place.hub.broker) == 1
    assert len(place.ended) == 3
