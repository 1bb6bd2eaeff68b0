"""Whether a Mermaid diagram can be drawn, as far as a few regular expressions can tell."""

from __future__ import annotations

import re

__all__ = ["faults"]

_NAME = r"[A-Za-z_]\w*"
# A semicolon ends a statement and a number sign starts a character's code, wherever they stand.
_TEXT = r"[^;#]+"

_SEQUENCE = [
    rf"(participant|actor) {_NAME}( as {_TEXT})?",
    rf"{_NAME} ?(->>|-->>|-\)|--\)|-x|--x|->|-->)[+-]? ?{_NAME}: ?{_TEXT}",
    rf"Note (over {_NAME}(, ?{_NAME})?|(left|right) of {_NAME}): ?{_TEXT}",
    rf"(loop|alt|opt|par|critical|break) {_TEXT}|rect rgba?\([\d, .]+\)",
    rf"(else|and|option)( {_TEXT})?",
    "end",
    "autonumber",
    rf"(activate|deactivate) {_NAME}",
]
_STATES = [
    r"direction (LR|RL|TB|BT)",
    rf'state "{_TEXT}" as {_NAME}',
    rf"(\[\*\]|{_NAME}) --> (\[\*\]|{_NAME})(: ?{_TEXT})?",
    rf"{_NAME}: ?{_TEXT}",
]
_NODE = rf'{_NAME}(\["[^"]+"\]|\("[^"]+"\)|\[\("[^"]+"\)\]|\{{"[^"]+"\}})?'
_FLOW = [
    _NODE,
    rf'{_NODE} (-->|---|-\.->|==>|<-->)(\|"?[^|"]+"?\|)? {_NODE}',
    rf'subgraph {_NAME}(\["[^"]+"\])?',
    r"direction (LR|RL|TB|BT)",
    "end",
]
_KINDS = {
    "sequenceDiagram": _SEQUENCE,
    "stateDiagram-v2": _STATES,
    "flowchart LR": _FLOW,
    "flowchart TB": _FLOW,
}
_OPENS = re.compile(r"(loop|alt|opt|par|critical|break|rect|subgraph) ")


def faults(text: str) -> list[str]:
    """What is wrong with a diagram, in words; nothing for one that looks right."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or lines[0] not in _KINDS:
        return [f"{lines[:1]} is no kind of diagram that is known here"]
    found = []
    depth = 0
    for line in lines[1:]:
        if not any(re.fullmatch(pattern, line) for pattern in _KINDS[lines[0]]):
            found.append(f"cannot be read: {line}")
        depth += 1 if _OPENS.match(line) else -1 if line == "end" else 0
        if depth < 0:
            found.append("an `end` too many")
    if depth > 0:
        found.append("an `end` is missing")
    if lines[0] == "sequenceDiagram":
        found += _strangers(lines[1:])
    return found


def _strangers(lines: list[str]) -> list[str]:
    """Who takes part without having been introduced; a typing error draws one more column."""
    known = {
        match[1] for line in lines if (match := re.match(r"(?:participant|actor) (\w+)", line))
    }
    seen = set()
    for line in lines:
        if match := re.match(r"(\w+) ?-[->x)]*[+-]? ?(\w+):", line):
            seen |= {match[1], match[2]}
        if match := re.match(r"Note (?:over|left of|right of) (\w+)(?:, ?(\w+))?:", line):
            seen |= {match[1], match[2]} - {None}
    return [f"{name} was not introduced" for name in sorted(seen - known)]
