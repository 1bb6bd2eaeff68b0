"""A small world in virtual time: one Hub, any number of clients, and wires that can be cut."""

from __future__ import annotations

from dataclasses import dataclass, field

import jwt

from stompcore import (
    ClientConfig,
    ClientEvent,
    ClientSession,
    Delivered,
    Dial,
    FetchToken,
    HangUp,
    HeartBeat,
    Hub,
    Notice,
    Published,
    PublishFailed,
    ServerConfig,
    ServerSession,
    StatusChanged,
)
from stompcore._connection import ClientConnection
from stompcore._url import parse_url
from stompcore.pyjwt import JWTVerifier
from stompcore.websocket import ClientEndpoint, ServerEndpoint

KEY = "a secret of more than thirty-two bytes"
URL = {"tcp": "stomp://server", "websocket": "ws://server/ws"}
MAX_ROUNDS = 10_000
NO_BEATS = HeartBeat(send_interval=0, receive_interval=0)

__all__ = ["KEY", "NO_BEATS", "Person", "Wire", "World"]


@dataclass
class Wire:
    """The two ends of one transport."""

    person: Person
    epoch: int
    session: ServerSession
    server: ServerSession | ServerEndpoint
    client: ClientConnection | ClientEndpoint
    is_cut: bool = False
    to_client: bytearray = field(default_factory=bytearray)


@dataclass
class Person:
    """One client, and what has become of it."""

    name: str
    session: ClientSession
    events: list[ClientEvent] = field(default_factory=list)
    fetches: list[FetchToken] = field(default_factory=list)

    @property
    def received(self) -> list[str]:
        """The bodies of all messages, in order."""
        return [each.frame.body.decode() for each in self.events if isinstance(each, Delivered)]

    @property
    def confirmed(self) -> list[int]:
        return [each.key for each in self.events if isinstance(each, Published)]

    @property
    def failed(self) -> list[int]:
        return [each.key for each in self.events if isinstance(each, PublishFailed)]

    def kinds(self) -> list[str]:
        """The names of the lifecycle events, without messages and confirmations."""
        noise = (Delivered, Published, StatusChanged)
        return [type(each).__name__ for each in self.events if not isinstance(each, noise)]


