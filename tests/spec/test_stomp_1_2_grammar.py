"""STOMP 1.2: the headers of each frame, and the grammar."""

from __future__ import annotations

from tests.spec.clauses import Document
from tests.spec.peer import (
    Doorman,
    World,
    connect,
    decoded,
    duet,
    frame,
    joined,
    receipt,
    send,
    subscribe,
)

clause = Document("STOMP 1.2")
V = "1.2"


def refused(command: str, *lines: str) -> bool:
    """Whether a frame with these headers alone is malformed."""
    ann = joined(V)
    ann.say(frame(command, *lines))
    heard = ann.hear()
    return bool(heard) and heard[-1].get("error-code") == "malformed-frame"


# --- Frames and Headers -----------------------------------------------------------------------


@clause(
    "Frames and Headers",
    "`CONNECT` or `STOMP` - REQUIRED: `accept-version`, `host` - OPTIONAL: `login`, `passcode`,"
    " `heart-beat`",
    looser="CONNECT may leave out both of its required headers",
)
def test_connect_needs_no_header_of_us() -> None:
    for command in ("CONNECT", "STOMP"):
        assert World().open().ask(frame(command)).startswith(b"CONNECTED\n")
        full = ("accept-version:1.2", "host:h", "login:l", "passcode:p", "heart-beat:0,0")
        assert World().open().ask(frame(command, *full)).startswith(b"CONNECTED\n")


@clause(
    "Frames and Headers",
    "`CONNECTED` - REQUIRED: `version` - OPTIONAL: `session`, `server`, `heart-beat`",
)
def test_connected_has_all_four() -> None:
    peer = World().open()
    peer.say(connect(V))
    (connected,) = peer.hear()
    for name in ("version", "session", "server", "heart-beat"):
        assert len(connected.all(name)) == 1


@clause("Frames and Headers", "`SEND` - REQUIRED: `destination` - OPTIONAL: `transaction`")
def test_the_headers_of_send() -> None:
    assert refused("SEND")
    assert not refused("SEND", "destination:/topic/a")


@clause("Frames and Headers", "`SUBSCRIBE` - REQUIRED: `destination`, `id` - OPTIONAL: `ack`")
def test_the_headers_of_subscribe() -> None:
    assert refused("SUBSCRIBE", "id:0")
    assert refused("SUBSCRIBE", "destination:/topic/a")
    assert not refused("SUBSCRIBE", "id:0", "destination:/topic/a")


@clause("Frames and Headers", "`UNSUBSCRIBE` - REQUIRED: `id` - OPTIONAL: none")
def test_the_headers_of_unsubscribe() -> None:
    assert refused("UNSUBSCRIBE", "destination:/topic/a")
    assert not refused("UNSUBSCRIBE", "id:0")


@clause("Frames and Headers", "`ACK` or `NACK` - REQUIRED: `id` - OPTIONAL: `transaction`")
def test_the_headers_of_ack_and_nack() -> None:
    for command in ("ACK", "NACK"):
        assert refused(command, "message-id:1", "subscription:0")
        assert not refused(command, "id:0")


@clause(
    "Frames and Headers",
    "`BEGIN` or `COMMIT` or `ABORT` - REQUIRED: `transaction` - OPTIONAL: none",
)
def test_the_headers_of_begin_commit_and_abort() -> None:
    for command in ("BEGIN", "COMMIT", "ABORT"):
        assert refused(command)
        assert not refused(command, "transaction:t")


@clause("Frames and Headers", "`DISCONNECT` - REQUIRED: none - OPTIONAL: `receipt`")
def test_the_headers_of_disconnect() -> None:
    assert not refused("DISCONNECT")
    assert joined(V).ask(frame("DISCONNECT", "receipt:r")) == receipt("r")


@clause(
    "Frames and Headers",
    "`MESSAGE` - REQUIRED: `destination`, `message-id`, `subscription` - OPTIONAL: `ack`",
)
def test_the_headers_of_message() -> None:
    ann, bob = duet(V)
    ann.say(send(b""))
    names = [each.partition(":")[0] for each in bob.get().lines]
    assert sorted(names) == ["destination", "message-id", "subscription"]


