"""Queues: point to point. A message stays until one consumer has had it.

Consumers take turns. What a consumer had and did not acknowledge, or what never left for it, goes
back to where it stood; a message that was given back too often is a dead letter.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from stompcore._codec import Message
from stompcore._config import Limits
from stompcore._errors import RemoteProtocolError
from stompcore._events import AckMode
from stompcore._headers import Headers
from stompcore.broker._deliveries import Delivery, Subscriber, too_much

__all__ = ["Consumer", "Entry", "Queue", "Queues", "size_of"]


def size_of(headers: Headers, body: bytes) -> int:
    """About as many bytes as a message holds on to: it can be all headers, and those all name."""
    return len(body) + sum(len(name) + len(value) for name, value in headers.pairs())


class Entry:
    """A message in a queue, and what has become of it so far."""

    __slots__ = ("attempts", "failures", "is_out", "message", "queue", "sequence", "size")

    def __init__(self, queue: Queue, sequence: int, message: Message) -> None:
        self.queue = queue
        self.sequence = sequence
        self.message = message
        self.size = size_of(message.headers, message.body)
        self.attempts = 0
        self.failures = 0
        self.is_out = False

    def __lt__(self, other: Entry) -> bool:
        return self.sequence < other.sequence


class Consumer:
    """One subscription to a queue. `held` is what it has not acknowledged, in order."""

    __slots__ = ("ack", "held", "prefetch", "queue", "subscriber")

    def __init__(self, queue: Queue, subscriber: Subscriber, ack: AckMode, prefetch: int) -> None:
        self.queue = queue
        self.subscriber = subscriber
        self.ack = ack
        self.prefetch = prefetch
        self.held: dict[str, Entry] = {}

    @property
    def has_room(self) -> bool:
        """Whether it may have another message before it answers for one."""
        return self.ack is AckMode.AUTO or len(self.held) < self.prefetch


class Queue:
    """One destination's messages and consumers."""

    __slots__ = ("available", "consumers", "destination", "held", "ready", "size")

    def __init__(self, destination: str) -> None:
        self.destination = destination
        self.ready: list[Entry] = []  # a heap: what is given back stands where it stood
        self.consumers: dict[Subscriber, Consumer] = {}
        self.available: dict[Consumer, None] = {}  # those whose turn may come, the next first
        self.held = 0  # messages that are with a consumer that has to answer
        self.size = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing would be lost with it."""
        return not (self.ready or self.consumers or self.held)


class Queues:
    """All queues of a broker, within `limits`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._queues: dict[str, Queue] = {}
        self._busy: dict[Queue, None] = {}  # those that may have something for somebody
        self._paused: set[str] = set()
        self._last_sequence = 0
        self._size = 0
        self._messages = 0

    def __len__(self) -> int:
        return len(self._queues)

    @property
    def size(self) -> int:
        """Bytes that all of them hold."""
        return self._size

    @property
    def messages(self) -> int:
        """Messages that all of them hold."""
        return self._messages

    # --- messages in ----------------------------------------------------------------------

    def check(self, wanted: Mapping[str, tuple[int, int]]) -> None:
        """Whether there is room for all of these.

        Args:
            wanted: for each destination, how many messages, and their bytes in all.

        Raises:
            RemoteProtocolError: there is not.
        """
        limits = self._limits
        new = sum(destination not in self._queues for destination in wanted)
        if new and len(self._queues) + new > limits.queues:
            raise too_much("There are too many queues.")
        total = self._size + sum(size for _, size in wanted.values())
        count_of_all = self._messages + sum(count for count, _ in wanted.values())
        for destination, (count, size) in wanted.items():
            queue = self._queues.get(destination)
            messages, held = (
                (0, 0) if queue is None else (len(queue.ready) + queue.held, queue.size)
            )
            if (
                messages + count > limits.queue_messages
                or held + size > limits.queue_size
                or total > limits.queues_size
                or count_of_all > limits.queues_messages
            ):
                raise too_much("The queue is full.")

    def put(self, destination: str, message: Message) -> None:
        """Keep a message that `check` had room for."""
        queue = self._get(destination)
        self._last_sequence += 1
        entry = Entry(queue, self._last_sequence, message)
        self._count(entry, 1)
        heapq.heappush(queue.ready, entry)
        self._busy[queue] = None

    def put_for_oldest(self, destination: str, message: Message) -> int:
        """Keep a message, for the oldest ones of its queue if there is no room.

        For a queue that may forget: that of the dead letters.

        Returns:
            How many were given up for it, or with it.
        """
        given_up, size = 0, size_of(message.headers, message.body)
        own = self._queues.get(destination)
        others = self._size - (0 if own is None else sum(each.size for each in own.ready))
        if others + size > self._limits.queues_size:
            return 1  # it is other queues that are full: forgetting would make no room
        while True:
            try:
                self.check({destination: (1, size)})
            except RemoteProtocolError:
                queue = self._queues.get(destination)
                if queue is None or not queue.ready:
                    return given_up + 1
                self._count(heapq.heappop(queue.ready), -1)
                given_up += 1
            else:
                self.put(destination, message)
                return given_up

    # --- consumers ------------------------------------------------------------------------

    def subscribe(
        self, destination: str, subscriber: Subscriber, ack: AckMode, prefetch: int
    ) -> Consumer:
        """A consumer more.

        Raises:
            RemoteProtocolError: there are too many queues.
        """
        if destination not in self._queues and len(self._queues) >= self._limits.queues:
            raise too_much("There are too many queues.")
        queue = self._get(destination)
        consumer = Consumer(queue, subscriber, ack, prefetch)
        queue.consumers[subscriber] = consumer
        self._offer(consumer)
        return consumer

    def unsubscribe(self, consumer: Consumer) -> list[Entry]:
        """A consumer less: what it had and did not acknowledge, in order.

        Each of them goes to `give_back` or `forget`; then the queue may be tidied.
        """
        queue = consumer.queue
        del queue.consumers[consumer.subscriber]
        queue.available.pop(consumer, None)
        entries = list(consumer.held.values())
        consumer.held.clear()
        queue.held -= len(entries)
        return entries

    def pause(self, session_id: str) -> None:
        """Nothing more for this session, until `resume`."""
        self._paused.add(session_id)

    def is_paused(self, session_id: str) -> bool:
        """Whether `pause` was called and `resume` was not."""
        return session_id in self._paused

    def resume(self, session_id: str) -> bool:
        """The session can have more; whether it had been paused. `offer` its consumers then."""
        if session_id not in self._paused:
            return False
        self._paused.discard(session_id)
        return True

    def offer(self, consumer: Consumer) -> None:
        """A consumer may have room again."""
        self._offer(consumer)

    # --- messages out ---------------------------------------------------------------------

    def next_delivery(self) -> Delivery | None:
        """The next message for somebody who can have it, or None."""
        while self._busy:
            queue = next(iter(self._busy))
            consumer = self._whose_turn(queue) if queue.ready else None
            if consumer is None:
                del self._busy[queue]
                continue
            entry = heapq.heappop(queue.ready)
            return self._hand_out(entry, consumer)
        return None

    def settle(self, consumer: Consumer, message_ids: list[str]) -> list[Entry]:
        """These messages were answered for; gives what is known of them, in order."""
        entries = [consumer.held.pop(each) for each in message_ids]
        consumer.queue.held -= len(entries)
        self._offer(consumer)
        return entries

    def forget(self, entry: Entry) -> None:
        """A message was consumed, or given up. Its queue is tidied when its consumer leaves."""
        entry.is_out = False
        self._count(entry, -1)

    def give_back(self, entry: Entry) -> None:
        """A message goes back to where it stood."""
        entry.is_out = False
        queue = entry.queue
        heapq.heappush(queue.ready, entry)
        self._busy[queue] = None

    def take_back(self, delivery: Delivery) -> None:
        """What never left for a consumer that acknowledges nothing goes back, too."""
        entry = delivery.entry
        if entry is not None and entry.is_out and entry.attempts == delivery.attempt:
            entry.attempts -= 1
            entry.queue = self._get(entry.queue.destination)
            self._count(entry, 1)
            self.give_back(entry)

    # --- inside ---------------------------------------------------------------------------

    def _get(self, destination: str) -> Queue:
        queue = self._queues.get(destination)
        if queue is None:
            queue = self._queues[destination] = Queue(destination)
        return queue

    def tidy(self, queue: Queue) -> None:
        """Forget a queue with which nothing would be lost."""
        if queue.is_idle and self._queues.get(queue.destination) is queue:
            del self._queues[queue.destination]
            self._busy.pop(queue, None)

    def _count(self, entry: Entry, sign: int) -> None:
        entry.queue.size += sign * entry.size
        self._size += sign * entry.size
        self._messages += sign

    def _offer(self, consumer: Consumer) -> None:
        queue = consumer.queue
        is_paused = consumer.subscriber.session_id in self._paused
        if consumer.has_room and not is_paused and consumer.subscriber in queue.consumers:
            queue.available[consumer] = None
            if queue.ready:
                self._busy[queue] = None

    def _whose_turn(self, queue: Queue) -> Consumer | None:
        while queue.available:
            consumer = next(iter(queue.available))
            del queue.available[consumer]
            if consumer.subscriber.session_id not in self._paused:
                return consumer
        return None

    def _hand_out(self, entry: Entry, consumer: Consumer) -> Delivery:
        is_redelivered = entry.attempts > 0
        entry.attempts += 1
        entry.is_out = True
        delivery = Delivery(
            *consumer.subscriber, entry.message, is_redelivered, entry, entry.attempts
        )
        if consumer.ack is AckMode.AUTO:
            # Consumed as it leaves; if it does not, `take_back` has it again.
            self._count(entry, -1)
        else:
            consumer.held[entry.message.message_id] = entry
            entry.queue.held += 1
        self._offer(consumer)
        self.tidy(entry.queue)
        return delivery
