"""Where it is told what happens: plain lines, JSON lines, or the live view of `_live`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Protocol

from stompcore_cli._connect._entries import Entry
from stompcore_cli._connect._input import lines
from stompcore_cli._connect._model import Page
from stompcore_cli._connect._text import clock_of_day, visible

__all__ = ["JsonView", "PlainView", "View"]

_KIND_WIDTH = 15


class View(Protocol):
    """What the driver needs of each of them."""

    #: Whether a person sits there: one command need not wait for the one before it.
    is_live: bool

    def tell(self, entry: Entry) -> None:
        """Something has happened. OSError if nobody can be told any more."""

    def show(self, page: Page) -> None:
        """This was asked for. OSError as of `tell`."""

    def lines(self) -> AsyncIterator[bytes]:
        """What is typed or piped, line by line."""

    def open(self) -> None:
        """Begin. May come again after `close`."""

    def close(self) -> None:
        """Leave the terminal as it was. Legal more than once."""

    async def run(self) -> None:
        """Keep the picture up to date, until cancelled or until OSError."""


class _LineView:
    """Writes lines to stdout, and reads commands from stdin."""

    is_live = False

    def lines(self) -> AsyncIterator[bytes]:
        """See `View`."""
        return lines(sys.stdin.fileno()) if sys.stdin is not None else _nothing()

    def open(self) -> None:
        """See `View`."""

    def close(self) -> None:
        """See `View`."""

    async def run(self) -> None:
        """See `View`."""

    def _write(self, line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


async def _nothing() -> AsyncIterator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for line in nothing:
        yield line


class PlainView(_LineView):
    """One line for each: the time of day, one word, the text."""

    def tell(self, entry: Entry) -> None:
        """See `View`."""
        at = clock_of_day(entry.at)
        self._write(f"{at} {entry.kind:<{_KIND_WIDTH}} {visible(entry.text)}".rstrip())

    def show(self, page: Page) -> None:
        """See `View`."""
        self._write(f"{page.title}:")
        for line in page.lines:
            self._write(f"  {visible(line)}".rstrip())


class JsonView(_LineView):
    """One JSON object for each: `ts`, `event`, and the event's own fields."""

    def tell(self, entry: Entry) -> None:
        """See `View`."""
        at = datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="milliseconds")
        ts = at.replace("+00:00", "Z")
        self._write(json.dumps({"ts": ts, "event": entry.kind, **entry.fields}))

    def show(self, page: Page) -> None:
        """See `View`."""
        fields = {"title": page.title, "lines": [*page.lines]}
        self.tell(Entry(kind="page", text=page.title, at=time.time(), fields=fields))
