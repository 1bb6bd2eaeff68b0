"""STOMP 1.1: how much of everything there may be, and repeated headers."""

from __future__ import annotations

from tests.spec.clauses import Document
from tests.spec.peer import World, connect, duet, joined, receipt, send

clause = Document("STOMP 1.1")
V = "1.1"


# --- Size Limits ------------------------------------------------------------------------------


@clause(
    "Size Limits",
    "the number of frame headers allowed in a single frame",
    kept="`Limits.headers`, 100; repeated ones count",
)
def test_headers_are_limited_in_number() -> None:
    ann = joined(V, headers=3)
    assert ann.ask(send(b"x", "k:v", "k:v")) == b""
    assert ann.error(send(b"x", "k:v", "k:v", "k:v")).get("error-code") == "limit-exceeded"


@clause(
    "Size Limits",
    "the maximum length of header lines",
    kept="`Limits.header_line_size`, 16 KiB; refused before more of the line is kept",
)
def test_header_lines_are_limited_in_length() -> None:
    ann = joined(V, header_line_size=100)
    assert ann.ask(send(b"x", "k:" + "v" * 98)) == b""
    whole = ann.error(send(b"x", "k:" + "v" * 99))
    endless = joined(V, header_line_size=100).error(b"SEND\nk:" + b"v" * 101)
    assert whole.get("error-code") == endless.get("error-code") == "limit-exceeded"


@clause(
    "Size Limits",
    "the maximum size of a frame body",
    kept="`Limits.frame_size`, 1 MiB with its headers, and 64 KiB before CONNECT is accepted; one"
    " that is announced is refused at once",
)
def test_bodies_are_limited_in_size() -> None:
    ann = joined(V, frame_size=1000)
    assert ann.ask(send(b"x" * 900)) == b""
    announced = ann.error(b"SEND\ndestination:/topic/a\ncontent-length:1000\nreceipt:r\n\n")
    endless = joined(V, frame_size=1000).error(send(b"x" * 1000)[:-1])
    early = World(frame_size_before_login=100).open().error(connect(V, "k:" + "v" * 100))
    for error in (announced, endless, early):
        assert error.get("error-code") == "limit-exceeded"
    assert announced.get("receipt-id") == "r"


@clause(
    "Size Limits",
    "If these limits are exceeded the server SHOULD send the client an `ERROR` frame and disconnect"
    " the client.",
    kept="close 1009 on a WebSocket; nobody else is touched",
)
def test_past_a_limit_the_sender_alone_is_cut() -> None:
    ann, bob = duet(V, frame_size=1000)
    assert ann.error(send(b"x" * 1000)).get("message") == "Limit Exceeded"
    close = ann.close()
    assert close is not None
    assert (close.code, close.reason) == (1009, "Limit Exceeded")
    assert bob.ask(send(b"y", "receipt:r")).endswith(receipt("r"))


# --- Repeated Header Entries ------------------------------------------------------------------


@clause(
    "Repeated Header Entries",
    "The intermediate server MAY 'update' header values by either prepending headers to the message"
    " or modifying a header in-place in the message.",
    kept="ours stand in front; a publisher's own `subscription`, `message-id` or `ack` are dropped",
)
def test_the_servers_headers_stand_in_front() -> None:
    ann, bob = duet(V)
    ann.say(send(b"x", "message-id:mine", "subscription:9", "ack:mine", "k:v"))
    message = bob.get()
    assert message.all("subscription") == ["0"]
    assert message.all("ack") == []
    assert len(message.all("message-id")) == 1
    assert message.get("message-id") != "mine"
    at = message.lines.index("k:v")
    assert {line.split(":")[0] for line in message.lines[:at]} == {
        *("subscription", "destination", "message-id")
    }


@clause(
    "Repeated Header Entries",
    "If the client receives repeated frame header entries, only the first header entry SHOULD be"
    " used as the value of header entry.",
    stricter="`destination` or `content-length` given twice with different values is refused: two"
    " hops may disagree on which one counts",
)
def test_the_first_of_repeated_headers_counts() -> None:
    ann, bob = duet(V)
    assert ann.ask(send(b"x", "receipt:first", "receipt:second")) == receipt("first")
    assert ann.ask(send(b"y", "destination:/topic/a")) == b""
    assert bob.bodies() == [b"x", b"y"]
    assert ann.error(send(b"z", "destination:/topic/b")).get("error-code") == "malformed-frame"
    assert bob.bodies() == []


@clause(
    "Repeated Header Entries",
    "Subsequent values are only used to maintain a history of state changes of the header.",
    kept="they are passed on, in order",
)
def test_a_history_is_passed_on() -> None:
    ann, bob = duet(V)
    ann.say(send(b"x", "foo:World", "foo:Hello"))
    assert bob.get().all("foo") == ["World", "Hello"]
