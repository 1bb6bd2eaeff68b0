"""Writes `docs/supported-stomp.md` from the clauses of the tests: `python -m tests.spec.page`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from tests.spec.clauses import CHAPTERS, Clause, Verdict, held_clauses

__all__ = ["PAGE", "cell", "held", "render"]

PAGE = Path(__file__).parents[2] / "docs" / "supported-stomp.md"

INTRODUCTION = """\
# Supported STOMP

Every clause of STOMP 1.0, 1.1 and 1.2 that concerns a server, in its own words and in the order of
the specification; then what RFC 6455 and RFC 7519 add to it, for WebSockets and for the end of a
token. Each has one test, whose id is made of the clause. This page is written by
`python -m tests.spec.page` from those tests, and a test compares the two.

- **kept**: as it says.
- **stricter**: we refuse what the clause would let pass, or leave out what it would let us send.
- **looser**: we let pass what the clause forbids, or do without what it asks for.

Sentences that only explain, and those that speak to clients alone, are left out. What we add
ourselves is on the page about the [wire extension](wire-extension.md).
"""

_CODE = re.compile(r"(`[^`]*`)")


def held() -> dict[str, list[tuple[str, str, Clause]]]:
    """Document to its clauses, in order: the test's module, the test, the clause."""
    return {
        document: [(module, *each) for module in modules for each in held_clauses(module)]
        for document, modules in CHAPTERS
    }


def cell(text: str) -> str:
    """`text` as it can stand in a cell of a table."""
    parts = _CODE.split(text)
    for index, part in enumerate(parts):
        if part.startswith("`"):
            assert "|" not in part, "a pipe in code ends a cell for some readers"
        else:
            assert "<" not in part, "that would be HTML"
            parts[index] = re.sub(r"([*_\\])", r"\\\1", part).replace("|", "&#124;")
    return "".join(parts)


def _table(*header: str) -> list[str]:
    return [_row(*header), _row(*("---" for _ in header))]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _counts(chapters: dict[str, list[tuple[str, str, Clause]]]) -> Iterator[str]:
    yield from _table("document", "clauses", *Verdict)
    for document, clauses in chapters.items():
        counts = Counter(clause.verdict for *_, clause in clauses)
        yield _row(document, str(len(clauses)), *(str(counts[each]) for each in Verdict))


def _differences(chapters: dict[str, list[tuple[str, str, Clause]]]) -> Iterator[str]:
    places: dict[tuple[Verdict, str], dict[str, list[str]]] = {}
    for *_, clause in (each for clauses in chapters.values() for each in clauses):
        if clause.verdict is not Verdict.KEPT:
            found = places.setdefault((clause.verdict, clause.note), {})
            found.setdefault(clause.section, []).append(clause.document.removeprefix("STOMP "))
    yield from _table("verdict", "how", "where")
    for (verdict, note), sections in sorted(places.items(), key=lambda each: each[0][0]):
        where = "; ".join(f"{cell(name)} ({', '.join(sections[name])})" for name in sections)
        yield _row(verdict, cell(note), where)


def _chapter(document: str, clauses: list[tuple[str, str, Clause]]) -> Iterator[str]:
    yield f"## {document}"
    for section, rows in groupby(clauses, key=lambda each: each[2].section):
        held_here = list(rows)
        modules = sorted({f"`{module}.py`" for module, *_ in held_here})
        yield f"\n### {section}\n\nTests: {', '.join(modules)}\n"
        yield from _table("clause", "verdict", "how", "test")
        for _, name, clause in held_here:
            yield _row(cell(clause.text), clause.verdict, cell(clause.note), f"`{name}`")


def render() -> str:
    """The whole page."""
    chapters = held()
    lines = [INTRODUCTION, *_counts(chapters)]
    lines += ["\n## Where we differ\n", *_differences(chapters)]
    for document, clauses in chapters.items():
        lines += ["", *_chapter(document, clauses)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
