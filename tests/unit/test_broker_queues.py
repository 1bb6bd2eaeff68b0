"""Queues: order, turns, acknowledgements, what goes back and how."""

from __future__ import annotations

import pytest
from tests.unit.queues import AUTO, CLIENT, EACH, Q, ack, bodies, listen, nack, put, take, waiting

from stompcore import ErrorCode, Headers, Limits, RemoteProtocolError
from stompcore._events import AckMode
from stompcore.broker import Broker

# --- order and turns ------------------------------------------------------------------------------


def test_what_was_sent_before_anybody_listened_waits_in_order() -> None:
    broker = Broker()
    put(broker, *"abc")
    assert take(broker) == []
    assert waiting(broker) == (3, 3)
    listen(broker, "s")
    put(broker, "d")
    got = take(broker)
    assert bodies(got) == "abcd"
    assert not any(each.is_redelivered for each in got)
    assert waiting(broker) == (0, 0)


def test_consumers_take_turns() -> None:
    broker = Broker()
    for name in ("s1", "s2", "s3"):
        listen(broker, name)
    put(broker, *"abcdefg")
    assert [each.session_id for each in take(broker)] == ["s1", "s2", "s3", "s1", "s2", "s3", "s1"]
    put(broker, "h")
    assert [each.session_id for each in take(broker)] == ["s2"]  # it goes on where it was


def test_each_publisher_s_messages_stay_in_order() -> None:
    broker = Broker()
    listen(broker, "s")
    for number in range(20):
        broker.publish(Q, Headers(), f"{'xy'[number % 2]}{number:02}".encode())
    got = [each.message.body for each in take(broker)]
    for publisher in (b"x", b"y"):
        own = [each for each in got if each.startswith(publisher)]
        assert own == sorted(own)
        assert len(own) == 10


def test_queues_do_not_mix() -> None:
    broker = Broker()
    listen(broker, "s", to="/queue/a")
    put(broker, "1", to="/queue/a")
    put(broker, "2", to="/queue/b")
    (delivery,) = take(broker)
    assert (delivery.message.destination, delivery.message.body) == ("/queue/a", b"1")
    assert (broker.queues, broker.queued_messages) == (2, 1)


def test_a_queue_with_which_nothing_is_lost_takes_no_memory() -> None:
    broker = Broker()
    listen(broker, "s", EACH)
    put(broker, "a")
    ack(broker, *take(broker))
    assert broker.queues == 1
    broker.drop("s")
    assert (broker.queues, len(broker)) == (0, 0)
    put(broker, "b")
    listen(broker, "s")
    take(broker)
    broker.unsubscribe("s", "s")
    assert broker.queues == 0
    assert not broker._queues._busy


# --- acknowledgements -----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [CLIENT, EACH])
def test_prefetch_bounds_what_is_not_acknowledged(mode: AckMode) -> None:
    broker = Broker()
    listen(broker, "s", mode, prefetch="2")
    put(broker, *"abcd")
    first = take(broker)
    assert bodies(first) == "ab"
    ack(broker, first[0])
    second = take(broker)
    assert bodies(second) == "c"
    assert waiting(broker) == (3, 3)
    ack(broker, first[1], second[0])
    assert bodies(take(broker)) == "d"


def test_prefetch_only_lowers_the_server_s_bound() -> None:
    broker = Broker(Limits(unacknowledged=3))
    listen(broker, "greedy", EACH, prefetch="999999999")
    listen(broker, "plain", EACH, to="/queue/r")
    put(broker, *"abcde")
    put(broker, *"abcde", to="/queue/r")
    assert sorted(each.session_id for each in take(broker)) == ["greedy"] * 3 + ["plain"] * 3


def test_prefetch_does_not_concern_what_is_not_acknowledged() -> None:
    broker = Broker()
    listen(broker, "s", AUTO, prefetch="1")
    put(broker, *"abc")
    assert bodies(take(broker)) == "abc"


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", " 1", "1234567890", "\u0661"])
def test_a_prefetch_count_that_is_none(text: str) -> None:
    broker = Broker()
    with pytest.raises(RemoteProtocolError, match="Prefetch-count") as caught:
        listen(broker, "s", EACH, prefetch=text)
    assert caught.value.error_code is ErrorCode.PROTOCOL_VIOLATION
    assert (len(broker), broker.queues) == (0, 0)


