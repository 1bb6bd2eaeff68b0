"""A hub in any story of peers that come, sleep, expire, are revoked and go: no message is lost."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.unit.hub_peers import NOW, Peers, frame, send, subscribe, token

from stompcore import Command, ErrorCode, Frame, Limits
from stompcore.broker import DEAD_LETTERS

QUEUES = ("/queue/a", "/queue/b")
MODES = ("auto", "client", "client-individual")
MAX_PEERS = 6


class HubMachine(RuleBasedStateMachine):
    """Nobody is believed but the wire: what a peer has read, and what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.peers = Peers(limits=Limits(deliveries=3, close_timeout=2.0, send_backlog_timeout=9.0))
        self.live: list[str] = []
        self.modes: dict[tuple[str, str], str] = {}  # by session and subscription
        self.count = 0
        self.confirmed: dict[str, str] = {}  # bodies whose SEND has its RECEIPT, and their queue
        self.read: dict[str, int] = {}  # how often somebody has read a body
        self.kept: dict[str, list[Frame]] = {}  # read, and not answered for
        self.acked: set[str] = set()
        for life in (None, 30.0, None):
            self.enter(life)

    def name(self, index: int) -> str | None:
        return self.live[index % len(self.live)] if self.live else None

    def listen(self, name: str) -> None:
        """Look at what a peer has read."""
        for each in self.peers.heard(name):
            if each.command is not Command.MESSAGE:
                continue
            body, key = each.body.decode(), (name, each.headers["subscription"])
            assert body in self.confirmed
            assert body not in self.acked, "it was consumed"
            is_again = each.headers.get("redelivered") == "true"
            assert not is_again or self.read.get(body), "nobody can have read it before"
            self.read[body] = self.read.get(body, 0) + 1
            if self.modes.get(key) == "auto" or key not in self.modes:
                self.acked.add(body)
            else:
                self.kept[name].append(each)
        if self.peers.sessions[name].closing and name in self.live:
            self.live.remove(name)

    @rule(life=st.sampled_from([None, 8.0, 30.0]))
    def enter(self, life: float | None) -> None:
        if len(self.live) >= MAX_PEERS:
            return
        self.count += 1
        name = f"p{self.count}"
        until = None if life is None else self.peers.now - NOW + life
        self.peers.enter(name, token(name, life=until))
        self.live.append(name)
        self.kept[name] = []

    @rule(index=st.integers(0, 9), to=st.sampled_from(QUEUES), mode=st.sampled_from(MODES))
    def subscribe(self, index: int, to: str, mode: str) -> None:
        name = self.name(index)
        if name is not None and (name, to) not in self.modes:
            self.modes[name, to] = mode
            self.peers.tell(name, subscribe(to, to, f"ack:{mode}", "prefetch-count:3"))

    @rule(
        index=st.integers(0, 9),
        to=st.sampled_from(QUEUES),
        count=st.integers(1, 8),
        is_big=st.booleans(),
    )
    def send(self, index: int, to: str, count: int, is_big: bool) -> None:
        name = self.name(index)
        if name is None or name in self.peers.asleep:
            return
        pad = ["pad:" + "x" * 12_000] if is_big else []
        for _ in range(count):
            body = f"{len(self.confirmed):06}"
            self.confirmed[body] = to
            self.peers.tell(name, send(to, body, *pad))
        assert not self.peers.sessions[name].closing

    @rule(index=st.integers(0, 9), is_asleep=st.booleans())
    def sleep(self, index: int, is_asleep: bool) -> None:
        name = self.name(index)
        if name is not None and is_asleep:
            self.peers.asleep.add(name)
        elif name is not None:
            self.peers.asleep.discard(name)
            self.peers.reached(set())

    @rule(index=st.integers(0, 9), which=st.integers(0, 9), is_ack=st.booleans())
    def answer(self, index: int, which: int, is_ack: bool) -> None:
        name = self.name(index)
        if name is None or not self.kept[name]:
            return
        message = self.kept[name][which % len(self.kept[name])]
        settled = [message]
        if self.modes[name, message.headers["subscription"]] == "client":
            same = [
                each
                for each in self.kept[name]
                if each.headers["subscription"] == message.headers["subscription"]
            ]
            settled = same[: same.index(message) + 1]
        for each in settled:
            self.kept[name].remove(each)
        if is_ack:
            self.acked |= {each.body.decode() for each in settled}
        command = "ACK" if is_ack else "NACK"
        self.peers.tell(name, frame(command, f"id:{message.headers['ack']}"))
        assert not self.peers.sessions[name].closing

    @rule(
        index=st.integers(0, 9),
        how=st.sampled_from(["leave", "DISCONNECT", "revoke", "away", "nonsense"]),
    )
    def go(self, index: int, how: str) -> None:
        name = self.name(index)
        if name is None:
            return
        if how in ("DISCONNECT", "away") and any(
            mode != "auto" for (whose, _), mode in self.modes.items() if whose == name
        ):
            # What has to be answered for goes back, though in peace it may still be read.
            self.peers.asleep.discard(name)
            self.listen(name)
            if name not in self.live:
                return
        match how:
            case "leave":
                self.peers.leave(name)
            case "DISCONNECT":
                self.peers.tell(name, frame("DISCONNECT"))
            case "revoke":
                self.peers.hub.revoke(session_id=name, now=self.peers.now)
            case "away":
                self.peers.sessions[name].end(ErrorCode.GOING_AWAY, now=self.peers.now)
                self.peers.hub.process(name, now=self.peers.now)
            case _:
                self.peers.tell(name, "nonsense\n\n\0")
        self.live.remove(name)

    @rule(
        index=st.integers(0, 9),
        to=st.sampled_from(QUEUES),
        mode=st.sampled_from(MODES),
        count=st.integers(1, 4),
        how=st.sampled_from(["leave", "DISCONNECT", "revoke", "away", "nonsense"]),
    )
    def go_in_its_sleep(self, index: int, to: str, mode: str, count: int, how: str) -> None:
        """The server sends something to a peer that reads no more, and then it is gone."""
        name = self.name(index)
        if name is None:
            return
        self.subscribe(index, to, mode)
        self.peers.asleep.add(name)
        for _ in range(count):
            body = f"{len(self.confirmed):06}"
            self.confirmed[body] = to
            self.peers.hub.publish(to, body.encode(), now=self.peers.now)
        self.go(index, how)

    @rule(index=st.integers(0, 9), to=st.sampled_from(QUEUES))
    def unsubscribe(self, index: int, to: str) -> None:
        name = self.name(index)
        if name is None or (name, to) not in self.modes or name in self.peers.asleep:
            return
        self.listen(name)
        self.peers.tell(name, frame("UNSUBSCRIBE", f"id:{to}"))
        del self.modes[name, to]
        self.kept[name] = [e for e in self.kept[name] if e.headers["subscription"] != to]

    @rule(index=st.integers(0, 9), life=st.sampled_from([None, 5.0]))
    def refresh(self, index: int, life: float | None) -> None:
        name = self.name(index)
        if name is not None:
            until = None if life is None else self.peers.now - NOW + life
            self.peers.tell(name, send("/auth/refresh", token(name, life=until)))

    @rule(seconds=st.sampled_from([0.5, 2.0]))
    def wait(self, seconds: float) -> None:
        self.peers.at(self.peers.now - NOW + seconds)

    @invariant()
    def everybody_is_heard(self) -> None:
        for name in self.peers.sessions:
            self.listen(name)
        snapshot = self.peers.hub.snapshot()
        assert snapshot.sessions.total() == len(self.live)  # type: ignore[attr-defined]
        assert snapshot.queued_messages <= len(self.confirmed)
        assert (snapshot.queued_size > 0) is (snapshot.queued_messages > 0)

    def teardown(self) -> None:
        """Whatever has happened: what nobody has consumed is still there."""
        for name in list(self.live):
            self.peers.leave(name)
            self.live.remove(name)
        self.wait(60.0)
        for name in self.peers.sessions:
            self.listen(name)
        assert not self.peers.hub._leaving
        left = self.peers.hub.snapshot().queued_messages
        assert left == len(self.confirmed) - len(self.acked)
        self.enter(None)
        (last,) = self.live
        for to in (*QUEUES, DEAD_LETTERS):
            self.peers.tell(last, subscribe(to, to))
        self.listen(last)
        assert self.acked == self.confirmed.keys()
        self.peers.leave(last)
        snapshot = self.peers.hub.snapshot()
        assert (snapshot.queued_messages, snapshot.queued_size, snapshot.queues) == (0, 0, 0)
        assert (snapshot.subscriptions, snapshot.sessions) == (0, {})


TestHub = HubMachine.TestCase
TestHub.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
