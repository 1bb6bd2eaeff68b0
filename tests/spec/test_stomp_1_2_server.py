"""STOMP 1.2: what a server sends."""

from __future__ import annotations

from tests.spec.clauses import Document
from tests.spec.peer import (
    NOW,
    Doorman,
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

from stompcore import Sent, ServerConfig, ServerSession

clause = Document("STOMP 1.2")
V = "1.2"


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
    "The `MESSAGE` frame MUST include a `destination` header indicating the destination the message"
    " was sent to.",
)
def test_message_names_where_it_was_sent_to() -> None:
    ann = joined(V)
    ann.say(subscribe("0", to="/topic/*"), send(to="/topic/a"))
    assert ann.get().all("destination") == ["/topic/a"]


@clause(
    "MESSAGE",
    "If the message has been sent using STOMP, this `destination` header SHOULD be identical to the"
    " one used in the corresponding `SEND` frame.",
    looser="but for a user's own queue: what was sent to `/user/bob/queue/x` comes from"
    " `/user/queue/x`",
)
def test_the_destination_is_that_of_send() -> None:
    ann, bob = duet(V, to=r"/topic/a\cb\\c ")
    ann.say(send(to=r"/topic/a\cb\\c "))
    assert bob.get().get("destination") == r"/topic/a\cb\\c "
    bob.say(subscribe("1", to="/user/queue/x"))
    ann.say(send(to="/user/bob/queue/x"))
    assert bob.get().get("destination") == "/user/queue/x"


@clause(
    "MESSAGE",
    "The `MESSAGE` frame MUST also contain a `message-id` header with a unique identifier for that"
    " message and a `subscription` header matching the identifier of the subscription that is"
    " receiving the message.",
)
def test_message_has_an_id_and_names_its_subscription() -> None:
    ann = joined(V)
    ann.say(subscribe("one"), subscribe("two", to="/topic/b"))
    ann.say(send(), send(to="/topic/b"), send())
    heard = ann.hear()
    assert [each.all("subscription") for each in heard] == [["one"], ["two"], ["one"]]
    assert len({each.get("message-id") for each in heard} - {None}) == 3


@clause(
    "MESSAGE",
    "If the message is received from a subscription that requires explicit acknowledgment (either"
    " `client` or `client-individual` mode) then the `MESSAGE` frame MUST also contain an `ack`"
    " header with an arbitrary value.",
)
def test_message_has_an_ack_header_where_one_is_needed() -> None:
    for mode, is_needed in (("auto", False), ("client", True), ("client-individual", True)):
        for to in ("/topic/a", "/queue/a"):
            ann = joined(V)
            ann.say(subscribe("0", f"ack:{mode}", to=to), send(to=to))
            assert len(ann.get().all("ack")) == is_needed


@clause(
    "MESSAGE",
    "This header will be used to relate the message to a subsequent `ACK` or `NACK` frame.",
)
def test_each_delivery_has_an_ack_of_its_own() -> None:
    ann = joined(V)
    for number in range(2):
        to = f"/queue/{number}"
        ann.say(subscribe(str(number), "ack:client-individual", to=to), send(to=to), send(to=to))
    acks = [each.get("ack") for each in ann.hear()]
    assert len(set(acks)) == 4
    for each in acks:
        assert ann.ask(frame("ACK", f"id:{each}", "receipt:r")) == receipt("r")


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
    kept="a frame that fails gets its ERROR and no RECEIPT",
)
def test_only_success_has_a_receipt() -> None:
    ann = joined(V)
    assert ann.ask(send(b"x", "receipt:1")) == receipt("1")
    assert ann.ask(send(b"x")) == b""
    assert ann.error(send(b"x", "receipt:2", to="nowhere")).get("receipt-id") == "2"


@clause(
    "RECEIPT",
    "A `RECEIPT` frame MUST include the header `receipt-id`, where the value is the value of the"
    " `receipt` header in the frame which this is a receipt for.",
)
def test_a_receipt_names_its_frame() -> None:
    ann = joined(V)
    assert ann.ask(send(b"x", r"receipt:message-12345 \c é")) == (
        b"RECEIPT\nreceipt-id:message-12345 \\c \xc3\xa9\n\n\0"
    )


