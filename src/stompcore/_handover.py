"""Changing from one connection to the next while both are alive (`Handover.OVERLAP`).

Everything is subscribed on the new connection before the old one is left, so that no message of a
topic falls between them; in the meantime most come by both. What the old one brings passes at
once. What the new one brings waits until the old one has ended, and then passes too, without what
the old one had brought already: so each message passes once, and in its order.

That is right only where a message is anybody's to drop. One that asks for an acknowledgement is
not: the server gives it to one connection, and to the other if the first ends without an answer.
"""

from __future__ import annotations

from stompcore._events import AckMode, Delivered
from stompcore._line import Line
from stompcore._machine import StateMachine
from stompcore._state import HANDOVER, HandoverState, HandoverTrigger, SubscriptionState
from stompcore._subscription import Subscription

__all__ = ["HandoverProcess"]


class HandoverProcess:
    """How far a handover is, and the messages that came by two connections.

    Args:
        limit: how many messages may wait, and how many may be remembered.
    """

    def __init__(self, limit: int) -> None:
        self.new: Line | None = None
        self.old: Line | None = None
        self.confirmed: set[str] = set()
        self._limit = limit
        self._table = StateMachine(HANDOVER, HandoverState.NONE)
        self._waiting: list[tuple[Subscription, Delivered]] = []
        # What a new connection had brought that ended too soon.
        self._stranded: dict[tuple[str, str], tuple[Subscription, Delivered]] = {}
        # What only the old connection has brought so far. A copy may be on its way still when it
        # has ended. A dict, for its order: the oldest is forgotten first.
        self._seen: dict[tuple[str, str], None] = {}
        # The same of the handover before, whose new connection is the old one now.
        self._late: dict[tuple[str, str], None] = {}

    @property
    def state(self) -> HandoverState:
        """Where the handover's table stands."""
        return self._table.state

    @property
    def is_full(self) -> bool:
        """Whether more messages wait than may."""
        return len(self._waiting) > self._limit

    def begin(self, line: Line) -> None:
        """`line` is dialled beside the connection that there is."""
        self._table.fire(HandoverTrigger.BEGIN)
        self.new = line

    def dialed(self) -> None:
        """The new transport is open."""
        self._table.fire(HandoverTrigger.DIALED)

    def connected(self) -> None:
        """The new connection is up: from now on both may bring the same."""
        self._table.fire(HandoverTrigger.CONNECTED)
        self._seen, self._late = {}, self._seen
        self.confirmed.clear()

    def restored(self, old: Line) -> None:
        """Everything is subscribed on the new connection; `old` has been told to end."""
        self._table.fire(HandoverTrigger.RESTORED)
        self.new, self.old = None, old

    def retired(self) -> list[Delivered]:
        """The old connection has ended; what had waited for that, without what it had brought."""
        self._table.fire(HandoverTrigger.RETIRED)
        self.old = None
        return self._release()

    def abandon(self) -> list[Delivered]:
        """It is all over, or the new connection became the only one.

        Returns:
            What had waited, without what the old one had brought.
        """
        self._table.fire(HandoverTrigger.ABANDON)
        self.new = self.old = None
        return self._release()

    def lose_new(self) -> list[Delivered]:
        """The new connection has ended, and the old one goes on.

        As a rule the old one brings, in its turn, what had waited. It does not where the server
        gave a message to the new one alone, as from a queue: see `rescue`.

        Returns:
            What had waited and cannot be told from anything that the old one brings.
        """
        self._table.fire(HandoverTrigger.ABANDON)
        self.new = None
        unknown = []
        for subscription, delivered in self._waiting:
            key = subscription.duplicate_key(delivered.frame)
            if key is None:
                unknown.append(delivered)
            elif (subscription.id, key) not in self._seen:
                self._stranded[subscription.id, key] = subscription, delivered
        self._waiting.clear()
        self._seen, self._late = self._late, {}
        return unknown

    @property
    def has_stranded(self) -> bool:
        """Whether messages wait for a copy of them that may never come."""
        return bool(self._stranded)

    def rescue(self) -> list[Delivered]:
        """What a lost connection had brought, and no other is going to bring."""
        stranded = list(self._stranded.values())
        self._stranded.clear()
        return [
            delivered
            for subscription, delivered in stranded
            if subscription.state is not SubscriptionState.ENDED
        ]

    def forget(self) -> None:
        """No connection is left that could bring a copy: what looks like one is another message."""
        self._seen.clear()
        self._late.clear()

    def admits(self, subscription: Subscription, delivered: Delivered, line: Line) -> bool:
        """Whether a message may pass now; one that may not waits, or had come already."""
        state = self.state
        if subscription.ack is not AckMode.AUTO:
            return True
        if self._stranded:
            key = subscription.duplicate_key(delivered.frame)
            if key is not None:
                self._stranded.pop((subscription.id, key), None)
        if state is HandoverState.NONE and not self._seen:
            return True
        if state not in (HandoverState.RESTORING, HandoverState.RETIRING):
            return not self._is_copy(subscription, delivered)
        is_new = line is self.new if state is HandoverState.RESTORING else line is not self.old
        if is_new:
            self._waiting.append((subscription, delivered))
            return False
        key = subscription.duplicate_key(delivered.frame)
        if key is not None:
            if (subscription.id, key) in self._late:
                del self._late[subscription.id, key]
                return False
            self._seen[subscription.id, key] = None
            if len(self._seen) > self._limit:
                del self._seen[next(iter(self._seen))]
        return True

    def _is_copy(self, subscription: Subscription, delivered: Delivered) -> bool:
        key = subscription.duplicate_key(delivered.frame)
        if key is None or (subscription.id, key) not in self._seen:
            return False
        del self._seen[subscription.id, key]
        return True

    def _release(self) -> list[Delivered]:
        waiting, self._waiting = self._waiting, []
        self._late.clear()
        return self.rescue() + [
            delivered
            for subscription, delivered in waiting
            if subscription.state is not SubscriptionState.ENDED
            and not self._is_copy(subscription, delivered)
        ]
