"""A client under every order of calls, bytes, losses and time that Hypothesis can think of.

It has up to two connections, which are fed in any order, and no server that keeps to anything.
"""

from __future__ import annotations

from typing import Any

from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.properties.client_frames import Ear, encode, good_frames, ids, server_frames, ttls
from tests.websocket.wire import TEXT, answer_to, close_payload, frame

from stompcore._client import ClientSession
from stompcore._config import Backoff, ClientConfig, Handover, HeartBeat, Refresh
from stompcore._connection import ClientConnection
from stompcore._errors import (
    ClientClosed,
    LocalProtocolError,
    NotConnected,
    OutboxFull,
    StaleEpoch,
)
from stompcore._events import (
    AckMode,
    Action,
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
    TokenFetchFailed,
    TokenReceived,
    TransactionCommitted,
    TransactionFailed,
)
from stompcore._machine import Close
from stompcore._state import ConnectionState, HandoverState, TokenState
from stompcore._timers import Timer
from stompcore._url import parse_url
from stompcore.websocket import ClientEndpoint

NOW = 1000.0
FLOOR = 0.5
REFRESHES = {
    "none": None,
    "break": Refresh(),
    "overlap": Refresh(handover=Handover.OVERLAP),
}
URLS = {False: "stomp://h", True: "ws://h/ws"}

Link = ClientConnection | ClientEndpoint


