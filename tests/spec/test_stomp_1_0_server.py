"""STOMP 1.0: what a server sends, and the grammar."""

from __future__ import annotations

from tests.spec.clauses import Document
from tests.spec.peer import World, connect, decoded, duet, frame, joined, send, split

clause = Document("STOMP 1.0")
V = "1.0"
LISTEN = frame("SUBSCRIBE", "destination:/topic/a")


def receipt(receipt_id: str) -> bytes:
    """Our RECEIPT, whole; a line feed follows every frame of 1.0 but ERROR."""
    return b"RECEIPT\nreceipt-id:" + receipt_id.encode() + b"\n\n\0\n"


# --- Server Frames ----------------------------------------------------------------------------


@clause("Server Frames", "These frames may be one of:")
def test_after_connected_come_only_message_receipt_and_error() -> None:
    peer = World().open()
    peer.say(connect(None), LISTEN, send(b"x", "receipt:r"))
    assert [each.command for each in peer.hear()] == ["CONNECTED", "MESSAGE", "RECEIPT"]
    assert peer.error(frame("NACK", "message-id:1")).command == "ERROR"


# --- MESSAGE ----------------------------------------------------------------------------------


@clause("MESSAGE", "MESSAGE frames are used to convey messages from subscriptions to the client.")
def test_messages_come_to_subscriptions_alone() -> None:
    ann, bob = duet(V)
    ann.say(send())
    assert (len(bob.bodies()), len(ann.bodies())) == (1, 0)


@clause(
    "MESSAGE",
    "The MESSAGE frame will include a header, destination, indicating the destination the message"
    " was delivered to.",
)
def test_message_names_its_destination() -> None:
    ann, bob = duet(V, to="/topic/a:b")
    ann.say(send(to="/topic/a:b"))
    assert bob.get().all("destination") == ["/topic/a:b"]


@clause(
    "MESSAGE",
    "It will also contain a message-id header with a unique identifier for that message.",
)
def test_message_has_an_id_of_its_own() -> None:
    ann, bob = duet(V)
    ann.say(send(), send(), send())
    assert len({each.get("message-id") for each in bob.hear()} - {None}) == 3


@clause("MESSAGE", "The frame body contains the contents of the message:")
def test_the_body_of_message_is_that_of_send() -> None:
    ann, bob = duet(V)
    ann.say(send(b"hello queue a"), send(b""))
    assert bob.bodies() == [b"hello queue a", b""]


@clause(
    "MESSAGE",
    "It is recommended that MESSAGE frames include a content-length header which is a byte count"
    " for the length of the message body.",
)
def test_message_has_a_length() -> None:
    ann, bob = duet(V)
    ann.say(send("é".encode()))
    assert bob.get().all("content-length") == ["2"]


@clause(
    "MESSAGE",
    "If a content-length header is included, this number of bytes should be read, regardless of"
    " whether or not there are null characters in the body.",
)
def test_message_may_hold_nuls() -> None:
    ann, bob = duet(V)
    ann.say(send(b"x\0y", "content-length:3"))
    assert b"\ncontent-length:3\n\nx\0y\0" in bob.raw()


@clause(
    "MESSAGE",
    "The frame still needs to be terminated with a null byte, and if a content-length is not"
    " specified the first null byte encountered signals the end of the frame.",
)
def test_message_ends_with_nul() -> None:
    ann, bob = duet(V)
    ann.say(send(b""), send(b"x"))
    raw = bob.raw()
    assert (raw[-4:], raw.count(b"\0")) == (b"\nx\0\n", 2)


# --- RECEIPT ----------------------------------------------------------------------------------


@clause(
    "RECEIPT",
    "Receipts are issued from the server when the client has requested a receipt for a given"
    " command.",
    kept="after the work, in order; a frame that fails gets its ERROR and no RECEIPT",
)
def test_only_who_asked_and_succeeded_has_a_receipt() -> None:
    ann = joined(V)
    assert ann.ask(send(), send(b"x", "receipt:1"), send(b"x", "receipt:2")) == (
        receipt("1") + receipt("2")
    )
    assert ann.error(send(b"x", "receipt:3", to="nowhere")).get("receipt-id") == "3"


@clause(
    "RECEIPT",
    "A RECEIPT frame will include the header receipt-id, where the value is the value of the"
    " receipt header in the frame which this is a receipt for.",
)
def test_receipt_id_is_the_value_unescaped() -> None:
    assert (
        joined(V).ask(send(b"x", r"receipt:a:b\n\\")) == b"RECEIPT\nreceipt-id:a:b\\n\\\\\n\n\0\n"
    )


@clause("RECEIPT", "The receipt body will be empty.")
def test_a_receipt_has_no_body() -> None:
    (confirmed,) = split(joined(V).ask(send(b"x", "receipt:r")))
    assert (confirmed.body, confirmed.lines) == (b"", ("receipt-id:r",))


# --- ERROR ------------------------------------------------------------------------------------


@clause("ERROR", "The server may send ERROR frames if something goes wrong.")
def test_what_goes_wrong_is_an_error_and_the_end() -> None:
    ann, bob = duet(V)
    assert ann.error(b"HELLO\n\n\0", send()).command == "ERROR"
    assert bob.ask(send(b"x", "receipt:r")).endswith(receipt("r"))