class World:
    """Everything, and what time it is there.

    Args:
        transport: "tcp" or "websocket".
        chunk: bytes arrive in pieces of this size; 0 for whole.
        ttl: how long a token lives, in seconds.
        config: the server's.
        cut_after: the first wire breaks when the client has sent this many bytes on it.
    """

    def __init__(
        self,
        transport: str,
        *,
        chunk: int = 0,
        ttl: float = 3.0,
        config: ServerConfig | None = None,
        cut_after: int | None = None,
    ) -> None:
        self.now = 1_700_000_000.0
        self.transport = transport
        self.chunk = chunk
        self.ttl = ttl
        self.config = config or ServerConfig(heart_beat=NO_BEATS)
        self.hub = Hub(self.config, verifier=JWTVerifier(KEY, algorithms=["HS256"]))
        self.people: list[Person] = []
        self.wires: list[Wire] = []
        self.notices: list[Notice] = []
        self.log: list[str] = []
        self.sent_bytes = 0
        self.cut_after = cut_after
        self._last_session = 0

    def join(self, name: str, config: ClientConfig | None = None) -> Person:
        """A new client, connected if nothing stands in its way."""
        session = ClientSession(
            URL[self.transport],
            config or ClientConfig(heart_beat=NO_BEATS, refresh=None),
            now=self.now,
            random=lambda: 0.5,
        )
        person = Person(name, session)
        self.people.append(person)
        session.start(now=self.now)
        self.settle()
        return person

    def token(self, name: str) -> str:
        claims = {"sub": name, "exp": self.now + self.ttl}
        return jwt.encode(claims, KEY, algorithm="HS256")

    def run(self, seconds: float) -> None:
        """Let time pass, stopping wherever somebody has a deadline."""
        end = self.now + seconds
        for _ in range(MAX_ROUNDS):
            deadlines = [
                each
                for machine in self._machines()
                if (each := machine.next_deadline()) is not None
            ]
            self.now = max(self.now, min([end, *deadlines]))
            for machine in self._machines():
                machine.handle_timeout(now=self.now)
                after = machine.next_deadline()
                assert after is None or after > self.now
            self.settle()
            if self.now >= end:
                return
        raise AssertionError("the world does not come to rest")

    def jump(self, seconds: float) -> None:
        """Let time pass without anybody noticing, as when frames are already on their way."""
        self.now += seconds

    def settle(self) -> None:
        """Move bytes and answer actions until nothing is left to do."""
        for _ in range(MAX_ROUNDS):
            busy = [self._act(person) for person in self.people]
            busy += [self._move(wire) for wire in list(self.wires)]
            if not any(busy):
                return
        raise AssertionError("the world does not come to rest")

    def cut(self, wire: Wire) -> None:
        """The cable is pulled: what is under way is gone, and both ends hear of it."""
        if not wire.is_cut:
            wire.is_cut = True
            self.wires.remove(wire)
            wire.server.receive_eof(now=self.now)
            self._process(wire)
            wire.client.receive_eof(now=self.now)

    def wire_of(self, person: Person) -> Wire:
        return next(each for each in self.wires if each.person is person)

    def _machines(
        self,
    ) -> list[ClientSession | ServerSession | ServerEndpoint | ClientConnection | ClientEndpoint]:
        return [
            *(person.session for person in self.people),
            *(wire.server for wire in self.wires),
            *(wire.client for wire in self.wires),
        ]

    def _act(self, person: Person) -> bool:
        session, busy = person.session, False
        while (action := session.next_action()) is not None:
            busy = True
            self.log.append(f"{person.name}: {type(action).__name__}")
            match action:
                case FetchToken():
                    person.fetches.append(action)
                    session.token(action.generation, self.token(person.name), now=self.now)
                case Dial():
                    self._dial(person, action.epoch)
                case HangUp():
                    for wire in [each for each in self.wires if each.person is person]:
                        if wire.epoch == action.epoch:
                            self.cut(wire)
        while (event := session.next_event()) is not None:
            busy = True
            person.events.append(event)
            if not isinstance(event, Delivered | Published):
                self.log.append(f"{person.name}: {type(event).__name__}")
        return busy

    def _dial(self, person: Person, epoch: int) -> None:
        self._last_session += 1
        session = self.hub.open(f"session-{self._last_session}", now=self.now)
        connection = person.session.dialed(epoch, now=self.now)
        assert connection is not None
        if self.transport == "tcp":
            self.wires.append(Wire(person, epoch, session, session, connection))
            return
        target = parse_url(URL["websocket"])
        self.wires.append(
            Wire(
                person,
                epoch,
                session,
                ServerEndpoint(session, self.config, now=self.now),
                ClientEndpoint(connection, target, now=self.now),
            )
        )

    def _move(self, wire: Wire) -> bool:
        busy = False
        for data in wire.client.data_to_send():
            for piece in self._pieces(data):
                busy = True
                if self.cut_after is not None and self.sent_bytes + len(piece) > self.cut_after:
                    kept = self.cut_after - self.sent_bytes
                    self.cut_after = None
                    wire.server.receive_data(piece[:kept], now=self.now)
                    self._process(wire)
                    self.cut(wire)
                    return True
                self.sent_bytes += len(piece)
                wire.server.receive_data(piece, now=self.now)
                self._process(wire)
        self._process(wire)
        for data in wire.server.data_to_send():
            for piece in self._pieces(data):
                busy = True
                wire.client.receive_data(piece, now=self.now)
        # What a binding does: a half-close reaches the client as the end, and so does a close.
        if not wire.is_cut and (wire.server.send_eof or wire.server.closed):
            wire.client.receive_eof(now=self.now)
            wire.server.receive_eof(now=self.now)
            self._process(wire)
            self.wires.remove(wire)
            wire.is_cut = True
            busy = True
        return busy

    def _process(self, wire: Wire) -> None:
        self.hub.process(wire.session.session_id, now=self.now)
        while (notice := self.hub.next_notice()) is not None:
            self.notices.append(notice)
            self.log.append(f"server: {type(notice.event).__name__} {notice.subject}")

    def _pieces(self, data: bytes) -> list[bytes]:
        if not self.chunk:
            return [data]
        return [data[at : at + self.chunk] for at in range(0, len(data), self.chunk)]
