"""Every cell of every table: legal moves as the table says, all others raise and change nothing.

The tables below are the requirement, written a second time by hand: a line is
`state: trigger -> next, ...`, and what is not there is illegal.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from stompcore import _state
from stompcore._errors import LocalProtocolError
from stompcore._machine import StateMachine, Table


class Entry(NamedTuple):
    name: str
    table: Table[Any, Any]
    states: type[enum.Enum]
    triggers: type[enum.Enum]
    initial: str
    final: set[str]
    moves: str


ENTRIES = [
    Entry(
        "SERVER_SESSION",
        _state.SERVER_SESSION,
        _state.ServerState,
        _state.ServerTrigger,
        "CONNECTING",
        {"CLOSED"},
        """
        CONNECTING: CONNECT -> VERIFYING, END -> CLOSING, GONE -> CLOSED
        VERIFYING: ACCEPT -> OPEN, END -> CLOSING, GONE -> CLOSED
        OPEN: REFRESH -> REFRESHING, END -> CLOSING, GONE -> CLOSED
        REFRESHING: ACCEPT -> OPEN, END -> CLOSING, GONE -> CLOSED
        CLOSING: GONE -> CLOSED
        CLOSED:
        """,
    ),
    Entry(
        "CLIENT_CONNECTION",
        _state.CLIENT_CONNECTION,
        _state.ClientConnectionState,
        _state.ClientConnectionTrigger,
        "CONNECTING",
        {"CLOSED"},
        """
        CONNECTING: CONNECTED -> OPEN, END -> CLOSING, GONE -> CLOSED
        OPEN: DISCONNECT -> DISCONNECTING, END -> CLOSING, GONE -> CLOSED
        DISCONNECTING: END -> CLOSING, GONE -> CLOSED
        CLOSING: GONE -> CLOSED
        CLOSED:
        """,
    ),
    Entry(
        "ENDPOINT",
        _state.ENDPOINT,
        _state.EndpointState,
        _state.EndpointTrigger,
        "HANDSHAKE",
        {"CLOSED"},
        """
        HANDSHAKE: OPENED -> OPEN, REFUSE -> REFUSED, GONE -> CLOSED
        OPEN: CLOSE -> LOCAL_CLOSING, GONE -> CLOSED
        REFUSED: GONE -> CLOSED
        LOCAL_CLOSING: GONE -> CLOSED
        CLOSED:
        """,
    ),
    Entry(
        "CONNECTION",
        _state.CONNECTION,
        _state.ConnectionState,
        _state.ConnectionTrigger,
        "IDLE",
        {"STOPPED"},
        """
        IDLE: START -> WAITING, STOP -> STOPPED
        WAITING: DIAL -> DIALING, STOP -> STOPPED
        DIALING: DIALED -> CONNECTING, ENDED -> WAITING, STOP -> STOPPED
        CONNECTING: CONNECTED -> CONNECTED, ENDED -> WAITING, STOP -> STOPPED
        CONNECTED: ENDED -> WAITING, CLOSE -> DISCONNECTING, STOP -> STOPPED
        DISCONNECTING: STOP -> STOPPED
        STOPPED:
        """,
    ),
    Entry(
        "TOKEN",
        _state.TOKEN,
        _state.TokenState,
        _state.TokenTrigger,
        "NONE",
        {"REFUSED"},
        """
        NONE: FETCH -> FETCHING
        FETCHING: ARRIVED -> FRESH, FETCH_FAILED -> STALE, UNAUTHORIZED -> REFUSED
        FRESH: EXPIRED -> STALE, FETCH -> RENEWING
        RENEWING: ARRIVED -> FRESH, FETCH_FAILED -> FRESH, UNAUTHORIZED -> REFUSED, \
