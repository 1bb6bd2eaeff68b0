"""Who may do what, asked by a server at every SEND, SUBSCRIBE and COMMIT."""

from __future__ import annotations

import pytest
from tests.unit.hub_peers import Peers, frame, send, subscribe, token

from stompcore import Access, Command, Ended, Grant, Grants, Identity
from stompcore.handlers import Handlers

POLICY = Grants(
    [
        Grant("/topic/open.**"),
        Grant("/topic/read.**", access=[Access.SUBSCRIBE]),
        Grant("/topic/write.**", access=[Access.SEND]),
        Grant("/topic/{subject}.**"),
        Grant("/queue/work", scopes=["work"]),
        Grant("/user/{subject}/**", access=[Access.SEND]),
        Grant("/user/queue/**", access=[Access.SUBSCRIBE]),
    ]
)


def entered(scope: str = "") -> Peers:
    peers = Peers(policy=POLICY)
    peers.enter("ann", token("ann", scope=scope))
    peers.enter("bob")
    return peers


ALLOWED = [
    send("/topic/open.a"),
    subscribe("/topic/open.*"),
    subscribe("/topic/read.**"),
    send("/topic/write.a"),
    send("/topic/ann.a"),
    subscribe("/topic/ann.**"),
    send("/user/ann/queue/x"),
    subscribe("/user/queue/x"),
    subscribe("/temp-queue/x"),
    send("/reply/anything"),
]
DENIED = [
    send("/topic/read.a"),
    subscribe("/topic/write.a"),
    subscribe("/topic/**"),
    subscribe("/topic/*.a"),
    send("/topic/bob.a"),
    subscribe("/topic/bob.a"),
    send("/queue/work"),
    subscribe("/queue/work"),
    subscribe("/user/bob/queue/x"),
    send("/user/bob/queue/x"),
    send("/cue/nowhere"),
]


@pytest.mark.parametrize("data", ALLOWED, ids=repr)
def test_what_is_granted_is_done(data: str) -> None:
    peers = entered()
    heard = peers.say("ann", data.replace("\n", "\nreceipt:r\n", 1))
    assert Command.RECEIPT in [each.command for each in heard]


@pytest.mark.parametrize("data", DENIED, ids=repr)
def test_what_is_not_granted_ends_the_session(data: str) -> None:
    peers = entered()
    peers.tell("bob", subscribe("/topic/open.a"))
    peers.tell("ann", data.replace("\n", "\nreceipt:r\n", 1), send("/topic/open.a"))
    error, session = peers.error("ann"), peers.sessions["ann"]
    assert error.headers["error-code"] == "access-denied"
    assert error.headers["receipt-id"] == "r"
    assert error.headers["message"] == "Access Denied"
    assert error.body in (b"You may not send there.", b"You may not listen there.")
    assert session.close is not None
    assert (session.close.code, session.close.reason) == (3003, "Access Denied")
    assert peers.bodies("bob") == []
    assert [each.session_id for each in peers.hub] == ["bob"]


@pytest.mark.parametrize("bad", [send("/topic/read.a"), send("/queue/work")], ids=repr)
@pytest.mark.parametrize("first", [True, False])
def test_a_commit_is_asked_for_as_a_whole(bad: str, first: bool) -> None:
    peers = entered()
    peers.tell("bob", subscribe("/topic/open.a"))
    good = send("/topic/open.a", "good")
    held = [bad, good] if first else [good, bad]
    peers.tell("ann", frame("BEGIN", "transaction:t"))
    peers.tell("ann", *(each.replace("\n", "\ntransaction:t\n", 1) for each in held))
    assert peers.heard("ann") == []  # it is asked at COMMIT
    peers.tell("ann", frame("COMMIT", "transaction:t", "receipt:c"))
    error = peers.error("ann")
    assert (error.headers["error-code"], error.headers["receipt-id"]) == ("access-denied", "c")
    assert peers.bodies("bob") == []


def test_a_scope_opens_what_it_is_for() -> None:
    peers = entered("work")
    (message,) = peers.say("ann", subscribe("/queue/work"), send("/queue/work", "job"))
    assert message.body == b"job"


def test_the_server_itself_needs_no_grant() -> None:
    peers = entered()
    peers.tell("ann", subscribe("/topic/read.a"))
    peers.hub.publish("/topic/read.a", b"news", now=peers.now)
    assert peers.bodies("ann") == ["news"]


class Breaks:
    """A policy with a bug."""

    is_broken = False

    def allows(self, identity: Identity, access: Access, destination: str) -> bool:
        if self.is_broken:
            raise ZeroDivisionError("secret")
        return True


@pytest.mark.parametrize(
    "frames",
    [
        [send("/topic/a", "x", "receipt:r")],
        [subscribe("/topic/a", "9", "receipt:r")],
        [send("/app/a", "x", "receipt:r")],
        [send("/auth/refresh", token("ann"), "receipt:r")],
        [
            frame("BEGIN", "transaction:t"),
            send("/topic/a", "x", "transaction:t"),
            frame("COMMIT", "transaction:t", "receipt:r"),
        ],
    ],
    ids=["send", "subscribe", "handler", "refresh", "commit"],
)
def test_a_policy_that_breaks_harms_that_session_alone(frames: list[str]) -> None:
    policy, handlers = Breaks(), Handlers()
    handlers.on("/app/a")(lambda call: None)
    peers = Peers(policy=policy, handlers=handlers)
    peers.enter("ann")
    peers.enter("bob")
    peers.tell("ann", subscribe("/topic/a"))
    peers.notices()
    policy.is_broken = True
    peers.tell("ann", *frames)
    error = peers.error("ann")
    assert (error.headers["error-code"], error.headers["receipt-id"]) == ("internal-error", "r")
    assert b"secret" not in error.body
    ended = peers.notices()[-1]
    assert isinstance(ended, Ended)
    assert isinstance(ended.cause, ZeroDivisionError)
    policy.is_broken = False
    (receipt,) = peers.say("bob", send("/topic/a", "x", "receipt:b"))
    assert receipt.command is Command.RECEIPT
