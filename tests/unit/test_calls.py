"""Calls of handlers: one after another, held, looked at again, and in transactions."""

from __future__ import annotations

import pytest
from tests.unit.hub_peers import NOW, Peers, frame, send, subscribe, token

from stompcore import Command, Grant, Grants, Headers, Identity, Limits, Refused
from stompcore.handlers import Call, Handlers, Job


def served(handlers: Handlers, **settings: object) -> Peers:
    peers = Peers(handlers=handlers, **settings)  # type: ignore[arg-type]
    peers.enter("ann")
    return peers


def receipts(peers: Peers, name: str = "ann") -> list[str]:
    found = peers.heard(name)
    assert all(each.command is Command.RECEIPT for each in found), found
    return [each.headers["receipt-id"] for each in found]


# --- one after another ----------------------------------------------------------------------------


def slow() -> tuple[Handlers, list[str]]:
    """An async handler that notes when it runs, and a sync one."""
    handlers, seen = Handlers(), []

    @handlers.on("/app/slow")
    async def wait(call: Call) -> None:
        seen.append(call.text)
        call.publish("/topic/done", call.body)

    handlers.on("/app/quick")(lambda call: seen.append(call.text))
    return handlers, seen


def test_calls_of_a_session_run_in_its_order_and_receipts_come_in_it() -> None:
    handlers, seen = slow()
    peers = served(handlers)
    peers.tell(
        "ann",
        send("/app/slow", "1", "receipt:1"),
        send("/app/quick", "2", "receipt:2"),
        send("/topic/a", "", "receipt:3"),
        send("/app/slow", "4", "receipt:4"),
    )
    assert (seen, receipts(peers)) == ([], [])
    peers.run_job()
    assert (seen, receipts(peers)) == (["1", "2"], ["1", "2", "3"])
    peers.run_job()
    assert (seen, receipts(peers)) == (["1", "2", "4"], ["4"])
    assert peers.hub.next_job() is None


def test_sessions_do_not_wait_for_one_another() -> None:
    handlers, seen = slow()
    peers = served(handlers)
    peers.enter("bob")
    peers.tell("ann", send("/app/slow", "1"))
    peers.tell("bob", send("/app/quick", "2", "receipt:2"))
    assert (seen, receipts(peers, "bob")) == (["2"], ["2"])
    peers.tell("bob", send("/app/slow", "3"))
    for _ in range(2):
        peers.run_job()
    assert seen == ["2", "1", "3"]


def test_a_session_with_too_many_calls_is_held_and_then_released() -> None:
    handlers, seen = slow()
    peers = served(handlers, limits=Limits(handler_backlog=2, frame_size_before_login=200))
    session = peers.sessions["ann"]
    peers.tell("ann", *(send("/app/slow", str(number)) for number in range(6)))
    wanted = [session.wants_read]
    peers.tell("ann", "\n" * 200)
    wanted.append(session.wants_read)
    for _ in range(6):
        peers.run_job()
    assert seen == list("012345")
    assert [*wanted, session.wants_read] == [True, False, True]
    assert peers.say("ann", send("/app/quick", "", "receipt:r")) != []


def test_a_call_that_waited_is_not_made_on_a_dead_token() -> None:
    handlers, seen = slow()
    peers = served(handlers)
    peers.tell("ann", send("/app/slow", "1", "receipt:1"), send("/app/quick", "2", "receipt:2"))
    job = peers.hub.next_job()
    assert job is not None
    job.close()
    peers.now = NOW + 60
    peers.hub.finish(job, now=peers.now)
    (error,) = peers.heard("ann")
    assert error.headers["error-code"] == "token-expired"
    assert seen == []
    assert peers.hub.snapshot().expiries == {"timer": 1}
    assert len(peers.hub) == 0


@pytest.mark.parametrize("how", ["expired", "revoked"])
def test_a_call_that_runs_past_its_tokens_end_takes_no_effect(how: str) -> None:
    """Nobody was told that it was done, so its sender will send it again."""
    handlers = Handlers()

    @handlers.on("/app/slow")
    async def slowly(call: Call) -> None:
        call.publish("/queue/done", call.body)

    peers = served(handlers)
    peers.tell("ann", send("/app/slow", "1", "receipt:1"))
    if how == "revoked":
        peers.hub.revoke(subject="ann", now=NOW)
    else:
        peers.now = NOW + 60
    peers.run_job()
    assert peers.hub.snapshot().queued_messages == 0
    (error,) = peers.heard("ann")
    assert error.headers["error-code"] == f"token-{how}"


def test_a_call_takes_effect_though_its_peer_has_left_meanwhile() -> None:
    handlers = Handlers()

    @handlers.on("/app/slow")
    async def slowly(call: Call) -> None:
        call.publish("/queue/done", call.body)

    peers = served(handlers)
    peers.tell("ann", send("/app/slow", "1"))
    peers.tell("ann", frame("DISCONNECT"))
    peers.run_job()
    assert peers.hub.snapshot().queued_messages == 1


