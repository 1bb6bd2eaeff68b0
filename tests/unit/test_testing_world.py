"""A server, clients and wires in virtual time: what the kit itself promises."""

from __future__ import annotations

import pytest

from stompcore import (
    AckMode,
    Call,
    ClientConfig,
    Command,
    ConnectionEnded,
    ConnectionState,
    Ended,
    ErrorCode,
    Handlers,
    Hub,
    Limits,
    LocalProtocolError,
    Resubscribed,
    ServerConfig,
    ServerSession,
    TransactionCommitted,
)
from stompcore.driver import MAX_SLEEP
from stompcore.testing import (
    AuthMode,
    ClientWatcher,
    Network,
    VirtualClient,
    VirtualClock,
    World,
)

TRANSPORTS = pytest.mark.parametrize("transport", ["tcp", "websocket"])
ROOM = "/topic/room"


def _connected(world: World, *names: str) -> list[VirtualClient]:
    clients = [world.join(name) for name in names]
    world.run(5.0)
    assert all(each.session.state is ConnectionState.CONNECTED for each in clients)
    return clients


def test_a_transport_is_one_of_two() -> None:
    with pytest.raises(LocalProtocolError):
        World(transport="carrier pigeon")


@TRANSPORTS
@pytest.mark.parametrize("chunk", [0, 3])
def test_a_message_takes_the_time_of_the_wires(transport: str, chunk: int) -> None:
    world = World(transport=transport, network=Network(latency=0.25, chunk=chunk))
    ann, bob = _connected(world, "ann", "bob")
    bob.subscribe(ROOM)
    world.run(1.0)
    key = ann.send(ROOM, "hello")
    world.run(0.4)
    assert (ann.confirmed, bob.received) == ([], [])
    world.run(0.1)
    assert (ann.confirmed, bob.received) == ([key], ["hello"])


def test_nothing_happens_while_nobody_lets_it() -> None:
    world = World()
    (ann,) = _connected(world, "ann")
    ann.send(ROOM, "x")
    assert ann.confirmed == []
    world.settle()
    assert ann.confirmed == [1]


def test_the_same_seed_gives_the_same_world_and_another_seed_another() -> None:
    def trace(seed: int) -> str:
        world = World(seed=seed, network=Network(latency=0.1, jitter=0.2, chunk=9), ttl=5.0)
        ann, bob = _connected(world, "ann", "bob")
        bob.subscribe(ROOM)
        for number in range(5):
            ann.send(ROOM, str(number))
            world.run(1.0)
        world.cut()
        world.run(20.0)
        return str(world.trace)

    assert trace(1) == trace(1)
    assert trace(1) != trace(2)


def test_names_are_unique() -> None:
    world = World()
    world.join("ann")
    with pytest.raises(LocalProtocolError):
        world.join("ann")


def test_a_client_may_wait_before_it_starts() -> None:
    world = World()
    ann = world.join("ann", is_started=False)
    world.run(10.0)
    assert ann.actions == []
    ann.start()
    world.settle()
    assert ann.session.state is ConnectionState.CONNECTED


def test_the_session_of_a_client_is_the_server_s_end_of_its_newest_connection() -> None:
    world = World()
    ann, bob = _connected(world, "ann", "bob")
    first = world.session_of(ann)
    assert first.identity is not None
    assert first.identity.subject == "ann"
    assert world.session_of(bob) is not first
    world.cut(ann)
    with pytest.raises(LocalProtocolError):
        world.session_of(world.join("nobody", is_started=False))
    world.run(5.0)
    assert world.session_of(ann) is not first


def test_a_cut_hits_one_client_or_all() -> None:
    world = World()
    ann, bob = _connected(world, "ann", "bob")
    world.cut(ann)
    world.run(10.0)
    assert (ann.session.epoch, bob.session.epoch) == (2, 1)
    world.cut()
    world.run(10.0)
    assert (ann.session.epoch, bob.session.epoch) == (3, 2)


def test_both_ends_hear_of_a_cut() -> None:
    world = World()
    (ann,) = _connected(world, "ann")
    world.cut()
    world.settle()
    assert any(isinstance(each, ConnectionEnded) for each in ann.events)
    ends = [each.event for each in world.server.notices if isinstance(each.event, Ended)]
    assert [each.detail for each in ends] == ["the peer left"]
    assert len(world.hub) == 0


