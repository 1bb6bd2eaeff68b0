"""The document's sequence on pure machines: no socket, no clock, and byte by byte too."""

from __future__ import annotations

import jwt
import pytest

from stompcore import (
    ClientConfig,
    ConnectionEnded,
    ConnectionState,
    Delivered,
    Ended,
    ErrorCode,
    FetchToken,
    HeartBeat,
    Outcome,
    Published,
    Resubscribed,
    ServerConfig,
    StatusChanged,
    TokenReason,
)
from stompcore.pyjwt import JWTVerifier
from stompcore.testing import Auditor, Network, Pair, VirtualClient, World

TRANSPORTS = pytest.mark.parametrize("transport", ["tcp", "websocket"])
CHUNKS = pytest.mark.parametrize("chunk", [0, 1, 7], ids=["whole", "byte-by-byte", "by-seven"])
ROOM = "/topic/room.1"
KEY = "a secret of more than thirty-two bytes"
NO_BEATS = HeartBeat(send_interval=0, receive_interval=0)
CLIENT = ClientConfig(heart_beat=NO_BEATS, refresh=None)


def _world(transport: str, *, chunk: int = 0, ttl: float = 3.0) -> World:
    return World(
        transport=transport,
        network=Network(chunk=chunk),
        ttl=ttl,
        config=ServerConfig(heart_beat=NO_BEATS),
        sign=lambda claims: jwt.encode(claims, KEY, algorithm="HS256"),
        verifier=JWTVerifier(KEY, algorithms=["HS256"]),
        auditor=Auditor(),
    )


def _join(world: World, name: str) -> VirtualClient:
    client = world.join(name, CLIENT)
    world.settle()
    return client


def _ended(client: VirtualClient) -> ConnectionEnded:
    return next(each for each in client.events if isinstance(each, ConnectionEnded))


def _kinds(client: VirtualClient) -> list[str]:
    """The names of the lifecycle events, without messages and confirmations."""
    noise = (Delivered, Published, StatusChanged)
    return [type(each).__name__ for each in client.events if not isinstance(each, noise)]


def _meet(world: World) -> tuple[VirtualClient, VirtualClient]:
    alice, bob = _join(world, "alice"), _join(world, "bob")
    for client in (alice, bob):
        for destination in (ROOM, "/topic/second", "/topic/third"):
            client.subscribe(destination)
    world.settle()
    return alice, bob


@TRANSPORTS
@CHUNKS
def test_the_nine_steps(transport: str, chunk: int) -> None:
    world = _world(transport, chunk=chunk)
    began_at = world.now
    # 1, 2: login, CONNECT, the token is verified and its expiry is kept
    alice, bob = _meet(world)
    session = world.session_of(alice)
    assert alice.session.state is ConnectionState.CONNECTED
    assert session.valid_until == began_at + 3.0
    # 3: a message passes the check and is confirmed
    alice.send(ROOM, "hello")
    world.settle()
    assert alice.confirmed == [1]
    assert bob.received == ["hello"]
    # 4: time passes; the next frame is too late
    world.jump(3.0)
    late = alice.send(ROOM, "late")
    world.settle()
    # 5: Token Expired, closed by force
    assert session.error is ErrorCode.TOKEN_EXPIRED
    close = session.close
    assert close is not None
    assert (close.code, close.reason) == (3000, "Token Expired")
    # 6: the client has read the reason, from ERROR and, over WebSocket, from the close
    ending = _ended(alice).ending
    assert ending.error is not None
    assert (ending.error.message, ending.error.error_code) == ("Token Expired", "token-expired")
    assert ending.close == (close if transport == "websocket" else None)
    assert _ended(alice).outcome is Outcome.REFRESH
    # 7: one refresh, whoever asked for it
    fetches = [each.reason for each in alice.actions if isinstance(each, FetchToken)]
    assert fetches == [TokenReason.INITIAL, TokenReason.EXPIRED]
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
    assert [each for each in _kinds(alice) if each != "SubscriptionActive"] == [
        *("TokenRequested", "TokenReceived", "Dialing", "Resubscribed"),
        "ConnectionEnded",
        *("TokenRequested", "TokenReceived", "Dialing", "Resubscribed"),
    ]
    # The ERROR names the frame that was too late, if it was there as a whole.
    assert ending.error.receipt_id == (None if chunk else "message-2")


@TRANSPORTS
@CHUNKS
def test_the_message_that_hit_the_expiry_is_sent_again_first(transport: str, chunk: int) -> None:
    world = _world(transport, chunk=chunk)
    alice, _ = _meet(world)
    world.jump(3.0)
    for text in ("first", "second", "third"):
        alice.send(ROOM, text)
    world.settle()
    assert alice.received == ["first", "second", "third"]
    assert alice.confirmed == [1, 2, 3]


