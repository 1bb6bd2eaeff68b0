"""What passed, so that people can read it: frames out of bytes, and a bounded log."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from stompcore._codec import FrameDecoder
from stompcore._config import Limits
from stompcore._errors import RemoteProtocolError
from stompcore._frames import Command, Frame
from stompcore._headers import Version, is_secret

__all__ = ["Passed", "Tap", "Trace", "describe_frame"]

_LIMITS = Limits(frame_size=1 << 30, headers=10_000, header_line_size=1 << 20)
_BODY_SHOWN = 40


class Passed(NamedTuple):
    """A frame that was written to a link.

    Args:
        at: the world's monotonic time, in seconds.
        client: whose link.
        epoch: which of its connections.
        is_up: whether the client sent it.
        frame: what.
        is_secret: whether its body is a token.
    """

    at: float
    client: str
    epoch: int
    is_up: bool
    frame: Frame
    is_secret: bool = False

    def __str__(self) -> str:
        arrow = "->" if self.is_up else "<-"
        what = describe_frame(self.frame, hides_body=self.is_secret)
        return f"{self.client}#{self.epoch} {arrow} {what}"


def describe_frame(frame: Frame, *, hides_body: bool = False) -> str:
    """A frame in one line, without its secrets.

    Args:
        frame: what.
        hides_body: it is one.
    """
    headers = " ".join(
        f"{name}:{'<hidden>' if is_secret(name) else value}"
        for name, value in frame.headers.pairs()
    )
    text = f"{frame.command} {headers}".rstrip().replace("\n", "\\n").replace("\r", "\\r")
    if not frame.body:
        return text
    if hides_body:
        return f"{text} | <hidden>"
    shown = frame.body[:_BODY_SHOWN].decode(errors="replace")
    more = "..." if len(frame.body) > _BODY_SHOWN else ""
    return f"{text} | {shown!r}{more}"


class Tap:
    """Reads the frames in one direction of a link, whatever is around them.

    Args:
        is_websocket: whether there is HTTP and a WebSocket.
    """

    def __init__(self, *, is_websocket: bool) -> None:
        self._decoder = FrameDecoder(_LIMITS)
        self._buffer = bytearray()
        self._is_websocket = is_websocket
        self._is_in_head = is_websocket
        self._is_deaf = False

    def read(self, data: bytes) -> list[Frame]:
        """The frames that are whole with these bytes."""
        if self._is_deaf:
            return []
        try:
            self._decoder.receive_data(self._unwrap(data) if self._is_websocket else data)
            found = []
            while (frame := self._decoder.next_frame()) is not None:
                found.append(frame)
                if frame.command in (Command.CONNECT, Command.STOMP, Command.CONNECTED):
                    # Versions differ in what is escaped; the newest will do for a log.
                    self._decoder.version = Version.V1_2
        except RemoteProtocolError:
            self._is_deaf = True  # somebody sends garbage on purpose
            return []
        return found

    def _unwrap(self, data: bytes) -> bytes:
        """What data messages hold (RFC 6455 section 5.2), behind the HTTP head."""
        buffer = self._buffer
        buffer += data
        if self._is_in_head:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return b""
            del buffer[: end + 4]
            self._is_in_head = False
        out = bytearray()
        while (found := _first_message(buffer)) is not None:
            opcode, payload, size = found
            del buffer[:size]
            if opcode < 8:
                out += payload
        return bytes(out)


def _first_message(buffer: bytearray) -> tuple[int, bytes, int] | None:
    """Opcode, payload and whole size of the first WebSocket frame, None if it is not all there."""
    if len(buffer) < 2:
        return None
    size, at = buffer[1] & 0x7F, 2
    width = {126: 2, 127: 8}.get(size, 0)
    if width:
        size, at = int.from_bytes(buffer[at : at + width], "big"), at + width
    mask = b"\0\0\0\0"
    if buffer[1] & 0x80:
        mask, at = bytes(buffer[at : at + 4]), at + 4
    if len(buffer) < at + size:
        return None
    payload = bytes(octet ^ mask[i % 4] for i, octet in enumerate(buffer[at : at + size]))
    return buffer[0] & 0x0F, payload, at + size


class Trace:
    """The last lines of what happened.

    Args:
        limit: how many lines are kept.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._lines: deque[tuple[float, object]] = deque(maxlen=limit)

    def __len__(self) -> int:
        return len(self._lines)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def add(self, at: float, what: object) -> None:
        """Note something; its `str` is asked for when somebody reads.

        Args:
            at: the world's monotonic time, in seconds.
            what: it must not change any more.
        """
        self._lines.append((at, what))

    def lines(self, last: int | None = None) -> list[str]:
        """The lines, the newest last; only the `last` ones if that is given."""
        kept = list(self._lines)
        if last is not None:
            kept = kept[-last:]
        return [f"{at:12.6f}  {what}" for at, what in kept]