def test_a_crash_forgets_everything_and_clients_come_back() -> None:
    world = World()
    ann, bob = _connected(world, "ann", "bob")
    bob.subscribe(ROOM)
    ann.send("/queue/a", "lost with the server")
    world.settle()
    hub = world.hub
    world.crash()
    assert not world.is_up
    with pytest.raises(LocalProtocolError):
        _ = world.server
    world.run(5.0)
    world.start_server()
    with pytest.raises(LocalProtocolError):
        world.start_server()
    assert world.hub is not hub
    world.run(30.0)
    ann.subscribe("/queue/a")
    ann.send(ROOM, "hello")
    world.run(1.0)
    assert (ann.received, bob.received) == ([], ["hello"])


@pytest.mark.parametrize("forgets", [False, True])
def test_a_server_may_remember_what_it_had_done_when_it_died(forgets: bool) -> None:
    world = World()
    (ann,) = _connected(world, "ann")
    assert ann.link is not None
    ann.link.down.is_silent = True  # its RECEIPT never comes
    ann.send("/queue/a", "once?")
    world.settle()
    world.crash(forgets=forgets)
    world.start_server()
    world.run(30.0)
    assert ann.confirmed == [1]
    assert world.hub.snapshot().queued_messages == int(forgets)


def test_who_dials_a_server_that_is_down_is_refused() -> None:
    world = World(network=Network(latency=0.1))
    world.crash()
    ann = world.join("ann")
    world.run(0.3)
    ended = next(e for e in ann.events if isinstance(e, ConnectionEnded))
    assert ended.ending.fault == "connection refused"


def test_a_network_may_refuse_or_swallow_who_dials() -> None:
    world = World()
    world.network.refuses = True
    ann = world.join("ann")
    world.settle()
    assert any(isinstance(e, ConnectionEnded) for e in ann.events)
    world.network.refuses = False
    world.network.is_dark = True
    bob = world.join("bob", ClientConfig(dial_timeout=7.0))
    world.run(6.9)
    assert not any(isinstance(e, ConnectionEnded) for e in bob.events)
    world.run(0.2)
    ended = next(e for e in bob.events if isinstance(e, ConnectionEnded))
    assert "dialling took too long" in ended.ending.fault
    world.network.is_dark = False
    world.run(60.0)
    assert bob.session.state is ConnectionState.CONNECTED


def test_a_dial_that_is_answered_too_late_leaves_nothing_behind() -> None:
    world = World(network=Network(latency=4.0))
    ann = world.join("ann", ClientConfig(dial_timeout=5.0))
    world.settle()
    world.network.latency = 0.1
    world.run(30.0)
    assert ann.session.state is ConnectionState.CONNECTED
    assert list(ann.ends) == [ann.session.epoch]
    assert len(world.hub) == len(world.server.ends) == 1


def test_a_client_that_has_gone_silent_is_noticed_by_the_heart_beats() -> None:
    world = World()
    (ann,) = _connected(world, "ann")
    assert ann.link is not None
    ann.link.up.is_silent = ann.link.down.is_silent = True
    world.run(60.0)
    ends = [each.event for each in world.server.notices if isinstance(each.event, Ended)]
    assert [each.error_code for each in ends] == [ErrorCode.HEARTBEAT_TIMEOUT]
    assert ann.session.epoch == 2
    assert len(world.server.ends) == 1


@TRANSPORTS
def test_a_session_that_is_not_read_from_is_ended(transport: str) -> None:
    world = World(transport=transport)
    ann, bob = _connected(world, "ann", "bob")
    bob.subscribe(ROOM)
    world.settle()
    slow = world.session_of(bob)
    assert bob.link is not None
    bob.link.window = 0
    ann.send(ROOM, "x")
    world.run(11.0)
    assert slow.error is ErrorCode.SLOW_CONSUMER


def test_a_narrow_window_lets_everything_through_bit_by_bit() -> None:
    network = Network(latency=0.1)
    network.window = 100
    world = World(network=network)
    ann, bob = _connected(world, "ann", "bob")
    bob.subscribe(ROOM)
    world.run(1.0)
    for number in range(20):
        ann.send(ROOM, f"{number} {'.' * 200}")
    world.run(10.0)
    assert [each.split()[0] for each in bob.received] == [str(n) for n in range(20)]
    assert len(ann.confirmed) == 20


def test_a_step_of_the_server_s_clock_ends_its_sessions_within_a_bounded_time() -> None:
    world = World(ttl=600.0)
    _connected(world, "ann")
    world.clock.step(3600.0)
    world.run(MAX_SLEEP)
    ends = [each.event for each in world.server.notices if isinstance(each.event, Ended)]
    assert ends[0].error_code is ErrorCode.TOKEN_EXPIRED
    assert world.auth.clock.wall() < world.clock.wall() - 3500


