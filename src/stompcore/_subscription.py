"""The subscriptions of a client: each outlives every connection, until it is ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from stompcore._errors import LocalProtocolError
from stompcore._events import AckMode, Delivered
from stompcore._frames import Command, Frame
from stompcore._headers import Version
from stompcore._machine import StateMachine
from stompcore._state import SUBSCRIPTION, SubscriptionState, SubscriptionTrigger

__all__ = ["HeaderValue", "Subscription", "Subscriptions", "acknowledgement"]

#: A header's value, or what gives it anew at every (re)subscription.
HeaderValue = str | Callable[[], str]

_RESERVED = frozenset({"id", "destination", "ack", "receipt", "content-length"})


class Subscription:
    """One destination that a client listens to, and where its table stands."""

    __slots__ = ("_table", "ack", "destination", "headers", "id", "receipt_id")

    def __init__(
        self, id: str, destination: str, ack: AckMode, headers: Mapping[str, HeaderValue]
    ) -> None:
        self.id = id
        self.destination = destination
        self.ack = ack
        self.headers = headers
        self.receipt_id = ""
        self._table = StateMachine(SUBSCRIPTION, SubscriptionState.REQUESTED)

    @property
    def state(self) -> SubscriptionState:
        """Where the subscription's table stands."""
        return self._table.state

    def fire(self, trigger: SubscriptionTrigger) -> None:
        """Move as the table says."""
        self._table.fire(trigger)

    def frame(self, epoch: int) -> Frame:
        """SUBSCRIBE, with headers evaluated now: a frozen one would resend a dead token.

        Raises:
            LocalProtocolError: a header's callable has failed.
        """
        self.receipt_id = f"subscribe-{epoch}-{self.id}"
        headers = {
            "id": self.id,
            "destination": self.destination,
            "ack": self.ack.value,
            "receipt": self.receipt_id,
        }
        for name, value in self.headers.items():
            try:
                text: object = value if isinstance(value, str) else value()
            except Exception as error:  # the user's code; its text may hold a secret
                raise LocalProtocolError(
                    f"the header {name} could not be evaluated: {type(error).__name__}"
                ) from None
            if not isinstance(text, str):
                raise LocalProtocolError(f"the header {name} is not a string")
            headers[name] = text
        return Frame(Command.SUBSCRIBE, headers)


class Subscriptions:
    """A client's live subscriptions, in the order in which they were made."""

    def __init__(self) -> None:
        self._by_id: dict[str, Subscription] = {}
        self._last = 0

    def __iter__(self) -> Iterator[Subscription]:
        return iter(list(self._by_id.values()))

    def __contains__(self, id: str) -> bool:
        return id in self._by_id

    def add(
        self, destination: str, ack: AckMode, headers: Mapping[str, HeaderValue]
    ) -> Subscription:
        """A new one, with an id of its own.

        Raises:
            LocalProtocolError: a header that is the client's own.
        """
        clash = _RESERVED.intersection(headers)
        if clash:
            raise LocalProtocolError(f"the header {min(clash)} is the client's own")
        self._last += 1
        subscription = Subscription(str(self._last), destination, ack, headers)
        self._by_id[subscription.id] = subscription
        return subscription

    def get(self, id: str) -> Subscription | None:
        """The live subscription of this id, or None."""
        return self._by_id.get(id)

    def by_receipt(self, receipt_id: str | None) -> Subscription | None:
        """The one whose SUBSCRIBE on this connection asked for this receipt, or None."""
        if not receipt_id:
            return None
        return next((each for each in self if each.receipt_id == receipt_id), None)

    def lose_connection(self) -> None:
        """None of them is active any more, and no receipt can come for them."""
        for subscription in self:
            subscription.fire(SubscriptionTrigger.LOST)

    def end(self, subscription: Subscription) -> None:
        """It is unsubscribed, or was refused."""
        subscription.fire(SubscriptionTrigger.END)
        del self._by_id[subscription.id]


def acknowledgement(command: Command, delivered: Delivered, version: Version) -> Frame:
    """ACK or NACK of a message, with the headers that `version` knows it by.

    Raises:
        LocalProtocolError: the message asks for no acknowledgement, or `version` has no NACK.
    """
    if command is Command.NACK and version is Version.V1_0:
        raise LocalProtocolError("STOMP 1.0 has no NACK")
    theirs = delivered.frame.headers
    if version is Version.V1_2:
        id = theirs.get("ack")
        if not id:  # an empty one would be answered with ERROR, and cost the whole connection
            raise LocalProtocolError("the message asks for no acknowledgement")
        return Frame(command, {"id": id})
    headers = {"message-id": theirs["message-id"], "subscription": delivered.subscription}
    return Frame(command, headers)
