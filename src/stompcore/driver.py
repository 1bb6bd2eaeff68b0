"""What every binding shares, still without I/O: `EpochClock` and `Pump`.

A binding owns a transport and a loop. It gives a `Pump` what the transport brings, writes what the
pump puts out, and calls `timer` when `deadline` has come. Nothing else is left to decide.
"""

from __future__ import annotations

from collections.abc import Callable

from stompcore._machine import Machine

__all__ = ["MAX_SLEEP", "EpochClock", "Pump"]

#: A loop's timer does not run while the computer is suspended, and the wall clock does. Looking at
#: it this often, in seconds, bounds how late an expiry can be noticed.
MAX_SLEEP = 30.0


class EpochClock:
    """Unix seconds that never run backwards.

    Wall time is anchored to a monotonic clock and re-anchored only forwards: a step of the wall
    clock back cannot lengthen a token's life, one forward (or a suspended computer) is followed at
    once.

    Args:
        monotonic: the loop's clock, in seconds.
        wall: the wall clock, in Unix seconds.
    """

    __slots__ = ("_monotonic", "_offset", "_wall")

    def __init__(self, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._offset = wall() - monotonic()

    def now(self) -> float:
        """The present instant, in Unix seconds."""
        offset = self._wall() - self._monotonic()
        if offset > self._offset:
            self._offset = offset
        return self._monotonic() + self._offset

    def to_loop(self, at: float) -> float:
        """The loop's own time of the instant `at`."""
        return at - self._offset


class Pump:
    """One transport's machine, fed and drained by the clock.

    After `feed`, `eof`, `timer`, and a `wake` that fired, drain the machine's events; then write
    `output()`.

    Args:
        machine: a session, a connection or an endpoint.
        clock: see `EpochClock`.
    """

    __slots__ = ("_clock", "_eof_sent", "machine", "now")

    def __init__(self, machine: Machine, clock: EpochClock) -> None:
        self.machine = machine
        self.now = clock.now()
        self._clock = clock
        self._eof_sent = False

    def feed(self, data: bytes) -> None:
        """The transport has brought bytes."""
        self.now = self._clock.now()
        self.machine.receive_data(data, now=self.now)

    def eof(self) -> None:
        """The transport has brought its end, or was lost."""
        self.now = self._clock.now()
        self.machine.receive_eof(now=self.now)

    def timer(self) -> None:
        """It is `deadline()`, or some other time."""
        self.now = self._clock.now()
        self.machine.handle_timeout(now=self.now)

    def wake(self) -> bool:
        """Fire what has become due; whether anything had.

        Call it before `output`: what waited for the transport must not leave on a token that has
        expired in the meantime. If it fired, drain the events first.
        """
        self.now = self._clock.now()
        deadline = self.machine.next_deadline()
        if deadline is None or self.now < deadline:
            return False
        self.machine.handle_timeout(now=self.now)
        return True

    def output(self) -> list[bytes]:
        """What to write next, not all at once: ask again while the transport can write.

        Ask only then: the backlog is the machine's, which drops it when its token expires.
        """
        return self.machine.data_to_send()

    def deadline(self) -> float | None:
        """When to call `timer`, in the loop's own seconds, or None once the machine is closed."""
        if self.machine.closed:
            return None
        at = self.machine.next_deadline()
        latest = self.now + MAX_SLEEP
        return self._clock.to_loop(latest if at is None else min(at, latest))

    def should_send_eof(self) -> bool:
        """Whether to half-close the transport now; true once."""
        if self._eof_sent or not self.machine.send_eof:
            return False
        self._eof_sent = True
        return True
