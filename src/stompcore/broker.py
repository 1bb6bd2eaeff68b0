"""The in-memory broker: who listens to which destination. Pure, and knows nothing of sessions
but their ids.

Destinations that start with ``/topic/`` are topics: every subscription gets a copy of every message
sent while it lasts, in the order in which each publisher sent them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from stompcore._codec import Message
from stompcore._errors import LocalProtocolError
from stompcore._headers import Headers, is_secret

__all__ = ["Broker", "Delivery"]

TOPIC_PREFIX = "/topic/"

# They concern the publisher and its server alone, or are the server's to set. A MESSAGE that
# carried a client's own `ack` or `subscription` could pass for another one's.
_NOT_FORWARDED = frozenset(
    {
        "ack",
        "content-length",
        "destination",
        "message-id",
        "receipt",
        "redelivered",
        "subscription",
        "transaction",
    }
)


class Delivery(NamedTuple):
    """One copy of a message on its way to one subscription."""

    session_id: str
    subscription: str


class Broker:
    """Topics and their subscriptions."""

    def __init__(self) -> None:
        # destination to (session, subscription): a dict for its order, which is that of arrival
        self._topics: dict[str, dict[Delivery, None]] = {}
        self._sessions: dict[str, dict[str, str]] = {}
        self._last_message = 0

    def check(self, destination: str) -> None:
        """Whether this broker serves `destination`.

        Raises:
            LocalProtocolError: it does not; the text may be shown to the peer.
        """
        if not destination.startswith(TOPIC_PREFIX) or destination == TOPIC_PREFIX:
            raise LocalProtocolError("A destination must be /topic/ and a name.")

    def subscribe(self, session_id: str, subscription: str, destination: str) -> None:
        """Let a session's subscription hear `destination`.

        Raises:
            LocalProtocolError: this broker does not serve it, or the session has a
                subscription of this id.
        """
        self.check(destination)
        own = self._sessions.setdefault(session_id, {})
        if subscription in own:
            raise LocalProtocolError("this subscription exists")
        own[subscription] = destination
        topic = self._topics.setdefault(destination, {})
        topic[Delivery(session_id, subscription)] = None

    def unsubscribe(self, session_id: str, subscription: str) -> None:
        """End one subscription. Legal for one that does not exist."""
        own = self._sessions.get(session_id, {})
        destination = own.pop(subscription, None)
        if destination is None:
            return
        if not own:
            del self._sessions[session_id]
        topic = self._topics[destination]
        del topic[Delivery(session_id, subscription)]
        if not topic:
            del self._topics[destination]

    def drop(self, session_id: str) -> None:
        """End every subscription of a session that is over. Legal more than once."""
        for subscription in list(self._sessions.get(session_id, {})):
            self.unsubscribe(session_id, subscription)

    def publish(self, destination: str, headers: Headers, body: bytes) -> Message:
        """A message for `destination`, with an id of its own; `recipients` says who gets it.

        Headers that concern only the publisher are left out.

        Raises:
            LocalProtocolError: this broker does not serve the destination.
        """
        self.check(destination)
        self._last_message += 1
        kept = [
            (name, value)
            for name, value in headers.pairs()
            # Some peers trim names, in every version: a padded one would pass for the real one.
            if name.strip() not in _NOT_FORWARDED and not is_secret(name.strip())
        ]
        return Message(destination, str(self._last_message), Headers(kept), body)

    def recipients(self, destination: str) -> Iterator[Delivery]:
        """Who listens to `destination` now, in the order in which they subscribed."""
        return iter(list(self._topics.get(destination, ())))

    def __len__(self) -> int:
        """How many subscriptions there are."""
        return sum(map(len, self._sessions.values()))
