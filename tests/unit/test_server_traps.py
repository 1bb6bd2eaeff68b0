"""Traps of the server side that no other module holds: who gets past whom, and at what cost."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.server_peer import NO_BEATS, NOW, Tokens, connect, frame, send, subscribe

from stompcore import Access, Grant, Grants, Handlers, Hub, Identity, Limits, ServerConfig
from stompcore.broker import Broker
from stompcore.handlers import Call, Refused
from stompcore.policy import Policy


class World:
    """One hub and its peers, by their session ids; bytes in, bytes out."""

    def __init__(
        self, *, handlers: Handlers | None = None, policy: Policy | None = None, **limits: Any
    ) -> None:
        config = ServerConfig(heart_beat=NO_BEATS, limits=Limits(**limits), server="test")
        self.hub = Hub(
            config, verifier=Tokens(), handlers=handlers, policy=policy, reply_key=b"secret"
        )
        self.sessions: dict[str, Any] = {}

    def join(self, name: str, token: str | None = None, *, version: str = "1.2") -> None:
        """A peer logs in; its token is good for ever unless it says otherwise."""
        self.sessions[name] = self.hub.open(name, now=NOW)
        said = self.say(name, connect(token or name, version=version))
        assert said.startswith(b"CONNECTED\n"), said

    def say(self, name: str, *data: bytes, at: float = NOW) -> bytes:
        """What a peer says arrives at once; what it hears by then."""
        session = self.sessions[name]
        session.receive_data(b"".join(data), now=at)
        self.hub.process(name, now=at)
        return self.hear(name, at=at)

    def hear(self, name: str, *, at: float = NOW) -> bytes:
        """Everything that a peer can read now."""
        session, heard = self.sessions[name], b""
        for _ in range(10_000):
            chunks = session.data_to_send()
            heard += b"".join(chunks)
            if self.hub.is_holding_back(name):
                self.hub.refill(name, now=at)
            elif not chunks:
                return heard
        raise AssertionError("it never ends")

    def vanish(self, name: str, *, at: float = NOW) -> None:
        """A peer's connection is lost."""
        self.sessions[name].receive_eof(now=at)
        self.hub.process(name, now=at)


def granted(pattern: str, destination: str, subject: str) -> bool:
    identity = Identity(subject=subject, expires_at=None)
    return Grants([Grant(pattern)]).allows(identity, Access.SEND, destination)


# --- C6: private destinations -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "destination"),
    [
        ("/user/{subject}/**", "/user/ann.smith/queue/x"),
        ("/user/ann/**", "/user/ann.smith/queue/x"),
        ("/app/{subject}/**", "/app/ann.smith/delete"),
        ("/app/rooms/lobby/**", "/app/rooms/lobby.private/join"),
        ("/app/rooms/*", "/app/rooms/a/b"),
    ],
)
def test_C6_a_grant_reads_a_destination_as_who_acts_on_it(pattern: str, destination: str) -> None:
    assert not granted(pattern, destination, "ann")


@pytest.mark.parametrize(
    ("pattern", "destination", "subject"),
    [
        ("/user/{subject}/**", "/user/ann.smith/queue/x", "ann.smith"),
        ("/user/{subject}/**", "/user/ann%2Esmith/queue/x", "ann.smith"),
        ("/user/*/queue/x", "/user/ann.smith/queue/x", "bob"),
        ("/user/queue/prices.*", "/user/queue/prices.eur", "bob"),
        ("/app/rooms/*", "/app/rooms/a.b", "bob"),
    ],
)
def test_C6_a_name_with_a_dot_is_one_name(pattern: str, destination: str, subject: str) -> None:
    assert granted(pattern, destination, subject)


# --- what a peer can make the server do -------------------------------------------------------


