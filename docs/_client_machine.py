"""Write the page of the client's machine from a walk through all of its states.

python -m docs._client_machine            writes docs/client-machine.md
python -m docs._client_machine --check    fails if the page is not what would be written
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from docs._generate import write_or_check
from tests.unit.client_walk import Step, walk
from tests.unit.client_world import Combined

from stompcore._state import ConnectionState, HandoverState, TokenState
from stompcore._timers import Timer

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).with_name("client-machine.md")

_HEAD = """\
<!-- Written by docs/_client_machine.py, from a walk. Do not edit it: `make diagrams`. -->

# The client's machine

Where a client's connection is, whether it has a token, and how far a handover is: three tables, on
the page of [state machines](state-machines.md). Here they are at work together: every combination
that can be reached, and what comes of everything that can happen there.

This page is written from a walk. It begins with a new client of each kind (without a token source;
without a refresh ahead of time; with one, by a break and by an overlap), tries whatever its user,
its driver, its server, its token source and the time can do, and goes on from where that leads,
until it finds nothing new. It finds {combined} combinations, in some hundred states that differ in
what else decides: how far each connection is, which timers run, what is subscribed.

The tests take the same walk, over WebSockets too, and hold each of its steps against rules that
were written by hand: what misuse raises, and that it changes nothing; which trigger may move which
table; what is true of a client wherever it is; and that it finds its way to a good end once the
network, the server and the token source work.

A column is a state of the token, a row what happens, a cell what comes of it. A cell names only
what is different afterwards. Where it names several, what else there is decides: after an expiry,
say, a client dials at once, or has to wait for the backoff. "Stays" is no change in these tables;
an empty cell cannot happen.

- *(new)* and *(old)* are the two connections of a handover that are not the current one. While the
  new one is being subscribed, the old one is current still; while the old one is retiring, the new
  one is.
- An ERROR, or a close with its code, is *expired* if another token would do, *revoked* if none
  would, and *other* otherwise.
- CONNECTED twice, or anything but CONNECTED or ERROR before it, is out of turn: the server's fault,
  and the end of the connection.
- Answers that come late, of an epoch or a generation that is over, change nothing anywhere, and
  neither does a time-out that comes early.
