"""From every state of a client, everything that can happen to it.

The walk of `client_walk` finds the states; here each of its steps is held against `client_rules`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache

import pytest
from tests.unit.client_peace import bring_to_peace
from tests.unit.client_rules import MOVES, RULES, faults_of
from tests.unit.client_walk import Move, Node, Step, freeze, walk
from tests.unit.client_world import SETUPS, WEB_SETUPS, Combined, Setup, World

from stompcore._frames import Command
from stompcore._state import (
    ConnectionState,
    HandoverState,
    TokenState,
    TokenTrigger,
)
from stompcore._timers import Timer

#: What is walked, and what is left out there, since it comes to the same as over plain TCP.
WALKED: dict[Setup, tuple[str, ...]] = {
    SETUPS[0]: (),
    SETUPS[1]: (),
    WEB_SETUPS[2]: (),
    SETUPS[3]: (),
    WEB_SETUPS[3]: ("late: ", "misuse: ", "timers, early", "crossing"),
}


# --- the walks ----------------------------------------------------------------------------------


@dataclass
class Findings:
    """What came of one walk.

    Args:
        states, steps: how many there were.
        kinds: of triggers, and how many of each.
        combined: where the tables stood.
        broken: what was wrong, by rule.
    """

    states: int = 0
    steps: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    combined: Counter[Combined] = field(default_factory=Counter)
    broken: dict[str, list[str]] = field(default_factory=dict)

    def note(self, rule: str, node: Node, what: object, fault: str) -> None:
        way = " > ".join((*node.path, str(what)))
        self.broken.setdefault(rule, []).append(f"{fault}\n    after {way}")


@cache
def findings(setup: Setup) -> Findings:
    found = Findings()
    node: Node | None = None
    for step in walk((setup,), skip=WALKED[setup]):
        if step.node is not node:
            node = step.node
            found.states += 1
            found.combined[step.before] += 1
            for fault in bring_to_peace(node):
                found.note("peace", node, "peace", fault)
        found.steps += 1
        found.kinds[step.trigger.kind] += 1
        for rule, fault in faults_of(step):
            found.note(rule, node, step.trigger, fault)
    return found


@pytest.mark.parametrize("rule", RULES, ids=[each.replace(" ", "-") for each in RULES.values()])
@pytest.mark.parametrize("setup", WALKED, ids=lambda setup: setup.name.replace(" ", "-"))
def test_from_every_state_everything(setup: Setup, rule: str) -> None:
    broken = findings(setup).broken
    assert set(broken) <= set(RULES)
    faults = broken.get(rule, [])
    assert not faults, f"{len(faults)} times, first\n{chr(10).join(faults[:3])}"


# --- what was covered ---------------------------------------------------------------------------


#: Every combination of the three tables that there is; the handover is NONE but where it is named.
REACHABLE = """
    IDLE: NONE
    WAITING: NONE FETCHING FRESH RENEWING STALE
    DIALING: NONE FRESH RENEWING
    CONNECTING: NONE FRESH RENEWING
    CONNECTED: NONE FETCHING FRESH RENEWING STALE
    CONNECTED, DIALING: FRESH RENEWING
    CONNECTED, CONNECTING: FRESH RENEWING
    CONNECTED, RESTORING: FRESH RENEWING
    CONNECTED, RETIRING: FRESH RENEWING
    DISCONNECTING: NONE FETCHING FRESH RENEWING STALE
    STOPPED: NONE FETCHING FRESH RENEWING STALE REFUSED
