"""STOMP 1.1: acknowledging what a queue has delivered, or refusing it."""

from __future__ import annotations

from tests.spec.clauses import Document
from tests.spec.peer import Heard, Peer, duet, frame, joined, receipt, send, subscribe

clause = Document("STOMP 1.1")
V = "1.1"
QUEUE = "/queue/a"


def ack(message: Heard, *lines: str, command: str = "ACK") -> bytes:
    """ACK or NACK as 1.1 names it."""
    names = (
        f"message-id:{message.get('message-id')}",
        f"subscription:{message.get('subscription')}",
    )
    return frame(command, *names, *lines)


def consumer(mode: str, *bodies: bytes, **limits: int) -> tuple[Peer, list[Heard]]:
    """A peer that listens to the queue in this mode, and the messages that it has got from it."""
    ann = joined(V, **limits)
    ann.say(subscribe("0", f"ack:{mode}", to=QUEUE), *(send(each, to=QUEUE) for each in bodies))
    messages = ann.hear()
    assert [each.body for each in messages] == list(bodies)
    return ann, messages


def left_over(peer: Peer) -> list[Heard]:
    """What another consumer gets once `peer` has gone."""
    peer.leave()
    heir = peer.world.connect(V)
    heir.say(subscribe(to=QUEUE))
    return heir.hear()


def bodies_left(peer: Peer) -> list[bytes]:
    return [each.body for each in left_over(peer)]


# --- SUBSCRIBE ack Header ---------------------------------------------------------------------


@clause(
    "SUBSCRIBE ack Header",
    "The valid values for the `ack` header are `auto`, `client`, or `client-individual`.",
)
def test_there_are_three_modes() -> None:
    ann = joined(V)
    for mode in ("auto", "client", "client-individual"):
        line = f"receipt:{mode}"
        assert ann.ask(subscribe(mode, f"ack:{mode}", line, to=QUEUE)) == receipt(mode)
    for mode in ("", "Client", "none"):
        error = joined(V).error(subscribe("0", f"ack:{mode}", "receipt:r"))
        assert (error.get("error-code"), error.get("receipt-id")) == ("protocol-violation", "r")


@clause("SUBSCRIBE ack Header", "If the header is not set, it defaults to `auto`.")
def test_the_default_is_auto() -> None:
    ann = joined(V)
    ann.say(subscribe("0", to=QUEUE), send(to=QUEUE))
    assert ann.get().get("ack") is None
    assert left_over(ann) == []


@clause(
    "SUBSCRIBE ack Header",
    "When the `ack` mode is `auto`, then the client does not need to send the server `ACK` frames"
    " for the messages it receives.",
)
def test_auto_needs_no_ack() -> None:
    bodies = [str(number).encode() for number in range(20)]
    ann, messages = consumer("auto", *bodies, unacknowledged=3)
    assert [each.get("ack") for each in messages] == [None] * 20
    assert left_over(ann) == []


@clause(
    "SUBSCRIBE ack Header",
    "The server will assume the client has received the message as soon as it sends it to the"
    " client.",
    kept="it counts as sent once its bytes were handed to the transport; until then it goes back to"
    " the queue",
)
def test_auto_takes_what_was_sent_for_received() -> None:
    ann, _ = consumer("auto", b"sent")
    ann.is_reading = False
    ann.say(send(b"unsent", to=QUEUE))
    assert bodies_left(ann) == [b"unsent"]


@clause(
    "SUBSCRIBE ack Header",
    "This acknowledgment mode can cause messages being transmitted to the client to get dropped.",
)
def test_auto_loses_what_was_on_the_wire() -> None:
    ann, _ = consumer("auto", b"1", b"2")
    assert left_over(ann) == []