@clause(
    "ERROR",
    "The error frame should contain a message header with a short description of the error, and the"
    " body may contain more detailed information (or may be empty).",
)
def test_an_error_says_what_is_wrong() -> None:
    error = joined(V).error(frame("SEND", "receipt:r", body=b"Hello queue a!"))
    assert error.lines[0] == "message:Malformed Frame"
    assert error.body == b"A SEND frame needs the header destination."


@clause(
    "ERROR",
    "It is recommended that ERROR frames include a content-length header which is a byte count for"
    " the length of the message body.",
)
def test_an_error_has_a_length() -> None:
    error = joined(V).error(b"HELLO\n\n\0")
    assert error.all("content-length") == [str(len(error.body))]


@clause(
    "ERROR",
    "The frame still needs to be terminated with a null byte, and if a content-length is not"
    " specified the first null byte encountered signals the end of the frame.",
)
def test_an_error_ends_with_nul() -> None:
    raw = joined(V).ask(b"HELLO\n\n\0")
    assert raw.endswith(b".\0")
    assert raw.count(b"\0") == 1


# --- Augmented BNF ----------------------------------------------------------------------------


@clause("Augmented BNF", "`frame-stream = 1*frame`")
def test_frames_may_come_together_or_octet_by_octet() -> None:
    data = send(b"x", "receipt:1") + send(b"y\0", "content-length:2", "receipt:2")
    ann, bob = joined(V), joined(V)
    bob.drip(data)
    assert ann.ask(data) == bob.raw() == receipt("1") + receipt("2")


@clause(
    "Augmented BNF",
    "`frame = command LF *( header LF ) LF [ content ] NULL *( LF )`",
    looser="stray NULs and CR LF between frames are passed over too; a line feed follows each of"
    " our frames but ERROR, as the clients of 1.0 expect it",
)
def test_a_frame_in_all_its_parts() -> None:
    ann = joined(V)
    assert ann.ask(b"SEND\ndestination:/topic/a\nreceipt:r\n\nbody\0\n\n\0\r\n") == receipt("r")
    assert ann.ask(send(b"", "receipt:s"), b"\n") == receipt("s")
    assert ann.error(b"SEND\ndestination:/topic/a\n\0").get("error-code") == "malformed-frame"


@clause(
    "Augmented BNF",
    'client-command = "SEND" | "SUBSCRIBE" | "UNSUBSCRIBE" | "BEGIN" | "COMMIT" | "ABORT" | "ACK"'
    ' | "DISCONNECT"',
)
def test_commands_are_exact() -> None:
    for command in ("send", "SEND ", "NACK", "Disconnect", ""):
        error = joined(V).error(frame(command, "destination:/topic/a", "message-id:1"))
        assert error.get("error-code") in ("protocol-violation", "malformed-frame"), command


@clause("Augmented BNF", 'server-command = "CONNECTED" | "MESSAGE" | "RECEIPT" | "ERROR"')
def test_a_servers_command_is_not_a_clients() -> None:
    for command in ("CONNECTED", "MESSAGE", "RECEIPT", "ERROR"):
        lines = ("destination:/topic/a", "message-id:1", "receipt-id:1")
        error = joined(V).error(frame(command, *lines))
        assert error.get("error-code") == "protocol-violation", command


@clause("Augmented BNF", '`header = header-name ":" header-value`')
def test_a_header_is_split_at_its_first_colon() -> None:
    assert decoded(V, "url:http://h:1/")["url"] == "http://h:1/"


@clause(
    "Augmented BNF",
    '`header-name = 1*<any CHAR except LF or ":">`',
    looser="header names and values are UTF-8, not only US-ASCII",
)
def test_a_name_is_not_empty() -> None:
    assert decoded(V, "é:v", "a b:v")["é"] == "v"
    for line in (":v", " :v"):
        assert joined(V).error(send(b"x", line)).get("error-code") == "malformed-frame"


@clause(
    "Augmented BNF",
    "`header-value = 1*<any CHAR except LF>`",
    looser="a value may be empty, and is UTF-8; there are no escapes, so a backslash is itself",
)
def test_a_value_is_what_stands_there() -> None:
    headers = decoded(V, "empty:", r"k:\n\c\r\\", "cr:a\rb", "é:€")
    assert headers["empty"] == ""
    assert headers["k"] == r"\n\c\r\\"
    assert (headers["cr"], headers["é"]) == ("a\rb", "€")


@clause("Augmented BNF", "`text-content = 1*<any OCTET except NULL>`")
def test_text_is_every_octet_but_nul() -> None:
    ann, bob = duet(V)
    ann.say(send(bytes(range(1, 256))))
    assert bob.bodies() == [bytes(range(1, 256))]


@clause("Augmented BNF", "`binary-content = 1*OCTECT`")
def test_binary_is_every_octet() -> None:
    ann, bob = duet(V)
    ann.say(send(bytes(range(256)), "content-length:256"))
    assert bob.bodies() == [bytes(range(256))]
