"""STOMP over a WebSocket: what RFC 6455 asks of it, and what STOMP makes of its messages."""

from __future__ import annotations

from typing import Any

import pytest
from tests.spec.clauses import Document
from tests.spec.peer import (
    WebSocketPeer,
    World,
    connect,
    frame,
    receipt,
    send,
    split,
    subscribe,
)
from tests.websocket.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload
from tests.websocket.wire import frame as ws_frame

from stompcore import Close

clause = Document("RFC 6455")
V = "1.2"


def opened(**settings: Any) -> WebSocketPeer:
    """A peer whose CONNECTED has come, in a message of its own, and was read."""
    peer = World(**settings).open_websocket()
    peer.message(connect(V))
    ((kind, payload),) = peer.messages()
    assert kind == TEXT
    assert payload.startswith(b"CONNECTED\n")
    return peer


# --- 4.2.2. Sending the Server's Opening Handshake --------------------------------------------


@clause(
    "4.2.2. Sending the Server's Opening Handshake",
    "The value chosen MUST be derived from the client's handshake, specifically by selecting one of"
    " the values from the |Sec-WebSocket-Protocol| field that the server is willing to use for this"
    " connection (if any).",
    kept="`v12.stomp`, `v11.stomp` or `v10.stomp`, the best first; the version of the session is"
    " CONNECT's `accept-version` all the same",
)
@pytest.mark.parametrize(
    ("offer", "chosen"),
    [("v10.stomp, v12.stomp", "v12.stomp"), ("v11.stomp", "v11.stomp"), (None, None)],
)
def test_the_subprotocol_is_one_of_the_clients(offer: str | None, chosen: str | None) -> None:
    headers = {} if offer is None else {"Sec-WebSocket-Protocol": offer}
    peer = World().open_websocket(**headers)
    lines = [line.lower() for line in peer.handshake.decode().split("\r\n")]
    found = [line.partition(": ")[2] for line in lines if line.startswith("sec-websocket-protocol")]
    assert found == ([] if chosen is None else [chosen])
    peer.message(connect("1.0,1.1,1.2"))
    assert b"\nversion:1.2\n" in peer.messages()[0][1]


# --- 5.4. Fragmentation -----------------------------------------------------------------------


@clause(
    "5.4. Fragmentation",
    "A fragmented message consists of a single frame with the FIN bit clear and an opcode other"
    " than 0, followed by zero or more frames with the FIN bit clear and the opcode set to 0, and"
    " terminated by a single frame with the FIN bit set and an opcode of 0.",
    kept="a STOMP frame may stand in fragments, cut anywhere",
)
def test_a_fragmented_message_is_read() -> None:
    peer = opened()
    data = send("é".encode(), "receipt:r")
    for at in range(len(data)):
        last = at == len(data) - 1
        kind = CONTINUATION if at else TEXT
        peer.say(ws_frame(kind, data[at : at + 1], masked=True, fin=last))
    assert peer.messages() == [(TEXT, receipt("r"))]


@clause(
    "5.4. Fragmentation",
    "Control frames (see Section 5.5) MAY be injected in the middle of a fragmented message.",
)
def test_a_ping_within_a_message_is_answered() -> None:
    peer = opened()
    data = send(b"x", "receipt:r")
    peer.say(ws_frame(BINARY, data[:9], masked=True, fin=False))
    peer.say(ws_frame(PING, b"?", masked=True))
    assert peer.messages() == [(PONG, b"?")]
    peer.say(ws_frame(CONTINUATION, data[9:], masked=True))
    assert peer.messages() == [(TEXT, receipt("r"))]


# --- 5.5. Control Frames ----------------------------------------------------------------------


@clause(
    "5.5.1. Close",
    "The application MUST NOT send any more data frames after sending a Close frame.",
    kept="an ERROR is the last message, its reason stands in the Close behind it",
)
def test_an_error_is_the_last_message_before_the_close() -> None:
    peer = opened()
    peer.message(subscribe(), send(to="nowhere"), send(), frame("DISCONNECT", "receipt:r"))
    (kind, error), (last, payload) = peer.messages()
    assert (kind, last) == (TEXT, CLOSE)
    assert error.startswith(b"ERROR\nmessage:Protocol Violation\n")
    assert payload == close_payload(1002, "Protocol Violation")
    peer.message(send())
    assert peer.messages() == []


@clause(
    "5.5.1. Close",
    "If an endpoint receives a Close frame and did not previously send a Close frame, the endpoint"
    " MUST send a Close frame in response.",
    kept="it counts as a lost connection: transactions are aborted, subscriptions end",
)
def test_a_close_is_answered() -> None:
    peer = opened()
    peer.message(subscribe())
    peer.say(ws_frame(CLOSE, close_payload(1000, "bye"), masked=True))
    assert peer.closes() == [Close(1000)]
    assert peer.is_closed()
    assert len(peer.world.hub) == len(peer.world.hub.broker) == 0


