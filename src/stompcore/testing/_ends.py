"""The end of a link: what a binding does around a `Pump`, in virtual time."""

from __future__ import annotations

import math

from stompcore._errors import LocalProtocolError
from stompcore._machine import Machine
from stompcore.driver import EpochClock, Pump
from stompcore.testing._link import Link, Way
from stompcore.testing._schedule import Schedule

__all__ = ["End", "join"]


class End:
    """One end of a link, and when it is to be woken. Both kinds of ends are subclasses.

    Args:
        schedule: of the world.
        clock: of the computer at this end.
        link: the wire.
        inbound, outbound: its two ways, as this end sees them.
    """

    def __init__(
        self, schedule: Schedule, clock: EpochClock, link: Link, inbound: Way, outbound: Way
    ) -> None:
        self.link = link
        self.is_closed = False
        self.pump: Pump | None = None
        self._schedule = schedule
        self._clock = clock
        self._in = inbound
        self._out = outbound
        self._peer: End | None = None
        self._reads_at = math.inf
        self._wakes_at = math.inf
        self._is_deaf = False  # it reads nothing for the moment
        self._has_heard_end = False

    @property
    def machine(self) -> Machine:
        """What this end of the link feeds: a session, a connection, or an endpoint around it.

        Raises:
            LocalProtocolError: there is none yet.
        """
        if self.pump is None:
            raise LocalProtocolError("nobody is at this end of the link yet")
        return self.pump.machine

    # --- what subclasses do ---------------------------------------------------------------

    def _fed(self) -> None:
        """The pump was fed, has heard the end, or its timer was called."""
        raise NotImplementedError

    def flush(self) -> None:
        """Write what there is to write."""
        raise NotImplementedError

    # --- the wire -------------------------------------------------------------------------

    def expect(self) -> None:
        """Have what is under way to this end read when it arrives."""
        at = self._in.next_arrival()
        if at is None or self.is_closed or self._is_deaf or self._has_heard_end:
            return
        at = max(at, self._schedule.clock.monotonic())
        if at < self._reads_at:
            self._reads_at = at
            self._schedule.at(at, lambda: self._read(at))

    def close(self) -> None:
        """Close the transport: what was written still leaves, nothing more is read."""
        if not self.is_closed:
            self.is_closed = True
            self._close_out()

    def _read(self, at: float) -> None:
        if at != self._reads_at:
            return  # something has come earlier, and what this was for was read then
        self._reads_at = math.inf
        pump = self.pump
        if pump is None or self.is_closed:
            return
        if self._stops_listening(pump):
            return
        now = self._schedule.clock.monotonic()
        was_full = not self._in.can_write
        while (piece := self._in.read_piece(now=now)) is not None:
            if not self._feed(pump, piece):
                return
            if not pump.machine.wants_read:
                break
        if was_full and self._peer is not None and self._in.can_write:
            self._schedule.at(now + self.link.latency, self._peer.flush)
        if self._stops_listening(pump):
            return
        if self._in.has_ended(now=now):
            self._has_heard_end = True
            pump.eof()
            self._fed()
        self.expect()

    def _feed(self, pump: Pump, piece: bytes) -> bool:
        """Hand on what has arrived; whether anybody wants to hear more."""
        pump.feed(piece)
        self._fed()
        return not self.is_closed

    def _stops_listening(self, pump: Pump) -> bool:
        self._is_deaf = not pump.machine.wants_read
        return self._is_deaf

    def _listen_again(self) -> None:
        if self._is_deaf and self.pump is not None and self.pump.machine.wants_read:
            self._is_deaf = False
            self.expect()

    def _write(self, data: bytes) -> None:
        self._out.write(data, now=self._schedule.clock.monotonic())
        self._told()

    def _close_out(self) -> None:
        self._out.close(now=self._schedule.clock.monotonic())
        self._told()

    def _told(self) -> None:
        if self._peer is not None:
            self._peer.expect()
        if self.link.is_cut:
            self.expect()

    # --- time -----------------------------------------------------------------------------

    def _arm(self) -> None:
        """See to it that the pump is woken at its deadline. Too early is legal."""
        assert self.pump is not None
        at = self.pump.deadline()
        if at is not None and not self.is_closed and at < self._wakes_at:
            self._wakes_at = at
            self._schedule.timer(at, lambda: self._wake(at))

    def _wake(self, at: float) -> None:
        if at != self._wakes_at:
            return
        self._wakes_at = math.inf
        if not self.is_closed:
            self._on_timer()

    def _on_timer(self) -> None:
        raise NotImplementedError


def join(one: End, other: End) -> None:
    """These are the two ends of one link."""
    one._peer, other._peer = other, one
