"""STOMP 1.2: the standard headers, repeated ones, and how much of everything there may be."""

from __future__ import annotations

from tests.spec.clauses import Document
from tests.spec.peer import World, connect, decoded, duet, frame, joined, receipt, send, subscribe

clause = Document("STOMP 1.2")
V = "1.2"


# --- Header content-type ----------------------------------------------------------------------


@clause(
    "Header content-type",
    "If a frame body is present, the `SEND`, `MESSAGE` and `ERROR` frames SHOULD include a"
    " `content-type` header to help the receiver of the frame interpret its body.",
    looser="a MESSAGE has the `content-type` of its SEND, or none; an ERROR has its own",
)
def test_our_bodies_have_a_type() -> None:
    ann, bob = duet(V)
    ann.say(send(b"{}", "content-type:application/json"))
    assert bob.get().get("content-type") == "application/json"
    assert ann.error(send(to="nowhere")).get("content-type") == "text/plain"


@clause(
    "Header content-type",
    "If the `content-type` header is set, its value MUST be a MIME type which describes the format"
    " of the body.",
    looser="`content-type` is passed on unread; our own is `text/plain`",
)
def test_a_content_type_is_passed_on_unread() -> None:
    ann, bob = duet(V)
    ann.say(send(b"x", "content-type:nonsense"))
    assert bob.get().get("content-type") == "nonsense"


@clause(
    "Header content-type",
    "Otherwise, the receiver SHOULD consider the body to be a binary blob.",
)
def test_a_body_without_a_type_is_a_blob() -> None:
    ann, bob = duet(V)
    ann.say(send(b"\xff\xfe"))
    message = bob.get()
    assert (message.body, message.get("content-type")) == (b"\xff\xfe", None)


@clause(
    "Header content-type",
    "The implied text encoding for MIME types starting with `text/` is UTF-8.",
)
def test_what_we_call_text_is_utf_8() -> None:
    error = joined(V).error(send(to="/nowhere/é"))
    assert error.get("content-type") == "text/plain"
    assert error.body.decode()


@clause(
    "Header content-type",
    "The `;charset=<encoding>` SHOULD also get appended to any non `text/` MIME types which can be"
    " interpreted as text.",
    kept="parameters are passed on as they came",
)
def test_a_charset_is_passed_on() -> None:
    ann, bob = duet(V)
    ann.say(send("<é/>".encode(), "content-type:application/xml;charset=utf-8"))
    assert bob.get().get("content-type") == "application/xml;charset=utf-8"


@clause(
    "Header content-type",
    "All STOMP clients and servers MUST support UTF-8 encoding and decoding.",
)
def test_utf_8_comes_out_as_it_went_in() -> None:
    text = "grüße €𝄞"
    assert decoded(V, f"k:{text}")["k"] == text
    ann, bob = duet(V)
    ann.say(send(text.encode(), f"k:{text}"))
    message = bob.get()
    assert (message.get("k"), message.body.decode()) == (text, text)


# --- Header receipt ---------------------------------------------------------------------------


@clause(
    "Header receipt",
    "Any client frame other than `CONNECT` MAY specify a `receipt` header with an arbitrary value.",
    stricter="a CONNECT or STOMP with a `receipt` is refused",
)
def test_every_frame_but_connect_may_ask_for_a_receipt() -> None:
    ann = joined(V)
    ann.say(subscribe("1", "ack:client-individual", to="/queue/a"))
    ann.say(send(b"x", to="/queue/a"), send(b"y", to="/queue/a"))
    first, second = [each.get("ack") for each in ann.hear()]
    for number, each in enumerate(
        (
            ("SUBSCRIBE", "id:2", "destination:/topic/a"),
            ("UNSUBSCRIBE", "id:2"),
            ("SEND", "destination:/topic/a"),
            ("ACK", f"id:{first}"),
            ("NACK", f"id:{second}"),
            ("UNSUBSCRIBE", "id:1"),
            ("BEGIN", "transaction:t"),
            ("SEND", "destination:/topic/a", "transaction:t"),
            ("COMMIT", "transaction:t"),
            ("BEGIN", "transaction:t"),
            ("ABORT", "transaction:t"),
            ("DISCONNECT",),
        )
    ):
        value = f"{each[0]}, if you please #{number}"
        assert receipt(value) in ann.ask(frame(*each, f"receipt:{value}"))
    assert ann.is_over()
    for command in ("CONNECT", "STOMP"):
        error = World().open().error(frame(command, "accept-version:1.2", "receipt:r"))
        assert error.get("error-code") == "protocol-violation"


