"""The contract that every machine keeps, and the runner of the tables in `_state`."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar

from stompcore._errors import CloseCode, ErrorCode, LocalProtocolError
from stompcore._timers import Timer, Timers

__all__ = ["Close", "Machine", "StateMachine", "Table", "TimedMachine"]

S = TypeVar("S", bound=enum.Enum)
T = TypeVar("T", bound=enum.Enum)

Table = Mapping[S, Mapping[T, S]]


class StateMachine(Generic[S, T]):
    """Where one of the tables of `_state` stands.

    Args:
        table: state to trigger to next state. What is not in it is illegal.
        initial: the first state.
    """

    __slots__ = ("_table", "state")

    def __init__(self, table: Table[S, T], initial: S) -> None:
        self._table = table
        self.state = initial

    def allows(self, trigger: T) -> bool:
        """Whether `trigger` is legal now."""
        return trigger in self._table[self.state]

    def fire(self, trigger: T) -> S:
        """Move as the table says, and return the new state.

        Raises:
            LocalProtocolError: the table has no such move; nothing changes.
        """
        try:
            self.state = self._table[self.state][trigger]
        except KeyError:
            raise LocalProtocolError(
                f"{trigger.name} is not legal in the state {self.state.name}"
            ) from None
        return self.state


class TimedMachine(Generic[S, T]):
    """What every machine of the core is made of: a table, a clock that is told, and timers.

    Args:
        table, initial: as of `StateMachine`.
        now: Unix seconds.
    """

    def __init__(self, table: Table[S, T], initial: S, *, now: float) -> None:
        self._now = now
        self._table = StateMachine(table, initial)
        self._timers = Timers()

    @property
    def state(self) -> S:
        """Where the machine's table stands."""
        return self._table.state

    @property
    def now(self) -> float:
        """The latest instant that the machine was told, in Unix seconds."""
        return self._now

    def next_deadline(self) -> float | None:
        """When to call `handle_timeout`, in Unix seconds, or None."""
        return self._timers.next_deadline()

    def deadline_reason(self) -> Timer | None:
        """What `next_deadline()` is for."""
        return self._timers.reason()

    def handle_timeout(self, *, now: float) -> None:
        """Fire what is due at `now` (Unix seconds). Legal early, late and twice."""
        self._advance(now)
        self._fire_due()

    def _advance(self, now: float) -> None:
        self._now = max(self._now, now)

    def _fire_due(self) -> None:
        while (due := self._timers.pop_due(self._now)) is not None:
            self._fire(*due)

    def _fire(self, timer: Timer, due_at: float) -> None:
        """`timer`, which was set for `due_at`, is due."""
        raise NotImplementedError


class Close:
    """How a machine ends its connection: a WebSocket close code and reason.

    Args:
        code: RFC 6455 section 7.4.
        reason: at most 123 bytes of UTF-8 (a control frame's 125 less the code).
    """

    __slots__ = ("code", "reason")

    def __init__(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        if len(reason.encode()) > 123:
            raise LocalProtocolError("a close reason is at most 123 bytes of UTF-8")
        self.code = int(code)
        self.reason = reason

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Close):
            return NotImplemented
        return (self.code, self.reason) == (other.code, other.reason)

    def __hash__(self) -> int:
        return hash((self.code, self.reason))

    def __repr__(self) -> str:
        return f"Close({self.code}, {self.reason!r})"


class Machine(Protocol):
    """The verbs of every machine. The contract, whole:

    *After every call that takes `now`: drain `next_event()` (a client also `next_action()`), send
    `data_to_send()`, then wait for input or for `next_deadline()`.*

    `now` is Unix seconds. A machine clamps it so that it never runs backwards, fires what is due,
    and only then looks at bytes. A peer's fault never raises: it becomes an event, and the
    farewell is queued. Misuse raises `LocalProtocolError` and changes nothing.
    """

    def receive_data(self, data: bytes, *, now: float) -> None:
        """Bytes came from the peer."""

    def receive_eof(self, *, now: float) -> None:
        """The peer will send no more, or its connection is gone. Legal more than once."""

    def handle_timeout(self, *, now: float) -> None:
        """Fire what is due. Legal at any moment: early, late, twice."""

    def next_event(self) -> Any:
        """The next event, or None. Bytes that the state cannot judge yet stay in the buffer."""

    def data_to_send(self) -> list[bytes]:
        """What to write next. One item is one WebSocket message or one chunk of bytes.

        A long backlog comes in several calls: ask until there is nothing, or until the transport
        cannot write.
        """

    def next_deadline(self) -> float | None:
        """When to call `handle_timeout`, in Unix seconds, or None."""

    def deadline_reason(self) -> Timer | None:
        """What `next_deadline()` is for."""

    @property
    def state(self) -> enum.Enum:
        """Where the connection's table stands."""

    @property
    def wants_read(self) -> bool:
        """False while more bytes could only be buffered: stop reading from the transport."""

    @property
    def closing(self) -> bool:
        """The end has begun: the farewell is queued, and nothing is accepted any more."""

    @property
    def closed(self) -> bool:
        """It is over: close the transport once what was written has left."""

    @property
    def send_eof(self) -> bool:
        """Nothing more will be written: half-close the transport, and go on reading."""

    @property
    def bytes_queued(self) -> int:
        """Bytes that `data_to_send()` would return."""

    @property
    def error(self) -> ErrorCode | None:
        """Why it was ended by us, if it was not in peace."""