def test_a_consumer_that_is_full_does_not_hold_up_the_others() -> None:
    broker = Broker()
    listen(broker, "full", EACH, prefetch="1")
    listen(broker, "free")
    put(broker, *"abcd")
    assert [each.session_id for each in take(broker)] == ["full", "free", "free", "free"]


def test_client_mode_answers_for_all_before_it_and_individual_for_one() -> None:
    for mode, left in ((CLIENT, "c"), (EACH, "ac")):
        broker = Broker()
        listen(broker, "s", mode)
        put(broker, *"abc")
        got = take(broker)
        ack(broker, got[1])
        broker.drop("s")
        listen(broker, "t")
        assert bodies(take(broker)) == left


def test_client_mode_does_not_mind_an_answer_for_what_a_later_one_has_answered() -> None:
    broker = Broker()
    listen(broker, "s", CLIENT)
    put(broker, *"ab")
    got = take(broker)
    ack(broker, got[1], got[0], got[1])
    nack(broker, got[0])
    assert waiting(broker) == (0, 0)


@pytest.mark.parametrize("mode", [AUTO, EACH])
def test_an_answer_for_what_was_not_delivered(mode: AckMode) -> None:
    broker = Broker()
    listen(broker, "s", mode)
    put(broker, "a")
    (delivery,) = take(broker)
    for subscription in ("s", "nobody's", None):
        for act in (broker.ack, broker.nack):
            with pytest.raises(RemoteProtocolError, match=r"no such|No such") as caught:
                act("s", "77", subscription)
            assert caught.value.error_code is ErrorCode.PROTOCOL_VIOLATION
    with pytest.raises(RemoteProtocolError):
        broker.ack("other", delivery.message.message_id, "s")
    assert waiting(broker) == ((0, 0) if mode is AUTO else (1, 1))


def test_an_individual_answer_counts_once() -> None:
    broker = Broker()
    listen(broker, "s", EACH)
    put(broker, "a")
    got = take(broker)
    message_id = got[0].message.message_id
    with pytest.raises(RemoteProtocolError, match="No such message"):
        broker.check_answers("s", [(message_id, "s"), (message_id, "s")])
    broker.check_answers("s", [(message_id, "s")])
    ack(broker, *got)
    with pytest.raises(RemoteProtocolError, match="No such message"):
        nack(broker, *got)


def test_one_point_zero_names_the_message_alone() -> None:
    broker = Broker()
    listen(broker, "s", EACH)
    listen(broker, "t", EACH)
    put(broker, *"ab")
    of_s, of_t = take(broker)
    with pytest.raises(RemoteProtocolError):
        broker.ack("s", of_t.message.message_id, None)
    broker.ack("s", of_s.message.message_id, None)
    assert waiting(broker) == (1, 1)


def test_one_point_zero_in_client_mode_may_answer_late_as_well() -> None:
    broker = Broker()
    listen(broker, "s", CLIENT)
    put(broker, *"ab")
    for each in reversed(take(broker)):
        broker.ack("s", each.message.message_id, None)
    assert waiting(broker) == (0, 0)


def test_topics_keep_nothing_and_take_any_answer() -> None:
    broker = Broker()
    listen(broker, "s", EACH, to="/topic/a")
    broker.ack("s", "1", "s")
    broker.nack("s", "1", None)


# --- what goes back -------------------------------------------------------------------------------


def test_what_was_nacked_comes_again_before_what_is_behind_it() -> None:
    broker = Broker()
    listen(broker, "s", EACH, prefetch="2")
    put(broker, *"abcd")
    got = take(broker)
    nack(broker, *reversed(got))
    again = take(broker)
    assert bodies(again) == "ab"
    assert [each.is_redelivered for each in again] == [True, True]
    assert [each.message for each in again] == [each.message for each in got]
    ack(broker, *again)
    rest = take(broker)
    assert bodies(rest) == "cd"
    assert not any(each.is_redelivered for each in rest)


def test_client_mode_nacks_all_before_it() -> None:
    broker = Broker()
    listen(broker, "s", CLIENT)
    put(broker, *"abc")
    nack(broker, take(broker)[1])
    again = take(broker)
    assert bodies(again) == "ab"
    assert all(each.is_redelivered for each in again)