"""


def reachable() -> Iterator[Combined]:
    for line in REACHABLE.split("\n"):
        where, _, tokens = line.strip().partition(": ")
        connection, _, handover = where.partition(", ")
        for token in tokens.split():
            yield Combined(
                ConnectionState[connection],
                TokenState[token],
                HandoverState[handover or "NONE"],
            )


def test_the_tables_stand_together_in_no_other_way() -> None:
    found = {each for setup in WALKED for each in findings(setup).combined}
    assert found == set(reachable())


def test_everything_was_tried() -> None:
    kinds: Counter[str] = Counter()
    for setup in WALKED:
        kinds.update(findings(setup).kinds)
    bare = {re.sub(r" \((old|new)\)$", "", kind) for kind in kinds}
    assert set(MOVES) <= bare
    # Whatever a server says, it says on each of two connections as well.
    of_the_server = {kind for kind in bare if kind.split(" ")[0].strip(":") in FROM_THE_SERVER}
    for role in ("old", "new"):
        missing = {kind for kind in of_the_server if not kinds[f"{kind} ({role})"]}
        assert missing == NEVER_ON[role]


FROM_THE_SERVER = {"MESSAGE", "RECEIPT", "CONNECTED", "ERROR", "garbage", "end"}
NEVER_ON = {
    "old": {"RECEIPT for COMMIT", "RECEIPT for the token"},
    "new": {"RECEIPT for COMMIT", "RECEIPT for the token", "RECEIPT for DISCONNECT"},
}


def test_the_walks_were_long_enough() -> None:
    states = steps = 0
    for setup in WALKED:
        found = findings(setup)
        states += found.states
        steps += found.steps
        print(f"{setup.name}: {found.states} states, {found.steps} transitions")
    print(f"{states} states, {steps} transitions in all")
    assert states > 900
    assert steps > 60_000


# --- whether a fault would be found -------------------------------------------------------------


def step_of(kind: str, setup: Setup = SETUPS[1]) -> Step:
    """The first step of this kind that does something."""
    return next(step for step in walk((setup,)) if step.trigger.kind == kind and step.error is None)


def unlike(step: Step, change: Callable[[World], object]) -> Step:
    change(step.after)
    return step


FAULTY: dict[str, tuple[str, Callable[[], Step]]] = {
    "an error that nobody expects": (
        "raise",
        lambda: replace(step_of("send"), error=KeyError("x")),
    ),
    "an error that does not come": ("raise", lambda: replace(wrong_start(), error=None)),
    "an error behind a change": ("unchanged", lambda: unlike(wrong_start(), arm)),
    "an answer that comes late and counts": (
        "unchanged",
        lambda: unlike(step_of("late: token"), arm),
    ),
    "an illegal move that was hidden": (
        "legal",
        lambda: replace(
            step_of("send"),
            moves=(Move("token", TokenState.FRESH, TokenTrigger.ARRIVED, None),),
        ),
    ),
    "a move that the trigger may not make": (
        "moves",
        lambda: replace(step_of("dialed"), trigger=step_of("send").trigger),
    ),
    "a state that was set by hand": ("moves", lambda: replace(step_of("dialed"), moves=())),
    "a timer that was forgotten": (
        "invariants",
        lambda: unlike(step_of("start"), lambda it: it.client._timers.clear()),
    ),
    "a connection that was forgotten": (
        "invariants",
        lambda: unlike(step_of("CONNECTED"), lambda it: it.lines.clear()),
    ),
    "a message that was forgotten": (
        "invariants",
        lambda: unlike(step_of("send"), lambda it: it.client._outbox._messages.clear()),
    ),
    "a fate that was told twice": (
        "invariants",
        lambda: unlike(step_of("abort"), lambda it: it.fates.extend(it.fates)),
    ),
    "a transport that is not hung up": (
        "told",
        lambda: unlike(step_of("end"), lambda it: it.hung_up.clear()),
    ),
    "a frame before CONNECTED": (
        "frames",
        lambda: unlike(step_of("dialed"), lambda it: it.said[1].append(Command.SEND)),
    ),
    "a deadline that stays due": (
        "deadline",
        lambda: unlike(step_of("timer DIAL"), arm),
    ),
    "a status that nobody was told": (
        "told",
        lambda: unlike(step_of("CONNECTED"), lambda it: it.told.clear()),
    ),
}


def wrong_start() -> Step:
    return next(step for step in walk((SETUPS[1],)) if step.trigger.kind == "start" and step.error)


def arm(world: World) -> None:
    world.client._timers.set(Timer.REDIAL, world.client.now)


@pytest.mark.parametrize(("rule", "make"), FAULTY.values(), ids=list(FAULTY))
def test_a_fault_is_found(rule: str, make: Callable[[], Step]) -> None:
    assert rule in {rule for rule, _ in faults_of(make())}


def test_a_client_that_waits_for_nothing_does_not_find_its_peace() -> None:
    step = step_of("start")
    assert list(bring_to_peace(step.node)) == []
    step.after.client._timers.clear()
    step.after.client._credential = None
    stuck = replace(step.node, frozen=freeze(step.after))
    assert list(bring_to_peace(stuck)) == ["it waits for nothing, and has not done everything"]
