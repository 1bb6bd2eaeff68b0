"""What operators do to a hub and read from it: drains, ends, and the numbers of known stories."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.unit.hub_peers import NOW, Peers, frame, send, subscribe, token

from stompcore import Command, ErrorCode, Limits, ServerState, Snapshot
from stompcore.handlers import Call, Handlers


def fixed(*values: float) -> Callable[[], float]:
    """A `random` that gives these, one after another."""
    return iter(values).__next__


def never() -> float:
    raise AssertionError("nobody is left to be drained")


def codes(peers: Peers, name: str) -> list[str]:
    """What a peer has heard, an ERROR by its error-code."""
    return [each.headers.get("error-code", each.command) for each in peers.heard(name)]


# --- drain ----------------------------------------------------------------------------------------


def test_a_drain_ends_each_session_at_a_moment_of_its_own() -> None:
    peers = Peers(drain_window=10.0, drain_rate=0.1, limits=Limits(close_timeout=5.0))
    for name in ("a", "b", "c"):
        peers.enter(name)
    assert peers.hub.drain(now=NOW, random=fixed(0.5, 0.0, 0.9)) == 20.0
    assert peers.hub.is_draining
    assert peers.hub.snapshot().is_draining
    peers.at(0)
    assert [codes(peers, name) for name in "abc"] == [[], ["going-away"], []]
    peers.at(4.999)
    assert codes(peers, "a") == []
    peers.at(5)
    assert codes(peers, "a") == ["going-away"]
    peers.at(8.999)
    peers.tell("c", send("/topic/x", "", "receipt:r"))
    assert codes(peers, "c") == ["RECEIPT"]
    peers.at(9)
    assert codes(peers, "c") == ["going-away"]
    for session in peers.sessions.values():
        assert session.close is not None
        assert (session.close.code, session.close.reason) == (1001, "Going Away")
    assert len(peers.hub) == 0


@pytest.mark.parametrize(
    ("sessions", "window", "rate", "expected"),
    [(4, 10.0, 2.0, 2.0), (4, 1.0, 2.0, 1.0), (0, 10.0, 2.0, 0.0), (4, 0.0, 2.0, 0.0)],
)
def test_a_small_server_drains_faster_than_its_window(
    sessions: int, window: float, rate: float, expected: float
) -> None:
    peers = Peers(drain_window=window, drain_rate=rate, limits=Limits(close_timeout=3.0))
    for number in range(sessions):
        peers.enter(str(number))
    assert peers.hub.drain(now=NOW, random=lambda: 0.999999) == expected + 6
    peers.at(expected)
    assert len(peers.hub) == 0


def test_a_second_drain_puts_nothing_off() -> None:
    peers = Peers(drain_window=10.0, drain_rate=0.1)
    peers.enter("a")
    peers.hub.drain(now=NOW, random=fixed(0.1))
    peers.at(0.5)
    peers.hub.drain(now=peers.now, random=never)
    peers.at(1)
    assert codes(peers, "a") == ["going-away"]


def test_who_comes_during_a_drain_is_turned_away() -> None:
    peers = Peers()
    peers.hub.drain(now=NOW, random=never)
    peers.open("late")
    peers.at(0)
    assert codes(peers, "late") == ["going-away"]


def test_what_is_queued_still_leaves_before_the_error() -> None:
    peers = Peers()
    peers.enter("a")
    peers.tell("a", subscribe("/topic/t"))
    peers.asleep.add("a")
    peers.hub.publish("/topic/t", b"last words", now=NOW)
    peers.hub.drain(now=NOW, random=fixed(0.0))
    peers.at(0)
    message, error = peers.wake("a")
    assert message.body == b"last words"
    assert error.headers["error-code"] == "going-away"


@pytest.mark.parametrize("begins", ["drain", "end_all"])
def test_what_is_queued_does_not_leave_on_a_token_that_ends_meanwhile(begins: str) -> None:
    peers = Peers(limits=Limits(close_timeout=30.0))
    peers.enter("a", token("ann", life=10))
    peers.enter("b", token("bob", life=None))
    peers.tell("a", subscribe("/queue/q"))
    peers.asleep.add("a")
    peers.hub.publish("/queue/q", b"job", now=NOW)
    assert peers.hub.snapshot().queued_messages == 0
    if begins == "drain":
        peers.hub.drain(now=NOW, random=fixed(0.0, 0.999))
        peers.at(0)
    else:
        peers.hub.end_all(now=NOW)
    peers.at(9)
    peers.at(10)
    assert [each.command for each in peers.wake("a")] == [Command.ERROR]
    peers.leave("a")
    assert peers.hub.snapshot().queued_messages == 1  # it is there for whoever comes next


def test_a_token_that_ends_before_its_session_s_moment() -> None:
    peers = Peers(drain_window=10.0, drain_rate=0.1)
    peers.enter("a", token("ann", life=2))
    peers.hub.drain(now=NOW, random=fixed(0.5))
    peers.at(2)
    assert codes(peers, "a") == ["token-expired"]


def test_a_token_that_ends_in_the_very_moment() -> None:
    peers = Peers(drain_window=10.0, drain_rate=0.1)
    peers.enter("a", token("ann", life=5))
    peers.hub.drain(now=NOW, random=fixed(0.5))
    peers.at(5)
    assert codes(peers, "a") == ["token-expired"]


def waiting() -> Peers:
    """A peer whose SEND with a receipt is being worked on."""
    handlers = Handlers()

    @handlers.on("/app/slow")
    async def slow(call: Call) -> None:
        call.publish("/topic/t", b"done")

    peers = Peers(handlers=handlers, limits=Limits(close_timeout=5.0))
    peers.enter("a")
    peers.tell("a", subscribe("/topic/t"), send("/app/slow", "", "receipt:r"))
    assert peers.hub.drain(now=NOW, random=fixed(0.0)) <= 11
    peers.at(0)
    assert codes(peers, "a") == []
    return peers


def test_work_that_has_begun_is_finished_first() -> None:
    peers = waiting()
    peers.at(4)
    peers.run_job()
    assert codes(peers, "a") == ["MESSAGE", "RECEIPT", "going-away"]


def test_work_that_takes_too_long_is_not_waited_for() -> None:
    peers = waiting()
    peers.at(5)
    assert codes(peers, "a") == ["going-away"]
    peers.run_job()
    assert codes(peers, "a") == []


def test_nothing_new_is_begun_meanwhile() -> None:
    peers = waiting()
    assert peers.say("a", send("/topic/t", "too late", "receipt:2")) == []
    peers.run_job()
    assert codes(peers, "a") == ["MESSAGE", "RECEIPT", "going-away"]


def test_a_token_that_is_being_judged_is_not_waited_for() -> None:
    peers = Peers(asks=True)
    peers.open("a")
    peers.tell("a", peers.connect("a"))
    peers.hub.drain(now=NOW, random=fixed(0.0))
    peers.at(0)
    assert codes(peers, "a") == ["going-away"]


def test_everybody_at_once() -> None:
    peers = Peers()
    peers.enter("a")
    peers.open("b")
    assert peers.hub.end_all(ErrorCode.INTERNAL_ERROR, now=NOW) == {"a", "b"}
    assert [codes(peers, name) for name in "ab"] == [["internal-error"]] * 2


# --- a queue's consumer that cannot keep up -------------------------------------------------------


def test_a_slow_consumer_of_a_queue_gets_no_more_than_it_can_take() -> None:
    peers = Peers(limits=Limits(send_backlog=300_000))
    peers.enter("slow")
    peers.tell("slow", subscribe("/queue/q"))
    peers.asleep.add("slow")
    for number in range(100):
        peers.hub.publish("/queue/q", f"{number:010000}".encode(), now=NOW)
    session = peers.sessions["slow"]
    assert session.bytes_queued < 100_000
    assert peers.hub.is_holding_back("slow")
    assert peers.hub.snapshot().queued_messages > 80
    got = peers.wake("slow")
    assert [int(each.body[-3:]) for each in got] == list(range(100))
    assert not peers.hub.is_holding_back("slow")
    assert peers.hub.snapshot().queued_messages == 0


def test_messages_of_one_that_was_cut_off_for_slowness_go_to_the_next() -> None:
    peers = Peers(limits=Limits(send_backlog_timeout=2.0))
    peers.enter("slow", token("slow", life=None))
    peers.tell("slow", subscribe("/queue/q"))
    peers.asleep.add("slow")
    for body in (b"1", b"2"):
        peers.hub.publish("/queue/q", body, now=NOW)
    peers.at(2)
    peers.enter("quick", token("quick", life=None))
    got = peers.say("quick", subscribe("/queue/q"))
    assert [each.body for each in got] == [b"1", b"2"]
    assert not any("redelivered" in each.headers for each in got)
    assert peers.hub.snapshot().slow_consumers == 1


def test_messages_of_one_whose_token_has_ended_go_to_the_next() -> None:
    peers = Peers()
    peers.enter("a", token("ann", life=5))
    peers.tell("a", subscribe("/queue/q"))
    peers.asleep.add("a")
    peers.hub.publish("/queue/q", b"1", now=NOW)
    peers.now = NOW + 5
    peers.hub.publish("/queue/q", b"2", now=peers.now)  # the delivery finds that it has expired
    peers.enter("b", token("bob"))
    got = peers.say("b", subscribe("/queue/q"))
    assert [each.body for each in got] == [b"1", b"2"]
    assert not any("redelivered" in each.headers for each in got)
    assert peers.hub.snapshot().expiries == {"delivery": 1}


def test_messages_that_a_peer_had_and_did_not_acknowledge_come_again() -> None:
    peers = Peers()
    peers.enter("a")
    peers.tell("a", subscribe("/queue/q", "0", "ack:client-individual"))
    peers.tell("a", send("/queue/q", "1"), send("/queue/q", "2"))
    first, second = peers.heard("a")
    peers.tell("a", frame("ACK", f"id:{first.headers['ack']}"))
    peers.leave("a")
    peers.enter("b")
    (again,) = peers.say("b", subscribe("/queue/q", "0", "ack:client"))
    assert (again.body, again.headers["redelivered"]) == (b"2", "true")
    assert again.headers["message-id"] == second.headers["message-id"]
    peers.tell("b", frame("NACK", f"id:{again.headers['ack']}", "receipt:n"))
    assert {each.command for each in peers.heard("b")} == {Command.MESSAGE, Command.RECEIPT}


# --- numbers --------------------------------------------------------------------------------------


def test_a_new_server_has_counted_nothing() -> None:
    assert Peers().hub.snapshot() == Snapshot()


def test_the_numbers_of_a_known_story() -> None:
    peers = Peers()
    peers.enter("a", token("ann"))
    peers.enter("b", token("bob", life=5))
    peers.open("c")
    in_before = peers.hub.snapshot().bytes_in
    heard = [
        *peers.say("a", subscribe("/topic/t", "1"), subscribe("/queue/q", "2", "ack:client")),
        *peers.say("b", subscribe("/topic/t", "1"), send("/topic/t", "hello", "receipt:1")),
        *peers.say("b", send("/queue/q", "job"), send("/reply/dead", "lost")),
    ]
    assert [each.command for each in heard] == [Command.MESSAGE, Command.RECEIPT]
    assert [each.body for each in peers.heard("a")] == [b"hello", b"job"]
    peers.tell("a", send("/auth/refresh", token("ann", life=120)))
    peers.say("c", frame("SEND", "destination:/topic/t"))
    snapshot = peers.hub.snapshot()
    assert snapshot.sessions == {ServerState.OPEN: 2}
    assert (snapshot.subscriptions, snapshot.queues) == (3, 1)
    assert (snapshot.queued_messages, snapshot.queued_size) == (1, 3)
    assert (snapshot.sessions_opened, snapshot.connects) == (3, 2)
    assert snapshot.frames_in == {Command.CONNECT: 2, Command.SUBSCRIBE: 3, Command.SEND: 5}
    assert snapshot.frames_out == {
        Command.CONNECTED: 2,
        Command.MESSAGE: 3,
        Command.RECEIPT: 1,
        Command.ERROR: 1,
    }
    assert (snapshot.published, snapshot.delivered, snapshot.dropped) == (3, 3, 1)
    assert snapshot.refreshes == {"accepted": 1}
    assert snapshot.ended == {"protocol-violation": 1}
    assert snapshot.bytes_in > in_before
    assert not snapshot.is_draining

    peers.at(5)
    peers.tell("a", frame("DISCONNECT"))
    snapshot = peers.hub.snapshot()
    assert snapshot.expiries == {"timer": 1}
    assert snapshot.ended == {"protocol-violation": 1, "token-expired": 1, "": 1}
    assert (snapshot.sessions, snapshot.subscriptions) == ({}, 0)
    # Nobody has acknowledged the job.
    assert (snapshot.queues, snapshot.queued_messages, snapshot.dead_letters) == (1, 1, 0)


def test_bytes_are_those_that_came_and_went() -> None:
    peers = Peers()
    peers.open("a")
    connect = peers.connect("a")
    peers.sessions["a"].receive_data(connect.encode(), now=NOW)
    peers.hub.process("a", now=NOW)
    written = sum(map(len, peers.sessions["a"].data_to_send()))
    snapshot = peers.hub.snapshot()
    assert (snapshot.bytes_in, snapshot.bytes_out) == (len(connect), written)


@pytest.mark.parametrize(("path", "seconds"), [("frame", 60), ("delivery", 60), ("timer", 60)])
def test_an_expiry_is_counted_where_it_is_noticed(path: str, seconds: float) -> None:
    peers = Peers()
    peers.enter("a")
    peers.tell("a", subscribe("/topic/t"))
    if path == "timer":
        peers.at(seconds)
    else:
        peers.now = NOW + seconds
    if path == "frame":
        peers.tell("a", send("/topic/t"))
    elif path == "delivery":
        peers.hub.publish("/topic/t", b"", now=peers.now)
    peers.at(seconds)
    assert codes(peers, "a") == ["token-expired"]
    assert peers.hub.snapshot().expiries == {path: 1}
    assert peers.hub.snapshot().ended == {"token-expired": 1}


def test_dead_letters_are_counted_and_wait() -> None:
    peers = Peers(limits=Limits(deliveries=2))
    peers.enter("a")
    peers.tell("a", subscribe("/queue/q", "0", "ack:client"), send("/queue/q", "bad"))
    for _ in range(2):
        (message,) = peers.heard("a")
        peers.tell("a", frame("NACK", f"id:{message.headers['ack']}"))
    assert peers.heard("a") == []
    snapshot = peers.hub.snapshot()
    assert (snapshot.dead_letters, snapshot.queued_messages, snapshot.queues) == (1, 1, 2)
    (letter,) = peers.say("a", subscribe("/queue/dead-letters", "1"))
    assert letter.headers["original-destination"] == "/queue/q"


def test_a_snapshot_does_not_change_behind_its_reader() -> None:
    peers = Peers()
    before = peers.hub.snapshot()
    peers.enter("a")
    peers.tell("a", "garbage\n\n\0")
    assert before == Snapshot()
