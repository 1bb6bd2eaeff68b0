"""The pages of the documentation, and their fenced blocks.

What a block is, its language says; what is to be done with it, a comment on the line before the
fence may add, which neither GitHub nor MkDocs shows:

    <!-- docs: continues -->        python: runs behind the blocks before it on its page, back to
                                    the first that does not continue another
    <!-- docs: name=NAME -->        python: only what others stand on; it runs with each of them
    <!-- docs: on=NAME -->          python: runs behind the block of this name on its page, alone
    <!-- docs: both -->             python: runs on asyncio, and, in the words of trio, on trio
    <!-- docs: prints -->           text: all that the python block before it prints
    <!-- docs: shows=WORD -->       js: what it hands to `show`, "hello" unless this says otherwise
    <!-- docs: ttl=SECONDS -->      js: how long what `freshToken` returns lives
    <!-- docs: connected=NAME -->   console: this user has a session on the server that runs
    <!-- docs: client session=NAME at=SECONDS connected -->
                                    stomp: a client sends this, so long after the page's start;
                                    `connected` if the page does not show its CONNECT
    <!-- docs: server session=NAME -->
                                    stomp: all that a session, the last client's by default, was
                                    answered with since

The languages, and what the tests do with each:

    python      run, each in an interpreter of its own
    console     run: a line that starts with `$ ` is a command, what follows is what it prints
    sh          run: every line is a command
    js          run in Node with stompjs, against a server of its own
    stomp       decoded; `^@` stands for NUL, as in the specification
    mermaid     parsed, as far as a few regular expressions can
    json, toml, ini
                parsed
    text        not looked at, unless it says what a python block prints

Any other language fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["PAGES", "ROOT", "Block", "blocks", "blocks_of"]

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<info>[^`]*)$")
_DIRECTIVE = re.compile(r"^ *<!-- docs: (?P<words>.*?) -->$")


class Block(NamedTuple):
    """One fenced block.

    Args:
        page: where it stands.
        line: the number of its opening fence.
        language: of the fence.
        directives: what the comment before it says.
        text: what stands in it, without the fence's indent.
    """

    page: Path
    line: int
    language: str
    directives: dict[str, str]
    text: str

    @property
    def name(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    """The fenced blocks of `page`, in order.

    Raises:
        ValueError: a fence is not closed, or a directive stands before no fence.
    """
    directives: dict[str, str] = {}
    opened: re.Match[str] | None = None
    opened_at = 0
    inside: list[str] = []
    for number, line in enumerate(page.read_text("utf-8").splitlines(), start=1):
        fence = _FENCE.match(line)
        if opened is not None:
            if fence and fence["fence"].startswith(opened["fence"]) and not fence["info"].strip():
                text = "".join(f"{each}\n" for each in inside)
                language = opened["info"].split()[0] if opened["info"].strip() else ""
                yield Block(page, opened_at, language, directives, text)
                opened, directives, inside = None, {}, []
            else:
                inside.append(line.removeprefix(opened["indent"]))
        elif fence:
            opened, opened_at = fence, number
        elif directive := _DIRECTIVE.match(line):
            words = (word.partition("=") for word in directive["words"].split())
            directives = {key: value for key, _, value in words}
        elif directives:
            raise ValueError(f"{page.name}:{number}: a directive stands right before its fence")
    if opened is not None:
        raise ValueError(f"{page.name}:{opened_at}: this fence is not closed")


def blocks(*languages: str) -> list[Block]:
    """Every block in one of these languages, of all pages."""
    return [each for page in PAGES for each in blocks_of(page) if each.language in languages]
