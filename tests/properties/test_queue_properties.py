"""Queues against a model of them, in any story of publishers and consumers."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.unit.queues import AUTO, CLIENT, ack, listen, nack, take, waiting

from stompcore import Headers, Limits
from stompcore._events import AckMode
from stompcore.broker import DEAD_LETTERS, Broker, Delivery

SESSIONS = ("s1", "s2", "s3")
QUEUES = ("/queue/a", "/queue/b")


class QueueMachine(RuleBasedStateMachine):
    """Any story of publishers and consumers: nothing is lost, doubled, or counted wrongly.

    The model knows for each message where it is: in its queue, with a consumer, consumed, or dead.
    """

    def __init__(self) -> None:
        super().__init__()
        self.limits = Limits(deliveries=3, unacknowledged=3)
        self.broker = Broker(self.limits)
        self.sizes: dict[str, int] = {}  # by body, as every message has one of its own
        self.ready: dict[str, list[str]] = {each: [] for each in QUEUES}
        self.consumers: dict[str, tuple[str, AckMode]] = {}
        self.out: dict[str, list[Delivery]] = {}  # delivered and kept, by session
        self.unsent: dict[str, list[Delivery]] = {}  # delivered, and not read yet
        self.seen: dict[str, int] = {}  # deliveries that were read
        self.failed: dict[str, int] = {}
        self.done: set[str] = set()
        self.dead: list[str] = []

    def body(self, delivery: Delivery) -> str:
        return delivery.message.body.decode()

    def back(self, delivery: Delivery, *, has_failed: bool) -> None:
        body, to = self.body(delivery), delivery.message.destination
        if has_failed:
            self.failed[body] = self.failed.get(body, 0) + 1
            if self.failed[body] >= self.limits.deliveries:
                self.dead.append(body)
                return
        self.ready[to] = sorted([*self.ready[to], body])

    @rule(to=st.sampled_from(QUEUES), size=st.integers(0, 20))
    def put(self, to: str, size: int) -> None:
        body = f"{len(self.sizes):06}"
        self.sizes[body] = len(body) + len("pad") + size
        self.broker.publish(to, Headers({"pad": "x" * size}), body.encode())
        self.ready[to].append(body)

    @rule(
        session=st.sampled_from(SESSIONS),
        to=st.sampled_from(QUEUES),
        mode=st.sampled_from(list(AckMode)),
    )
    def subscribe(self, session: str, to: str, mode: AckMode) -> None:
        if session not in self.consumers:
            listen(self.broker, session, mode, to=to)
            self.consumers[session] = to, mode
            self.out[session], self.unsent[session] = [], []

    @rule(most=st.integers(1, 4))
    def deliver(self, most: int) -> None:
        for delivery in take(self.broker, most):
            session, body = delivery.session_id, self.body(delivery)
            to, mode = self.consumers[session]
            assert delivery.message.destination == to
            assert body == self.ready[to].pop(0)  # in order, whatever has come back
            assert delivery.is_redelivered is (self.seen.get(body, 0) > 0)
            self.unsent[session].append(delivery)
            if mode is not AUTO:
                self.out[session].append(delivery)
                assert len(self.out[session]) <= self.limits.unacknowledged

    @rule(session=st.sampled_from(SESSIONS), count=st.integers(1, 3))
    def read(self, session: str, count: int) -> None:
        for _ in range(count):
            if self.unsent.get(session):
                delivery = self.unsent[session].pop(0)
                body = self.body(delivery)
                self.seen[body] = self.seen.get(body, 0) + 1
                if self.consumers[session][1] is AUTO:
                    self.done.add(body)

    def read_and_kept(self, session: str) -> list[Delivery]:
        unsent = self.unsent.get(session, [])
        return [each for each in self.out.get(session, []) if each not in unsent]

    @rule(session=st.sampled_from(SESSIONS), draw=st.integers(0, 100), is_ack=st.booleans())
    def answer(self, session: str, draw: int, is_ack: bool) -> None:
        kept = self.read_and_kept(session)
        if not kept:
            return
        index = draw % len(kept)
        settled = kept[: index + 1] if self.consumers[session][1] is CLIENT else [kept[index]]
        (ack if is_ack else nack)(self.broker, kept[index])
        for each in settled:
            self.out[session].remove(each)
            if is_ack:
                self.done.add(self.body(each))
            else:
                self.back(each, has_failed=True)

    @rule(session=st.sampled_from(SESSIONS), whole=st.booleans())
    def leave(self, session: str, whole: bool) -> None:
        if session not in self.consumers:
            return
        _, mode = self.consumers.pop(session)
        unsent, out = self.unsent.pop(session), self.out.pop(session)
        if whole:
            self.broker.drop(session, iter(unsent))
        else:
            self.broker.unsubscribe(session, session, unsent)
        for each in unsent if mode is AUTO else out:
            self.back(each, has_failed=each not in unsent)

    @precondition(lambda self: self.consumers)
    @rule(session=st.sampled_from(SESSIONS), paused=st.booleans())
    def pause(self, session: str, paused: bool) -> None:
        if session in self.consumers and paused:
            self.broker.pause(session)
        else:
            self.broker.resume(session)

    @invariant()
    def the_numbers_are_the_model_s(self) -> None:
        kept = [body for ready in self.ready.values() for body in ready]
        kept += [self.body(each) for out in self.out.values() for each in out]
        letters = {each.message.body.decode(): each for each in self._letters()}
        assert sorted(letters) == sorted(self.dead)
        assert self.broker.queued_messages == len(kept) + len(self.dead)
        dead_size = sum(each.size for each in letters.values())
        assert self.broker.queued_size == sum(self.sizes[each] for each in kept) + dead_size
        in_flight = [
            self.body(each)
            for session, unsent in self.unsent.items()
            if self.consumers[session][1] is AUTO
            for each in unsent
        ]
        everywhere = [*kept, *self.dead, *self.done, *in_flight]
        assert sorted(everywhere) == sorted(self.sizes)

    def _letters(self) -> list:  # type: ignore[type-arg]
        queue = self.broker._queues._queues.get(DEAD_LETTERS)
        return [] if queue is None else queue.ready

    def teardown(self) -> None:
        """Whatever has happened: all that was not consumed can still be had, in order."""
        for session in list(self.consumers):
            self.leave(session, True)
        for index, to in enumerate((*QUEUES, DEAD_LETTERS)):
            listen(self.broker, f"last {index}", to=to)
        got = take(self.broker)
        for to in QUEUES:
            assert [self.body(e) for e in got if e.message.destination == to] == self.ready[to]
        for session in ("last 0", "last 1", "last 2"):
            self.broker.drop(session)
        assert waiting(self.broker) == (0, 0)
        assert self.broker.queues == 0
        assert not self.broker._queues._busy


TestQueueModel = QueueMachine.TestCase
TestQueueModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
