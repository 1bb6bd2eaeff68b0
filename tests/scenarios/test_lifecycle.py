"""The document's sequence on pure machines: no socket, no clock, and byte by byte too."""

from __future__ import annotations

import pytest
from tests.scenarios.world import Person, World

from stompcore import (
    ConnectionEnded,
    ConnectionState,
    Ended,
    ErrorCode,
    Outcome,
    Resubscribed,
    TokenReason,
)

TRANSPORTS = pytest.mark.parametrize("transport", ["tcp", "websocket"])
CHUNKS = pytest.mark.parametrize("chunk", [0, 1, 7], ids=["whole", "byte-by-byte", "by-seven"])
ROOM = "/topic/room.1"


def _ended(person: Person) -> ConnectionEnded:
    return next(each for each in person.events if isinstance(each, ConnectionEnded))


def _meet(world: World) -> tuple[Person, Person]:
    alice, bob = world.join("alice"), world.join("bob")
    for person in (alice, bob):
        for destination in (ROOM, "/topic/second", "/topic/third"):
            person.session.subscribe(destination, now=world.now)
    world.settle()
    return alice, bob


@TRANSPORTS
@CHUNKS
def test_the_nine_steps(transport: str, chunk: int) -> None:
    world = World(transport, chunk=chunk, ttl=3.0)
    began_at = world.now
    # 1, 2: login, CONNECT, the token is verified and its expiry is kept
    alice, bob = _meet(world)
    wire = world.wire_of(alice)
    assert alice.session.state is ConnectionState.CONNECTED
    assert wire.session.valid_until == began_at + 3.0
    # 3: a message passes the check and is confirmed
    alice.session.send(ROOM, b"hello", now=world.now)
    world.settle()
    assert alice.confirmed == [1]
    assert bob.received == ["hello"]
    # 4: time passes; the next frame is too late
    world.jump(3.0)
    late = alice.session.send(ROOM, b"late", now=world.now)
    world.settle()
    # 5: Token Expired, closed by force
    assert wire.session.error is ErrorCode.TOKEN_EXPIRED
    close = wire.session.close
    assert close is not None
    assert (close.code, close.reason) == (3000, "Token Expired")
    # 6: the client has read the reason, from ERROR and, over WebSocket, from the close
    ending = _ended(alice).ending
    assert ending.error is not None
    assert (ending.error.message, ending.error.error_code) == ("Token Expired", "token-expired")
    assert ending.close == (close if transport == "websocket" else None)
    assert _ended(alice).outcome is Outcome.REFRESH
    # 7: one refresh, whoever asked for it
    assert [each.reason for each in alice.fetches] == [TokenReason.INITIAL, TokenReason.EXPIRED]
    # 8: connected again, without a moment's delay
    assert alice.session.state is ConnectionState.CONNECTED
    assert alice.session.epoch == 2
    assert world.now == began_at + 3.0
    # 9: subscribed again, in the same order
    again = [each for each in alice.events if isinstance(each, Resubscribed)][-1]
    assert again.subscriptions == ("1", "2", "3")
    # and the message that hit the expiry has arrived after all, once
    assert late in alice.confirmed
    assert alice.failed == []
    assert alice.received == ["hello", "late"]
    assert [each for each in alice.kinds() if each != "SubscriptionActive"] == [
        *("TokenRequested", "TokenReceived", "Dialing", "Resubscribed"),
        "ConnectionEnded",
        *("TokenRequested", "TokenReceived", "Dialing", "Resubscribed"),
    ]
    # The ERROR names the frame that was too late, if it was there as a whole.
    assert ending.error.receipt_id == (None if chunk else "message-2")


@TRANSPORTS
@CHUNKS
def test_the_message_that_hit_the_expiry_is_sent_again_first(transport: str, chunk: int) -> None:
    world = World(transport, chunk=chunk)
    alice, _ = _meet(world)
    world.jump(3.0)
    for text in (b"first", b"second", b"third"):
        alice.session.send(ROOM, text, now=world.now)
    world.settle()
    assert alice.received == ["first", "second", "third"]
    assert alice.confirmed == [1, 2, 3]


@TRANSPORTS
@CHUNKS
def test_a_frame_that_is_half_there_when_the_token_expires_is_never_accepted(
    transport: str, chunk: int
) -> None:
    world = World(transport, chunk=chunk)
    alice, bob = _meet(world)
    wire = world.wire_of(alice)
    alice.session.send(ROOM, b"half", now=world.now)
    (data,) = wire.client.data_to_send()
    wire.server.receive_data(data[:-5], now=world.now)
    world.jump(3.0)
    wire.server.receive_data(data[-5:], now=world.now)
    world.settle()
    assert wire.session.error is ErrorCode.TOKEN_EXPIRED
    assert alice.received == ["half"]  # by the second connection
    assert alice.session.epoch == 2
    del bob


