"""STOMP 1.0: connecting, sending, and listening.

Its own examples pad header values, it has no escapes, and a subscription needs no id.
"""

from __future__ import annotations

from tests.spec.clauses import Document
from tests.spec.peer import (
    WRONG,
    Heard,
    Peer,
    World,
    connect,
    decoded,
    duet,
    frame,
    joined,
    send,
    split,
)

clause = Document("STOMP 1.0")
V = "1.0"
TITLE = "Stomp Protocol Specification, Version 1.0"
LISTEN = frame("SUBSCRIBE", "destination:/topic/a")


def receipt(receipt_id: str) -> bytes:
    """Our RECEIPT, whole; a line feed follows every frame of 1.0 but ERROR."""
    return b"RECEIPT\nreceipt-id:" + receipt_id.encode() + b"\n\n\0\n"


def consumer(*lines: str, bodies: tuple[bytes, ...]) -> tuple[Peer, list[Heard]]:
    """A peer that listens to a queue, and the messages that it has got from it."""
    ann = joined(V)
    ann.say(frame("SUBSCRIBE", "destination:/queue/a", *lines))
    ann.say(*(send(each, to="/queue/a") for each in bodies))
    messages = ann.hear()
    assert [each.body for each in messages] == list(bodies)
    return ann, messages


def left_over(peer: Peer) -> list[bytes]:
    """What another consumer gets once `peer` has gone."""
    peer.leave()
    heir = peer.world.connect(V)
    heir.say(frame("SUBSCRIBE", "destination:/queue/a"))
    return heir.bodies()


# --- CONNECT ----------------------------------------------------------------------------------


@clause(
    TITLE,
    "`CONNECT login: <username> passcode:<passcode> ^@`",
    kept="the passcode is the access token",
)
def test_connect_brings_login_and_passcode() -> None:
    peer = World().open()
    peer.say(b"CONNECT\nlogin: ann\npasscode:t\n\n\0")
    assert peer.hear()[0].command == "CONNECTED"
    assert peer.world.doorman.seen == [("ann", "t")]


@clause(
    TITLE,
    "The frame starts with a command (in this case CONNECT), followed by a newline, followed by"
    " headers in a `<key>`:`<value>` with each header followed by a newline.",
    kept="blanks around names and values are trimmed, as the examples pad them",
)
def test_headers_are_lines_and_may_be_padded() -> None:
    headers = decoded(V, "k: v ", "a:b:c", " p :q")
    assert (headers["k"], headers["a"], headers["p"]) == ("v", "b:c", "q")
    assert joined(V).error(b"SEND\ndestination:/topic/a\nk\n\n\0").command == "ERROR"


@clause(
    TITLE,
    "A blank line indicates the end of the headers and beginning of the body (the body is empty in"
    " this case), and the null indicates the end of the frame.",
)
def test_a_blank_line_ends_the_headers_and_nul_the_frame() -> None:
    ann, bob = duet(V)
    ann.say(b"SEND\ndestination:/topic/a\n\n\nk:v\n")
    assert bob.bodies() == []
    ann.say(b"\0")
    assert bob.bodies() == [b"\nk:v\n"]


@clause(
    TITLE,
    "After the client sends the CONNECT frame, the server will always acknowledge the connection,"
    " by sending a frame which looks like:",
    stricter="a CONNECT whose token is refused gets an ERROR, and the end",
)
def test_connect_is_acknowledged() -> None:
    assert World().open().ask(connect(None)) == (
        b"CONNECTED\nversion:1.0\nsession:s-0\nserver:stompcore\nheart-beat:0,0\n\n\0\n"
    )
    error = World().open().error(connect(None, f"passcode: {WRONG}"))
    assert error.get("error-code") == "token-invalid"


@clause(
    TITLE,
    "The `session-id` header is a unique identifier for this session (though it isn't actually used"
    " yet).",
    kept="the header is called `session`, as in the frame above it",
)
def test_every_session_has_its_own_name() -> None:
    world = World()
    names = set()
    for _ in range(3):
        peer = world.open()
        peer.say(connect(None))
        names.add(peer.hear()[0].get("session"))
    assert len(names - {None}) == 3


@clause(
    TITLE,
    "At this point there are a number of commands the client may send",
    stricter="nothing comes before CONNECT, and nothing else after it: NACK is of 1.1",
)
def test_there_are_eight_commands() -> None:
    assert World().open().error(LISTEN).get("error-code") == "protocol-violation"
    for command in ("CONNECT", "STOMP", "NACK", "MESSAGE", "PING"):
        error = joined(V).error(frame(command, "message-id:1", "destination:/topic/a"))
        assert error.get("error-code") == "protocol-violation", command


# --- SEND -------------------------------------------------------------------------------------


@clause("SEND", "The SEND command sends a message to a destination in the messaging system.")
def test_send_reaches_who_listens_there() -> None:
    ann, bob = duet(V)
    ann.say(send(b"x"), send(b"y", to="/topic/b"))
    assert bob.bodies() == [b"x"]


