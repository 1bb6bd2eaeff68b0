"""The id of a test in this folder is the clause that it holds."""

from __future__ import annotations

import pytest
from tests.spec.clauses import Clause, clause_of


@pytest.fixture(autouse=True)
def clause(request: pytest.FixtureRequest) -> Clause | None:
    """The clause that the test holds; None for the tests about the clauses themselves."""
    return getattr(request, "param", None)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    held = clause_of(metafunc.function)
    if held is not None:
        metafunc.parametrize("clause", [held], ids=[held.slug], indirect=True)