def test_a_call_that_waited_is_not_made_for_a_session_that_was_ended() -> None:
    handlers, seen = slow()
    peers = served(handlers)
    peers.tell("ann", send("/app/slow", "1"), send("/app/quick", "2"))
    peers.hub.revoke(session_id="ann", now=NOW)
    assert peers.error("ann").headers["error-code"] == "token-revoked"
    peers.run_job()
    assert seen == ["1"]
    assert peers.heard("ann") == []


def test_a_call_that_waited_asks_for_the_rights_of_the_new_token() -> None:
    handlers, seen = slow()
    policy = Grants([Grant("/app/slow"), Grant("/app/quick", scopes={"q"})])
    peers = Peers(handlers=handlers, policy=policy)
    peers.enter("ann", token("ann", scope="q"))
    peers.tell(
        "ann",
        send("/app/slow", "1"),
        send("/app/quick", "2", "receipt:2"),
        send("/auth/refresh", token("ann", life=120)),
    )
    peers.run_job()
    answer = peers.error("ann")
    assert (answer.headers["error-code"], answer.headers["receipt-id"]) == ("access-denied", "2")
    assert seen == ["1"]


def test_calls_of_a_peer_that_said_goodbye_are_still_made() -> None:
    handlers, seen = slow()
    peers = served(handlers)
    peers.enter("bob")
    peers.tell("bob", subscribe("/topic/done"))
    peers.tell(
        "ann",
        send("/app/slow", "1", "receipt:1"),
        send("/app/quick", "2"),
        frame("DISCONNECT", "receipt:bye"),
    )
    assert receipts(peers) == []
    peers.run_job()
    assert seen == ["1", "2"]
    assert receipts(peers) == ["1", "bye"]
    assert peers.bodies("bob") == ["1"]


def test_calls_of_a_peer_that_is_gone_are_still_made() -> None:
    handlers, seen = slow()
    peers = served(handlers)
    peers.tell("ann", send("/app/slow", "1"), send("/app/quick", "2"))
    peers.leave("ann")
    peers.run_job()
    assert seen == ["1", "2"]
    assert len(peers.hub) == 0


# --- in transactions ------------------------------------------------------------------------------


def commit(*frames: str) -> list[str]:
    return [
        frame("BEGIN", "transaction:t"),
        *(each.replace("\n\n", "\ntransaction:t\n\n", 1) for each in frames),
        frame("COMMIT", "transaction:t", "receipt:c"),
    ]


def test_a_commit_is_done_when_the_last_of_its_calls_is() -> None:
    handlers, seen = slow()
    peers = served(handlers)
    peers.tell("ann", subscribe("/topic/a"))
    sent = [send("/app/slow", "1"), send("/topic/a", "2"), send("/app/slow", "3")]
    peers.tell("ann", *commit(*sent))
    assert peers.bodies("ann") == ["2"]
    peers.run_job()
    assert peers.heard("ann") == []
    peers.run_job()
    assert receipts(peers) == ["c"]
    assert seen == ["1", "3"]


def test_a_call_that_fails_fails_its_commit() -> None:
    handlers, seen = slow()

    @handlers.on("/app/no")
    def no(call: Call) -> None:
        raise Refused("No.")

    peers = served(handlers)
    peers.tell("ann", *commit(send("/app/no"), send("/app/quick", "1"), send("/queue/a", "2")))
    answer = peers.error("ann")
    assert (answer.headers["error-code"], answer.headers["receipt-id"]) == ("access-denied", "c")
    assert (seen, peers.hub.snapshot().queued_messages) == ([], 0)


def test_a_commit_to_where_the_peer_may_not_send_does_nothing() -> None:
    handlers, seen = slow()
    peers = served(handlers, policy=Grants([Grant("/app/quick")]))
    peers.tell("ann", *commit(send("/app/quick", "1"), send("/topic/a", "2")))
    assert peers.error("ann").headers["error-code"] == "access-denied"
    assert seen == []


def test_a_transaction_may_have_more_calls_than_the_backlog() -> None:
    handlers, seen = slow()
    peers = served(handlers, limits=Limits(handler_backlog=1))
    peers.tell("ann", *commit(*(send("/app/slow", str(number)) for number in range(4))))
    for _ in range(4):
        peers.run_job()
    assert (seen, receipts(peers)) == (list("0123"), ["c"])


# --- jobs -----------------------------------------------------------------------------------------


def test_a_job_that_is_never_run_can_be_closed() -> None:
    async def handler(call: Call) -> None:
        raise AssertionError

    call = Call(
        destination="/app/a",
        params={},
        headers=Headers(),
        body=b"",
        identity=Identity(subject="ann", expires_at=None),
        session_id="s",
    )
    job = Job(call, handler(call))
    job.close()  # a coroutine that was never awaited would warn
    assert job.error is None