EXPIRED -> FETCHING
        STALE: FETCH -> FETCHING
        REFUSED:
        """,
    ),
    Entry(
        "SUBSCRIPTION",
        _state.SUBSCRIPTION,
        _state.SubscriptionState,
        _state.SubscriptionTrigger,
        "REQUESTED",
        {"ENDED"},
        """
        REQUESTED: CONFIRMED -> ACTIVE, LOST -> REQUESTED, END -> ENDED
        ACTIVE: LOST -> RESTORING, END -> ENDED
        RESTORING: CONFIRMED -> ACTIVE, LOST -> RESTORING, END -> ENDED
        ENDED:
        """,
    ),
    Entry(
        "MESSAGE",
        _state.MESSAGE,
        _state.MessageState,
        _state.MessageTrigger,
        "QUEUED",
        {"SENT", "CONFIRMED", "FAILED"},
        """
        QUEUED: SENT -> IN_FLIGHT, LET_GO -> SENT, FAIL -> FAILED
        IN_FLIGHT: RECEIPT -> CONFIRMED, LOST -> QUEUED, FAIL -> FAILED
        SENT:
        CONFIRMED:
        FAILED:
        """,
    ),
    Entry(
        "HANDOVER",
        _state.HANDOVER,
        _state.HandoverState,
        _state.HandoverTrigger,
        "NONE",
        set(),
        """
        NONE: BEGIN -> DIALING
        DIALING: DIALED -> CONNECTING, ABANDON -> NONE
        CONNECTING: CONNECTED -> RESTORING, ABANDON -> NONE
        RESTORING: RESTORED -> RETIRING, ABANDON -> NONE
        RETIRING: RETIRED -> NONE, ABANDON -> NONE
        """,
    ),
    Entry(
        "TRANSACTION",
        _state.TRANSACTION,
        _state.TransactionState,
        _state.TransactionTrigger,
        "OPEN",
        {"COMMITTED", "ABORTED", "FAILED"},
        """
        OPEN: COMMIT -> COMMITTING, ABORT -> ABORTED, FAIL -> FAILED
        COMMITTING: RECEIPT -> COMMITTED, FAIL -> FAILED
        COMMITTED:
        ABORTED:
        FAILED:
        """,
    ),
    Entry(
        "STATUS",
        _state.STATUS,
        _state.Status,
        _state.StatusTrigger,
        "OFFLINE",
        {"LOGGED_OUT"},
        """
        OFFLINE: CONNECTED -> ONLINE, GIVEN_UP -> OFFLINE, REFUSED -> LOGGED_OUT
        ONLINE: CONNECTED -> ONLINE, OVERDUE -> RECOVERING, GIVEN_UP -> OFFLINE, \
REFUSED -> LOGGED_OUT
        RECOVERING: CONNECTED -> ONLINE, GIVEN_UP -> OFFLINE, REFUSED -> LOGGED_OUT
        LOGGED_OUT:
        """,
    ),
]
EACH = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
CELLS = [
    pytest.param(entry, state, trigger, id=f"{entry.name}-{state.name}-{trigger.name}")
    for entry in ENTRIES
    for state in entry.states
    for trigger in entry.triggers
]


def required_moves(entry: Entry) -> dict[tuple[str, str], str]:
    moves = {}
    for line in entry.moves.strip().splitlines():
        state, _, rest = line.strip().partition(":")
        for trigger, target in re.findall(r"(\w+) -> (\w+)", rest):
            moves[state, trigger] = target
    return moves


@pytest.mark.parametrize(("entry", "state", "trigger"), CELLS)
def test_cell(entry: Entry, state: enum.Enum, trigger: enum.Enum) -> None:
    machine: StateMachine[Any, Any] = StateMachine(entry.table, state)
    target = required_moves(entry).get((state.name, trigger.name))
    assert machine.allows(trigger) is (target is not None)
    if target is None:
        with pytest.raises(LocalProtocolError, match=f"{trigger.name} .* {state.name}"):
            machine.fire(trigger)
        assert machine.state is state
    else:
        assert machine.fire(trigger) is entry.states[target]
        assert machine.state is entry.states[target]


@EACH
def test_every_state_has_a_row_and_every_row_is_a_state(entry: Entry) -> None:
    assert set(entry.table) == set(entry.states)


@EACH
def test_every_trigger_is_of_use(entry: Entry) -> None:
    assert {trigger for row in entry.table.values() for trigger in row} == set(entry.triggers)


def reachable(table: Table[Any, Any], start: enum.Enum) -> set[enum.Enum]:
    found = {start}
    waiting = [start]
    while waiting:
        for target in table[waiting.pop()].values():
            if target not in found:
                found.add(target)
                waiting.append(target)
    return found


@EACH
def test_every_state_can_be_reached(entry: Entry) -> None:
    assert reachable(entry.table, entry.states[entry.initial]) == set(entry.states)


@EACH
def test_only_final_states_have_no_way_out(entry: Entry) -> None:
    assert {state.name for state, row in entry.table.items() if not row} == entry.final


@EACH
def test_every_state_reaches_a_final_one(entry: Entry) -> None:
    # One that never ends comes back to where it began.
    final = {entry.states[name] for name in entry.final or {entry.initial}}
    for state in entry.states:
        assert reachable(entry.table, state) & final, state


def test_a_closing_side_can_only_be_gone() -> None:
    closing: list[Mapping[Any, Any]] = [
        _state.SERVER_SESSION[_state.ServerState.CLOSING],
        _state.CLIENT_CONNECTION[_state.ClientConnectionState.CLOSING],
        _state.ENDPOINT[_state.EndpointState.LOCAL_CLOSING],
    ]
    for row in closing:
        assert [(trigger.name, target.name) for trigger, target in row.items()] == [
            ("GONE", "CLOSED")
        ]


def test_every_table_is_here() -> None:
    tables = {name for name in _state.__all__ if name.isupper()}
    assert tables == {entry.name for entry in ENTRIES}
