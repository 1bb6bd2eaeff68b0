"""What happens next in a virtual world, and coroutines that wait for it."""

from __future__ import annotations

import heapq
import inspect
import math
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Generic, TypeVar

from stompcore._errors import StompError
from stompcore.testing._clock import Sleep, VirtualClock, rounded_up
from stompcore.testing._dice import Dice

__all__ = ["Restless", "Schedule", "Task"]

T = TypeVar("T")

_MOST_AT_ONCE = 100_000

# When, whether it is a timer, which of many, and what.
_Entry = tuple[float, bool, int, Callable[[], None]]


class Restless(StompError):
    """A virtual world does not come to rest: so much happens that no time passes."""


class Schedule:
    """Calls that are due at some instant of a clock's monotonic time; equals keep their order.

    Of what is due at one instant, bytes come before timers, as on every event loop.

    Args:
        clock: time jumps to each instant for which something is due, and stands still there.
        dice: for the lag.

    Attributes:
        lag: timers are called up to so many seconds late, as on a busy computer.
    """

    __slots__ = ("_calls", "_count", "_dice", "clock", "lag")

    def __init__(self, clock: VirtualClock, dice: Dice | None = None) -> None:
        self.clock = clock
        self.lag = 0.0
        self._dice = Dice() if dice is None else dice
        self._calls: list[_Entry] = []
        self._count = 0

    def at(self, at: float, call: Callable[[], None]) -> None:
        """Have `call` called when it is `at`, or as soon as possible."""
        self._count += 1
        heapq.heappush(self._calls, (rounded_up(at), False, self._count, call))

    def timer(self, at: float, call: Callable[[], None]) -> None:
        """The same for a timer."""
        if self.lag:
            at += self.lag * self._dice.random()
        self._count += 1
        heapq.heappush(self._calls, (rounded_up(at), True, self._count, call))

    def next_at(self) -> float:
        """When something is due, `math.inf` for never."""
        return self._calls[0][0] if self._calls else math.inf

    def jump(self, seconds: float) -> None:
        """Let time pass without doing anything: all that was due then is due at once now."""
        self.clock.advance(seconds)
        now = self.clock.monotonic()
        self._calls = [(max(each[0], now), *each[1:]) for each in self._calls]
        heapq.heapify(self._calls)

    def run(self, until: float, *, after_each: Callable[[], bool] | None = None) -> None:
        """Do what is due, in order, up to the instant `until`, and let the time pass.

        Args:
            until: of the monotonic time.
            after_each: called after every step; True ends the run, where it is then.

        Raises:
            Restless: a hundred thousand steps, and no time has passed.
        """
        clock = self.clock
        budget, stands_at = _MOST_AT_ONCE, -math.inf
        while self._calls and self._calls[0][0] <= until:
            at, _, _, call = heapq.heappop(self._calls)
            if at > stands_at:
                budget, stands_at = _MOST_AT_ONCE, at
                clock.advance_to(at)
            budget -= 1
            if not budget:
                raise Restless("a virtual world does not come to rest")
            call()
            if after_each is not None and after_each():
                return
        clock.advance_to(until)


class Task(Generic[T]):
    """Runs a coroutine in virtual time. It may await `VirtualClock.sleep`, and what ends at once.

    Args:
        schedule: where its sleeps are.
        awaitable: what to run.
        done: is given the result, or the exception.
    """

    def __init__(
        self,
        schedule: Schedule,
        awaitable: Awaitable[T],
        done: Callable[[T | None, Exception | None], None],
    ) -> None:
        self._schedule = schedule
        self._done = done
        self._is_over = False
        self._steps: Generator[Any, None, T] = _steps(awaitable)
        self._awaitable = awaitable

    def start(self) -> None:
        """Run it, up to the first sleep."""
        self._advance(None)

    def cancel(self) -> None:
        """Nobody wants to know any more. Legal more than once, and after its end."""
        if not self._is_over:
            self._is_over = True
            self._steps.close()
            if inspect.iscoroutine(self._awaitable):
                self._awaitable.close()  # one that has not begun would complain

    def _advance(self, fault: Exception | None) -> None:
        if self._is_over:
            return
        try:
            asked = next(self._steps) if fault is None else self._steps.throw(fault)
        except StopIteration as stop:
            self._is_over = True
            self._done(stop.value, None)
        except Exception as error:  # the user's code
            self._is_over = True
            self._done(None, error)
        else:
            clock = self._schedule.clock
            if isinstance(asked, Sleep):
                self._schedule.at(clock.monotonic() + asked.seconds, lambda: self._advance(None))
            else:
                self._advance(
                    RuntimeError("in virtual time only VirtualClock.sleep can be waited for")
                )


def _steps(awaitable: Awaitable[T]) -> Generator[Any, None, T]:
    return (yield from awaitable.__await__())