class Client(RuleBasedStateMachine):
    """The driver, the server, the token source and the user, none of whom can be relied on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.client: ClientSession | None = None
        self.is_websocket = False
        self.refresh = "none"
        self.client_id = ""
        self.links: dict[int, Link] = {}
        self.ears: dict[int, Ear] = {}
        self.fetches: list[int] = []
        self.answered: set[int] = set()
        self.dials: list[int] = []
        self.dialed_at: list[float] = []
        self.hung_up: list[int] = []
        self.endings: list[int] = []
        self.sent: set[int] = set()
        self.fates: list[int] = []
        self.subscribed: set[str] = set()
        self.ended: list[str] = []
        self.delivered: list[Delivered] = []
        self.begun: list[str] = []
        self.given_up: set[str] = set()
        self.done: list[str] = []
        self.stops = 0

    # --- hands ----------------------------------------------------------------------------

    def session(self) -> ClientSession:
        if self.client is None:
            self.client = ClientSession(
                URLS[self.is_websocket],
                ClientConfig(
                    heart_beat=HeartBeat(send_interval=1, receive_interval=1),
                    backoff=Backoff(minimum=FLOOR, maximum=4.0, stable_timeout=2.0),
                    refresh=REFRESHES[self.refresh],
                    outbox_count=4,
                    outbox_timeout=30.0,
                    subscription_buffer=2,
                    subscription_limit=3,
                ),
                now=NOW,
                random=lambda: 0.5,
                client_id=self.client_id,
            )
        return self.client

    @property
    def open(self) -> list[int]:
        """The dials that no hang-up has followed yet."""
        return [each for each in self.dials if each not in self.hung_up]

    def drain(self) -> None:
        client = self.session()
        while (event := client.next_event()) is not None:
            assert not self.stops, "Stopped is the last event"
            match event:
                case Published() | PublishFailed():
                    assert event.key in self.sent
                    self.fates.append(event.key)
                case SubscriptionEnded():
                    self.ended.append(event.subscription)
                case SubscriptionActive():
                    assert event.subscription in self.subscribed - set(self.ended)
                case Resubscribed():
                    assert event.epoch in self.dials
                    assert event.resent <= 4
                    assert set(event.subscriptions) <= self.subscribed
                case Delivered():
                    assert event.subscription in self.subscribed - set(self.ended)
                    self.delivered.append(event)
                case TokenReceived() | TokenFetchFailed():
                    assert event.generation not in self.answered
                    self.answered.add(event.generation)
                case TransactionCommitted() | TransactionFailed():
                    assert event.transaction in self.begun
                    self.done.append(event.transaction)
                case ConnectionEnded():
                    self.endings.append(event.epoch)
                case Stopped():
                    self.stops += 1
        while (action := client.next_action()) is not None:
            self.act(action)
        for epoch, link in self.links.items():
            for chunk in link.data_to_send():
                assert chunk
                if isinstance(link, ClientConnection):
                    self.ears[epoch].hear(chunk)

    def act(self, action: Action) -> None:
        note(repr(action))
        match action:
            case FetchToken():
                # One at a time, whoever asks.
                assert self.answered >= set(self.fetches)
                assert action.generation > max(self.fetches, default=0)
                self.fetches.append(action.generation)
            case Dial():
                assert action.epoch == len(self.dials) + 1
                # Never a transport too many.
                assert len(self.open) < (2 if self.refresh == "overlap" else 1)
                self.dials.append(action.epoch)
                self.dialed_at.append(self.now)
                # One dial may follow at once, on a token that ran out on the way; never two.
                assert len(self.dials) < 3 or self.now - self.dialed_at[-3] >= FLOOR - 1e-6
            case HangUp():
                assert action.epoch in self.open
                self.hung_up.append(action.epoch)
                link = self.links.pop(action.epoch, None)
                if isinstance(link, ClientEndpoint):
                    link.hang_up(now=self.now)

    def link(self, which: int) -> Link | None:
        epochs = sorted(self.links)
        return self.links[epochs[which % len(epochs)]] if epochs else None

    def try_to(self, act: Any, *allowed: type[Exception]) -> Any:
        """Call it; only what is documented may be raised, and then nothing has changed."""
        try:
            return act()
        except allowed as error:
            note(repr(error))
            return None
        finally:
            self.drain()

    # --- the user -------------------------------------------------------------------------

    @initialize(
        is_websocket=st.booleans(),
        refresh=st.sampled_from(["none", "break", "overlap", "overlap", "overlap"]),
        client_id=st.sampled_from(["", "me"]),
        subscriptions=st.integers(-1, 2),
        steps=st.integers(0, 20),
    )
    def choose(
        self, is_websocket: bool, refresh: str, client_id: str, subscriptions: int, steps: int
    ) -> None:
        self.is_websocket, self.refresh, self.client_id = is_websocket, refresh, client_id
        if subscriptions < 0:
            return  # not even started
        self.start()
        for _ in range(subscriptions):
            self.subscribe(99, AckMode.AUTO)
        for _ in range(steps):
            self.step("9000")

    @rule()
    def start(self) -> None:
        self.try_to(lambda: self.session().start(now=self.now), LocalProtocolError)

    @rule(
        body=st.binary(max_size=3),
        fields=st.sampled_from([{}, {}, {"x": "a\nb"}, {"receipt": "x"}]),
        confirm=st.sampled_from([True, True, False]),
    )
    def send(self, body: bytes, fields: dict[str, str], confirm: bool) -> None:
        def act() -> None:
            key = self.session().send("/a", body, fields, confirm=confirm, now=self.now)
            self.sent.add(key)

        self.try_to(act, OutboxFull, ClientClosed, LocalProtocolError)

    @rule(
        left=st.sampled_from([99, 99, 0, 1, 2]),
        ack=st.sampled_from([AckMode.AUTO, AckMode.AUTO, AckMode.CLIENT_INDIVIDUAL]),
    )
    def subscribe(self, left: int, ack: AckMode) -> None:
        def value() -> str:
            nonlocal left
            left -= 1
            if left < 0:
                raise RuntimeError
            return "x"

        def act() -> None:
            id = self.session().subscribe("/a", ack=ack, headers={"x": value}, now=self.now)
            self.subscribed.add(id)

        self.try_to(act, ClientClosed)

    @rule(id=ids)
    def unsubscribe(self, id: int) -> None:
        self.try_to(lambda: self.session().unsubscribe(str(id), now=self.now))

    @rule(id=ids, is_held=st.booleans())
    def read(self, id: int, is_held: bool) -> None:
        client = self.session()
        act = client.hold if is_held else client.release
        self.try_to(lambda: act(str(id), now=self.now))

    @precondition(lambda self: self.delivered)
    @rule(data=st.data(), is_part=st.booleans())
    def ack(self, data: st.DataObject, is_part: bool) -> None:
        delivered = data.draw(st.sampled_from(self.delivered))
        name = self.begun[-1] if self.begun and is_part else None
        self.try_to(
            lambda: self.session().ack(delivered, transaction=name, now=self.now),
            StaleEpoch,
            LocalProtocolError,
        )

    @rule()
    def begin(self) -> None:
        def act() -> None:
            self.begun.append(self.session().begin(now=self.now))

        self.try_to(act, NotConnected, ClientClosed)

    @precondition(lambda self: self.begun)
    @rule(data=st.data(), how=st.sampled_from(["send", "commit", "commit", "abort"]))
    def transact(self, data: st.DataObject, how: str) -> None:
        client, name = self.session(), data.draw(st.sampled_from(self.begun))

        def act() -> None:
            match how:
                case "send":
                    client.send_in(name, "/a", b"x", now=self.now)
                case "commit":
                    client.commit(name, now=self.now)
                case "abort":
                    client.abort_transaction(name, now=self.now)

        is_open = name not in self.done and name not in self.given_up
        self.try_to(act, NotConnected, LocalProtocolError, OutboxFull)
        found = client._transactions.get(name)
        if how == "abort" and is_open and found is None and name not in self.done:
            self.given_up.add(name)

    @precondition(lambda self: len(self.dials) > 1)
    @rule()
    def close(self) -> None:
        self.try_to(lambda: self.session().close(now=self.now))

    @precondition(lambda self: len(self.dials) > 3)
    @rule()
    def abort(self) -> None:
        self.try_to(lambda: self.session().abort(now=self.now))

    # --- the token source -----------------------------------------------------------------

    @precondition(lambda self: self.fetches)
    @rule(
        text=st.sampled_from(["new", "new", "new", "token", "", "a\nb"]),
        age=st.sampled_from([0, 0, 0, 1, 2]),
    )
    def token(self, text: str, age: int) -> None:
        before = self.session().token_state
        given = f"token-{self.fetches[-1]}" if text == "new" else text
        self.session().token(self.fetches[-1] - age, given, now=self.now)
        assert age == 0 or self.session().token_state is before
        self.drain()

    @precondition(lambda self: self.fetches)
    @rule(permanent=st.sampled_from([False] * 9 + [True]), age=st.integers(0, 1))
    def token_failed(self, permanent: bool, age: int) -> None:
        before = self.session().token_state
        self.session().token_failed(self.fetches[-1] - age, permanent=permanent, now=self.now)
        assert age == 0 or self.session().token_state is before
        self.drain()

    # --- the driver -----------------------------------------------------------------------

    @precondition(lambda self: self.dials)
    @rule(age=st.sampled_from([0, 0, 0, 1]))
    def dialed(self, age: int) -> None:
        client, epoch = self.session(), self.dials[-1] - age
        connection = client.dialed(epoch, now=self.now)
        if connection is not None:
            assert epoch in self.open
            assert epoch not in self.links
            self.links[epoch] = self.open_websocket(connection) if self.is_websocket else connection
            self.ears[epoch] = Ear(connection)
        self.drain()

    def open_websocket(self, connection: ClientConnection) -> ClientEndpoint:
        endpoint = ClientEndpoint(connection, parse_url(URLS[True]), now=self.now)
        endpoint.receive_data(answer_to(b"".join(endpoint.data_to_send())), now=self.now)
        return endpoint

    @precondition(lambda self: self.dials)
    @rule(age=st.sampled_from([0, 1]))
    def dial_failed(self, age: int) -> None:
        self.session().dial_failed(self.dials[-1] - age, "no", now=self.now)
        self.drain()

    def feed(self, link: Link, data: bytes) -> None:
        if isinstance(link, ClientEndpoint):
            data = frame(TEXT if data.isascii() else 2, data, masked=False)
        link.receive_data(data, now=self.now)

    @rule(
        which=st.integers(0, 1), frames=st.lists(server_frames, max_size=4), size=st.integers(1, 90)
    )
    def hear(self, which: int, frames: list[bytes], size: int) -> None:
        data = b"".join(frames)
        for start in range(0, len(data), size):
            link = self.link(which)
            if link is not None:
                self.feed(link, data[start : start + size])
            self.drain()

    @rule(which=st.integers(0, 1), frames=st.lists(good_frames, min_size=1, max_size=6))
    def hear_well(self, which: int, frames: list[bytes]) -> None:
        link = self.link(which)
        if link is not None and self.session().state is not ConnectionState.CONNECTING:
            self.feed(link, b"".join(frames))
            self.drain()

    @rule(firsts=st.lists(good_frames, max_size=3), seconds=st.lists(server_frames, max_size=2))
    def hear_on_both_before_anybody_looks(self, firsts: list[bytes], seconds: list[bytes]) -> None:
        for which, frames in enumerate((firsts, seconds)):
            link = self.link(which)
            if link is not None and frames:
                self.feed(link, b"".join(frames))
        self.drain()

    @precondition(lambda self: self.links and self.is_websocket)
    @rule(
        which=st.integers(0, 1),
        code=st.sampled_from([1000, 1001, 1006, 3000, 3003]),
        garbage=st.booleans(),
        last=st.lists(server_frames, max_size=2),
    )
    def close_websocket(self, which: int, code: int, garbage: bool, last: list[bytes]) -> None:
        link = self.link(which)
        assert isinstance(link, ClientEndpoint)
        if last:
            self.feed(link, b"".join(last))
        data = b"\xff" * 9 if garbage else frame(8, close_payload(code), masked=False)
        link.receive_data(data, now=self.now)
        self.drain()

    @precondition(lambda self: self.links and not self.is_websocket)
    @rule(which=st.integers(0, 1), code=st.sampled_from([1000, 1001, 3000, 3003]))
    def peer_close(self, which: int, code: int) -> None:
        link = self.link(which)
        assert isinstance(link, ClientConnection)
        link.receive_close(Close(code), now=self.now)
        self.drain()

    @rule(whom=st.sampled_from([(0,), (1,), (0, 1), (1, 0)]))
    def lose(self, whom: tuple[int, ...]) -> None:
        links = [self.link(each) for each in whom]
        for link in links:
            if link is not None:
                link.receive_eof(now=self.now)
        self.drain()

    @rule(steps=st.integers(1, 8), seconds=st.sampled_from([0.0, 0.0, 1.0]), ttl=ttls)
    def all_goes_well(self, steps: int, seconds: float, ttl: str) -> None:
        """The next thing that is waited for comes: in the end a connection, and then the next."""
        for _ in range(steps):
            self.step(ttl)
        self.late(seconds)

    def step(self, ttl: str) -> None:
        client = self.session()
        if client.token_state in (TokenState.FETCHING, TokenState.RENEWING):
            self.token("new", 0)
            return
        oldest, newest = self.link(0), self.link(-1)
        match client.handover_state:
            case HandoverState.DIALING:
                self.dialed(0)
            case HandoverState.CONNECTING if newest is not None:
                self.feed(newest, encode("CONNECTED", {"version": "1.2", "token-ttl": ttl}))
            case HandoverState.RESTORING:
                self.confirm(max(self.links))
            case HandoverState.RETIRING if oldest is not None:
                self.feed(oldest, encode("RECEIPT", {"receipt-id": "disconnect"}))
            case _:
                self.step_of_the_current_one(ttl)
        self.drain()

    def confirm(self, epoch: int) -> None:
        for id in sorted(self.subscribed - set(self.ended)):
            receipt = encode("RECEIPT", {"receipt-id": f"subscribe-{epoch}-{id}"})
            self.feed(self.links[epoch], receipt)

    def step_of_the_current_one(self, ttl: str) -> None:
        client, link = self.session(), self.link(0)
        match client.state:
            case ConnectionState.IDLE:
                self.start()
            case ConnectionState.WAITING:
                self.punctual()
            case ConnectionState.DIALING:
                self.dialed(0)
            case ConnectionState.CONNECTING if link is not None:
                self.feed(link, encode("CONNECTED", {"version": "1.2", "token-ttl": ttl}))
            case ConnectionState.CONNECTED if link is not None:
                self.confirm(max(self.links))
                for id in (f"token-{len(self.fetches)}", "disconnect"):
                    self.feed(link, encode("RECEIPT", {"receipt-id": id}))
                self.drain()
                if client.deadline_reason() in (Timer.STABLE, Timer.TOKEN_REFRESH, Timer.REDIAL):
                    self.punctual()

    # --- time -----------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.5, 3.0, 40.0]))
    def late(self, seconds: float) -> None:
        self.now += seconds
        self.fire()

    @rule()
    def punctual(self) -> None:
        at = self.session().next_deadline()
        if at is not None:
            self.now = max(self.now, at)
            self.fire()

    def fire(self) -> None:
        client = self.session()
        for _ in range(2):  # twice is as good as once
            client.handle_timeout(now=self.now)
            self.drain()
            after = client.next_deadline()
            assert after is None or after > self.now
            assert (after is None) is (client.deadline_reason() is None)

    # --- what always holds ----------------------------------------------------------------

    @invariant()
    def one_fate_each(self) -> None:
        assert len(set(self.fates)) == len(self.fates)
        assert len(set(self.ended)) == len(self.ended)
        assert self.session().unconfirmed == len(self.sent) - len(self.fates)

    @invariant()
    def one_fate_for_each_transaction(self) -> None:
        over = [*self.done, *self.given_up]
        assert len(set(over)) == len(over)
        assert len(self.session()._transactions) == len(self.begun) - len(over)

    @invariant()
    def one_hang_up_for_each_end(self) -> None:
        assert len(set(self.hung_up)) == len(self.hung_up)
        assert len(set(self.endings)) == len(self.endings)
        assert set(self.endings) <= set(self.hung_up)
        assert len(self.open) <= 2
        if self.session().handover_state is HandoverState.NONE:
            assert len(self.open) <= 1

    @invariant()
    def stopped_is_the_end_of_everything(self) -> None:
        client = self.session()
        assert self.stops == int(client.closed)
        if client.closed:
            assert set(self.fates) == self.sent
            assert set(self.ended) == self.subscribed
            assert set(self.hung_up) == set(self.dials)
            assert len(client._transactions) == 0
            assert client.next_deadline() is None

    @invariant()
    def somebody_is_always_waited_for(self) -> None:
        """Unless it is over or has not begun, something will happen by itself."""
        client = self.session()
        is_quiet = (
            client.state is ConnectionState.CONNECTED
            and client.handover_state is HandoverState.NONE
            and not client._is_breaking
            and client._reauth is None
            and client.token_state not in (TokenState.FETCHING, TokenState.RENEWING)
        )
        if not client.closed and client.state is not ConnectionState.IDLE and not is_quiet:
            assert client.next_deadline() is not None

    @invariant()
    def nothing_waits_but_for_a_handover(self) -> None:
        client = self.session()
        waiting = client._handover._waiting
        assert not waiting or client.handover_state in (
            HandoverState.RESTORING,
            HandoverState.RETIRING,
        )
        assert len(waiting) <= 3
        assert len(client._handover._seen) <= 3

    @invariant()
    def a_token_in_hand_gets_to_the_server(self) -> None:
        """One that is newer than the connection's own is on its way, or something puts it off."""
        client = self.session()
        credential, line = client._credential, client._line
        assert credential is not None
        if (
            client.state is ConnectionState.CONNECTED
            and line is not None
            and line.is_open
            and credential.is_usable
            and credential.token_generation != line.generation
            and self.refresh != "none"
        ):
            assert (
                client._reauth is not None
                or client.handover_state is not HandoverState.NONE
                or len(client._transactions) > 0
                or client._redial.is_waiting
                or client._is_breaking  # and RECEIPTs are due
                or client._suspicion.is_careful
            )

    def teardown(self) -> None:
        self.session().abort(now=self.now)
        self.drain()
        self.one_fate_each()
        self.one_fate_for_each_transaction()
        self.stopped_is_the_end_of_everything()


TestClient = Client.TestCase
TestClient.settings = settings(max_examples=150, stateful_step_count=60)
