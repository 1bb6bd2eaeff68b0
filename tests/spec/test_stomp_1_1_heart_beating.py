"""STOMP 1.1: heart-beats, in which direction, how often, and how long anybody is waited for."""

from __future__ import annotations

from tests.spec.clauses import Document
from tests.spec.peer import Peer, World, connect, frame, joined, receipt, send

from stompcore import HeartBeat

clause = Document("STOMP 1.1")
V = "1.1"
BEAT = b"\n"


def beating(client: str | None, *, can: float = 10, wants: float = 10) -> Peer:
    """A client with this `heart-beat` at a server that can and wants these seconds."""
    lines = () if client is None else (f"heart-beat:{client}",)
    heart_beat = HeartBeat(send_interval=can, receive_interval=wants)
    return joined(V, *lines, heart_beat=heart_beat)


def outgoing(client: str | None, *, can: float = 10) -> float | None:
    """After how many seconds of silence the server sends its beat, None for never."""
    peer = beating(client, can=can, wants=0)
    deadline = peer.session.next_deadline()
    if deadline is None:
        peer.world.wait(3600)
        assert peer.raw() == b""
        return None
    seconds = deadline - peer.world.now
    peer.world.wait(seconds)
    assert peer.raw() == BEAT
    return round(seconds, 3)


def patience(client: str | None, *, wants: float = 10) -> float | None:
    """After how many seconds of silence the server gives its client up, None for never."""
    peer = beating(client, can=0, wants=wants)
    deadline = peer.session.next_deadline()
    if deadline is None:
        peer.world.wait(3600)
        assert not peer.session.closing
        return None
    seconds = deadline - peer.world.now
    peer.world.wait(seconds)
    assert peer.hear()[0].get("error-code") == "heartbeat-timeout"
    return round(seconds, 3)


@clause(
    "Heart-beating",
    "Heart-beating can optionally be used to test the healthiness of the underlying TCP connection"
    " and to make sure that the remote end is alive and kicking.",
)
def test_a_client_that_has_fallen_silent_is_cut() -> None:
    ann = beating("5000,0")
    ann.world.wait(20)
    (error,) = ann.hear()
    assert (error.command, error.get("message")) == ("ERROR", "Heart-beat Timeout")
    assert ann.is_over()
    assert len(ann.world.hub) == 0


@clause(
    "Heart-beating",
    "This happens at the very beginning of the STOMP session, by adding a `heart-beat` header to"
    " the `CONNECT` and `CONNECTED` frames.",
)
def test_connected_declares_what_the_server_can_and_wants() -> None:
    world = World(heart_beat=HeartBeat(send_interval=2.5, receive_interval=30))
    peer = world.open()
    peer.say(connect(V, "heart-beat:1000,1000"))
    assert peer.hear()[0].get("heart-beat") == "2500,30000"
    ann = world.connect(V)
    assert ann.ask(send(b"x", "heart-beat:1,1", "receipt:r")) == receipt("r")
    assert ann.session.next_deadline() is None


@clause(
    "Heart-beating",
    "When used, the `heart-beat` header MUST contain two positive integers separated by a comma.",
    looser="spaces around the numbers of `heart-beat` are passed over",
)
def test_heart_beat_is_two_numbers_or_an_error() -> None:
    for value in ("0,0", "1000, 2000", " 1000 ,2000 "):
        assert not joined(V, f"heart-beat:{value}").session.closing
    for value in ("", "1000", "1,2,3", "-1,0", "1.5,0", "a,b", "0x1,0", "1,", "²,0"):
        error = World().open().error(connect(V, f"heart-beat:{value}"))
        assert error.get("error-code") == "malformed-frame", value


@clause(
    "Heart-beating",
    "The first number represents what the sender of the frame can do (outgoing heart-beats):",
)
def test_the_clients_first_number_is_about_its_own_beats() -> None:
    assert (patience("10000,0"), outgoing("10000,0")) == (20, None)


@clause("Heart-beating", "0 means it cannot send heart-beats")
def test_a_client_that_cannot_beat_is_never_missed() -> None:
    assert patience("0,10000") is None


@clause(
    "Heart-beating",
    "otherwise it is the smallest number of milliseconds between heart-beats that it can guarantee",
)
def test_a_client_that_can_only_beat_slowly_is_waited_for() -> None:
    assert patience("60000,0", wants=10) == 120


@clause(
    "Heart-beating",
    "The second number represents what the sender of the frame would like to get (incoming"
    " heart-beats):",
)
def test_the_clients_second_number_is_about_our_beats() -> None:
    assert (patience("0,10000"), outgoing("0,10000")) == (None, 9)


@clause("Heart-beating", "0 means it does not want to receive heart-beats")
def test_a_client_that_wants_no_beats_gets_none() -> None:
    assert outgoing("10000,0") is None


