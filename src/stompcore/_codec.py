"""Bytes to frames and back (STOMP 1.2, "STOMP Frames" and "Augmented BNF").

The decoder is a byte stream's: frames may come in halves or many at once, whatever the
transport's messages are. It looks for the blank line and the NUL with `find`, remembers how far
it has looked, and refuses what passes a limit before it buffers it.
"""

from __future__ import annotations

import re

from stompcore._config import Limits
from stompcore._errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from stompcore._frames import BODY_COMMANDS, REQUIRED, Command, Frame, required
from stompcore._headers import Headers, Version, can_express, escape, unescape

__all__ = ["FrameDecoder", "Message", "content_length", "encode_frame"]

_COMMANDS: dict[str, Command] = {each.value: each for each in Command}
# Exempt from escaping, to stay compatible with 1.0 (STOMP 1.2, "Value Encoding").
_UNESCAPED = frozenset({Command.CONNECT, Command.STOMP, Command.CONNECTED})
# With no escapes, each of these would be header injection.
_INJECTION = re.compile(r"[\r\n\0]")
_MAX_DIGITS = 18
# Brokers of 1.0 wrote a line feed behind the NUL, and its clients (php-stomp) skip that byte
# unread: without it they lose the beginning of the next frame.
_ENDS = {Version.V1_0: b"\0\n", Version.V1_1: b"\0", Version.V1_2: b"\0"}


_LONGEST_COMMAND = max(map(len, Command))
_new = object.__new__
#: By version and name: the command, what it must have, and whether it may have a body.
_PLAIN = {
    version: {
        command.value: (command, names, command in BODY_COMMANDS) for command, names in row.items()
    }
    for version, row in REQUIRED.items()
}


def _malformed(detail: str, receipt_id: str | None = None) -> RemoteProtocolError:
    return RemoteProtocolError(ErrorCode.MALFORMED_FRAME, detail, receipt_id=receipt_id)


def _too_large(detail: str, receipt_id: str | None = None) -> RemoteProtocolError:
    return RemoteProtocolError(ErrorCode.LIMIT_EXCEEDED, detail, receipt_id=receipt_id)


def content_length(headers: Headers) -> int | None:
    """The octet count that `headers` announce for the body, or None.

    Raises:
        RemoteProtocolError: not a number, or given twice with different values: two hops that
            read a different one would see different frames.
    """
    value = headers.get("content-length")
    if value is None:
        return None
    if len(set(headers.get_all("content-length"))) > 1:
        raise _malformed("Content-length is given twice with different values.")
    digits = value.strip(" ")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS):
        raise _malformed("Content-length is not a number.")
    return int(digits)


