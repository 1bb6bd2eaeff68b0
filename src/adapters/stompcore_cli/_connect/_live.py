"""The live view: the whole terminal, drawn anew whenever something has changed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from stompcore_cli._connect._editor import Editor, Key
from stompcore_cli._connect._entries import Entry, Facts
from stompcore_cli._connect._input import read
from stompcore_cli._connect._model import Model, Page
from stompcore_cli._connect._screen import draw
from stompcore_cli._connect._terminal import Terminal

__all__ = ["LiveView", "can_be_live"]

_TICK = 0.25  # seconds, for what counts down
_SHORTEST = 0.04  # seconds between two pictures


def can_be_live() -> bool:
    """Whether a person sits at a terminal that can be drawn on."""
    if sys.stdin is None or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    return not Console().is_dumb_terminal


class LiveView:
    """A `View` that draws a model.

    Args:
        model: what there is to see.
        look: what the client says of itself now.
    """

    is_live = True

    def __init__(self, model: Model, look: Callable[[], Facts]) -> None:
        self._model = model
        self._look = look
        self._editor = Editor()
        self._console = Console(highlight=False)
        self._terminal = Terminal(sys.stdin.fileno())
        self._live: Live | None = None
        self._changed = asyncio.Event()
        self._last: list[Text] = []

    def tell(self, entry: Entry) -> None:
        """See `View`: a message is in the model, and everything else in the log."""
        if entry.kind != "message":
            self._model.log.append(entry)
        self._changed.set()

    def show(self, page: Page) -> None:
        """See `View`."""
        self._model.page = page
        self._changed.set()

    async def lines(self) -> AsyncIterator[bytes]:
        """See `View`."""
        while data := await read(self._terminal.fd):
            for typed in self._editor.feed(data):
                if typed is Key.END:
                    return
                if typed is Key.REDRAW:
                    self._last = []
                else:
                    self._model.page = None
                    yield typed.encode()
            self._changed.set()

    def open(self) -> None:
        """See `View`."""
        if self._live is None:
            self._terminal.enter()
            self._live = Live(
                console=self._console,
                screen=True,
                auto_refresh=False,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
            self._last = []
            self._changed.set()

    def close(self) -> None:
        """See `View`."""
        live, self._live = self._live, None
        try:
            if live is not None:
                live.stop()
        finally:
            self._terminal.leave()

    async def run(self) -> None:
        """See `View`."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGWINCH, self._changed.set)
        loop.add_signal_handler(signal.SIGTSTP, self._suspend)
        try:
            while True:
                self._paint()
                await asyncio.sleep(_SHORTEST)
                try:
                    async with asyncio.timeout(_TICK):
                        await self._changed.wait()
                except TimeoutError:
                    pass
                self._changed.clear()
        finally:
            loop.remove_signal_handler(signal.SIGTSTP)
            loop.remove_signal_handler(signal.SIGWINCH)

    def _paint(self) -> None:
        assert self._live is not None
        now = time.time()
        self._model.look(self._look(), now)
        width, height = self._console.size
        lines = draw(self._model, self._editor, width=width, height=height, now=now)
        if lines != self._last:
            self._last = lines
            self._live.update(Group(*lines), refresh=True)

    def _suspend(self) -> None:
        """Ctrl-Z: give the terminal back, and take it again when we go on."""
        self.close()
        os.kill(os.getpid(), signal.SIGSTOP)
        self.open()
