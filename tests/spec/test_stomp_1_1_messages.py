"""STOMP 1.1: SEND, and listening with SUBSCRIBE until UNSUBSCRIBE."""

from __future__ import annotations

from tests.spec.clauses import Document
from tests.spec.peer import World, duet, frame, joined, receipt, send, subscribe

clause = Document("STOMP 1.1")
V = "1.1"


# --- Once Connected ---------------------------------------------------------------------------


@clause(
    "Once Connected",
    "A client MAY send a frame not in this list, but for such a frame a STOMP 1.1 server MAY"
    " respond with an `ERROR` frame.",
)
def test_a_frame_that_is_none_of_a_clients_is_an_error() -> None:
    for command in ("CONNECTED", "MESSAGE", "RECEIPT", "ERROR", "HELLO"):
        lines = ("version:1.1", "destination:/topic/a", "message-id:1", "subscription:0")
        error = joined(V).error(frame(command, *lines, "receipt-id:1", "receipt:r"))
        assert error.get("error-code") == "protocol-violation", command
        assert error.get("receipt-id") == "r"


# --- SEND -------------------------------------------------------------------------------------


@clause("SEND", "The `SEND` frame sends a message to a destination in the messaging system.")
def test_send_reaches_who_listens_there_and_nobody_else() -> None:
    ann, bob = duet(V)
    carl = ann.world.connect(V)
    carl.say(subscribe(to="/topic/b"))
    ann.say(send(b"hello"))
    assert bob.bodies() == [b"hello"]
    assert carl.bodies() == ann.bodies() == []


@clause(
    "SEND",
    "It has one REQUIRED header, `destination`, which indicates where to send the message.",
)
def test_send_needs_a_destination() -> None:
    error = joined(V).error(frame("SEND", "receipt:r", body=b"x"))
    assert (error.get("error-code"), error.get("receipt-id")) == ("malformed-frame", "r")


@clause("SEND", "The body of the `SEND` frame is the message to be sent.")
def test_the_body_is_the_message() -> None:
    ann, bob = duet(V)
    for body in (b"", b"\n", b"hello queue a\n", b"SEND\n\n"):
        ann.say(send(body))
        assert bob.get().body == body


@clause(
    "SEND",
    "Note that STOMP treats this destination as an opaque string and no delivery semantics are"
    " assumed by the name of a destination.",
    kept="on our server the prefix names the semantics: `/topic/`, `/queue/` and so on",
)
def test_the_prefix_names_the_semantics() -> None:
    ann = joined(V)
    ann.say(send(b"t"), send(b"q", to="/queue/a"))
    ann.say(subscribe("1", to="/topic/a"), subscribe("2", to="/queue/a"))
    assert ann.bodies() == [b"q"]


@clause(
    "SEND",
    "The reliability semantics of the message are also server specific and will depend on the"
    " destination value being used and the other message headers such as the `transaction` header"
    " or other server specific message headers.",
    kept="a topic has no memory; a queue keeps a message in memory until it was consumed",
)
def test_a_queue_keeps_and_a_topic_forgets() -> None:
    world = World()
    ann = world.connect(V)
    ann.say(send(b"t"), send(b"q", to="/queue/a"))
    ann.leave()
    bob = world.connect(V)
    bob.say(subscribe("1", to="/topic/a"), subscribe("2", to="/queue/a"))
    assert bob.bodies() == [b"q"]


@clause("SEND", "`SEND` supports a `transaction` header which allows for transactional sends.")
def test_send_may_wait_for_a_commit() -> None:
    ann, bob = duet(V)
    ann.say(frame("BEGIN", "transaction:t"), send(b"x", "transaction:t"))
    assert bob.bodies() == []
    ann.say(frame("COMMIT", "transaction:t"))
    message = bob.get()
    assert (message.body, message.get("transaction")) == (b"x", None)


@clause(
    "SEND",
    "`SEND` frames SHOULD include a `content-length` header and a `content-type` header if a body"
    " is present.",
    looser="a SEND without either is accepted",
)
def test_send_may_leave_both_out() -> None:
    ann, bob = duet(V)
    ann.say(send(b"x"))
    message = bob.get()
    assert (message.body, message.get("content-type")) == (b"x", None)


@clause("SEND", "An application MAY add any arbitrary user defined headers to the `SEND` frame.")
def test_send_takes_any_headers() -> None:
    ann = joined(V)
    lines = ("k:v", "K:V", "id:1", "x-é:1", "persistent:true", "expires:0", "selector:a")
    assert ann.ask(send(b"x", *lines, "receipt:r")) == receipt("r")


@clause(
    "SEND",
    "User defined headers are typically used to allow consumers to filter messages based on the"
    " application defined headers using a selector on a `SUBSCRIBE` frame.",
    kept="selectors are not offered: a `selector` header is ignored",
)
def test_a_selector_selects_nothing() -> None:
    ann = joined(V)
    ann.say(subscribe("0", "selector:colour = 'red'"), send(b"x", "colour:blue"))
    assert ann.bodies() == [b"x"]


@clause("SEND", "The user defined headers MUST be passed through in the `MESSAGE` frame.")
def test_user_headers_pass_through_in_order() -> None:
    ann, bob = duet(V)
    ann.say(send(b"x", "b:2", "a:1", "content-type:text/plain", "b:3", "empty:"))
    lines = bob.get().lines
    user = [each for each in lines if each.partition(":")[0] in ("a", "b", "empty")]
    assert user == ["b:2", "a:1", "b:3", "empty:"]
    assert "content-type:text/plain" in lines


