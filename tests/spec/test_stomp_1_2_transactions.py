"""STOMP 1.2: transactions, and DISCONNECT."""

from __future__ import annotations

from tests.spec.clauses import Document
from tests.spec.peer import Doorman, World, duet, frame, joined, receipt, send, subscribe

clause = Document("STOMP 1.2")
V = "1.2"
BEGIN = frame("BEGIN", "transaction:t")
COMMIT = frame("COMMIT", "transaction:t")
ABORT = frame("ABORT", "transaction:t")


# --- BEGIN ------------------------------------------------------------------------------------


@clause("BEGIN", "`BEGIN` is used to start a transaction.")
def test_begin_starts_a_transaction() -> None:
    ann, bob = duet(V)
    assert ann.error(send(b"x", "transaction:t")).get("error-code") == "protocol-violation"
    assert bob.ask(BEGIN, send(b"x", "transaction:t", "receipt:r")) == receipt("r")


@clause(
    "BEGIN",
    "Transactions in this case apply to sending and acknowledging - any messages sent or"
    " acknowledged during a transaction will be processed atomically based on the transaction.",
    kept="nothing of one that cannot be committed whole is done",
)
def test_a_transaction_is_done_whole_or_not_at_all() -> None:
    ann, bob = duet(V, queue_messages=1)
    carl = ann.world.connect(V)
    ann.say(BEGIN, send(b"1", "transaction:t"), send(b"free"), send(b"2", "transaction:t"))
    assert bob.bodies() == [b"free"]
    ann.say(COMMIT)
    assert bob.bodies() == [b"1", b"2"]
    ann.error(BEGIN, send(b"x", "transaction:t"), send(b"y", "transaction:t", to="no"), COMMIT)
    assert bob.bodies() == []
    full = [send(each, "transaction:t", to="/queue/a") for each in (b"1", b"2")]
    error = carl.error(BEGIN, send(b"x", "transaction:t"), *full, COMMIT)
    assert error.get("error-code") == "limit-exceeded"
    bob.say(subscribe("1", "ack:client-individual", to="/queue/a"))
    assert bob.bodies() == []
    ann = bob.world.connect(V)
    ann.say(send(b"once", to="/queue/a"))
    ack = frame("ACK", f"id:{bob.get().get('ack')}", "transaction:t")
    bob.error(BEGIN, ack, send(b"x", "transaction:t"), ack, COMMIT)
    ann.say(subscribe("1", "ack:client", to="/queue/a"))
    message = ann.get()
    assert message.body == b"once"
    ack = frame("ACK", f"id:{message.get('ack')}", "transaction:t")
    ann.error(BEGIN, ack, send(b"x", "transaction:t", to="no"), COMMIT)
    carl = bob.world.connect(V)
    carl.say(subscribe("1", to="/queue/a"))
    assert carl.bodies() == [b"once"]


@clause(
    "BEGIN",
    "The `transaction` header is REQUIRED, and the transaction identifier will be used for `SEND`,"
    " `COMMIT`, `ABORT`, `ACK`, and `NACK` frames to bind them to the named transaction.",
)
def test_frames_are_bound_to_the_transaction_that_they_name() -> None:
    error = joined(V).error(frame("BEGIN", "receipt:r"))
    assert (error.get("error-code"), error.get("receipt-id")) == ("malformed-frame", "r")
    ann, bob = duet(V)
    ann.say(BEGIN, frame("BEGIN", "transaction:u"))
    ann.say(send(b"t", "transaction:t"), send(b"u", "transaction:u"))
    ann.say(frame("COMMIT", "transaction:u"))
    assert bob.bodies() == [b"u"]
    ann.say(COMMIT)
    assert bob.bodies() == [b"t"]


@clause(
    "BEGIN",
    "Within the same connection, different transactions MUST use different transaction"
    " identifiers.",
    kept="a second BEGIN is an ERROR; a name is free again after COMMIT or ABORT",
)
def test_a_name_is_used_once_at_a_time() -> None:
    ann, bob = duet(V)
    assert ann.ask(BEGIN) + bob.ask(BEGIN) == b""
    assert ann.ask(COMMIT, BEGIN, ABORT, BEGIN) == b""
    error = ann.error(frame("BEGIN", "transaction:t", "receipt:r"))
    assert (error.get("error-code"), error.get("receipt-id")) == ("protocol-violation", "r")


@clause(
    "BEGIN",
    "Any started transactions which have not been committed will be implicitly aborted if the"
    " client sends a `DISCONNECT` frame or if the TCP connection fails for any reason.",
)
def test_the_end_of_a_session_aborts_its_transactions() -> None:
    ann, bob = duet(V)
    ann.say(BEGIN, send(b"x", "transaction:t"))
    ann.say(frame("DISCONNECT"), COMMIT)
    carl = ann.world.connect(V)
    carl.say(BEGIN, send(b"y", "transaction:t"))
    carl.leave()
    assert bob.bodies() == []
    dora = ann.world.connect(V)
    assert dora.error(COMMIT).get("error-code") == "protocol-violation"
    assert bob.bodies() == []


# --- COMMIT -----------------------------------------------------------------------------------


