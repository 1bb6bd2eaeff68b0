"""The plot, as an SVG written by hand.

A plotting library would bring ten packages to draw a few areas, and its output changes with its
version. This text is the same wherever it is written, so that a test can compare it. It brings its
own background, and a second set of colours for readers who prefer a dark page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from benchmarks.herd._figures import OUTAGES, Figures
from benchmarks.herd._tables import number

__all__ = ["svg"]

_STYLE = """\
text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
text.head { font-size: 15px; font-weight: 600; }
text.tick { font-size: 11px; fill: #59636e; }
.below { text-anchor: middle; }
.beside { text-anchor: end; }
.paper { fill: #ffffff; stroke: #d1d9e0; }
.rule { stroke: #d1d9e0; }
.mark { stroke: #59636e; stroke-dasharray: 3 3; }
.reactive { fill: #cf222e; }
.fixed, .doubling { fill: #bc4c00; }
.jittered { fill: #0969da; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  text.tick { fill: #9aa4b0; }
  .paper { fill: #1b1f27; stroke: #3d444d; }
  .rule { stroke: #3d444d; }
  .mark { stroke: #9aa4b0; }
  .reactive { fill: #ff7b72; }
  .fixed, .doubling { fill: #f0883e; }
  .jittered { fill: #58a6ff; }
}
"""

_REQUESTS = {
    "reactive": "No refresh ahead: wait for the expiry",
    "fixed": "Refresh at 0.85 of the life",
    "jittered": "Refresh at 0.8 to 0.9 of the life (default)",
}
_DIALS = {
    "fixed": "Always after 5 s",
    "doubling": "After 1, 2, 4, 8, 16, 20 s",
    "jittered": "After a jittered delay (default)",
}

_WIDTH = 800
_LEFT, _RIGHT = 76, 24
_HEIGHT = 88  # of a panel's area
_STEP = 138  # from one panel to the next
_SECTION = 3 * _STEP + 78  # from one head to the next


def svg(figures: Figures) -> str:
    """The figure of the documentation, drawn from `measure`'s figures."""
    outage = str(max(OUTAGES))
    crowd, auth = figures["crowd"], figures["auth"]
    restart = figures["restart"][outage]
    clients = number(crowd["clients"])
    parts = [
        _text(
            20,
            32,
            f"Requests per second at the auth server, {clients} clients, "
            f"tokens of {number(crowd['ttl'])} s",
            "head",
        )
    ]
    run = auth["fixed"]
    hours = len(run["columns"]) * run["column_seconds"] / 3600
    # Half a dozen to a dozen marks, whatever the tokens' life.
    minutes, unit = (60, "h") if hours > 4 else (1, "min")
    span = hours * 60 / minutes
    busiest = max(max(*run["columns"], run["peak"]["per_second"]) for run in auth.values())
    for index, (name, title) in enumerate(_REQUESTS.items()):
        peak = number(auth[name]["peak"]["per_second"])
        panel = _Panel(64 + index * _STEP, span, busiest)
        parts += panel.draw(name, f"{title}: {peak} in the worst second", auth[name]["columns"])
        marks = range(0, int(span) + 1, math.ceil(span / 12))
        parts += panel.ticks(marks, unit if name == "jittered" else "")
    parts.append(
        _text(
            20,
            32 + _SECTION,
            f"Dials per second at a server that is away for {outage} s, {clients} clients",
            "head",
        )
    )
    busiest = max(run["peak"]["per_second"] for run in restart.values())
    for index, (name, title) in enumerate(_DIALS.items()):
        seconds = restart[name]["seconds"]
        peak = number(restart[name]["peak_when_up"]["per_second"])
        panel = _Panel(64 + _SECTION + index * _STEP, len(seconds), busiest)
        parts += panel.draw(name, f"{title}: {peak} in the worst second when it is up", seconds)
        parts += panel.mark(float(outage), "up again" if name == "jittered" else "")
        parts += panel.ticks(range(0, len(seconds) + 1, 10), "s" if name == "jittered" else "")
    return _document(parts, 2 * _SECTION - 4, clients)


class _Panel:
    """One area under its title.

    Args:
        top: of the title.
        span: of the horizontal axis, in its units.
        most: what the vertical axis goes up to.
    """

    def __init__(self, top: int, span: float, most: int) -> None:
        self._floor = top + 14 + _HEIGHT
        self._top = top
        self._span = span
        self._most = _round_up(most)

    def draw(self, name: str, title: str, values: Sequence[int]) -> list[str]:
        ceiling = self._floor - _HEIGHT
        return [
            _text(_LEFT, self._top + 6, title, ""),
            _line(_LEFT, ceiling, _WIDTH - _RIGHT, ceiling, "rule"),
            _line(_LEFT, self._floor, _WIDTH - _RIGHT, self._floor, "rule"),
            _text(_LEFT - 8, ceiling + 4, number(self._most), "tick beside"),
            _text(_LEFT - 8, self._floor + 4, "0", "tick beside"),
            f'<path class="{name}" d="{self._area(values)}"/>',
        ]

    def mark(self, at: float, what: str) -> list[str]:
        x = self._x(at)
        line = _line(x, self._floor - _HEIGHT, x, self._floor, "mark")
        label = _text(x - 6, self._floor - _HEIGHT + 14, what, "tick beside")
        return [line, label] if what else [line]

    def ticks(self, at: range, unit: str) -> list[str]:
        found = []
        for each in at:
            x = self._x(each)
            found.append(_line(x, self._floor, x, self._floor + 4, "rule"))
            label = f"{each} {unit}".strip()
            found.append(_text(x, self._floor + 16, label, "tick below"))
        return found

    def _x(self, at: float) -> float:
        return _LEFT + at / self._span * (_WIDTH - _LEFT - _RIGHT)

    def _area(self, values: Sequence[int]) -> str:
        width = (_WIDTH - _LEFT - _RIGHT) / len(values)
        path, height = [f"M{_LEFT} {self._floor}"], 0.0
        for index, value in enumerate(values):
            wanted = round(_HEIGHT * value / self._most, 1)
            if wanted != height:
                path.append(f"H{_number(_LEFT + index * width)}V{_number(self._floor - wanted)}")
                height = wanted
        path.append(f"H{_WIDTH - _RIGHT}V{self._floor}Z")
        return "".join(path)


def _round_up(most: int) -> int:
    """The next number with one digit that counts, or two where that is much closer."""
    power: int = 10 ** max(0, len(str(most)) - 2)
    return math.ceil(most / power) * power


def _document(parts: Sequence[str], height: int, clients: str) -> str:
    title = f"What {clients} clients do to an auth server and to a server that comes back"
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img" aria-labelledby="title">',
        f'<title id="title">{escape(title)}</title>',
        f"<style>\n{_STYLE}</style>",
        f'<rect class="paper" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1}" rx="8"/>',
    ]
    return "\n".join([*head, *parts, "</svg>", ""])


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _text(x: float, y: float, text: str, kind: str) -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text{style} x="{_number(x)}" y="{_number(y)}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<path class="{kind}" d="M{_number(x1)} {_number(y1)}L{_number(x2)} {_number(y2)}"/>'
