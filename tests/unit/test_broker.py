"""The broker as a whole: who gets what, and what of a publisher's headers goes along."""

from __future__ import annotations

import pytest

from stompcore import ErrorCode, Headers, RemoteProtocolError, Version
from stompcore._codec import Message
from stompcore.broker import Broker, Delivery, Sender

TOPIC = "/topic/a"


def listen(broker: Broker, session_id: str, subscription: str, destination: str = TOPIC) -> None:
    broker.subscribe(Sender(session_id, "ann"), subscription, destination)


def recipients(broker: Broker, destination: str = TOPIC) -> list[tuple[str, str]]:
    return [each[:2] for each in broker.publish(destination, Headers(), b"")]


def published(headers: Headers) -> Message:
    """The MESSAGE that comes of a SEND with these headers."""
    broker = Broker()
    listen(broker, "s1", "0")
    (delivery,) = broker.publish(TOPIC, headers, b"x")
    return delivery.message


def test_everybody_who_listens_in_the_order_of_arrival() -> None:
    broker = Broker()
    listen(broker, "s2", "0")
    listen(broker, "s1", "0")
    listen(broker, "s1", "1")
    listen(broker, "s1", "2", "/topic/b")
    deliveries = broker.publish(TOPIC, Headers(), b"x")
    message = deliveries[0].message
    assert deliveries == [
        Delivery("s2", "0", message),
        Delivery("s1", "0", message),
        Delivery("s1", "1", message),
    ]
    assert all(each.message is message for each in deliveries)  # encoded once
    assert (message.destination, message.body) == (TOPIC, b"x")
    assert recipients(broker, "/topic/nobody") == []
    assert len(broker) == 4


def test_unsubscribing_and_leaving() -> None:
    broker = Broker()
    for subscription in ("0", "1"):
        listen(broker, "s1", subscription)
    listen(broker, "s2", "0")
    broker.unsubscribe("s1", "0")
    assert recipients(broker) == [("s1", "1"), ("s2", "0")]
    broker.drop("s1")
    broker.drop("s1")
    broker.unsubscribe("s1", "1")
    broker.unsubscribe("nobody", "0")
    assert recipients(broker) == [("s2", "0")]
    broker.drop("s2")
    assert len(broker) == 0
    assert not broker._topics._exact  # what nobody listens to takes no memory
    assert not broker._sessions


def test_recipients_may_change_while_they_are_served() -> None:
    broker = Broker()
    for session in ("s1", "s2", "s3"):
        listen(broker, session, "0")
    served = []
    for delivery in broker.publish(TOPIC, Headers(), b""):
        served.append(delivery.session_id)
        broker.drop(delivery.session_id)
    assert served == ["s1", "s2", "s3"]


@pytest.mark.parametrize(
    "destination",
    [
        *(
            "",
            "/",
            "/topic",
            "/topic/",
            "topic/a",
            "/cue/a",
            "/queue",
            "/queue/",
            "/user",
            "/user/",
        ),
        *("/temp-queue", "/Topic/a", " /topic/a"),
    ],
)
def test_what_it_does_not_serve(destination: str) -> None:
    broker = Broker(reply_key=b"key")
    with pytest.raises(RemoteProtocolError) as caught:
        listen(broker, "s1", "0", destination)
    assert caught.value.error_code is ErrorCode.PROTOCOL_VIOLATION
    with pytest.raises(RemoteProtocolError) as caught:
        broker.publish(destination, Headers(), b"")
    assert caught.value.error_code is ErrorCode.PROTOCOL_VIOLATION
    with pytest.raises(RemoteProtocolError):
        broker.check([(destination, Headers(), b"")])
    assert (len(broker), broker.queues) == (0, 0)


@pytest.mark.parametrize("destination", ["", "/", "/topic", "topic/a", "/cue/a"])
def test_it_says_what_it_does_serve(destination: str) -> None:
    with pytest.raises(RemoteProtocolError, match="/topic/, /queue/, /user/ or /temp-queue/"):
        Broker().publish(destination, Headers(), b"")


def test_a_subscription_exists_once() -> None:
    broker = Broker()
    listen(broker, "s1", "0")
    for destination in ("/topic/b", "/queue/b"):
        with pytest.raises(RemoteProtocolError, match="in use") as caught:
            listen(broker, "s1", "0", destination)
        assert caught.value.error_code is ErrorCode.PROTOCOL_VIOLATION
    assert recipients(broker, "/topic/b") == []
    assert broker.subscriptions("s1") == [("0", TOPIC)]
    assert broker.queues == 0


def test_message_ids_are_unique_and_have_their_prefix() -> None:
    broker = Broker(id_prefix="p-")
    listen(broker, "s1", "0")
    listen(broker, "s1", "1", "/queue/a")
    ids = [
        each.message.message_id for _ in range(50) for each in broker.publish(TOPIC, Headers(), b"")
    ]
    for _ in range(50):
        broker.publish("/queue/a", Headers(), b"")
        delivery = broker.next_delivery()
        assert delivery is not None
        ids.append(delivery.message.message_id)
    assert len(set(ids)) == 100
    assert all(each.startswith("p-") and "/" not in each for each in ids)


@pytest.mark.parametrize(
    "name",
    [
        *("ack", "content-length", "destination", "message-id", "receipt", "redelivered"),
        *("subscription", "transaction", "Authorization", "passcode", " subscription", "receipt "),
        *("dead-letter-reason", "original-destination"),
    ],
)
def test_A17_what_concerns_the_publisher_alone_is_not_forwarded(name: str) -> None:
    message = published(Headers({name: "forged", "colour": "red"}))
    assert dict(message.headers) == {"colour": "red"}
    assert b"forged" not in message.encode(Version.V1_2, "0")


def test_user_headers_and_repeated_ones_are_passed_through() -> None:
    headers = Headers([("colour", "red"), ("receipt", "1"), ("colour", "blue")])
    assert published(headers).headers.pairs() == (("colour", "red"), ("colour", "blue"))