@clause(
    "SEND", "It has one required header, destination, which indicates where to send the message."
)
def test_send_needs_a_destination() -> None:
    assert joined(V).error(frame("SEND", body=b"x")).get("error-code") == "malformed-frame"


@clause("SEND", "The body of the SEND command is the message to be sent.")
def test_the_body_is_the_message() -> None:
    ann, bob = duet(V)
    for body in (b"", b"hello queue a\n", b"\\n\xff"):
        ann.say(send(body))
        assert bob.bodies() == [body]


@clause(
    "SEND",
    "Destination names are simply strings which are mapped to some form of destination on the"
    " server - how the server translates these is left to the server implementation.",
    stricter="a destination starts with one of our prefixes; any other is refused with an ERROR",
)
def test_the_prefix_of_a_destination_has_a_meaning() -> None:
    ann, bob = duet(V, to=r"/topic/a:b\c")
    ann.say(send(b"x", to=r"/topic/a:b\c"))
    assert bob.bodies() == [b"x"]
    assert ann.error(send(to="nowhere")).get("error-code") == "protocol-violation"


@clause("SEND", "SEND supports a transaction header which allows for transaction sends.")
def test_send_may_wait_for_a_commit() -> None:
    ann, bob = duet(V)
    ann.say(frame("BEGIN", "transaction: t"), send(b"x", "transaction: t"))
    assert bob.bodies() == []
    ann.say(frame("COMMIT", "transaction: t"))
    assert bob.bodies() == [b"x"]


@clause(
    "SEND",
    "It is recommended that SEND frames include a content-length header which is a byte count for"
    " the length of the message body.",
    looser="a SEND without `content-length` is accepted",
)
def test_content_length_counts_bytes() -> None:
    ann, bob = duet(V)
    ann.say(send("é".encode(), "content-length: 2"), send("é".encode()))
    assert bob.bodies() == ["é".encode()] * 2


@clause(
    "SEND",
    "If a content-length header is included, this number of bytes should be read, regardless of"
    " whether or not there are null characters in the body.",
)
def test_content_length_reads_over_nuls() -> None:
    ann, bob = duet(V)
    ann.say(send(b"x\0\0y", "content-length:4"))
    assert bob.bodies() == [b"x\0\0y"]


@clause(
    "SEND",
    "The frame still needs to be terminated with a null byte and if a content-length is not"
    " specified, the first null byte encountered signals the end of the frame.",
)
def test_nul_ends_a_frame_in_both_cases() -> None:
    ann, bob = duet(V)
    ann.say(send(b"x"), send(b"y"))
    assert bob.bodies() == [b"x", b"y"]
    assert ann.error(send(b"xy", "content-length:1")).get("error-code") == "malformed-frame"


# --- SUBSCRIBE --------------------------------------------------------------------------------


@clause("SUBSCRIBE", "The SUBSCRIBE command is used to register to listen to a given destination.")
def test_subscribe_listens_from_then_on() -> None:
    ann = joined(V)
    ann.say(send(b"before"), LISTEN, send(b"after"))
    assert ann.bodies() == [b"after"]


@clause(
    "SUBSCRIBE",
    "Like the SEND command, the SUBSCRIBE command requires a destination header indicating which"
    " destination to subscribe to.",
)
def test_subscribe_needs_a_destination() -> None:
    assert joined(V).error(frame("SUBSCRIBE", "id:0")).get("error-code") == "malformed-frame"


@clause(
    "SUBSCRIBE",
    "Any messages received on the subscription will henceforth be delivered as MESSAGE frames from"
    " the server to the client.",
)
def test_every_message_comes_in_order() -> None:
    ann, bob = duet(V)
    expected = [str(number).encode() for number in range(50)]
    ann.say(*(send(each) for each in expected))
    assert bob.bodies() == expected


@clause("SUBSCRIBE", "The ack header is optional, and defaults to auto.")
def test_the_default_is_auto() -> None:
    ann, _ = consumer(bodies=(b"x",))
    assert left_over(ann) == []


@clause(
    "SUBSCRIBE",
    "In this case the ack header is set to client which means that messages will only be considered"
    " delivered after the client specifically acknowledges them with an ACK frame.",
)
def test_in_client_mode_only_an_ack_delivers() -> None:
    ann, _ = consumer("ack: client", bodies=(b"1", b"2"))
    assert left_over(ann) == [b"1", b"2"]
    ann, (first, _) = consumer("ack: client", bodies=(b"1", b"2"))
    ann.say(frame("ACK", f"message-id: {first.get('message-id')}"))
    assert left_over(ann) == [b"2"]


@clause(
    "SUBSCRIBE",
    "The valid values for ack are auto (the default if the header is not included) and client.",
    looser="`ack:client-individual` works in 1.0 too",
)
def test_other_modes_are_refused() -> None:
    ann, messages = consumer("ack:client-individual", bodies=(b"1", b"2"))
    ann.say(frame("ACK", f"message-id:{messages[1].get('message-id')}"))
    assert left_over(ann) == [b"1"]
    for mode in ("auto", "client"):
        lines = ("destination:/queue/a", f"ack: {mode}", "receipt: r")
        assert joined(V).ask(frame("SUBSCRIBE", *lines)) == receipt("r")
    error = joined(V).error(frame("SUBSCRIBE", "destination:/queue/a", "ack:Client"))
    assert error.get("error-code") == "protocol-violation"


