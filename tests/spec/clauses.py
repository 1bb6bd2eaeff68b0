"""Which clause of which specification a test holds, and how closely the server keeps it.

A test carries its clause's very words; its pytest id is made of them, and so is the page
`docs/supported-stomp.md`. One clause, one test, and the reverse.
"""

from __future__ import annotations

import enum
import importlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

__all__ = ["CHAPTERS", "Chapter", "Clause", "Document", "Verdict", "clause_of", "held_clauses"]

Test = TypeVar("Test", bound=Callable[..., None])

MAX_SLUG = 90


class Verdict(enum.StrEnum):
    """How a clause is kept."""

    KEPT = "kept"
    STRICTER = "stricter"  # we refuse what the clause would let pass
    LOOSER = "looser"  # we let pass what the clause forbids, or do without what it asks


@dataclass(frozen=True, kw_only=True)
class Clause:
    """One sentence, list item or production of a specification.

    Args:
        document: "STOMP 1.2", for example.
        section: its heading there.
        text: its words as they stand there, on one line.
        verdict: how it is kept.
        note: why, or what exactly happens; may be empty for one that is just kept.
    """

    document: str
    section: str
    text: str
    verdict: Verdict
    note: str

    @property
    def slug(self) -> str:
        """What pytest calls the test of it."""
        words = re.sub(r"[^a-z0-9.]+", "-", f"{self.document} {self.section} {self.text}".lower())
        return words[:MAX_SLUG].strip("-.").removeprefix("stomp-")


_CLAUSES: dict[Callable[..., None], Clause] = {}


class Document:
    """Decorates the tests of one specification with its clauses.

    Args:
        name: "STOMP 1.2", for example.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(
        self, section: str, text: str, *, kept: str = "", stricter: str = "", looser: str = ""
    ) -> Callable[[Test], Test]:
        """The test below holds this clause.

        Args:
            section: the heading that it stands under.
            text: its exact words.
            kept, stricter, looser: the note; at most one of them says how it is kept.
        """
        assert sum(map(bool, (kept, stricter, looser))) <= 1
        verdict = Verdict.KEPT
        if stricter:
            verdict = Verdict.STRICTER
        elif looser:
            verdict = Verdict.LOOSER
        clause = Clause(
            document=self.name,
            section=section,
            text=" ".join(text.split()),
            verdict=verdict,
            note=kept or stricter or looser,
        )

        def decorate(test: Test) -> Test:
            assert test not in _CLAUSES, "one test, one clause"
            _CLAUSES[test] = clause
            return test

        return decorate


def clause_of(test: Callable[..., None]) -> Clause | None:
    """The clause that a test function holds."""
    return _CLAUSES.get(test)


class Chapter(NamedTuple):
    """One specification and the modules with its tests, in the order of its sections.

    Args:
        document: as in `Clause`.
        modules: names of test modules of this folder.
    """

    document: str
    modules: tuple[str, ...]


CHAPTERS = (
    Chapter("STOMP 1.0", ("test_stomp_1_0", "test_stomp_1_0_work", "test_stomp_1_0_server")),
    Chapter(
        "STOMP 1.1",
        (
            "test_stomp_1_1_frames",
            "test_stomp_1_1_limits",
            "test_stomp_1_1_connecting",
            "test_stomp_1_1_messages",
            "test_stomp_1_1_acks",
            "test_stomp_1_1_transactions",
            "test_stomp_1_1_headers",
            "test_stomp_1_1_server",
            "test_stomp_1_1_heart_beating",
            "test_stomp_1_1_grammar",
        ),
    ),
    Chapter(
        "STOMP 1.2",
        (
            "test_stomp_1_2_frames",
            "test_stomp_1_2_headers",
            "test_stomp_1_2_connecting",
            "test_stomp_1_2_heart_beating",
            "test_stomp_1_2_messages",
            "test_stomp_1_2_acks",
            "test_stomp_1_2_transactions",
            "test_stomp_1_2_server",
            "test_stomp_1_2_grammar",
        ),
    ),
    Chapter("RFC 6455", ("test_websocket",)),
    Chapter("RFC 7519", ("test_rfc_7519",)),
)


def held_clauses(module: str) -> Iterator[tuple[str, Clause]]:
    """The test functions of a module, by name, each with its clause, in the order of the file."""
    for name, value in vars(importlib.import_module(f"tests.spec.{module}")).items():
        clause = _CLAUSES.get(value) if callable(value) else None
        if clause is not None:
            yield name, clause
