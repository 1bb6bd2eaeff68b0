"""Heart-beats (STOMP 1.2, "Heart-beating"): negotiation, and the two monitors."""

from __future__ import annotations

import math

from stompcore._config import HeartBeat
from stompcore._errors import ErrorCode, RemoteProtocolError
from stompcore._headers import Headers
from stompcore._timers import Timer, Timers

__all__ = ["BEAT", "HeartBeats", "heart_beat_header", "negotiate"]

#: "if the sender has no real STOMP frame to send, it MUST send an end-of-line"
BEAT = b"\n"
_MAX_DIGITS = 10


def heart_beat_header(config: HeartBeat) -> str:
    """The `heart-beat` header's value for `config`, in milliseconds."""
    return f"{math.ceil(config.send_interval * 1000)},{math.ceil(config.receive_interval * 1000)}"


def _parse(headers: Headers) -> tuple[float, float]:
    value = headers.get("heart-beat")
    if value is None:
        return 0.0, 0.0
    # Spaces around the numbers are common in the field ("0, 0").
    numbers = [part.strip(" ") for part in value.split(",")]
    if len(numbers) != 2 or not all(
        part.isascii() and part.isdigit() and len(part) <= _MAX_DIGITS for part in numbers
    ):
        raise RemoteProtocolError(
            ErrorCode.MALFORMED_FRAME, "Heart-beat is not two numbers with a comma between them."
        )
    return int(numbers[0]) / 1000, int(numbers[1]) / 1000


def negotiate(config: HeartBeat, headers: Headers) -> tuple[float, float]:
    """What both sides agree on: the intervals, in seconds, at which we send and we receive.

    0 means none in that direction.

    Args:
        config: our own offer.
        headers: those of the peer's CONNECT or CONNECTED.

    Raises:
        RemoteProtocolError: the peer's header is not two numbers.
    """
    peer_can, peer_wants = _parse(headers)
    send = max(config.send_interval, peer_wants) if config.send_interval and peer_wants else 0.0
    receive = max(config.receive_interval, peer_can) if config.receive_interval and peer_can else 0
    return send, float(receive)


class HeartBeats:
    """Both monitors of one connection, on the timers of its machine.

    Any byte is a sign of life, and any byte that leaves counts as our beat.
    """

    __slots__ = ("_patience", "_reprieved", "_send_after", "_timers")

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._send_after = 0.0
        self._patience = 0.0
        self._reprieved = False

    def start(self, config: HeartBeat, headers: Headers, *, now: float) -> None:
        """Begin with what `config` and the peer's `headers` agree on.

        Raises:
            RemoteProtocolError: the peer's header is not two numbers.
        """
        send_interval, receive_interval = negotiate(config, headers)
        self._send_after = send_interval * config.send_fraction
        self._patience = receive_interval * config.tolerance
        self.sent(now)
        self.received(now)

    def sent(self, now: float) -> None:
        """Something is on its way to the peer."""
        if self._send_after:
            self._timers.set(Timer.HEART_BEAT, now + self._send_after)

    def received(self, now: float) -> None:
        """Bytes came, of whatever kind."""
        if self._patience:
            self._reprieved = False
            self._timers.set(Timer.PEER_SILENT, now + self._patience)

    def is_dead(self, due_at: float, now: float) -> bool:
        """Whether a PEER_SILENT that was due at `due_at` and fires at `now` proves the peer dead.

        Fired in time, it does. Fired much too late, it is we who were not there (suspended,
        stopped, or the wall clock was stepped), and the peer's bytes may lie unread: once, it
        gets another interval.
        """
        if self._reprieved or now - due_at < self._patience:
            return True
        self._timers.set(Timer.PEER_SILENT, now + self._patience)
        self._reprieved = True
        return False
