"""STOMP 1.2: what a frame is, and what may stand in one."""

from __future__ import annotations

from tests.spec.clauses import Document
from tests.spec.peer import World, connect, decoded, duet, frame, joined, receipt, send, subscribe

clause = Document("STOMP 1.2")
V = "1.2"


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


@clause("Changes in the Protocol", "STOMP 1.2 is mostly backwards compatible with STOMP 1.1.")
def test_peers_of_1_1_and_1_2_hear_one_another() -> None:
    world = World()
    old, new = world.connect("1.1"), world.connect(V)
    old.say(subscribe())
    new.say(subscribe())
    old.say(send(b"old"))
    new.say(send(b"new"))
    assert old.bodies() == new.bodies() == [b"old", b"new"]


@clause(
    "Changes in the Protocol",
    "it is now possible to end frame lines with carriage return plus line feed instead of only"
    " line feed",
)
def test_lines_may_end_with_carriage_return_and_line_feed() -> None:
    ann, bob = duet(V)
    ann.say(frame("SEND", "destination:/topic/a", "k:v", body=b"x\r\n", eol="\r\n"))
    message = bob.get()
    assert (message.get("k"), message.body) == ("v", b"x\r\n")


@clause(
    "Changes in the Protocol",
    "message acknowledgment has been simplified and now uses a dedicated header",
)
def test_ack_takes_what_the_ack_header_of_message_says() -> None:
    ann, bob = duet(V)
    bob.say(subscribe("1", "ack:client", to="/queue/a"))
    ann.say(send(to="/queue/a"))
    assert bob.ask(frame("ACK", f"id:{bob.get().get('ack')}", "receipt:r")) == receipt("r")


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
    "The frame starts with a command string terminated by an end-of-line (EOL), which consists of"
    " an OPTIONAL carriage return (octet 13) followed by a REQUIRED line feed (octet 10).",
)
def test_a_carriage_return_alone_ends_no_line() -> None:
    ann = joined(V)
    assert ann.ask(b"BEGIN\r\ntransaction:1\nreceipt:r\r\n\n\0") == receipt("r")
    assert ann.error(b"BEGIN\rtransaction:2\n\n\0").get("error-code") == "malformed-frame"


@clause(
    "STOMP Frames",
    "Following the command are zero or more header entries in `<key>:<value>` format.",
)
def test_a_frame_has_zero_or_more_headers() -> None:
    assert decoded(V, "k:", "a:b")["k"] == ""
    ann = joined(V)
    assert ann.ask(b"DISCONNECT\n\n\0") == b""
    assert ann.is_over()


@clause("STOMP Frames", "Each header entry is terminated by an EOL.")
def test_a_line_without_a_colon_is_no_header() -> None:
    ann = joined(V)
    error = ann.error(b"SEND\ndestination:/topic/a\nreceipt\n\nx\0")
    assert error.get("error-code") == "malformed-frame"


@clause(
    "STOMP Frames",
    "A blank line (i.e. an extra EOL) indicates the end of the headers and the beginning of the"
    " body.",
)
def test_what_follows_the_blank_line_is_the_body() -> None:
    ann, bob = duet(V)
    ann.say(b"SEND\ndestination:/topic/a\n\n\nk:v\n\0", b"SEND\ndestination:/topic/a\n\r\n\r\0")
    assert bob.bodies() == [b"\nk:v\n", b"\r"]


@clause("STOMP Frames", "The body is then followed by the NULL octet.")
def test_a_frame_counts_only_once_its_nul_has_come() -> None:
    ann, bob = duet(V)
    ann.say(send(b"x")[:-1])
    assert bob.raw() == b""
    ann.say(b"\0")
    assert bob.get().body == b"x"


