"""STOMP 1.1: what a server sends."""

from __future__ import annotations

from tests.spec.clauses import Document
from tests.spec.peer import (
    World,
    connect,
    duet,
    frame,
    joined,
    receipt,
    send,
    split,
    subscribe,
)

clause = Document("STOMP 1.1")
V = "1.1"


@clause("Server Frames", "These frames MAY be one of:")
def test_after_connected_come_only_message_receipt_and_error() -> None:
    peer = World().open()
    peer.say(connect(V), subscribe("0", "receipt:r"), send())
    assert [each.command for each in peer.hear()] == ["CONNECTED", "RECEIPT", "MESSAGE"]
    assert peer.error(frame("CONNECT")).command == "ERROR"


# --- MESSAGE ----------------------------------------------------------------------------------


@clause(
    "MESSAGE",
    "`MESSAGE` frames are used to convey messages from subscriptions to the client.",
)
def test_each_subscription_conveys_a_message_of_its_own() -> None:
    ann, bob = duet(V)
    bob.say(subscribe("1"))
    ann.say(send())
    assert [each.command for each in bob.hear()] == ["MESSAGE", "MESSAGE"]
    assert ann.raw() == b""


@clause(
    "MESSAGE",
    "The `MESSAGE` frame will include a `destination` header indicating the destination the message"
    " was sent to.",
)
def test_message_names_where_it_was_sent_to() -> None:
    ann = joined(V)
    ann.say(subscribe("0", to="/topic/*"), send(to="/topic/a"))
    assert ann.get().all("destination") == ["/topic/a"]


@clause(
    "MESSAGE",
    "It will also contain a `message-id` header with a unique identifier for that message.",
)
def test_message_has_an_id_of_its_own() -> None:
    ann = joined(V)
    ann.say(subscribe(), send(), send(), send())
    heard = ann.hear()
    assert [len(each.all("message-id")) for each in heard] == [1, 1, 1]
    assert len({each.get("message-id") for each in heard}) == 3


@clause(
    "MESSAGE",
    "The `subscription` header will be set to match the `id` header of the subscription that is"
    " receiving the message.",
)
def test_message_names_its_subscription() -> None:
    ann = joined(V)
    ann.say(subscribe(r"one\c1"), subscribe("two", to="/topic/b"))
    ann.say(send(), send(to="/topic/b"), send())
    heard = [each.all("subscription") for each in ann.hear()]
    assert heard == [[r"one\c1"], ["two"], [r"one\c1"]]


@clause("MESSAGE", "The frame body contains the contents of the message:")
def test_the_body_of_message_is_that_of_send() -> None:
    ann, bob = duet(V)
    for body in (b"", b"hello queue a", b"\xff" * 10_000):
        ann.say(send(body))
        assert bob.get().body == body


@clause(
    "MESSAGE",
    "`MESSAGE` frames SHOULD include a `content-length` header and a `content-type` header if a"
    " body is present.",
    looser="a MESSAGE has the `content-type` of its SEND, or none; `content-length` is ours",
)
def test_message_has_a_length_and_the_publishers_type() -> None:
    ann, bob = duet(V)
    ann.say(send("é".encode(), "content-type:text/plain"))
    message = bob.get()
    assert message.all("content-length") == ["2"]
    assert message.all("content-type") == ["text/plain"]


@clause(
    "MESSAGE",
    "`MESSAGE` frames will also include all user defined headers that were present when the message"
    " was sent to the destination in addition to the server specific headers that MAY get added to"
    " the frame.",
    stricter="headers that concern the publisher alone (`receipt`, `transaction`) or hold a secret"
    " (`passcode`, `Authorization`) are left out",
)
def test_user_headers_are_passed_on_and_the_publishers_own_are_not() -> None:
    ann, bob = duet(V)
    ann.say(frame("BEGIN", "transaction:t"))
    ann.say(send(b"x", "transaction:t", "receipt:r", "passcode:p", "Authorization:Bearer t", "k:v"))
    ann.say(frame("COMMIT", "transaction:t"))
    message = bob.get()
    assert "k:v" in message.lines
    kept = {each.partition(":")[0] for each in message.lines}
    assert kept == {"subscription", "destination", "message-id", "k", "content-length"}


# --- RECEIPT ----------------------------------------------------------------------------------


