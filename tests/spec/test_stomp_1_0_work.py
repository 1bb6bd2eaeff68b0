"""STOMP 1.0: transactions, acknowledgements, and the end."""

from __future__ import annotations

from tests.spec.clauses import Document
from tests.spec.peer import (
    Heard,
    Peer,
    World,
    connect,
    duet,
    frame,
    joined,
    send,
)

clause = Document("STOMP 1.0")
V = "1.0"
BEGIN = frame("BEGIN", "transaction: t")
COMMIT = frame("COMMIT", "transaction: t")
ABORT = frame("ABORT", "transaction: t")
LISTEN = frame("SUBSCRIBE", "destination:/topic/a")


def receipt(receipt_id: str) -> bytes:
    """Our RECEIPT, whole; a line feed follows every frame of 1.0 but ERROR."""
    return b"RECEIPT\nreceipt-id:" + receipt_id.encode() + b"\n\n\0\n"


def consumer(*bodies: bytes) -> tuple[Peer, list[Heard]]:
    """A peer that acknowledges what it gets from a queue, and the messages that it has got."""
    ann = joined(V)
    ann.say(frame("SUBSCRIBE", "destination:/queue/a", "ack:client"))
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


# --- BEGIN ------------------------------------------------------------------------------------


@clause("BEGIN", "BEGIN is used to start a transaction.")
def test_begin_starts_a_transaction() -> None:
    assert joined(V).error(send(b"x", "transaction:t")).get("error-code") == "protocol-violation"
    answer = joined(V).ask(BEGIN, send(b"x", "transaction:t", "receipt:r"))
    assert answer == receipt("r")


@clause(
    "BEGIN",
    "Transactions in this case apply to sending and acknowledging - any messages sent or"
    " acknowledged during a transaction will be handled atomically based on the transaction.",
    kept="nothing of one that cannot be committed whole is done; one that its session did not"
    " commit is aborted",
)
def test_a_transaction_is_done_whole_or_not_at_all() -> None:
    ann, bob = duet(V)
    ann.say(BEGIN, send(b"1", "transaction:t"), send(b"2", "transaction:t"))
    assert bob.bodies() == []
    ann.say(COMMIT)
    assert bob.bodies() == [b"1", b"2"]
    ann.error(BEGIN, send(b"x", "transaction:t"), send(b"y", "transaction:t", to="no"), COMMIT)
    carl = ann.world.connect(V)
    carl.say(BEGIN, send(b"z", "transaction:t"))
    carl.leave()
    assert bob.bodies() == []


@clause(
    "BEGIN",
    "The transaction header is required, and the transaction identifier will be used for SEND,"
    " COMMIT, ABORT, and ACK frames to bind them to the named transaction.",
)
def test_frames_are_bound_to_the_transaction_that_they_name() -> None:
    assert joined(V).error(frame("BEGIN")).get("error-code") == "malformed-frame"
    ann, bob = duet(V)
    ann.say(BEGIN, frame("BEGIN", "transaction:u"))
    ann.say(send(b"t", "transaction:t"), send(b"u", "transaction:u"))
    ann.say(frame("COMMIT", "transaction:u"))
    assert bob.bodies() == [b"u"]
    ann.say(COMMIT)
    assert bob.bodies() == [b"t"]
    assert ann.error(BEGIN, BEGIN).get("error-code") == "protocol-violation"


# --- COMMIT -----------------------------------------------------------------------------------


@clause("COMMIT", "COMMIT is used to commit a transaction in progress.")
def test_commit_does_the_work_and_then_confirms_it() -> None:
    ann = joined(V)
    ann.say(LISTEN, BEGIN, send(b"1", "transaction:t"), send(b"2", "transaction:t"))
    ann.say(frame("COMMIT", "transaction:t", "receipt:r"))
    assert [each.body or each.get("receipt-id") for each in ann.hear()] == [b"1", b"2", "r"]


@clause(
    "COMMIT",
    "The transaction header is required, you must specify which transaction to commit!",
)
def test_commit_needs_the_name_of_an_open_transaction() -> None:
    assert joined(V).error(frame("COMMIT")).get("error-code") == "malformed-frame"
    assert joined(V).error(COMMIT).get("error-code") == "protocol-violation"


# --- ACK --------------------------------------------------------------------------------------


@clause(
    "ACK",
    "ACK is used to acknowledge consumption of a message from a subscription using client"
    " acknowledgment.",
    kept="together with all that its subscription got before, as in 1.1",
)
def test_ack_consumes() -> None:
    ann, (_, second, _) = consumer(b"1", b"2", b"3")
    lines = (f"message-id: {second.get('message-id')}", "receipt:r")
    assert ann.ask(frame("ACK", *lines)) == receipt("r")
    assert left_over(ann) == [b"3"]


@clause(
    "ACK",
    "When a client has issued a SUBSCRIBE frame with the ack header set to client any messages"
    " received from that destination will not be considered to have been consumed (by the server)"
    " until the message has been acknowledged via an ACK.",
)
def test_without_ack_nothing_is_consumed() -> None:
    ann, _ = consumer(b"1", b"2")
    ann.world.wait(3600)
    ann.say(frame("DISCONNECT"))
    assert left_over(ann) == [b"1", b"2"]


