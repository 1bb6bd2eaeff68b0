"""A walk through every state of a client: from each, everything that can happen to it is tried.

A state is what the tables say (`ConnectionState`, `TokenState`, `HandoverState`) and what else
decides about the next one: how far each connection is, which timers run, what is subscribed. The
walk is breadth first, and tries from the first client that it finds in a state; from its copies,
so that each trial begins with the same one.

Nothing is asserted here: the tests look at every step, and the documentation shows them.
"""

from __future__ import annotations

import enum
import io
import pickle
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, NamedTuple, TypeGuard

from tests.unit.client_triggers import Trigger, triggers
from tests.unit.client_world import SETUPS, WEB_SETUPS, Combined, Setup, World

from stompcore import _state
from stompcore._client import ClientSession
from stompcore._config import ClientConfig
from stompcore._endings import DEFAULT_RULES
from stompcore._frames import Command
from stompcore._headers import Version
from stompcore._machine import StateMachine
from stompcore._state import (
    ConnectionState,
    HandoverState,
)
from stompcore._timers import Timer

__all__ = ["Move", "Node", "Step", "freeze", "thaw", "walk"]


@dataclass(frozen=True)
class Node:
    """One state of the walk.

    Args:
        world: the first client that was found in it.
        frozen: it, to be copied.
        path: how it came there.
    """

    world: World
    frozen: bytes
    path: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """One trigger, and what came of it.

    Args:
        node: where; its client is not to be changed.
        trigger: what happened.
        after: the client after it.
        error: what it raised.
        moves: what it asked of the tables of the client, in order.
    """

    node: Node
    trigger: Trigger
    after: World
    error: Exception | None
    moves: tuple[Move, ...]

    @property
    def before(self) -> Combined:
        """Where the tables stood."""
        return self.node.world.state

    def has_changed_nothing(self) -> bool:
        """Whether nothing at all is different: no state, no deadline, nothing that waits."""
        return freeze(self.after) == self.node.frozen


# They decide nothing that the rest of a state does not say.
_UNCOUNTED = frozenset(
    {Timer.HANDOVER, Timer.OUTBOX, Timer.STABLE, Timer.RECOVERING, Timer.OFFLINE}
)


def signature(world: World) -> tuple[object, ...]:
    """What two clients have in common that will go the same ways."""
    client, credential = world.client, world.client._credential
    about: list[object] = [world.setup.name, world.state]
    for role, line in world.roles():
        about += [role, None if line.connection is None else line.connection.state]
    if client.closing:
        return tuple(about)
    about += sorted(set(client._timers._at) - _UNCOUNTED)
    about.append(client.state is ConnectionState.CONNECTED and client._redial.has_held(client.now))
    if credential is not None:
        about.append(credential._refusals)
        about.append(
            client.state is ConnectionState.WAITING and world.now >= credential._valid_until
        )
    if not client._is_open():
        return (*about, client._is_breaking)
    current = client._line
    if credential is not None and current is not None:
        about.append(current.generation == credential.token_generation)
        about.append(current.refresh_destination is not None)
    return (*about, client._reauth is not None, _use(world))


def _use(world: World) -> str:
    """What its user does with a connection, as far as that can keep it from being left."""
    client = world.client
    handover = client._handover
    if len(client._transactions):
        return "committing" if client._transactions.await_receipt else "in a transaction"
    if handover.state is HandoverState.RETIRING or not world.subscription:
        return ""
    if handover.state is HandoverState.RESTORING:
        return f"{world.subscription in handover.confirmed}"
    if handover.state is not HandoverState.NONE:
        return "subscribed"
    if not client._subscriptions.are_active:
        return "subscribing"
    return "listening" if client.wants_read else "held"