@clause(
    "Heart-beating",
    "otherwise it is the desired number of milliseconds between heart-beats",
)
def test_a_client_that_wants_fewer_beats_gets_fewer() -> None:
    assert outgoing("0,60000", can=10) == 54


@clause(
    "Heart-beating",
    "A missing `heart-beat` header MUST be treated the same way as a “heart-beat:0,0” header, that"
    " is: the party cannot send and does not want to receive heart-beats.",
)
def test_a_missing_header_is_0_0() -> None:
    for client in (None, "0,0"):
        assert (outgoing(client), patience(client)) == (None, None)


@clause(
    "Heart-beating",
    "The `heart-beat` header provides enough information so that each party can find out if"
    " heart-beats can be used, in which direction, and with which frequency.",
)
def test_both_directions_run_on_their_own() -> None:
    ann = beating("4000,3000", can=1, wants=2)  # ours every 3 seconds, hers every 4
    beats = 0
    for _ in range(12):
        ann.world.wait(3.5)
        beats += ann.raw().count(BEAT)
        ann.say(BEAT)
    assert not ann.session.closing
    assert 42 / 3 <= beats <= 42 / 2.7


@clause(
    "Heart-beating",
    "if `<cx>` is 0 (the client cannot send heart-beats) or `<sy>` is 0 (the server does not want"
    " to receive heart-beats) then there will be none",
)
def test_either_zero_means_that_no_beats_are_expected() -> None:
    assert patience("0,5000", wants=10) is None
    assert patience("5000,0", wants=0) is None


@clause(
    "Heart-beating",
    "otherwise, there will be heart-beats every MAX(`<cx>`,`<sy>`) milliseconds",
)
def test_the_client_is_expected_every_max_of_cx_and_sy() -> None:
    assert patience("5000,0", wants=10) == 2 * 10
    assert patience("15000,0", wants=10) == 2 * 15


@clause("Heart-beating", "In the other direction, `<sx>` and `<cy>` are used the same way.")
def test_the_server_beats_every_max_of_sx_and_cy() -> None:
    assert outgoing("0,5000", can=0) is None
    assert outgoing("5000,0", can=10) is None
    assert outgoing("0,5000", can=10) == 0.9 * 10
    assert outgoing("0,15000", can=10) == 0.9 * 15


@clause(
    "Heart-beating",
    "Regarding the heart-beats themselves, any new data received over the network connection is an"
    " indication that the remote end is alive.",
)
def test_any_octet_is_a_sign_of_life() -> None:
    ann = beating("5000,0")
    for data in (send(), BEAT, b"\0", send()[:5], send()[5:]):
        ann.world.wait(19)
        ann.say(data)
    ann.world.wait(19)
    assert not ann.session.closing


@clause(
    "Heart-beating",
    "the sender MUST send new data over the network connection at least every `<n>` milliseconds",
    kept="ours leave after nine tenths of the interval; a frame counts as one",
)
def test_never_more_than_the_interval_passes_in_silence() -> None:
    ann = beating("0,10000")
    for _ in range(5):
        ann.world.wait(10)
        assert ann.raw()
    ann.say(send(b"x", "receipt:r"))
    assert ann.raw() == receipt("r")
    ann.world.wait(8.9)
    assert ann.raw() == b""
    ann.world.wait(0.1)
    assert ann.raw() == BEAT


@clause(
    "Heart-beating",
    "if the sender has no real STOMP frame to send, it MUST send a single newline byte (0x0A)",
)
def test_our_beat_is_one_line_feed() -> None:
    ann = beating("0,10000")
    ann.world.wait(9)
    assert ann.raw() == b"\n"


@clause(
    "Heart-beating",
    "if, inside a time window of at least `<n>` milliseconds, the receiver did not receive any new"
    " data, it CAN consider the connection as dead",
)
def test_nobody_is_cut_within_the_interval() -> None:
    ann = beating("10000,0")
    ann.world.wait(10)
    assert not ann.session.closing
    ann.world.wait(10)
    assert ann.session.closing


@clause(
    "Heart-beating",
    "because of timing inaccuracies, the receiver SHOULD be tolerant and take into account an error"
    " margin",
    kept="two intervals, `HeartBeat.tolerance`; and one more when it was we who overslept",
)
def test_a_client_may_be_late_by_an_interval() -> None:
    ann = beating("10000,0")
    for _ in range(5):
        ann.world.wait(19.9)
        ann.say(BEAT)
    assert not ann.session.closing
    # Suspended for an hour: her beats may lie unread.
    ann.world.now += 3600
    ann.machine.handle_timeout(now=ann.world.now)
    assert not ann.session.closing
    ann.say(frame("DISCONNECT", "receipt:r"))
    assert ann.raw() == receipt("r")