class FrameDecoder:
    """Turns a byte stream into frames, one at a time.

    `version` may be changed between two frames; it decides the escapes and the line ends. While
    it is None, no CONNECT has been seen: CR LF is accepted as 1.2 does, nothing is unescaped.
    """

    __slots__ = (
        "_buffer",
        "_head",
        "_limits",
        "_max_headers",
        "_max_line_size",
        "_plain",
        "_position",
        "_scanned",
        "_version",
        "max_frame_size",
    )

    def __init__(self, limits: Limits, *, max_frame_size: int | None = None) -> None:
        self._limits = limits
        self.version = None
        self.max_frame_size = limits.frame_size if max_frame_size is None else max_frame_size
        self._max_headers = limits.headers
        self._max_line_size = limits.header_line_size
        # The chunk as it came, while one is enough: most frames come in one, and are not copied.
        self._buffer: bytes | bytearray = b""
        self._position = 0  # where the frame that is being read starts
        self._scanned = 0  # how far the blank line, or the NUL, has been looked for
        # The head of a frame whose body is not complete: command, headers, where the body
        # starts, how long it is said to be.
        self._head: tuple[Command, Headers, int, int | None] | None = None

    @property
    def version(self) -> Version | None:
        """What was agreed on; it decides the escapes and the line ends."""
        return self._version

    @version.setter
    def version(self, version: Version | None) -> None:
        self._version = version
        # 1.0 trims, so that none of its frames is plain.
        is_odd = version is Version.V1_0 or self._limits.command_size < _LONGEST_COMMAND
        self._plain = {} if is_odd else _PLAIN[version or Version.V1_0]

    def __len__(self) -> int:
        """Bytes that wait in the buffer."""
        return len(self._buffer) - self._position

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the peer. They are not looked at before `next_frame`."""
        position, buffer = self._position, self._buffer
        if position == len(buffer):
            self._buffer = data if type(data) is bytes else bytes(data)
            self._position = self._scanned = 0
            return
        if not isinstance(buffer, bytearray):
            buffer = self._buffer = bytearray(buffer)
        if position:
            del buffer[:position]
            if self._head is not None:
                command, headers, body_at, length = self._head
                self._head = (command, headers, body_at - position, length)
            self._scanned = max(0, self._scanned - position)
            self._position = 0
        buffer += data

    def clear(self) -> None:
        """Forget every byte that waits: the peer has lost the right to be heard."""
        self._buffer = b""
        self._position = self._scanned = 0
        self._head = None

    def next_frame(self) -> Frame | None:
        """The next whole frame, or None while its bytes are not all there.

        Raises:
            RemoteProtocolError: the bytes are no frame, or pass a limit. The stream cannot be
                read on from there.
        """
        # Nearly every frame has nothing special about it, and is whole in one chunk. This reads
        # such a one in a third of the time of the careful way. It refuses nothing and passes over
        # nothing: whatever could be wrong, escaped, repeated or incomplete is looked at again.
        buffer, start = self._buffer, self._position
        if isinstance(buffer, bytearray):
            return self._next_frame()
        end = buffer.find(b"\n\n", start)
        stop = buffer.find(b"\0", start)
        if end < 0 or stop < end:
            return self._next_frame()
        head = buffer[start:end]
        if b"\\" in head or b"\r" in head:
            return self._next_frame()
        first = {}
        try:
            lines = head.decode().split("\n")
            command, must_have, may_have_body = self._plain[lines.pop(0)]
            for line in lines:
                key, colon, value = line.partition(":")
                if not colon:
                    return self._next_frame()
                first[key] = value
            for key in must_have:
                first[key]
        except (LookupError, ValueError):
            return self._next_frame()
        body_at, count = end + 2, len(lines)
        length = first.get("content-length")
        if (
            len(first) != count
            or count > self._max_headers
            or "" in first
            or end - start > self._max_line_size
            or stop - start > self.max_frame_size
            or (stop > body_at and not may_have_body)
            or (length is not None and length != str(stop - body_at))
        ):
            return self._next_frame()
        self._position = stop + 1
        headers = _new(Headers)
        headers._first = first
        headers._pairs = None
        frame = _new(Frame)
        frame.command = command
        frame.headers = headers
        frame.body = buffer[body_at:stop]
        return frame

    def _next_frame(self) -> Frame | None:
        if self._head is None:
            if not self._skip_line_ends():
                return None
            self._head = self._read_head()
            if self._head is None:
                return None
        return self._read_body(*self._head)

    def next_receipt_id(self) -> str | None:
        """The `receipt` of the next frame, whole or broken, if it is there; nobody reads on."""
        try:
            frame = self.next_frame()
        except RemoteProtocolError as error:
            return error.receipt_id
        return None if frame is None else frame.headers.get("receipt")

    def _skip_line_ends(self) -> bool:
        """Pass over heart-beats and stray NULs; whether anything of a frame is there."""
        buffer, position, end = self._buffer, self._position, len(self._buffer)
        while position < end:
            octet = buffer[position]
            if octet == 13:
                if position + 1 == end:
                    break  # the LF may come in the next chunk
                if buffer[position + 1] != 10:
                    raise _malformed("A carriage return stands between frames without a line feed.")
            elif octet not in (10, 0):
                self._position = position
                self._scanned = max(self._scanned, position)
                return True
            position += 1
        self._position = position
        self._scanned = position
        return False

    def _read_head(self) -> tuple[Command, Headers, int, int | None] | None:
        buffer, start = self._buffer, self._position
        # The terminator may straddle what has been scanned and what is new.
        resume = max(start, self._scanned - 2)
        end = buffer.find(b"\n\n", resume)
        body_at = end + 2
        if self.version in (None, Version.V1_2):
            with_cr = buffer.find(b"\n\r\n", resume, len(buffer) if end < 0 else end + 1)
            if with_cr >= 0:
                end, body_at = with_cr, with_cr + 3
        if end < 0:
            self._check_partial_head(resume)
            self._scanned = len(buffer)
            return None
        if body_at - start > self.max_frame_size:
            raise _too_large("A frame is larger than accepted.")
        command, headers = self._parse_head(bytes(buffer[start:end]))
        receipt_id = headers.get("receipt")
        try:
            length = content_length(headers)
        except RemoteProtocolError as error:
            error.receipt_id = receipt_id
            raise
        if length is not None and body_at - start + length > self.max_frame_size:
            raise _too_large("A frame is larger than accepted.", receipt_id)
        self._scanned = body_at
        return command, headers, body_at, length

    def _check_partial_head(self, resume: int) -> None:
        """Refuse a head that will never be a frame before more of it is buffered."""
        buffer, start, limits = self._buffer, self._position, self._limits
        size = len(buffer) - start
        if size > self.max_frame_size:
            raise _too_large("A frame is larger than accepted.")
        # CR and LF are not part of the command itself.
        longest = limits.command_size + 2
        if size > longest and buffer.find(b"\n", start, start + longest) < 0:
            raise _malformed("The command is too long.")
        if buffer.find(b"\0", resume) >= 0:
            raise _malformed("A frame ends before its blank line.")
        if size > limits.header_line_size:
            line_at = buffer.rfind(b"\n", start)
            if len(buffer) - line_at > limits.header_line_size + 2:
                raise _too_large("A header line is longer than accepted.")

    def _parse_head(self, head: bytes) -> tuple[Command, Headers]:
        if b"\0" in head:
            raise _malformed("A frame ends before its blank line.")
        limits, version = self._limits, self.version
        try:
            text = head.decode()
        except UnicodeDecodeError:
            raise _malformed("The headers are not UTF-8.") from None
        lines = text.split("\n")
        if version in (None, Version.V1_2) and "\r" in text:
            lines = [line[:-1] if line.endswith("\r") else line for line in lines]
            if any("\r" in line for line in lines):
                raise _malformed("A carriage return stands in a header without a line feed.")
        name = lines[0]
        if len(name) > limits.command_size:
            raise _malformed("The command is too long.")
        if len(lines) - 1 > limits.headers:
            raise _too_large("A frame has more headers than accepted.")
        if len(head) > limits.header_line_size and any(
            len(line.encode()) > limits.header_line_size for line in lines
        ):
            raise _too_large("A header line is longer than accepted.")
        command = _COMMANDS.get(name)
        pairs = []
        escaped = version is not None and command not in _UNESCAPED and "\\" in text
        for line in lines[1:]:
            key, colon, value = line.partition(":")
            if version is Version.V1_0:
                # 1.0's own examples pad; from 1.1 on nobody may trim.
                key, value = key.strip(" "), value.strip(" ")
            if escaped:
                assert version is not None
                key, value = unescape(key, version), unescape(value, version)
            if not (colon and key):
                raise _malformed("A header line has no name or no colon.")
            pairs.append((key, value))
        headers = Headers(pairs)
        if command is None:
            raise RemoteProtocolError(
                ErrorCode.PROTOCOL_VIOLATION,
                "The command is unknown.",
                receipt_id=headers.get("receipt"),
            )
        return command, headers

    def _read_body(
        self, command: Command, headers: Headers, body_at: int, length: int | None
    ) -> Frame | None:
        buffer = self._buffer
        if length is None:
            end = buffer.find(b"\0", self._scanned)
            if end < 0:
                if len(buffer) - self._position > self.max_frame_size:
                    raise _too_large("A frame is larger than accepted.", headers.get("receipt"))
                self._scanned = len(buffer)
                return None
        else:
            end = body_at + length
            if len(buffer) <= end:
                return None
            if buffer[end] != 0:
                raise _malformed(
                    "The octet after content-length octets of body is not NUL.",
                    headers.get("receipt"),
                )
        if end - self._position > self.max_frame_size:
            raise _too_large("A frame is larger than accepted.", headers.get("receipt"))
        body = bytes(memoryview(buffer)[body_at:end]) if end > body_at else b""
        self._position = self._scanned = end + 1
        self._head = None
        self._check_frame(command, headers, body)
        if body and command not in BODY_COMMANDS:
            body = b""
        return Frame(command, headers, body)

    def _check_frame(self, command: Command, headers: Headers, body: bytes) -> None:
        version = self.version
        if body and command not in BODY_COMMANDS and version is not Version.V1_0:
            raise _malformed(f"A {command} frame cannot have a body.", headers.get("receipt"))
        for name in required(command, version or Version.V1_0):
            if name not in headers:
                raise _malformed(
                    f"A {command} frame needs the header {name}.", headers.get("receipt")
                )
        if headers.is_repeated and len(set(headers.get_all("destination"))) > 1:
            raise _malformed(
                "Destination is given twice with different values.", headers.get("receipt")
            )


def encode_frame(frame: Frame, version: Version) -> bytes:
    """The bytes of `frame` as `version` writes them, with its NUL.

    `content-length` is added to a body, and replaces one that the caller had set.

    Raises:
        LocalProtocolError: a header that `version` cannot carry, a header without a name, or
            one of CONNECT, STOMP or CONNECTED that would need an escape, which those have not.
    """
    command, body = frame.command, frame.body
    unescaped = command in _UNESCAPED
    rules = Version.V1_0 if unescaped else version
    lines = [command.value]
    for name, value in frame.headers.pairs():
        if name == "content-length":
            continue
        if not can_express(name, value, rules) or (unescaped and _INJECTION.search(name + value)):
            raise LocalProtocolError(f"STOMP {version} cannot carry this header of {command}")
        lines.append(f"{escape(name, rules)}:{escape(value, rules)}")
    if body:
        lines.append(f"content-length:{len(body)}")
    lines.append("\n")
    # Nothing comes behind an ERROR.
    end = b"\0" if command is Command.ERROR else _ENDS[version]
    return "\n".join(lines).encode() + body + end


class Message:
    """A message on its way to any number of subscribers, encoded once for each version.

    Args:
        destination: where it was sent to.
        message_id: unique within this server, and without a slash: an `ack` header is made of it.
        headers: the publisher's own headers, without those that only concern the publisher.
        body: bytes.
    """

    __slots__ = ("_encoded", "body", "destination", "headers", "message_id")

    def __init__(
        self, destination: str, message_id: str, headers: Headers, body: bytes = b""
    ) -> None:
        self.destination = destination
        self.message_id = message_id
        self.headers = headers
        self.body = body
        self._encoded: dict[Version, bytes] = {}

    def __repr__(self) -> str:
        return f"<Message {self.message_id} to {self.destination} {len(self.body)} bytes>"

    def encode(
        self,
        version: Version,
        subscription: str | None,
        ack: str | None = None,
        *,
        is_redelivered: bool = False,
    ) -> bytes:
        """The MESSAGE frame for one subscription (None: one of 1.0 that has no id).

        A header that `version` cannot carry is left out, so that a publisher of 1.2 cannot harm
        a subscriber of 1.0; the body always arrives whole.
        """
        shared = self._encoded.get(version)
        if shared is None:
            shared = self._encoded[version] = self._encode_shared(version)
        own = "MESSAGE\n"
        if subscription is not None:
            own += f"subscription:{escape(subscription, version)}\n"
        if ack is not None:
            own += f"ack:{escape(ack, version)}\n"
        if is_redelivered:
            own += "redelivered:true\n"
        return own.encode() + shared

    def _encode_shared(self, version: Version) -> bytes:
        pairs = (
            ("destination", self.destination),
            ("message-id", self.message_id),
            *self.headers.pairs(),
        )
        lines = [
            f"{escape(name, version)}:{escape(value, version)}"
            for name, value in pairs
            if can_express(name, value, version)
        ]
        if self.body:
            lines.append(f"content-length:{len(self.body)}")
        lines.append("\n")
        return "\n".join(lines).encode() + self.body + _ENDS[version]
