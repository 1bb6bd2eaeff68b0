"""Draw the page of state machines from the tables that the machines run on.

python docs/_generate.py            writes docs/state-machines.md
python docs/_generate.py --check    fails if the page is not what would be written
"""

from __future__ import annotations

import argparse
import enum
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from stompcore import _state

__all__ = ["PAGE", "page", "tables"]

PAGE = Path(__file__).with_name("state-machines.md")

StateTable = Mapping[enum.Enum, Mapping[enum.Enum, enum.Enum]]

_HEAD = """\
<!-- Written by docs/_generate.py from src/stompcore/_state.py. Do not edit it: `make diagrams`. -->

# State machines
"""

_LEGEND = """\
Each machine is drawn and then written out. A row of a table is a state, a column is a trigger, a
cell is the next state. An empty cell is an illegal move: a machine that is asked for it raises
`LocalProtocolError` and stays where it is. The diagrams and the tables on this page are drawn from
the tables that the code runs on.
"""


def tables() -> dict[str, StateTable]:
    """Every transition table of the core, by name, in the order of the module."""
    return {name: value for name, value in vars(_state).items() if _is_table(value)}


def page() -> str:
    """The whole page."""
    prose = inspect.getdoc(_state) or ""
    parts = [_HEAD, prose + "\n", _LEGEND]
    parts += [_section(name, table) for name, table in tables().items()]
    return "\n".join(parts)


def _is_table(value: object) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(state, enum.Enum) for state in value)
        and all(isinstance(row, Mapping) for row in value.values())
    )


def _section(name: str, table: StateTable) -> str:
    states = type(next(iter(table)))
    summary, _, more = " ".join((inspect.getdoc(states) or "").split()).partition(". ")
    title = re.sub(r" *\(.*?\)", "", summary).rstrip(".")
    source = re.search(r"\((.*?)\)", summary)
    prose = " ".join(filter(None, [more, f"Source: {source[1]}." if source else ""]))
    lines = [f"## {title}", ""]
    if prose:
        lines += [prose, ""]
    lines += ["```mermaid", *_diagram(table), "```", ""]
    lines += [*_states(states, table), "", *_matrix(table), ""]
    lines += [f"In the source: `stompcore._state.{name}`.", ""]
    return "\n".join(lines)


def _diagram(table: StateTable) -> Iterator[str]:
    yield "stateDiagram-v2"
    for state in table:
        yield f'    state "{state.value}" as {state.name}'
    yield f"    [*] --> {next(iter(table)).name}"
    for state, row in table.items():
        by_next: dict[enum.Enum, list[str]] = {}
        for trigger, following in row.items():
            by_next.setdefault(following, []).append(str(trigger.value))
        for following, triggers in by_next.items():
            yield f"    {state.name} --> {following.name}: {' / '.join(triggers)}"
        if not row:
            yield f"    {state.name} --> [*]"


def _states(states: type[enum.Enum], table: StateTable) -> Iterator[str]:
    """What the source says of each state, where it says anything."""
    source = inspect.getsource(states)
    said = dict(re.findall(r"^ +(\w+) = .*?  # (.+)$", source, re.MULTILINE))
    for state in table:
        if state.name in said:
            yield f"- **{state.value}**: {said[state.name]}"


def _matrix(table: StateTable) -> Iterator[str]:
    triggers = list(type(next(iter(next(iter(table.values()))))))
    yield f"| state | {' | '.join(str(trigger.value) for trigger in triggers)} |"
    yield f"|---|{'---|' * len(triggers)}"
    for state, row in table.items():
        cells = [str(row[trigger].value) if trigger in row else "" for trigger in triggers]
        yield f"| **{state.value}** | {' | '.join(cells)} |"


def write_or_check(path: Path, text: str, description: str | None) -> int:
    """What each of these programs does with its page.

    Args:
        path: where the page stands.
        text: what it should be.
        description: the program's docstring, for its help.

    Returns:
        The exit status: 1 with `--check` if the page is not `text`.
    """
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if stale")
    if parser.parse_args().check:
        is_fresh = path.is_file() and path.read_text("utf-8") == text
        if not is_fresh:
            print(f"{path.name} is stale: run `make diagrams`", file=sys.stderr)
        return 0 if is_fresh else 1
    path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(write_or_check(PAGE, page(), __doc__))
