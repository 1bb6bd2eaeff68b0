"""`ClientSession`: what a user calls a connection, over as many physical ones as it takes.

Phase 3: it reads why a connection ended, gets a new token if that was the reason, dials again,
subscribes to everything again in the same order, and sends again, first, what was not confirmed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence

from stompcore._auth import Token
from stompcore._config import ClientConfig
from stompcore._connection import ClientConnection, connect_headers
from stompcore._credential import Credential
from stompcore._current import CurrentConnection
from stompcore._endings import DEFAULT_RULES, Rule, decide, in_words
from stompcore._errors import (
    AuthenticationFailed,
    ClientClosed,
    ErrorCode,
    LocalProtocolError,
    MessageTimedOut,
    SendRefused,
    StaleEpoch,
    StompError,
    SubscriptionRefused,
    Unauthorized,
)
from stompcore._events import (
    AckMode,
    Action,
    ClientEvent,
    ConnectionEnded,
    Delivered,
    Dial,
    Dialing,
    Disconnected,
    ErrorReceived,
    HangUp,
    Outcome,
    Published,
    PublishFailed,
    Receipted,
    Resubscribed,
    SessionEstablished,
    Stopped,
    SubscriptionActive,
    SubscriptionEnded,
    TokenFetchFailed,
    TokenReceived,
    TokenRequested,
)
from stompcore._frames import Command, Frame
from stompcore._headers import Version
from stompcore._outbox import Outbox, OutgoingMessage
from stompcore._redial import Redial
from stompcore._state import (
    ClientConnectionState,
    ConnectionState,
    ConnectionTrigger,
    MessageState,
    MessageTrigger,
    SubscriptionState,
    SubscriptionTrigger,
    TokenState,
)
from stompcore._subscription import HeaderValue, Subscription, Subscriptions, acknowledgement
from stompcore._timers import Timer
from stompcore._url import parse_url

__all__ = ["ClientSession"]

# The ERROR names a frame of ours, but it is not that frame's fault.
_BLAMELESS = frozenset({ErrorCode.GOING_AWAY, ErrorCode.SLOW_CONSUMER, ErrorCode.HEARTBEAT_TIMEOUT})


class ClientSession(CurrentConnection):
    """A client, without any I/O. Keeps `Machine`'s contract, and asks for deeds by `next_action`.

    Args:
        url: where to dial; `host` of CONNECT comes from `config`.
        config: see `ClientConfig`.
        now: Unix seconds.
        random: gives floats in [0, 1), for the jitter of the backoff.
        has_token: whether there is a token source to ask.
        rules: what to do after which ending; the first that fits decides.

    Raises:
        LocalProtocolError: a URL that cannot be dialled.
    """

    def __init__(
        self,
        url: str,
        config: ClientConfig,
        *,
        now: float,
        random: Callable[[], float],
        has_token: bool = True,
        rules: Sequence[Rule] = DEFAULT_RULES,
    ) -> None:
        super().__init__(now=now)
        self.url = url
        self.epoch = 0
        self._host = parse_url(url).host
        self._config = config
        self._rules = rules
        self._redial = Redial(config.backoff, self._timers, random=random)
        self._credential = Credential(config, self._timers, random=random) if has_token else None
        self._events: deque[ClientEvent] = deque()
        self._actions: deque[Action] = deque()
        self._subscriptions = Subscriptions()
        self._outbox = Outbox(config, self._timers)

    # --- what a caller reads --------------------------------------------------------------

    @property
    def token_state(self) -> TokenState:
        """Where the token's table stands; NONE, for ever, without a token source."""
        return self._credential.state if self._credential else TokenState.NONE

    @property
    def unconfirmed(self) -> int:
        """How many messages' fate is open."""
        return len(self._outbox)

    @property
    def closing(self) -> bool:
        """The client will not connect again."""
        return self.state in (ConnectionState.DISCONNECTING, ConnectionState.STOPPED)

    @property
    def closed(self) -> bool:
        """It is over."""
        return self.state is ConnectionState.STOPPED

    # --- what the user asks ---------------------------------------------------------------

    def start(self, *, now: float) -> None:
        """Begin: ask for a token if there is a source, then dial."""
        self._advance(now)
        self._table.fire(ConnectionTrigger.START)
        self._proceed()

    def send(
        self, destination: str, body: bytes, headers: Mapping[str, str] | None = None, *, now: float
    ) -> int:
        """Accept a message; it is sent now, or as soon as there is a connection again.

        Returns:
            The key that `Published` or `PublishFailed` will name: one of them comes, once.

        Raises:
            OutboxFull: no room; nothing was queued.
            ClientClosed: the client is closing or has stopped.
            LocalProtocolError: it can never be sent.
        """
        self._require_running()
        self._advance(now)
        message = self._outbox.add(destination, body, headers or {}, now=self._now)
        if self._is_open():
            self._send_message(message)
        return message.key

    def subscribe(
        self,
        destination: str,
        *,
        ack: AckMode = AckMode.AUTO,
        headers: Mapping[str, HeaderValue] | None = None,
        now: float,
    ) -> str:
        """Subscribe, now and on every connection to come, until `unsubscribe`.

        Args:
            destination: where to listen.
            ack: the acknowledgement mode.
            headers: further headers; a callable is evaluated at every (re)subscription.
            now: Unix seconds.

        Returns:
            The subscription's id, by which events name it.

        Raises:
            ClientClosed: the client is closing or has stopped.
            LocalProtocolError: a header that is the client's own.
        """
        self._require_running()
        self._advance(now)
        # Registered before the frame leaves, so that no MESSAGE can find it missing.
        subscription = self._subscriptions.add(destination, ack, headers or {})
        if self._is_open():
            self._send_subscribe(subscription)
        return subscription.id

    def unsubscribe(self, id: str, *, now: float) -> None:
        """End a subscription. Legal for one that has ended already."""
        self._advance(now)
        subscription = self._subscriptions.get(id)
        if subscription is None:
            return
        if self._is_open():
            self._send_frame(Frame(Command.UNSUBSCRIBE, {"id": id}))
        self._end_subscription(subscription, None)

    def ack(self, delivered: Delivered, *, now: float) -> None:
        """Acknowledge a message.

        Raises:
            StaleEpoch: it came over a connection that is gone, where its id meant something.
            LocalProtocolError: it asks for none, or the agreed version has no such frame.
        """
        self._acknowledge(Command.ACK, delivered, now)

    def nack(self, delivered: Delivered, *, now: float) -> None:
        """Refuse a message; see `ack`."""
        self._acknowledge(Command.NACK, delivered, now)

    def close(self, *, now: float) -> None:
        """Say DISCONNECT behind everything that was sent, or just stop if there is no connection.

        Legal at any moment and more than once.
        """
        self._advance(now)
        if self.closing:
            return
        if self._is_open():
            assert self._connection is not None
            self._table.fire(ConnectionTrigger.CLOSE)
            self._timers.clear()
            self._connection.disconnect(now=self._now)
        else:
            self._stop(None)

    def abort(self, *, now: float) -> None:
        """Stop at once, saying nothing. Legal at any moment and more than once."""
        self._advance(now)
        self._stop(None)

    # --- what the driver answers ----------------------------------------------------------

    def next_action(self) -> Action | None:
        """The next deed for the driver, or None."""
        return self._actions.popleft() if self._actions else None

    def dialed(self, epoch: int, *, now: float) -> ClientConnection | None:
        """Answer `Dial`: the transport is open. CONNECT is queued.

        Returns:
            The machine that this transport feeds (behind a WebSocket endpoint, if it is one), or
            None for an epoch that is over: close the transport.
        """
        self._advance(now)
        if epoch != self.epoch or self.state is not ConnectionState.DIALING:
            return None
        token = self._credential.token if self._credential else None
        headers = connect_headers(self._config, self._host, token)
        self._table.fire(ConnectionTrigger.DIALED)
        self._timers.cancel(Timer.DIAL)
        self._connection = ClientConnection(self._config, headers, now=self._now)
        return self._connection

    def dial_failed(self, epoch: int, fault: str, *, now: float) -> None:
        """Answer `Dial`: no transport. `fault` says why, in words."""
        self._advance(now)
        if epoch == self.epoch and self.state is ConnectionState.DIALING:
            self._ended(Disconnected(fault=fault))

    def token(self, generation: int, token: str, *, now: float) -> None:
        """Answer `FetchToken`. Dropped if it is not the fetch that is under way."""
        self._advance(now)
        token = (token or "").strip()  # a source without types may give None; a file, a line end
        if not (token.isascii() and token.isprintable() and token):
            # No token this time: what cannot stand in a header means what an exception means.
            self.token_failed(generation, permanent=False, now=now)
        elif self._credential is not None and self._credential.arrived(generation, Token(token)):
            self._events.append(TokenReceived(generation=generation))
            self._proceed()

    def token_failed(self, generation: int, *, permanent: bool, now: float) -> None:
        """Answer `FetchToken`: no token. `permanent` (`Unauthorized`) stops the client."""
        self._advance(now)
        credential = self._credential
        if credential is None or not credential.failed(generation, self._now, permanent=permanent):
            return
        self._events.append(TokenFetchFailed(generation=generation, permanent=permanent))
        if permanent:
            self._stop(Unauthorized("the token source has no token for this user any more"))

    # --- the machine's verbs --------------------------------------------------------------

    def handle_timeout(self, *, now: float) -> None:
        """Fire what is due. Legal early, late and twice."""
        self._advance(now)
        if self._connection is not None:
            self._connection.handle_timeout(now=self._now)
        self._pull()
        self._fire_due()

    def next_event(self) -> ClientEvent | None:
        """The next event, or None. Reads on in the current connection when its own run out."""
        self._pull()
        return self._events.popleft() if self._events else None

    # --- time -----------------------------------------------------------------------------

    def _fire(self, timer: Timer, due_at: float) -> None:
        match timer:
            case Timer.DIAL:
                self._ended(Disconnected(fault="dialling took too long"))
            case Timer.TOKEN_FETCH:
                assert self._credential is not None
                generation = self._credential.generation
                self.token_failed(generation, permanent=False, now=self._now)
            case Timer.TOKEN_RETRY | Timer.REDIAL:
                self._proceed()
            case Timer.STABLE:
                self._redial.stable()
            case Timer.OUTBOX:
                for message in self._outbox.expired(self._now):
                    self._fail_message(message, MessageTimedOut("not confirmed in time"))
            case _:  # pragma: no cover
                raise AssertionError(timer)

    # --- events of the connection ---------------------------------------------------------

    def _pull(self) -> None:
        while not self._events and self._connection is not None:
            event = self._connection.next_event()
            self._advance(self._connection.now)
            match event:
                case None:
                    return
                case SessionEstablished():
                    self._connected(event.version)
                case Frame():
                    self._deliver(event)
                case Receipted():
                    self._receipted(event.receipt_id)
                case Disconnected():
                    self._ended(event)
                case ErrorReceived():
                    pass  # Disconnected brings it again, with all else that is known by then

    def _connected(self, version: Version) -> None:
        self._table.fire(ConnectionTrigger.CONNECTED)
        if self._credential is not None:
            self._credential.accepted()
        self._redial.connected(self._now)
        for subscription in self._subscriptions:
            self._send_subscribe(subscription)
        resent = sum(self._send_message(message) for message in self._outbox.queued())
        self._events.append(
            Resubscribed(
                epoch=self.epoch,
                version=version,
                subscriptions=tuple(each.id for each in self._subscriptions),
                resent=resent,
            )
        )

    def _deliver(self, frame: Frame) -> None:
        id = frame.headers.get("subscription", "")
        # What was under way when we unsubscribed is nobody's any more.
        if id in self._subscriptions:
            self._events.append(Delivered(subscription=id, epoch=self.epoch, frame=frame))

    def _receipted(self, receipt_id: str) -> None:
        message = self._outbox.by_receipt(receipt_id)
        if message is not None and message.state is MessageState.IN_FLIGHT:
            self._outbox.settle(message, MessageTrigger.RECEIPT)
            self._events.append(Published(key=message.key))
            return
        subscription = self._subscriptions.by_receipt(receipt_id)
        if subscription is not None and subscription.state is not SubscriptionState.ACTIVE:
            subscription.fire(SubscriptionTrigger.CONFIRMED)
            self._events.append(SubscriptionActive(subscription=subscription.id, epoch=self.epoch))

    def _ended(self, ending: Disconnected) -> None:
        self._connection = None
        self._timers.cancel(Timer.STABLE)
        self._timers.cancel(Timer.DIAL)
        self._actions.append(HangUp(epoch=self.epoch))
        self._outbox.lose_connection()
        self._subscriptions.lose_connection()
        outcome = decide(ending, self._rules)
        if outcome is not Outcome.REFRESH and self._blame(ending):
            outcome = Outcome.RETRY  # without the frame that was at fault
        credential = self._credential
        if outcome is Outcome.REFRESH and (
            credential is None or not credential.expired(was_accepted=ending.established)
        ):
            outcome = Outcome.STOP
        if self.closing:
            outcome = Outcome.STOP
        self._events.append(ConnectionEnded(epoch=self.epoch, ending=ending, outcome=outcome))
        if outcome is Outcome.STOP:
            self._stop(
                None
                if self.closing
                else AuthenticationFailed(f"the server refuses this client: {in_words(ending)}")
            )
            return
        self._table.fire(ConnectionTrigger.ENDED)
        # An expiry burns no step of the backoff, as long as that cannot make a hot loop.
        at_once = outcome is Outcome.REFRESH and (
            self._redial.has_held(self._now)
            if ending.established
            else credential is not None and credential.was_refused_once
        )
        if not at_once:
            self._redial.back_off(self._now)
        self._proceed()

    def _blame(self, ending: Disconnected) -> bool:
        """Give up the one frame of ours that the ERROR names, if it names one."""
        error = ending.error
        if error is None or error.error_code in _BLAMELESS:
            return False
        message = self._outbox.by_receipt(error.receipt_id)
        if message is not None:
            self._fail_message(message, SendRefused(error.error_code, error.message))
            return True
        subscription = self._subscriptions.by_receipt(error.receipt_id)
        if subscription is not None:
            self._end_subscription(
                subscription, SubscriptionRefused(error.error_code, error.message)
            )
            return True
        return False

    # --- dialling and tokens --------------------------------------------------------------

    def _proceed(self) -> None:
        """From WAITING, do the next thing that nothing stands in the way of."""
        if self.state is not ConnectionState.WAITING:
            return
        credential = self._credential
        if credential is not None and not credential.is_fresh:
            fetch = credential.fetch(self._now)
            if fetch is not None:
                self._events.append(
                    TokenRequested(generation=fetch.generation, reason=fetch.reason)
                )
                self._actions.append(fetch)
            return
        if self._redial.is_waiting:
            return
        self._table.fire(ConnectionTrigger.DIAL)
        self.epoch += 1
        self._timers.set(Timer.DIAL, self._now + self._config.dial_timeout)
        self._events.append(Dialing(epoch=self.epoch))
        self._actions.append(Dial(url=self.url, epoch=self.epoch))

    def _stop(self, error: StompError | None) -> None:
        if self.closed:
            return
        is_dialing = self.state is ConnectionState.DIALING
        self._table.fire(ConnectionTrigger.STOP)
        self._timers.clear()
        if self._connection is not None or is_dialing:
            self._actions.append(HangUp(epoch=self.epoch))
        self._connection = None
        if self._credential is not None:
            self._credential.forget()
        for message in self._outbox.pending():
            self._fail_message(message, error or ClientClosed("the client was closed"))
        for subscription in self._subscriptions:
            self._end_subscription(subscription, error)
        self._events.append(Stopped(error=error))

    # --- frames out -----------------------------------------------------------------------

    def _require_running(self) -> None:
        if self.closing:
            raise ClientClosed("the client is closed")

    def _is_open(self) -> bool:
        return (
            self.state is ConnectionState.CONNECTED
            and self._connection is not None
            and self._connection.state is ClientConnectionState.OPEN
        )

    def _send_frame(self, frame: Frame) -> None:
        assert self._connection is not None
        self._connection.send_frame(frame, now=self._now)

    def _send_message(self, message: OutgoingMessage) -> bool:
        try:
            self._send_frame(message.frame)
        except LocalProtocolError as error:  # the version that was agreed on cannot carry it
            self._fail_message(message, error)
            return False
        message.fire(MessageTrigger.SENT)
        return True

    def _send_subscribe(self, subscription: Subscription) -> None:
        try:
            self._send_frame(subscription.frame(self.epoch))
        except LocalProtocolError as error:
            self._end_subscription(subscription, error)

    def _acknowledge(self, command: Command, delivered: Delivered, now: float) -> None:
        self._advance(now)
        if delivered.epoch != self.epoch or not self._is_open():
            raise StaleEpoch("the connection that brought this message is gone")
        assert self._connection is not None
        version = self._connection.version
        assert version is not None
        self._send_frame(acknowledgement(command, delivered, version))

    # --- fates ----------------------------------------------------------------------------

    def _fail_message(self, message: OutgoingMessage, error: StompError) -> None:
        self._outbox.settle(message, MessageTrigger.FAIL)
        self._events.append(PublishFailed(key=message.key, error=error))

    def _end_subscription(self, subscription: Subscription, error: StompError | None) -> None:
        self._subscriptions.end(subscription)
        self._events.append(SubscriptionEnded(subscription=subscription.id, error=error))
