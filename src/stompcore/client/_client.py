"""`Client`: what a user's program calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping

from stompcore._errors import LocalProtocolError, NotConnected
from stompcore._events import AckMode, ClientEvent
from stompcore._state import ConnectionState, Status
from stompcore._subscription import HeaderValue, KeyFunction
from stompcore.client._engine import Engine, Fate, Listener
from stompcore.client._messages import ReceivedMessage
from stompcore.client._subscription import Subscription
from stompcore.client._transaction import Transaction

__all__ = ["Client"]

# RabbitMQ makes the queue of a `reply-to` by itself, and lets nobody subscribe to it.
_SUBSCRIBES_BY_ITSELF = "RabbitMQ/"


class Client(Engine):
    """A STOMP client that stays connected, and subscribed, while its token source gives tokens.

    Made by the `connect` of a binding; use it as an async context manager. Entering waits for the
    first connection, dialling as often as that takes (bound it with your runtime's time-out) and
    raises if the client stops before. Leaving says DISCONNECT behind everything that was sent.
    """

    @property
    def state(self) -> ConnectionState:
        """Where the connection's table stands."""
        return self._session.state

    @property
    def status(self) -> Status:
        """What the person at the screen should see. A change is `StatusChanged` in `events`."""
        return self._session.status

    @property
    def subject(self) -> str | None:
        """Whom the server takes us for, or else whom the token speaks of; None if neither says."""
        return self._session.subject

    @property
    def server(self) -> str:
        """What the server of the last connection has called itself; empty if it does not say."""
        return self._server

    @property
    def token_valid_until(self) -> float | None:
        """Until when the token counts, in Unix seconds; None if nobody has said."""
        return self._session.token_valid_until

    @property
    def token_refresh_at(self) -> float | None:
        """When the next token will be asked for, in Unix seconds; None if that is not planned."""
        return self._session.token_refresh_at

    # --- messages -------------------------------------------------------------------------

    async def send(
        self,
        destination: str,
        body: bytes | str,
        headers: Mapping[str, str] | None = None,
        *,
        confirm: bool = True,
    ) -> None:
        """Send a message, and return once the server has confirmed it.

        It survives lost connections and expired tokens. Cancelled, it may still be sent.

        Args:
            destination: where to.
            body: bytes, or text that is sent as UTF-8.
            headers: further headers of the SEND frame.
            confirm: False returns once it was handed to a connection, whatever becomes of that:
                quicker, and lost when the connection is.

        Raises:
            OutboxFull, LocalProtocolError: at once; nothing was queued.
            SendRefused: the server answered this very message with an ERROR.
            MessageTimedOut: it was not confirmed within `ClientConfig.outbox_timeout`.
            StompError: why the client has stopped in the meantime.
        """
        key = self._send(destination, body, headers or {}, confirm=confirm)
        fate = self._fates[key] = Fate(self._new_waiter())
        self._turn()
        try:
            await fate.waiter.wait()
        finally:
            self._fates.pop(key, None)
        if fate.error is not None:
            raise fate.error

    async def request(
        self,
        destination: str,
        body: bytes | str,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float = 10.0,
    ) -> ReceivedMessage:
        """Send a message, and wait for the reply to it.

        It carries `reply-to` (`ClientConfig.reply_destination`) and a `correlation-id`, which the
        one who answers has to send along. Cancelled, it may still be sent.

        Args:
            destination, body, headers: as of `send`.
            timeout: how long to wait for the reply, in seconds.

        Returns:
            The reply.

        Raises:
            RequestTimedOut: there was none in time.
            ReplyLost: the server has had the request, and then the connection ended on which the
                reply would have come. Whether the request was acted upon is not known.
            StompError: as of `send`; also `SubscriptionRefused`, where the server does not let us
                listen for replies.
        """
        if not timeout > 0:
            raise LocalProtocolError("timeout must be above 0")
        now = self._clock.now()
        reply_to = self._config.reply_destination
        if not self._replies.subscription:
            is_implicit = self._server.startswith(_SUBSCRIBES_BY_ITSELF)
            self._replies.subscription = self._session.subscribe(
                reply_to, implicit=is_implicit, now=now
            )
        id = self._replies.next_id()
        own = {"reply-to": reply_to, "correlation-id": id}
        key = self._send(destination, body, {**(headers or {}), **own}, confirm=True)
        request = self._replies.add(id, key, now + timeout)
        self._turn()
        try:
            await request.waiter.wait()
        finally:
            self._replies.forget(request)
            self._turn()
        if request.error is not None:
            raise request.error
        assert request.reply is not None
        return request.reply

    def transaction(self) -> Transaction:
        """A transaction, to be entered with ``async with``: done whole, or not at all."""
        return Transaction(self, waiter=self._new_waiter)

    # --- subscriptions --------------------------------------------------------------------

    def subscribe(
        self,
        destination: str,
        *,
        ack: AckMode | str = AckMode.AUTO,
        headers: Mapping[str, HeaderValue] | None = None,
        duplicate_key: KeyFunction | None = None,
    ) -> Subscription:
        """A subscription, to be entered with ``async with``.

        Args:
            destination: where to listen.
            ack: "auto", "client" or "client-individual".
            headers: further headers; a callable is evaluated at every (re)subscription.
            duplicate_key: for `Handover.OVERLAP` with a server whose message-ids differ between
                connections (RabbitMQ): takes a MESSAGE frame, and returns what two copies of one
                message have in common.
        """
        return Subscription(
            destination,
            self,
            ack=AckMode(ack),
            headers=headers,
            duplicate_key=duplicate_key,
            waiter=self._new_waiter,
            buffer=self._config.subscription_buffer,
            limit=self._config.subscription_limit,
        )

    async def ack(self, message: ReceivedMessage) -> None:
        """Acknowledge a message.

        Raises:
            StaleEpoch: the connection that brought it is gone, and its id with it.
            LocalProtocolError: it asks for no acknowledgement.
        """
        self._session.ack(message.delivered, now=self._clock.now())
        self._turn()

    async def nack(self, message: ReceivedMessage) -> None:
        """Tell the server that a message was not consumed; see `ack`."""
        self._session.nack(message.delivered, now=self._clock.now())
        self._turn()

    # --- its life -------------------------------------------------------------------------

    def events(self) -> AsyncIterator[ClientEvent]:
        """The client's life, as it happens from now on; ends after `Stopped`.

        A reader that falls behind by a thousand events loses the oldest.
        """
        listener = Listener(self._new_waiter, is_over=self._has_stopped)
        self._listeners.add(listener)
        return listener

    async def close(self) -> None:
        """Say DISCONNECT behind everything that was sent, and wait for the end of it."""
        self._session.close(now=self._clock.now())
        self._turn()
        await self._stopped.wait()

    # --- for its subscriptions and transactions ---------------------------------------------

    def _register(self, subscription: Subscription) -> str:
        """See `SubscriptionOwner`."""
        id = self._session.subscribe(
            subscription.destination,
            ack=subscription.ack,
            headers=subscription.headers,
            duplicate_key=subscription.duplicate_key,
            now=self._clock.now(),
        )
        self._subscriptions[id] = subscription
        self._turn()
        return id

    def _unregister(self, subscription: Subscription) -> None:
        """See `SubscriptionOwner`."""
        if self._subscriptions.pop(subscription.id, None) is not None:
            self._session.unsubscribe(subscription.id, now=self._clock.now())
            self._turn()
        subscription.end(None)

    def _room_made(self) -> None:
        """See `SubscriptionOwner`."""
        self._turn()

    async def _begin(self, transaction: Transaction) -> str:
        """See `TransactionOwner`."""
        while True:
            try:
                name = self._session.begin(now=self._clock.now())
            except NotConnected:
                await self._came_up.wait()
                continue
            self._transactions[name] = transaction
            self._turn()
            return name

    def _send_in(
        self, name: str, destination: str, body: bytes | str, headers: Mapping[str, str] | None
    ) -> None:
        """See `TransactionOwner`."""
        data = body.encode() if isinstance(body, str) else bytes(body)
        self._session.send_in(name, destination, data, headers, now=self._clock.now())
        self._turn()

    def _answer_in(self, name: str, message: ReceivedMessage, *, is_consumed: bool) -> None:
        """See `TransactionOwner`."""
        answer: Callable[..., None] = self._session.ack if is_consumed else self._session.nack
        answer(message.delivered, transaction=name, now=self._clock.now())
        self._turn()

    def _commit(self, name: str) -> None:
        """See `TransactionOwner`."""
        self._session.commit(name, now=self._clock.now())
        self._turn()

    def _abort_transaction(self, name: str) -> None:
        """See `TransactionOwner`."""
        self._transactions.pop(name, None)
        self._session.abort_transaction(name, now=self._clock.now())
        self._turn()

    def _send(
        self, destination: str, body: bytes | str, headers: Mapping[str, str], *, confirm: bool
    ) -> int:
        data = body.encode() if isinstance(body, str) else bytes(body)
        return self._session.send(
            destination, data, headers, confirm=confirm, now=self._clock.now()
        )
