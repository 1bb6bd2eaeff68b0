"""The outbox of a client: every message that has been accepted and whose fate is still open."""

from __future__ import annotations

from collections.abc import Mapping

from stompcore._codec import encode_frame
from stompcore._config import ClientConfig, Limits
from stompcore._errors import LocalProtocolError, OutboxFull
from stompcore._frames import Command, Frame
from stompcore._headers import Version
from stompcore._machine import StateMachine
from stompcore._state import MESSAGE, MessageState, MessageTrigger
from stompcore._timers import Timer, Timers

__all__ = ["Outbox", "OutgoingMessage", "send_frame"]

_PREFIX = "message-"
_MAX_DIGITS = 18
_RESERVED = frozenset({"destination", "receipt", "content-length", "transaction"})


class OutgoingMessage:
    """One SEND, until it is confirmed or has failed."""

    __slots__ = ("_table", "expires_at", "frame", "is_confirmed", "key", "size")

    def __init__(
        self, key: int, frame: Frame, size: int, expires_at: float, *, is_confirmed: bool
    ) -> None:
        self.key = key
        self.frame = frame
        self.size = size
        self.expires_at = expires_at
        self.is_confirmed = is_confirmed  # by a RECEIPT, or just handed to the connection
        self._table = StateMachine(MESSAGE, MessageState.QUEUED)

    @property
    def state(self) -> MessageState:
        """Where the message's table stands."""
        return self._table.state

    def fire(self, trigger: MessageTrigger) -> None:
        """Move as the table says."""
        self._table.fire(trigger)


class Outbox:
    """Messages in the order in which they were accepted, which is the order of every sending.

    Args:
        config: for the bounds: `outbox_count`, `outbox_size` and `outbox_timeout`.
        timers: of the machine that this is a part of: OUTBOX is set here.
        client_id: what every `message-key` begins with; without one, no message has a key.
    """

    def __init__(self, config: ClientConfig, timers: Timers, *, client_id: str = "") -> None:
        self._config = config
        self._client_id = client_id
        self._timers = timers
        self._messages: dict[int, OutgoingMessage] = {}
        self._size = 0
        self._last_key = 0

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def awaits_receipt(self) -> bool:
        """Whether a message is on its way whose RECEIPT has not come."""
        # In order, so that the first was sent before all others.
        first = next(iter(self._messages.values()), None)
        return first is not None and first.state is MessageState.IN_FLIGHT

    def add(
        self,
        destination: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        is_confirmed: bool = True,
        now: float,
    ) -> OutgoingMessage:
        """Accept a message.

        Args:
            destination, body, headers: of the SEND.
            is_confirmed: whether a RECEIPT is asked for. Only then has the message a
                `message-key`, the same whenever it is sent again, by which a server can drop it
                if it was the RECEIPT that was lost.
            now: Unix seconds.

        Raises:
            OutboxFull: no room, by count or by bytes.
            LocalProtocolError: no server could be sent this: a header that is the client's own,
                or that no version of STOMP can carry, or a frame past `Limits.frame_size`.
        """
        config = self._config
        key = self._last_key + 1
        own = {}
        if is_confirmed:
            own["receipt"] = f"{_PREFIX}{key}"
            if self._client_id:
                own["message-key"] = f"{self._client_id}-{key}"
        frame, size = send_frame(destination, body, headers, own=own, limits=config.limits)
        if len(self._messages) >= config.outbox_count or self._size + size > config.outbox_size:
            raise OutboxFull("the outbox is full")
        self._last_key = key
        self._size += size
        expires_at = now + config.outbox_timeout
        message = OutgoingMessage(key, frame, size, expires_at, is_confirmed=is_confirmed)
        self._messages[key] = message
        self._arm()
        return message

    def queued(self) -> list[OutgoingMessage]:
        """What waits to be sent, in order."""
        return [each for each in self._messages.values() if each.state is MessageState.QUEUED]

    def first_queued(self) -> OutgoingMessage | None:
        """What is to be sent next, or None."""
        queued = (each for each in self._messages.values() if each.state is MessageState.QUEUED)
        return next(queued, None)

    def in_flight(self) -> list[OutgoingMessage]:
        """What waits for its RECEIPT, in order."""
        return [each for each in self._messages.values() if each.state is MessageState.IN_FLIGHT]

    def lose_connection(self) -> None:
        """What was in flight goes back to its place in the queue."""
        for message in self._messages.values():
            if message.state is MessageState.IN_FLIGHT:
                message.fire(MessageTrigger.LOST)

    def by_receipt(self, receipt_id: str | None) -> OutgoingMessage | None:
        """The message that asked for this receipt, or None."""
        if receipt_id is None or not receipt_id.startswith(_PREFIX):
            return None
        digits = receipt_id[len(_PREFIX) :]
        # Python refuses to convert thousands of digits, and the server chose these.
        if not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS):
            return None
        return self._messages.get(int(digits))

    def settle(self, message: OutgoingMessage, trigger: MessageTrigger) -> None:
        """A message has met its fate (RECEIPT or FAIL)."""
        message.fire(trigger)
        del self._messages[message.key]
        self._size -= message.size
        self._arm()

    def expired(self, now: float) -> list[OutgoingMessage]:
        """What is too old at `now`."""
        return [each for each in self._messages.values() if now >= each.expires_at]

    def pending(self) -> list[OutgoingMessage]:
        """Everything whose fate is open, in order."""
        return list(self._messages.values())

    def _arm(self) -> None:
        # All have the same life-time, so the first is the oldest.
        oldest = next(iter(self._messages.values()), None)
        if oldest is None:
            self._timers.cancel(Timer.OUTBOX)
        else:
            self._timers.set(Timer.OUTBOX, oldest.expires_at)


def send_frame(
    destination: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    own: Mapping[str, str],
    limits: Limits,
) -> tuple[Frame, int]:
    """A SEND and its size in bytes.

    Args:
        destination, body: of the SEND.
        headers: what its user wants in it.
        own: what the client wants in it.
        limits: for `frame_size`.

    Raises:
        LocalProtocolError: no server could be sent this.
    """
    clash = _RESERVED.intersection(headers)
    if clash:
        raise LocalProtocolError(f"the header {min(clash)} is the client's own")
    frame = Frame(Command.SEND, {"destination": destination, **own, **headers}, body)
    size = len(encode_frame(frame, Version.V1_2))
    if size > limits.frame_size:
        raise LocalProtocolError("the message is larger than Limits.frame_size")
    return frame, size
