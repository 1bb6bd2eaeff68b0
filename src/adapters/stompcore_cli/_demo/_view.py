"""How the demo looks: coloured in a terminal, plain text when it is piped."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from stompcore_cli._demo._ledger import Ledger

__all__ = ["View"]

_STYLES = {"Alice": "magenta", "Bob": "cyan", "Carol": "blue", "Server": "yellow", "Auth": "green"}
_PHASES = {
    1: "Phase 1 · connect with a token",
    2: "Phase 2 · every frame is held against its expiry",
    3: "Phase 3 · refresh in silence, reconnect, resubscribe",
    4: "And by default · refresh ahead of time, and break nothing",
}


class View:
    """Prints what happens, with the time since the beginning."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._started_at = time.monotonic()

    def phase(self, number: int) -> None:
        """A new phase begins."""
        if self._console.is_terminal:
            self._console.print()
            self._console.print(Rule(_PHASES[number], align="left", style="dim"))
        else:
            print(f"\n{_PHASES[number]}", flush=True)

    def line(self, step: int | None, actor: str, text: str, *, is_bad: bool = False) -> None:
        """Something has happened; `step` is its number in the sequence, if it has one."""
        elapsed = f"{time.monotonic() - self._started_at:6.3f}s"
        badge = f"{step:>2} " if step else "   "
        if not self._console.is_terminal:
            print(f"{elapsed} {badge} {actor:<6} {text}", flush=True)
            return
        row = Table.grid(padding=(0, 1))
        row.add_row(
            Text(elapsed, style="dim"),
            Text(badge, style="bold reverse" if step else ""),
            Text(f"{actor:<6}", style=f"bold {_STYLES[actor]}"),
            Text(text, style="red" if is_bad else ""),
        )
        self._console.print(row)

    def conclude(self, ledger: Ledger, broken: Sequence[str]) -> int:
        """The account at the end; the exit status."""
        rows = [
            ("sent", ledger.sent),
            ("received", ledger.received),
            ("lost", ledger.lost),
            ("duplicated", ledger.duplicated),
        ]
        verdict = "Everything held." if not broken else "It did not hold:"
        if self._console.is_terminal:
            self._console.print()
            table = Table(title="Messages (each is for all three)", title_justify="left")
            for name, _ in rows:
                table.add_column(name, justify="right")
            table.add_row(*(str(count) for _, count in rows))
            self._console.print(table)
            self._console.print(Text(verdict, style="bold red" if broken else "bold green"))
        else:
            account = "  ".join(f"{name} {count}" for name, count in rows)
            print(f"\nmessages (each is for all three): {account}\n{verdict}", flush=True)
        for promise in broken:
            self._console.print(f"  - {promise}", markup=False)
        return 1 if broken else 0