def test_every_computer_has_a_wall_clock_of_its_own() -> None:
    world = World()
    ann, bob = _connected(world, "ann", "bob")
    ann.wall_clock.step(500.0)
    assert ann.now == bob.now + 500.0
    assert world.now == bob.now


def test_a_graceful_end_says_going_away_to_everybody() -> None:
    world = World()
    ann, bob = _connected(world, "ann", "bob")
    world.run(world.hub.drain(now=world.now, random=world.dice.random))
    world.server.settle(each.session_id for each in world.hub)
    world.run(0.1)
    for client in (ann, bob):
        ended = next(e for e in client.events if isinstance(e, ConnectionEnded))
        assert ended.ending.error is not None
        assert ended.ending.error.message == "Going Away"


def test_what_a_jump_skips_is_due_at_once_and_bytes_come_first() -> None:
    world = World(ttl=3.0)
    ann = world.join("ann", ClientConfig(refresh=None))
    world.settle()
    world.jump(10.0)
    ann.send(ROOM, "late")
    world.settle()
    ended = next(e for e in ann.events if isinstance(e, ConnectionEnded))
    assert ended.ending.error is not None
    assert ended.ending.error.receipt_id == "message-1"


def test_a_run_until_something_ends_there_or_says_that_it_did_not() -> None:
    world = World(network=Network(latency=0.5))
    ann = world.join("ann")
    world.run_until(lambda: ann.session.state is ConnectionState.CONNECTED, within=10.0)
    assert world.clock.monotonic() == pytest.approx(2.0)
    world.run_until(lambda: True, within=10.0)
    assert world.clock.monotonic() == pytest.approx(2.0)
    with pytest.raises(TimeoutError):
        world.run_until(lambda: False, within=1.0)


def test_every_verb_of_a_client_acts_at_once() -> None:
    world = World()
    ann, bob = _connected(world, "ann", "bob")
    id = bob.subscribe("/queue/a", ack=AckMode.CLIENT_INDIVIDUAL)
    ann.send("/queue/a", b"one")
    ann.send("/queue/a", "two", {"x": "y"}, confirm=False)
    world.settle()
    first, second = bob.deliveries
    assert second.frame.headers["x"] == "y"
    bob.ack(first)
    bob.nack(second)
    world.settle()
    assert bob.received == ["one", "two", "two"]
    transaction = bob.begin()
    bob.ack(bob.deliveries[-1], transaction=transaction)
    bob.send_in(transaction, "/queue/b", "in it")
    bob.commit(transaction)
    world.settle()
    assert any(isinstance(each, TransactionCommitted) for each in bob.events)
    bob.abort_transaction(bob.begin())
    bob.unsubscribe(id)
    world.settle()
    assert world.hub.snapshot().queued_messages == 1
    bob.close()
    world.settle()
    assert bob.session.closed
    ann.abort()
    world.settle()
    assert ann.session.closed
    assert len(world.hub) == len(world.server.ends) == 0


def test_a_watcher_is_told() -> None:
    class Reader(ClientWatcher):
        def __init__(self) -> None:
            self.bodies: list[bytes] = []

        def sent(self, key: int, destination: str, body: bytes, now: float) -> None:
            self.bodies.append(body)

    world = World()
    (ann,) = _connected(world, "ann")
    reader = Reader()
    ann.watch(reader)
    ann.send(ROOM, "x")
    assert reader.bodies == [b"x"]


def test_a_token_source_that_fails_is_asked_again() -> None:
    world = World()
    world.auth.mode = AuthMode.DOWN
    ann = world.join("ann")
    world.run(3.0)
    assert world.auth.calls > 1
    world.auth.mode = AuthMode.UP
    world.run(10.0)
    assert ann.session.state is ConnectionState.CONNECTED


def test_a_token_source_that_hangs_is_given_up_and_called_off() -> None:
    world = World()
    world.auth.mode = AuthMode.HANGING
    ann = world.join("ann", ClientConfig(token_timeout=2.0))
    world.run(1.0)
    world.auth.mode = AuthMode.UP
    world.run(10.0)
    assert ann.session.state is ConnectionState.CONNECTED
    ann.close()
    world.settle()
    assert ann.session.closed


