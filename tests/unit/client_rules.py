"""What is right and what is wrong of a client, written down by hand, to be held against every step.

What may be misused and what that raises, which trigger may ask what of which table, and what is
true of a client in whatever state it is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from tests.unit.client_walk import Step
from tests.unit.client_world import World

from stompcore._errors import (
    ClientClosed,
    LocalProtocolError,
    NotConnected,
    OutboxFull,
    StaleEpoch,
)
from stompcore._events import ConnectionEnded, FetchToken, StatusChanged, Stopped
from stompcore._frames import Command
from stompcore._line import Line
from stompcore._state import (
    ClientConnectionState,
    ConnectionState,
    HandoverState,
    MessageState,
    Status,
    SubscriptionState,
    TokenState,
    TransactionState,
)
from stompcore._timers import Timer

__all__ = ["MOVES", "RULES", "faults_of"]

CLOSING = (ConnectionState.DISCONNECTING, ConnectionState.STOPPED)
CALLED = (TokenState.FETCHING, TokenState.RENEWING)
USABLE = (TokenState.FRESH, TokenState.RENEWING)


#: Every rule, and what it says.
RULES: dict[str, str] = {
    "raise": "misuse raises what it should, and nothing else raises",
    "unchanged": "what raises, comes late, or comes early changes nothing at all",
    "legal": "no table is asked for a move that it has not",
    "moves": "each trigger moves the tables that it may, as they say",
    "invariants": "what is true of every client is true of this one",
    "frames": "what is said to the server is in order",
    "deadline": "after a time-out the next deadline is later",
    "told": "what has happened is told",
    "outcome": "what has to come of it does come of it",
    "peace": "with a server, a network and a source that work, all comes to a good end",
}


# --- what a trigger raises ----------------------------------------------------------------------


def is_open(world: World, epoch: int) -> bool:
    """Whether frames can be sent on this connection."""
    line = world.lines.get(epoch)
    return line is not None and line.state is ClientConnectionState.OPEN


def current(world: World) -> int:
    """The epoch of the current connection, or what is none."""
    return next((line.epoch for role, line in world.roles() if not role), -1)


def transaction(world: World) -> tuple[int, bool]:
    """The epoch of the transaction, and whether it can be filled."""
    found = world.client._transactions.get(world.transaction)
    if found is None:
        return -1, False
    return found.epoch, found.state is TransactionState.OPEN


def fault_of(step: Step) -> type[Exception] | None:
    """What a trigger has to raise where it comes."""
    world, state = step.node.world, step.before
    kind, name = step.trigger.kind.removeprefix("misuse: "), step.trigger.name
    is_misuse = kind != step.trigger.kind
    closing = state.connection in CLOSING
    epoch, may_be_filled = transaction(world)
    match kind:
        case "start" if state.connection is not ConnectionState.IDLE:
            return LocalProtocolError
        case "send" | "subscribe" | "begin" if closing:
            return ClientClosed
        case "send" | "subscribe" if is_misuse:
            return OutboxFull if name == "too much" else LocalProtocolError
        case "begin":
            is_left = state.handover is HandoverState.RETIRING or world.client._is_breaking
            return None if is_open(world, current(world)) and not is_left else NotConnected
        case "send in a transaction" | "COMMIT" if name == "none" or not may_be_filled:
            return LocalProtocolError
        case "send in a transaction" | "COMMIT" if not is_open(world, epoch):
            return NotConnected
        case "ACK, NACK" | "ACK" | "ACK in a transaction":
            return fault_of_answer(world, name, closing=closing, asks=kind != "ACK")
    return None


def fault_of_answer(
    world: World, name: str, *, closing: bool, asks: bool
) -> type[Exception] | None:
    found = re.match(r"(-?\d+)(?: in (.*))?", name)
    assert found is not None
    by, within = int(found[1]), found[2]
    if closing or not is_open(world, by):
        return StaleEpoch
    if within:
        epoch, may_be_filled = transaction(world)
        if not may_be_filled:
            return LocalProtocolError
        if epoch != by:
            return StaleEpoch
    return None if asks else LocalProtocolError


# --- what a trigger asks of the tables ----------------------------------------------------------


# What comes of a connection's end: the next one, or the one that there is already, or none.
END = "ENDED STOP DIAL DIALED CONNECTED EXPIRED FETCH ABANDON RETIRED BEGIN GIVEN_UP"
#: What is not here asks nothing of any table.
MOVES: Mapping[str, str] = {
    "start": "START FETCH DIAL",
    "close": "CLOSE STOP ABANDON RETIRED GIVEN_UP",
    "abort": "STOP ABANDON GIVEN_UP",
    # What a handover has waited for.
    "unsubscribe": "RESTORED",
    "subscribe": "RESTORED",
    "ABORT": "RESTORED BEGIN",
    "RECEIPT for COMMIT": "RESTORED BEGIN",
    "RECEIPT for SUBSCRIBE": "RESTORED",
    "dialed": "DIALED",
    "dial failed": "ENDED ABANDON",
    "token": "ARRIVED DIAL BEGIN",
    "the same token": "FETCH_FAILED ARRIVED DIAL",
    "no token": "FETCH_FAILED",
    "token of another user": "UNAUTHORIZED STOP ABANDON REFUSED",
    "unauthorized": "UNAUTHORIZED STOP ABANDON REFUSED",
    # Out of turn, all of these are the end.
    "MESSAGE": END,
    "RECEIPT": END,
    "CONNECTED": f"{END} RESTORED",
    "CONNECTED as another user": f"{END} REFUSED",
    "RECEIPT for DISCONNECT": END,
    "end": END,
    "garbage": END,
    "ERROR": END,
    "ERROR: token": f"{END} REFUSED",
    "ERROR: revoked": f"{END} REFUSED",
    "crossing": f"{END} CLOSE RESTORED",
    "timer CLOSE": END,
    "timer CONNECT": END,
    "timer PEER_SILENT": END,
    "timer REAUTH": END,
    "timer DIAL": "ENDED ABANDON",
    "timer HANDOVER": "ABANDON",
    "timer TOKEN_FETCH": "FETCH_FAILED",
    "timer TOKEN_RETRY": "FETCH DIAL BEGIN",
    "timer TOKEN_REFRESH": "FETCH",
    "timer REDIAL": "DIAL BEGIN EXPIRED FETCH",
    "timer RECOVERING": "OVERDUE",
    "timer OFFLINE": "GIVEN_UP",
    "time": f"{END} OVERDUE FETCH_FAILED REFUSED",
}


# --- what is true of every client ---------------------------------------------------------------


def faults(world: World) -> Iterator[str]:
    """What is wrong with a client that was left as the contract says, in words."""
    client, state = world.client, world.state
    roles = dict(world.roles())
    line = roles.get("")
    has_transport = line is not None and line.connection is not None
    deadline, reason = client.next_deadline(), client.deadline_reason()
    if (deadline is None) != (reason is None):
        yield "a deadline and a reason come together"
    match state.connection:
        case ConnectionState.IDLE | ConnectionState.WAITING | ConnectionState.STOPPED if roles:
            yield "it has a connection"
        case ConnectionState.DIALING if line is None or has_transport:
            yield "it dials nothing"
        case (
            ConnectionState.CONNECTING | ConnectionState.CONNECTED | ConnectionState.DISCONNECTING
        ) if not has_transport:
            yield "it has no connection"
    dials = state.connection in (ConnectionState.DIALING, ConnectionState.CONNECTING)
    if dials and world.setup.has_token and state.token not in USABLE:
        yield "it dials without a token that counts"
    rests = state.connection in (ConnectionState.IDLE, ConnectionState.CONNECTED)
    if not rests and (deadline is None) != client.closed:
        yield "it waits for something that never comes, or did not stop"
    asks = state.token in CALLED and not client.closing
    if asks and client._timers.at(Timer.TOKEN_FETCH) is None:
        yield "it waits for the token source without an end"
    yield from _faults_of_handover(world, roles)
    if client.status is Status.LOGGED_OUT and not client.closed:
        yield "it is logged out and goes on"
    if client.status is not Status.ONLINE and state.connection is ConnectionState.CONNECTED:
        yield "it is connected, and does not show it"
    if sorted(world.lines) != sorted(
        each.epoch for each in roles.values() if each.connection is not None
    ):
        yield "a transport is left open, or was closed too soon"
    if client.bytes_queued:
        yield "what was taken is still counted"
    if client.wants_read is _may_rest(world):
        yield "it reads what nobody reads, or not what it waits for"
    is_asking = client._reauth is not None and not client.closing
    if is_asking != (client._timers.at(Timer.REAUTH) is not None):
        yield "it waits for a RECEIPT for the token without an end, or for none"
    epochs = {each.epoch for each in roles.values()}
    if not {each.epoch for each in client._transactions} <= epochs:
        yield "a transaction has outlived its connection"
    yield from _faults_of_fates(world)


def _faults_of_handover(world: World, roles: Mapping[str, Line]) -> Iterator[str]:
    handover = world.state.handover
    wanted = {
        HandoverState.NONE: set(),
        HandoverState.RETIRING: {"old"},
    }.get(handover, {"new"})
    if {"old", "new"} & set(roles) != wanted:
        yield "the handover has not the connections that it speaks of"
    if handover is HandoverState.NONE:
        return
    if world.state.connection is not ConnectionState.CONNECTED:
        yield "it hands over without being connected"
    if world.client.next_deadline() is None:
        yield "it hands over without an end"
    client = world.client
    if handover is HandoverState.RETIRING and len(client._transactions):
        yield "it leaves a connection on which there is a transaction"
    new = client._handover.new
    is_free = new is not None and new.is_open and not len(client._transactions)
    are_confirmed = {each.id for each in client._subscriptions} <= client._handover.confirmed
    if handover is HandoverState.RESTORING and is_free and are_confirmed:
        yield "it has nothing to wait for, and does not leave the old connection"


def _may_rest(world: World) -> bool:
    """Whether messages wait for their reader, and no answer is to come behind them."""
    client = world.client
    return (
        bool(client._unread)
        and is_open(world, current(world))
        and client.state is ConnectionState.CONNECTED
        and client.handover_state is HandoverState.NONE
        and client._reauth is None
        and all(each.state is SubscriptionState.ACTIVE for each in client._subscriptions)
        and all(each.state is not MessageState.IN_FLIGHT for each in client._outbox.pending())
        and all(each.state is TransactionState.OPEN for each in client._transactions)
    )


def _faults_of_fates(world: World) -> Iterator[str]:
    for what, count in Counter(world.fates).items():
        if count > 1:
            yield f"{what} met its fate {count} times"
    if len(set(world.hung_up)) < len(world.hung_up) or not set(world.hung_up) <= set(world.dialed):
        yield "it hangs up twice, or what it never dialled"
    if world.dialed != list(range(1, len(world.dialed) + 1)):
        yield "an epoch is left out, or dialled twice"
    if world.fetched != list(range(1, len(world.fetched) + 1)):
        yield "a generation is left out, or asked for twice"
    open_fates = set(world.given) - set(world.fates)
    held: set[tuple[str, object]] = {
        ("message", each.key) for each in world.client._outbox.pending()
    }
    held |= {("subscription", each.id) for each in world.client._subscriptions}
    held |= {("transaction", each.name) for each in world.client._transactions}
    if open_fates != held:
        yield "it has forgotten something, or remembers what is over"
    if world.client.closed:
        if open_fates:
            yield "it has stopped, and not said what has become of everything"
        if sorted(world.dialed) != sorted(world.hung_up):
            yield "it has stopped, and not hung up"


def faults_of_frames(world: World) -> Iterator[str]:
    """What is wrong with what was said to the server."""
    for epoch, said in world.said.items():
        if said[:1] not in ([], [Command.CONNECT]) or Command.CONNECT in said[1:]:
            yield "CONNECT comes first, and once"
        if Command.DISCONNECT in said[:-1]:
            yield "nothing comes behind DISCONNECT"
        line = world.lines.get(epoch)
        if line is not None and line.version is None and len(said) > 1:
            yield "nothing is said before CONNECTED"


def faults_of(step: Step) -> Iterator[tuple[str, str]]:
    """What is wrong with a step: the rule that it breaks, and how."""
    kind, after = step.trigger.kind, step.after
    wanted = fault_of(step)
    if type(step.error) is not (type(None) if wanted is None else wanted):
        yield "raise", f"raised {step.error!r} where it should have {wanted}"
    is_void = kind.startswith("late: ") or kind == "timers, early"
    if (is_void or step.error is not None) and not step.has_changed_nothing():
        yield "unchanged", f"raised {step.error!r} and changed something"
    is_refused = any(move.after is None for move in step.moves)
    if is_refused and step.error is None:
        yield "legal", f"asked for {[m for m in step.moves if m.after is None]}, and hid it"
    kind = re.sub(r" \((old|new)\)$", "", kind)
    asked = {move.trigger.name for move in step.moves if move.after is not None}
    if not asked <= set(MOVES.get(kind, "").split()):
        yield "moves", f"asked for {asked - set(MOVES.get(kind, '').split())}"
    yield from (("moves", fault) for fault in _faults_of_moves(step))
    yield from (("invariants", fault) for fault in faults(after))
    yield from (("frames", fault) for fault in faults_of_frames(after))
    deadline = after.client.next_deadline()
    if kind.startswith("time") and deadline is not None and deadline <= after.client.now:
        yield "deadline", f"{after.client.deadline_reason()} is due still"
    yield from (("told", fault) for fault in _faults_of_told(step))
    if step.error is None and not _comes_out_right(step, kind):
        yield "outcome", f"{kind} has led to {after.state}"


def _faults_of_moves(step: Step) -> Iterator[str]:
    """Each table has gone, move by move, from where it was to where it is."""
    before, after = step.before, step.after.state
    ways = {
        "connection": (before.connection, after.connection),
        "token": (before.token, after.token),
        "handover": (before.handover, after.handover),
        "status": (step.node.world.client.status, step.after.client.status),
    }
    for name, (at, end) in ways.items():
        for move in step.moves:
            if move.table == name and move.after is not None:
                if move.before is not at:
                    yield f"{name} was moved by other hands"
                at = move.after
        if at is not end:
            yield f"{name} is not where its moves lead"


def _faults_of_told(step: Step) -> Iterator[str]:
    """What was told, and what was asked for, is what has happened."""
    after = step.after
    shown = [each.status for each in after.told if isinstance(each, StatusChanged)]
    if shown and shown[-1] is not after.client.status:
        yield "the status that was told last is not the status"
    if not shown and after.client.status is not step.node.world.client.status:
        yield "the status has changed, and nobody was told"
    has_stopped = after.client.closed and not step.node.world.client.closed
    if has_stopped and not isinstance(after.told[-1], Stopped):
        yield "it has stopped, and that is not the last thing that was told"
    ended = [each.epoch for each in after.told if isinstance(each, ConnectionEnded)]
    if not set(ended) <= set(after.hung_up):
        yield "a connection has ended, and was not hung up"
    fetches = [each for each in after.done if isinstance(each, FetchToken)]
    if (
        fetches
        and step.before.token in CALLED
        and "FETCH_FAILED" not in {move.trigger.name for move in step.moves}
    ):
        yield "the source is asked while it is being asked"


def _comes_out_right(step: Step, kind: str) -> bool:
    """Whether what has to come of a trigger has come of it."""
    before, after, client = step.before, step.after.state, step.node.world.client
    role = step.trigger.kind.removeprefix(kind).strip(" ()")
    line = next((each for name, each in step.node.world.roles() if name == role), None)
    has_stopped = after.connection is ConnectionState.STOPPED
    match kind:
        case "close":
            return after.connection in CLOSING
        case "abort" | "unauthorized" | "token of another user":
            return has_stopped
        case "token":
            return after.token is TokenState.FRESH
        case "no token":
            is_ahead = before.token is TokenState.RENEWING
            return after.token is (TokenState.FRESH if is_ahead else TokenState.STALE)
        case "dialed" if before.handover is HandoverState.DIALING:
            return after.handover is HandoverState.CONNECTING
        case "dialed":
            return after.connection is ConnectionState.CONNECTING
        case "dial failed" if before.handover is HandoverState.DIALING:
            return after.handover is HandoverState.NONE
        case "dial failed":
            return after.connection is ConnectionState.WAITING
    # The rest is the server's: what it says while nobody listens, or behind an ERROR, is for later.
    connection = None if line is None else line.connection
    if connection is None or connection.closing or not connection.wants_read:
        return True
    is_up = connection.version is not None
    match kind:
        case "end" | "garbage" | "ERROR" | "ERROR: token" | "ERROR: revoked" if client.closing:
            return has_stopped or step.node.world.setup.is_websocket
        case "CONNECTED as another user" if not is_up:
            return has_stopped
        case "ERROR: revoked" if role != "old":
            return has_stopped or _waits_for_close(step, line)
        case "ERROR: token" if role == "" and client._credential is not None:
            # A token that was refused is never sent again.
            assert line is not None
            is_newer = client._credential.token_generation != line.generation
            is_dead = after.token not in USABLE or has_stopped
            return is_newer or is_dead or _waits_for_close(step, line)
    return True


def _waits_for_close(step: Step, line: Line | None) -> bool:
    """An ERROR came over a WebSocket, whose close is still to come."""
    assert line is not None
    found = step.after.lines.get(line.epoch)
    return found is not None and found.state is ClientConnectionState.CLOSING
