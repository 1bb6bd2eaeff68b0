"""The subscriptions of a client: each outlives every connection, until it is ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from stompcore._errors import LocalProtocolError
from stompcore._events import AckMode, Delivered
from stompcore._frames import Command, Frame
from stompcore._headers import Version
from stompcore._machine import StateMachine
from stompcore._state import SUBSCRIPTION, SubscriptionState, SubscriptionTrigger

__all__ = ["HeaderValue", "KeyFunction", "Subscription", "Subscriptions", "acknowledgement"]

#: A header's value, or what gives it anew at every (re)subscription.
HeaderValue = str | Callable[[], str]

#: What two copies of one message have in common, read from its MESSAGE; None for no such thing.
KeyFunction = Callable[[Frame], str | None]

_PREFIX = "subscribe-"
_RESERVED = frozenset({"id", "destination", "ack", "receipt", "content-length"})


class Subscription:
    """One destination that a client listens to, and where its table stands."""

    __slots__ = ("_table", "ack", "destination", "headers", "id", "is_implicit", "key_of")

    def __init__(
        self,
        id: str,
        destination: str,
        ack: AckMode,
        headers: Mapping[str, HeaderValue],
        *,
        key_of: KeyFunction | None,
        is_implicit: bool,
    ) -> None:
        self.id = id
        self.destination = destination
        self.ack = ack
        self.headers = headers
        self.key_of = key_of
        self.is_implicit = is_implicit
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
        headers = {
            "id": self.id,
            "destination": self.destination,
            "ack": self.ack.value,
            "receipt": f"{_PREFIX}{epoch}-{self.id}",
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

    def duplicate_key(self, frame: Frame) -> str | None:
        """What two copies of one message have in common; None if it cannot be told."""
        if self.key_of is None:
            return frame.headers["message-id"]
        try:
            return self.key_of(frame)
        except Exception:  # the user's code; a copy too many is the lesser evil
            return None


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
        self,
        destination: str,
        ack: AckMode,
        headers: Mapping[str, HeaderValue],
        *,
        key_of: KeyFunction | None = None,
        is_implicit: bool = False,
    ) -> Subscription:
        """A new one, with an id of its own; an implicit one has its destination for an id.

        Raises:
            LocalProtocolError: a header that is the client's own, or an implicit one twice.
        """
        clash = _RESERVED.intersection(headers)
        if clash:
            raise LocalProtocolError(f"the header {min(clash)} is the client's own")
        if is_implicit and destination in self._by_id:
            raise LocalProtocolError(f"there is a subscription of the id {destination}")
        if not is_implicit:
            self._last += 1
        id = destination if is_implicit else str(self._last)
        subscription = Subscription(
            id, destination, ack, headers, key_of=key_of, is_implicit=is_implicit
        )
        self._by_id[id] = subscription
        return subscription

    def get(self, id: str) -> Subscription | None:
        """The live subscription of this id, or None."""
        return self._by_id.get(id)

    def by_receipt(self, receipt_id: str | None, epoch: int) -> Subscription | None:
        """The one whose SUBSCRIBE on this connection asked for this receipt, or None."""
        prefix = f"{_PREFIX}{epoch}-"
        if receipt_id is None or not receipt_id.startswith(prefix):
            return None
        return self._by_id.get(receipt_id[len(prefix) :])

    @property
    def are_active(self) -> bool:
        """Whether every one of them is confirmed."""
        return all(each.state is SubscriptionState.ACTIVE for each in self._by_id.values())

    def first_inactive(self) -> Subscription | None:
        """The first that is not confirmed, or None."""
        return next((each for each in self if each.state is not SubscriptionState.ACTIVE), None)

    def lose_connection(self) -> None:
        """None of them is active any more, and no receipt can come for them."""
        for subscription in self:
            subscription.fire(SubscriptionTrigger.LOST)

    def end(self, subscription: Subscription) -> None:
        """It is unsubscribed, or was refused."""
        subscription.fire(SubscriptionTrigger.END)
        del self._by_id[subscription.id]


def acknowledgement(
    command: Command, delivered: Delivered, version: Version, transaction: str | None = None
) -> Frame:
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
        headers = {"id": id}
    else:
        headers = {"message-id": theirs["message-id"], "subscription": delivered.subscription}
    if transaction is not None:
        headers["transaction"] = transaction
    return Frame(command, headers)