@clause(
    "5.5.1. Close",
    "After both sending and receiving a Close message, an endpoint considers the WebSocket"
    " connection closed and MUST close the underlying TCP connection.",
    kept="a client that never answers is waited for up to `Limits.close_timeout`",
)
def test_disconnect_ends_with_close_1000_and_then_the_connection() -> None:
    answered, silent = opened(), opened(close_timeout=5)
    for peer in (answered, silent):
        peer.message(frame("DISCONNECT", "receipt:77"))
        (kind, last), (closing, payload) = peer.messages()
        assert (kind, last) == (TEXT, receipt("77"))
        assert (closing, payload) == (CLOSE, close_payload(1000))
        assert not peer.is_closed()
    answered.say(ws_frame(CLOSE, close_payload(1000), masked=True))
    assert answered.is_closed()
    silent.world.wait(5)
    assert silent.is_closed()


@clause(
    "5.5.2. Ping",
    "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response, unless it"
    " already received a Close frame.",
)
def test_a_ping_is_answered_with_what_it_said() -> None:
    peer = opened()
    peer.say(ws_frame(PING, b"are you there", masked=True))
    assert peer.messages() == [(PONG, b"are you there")]


# --- 5.6. Data Frames -------------------------------------------------------------------------


@clause(
    "5.6. Data Frames",
    'The "Payload data" is text data encoded as UTF-8.',
    kept="a frame of ours leaves as text if all of it is UTF-8",
)
def test_what_is_utf_8_leaves_as_text() -> None:
    peer = opened()
    peer.message(subscribe(), send("é€𝄞\0".encode(), "content-length:10", "receipt:r"))
    (kind, message), confirmed = peer.messages()
    assert kind == TEXT
    assert split(message)[0].body == "é€𝄞\0".encode()
    assert confirmed == (TEXT, receipt("r"))


@clause(
    "5.6. Data Frames",
    "Note that a particular text frame might include a partial UTF-8 sequence; however, the whole"
    " message MUST contain valid UTF-8.",
    kept="a frame of ours is never cut into several messages; one with any other body is binary",
)
def test_what_is_not_utf_8_leaves_as_binary() -> None:
    peer = opened()
    peer.message(subscribe())
    for body in (b"\xff", "é".encode()[:1], b"\xed\xa0\x80"):
        peer.message(send(body), opcode=BINARY)
        ((kind, message),) = peer.messages()
        assert kind == BINARY
        assert split(message)[0].body == body
    peer.message(send("é".encode() * 50_000))
    ((kind, message),) = peer.messages()
    assert kind == TEXT
    assert len(message) > 100_000


@clause(
    "5.6. Data Frames",
    'The "Payload data" is arbitrary binary data whose interpretation is solely up to the'
    " application layer.",
    kept="both kinds are one stream of octets: a message may hold many frames, half of one, or line"
    " feeds alone",
)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_holds_many_frames_or_half_of_one(opcode: int) -> None:
    peer = opened()
    many = [send(b"x", f"receipt:{number}") for number in range(3)]
    peer.message(b"\n" + many[0] + b"\n\n" + many[1] + many[2][:7], opcode=opcode)
    assert peer.messages() == [(TEXT, receipt("0")), (TEXT, receipt("1"))]
    peer.message(b"", many[2][7:-1], opcode=opcode)
    assert peer.messages() == []
    peer.message(many[2][-1:] + b"\n", b"\n", opcode=TEXT + BINARY - opcode)
    assert peer.messages() == [(TEXT, receipt("2"))]


# --- 8.1. Handling Errors in UTF-8-Encoded Data -----------------------------------------------


@clause(
    "8.1. Handling Errors in UTF-8-Encoded Data",
    "When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not,"
    " in fact, a valid UTF-8 stream, that endpoint MUST _Fail the WebSocket Connection_.",
    kept="with an ERROR before the Close",
)
def test_text_that_is_not_utf_8_fails_the_connection() -> None:
    peer = opened()
    peer.message(send(b"\xff"))
    (kind, error), (last, _) = peer.messages()
    assert (kind, last) == (TEXT, CLOSE)
    assert split(error)[0].get("error-code") == "malformed-frame"


# --- 10.4. Implementation-Specific Limits -----------------------------------------------------


@clause(
    "10.4. Implementation-Specific Limits",
    "Implementations that have implementation- and/or platform-specific limitations regarding the"
    " frame size or total message size after reassembly from multiple frames MUST protect"
    " themselves against exceeding those limits.",
    kept="the limit is that of a STOMP frame, over however many messages and fragments it comes",
)
def test_many_small_messages_do_not_pass_the_limit() -> None:
    peer = opened(frame_size=1000)
    peer.message(b"SEND\ndestination:/topic/a\n\n")
    for _ in range(100):
        peer.message(b"x" * 10)
    (_, error), (last, payload) = peer.messages()
    assert split(error)[0].get("error-code") == "limit-exceeded"
    assert (last, payload) == (CLOSE, close_payload(1009, "Limit Exceeded"))
