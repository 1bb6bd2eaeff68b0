"""The contract of every machine, on the client's two and on both WebSocket endpoints.

Each machine is brought to each stage of its life, and there: a time-out is legal early, late, twice
and out of order, and misuse raises and leaves a machine that is equal in depth to what it was.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.client_player import EXPIRED, GOING_AWAY, NOW, Player, message
from tests.websocket import wire

from stompcore._auth import Identity, Token
from stompcore._client import ClientSession
from stompcore._config import ClientConfig, HeartBeat, ServerConfig
from stompcore._connection import ClientConnection
from stompcore._errors import ClientClosed, LocalProtocolError, OutboxFull, StaleEpoch
from stompcore._events import Delivered
from stompcore._frames import Command, Frame
from stompcore._headers import Headers
from stompcore._machine import Machine
from stompcore.websocket import ClientEndpoint, ServerEndpoint

BEATS = HeartBeat(send_interval=3.0, receive_interval=4.0)
CONNECTED = b"CONNECTED\nversion:1.2\nheart-beat:3000,3000\n\n\0"
CONNECT = b"CONNECT\naccept-version:1.2\nhost:h\nheart-beat:3000,3000\n\n\0"
SEND = Frame(Command.SEND, {"destination": "/a"})
ENOUGH = 100  # deadlines in a row before a machine counts as one that never comes to rest
FAR = 10_000.0


class UntilTen:
    """A verifier whose tokens are good for ten seconds."""

    def verify(self, token: Token | None, *, headers: Headers, now: float) -> Identity:
        return Identity(subject="u", expires_at=NOW + 10)


# --- the stages -------------------------------------------------------------------------------


def client_session(stage: str) -> ClientSession:
    play = Player(heart_beat=BEATS, outbox_timeout=60.0)
    client = play.client
    if stage != "idle":
        play.send("kept")
        play.start()
    if stage == "token source failed":
        play.fail_token()
    if stage in ("idle", "fetching", "token source failed"):
        return client
    play.give_token()
    if stage == "dialing":
        return client
    play.dial(awaits_close=True)
    if stage == "connecting":
        return client
    play.hear(CONNECTED)
    client.data_to_send()
    match stage:
        case "expired":
            play.hear(EXPIRED)
        case "fetching again":
            play.close_websocket(3000, "Token Expired")
        case "backing off":
            play.lose()
        case "disconnecting":
            client.close(now=NOW)
        case "stopped":
            client.abort(now=NOW)
    drain(client)
    return client


def client_connection(stage: str) -> ClientConnection:
    made = ClientConnection(ClientConfig(heart_beat=BEATS), {"host": "h"}, now=NOW)
    made.awaits_close = True
    made.data_to_send()
    if stage != "connecting":
        made.receive_data(CONNECTED, now=NOW)
        drain(made)
    match stage:
        case "disconnecting":
            made.disconnect(now=NOW)
        case "closing":
            made.receive_data(GOING_AWAY, now=NOW)
        case "closed":
            made.receive_eof(now=NOW)
    drain(made)
    return made


def client_endpoint(stage: str) -> ClientEndpoint:
    config = ClientConfig(heart_beat=BEATS)
    if stage == "handshake":
        return wire.new_client(config)
    made = wire.open_client(config)
    if stage != "connecting":
        made.receive_data(wire.frame(wire.TEXT, CONNECTED, masked=False), now=NOW)
        drain(made)
    match stage:
        case "error":
            made.receive_data(wire.frame(wire.TEXT, EXPIRED, masked=False), now=NOW)
        case "hung up":
            made.hang_up(now=NOW)
        case "closed":
            made.receive_eof(now=NOW)
    drain(made)
    return made


def server_endpoint(stage: str) -> ServerEndpoint:
    config = ServerConfig(heart_beat=BEATS)
    made = wire.new_server(config, verifier=UntilTen())
    if stage == "handshake":
        return made
    made.receive_data(wire.request("/no" if stage == "refused" else "/ws"), now=NOW)
    drain(made)
    if stage in ("refused", "login"):
        return made
    made.receive_data(wire.frame(wire.TEXT, CONNECT, masked=True), now=NOW)
    drain(made)
    match stage:
        case "farewell unwritten":
            made.receive_data(wire.frame(wire.TEXT, b"NO\n\n\0", masked=True), now=NOW)
            while made.next_event() is not None:
                pass
            return made
        case "draining":
            made.receive_data(wire.frame(wire.TEXT, b"NO\n\n\0", masked=True), now=NOW)
        case "closed":
            made.receive_eof(now=NOW)
    drain(made)
    return made


MACHINES: dict[str, tuple[Callable[[str], Machine], str]] = {
    "session": (
        client_session,
        "idle, fetching, token source failed, dialing, connecting, connected, expired, "
        "fetching again, backing off, disconnecting, stopped",
    ),
    "connection": (client_connection, "connecting, open, disconnecting, closing, closed"),
    "client endpoint": (
        client_endpoint,
        "handshake, connecting, connected, error, hung up, closed",
    ),
    "server endpoint": (
        server_endpoint,
        "handshake, refused, login, connected, farewell unwritten, draining, closed",
    ),
}
STAGES = [
    pytest.param(lambda make=make, stage=stage: make(stage), id=f"{name}-{stage}")
    for name, (make, stages) in MACHINES.items()
    for stage in stages.split(", ")
]
stages = pytest.mark.parametrize("make", STAGES)


# --- what a machine is, in depth --------------------------------------------------------------


def drain(machine: Machine) -> int:
    """Do what the contract asks after every call; how much there was to do."""
    done = 0
    while machine.next_event() is not None:
        done += 1
    if isinstance(machine, ClientSession):
        while machine.next_action() is not None:
            done += 1
    return done + len(machine.data_to_send())


def depth(value: Any, seen: frozenset[int] = frozenset()) -> Any:
    """All that can be reached from `value`, to be compared; without the clock, which may move."""
    if value is None or isinstance(value, (str, bytes, int, float, enum.Enum)):
        return value
    if isinstance(value, bytearray):
        return bytes(value)
    if id(value) in seen:
        return "seen"
    seen |= {id(value)}
    if isinstance(value, dict):
        return [(depth(each, seen), depth(of, seen)) for each, of in value.items()]
    if isinstance(value, (list, tuple, deque, set, frozenset)):
        return [type(value).__name__, *(depth(each, seen) for each in value)]
    fields = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        slots = getattr(kind, "__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                fields[name] = getattr(value, name)
    fields.pop("_now", None)
    return [type(value).__name__, *((name, depth(of, seen)) for name, of in fields.items())]


def test_depth_sees_a_change() -> None:
    one, other = client_session("connected"), client_session("connected")
    assert depth(one) == depth(other)
    other.send("/a", b"", now=NOW)
    assert depth(one) != depth(other)


# --- time-outs --------------------------------------------------------------------------------


def fire(machine: Machine, now: float) -> int:
    machine.handle_timeout(now=now)
    done = drain(machine)
    after = machine.next_deadline()
    assert after is None or after > now
    assert (after is None) is (machine.deadline_reason() is None)
    return done


@stages
def test_a_time_out_that_comes_early_changes_nothing(make: Callable[[], Machine]) -> None:
    machine = make()
    before, deadline = depth(machine), machine.next_deadline()
    is_unwritten = machine.bytes_queued > 0
    end = NOW + 1 if deadline is None else deadline
    for now in (NOW, NOW - 500, (NOW + end) / 2, NOW):
        machine.handle_timeout(now=now)
        if is_unwritten:
            assert depth(machine) == before
        else:
            assert drain(machine) == 0
            assert depth(machine) == before
        assert machine.next_deadline() == deadline


@stages
def test_a_time_out_that_comes_twice_counts_once(make: Callable[[], Machine]) -> None:
    machine = make()
    now = machine.next_deadline()
    if now is None:
        now = NOW + 1
    fire(machine, now)
    before, deadline = depth(machine), machine.next_deadline()
    assert fire(machine, now) == 0
    assert depth(machine) == before
    assert machine.next_deadline() == deadline


@stages
def test_a_time_out_that_comes_far_too_late_fires_all_that_is_due(
    make: Callable[[], Machine],
) -> None:
    machine = make()
    fire(machine, NOW + FAR)
    assert fire(machine, NOW + FAR) == 0


@stages
def test_it_comes_to_rest_or_beats_on(make: Callable[[], Machine]) -> None:
    """Punctually, deadline by deadline: each is later than the one before; none comes for ever."""
    machine = make()
    now, hung_up = NOW, False
    for _ in range(ENOUGH):
        deadline = machine.next_deadline()
        if deadline is None:
            if isinstance(machine, ClientEndpoint) and machine.connection.closed and not hung_up:
                hung_up = True
                machine.hang_up(now=now)  # as the session's `HangUp` tells the driver
                drain(machine)
                continue
            # Whoever has begun to end, and waits for nobody any more, has ended.
            assert machine.closed or not machine.closing
            return
        assert deadline > now
        now = deadline
        fire(machine, now)
    # Only a client that has nobody to talk to tries on, and only at the pace of its backoff.
    assert isinstance(machine, ClientSession)
    assert not machine.closed
    assert now - NOW > ENOUGH * 0.5 / 3


@stages
def test_no_bytes_and_a_second_end_change_nothing_at_the_end(
    make: Callable[[], Machine],
) -> None:
    machine = make()
    if isinstance(machine, ClientSession):
        machine.abort(now=NOW)
    else:
        machine.receive_eof(now=NOW)
    drain(machine)
    before = depth(machine)
    machine.receive_data(b"", now=NOW)
    machine.receive_data(b"anything at all", now=NOW)
    machine.receive_eof(now=NOW)
    machine.handle_timeout(now=NOW + FAR)
    assert drain(machine) == 0
    assert machine.closed
    assert depth(machine) == before


# --- misuse -----------------------------------------------------------------------------------


def acknowledged(client: ClientSession, epoch: int, *, asks: bool = True) -> None:
    headers = {"subscription": "1", "message-id": "m", "destination": "/a"}
    frame = Frame(Command.MESSAGE, headers | ({"ack": "k"} if asks else {}))
    client.ack(Delivered(subscription="1", epoch=epoch, frame=frame), now=NOW)


SESSION_MISUSE: dict[str, tuple[str, Callable[[ClientSession], object], type[Exception]]] = {
    "start twice": ("fetching", lambda it: it.start(now=NOW), LocalProtocolError),
    "start when stopped": ("stopped", lambda it: it.start(now=NOW), LocalProtocolError),
    "a header of its own": (
        "connected",
        lambda it: it.send("/a", b"", {"receipt": "1"}, now=NOW),
        LocalProtocolError,
    ),
    "a message past the limit": (
        "connected",
        lambda it: it.send("/a", b"x" * 2_000_000, now=NOW),
        LocalProtocolError,
    ),
    "a subscription's own header": (
        "connected",
        lambda it: it.subscribe("/a", headers={"id": "1"}, now=NOW),
        LocalProtocolError,
    ),
    "send when stopped": ("stopped", lambda it: it.send("/a", b"", now=NOW), ClientClosed),
    "send behind close": ("disconnecting", lambda it: it.send("/a", b"", now=NOW), ClientClosed),
    "subscribe when stopped": ("stopped", lambda it: it.subscribe("/a", now=NOW), ClientClosed),
    "ack of an older epoch": ("connected", lambda it: acknowledged(it, 0), StaleEpoch),
    "ack without a connection": ("backing off", lambda it: acknowledged(it, 1), StaleEpoch),
    "ack of what asks for none": (
        "connected",
        lambda it: acknowledged(it, 1, asks=False),
        LocalProtocolError,
    ),
}


@pytest.mark.parametrize("name", SESSION_MISUSE)
def test_misuse_of_a_session_raises_and_changes_nothing(name: str) -> None:
    stage, misuse, error = SESSION_MISUSE[name]
    client = client_session(stage)
    before = depth(client)
    with pytest.raises(error):
        misuse(client)
    assert depth(client) == before
    assert drain(client) == 0


def test_a_full_outbox_raises_and_changes_nothing() -> None:
    play = Player(outbox_count=1)
    play.connect()
    play.send("fits")
    play.written()
    before = depth(play.client)
    with pytest.raises(OutboxFull):
        play.client.send("/a", b"does not", now=NOW)
    assert depth(play.client) == before


CONNECTION_MISUSE: dict[str, tuple[str, Callable[[ClientConnection], object]]] = {
    "a frame before CONNECTED": ("connecting", lambda it: it.send_frame(SEND, now=NOW)),
    "DISCONNECT before CONNECTED": ("connecting", lambda it: it.disconnect(now=NOW)),
    "a frame behind DISCONNECT": ("disconnecting", lambda it: it.send_frame(SEND, now=NOW)),
    "DISCONNECT twice": ("disconnecting", lambda it: it.disconnect(now=NOW)),
    "a frame behind ERROR": ("closing", lambda it: it.send_frame(SEND, now=NOW)),
    "a frame at the end": ("closed", lambda it: it.send_frame(SEND, now=NOW)),
    "DISCONNECT at the end": ("closed", lambda it: it.disconnect(now=NOW)),
}


@pytest.mark.parametrize("behind_endpoint", [False, True], ids=["plain", "websocket"])
@pytest.mark.parametrize("name", CONNECTION_MISUSE)
def test_misuse_of_a_connection_raises_and_changes_nothing(
    name: str, behind_endpoint: bool
) -> None:
    stage, misuse = CONNECTION_MISUSE[name]
    machine: Machine
    if behind_endpoint:
        by_stage = {"closing": "error", "disconnecting": "connected"}
        machine = client_endpoint(by_stage.get(stage, stage))
        connection = machine.connection
        if stage == "disconnecting":
            connection.disconnect(now=NOW)
            drain(machine)
    else:
        machine = connection = client_connection(stage)
    before = depth(machine)
    with pytest.raises(LocalProtocolError):
        misuse(connection)
    assert depth(machine) == before
    assert drain(machine) == 0


def test_a_frame_that_the_version_cannot_carry_raises_and_changes_nothing() -> None:
    made = client_connection("connecting")
    made.receive_data(b"CONNECTED\nversion:1.0\n\n\0", now=NOW)
    drain(made)
    before = depth(made)
    with pytest.raises(LocalProtocolError):
        made.send_frame(Frame(Command.SEND, {"destination": "/a", "x": "a\nb"}), now=NOW)
    assert depth(made) == before
    assert made.data_to_send() == []


def test_an_ack_of_what_asks_for_none_costs_no_connection() -> None:
    # An ACK with an empty id is answered with ERROR, and everything would be connected anew.
    play = Player()
    play.connect()
    id = play.client.subscribe("/a", now=NOW)
    play.written()
    play.hear(message(id))
    for refuse in (play.client.ack, play.client.nack):
        with pytest.raises(LocalProtocolError, match="asks for no acknowledgement"):
            refuse(play.last(Delivered), now=NOW)
    assert play.written() == []
    assert play.client.connection is not None
