"""A terminal in which every key counts at once, and which is left as it was found."""

from __future__ import annotations

import contextlib
import termios
import tty
from typing import Any

__all__ = ["Terminal"]

_LOCAL = 3  # the place of the local modes in what `tcgetattr` returns
_INPUT = 0


class Terminal:
    """The modes of a terminal.

    Args:
        fd: of the terminal that is read.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._before: list[Any] | None = None

    def enter(self) -> None:
        """Hand over each key as it is typed, unseen. Ctrl-C and Ctrl-Z stay signals."""
        self._before = termios.tcgetattr(self.fd)
        modes = termios.tcgetattr(self.fd)
        modes[_LOCAL] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
        modes[_INPUT] &= ~termios.IXON  # Ctrl-S would stop the whole client
        modes[tty.CC][termios.VMIN] = 1
        modes[tty.CC][termios.VTIME] = 0
        termios.tcsetattr(self.fd, termios.TCSADRAIN, modes)

    def leave(self) -> None:
        """As it was before. What was typed and not read is nobody's. Legal more than once."""
        before, self._before = self._before, None
        if before is None:
            return
        with contextlib.suppress(termios.error):  # it may be gone
            termios.tcsetattr(self.fd, termios.TCSAFLUSH, before)
