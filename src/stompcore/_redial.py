"""When a client may dial again."""

from __future__ import annotations

import math
from collections.abc import Callable

from stompcore._config import Backoff
from stompcore._timers import Timer, Timers

__all__ = ["Redial"]


class Redial:
    """The backoff of a client: a step for every failure, forgotten after a stable connection.

    Args:
        backoff: the bounds.
        timers: of the machine that this is a part of: REDIAL and STABLE are set here.
        random: gives floats in [0, 1).
    """

    def __init__(self, backoff: Backoff, timers: Timers, *, random: Callable[[], float]) -> None:
        self._backoff = backoff
        self._timers = timers
        self._random = random
        self._attempt = 0
        self._connected_at = 0.0
        self._dialed_at = -math.inf

    @property
    def is_waiting(self) -> bool:
        """Whether it is too early to dial."""
        return self._timers.at(Timer.REDIAL) is not None

    def dialing(self, now: float) -> None:
        """An attempt begins."""
        self._dialed_at = now

    def may_overlap(self, now: float) -> bool:
        """Whether a second connection may be dialled beside the first.

        If it is too early, REDIAL will say when it is not.
        """
        earliest_at = self._dialed_at + self._backoff.minimum
        if not self.is_waiting and now < earliest_at:
            self._timers.set(Timer.REDIAL, earliest_at)
        return not self.is_waiting

    def connected(self, now: float) -> None:
        """CONNECTED has come. It has to hold before the backoff is forgotten."""
        self._connected_at = now
        self._timers.set(Timer.STABLE, now + self._backoff.stable_timeout)

    def stable(self) -> None:
        """STABLE has fired: the next failure starts from the floor again."""
        self._attempt = 0

    def has_held(self, now: float) -> bool:
        """Whether the connection that ends now has held for as long as the backoff's floor.

        Then dialling at once is no faster than the backoff allows, and cannot be a hot loop.
        """
        return now - self._connected_at >= self._backoff.minimum

    def back_off(self, now: float) -> None:
        """Take the next step: REDIAL will say when it is over."""
        delay = self._backoff.delay(self._attempt, self._random())
        self._attempt += 1
        self._timers.set(Timer.REDIAL, now + delay)