@clause(
    "RECEIPT",
    "A `RECEIPT` frame is sent from the server to the client once a server has successfully"
    " processed a client frame that requests a receipt.",
    kept="after the work, in the order of their frames; a frame that fails gets its ERROR and no"
    " RECEIPT",
)
def test_only_success_has_a_receipt() -> None:
    ann = joined(V)
    assert ann.ask(send(b"x", "receipt:1")) == receipt("1")
    assert ann.ask(send(b"x")) == b""
    answer = ann.ask(subscribe("0", "receipt:a"), send(b"x", "receipt:b"))
    assert [each.get("receipt-id") for each in split(answer)] == ["a", None, "b"]
    assert ann.error(send(b"x", "receipt:2", to="nowhere")).get("receipt-id") == "2"


@clause(
    "RECEIPT",
    "A `RECEIPT` frame will include the header `receipt-id`, where the value is the value of the"
    " `receipt` header in the frame which this is a receipt for.",
)
def test_a_receipt_names_its_frame() -> None:
    ann = joined(V)
    assert ann.ask(send(b"x", r"receipt:message-12345 \c é")) == (
        b"RECEIPT\nreceipt-id:message-12345 \\c \xc3\xa9\n\n\0"
    )


@clause("RECEIPT", "The receipt body will be empty.")
def test_a_receipt_has_no_body() -> None:
    ann = joined(V)
    ann.say(send(b"x", "receipt:r"))
    (confirmed,) = ann.hear()
    assert (confirmed.command, confirmed.body) == ("RECEIPT", b"")
    assert confirmed.get("content-length") is None


# --- ERROR ------------------------------------------------------------------------------------


@clause("ERROR", "The server MAY send `ERROR` frames if something goes wrong.")
def test_what_goes_wrong_is_an_error_for_its_session_alone() -> None:
    ann, bob = duet(V)
    assert ann.error(b"HELLO\n\n\0").command == "ERROR"
    assert bob.ask(send(b"x", "receipt:r")).endswith(receipt("r"))


@clause(
    "ERROR",
    "The error frame SHOULD contain a `message` header with a short description of the error, and"
    " the body MAY contain more detailed information (or MAY be empty).",
)
def test_an_error_says_what_is_wrong() -> None:
    error = joined(V).error(frame("SEND", body=b"Hello queue a!"))
    assert error.all("message") == ["Malformed Frame"]
    assert error.body == b"A SEND frame needs the header destination."


@clause(
    "ERROR",
    "If the error is related to specific frame sent from the client, the server SHOULD add"
    " additional headers to help identify the original frame that caused the error.",
    stricter="an ERROR has `error-code` and `receipt-id`; the frame itself, which may hold a token,"
    " is never quoted",
)
def test_an_error_has_a_code_and_does_not_quote_the_frame() -> None:
    ann = joined(V)
    ann.say(send(b"secret body", "passcode:secret", "receipt:r", "destination-:x", to="secret"))
    raw = ann.raw()
    (error,) = split(raw)
    assert error.all("error-code") == ["protocol-violation"]
    assert b"secret" not in raw


@clause(
    "ERROR",
    "For example, if the frame included a receipt header, the `ERROR` frame SHOULD set the"
    " `receipt-id` header to match the value of the `receipt` header of the frame which the error"
    " is related to.",
)
def test_an_error_names_the_receipt_of_its_frame() -> None:
    for data in (
        send(b"x", r"receipt:message\c1", to="nowhere"),
        frame("SUBSCRIBE", r"receipt:message\c1"),
        frame("BEGIN", r"receipt:message\c1", "transaction:t", body=b"x"),
        frame("HELLO", r"receipt:message\c1"),
        frame("COMMIT", r"receipt:message\c1", "transaction:t"),
    ):
        assert joined(V).error(data).all("receipt-id") == [r"message\c1"]
    assert joined(V).error(send(to="nowhere")).all("receipt-id") == []


@clause(
    "ERROR",
    "`ERROR` frames SHOULD include a `content-length` header and a `content-type` header if a body"
    " is present.",
)
def test_an_error_has_a_length_and_a_type() -> None:
    error = joined(V).error(b"HELLO\n\n\0")
    assert error.body
    assert error.all("content-length") == [str(len(error.body))]
    assert error.all("content-type") == ["text/plain"]
