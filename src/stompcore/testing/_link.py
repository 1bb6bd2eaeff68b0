"""`Link`: a wire between a client and a server, with everything that can go wrong on one."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator

from stompcore._errors import LocalProtocolError
from stompcore.testing._dice import Dice

__all__ = ["Link", "Way"]

# As much as a loop reads at once, in bytes.
_LARGEST = 64 * 1024


class Way:
    """One direction of a link: a stream of bytes, in order, some time later.

    Attributes:
        is_silent: what is written from now on is swallowed, its end included, and nobody is told:
            half of a half-open connection.
        stalled_until: nothing that is written from now on arrives before this instant, as when
            packets are lost and sent again.
    """

    __slots__ = (
        "_ends_at",
        "_in_flight",
        "_is_closed",
        "_last_at",
        "_link",
        "_name",
        "_pieces",
        "is_silent",
        "stalled_until",
    )

    def __init__(self, link: Link, name: str) -> None:
        self._link = link
        self._name = name
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._last_at = -math.inf
        self._ends_at: float | None = None
        self._in_flight = 0
        self._is_closed = False
        self.is_silent = False
        self.stalled_until = -math.inf

    @property
    def can_write(self) -> bool:
        """Whether there is room: less than `Link.window` bytes are under way."""
        return self._in_flight < self._link.window

    def write(self, data: bytes, *, now: float) -> None:
        """Send bytes.

        What is written to a link that is cut is lost: its end has not heard of it yet.

        Raises:
            LocalProtocolError: this way was closed.
        """
        if self._is_closed:
            raise LocalProtocolError("nothing can be written behind the end of a stream")
        link = self._link
        if link.on_write is not None and not link.is_cut:
            link.on_write(self._name, data)
        for piece in link._pieces_of(data):
            if link.is_cut:
                return
            kept = piece[: link._room_before_cut()]
            if kept:
                self._send(kept, now)
            if link._room_before_cut() == 0:
                link.cut(now=max(now, self._last_at))

    def close(self, *, now: float) -> None:
        """End the stream, behind what was written. Legal more than once."""
        if not self._is_closed:
            self._is_closed = True
            if not self._link.is_cut and not self.is_silent:
                self._ends_at = self._arrival(now)

    def read(self, *, now: float) -> list[bytes]:
        """The pieces that have arrived, in order."""
        arrived = []
        while (piece := self.read_piece(now=now)) is not None:
            arrived.append(piece)
        return arrived

    def read_piece(self, *, now: float) -> bytes | None:
        """The next piece that has arrived, or None."""
        if not self._pieces or self._pieces[0][0] > now:
            return None
        piece = self._pieces.popleft()[1]
        self._in_flight -= len(piece)
        return piece

    def has_ended(self, *, now: float) -> bool:
        """Whether everything was read, and nothing more can come."""
        return not self._pieces and self._ends_at is not None and self._ends_at <= now

    def next_arrival(self) -> float | None:
        """When there is something to read next, or the end; None if nothing is under way."""
        return self._pieces[0][0] if self._pieces else self._ends_at

    def _send(self, piece: bytes, now: float) -> None:
        self._link._passed(piece)
        self._in_flight += len(piece)
        if not self.is_silent:
            self._last_at = self._arrival(now)
            self._pieces.append((self._last_at, piece))

    def _arrival(self, now: float) -> float:
        link = self._link
        delay = link.latency
        if link.jitter:
            delay += link.jitter * link._dice.random()
        return max(now + delay, self._last_at, self.stalled_until)

    def _break(self, now: float) -> None:
        while self._pieces and self._pieces[-1][0] > now:
            self._in_flight -= len(self._pieces.pop()[1])
        self._ends_at = now


class Link:
    """A wire: `up` leads from the client to the server, `down` back.

    It knows no loop: write with the present instant, read at `next_arrival()`. Any timeline will
    do, as long as it is one.

    Args:
        dice: for the jitter and the pieces.
        latency: seconds that bytes take.
        jitter: up to so many seconds more, for each piece; their order is kept.
        chunk: bytes arrive in pieces of at most this size, of random sizes; 0 for as written, up
            to 64 KiB.
        window: bytes that may be under way in one direction; a writer should wait then.
        cut_after_bytes: the link is cut when so many bytes have passed, in both directions.
        cut_after_steps: the link is cut when so many pieces have passed, in both directions.
        on_write: is told of what leaves, with "up" or "down".

    Attributes:
        is_cut: whether it is.
        bytes: how many have passed, so far.
        steps: how many pieces have.
    """

    def __init__(
        self,
        dice: Dice | None = None,
        *,
        latency: float = 0.0,
        jitter: float = 0.0,
        chunk: int = 0,
        window: int = 256 * 1024,
        cut_after_bytes: int | None = None,
        cut_after_steps: int | None = None,
        on_write: Callable[[str, bytes], None] | None = None,
    ) -> None:
        self._dice = Dice() if dice is None else dice
        self.latency = latency
        self.jitter = jitter
        self.chunk = chunk
        self.window = window
        self.on_write = on_write
        self.is_cut = False
        self.bytes = 0
        self.steps = 0
        self._cut_after_bytes = cut_after_bytes
        self._cut_after_steps = cut_after_steps
        self.up = Way(self, "up")
        self.down = Way(self, "down")

    def cut(self, *, now: float) -> None:
        """Break it: what has not arrived by `now` is lost, and both ends hear of it then."""
        if not self.is_cut:
            self.is_cut = True
            self.up._break(now)
            self.down._break(now)

    def next_arrival(self) -> float | None:
        """When there is something to read next, in either direction, or None."""
        found = [at for at in (self.up.next_arrival(), self.down.next_arrival()) if at is not None]
        return min(found, default=None)

    def _pieces_of(self, data: bytes) -> Iterator[bytes]:
        start = 0
        while start < len(data):
            size = 1 + self._dice.below(self.chunk) if self.chunk else _LARGEST
            yield data[start : start + size]
            start += size

    def _room_before_cut(self) -> int | None:
        """How much of the next piece still passes; None for all of it."""
        if self._cut_after_steps is not None and self.steps >= self._cut_after_steps:
            return 0
        if self._cut_after_bytes is not None:
            return self._cut_after_bytes - self.bytes
        return None

    def _passed(self, piece: bytes) -> None:
        self.bytes += len(piece)
        self.steps += 1
