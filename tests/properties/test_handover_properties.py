"""A client that overlaps, before a server that keeps to everything but the speed of its answers.

Two connections are served, and heard, in any order and at any pace. Whatever that is, each message
of a topic passes once and in its order, and each that is sent arrives once and in its order; and
where only new connections are cut, none is missing either.
"""

from __future__ import annotations

from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stompcore._client import ClientSession
from stompcore._codec import FrameDecoder
from stompcore._config import Backoff, ClientConfig, Handover, HeartBeat, Refresh
from stompcore._connection import ClientConnection
from stompcore._events import (
    Delivered,
    Dial,
    FetchToken,
    HangUp,
    Published,
    PublishFailed,
    Stopped,
    SubscriptionActive,
    SubscriptionEnded,
)
from stompcore._frames import Command, Frame
from stompcore._headers import Version
from stompcore._state import ConnectionState, HandoverState, TokenState

NOW = 1000.0
TTL = 100.0
ENOUGH = 300  # turns, within which everything has to come to rest
FOREVER = 1e9
CONFIG = ClientConfig(
    heart_beat=HeartBeat(send_interval=0, receive_interval=0),
    refresh=Refresh(handover=Handover.OVERLAP),
    backoff=Backoff(minimum=0.5, maximum=4.0),
    # Patience with an old connection: what it has not brought yet, a new one may not know.
    close_timeout=FOREVER,
    outbox_timeout=FOREVER,
)