@pytest.mark.parametrize("wildcards", [("a", "*"), ("*", "**")])
def test_wildcards_made_to_be_expensive_cost_next_to_nothing(wildcards: tuple[str, str]) -> None:
    # Walked word by word through a tree, each of these SENDs took a quarter of a second.
    world = World()
    world.join("ann")
    for number in range(1000):
        words = [wildcards[number >> bit & 1] for bit in range(10)] * 3
        world.say("ann", subscribe(str(number), to=f"/topic/**.{'.'.join(words)}.z"))
    to = "/topic/" + ".".join("a" * 32)
    assert world.say("ann", *[send(to=to)] * 500) == b""
    assert b"MESSAGE\nsubscription:999\n" in world.say("ann", send(to=f"{to[:-1]}z"))


class Slow:
    """A handler that takes its time, for `/app/slow`, and the end of it."""

    def __init__(self) -> None:
        self.handlers = Handlers()
        self.called = 0

        @self.handlers.on("/app/slow")
        async def slow(call: Call) -> None:
            self.called += 1

    def finish(self, world: World, *, at: float = NOW) -> int:
        """Run every call that waits, one after another; how many there were."""
        for count in range(1000):
            job = world.hub.next_job()
            if job is None:
                return count
            with pytest.raises(StopIteration):
                job.run().send(None)
            world.hub.finish(job, now=at)
        raise AssertionError("it never ends")


def test_B11_receipts_that_wait_for_slow_work_do_not_pile_up() -> None:
    slow = Slow()
    world = World(handlers=slow.handlers)
    world.join("ann")
    said = [send(b"", f"receipt:{number}") for number in range(1, 5000)]
    assert world.say("ann", send(b"", "receipt:0", to="/app/slow"), *said) == b""
    assert world.hub.snapshot().published < 1000
    assert not world.sessions["ann"].wants_read
    assert slow.finish(world) == 1
    heard = world.hear("ann")
    assert [line for line in heard.split(b"\n") if line.startswith(b"receipt-id:")] == [
        b"receipt-id:%d" % number for number in range(5000)
    ]


def test_C2_a_peer_that_is_gone_takes_nothing_more_though_its_frames_still_wait() -> None:
    slow = Slow()
    world = World(handlers=slow.handlers, handler_backlog=2)
    world.join("ann")
    world.join("bob")
    world.say("ann", subscribe(to="/queue/q"), *[send(to="/app/slow")] * 5)
    world.vanish("ann")
    world.say("bob", send(b"kept", to="/queue/q"))
    assert world.hub.snapshot().queued_messages == 1
    assert slow.finish(world) == 5
    assert world.hub.snapshot().subscriptions == 0
    assert b"\nkept\0" in world.say("bob", subscribe(to="/queue/q"))


def test_C2_a_peer_that_is_gone_while_a_drain_waits_for_its_work_is_over_at_once() -> None:
    slow = Slow()
    world = World(handlers=slow.handlers)
    world.join("ann")
    world.say("ann", send(b"", "receipt:r", to="/app/slow"))
    world.hub.drain(now=NOW, random=lambda: 0.0)
    world.sessions["ann"].handle_timeout(now=NOW)
    world.say("ann", send(b"too late"))
    world.vanish("ann")
    assert len(world.hub) == 0
    assert slow.finish(world) == 1


def test_a_message_that_is_all_names_of_headers_counts_with_them() -> None:
    world = World(queue_size=100_000)
    world.join("ann")
    world.join("bob")
    big = [f"{'n' * 1000}{number}:" for number in range(50)]
    assert world.say("ann", send(b"", *big, to="/queue/q")) == b""
    assert world.hub.snapshot().queued_size > 50_000
    assert b"limit-exceeded" in world.say("ann", send(b"", *big, to="/queue/q"))
    repeated = [f"same:{'v' * 1000}"] * 50
    assert b"limit-exceeded" in world.say("bob", send(b"", *repeated, to="/queue/q"))


def test_messages_of_all_queues_are_bounded_though_they_hold_nothing() -> None:
    world = World(queues_messages=3)
    world.join("ann")
    world.join("bob")
    assert world.say("ann", *[send(b"", to=f"/queue/{number}") for number in range(3)]) == b""
    assert b"limit-exceeded" in world.say("ann", send(b"", to="/queue/3"))
    assert world.hub.snapshot().queued_messages == 3
    world.say("bob", subscribe("0", to="/queue/0"), subscribe("1", to="/queue/1"))
    assert world.hub.snapshot().queued_messages == 1
    assert world.say("bob", send(b"", to="/queue/3"), send(b"", to="/queue/3")) == b""


