"""The page of `stompcore connect`: its picture is a terminal's, its tables are the code's."""

from __future__ import annotations

import re
from pathlib import Path

from tests.cli.clients import minting, terminal
from tests.docs.pages import ROOT, blocks_of
from tests.docs.test_tables import rows
from tests.serving import serving

from stompcore_cli._connect import connect
from stompcore_cli._connect._commands import HELP

PAGE = ROOT / "docs" / "connect.md"


def block(directive: str) -> list[str]:
    (found,) = [each for each in blocks_of(PAGE) if directive in each.directives]
    return found.text.splitlines()


def comparable(lines: list[str], port: str) -> list[str]:
    """Without what is another number each time: instants, durations, the bar, the port."""
    text = "\n".join(lines).replace(f":{port}/", ":PORT/")
    text = re.sub(r"\d\d:\d\d:\d\d", "TIME", text)
    text = re.sub(r"\d:\d\d", "M:SS", text)
    text = re.sub(r"[█░]+", "BAR", text)
    return [re.sub(r" {2,}", "  ", line).rstrip() for line in text.split("\n")]


def test_the_picture_is_what_a_terminal_shows(tmp_path: Path) -> None:
    expected = comparable(block("screen"), "8080")
    assert len(expected) == 24
    with serving("--ws", "127.0.0.1:0") as server:
        port = str(server.address("ws")[1])
        with terminal(server.url, "--token-command", minting(tmp_path, ttl=6.0)) as screen:
            screen.wait_for("● Online")
            outcomes = ("subscription 1 is", "subscription 2 is", "1 sent)", "2 sent)")
            for line, outcome in zip(block("types"), outcomes, strict=True):
                screen.type(f"{line}\r")
                screen.wait_for(outcome)  # a person types no faster
            screen.wait_until(
                lambda: expected in [comparable(each, port) for each in screen.pictures]
            )
            screen.type("\x04")
            assert screen.wait() == 0


def test_the_options_are_those_of_the_command() -> None:
    shown = [re.findall(r"`(--[\w-]+)`", row[0]) for row in rows(PAGE, "options")]
    declared = [
        [option for option in each.opts if option.startswith("--")] for each in connect.params
    ]
    assert shown == [each for each in declared if each]


def test_the_commands_are_those_of_the_help() -> None:
    text = PAGE.read_text("utf-8").partition("<!-- table: commands -->\n\n")[2].partition("\n\n")[0]
    shown = re.findall(r"^\| `(.*?)` \|", text, re.MULTILINE)
    told = [line.partition("  ")[0] for line in HELP]
    assert [each.replace("\\|", "|") for each in shown] == told
