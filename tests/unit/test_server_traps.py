"""Traps of the server side that no other module holds: who gets past whom, and at what cost."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.unit.server_peer import NO_BEATS, NOW, Tokens, connect, frame, send, subscribe

from stompcore import (
    Access,
    ErrorCode,
    Grant,
    Grants,
    Handlers,
    HeartBeat,
    Hub,
    Identity,
    Limits,
    ServerConfig,
)
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


# --- sessions, one trap after the other -------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        send(b"", "receipt:r"),
        subscribe("s", "receipt:r"),
        frame("DISCONNECT", "receipt:r"),
        connect("ann") + frame("CONNECT", "accept-version:1.2", "receipt:r"),
        connect("ann") + frame("STOMP", "accept-version:1.2", "receipt:r"),
    ],
)
def test_B1_connect_comes_first_and_once(said: bytes) -> None:
    world = World()
    world.sessions["ann"] = world.hub.open("ann", now=NOW)
    heard = world.say("ann", said)
    assert b"ERROR\nmessage:Protocol Violation\n" in heard
    assert b"\nreceipt-id:r\n" in heard
    assert world.hub.snapshot().subscriptions == 0


@pytest.mark.parametrize("said", [b"", b"\n\n", b"CONN", connect("ann")])
def test_B2_the_login_time_out_counts_until_a_token_is_accepted(said: bytes) -> None:
    hub = Hub(ServerConfig(heart_beat=NO_BEATS))  # nobody judges in time
    session = hub.open("ann", now=NOW)
    session.receive_data(said, now=NOW + 9)
    hub.process("ann", now=NOW + 9)
    assert session.next_deadline() == NOW + 10
    session.handle_timeout(now=NOW + 10)
    assert session.error is ErrorCode.LOGIN_TIMEOUT


def test_B9_nothing_counts_behind_the_frame_that_failed() -> None:
    world = World()
    world.join("ann")
    world.join("bob")
    world.say("bob", subscribe())
    world.say("ann", send(b"before"), frame("NACK", "id:9"), send(b"behind"))
    assert world.hear("bob").count(b"MESSAGE\n") == 1


def test_B14_an_ack_of_another_connection_is_refused_and_consumes_nothing() -> None:
    world = World()
    world.join("ann")
    world.say("ann", send(b"kept", to="/queue/q"))
    heard = world.say("ann", subscribe("s", "ack:client-individual", to="/queue/q"))
    ack_id = heard.partition(b"\nack:")[2].partition(b"\n")[0].decode()
    world.vanish("ann")
    world.join("ann again", "ann")
    assert b"protocol-violation" in world.say("ann again", frame("ACK", f"id:{ack_id}"))
    assert world.hub.snapshot().queued_messages == 1


def test_B16_no_message_leaves_for_a_subscription_that_has_ended() -> None:
    world = World()
    world.join("ann")
    world.join("bob")
    world.say("ann", subscribe())
    world.say("bob", send(b"one"))
    assert world.say("ann", frame("UNSUBSCRIBE", "id:s", "receipt:r")) == (
        b"RECEIPT\nreceipt-id:r\n\n\0"
    )


def test_B17_frames_in_one_chunk_with_connect_are_read() -> None:
    world = World()
    world.sessions["ann"] = world.hub.open("ann", now=NOW)
    heard = world.say("ann", connect("ann") + subscribe() + send(b"self"))
    assert heard.startswith(b"CONNECTED\n")
    assert heard.endswith(b"\n\nself\0")


def test_B19_connected_goes_before_any_message_and_messages_keep_their_order() -> None:
    world = World()
    world.join("bob")
    world.sessions["ann"] = world.hub.open("ann", now=NOW)
    world.sessions["ann"].receive_data(connect("ann") + subscribe(), now=NOW)
    world.hub.process("ann", now=NOW)
    world.say("bob", *[send(b"%d" % number) for number in range(5)])
    heard = world.hear("ann")
    assert heard.startswith(b"CONNECTED\n")
    bodies = [each.rpartition(b"\n")[2] for each in heard.split(b"\0")[1:-1]]
    assert bodies == [b"0", b"1", b"2", b"3", b"4"]


def test_C1_a_reader_that_stopped_is_noticed_without_another_send() -> None:
    world = World(send_backlog_timeout=3.0)
    world.join("ann")
    world.join("bob")
    world.say("ann", subscribe())
    world.say("bob", send())
    session = world.sessions["ann"]
    assert session.next_deadline() == NOW + 3
    session.handle_timeout(now=NOW + 3)
    world.hub.process("ann", now=NOW + 3)
    assert session.error is ErrorCode.SLOW_CONSUMER
    assert world.hub.snapshot().subscriptions == 0  # before its transport has gone


def test_C3_who_only_beats_is_not_logged_in() -> None:
    world = World()
    session = world.sessions["ann"] = world.hub.open("ann", now=NOW)
    for second in range(10):
        world.say("ann", b"\n", at=NOW + second)
    session.handle_timeout(now=NOW + 10)
    assert session.error is ErrorCode.LOGIN_TIMEOUT


def test_C4_D9_a_renewal_without_an_expiry_clears_the_old_one_and_beats_go_on() -> None:
    beats = HeartBeat(send_interval=1, receive_interval=0)
    hub = Hub(ServerConfig(heart_beat=beats), verifier=Tokens())
    session = hub.open("ann", now=NOW)
    refresh = frame("SEND", "destination:/auth/refresh", "passcode:ann", "receipt:r")
    session.receive_data(connect("ann@1005", "heart-beat:0,1000") + refresh, now=NOW)
    hub.process("ann", now=NOW)
    assert b"token-ttl" in session.data_to_send()[0]
    assert session.valid_until == math.inf
    for second in range(1, 20):
        session.handle_timeout(now=NOW + second)
        assert session.data_to_send() == [b"\n"]
    assert not session.closing


def test_C5_an_answer_for_a_session_that_asks_no_more_is_dropped() -> None:
    hub = Hub(ServerConfig(heart_beat=NO_BEATS))
    session = hub.open("ann", now=NOW)
    session.receive_data(connect("ann"), now=NOW)
    hub.process("ann", now=NOW)
    ann = Identity(subject="ann", expires_at=NOW + 5)
    hub.accept("ann", ann, now=NOW)
    late = Identity(subject="ann", expires_at=NOW + 500)
    assert hub.accept("ann", late, now=NOW) == set()
    assert session.valid_until == NOW + 5


@pytest.mark.parametrize(
    "spy",
    ["/topic/**", "/topic/**.x", "/user/queue/x", "/user/ann/queue/x", "/topic/user.ann.queue.x"],
)
def test_C6_nobody_else_hears_what_is_sent_to_a_user(spy: str) -> None:
    world = World()
    for name in ("ann", "bob", "eve"):
        world.join(name)
    world.say("ann", subscribe(to="/user/queue/x"))
    world.say("eve", subscribe(to=spy))
    world.say("bob", send(b"secret", to="/user/ann/queue/x"))
    assert b"secret" in world.hear("ann")
    assert world.hear("eve") == b""


@pytest.mark.parametrize("spy", ["/user/**", "/user/*/queue/x", "/queue/**", "/reply/*", "/temp/x"])
def test_C6_wildcards_and_addresses_cannot_be_listened_to(spy: str) -> None:
    world = World()
    world.join("eve")
    assert b"protocol-violation" in world.say("eve", subscribe(to=spy))


def test_C6_a_user_is_each_of_their_sessions_but_to_themselves_only_this_one() -> None:
    world = World()
    for name in ("one", "two"):
        world.join(name, "ann/lee")
        world.say(name, subscribe(to="/user/queue/x"))
    world.join("bob")
    world.say("bob", send(b"all", to="/user/ann%2Flee/queue/x"))
    assert [b"all" in world.hear(name) for name in ("one", "two")] == [True, True]
    assert b"mine" in world.say("one", send(b"mine", to="/user/ann%2flee/queue/x"))
    assert world.hear("two") == b""


def test_D2_a_token_that_runs_out_while_it_is_judged_is_refused_at_once() -> None:
    for late, accepted in ((4.999, True), (5.0, False), (6.0, False)):
        hub = Hub(ServerConfig(heart_beat=NO_BEATS))
        session = hub.open("ann", now=NOW)
        session.receive_data(connect("ann"), now=NOW)
        hub.process("ann", now=NOW)
        hub.accept("ann", Identity(subject="ann", expires_at=NOW + 5), now=NOW + late)
        assert session.closing is not accepted
        assert session.error is (None if accepted else ErrorCode.TOKEN_EXPIRED)
        if accepted:
            assert session.next_deadline() == NOW + 5


def test_D7_a_renewal_keeps_the_user_and_may_shrink_their_rights() -> None:
    class OnlyWhile:
        def allows(self, identity: Identity, access: Access, destination: str) -> bool:
            return destination != "/topic/secret" or identity.expires_at == 2000.0

    world = World(policy=OnlyWhile())
    world.join("ann", "ann@2000")
    world.join("bob")
    world.say("ann", subscribe("s", to="/topic/secret"), subscribe("t"))
    refresh = frame("SEND", "destination:/auth/refresh", "passcode:ann@3000", "receipt:r")
    assert b"\nsubscription-ended:s\n" in world.say("ann", refresh)
    world.hub.publish("/topic/secret", b"secret", now=NOW)
    world.hub.publish("/topic/a", b"open", now=NOW)
    heard = world.hear("ann")
    assert b"open" in heard
    assert b"secret" not in heard
    other = frame("SEND", "destination:/auth/refresh", "passcode:bob@3000", "receipt:r")
    assert b"\nerror-code:reauth-rejected\n" in world.say("ann", other)


def test_D8_an_expired_replacement_is_refused_and_moves_nothing() -> None:
    world = World()
    world.join("ann", "ann@2000")
    refresh = frame("SEND", "destination:/auth/refresh", "passcode:ann@1000", "receipt:r")
    assert b"\nerror-code:reauth-rejected\n" in world.say("ann", refresh)
    assert world.sessions["ann"].valid_until == 2000.0


def test_D10_leeway_is_full_service_and_behind_it_there_is_none() -> None:
    hub = Hub(ServerConfig(heart_beat=NO_BEATS, leeway=2.0), verifier=Tokens())
    session = hub.open("ann", now=NOW)
    session.receive_data(connect("ann@1005") + subscribe(), now=NOW)
    hub.process("ann", now=NOW)
    session.data_to_send()
    hub.publish("/topic/a", b"in time", now=1006.999)
    assert b"in time" in session.data_to_send()[0]
    hub.publish("/topic/a", b"late", now=1007.0)
    assert b"late" not in b"".join(session.data_to_send())
    assert session.error is ErrorCode.TOKEN_EXPIRED


def test_D20_a_client_need_not_look_at_its_own_clock() -> None:
    world = World()
    world.sessions["ann"] = world.hub.open("ann", now=NOW)
    assert b"\ntoken-ttl:5500\n" in world.say("ann", connect("ann@1005.5"))
