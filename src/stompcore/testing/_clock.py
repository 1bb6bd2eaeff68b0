"""`VirtualClock`: time that passes when it is told to, and never by itself."""

from __future__ import annotations

import math
from collections.abc import Generator

from stompcore._errors import LocalProtocolError

__all__ = ["Sleep", "VirtualClock", "rounded_up"]

# The step of a float at the present date. On this grid, sums of instants and durations are exact:
# a timer that is set for an instant fires at that instant, not a rounding error too early.
_GRAIN = 2.0**-22
_GRAINS = 2.0**22

_SOME_DAY = 1_700_000_000.0


def rounded_up(seconds: float) -> float:
    """The first instant on the clocks' grid (a quarter of a microsecond) that is not earlier."""
    return math.ceil(seconds * _GRAINS) * _GRAIN


class Sleep:
    """What `VirtualClock.sleep` asks its runner for. Awaiting it gives None, `seconds` later."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __await__(self) -> Generator[Sleep, None, None]:
        yield self


class _Passing:
    """The time that all clocks of one world share."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = 0.0


class VirtualClock:
    """A computer's two clocks: one that only runs, and one that people and NTP set.

    Its methods `monotonic` and `wall` are what `stompcore.driver.EpochClock` is made of.

    Args:
        wall: what the wall clock shows at first, in Unix seconds; by default what the one beside
            shows, or some day in 2023.
        beside: another computer's clock: time passes for both, each has its own wall clock.
    """

    __slots__ = ("_offset", "_passing")

    def __init__(self, wall: float | None = None, *, beside: VirtualClock | None = None) -> None:
        self._passing: _Passing = _Passing() if beside is None else beside._passing
        if wall is None:
            wall = _SOME_DAY if beside is None else beside.wall()
        self._offset = rounded_up(wall - self._passing.at)

    def monotonic(self) -> float:
        """Seconds since the world began."""
        return self._passing.at

    def wall(self) -> float:
        """What the wall clock shows, in Unix seconds."""
        return self._passing.at + self._offset

    def advance(self, seconds: float) -> None:
        """Let time pass, here and beside.

        Raises:
            LocalProtocolError: it does not run backwards.
        """
        if not 0 <= seconds < math.inf:
            raise LocalProtocolError("time passes by 0 seconds or more")
        self._passing.at = rounded_up(self._passing.at + seconds)

    def advance_to(self, at: float) -> None:
        """Let time pass until `monotonic()` is `at`, unless it is that late already."""
        if at > self._passing.at:
            self._passing.at = rounded_up(at)

    def step(self, seconds: float) -> None:
        """Set the wall clock forward, or back for less than 0. No time passes."""
        self._offset += rounded_up(seconds)

    def sleep(self, seconds: float) -> Sleep:
        """``await clock.sleep(seconds)`` in a handler or a token source that runs in this time."""
        return Sleep(seconds)
