"""Tables of the documentation that repeat what the code says: they must say the same."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from tests.docs.pages import ROOT, blocks_of

import stompcore_asyncio
import stompcore_trio
from stompcore import CloseCode, ErrorCode, Limits, Snapshot, Timer
from stompcore import _state as state
from stompcore.metrics import render
from stompcore_cli._app import serve as SERVE

DOCS = ROOT / "docs"
UNITS = {"": 1, "B": 1, "KiB": 1024, "MiB": 1024 * 1024, "s": 1, "characters": 1}


def rows(page: Path, table: str) -> list[list[str]]:
    """The cells of the table that follows the comment `<!-- table: NAME -->`."""
    _, found, behind = page.read_text("utf-8").partition(f"<!-- table: {table} -->\n\n")
    assert found, f"{page.name} has no table of {table}"
    lines = behind.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def amount(text: str) -> float:
    """The number behind `64 KiB`, `1,000` or `10 s`."""
    number, _, unit = text.replace(",", "").partition(" ")
    return float(number) * UNITS[unit]


def test_the_error_codes_are_those_of_the_code() -> None:
    shown = [row[:3] for row in rows(DOCS / "errors.md", "error codes")]
    assert shown == [[f"`{each.value}`", each.message, str(each.close_code)] for each in ErrorCode]


def test_the_error_codes_of_the_readme_are_those_of_the_code() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    behind = text.partition("## What the peer is told\n\n")[2].partition("\n\n")[0]
    shown = {}
    for line in behind.splitlines()[2:]:
        codes, messages, close = (cell.strip() for cell in line.strip("|").split("|"))
        for code, message in zip(codes.split(", "), messages.split(", "), strict=True):
            shown[code.strip("`")] = (message, int(close[:4]))
    assert shown == {each.value: (each.message, each.close_code) for each in ErrorCode}


def test_the_limits_are_those_of_the_code() -> None:
    shown = {
        row[1].strip("`"): amount(row[2]) for row in rows(DOCS / "limits-and-security.md", "limits")
    }
    defaults = Limits()
    assert shown == {each.name: getattr(defaults, each.name) for each in fields(Limits)}


def test_the_options_are_those_of_the_command() -> None:
    shown = [
        option
        for row in rows(DOCS / "server.md", "options")
        for option in re.findall(r"`(--[\w-]+)`", row[0])
    ]
    declared = [option for each in SERVE.params for option in each.opts if option.startswith("--")]
    assert shown == declared


def test_the_arguments_of_serve_are_those_of_the_code() -> None:
    shown = [
        name
        for row in rows(DOCS / "server.md", "arguments")
        for name in re.findall(r"`(\w+)`", row[0])
    ]
    for serve in (stompcore_asyncio.serve, stompcore_trio.serve):
        taken = set(inspect.signature(serve).parameters) - {"nursery"}
        assert set(shown) == taken
    assert len(shown) == len(set(shown))


def test_the_metrics_are_those_of_the_code() -> None:
    shown = [(row[0].strip("`"), row[1].strip("`")) for row in rows(DOCS / "server.md", "metrics")]
    samples = re.findall(r"^(\w+)(?:\{(\w+)=.*?\})? \d+$", render(Snapshot()), re.MULTILINE)
    assert shown == list(dict.fromkeys(samples))


def test_every_error_code_that_a_page_names_exists() -> None:
    known = {each.value for each in ErrorCode}
    for page in DOCS.glob("*.md"):
        named = re.findall(r"error-code:([\w-]+)", page.read_text("utf-8"))
        assert set(named) <= known, page.name


def test_every_close_code_that_a_page_names_is_ours() -> None:
    known = {str(int(each)) for each in CloseCode}
    for page in DOCS.glob("*.md"):
        named = re.findall(r"\bclose (\d{4})\b", page.read_text("utf-8"))
        assert set(named) <= known, page.name


def test_the_page_of_state_machines_is_fresh() -> None:
    done = subprocess.run(
        [sys.executable, DOCS / "_generate.py", "--check"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_page_of_the_clients_machine_is_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "docs._client_machine", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=28,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_table_of_states_is_drawn() -> None:
    text = (DOCS / "state-machines.md").read_text("utf-8")
    names = [name for name in state.__all__ if name.isupper()]
    assert names
    assert not [name for name in names if f"`stompcore._state.{name}`" not in text]
    diagrams = [b for b in blocks_of(DOCS / "state-machines.md") if b.language == "mermaid"]
    assert len(diagrams) == len(names)


def test_every_page_is_in_the_navigation() -> None:
    nav = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:\n")[2]
    listed = re.findall(r"^  - .*: ([\w-]+\.md)$", nav, re.MULTILINE)
    assert sorted(listed) == sorted(page.name for page in DOCS.glob("*.md"))


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_a_page_speaks_of_no_timer_that_does_not_exist(page: Path) -> None:
    named = re.findall(r"Timer\.(\w+)", page.read_text("utf-8"))
    assert set(named) <= set(Timer.__members__)
