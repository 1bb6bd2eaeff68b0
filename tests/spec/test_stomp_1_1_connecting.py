"""STOMP 1.1: CONNECT, CONNECTED, and the version that both speak."""

from __future__ import annotations

import re

from tests.spec.clauses import Document
from tests.spec.peer import WRONG, Doorman, World, connect, frame, joined, receipt, send, subscribe

clause = Document("STOMP 1.1")
V = "1.1"


# --- Connecting -------------------------------------------------------------------------------


@clause(
    "Connecting",
    "A STOMP client initiates the stream or TCP connection to the server by sending the `CONNECT`"
    " frame:",
    stricter="any other first frame is refused, and so is a second CONNECT",
)
def test_the_first_frame_and_only_the_first_is_connect() -> None:
    assert World().open().raw() == b""
    error = World().open().error(send(b"x", "receipt:r"))
    assert (error.get("error-code"), error.get("receipt-id")) == ("protocol-violation", "r")
    for command in ("CONNECT", "STOMP"):
        again = frame(command, "accept-version:1.1", "host:h")
        assert joined(V).error(again).get("error-code") == "protocol-violation"


@clause(
    "Connecting",
    "If the server accepts the connection attempt it will respond with a `CONNECTED` frame:",
)
def test_connect_is_answered_with_connected() -> None:
    peer = World().open()
    assert peer.ask(connect(V)) == (
        b"CONNECTED\nversion:1.1\nsession:s-0\nserver:stompcore\nheart-beat:0,0\n\n\0"
    )


@clause("Connecting", "The server can reject any connection attempt.")
def test_a_token_that_is_refused_opens_nothing() -> None:
    world = World()
    peer = world.open()
    peer.error(connect(V, f"passcode:{WRONG}"), subscribe(), send())
    assert len(world.hub) == len(world.hub.broker) == 0


@clause(
    "Connecting",
    "The server SHOULD respond back with an `ERROR` frame listing why the connection was rejected"
    " and then close the connection.",
    kept="`message` and `error-code` are fixed words, never an exception's",
)
def test_a_refused_connect_is_told_why() -> None:
    peer = World().open()
    error = peer.error(connect(V, f"passcode:{WRONG}"))
    assert (error.get("message"), error.get("error-code")) == ("Token Invalid", "token-invalid")
    assert error.body == b"This token cannot be verified."
    assert WRONG.encode() not in b"".join(line.encode() for line in error.lines) + error.body
    close = peer.close()
    assert close is not None
    assert close.code == 3000


@clause(
    "Connecting",
    "STOMP servers MUST support clients which rapidly connect and disconnect.",
)
def test_a_thousand_short_connections_leave_nothing_behind() -> None:
    world = World()
    for number in range(1000):
        peer = world.open()
        peer.say(connect(V), subscribe())
        if number % 2:
            peer.say(frame("DISCONNECT"))
        peer.leave()
        assert peer.is_closed()
        del world.peers[peer.session.session_id]
    assert len(world.hub) == len(world.hub.broker) == 0


@clause(
    "Connecting",
    "This implies a server will likely only allow closed connections to linger for short time"
    " before the connection is reset.",
    kept="`Limits.close_timeout`, 5 seconds, in which what still comes is read and thrown away",
)
def test_a_closed_connection_lingers_for_a_short_time() -> None:
    ann = joined(V, close_timeout=5)
    ann.error(send(to="nowhere"))
    ann.world.wait(4.9)
    assert not ann.is_closed()
    assert ann.ask(send()) == b""
    ann.world.wait(0.1)
    assert ann.is_closed()


@clause(
    "Connecting",
    "This means that a client may not receive the `ERROR` frame before the socket is reset.",
    kept="our side is half-closed first, and on a WebSocket the close reason repeats the ERROR's"
    " `message`",
)
def test_the_last_frame_is_out_before_the_connection_is() -> None:
    ann, bob = joined(V), joined(V)
    ann.is_reading = False
    ann.say(frame("DISCONNECT", "receipt:r"))
    assert not ann.has_sent_all()
    ann.is_reading = True
    assert ann.raw() == receipt("r")
    assert ann.has_sent_all()
    assert not ann.is_closed()
    error, close = bob.error(send(to="nowhere")), bob.close()
    assert close is not None
    assert close.reason == error.get("message")


