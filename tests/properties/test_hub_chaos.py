"""A hub under everything at once: its promises hold whoever comes, stalls, expires or goes."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit.server_peer import Tokens, connect, frame, send

from stompcore import (
    AckMode,
    Command,
    ConnectRequested,
    Handlers,
    Headers,
    HeartBeat,
    Hub,
    Identity,
    Limits,
    ReauthRequested,
    Rejected,
    ServerConfig,
    ServerSession,
    Token,
    Version,
)
from stompcore._codec import FrameDecoder
from stompcore._outgoing import TAKE_SIZE
from stompcore.broker import DEAD_LETTERS, Broker, Sender
from stompcore.handlers import Call, Job, Refused
from stompcore.policy import Access

LIMITS = Limits(
    deliveries=2,
    unacknowledged=3,
    handler_backlog=2,
    queue_messages=20,
    queues=4,
    transactions=2,
    transaction_frames=4,
    send_backlog=2 * TAKE_SIZE,
    send_backlog_timeout=4.0,
    close_timeout=2.0,
)
CONFIG = ServerConfig(
    limits=LIMITS, heart_beat=HeartBeat(send_interval=2, receive_interval=2), drain_window=3.0
)
QUEUES = ("/queue/a", "/queue/b")
TOPICS = ("/topic/x", "/topic/*", "/topic/**")
MINE = ("/user/queue/x", "/temp-queue/")
CALLS = ("/app/now", "/app/later", "/app/later")
BAD_CALLS = ("/app/refuse", "/app/fail", "/app/nowhere")
NAMES = ("ann", "ann", "bob", "cy!")
MISHAPS = (
    "cut",
    "disconnect",
    "expire",
    "revoke",
    "revoke user",
    "fail",
    "bad answer",
    "bad refresh",
    "mumble",
    "secret",
)
MOST_PEERS = 4


class Watched(Broker):
    """A broker that tells which messages queues were given, and which were acknowledged."""

    def __init__(self) -> None:
        super().__init__(LIMITS, reply_key=b"key")
        self.kept: list[bytes] = []
        self.acked: set[bytes] = set()

    def publish(
        self, destination: str, headers: Headers, body: bytes, *, sender: Sender | None = None
    ) -> list[Any]:
        deliveries = super().publish(destination, headers, body, sender=sender)
        if destination in QUEUES:
            self.kept.append(body)
        return deliveries

    def ack(self, session_id: str, message_id: str, subscription: str | None) -> None:
        consumer, message_ids = self._answered(session_id, message_id, subscription)
        if consumer is not None:
            self.acked |= {consumer.held[each].message.body for each in message_ids}
        super().ack(session_id, message_id, subscription)


class Rights:
    """Who has few of them may not listen to secrets."""

    def allows(self, identity: Identity, access: Access, destination: str) -> bool:
        return not identity.subject.endswith("!") or destination != "/topic/secret"


class Peer:
    """One client: what it has sent, and what it has heard."""

    def __init__(self, session: ServerSession) -> None:
        self.session = session
        self.decoder = FrameDecoder(Limits(frame_size=1 << 24))
        self.decoder.version = Version.V1_2
        self.modes: dict[str, AckMode] = {}  # of every subscription that it has ever had
        self.live: dict[str, str] = {}  # where the present ones listen
        self.to_answer: list[str] = []
        self.receipts_asked = 0
        self.receipts_heard = 0
        self.has_error = False
        self.is_cut = False


class HubMachine(RuleBasedStateMachine):
    """Random clients, frames, times, cuts, refreshes, revocations, drains and handlers."""

    judges_later = False

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.broker = Watched()
        self.hub = Hub(
            CONFIG,
            broker=self.broker,
            verifier=None if self.judges_later else Tokens(),
            policy=Rights(),
            handlers=self.make_handlers(),
        )
        self.peers: dict[str, Peer] = {}
        self.asking: dict[str, Token | None] = {}
        self.jobs: list[Job] = []
        self.count = 0
        self.consumed: set[bytes] = set()
        for name in ("ann", "bob"):
            self.join(name, 30)

    def make_handlers(self) -> Handlers:
        handlers = Handlers()

        @handlers.on("/app/now")
        def now(call: Call) -> None:
            call.publish("/topic/x", call.body)
            call.publish("/queue/a", call.body)
            if "reply-to" in call.headers:
                call.reply(b"answer")

        @handlers.on("/app/later")
        async def later(call: Call) -> None:
            call.publish("/queue/b", call.body)
            call.send_to_user("ann", "/queue/x", b"hello")

        @handlers.on("/app/refuse")
        def refuse(call: Call) -> None:
            call.publish("/queue/a", b"never")
            raise Refused("No.")

        @handlers.on("/app/fail")
        async def fail(call: Call) -> None:
            call.publish("/queue/a", b"never")
            raise ValueError("a bug")

        return handlers

    # --- plumbing -------------------------------------------------------------------------

    def pick(self, index: int) -> Peer | None:
        peers = [each for each in self.peers.values() if not each.is_cut]
        return peers[index % len(peers)] if peers else None

    def body(self) -> bytes:
        self.count += 1
        return b"m%d" % self.count

    def settle(self, *session_ids: str) -> None:
        for each in session_ids:
            self.hub.process(each, now=self.now)
        for _ in range(1000):
            notice = self.hub.next_notice()
            if notice is None:
                break
            if isinstance(notice.event, ConnectRequested | ReauthRequested):
                self.asking[notice.session_id] = notice.event.token
        for _ in range(1000):
            job = self.hub.next_job()
            if job is None:
                return
            self.jobs.append(job)
        raise AssertionError("it never ends")

    def say(self, peer: Peer, *data: bytes) -> None:
        peer.session.receive_data(b"".join(data), now=self.now)
        self.settle(peer.session.session_id)

    def receipt(self, peer: Peer, wanted: bool) -> list[str]:
        if not wanted:
            return []
        peer.receipts_asked += 1
        return [f"receipt:{peer.receipts_asked}"]

    def hear(self, peer: Peer) -> None:
        """One turn of a transport: what is due fires, some output leaves, queues fill up."""
        session, name = peer.session, peer.session.session_id
        deadline = session.next_deadline()
        if deadline is not None and self.now >= deadline:
            self.fire(peer)
        chunks = session.data_to_send()
        peer.decoder.receive_data(b"".join(chunks))
        for _ in range(10_000):
            heard = peer.decoder.next_frame()
            if heard is None:
                break
            self.look_at(peer, heard.command, heard.headers, heard.body)
        if self.hub.is_holding_back(name):
            self.hub.refill(name, now=self.now)
            self.settle()
        if session.send_eof and not peer.is_cut:
            self.cut(peer)  # it has read why, and goes

    def look_at(self, peer: Peer, command: str, headers: Any, body: bytes) -> None:
        assert not peer.has_error, "ERROR is the last frame"
        if command == Command.ERROR:
            peer.has_error = True
            refused = headers.get("receipt-id")
            assert refused is None or int(refused) > peer.receipts_heard, "answered twice"
        elif command == Command.RECEIPT:
            # In the order of the frames that asked; some may go without, but only at an end.
            assert int(headers["receipt-id"]) == peer.receipts_heard + 1
            peer.receipts_heard += 1
        elif command == Command.MESSAGE:
            assert self.now < peer.session.valid_until, "a MESSAGE on a dead token"
            mode = peer.modes[headers["subscription"]]
            if headers["destination"] in QUEUES:
                # One that was on its way to who left without an answer is offered to others, too.
                if mode is AckMode.AUTO or not peer.session.closing:
                    assert body not in self.consumed | self.broker.acked, "consumed twice"
                if mode is AckMode.AUTO:
                    self.consumed.add(body)
            if "ack" in headers:
                peer.to_answer.append(headers["ack"])

    def fire(self, peer: Peer) -> None:
        session = peer.session
        session.handle_timeout(now=self.now)
        deadline = session.next_deadline()
        assert deadline is None or deadline > self.now
        self.settle(session.session_id)

    # --- what clients do ------------------------------------------------------------------

    @initialize(modes=st.tuples(st.sampled_from(AckMode), st.sampled_from(AckMode)))
    def begin(self, modes: tuple[AckMode, AckMode]) -> None:
        for number, mode in enumerate(modes):
            self.subscribe(number, "/queue/a", mode, False)

    @precondition(lambda self: len(self.hub) < MOST_PEERS)
    @rule(name=st.sampled_from(NAMES), ttl=st.sampled_from((1.0, 5.0, 30.0)))
    def join(self, name: str, ttl: float) -> None:
        session_id = f"s{len(self.peers)}"
        peer = Peer(self.hub.open(session_id, now=self.now))
        self.peers[session_id] = peer
        self.say(peer, connect(f"{name}@{self.now + ttl}", "heart-beat:0,2000"))
        if self.asking and ttl > 1:
            self.judge()

    @rule(
        who=st.integers(0, 9),
        to=st.sampled_from((*QUEUES, *QUEUES, *TOPICS, *MINE)),
        mode=st.sampled_from(AckMode),
        wanted=st.booleans(),
    )
    def subscribe(self, who: int, to: str, mode: AckMode, wanted: bool) -> None:
        if peer := self.pick(who):
            key = f"k{len(peer.modes)}"
            peer.modes[key] = mode
            if to == "/temp-queue/":
                to += key
            peer.live[key] = to
            lines = [f"id:{key}", f"destination:{to}", f"ack:{mode.value}"]
            self.say(peer, frame("SUBSCRIBE", *lines, *self.receipt(peer, wanted)))

    @rule(who=st.integers(0, 9), key=st.integers(0, 5), wanted=st.booleans())
    def unsubscribe(self, who: int, key: int, wanted: bool) -> None:
        if (peer := self.pick(who)) and peer.live:
            name = list(peer.live)[key % len(peer.live)]
            del peer.live[name]
            peer.to_answer = [each for each in peer.to_answer if not each.endswith(f"/{name}")]
            self.say(peer, frame("UNSUBSCRIBE", f"id:{name}", *self.receipt(peer, wanted)))

    @rule(
        who=st.integers(0, 9),
        to=st.sampled_from((*QUEUES, *QUEUES, "/topic/x", "/user/ann/queue/x")),
        times=st.integers(1, 3),
        wanted=st.booleans(),
        size=st.sampled_from((0, 0, 0, TAKE_SIZE)),
        is_read=st.booleans(),
    )
    def send(self, who: int, to: str, times: int, wanted: bool, size: int, is_read: bool) -> None:
        if peer := self.pick(who):
            said = [
                send(self.body() + b"." * size, *self.receipt(peer, wanted), to=to)
                for _ in range(times)
            ]
            self.say(peer, *said)
            if is_read:
                self.read_all()

    @rule(
        who=st.integers(0, 9),
        to=st.sampled_from(CALLS),
        times=st.integers(1, 5),
        wanted=st.booleans(),
    )
    def call(self, who: int, to: str, times: int, wanted: bool) -> None:
        if peer := self.pick(who):
            own = [each for each in peer.live.values() if each.startswith("/temp-queue/")]
            lines = [f"reply-to:{each}" for each in own[:1]]
            said = [
                send(self.body(), *lines, *self.receipt(peer, wanted), to=to) for _ in range(times)
            ]
            self.say(peer, *said)

    @rule(
        who=st.integers(0, 9),
        parts=st.lists(st.sampled_from((*QUEUES, "/topic/x", "/app/later", "ACK")), max_size=4),
        end=st.sampled_from(("COMMIT", "COMMIT", "ABORT", None)),
        wanted=st.booleans(),
    )
    def transact(self, who: int, parts: list[str], end: str | None, wanted: bool) -> None:
        if peer := self.pick(who):
            self.count += 1
            line = f"transaction:t{self.count}"
            said = [frame("BEGIN", line)]
            for each in parts:
                if each != "ACK":
                    said.append(send(self.body(), line, *self.receipt(peer, wanted), to=each))
                elif peer.to_answer:
                    said.append(frame("ACK", f"id:{peer.to_answer.pop(0)}", line))
            if end is not None:
                said.append(frame(end, line, *self.receipt(peer, wanted)))
            self.say(peer, *said)

    @rule(
        who=st.integers(0, 9),
        which=st.integers(0, 9),
        command=st.sampled_from(("ACK", "ACK", "NACK")),
        wanted=st.booleans(),
    )
    def answer(self, who: int, which: int, command: str, wanted: bool) -> None:
        peer = self.pick(who)
        if peer is not None:
            self.hear(peer)
        if peer is not None and peer.to_answer:
            ack_id = peer.to_answer.pop(which % len(peer.to_answer))
            self.say(peer, frame(command, f"id:{ack_id}", *self.receipt(peer, wanted)))
            self.hear(peer)

    @rule(who=st.integers(0, 9), ttl=st.sampled_from((5, 30)))
    def refresh(self, who: int, ttl: int) -> None:
        if (peer := self.pick(who)) and (identity := peer.session.identity):
            self.renew(peer, identity.subject, ttl)

    def renew(self, peer: Peer, subject: str, ttl: int) -> None:
        lines = [f"passcode:{subject}@{self.now + ttl}", *self.receipt(peer, True)]
        self.say(peer, frame("SEND", "destination:/auth/refresh", *lines))

    def cut(self, peer: Peer) -> None:
        peer.is_cut = True
        peer.session.receive_eof(now=self.now)
        self.settle(peer.session.session_id)
        if peer.session.closed:
            assert peer.session.data_to_send() == []

    @rule(
        who=st.integers(0, 9),
        kind=st.sampled_from(MISHAPS),
        to=st.sampled_from(BAD_CALLS),
        wanted=st.booleans(),
    )
    def mishap(self, who: int, kind: str, to: str, wanted: bool) -> None:
        peer = self.pick(who)
        if peer is None:
            return
        session_id = peer.session.session_id
        lines = self.receipt(peer, wanted) if kind in ("disconnect", "fail", "bad answer") else []
        match kind:
            case "cut":
                self.cut(peer)
            case "disconnect":
                self.say(peer, frame("DISCONNECT", *lines), send(b"late", to="/queue/a"))
            case "expire":
                self.hub.expire(session_id=session_id, now=self.now)
            case "revoke":
                self.hub.revoke(session_id=session_id, now=self.now)
            case "revoke user":
                self.revoke("ann")
            case "fail":
                self.say(peer, send(b"never", *lines, to=to))
            case "bad answer":
                self.say(peer, frame("ACK", "id:999/k0", *lines))
            case "bad refresh":
                self.renew(peer, "somebody", 30 if wanted else -1)
            case "mumble":
                self.say(peer, b"\0\nSEN" if wanted else b"NO\n\n\0")
            case "secret":
                peer.modes["z"] = AckMode.AUTO
                self.say(peer, frame("SUBSCRIBE", "id:z", "destination:/topic/secret"))
        self.settle()

    @rule(who=st.integers(0, 9))
    def read(self, who: int) -> None:
        if peer := self.pick(who):
            self.hear(peer)

    @rule()
    def read_all(self) -> None:
        for peer in list(self.peers.values()):
            if not peer.is_cut:
                self.hear(peer)

    # --- what happens to them -------------------------------------------------------------

    @rule(step=st.sampled_from((0.0, 0.5, 1.0, 3.0)), is_late=st.booleans())
    def wait(self, step: float, is_late: bool) -> None:
        self.now += step
        for peer in list(self.peers.values()):
            deadline = peer.session.next_deadline()
            is_due = deadline is not None and self.now >= deadline
            if is_due and not is_late and not peer.is_cut:
                self.fire(peer)

    @rule()
    def finish(self) -> None:
        if self.jobs:
            job = self.jobs.pop(0)
            with suppress(StopIteration):
                job.run().send(None)
            self.hub.finish(job, now=self.now)
            self.settle()

    @precondition(lambda self: self.asking)
    @rule()
    def judge(self) -> None:
        session_id, token = self.asking.popitem()
        try:
            identity = Tokens().verify(token, headers=Headers(), now=self.now)
            self.hub.accept(session_id, identity, now=self.now)
        except Rejected as rejected:
            self.hub.reject(session_id, rejected, now=self.now)
        self.settle()

    @rule(to=st.sampled_from((*QUEUES, "/topic/x")))
    def publish(self, to: str) -> None:
        with suppress(Exception):
            self.hub.publish(to, self.body(), now=self.now)
        self.settle()

    def revoke(self, subject: str) -> None:
        self.hub.revoke(subject=subject, now=self.now)
        assert not [each for each in self.hub if each.identity and each.identity.subject == subject]
        self.hub.pardon(subject=subject)

    @precondition(lambda self: len(self.peers) > 6)
    @rule()
    def drain(self) -> None:
        self.hub.drain(now=self.now, random=lambda: 0.5)
        self.settle()

    # --- what always holds ----------------------------------------------------------------

    @invariant()
    def nobody_listens_who_is_not_there(self) -> None:
        there = {each.session_id for each in self.hub if not each.closing}
        assert set(self.broker._sessions) <= there
        assert self.broker._queues._paused <= {each.session_id for each in self.hub}
        for each in self.hub:
            known = [key for key, _ in self.broker.subscriptions(each.session_id)]
            assert sorted(known) == sorted(each._subscriptions._by_key)

    @invariant()
    def the_numbers_add_up(self) -> None:
        queues = self.broker._queues
        entries = [entry for queue in queues._queues.values() for entry in queue.ready]
        entries += [
            entry
            for queue in queues._queues.values()
            for consumer in queue.consumers.values()
            for entry in consumer.held.values()
        ]
        assert self.broker.queued_messages == len(entries)
        assert self.broker.queued_size == sum(entry.size for entry in entries)
        assert sum(queue.size for queue in queues._queues.values()) == self.broker.queued_size

    def teardown(self) -> None:
        for peer in self.peers.values():
            peer.session.receive_eof(now=self.now)
            self.settle(peer.session.session_id)
        for _ in range(1000):
            if not self.jobs:
                break
            self.finish()
        assert not self.jobs
        assert len(self.hub) == 0
        assert len(self.hub._worker.calls) == 0
        assert not self.hub._leaving
        self.the_numbers_add_up()
        left = []
        for number, destination in enumerate((*QUEUES, DEAD_LETTERS)):
            self.broker.subscribe(Sender("end", "end"), str(number), destination)
        for _ in range(10_000):
            delivery = self.broker.next_delivery()
            if delivery is None:
                break
            left.append(delivery.message.body)
        self.broker.drop("end")
        assert self.broker.queued_messages == self.broker.queued_size == self.broker.queues == 0
        accounted = Counter([*left, *self.consumed, *self.broker.acked])
        kept = Counter(self.broker.kept)
        assert not accounted - kept, "a message came twice"
        assert (kept - accounted).total() <= self.broker.dropped, "a message was lost"


class LateHubMachine(HubMachine):
    """The same, with tokens that somebody else judges later."""

    judges_later = True


BOUNDS = settings(
    max_examples=50,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestHub = HubMachine.TestCase
TestHub.settings = BOUNDS
TestHub = pytest.mark.timeout(60)(TestHub)
TestLateHub = LateHubMachine.TestCase
TestLateHub.settings = BOUNDS
TestLateHub = pytest.mark.timeout(60)(TestLateHub)


@pytest.mark.parametrize("judges_later", [False, True])
@pytest.mark.parametrize("seed", range(40))
def test_a_long_walk(seed: int, judges_later: bool) -> None:
    """Hypothesis looks for the short story that breaks; this is the long one, evenly mixed."""
    draw = random.Random(seed)
    hub = (LateHubMachine if judges_later else HubMachine)()
    yes = [False, True]
    hub.begin((draw.choice(list(AckMode)), draw.choice(list(AckMode))))
    for _ in range(500):
        who, wanted = draw.randrange(10), draw.choice(yes)
        match draw.randrange(16):
            case 0 | 15 if len(hub.hub) < MOST_PEERS:
                hub.join(draw.choice(NAMES), draw.choice((1.0, 5.0, 30.0)))
            case 1 | 2:
                to = draw.choice((*QUEUES, *QUEUES, *TOPICS, *MINE))
                hub.subscribe(who, to, draw.choice(list(AckMode)), wanted)
            case 3:
                hub.unsubscribe(who, draw.randrange(5), wanted)
            case 4 | 5 | 6:
                to = draw.choice((*QUEUES, *QUEUES, "/topic/x", "/user/ann/queue/x"))
                size = draw.choice((0, 0, 0, 0, 0, TAKE_SIZE))
                hub.send(who, to, draw.randint(1, 3), wanted, size, draw.choice(yes))
            case 7:
                hub.call(who, draw.choice(CALLS), draw.randint(1, 5), wanted)
            case 8:
                parts = draw.choices((*QUEUES, "/topic/x", "/app/later", "ACK"), k=3)
                hub.transact(who, parts, draw.choice(("COMMIT", "COMMIT", "ABORT", None)), wanted)
            case 9 | 10:
                hub.answer(who, 0, draw.choice(("ACK", "NACK")), wanted)
            case 11:
                hub.mishap(who, draw.choice(MISHAPS), draw.choice(BAD_CALLS), wanted)
            case 12:
                hub.wait(draw.choice((0.0, 0.5, 1.0)), wanted)
            case 13:
                hub.read_all() if wanted else hub.read(who)
            case 14:
                for _ in range(draw.randrange(4)):
                    hub.finish()
            case 15 if wanted:
                hub.refresh(who, 30)
            case _ if hub.asking:
                hub.judge()
        hub.nobody_listens_who_is_not_there()
        hub.the_numbers_add_up()
    hub.teardown()
