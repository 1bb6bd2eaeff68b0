"""Text for a terminal: whatever a peer has chosen must not draw on it."""

from __future__ import annotations

import math
import time

__all__ = ["clock", "clock_of_day", "count", "duration", "readable", "visible"]


def visible(text: str) -> str:
    """`text` in one line, with escapes for what cannot be printed."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def readable(body: bytes) -> str:
    """A body as text, with escapes for what is none."""
    return body.decode("utf-8", errors="backslashreplace")


def clock(at: float) -> str:
    """The time of day of the instant `at`, here, to the second."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def clock_of_day(at: float) -> str:
    """The same, to the millisecond."""
    whole = math.floor(at)
    return f"{clock(whole)}.{int((at - whole) * 1000):03}"


def duration(seconds: float) -> str:
    """`0:42`, `1:02:03`; what is over is `0:00`."""
    minutes, rest = divmod(max(0, math.ceil(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def count(number: int, one: str, many: str = "") -> str:
    """`1 message`, `2 messages`."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"
