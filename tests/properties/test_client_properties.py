"""A client under every order of calls, bytes, losses and time that Hypothesis can think of."""

from __future__ import annotations

from typing import Any

from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.websocket.wire import TEXT, answer_to, close_payload, frame

from stompcore._client import ClientSession
from stompcore._config import Backoff, ClientConfig, HeartBeat
from stompcore._connection import ClientConnection
from stompcore._errors import ClientClosed, LocalProtocolError, OutboxFull, StaleEpoch
from stompcore._events import (
    Action,
    Delivered,
    Dial,
    FetchToken,
    HangUp,
    Published,
    PublishFailed,
    Resubscribed,
    Stopped,
    SubscriptionEnded,
)
from stompcore._machine import Close
from stompcore._state import ConnectionState
from stompcore._timers import Timer
from stompcore._url import parse_url
from stompcore.websocket import ClientEndpoint

NOW = 1000.0
FLOOR = 0.5
FETCHING = Timer.TOKEN_FETCH
URLS = {False: "stomp://h", True: "ws://h/ws"}

CODES = ["token-expired", "token-invalid", "token-revoked", "going-away", "limit-exceeded", ""]
ids = st.integers(0, 6)
receipts = st.one_of(
    ids.map(lambda n: f"message-{n}"),
    st.builds(lambda epoch, n: f"subscribe-{epoch}-{n}", ids, ids),
    st.just("disconnect"),
    st.text(max_size=3),
)