def walk(
    setups: tuple[Setup, ...] = SETUPS, *, skip: tuple[str, ...] = (), most: int = 5000
) -> Iterator[Step]:
    """Every state that can be reached, and all that can happen in each, state by state.

    Args:
        setups: the kinds of client.
        skip: the beginnings of the kinds of triggers that are left out.
        most: states; past that it gives up.
    """
    seen: set[tuple[object, ...]] = set()
    queue: deque[Node] = deque()

    def found(world: World, path: tuple[str, ...]) -> None:
        mark = signature(world)
        if mark in seen:
            return
        seen.add(mark)
        if len(seen) > most:
            raise RuntimeError(f"more than {most} states")
        world.told.clear()
        world.done.clear()
        # Twice, since what was never taken to pieces is put together in another way.
        frozen = freeze(thaw(freeze(world)))
        queue.append(Node(thaw(frozen), frozen, path))

    for setup in setups:
        world = World(setup)
        _watch(world.client)
        world.given.append(("message", world.client.send("/a", b"", now=world.now)))
        found(world, (setup.name,))
    while queue:
        node = queue.popleft()
        for trigger in triggers(node.world):
            if trigger.kind.startswith(skip):
                continue
            step = _step(node, trigger)
            yield step
            if step.error is None:
                found(step.after, (*node.path, str(trigger)))


def _step(node: Node, trigger: Trigger) -> Step:
    after = thaw(node.frozen)
    error: Exception | None = None
    _log.clear()
    try:
        trigger.act(after)
    except Exception as caught:
        error = caught.with_traceback(None)
    after.settle()
    return Step(node, trigger, after, error, tuple(_log))


# --- what is asked of the tables ------------------------------------------------------------------


class Move(NamedTuple):
    """Something that was asked of a table.

    Args:
        table: its name.
        before: the state.
        trigger: what was asked.
        after: the next state, or None if the table has none.
    """

    table: str
    before: enum.Enum
    trigger: enum.Enum
    after: enum.Enum | None


class _Row(dict[Any, Any]):
    """One row of a table, which writes down what it is asked for."""

    def __init__(self, table: str, state: enum.Enum, row: Mapping[Any, Any]) -> None:
        super().__init__(row)
        self._table = table
        self._state = state

    def __getitem__(self, trigger: enum.Enum) -> Any:
        _log.append(Move(self._table, self._state, trigger, self.get(trigger)))
        return super().__getitem__(trigger)


def _watched(name: str, table: Mapping[Any, Mapping[Any, Any]]) -> dict[Any, _Row]:
    return {state: _Row(name, state, row) for state, row in table.items()}


_log: list[Move] = []
_WATCHED = {
    "connection": _watched("connection", _state.CONNECTION),
    "token": _watched("token", _state.TOKEN),
    "handover": _watched("handover", _state.HANDOVER),
    "status": _watched("status", _state.STATUS),
}


def _watch(client: ClientSession) -> None:
    machines: dict[str, StateMachine[Any, Any]] = {
        "connection": client._table,
        "handover": client._handover._table,
        "status": client._standing._table,
    }
    if client._credential is not None:
        machines["token"] = client._credential._table
    for name, machine in machines.items():
        machine._table = _WATCHED[name]


def _parts(config: ClientConfig) -> Iterator[object]:
    for each in fields(config):
        value = getattr(config, each.name)
        if is_dataclass(value):
            yield value


def _is_enum(kind: object) -> TypeGuard[type[enum.Enum]]:
    return isinstance(kind, type) and issubclass(kind, enum.Enum)


# --- copies ---------------------------------------------------------------------------------------

_ALL = (*SETUPS, *WEB_SETUPS)
#: What no copy has to have for itself, by which it is known.
_SHARED = {
    id(each): each
    for each in (
        *(each for each in vars(_state).values() if isinstance(each, dict)),
        *_WATCHED.values(),
        DEFAULT_RULES,
        *_ALL,
        *(each.config for each in _ALL),
        *(of for each in _ALL for of in _parts(each.config)),
        *(member for kind in vars(_state).values() if _is_enum(kind) for member in kind),
        *Command,
        *Version,
        *Timer,
    )
}


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: object) -> int | None:
        return id(obj) if id(obj) in _SHARED else None


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, pid: Any) -> object:
        return _SHARED[pid]


def freeze(world: World) -> bytes:
    """A world, from which any number of others can be made that are equal to it.

    It is by far the quickest way to copy it: it is taken to pieces once only.
    """
    file = io.BytesIO()
    _Pickler(file, pickle.HIGHEST_PROTOCOL).dump(world)
    return file.getvalue()


def thaw(frozen: bytes) -> World:
    world = _Unpickler(io.BytesIO(frozen)).load()
    assert isinstance(world, World)
    return world