@clause(
    "COMMIT",
    "`COMMIT` is used to commit a transaction in progress.",
    kept="its RECEIPT comes after the work; a token that has run out by then commits nothing",
)
def test_commit_does_the_work_and_then_confirms_it() -> None:
    world = World(doorman=Doorman(60))
    ann = world.connect(V)
    ann.say(subscribe(), BEGIN, send(b"1", "transaction:t"), send(b"2", "transaction:t"))
    ann.say(frame("COMMIT", "transaction:t", "receipt:r"))
    assert [each.body or each.get("receipt-id") for each in ann.hear()] == [b"1", b"2", "r"]
    world.wait(59)
    bob = world.connect(V)
    bob.say(subscribe())
    ann.say(BEGIN, send(b"late", "transaction:t"))
    world.now += 1
    error = ann.error(frame("COMMIT", "transaction:t", "receipt:r"))
    assert (error.get("error-code"), error.get("receipt-id")) == ("token-expired", "r")
    assert bob.bodies() == []


@clause(
    "COMMIT",
    "The `transaction` header is REQUIRED and MUST specify the identifier of the transaction to"
    " commit.",
)
def test_commit_needs_the_name_of_an_open_transaction() -> None:
    error = joined(V).error(frame("COMMIT", "receipt:r"))
    assert (error.get("error-code"), error.get("receipt-id")) == ("malformed-frame", "r")
    ann = joined(V)
    assert ann.ask(BEGIN, COMMIT) == b""
    error = ann.error(frame("COMMIT", "transaction:t", "receipt:r"))
    assert (error.get("error-code"), error.get("receipt-id")) == ("protocol-violation", "r")


# --- ABORT ------------------------------------------------------------------------------------


@clause("ABORT", "`ABORT` is used to roll back a transaction in progress.")
def test_abort_forgets_the_transaction() -> None:
    ann, bob = duet(V)
    ann.say(BEGIN, send(b"x", "transaction:t"))
    assert ann.ask(frame("ABORT", "transaction:t", "receipt:r")) == receipt("r")
    ann.say(BEGIN, COMMIT)
    assert bob.bodies() == []


@clause(
    "ABORT",
    "The `transaction` header is REQUIRED and MUST specify the identifier of the transaction to"
    " abort.",
)
def test_abort_needs_the_name_of_an_open_transaction() -> None:
    error = joined(V).error(frame("ABORT", "receipt:r"))
    assert (error.get("error-code"), error.get("receipt-id")) == ("malformed-frame", "r")
    error = joined(V).error(frame("ABORT", "transaction:t", "receipt:r"))
    assert (error.get("error-code"), error.get("receipt-id")) == ("protocol-violation", "r")


# --- DISCONNECT -------------------------------------------------------------------------------


@clause(
    "DISCONNECT",
    "A client can disconnect from the server at anytime by closing the socket but there is no"
    " guarantee that the previously sent frames have been received by the server.",
    kept="whole frames that have come are done, half of one is not",
)
def test_a_closed_socket_ends_the_session_without_an_error() -> None:
    ann, bob = duet(V)
    ann.say(subscribe(to="/topic/b"), send(b"whole"), send(b"half")[:-1])
    ann.leave()
    assert ann.raw() == b""
    assert ann.is_closed()
    assert bob.bodies() == [b"whole"]
    assert len(ann.world.hub) == len(ann.world.hub.broker) == 1


@clause(
    "DISCONNECT",
    "To do a graceful shutdown, where the client is assured that all previous frames have been"
    " received by the server, the client SHOULD:",
)
def test_everything_before_disconnect_is_done_first() -> None:
    ann, bob = duet(V)
    ann.say(*(send(b"x", f"receipt:{number}") for number in range(5)))
    ann.say(send(b"last"), frame("DISCONNECT", "receipt:77"))
    assert [each.get("receipt-id") for each in ann.hear()] == ["0", "1", "2", "3", "4", "77"]
    assert bob.bodies() == [b"x"] * 5 + [b"last"]


@clause("DISCONNECT", "send a `DISCONNECT` frame with a `receipt` header set.")
def test_disconnect_with_a_receipt_gets_it_as_the_last_frame() -> None:
    ann = joined(V)
    ann.say(subscribe())
    assert ann.ask(frame("DISCONNECT", "receipt:77"), send(), b"\n\n") == receipt("77")
    assert ann.is_over()


@clause("DISCONNECT", "wait for the `RECEIPT` frame response to the `DISCONNECT`.")
def test_disconnect_without_a_receipt_gets_no_answer() -> None:
    ann = joined(V)
    assert ann.ask(frame("DISCONNECT")) == b""
    assert ann.is_over()
    close = ann.close()
    assert close is not None
    assert (close.code, close.reason) == (1000, "")


@clause("DISCONNECT", "close the socket.")
def test_once_the_client_closes_its_socket_ours_is_closed() -> None:
    ann = joined(V)
    ann.say(frame("DISCONNECT", "receipt:77"))
    assert not ann.is_closed()
    ann.leave()
    assert ann.is_closed()


@clause(
    "DISCONNECT",
    "Note that, if the server closes its end of the socket too quickly, the client might never"
    " receive the expected `RECEIPT` frame.",
    kept="we only half-close, and wait for the client up to `Limits.close_timeout`",
)
def test_the_server_waits_for_the_client_to_close() -> None:
    ann = joined(V)
    ann.say(frame("DISCONNECT", "receipt:77"))
    assert ann.has_sent_all()
    ann.world.wait(4.9)
    assert not ann.is_closed()
    ann.world.wait(0.1)
    assert ann.is_closed()


@clause(
    "DISCONNECT",
    "Clients MUST NOT send any more frames after the `DISCONNECT` frame is sent.",
    kept="what still comes is thrown away unread",
)
def test_nothing_counts_after_disconnect() -> None:
    ann, bob = duet(V)
    ann.say(frame("DISCONNECT", "receipt:77"), send(b"same piece"), b"garbage\0")
    ann.say(send(b"later", "receipt:r"))
    assert ann.raw() == receipt("77")
    assert bob.bodies() == []
