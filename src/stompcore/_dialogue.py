"""What a client says to its server, and hears from it, whichever connection that goes over."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence

from stompcore._config import ClientConfig
from stompcore._errors import (
    ClientClosed,
    ErrorCode,
    LocalProtocolError,
    MessageTimedOut,
    OutboxFull,
    SendRefused,
    StaleEpoch,
    StompError,
    SubscriptionRefused,
)
from stompcore._events import (
    AckMode,
    Delivered,
    Disconnected,
    ErrorReceived,
    Published,
    PublishFailed,
    Receipted,
    Resubscribed,
    SessionEstablished,
    SubscriptionActive,
    SubscriptionEnded,
)
from stompcore._frames import Command, Frame
from stompcore._line import Line
from stompcore._outbox import Outbox, OutgoingMessage
from stompcore._state import (
    HandoverState,
    MessageState,
    MessageTrigger,
    SubscriptionState,
    SubscriptionTrigger,
    TransactionState,
)
from stompcore._subscription import (
    HeaderValue,
    KeyFunction,
    Subscription,
    Subscriptions,
    acknowledgement,
)
from stompcore._suspicion import Suspicion
from stompcore._transacting import Transacting

__all__ = ["Dialogue"]

# The ERROR names a frame of ours, but it is not that frame's fault.
_BLAMELESS = frozenset({ErrorCode.GOING_AWAY, ErrorCode.SLOW_CONSUMER, ErrorCode.HEARTBEAT_TIMEOUT})
_UNCONFIRMED = frozenset({SubscriptionState.REQUESTED, SubscriptionState.RESTORING})


class Dialogue(Transacting):
    """The half of a client that sends messages and hears them: every one has a known fate.

    Args:
        config: see `ClientConfig`.
        client_id: see `ClientSession`.
        now: Unix seconds.
    """

    def __init__(self, config: ClientConfig, *, client_id: str, now: float) -> None:
        super().__init__(config, now=now)
        self._subscriptions = Subscriptions()
        self._outbox = Outbox(config, self._timers, client_id=client_id)
        self._unread: set[str] = set()
        self._suspicion = Suspicion()

    @property
    def unconfirmed(self) -> int:
        """How many messages' fate is open."""
        return len(self._outbox)

    # --- messages -------------------------------------------------------------------------

    def send(
        self,
        destination: str,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        confirm: bool = True,
        now: float,
    ) -> int:
        """Accept a message; it is sent now, or as soon as there is a connection again.

        Args:
            destination, body, headers: of the SEND frame.
            confirm: whether the server is asked for a RECEIPT. Without one the message has met
                its fate once it was handed to a connection: it is quicker, and lost with that.
            now: Unix seconds.

        Returns:
            The key that `Published` or `PublishFailed` will name: one of them comes, once.

        Raises:
            OutboxFull: no room; nothing was queued.
            ClientClosed: the client is closing or has stopped.
            LocalProtocolError: it can never be sent.
        """
        self._require_running()
        self._advance(now)
        if not confirm and self.bytes_queued + len(body) > self._config.outbox_size:
            raise OutboxFull("the connection does not take what it was given")
        message = self._outbox.add(
            destination, body, headers or {}, is_confirmed=confirm, now=self._now
        )
        if self._suspicion.is_careful:
            self._send_next()
        elif self._takes_messages():
            self._send_message(message)
        self._look_at_readers()
        return message.key

    # --- subscriptions --------------------------------------------------------------------

    def subscribe(
        self,
        destination: str,
        *,
        ack: AckMode = AckMode.AUTO,
        headers: Mapping[str, HeaderValue] | None = None,
        duplicate_key: KeyFunction | None = None,
        implicit: bool = False,
        now: float,
    ) -> str:
        """Subscribe, now and on every connection to come, until `unsubscribe`.

        Args:
            destination: where to listen.
            ack: the acknowledgement mode.
            headers: further headers; a callable is evaluated at every (re)subscription.
            duplicate_key: what two copies of one message have in common, for a handover that
                overlaps; their `message-id` by default, which is right for servers that give a
                message the same for every session (ours, ActiveMQ; not RabbitMQ).
            implicit: say no SUBSCRIBE: the server is known to deliver to `destination`, and takes
                its name for the subscription's id, as RabbitMQ does for a `reply-to`.
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
        subscription = self._subscriptions.add(
            destination, ack, headers or {}, key_of=duplicate_key, is_implicit=implicit
        )
        if self._suspicion.is_careful:
            self._send_next()
        elif self._is_open():
            assert self._line is not None
            self._send_subscribe(subscription, self._line)
        is_live = subscription.id in self._subscriptions
        if is_live and self._handover.state is HandoverState.RESTORING:
            assert self._handover.new is not None
            self._send_subscribe(subscription, self._handover.new)
        self._look_at_readers()
        return subscription.id

    def unsubscribe(self, id: str, *, now: float) -> None:
        """End a subscription. Legal for one that has ended already."""
        self._advance(now)
        subscription = self._subscriptions.get(id)
        if subscription is None:
            return
        for line in self._lines():
            self._send_unsubscribe(subscription, line)
        self._end_subscription(subscription, None)
        self._send_next()

    def hold(self, id: str, *, now: float) -> None:
        """Nobody reads the messages of a subscription: stop reading from the server.

        Reading goes on, all the same, while the client waits for an answer of the server, which
        stands behind those messages. Legal for a subscription that has ended, and twice.
        """
        self._advance(now)
        if id in self._subscriptions:
            self._unread.add(id)
        self._look_at_readers()

    def release(self, id: str, *, now: float) -> None:
        """The messages of a subscription are read again. Legal when they always were."""
        self._advance(now)
        self._unread.discard(id)
        self._look_at_readers()

    def ack(self, delivered: Delivered, *, transaction: str | None = None, now: float) -> None:
        """Acknowledge a message, perhaps as part of a transaction.

        Raises:
            StaleEpoch: it came over a connection that is gone, where its id meant something.
            LocalProtocolError: it asks for none, or the agreed version has no such frame, or the
                transaction is not open.
        """
        self._acknowledge(Command.ACK, delivered, transaction, now)

    def nack(self, delivered: Delivered, *, transaction: str | None = None, now: float) -> None:
        """Refuse a message; see `ack`."""
        self._acknowledge(Command.NACK, delivered, transaction, now)

    # --- what the connections tell ---------------------------------------------------------

    def _pull(self) -> None:
        # Whatever was done since the last look: what it waits for may have come, or begun.
        self._look_at_readers()
        while not self._events and self._pull_one():
            pass

    def _pull_one(self) -> bool:
        for line in self._lines():
            connection = line.connection
            # What comes behind a message that nobody reads has to wait; the end has not.
            if connection is None or not (connection.wants_read or connection.closed):
                continue
            event = connection.next_event()
            self._advance(connection.now)
            match event:
                case None:
                    continue
                case SessionEstablished():
                    self._established(line, event)
                case Frame():
                    self._deliver(line, event)
                case Receipted():
                    self._receipted(line, event)
                    self._send_next()
                case Disconnected():
                    self._ended(line, event)
                    self._settled()
                case ErrorReceived():
                    pass  # Disconnected brings it again, with all else that is known by then
            self._look_at_readers()
            return True
        return False

    @abc.abstractmethod
    def _established(self, line: Line, event: SessionEstablished) -> None:
        """CONNECTED came."""

    @abc.abstractmethod
    def _ended(self, line: Line, ending: Disconnected) -> None:
        """A connection is over."""

    @abc.abstractmethod
    def _restored(self) -> None:
        """Every subscription is confirmed on the connection that is to be the next."""

    @abc.abstractmethod
    def _token_confirmed(self, line: Line, event: Receipted) -> None:
        """RECEIPT came, and it is for a new token if it is for anything."""

    @abc.abstractmethod
    def _awaits_confirmation_of_token(self) -> bool:
        """Whether a new token is on its way whose RECEIPT has not come."""

    @abc.abstractmethod
    def _overflowed(self) -> None:
        """More messages wait for the end of a handover than may."""

    def _deliver(self, line: Line, frame: Frame) -> None:
        subscription = self._subscriptions.get(frame.headers.get("subscription", ""))
        # What was under way when we unsubscribed is nobody's any more.
        if subscription is None:
            return
        delivered = Delivered(subscription=subscription.id, epoch=line.epoch, frame=frame)
        if self._handover.admits(subscription, delivered, line):
            self._events.append(delivered)
        elif self._handover.is_full:
            self._overflowed()

    def _receipted(self, line: Line, event: Receipted) -> None:
        receipt_id = event.receipt_id
        message = self._outbox.by_receipt(receipt_id)
        if message is not None and message.state is MessageState.IN_FLIGHT:
            self._outbox.settle(message, MessageTrigger.RECEIPT)
            self._events.append(Published(key=message.key))
            self._settled()
            return
        subscription = self._subscriptions.by_receipt(receipt_id, line.epoch)
        if subscription is not None:
            self._confirm_subscription(subscription, line)
            return
        if not self._committed(receipt_id):
            self._token_confirmed(line, event)

    def _confirm_subscription(self, subscription: Subscription, line: Line) -> None:
        if line is self._handover.new:
            self._handover.confirmed.add(subscription.id)
            self._look_whether_restored()
        elif subscription.state is not SubscriptionState.ACTIVE:
            subscription.fire(SubscriptionTrigger.CONFIRMED)
            self._events.append(SubscriptionActive(subscription=subscription.id, epoch=line.epoch))

    def _look_whether_restored(self) -> None:
        new = self._handover.new
        if (
            self._handover.state is HandoverState.RESTORING
            and new is not None
            and new.is_open  # or it has ended, and we are about to be told
            and self._line is not None
            and len(self._transactions) == 0  # they would be lost with the old connection
            and all(each.id in self._handover.confirmed for each in self._subscriptions)
        ):
            self._restored()

    # --- connections come and go -----------------------------------------------------------

    def _resume(self, line: Line) -> None:
        """A connection is up that is now the only one: go on where the last one was left."""
        if self._suspicion.is_careful:
            self._announce(line, tuple(each.id for each in self._subscriptions), resent=0)
            self._send_next()
            return
        for subscription in self._subscriptions:
            self._send_subscribe(subscription, line)
        self._resend(line)

    def _resend(self, line: Line) -> None:
        """Send what waits, in its order, now that everything is subscribed."""
        subscriptions = tuple(each.id for each in self._subscriptions)
        resent = sum(self._send_message(message) for message in self._outbox.queued())
        self._announce(line, subscriptions, resent=resent)

    def _send_next(self) -> None:
        """Where one frame may be to blame for an ERROR: send the next if all others are answered.

        Subscriptions come first, as always.
        """
        line, suspicion = self._line, self._suspicion
        while suspicion.is_careful and self._takes_messages() and not self._unanswered():
            assert line is not None
            subscription = self._subscriptions.first_inactive()
            message = self._outbox.first_queued()
            if subscription is not None:
                suspicion.outstanding = subscription
                self._send_subscribe(subscription, line)
            elif message is not None:
                suspicion.outstanding = message
                self._send_message(message)
            else:
                suspicion.clear()
                self._settled()

    def _unanswered(self) -> Sequence[object]:
        """What was sent on the current connection and waits for its RECEIPT."""
        if self._suspicion.is_careful:
            match outstanding := self._suspicion.outstanding:
                case OutgoingMessage():
                    is_open = outstanding.state is MessageState.IN_FLIGHT
                case Subscription():
                    is_open = outstanding.state in _UNCONFIRMED
                case _:
                    is_open = False
            # A transaction that is open costs nothing: none is done before its COMMIT.
            committing = TransactionState.COMMITTING
            asked = [each for each in self._transactions if each.state is committing]
            return [outstanding, *asked] if is_open else asked
        return [
            *self._outbox.in_flight(),
            *(each for each in self._subscriptions if each.state is not SubscriptionState.ACTIVE),
            *self._transactions,
        ]

    def _announce(self, line: Line, subscriptions: tuple[str, ...], *, resent: int) -> None:
        assert line.connection is not None
        assert line.connection.version is not None
        self._events.append(
            Resubscribed(
                epoch=line.epoch,
                version=line.connection.version,
                subscriptions=subscriptions,
                resent=resent,
            )
        )

    def _blame(self, line: Line, ending: Disconnected) -> bool:
        """Give up the one frame of ours that the ERROR names, if it names one."""
        error = ending.error
        if error is None or error.error_code in _BLAMELESS:
            return False
        message = self._outbox.by_receipt(error.receipt_id)
        if message is not None:
            self._fail_message(message, SendRefused(error.error_code, error.message))
            return True
        subscription = self._subscriptions.by_receipt(error.receipt_id, line.epoch)
        if subscription is not None:
            for other in self._lines():
                self._send_unsubscribe(subscription, other)
            self._end_subscription(
                subscription, SubscriptionRefused(error.error_code, error.message)
            )
            return True
        return self._refuse_transaction(error) or self._accuse(error, ending)

    def _accuse(self, error: ErrorReceived, ending: Disconnected) -> bool:
        """Give up the one frame of ours that an ERROR must be about though it names none."""
        if not ending.established or error.receipt_id is not None or error.error_code:
            return False
        match culprit := self._suspicion.accuse():
            case OutgoingMessage():
                self._fail_message(culprit, SendRefused("", error.message))
            case Subscription():
                self._end_subscription(culprit, SubscriptionRefused("", error.message))
            case _:
                return False
        return True

    def _give_up_everything(self, error: StompError | None) -> None:
        for message in self._outbox.pending():
            self._fail_message(message, error or ClientClosed("the client was closed"))
        for transaction in self._transactions:
            self._lose_transaction(transaction)
        for subscription in self._subscriptions:
            self._end_subscription(subscription, error)

    def _fail_old_messages(self) -> None:
        for message in self._outbox.expired(self._now):
            self._fail_message(message, MessageTimedOut("not confirmed in time"))
        self._send_next()

    # --- frames out -----------------------------------------------------------------------

    def _send_message(self, message: OutgoingMessage) -> bool:
        line = self._line
        if line is None or not line.is_open:  # it has just ended, and we are about to be told
            return False
        try:
            self._send_frame(message.frame, line)
        except LocalProtocolError as error:  # the version that was agreed on cannot carry it
            self._fail_message(message, error)
            return False
        if message.is_confirmed:
            message.fire(MessageTrigger.SENT)
        else:
            self._outbox.settle(message, MessageTrigger.LET_GO)
            self._events.append(Published(key=message.key, is_confirmed=False))
        return True

    def _send_subscribe(self, subscription: Subscription, line: Line) -> None:
        if not line.is_open:
            return
        if subscription.is_implicit:
            self._confirm_subscription(subscription, line)
            return
        try:
            self._send_frame(subscription.frame(line.epoch), line)
        except LocalProtocolError as error:
            if line is self._handover.new and self._line is not None:
                self._send_unsubscribe(subscription, self._line)
            self._end_subscription(subscription, error)

    def _send_unsubscribe(self, subscription: Subscription, line: Line) -> None:
        # One that was not sent yet the server does not know: RabbitMQ says ERROR to that.
        suspicion, is_active = self._suspicion, subscription.state is SubscriptionState.ACTIVE
        is_held = suspicion.is_careful and subscription is not suspicion.outstanding
        if line.is_open and not subscription.is_implicit and (is_active or not is_held):
            self._send_frame(Frame(Command.UNSUBSCRIBE, {"id": subscription.id}), line)

    def _acknowledge(
        self, command: Command, delivered: Delivered, transaction: str | None, now: float
    ) -> None:
        self._advance(now)
        lines = [each for each in self._lines() if each.epoch == delivered.epoch and each.is_open]
        if not lines or self.closing:
            raise StaleEpoch("the connection that brought this message is gone")
        (line,) = lines
        if transaction is not None and self._transactions.require(transaction).epoch != line.epoch:
            raise StaleEpoch("the message and the transaction came over different connections")
        assert line.connection is not None
        version = line.connection.version
        assert version is not None
        self._send_frame(acknowledgement(command, delivered, version, transaction), line)

    # --- readers --------------------------------------------------------------------------

    def _look_at_readers(self) -> None:
        """Read on, or do not, by whether there is anything to read for."""
        is_paused = bool(self._unread) and not self._awaits_answer()
        for line in self._lines():
            connection = line.connection
            if connection is None or connection.wants_read is not is_paused:
                continue
            if is_paused:
                connection.pause(now=self._now)
            else:
                connection.resume(now=self._now)

    def _awaits_answer(self) -> bool:
        return (
            not self._is_open()
            or self._outbox.awaits_receipt
            or not self._subscriptions.are_active
            or self._handover.state is not HandoverState.NONE
            or self._awaits_confirmation_of_token()
            or self._transactions.await_receipt
        )

    # --- fates ----------------------------------------------------------------------------

    def _fail_message(self, message: OutgoingMessage, error: StompError) -> None:
        self._outbox.settle(message, MessageTrigger.FAIL)
        self._events.append(PublishFailed(key=message.key, error=error))

    def _end_subscription(self, subscription: Subscription, error: StompError | None) -> None:
        self._subscriptions.end(subscription)
        self._unread.discard(subscription.id)
        self._events.append(SubscriptionEnded(subscription=subscription.id, error=error))
        self._look_whether_restored()