def encode(command: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    return f"{command}\n{lines}\n".encode() + body + b"\0"


class Session:
    """The server's side of one connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.inbox: list[Frame] = []
        self.outbox: list[bytes] = []
        self.is_over = False
        self.topics: dict[str, str] = {}
        self._decoder = FrameDecoder(CONFIG.limits)
        self._decoder.version = Version.V1_2

    def listen(self) -> None:
        """What the client has written arrives, and waits to be served."""
        self._decoder.receive_data(b"".join(self.connection.data_to_send()))
        while (frame := self._decoder.next_frame()) is not None:
            self.inbox.append(frame)


class Overlap(RuleBasedStateMachine):
    """The driver, the source, the user and such a server."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.client = ClientSession(
            "stomp://h", CONFIG, now=NOW, random=lambda: 0.5, client_id="me"
        )
        self.sessions: dict[int, Session] = {}
        self.dials: list[int] = []
        self.calls: list[int] = []
        self.may_cut = False
        # What has happened, in the world's own count.
        self.published: dict[str, list[int]] = {}
        self.count = 0
        self.active: dict[str, int] = {}  # a subscription, and the count when it was confirmed
        # When it was confirmed and on one connection alone. One that is younger than that both
        # sides may begin with at different moments, and its first messages may change places.
        self.ordered: dict[str, int] = {}
        self.destination: dict[str, str] = {}
        self.delivered: dict[str, list[int]] = {}
        self.ended: set[str] = set()
        self.sent: list[int] = []
        self.arrived: list[int] = []
        self.confirmed: set[int] = set()

    # --- hands ----------------------------------------------------------------------------

    def drain(self) -> None:
        while (event := self.client.next_event()) is not None:
            match event:
                case Delivered():
                    number = int(event.frame.body)
                    got = self.delivered[event.subscription]
                    assert number not in got, "a copy"
                    since = self.ordered.get(event.subscription, number)
                    assert number <= since or number > max(got, default=0), "out of order"
                    assert event.subscription not in self.ended
                    got.append(number)
                case Published():
                    assert event.key in self.arrived
                    self.confirmed.add(event.key)
                case SubscriptionActive():
                    self.active.setdefault(event.subscription, self.count)
                case SubscriptionEnded():
                    self.ended.add(event.subscription)
                case PublishFailed() | Stopped():
                    raise AssertionError(event)
        if self.client.handover_state is HandoverState.NONE:
            for id in self.active:
                self.ordered.setdefault(id, self.count)
        while (action := self.client.next_action()) is not None:
            note(repr(action))
            match action:
                case Dial():
                    self.dials.append(action.epoch)
                case FetchToken():
                    self.calls.append(action.generation)
                case HangUp():
                    self.sessions.pop(action.epoch, None)
                    if action.epoch in self.dials:
                        self.dials.remove(action.epoch)
        for session in self.sessions.values():
            session.listen()

    def session(self, which: int) -> Session | None:
        epochs = sorted(self.sessions)
        return self.sessions[epochs[which % len(epochs)]] if epochs else None

    def serve_one(self, session: Session) -> None:
        frame = session.inbox.pop(0)
        headers = frame.headers
        match frame.command:
            case Command.CONNECT:
                ttl = str(int(TTL * 1000))
                session.outbox.append(encode("CONNECTED", {"version": "1.2", "token-ttl": ttl}))
            case Command.SUBSCRIBE:
                session.topics[headers["id"]] = headers["destination"]
            case Command.UNSUBSCRIBE:
                session.topics.pop(headers["id"], None)
            case Command.SEND:
                key = int(headers["message-key"].removeprefix("me-"))
                if key not in self.arrived:  # what a server does that remembers keys
                    self.arrived.append(key)
        receipt = headers.get("receipt")
        if receipt is not None:
            session.outbox.append(encode("RECEIPT", {"receipt-id": receipt}))
        session.is_over = frame.command is Command.DISCONNECT

    # --- the user -------------------------------------------------------------------------

    @initialize(may_cut=st.booleans(), subscriptions=st.sampled_from([0, 1, 1, 2]))
    def begin(self, may_cut: bool, subscriptions: int) -> None:
        self.may_cut = may_cut
        self.client.start(now=self.now)
        self.drain()
        for _ in range(subscriptions):
            self.subscribe("/a")
        self.settle()
        self.renew()

    @precondition(lambda self: len(self.destination) < 6)
    @rule(destination=st.sampled_from(["/a", "/b"]))
    def subscribe(self, destination: str) -> None:
        id = self.client.subscribe(destination, now=self.now)
        self.destination[id] = destination
        self.delivered[id] = []
        self.drain()

    @rule(which=st.integers(1, 30))
    def unsubscribe(self, which: int) -> None:
        self.client.unsubscribe(str(which), now=self.now)
        self.drain()

    @rule()
    def send(self) -> None:
        self.sent.append(self.client.send("/a", b"x", now=self.now))
        self.drain()

    # --- the server -----------------------------------------------------------------------

    @rule(destination=st.sampled_from(["/a", "/a", "/b"]), times=st.integers(1, 3))
    def publish(self, destination: str, times: int) -> None:
        for _ in range(times):
            self.count += 1
            self.published.setdefault(destination, []).append(self.count)
            for session in self.sessions.values():
                if session.is_over:
                    continue
                for id, topic in session.topics.items():
                    if topic == destination:
                        fields = {"subscription": id, "message-id": f"m-{self.count}"}
                        fields["destination"] = destination
                        body = str(self.count).encode()
                        session.outbox.append(encode("MESSAGE", fields, body))

    @rule(which=st.sampled_from([0, 1, 1]), frames=st.integers(1, 4))
    def serve(self, which: int, frames: int) -> None:
        session = self.session(which)
        for _ in range(frames):
            if session is not None and session.inbox and not session.is_over:
                self.serve_one(session)

    @rule(which=st.integers(0, 1), frames=st.integers(1, 6))
    def deliver(self, which: int, frames: int) -> None:
        session = self.session(which)
        if session is None:
            return
        data, session.outbox = session.outbox[:frames], session.outbox[frames:]
        if data:
            session.connection.receive_data(b"".join(data), now=self.now)
        if session.is_over and not session.outbox:
            session.connection.receive_eof(now=self.now)
        self.drain()

    @rule(is_bad_luck=st.integers(0, 3))
    def cut_the_new_one(self, is_bad_luck: int) -> None:
        early = (HandoverState.CONNECTING, HandoverState.RESTORING)
        if is_bad_luck == 3 and self.client.handover_state in early:
            self.sessions[max(self.sessions)].connection.receive_eof(now=self.now)
            self.drain()

    @precondition(lambda self: self.may_cut)
    @rule(whom=st.sampled_from([(), (), (), (0,), (1,), (0, 1), (1, 0)]))
    def cut(self, whom: tuple[int, ...]) -> None:
        sessions = [self.session(each) for each in whom]
        for session in sessions:
            if session is not None:
                session.connection.receive_eof(now=self.now)
        self.drain()

    # --- the driver and the source ----------------------------------------------------------

    @rule()
    def dial(self) -> None:
        while self.dials:
            epoch = self.dials.pop()
            connection = self.client.dialed(epoch, now=self.now)
            assert connection is not None
            self.sessions[epoch] = Session(connection)
        self.drain()

    @precondition(lambda self: self.dials)
    @rule(is_bad_luck=st.integers(0, 3))
    def dial_fails(self, is_bad_luck: int) -> None:
        if is_bad_luck == 3:
            self.client.dial_failed(self.dials[-1], "no", now=self.now)
            self.drain()

    @rule()
    def token(self) -> None:
        if self.client.token_state in (TokenState.FETCHING, TokenState.RENEWING):
            self.client.token(self.calls[-1], f"token-{self.calls[-1]}", now=self.now)
            self.drain()

    @rule(seconds=st.sampled_from([0.1, 1.0, 1.0, 1.0, 11.0]))
    def wait(self, seconds: float) -> None:
        """Time passes, and everything fires when it is due."""
        end = self.now + seconds
        for _ in range(ENOUGH):
            at = self.client.next_deadline()
            if at is None or at > end:
                break
            self.now = max(self.now, at)
            self.client.handle_timeout(now=self.now)
            self.drain()
        else:
            raise AssertionError("it never comes to rest")
        self.now = end

    @precondition(lambda self: self.client.handover_state is HandoverState.NONE)
    @rule()
    def renew(self) -> None:
        """A handover begins: the token is here, and the new connection is up."""
        self.wait(TTL * 0.85)
        self.token()
        self.dial()
        self.serve(1, 1)
        self.deliver(1, 1)

    # --- rest -----------------------------------------------------------------------------

    @precondition(lambda self: self.client.handover_state is HandoverState.NONE)
    @rule()
    def settle(self) -> None:
        """Everything that can happen without time does, and then what needs a little."""
        for _ in range(ENOUGH):
            self.token()
            self.dial()
            for which in (0, 1):
                self.serve(which, 10)
                self.deliver(which, 10)
            is_busy = any(each.inbox or each.outbox for each in self.sessions.values())
            if not is_busy and self.is_at_rest():
                return
            if not is_busy:
                at = self.client.next_deadline()
                self.wait(0.0 if at is None else max(0.0, at - self.now))
        raise AssertionError("it never comes to rest")

    def is_at_rest(self) -> bool:
        return (
            self.client.state is ConnectionState.CONNECTED
            and self.client.handover_state is HandoverState.NONE
            and self.client.token_state is TokenState.FRESH
            and self.client.unconfirmed == 0
        )

    @invariant()
    def what_is_sent_arrives_in_its_order(self) -> None:
        assert self.arrived == sorted(self.arrived)
        assert self.confirmed <= set(self.arrived) <= set(self.sent)

    def teardown(self) -> None:
        self.settle()
        assert self.arrived == self.sent
        assert self.confirmed == set(self.sent)
        assert len(self.sessions) == 1
        for id, got in self.delivered.items():
            if id in self.ended or self.may_cut:
                continue
            missing = set(self.published.get(self.destination[id], [])) - set(got)
            assert all(each <= self.active[id] for each in missing), missing
        self.publish("/a", 1)
        self.publish("/b", 1)
        self.settle()
        for id, got in self.delivered.items():
            if id not in self.ended:
                assert got[-1] == self.published[self.destination[id]][-1], "it has gone deaf"


TestOverlap = Overlap.TestCase
TestOverlap.settings = settings(max_examples=150, stateful_step_count=60)
