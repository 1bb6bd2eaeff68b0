"""One clause, one test, one row of the documentation."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from tests.spec.clauses import CHAPTERS, Clause, Document, Verdict, clause_of, held_clauses
from tests.spec.page import PAGE, cell, held, render


def every() -> list[tuple[str, str, Clause]]:
    """Module, test and clause, of all of them."""
    return [each for clauses in held().values() for each in clauses]


def test_every_module_of_this_folder_belongs_to_one_document() -> None:
    here = {each.stem for each in Path(__file__).parent.glob("test_*.py")}
    named = [module for chapter in CHAPTERS for module in chapter.modules]
    assert sorted(named) == sorted(here - {"test_clauses"})
    for document, modules in CHAPTERS:
        for module in modules:
            assert {clause.document for _, clause in held_clauses(module)} == {document}


def test_every_test_holds_a_clause() -> None:
    for _, modules in CHAPTERS:
        for module in modules:
            source = (Path(__file__).parent / f"{module}.py").read_text(encoding="utf-8")
            tests = re.findall(r"^def (test_\w+)", source, re.MULTILINE)
            assert tests == [name for name, _ in held_clauses(module)], module


def test_no_clause_is_held_twice() -> None:
    clauses = Counter((each.document, each.section, each.text) for *_, each in every())
    assert [each for each, count in clauses.items() if count > 1] == []


def test_no_two_tests_share_their_id_or_within_a_document_their_name() -> None:
    slugs = Counter(clause.slug for *_, clause in every())
    names = Counter((clause.document, name) for _, name, clause in every())
    for counter in (slugs, names):
        assert [each for each, count in counter.items() if count > 1] == []


def test_sections_are_not_interrupted() -> None:
    for document, clauses in held().items():
        sections = [clause.section for *_, clause in clauses]
        starts = [each for at, each in enumerate(sections) if at == 0 or sections[at - 1] != each]
        assert len(starts) == len(set(starts)), (document, starts)


def test_what_differs_says_how() -> None:
    for _, name, clause in every():
        assert clause.verdict is Verdict.KEPT or clause.note, name


def test_a_test_holds_one_clause() -> None:
    document = Document("X")

    def test() -> None:
        """Nothing."""

    assert clause_of(test) is None
    document("section", "a  b\nc", looser="why")(test)
    held_clause = clause_of(test)
    assert held_clause is not None
    assert (held_clause.text, held_clause.verdict) == ("a b c", Verdict.LOOSER)
    with pytest.raises(AssertionError):
        document("section", "another")(test)


def test_cells_hold_no_markup_by_accident() -> None:
    assert cell("a|b *c* _d_ `*|`".replace("|`", "`")) == r"a&#124;b \*c\* \_d\_ `*`"
    for text in ("`|`", "<br>"):
        with pytest.raises(AssertionError):
            cell(text)


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run: python -m tests.spec.page"


def test_the_page_has_a_row_for_every_clause_with_its_test() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+) \| (kept|stricter|looser) \| .* \| `(test_\w+)` \|$", page, re.M)
    assert rows == [(cell(clause.text), str(clause.verdict), name) for _, name, clause in every()]
