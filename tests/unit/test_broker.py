"""Topics: who gets what, in which order, and what of a publisher's headers goes along."""

from __future__ import annotations

import pytest

from stompcore import Headers, LocalProtocolError, Version
from stompcore.broker import Broker, Delivery

TOPIC = "/topic/a"


def test_everybody_who_listens_in_the_order_of_arrival() -> None:
    broker = Broker()
    broker.subscribe("s2", "0", TOPIC)
    broker.subscribe("s1", "0", TOPIC)
    broker.subscribe("s1", "1", TOPIC)
    broker.subscribe("s1", "2", "/topic/b")
    assert list(broker.recipients(TOPIC)) == [
        Delivery("s2", "0"),
        Delivery("s1", "0"),
        Delivery("s1", "1"),
    ]
    assert list(broker.recipients("/topic/nobody")) == []
    assert len(broker) == 4


def test_unsubscribing_and_leaving() -> None:
    broker = Broker()
    for subscription in ("0", "1"):
        broker.subscribe("s1", subscription, TOPIC)
    broker.subscribe("s2", "0", TOPIC)
    broker.unsubscribe("s1", "0")
    assert list(broker.recipients(TOPIC)) == [Delivery("s1", "1"), Delivery("s2", "0")]
    broker.drop("s1")
    broker.drop("s1")
    broker.unsubscribe("s1", "1")
    broker.unsubscribe("nobody", "0")
    assert list(broker.recipients(TOPIC)) == [Delivery("s2", "0")]
    broker.drop("s2")
    assert len(broker) == 0
    assert not broker._topics  # what nobody listens to takes no memory
    assert not broker._sessions


def test_recipients_may_change_while_they_are_served() -> None:
    broker = Broker()
    for session in ("s1", "s2", "s3"):
        broker.subscribe(session, "0", TOPIC)
    served = []
    for delivery in broker.recipients(TOPIC):
        served.append(delivery.session_id)
        broker.drop(delivery.session_id)
    assert served == ["s1", "s2", "s3"]


@pytest.mark.parametrize("destination", ["", "/", "/topic", "/topic/", "/queue/a", "topic/a"])
def test_what_it_does_not_serve(destination: str) -> None:
    broker = Broker()
    with pytest.raises(LocalProtocolError, match="/topic/"):
        broker.subscribe("s1", "0", destination)
    with pytest.raises(LocalProtocolError, match="/topic/"):
        broker.publish(destination, Headers(), b"")
    assert len(broker) == 0


def test_a_subscription_exists_once() -> None:
    broker = Broker()
    broker.subscribe("s1", "0", TOPIC)
    with pytest.raises(LocalProtocolError):
        broker.subscribe("s1", "0", "/topic/b")
    assert list(broker.recipients("/topic/b")) == []


def test_message_ids_are_unique() -> None:
    broker = Broker()
    ids = [broker.publish(TOPIC, Headers(), b"").message_id for _ in range(100)]
    assert len(set(ids)) == 100


@pytest.mark.parametrize(
    "name",
    [
        *("ack", "content-length", "destination", "message-id", "receipt", "redelivered"),
        *("subscription", "transaction", "Authorization", "passcode", " subscription", "receipt "),
    ],
)
def test_A17_what_concerns_the_publisher_alone_is_not_forwarded(name: str) -> None:
    message = Broker().publish(TOPIC, Headers({name: "forged", "colour": "red"}), b"x")
    assert dict(message.headers) == {"colour": "red"}
    assert b"forged" not in message.encode(Version.V1_2, "0")


def test_user_headers_and_repeated_ones_are_passed_through() -> None:
    headers = Headers([("colour", "red"), ("receipt", "1"), ("colour", "blue")])
    message = Broker().publish(TOPIC, headers, b"x")
    assert message.headers.pairs() == (("colour", "red"), ("colour", "blue"))
