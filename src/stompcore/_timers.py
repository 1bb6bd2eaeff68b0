"""Deadlines: the only place where one is compared with another, or with `now`."""

from __future__ import annotations

import enum
import math

__all__ = ["Timer", "Timers", "earliest"]


class Timer(enum.IntEnum):
    """What a deadline is for, most urgent first: of two that are due at once, the first fires.

    The expiry of a token outranks everything, so that nothing else can happen on a token that
    has run out; a beat of our own comes last, so that a dying session does not send one.
    """

    TOKEN_EXPIRY = 0
    CLOSE = 1
    HANDSHAKE = 2
    LOGIN = 3
    PEER_SILENT = 4
    SEND_BACKLOG = 5
    DRAIN = 6
    DIAL = 7
    CONNECT = 8
    TOKEN_FETCH = 9
    REAUTH = 10
    HANDOVER = 11
    OUTBOX = 12
    STABLE = 13
    TOKEN_RETRY = 14
    TOKEN_REFRESH = 15
    REDIAL = 16
    RECOVERING = 17
    OFFLINE = 18
    HEART_BEAT = 19


class Timers:
    """The deadlines of one machine, in Unix seconds. At most one a `Timer`."""

    __slots__ = ("_at", "_next_at")

    def __init__(self) -> None:
        self._at: dict[Timer, float] = {}
        self._next_at = math.inf

    def set(self, timer: Timer, at: float) -> None:
        """Arm `timer` for the instant `at`, in place of any earlier setting of it."""
        self._at[timer] = at
        self._next_at = min(self._at.values())

    def cancel(self, timer: Timer) -> None:
        """Disarm `timer`; legal when it is not armed."""
        if self._at.pop(timer, None) is not None:
            self._next_at = min(self._at.values(), default=math.inf)

    def clear(self) -> None:
        """Disarm everything."""
        self._at.clear()
        self._next_at = math.inf

    def at(self, timer: Timer) -> float | None:
        """When `timer` is due, or None."""
        return self._at.get(timer)

    def is_due(self, now: float) -> bool:
        """Whether anything is due at `now`. Cheap: asked once for every chunk of bytes."""
        return now >= self._next_at

    def pop_due(self, now: float) -> tuple[Timer, float] | None:
        """Disarm and return the most urgent timer that is due at `now`, with its instant."""
        if now < self._next_at:
            return None
        timer = min(each for each, at in self._at.items() if now >= at)
        at = self._at[timer]
        self.cancel(timer)
        return timer, at

    def next_deadline(self) -> float | None:
        """The earliest instant that is armed, or None."""
        return None if self._next_at == math.inf else self._next_at

    def reason(self) -> Timer | None:
        """What `next_deadline()` is for, or None."""
        if not self._at:
            return None
        return min(self._at, key=lambda each: (self._at[each], each))


def earliest(*deadlines: float | None) -> float | None:
    """The first of these instants; None is none, and comes back if all are."""
    return min((each for each in deadlines if each is not None), default=None)