def test_a_server_may_do_without_a_hub() -> None:
    seen: list[str] = []

    def serve(session: ServerSession, event: object, now: float) -> None:
        seen.append(type(event).__name__)
        if type(event).__name__ in ("Sent", "Subscribed"):
            session.done(event, now=now)  # type: ignore[arg-type]

    world = World(serve=serve)
    (ann,) = _connected(world, "ann")
    ann.subscribe(ROOM)
    ann.send(ROOM, "x")
    world.settle()
    assert seen == ["Connected", "Subscribed", "Sent"]
    assert ann.confirmed == [1]
    with pytest.raises(LocalProtocolError):
        _ = world.hub
    ann.close()
    world.settle()
    assert seen[-1] == "Ended"
    assert world.server.ends == {}


def test_a_hub_of_one_s_own_is_made_at_the_start_and_after_a_crash() -> None:
    class Mine(Hub):
        pass

    world = World(hub=Mine, config=ServerConfig(leeway=1.0))
    assert isinstance(world.hub, Mine)
    first = world.hub
    assert first.config.leeway == 1.0
    world.crash()
    world.start_server()
    assert isinstance(world.hub, Mine)
    assert world.hub is not first


@TRANSPORTS
def test_frames_are_kept_as_they_passed(transport: str) -> None:
    world = World(transport=transport, network=Network(chunk=5))
    ann = world.join("ann")
    world.settle()
    ann.send(ROOM, "x" * 70_000)
    world.settle()
    passed = [(each.client, each.epoch, each.is_up, each.frame.command) for each in world.frames]
    assert passed == [
        ("ann", 1, True, Command.CONNECT),
        ("ann", 1, False, Command.CONNECTED),
        ("ann", 1, True, Command.SEND),
        ("ann", 1, False, Command.RECEIPT),
    ]
    assert world.frames[2].frame.body == b"x" * 70_000
    assert isinstance(ann.events[3], Resubscribed)


def test_a_world_may_keep_no_frames() -> None:
    world = World(keeps_frames=False)
    world.join("ann")
    world.settle()
    assert world.frames == []


@pytest.mark.parametrize("transport", ["tcp", "websocket"])
def test_a_verifier_may_take_its_time(transport: str) -> None:
    world = World(transport=transport, verifier_latency=2.0, ttl=40.0)
    ann = world.join("ann")
    world.run(1.9)
    assert not any(isinstance(each, Resubscribed) for each in ann.events)
    world.run(0.2)
    assert any(isinstance(each, Resubscribed) for each in ann.events)
    world.run(60.0)
    assert ann.session.epoch == 1
    assert world.hub.snapshot().refreshes["accepted"] == 1


def test_a_slow_verifier_may_refuse_or_die_before_it_has_judged() -> None:
    world = World(verifier_latency=2.0)
    world.auth.mode = AuthMode.EXPIRED
    ann = world.join("ann")
    world.run(30.0)
    assert ann.session.closed
    bob = world.join("bob")
    world.auth.mode = AuthMode.UP
    world.run(1.0)
    world.crash()
    world.start_server()
    world.run(30.0)
    assert bob.session.state is ConnectionState.CONNECTED


def test_a_server_that_cannot_keep_up_stops_reading_and_reads_on() -> None:
    clock = VirtualClock()
    handlers = Handlers()
    done: list[str] = []

    @handlers.on("/app/slow")
    async def slow(call: Call) -> None:
        await clock.sleep(1.0)
        done.append(call.text[:2])

    network = Network()
    network.window = 64 * 1024
    config = ServerConfig(limits=Limits(handler_backlog=1))
    world = World(network=network, handlers=handlers, clock=clock, config=config)
    (ann,) = _connected(world, "ann")
    for number in range(10, 30):
        ann.send("/app/slow", f"{number}{'.' * 20_000}")
    world.settle()
    assert not world.session_of(ann).wants_read
    assert ann.link is not None
    assert not ann.link.up.can_write
    world.run(25.0)
    assert done == [str(number) for number in range(10, 30)]
    assert len(ann.confirmed) == 20


def test_a_client_that_holds_a_subscription_stops_reading_and_reads_on() -> None:
    network = Network()
    network.window = 4096
    world = World(network=network)
    ann, bob = _connected(world, "ann", "bob")
    id = bob.subscribe(ROOM)
    world.settle()
    bob.hold(id)
    for number in range(10):
        ann.send(ROOM, f"{number}{'.' * 2_000}")
    world.run(5.0)
    assert bob.received == []
    assert world.session_of(bob).bytes_queued > 10_000
    bob.release(id)
    world.run(5.0)
    assert [each[0] for each in bob.received] == list("0123456789")


def test_nobody_is_at_an_end_that_was_not_dialled_through() -> None:
    world = World(network=Network(latency=1.0))
    ann = world.join("ann")
    world.run(1.5)
    assert ann.ends == {}
    (end,) = world.server.ends.values()
    assert end.machine is end.session