# --- CONNECT or STOMP Frame -------------------------------------------------------------------


@clause(
    "CONNECT or STOMP Frame",
    "STOMP servers SHOULD handle a `STOMP` frame in the same manner as a `CONNECT` frame.",
)
def test_stomp_is_connect() -> None:
    lines = ("accept-version:1.0,1.1", "host:h", "login:ann", "heart-beat:0,0")
    answers = [World().open().ask(frame(each, *lines)) for each in ("CONNECT", "STOMP")]
    assert answers[0] == answers[1]
    refused = [
        World().open().ask(frame(each, f"passcode:{WRONG}")) for each in ("CONNECT", "STOMP")
    ]
    assert refused[0] == refused[1]


@clause(
    "CONNECT or STOMP Frame",
    "`accept-version` : The versions of the STOMP protocol the client supports. See Protocol"
    " Negotiation for more details.",
)
def test_accept_version_says_what_the_client_supports() -> None:
    assert joined("1.2").session.version == "1.2"
    assert joined("1.1").session.version == "1.1"


@clause(
    "CONNECT or STOMP Frame",
    "`host` : The name of a virtual host that the client wishes to connect to.",
    looser="a CONNECT without `host` is accepted",
)
def test_host_may_be_missing() -> None:
    peer = World().open()
    assert peer.ask(frame("CONNECT", "accept-version:1.1")).startswith(b"CONNECTED\nversion:1.1\n")


@clause(
    "CONNECT or STOMP Frame",
    "If this header does not match a known virtual host, servers supporting virtual hosting MAY"
    " select a default virtual host or reject the connection.",
    kept="there are no virtual hosts: every name leads to the same destinations",
)
def test_every_host_is_the_same() -> None:
    world = World()
    ann, bob = world.open(), world.open()
    for peer, host in ((ann, "a"), (bob, "b")):
        assert peer.ask(frame("CONNECT", "accept-version:1.1", f"host:{host}"))
    bob.say(subscribe())
    ann.say(send())
    assert bob.bodies() == [b"x"]


@clause(
    "CONNECT or STOMP Frame",
    "`login` : The user id used to authenticate against a secured STOMP server.",
    kept="the verifier is shown it; whom the token names is the user",
)
def test_login_reaches_the_verifier() -> None:
    peer = joined(V, "login:ann", "passcode:p")
    assert peer.world.doorman.seen == [("ann", "p")]
    assert peer.session.identity is not None
    assert peer.session.identity.subject == "ann"


@clause(
    "CONNECT or STOMP Frame",
    "`passcode` : The password used to authenticate against a secured STOMP server.",
    kept="the access token; `Authorization: Bearer` goes before it",
)
def test_passcode_is_the_token() -> None:
    for lines in (("passcode:t",), ("passcode:other", "Authorization:Bearer t")):
        assert joined(V, *lines).world.doorman.seen == [(None, "t")]


# --- CONNECTED Frame --------------------------------------------------------------------------


@clause(
    "CONNECTED Frame",
    "`version` : The version of the STOMP protocol the session will be using. See Protocol"
    " Negotiation for more details.",
)
def test_connected_names_the_version() -> None:
    peer = World().open()
    peer.say(connect("1.0,1.1"))
    assert peer.hear()[0].all("version") == ["1.1"]


@clause(
    "CONNECTED Frame",
    "`session` : A session id that uniquely identifies the session.",
)
def test_every_session_has_its_own_name() -> None:
    world = World()
    names = set()
    for _ in range(3):
        peer = world.open()
        peer.say(connect(V))
        names.add(peer.hear()[0].get("session"))
    assert len(names - {None}) == 3