@clause(
    "RECEIPT",
    "A `RECEIPT` frame is an acknowledgment that the corresponding client frame has been processed"
    " by the server.",
)
def test_a_receipt_comes_after_the_work() -> None:
    session = ServerSession(ServerConfig(), session_id="s", now=NOW, verifier=Doorman())
    session.receive_data(connect(V) + send(b"x", "receipt:1"), now=NOW)
    session.next_event()
    session.data_to_send()
    sent = session.next_event()
    assert isinstance(sent, Sent)
    assert session.data_to_send() == []
    session.done(sent, now=NOW)
    assert session.data_to_send() == [receipt("1")]


@clause(
    "RECEIPT",
    "Since STOMP is stream based, the receipt is also a cumulative acknowledgment that all the"
    " previous frames have been received by the server.",
)
def test_a_receipt_covers_what_came_before() -> None:
    ann, bob = duet(V)
    answer = ann.ask(*(send(str(each).encode()) for each in range(9)), send(b"9", "receipt:r"))
    assert answer == receipt("r")
    assert bob.bodies() == [str(each).encode() for each in range(10)]


@clause(
    "RECEIPT",
    "However, these previous frames may not yet be fully processed.",
    kept="more than that: RECEIPTs come in the order of their frames, whatever is done first",
)
def test_receipts_come_in_order() -> None:
    session = ServerSession(ServerConfig(), session_id="s", now=NOW, verifier=Doorman())
    session.receive_data(connect(V) + b"".join(send(b"x", f"receipt:{n}") for n in "123"), now=NOW)
    _, first, second, third = (session.next_event() for _ in range(4))
    assert isinstance(first, Sent)
    assert isinstance(second, Sent)
    assert isinstance(third, Sent)
    session.data_to_send()
    session.done(third, now=NOW)
    session.done(second, now=NOW)
    assert session.data_to_send() == []
    session.done(first, now=NOW)
    assert b"".join(session.data_to_send()) == receipt("1") + receipt("2") + receipt("3")


@clause(
    "RECEIPT",
    "If the client disconnects, previously received frames SHOULD continue to get processed by the"
    " server.",
)
def test_what_was_received_is_done_though_the_client_has_gone() -> None:
    ann, bob = duet(V)
    ann.machine.receive_data(send(b"1") + send(b"2", "receipt:r"), now=ann.world.now)
    ann.leave()
    assert bob.bodies() == [b"1", b"2"]


# --- ERROR ------------------------------------------------------------------------------------


@clause("ERROR", "The server MAY send `ERROR` frames if something goes wrong.")
def test_what_goes_wrong_is_an_error_for_its_session_alone() -> None:
    ann, bob = duet(V)
    assert ann.error(b"HELLO\n\n\0").command == "ERROR"
    assert bob.ask(send(b"x", "receipt:r")).endswith(receipt("r"))


@clause(
    "ERROR",
    "In this case, it MUST then close the connection just after sending the `ERROR` frame.",
    kept="what stood behind the offending frame, in the same piece too, is thrown away",
)
def test_an_error_is_the_last_frame() -> None:
    ann, bob = duet(V)
    ann.say(send(b"1"), send(to="nowhere"), send(b"2", "receipt:r"), frame("DISCONNECT"))
    (error,) = ann.hear()
    assert error.command == "ERROR"
    assert ann.is_over()
    assert bob.bodies() == [b"1"]
    ann.world.wait(5)
    assert ann.is_closed()


@clause(
    "ERROR",
    "The `ERROR` frame SHOULD contain a `message` header with a short description of the error, and"
    " the body MAY contain more detailed information (or MAY be empty).",
)
def test_an_error_says_what_is_wrong() -> None:
    error = joined(V).error(frame("SEND", body=b"Hello queue a!"))
    assert error.all("message") == ["Malformed Frame"]
    assert error.body == b"A SEND frame needs the header destination."


@clause(
    "ERROR",
    "If the error is related to a specific frame sent from the client, the server SHOULD add"
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