@clause(
    "STOMP Frames",
    "The NULL octet can be optionally followed by multiple EOLs.",
    looser="stray NULs between frames are passed over too, as other servers do",
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
    "All frames except the `CONNECT` and `CONNECTED` frames will also escape any carriage return,"
    " line feed or colon found in the resulting UTF-8 encoded headers.",
)
def test_our_frames_escape_too() -> None:
    ann, bob = joined(V), joined(V)
    ann.say(subscribe(r"a\r\n\c\\", r"receipt:1\r\n\c\\"), send())
    confirmed, message = ann.hear()
    assert confirmed.lines == (r"receipt-id:1\r\n\c\\",)
    assert message.get("subscription") == r"a\r\n\c\\"
    assert bob.error(send(b"", r"receipt:2\c", to="nowhere")).get("receipt-id") == r"2\c"


@clause(
    "Value Encoding",
    "Escaping is needed to allow header keys and values to contain those frame header delimiting"
    " octets as values.",
)
def test_header_names_are_escaped_like_values() -> None:
    assert decoded(V, r"a\cb\n:c\r")["a:b\n"] == "c\r"
    ann, bob = duet(V)
    ann.say(send(b"x", r"a\cb\n:c\r"))
    assert r"a\cb\n:c\r" in bob.get().lines


@clause(
    "Value Encoding",
    "The `CONNECT` and `CONNECTED` frames do not escape the carriage return, line feed or colon"
    " octets in order to remain backward compatible with STOMP 1.0.",
    kept="`STOMP` counts as `CONNECT`; a carriage return inside a line is refused",
)
def test_connect_and_connected_have_no_escapes() -> None:
    world = World(server=r"name/1 (a:b\c)")
    ann, bob = world.open(), world.open()
    for peer, command in ((ann, "CONNECT"), (bob, "STOMP")):
        peer.say(frame(command, "accept-version:1.2", r"login:a:\c", r"passcode:\r\t:"))
        assert r"server:name/1 (a:b\c)" in peer.hear()[0].lines
    assert world.doorman.seen == [(r"a:\c", r"\r\t:")] * 2
    assert world.open().error(b"CONNECT\nlogin:a\rb\n\n\0").get("error-code") == "malformed-frame"


@clause("Value Encoding", r"`\r` (octet 92 and 114) translates to carriage return (octet 13)")
def test_backslash_r_is_a_carriage_return() -> None:
    assert decoded(V, r"k:a\rb")["k"] == "a\rb"


@clause("Value Encoding", r"`\n` (octet 92 and 110) translates to line feed (octet 10)")
def test_backslash_n_is_a_line_feed() -> None:
    assert decoded(V, r"k:a\nb")["k"] == "a\nb"


@clause("Value Encoding", r"`\c` (octet 92 and 99) translates to `:` (octet 58)")
def test_backslash_c_is_a_colon() -> None:
    assert decoded(V, r"k:a\cb")["k"] == "a:b"


@clause("Value Encoding", r"`\\` (octet 92 and 92) translates to `\` (octet 92)")
def test_two_backslashes_are_one() -> None:
    assert decoded(V, r"k:a\\nb\\\\")["k"] == "a\\nb\\\\"


@clause(
    "Value Encoding",
    r"Undefined escape sequences such as `\t` (octet 92 and 116) MUST be treated as a fatal"
    " protocol error.",
    kept="so must a backslash at the end of a name or a value",
)
def test_any_other_escape_is_fatal() -> None:
    for line in (r"k:\t", r"k:\C", r"\t:v", "k:\\", "k\\:v"):
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
    assert world.hub.publish("/topic/a", b"", {"k:": "\r\n:\\n"}, now=world.now) == {"s-0"}
    assert r"k\c:\r\n\c\\n" in ann.get().lines


@clause(
    "Value Encoding",
    "In STOMP 1.2, clients and servers MUST never trim or pad headers with spaces.",
)
def test_spaces_stay_where_they_are() -> None:
    ann, bob = duet(V)
    assert ann.ask(send(b"x", " k : v ", "receipt: r ")) == receipt(" r ")
    message = bob.get()
    assert " k : v " in message.lines
    assert not [line for line in message.lines if line.startswith(" ") and line != " k : v "]
    error = ann.error(b"SEND\n destination:/topic/a\n\nx\0")
    assert error.get("error-code") == "malformed-frame"


# --- Body -------------------------------------------------------------------------------------


