"""Client rule 7: a transaction belongs to one connection, and has exactly one fate (B18)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.unit.client_player import Player, commands, message
from tests.unit.client_transacting import abort, begin, commit, fates, online, put
from tests.unit.test_client_contract import depth

from stompcore._client_transactions import ClientTransactions
from stompcore._config import Limits
from stompcore._errors import (
    LocalProtocolError,
    NotConnected,
    OutboxFull,
    StaleEpoch,
)
from stompcore._events import (
    AckMode,
    Delivered,
)
from stompcore._frames import Command, Frame
from stompcore._state import (
    TransactionState,
    TransactionTrigger,
)

BEGIN, COMMIT, ABORT, SEND = Command.BEGIN, Command.COMMIT, Command.ABORT, Command.SEND


# --- the module alone -------------------------------------------------------------------------


def test_names_are_counted_up_and_never_used_again() -> None:
    them = ClientTransactions()
    first = them.add(1)
    them.settle(first, TransactionTrigger.ABORT)
    second, third = them.add(1), them.add(2)
    assert [each.name for each in (first, second, third)] == ["tx-1", "tx-2", "tx-3"]
    assert [each.epoch for each in them] == [1, 2]
    assert len(them) == 2


def test_the_frames_of_a_transaction() -> None:
    one = ClientTransactions().add(1)
    assert one.frame(BEGIN) == Frame(BEGIN, {"transaction": "tx-1"})
    assert one.frame(ABORT) == Frame(ABORT, {"transaction": "tx-1"})
    assert one.frame(COMMIT) == Frame(COMMIT, {"transaction": "tx-1", "receipt": "commit-tx-1"})


def test_who_is_open_and_who_waits_for_its_receipt() -> None:
    them = ClientTransactions()
    one, other = them.add(1), them.add(1)
    assert (them.require("tx-1"), them.get("tx-2")) == (one, other)
    waits = [them.await_receipt]
    other.fire(TransactionTrigger.COMMIT)
    waits.append(them.await_receipt)
    with pytest.raises(LocalProtocolError, match="not open"):
        them.require("tx-2")
    assert them.by_receipt("commit-tx-2") is other
    them.settle(other, TransactionTrigger.RECEIPT)
    assert (them.get("tx-2"), them.by_receipt("commit-tx-2"), len(them)) == (None, None, 1)
    assert [*waits, them.await_receipt] == [False, True, False]
    with pytest.raises(LocalProtocolError, match="not open"):
        them.require("tx-2")


@pytest.mark.parametrize("id", [None, "", "commit-", "commit-tx-2", "tx-1", "message-1"])
def test_receipts_that_are_no_transactions(id: str | None) -> None:
    them = ClientTransactions()
    them.add(1)
    assert them.by_receipt(id) is None


def test_a_fate_that_the_table_does_not_allow_changes_nothing() -> None:
    them = ClientTransactions()
    one = them.add(1)
    with pytest.raises(LocalProtocolError):
        them.settle(one, TransactionTrigger.RECEIPT)
    assert (list(them), one.state) == ([one], TransactionState.OPEN)


def test_one_may_settle_while_all_are_gone_through() -> None:
    them = ClientTransactions()
    for _ in range(3):
        them.add(1)
    for each in them:
        them.settle(each, TransactionTrigger.FAIL)
    assert len(them) == 0


# --- in peace ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_the_frames_leave_in_the_order_of_the_calls(version: str) -> None:
    play = Player(has_token=False)
    play.start()
    play.dial()
    play.accept(version)
    id = play.client.subscribe("/q", ack=AckMode.CLIENT_INDIVIDUAL, now=play.now)
    play.hear(message(id, ack="k"))
    play.written()
    name = begin(play)
    put(play, name, "one")
    play.client.ack(play.last(Delivered), transaction=name, now=play.now)
    put(play, name, "two")
    commit(play, name)
    acknowledged = {"id": "k"} if version == "1.2" else {"message-id": "m-1", "subscription": id}
    in_it = {"transaction": name}
    assert play.written() == [
        Frame(BEGIN, in_it),
        Frame(SEND, {"destination": "/a", **in_it, "content-length": "3"}, b"one"),
        Frame(Command.ACK, {**acknowledged, **in_it}),
        Frame(SEND, {"destination": "/a", **in_it, "content-length": "3"}, b"two"),
        Frame(COMMIT, {**in_it, "receipt": f"commit-{name}"}),
    ]
    assert fates(play) == {}
    play.receipt(f"commit-{name}")
    assert fates(play) == {name: "committed"}
    assert play.client.unconfirmed == 0


def test_a_nack_can_be_part_of_it_but_not_in_stomp_1_0() -> None:
    for version in ("1.1", "1.2"):
        play = Player(has_token=False)
        play.start()
        play.dial()
        play.accept(version)
        id = play.client.subscribe("/q", ack=AckMode.CLIENT, now=play.now)
        play.hear(message(id, ack="k"))
        name = begin(play)
        play.written()
        play.client.nack(play.last(Delivered), transaction=name, now=play.now)
        (frame,) = play.written()
        assert (frame.command, frame.headers["transaction"]) == (Command.NACK, name)


def test_headers_of_its_user_stand_in_its_messages() -> None:
    play = online()
    name = begin(play)
    play.client.send_in(name, "/a", b"", {"x": "y"}, now=play.now)
    assert play.written()[-1].headers["x"] == "y"


def test_aborted_it_is_over_at_once_and_nobody_is_told() -> None:
    play = online()
    name = begin(play)
    put(play, name)
    abort(play, name)
    assert commands(play.written()) == [BEGIN, SEND, ABORT]
    for _ in range(2):  # legal, and nothing
        abort(play, name)
    play.lose()
    assert (play.written(), fates(play)) == ([], {})


def test_two_at_once_are_two() -> None:
    play = online()
    one, other = begin(play), begin(play)
    put(play, one)
    commit(play, other)
    abort(play, one)
    play.receipt(f"commit-{other}")
    assert fates(play) == {other: "committed"}
    assert [each.headers["transaction"] for each in play.written()] == [
        one, other, one, other, one,
    ]  # fmt: skip


def test_a_receipt_counts_once_and_only_behind_the_commit() -> None:
    play = online()
    name = begin(play)
    for receipt in (f"commit-{name}", "commit-", name, "commit-tx-99"):
        play.receipt(receipt)
    assert fates(play) == {}
    commit(play, name)
    for _ in range(3):
        play.receipt(f"commit-{name}")
    assert fates(play) == {name: "committed"}


def test_other_messages_go_on_beside_it() -> None:
    play = online()
    name = begin(play)
    put(play, name, "inside")
    key = play.send("outside")
    commit(play, name)
    frames = play.written()
    assert commands(frames) == [BEGIN, SEND, SEND, COMMIT]
    assert "transaction" not in frames[2].headers
    play.receipt("message-1")
    assert (key, fates(play), play.client.unconfirmed) == (1, {}, 0)


def test_an_abort_behind_the_commit_says_nothing() -> None:
    play = online()
    name = begin(play)
    commit(play, name)
    play.written()
    abort(play, name)
    assert play.written() == []
    play.receipt(f"commit-{name}")
    assert fates(play) == {name: "committed"}


# --- no connection, no transaction ------------------------------------------------------------


@pytest.mark.parametrize("stage", ["idle", "fetching", "dialing", "connecting", "backing off"])
def test_begin_cannot_wait_for_a_connection(stage: str) -> None:
    play = Player()
    if stage != "idle":
        play.start()
    if stage not in ("idle", "fetching"):
        play.give_token()
    if stage in ("connecting", "backing off"):
        play.dial()
    if stage == "backing off":
        play.accept()
        play.lose()
    before = depth(play.client)
    with pytest.raises(NotConnected):
        play.client.begin(now=play.now)
    assert depth(play.client) == before
    assert play.written() == []


def test_a_transaction_that_was_never_begun() -> None:
    play = online()
    for use in (put, commit):
        with pytest.raises(LocalProtocolError, match="not open"):
            use(play, "tx-1")
    abort(play, "tx-1")
    assert play.written() == []


def test_no_frame_follows_the_commit() -> None:
    play = online()
    id = play.client.subscribe("/q", ack=AckMode.CLIENT, now=play.now)
    play.hear(message(id, ack="k"))
    name = begin(play)
    commit(play, name)
    play.written()
    before = depth(play.client)
    uses: list[Callable[[], object]] = [
        lambda: play.client.send_in(name, "/a", b"", now=play.now),
        lambda: play.client.commit(name, now=play.now),
        lambda: play.client.ack(play.last(Delivered), transaction=name, now=play.now),
        lambda: play.client.nack(play.last(Delivered), transaction=name, now=play.now),
    ]
    for use in uses:
        with pytest.raises(LocalProtocolError, match="not open"):
            use()
        assert depth(play.client) == before


def test_an_ack_of_an_older_connection_is_no_part_of_it() -> None:
    play = online()
    id = play.client.subscribe("/q", ack=AckMode.CLIENT, now=play.now)
    play.hear(message(id, ack="k"))
    old = play.last(Delivered)
    play.lose()
    play.connect()
    name = begin(play)
    play.written()
    with pytest.raises(StaleEpoch):
        play.client.ack(old, transaction=name, now=play.now)
    assert play.written() == []
    commit(play, name)  # it is none the worse for it
    play.receipt(f"commit-{name}")
    assert fates(play) == {name: "committed"}


@pytest.mark.parametrize(
    ("destination", "fields", "body"),
    [
        ("/a", {"transaction": "x"}, b""),
        ("/a", {"receipt": "x"}, b""),
        ("/a\0", {}, b""),
        ("/a", {}, b"x" * 1000),
    ],
)
def test_what_can_never_be_sent_is_refused_and_the_rest_goes_on(
    destination: str, fields: dict[str, str], body: bytes
) -> None:
    play = online(limits=Limits(frame_size=1000))
    name = begin(play)
    play.written()
    before = depth(play.client)
    with pytest.raises(LocalProtocolError):
        play.client.send_in(name, destination, body, fields, now=play.now)
    assert depth(play.client) == before
    put(play, name, "fine")
    assert [each.body for each in play.written()] == [b"fine"]


def test_what_the_version_cannot_carry_is_refused_and_the_rest_goes_on() -> None:
    play = Player(has_token=False)
    play.start()
    play.dial()
    play.accept("1.0")
    name = begin(play)
    with pytest.raises(LocalProtocolError):
        play.client.send_in(name, "/a", b"", {"x": "two\nlines"}, now=play.now)
    commit(play, name)
    assert commands(play.written()) == [BEGIN, COMMIT]


def test_what_the_connection_does_not_take_is_not_queued_without_end() -> None:
    play = online(outbox_size=1000)
    name = begin(play)
    for _ in range(4):
        put(play, name, "x" * 180)
    queued = play.client.bytes_queued
    assert 900 < queued <= 1000
    before = depth(play.client)
    with pytest.raises(OutboxFull):
        put(play, name, "x" * 180)
    assert depth(play.client) == before
    assert sum(map(len, play.client.data_to_send())) == queued
    put(play, name, "x" * 180)  # there is room again