@clause(
    "Header receipt",
    "This will cause the server to acknowledge the processing of the client frame with a `RECEIPT`"
    " frame (see the RECEIPT frame for more details).",
)
def test_a_receipt_follows_the_work() -> None:
    ann = joined(V)
    ann.say(subscribe(), send(b"x", "receipt:r"))
    message, confirmed = ann.hear()
    assert message.body == b"x"
    assert confirmed.lines == ("receipt-id:r",)


# --- Repeated Header Entries ------------------------------------------------------------------


@clause(
    "Repeated Header Entries",
    "A STOMP server MAY 'update' header values by either prepending headers to the message or"
    " modifying a header in-place in the message.",
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
    "If a client or a server receives repeated frame header entries, only the first header entry"
    " SHOULD be used as the value of header entry.",
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
    "Subsequent values are only used to maintain a history of state changes of the header and MAY"
    " be ignored.",
    kept="they are passed on, in order",
)
def test_a_history_is_passed_on() -> None:
    ann, bob = duet(V)
    ann.say(send(b"x", "foo:World", "foo:Hello"))
    assert bob.get().all("foo") == ["World", "Hello"]


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
    "If these limits are exceeded the server SHOULD send the client an `ERROR` frame and then close"
    " the connection.",
    kept="close 1009 on a WebSocket; nobody else is touched",
)
def test_past_a_limit_the_sender_alone_is_cut() -> None:
    ann, bob = duet(V, frame_size=1000)
    assert ann.error(send(b"x" * 1000)).get("message") == "Limit Exceeded"
    close = ann.close()
    assert close is not None
    assert (close.code, close.reason) == (1009, "Limit Exceeded")
    assert bob.ask(send(b"y", "receipt:r")).endswith(receipt("r"))


# --- Connection Lingering ---------------------------------------------------------------------


@clause(
    "Connection Lingering",
    "STOMP servers must be able to support clients which rapidly connect and disconnect.",
)
def test_a_thousand_short_connections_leave_nothing_behind() -> None:
    world = World()
    for number in range(1000):
        peer = world.open()
        peer.say(connect(V), subscribe())
        if number % 2:
            peer.say(frame("DISCONNECT"))
        peer.leave()
        assert peer.is_closed()
        del world.peers[peer.session.session_id]
    assert len(world.hub) == len(world.hub.broker) == 0


@clause(
    "Connection Lingering",
    "This implies a server will likely only allow closed connections to linger for short time"
    " before the connection is reset.",
    kept="`Limits.close_timeout`, 5 seconds, in which what still comes is read and thrown away",
)
def test_a_closed_connection_lingers_for_a_short_time() -> None:
    ann = joined(V, close_timeout=5)
    ann.error(send(to="nowhere"))
    ann.world.wait(4.9)
    assert not ann.is_closed()
    assert ann.ask(send()) == b""
    ann.world.wait(0.1)
    assert ann.is_closed()


@clause(
    "Connection Lingering",
    "As a consequence, a client may not receive the last frame sent by the server (for instance an"
    " `ERROR` frame or the `RECEIPT` frame in reply to a `DISCONNECT` frame) before the socket is"
    " reset.",
    kept="our side is half-closed first, and on a WebSocket the close reason repeats the ERROR's"
    " `message`",
)
def test_the_last_frame_is_out_before_the_connection_is() -> None:
    ann, bob = joined(V), joined(V)
    ann.is_reading = False
    ann.say(frame("DISCONNECT", "receipt:r"))
    assert not ann.has_sent_all()
    ann.is_reading = True
    assert ann.raw() == receipt("r")
    assert ann.has_sent_all()
    assert not ann.is_closed()
    error, close = bob.error(send(to="nowhere")), bob.close()
    assert close is not None
    assert close.reason == error.get("message")