@clause(
    "SUBSCRIBE ack Header",
    "When the `ack` mode is `client`, then the client MUST send the server `ACK` frames for the"
    " messages it processes.",
    kept="past `Limits.unacknowledged`, 1000, a subscription gets nothing more until one comes",
)
def test_client_mode_stalls_without_acks() -> None:
    ann, (_, second) = consumer("client", b"1", b"2", unacknowledged=2)
    ann.say(send(b"3", to=QUEUE), send(b"4", to=QUEUE), send(b"5", to=QUEUE))
    assert ann.bodies() == []
    ann.say(ack(second))
    assert ann.bodies() == [b"3", b"4"]


@clause(
    "SUBSCRIBE ack Header",
    "If the connection fails before a client sends an `ACK` for the message the server will assume"
    " the message has not been processed and MAY redeliver the message to another client.",
    kept="in the order of the queue, with `redelivered:true`",
)
def test_a_lost_client_gives_its_messages_back() -> None:
    ann, messages = consumer("client", b"1", b"2")
    assert [each.get("redelivered") for each in messages] == [None, None]
    again = left_over(ann)
    assert [(each.body, each.get("redelivered")) for each in again] == [
        *((b"1", "true"), (b"2", "true"))
    ]
    assert [each.get("message-id") for each in again] == [
        each.get("message-id") for each in messages
    ]


@clause(
    "SUBSCRIBE ack Header",
    "The `ACK` frames sent by the client will be treated as a cumulative `ACK`.",
)
def test_client_mode_acknowledges_cumulatively() -> None:
    ann, messages = consumer("client", b"1", b"2", b"3")
    assert ann.ask(ack(messages[-1], "receipt:r")) == receipt("r")
    assert left_over(ann) == []


@clause(
    "SUBSCRIBE ack Header",
    "This means the `ACK` operates on the message specified in the `ACK` frame and all messages"
    " sent to the subscription before the `ACK`-ed message.",
)
def test_an_ack_covers_its_message_and_those_before_on_its_subscription() -> None:
    ann, messages = consumer("client", b"1", b"2", b"3")
    ann.say(subscribe("1", "ack:client", to="/queue/b"), send(b"other", to="/queue/b"))
    assert ann.bodies() == [b"other"]
    ann.say(ack(messages[1]))
    heir = ann.world.connect(V)
    ann.leave()
    heir.say(subscribe("0", to=QUEUE), subscribe("1", to="/queue/b"))
    assert heir.bodies() == [b"3", b"other"]


@clause(
    "SUBSCRIBE ack Header",
    "When the `ack` mode is `client-individual`, the ack mode operates just like the `client` ack"
    " mode except that the `ACK` or `NACK` frames sent by the client are not cumulative.",
)
def test_client_individual_acknowledges_one_by_one() -> None:
    ann, (first, _, third) = consumer("client-individual", b"1", b"2", b"3")
    ann.say(ack(first), ack(third))
    assert bodies_left(ann) == [b"2"]


@clause(
    "SUBSCRIBE ack Header",
    "This means that an `ACK` or `NACK` for a subsequent message MUST NOT cause a previous message"
    " to get acknowledged.",
)
def test_client_individual_leaves_what_came_before() -> None:
    ann, messages = consumer("client-individual", b"1", b"2", b"3")
    ann.say(ack(messages[2]))
    assert bodies_left(ann) == [b"1", b"2"]
    ann, messages = consumer("client-individual", b"1", b"2", b"3")
    ann.say(ack(messages[2], command="NACK"))
    assert ann.bodies() == [b"3"]
    assert bodies_left(ann) == [b"1", b"2", b"3"]


# --- UNSUBSCRIBE ------------------------------------------------------------------------------


@clause(
    "UNSUBSCRIBE",
    "The `UNSUBSCRIBE` frame is used to remove an existing subscription.",
    kept="what it had not acknowledged goes back to its queue",
)
def test_unsubscribe_ends_a_subscription_and_no_other() -> None:
    ann, _ = consumer("client", b"x")
    ann.say(subscribe("1"))
    assert ann.ask(frame("UNSUBSCRIBE", "id:0", "receipt:r")) == receipt("r")
    ann.say(send(b"topic"))
    assert ann.bodies() == [b"topic"]
    bob = ann.world.connect(V)
    bob.say(subscribe(to=QUEUE))
    assert bob.bodies() == [b"x"]


