"""STOMP 1.1: the standard headers."""

from __future__ import annotations

from tests.spec.clauses import Document
from tests.spec.peer import World, decoded, duet, frame, joined, receipt, send, subscribe

clause = Document("STOMP 1.1")
V = "1.1"


# --- Header content-length --------------------------------------------------------------------


@clause(
    "Header content-length",
    "The `SEND`, `MESSAGE` and `ERROR` frames SHOULD include a `content-length` header if a frame"
    " body is present.",
)
def test_our_bodies_are_counted() -> None:
    ann, bob = duet(V)
    ann.say(send(b"xyz"))
    assert bob.get().get("content-length") == "3"
    error = ann.error(send(to="nowhere"))
    assert error.get("content-length") == str(len(error.body))


@clause(
    "Header content-length",
    "If a frame's body contains NULL octets, the frame MUST include a `content-length` header.",
)
def test_a_body_with_nuls_is_counted_and_one_that_is_not_ends_there() -> None:
    ann, bob = duet(V)
    ann.say(send(b"x\0y", "content-length:3"))
    message = bob.get()
    assert (message.body, message.get("content-length")) == (b"x\0y", "3")
    ann.say(send(b"x\0y"), b"\n\n\0")
    assert bob.get().body == b"x"
    assert ann.hear()[0].command == "ERROR"  # "y" is no command


@clause(
    "Header content-length",
    "The header is a byte count for the length of the message body.",
    stricter="a `content-length` that is no number, or two that differ, are refused",
)
def test_content_length_counts_octets() -> None:
    ann, bob = duet(V)
    ann.say(send("é€".encode(), "content-length:5"))
    message = bob.get()
    assert (message.body, message.all("content-length")) == ("é€".encode(), ["5"])
    for lines in (("content-length:-1",), ("content-length:1x",), ("content-length:",)):
        assert joined(V).error(send(b"x", *lines)).get("error-code") == "malformed-frame"
    twice = send(b"x", "content-length:1", "content-length:2")
    assert ann.error(twice).get("error-code") == "malformed-frame"


@clause(
    "Header content-length",
    "If a `content-length` header is included, this number of bytes MUST be read, regardless of"
    " whether or not there are null characters in the body.",
)
def test_content_length_reads_over_nuls() -> None:
    ann, bob = duet(V)
    inner = send(b"inner")
    ann.say(send(inner, f"content-length:{len(inner)}"))
    assert bob.bodies() == [inner]


@clause("Header content-length", "The frame still needs to be terminated with a null byte.")
def test_the_octet_behind_the_counted_body_must_be_nul() -> None:
    error = joined(V).error(send(b"xy", "content-length:1", "receipt:r"))
    assert (error.get("error-code"), error.get("receipt-id")) == ("malformed-frame", "r")


# --- Header content-type ----------------------------------------------------------------------


@clause(
    "Header content-type",
    "The `SEND`, `MESSAGE` and `ERROR` frames SHOULD include a `content-type` header if a frame"
    " body is present.",
    looser="a MESSAGE has the `content-type` of its SEND, or none; an ERROR has its own",
)
def test_our_bodies_have_a_type() -> None:
    ann, bob = duet(V)
    ann.say(send(b"{}", "content-type:application/json"))
    assert bob.get().get("content-type") == "application/json"
    assert ann.error(send(to="nowhere")).get("content-type") == "text/plain"


@clause(
    "Header content-type",
    "It SHOULD be set to a mime type which describes the format of the body to help the receiver of"
    " the frame interpret it's contents.",
    looser="`content-type` is passed on unread; our own is `text/plain`",
)
def test_a_content_type_is_passed_on_unread() -> None:
    ann, bob = duet(V)
    ann.say(send(b"x", "content-type:nonsense"))
    assert bob.get().get("content-type") == "nonsense"


@clause(
    "Header content-type",
    "If the `content-type` header is not set, the receiver SHOULD consider the body to be a binary"
    " blob.",
)
def test_a_body_without_a_type_is_a_blob() -> None:
    ann, bob = duet(V)
    ann.say(send(b"\xff\xfe"))
    message = bob.get()
    assert (message.body, message.get("content-type")) == (b"\xff\xfe", None)


@clause(
    "Header content-type",
    "The implied text encoding for mime types starting with `text/` is UTF-8.",
)
def test_what_we_call_text_is_utf_8() -> None:
    error = joined(V).error(send(to="/nowhere/é"))
    assert error.get("content-type") == "text/plain"
    assert error.body.decode()


@clause(
    "Header content-type",
    "The `;charset=<encoding>` SHOULD also get appended to any non `text/` mime types which can be"
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
    first, second = [f"message-id:{each.get('message-id')}" for each in ann.hear()]
    for number, each in enumerate(
        (
            ("SUBSCRIBE", "id:2", "destination:/topic/a"),
            ("UNSUBSCRIBE", "id:2"),
            ("SEND", "destination:/topic/a"),
            ("ACK", "subscription:1", first),
            ("NACK", "subscription:1", second),
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
        error = World().open().error(frame(command, "accept-version:1.1", "receipt:r"))
        assert error.get("error-code") == "protocol-violation"


@clause(
    "Header receipt",
    "This will cause the server to acknowledge receipt of the frame with a `RECEIPT` frame which"
    " contains the value of this header as the value of the `receipt-id` header in the `RECEIPT`"
    " frame.",
)
def test_a_receipt_follows_the_work() -> None:
    ann = joined(V)
    ann.say(subscribe(), send(b"x", "receipt:r"))
    message, confirmed = ann.hear()
    assert message.body == b"x"
    assert confirmed.lines == ("receipt-id:r",)