@TRANSPORTS
@CHUNKS
def test_a_frame_that_is_half_there_when_the_token_expires_is_never_accepted(
    transport: str, chunk: int
) -> None:
    world = _world(transport, chunk=chunk)
    alice, _ = _meet(world)
    session, link = world.session_of(alice), alice.link
    assert link is not None
    end = world.server.ends[session.session_id]
    link.window = 0  # nothing leaves by itself
    alice.send(ROOM, "half")
    (data,) = alice.ends[1].machine.data_to_send()
    link.window = 1 << 20
    link.up.write(data[:-5], now=world.clock.monotonic())
    end.expect()
    world.settle()
    world.jump(3.0)
    link.up.write(data[-5:], now=world.clock.monotonic())
    end.expect()
    world.settle()
    assert session.error is ErrorCode.TOKEN_EXPIRED
    assert alice.received == ["half"]  # by the second connection
    assert alice.session.epoch == 2


@TRANSPORTS
@CHUNKS
def test_a_subscriber_that_only_listens_is_cut_off(transport: str, chunk: int) -> None:
    """The commonest security bug in this field: no frame comes in, so none is checked."""
    world = _world(transport, chunk=chunk, ttl=10.0)
    talker = _join(world, "talker")
    world.auth.ttl = 3.0
    listener = _join(world, "listener")
    listener.subscribe(ROOM)
    world.settle()
    session, link = world.session_of(listener), listener.link
    assert link is not None
    passed = len(world.frames)

    link.window = 0  # it reads nothing
    talker.send(ROOM, "in time")
    world.settle()
    assert session.bytes_queued > 0
    world.jump(3.0)
    talker.send(ROOM, "too late")
    world.settle()
    # Not even the one that was queued in time may leave now.
    assert session.error is ErrorCode.TOKEN_EXPIRED
    link.window = 1 << 20
    world.server.settle([session.session_id])
    world.settle()
    left = [each.frame for each in world.frames[passed:] if each.client == "listener"]
    assert left[0].headers["message"] == "Token Expired"
    assert listener.session.epoch == 2
    assert listener.received == []


@TRANSPORTS
def test_an_idle_session_expires_by_its_timer(transport: str) -> None:
    world = _world(transport)
    alice, _ = _meet(world)
    expires_at = world.session_of(alice).valid_until
    world.run(2.999)
    assert alice.session.epoch == 1
    world.run(expires_at - world.now)
    assert world.now == expires_at
    assert alice.session.epoch == 2
    ends = [each.event for each in world.server.notices if isinstance(each.event, Ended)]
    assert [each.error_code for each in ends] == [ErrorCode.TOKEN_EXPIRED] * 2


@TRANSPORTS
def test_many_lives(transport: str) -> None:
    """A hundred tokens, one user, every message once and in order."""
    world = _world(transport)
    alice, bob = _meet(world)
    texts = []
    for number in range(300):
        texts.append(f"message {number}")
        alice.send(ROOM, texts[-1])
        world.run(1.0)
    assert alice.received == texts
    assert alice.session.epoch == 101
    assert alice.failed == []
    assert len(world.hub) == len(world.server.ends) == 2
    assert bob.session.epoch > 90


@TRANSPORTS
def test_cut_at_every_byte(transport: str) -> None:
    """Wherever the wire breaks, everything is done in the end, once and in order."""
    whole = _conversation(transport, None)
    first = next(iter(whole.client.ends.values())).link
    assert first.bytes > 500
    for at in range(0, first.bytes, 11 if transport == "websocket" else 3):
        pair = _conversation(transport, at)
        received = pair.client.received
        assert pair.client.confirmed == [1, 2, 3], at
        assert pair.auditor is not None
        assert pair.auditor.counts["SEND"] == 3, at
        # A topic has no memory: what was done while nobody could listen is not received.
        assert [each for each in ["a", "b", "c"] if each in received] == received, at
        assert pair.client.session.state is ConnectionState.CONNECTED, at


def _conversation(transport: str, cut_after_bytes: int | None) -> Pair:
    pair = Pair(
        transport=transport,
        client_config=CLIENT,
        config=ServerConfig(heart_beat=NO_BEATS),
        cut_after_bytes=cut_after_bytes,
        auditor=Auditor(),
    )
    pair.client.subscribe(ROOM)
    for text in ("a", "b"):
        pair.client.send(ROOM, text)
    pair.run(2.0)
    pair.client.send(ROOM, "c")
    pair.run_until(lambda: len(pair.client.confirmed) == 3, within=20.0)
    return pair


@TRANSPORTS
@CHUNKS
def test_goodbye(transport: str, chunk: int) -> None:
    world = _world(transport, chunk=chunk)
    alice, bob = _meet(world)
    key = alice.send(ROOM, "the last word")
    alice.close()
    world.settle()
    assert alice.confirmed == [key]
    assert bob.received == ["the last word"]
    assert _ended(alice).ending.clean
    assert _kinds(alice)[-1] == "Stopped"
    ends = [each.event for each in world.server.notices if isinstance(each.event, Ended)]
    assert [each.clean for each in ends] == [True]
    assert len(world.hub) == 1