@clause(
    "UNSUBSCRIBE",
    "Once the subscription is removed the STOMP connections will no longer receive messages from"
    " that destination.",
    kept="nor what waited to be written; of a queue, it goes back",
)
def test_nothing_comes_after_unsubscribe() -> None:
    ann, bob = duet(V)
    bob.is_reading = False
    ann.say(send(b"on its way"))
    bob.say(frame("UNSUBSCRIBE", "id:0", "receipt:r"))
    ann.say(send(b"too late"))
    bob.is_reading = True
    assert bob.raw() == receipt("r")


@clause(
    "UNSUBSCRIBE",
    "It requires that the `id` header matches the `id` value of previous `SUBSCRIBE` operation.",
)
def test_unsubscribe_needs_the_id_of_a_subscription() -> None:
    ann = joined(V)
    ann.say(subscribe())
    error = ann.error(frame("UNSUBSCRIBE", "destination:/topic/a", "receipt:r"))
    assert (error.get("error-code"), error.get("receipt-id")) == ("malformed-frame", "r")
    bob = joined(V)
    assert bob.ask(subscribe(), frame("UNSUBSCRIBE", "id:0")) == b""
    assert bob.error(frame("UNSUBSCRIBE", "id:0")).get("error-code") == "protocol-violation"


# --- ACK --------------------------------------------------------------------------------------


@clause(
    "ACK",
    "`ACK` is used to acknowledge consumption of a message from a subscription using `client` or"
    " `client-individual` acknowledgment.",
)
def test_ack_consumes() -> None:
    for mode in ("client", "client-individual"):
        ann, (message,) = consumer(mode, b"x")
        assert ann.ask(ack(message, "receipt:r")) == receipt("r")
        assert left_over(ann) == []


@clause(
    "ACK",
    "Any messages received from such a subscription will not be considered to have been consumed"
    " until the message has been acknowledged via an `ACK` or a `NACK`.",
    kept="a NACK does not consume either: the message goes back to its queue",
)
def test_without_ack_nothing_is_consumed() -> None:
    for mode in ("client", "client-individual"):
        ann, _ = consumer(mode, b"1", b"2")
        ann.world.wait(3600)
        assert ann.ask(frame("DISCONNECT", "receipt:r")) == receipt("r")
        assert bodies_left(ann) == [b"1", b"2"]


@clause(
    "ACK",
    "`ACK` has two REQUIRED headers: `message-id`, which MUST contain a value matching the"
    " `message-id` for the `MESSAGE` being acknowledged and `subscription`, which MUST be set to"
    " match the value of the subscription's `id` header.",
    looser="in `client` mode an ACK for a message that does not wait for one is passed over",
)
def test_ack_needs_a_message_and_its_subscription() -> None:
    ann, (message,) = consumer("client", b"x")
    missing = ann.error(frame("ACK", f"message-id:{message.get('message-id')}", "receipt:r"))
    assert (missing.get("error-code"), missing.get("receipt-id")) == ("malformed-frame", "r")
    assert bodies_left(ann) == [b"x"]
    for names in (("message-id:none", "subscription:0"), ("message-id:{}", "subscription:1")):
        bob, (message,) = consumer("client-individual", b"x")
        bob.say(subscribe("1", "ack:client-individual", to="/queue/b"))
        lines = [each.format(message.get("message-id")) for each in names]
        unknown = bob.error(frame("ACK", *lines, "receipt:r"))
        assert (unknown.get("error-code"), unknown.get("receipt-id")) == ("protocol-violation", "r")
        assert bodies_left(bob) == [b"x"]
    carl, (message, later) = consumer("client", b"1", b"2")
    assert carl.ask(ack(later), ack(message, "receipt:r")) == receipt("r")


