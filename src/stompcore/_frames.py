"""Frames, and the one table of what each command must and may carry."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping

from stompcore._errors import LocalProtocolError, RemoteProtocolError
from stompcore._headers import Headers, Version

__all__ = [
    "BODY_COMMANDS",
    "CLIENT_COMMANDS",
    "REQUIRED",
    "SERVER_COMMANDS",
    "Command",
    "Frame",
    "error_frame",
    "required",
]


class Command(enum.StrEnum):
    """Every command of STOMP 1.0 to 1.2."""

    CONNECT = "CONNECT"
    STOMP = "STOMP"
    CONNECTED = "CONNECTED"
    SEND = "SEND"
    SUBSCRIBE = "SUBSCRIBE"
    UNSUBSCRIBE = "UNSUBSCRIBE"
    ACK = "ACK"
    NACK = "NACK"
    BEGIN = "BEGIN"
    COMMIT = "COMMIT"
    ABORT = "ABORT"
    DISCONNECT = "DISCONNECT"
    MESSAGE = "MESSAGE"
    RECEIPT = "RECEIPT"
    ERROR = "ERROR"


SERVER_COMMANDS = frozenset({Command.CONNECTED, Command.MESSAGE, Command.RECEIPT, Command.ERROR})
CLIENT_COMMANDS = frozenset(Command) - SERVER_COMMANDS

#: "Only the SEND, MESSAGE, and ERROR frames MAY have a body."
BODY_COMMANDS = frozenset({Command.SEND, Command.MESSAGE, Command.ERROR})

_NONE: tuple[str, ...] = ()
_DESTINATION = ("destination",)
_TRANSACTION = ("transaction",)

# (1.0, 1.1, 1.2). CONNECT's `accept-version` and `host` are required of clients by 1.1 and 1.2,
# but a missing `accept-version` means 1.0, and servers without virtual hosts do without `host`.
_REQUIRED: Mapping[Command, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    Command.CONNECT: (_NONE, _NONE, _NONE),
    Command.STOMP: (_NONE, _NONE, _NONE),
    Command.CONNECTED: (_NONE, ("version",), ("version",)),
    Command.SEND: (_DESTINATION, _DESTINATION, _DESTINATION),
    Command.SUBSCRIBE: (_DESTINATION, ("destination", "id"), ("destination", "id")),
    Command.UNSUBSCRIBE: (_NONE, ("id",), ("id",)),
    Command.ACK: (("message-id",), ("message-id", "subscription"), ("id",)),
    Command.NACK: (_NONE, ("message-id", "subscription"), ("id",)),
    Command.BEGIN: (_TRANSACTION, _TRANSACTION, _TRANSACTION),
    Command.COMMIT: (_TRANSACTION, _TRANSACTION, _TRANSACTION),
    Command.ABORT: (_TRANSACTION, _TRANSACTION, _TRANSACTION),
    Command.DISCONNECT: (_NONE, _NONE, _NONE),
    Command.MESSAGE: (
        ("destination", "message-id"),
        ("destination", "message-id", "subscription"),
        ("destination", "message-id", "subscription"),
    ),
    Command.RECEIPT: (("receipt-id",), ("receipt-id",), ("receipt-id",)),
    Command.ERROR: (_NONE, _NONE, _NONE),
}
_COLUMN = {Version.V1_0: 0, Version.V1_1: 1, Version.V1_2: 2}


#: By version and command: the headers without which it is no frame.
REQUIRED: Mapping[Version, Mapping[Command, tuple[str, ...]]] = {
    version: {command: row[column] for command, row in _REQUIRED.items()}
    for version, column in _COLUMN.items()
}


def required(command: Command, version: Version) -> tuple[str, ...]:
    """The headers without which `command` is not a frame of `version`."""
    return REQUIRED[version][command]


class Frame:
    """One STOMP frame. Its repr hides tokens and shows the size of the body, not the body.

    Args:
        command: what it does.
        headers: a mapping or (name, value) pairs.
        body: bytes; only SEND, MESSAGE and ERROR may have one.

    Raises:
        LocalProtocolError: a body where none may be.
    """

    __slots__ = ("body", "command", "headers")

    def __init__(
        self,
        command: Command,
        headers: Headers | Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        if body and command not in BODY_COMMANDS:
            raise LocalProtocolError(f"a {command} frame cannot have a body")
        self.command = command
        self.headers = headers if isinstance(headers, Headers) else Headers(headers)
        self.body = body

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Frame):
            return NotImplemented
        return (
            self.command == other.command
            and self.headers == other.headers
            and self.body == other.body
        )

    def __hash__(self) -> int:
        return hash((self.command, self.headers, self.body))

    def __repr__(self) -> str:
        return f"<Frame {self.command} {self.headers!r} {len(self.body)} bytes>"


def error_frame(error: RemoteProtocolError) -> Frame:
    """The ERROR that tells a peer what it did, with our `error-code` (STOMP 1.2, "ERROR")."""
    headers = {"message": error.message, "error-code": error.error_code.value}
    if error.receipt_id is not None:
        headers["receipt-id"] = error.receipt_id
    headers.update(error.headers)
    headers["content-type"] = "text/plain"
    return Frame(Command.ERROR, headers, (error.detail or error.message).encode())
