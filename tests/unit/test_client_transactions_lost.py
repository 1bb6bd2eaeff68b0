"""Client rule 7: how transactions are lost, refused, and waited for (B18)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.unit.client_player import EXPIRED, GOING_AWAY, Player, commands, connected, message
from tests.unit.client_transacting import abort, begin, commit, error_for, fates, online, put
from tests.unit.test_client_contract import depth

from stompcore._config import Handover, Refresh
from stompcore._connection import ClientConnection
from stompcore._errors import (
    AuthenticationFailed,
    ClientClosed,
    LocalProtocolError,
    NotConnected,
    TransactionRefused,
)
from stompcore._events import (
    AckMode,
    ConnectionEnded,
    Delivered,
    Dial,
    Outcome,
    TransactionFailed,
)
from stompcore._frames import Command
from stompcore._state import (
    ClientConnectionState,
    ConnectionState,
    HandoverState,
)
from stompcore._timers import Timer

BEGIN, COMMIT, ABORT, SEND = Command.BEGIN, Command.COMMIT, Command.ABORT, Command.SEND
HALF = {"earliest": 0.5, "latest": 0.5}


# --- lost with its connection -----------------------------------------------------------------


ENDS: dict[str, Callable[[Player], None]] = {
    "end of stream": lambda play: play.lose(),
    "going away": lambda play: play.hear(GOING_AWAY),
    "close": lambda play: play.close_websocket(1001),
    "garbage": lambda play: play.hear(b"NONSENSE\n\n\0"),
}
ends = pytest.mark.parametrize("end", ENDS.values(), ids=list(ENDS))


@ends
def test_lost_before_the_commit_nothing_of_it_was_done(end: Callable[[Player], None]) -> None:
    play = online()
    name = begin(play)
    put(play, name)
    end(play)
    assert fates(play) == {name: "TransactionLost"}
    # What has become of it is known before the connection is said to have ended.
    names = play.names()
    assert names.index("TransactionFailed") < names.index("ConnectionEnded")


@ends
def test_lost_behind_the_commit_nobody_knows(end: Callable[[Player], None]) -> None:
    play = online()
    name = begin(play)
    put(play, name)
    commit(play, name)
    end(play)
    assert fates(play) == {name: "TransactionLost, unknown"}
    assert "before the server said" in str(play.last(TransactionFailed).error)


def test_an_expiry_loses_it_too() -> None:
    play = Player()
    play.connect()
    play.wait(60)
    name = begin(play)
    play.hear(EXPIRED)
    assert fates(play) == {name: "TransactionLost"}
    assert play.last(ConnectionEnded).outcome is Outcome.REFRESH


def test_the_expiry_that_answers_a_commit_has_done_nothing() -> None:
    # Held frames are judged again at the COMMIT: the server names it, and has done none of it.
    play = Player()
    play.connect()
    play.wait(60)
    name = begin(play)
    commit(play, name)
    play.hear(error_for(f"commit-{name}", "token-expired"))
    assert list(fates(play)) == [name]
    assert play.last(ConnectionEnded).outcome is Outcome.REFRESH
    assert play.client.state is ConnectionState.WAITING


@pytest.mark.parametrize("is_committing", [False, True])
def test_b18_nothing_of_it_is_sent_again(is_committing: bool) -> None:
    play = online()
    id = play.client.subscribe("/q", ack=AckMode.CLIENT, now=play.now)
    play.hear(message(id, ack="k"))
    name = begin(play)
    put(play, name, "inside")
    play.client.ack(play.last(Delivered), transaction=name, now=play.now)
    if is_committing:
        commit(play, name)
    play.send("outside")
    for _ in range(3):
        play.lose()
        frames = play.connect()
        assert commands(frames) == [Command.SUBSCRIBE, SEND]
        assert frames[1].body == b"outside"
    for use in (put, commit):
        with pytest.raises(LocalProtocolError, match="not open"):
            use(play, name)
    abort(play, name)
    assert play.written() == []
    play.receipt(f"commit-{name}")  # of a connection that is gone
    assert len(fates(play)) == 1


def test_names_go_on_over_connections() -> None:
    play = online()
    assert begin(play) == "tx-1"
    play.lose()
    play.connect()
    assert begin(play) == "tx-2"
    abort(play, "tx-1")  # another's, and over: not this one's
    commit(play, "tx-2")
    assert commands(play.written()) == [BEGIN, COMMIT]


def test_between_the_end_and_its_telling_the_transaction_cannot_be_used() -> None:
    play = online()
    name = begin(play)
    play.written()
    play.client.receive_eof(now=play.now)  # and nothing drained
    before = depth(play.client)
    uses: list[Callable[[], object]] = [
        lambda: play.client.send_in(name, "/a", b"", now=play.now),
        lambda: play.client.commit(name, now=play.now),
        lambda: play.client.begin(now=play.now),
    ]
    for use in uses:
        with pytest.raises(NotConnected):
            use()
        assert depth(play.client) == before
    play.client.abort_transaction(name, now=play.now)  # says nothing, and is its fate
    play.drain()
    assert fates(play) == {}


# --- refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["", "limit-exceeded", "access-denied", "internal-error"])
def test_a_commit_that_an_error_names_is_refused(code: str) -> None:
    play = online()
    name = begin(play)
    put(play, name)
    commit(play, name)
    play.hear(error_for(f"commit-{name}", code))
    assert fates(play) == {name: "TransactionRefused"}
    error = play.last(TransactionFailed).error
    assert isinstance(error, TransactionRefused)
    assert (error.error_code, error.message) == (code, "No")
    # Even what would stop the client: without the frame at fault there is nothing against it.
    assert play.last(ConnectionEnded).outcome is Outcome.RETRY
    assert play.connect()[1:] == []


@pytest.mark.parametrize("code", ["going-away", "slow-consumer", "heartbeat-timeout"])
def test_an_error_that_is_no_commits_fault_leaves_it_unknown(code: str) -> None:
    play = online()
    name = begin(play)
    commit(play, name)
    play.hear(error_for(f"commit-{name}", code))
    assert fates(play) == {name: "TransactionLost, unknown"}


def test_a_refused_one_takes_the_others_of_its_connection_with_it() -> None:
    play = online()
    one, two, three = begin(play), begin(play), begin(play)
    commit(play, two)
    commit(play, one)
    play.hear(error_for(f"commit-{one}"))
    assert fates(play) == {
        one: "TransactionRefused",
        two: "TransactionLost, unknown",
        three: "TransactionLost",
    }


# --- the end ----------------------------------------------------------------------------------


def test_close_is_behind_an_open_one_and_loses_it() -> None:
    play = online()
    name = begin(play)
    play.client.close(now=play.now)
    assert commands(play.written()) == [BEGIN, Command.DISCONNECT]
    with pytest.raises(NotConnected):
        play.client.commit(name, now=play.now)
    with pytest.raises(ClientClosed):
        play.client.begin(now=play.now)
    play.receipt("disconnect")
    assert fates(play) == {name: "TransactionLost"}
    assert play.stopped().error is None


def test_a_commit_before_close_may_still_be_confirmed() -> None:
    play = online()
    one, other = begin(play), begin(play)
    commit(play, one)
    commit(play, other)
    play.client.close(now=play.now)
    play.receipt(f"commit-{one}")
    play.receipt("disconnect")
    assert fates(play) == {one: "committed", other: "TransactionLost, unknown"}
    play.stopped()


def test_a_server_that_never_answers_close_leaves_none_without_a_fate() -> None:
    play = online(close_timeout=5.0)
    one, other = begin(play), begin(play)
    commit(play, one)
    play.client.close(now=play.now)
    play.drain()
    assert play.wait_for(Timer.CLOSE) == 5.0
    assert fates(play) == {one: "TransactionLost, unknown", other: "TransactionLost"}
    play.stopped()


def test_abort_loses_all_at_once() -> None:
    play = online()
    one, other = begin(play), begin(play)
    commit(play, one)
    play.client.abort(now=play.now)
    play.drain()
    assert fates(play) == {one: "TransactionLost, unknown", other: "TransactionLost"}
    for use in (put, commit):
        with pytest.raises(LocalProtocolError):
            use(play, other)
    with pytest.raises(ClientClosed):
        begin(play)
    abort(play, other)
    play.stopped()


def test_what_stops_the_client_loses_all() -> None:
    play = online()
    one, other = begin(play), begin(play)
    commit(play, one)
    play.hear(b"ERROR\nmessage:Token Revoked\nerror-code:token-revoked\n\n\0")
    assert fates(play) == {one: "TransactionLost, unknown", other: "TransactionLost"}
    assert isinstance(play.stopped().error, AuthenticationFailed)


def test_every_transaction_has_exactly_one_fate() -> None:
    play = online()
    names: list[str] = []
    aborted: list[str] = []
    for round in range(12):
        made = [begin(play) for _ in range(4)]
        names += made
        commit(play, made[0])
        commit(play, made[1])
        play.receipt(f"commit-{made[0]}")
        abort(play, made[2])
        aborted.append(made[2])
        list(ENDS.values())[round % len(ENDS)](play)
        for name in made:  # a late answer, and a server that errs
            play.receipt(f"commit-{name}")
        play.connect()
        for name in made:
            play.receipt(f"commit-{name}")
    play.client.abort(now=play.now)
    play.drain()
    assert sorted([*fates(play), *aborted]) == sorted(names)
    assert len(set(names)) == len(names) == 48


# --- while the client changes to a newer token --------------------------------------------------


def handover(play: Player) -> HandoverState:
    return play.client.handover_state


def due(how: Handover) -> Player:
    """A client whose newer token has not come yet."""
    play = Player(refresh=Refresh(**HALF, handover=how))
    play.connect(token_ttl="100000")
    play.wait(50)
    return play


def test_a_break_waits_for_the_transaction() -> None:
    play = due(Handover.BREAK)
    name = begin(play)
    play.give_token()
    commit(play, name)
    assert commands(play.written()) == [BEGIN, COMMIT]
    play.receipt(f"commit-{name}")
    assert commands(play.written()) == [Command.DISCONNECT]
    assert fates(play) == {name: "committed"}


def test_a_break_waits_for_the_abort() -> None:
    play = due(Handover.BREAK)
    name = begin(play)
    play.give_token()
    abort(play, name)
    assert commands(play.written()) == [BEGIN, ABORT, Command.DISCONNECT]


def test_none_is_begun_while_the_connection_breaks() -> None:
    play = due(Handover.BREAK)
    play.give_token()
    play.written()
    with pytest.raises(NotConnected):
        begin(play)
    assert play.written() == []


def test_an_overlap_does_not_begin_while_there_is_one() -> None:
    play = due(Handover.OVERLAP)
    name = begin(play)
    play.give_token()
    assert len(play.all(Dial)) == 1
    commit(play, name)
    play.receipt(f"commit-{name}")
    assert len(play.all(Dial)) == 2


def overlapping() -> tuple[Player, ClientConnection, ClientConnection]:
    """Both connections are up, and nothing is subscribed on the new one yet."""
    play = due(Handover.OVERLAP)
    id = play.client.subscribe("/a", now=play.now)
    play.receipt(f"subscribe-1-{id}")
    play.give_token()
    old = play.client.connection
    new = play.client.dialed(2, now=play.now)
    assert old is not None
    assert new is not None
    play.written()
    return play, old, new


def bring_up(play: Player, new: ClientConnection) -> None:
    new.receive_data(connected() + b"RECEIPT\nreceipt-id:subscribe-2-1\n\n\0", now=play.now)
    play.drain()


@pytest.mark.parametrize("is_aborted", [False, True])
def test_one_that_was_begun_meanwhile_is_not_lost_by_the_handover(is_aborted: bool) -> None:
    play, old, new = overlapping()
    name = begin(play)
    bring_up(play, new)
    assert handover(play) is HandoverState.RESTORING
    put(play, name)
    if is_aborted:
        abort(play, name)
    else:
        commit(play, name)
        assert handover(play) is HandoverState.RESTORING
        play.receipt(f"commit-{name}")
    assert handover(play) is HandoverState.RETIRING
    assert old.state is ClientConnectionState.DISCONNECTING
    with pytest.raises(NotConnected):
        begin(play)
    old.receive_data(b"RECEIPT\nreceipt-id:disconnect\n\n\0", now=play.now)
    play.drain()
    assert handover(play) is HandoverState.NONE
    assert fates(play) == ({} if is_aborted else {name: "committed"})
    begin(play)


def test_the_handover_does_not_wait_for_ever() -> None:
    play, old, new = overlapping()
    name = begin(play)
    bring_up(play, new)
    play.wait(10)
    assert handover(play) is HandoverState.NONE
    assert old.state is ClientConnectionState.OPEN
    play.wait(60)
    assert len(play.all(Dial)) == 2  # it would only come to the same
    commit(play, name)
    play.receipt(f"commit-{name}")
    assert fates(play) == {name: "committed"}
    assert len(play.all(Dial)) == 3


def test_it_is_lost_when_the_old_connection_ends_before_it() -> None:
    play, old, new = overlapping()
    name = begin(play)
    bring_up(play, new)
    old.receive_eof(now=play.now)
    play.drain()
    assert fates(play) == {name: "TransactionLost"}
    assert play.client.connection is new
    assert handover(play) is HandoverState.NONE
