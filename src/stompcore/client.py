"""What a user's program holds: `Client` and `Subscription`, the same on every runtime.

They wait on events that the binding gives them (`asyncio.Event` and `trio.Event` have what is
needed in common), and do no I/O: a binding's subclass moves the bytes.
"""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

from stompcore._client import ClientSession
from stompcore._config import ClientConfig
from stompcore._connection import ClientConnection
from stompcore._endings import Rule, in_words
from stompcore._errors import ClientClosed, StompError, SubscriptionOverflow, Unauthorized
from stompcore._events import (
    AckMode,
    ClientEvent,
    ConnectionEnded,
    Delivered,
    Dial,
    FetchToken,
    HangUp,
    Published,
    PublishFailed,
    Resubscribed,
    Stopped,
    SubscriptionActive,
    SubscriptionEnded,
    TokenReason,
)
from stompcore._headers import Headers
from stompcore._state import ConnectionState
from stompcore._subscription import HeaderValue
from stompcore._url import parse_url
from stompcore.driver import MAX_SLEEP, EpochClock, Pump
from stompcore.websocket import ClientEndpoint

__all__ = [
    "Client",
    "ReceivedMessage",
    "Subscription",
    "TokenRequest",
    "TokenSource",
    "Waiter",
    "describe",
]

_EVENTS_KEPT = 1000


class Waiter(Protocol):
    """What `asyncio.Event` and `trio.Event` have in common."""

    def set(self) -> Any:
        """Let everybody go on."""

    async def wait(self) -> Any:
        """Until it is set."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenRequest:
    """What a token source is told.

    Args:
        reason: `TokenReason.INITIAL` for the first one, `EXPIRED` when the server has refused
            the last one.
        generation: counts the requests of one client.
    """

    reason: TokenReason
    generation: int


#: A token, or an async callable that gets one. Raising `Unauthorized` there is permanent.
TokenSource = str | Callable[[TokenRequest], Awaitable[str]]


class ReceivedMessage:
    """A message that came for a subscription."""

    __slots__ = ("_delivered",)

    def __init__(self, delivered: Delivered) -> None:
        self._delivered = delivered

    @property
    def delivered(self) -> Delivered:
        """The event it came by."""
        return self._delivered

    @property
    def headers(self) -> Headers:
        """The MESSAGE frame's headers."""
        return self._delivered.frame.headers

    @property
    def body(self) -> bytes:
        """The MESSAGE frame's body."""
        return self._delivered.frame.body

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode()

    @property
    def destination(self) -> str:
        """Where it was sent to."""
        return self.headers["destination"]

    @property
    def message_id(self) -> str:
        """The server's id for it."""
        return self.headers["message-id"]

    def __repr__(self) -> str:
        return f"<ReceivedMessage {self.message_id} from {self.destination}>"


class Subscription:
    """The messages of one destination, over as many connections as it takes.

    Use it as ``async with client.subscribe(...) as messages: async for message in messages``.
    Entering waits until the server has confirmed it, so that nothing sent afterwards is missed;
    leaving unsubscribes.
    """

    def __init__(
        self,
        client: Client,
        destination: str,
        ack: AckMode,
        headers: Mapping[str, HeaderValue] | None,
        waiter: Callable[[], Waiter],
        limit: int,
    ) -> None:
        self.destination = destination
        self.id = ""
        self._client = client
        self._ack = ack
        self._headers = headers
        self._new_waiter = waiter
        self._wake = waiter()
        self._limit = limit
        self._messages: deque[ReceivedMessage] = deque()
        self._is_active = False
        self._has_ended = False
        self._error: StompError | None = None

    async def __aenter__(self) -> Subscription:
        if self.id:
            raise ClientClosed("a subscription can be entered once")
        self.id = self._client._register(self, self._ack, self._headers)
        try:
            while not (self._is_active or self._has_ended):
                await self._wait()
        except BaseException:
            self._client._unregister(self)
            raise
        if self._error is not None:
            raise self._error
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._client._unregister(self)

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> ReceivedMessage:
        """The next message.

        Raises:
            StopAsyncIteration: the client was closed, or the subscription was left.
            StompError: why the subscription has ended: `SubscriptionRefused`, `Unauthorized`...
        """
        while not self._messages:
            if self._error is not None:
                raise self._error
            if self._has_ended:
                raise StopAsyncIteration
            await self._wait()
        return self._messages.popleft()

    async def _wait(self) -> None:
        self._wake = self._new_waiter()
        await self._wake.wait()

    def _activate(self) -> None:
        self._is_active = True
        self._wake.set()

    def _push(self, delivered: Delivered) -> bool:
        """Buffer a message; False when there was no room."""
        if len(self._messages) >= self._limit:
            return False
        self._messages.append(ReceivedMessage(delivered))
        self._wake.set()
        return True

    def _end(self, error: StompError | None) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._error = error
            self._wake.set()


