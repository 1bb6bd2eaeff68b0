"""What the person at the screen should see of a client."""

from __future__ import annotations

from stompcore._config import ClientConfig
from stompcore._machine import StateMachine
from stompcore._state import STATUS, Status, StatusTrigger
from stompcore._timers import Timer, Timers

__all__ = ["Standing"]


class Standing:
    """The status of a client: a connection that is back within the grace shows nothing.

    Args:
        config: for `status_grace` and `offline_timeout`.
        timers: of the machine that this is a part of: RECOVERING and OFFLINE are set here.
    """

    def __init__(self, config: ClientConfig, timers: Timers) -> None:
        self._config = config
        self._timers = timers
        self._table = StateMachine(STATUS, Status.OFFLINE)

    @property
    def status(self) -> Status:
        """Where the status's table stands."""
        return self._table.state

    def fire(self, trigger: StatusTrigger) -> bool:
        """Move as the table says; whether that shows."""
        if trigger is not StatusTrigger.OVERDUE:
            self._timers.cancel(Timer.RECOVERING)
            self._timers.cancel(Timer.OFFLINE)
        before = self.status
        return self._table.fire(trigger) is not before

    def lost(self, now: float) -> None:
        """The connection has ended: the grace begins, if it has not begun already."""
        if self.status is Status.ONLINE and self._timers.at(Timer.RECOVERING) is None:
            self._timers.set(Timer.RECOVERING, now + self._config.status_grace)
            self._timers.set(Timer.OFFLINE, now + self._config.offline_timeout)
