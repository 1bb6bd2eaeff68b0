"""The connections of a client: one at a time, and two while it hands over to the next."""

from __future__ import annotations

from collections import deque

from stompcore._config import ClientConfig
from stompcore._connection import ClientConnection
from stompcore._errors import ClientClosed, ErrorCode
from stompcore._events import Action, ClientEvent
from stompcore._frames import Frame
from stompcore._handover import HandoverProcess
from stompcore._line import Line
from stompcore._machine import TimedMachine
from stompcore._state import CONNECTION, ConnectionState, ConnectionTrigger, HandoverState
from stompcore._timers import Timer, earliest

__all__ = ["CurrentConnection"]


class CurrentConnection(TimedMachine[ConnectionState, ConnectionTrigger]):
    """The half of `Machine`'s verbs that a client hands on to its connections.

    Bytes and output are those of the current connection, for a driver that has no other. One that
    can hand over feeds each transport to what `dialed` has returned for it.

    Args:
        config: for the bounds of a handover.
        now: Unix seconds.
    """

    def __init__(self, config: ClientConfig, *, now: float) -> None:
        super().__init__(CONNECTION, ConnectionState.IDLE, now=now)
        self._config = config
        self._events: deque[ClientEvent] = deque()
        self._actions: deque[Action] = deque()
        #: The current one, also while it is being dialled.
        self._line: Line | None = None
        self._handover = HandoverProcess(config.subscription_limit)

    @property
    def connection(self) -> ClientConnection | None:
        """The current physical connection, if there is one."""
        return self._line.connection if self._line else None

    @property
    def handover_state(self) -> HandoverState:
        """Where the handover's table stands."""
        return self._handover.state

    @property
    def closing(self) -> bool:
        """The client will not connect again."""
        return self.state in (ConnectionState.DISCONNECTING, ConnectionState.STOPPED)

    @property
    def closed(self) -> bool:
        """It is over."""
        return self.state is ConnectionState.STOPPED

    @property
    def wants_read(self) -> bool:
        """Whether messages find a reader."""
        return self.connection is None or self.connection.wants_read

    @property
    def send_eof(self) -> bool:
        """Whether to half-close the transport: never."""
        return False

    @property
    def bytes_queued(self) -> int:
        """Bytes that `data_to_send()` would return."""
        return self.connection.bytes_queued if self.connection else 0

    @property
    def error(self) -> ErrorCode | None:
        """The `error-code` that the server has sent on this connection, if it is one of ours."""
        return self.connection.error if self.connection else None

    def next_deadline(self) -> float | None:
        """When to call `handle_timeout`, in Unix seconds, or None."""
        theirs = [each.next_deadline() for each in self._connections()]
        return earliest(self._timers.next_deadline(), *theirs)

    def deadline_reason(self) -> Timer | None:
        """What `next_deadline()` is for."""
        at = self.next_deadline()
        if at is None:
            return None
        if at == self._timers.next_deadline():
            return self._timers.reason()
        due = [each for each in self._connections() if each.next_deadline() == at]
        return due[0].deadline_reason()

    def receive_data(self, data: bytes, *, now: float) -> None:
        """Bytes for the current connection, where no WebSocket endpoint stands before it."""
        self._advance(now)
        if self.connection is not None:
            self.connection.receive_data(data, now=self._now)
        self._fire_due()

    def receive_eof(self, *, now: float) -> None:
        """The current connection's transport has ended."""
        self._advance(now)
        if self.connection is not None:
            self.connection.receive_eof(now=self._now)

    def data_to_send(self) -> list[bytes]:
        """What the current connection's transport should write."""
        return self.connection.data_to_send() if self.connection is not None else []

    # --- for the machine above ------------------------------------------------------------

    def _lines(self) -> list[Line]:
        """Every line, in the order in which they were dialled."""
        lines = (self._handover.old, self._line, self._handover.new)
        return [each for each in lines if each is not None]

    def _connections(self) -> list[ClientConnection]:
        return [each.connection for each in self._lines() if each.connection is not None]

    def _is_open(self) -> bool:
        """Whether frames can be sent on the current connection."""
        return (
            self.state is ConnectionState.CONNECTED
            and self._line is not None
            and self._line.is_open
        )

    def _takes_messages(self) -> bool:
        """Whether a message may be sent now, and not only when another connection has ended."""
        return self._is_open() and self._handover.state is not HandoverState.RETIRING

    def _require_running(self) -> None:
        if self.closing:
            raise ClientClosed("the client is closed")

    def _send_frame(self, frame: Frame, line: Line) -> None:
        assert line.connection is not None
        line.connection.send_frame(frame, now=self._now)