@TRANSPORTS
@CHUNKS
def test_a_subscriber_that_only_listens_is_cut_off(transport: str, chunk: int) -> None:
    """The commonest security bug in this field: no frame comes in, so none is checked."""
    world = World(transport, chunk=chunk, ttl=10.0)
    talker = world.join("talker")
    world.ttl = 3.0
    listener = world.join("listener")
    listener.session.subscribe(ROOM, now=world.now)
    world.settle()
    listener_wire = world.wire_of(listener)
    expires_at = listener_wire.session.valid_until
    # The auth server is gone: the listener cannot come back.
    listener.session.abort(now=world.now)
    listener.events.clear()

    talker.session.send(ROOM, b"in time", now=world.now)
    world._move(world.wire_of(talker))
    before = listener_wire.session.bytes_queued
    assert before > 0
    world.now = expires_at
    talker.session.send(ROOM, b"too late", now=world.now)
    world._move(world.wire_of(talker))
    # Not even the one that was queued in time may leave now.
    assert listener_wire.session.error is ErrorCode.TOKEN_EXPIRED
    left = b"".join(listener_wire.server.data_to_send())
    assert b"Token Expired" in left
    assert b"in time" not in left
    assert b"too late" not in left


@TRANSPORTS
def test_an_idle_session_expires_by_its_timer(transport: str) -> None:
    world = World(transport)
    alice, _ = _meet(world)
    expires_at = world.wire_of(alice).session.valid_until
    world.run(2.999)
    assert alice.session.epoch == 1
    world.run(0.001)
    assert world.now == expires_at
    assert alice.session.epoch == 2
    assert [each.event.error_code for each in world.notices if isinstance(each.event, Ended)] == [
        ErrorCode.TOKEN_EXPIRED,
        ErrorCode.TOKEN_EXPIRED,
    ]


@TRANSPORTS
def test_many_lives(transport: str) -> None:
    """A hundred tokens, one user, every message once and in order."""
    world = World(transport, ttl=3.0)
    alice, bob = _meet(world)
    texts = []
    for number in range(300):
        texts.append(f"message {number}")
        alice.session.send(ROOM, texts[-1].encode(), now=world.now)
        world.run(1.0)
    assert alice.received == texts
    assert alice.session.epoch == len(alice.fetches) == 101
    assert alice.failed == []
    assert len(world.hub) == len(world.wires) == 2
    assert bob.session.epoch > 90


@TRANSPORTS
def test_cut_at_every_byte(transport: str) -> None:
    """Wherever the wire breaks, everything is there in the end: at least once, and in order."""
    whole = _conversation(World(transport))
    assert whole.sent_bytes > 300
    for at in range(0, whole.sent_bytes, 3 if transport == "websocket" else 1):
        world = _conversation(World(transport, cut_after=at))
        (alice,) = world.people
        first_copies = list(dict.fromkeys(alice.received))
        assert alice.confirmed == [1, 2, 3], at
        # A topic has no memory: what was confirmed while nobody listened is not received.
        assert [each for each in ["a", "b", "c"] if each in first_copies] == first_copies, at
        assert first_copies[-1] == "c", at
        assert alice.session.state is ConnectionState.CONNECTED, at


def _conversation(world: World) -> World:
    alice = world.join("alice")
    alice.session.subscribe(ROOM, now=world.now)
    for text in (b"a", b"b"):
        alice.session.send(ROOM, text, now=world.now)
    world.settle()
    world.run(2.0)
    alice.session.send(ROOM, b"c", now=world.now)
    world.run(0.9)
    for _ in range(20):
        if len(alice.confirmed) == 3:
            break
        world.run(1.0)
    return world


@TRANSPORTS
@CHUNKS
def test_goodbye(transport: str, chunk: int) -> None:
    world = World(transport, chunk=chunk)
    alice, bob = _meet(world)
    key = alice.session.send(ROOM, b"the last word", now=world.now)
    alice.session.close(now=world.now)
    world.settle()
    assert alice.confirmed == [key]
    assert bob.received == ["the last word"]
    assert _ended(alice).ending.clean
    assert alice.kinds()[-1] == "Stopped"
    assert [each.event.clean for each in world.notices if isinstance(each.event, Ended)] == [True]
    assert len(world.hub) == 1