@clause(
    "SUBSCRIBE",
    "The body of the SUBSCRIBE command is ignored.",
    kept="and so is that of every other command that has no use for one",
)
def test_the_body_of_subscribe_is_ignored() -> None:
    ann = joined(V)
    lines = ("destination:/topic/a", "receipt:r")
    assert ann.ask(frame("SUBSCRIBE", *lines, body=b"x\n\n"), send()).startswith(receipt("r"))


@clause(
    "SUBSCRIBE",
    "Stomp brokers may support the selector header which allows you to specify an SQL 92 selector"
    " on the message headers which acts as a filter for content based routing.",
    kept="selectors are not offered: the header is ignored",
)
def test_a_selector_selects_nothing() -> None:
    ann = joined(V)
    ann.say(frame("SUBSCRIBE", "destination:/topic/a", "selector: colour = 'red'"))
    ann.say(send(b"x", "colour:blue"))
    assert ann.bodies() == [b"x"]


@clause(
    "SUBSCRIBE",
    "You can also specify an id header which can then later on be used to UNSUBSCRIBE from the"
    " specific subscription as you may end up with overlapping subscriptions using selectors with"
    " the same destination.",
)
def test_an_id_tells_subscriptions_of_one_destination_apart() -> None:
    ann = joined(V)
    for key in ("1", "2"):
        ann.say(frame("SUBSCRIBE", "destination:/topic/a", f"id: {key}"))
    ann.say(send())
    assert len(ann.bodies()) == 2
    ann.say(frame("UNSUBSCRIBE", "id: 1"), send())
    assert [each.get("subscription") for each in ann.hear()] == ["2"]


@clause(
    "SUBSCRIBE",
    "If an id header is supplied then Stomp brokers should append a subscription header to any"
    " MESSAGE commands which are sent to the client so that the client knows which subscription the"
    " message relates to.",
)
def test_message_names_a_subscription_that_has_an_id() -> None:
    ann = joined(V)
    ann.say(LISTEN, frame("SUBSCRIBE", "destination:/topic/a", "id: one"), send())
    assert [each.all("subscription") for each in ann.hear()] == [[], ["one"]]


@clause(
    "SUBSCRIBE",
    "If using Wildcards and selectors this can help clients figure out what subscription caused the"
    " message to be created.",
)
def test_each_wildcard_that_fits_has_its_own_message() -> None:
    ann = joined(V)
    for key, to in (("1", "/topic/*"), ("2", "/topic/**"), ("3", "/topic/b.*")):
        ann.say(frame("SUBSCRIBE", f"destination:{to}", f"id:{key}"))
    ann.say(send())
    heard = ann.hear()
    assert sorted(str(each.get("subscription")) for each in heard) == ["1", "2"]
    assert {each.get("destination") for each in heard} == {"/topic/a"}


# --- UNSUBSCRIBE ------------------------------------------------------------------------------


@clause(
    "UNSUBSCRIBE",
    "The UNSUBSCRIBE command is used to remove an existing subscription - to no longer receive"
    " messages from that destination.",
)
def test_nothing_comes_after_unsubscribe() -> None:
    ann = joined(V)
    ann.say(LISTEN, send(b"1"))
    assert ann.bodies() == [b"1"]
    assert ann.ask(frame("UNSUBSCRIBE", "destination: /topic/a", "receipt:r")) == receipt("r")
    assert ann.ask(send(b"2")) == b""


@clause(
    "UNSUBSCRIBE",
    "It requires either a destination header or an id header (if the previous SUBSCRIBE operation"
    " passed an id value).",
    kept="by its destination alone one that has an id can be ended too, after one that has none",
)
def test_unsubscribe_needs_a_destination_or_an_id() -> None:
    ann = joined(V)
    assert ann.ask(LISTEN, frame("UNSUBSCRIBE", "destination:/topic/a"), send()) == b""
    with_id = frame("SUBSCRIBE", "destination:/topic/a", "id:1")
    assert ann.ask(with_id, frame("UNSUBSCRIBE", "id:1"), send()) == b""
    assert ann.ask(with_id, frame("UNSUBSCRIBE", "destination:/topic/a"), send()) == b""
    twice = (with_id, LISTEN, frame("UNSUBSCRIBE", "destination:/topic/a"), send())
    assert [each.get("subscription") for each in split(ann.ask(*twice))] == ["1"]
    for lines in ((), ("id:2",), ("destination:1",), ("destination:/topic/b",)):
        bob = joined(V)
        bob.say(with_id)
        error = bob.error(frame("UNSUBSCRIBE", *lines))
        assert error.get("error-code") in ("protocol-violation", "malformed-frame")
