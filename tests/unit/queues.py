"""A broker's queues in short words, for the tests of them."""

from __future__ import annotations

from collections.abc import Iterable

from stompcore import Headers
from stompcore._events import AckMode
from stompcore.broker import Broker, Delivery, Sender

__all__ = [
    "AUTO",
    "CLIENT",
    "EACH",
    "Q",
    "ack",
    "bodies",
    "listen",
    "nack",
    "put",
    "take",
    "waiting",
]

Q = "/queue/q"
AUTO, CLIENT, EACH = AckMode.AUTO, AckMode.CLIENT, AckMode.CLIENT_INDIVIDUAL
MOST = 1000


def put(broker: Broker, *bodies: str, to: str = Q, **headers: str) -> None:
    for body in bodies:
        assert broker.publish(to, Headers(headers), body.encode()) == []


def listen(
    broker: Broker, session_id: str, ack: AckMode = AUTO, *, to: str = Q, prefetch: str = ""
) -> None:
    """The session listens with a subscription of its own name."""
    headers = Headers({"prefetch-count": prefetch} if prefetch else {})
    broker.subscribe(Sender(session_id, "ann"), session_id, to, ack=ack, headers=headers)


def take(broker: Broker, most: int = MOST) -> list[Delivery]:
    """All that can be delivered now, or the first of it."""
    found: list[Delivery] = []
    while len(found) < most and (delivery := broker.next_delivery()) is not None:
        found.append(delivery)
    assert len(found) < MOST
    return found


def bodies(deliveries: Iterable[Delivery]) -> str:
    return "".join(each.message.body.decode() for each in deliveries)


def ack(broker: Broker, *deliveries: Delivery) -> None:
    for each in deliveries:
        broker.ack(each.session_id, each.message.message_id, each.subscription)


def nack(broker: Broker, *deliveries: Delivery) -> None:
    for each in deliveries:
        broker.nack(each.session_id, each.message.message_id, each.subscription)


def waiting(broker: Broker) -> tuple[int, int]:
    return broker.queued_messages, broker.queued_size
