from __future__ import annotations

import pytest

from stompcore._errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from stompcore._frames import (
    BODY_COMMANDS,
    CLIENT_COMMANDS,
    SERVER_COMMANDS,
    Command,
    Frame,
    error_frame,
    required,
)
from stompcore._headers import Headers, Version

# The specification's tables, by version.
REQUIRED = {
    "CONNECT": ("", "", ""),
    "STOMP": ("", "", ""),
    "CONNECTED": ("", "version", "version"),
    "SEND": ("destination", "destination", "destination"),
    "SUBSCRIBE": ("destination", "destination id", "destination id"),
    "UNSUBSCRIBE": ("", "id", "id"),
    "ACK": ("message-id", "message-id subscription", "id"),
    "NACK": ("", "message-id subscription", "id"),
    "BEGIN": ("transaction", "transaction", "transaction"),
    "COMMIT": ("transaction", "transaction", "transaction"),
    "ABORT": ("transaction", "transaction", "transaction"),
    "DISCONNECT": ("", "", ""),
    "MESSAGE": (
        "destination message-id",
        "destination message-id subscription",
        "destination message-id subscription",
    ),
    "RECEIPT": ("receipt-id", "receipt-id", "receipt-id"),
    "ERROR": ("", "", ""),
}


@pytest.mark.parametrize("command", Command)
def test_required_headers(command: Command) -> None:
    assert tuple(" ".join(required(command, each)) for each in Version) == REQUIRED[command]


def test_every_command_belongs_to_one_side() -> None:
    assert set(REQUIRED) == set(Command)
    assert set(Command) == CLIENT_COMMANDS | SERVER_COMMANDS
    assert not CLIENT_COMMANDS & SERVER_COMMANDS
    assert {"CONNECTED", "MESSAGE", "RECEIPT", "ERROR"} == SERVER_COMMANDS
    assert {"SEND", "MESSAGE", "ERROR"} == BODY_COMMANDS


@pytest.mark.parametrize("command", Command)
def test_A15_only_three_commands_may_have_a_body(command: Command) -> None:
    assert Frame(command).body == b""
    if command in {"SEND", "MESSAGE", "ERROR"}:
        assert Frame(command, {}, b"x").body == b"x"
    else:
        with pytest.raises(LocalProtocolError, match=f"a {command} frame cannot have a body"):
            Frame(command, {}, b"x")


def test_headers_may_come_in_any_shape() -> None:
    headers = Headers({"a": "1"})
    assert Frame(Command.SEND, headers).headers is headers
    assert Frame(Command.SEND, {"a": "1"}).headers == headers
    assert Frame(Command.SEND, [("a", "1")]).headers == headers


def test_equality() -> None:
    frame = Frame(Command.SEND, {"a": "1"}, b"x")
    assert frame == Frame(Command.SEND, [("a", "1")], b"x")
    assert hash(frame) == hash(Frame(Command.SEND, [("a", "1")], b"x"))
    assert frame != Frame(Command.MESSAGE, {"a": "1"}, b"x")
    assert frame != Frame(Command.SEND, {"a": "2"}, b"x")
    assert frame != Frame(Command.SEND, {"a": "1"}, b"y")
    assert frame != "SEND"


def test_D23_the_repr_hides_tokens_and_bodies() -> None:
    frame = Frame(Command.SEND, {"Authorization": "Bearer s3cret", "a": "1"}, b"s3cret body")
    assert "s3cret" not in repr(frame)
    assert repr(frame) == "<Frame SEND Headers(Authorization: '<hidden>', a: '1') 11 bytes>"


def test_error_frame() -> None:
    assert error_frame(RemoteProtocolError(ErrorCode.TOKEN_EXPIRED)) == Frame(
        Command.ERROR,
        {
            "message": "Token Expired",
            "error-code": "token-expired",
            "content-type": "text/plain",
        },
        b"Token Expired",
    )


def test_B10_error_frame_names_the_receipt_of_the_offending_frame() -> None:
    error = RemoteProtocolError(
        ErrorCode.UNSUPPORTED_VERSION,
        "Versions 1.0 to 1.2, ü",
        receipt_id="r1",
        headers={"version": "1.2"},
    )
    assert error_frame(error) == Frame(
        Command.ERROR,
        {
            "message": "Unsupported Version",
            "error-code": "unsupported-version",
            "receipt-id": "r1",
            "version": "1.2",
            "content-type": "text/plain",
        },
        "Versions 1.0 to 1.2, ü".encode(),
    )


def test_an_empty_receipt_is_a_receipt() -> None:
    error = RemoteProtocolError(ErrorCode.GOING_AWAY, receipt_id="")
    assert error_frame(error).headers["receipt-id"] == ""
