"""A world in which everything works, to see whether a client finds its peace in it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.unit.client_triggers import (
    dialed,
    frame,
    give,
    hears,
    receipt_comes,
    time_passes,
    token_of,
)
from tests.unit.client_walk import Node, thaw
from tests.unit.client_world import World

from stompcore._state import (
    ClientConnectionState,
    ConnectionState,
    HandoverState,
    Status,
    TokenState,
    TransactionState,
)

__all__ = ["bring_to_peace"]

_ENOUGH = 60
_UP = frame("CONNECTED", version="1.2", user_name="u1", token_ttl="100000")


def bring_to_peace(node: Node) -> Iterator[str]:
    """What is left undone when all goes well from here on, in words."""
    world = thaw(node.frozen)
    client = world.client
    for _ in range(_ENOUGH):
        if client.closed or _is_at_peace(world):
            break
        if not _goes_on(world):
            yield "it waits for nothing, and has not done everything"
            return
        world.settle()
    else:
        yield f"it has not come to rest after {_ENOUGH} steps"
        return
    if client.closed:
        return
    if client.status is not Status.ONLINE:
        yield "it is up, and does not show it"
    if client.unconfirmed or set(world.given) - set(world.fates) - {
        ("subscription", world.subscription)
    }:
        yield "something was never confirmed"
    if not client._subscriptions.are_active:
        yield "it is not subscribed"
    if _is_to_renew(world):
        yield "the server has not got the newest token"


def _is_at_peace(world: World) -> bool:
    client, line = world.client, world.client._line
    return (
        client.state is ConnectionState.CONNECTED
        and client.handover_state is HandoverState.NONE
        and client.token_state in (TokenState.FRESH, TokenState.NONE)
        and line is not None
        and line.is_open
        and client.wants_read
        and not world.asked[line.epoch]
        and not client._transactions.await_receipt
        and not _is_to_renew(world)
    )


def _is_to_renew(world: World) -> bool:
    credential, line = world.client._credential, world.client._line
    return (
        credential is not None
        and line is not None
        and line.generation != credential.token_generation
        and world.setup.refresh is not None
    )


def _goes_on(world: World) -> bool:
    """Do the next thing that there is to do; whether there was one."""
    client = world.client
    if client.state is ConnectionState.IDLE:
        client.start(now=world.now)
        return True
    if not client.closing:
        if world.subscription and not client.wants_read:
            client.release(world.subscription, now=world.now)
        found = client._transactions.get(world.transaction)
        if found is not None and found.state is TransactionState.OPEN:
            line = world.lines.get(found.epoch)
            if line is not None and line.state is ClientConnectionState.OPEN:
                client.commit(found.name, now=world.now)
                return True
        if client.token_state in (TokenState.FETCHING, TokenState.RENEWING):
            generation = world.fetched[-1]
            give(world, generation=generation, text=token_of("u1", generation))
            return True
    for _, each in world.roles():
        if each.connection is None:
            dialed(world, epoch=each.epoch)
            return True
        if each.connection.state is ClientConnectionState.CONNECTING:
            hears(world, epoch=each.epoch, data=_UP)
            return True
        if world.asked[each.epoch] and not each.connection.closing:
            receipt_comes(world, epoch=each.epoch, receipt=world.asked[each.epoch][0])
            return True
    deadline = client.next_deadline()
    if deadline is None:
        return False
    time_passes(world, at=deadline)
    return True