@pytest.mark.parametrize("mode", [CLIENT, EACH])
@pytest.mark.parametrize("leave", ["drop", "unsubscribe"])
def test_what_a_consumer_leaves_behind_goes_to_the_next_in_order(mode: AckMode, leave: str) -> None:
    broker = Broker()
    listen(broker, "s", mode, prefetch="3")
    put(broker, *"abcde")
    assert bodies(take(broker)) == "abc"
    if leave == "drop":
        broker.drop("s")
    else:
        broker.unsubscribe("s", "s")
    assert waiting(broker) == (5, 5)
    listen(broker, "t", EACH)
    got = take(broker)
    assert bodies(got) == "abcde"
    assert [each.is_redelivered for each in got] == [True, True, True, False, False]


@pytest.mark.parametrize("mode", list(AckMode))
def test_what_never_left_goes_back_as_if_nothing_had_happened(mode: AckMode) -> None:
    broker = Broker(Limits(deliveries=1))
    for number in range(5):
        listen(broker, f"s{number}", mode)
        if not number:
            put(broker, *"abc")
        got = take(broker)
        assert bodies(got) == "abc"
        assert not any(each.is_redelivered for each in got)
        broker.drop(f"s{number}", got)
        assert waiting(broker) == (3, 3)
    assert broker.dead_letters == 0


@pytest.mark.parametrize("mode", [CLIENT, EACH])
def test_only_what_left_counts_as_a_delivery_that_failed(mode: AckMode) -> None:
    broker = Broker()
    listen(broker, "s", mode)
    put(broker, *"abcd")
    got = take(broker)
    broker.unsubscribe("s", "s", [*got[2:], object()])
    listen(broker, "t")
    again = take(broker)
    assert bodies(again) == "abcd"
    assert [each.is_redelivered for each in again] == [True, True, False, False]


def test_bytes_of_a_session_that_was_leaving_come_back_late() -> None:
    """It is told that the server goes away, what is queued may still leave, and then does not."""
    broker = Broker()
    listen(broker, "s")
    put(broker, *"ab")
    got = take(broker)
    broker.drop("s")
    assert (broker.queues, waiting(broker)) == (0, (0, 0))
    put(broker, "c")
    broker.take_back(got[1:])
    broker.take_back(got[1:])
    assert waiting(broker) == (2, 2)
    listen(broker, "t")
    again = take(broker)
    assert bodies(again) == "bc"
    assert not again[0].is_redelivered


@pytest.mark.parametrize("mode", [CLIENT, EACH])
def test_what_was_given_back_already_does_not_come_back_twice(mode: AckMode) -> None:
    broker = Broker()
    listen(broker, "s", mode)
    put(broker, *"ab")
    got = take(broker)
    broker.drop("s")  # a farewell with its messages still queued
    listen(broker, "t", EACH)
    again = take(broker)
    broker.take_back(got)
    assert take(broker) == []
    ack(broker, *again)
    broker.take_back(got)
    assert waiting(broker) == (0, 0)


def test_what_was_answered_before_it_left_is_gone() -> None:
    broker = Broker()
    listen(broker, "s", EACH)
    put(broker, *"ab")
    got = take(broker)
    ack(broker, got[0])
    broker.drop("s", got)
    assert waiting(broker) == (1, 1)
    listen(broker, "t")
    assert bodies(take(broker)) == "b"


def test_nothing_for_a_session_that_has_enough_to_read() -> None:
    broker = Broker()
    listen(broker, "s")
    put(broker, *"abc")
    assert bodies(take(broker, 1)) == "a"
    broker.pause("s")
    assert broker.is_paused("s")
    assert take(broker) == []
    listen(broker, "t")
    assert [each.session_id for each in take(broker, 1)] == ["t"]
    broker.unsubscribe("t", "t")
    broker.resume("s")
    assert not broker.is_paused("s")
    assert bodies(take(broker)) == "c"
    broker.resume("nobody")


def test_a_paused_session_that_leaves_is_forgotten() -> None:
    broker = Broker()
    listen(broker, "s")
    broker.pause("s")
    broker.drop("s")
    assert not broker.is_paused("s")


def test_a_session_that_subscribes_while_it_is_paused_waits() -> None:
    broker = Broker()
    broker.pause("s")
    put(broker, "a")
    listen(broker, "s")
    assert take(broker) == []
    broker.resume("s")
    assert bodies(take(broker)) == "a"
