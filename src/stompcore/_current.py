"""The connection of the moment: what a transport sees of a client that has many, one by one."""

from __future__ import annotations

from stompcore._connection import ClientConnection
from stompcore._errors import ErrorCode
from stompcore._machine import TimedMachine
from stompcore._state import CONNECTION, ConnectionState, ConnectionTrigger
from stompcore._timers import Timer, earliest

__all__ = ["CurrentConnection"]


class CurrentConnection(TimedMachine[ConnectionState, ConnectionTrigger]):
    """The half of `Machine`'s verbs that a client hands on to its current connection.

    Args:
        now: Unix seconds.
    """

    def __init__(self, *, now: float) -> None:
        super().__init__(CONNECTION, ConnectionState.IDLE, now=now)
        self._connection: ClientConnection | None = None

    @property
    def connection(self) -> ClientConnection | None:
        """The physical connection of the current epoch, if there is one."""
        return self._connection

    @property
    def wants_read(self) -> bool:
        """Always: a client has nobody to wait for before it can judge a frame."""
        return True

    @property
    def send_eof(self) -> bool:
        """Whether to half-close the transport: never."""
        return False

    @property
    def bytes_queued(self) -> int:
        """Bytes that `data_to_send()` would return."""
        return self._connection.bytes_queued if self._connection else 0

    @property
    def error(self) -> ErrorCode | None:
        """The `error-code` that the server has sent on this connection, if it is one of ours."""
        return self._connection.error if self._connection else None

    def next_deadline(self) -> float | None:
        """When to call `handle_timeout`, in Unix seconds, or None."""
        theirs = self._connection.next_deadline() if self._connection else None
        return earliest(self._timers.next_deadline(), theirs)

    def deadline_reason(self) -> Timer | None:
        """What `next_deadline()` is for."""
        own = self._timers.next_deadline()
        if own is not None and own == self.next_deadline():
            return self._timers.reason()
        return self._connection.deadline_reason() if self._connection else None

    def receive_data(self, data: bytes, *, now: float) -> None:
        """Bytes for the current connection, where no WebSocket endpoint stands before it."""
        self._advance(now)
        if self._connection is not None:
            self._connection.receive_data(data, now=self._now)
        self._fire_due()

    def receive_eof(self, *, now: float) -> None:
        """The current connection's transport has ended."""
        self._advance(now)
        if self._connection is not None:
            self._connection.receive_eof(now=self._now)

    def data_to_send(self) -> list[bytes]:
        """What the current connection's transport should write."""
        return self._connection.data_to_send() if self._connection is not None else []
