"""The page about the herd says what the stored figures say, and those what the code does."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor

from benchmarks.herd._crowd import Crowd
from benchmarks.herd._figures import Figures, probe
from benchmarks.herd._plot import svg
from benchmarks.herd._tables import markdown, number
from tests.docs.pages import ROOT

DOCS = ROOT / "docs"
PAGE = (DOCS / "herd.md").read_text("utf-8")
FIGURES: Figures = json.loads((DOCS / "figures" / "herd.json").read_text("utf-8"))
AUTH, VARIANTS = FIGURES["auth"], FIGURES["variants"]
AWAY_2, AWAY_30 = (FIGURES["restart"][outage]["jittered"] for outage in ("2", "30"))

#: Every measured number in the prose, with the words around it.
QUOTES = {
    "In the worst second there are **{}** instead of **{}**.": (
        AUTH["jittered"]["peak"]["per_second"],
        AUTH["fixed"]["peak"]["per_second"],
    ),
    "In the worst 100 ms there are **{}** instead of **{}**.": (
        AUTH["jittered"]["peak"]["per_100ms"],
        AUTH["fixed"]["peak"]["per_100ms"],
    ),
    "there are **{}** requests in the worst second instead of **{}**,": (
        VARIANTS["short_tokens"]["jittered"]["per_second"],
        VARIANTS["short_tokens"]["fixed"]["per_second"],
    ),
    "had all come in the same second, **{}** requests instead of **{}**.": (
        VARIANTS["one_second"]["jittered"]["per_second"],
        VARIANTS["one_second"]["fixed"]["per_second"],
    ),
    "**{}** in the worst second and **{}** in the worst 100 ms, where": (
        AWAY_30["peak_when_up"]["per_second"],
        AWAY_30["peak_when_up"]["per_100ms"],
    ),
    "Half of the clients are back after **{} s** and the last one after **{} s**,": (
        AWAY_30["half_back"],
        AWAY_30["all_back"],
    ),
    "between 0.5 and 1 s: **{}** dials in the worst 100 ms.": (AWAY_30["peak"]["per_100ms"],),
    "after 2 s it is met by **{}** in the worst second.": (AWAY_2["peak_when_up"]["per_second"],),
}


def test_the_stored_figures_are_those_of_the_whole_crowd() -> None:
    assert FIGURES["crowd"] == {
        "clients": 100_000,
        "ttl": 3600,
        "window": 60,
        "lives": 10,
        "seed": 1,
    }


def test_the_tables_of_the_page_are_those_of_the_stored_figures() -> None:
    for name, table in markdown(FIGURES).items():
        assert f"\n\n{table}" in PAGE, f"{name}, which has to be:\n{table}"


def test_every_number_that_the_page_quotes_is_a_stored_figure() -> None:
    prose = " ".join(PAGE.split())
    quoted = []
    for words, figures in QUOTES.items():
        sentence = words.format(*map(number, figures))
        assert sentence in prose
        quoted += re.findall(r"\*\*(\d[^*]*)\*\*", sentence)
    # In bold type on the page: measured. None may be left that is not compared.
    assert sorted(re.findall(r"\*\*(\d[^*]*)\*\*", prose)) == sorted(quoted)


def test_the_plot_is_drawn_from_the_stored_figures() -> None:
    stored = (DOCS / "figures" / "herd.svg").read_text("utf-8")
    assert stored == svg(FIGURES)


def test_the_code_still_does_what_was_measured() -> None:
    with ThreadPoolExecutor(1) as pool:
        found = probe(Crowd(), pool)
    assert found == FIGURES["probe"], "run benchmarks.herd again, as benchmarks/README.md says"