@clause(
    "ACK",
    "Optionally, a `transaction` header MAY be specified, indicating that the message"
    " acknowledgment SHOULD be part of the named transaction.",
)
def test_ack_may_wait_for_a_commit() -> None:
    for end, left in (("COMMIT", []), ("ABORT", [b"x"])):
        ann, (message,) = consumer("client", b"x")
        ann.say(frame("BEGIN", "transaction:tx1"))
        assert ann.ask(ack(message, "transaction:tx1", "receipt:r")) == receipt("r")
        ann.say(frame(end, "transaction:tx1"))
        assert bodies_left(ann) == left, end


# --- NACK -------------------------------------------------------------------------------------


@clause("NACK", "`NACK` is the opposite of `ACK`.")
def test_nack_does_not_consume() -> None:
    ann, (message,) = consumer("client-individual", b"x")
    ann.say(ack(message, command="NACK"))
    assert bodies_left(ann) == [b"x"]


@clause("NACK", "It is used to tell the server that the client did not consume the message.")
def test_a_nacked_message_is_marked_as_redelivered() -> None:
    ann, (message,) = consumer("client", b"x")
    ann.say(ack(message, command="NACK"))
    again = ann.get()
    assert again.get("message-id") == message.get("message-id")
    assert again.get("redelivered") == "true"


@clause(
    "NACK",
    "The server can then either send the message to a different client, discard it, or put it in a"
    " dead letter queue.",
    kept="it goes back to its place in the queue; after `Limits.deliveries`, 5, to"
    " `/queue/dead-letters`",
)
def test_what_is_nacked_too_often_is_a_dead_letter() -> None:
    ann, (message,) = consumer("client", b"x", deliveries=3)
    for _ in range(2):
        ann.say(ack(message, command="NACK"))
        message = ann.get()
    ann.say(ack(message, command="NACK"))
    assert ann.bodies() == []
    ann.say(subscribe("dead", to="/queue/dead-letters"))
    dead = ann.get()
    assert (dead.body, dead.get("original-destination")) == (b"x", QUEUE)
    assert dead.get("dead-letter-reason")


@clause(
    "NACK",
    "The exact behavior is server specific.",
    kept="ours takes part in the order: what comes back goes before what has never been delivered",
)
def test_nacked_messages_come_back_in_their_order() -> None:
    ann, messages = consumer("client", b"1", b"2", b"3", unacknowledged=3)
    ann.say(send(b"4", to=QUEUE))
    ann.say(ack(messages[1], command="NACK"))
    assert bodies_left(ann) == [b"1", b"2", b"3", b"4"]


@clause(
    "NACK",
    "`NACK` takes the same headers as `ACK`: `message-id` (mandatory), `subscription` (mandatory)"
    " and `transaction` (OPTIONAL).",
)
def test_nack_needs_both_names_and_may_wait_for_a_commit() -> None:
    ann, (message,) = consumer("client", b"x")
    ann.say(frame("BEGIN", "transaction:t"), ack(message, "transaction:t", command="NACK"))
    assert ann.bodies() == []
    ann.say(frame("COMMIT", "transaction:t"))
    assert ann.bodies() == [b"x"]
    error = ann.error(frame("NACK", f"message-id:{message.get('message-id')}"))
    assert error.get("error-code") == "malformed-frame"
    assert joined(V).error(frame("NACK", "subscription:0")).get("error-code") == "malformed-frame"


@clause(
    "NACK",
    "`NACK` applies either to one single message (if the subscription's ack mode is"
    " `client-individual`) or to all messages sent before and not yet `ACK`'ed or `NACK`'ed.",
)
def test_nack_is_cumulative_in_client_mode_alone() -> None:
    for mode, again in (("client", [b"2", b"3"]), ("client-individual", [b"3"])):
        ann, messages = consumer(mode, b"1", b"2", b"3", b"4")
        ann.say(ack(messages[0]), ack(messages[2], command="NACK"))
        assert ann.bodies() == again, mode
