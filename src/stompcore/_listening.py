"""What a server session's peer listens to (STOMP 1.2, "SUBSCRIBE" and "UNSUBSCRIBE")."""

from __future__ import annotations

from typing import NamedTuple

from stompcore._config import Limits
from stompcore._errors import CloseCode, ErrorCode, RemoteProtocolError
from stompcore._events import AckMode
from stompcore._headers import Headers

__all__ = ["Listening", "ServerSubscription"]


class ServerSubscription(NamedTuple):
    """One subscription of a session.

    Args:
        key: by which the session knows it: its id, or, in 1.0 without one, its destination.
        wire_id: what MESSAGE calls it; None for one of 1.0 without an id.
        destination: where it listens.
        ack: the acknowledgement mode.
    """

    key: str
    wire_id: str | None
    destination: str
    ack: AckMode


class Listening:
    """The subscriptions of one session, bounded in number.

    Args:
        limits: `subscriptions`.
    """

    __slots__ = ("_by_key", "_limits", "_taken")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_key: dict[str, ServerSubscription] = {}
        # Those that the server has ended, the oldest first: the peer may not know it yet.
        self._taken: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: str) -> ServerSubscription | None:
        """The subscription of this key, or None."""
        return self._by_key.get(key)

    def add(self, headers: Headers) -> ServerSubscription:
        """SUBSCRIBE.

        Raises:
            RemoteProtocolError: its id is in use, its `ack` is none of STOMP's, or there are
                too many.
        """
        destination, wire_id = headers["destination"], headers.get("id")
        key = destination if wire_id is None else wire_id
        if key in self._by_key:
            raise RemoteProtocolError(
                ErrorCode.PROTOCOL_VIOLATION, "This subscription id is in use."
            )
        if len(self._by_key) >= self._limits.subscriptions:
            raise RemoteProtocolError(
                ErrorCode.LIMIT_EXCEEDED,
                "Too many subscriptions.",
                close_code=CloseCode.POLICY_VIOLATION,
            )
        try:
            ack = AckMode(headers.get("ack", AckMode.AUTO))
        except ValueError:
            raise RemoteProtocolError(
                ErrorCode.PROTOCOL_VIOLATION, "The ack header is not one of STOMP's modes."
            ) from None
        subscription = ServerSubscription(key, wire_id, destination, ack)
        self._by_key[key] = subscription
        self._taken.pop(key, None)
        return subscription

    def remove(self, headers: Headers) -> ServerSubscription:
        """UNSUBSCRIBE. In 1.0 it may name the destination alone, even of one that has an id.

        Raises:
            RemoteProtocolError: there is no such subscription.
        """
        wire_id = headers.get("id")
        if wire_id is None:
            found = self._at(headers.get("destination", ""))
        else:
            found = self._by_key.get(wire_id)
        if found is None:
            raise RemoteProtocolError(
                ErrorCode.PROTOCOL_VIOLATION, "There is no such subscription."
            )
        del self._by_key[found.key]
        return found

    def _at(self, destination: str) -> ServerSubscription | None:
        """One that listens there: the one without an id, else the oldest."""
        found = self._by_key.get(destination)
        if found is not None and found.wire_id is None:
            return found
        return next((s for s in self._by_key.values() if s.destination == destination), None)

    def end(self, key: str) -> bool:
        """The server ends one; whether there was such a subscription."""
        if self._by_key.pop(key, None) is None:
            return False
        self._taken[key] = None
        if len(self._taken) > self._limits.subscriptions:
            del self._taken[next(iter(self._taken))]
        return True

    def was_taken(self, key: str | None) -> bool:
        """Whether the server has ended this one, so that the peer may still speak of it."""
        return key in self._taken

    def clear(self) -> None:
        """The session is over."""
        self._by_key.clear()
        self._taken.clear()
