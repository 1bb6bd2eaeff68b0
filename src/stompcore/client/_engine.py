"""The half of a client that its binding turns: events to whom they concern, actions to be done."""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from weakref import WeakSet

from stompcore._client import ClientSession
from stompcore._config import ClientConfig
from stompcore._connection import ClientConnection
from stompcore._endings import Rule, in_words
from stompcore._errors import (
    ClientClosed,
    StompError,
    SubscriptionOverflow,
    TokenFailed,
    TokenUnavailable,
    Unauthorized,
)
from stompcore._events import (
    ClientEvent,
    ConnectionEnded,
    Delivered,
    Dial,
    FetchToken,
    HangUp,
    Published,
    PublishFailed,
    Refreshed,
    Resubscribed,
    StatusChanged,
    Stopped,
    SubscriptionActive,
    SubscriptionEnded,
    TokenFetchFailed,
    TokenReason,
    TransactionCommitted,
    TransactionFailed,
)
from stompcore._timers import earliest
from stompcore._url import parse_url
from stompcore.client._messages import ReceivedMessage, TokenRequest, TokenSource, Waiter
from stompcore.client._replies import Replies
from stompcore.client._subscription import Subscription
from stompcore.client._transaction import Transaction
from stompcore.driver import MAX_SLEEP, EpochClock, Pump
from stompcore.websocket import ClientEndpoint

__all__ = ["Engine", "Fate", "Listener", "describe"]

_EVENTS_KEPT = 1000


class Fate:
    """What `Client.send` waits for.

    Args:
        waiter: set when it is decided.
    """

    __slots__ = ("error", "waiter")

    def __init__(self, waiter: Waiter) -> None:
        self.waiter = waiter
        self.error: StompError | None = None


class Listener:
    """A reader of `Client.events`: an async iterator. One that falls behind loses the oldest.

    No generator: that would have to be closed by whoever leaves the loop early.

    Args:
        waiter: makes events to wait on.
        is_over: whether the client has stopped already.
    """

    def __init__(self, waiter: Callable[[], Waiter], *, is_over: bool) -> None:
        self._events: deque[ClientEvent] = deque(maxlen=_EVENTS_KEPT)
        self._new_waiter = waiter
        self._wake = waiter()
        self._is_over = is_over

    def __aiter__(self) -> Listener:
        return self

    async def __anext__(self) -> ClientEvent:
        """The next event.

        Raises:
            StopAsyncIteration: `Stopped` was the last one.
        """
        while not self._events:
            if self._is_over:
                raise StopAsyncIteration
            await self._wake.wait()
        return self._events.popleft()

    def push(self, event: ClientEvent) -> None:
        """It has happened."""
        self._events.append(event)
        self._is_over = isinstance(event, Stopped)
        self._wake.set()
        self._wake = self._new_waiter()


