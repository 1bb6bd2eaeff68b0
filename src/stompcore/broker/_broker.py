"""`Broker`: one front for topics, queues and private destinations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from stompcore._codec import Message
from stompcore._config import Limits
from stompcore._events import AckMode
from stompcore._headers import Headers, is_secret
from stompcore._requests import NO_SUCH_MESSAGE
from stompcore.broker._deliveries import DEAD_LETTERS, Delivery, Subscriber, too_much, violation
from stompcore.broker._private import REPLY, TEMPORARY, USER, Temporaries, Users, parse_user
from stompcore.broker._queues import Consumer, Entry, Queues, size_of
from stompcore.broker._topics import TOPIC, Topics

__all__ = ["Broker", "Sender"]

QUEUE = "/queue/"

# They concern the publisher and its server alone, or are the server's to set. A MESSAGE that
# carried a client's own `ack` or `subscription` could pass for another one's.
_NOT_FORWARDED = frozenset(
    {
        "ack",
        "content-length",
        "dead-letter-reason",
        "destination",
        "message-id",
        "original-destination",
        "receipt",
        "redelivered",
        "subscription",
        "transaction",
    }
)
_UNKNOWN = (
    "A destination starts with /topic/, /queue/, /user/ or /temp-queue/, and then comes its name."
)
_MAX_DIGITS = 9


class Sender(NamedTuple):
    """Who sends a message: a session, and the user behind it."""

    session_id: str
    subject: str


@dataclass(slots=True)
class _Subscription:
    destination: str
    subject: str
    consumer: Consumer | None = None  # of a queue


class Broker:
    """Who listens to what, and what waits for whom.

    Args:
        limits: of queues and what they hold.
        id_prefix: begins every message-id, so that two servers, or one that was restarted, never
            give the same one; without a slash.
        reply_key: secret bytes, which make the addresses of temporary destinations unguessable;
            None: there are no temporary destinations.

    Every `RemoteProtocolError` that it raises is the fault of the peer that asked, and says so in
    words that the peer may read; nothing has changed then.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        id_prefix: str = "",
        reply_key: bytes | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._id_prefix = id_prefix
        self._topics = Topics()
        self._queues = Queues(self._limits)
        self._users = Users()
        self._temporaries = Temporaries(reply_key)
        self._sessions: dict[str, dict[str, _Subscription]] = {}
        self._last_message = 0
        self.dead_letters = 0
        self.dropped = 0

    def __len__(self) -> int:
        """How many subscriptions there are."""
        return sum(map(len, self._sessions.values()))

    @property
    def queues(self) -> int:
        """How many queues there are."""
        return len(self._queues)

    @property
    def queued_messages(self) -> int:
        """Messages that queues hold."""
        return self._queues.messages

    @property
    def queued_size(self) -> int:
        """Bytes that queues hold."""
        return self._queues.size

    # --- who listens ----------------------------------------------------------------------

    def subscriptions(self, session_id: str) -> list[tuple[str, str]]:
        """A session's subscriptions and their destinations."""
        own = self._sessions.get(session_id, {})
        return [(key, each.destination) for key, each in own.items()]

    def subscribe(
        self,
        sender: Sender,
        subscription: str,
        destination: str,
        *,
        ack: AckMode = AckMode.AUTO,
        headers: Headers | None = None,
    ) -> None:
        """Let a session's subscription hear `destination`.

        Args:
            sender: the session and its user.
            subscription: an id that is new in this session.
            destination: where to listen.
            ack: how messages of a queue are acknowledged.
            headers: of SUBSCRIBE; `prefetch-count` bounds what is unacknowledged.

        Raises:
            RemoteProtocolError: there is no such destination, or too many of them.
        """
        session_id, subject = sender
        own = self._sessions.get(session_id, {})
        if subscription in own:
            raise violation("This subscription id is in use.")
        subscriber = Subscriber(session_id, subscription)
        made = _Subscription(destination, subject)
        if destination.startswith(TOPIC):
            self._topics.subscribe(destination, subscriber)
        elif destination.startswith(QUEUE):
            self._check_queue(destination)
            prefetch = self._prefetch(headers)
            made.consumer = self._queues.subscribe(destination, subscriber, ack, prefetch)
        elif destination.startswith(USER):
            self._users.subscribe(subject, destination, subscriber)
        elif destination.startswith(TEMPORARY):
            self._temporaries.subscribe(destination, subscriber)
        else:
            raise violation(_UNKNOWN)
        self._sessions.setdefault(session_id, {})[subscription] = made

    def unsubscribe(
        self, session_id: str, subscription: str, unsent: Iterable[object] = ()
    ) -> None:
        """End one subscription. Legal for one that does not exist.

        Args:
            session_id, subscription: whose.
            unsent: the deliveries that were handed to the session and never left.
        """
        own = self._sessions.get(session_id, {})
        ended = own.pop(subscription, None)
        if ended is None:
            return
        if not own:
            del self._sessions[session_id]
        subscriber = Subscriber(session_id, subscription)
        destination = ended.destination
        if ended.consumer is not None:
            self._leave_queue(ended.consumer, unsent)
        elif destination.startswith(TOPIC):
            self._topics.unsubscribe(destination, subscriber)
        elif destination.startswith(USER):
            self._users.unsubscribe(ended.subject, destination, subscriber)
        else:
            self._temporaries.unsubscribe(destination, subscriber)

    def drop(self, session_id: str, unsent: Iterable[object] = ()) -> None:
        """End every subscription of a session that is over. Legal more than once."""
        unsent = list(unsent)
        for subscription in list(self._sessions.get(session_id, {})):
            self.unsubscribe(session_id, subscription, unsent)
        self._queues.resume(session_id)

    # --- messages -------------------------------------------------------------------------

    def check(
        self, messages: Iterable[tuple[str, Headers, bytes]], *, sender: Sender | None = None
    ) -> None:
        """Whether all of these can be sent, one after another.

        Args:
            messages: destination, headers and body of each.
            sender: None for the server itself.

        Raises:
            RemoteProtocolError: as `publish`.
        """
        wanted: dict[str, tuple[int, int]] = {}
        for destination, headers, body in messages:
            self._forwarded(headers, sender)
            self._check_one(destination, headers, body, wanted)
        self._queues.check(wanted)

    def publish(
        self, destination: str, headers: Headers, body: bytes, *, sender: Sender | None = None
    ) -> list[Delivery]:
        """Send a message. What a queue keeps comes from `next_delivery`, all else from here.

        Headers that concern only the publisher are left out.

        Args:
            destination: where to.
            headers: the publisher's.
            body: bytes.
            sender: None for the server itself.

        Returns:
            The copies to deliver now, in order.

        Raises:
            RemoteProtocolError: nothing can be sent there, or a queue has no room for it; or
                `reply-to` names a temporary destination that the sender does not listen to.
        """
        kept = self._forwarded(headers, sender)
        wanted: dict[str, tuple[int, int]] = {}
        self._check_one(destination, headers, body, wanted)
        self._queues.check(wanted)
        self._last_message += 1
        message_id = f"{self._id_prefix}{self._last_message}"
        if destination.startswith(QUEUE):
            self._queues.put(destination, Message(destination, message_id, kept, body))
            return []
        shown, recipients = destination, []
        if destination.startswith(TOPIC):
            recipients = self._topics.recipients(destination)
        elif destination.startswith(USER):
            subject, shown = parse_user(destination)
            recipients = self._users.recipients(subject, shown)
            if sender is not None and sender.subject == subject:
                recipients = [each for each in recipients if each.session_id == sender.session_id]
        else:
            found = self._temporaries.recipient(destination)
            if found is None:
                self.dropped += 1
                return []
            shown, recipients = found[0], [found[1]]
        message = Message(shown, message_id, kept, body)
        return [Delivery(*each, message) for each in recipients]

    def reply_address(self, session_id: str, headers: Headers) -> Headers:
        """`headers` with the address of a temporary destination in `reply-to`, if it names one.

        Raises:
            RemoteProtocolError: the session does not listen to it.
        """
        value = headers.get("reply-to", "")
        if not value.startswith(TEMPORARY):
            return headers
        return headers.prepended({"reply-to": self._temporaries.address(session_id, value)})

    def next_delivery(self) -> Delivery | None:
        """The next message of a queue for somebody who can have it, or None.

        Ask after every call until there is none; `pause` a session that has enough to read.
        """
        return self._queues.next_delivery()

    def pause(self, session_id: str) -> None:
        """Queues keep what they have for this session until `resume`."""
        self._queues.pause(session_id)

    def is_paused(self, session_id: str) -> bool:
        """Whether `pause` was called and `resume` was not."""
        return self._queues.is_paused(session_id)

    def resume(self, session_id: str) -> None:
        """The session can have more from queues. Legal for one that was not paused."""
        if self._queues.resume(session_id):
            for each in self._sessions.get(session_id, {}).values():
                if each.consumer is not None:
                    self._queues.offer(each.consumer)

    def take_back(self, unsent: Iterable[object]) -> None:
        """These deliveries were handed to a session and never left."""
        for delivery in unsent:
            if isinstance(delivery, Delivery):
                self._queues.take_back(delivery)

    # --- acknowledgements -----------------------------------------------------------------

    def check_answers(self, session_id: str, answers: Iterable[tuple[str, str | None]]) -> None:
        """Whether these ACKs and NACKs make sense, one after another.

        Args:
            session_id: whose.
            answers: message-id and subscription of each.

        Raises:
            RemoteProtocolError: there is no such subscription, or it has no such message.
        """
        answered: set[tuple[Subscriber, str]] = set()
        for message_id, subscription in answers:
            consumer, _ = self._answered(session_id, message_id, subscription)
            if consumer is None or consumer.ack is AckMode.CLIENT:
                continue  # a later one answers for it, too
            if (consumer.subscriber, message_id) in answered:
                raise violation(NO_SUCH_MESSAGE)
            answered.add((consumer.subscriber, message_id))

    def ack(self, session_id: str, message_id: str, subscription: str | None) -> None:
        """ACK: the message was consumed; in the mode `client`, so were all before it.

        Raises:
            RemoteProtocolError: as `check_answers`.
        """
        consumer, message_ids = self._answered(session_id, message_id, subscription)
        if consumer is not None:
            for entry in self._queues.settle(consumer, message_ids):
                self._queues.forget(entry)

    def nack(self, session_id: str, message_id: str, subscription: str | None) -> None:
        """NACK: the message was not consumed, nor, in the mode `client`, any before it.

        Raises:
            RemoteProtocolError: as `check_answers`.
        """
        consumer, message_ids = self._answered(session_id, message_id, subscription)
        if consumer is not None:
            for entry in self._queues.settle(consumer, message_ids):
                self._fail(entry, "nacked")

    # --- inside ---------------------------------------------------------------------------

    def _check_one(
        self, destination: str, headers: Headers, body: bytes, wanted: dict[str, tuple[int, int]]
    ) -> None:
        """Whether there is such a destination; what it needs of a queue is added to `wanted`."""
        if len(destination) > self._limits.destination_size:
            raise too_much("A destination is longer than accepted.")
        if destination.startswith(TOPIC):
            self._topics.check(destination)
        elif destination.startswith(QUEUE):
            self._check_queue(destination)
            count, size = wanted.get(destination, (0, 0))
            wanted[destination] = count + 1, size + size_of(headers, body)
        elif destination.startswith(USER):
            parse_user(destination)
        elif not destination.startswith(REPLY):
            raise violation(_UNKNOWN)

    def _check_queue(self, destination: str) -> None:
        if destination == QUEUE:
            raise violation("A queue has a name.")
        if "*" in destination or "#" in destination:
            raise violation("A queue's name has no wildcards.")

    def _prefetch(self, headers: Headers | None) -> int:
        most = self._limits.unacknowledged
        text = None if headers is None else headers.get("prefetch-count")
        if text is None:
            return most
        if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS and int(text)):
            raise violation("Prefetch-count is not a number above 0.")
        return min(most, int(text))

    def _forwarded(self, headers: Headers, sender: Sender | None) -> Headers:
        kept = []
        for name, value in headers.pairs():
            # Some peers trim names, in every version: a padded one would pass for the real one.
            bare = name.strip()
            if bare in _NOT_FORWARDED or is_secret(bare):
                continue
            if bare == "reply-to" and value.startswith(TEMPORARY) and sender is not None:
                kept.append((name, self._temporaries.address(sender.session_id, value)))
            else:
                kept.append((name, value))
        return Headers(kept)

    def _answered(
        self, session_id: str, message_id: str, subscription: str | None
    ) -> tuple[Consumer | None, list[str]]:
        """Whose answer it is, and for which messages."""
        own = self._sessions.get(session_id, {})
        if subscription is None:  # STOMP 1.0 names the message alone
            for each in own.values():
                if each.consumer is not None and message_id in each.consumer.held:
                    return each.consumer, self._up_to(each.consumer, message_id)
            if any(
                each.consumer is None or each.consumer.ack is AckMode.CLIENT
                for each in own.values()
            ):
                return None, []  # nothing kept it, or a later one has answered for it already
            raise violation(NO_SUCH_MESSAGE)
        found = own.get(subscription)
        if found is None:
            raise violation("There is no such subscription.")
        if found.consumer is None:
            return None, []  # a topic keeps nothing that could be acknowledged
        return found.consumer, self._up_to(found.consumer, message_id)

    def _up_to(self, consumer: Consumer, message_id: str) -> list[str]:
        if consumer.ack is AckMode.CLIENT:
            if message_id not in consumer.held:
                return []  # a later one has answered for it already
            ids = list(consumer.held)
            return ids[: ids.index(message_id) + 1]
        if message_id not in consumer.held:
            raise violation(NO_SUCH_MESSAGE)
        return [message_id]

    def _leave_queue(self, consumer: Consumer, unsent: Iterable[object]) -> None:
        never_left = {
            id(each.entry)
            for each in unsent
            if isinstance(each, Delivery) and each.entry is not None
        }
        entries = self._queues.unsubscribe(consumer)
        for entry in entries:
            if id(entry) in never_left:
                entry.attempts -= 1
                self._queues.give_back(entry)
            else:
                self._fail(entry, "not acknowledged")
        self._queues.tidy(consumer.queue)
        if consumer.ack is AckMode.AUTO:
            self.take_back(
                each
                for each in unsent
                if isinstance(each, Delivery) and each[:2] == consumer.subscriber
            )

    def _fail(self, entry: Entry, reason: str) -> None:
        """A delivery came to nothing: try again, or give the message up."""
        entry.failures += 1
        if entry.failures < self._limits.deliveries:
            self._queues.give_back(entry)
            return
        self._queues.forget(entry)
        self.dead_letters += 1
        message = entry.message
        if message.destination == DEAD_LETTERS:
            return  # whoever reads dead letters does not want this one either
        headers = message.headers.prepended(
            {"original-destination": message.destination, "dead-letter-reason": reason}
        )
        self._last_message += 1
        message_id = f"{self._id_prefix}{self._last_message}"
        letter = Message(DEAD_LETTERS, message_id, headers, message.body)
        self.dropped += self._queues.put_for_oldest(DEAD_LETTERS, letter)
