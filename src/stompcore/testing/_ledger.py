"""What an auditor keeps of one client, and what must hold for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from stompcore._client import ClientSession
from stompcore._config import ClientConfig
from stompcore._errors import AuthenticationFailed, CloseCode, ErrorCode, StompError, Unauthorized
from stompcore._events import (
    AckMode,
    Action,
    ClientEvent,
    ConnectionEnded,
    Delivered,
    Dial,
    FetchToken,
    HangUp,
    Outcome,
    Published,
    PublishFailed,
    Resubscribed,
    StatusChanged,
    Stopped,
    SubscriptionActive,
    SubscriptionEnded,
    TokenFetchFailed,
    TokenReceived,
    TransactionCommitted,
    TransactionFailed,
)
from stompcore._machine import Machine
from stompcore._state import Status
from stompcore.testing._client import ClientWatcher
from stompcore.testing._transaction_books import TransactionBooks, Violation

__all__ = ["Connection", "Ledger", "Violation", "check_deadline"]

# A float's step at the present date, generously.
_ROUNDING = 1e-6

# What a handler does with a message does not pass through the broker, where it could be seen.
_OF_THE_BROKER = ("/topic/", "/queue/", "/user/")

_TOKEN_REFUSED = frozenset(
    {
        ErrorCode.TOKEN_EXPIRED.value,
        ErrorCode.TOKEN_INVALID.value,
        ErrorCode.TOKEN_MISSING.value,
        ErrorCode.REAUTH_REJECTED.value,
    }
)
_FINAL = frozenset(
    {
        ErrorCode.TOKEN_REVOKED.value,
        ErrorCode.ACCESS_DENIED.value,
        ErrorCode.UNSUPPORTED_VERSION.value,
    }
)


def check_deadline(machine: Machine, now: float) -> None:
    """After `handle_timeout`, the next deadline is later than `now`, or there is none.

    Raises:
        Violation: it is not.
    """
    deadline = machine.next_deadline()
    if deadline is not None and deadline <= now:
        raise Violation(f"{machine.deadline_reason()!r} is due at once after handle_timeout")


@dataclass(slots=True)
class Connection:
    """What a server has routed to one connection of a client, and how much of it has come.

    Args:
        routed: for each subscription, the message-ids that its MESSAGEs have, in order.
        come: how many of those the client has got, or had by another connection.
    """

    routed: dict[str, list[str]] = field(default_factory=dict)
    come: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Message:
    key: int
    destination: str
    is_judged: bool
    fate: str = ""
    sessions: list[str] = field(default_factory=list)  # where it took effect
    known_until: dict[int, float] = field(default_factory=dict)  # by the server's memories


@dataclass(slots=True)
class _Subscription:
    destination: str
    ack: AckMode
    active_in: int = 0  # the epoch, 0 for none
    seen: set[str] = field(default_factory=set)
    redelivered: set[str] = field(default_factory=set)


class Ledger(ClientWatcher):
    """One client's books.

    Args:
        name: of the client; it is also its subject.
        config: for the backoff's floor and for `token_refusals`.
        has_keys: whether its messages carry a `message-key`, by which a server knows them again.
        judges_handlers: whether it is told of what handlers do.
    """

    def __init__(
        self,
        name: str,
        config: ClientConfig,
        *,
        has_keys: bool,
        judges_handlers: bool = False,
    ) -> None:
        self.name = name
        self.connections: dict[int, Connection] = {}
        self.has_stopped = False
        self.error: StompError | None = None
        self.epoch_up = 0
        self._now = self._down_since = 0.0
        self.transactions = TransactionBooks(name)
        self._config = config
        self._has_keys = has_keys
        self._judged = ("/",) if judges_handlers else _OF_THE_BROKER
        self._messages: dict[int, _Message] = {}
        self._by_content: dict[tuple[str, bytes], _Message] = {}
        self._open_fates = 0
        self._subscriptions: dict[str, _Subscription] = {}
        self._fetching: int | None = None
        self._dialed_at: list[float] = []
        self._alive: set[int] = set()
        self._handed_over: set[str] = set()
        self._refusals = 0
        self._last_code = ""
        self._is_unauthorized = False
        self._last_effect: dict[str, int] = {}
        # One dispatch instead of a chain of questions: this runs for every event of a simulation.
        self._on: dict[type, Callable[..., None]] = {
            Published: self._published,
            PublishFailed: self._publish_failed,
            Delivered: self._delivered,
            SubscriptionActive: self._subscription_active,
            SubscriptionEnded: self._subscription_ended,
            TokenReceived: self._fetch_over,
            TokenFetchFailed: self._fetch_failed,
            ConnectionEnded: self._connection_ended,
            Resubscribed: self._resubscribed,
            TransactionCommitted: self.transactions.committed,
            TransactionFailed: self.transactions.failed,
            StatusChanged: self._status_changed,
            Stopped: self._stopped,
        }

    # --- what a client watcher is told ----------------------------------------------------

    def sent(self, key: int, destination: str, body: bytes, now: float) -> None:
        """The user has sent a message."""
        self._require(key not in self._messages, f"key {key} was given twice")
        message = _Message(key, destination, is_judged=destination.startswith(self._judged))
        self._messages[key] = message
        self._open_fates += 1
        other = self._by_content.setdefault((destination, body), message)
        if other is not message:
            # Two of the same cannot be told apart at the server: neither is judged there.
            other.is_judged = message.is_judged = False

    def subscribed(self, id: str, destination: str, ack: AckMode, now: float) -> None:
        """The user has subscribed."""
        self._require(id not in self._subscriptions, f"subscription {id} was given twice")
        self._subscriptions[id] = _Subscription(destination, ack)

    def begun(self, transaction: str) -> None:
        """The user has begun a transaction."""
        self.transactions.begun(transaction)

    def sent_in(self, transaction: str, destination: str, body: bytes) -> None:
        """The user has sent a message in it."""
        self.transactions.sent(transaction, destination, body)

    def committing(self, transaction: str) -> None:
        """The user wants it to be done."""
        self.transactions.asked(transaction)

    def aborted(self, transaction: str) -> None:
        """The user does not want it any more."""
        self.transactions.aborted(transaction)

    def event(self, event: ClientEvent, now: float) -> None:
        """The client has told something.

        Raises:
            Violation: something that must not be.
        """
        self._require(not self.has_stopped, f"{type(event).__name__} came behind Stopped")
        self._now = now
        found = self._on.get(type(event))
        if found is not None:
            found(event)

    def action(self, action: Action, now: float) -> None:
        """The client has asked for a deed.

        Raises:
            Violation: something that must not be.
        """
        match action:
            case FetchToken():
                self._require(self._fetching is None, "a second token fetch while one is under way")
                self._fetching = action.generation
            case Dial():
                self._require(action.epoch not in self._alive, "one epoch was dialled twice")
                self._alive.add(action.epoch)
                self._require(len(self._alive) <= 2, "a third connection beside two")
                self._dial(now)
            case HangUp():
                self._alive.discard(action.epoch)

    def client_fired(self, session: ClientSession, now: float) -> None:
        """The client's `handle_timeout` was called."""
        check_deadline(session, now)

    # --- what the server's side is told ---------------------------------------------------

    def took_effect(
        self,
        destination: str,
        body: bytes,
        session_id: str,
        *,
        memory: int,
        now: float,
        window: float,
    ) -> None:
        """A message of this client was done at the server.

        Args:
            destination, body: of the message.
            session_id: over which connection it came.
            memory: which of the server's memories should know it from now on.
            now: the server's present instant, in Unix seconds.
            window: for how many seconds it should.

        Raises:
            Violation: once too often, or before its turn.
        """
        message = self._by_content.get((destination, body))
        if message is None:
            self.transactions.took_effect(destination, body)
        if message is None or not message.is_judged:
            return
        self._require(
            session_id not in message.sessions,
            f"message {message.key} took effect twice over one connection",
        )
        if self._has_keys:
            self._require(
                now >= message.known_until.get(memory, -math.inf),
                f"message {message.key} took effect twice, though the server could remember it",
            )
        # One that nobody waits for any more may still be on its way over an older connection.
        if not message.sessions and message.fate not in ("failed", "sent"):
            last = self._last_effect.get(destination, 0)
            self._require(
                message.key > last,
                f"message {message.key} took effect behind {last}, which was sent later",
            )
            self._last_effect[destination] = message.key
        message.sessions.append(session_id)
        message.known_until.setdefault(memory, now + window)

    # --- what somebody may want to know ---------------------------------------------------

    @property
    def is_settled(self) -> bool:
        """Whether every message has its fate, and every subscription is live, or all is over."""
        return self.has_stopped or (
            not self._open_fates
            and self.epoch_up > 0
            and all(each.active_in for each in self._subscriptions.values())
            and not self.transactions.unsettled()
        )

    def unsettled(self) -> str:
        """What is still open, in words."""
        waiting = [key for key, each in self._messages.items() if not each.fate]
        silent = [id for id, each in self._subscriptions.items() if not each.active_in]
        return (
            f"{self.name}: {'connected' if self.epoch_up else 'not connected'}, "
            f"messages without a fate: {waiting}, subscriptions that are not live: {silent}, "
            f"transactions without a fate: {self.transactions.unsettled()}"
        )

    def check_complete(self, epoch: int) -> None:
        """Everything that was routed to this connection, which is alive and at rest, has come.

        Raises:
            Violation: something is missing.
        """
        connection = self.connections.get(epoch)
        if connection is None or self.has_stopped:
            return
        for id, routed in connection.routed.items():
            subscription = self._subscriptions.get(id)
            if subscription is not None:
                missing = set(routed[connection.come.get(id, 0) :]) - subscription.seen
                self._require(not missing, f"never came for subscription {id}: {missing}")

    # --- inside ---------------------------------------------------------------------------

    def _require(self, condition: bool, sentence: str) -> None:
        if not condition:
            raise Violation(f"{self.name}: {sentence}")

    def _dial(self, now: float) -> None:
        dialed_at = self._dialed_at
        dialed_at.append(now)
        # One dial may follow at once, on a token that ran out on the way; never two.
        floor = self._config.backoff.minimum - _ROUNDING
        self._require(
            len(dialed_at) < 3 or now - dialed_at[-3] >= floor,
            f"three attempts within {self._config.backoff.minimum} s: {dialed_at[-3:]}",
        )

    def _decide(self, key: int, fate: str) -> None:
        message = self._messages.get(key)
        self._require(message is not None, f"a fate for message {key}, which nobody has sent")
        assert message is not None
        self._require(not message.fate, f"message {key} is {fate} and was {message.fate}")
        message.fate = fate
        self._open_fates -= 1

    def _published(self, event: Published) -> None:
        self._decide(event.key, "confirmed" if event.is_confirmed else "sent")
        message = self._messages[event.key]
        self._require(
            bool(message.sessions) or not (event.is_confirmed and message.is_judged),
            f"message {event.key} is confirmed and was never done",
        )

    def _publish_failed(self, event: PublishFailed) -> None:
        self._decide(event.key, "failed")

    def _delivered(self, event: Delivered) -> None:
        subscription = self._subscriptions.get(event.subscription)
        self._require(
            subscription is not None, f"a message for {event.subscription}, which is not live"
        )
        assert subscription is not None
        headers = event.frame.headers
        message_id, seen = headers["message-id"], subscription.seen
        if headers.get("redelivered") == "true" and subscription.ack is not AckMode.AUTO:
            subscription.redelivered.add(message_id)
        if message_id in seen:
            # Of two connections, the second copy may be the first to come.
            self._require(
                message_id in subscription.redelivered,
                f"message {message_id} came twice for subscription {event.subscription}",
            )
        connection = self.connections.get(event.epoch)
        if connection is not None:
            routed = connection.routed.get(event.subscription, [])
            at = connection.come.get(event.subscription, 0)
            while at < len(routed) and routed[at] != message_id:
                self._require(
                    routed[at] in seen,
                    f"{message_id} came for {event.subscription} before {routed[at]}, or without",
                )
                at += 1
            self._require(
                at < len(routed),
                f"{message_id} came for {event.subscription}, out of order or from nowhere",
            )
            connection.come[event.subscription] = at + 1
        seen.add(message_id)

    def _subscription_active(self, event: SubscriptionActive) -> None:
        subscription = self._subscriptions.get(event.subscription)
        self._require(subscription is not None, f"{event.subscription} is live, and was ended")
        assert subscription is not None
        subscription.active_in = event.epoch

    def _subscription_ended(self, event: SubscriptionEnded) -> None:
        self._require(event.subscription in self._subscriptions, "a subscription has ended twice")
        del self._subscriptions[event.subscription]

    def _status_changed(self, event: StatusChanged) -> None:
        if event.status is Status.ONLINE:
            self._require(self.epoch_up > 0, "online, and not connected")
        elif event.status is Status.RECOVERING:
            grace = self._config.status_grace - _ROUNDING
            self._require(not self.epoch_up, "recovering, and connected")
            self._require(self._now >= self._down_since + grace, "recovering within the grace")

    def _resubscribed(self, event: Resubscribed) -> None:
        self.epoch_up = event.epoch
        self._refusals = 0
        for id in self._handed_over.intersection(event.subscriptions, self._subscriptions):
            self._subscriptions[id].active_in = event.epoch
        self._handed_over.clear()

    def _fetch_over(self, event: TokenReceived | TokenFetchFailed) -> None:
        self._require(event.generation == self._fetching, "an answer to a fetch that is not open")
        self._fetching = None

    def _fetch_failed(self, event: TokenFetchFailed) -> None:
        self._fetch_over(event)
        self._is_unauthorized = self._is_unauthorized or event.permanent

    def _connection_ended(self, event: ConnectionEnded) -> None:
        mine = [id for id, each in self._subscriptions.items() if each.active_in == event.epoch]
        for id in mine:
            self._subscriptions[id].active_in = 0
        if event.outcome is Outcome.RENEW and len(self._alive) > 1:
            # Another connection was subscribed to all of them before this one was left.
            self._handed_over.update(mine)
        if self.epoch_up == event.epoch:
            self.epoch_up, self._down_since = 0, self._now
        error, close = event.ending.error, event.ending.close
        self._last_code = error.error_code if error is not None else ""
        if close is not None and close.code == CloseCode.FORBIDDEN:
            self._last_code = ErrorCode.TOKEN_REVOKED.value
        is_refused = self._last_code in _TOKEN_REFUSED or (
            close is not None and close.code == CloseCode.UNAUTHORIZED
        )
        is_new = not event.ending.established or self._last_code == ErrorCode.REAUTH_REJECTED
        if is_refused and is_new:
            self._refusals += 1

    def _stopped(self, event: Stopped) -> None:
        self.has_stopped = True
        self.error = event.error
        is_owed = self._open_fates or self.transactions.unsettled()
        self._require(not is_owed, f"stopped: {self.unsettled()}")
        self._require(not self._subscriptions, "stopped, and subscriptions have not ended")
        if isinstance(event.error, Unauthorized):
            self._require(self._is_unauthorized, "stopped without a word of the token source")
        elif isinstance(event.error, AuthenticationFailed):
            self._require(
                self._refusals >= self._config.token_refusals or self._last_code in _FINAL,
                f"stopped after {self._refusals} refused tokens: {event.error}",
            )