"""

# Misuse, and what changes nothing anywhere, is for the tests alone.
_SKIPPED = ("late: ", "misuse: ", "crossing", "timers, early", "ACK in a transaction")


class _Row(NamedTuple):
    """A row of the tables.

    Args:
        label: what happens, in words.
        kind: what the walk calls it.
    """

    label: str
    kind: str


def _of_server(label: str, kind: str) -> tuple[_Row, ...]:
    return (
        _Row(label, kind),
        _Row(f"{label} (new)", f"{kind} (new)"),
        _Row(f"{label} (old)", f"{kind} (old)"),
    )


_ROWS: tuple[_Row, ...] = (
    _Row("`start`", "start"),
    _Row("`close`", "close"),
    _Row("`abort`", "abort"),
    _Row("`send`", "send"),
    _Row("`subscribe`", "subscribe"),
    _Row("`unsubscribe`", "unsubscribe"),
    _Row("`hold` and `release`", "hold, release"),
    _Row("`ack` and `nack`", "ACK, NACK"),
    _Row("`begin`", "begin"),
    _Row("`send_in`", "send in a transaction"),
    _Row("`commit`", "COMMIT"),
    _Row("`abort_transaction`", "ABORT"),
    _Row("`dialed`", "dialed"),
    _Row("`dial_failed`", "dial failed"),
    _Row("`token`", "token"),
    _Row("`token` with the same again", "the same token"),
    _Row("`token` of another user", "token of another user"),
    _Row("`token` with nothing, or `token_failed`", "no token"),
    _Row("`token_failed`, permanent", "unauthorized"),
    *_of_server("CONNECTED", "CONNECTED"),
    *_of_server("CONNECTED as another user", "CONNECTED as another user"),
    *_of_server("MESSAGE", "MESSAGE"),
    *_of_server("RECEIPT for a message", "RECEIPT"),
    *_of_server("RECEIPT for SUBSCRIBE", "RECEIPT for SUBSCRIBE"),
    *_of_server("RECEIPT for COMMIT", "RECEIPT for COMMIT"),
    *_of_server("RECEIPT for the token", "RECEIPT for the token"),
    *_of_server("RECEIPT for DISCONNECT", "RECEIPT for DISCONNECT"),
    *_of_server("ERROR, other", "ERROR"),
    *_of_server("ERROR, expired", "ERROR: token"),
    *_of_server("ERROR, revoked", "ERROR: revoked"),
    *_of_server("no STOMP", "garbage"),
    *_of_server("the end", "end"),
    *(row for each in Timer for row in _of_server(f"`Timer.{each.name}`", f"timer {each.name}")),
)

#: What may come of something that happens.
_Outcomes = Mapping[str, set[str]]

_SAME = "stays"


def page() -> str:
    """The whole page."""
    found: dict[Combined, dict[str, set[str]]] = {}
    for step in walk(skip=_SKIPPED):
        outcomes = found.setdefault(step.before, {})
        if step.node.world.client.wants_read:  # or it would not hear what happens
            outcomes.setdefault(step.trigger.kind, set()).add(_outcome(step))
    parts = [_HEAD.format(combined=len(found))]
    for connection in ConnectionState:
        for handover in HandoverState:
            columns = {
                token: found[Combined(connection, token, handover)]
                for token in TokenState
                if Combined(connection, token, handover) in found
            }
            if columns:
                parts.append("\n".join(_section(connection, handover, columns)))
    return "\n".join(parts)


def _outcome(step: Step) -> str:
    """What came of a step: only what is different from before."""
    if step.error is not None:
        return f"raises `{type(step.error).__name__}`"
    before, after = step.before, step.after.state
    words = []
    if after.connection is not before.connection:
        words.append(after.connection.value)
    if after.token is not before.token:
        words.append(f"token {after.token.value}")
    if after.handover is not before.handover:
        is_over = after.handover is HandoverState.NONE
        words.append("no handover" if is_over else f"handover {after.handover.value}")
    return ", ".join(words) or _SAME


def _section(
    connection: ConnectionState,
    handover: HandoverState,
    columns: Mapping[TokenState, _Outcomes],
) -> Iterator[str]:
    title = connection.value.capitalize()
    yield (
        f"## {title}"
        if handover is HandoverState.NONE
        else f"## {title}, handover {handover.value}"
    )
    yield ""
    rows = [
        (row.label, tuple(_cell(outcomes.get(row.kind, ())) for outcomes in columns.values()))
        for row in _ROWS
    ]
    # What comes to the same stands in one row. What is the same whatever the token is said in
    # words, if it is nothing or raises.
    together: dict[tuple[str, ...], list[str]] = {}
    for label, cells in rows:
        if any(cells):
            together.setdefault(cells, []).append(label)
    said: dict[str, list[str]] = {}
    for cells in list(together):
        (only, *others) = set(cells) - {""}
        if not others and (only == _SAME or only.startswith("raises")):
            said.setdefault(only, []).extend(together.pop(cells))
    if together:
        heads = [token.value for token in columns]
        if all(len(set(cells)) == 1 for cells in together):
            heads, together = ["any token"], {cells[:1]: each for cells, each in together.items()}
        yield f"| | {' | '.join(heads)} |"
        yield f"|---|{'---|' * len(heads)}"
        for cells, labels in together.items():
            yield f"| {'<br>'.join(labels)} | {' | '.join(cells)} |"
        yield ""
    order = [label for label, _ in rows]
    for outcome, labels in sorted(said.items(), reverse=True):
        words = "No change" if outcome == _SAME else outcome.replace("raises", "Raises")
        yield f"{words}: {', '.join(sorted(labels, key=order.index))}."
        yield ""


def _cell(outcomes: Iterable[str]) -> str:
    return "<br>".join(sorted(outcomes, key=lambda each: (each != _SAME, each)))


if __name__ == "__main__":
    sys.exit(write_or_check(PAGE, page(), __doc__))