class _Fate:
    """What `Client.send` waits for."""

    __slots__ = ("error", "waiter")

    def __init__(self, waiter: Waiter) -> None:
        self.waiter = waiter
        self.error: StompError | None = None


class Client(abc.ABC):
    """A STOMP client that stays connected, and subscribed, while its token source gives tokens.

    Made by the `connect` of a binding; use it as an async context manager. Entering waits for the
    first connection, dialling as often as that takes (bound it with your runtime's time-out) and
    raises if the client stops before. Leaving says DISCONNECT behind everything that was sent.
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
        waiter: Callable[[], Waiter],
    ) -> None:
        self.target = parse_url(url)
        self._session = ClientSession(
            url,
            config,
            now=clock.now(),
            random=random,
            has_token=token is not None,
            rules=rules,
        )
        self._token_source = token
        self._config = config
        self._clock = clock
        self._new_waiter = waiter
        self._fates: dict[int, _Fate] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._listeners: list[_Listener] = []
        self._first_turn = waiter()
        self._stopped = waiter()
        self._error: StompError | None = None

    # --- for the user ---------------------------------------------------------------------

    @property
    def state(self) -> ConnectionState:
        """Where the connection's table stands."""
        return self._session.state

    async def send(
        self, destination: str, body: bytes | str, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a message, and return once the server has confirmed it.

        It survives lost connections and expired tokens. Cancelled, it may still be sent.

        Args:
            destination: where to.
            body: bytes, or text that is sent as UTF-8.
            headers: further headers of the SEND frame.

        Raises:
            OutboxFull, LocalProtocolError: at once; nothing was queued.
            SendRefused: the server answered this very message with an ERROR.
            MessageTimedOut: it was not confirmed within `ClientConfig.outbox_timeout`.
            StompError: why the client has stopped in the meantime.
        """
        data = body.encode() if isinstance(body, str) else bytes(body)
        key = self._session.send(destination, data, headers, now=self._clock.now())
        fate = self._fates[key] = _Fate(self._new_waiter())
        self._turn()
        try:
            await fate.waiter.wait()
        finally:
            self._fates.pop(key, None)
        if fate.error is not None:
            raise fate.error

    def subscribe(
        self,
        destination: str,
        *,
        ack: AckMode | str = AckMode.AUTO,
        headers: Mapping[str, HeaderValue] | None = None,
    ) -> Subscription:
        """A subscription, to be entered with ``async with``.

        Args:
            destination: where to listen.
            ack: "auto", "client" or "client-individual".
            headers: further headers; a callable is evaluated at every (re)subscription.
        """
        return Subscription(
            self,
            destination,
            AckMode(ack),
            headers,
            self._new_waiter,
            self._config.subscription_buffer,
        )

    async def ack(self, message: ReceivedMessage) -> None:
        """Acknowledge a message.

        Raises:
            StaleEpoch: the connection that brought it is gone, and its id with it.
        """
        self._session.ack(message.delivered, now=self._clock.now())
        self._turn()

    async def nack(self, message: ReceivedMessage) -> None:
        """Tell the server that a message was not consumed; see `ack`."""
        self._session.nack(message.delivered, now=self._clock.now())
        self._turn()

    async def events(self) -> AsyncIterator[ClientEvent]:
        """The client's life, as it happens from now on; ends after `Stopped`.

        A reader that falls behind by a thousand events loses the oldest.
        """
        listener = _Listener(self._new_waiter)
        self._listeners.append(listener)
        try:
            while True:
                while listener.events:
                    event = listener.events.popleft()
                    yield event
                    if isinstance(event, Stopped):
                        return
                listener.wake = self._new_waiter()
                await listener.wake.wait()
        finally:
            self._listeners.remove(listener)

    async def close(self) -> None:
        """Say DISCONNECT behind everything that was sent, and wait for the end of it."""
        self._session.close(now=self._clock.now())
        self._turn()
        await self._stopped.wait()

    # --- for the binding ------------------------------------------------------------------

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
    def _note(self, event: ClientEvent) -> None:
        """Log an event, if it is worth it."""

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
        self._dispatch()
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
        at = self._session.next_deadline()
        return self._clock.to_loop(latest if at is None else min(at, latest))

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
        token, permanent = "", False
        if isinstance(source, str):
            # There is no other where this one came from.
            permanent = action.reason is TokenReason.EXPIRED
            token = source
        elif source is not None:
            request = TokenRequest(reason=action.reason, generation=generation)
            try:
                token = await source(request)
            except Unauthorized:
                permanent = True
            except Exception as error:  # a source's bug or bad luck must not end the client
                self._token_source_failed(error)
        now = self._clock.now()
        if permanent:
            self._session.token_failed(generation, permanent=True, now=now)
        else:
            self._session.token(generation, token, now=now)
        self._turn()

    @abc.abstractmethod
    def _token_source_failed(self, error: Exception) -> None:
        """Log what the token source raised."""

    def _dispatch(self) -> None:
        """Hand every event of the session to whom it concerns."""
        while (event := self._session.next_event()) is not None:
            match event:
                case Delivered():
                    subscription = self._subscriptions.get(event.subscription)
                    if subscription is not None and not subscription._push(event):
                        self._overflow(subscription)
                    continue
                case Published():
                    self._decide(event.key, None)
                    continue
                case PublishFailed():
                    self._decide(event.key, event.error)
                case SubscriptionActive():
                    if event.subscription in self._subscriptions:
                        self._subscriptions[event.subscription]._activate()
                case SubscriptionEnded():
                    ended = self._subscriptions.pop(event.subscription, None)
                    if ended is not None:
                        ended._end(event.error)
                case Resubscribed():
                    self._first_turn.set()
                case Stopped():
                    self._error = event.error
                    self._first_turn.set()
                    self._stopped.set()
            self._note(event)
            for listener in self._listeners:
                listener.push(event)

    def _decide(self, key: int, error: StompError | None) -> None:
        fate = self._fates.get(key)
        if fate is not None:
            fate.error = error
            fate.waiter.set()

    def _register(
        self,
        subscription: Subscription,
        ack: AckMode,
        headers: Mapping[str, HeaderValue] | None,
    ) -> str:
        id = self._session.subscribe(
            subscription.destination, ack=ack, headers=headers, now=self._clock.now()
        )
        self._subscriptions[id] = subscription
        self._turn()
        return id

    def _unregister(self, subscription: Subscription) -> None:
        if self._subscriptions.pop(subscription.id, None) is not None:
            self._session.unsubscribe(subscription.id, now=self._clock.now())
            self._turn()
        subscription._end(None)

    def _overflow(self, subscription: Subscription) -> None:
        del self._subscriptions[subscription.id]
        self._session.unsubscribe(subscription.id, now=self._clock.now())
        subscription._end(SubscriptionOverflow("a subscription's messages were not read in time"))


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
        case Stopped():
            return "stopped" if event.error is None else f"stopped: {event.error}"
        case _:
            return ""


class _Listener:
    __slots__ = ("events", "wake")

    def __init__(self, waiter: Callable[[], Waiter]) -> None:
        self.events: deque[ClientEvent] = deque(maxlen=_EVENTS_KEPT)
        self.wake = waiter()

    def push(self, event: ClientEvent) -> None:
        self.events.append(event)
        self.wake.set()
