"""No call of a handler twice: a SEND that comes again waits for the one that runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.hub_peers import NOW, Peers, frame, send, token
from tests.unit.keyed_peers import (
    Moody,
    Running,
    commit,
    done,
    duplicates,
    entered,
    join,
    keyed,
    listener,
    receipts,
    slow,
    take,
)

from stompcore import Command, Limits, Refused
from stompcore.handlers import Call


@pytest.mark.parametrize("to", ["/app/quick", "/app/slow"])
def test_a_call_is_made_once(to: str) -> None:
    handlers, ran = slow()
    peers = entered("ann", "ann-2", handlers=handlers)
    peers.tell("ann", keyed("k", to, "1", "receipt:1"))
    if to == "/app/slow":
        take(peers)()
    peers.tell("ann", keyed("k", to, "1", "receipt:2"))
    peers.tell("ann-2", keyed("k", to, "1", "receipt:3"))
    assert receipts(peers) == ["1", "2"]
    assert receipts(peers, "ann-2") == ["3"]
    assert peers.hub.next_job() is None
    assert (ran, done(peers), duplicates(peers)) == (["1"], 1, 2)


def test_while_a_call_runs_its_key_waits_in_the_same_session() -> None:
    handlers, ran = slow()
    peers = entered(handlers=handlers)
    peers.tell("ann", *(keyed("k", "/app/slow", "1", f"receipt:{each}") for each in "12"))
    peers.tell("ann", keyed("l", "/app/quick", "2", "receipt:3"))
    assert receipts(peers) == []
    take(peers)()
    assert receipts(peers) == ["1", "2", "3"]
    assert peers.hub.next_job() is None
    assert (ran, done(peers), duplicates(peers)) == (["1", "2"], 2, 1)


def test_a_call_that_failed_is_made_when_it_comes_again() -> None:
    handlers, ran = slow()

    @handlers.on("/app/no")
    def no(call: Call) -> None:
        ran.append(call.text)
        raise Refused("No.")

    peers = entered("ann", "ann-2", "ann-3", handlers=handlers)
    peers.tell("ann", *(keyed("k", "/app/slow", "1", f"receipt:{each}") for each in "12"))
    take(peers)(error=RuntimeError())
    assert peers.error("ann").headers["receipt-id"] == "1"
    assert len(peers.hub.duplicates) == 0
    peers.tell("ann-2", keyed("k", "/app/no", "2"))
    assert peers.error("ann-2").headers["error-code"] == "access-denied"
    peers.tell("ann-3", keyed("k", "/app/slow", "3", "receipt:3"))
    take(peers)()
    assert receipts(peers, "ann-3") == ["3"]
    assert (ran, done(peers), duplicates(peers)) == (["1", "2", "3"], 1, 0)


def test_a_call_whose_messages_do_not_fit_is_made_when_it_comes_again() -> None:
    handlers, ran = slow()
    peers = entered("ann", "ann-2", handlers=handlers, limits=Limits(queue_messages=1))
    peers.tell("ann", send("/queue/done"), keyed("k", "/app/quick", "1"))
    assert peers.error("ann").headers["error-code"] == "limit-exceeded"
    assert len(peers.hub.duplicates) == 0
    listener(peers, "/queue/done")
    peers.tell("ann-2", keyed("k", "/app/quick", "1", "receipt:r"))
    assert receipts(peers, "ann-2") == ["r"]
    assert peers.bodies("bob") == ["x", "1"]
    assert ran == ["1", "1"]


def leaves(peers: Peers) -> None:
    peers.leave("ann")


def says_goodbye(peers: Peers) -> None:
    peers.tell("ann", frame("DISCONNECT"))


def stays(peers: Peers) -> None:
    """Its connection is lost, and the server has not noticed."""


@pytest.mark.parametrize("how", [leaves, says_goodbye, stays])
@pytest.mark.parametrize("is_late", [False, True])
def test_a_call_that_takes_effect_for_a_lost_session_is_not_made_again(
    how: Callable[[Peers], None], is_late: bool
) -> None:
    handlers, ran = slow()
    peers = entered("ann", "ann-2", handlers=handlers)
    peers.tell("ann", keyed("k", "/app/slow", "1"))
    running = take(peers)
    how(peers)
    if is_late:
        running()
    peers.tell(
        "ann-2", keyed("k", "/app/slow", "1", "receipt:1"), send("/topic/x", "", "receipt:2")
    )
    if not is_late:
        assert receipts(peers, "ann-2") == []
        assert peers.hub.next_job() is None
        running()
    assert receipts(peers, "ann-2") == ["1", "2"]
    assert (ran, done(peers), duplicates(peers)) == (["1"], 1, 1)


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize("how", ["expired", "revoked", "ended"])
def test_a_call_whose_effect_is_dropped_is_made_when_it_comes_again(
    how: str, is_late: bool
) -> None:
    handlers, ran = slow()
    peers = Peers(handlers=handlers)
    peers.enter("ann", token("ann", life=10))
    join(peers, "ann-2")
    peers.tell("ann", keyed("k", "/app/slow", "1"))
    running = take(peers)
    if how == "expired":
        peers.now = NOW + 10
    elif how == "revoked":
        peers.hub.revoke(session_id="ann", now=NOW)
    else:
        peers.hub.expire(session_id="ann", now=NOW)
    if is_late:
        running()
        assert len(peers.hub.duplicates) == 0
    peers.tell("ann-2", keyed("k", "/app/slow", "1", "receipt:1"))
    if not is_late:
        assert peers.hub.next_job() is None
        running()
    assert receipts(peers, "ann-2") == []
    take(peers)()
    assert receipts(peers, "ann-2") == ["1"]
    assert (ran, done(peers), duplicates(peers)) == (["1", "1"], 1, 0)


def test_of_many_that_wait_for_a_call_one_makes_it_and_the_others_wait_on() -> None:
    handlers, ran = slow()
    names = [f"ann-{number}" for number in range(5)]
    peers = entered(*names, handlers=handlers)
    for name in names:
        peers.tell(name, keyed("k", "/app/slow", name, "receipt:r"))
    first = take(peers)
    assert peers.hub.next_job() is None
    first(error=RuntimeError())
    second = take(peers)
    assert peers.hub.next_job() is None
    assert [receipts(peers, name) for name in names[1:]] == [[], [], [], []]
    second()
    assert [receipts(peers, name) for name in names[1:]] == [["r"]] * 4
    assert (ran, done(peers), duplicates(peers)) == (names[:2], 1, 3)


def test_who_waits_is_ended_like_anybody() -> None:
    handlers, ran = slow()
    peers = Peers(handlers=handlers)
    join(peers, "ann")
    peers.enter("ann-2", token("ann", life=10))
    join(peers, "ann-3")
    peers.tell("ann", keyed("k", "/app/slow", "1"))
    running = take(peers)
    for name in ("ann-2", "ann-3"):
        peers.tell(name, keyed("k", "/app/slow", "1", "receipt:r"))
    peers.at(10)
    assert peers.error("ann-2").headers["error-code"] == "token-expired"
    running()
    assert peers.heard("ann-2") == []
    assert receipts(peers, "ann-3") == ["r"]
    assert (ran, done(peers)) == (["1"], 1)


@pytest.mark.parametrize("is_done", [True, False])
def test_who_waits_and_may_not_send_any_more_is_refused_unless_it_was_done(is_done: bool) -> None:
    handlers, ran = slow()
    policy = Moody()
    policy.is_open = True
    peers = entered("ann", "ann-2", handlers=handlers, policy=policy)
    peers.tell("ann", keyed("k", "/app/slow", "1"))
    running = take(peers)
    peers.tell("ann-2", *(keyed("k", "/app/slow", "1", f"receipt:{each}") for each in "12"))
    policy.is_open = is_done
    running()
    policy.is_open = False
    if is_done:
        peers.tell("ann-2", keyed("k", "/app/slow", "1", "receipt:3"))
        assert receipts(peers, "ann-2") == ["1", "2", "3"]
    else:
        headers = peers.error("ann-2").headers
        assert (headers["error-code"], headers["receipt-id"]) == ("access-denied", "1")
    assert (ran, done(peers)) == (["1"], int(is_done))


def test_a_session_that_waits_is_held_and_then_released() -> None:
    handlers, ran = slow()
    limits = Limits(handler_backlog=2, frame_size_before_login=200)
    peers = entered("ann", "ann-2", handlers=handlers, limits=limits)
    peers.tell("ann", keyed("k", "/app/slow", "1"))
    running = take(peers)
    peers.tell("ann-2", *(keyed("k", "/app/slow", "1", f"receipt:{each}") for each in range(6)))
    peers.tell("ann-2", "\n" * 200)
    wanted = [peers.sessions["ann-2"].wants_read]
    running()
    wanted.append(peers.sessions["ann-2"].wants_read)
    assert wanted == [False, True]
    assert receipts(peers, "ann-2") == list("012345")
    assert (ran, done(peers), duplicates(peers)) == (["1"], 1, 6)


def test_another_users_call_of_the_same_key_does_not_wait() -> None:
    handlers, ran = slow()
    peers = entered("ann", "bob", handlers=handlers)
    for name in ("ann", "bob"):
        peers.tell(name, keyed("k", "/app/slow", name, "receipt:r"))
    for running in (take(peers), take(peers)):
        running()
    assert sorted(ran) == ["ann", "bob"]
    assert (receipts(peers, "ann"), receipts(peers, "bob")) == (["r"], ["r"])


def test_a_key_that_two_messages_share_is_that_of_the_first_to_take_effect() -> None:
    """A client that does this is broken; it gets one of them, and both RECEIPTs."""
    handlers, _ = slow()
    peers = entered(handlers=handlers)
    listener(peers)
    peers.tell("ann", keyed("k", "/app/slow", "1", "receipt:1"), keyed("k", "/topic/a", "2"))
    assert peers.bodies("bob") == ["2"]
    take(peers)()
    assert receipts(peers) == ["1"]
    assert (done(peers), duplicates(peers)) == (0, 1)


def test_two_hubs_with_one_memory_do_it_once_though_both_have_begun() -> None:
    handlers, ran = slow()
    old = entered(handlers=handlers)
    new = entered(handlers=handlers, duplicates=old.hub.duplicates)
    running = []
    for peers in (old, new):
        peers.tell("ann", keyed("k", "/app/slow", "1", "receipt:r"))
        running.append(take(peers))
    for each in running:
        each()
    assert (receipts(old), receipts(new)) == (["r"], ["r"])
    assert (done(old), done(new)) == (1, 0)
    assert (duplicates(old), duplicates(new)) == (0, 1)
    assert ran == ["1", "1"]


def test_a_transaction_that_failed_half_way_goes_on_where_it_failed() -> None:
    handlers, ran = slow()
    peers = entered("ann", "ann-2", handlers=handlers)
    work = [keyed(each, "/app/slow", each) for each in "abc"]
    peers.tell("ann", *commit(*work))
    take(peers)()
    take(peers)(error=RuntimeError())
    assert peers.error("ann").headers["receipt-id"] == "c"
    assert ran == ["a", "b"]
    peers.tell("ann-2", *commit(*work))
    take(peers)()
    take(peers)()
    assert receipts(peers, "ann-2") == ["c"]
    assert (ran, done(peers), duplicates(peers)) == (["a", "b", "b", "c"], 3, 1)


# --- whatever happens -----------------------------------------------------------------------------


STEPS = ("send", "commit", "run", "run last", "fail", "leave", "bye", "end", "come")
DESTINATIONS = ("/app/slow", "/app/quick", "/queue/done")


class Client:
    """Sends one message, again and again, over one session after another."""

    def __init__(self, to: str) -> None:
        self.peers = Peers(handlers=slow()[0])
        self.running: list[Running] = []
        self.is_told = False  # that it was done
        self._to = to
        self._names: list[str] = []
        self.act("come")

    def act(self, step: str) -> None:
        name = self._names[-1] if self._names else ""
        match step:
            case "come":
                self._names.append(f"ann-{len(self._names)}")
                join(self.peers, self._names[-1])
            case "run" | "fail" if self.running:
                self.running.pop(0)(error=RuntimeError() if step == "fail" else None)
            case "run last" if self.running:
                self.running.pop()()
            case _ if self.peers.sessions[name].closing:
                pass
            case "send":
                self.peers.tell(name, keyed("k", self._to, "1", "receipt:done"))
            case "commit":
                self.peers.tell(name, *commit(keyed("k", self._to, "1")))
            case "leave":
                self.peers.leave(name)
            case "bye":
                self.peers.tell(name, frame("DISCONNECT"))
            case "end":
                self.peers.reached(self.peers.hub.expire(session_id=name, now=NOW))
        self._look()

    def _look(self) -> None:
        while (job := self.peers.hub.next_job()) is not None:
            self.running.append(Running(self.peers, job))
        heard = [each for name in self._names for each in self.peers.heard(name)]
        self.is_told |= any(each.command is Command.RECEIPT for each in heard)


@given(to=st.sampled_from(DESTINATIONS), steps=st.lists(st.sampled_from(STEPS), max_size=25))
def test_however_often_it_is_sent_a_message_is_done_once(to: str, steps: list[str]) -> None:
    client = Client(to)
    for step in steps:
        client.act(step)
        assert done(client.peers) <= 1
        assert not client.is_told or done(client.peers) == 1
    # From here on all goes well.
    client.act("come")
    client.act("send")
    for _ in range(len(steps) + 1):
        client.act("run")
    assert not client.running
    assert client.is_told
    assert done(client.peers) == 1
