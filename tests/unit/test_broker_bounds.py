"""What queues give up: dead letters, and what there is no room for."""

from __future__ import annotations

import pytest
from tests.unit.queues import CLIENT, EACH, Q, ack, bodies, listen, nack, put, take, waiting

from stompcore import ErrorCode, Headers, Limits, RemoteProtocolError
from stompcore._events import AckMode
from stompcore.broker import DEAD_LETTERS, Broker

# --- dead letters ---------------------------------------------------------------------------------


def test_a_message_is_given_up_after_the_limit() -> None:
    broker = Broker(Limits(deliveries=3))
    listen(broker, "s", EACH)
    broker.publish(Q, Headers({"colour": "red"}), b"bad")
    for attempt in range(3):
        (delivery,) = take(broker)
        assert delivery.is_redelivered is (attempt > 0)
        nack(broker, delivery)
    assert take(broker) == []
    assert broker.dead_letters == 1
    listen(broker, "d", to=DEAD_LETTERS)
    (letter,) = take(broker)
    assert letter.message.body == b"bad"
    assert letter.message.destination == DEAD_LETTERS
    assert letter.message.message_id != delivery.message.message_id
    assert dict(letter.message.headers) == {
        "original-destination": Q,
        "dead-letter-reason": "nacked",
        "colour": "red",
    }
    assert not letter.is_redelivered
    assert broker.dropped == 0


def test_consumers_that_leave_count_too() -> None:
    broker = Broker(Limits(deliveries=2))
    put(broker, "a")
    for name in ("s1", "s2"):
        listen(broker, name, EACH)
        take(broker)
        broker.drop(name)
    listen(broker, "d", to=DEAD_LETTERS)
    (letter,) = take(broker)
    assert letter.message.headers["dead-letter-reason"] == "not acknowledged"


@pytest.mark.parametrize("mode", [CLIENT, EACH])
def test_the_messages_behind_one_that_is_given_up_are_not_lost(mode: AckMode) -> None:
    broker = Broker(Limits(deliveries=2))
    put(broker, "a")
    listen(broker, "s", mode)
    take(broker)
    broker.drop("s")
    put(broker, *"bc")
    listen(broker, "s", mode)
    assert bodies(take(broker)) == "abc"
    broker.drop("s")  # "a" has failed twice now; nobody else listens to the queue
    assert broker.dead_letters == 1
    listen(broker, "t")
    assert bodies(take(broker)) == "bc"
    broker.drop("t")
    listen(broker, "d", to=DEAD_LETTERS)
    assert bodies(take(broker)) == "a"
    assert waiting(broker) == (0, 0)


def test_what_nobody_wants_even_there_is_dropped() -> None:
    broker = Broker(Limits(deliveries=1))
    listen(broker, "d", EACH, to=DEAD_LETTERS)
    listen(broker, "s", EACH)
    put(broker, "a")
    nack(broker, *take(broker))
    nack(broker, *take(broker))
    assert take(broker) == []
    assert broker.dead_letters == 2
    assert waiting(broker) == (0, 0)


def test_dead_letters_have_a_bound_and_the_oldest_go_first() -> None:
    broker = Broker(Limits(deliveries=1, queue_messages=3))
    listen(broker, "s", EACH)
    for body in "abcde":
        put(broker, body)
        nack(broker, *take(broker))
    assert (broker.queued_messages, broker.dropped) == (3, 2)
    listen(broker, "d", to=DEAD_LETTERS)
    assert bodies(take(broker)) == "cde"
    assert waiting(broker) == (0, 0)


def test_a_dead_letter_that_finds_no_room_is_counted() -> None:
    broker = Broker(Limits(deliveries=1, queues=1))
    listen(broker, "s", EACH)
    put(broker, "a")
    nack(broker, *take(broker))
    assert (broker.dead_letters, broker.dropped) == (1, 1)
    assert waiting(broker) == (0, 0)


# --- bounds ---------------------------------------------------------------------------------------


def refused(broker: Broker, body: str, to: str = Q) -> str:
    before = waiting(broker), broker.queues
    with pytest.raises(RemoteProtocolError) as caught:
        put(broker, body, to=to)
    assert caught.value.error_code is ErrorCode.LIMIT_EXCEEDED
    assert caught.value.close_code == 1008
    assert (waiting(broker), broker.queues) == before
    return caught.value.detail


def test_messages_of_a_queue_are_bounded_with_those_that_are_out() -> None:
    broker = Broker(Limits(queue_messages=3))
    listen(broker, "s", EACH, prefetch="1")
    put(broker, *"abc")
    got = take(broker)
    assert refused(broker, "d") == "The queue is full."
    put(broker, "x", to="/queue/other")
    ack(broker, *got)
    put(broker, "d")


def test_bytes_of_a_queue_are_bounded_with_their_headers() -> None:
    broker = Broker(Limits(queue_size=16))
    put(broker, "12345")
    put(broker, "", colour="12345")
    assert refused(broker, "x") == "The queue is full."
    assert waiting(broker) == (2, 16)


def test_bytes_of_all_queues_are_bounded() -> None:
    broker = Broker(Limits(queues_size=10))
    put(broker, "12345", to="/queue/a")
    put(broker, "1234", to="/queue/b")
    assert refused(broker, "xx", "/queue/c") == "The queue is full."
    put(broker, "x", to="/queue/c")


def test_queues_are_bounded_for_who_sends_and_who_listens() -> None:
    broker = Broker(Limits(queues=2))
    put(broker, "a", to="/queue/a")
    listen(broker, "s", to="/queue/b")
    assert refused(broker, "c", "/queue/c") == "There are too many queues."
    with pytest.raises(RemoteProtocolError, match="too many queues"):
        listen(broker, "t", to="/queue/c")
    listen(broker, "t", to="/queue/a")
    take(broker)
    broker.drop("t")
    put(broker, "c", to="/queue/c")


def test_several_messages_are_looked_at_as_a_whole() -> None:
    broker = Broker(Limits(queue_messages=2, queues=2, queues_size=10))
    for fits, wanted in (
        (True, ["/queue/a", "/queue/a", "/queue/b", "/topic/a"]),
        (False, ["/queue/a"] * 3),
        (False, ["/queue/a", "/queue/b", "/queue/c"]),
        (False, ["/queue/a", "/cue/a"]),
    ):
        messages = [(to, Headers(), b"x") for to in wanted]
        if fits:
            broker.check(messages)
            continue
        with pytest.raises(RemoteProtocolError):
            broker.check(messages)
    with pytest.raises(RemoteProtocolError):
        broker.check([(f"/queue/{name}", Headers(), b"123456") for name in "ab"])
    assert broker.queues == 0


@pytest.mark.parametrize("name", ["*", "a.*", "a*b", "#", "a.#"])
def test_a_queue_has_no_wildcards(name: str) -> None:
    broker = Broker()
    with pytest.raises(RemoteProtocolError, match="no wildcards") as caught:
        put(broker, "x", to=f"/queue/{name}")
    assert caught.value.error_code is ErrorCode.PROTOCOL_VIOLATION
    with pytest.raises(RemoteProtocolError, match="no wildcards"):
        listen(broker, "s", to=f"/queue/{name}")
    assert (len(broker), broker.queues) == (0, 0)
