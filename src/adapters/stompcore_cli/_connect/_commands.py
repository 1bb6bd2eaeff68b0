"""What a person types, or a script sends: one command a line. No I/O."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from stompcore import AckMode

__all__ = [
    "HELP",
    "Answer",
    "Command",
    "NotUnderstood",
    "Send",
    "Show",
    "Subscribe",
    "Unsubscribe",
    "Wait",
    "Word",
    "parse",
]

_MAX_DIGITS = 9  # what is longer is the number of no message
_PATIENCE = 10.0  # seconds


class NotUnderstood(Exception):
    """The line is no command; the text says what there is, and is no sentence yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscribe:
    """Listen to a destination."""

    destination: str
    ack: AckMode = AckMode.AUTO
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"subscribe {self.destination}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Unsubscribe:
    """Listen no longer; `which` is a subscription's number or destination."""

    which: str

    def __str__(self) -> str:
        return f"unsubscribe {self.which}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Send:
    """Send a message, and wait until it is confirmed, or for the reply to it."""

    destination: str
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    is_request: bool = False

    def __str__(self) -> str:
        return f"{'request' if self.is_request else 'send'} {self.destination}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """Acknowledge the message of this number, or refuse it."""

    number: int
    is_consumed: bool

    def __str__(self) -> str:
        return f"{'ack' if self.is_consumed else 'nack'} {self.number}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Show:
    """Show the message of this number, whole."""

    number: int

    def __str__(self) -> str:
        return f"show {self.number}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """Do nothing else until the message of this number has come, `timeout` seconds at most."""

    number: int
    timeout: float = _PATIENCE

    def __str__(self) -> str:
        return f"wait {self.number}"


class Word(enum.StrEnum):
    """The commands of one word."""

    BEGIN = "begin"  # what is sent and acknowledged from now on waits for COMMIT
    COMMIT = "commit"
    ABORT = "abort"
    CUT = "cut"
    HELP = "help"
    QUIT = "quit"


Command = Subscribe | Unsubscribe | Send | Answer | Show | Wait | Word


def parse(line: str) -> Command | None:
    """The command on `line`; None for an empty line, or a comment (`#`).

    A name may be cut short, as long as it is plain what it is.

    Raises:
        NotUnderstood: it is none.
    """
    word, rest = _split(line)
    if not word or word.startswith("#"):
        return None
    name = _name(word)
    command = _KINDS[name].read(rest)
    if command is None:
        raise NotUnderstood(f"write it as: {_KINDS[name].usage}")
    return command


def _name(word: str) -> str:
    if word in _KINDS:
        return word
    fitting = [name for name in _KINDS if name.startswith(word)]
    if not fitting:
        raise NotUnderstood(f"there is no command {word!r}; there are {_listed(list(_KINDS))}")
    if len(fitting) > 1:
        raise NotUnderstood(f"{word!r} may be {_listed(fitting, 'or')}")
    return fitting[0]


def _listed(words: list[str], conjunction: str = "and") -> str:
    *most, last = words
    return f"{', '.join(most)} {conjunction} {last}"


# --- one kind each: the command, or None if it does not keep to its usage ---------------------


def _split(text: str) -> tuple[str, str]:
    """The first word, and what stands behind the one blank after it."""
    words = text.split(None, 1)
    if len(words) < 2:
        return (words[0] if words else ""), ""
    return words[0], text.lstrip()[len(words[0]) + 1 :]


def _head(rest: str) -> tuple[dict[str, str], str, str] | None:
    """Headers, destination, and what stands behind it."""
    headers: dict[str, str] = {}
    word, rest = _split(rest)
    while word == "-H":
        pair, rest = _split(rest)
        name, found, value = pair.partition(":")
        if not name or not found:
            return None
        headers[name] = value
        word, rest = _split(rest)
    return (headers, word, rest) if word else None


def _subscribe(rest: str) -> Command | None:
    head = _head(rest)
    if head is None:
        return None
    headers, destination, rest = head
    words = rest.split()
    if len(words) > 1:
        return None
    try:
        ack = AckMode(words[0]) if words else AckMode.AUTO
    except ValueError:
        raise NotUnderstood(f"{words[0]!r} is not {_listed(list(AckMode), 'or')}") from None
    return Subscribe(destination=destination, ack=ack, headers=headers)


def _unsubscribe(rest: str) -> Command | None:
    words = rest.split()
    return Unsubscribe(which=words[0]) if len(words) == 1 else None


def _send(*, is_request: bool) -> Callable[[str], Command | None]:
    def read(rest: str) -> Command | None:
        head = _head(rest)
        if head is None:
            return None
        headers, destination, body = head
        return Send(destination=destination, body=body, headers=headers, is_request=is_request)

    return read


def _number(rest: str) -> int | None:
    text = rest.strip().removeprefix("#")
    is_number = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    return int(text) if is_number else None


def _answer(*, is_consumed: bool) -> Callable[[str], Command | None]:
    def read(rest: str) -> Command | None:
        number = _number(rest)
        return None if number is None else Answer(number=number, is_consumed=is_consumed)

    return read


def _show(rest: str) -> Command | None:
    number = _number(rest)
    return None if number is None else Show(number=number)


def _wait(rest: str) -> Command | None:
    first, rest = _split(rest)
    number, rest = _number(first), rest.strip()
    if number is None:
        return None
    if not rest:
        return Wait(number=number)
    seconds = _number(rest)
    return None if seconds is None else Wait(number=number, timeout=float(seconds))


def _word(word: Word) -> Callable[[str], Command | None]:
    return lambda rest: None if rest.strip() else word


class _Kind(NamedTuple):
    """One command.

    Args:
        usage: how it is written.
        meaning: what it does, in a few words.
        read: from what stands behind its name to the command; None if that cannot be.
    """

    usage: str
    meaning: str
    read: Callable[[str], Command | None]


_KINDS: Mapping[str, _Kind] = {
    "subscribe": _Kind(
        "subscribe [-H NAME:VALUE] DEST [ACK]",
        "listen (auto, client, client-individual)",
        _subscribe,
    ),
    "unsubscribe": _Kind("unsubscribe N|DEST", "listen no longer", _unsubscribe),
    "send": _Kind(
        "send [-H NAME:VALUE] DEST BODY...",
        "send the rest of the line",
        _send(is_request=False),
    ),
    "request": _Kind(
        "request [-H NAME:VALUE] DEST BODY...",
        "the same, and wait for the reply",
        _send(is_request=True),
    ),
    "ack": _Kind("ack N", "acknowledge message N", _answer(is_consumed=True)),
    "nack": _Kind("nack N", "refuse message N", _answer(is_consumed=False)),
    "show": _Kind("show N", "show message N, whole", _show),
    "wait": _Kind("wait N [SECONDS]", "until message N has come", _wait),
    "begin": _Kind("begin", "what follows waits for commit", _word(Word.BEGIN)),
    "commit": _Kind("commit", "have it done, all of it", _word(Word.COMMIT)),
    "abort": _Kind("abort", "forget it", _word(Word.ABORT)),
    "cut": _Kind("cut", "lose the connection", _word(Word.CUT)),
    "help": _Kind("help", "show this", _word(Word.HELP)),
    "quit": _Kind("quit", "leave; so do Ctrl-C and Ctrl-D", _word(Word.QUIT)),
}
_WIDTH = max(len(kind.usage) for kind in _KINDS.values())

#: What `help` shows.
HELP = tuple(f"{kind.usage:<{_WIDTH}}  {kind.meaning}" for kind in _KINDS.values())
