"""STOMP 1.1: what a frame is, and what may stand in one."""

from __future__ import annotations

from tests.spec.clauses import Document
from tests.spec.peer import World, connect, decoded, duet, frame, joined, receipt, send, subscribe

clause = Document("STOMP 1.1")
V = "1.1"


# --- Protocol Overview ------------------------------------------------------------------------


@clause(
    "Protocol Overview",
    "STOMP is text based but also allows for the transmission of binary messages.",
)
def test_a_binary_message_arrives_octet_for_octet() -> None:
    ann, bob = duet(V)
    ann.say(send(bytes(range(256)), "content-length:256"))
    assert bob.get().body == bytes(range(256))


@clause(
    "Protocol Overview",
    "The default encoding for STOMP is UTF-8, but it supports the specification of alternative"
    " encodings for message bodies.",
    kept="bodies are never decoded, and `content-type` is passed on as it came",
)
def test_a_body_in_another_encoding_is_not_touched() -> None:
    ann, bob = duet(V)
    body = "é".encode("utf-16")
    ann.say(send(body, "content-type:text/plain;charset=utf-16", f"content-length:{len(body)}"))
    message = bob.get()
    assert message.body == body
    assert message.get("content-type") == "text/plain;charset=utf-16"


@clause(
    "Protocol Overview",
    "The STOMP protocol treats destinations as opaque string and their syntax is server"
    " implementation specific.",
    stricter="a destination starts with one of our prefixes; any other is refused with an ERROR",
)
def test_only_the_prefix_of_a_destination_has_a_meaning() -> None:
    ann, bob = duet(V, to="/topic/A b é")
    ann.say(send(b"x", to="/topic/A b é"), send(b"y", to="/topic/a b é"))
    assert bob.bodies() == [b"x"]
    assert ann.error(send(to="nowhere")).get("error-code") == "protocol-violation"


@clause(
    "Protocol Overview",
    "The delivery, or “message exchange”, semantics of destinations can vary from server to server"
    " and even from destination to destination.",
    kept="a topic gives everybody a copy, a queue gives each message to one consumer",
)
def test_a_topic_copies_and_a_queue_does_not() -> None:
    ann, bob = duet(V)
    bob.say(subscribe("1", to="/topic/a"), subscribe("2", to="/queue/a"))
    bob.say(subscribe("3", to="/queue/a"))
    ann.say(send(b"t"), send(b"q", to="/queue/a"))
    assert sorted(bob.bodies()) == [b"q", b"t", b"t"]


@clause(
    "Protocol Overview",
    "A STOMP client is a user-agent which can act in two (possibly simultaneous) modes:",
)
def test_one_client_produces_and_consumes_at_once() -> None:
    ann = joined(V)
    ann.say(subscribe("7"), send(b"mine"))
    message = ann.get()
    assert (message.body, message.get("subscription")) == (b"mine", "7")


# --- Changes in the Protocol ------------------------------------------------------------------


@clause(
    "Changes in the Protocol",
    "STOMP 1.1 is designed to be backwards compatible with STOMP 1.0 while introducing several new"
    " features not present in STOMP 1.0:",
)
def test_peers_of_1_0_and_1_1_hear_one_another() -> None:
    world = World()
    old, new = world.connect("1.0"), world.connect(V)
    old.say(subscribe())
    new.say(subscribe())
    old.say(send(b"old"))
    new.say(send(b"new"))
    assert old.bodies() == new.bodies() == [b"old", b"new"]


# --- Conformance ------------------------------------------------------------------------------


@clause(
    "Conformance",
    "Implementations may impose implementation-specific limits on unconstrained inputs, e.g. to"
    " prevent denial of service attacks, to guard against running out of memory, or to work around"
    " platform-specific limitations.",
    kept="every one is a field of `Limits`",
)
def test_a_limit_on_what_the_specification_leaves_open_is_an_error() -> None:
    ann = joined(V, subscriptions=2)
    assert ann.ask(subscribe("1"), subscribe("2")) == b""
    error = ann.error(subscribe("3", "receipt:r"))
    assert (error.get("error-code"), error.get("receipt-id")) == ("limit-exceeded", "r")


# --- STOMP Frames -----------------------------------------------------------------------------


@clause(
    "STOMP Frames",
    "STOMP is a frame based protocol which assumes a reliable 2-way streaming network protocol"
    " (such as TCP) underneath.",
    kept="frames may come octet by octet, or many at once",
)
def test_a_stream_may_be_cut_anywhere() -> None:
    data = connect(V) + subscribe("1", "receipt:a") + send(b"x\0y", "content-length:3", "receipt:b")
    whole, dripped = World().open(), World().open()
    whole.say(data)
    dripped.drip(data)
    heard = whole.hear()
    assert dripped.hear() == heard
    assert [each.command for each in heard] == ["CONNECTED", "RECEIPT", "MESSAGE", "RECEIPT"]