def test_refreshes_are_bounded_in_time() -> None:
    world = World()
    world.join("ann", "ann@2000")
    refresh = frame("SEND", "destination:/auth/refresh", "passcode:ann@2000")
    world.say("ann", *[refresh] * 10)
    world.say("ann", *[refresh] * 10, at=NOW + 9)
    world.say("ann", *[refresh] * 10, at=NOW + 10)
    assert world.hub.snapshot().refreshes["accepted"] == 30
    assert b"limit-exceeded" in world.say("ann", refresh, at=NOW + 11)


def test_a_transaction_that_ends_its_own_session_costs_no_more_than_its_frames() -> None:
    # Each of a thousand messages was held out to each of a thousand subscriptions of the dead.
    world = World(send_backlog=100_000)
    world.join("ann")
    world.join("bob")
    world.say("ann", *[subscribe(str(number)) for number in range(1000)])
    world.say("bob", subscribe())
    held = [send(b"", "transaction:t")] * 1000
    said = world.say(
        "ann", frame("BEGIN", "transaction:t"), *held, frame("COMMIT", "transaction:t")
    )
    assert b"slow-consumer" in said
    assert world.hub.snapshot().delivered < 5000
    assert world.hear("bob").count(b"MESSAGE\n") == 1000  # all of it, all the same


def test_B18_a_transaction_of_which_a_handler_refuses_a_part_does_not_go_on() -> None:
    handlers = Handlers()

    @handlers.on("/app/no")
    def no(call: Call) -> None:
        raise Refused("No.")

    world = World(handlers=handlers)
    world.join("ann")
    world.join("bob")
    world.say("bob", subscribe())
    parts = [send(b"", "transaction:t", to=to) for to in ("/app/no", "/topic/a")]
    said = world.say(
        "ann", frame("BEGIN", "transaction:t"), *parts, frame("COMMIT", "transaction:t")
    )
    assert said.startswith(b"ERROR\nmessage:Access Denied\n")
    assert world.hear("bob") == b""


def test_D6_a_call_that_waits_is_not_made_once_its_user_has_left_and_was_revoked() -> None:
    slow = Slow()
    world = World(handlers=slow.handlers)
    world.join("ann")
    world.say("ann", *[send(to="/app/slow")] * 3)
    world.vanish("ann")
    world.hub.revoke(subject="ann", now=NOW)
    assert slow.finish(world) == 1
    assert slow.called == 1


def test_a_reply_goes_to_no_longer_destination_than_a_frame_may_name() -> None:
    handlers = Handlers()

    @handlers.on("/app/echo")
    def echo(call: Call) -> None:
        call.reply(call.body)

    world = World(handlers=handlers)
    world.join("ann")
    said = world.say("ann", send(b"", f"reply-to:/queue/{'q' * 5000}", to="/app/echo"))
    assert b"limit-exceeded" in said
    assert world.hub.snapshot().queues == 0


def test_a_broker_that_is_given_is_used_though_nobody_listens_to_it_yet() -> None:
    broker = Broker()
    assert not broker
    assert Hub(ServerConfig(), broker=broker).broker is broker


def test_C2_a_peer_that_is_gone_waits_for_no_judgement_of_a_token_it_sent_before() -> None:
    slow = Slow()
    world = World(handlers=slow.handlers, handler_backlog=1)
    world.join("ann", "ann@2000")
    world.hub._sessions["ann"]._verifier = None  # from now on somebody else judges, later
    refresh = frame("SEND", "destination:/auth/refresh", "passcode:ann@3000")
    world.say("ann", *[send(to="/app/slow")] * 2, refresh, subscribe())
    world.vanish("ann")
    assert slow.finish(world) == 2
    assert len(world.hub) == 0
    assert world.hub.snapshot().subscriptions == 0