@clause(
    "SEND",
    "If the server cannot successfully process the `SEND` frame for any reason, the server MUST"
    " send the client an `ERROR` frame and disconnect the client.",
)
def test_a_send_that_cannot_be_done_is_the_end() -> None:
    ann, bob = duet(V)
    ann.error(send(b"x", "receipt:r", to="/nowhere/a"), send(b"after"))
    assert bob.bodies() == []
    assert ann.close() is not None


# --- SUBSCRIBE --------------------------------------------------------------------------------


@clause("SUBSCRIBE", "The `SUBSCRIBE` frame is used to register to listen to a given destination.")
def test_subscribe_listens_from_then_on() -> None:
    ann = joined(V)
    ann.say(send(b"before"), subscribe(), send(b"after"))
    assert ann.bodies() == [b"after"]


@clause(
    "SUBSCRIBE",
    "Like the `SEND` frame, the `SUBSCRIBE` frame requires a `destination` header indicating the"
    " destination to which the client wants to subscribe.",
)
def test_subscribe_needs_a_destination() -> None:
    error = joined(V).error(frame("SUBSCRIBE", "id:0", "receipt:r"))
    assert (error.get("error-code"), error.get("receipt-id")) == ("malformed-frame", "r")


@clause(
    "SUBSCRIBE",
    "Any messages received on the subscribed destination will henceforth be delivered as `MESSAGE`"
    " frames from the server to the client.",
)
def test_every_message_comes_in_order() -> None:
    ann, bob = duet(V)
    expected = [str(number).encode() for number in range(100)]
    ann.say(*(send(each) for each in expected))
    assert bob.bodies() == expected


@clause("SUBSCRIBE", "The `ack` header controls the message acknowledgement mode.")
def test_the_ack_header_decides_what_a_lost_consumer_gives_back() -> None:
    for mode, given_back in (("auto", []), ("client", [b"x"]), ("client-individual", [b"x"])):
        world = World()
        ann, bob = world.connect(V), world.connect(V)
        ann.say(subscribe("0", f"ack:{mode}", to="/queue/a"))
        bob.say(send(b"x", to="/queue/a"))
        assert ann.bodies() == [b"x"]
        ann.leave()
        bob.say(subscribe(to="/queue/a"))
        assert bob.bodies() == given_back, mode


@clause(
    "SUBSCRIBE",
    "If the server cannot successfully create the subscription, the server MUST send the client an"
    " `ERROR` frame and disconnect the client.",
)
def test_a_subscription_that_cannot_be_made_is_the_end() -> None:
    error = joined(V).error(subscribe("0", "receipt:r", to="nowhere"), send())
    assert (error.get("error-code"), error.get("receipt-id")) == ("protocol-violation", "r")


@clause(
    "SUBSCRIBE",
    "STOMP servers MAY support additional server specific headers to customize the delivery"
    " semantics of the subscription.",
    kept="`prefetch-count`: how many messages of a queue may be unacknowledged at once",
)
def test_prefetch_count_bounds_what_is_unacknowledged() -> None:
    ann = joined(V)
    ann.say(subscribe("0", "ack:client", "prefetch-count:2", to="/queue/a"))
    ann.say(*(send(each, to="/queue/a") for each in (b"1", b"2", b"3")))
    first, _ = ann.hear()
    ann.say(frame("ACK", "subscription:0", f"message-id:{first.get('message-id')}"))
    assert ann.bodies() == [b"3"]


# --- SUBSCRIBE id Header ----------------------------------------------------------------------


@clause(
    "SUBSCRIBE id Header",
    "An `id` header MUST be included in the frame to uniquely identify the subscription within the"
    " STOMP connection session.",
    kept="a second one is an ERROR; an id is free again after UNSUBSCRIBE",
)
def test_subscribe_needs_an_id_of_its_own() -> None:
    ann, bob = duet(V)
    assert ann.ask(subscribe("0")) == b""  # Bob's 0 is another connection's
    assert ann.ask(frame("UNSUBSCRIBE", "id:0"), subscribe("0", to="/topic/b")) == b""
    error = ann.error(subscribe("0", "receipt:r", to="/topic/c"))
    assert (error.get("error-code"), error.get("receipt-id")) == ("protocol-violation", "r")
    bob.say(send())
    assert bob.bodies() == [b"x"]
    error = joined(V).error(frame("SUBSCRIBE", "destination:/topic/a", "receipt:r"))
    assert (error.get("error-code"), error.get("receipt-id")) == ("malformed-frame", "r")


@clause(
    "SUBSCRIBE id Header",
    "Since a single connection can have multiple open subscriptions with a server, the `id` header"
    " allows the client and server to relate subsequent `ACK`, `NACK` or `UNSUBSCRIBE` frames to"
    " the original subscription.",
)
def test_the_id_relates_messages_to_their_subscription() -> None:
    ann = joined(V)
    ann.say(subscribe("1"), subscribe("2"), subscribe("3", to="/topic/b"), send())
    assert [each.get("subscription") for each in ann.hear()] == ["1", "2"]
    ann.say(frame("UNSUBSCRIBE", "id:1"), send(), send(to="/topic/b"))
    assert [each.get("subscription") for each in ann.hear()] == ["2", "3"]
