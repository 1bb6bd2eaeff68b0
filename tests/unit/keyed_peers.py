"""Peers whose SENDs carry a `message-key`, and handlers that they call."""

from __future__ import annotations

import asyncio

from tests.unit.hub_peers import Peers, frame, send, subscribe, token

from stompcore import Access, Command, Identity
from stompcore.handlers import Call, Handlers, Job

__all__ = [
    "Moody",
    "Running",
    "commit",
    "done",
    "duplicates",
    "entered",
    "join",
    "keyed",
    "listener",
    "receipts",
    "slow",
    "take",
]

LONG = 100_000.0  # a token's life, in seconds


def keyed(key: str = "k", to: str = "/topic/a", body: str = "x", *lines: str) -> str:
    return send(to, body, f"message-key:{key}", *lines)


def entered(*names: str, **settings: object) -> Peers:
    """Sessions of ann: each name is one; what begins with `bob` is bob's."""
    peers = Peers(**settings)  # type: ignore[arg-type]
    for name in names or ("ann",):
        join(peers, name)
    return peers


def join(peers: Peers, name: str) -> None:
    peers.enter(name, token("bob" if name.startswith("bob") else "ann", life=LONG))


def listener(peers: Peers, to: str = "/topic/a") -> None:
    join(peers, "bob")
    peers.tell("bob", subscribe(to))


def receipts(peers: Peers, name: str = "ann") -> list[str]:
    """The RECEIPTs that a peer has heard, and nothing else may have come."""
    found = peers.heard(name)
    assert all(each.command is Command.RECEIPT for each in found), found
    return [each.headers["receipt-id"] for each in found]


def duplicates(peers: Peers) -> int:
    return peers.hub.snapshot().duplicates


def done(peers: Peers) -> int:
    """How many messages the handlers of `slow` have put into their queue."""
    return peers.hub.snapshot().queued_messages


def commit(*frames: str) -> list[str]:
    """A transaction of these frames."""
    return [
        frame("BEGIN", "transaction:t"),
        *(each.replace("\n\n", "\ntransaction:t\n\n", 1) for each in frames),
        frame("COMMIT", "transaction:t", "receipt:c"),
    ]


def slow() -> tuple[Handlers, list[str]]:
    """Handlers that put what they are called with into a queue, and note that they were called."""
    handlers, ran = Handlers(), []

    @handlers.on("/app/slow")
    async def slowly(call: Call) -> None:
        ran.append(call.text)
        call.publish("/queue/done", call.body)

    @handlers.on("/app/quick")
    def quickly(call: Call) -> None:
        ran.append(call.text)
        call.publish("/queue/done", call.body)

    return handlers, ran


class Running:
    """A job whose end the hub hears of when this is called."""

    def __init__(self, peers: Peers, job: Job) -> None:
        self.job = job
        self._peers = peers
        asyncio.run(job.run())

    def __call__(self, error: Exception | None = None) -> None:
        self.job.error = error
        self._peers.reached(self._peers.hub.finish(self.job, now=self._peers.now))


def take(peers: Peers) -> Running:
    job = peers.hub.next_job()
    assert job is not None
    return Running(peers, job)


class Moody:
    """A policy that can change its mind."""

    def __init__(self) -> None:
        self.is_open = False

    def allows(self, identity: Identity, access: Access, destination: str) -> bool:
        return self.is_open or access is Access.SUBSCRIBE