@clause("Body", "Only the `SEND`, `MESSAGE`, and `ERROR` frames MAY have a body.")
def test_send_message_and_error_have_bodies() -> None:
    ann, bob = duet(V)
    ann.say(send(b"x"))
    assert bob.get().body == b"x"
    assert ann.error(send(to="nowhere")).body


@clause("Body", "All other frames MUST NOT have a body.")
def test_a_body_in_any_other_frame_is_an_error() -> None:
    for command in (
        *("SUBSCRIBE", "UNSUBSCRIBE", "ACK", "NACK", "BEGIN", "COMMIT", "ABORT", "DISCONNECT"),
        *("CONNECT", "STOMP"),
    ):
        peer = World().open() if command in ("CONNECT", "STOMP") else joined(V)
        lines = ("accept-version:1.2", "id:1", "destination:/topic/a", "transaction:t")
        error = peer.error(frame(command, *lines, body=b"x"))
        assert error.get("error-code") == "malformed-frame", command
    peer = World().open()
    peer.say(connect(V), subscribe("0", "receipt:r"))
    assert [each.body for each in peer.hear()] == [b"", b""]


# --- Header content-length --------------------------------------------------------------------


@clause("Header content-length", "All frames MAY include a `content-length` header.")
def test_a_frame_without_a_body_may_say_so() -> None:
    peer = World().open()
    peer.say(connect(V, "content-length:0"), subscribe("0", "content-length:0", "receipt:r"))
    assert [each.command for each in peer.hear()] == ["CONNECTED", "RECEIPT"]


@clause(
    "Header content-length",
    "This header is an octet count for the length of the message body.",
    stricter="a `content-length` that is no number, or two that differ, are refused",
)
def test_content_length_counts_octets() -> None:
    ann, bob = duet(V)
    ann.say(send("é€".encode(), "content-length:5"))
    message = bob.get()
    assert (message.body, message.all("content-length")) == ("é€".encode(), ["5"])
    for lines in (("content-length:-1",), ("content-length:1x",), ("content-length:",)):
        assert joined(V).error(send(b"x", *lines)).get("error-code") == "malformed-frame"
    twice = send(b"x", "content-length:1", "content-length:2")
    assert ann.error(twice).get("error-code") == "malformed-frame"


@clause(
    "Header content-length",
    "If a `content-length` header is included, this number of octets MUST be read, regardless of"
    " whether or not there are NULL octets in the body.",
)
def test_content_length_reads_over_nuls() -> None:
    ann, bob = duet(V)
    inner = send(b"inner")
    ann.say(send(inner, f"content-length:{len(inner)}"))
    assert bob.bodies() == [inner]


@clause("Header content-length", "The frame still needs to be terminated with a NULL octet.")
def test_the_octet_behind_the_counted_body_must_be_nul() -> None:
    error = joined(V).error(send(b"xy", "content-length:1", "receipt:r"))
    assert (error.get("error-code"), error.get("receipt-id")) == ("malformed-frame", "r")


@clause(
    "Header content-length",
    "If a frame body is present, the `SEND`, `MESSAGE` and `ERROR` frames SHOULD include a"
    " `content-length` header to ease frame parsing.",
)
def test_our_bodies_are_counted() -> None:
    ann, bob = duet(V)
    ann.say(send(b"xyz"))
    assert bob.get().get("content-length") == "3"
    error = ann.error(send(to="nowhere"))
    assert error.get("content-length") == str(len(error.body))


@clause(
    "Header content-length",
    "If the frame body contains NULL octets, the frame MUST include a `content-length` header.",
)
def test_a_body_with_nuls_is_counted_and_one_that_is_not_ends_there() -> None:
    ann, bob = duet(V)
    ann.say(send(b"x\0y", "content-length:3"))
    message = bob.get()
    assert (message.body, message.get("content-length")) == (b"x\0y", "3")
    ann.say(send(b"x\0y"), b"\n\n\0")
    assert bob.get().body == b"x"
    assert ann.hear()[0].command == "ERROR"  # "y" is no command
