"""The line that a person types: bytes of a terminal in, whole lines out. No I/O."""

from __future__ import annotations

import codecs
import enum

__all__ = ["Editor", "Key", "Typed"]

_HISTORY_KEPT = 200
_LONGEST = 64 * 1024
_LONGEST_SEQUENCE = 32


class Key(enum.Enum):
    """A key that is no part of a line."""

    END = "end"  # Ctrl-D on an empty line
    REDRAW = "redraw"  # Ctrl-L


#: What typing comes to.
Typed = str | Key

# ECMA-48 sequences, without their ESC, as the usual terminals send them.
_SEQUENCES = {
    "[A": "up",
    "[B": "down",
    "[C": "right",
    "[D": "left",
    "[H": "home",
    "[F": "end",
    "[1~": "home",
    "[4~": "end",
    "[7~": "home",
    "[8~": "end",
    "[3~": "delete",
    "OA": "up",
    "OB": "down",
    "OC": "right",
    "OD": "left",
    "OH": "home",
    "OF": "end",
}
_CONTROLS = {
    "\x01": "home",
    "\x02": "left",
    "\x04": "delete",  # or the end, on an empty line
    "\x05": "end",
    "\x06": "right",
    "\x08": "backspace",
    "\x0b": "cut to the end",
    "\x0e": "down",
    "\x10": "up",
    "\x15": "cut to the start",
    "\x17": "cut a word",
    "\x7f": "backspace",
}


class Editor:
    """A line, a cursor in it, and the lines before it."""

    def __init__(self) -> None:
        self.text = ""
        self.cursor = 0
        self._history: list[str] = []
        self._at = 0  # in the history; its length for the line that is new
        self._draft = ""
        self._sequence: str | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="ignore")

    def feed(self, data: bytes) -> list[Typed]:
        """Take what was typed: the lines that Enter has ended, and keys that are no part of one."""
        typed: list[Typed] = []
        for each in self._decoder.decode(data):
            if self._sequence is not None:
                self._go_on_with_sequence(each)
            elif each == "\x1b":
                self._sequence = ""
            elif each in "\r\n":
                typed.append(self._enter())
            elif each == "\x04" and not self.text:
                typed.append(Key.END)
            elif each == "\x0c":
                typed.append(Key.REDRAW)
            elif each in _CONTROLS:
                self._do(_CONTROLS[each])
            elif each == "\t" or each.isprintable():
                self._insert(" " if each == "\t" else each)
        return typed

    def _go_on_with_sequence(self, each: str) -> None:
        assert self._sequence is not None
        sequence = self._sequence + each
        is_open = sequence in ("[", "O") or (
            sequence.startswith("[") and not "@" <= each <= "~" and each.isprintable()
        )
        if each == "\x1b":
            self._sequence = ""
        elif is_open and len(sequence) < _LONGEST_SEQUENCE:
            self._sequence = sequence
        else:
            self._sequence = None
            self._do(_SEQUENCES.get(sequence, ""))

    def _insert(self, text: str) -> None:
        if len(self.text) < _LONGEST:
            self.text = self.text[: self.cursor] + text + self.text[self.cursor :]
            self.cursor += len(text)

    def _enter(self) -> str:
        line = self.text
        if line.strip() and (not self._history or self._history[-1] != line):
            self._history = [*self._history[1 - _HISTORY_KEPT :], line]
        self._at = len(self._history)
        self._draft = ""
        self._set("")
        return line

    def _set(self, text: str) -> None:
        self.text = text
        self.cursor = len(text)

    def _do(self, what: str) -> None:
        before, behind = self.text[: self.cursor], self.text[self.cursor :]
        match what:
            case "left":
                self.cursor = max(0, self.cursor - 1)
            case "right":
                self.cursor = min(len(self.text), self.cursor + 1)
            case "home":
                self.cursor = 0
            case "end":
                self.cursor = len(self.text)
            case "backspace":
                self._replace(before[:-1], behind)
            case "delete":
                self._replace(before, behind[1:])
            case "cut to the end":
                self._replace(before, "")
            case "cut to the start":
                self._replace("", behind)
            case "cut a word":
                words = before.rstrip()
                self._replace(words[: words.rfind(" ") + 1], behind)
            case "up":
                self._go_to(self._at - 1)
            case "down":
                self._go_to(self._at + 1)
            case _:
                pass  # a key that means nothing here

    def _replace(self, before: str, behind: str) -> None:
        self.text = before + behind
        self.cursor = len(before)

    def _go_to(self, at: int) -> None:
        if not 0 <= at <= len(self._history):
            return
        if self._at == len(self._history):
            self._draft = self.text
        self._at = at
        self._set(self._draft if at == len(self._history) else self._history[at])