@clause("Frames and Headers", "`RECEIPT` - REQUIRED: `receipt-id` - OPTIONAL: none")
def test_the_headers_of_receipt() -> None:
    assert joined(V).ask(send(b"x", "receipt:r")) == b"RECEIPT\nreceipt-id:r\n\n\0"


@clause("Frames and Headers", "`ERROR` - REQUIRED: none - OPTIONAL: `message`")
def test_the_headers_of_error() -> None:
    error = joined(V).error(send(b"x", "receipt:r", to="nowhere"))
    names = {each.partition(":")[0] for each in error.lines}
    assert names == {"message", "error-code", "receipt-id", "content-type", "content-length"}


@clause(
    "Frames and Headers",
    "In addition, the `SEND` and `MESSAGE` frames MAY include arbitrary user defined headers that"
    " SHOULD be considered as being part of the carried message.",
)
def test_user_headers_are_part_of_the_message() -> None:
    world = World()
    ann = world.connect(V)
    ann.say(send(b"x", "k:v", to="/queue/a"))
    bob = world.connect(V)
    bob.say(subscribe("0", "k:subscriber", to="/queue/a"))
    assert bob.get().all("k") == ["v"]


@clause(
    "Frames and Headers",
    "Also, the `ERROR` frame SHOULD include additional headers to help identify the original frame"
    " that caused the error.",
    kept="`receipt-id`, where the frame had a receipt",
)
def test_an_error_identifies_its_frame() -> None:
    ann = joined(V)
    assert ann.ask(send(b"1", "receipt:1")) == receipt("1")
    assert ann.error(send(b"2", "receipt:2", to="nowhere")).get("receipt-id") == "2"


@clause(
    "Frames and Headers",
    "Finally, STOMP servers MAY use additional headers to give access to features like persistency"
    " or expiration.",
    kept="`token-ttl` and `token-refresh` of CONNECTED among them; see the wire extension",
)
def test_connected_says_how_long_the_token_lives() -> None:
    peer = World(doorman=Doorman(60)).open()
    peer.say(connect(V))
    (connected,) = peer.hear()
    assert connected.all("token-ttl") == ["60000"]
    assert connected.all("token-refresh") == ["/auth/refresh"]


# --- Augmented BNF ----------------------------------------------------------------------------


@clause("Augmented BNF", "`EOL = [CR] LF`")
def test_line_ends_may_be_mixed() -> None:
    ann, bob = duet(V)
    ann.say(b"SEND\r\ndestination:/topic/a\na:1\r\nb:2\n\r\nx\0\r\n\n")
    message = bob.get()
    assert (message.get("a"), message.get("b"), message.body) == ("1", "2", b"x")


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


@clause("Augmented BNF", "`frame = command EOL *( header EOL ) EOL *OCTET NULL *( EOL )`")
def test_a_frame_in_all_its_parts() -> None:
    ann = joined(V)
    whole = b"SEND\r\ndestination:/topic/a\r\nreceipt:r\r\n\r\nbody\0\r\n\n"
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
        lines = ("version:1.2", "destination:/topic/a", "message-id:1", "subscription:0")
        error = joined(V).error(frame(command, *lines, "receipt-id:1"))
        assert error.get("error-code") == "protocol-violation"


@clause("Augmented BNF", '`header = header-name ":" header-value`')
def test_a_header_is_split_at_its_first_colon() -> None:
    assert decoded(V, "k:v")["k"] == "v"
    assert refused("SEND", "destination:/topic/a", "k")


@clause("Augmented BNF", '`header-name = 1*<any OCTET except CR or LF or ":">`')
def test_a_name_is_not_empty() -> None:
    assert refused("SEND", "destination:/topic/a", ":v")
    assert refused("SEND", "destination:/topic/a", "a\rb:v")
    assert decoded(V, " \t~:v")[" \t~"] == "v"


@clause(
    "Augmented BNF",
    '`header-value = *<any OCTET except CR or LF or ":">`',
    looser="an unescaped colon belongs to the value, as older peers send it; NUL is refused",
)
def test_a_value_may_be_empty_and_may_hold_a_colon() -> None:
    headers = decoded(V, "empty:", "time:12:30:00")
    assert (headers["empty"], headers["time"]) == ("", "12:30:00")
    assert refused("SEND", "destination:/topic/a", "k:a\rb")
    assert joined(V).error(b"SEND\ndestination:/topic/a\nk:\0\n\n\0")