@clause(
    "STOMP Frames",
    "The frame starts with a command string terminated by a newline.",
    kept="the carriage return of 1.2 is an ordinary octet, so it makes another command",
)
def test_a_newline_ends_the_command() -> None:
    ann = joined(V)
    assert ann.ask(b"BEGIN\ntransaction:1\nreceipt:r\n\n\0") == receipt("r")
    error = ann.error(b"BEGIN\r\ntransaction:2\n\n\0")
    assert error.get("error-code") == "protocol-violation"


@clause(
    "STOMP Frames",
    "Following the command are one or more header entries in `<key>:<value>` format.",
    looser="a DISCONNECT needs no header, as the grammar says too",
)
def test_a_frame_has_zero_or_more_headers() -> None:
    assert decoded(V, "k:", "a:b")["k"] == ""
    ann = joined(V)
    assert ann.ask(b"DISCONNECT\n\n\0") == b""
    assert ann.is_over()


@clause("STOMP Frames", "Each header entry is terminated by a newline.")
def test_a_line_without_a_colon_is_no_header() -> None:
    ann = joined(V)
    error = ann.error(b"SEND\ndestination:/topic/a\nreceipt\n\nx\0")
    assert error.get("error-code") == "malformed-frame"


@clause(
    "STOMP Frames",
    "A blank line indicates the end of the headers and the beginning of the body.",
)
def test_what_follows_the_blank_line_is_the_body() -> None:
    ann, bob = duet(V)
    ann.say(b"SEND\ndestination:/topic/a\n\n\nk:v\n\0", send(b"\r\n"))
    assert bob.bodies() == [b"\nk:v\n", b"\r\n"]


@clause("STOMP Frames", "The body is then followed by the null byte (0x00).")
def test_a_frame_counts_only_once_its_nul_has_come() -> None:
    ann, bob = duet(V)
    ann.say(send(b"x")[:-1])
    assert bob.raw() == b""
    ann.say(b"\0")
    assert bob.get().body == b"x"


@clause(
    "STOMP Frames",
    "The null byte can be optionally followed by multiple newlines.",
    looser="stray NULs and CR LF between frames are passed over too, as other servers do",
)
def test_line_ends_between_frames_mean_nothing() -> None:
    ann, bob = duet(V)
    ann.say(send(b"x"), b"\n\r\n\n\r\n", send(b"y"), b"\n\0\n", send(b"z"), b"\r")
    ann.say(b"\n")
    assert bob.bodies() == [b"x", b"y", b"z"]


@clause(
    "STOMP Frames",
    "All commands and header names referenced in this document are case sensitive.",
    looser="`Authorization`, which is ours, may be written with a small letter too",
)
def test_another_case_is_another_word() -> None:
    assert decoded(V, "Destination:/topic/b")["destination"] == "/topic/a"
    ann, bob = joined(V), joined(V)
    assert ann.error(b"send\ndestination:/topic/a\n\nx\0").get("error-code") == "protocol-violation"
    assert bob.error(b"SEND\nDestination:/topic/a\n\nx\0").get("error-code") == "malformed-frame"


# --- Value Encoding ---------------------------------------------------------------------------


@clause("Value Encoding", "The commands and headers are encoded in UTF-8.")
def test_headers_are_utf_8() -> None:
    ann, bob = duet(V)
    ann.say(b"SEND\ndestination:/topic/a\n\xc3\xa9:\xe2\x82\xac\n\nx\0")
    assert bob.get().get("é") == "€"
    error = ann.error(b"SEND\ndestination:/topic/a\nk:\xff\n\nx\0")
    assert error.get("error-code") == "malformed-frame"


@clause(
    "Value Encoding",
    "All frames except the `CONNECT` and `CONNECTED` frames will also escape any colon or newline"
    " octets found in the resulting UTF-8 encoded headers.",
)
def test_our_frames_escape_too() -> None:
    ann, bob = joined(V), joined(V)
    ann.say(subscribe(r"a\n\c\\", r"receipt:1\n\c\\"), send())
    confirmed, message = ann.hear()
    assert confirmed.lines == (r"receipt-id:1\n\c\\",)
    assert message.get("subscription") == r"a\n\c\\"
    assert bob.error(send(b"", r"receipt:2\c", to="nowhere")).get("receipt-id") == r"2\c"