def encode(command: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    return f"{command}\n{lines}\n".encode() + body + b"\0"


server_frames = st.one_of(
    st.sampled_from([b"\n", b"\r\n", b"\0", b""]),
    st.builds(
        lambda version, beats: encode("CONNECTED", {"version": version, "heart-beat": beats}),
        st.sampled_from(["1.0", "1.1", "1.2", "9"]),
        st.sampled_from(["0,0", "1000,1000", "x"]),
    ),
    receipts.map(lambda receipt: encode("RECEIPT", {"receipt-id": receipt})),
    st.builds(
        lambda code, receipt: encode("ERROR", {"error-code": code, "receipt-id": receipt}),
        st.sampled_from(CODES),
        receipts,
    ),
    ids.map(
        lambda n: encode(
            "MESSAGE", {"subscription": str(n), "message-id": "m", "destination": "/a", "ack": "k"}
        )
    ),
    st.binary(max_size=20),
)


class Client(RuleBasedStateMachine):
    """The driver, the server, the token source and the user, none of whom can be relied on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.client: ClientSession | None = None
        self.is_websocket = False
        self.endpoint: ClientEndpoint | None = None
        self.fetches: list[int] = []
        self.dials: list[int] = []
        self.dialed_at: list[float] = []
        self.hung_up: list[int] = []
        self.sent: set[int] = set()
        self.fates: list[int] = []
        self.subscribed: set[str] = set()
        self.ended: list[str] = []
        self.delivered: list[Delivered] = []
        self.stops = 0

    # --- hands ----------------------------------------------------------------------------

    def session(self) -> ClientSession:
        if self.client is None:
            self.client = ClientSession(
                URLS[self.is_websocket],
                ClientConfig(
                    heart_beat=HeartBeat(send_interval=1, receive_interval=1),
                    backoff=Backoff(minimum=FLOOR, maximum=4.0, stable_timeout=2.0),
                    outbox_count=4,
                    outbox_timeout=30.0,
                ),
                now=NOW,
                random=lambda: 0.5,
            )
        return self.client

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
                case Resubscribed():
                    assert event.epoch == self.dials[-1]
                    assert event.resent == client.unconfirmed
                    assert set(event.subscriptions) <= self.subscribed
                case Delivered():
                    assert event.subscription in self.subscribed - set(self.ended)
                    self.delivered.append(event)
                case Stopped():
                    self.stops += 1
        while (action := client.next_action()) is not None:
            self.act(action)
        for chunk in self.endpoint.data_to_send() if self.endpoint else client.data_to_send():
            assert chunk

    def act(self, action: Action) -> None:
        note(repr(action))
        match action:
            case FetchToken():
                assert action.generation > max(self.fetches, default=0)
                self.fetches.append(action.generation)
            case Dial():
                assert action.epoch == len(self.dials) + 1
                # Never a second transport while there is one.
                assert len(self.hung_up) == len(self.dials)
                self.dials.append(action.epoch)
                self.dialed_at.append(self.now)
                # One dial may follow at once, on a token that ran out on the way; never two.
                assert len(self.dials) < 3 or self.now - self.dialed_at[-3] >= FLOOR - 1e-6
            case HangUp():
                assert action.epoch == self.dials[-1]
                assert action.epoch not in self.hung_up
                self.hung_up.append(action.epoch)
                if self.endpoint is not None:
                    self.endpoint.hang_up(now=self.now)
                    self.endpoint = None

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

    @initialize(is_websocket=st.booleans(), is_started=st.sampled_from([True, True, False]))
    def choose(self, is_websocket: bool, is_started: bool) -> None:
        self.is_websocket = is_websocket
        if is_started:
            self.start()

    @rule()
    def start(self) -> None:
        self.try_to(lambda: self.session().start(now=self.now), LocalProtocolError)

    @rule(body=st.binary(max_size=3), fields=st.sampled_from([{}, {"x": "a\nb"}, {"receipt": "x"}]))
    def send(self, body: bytes, fields: dict[str, str]) -> None:
        def act() -> None:
            self.sent.add(self.session().send("/a", body, fields, now=self.now))

        self.try_to(act, OutboxFull, ClientClosed, LocalProtocolError)

    @rule(is_broken=st.booleans())
    def subscribe(self, is_broken: bool) -> None:
        def value() -> str:
            if is_broken and len(self.subscribed) % 2:
                raise RuntimeError
            return "x"

        def act() -> None:
            id = self.session().subscribe("/a", headers={"x": value}, now=self.now)
            self.subscribed.add(id)

        self.try_to(act, ClientClosed)

    @rule(id=ids)
    def unsubscribe(self, id: int) -> None:
        self.try_to(lambda: self.session().unsubscribe(str(id), now=self.now))

    @precondition(lambda self: self.delivered)
    @rule(data=st.data())
    def ack(self, data: st.DataObject) -> None:
        delivered = data.draw(st.sampled_from(self.delivered))
        self.try_to(lambda: self.session().ack(delivered, now=self.now), StaleEpoch)

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
    @rule(text=st.sampled_from(["token", "token", "token", "", "a\nb"]), age=st.integers(0, 2))
    def token(self, text: str, age: int) -> None:
        before = self.session().token_state
        self.session().token(self.fetches[-1] - age, text, now=self.now)
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
        client = self.session()
        connection = client.dialed(self.dials[-1] - age, now=self.now)
        if connection is not None:
            assert age == 0
            if self.is_websocket:
                self.open_websocket(connection)
        self.drain()

    def open_websocket(self, connection: ClientConnection) -> None:
        endpoint = ClientEndpoint(connection, parse_url(URLS[True]), now=self.now)
        endpoint.receive_data(answer_to(b"".join(endpoint.data_to_send())), now=self.now)
        self.endpoint = endpoint

    @precondition(lambda self: self.dials)
    @rule(age=st.sampled_from([0, 1]))
    def dial_failed(self, age: int) -> None:
        self.session().dial_failed(self.dials[-1] - age, "no", now=self.now)
        self.drain()

    @rule(frames=st.lists(server_frames, max_size=4), size=st.integers(1, 40))
    def hear(self, frames: list[bytes], size: int) -> None:
        data = b"".join(frames)
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            if self.endpoint is not None:
                whole = frame(TEXT if piece.isascii() else 2, piece, masked=False)
                self.endpoint.receive_data(whole, now=self.now)
            else:
                self.session().receive_data(piece, now=self.now)
            self.drain()

    @precondition(lambda self: self.endpoint)
    @rule(code=st.sampled_from([1000, 1001, 1006, 3000, 3003]), garbage=st.booleans())
    def close_websocket(self, code: int, garbage: bool) -> None:
        assert self.endpoint is not None
        data = b"\xff" * 9 if garbage else frame(8, close_payload(code), masked=False)
        self.endpoint.receive_data(data, now=self.now)
        self.drain()

    @precondition(lambda self: self.client and self.client.connection)
    @rule(code=st.sampled_from([1000, 1001, 3000, 3003]))
    def peer_close(self, code: int) -> None:
        connection = self.session().connection
        assert connection is not None
        connection.receive_close(Close(code), now=self.now)
        self.drain()

    @rule()
    def lose(self) -> None:
        if self.endpoint is not None:
            self.endpoint.receive_eof(now=self.now)
        else:
            self.session().receive_eof(now=self.now)
        self.drain()

    @rule(steps=st.integers(1, 5), seconds=st.sampled_from([0.0, 0.0, 1.0]))
    def all_goes_well(self, steps: int, seconds: float) -> None:
        """The next thing that is waited for comes, in the end a connection."""
        for _ in range(steps):
            match self.session().state:
                case ConnectionState.IDLE:
                    self.start()
                case ConnectionState.WAITING if self.session().deadline_reason() is FETCHING:
                    self.token("token", 0)
                case ConnectionState.WAITING:
                    self.punctual()
                case ConnectionState.DIALING:
                    self.dialed(0)
                case ConnectionState.CONNECTING:
                    self.hear([encode("CONNECTED", {"version": "1.2"})], 1000)
        self.late(seconds)

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
    def stopped_is_the_end_of_everything(self) -> None:
        client = self.session()
        assert self.stops == int(client.closed)
        if client.closed:
            assert set(self.fates) == self.sent
            assert set(self.ended) == self.subscribed
            assert self.hung_up == self.dials
            assert client.next_deadline() is None

    @invariant()
    def somebody_is_always_waited_for(self) -> None:
        """Unless it is over or has not begun, something will happen by itself."""
        client = self.session()
        is_quiet = client.state is ConnectionState.CONNECTED
        if not client.closed and client.state is not ConnectionState.IDLE and not is_quiet:
            assert client.next_deadline() is not None

    def teardown(self) -> None:
        self.session().abort(now=self.now)
        self.drain()
        self.one_fate_each()
        self.stopped_is_the_end_of_everything()


TestClient = Client.TestCase
TestClient.settings = settings(max_examples=150, stateful_step_count=60)