@clause(
    "CONNECTED Frame",
    "`server` : A field that contains information about the STOMP server.",
)
def test_connected_names_the_server() -> None:
    peer = World(server="mill/2.0 (blue)").open()
    peer.say(connect(V))
    assert peer.hear()[0].all("server") == ["mill/2.0 (blue)"]


@clause(
    "CONNECTED Frame",
    "The field MUST contain a server-name field and MAY be followed by optional comment feilds"
    " delimited by a space character.",
    looser="`ServerConfig.server` is sent unread; by default it is `stompcore`",
)
def test_the_server_field_starts_with_a_name() -> None:
    peer = World().open()
    peer.say(connect(V))
    server = peer.hear()[0].get("server") or ""
    assert re.fullmatch(r"[\w.-]+(/[\w.-]+)?( .+)*", server)


@clause(
    "CONNECTED Frame",
    "The server-name field consists of a name token followed by an optional version number token.",
)
def test_the_server_name_may_have_a_version() -> None:
    peer = World(server="stompcore/0.1.0").open()
    peer.say(connect(V))
    assert peer.hear()[0].get("server") == "stompcore/0.1.0"


# --- Protocol Negotiation ---------------------------------------------------------------------


@clause(
    "Protocol Negotiation",
    "From STOMP 1.1 and onwards, the `CONNECT` frame MUST include the `accept-version` header.",
    looser="a CONNECT without `accept-version` is one of 1.0",
)
def test_without_accept_version_there_is_no_1_1() -> None:
    peer = World().open()
    peer.say(frame("CONNECT", "host:h"))
    assert peer.hear()[0].get("version") == "1.0"


@clause(
    "Protocol Negotiation",
    "It SHOULD be set to a comma separated list of incrementing STOMP protocol versions that the"
    " client supports.",
    looser="versions come in any order, with spaces, and with ones that nobody knows",
)
def test_versions_come_in_any_order() -> None:
    for offer in ("1.0,1.1", "1.1,1.0", "1.1 , 1.0", "0.9,7.5,1.1,x"):
        peer = World().open()
        peer.say(connect(offer))
        assert peer.hear()[0].get("version") == "1.1"


@clause(
    "Protocol Negotiation",
    "If the `accept-version` header is missing, it means that the client only supports version 1.0"
    " of the protocol.",
)
def test_missing_accept_version_means_1_0() -> None:
    ann = joined(None)
    assert ann.session.version == "1.0"
    answer = ann.ask(frame("SUBSCRIBE", "destination:/topic/a", "receipt: r"))
    assert answer.startswith(receipt("r"))


@clause(
    "Protocol Negotiation",
    "The protocol that will be used for the rest of the session will be the highest protocol"
    " version that both the client and server have in common.",
)
def test_the_rest_of_the_session_is_of_the_common_version() -> None:
    # From the very next frame, even if it came in one piece with CONNECT.
    body = send(b"x", r"receipt:a\rb")
    for version, expected in (("1.0", b"RECEIPT"), ("1.0,1.1", b"ERROR"), ("1.2", b"RECEIPT")):
        peer = World().open()
        answer = peer.ask(connect(version) + body)
        assert answer.partition(b"\0")[2].lstrip(b"\n").startswith(expected), version


@clause(
    "Protocol Negotiation",
    "The server will respond back with the highest version of the protocol that it has in common"
    " with the client:",
)
def test_of_1_0_1_1_and_2_0_it_is_1_1() -> None:
    peer = World().open()
    peer.say(connect("1.0,1.1,2.0"))
    assert peer.hear()[0].get("version") == "1.1"


@clause(
    "Protocol Negotiation",
    "If the client and server do not share any common protocol versions, then the server SHOULD"
    " respond with an `ERROR` frame similar to:",
)
def test_with_no_common_version_the_error_names_ours() -> None:
    doorman = Doorman()
    error = World(doorman=doorman).open().error(connect("2.0"))
    assert error.get("version") == "1.0,1.1,1.2"
    assert error.get("content-type") == "text/plain"
    assert error.body == b"Supported protocol versions are 1.0 1.1 1.2."
    assert doorman.seen == []
