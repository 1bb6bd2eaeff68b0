"""STOMP 1.1: the grammar."""

from __future__ import annotations

from tests.spec.clauses import Document
from tests.spec.peer import (
    decoded,
    duet,
    frame,
    joined,
    receipt,
    send,
)

clause = Document("STOMP 1.1")
V = "1.1"


def refused(command: str, *lines: str) -> bool:
    """Whether a frame with these headers alone is malformed."""
    ann = joined(V)
    ann.say(frame(command, *lines))
    heard = ann.hear()
    return bool(heard) and heard[-1].get("error-code") == "malformed-frame"


# --- Augmented BNF ----------------------------------------------------------------------------


@clause("Augmented BNF", "`OCTET = <any 8-bit sequence of data>`")
def test_a_body_holds_every_octet_but_the_one_that_ends_it() -> None:
    ann, bob = duet(V)
    ann.say(send(bytes(range(1, 256))))
    assert bob.get().body == bytes(range(1, 256))


@clause("Augmented BNF", "`frame-stream = 1*frame`")
def test_frames_follow_one_another_without_a_gap() -> None:
    ann = joined(V)
    answer = ann.ask(*(send(b"x", f"receipt:{number}") for number in range(3)))
    assert answer == receipt("0") + receipt("1") + receipt("2")


@clause("Augmented BNF", "`frame = command LF *( header LF ) LF *OCTET NULL *( LF )`")
def test_a_frame_in_all_its_parts() -> None:
    ann = joined(V)
    whole = b"SEND\ndestination:/topic/a\nreceipt:r\n\nbody\0\n\n\n"
    assert ann.ask(whole, b"SEND\ndestination:/topic/a\nreceipt:s\n\n\0") == (
        receipt("r") + receipt("s")
    )
    assert ann.ask(whole[:-4]) == b""
    assert ann.ask(whole[-4:]) == receipt("r")
    # No blank line: the NUL comes too early.
    assert ann.error(b"SEND\ndestination:/topic/a\n\0").get("error-code") == "malformed-frame"


@clause(
    "Augmented BNF",
    'client-command = "SEND" | "SUBSCRIBE" | "UNSUBSCRIBE" | "BEGIN" | "COMMIT" | "ABORT" | "ACK"'
    ' | "NACK" | "DISCONNECT" | "CONNECT" | "STOMP"',
)
def test_every_client_command_is_known_and_no_other() -> None:
    for command in (
        *("SEND", "SUBSCRIBE", "UNSUBSCRIBE", "BEGIN", "COMMIT", "ABORT", "ACK", "NACK"),
        *("DISCONNECT", "CONNECT", "STOMP"),
    ):
        peer = joined(V)
        peer.say(frame(command, "destination:/topic/a", "id:0", "transaction:t"))
        assert all(b"unknown" not in each.body for each in peer.hear()), command
    for command in ("SENT", "SEND ", "", "NAK", "PING"):
        peer = joined(V)
        (error,) = [peer.error(frame(command, "destination:/topic/a"))]
        assert error.get("error-code") in ("protocol-violation", "malformed-frame"), command


@clause("Augmented BNF", 'server-command = "CONNECTED" | "MESSAGE" | "RECEIPT" | "ERROR"')
def test_a_servers_command_is_not_a_clients() -> None:
    for command in ("CONNECTED", "MESSAGE", "RECEIPT", "ERROR"):
        lines = ("version:1.1", "destination:/topic/a", "message-id:1", "subscription:0")
        error = joined(V).error(frame(command, *lines, "receipt-id:1"))
        assert error.get("error-code") == "protocol-violation"


@clause("Augmented BNF", '`header = header-name ":" header-value`')
def test_a_header_is_split_at_its_first_colon() -> None:
    assert decoded(V, "k:v")["k"] == "v"
    assert refused("SEND", "destination:/topic/a", "k")


@clause("Augmented BNF", '`header-name = 1*<any OCTET except LF or ":">`')
def test_a_name_is_not_empty() -> None:
    assert refused("SEND", "destination:/topic/a", ":v")
    assert decoded(V, " \t\r~:v")[" \t\r~"] == "v"


@clause(
    "Augmented BNF",
    '`header-value = *<any OCTET except LF or ":">`',
    looser="an unescaped colon belongs to the value, as older peers send it; NUL is refused",
)
def test_a_value_may_be_empty_and_may_hold_a_colon() -> None:
    headers = decoded(V, "empty:", "time:12:30:00")
    assert (headers["empty"], headers["time"]) == ("", "12:30:00")
    assert decoded(V, "k:a\rb\r")["k"] == "a\rb\r"
    assert joined(V).error(b"SEND\ndestination:/topic/a\nk:\0\n\n\0")