@clause(
    "Value Encoding",
    "Escaping is needed to allow header keys and values to contain those frame header delimiting"
    " octets as values.",
)
def test_header_names_are_escaped_like_values() -> None:
    assert decoded(V, r"a\cb\n:c\\")["a:b\n"] == "c\\"
    ann, bob = duet(V)
    ann.say(send(b"x", r"a\cb\n:c\\"))
    assert r"a\cb\n:c\\" in bob.get().lines


@clause(
    "Value Encoding",
    "The `CONNECT` and `CONNECTED` frames do not escape the colon or newline octets in order to"
    " remain backward compatible with STOMP 1.0.",
    kept="`STOMP` counts as `CONNECT`; a carriage return inside a line is refused",
)
def test_connect_and_connected_have_no_escapes() -> None:
    world = World(server=r"name/1 (a:b\c)")
    ann, bob = world.open(), world.open()
    for peer, command in ((ann, "CONNECT"), (bob, "STOMP")):
        peer.say(frame(command, "accept-version:1.1", r"login:a:\c", r"passcode:\r\t:"))
        assert r"server:name/1 (a:b\c)" in peer.hear()[0].lines
    assert world.doorman.seen == [(r"a:\c", r"\r\t:")] * 2
    assert world.open().error(b"CONNECT\nlogin:a\rb\n\n\0").get("error-code") == "malformed-frame"


@clause("Value Encoding", r"`\n` (octet 92 and 110) translates to newline (octet 10)")
def test_backslash_n_is_a_newline() -> None:
    assert decoded(V, r"k:a\nb")["k"] == "a\nb"


@clause("Value Encoding", r"`\c` (octet 92 and 99) translates to `:` (octet 58)")
def test_backslash_c_is_a_colon() -> None:
    assert decoded(V, r"k:a\cb")["k"] == "a:b"


@clause("Value Encoding", r"`\\` (octet 92 and 92) translates to `\` (octet 92)")
def test_two_backslashes_are_one() -> None:
    assert decoded(V, r"k:a\\nb\\\\")["k"] == "a\\nb\\\\"


@clause(
    "Value Encoding",
    r"Undefined escape sequences such as `\r` (octet 92 and 114) MUST be treated as a fatal"
    " protocol error.",
    kept="so must a backslash at the end of a name or a value",
)
def test_any_other_escape_is_fatal() -> None:
    for line in (r"k:\r", r"k:\t", r"k:\C", r"\r:v", "k:\\", "k\\:v"):
        error = joined(V).error(send(b"x", line))
        assert error.get("error-code") == "malformed-frame"


@clause(
    "Value Encoding",
    "Conversely when encoding frame headers, the reverse transformation MUST be applied.",
)
def test_what_the_server_publishes_is_escaped() -> None:
    ann = joined(V)
    ann.say(subscribe())
    world = ann.world
    assert world.hub.publish("/topic/a", b"", {"k:": "\n:\\n"}, now=world.now) == {"s-0"}
    assert r"k\c:\n\c\\n" in ann.get().lines


@clause("Value Encoding", "Only the `SEND`, `MESSAGE`, and `ERROR` frames can have a body.")
def test_send_message_and_error_have_bodies() -> None:
    ann, bob = duet(V)
    ann.say(send(b"x"))
    assert bob.get().body == b"x"
    assert ann.error(send(to="nowhere")).body


@clause("Value Encoding", "All other frames MUST NOT have a body.")
def test_a_body_in_any_other_frame_is_an_error() -> None:
    for command in (
        *("SUBSCRIBE", "UNSUBSCRIBE", "ACK", "NACK", "BEGIN", "COMMIT", "ABORT", "DISCONNECT"),
        *("CONNECT", "STOMP"),
    ):
        peer = World().open() if command in ("CONNECT", "STOMP") else joined(V)
        lines = ("accept-version:1.1", "id:1", "destination:/topic/a", "transaction:t")
        error = peer.error(frame(command, *lines, body=b"x"))
        assert error.get("error-code") == "malformed-frame", command
    peer = World().open()
    peer.say(connect(V), subscribe("0", "receipt:r"))
    assert [each.body for each in peer.hear()] == [b"", b""]


@clause(
    "Value Encoding",
    "In STOMP 1.1, clients and servers MUST never trim or pad headers with spaces.",
)
def test_spaces_stay_where_they_are() -> None:
    ann, bob = duet(V)
    assert ann.ask(send(b"x", " k : v ", "receipt: r ")) == receipt(" r ")
    message = bob.get()
    assert " k : v " in message.lines
    assert not [line for line in message.lines if line.startswith(" ") and line != " k : v "]
    error = ann.error(b"SEND\n destination:/topic/a\n\nx\0")
    assert error.get("error-code") == "malformed-frame"