@clause(
    "ACK",
    "ACK has one required header, message-id, which must contain a value matching the message-id"
    " for the MESSAGE being acknowledged.",
    looser="in `client` mode an ACK for a message that does not wait for one is passed over",
)
def test_ack_needs_the_id_of_a_message() -> None:
    ann, (message,) = consumer(b"x")
    assert message.get("ack") is None
    assert ann.error(frame("ACK", "id:1", "subscription:1")).get("error-code") == "malformed-frame"
    assert left_over(ann) == [b"x"]
    bob = joined(V)
    bob.say(frame("SUBSCRIBE", "destination:/queue/a"), send(to="/queue/a"))
    (message,) = bob.hear()
    error = bob.error(frame("ACK", f"message-id:{message.get('message-id')}"))
    assert error.get("error-code") == "protocol-violation"
    carl, (message, later) = consumer(b"1", b"2")
    for each in (later, message):
        carl.say(frame("ACK", f"message-id:{each.get('message-id')}"))
    assert left_over(carl) == []


@clause(
    "ACK",
    "Additionally, a transaction header may be specified, indicating that the message"
    " acknowledgment should be part of the named transaction.",
)
def test_ack_may_wait_for_a_commit() -> None:
    for end, left in ((COMMIT, []), (ABORT, [b"x"])):
        ann, (message,) = consumer(b"x")
        ann.say(BEGIN, frame("ACK", f"message-id:{message.get('message-id')}", "transaction:t"))
        ann.say(end)
        assert left_over(ann) == left


@clause("ACK", "The transaction header is optional.")
def test_ack_needs_no_transaction() -> None:
    ann, (message,) = consumer(b"x")
    ann.say(frame("ACK", f"message-id:{message.get('message-id')}"))
    assert left_over(ann) == []


# --- ABORT ------------------------------------------------------------------------------------


@clause("ABORT", "ABORT is used to roll back a transaction in progress.")
def test_abort_forgets_the_transaction() -> None:
    ann, bob = duet(V)
    ann.say(BEGIN, send(b"x", "transaction:t"), ABORT, BEGIN, COMMIT)
    assert bob.bodies() == []


@clause(
    "ABORT",
    "The transaction header is required, you must specify which transaction to abort!",
)
def test_abort_needs_the_name_of_an_open_transaction() -> None:
    assert joined(V).error(frame("ABORT")).get("error-code") == "malformed-frame"
    assert joined(V).error(ABORT).get("error-code") == "protocol-violation"


# --- DISCONNECT -------------------------------------------------------------------------------


@clause(
    "DISCONNECT",
    "DISCONNECT does a graceful disconnect from the server.",
    kept="nothing counts after it",
)
def test_disconnect_ends_in_peace() -> None:
    ann, bob = duet(V)
    ann.say(send(b"1"), frame("DISCONNECT"), send(b"2", "receipt:r"))
    assert ann.raw() == b""
    assert ann.is_over()
    close = ann.close()
    assert close is not None
    assert close.code == 1000
    assert bob.bodies() == [b"1"]


@clause("DISCONNECT", "It is quite polite to use this before closing the socket.")
def test_a_closed_socket_is_no_error() -> None:
    ann = joined(V)
    ann.say(LISTEN)
    ann.leave()
    assert ann.raw() == b""
    assert ann.is_closed()
    assert len(ann.world.hub) == len(ann.world.hub.broker) == 0


# --- Receipt ----------------------------------------------------------------------------------


@clause(
    "Receipt",
    "Any client frame other than CONNECT may specify a receipt header with an arbitrary value.",
    stricter="a CONNECT with a `receipt` is refused",
)
def test_every_frame_but_connect_may_ask_for_a_receipt() -> None:
    ann, (message,) = consumer(b"x")
    for number, each in enumerate(
        (
            ("SUBSCRIBE", "destination:/topic/a"),
            ("UNSUBSCRIBE", "destination:/topic/a"),
            ("SEND", "destination:/topic/a"),
            ("ACK", f"message-id:{message.get('message-id')}"),
            ("BEGIN", "transaction:t"),
            ("SEND", "destination:/topic/a", "transaction:t"),
            ("COMMIT", "transaction:t"),
            ("BEGIN", "transaction:t"),
            ("ABORT", "transaction:t"),
            ("DISCONNECT",),
        )
    ):
        value = f"{each[0]}: if you please #{number}"
        assert ann.ask(frame(*each, f"receipt: {value}")) == receipt(value)
    error = World().open().error(connect(None, "receipt:r"))
    assert error.get("error-code") == "protocol-violation"


@clause(
    "Receipt",
    "This will cause the server to acknowledge receipt of the frame with a RECEIPT frame which"
    " contains the value of this header as the value of the receipt-id header in the RECEIPT"
    " packet.",
)
def test_a_receipt_names_its_frame() -> None:
    assert joined(V).ask(send(b"Hello a!", "receipt:message-12345")) == (
        b"RECEIPT\nreceipt-id:message-12345\n\n\0\n"
    )