class Engine(abc.ABC):
    """A session, and everybody who waits for what becomes of it.

    Args:
        url, token, config, rules: see a binding's `connect`.
        clock: of the binding's loop.
        random: gives floats in [0, 1).
        client_id: see `ClientSession`.
        waiter: makes events to wait on.
    """

    def __init__(
        self,
        url: str,
        *,
        token: TokenSource | None,
        config: ClientConfig,
        rules: Sequence[Rule],
        clock: EpochClock,
        random: Callable[[], float],
        client_id: str,
        waiter: Callable[[], Waiter],
    ) -> None:
        self.target = parse_url(url)
        if isinstance(token, str):  # there is no newer one to ask for
            config = replace(config, refresh=None)
        self._session = ClientSession(
            url,
            config,
            now=clock.now(),
            random=random,
            client_id=client_id,
            has_token=token is not None,
            rules=rules,
        )
        self._token_source = token
        self._config = config
        self._clock = clock
        self._new_waiter = waiter
        self._fates: dict[int, Fate] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._held: set[str] = set()
        self._transactions: dict[str, Transaction] = {}
        self._replies = Replies(waiter)
        # Who breaks out of the loop over its events is forgotten.
        self._listeners: WeakSet[Listener] = WeakSet()
        self._came_up = waiter()
        self._up_epoch = 0
        self._server = ""  # what it has called itself
        self._first_turn = waiter()
        self._stopped = waiter()
        self._has_stopped = False
        self._error: StompError | None = None

    # --- what a binding does ----------------------------------------------------------------

    @abc.abstractmethod
    def _turn(self) -> None:
        """The session may have changed: soon, call `_step`, then write, then arm the timer."""

    @abc.abstractmethod
    def _dial(self, epoch: int) -> None:
        """Begin to open a transport to `self.target`; then ask `_dialed` for its pump."""

    @abc.abstractmethod
    def _hang_up(self, epoch: int) -> None:
        """Close the transport of this epoch, or stop opening it."""

    @abc.abstractmethod
    def _fetch(self, action: FetchToken) -> None:
        """Begin `_ask_token_source(action)`, in place of an earlier one that still runs."""

    @abc.abstractmethod
    async def _breathe(self) -> None:
        """Give the loop its turn, in which what was sent can leave."""

    @abc.abstractmethod
    def _note(self, event: ClientEvent) -> None:
        """Log an event, if it is worth it."""

    # --- what a binding asks ----------------------------------------------------------------

    async def _wait_for_connection(self) -> None:
        await self._first_turn.wait()
        if self._error is not None:
            raise self._error

    def _step(self) -> None:
        """Fire what is due, hand out the events, and have the actions done."""
        session = self._session
        deadline = session.next_deadline()
        now = self._clock.now()
        if deadline is not None and now >= deadline:
            session.handle_timeout(now=now)
        self._replies.expire(now)
        self._dispatch()
        while self._look_at_readers():
            self._dispatch()  # what was read and held back comes before any more is read
        while (action := session.next_action()) is not None:
            match action:
                case Dial():
                    self._dial(action.epoch)
                case HangUp():
                    self._hang_up(action.epoch)
                case FetchToken():
                    self._fetch(action)

    def _deadline(self) -> float | None:
        """When to call `_turn` if nothing else happens, in the loop's own seconds."""
        if self._session.closed:
            return None
        latest = self._clock.now() + MAX_SLEEP
        at = earliest(latest, self._session.next_deadline(), self._replies.next_deadline())
        assert at is not None
        return self._clock.to_loop(at)

    def _dialed(self, epoch: int) -> Pump | None:
        """A transport is open: the pump that it feeds, or None if nobody wants it any more."""
        now = self._clock.now()
        connection = self._session.dialed(epoch, now=now)
        if connection is None:
            return None
        machine: ClientConnection | ClientEndpoint = connection
        if self.target.is_websocket:
            machine = ClientEndpoint(connection, self.target, now=now)
        return Pump(machine, self._clock)

    def _dial_failed(self, epoch: int, error: Exception) -> None:
        """No transport could be opened."""
        self._session.dial_failed(epoch, f"{type(error).__name__}: {error}", now=self._clock.now())

    async def _ask_token_source(self, action: FetchToken) -> None:
        """Answer `action`, whatever the user's code does."""
        generation, source = action.generation, self._token_source
        token = ""
        error: TokenFailed | None = None
        if isinstance(source, str):
            token = source
            if action.reason is TokenReason.EXPIRED:
                text = "the server refuses the token, and there is no source of others"
                error = Unauthorized(text)
        elif source is not None:
            request = TokenRequest(reason=action.reason, generation=generation)
            try:
                token = await source(request)
            except TokenFailed as failed:
                error = failed
            except Exception as raised:  # a source's bug or bad luck must not end the client
                # The text of somebody else's exception may hold a secret; its type cannot.
                error = TokenUnavailable(f"the token source raised {type(raised).__name__}")
        now = self._clock.now()
        if error is None:
            self._session.token(generation, token, now=now)
        else:
            permanent = isinstance(error, Unauthorized)
            said = error if str(error) else None
            self._session.token_failed(generation, permanent=permanent, error=said, now=now)
        self._turn()

    # --- events -----------------------------------------------------------------------------

    @abc.abstractmethod
    async def ack(self, message: ReceivedMessage) -> None:
        """See `Client.ack`."""

    @abc.abstractmethod
    async def nack(self, message: ReceivedMessage) -> None:
        """See `Client.nack`."""

    def _dispatch(self) -> None:
        """Hand every event of the session to whom it concerns."""
        while (event := self._session.next_event()) is not None:
            match event:
                case Delivered():
                    self._deliver(event)
                    continue
                case Published():
                    self._decide(event.key, None)
                    self._replies.published(event.key)
                    continue
                case _:
                    self._tell(event)
            self._note(event)
            for listener in self._listeners:
                listener.push(event)

    def _deliver(self, event: Delivered) -> None:
        message = ReceivedMessage(event, self)
        if event.subscription == self._replies.subscription:
            self._replies.arrived(message)
            return
        subscription = self._subscriptions.get(event.subscription)
        if subscription is None:
            return
        if subscription.push(message):
            if subscription.wants_pause(is_paused=False):
                self._look_at_readers()
            return
        del self._subscriptions[event.subscription]
        self._session.unsubscribe(event.subscription, now=self._clock.now())
        error = SubscriptionOverflow("a subscription's messages were not read in time")
        subscription.end(error)

    def _tell(self, event: ClientEvent) -> None:
        match event:
            case PublishFailed():
                self._decide(event.key, event.error)
                self._replies.failed(event.key, event.error)
            case SubscriptionActive():
                if event.subscription in self._subscriptions:
                    self._subscriptions[event.subscription].activate()
            case SubscriptionEnded():
                self._subscription_ended(event)
            case TransactionCommitted():
                self._decide_transaction(event.transaction, None)
            case TransactionFailed():
                self._decide_transaction(event.transaction, event.error)
            case Resubscribed():
                self._up_epoch = event.epoch
                connection = self._session.connection
                self._server = connection.server if connection is not None else ""
                self._first_turn.set()
                self._let_waiting_go_on()
            case ConnectionEnded():
                if event.epoch == self._up_epoch:
                    self._replies.connection_ended()
            case Stopped():
                self._error = event.error
                self._first_turn.set()
                self._let_waiting_go_on()
                self._has_stopped = True
                self._stopped.set()
            case _:
                pass

    def _let_waiting_go_on(self) -> None:
        self._came_up.set()
        self._came_up = self._new_waiter()

    def _subscription_ended(self, event: SubscriptionEnded) -> None:
        if event.subscription == self._replies.subscription:
            error = event.error or ClientClosed("the client was closed")
            self._replies.unsubscribed(error)
            return
        subscription = self._subscriptions.pop(event.subscription, None)
        if subscription is not None:
            subscription.end(event.error)

    def _decide(self, key: int, error: StompError | None) -> None:
        fate = self._fates.get(key)
        if fate is not None:
            fate.error = error
            fate.waiter.set()

    def _decide_transaction(self, name: str, error: StompError | None) -> None:
        transaction = self._transactions.pop(name, None)
        if transaction is not None:
            transaction.decide(error)

    # --- readers ----------------------------------------------------------------------------

    def _look_at_readers(self) -> bool:
        """Have the session read on, or not: by whose buffers are full, and who waits for what.

        Returns:
            Whether more may come for somebody than might before.
        """
        full = set()
        if not self._replies:  # a reply stands behind the messages that nobody reads
            full = {
                id
                for id, each in self._subscriptions.items()
                if each.wants_pause(is_paused=id in self._held)
            }
        now = self._clock.now()
        for id in full - self._held:
            self._session.hold(id, now=now)
        released = self._held - full
        for id in released:
            self._session.release(id, now=now)
        self._held = full
        return bool(released)


def describe(event: ClientEvent) -> str:
    """A log line for `event`, or nothing for what happens all the time. Never a token."""
    match event:
        case ConnectionEnded():
            ending = in_words(event.ending)
            return f"connection {event.epoch} ended: {ending}; next: {event.outcome.value}"
        case Resubscribed():
            return (
                f"connection {event.epoch} is up with STOMP {event.version}: "
                f"{len(event.subscriptions)} subscriptions, {event.resent} messages sent again"
            )
        case Refreshed():
            return f"connection {event.epoch} goes on with a new token"
        case TokenFetchFailed():
            return f"no new token: {event.error}"
        case StatusChanged():
            return f"the client is {event.status.value}"
        case Stopped():
            return "stopped" if event.error is None else f"stopped: {event.error}"
        case _:
            return ""
