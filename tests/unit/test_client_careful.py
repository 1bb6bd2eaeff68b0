"""After an ERROR that names no frame a client sends one at a time, until everything is answered."""

from __future__ import annotations

import pytest
from tests.unit.client_player import commands
from tests.unit.quiz_player import REFUSED, Quiz, careful, named

from stompcore._config import Handover, Refresh
from stompcore._errors import ClientClosed, LocalProtocolError, MessageTimedOut, SendRefused
from stompcore._events import Dial, SubscriptionActive, TransactionCommitted, TransactionFailed
from stompcore._frames import Command
from stompcore._headers import Version
from stompcore._subscription import HeaderValue

# --- one frame at a time ----------------------------------------------------------------------


def test_subscriptions_come_first_and_each_frame_behind_the_answer_to_the_last() -> None:
    play = Quiz()
    play.subscribe("/a")
    play.subscribe("/b")
    play.send("a")
    play.send("b")
    play.connect()
    play.hear(REFUSED)
    assert play.back() == ["SUBSCRIBE 1"]
    epoch = play.client.epoch
    for receipt, then in (
        (f"subscribe-{epoch}-1", ["SUBSCRIBE 2"]),
        (f"subscribe-{epoch}-1", []),
        (f"subscribe-{epoch}-2", ["a"]),
        ("message-2", []),  # it was not sent
        ("message-1", ["b"]),
        ("message-2", []),
    ):
        play.receipt(receipt)
        assert play.sent() == then
    assert play.fates() == {1: None, 2: None}
    play.send("c")
    play.send("d")
    assert play.sent() == ["c", "d"]  # it has ended


def test_what_is_new_meanwhile_waits_for_its_turn() -> None:
    play = careful("a", "b")
    play.send("c")
    id = play.subscribe("/s")
    assert play.sent() == []
    play.receipt("message-1")
    assert play.sent() == [f"SUBSCRIBE {id}"]
    play.receipt(f"subscribe-{play.client.epoch}-{id}")
    assert play.sent() == ["b"]
    play.receipt("message-2")
    assert play.sent() == ["c"]


def test_what_was_not_sent_yet_is_not_unsubscribed_from() -> None:
    play = careful("a")
    id = play.subscribe("/s")
    play.unsubscribe(id)
    assert play.sent() == []
    play.receipt("message-1")
    assert play.sent() == []
    assert play.ended() == {id: None}


def test_whoever_is_unsubscribed_while_it_waits_for_its_answer_holds_up_nobody() -> None:
    play = careful("a", "b")
    id = play.subscribe("/s")
    play.receipt("message-1")
    assert play.sent() == [f"SUBSCRIBE {id}"]
    play.unsubscribe(id)
    assert play.sent() == [f"UNSUBSCRIBE {id}", "b"]
    play.receipt(f"subscribe-{play.client.epoch}-{id}")
    assert play.sent() == []


def test_a_subscription_that_is_active_is_unsubscribed_from_at_once() -> None:
    play = careful("a", "b")
    id = play.subscribe("/s")
    play.receipt("message-1")
    play.receipt(f"subscribe-{play.client.epoch}-{id}")
    play.written()
    play.unsubscribe(id)
    assert play.sent() == [f"UNSUBSCRIBE {id}"]


def test_what_asks_for_no_receipt_is_sent_in_its_turn_and_holds_up_nobody() -> None:
    play = careful("a")
    for body in (b"b", b"c"):
        play.client.send("/a", body, confirm=False, now=play.now)
    play.send("d")
    play.send("e")
    assert play.sent() == []
    play.receipt("message-1")
    assert play.sent() == ["b", "c", "d"]
    play.receipt("message-4")
    assert play.sent() == ["e"]
    assert play.fates() == {1: None, 2: None, 3: None, 4: None}


def test_one_that_is_too_old_holds_up_nobody() -> None:
    play = Quiz(outbox_timeout=50.0)
    play.connect()
    play.send("a")
    play.written()
    play.hear(REFUSED)
    assert play.back() == ["a"]
    play.wait(20.0)
    play.send("b")
    assert play.sent() == []
    play.wait(30.0)
    assert play.fates() == {1: MessageTimedOut}
    assert play.sent() == ["b"]
    play.receipt("message-1")
    assert play.sent() == []
    play.receipt("message-2")
    assert play.fates() == {1: MessageTimedOut, 2: None}


def test_an_implicit_subscription_waits_for_nothing() -> None:
    play = Quiz()
    play.subscribe("/temp-queue/r", implicit=True)
    play.subscribe("/a")
    play.send("a")
    play.connect()
    play.hear(REFUSED)
    assert play.back() == ["SUBSCRIBE 1"]
    play.subscribe("/temp-queue/later", implicit=True)
    assert play.sent() == []
    play.receipt(f"subscribe-{play.client.epoch}-1")
    assert play.sent() == ["a"]
    live = [e.subscription for e in play.all(SubscriptionActive) if e.epoch == play.client.epoch]
    assert live == ["/temp-queue/r", "1", "/temp-queue/later"]


def test_a_header_that_cannot_be_evaluated_ends_its_subscription_and_the_next_is_sent() -> None:
    broken: list[bool] = []

    def value() -> str:
        if broken:
            raise KeyError
        return "x"

    headers: dict[str, HeaderValue] = {"h": value}
    play = Quiz()
    bad = play.subscribe("/a", headers=headers)
    play.subscribe("/b")
    play.connect()
    play.hear(REFUSED)
    broken.append(True)
    assert play.back() == ["SUBSCRIBE 2"]
    assert play.ended() == {bad: LocalProtocolError}
    assert play.subscribe("/c", headers=headers) == "3"
    assert play.sent() == []
    play.receipt(f"subscribe-{play.client.epoch}-2")
    assert play.ended() == {bad: LocalProtocolError, "3": LocalProtocolError}


def test_what_the_version_cannot_carry_fails_alone_and_the_next_is_sent() -> None:
    play = Quiz()
    play.send("a")
    play.client.send("/a", b"b", {"h": "two\nlines"}, now=play.now)
    play.send("c")
    play.version = Version.V1_2
    play.connect()
    play.hear(REFUSED)
    play.version = Version.V1_0
    assert play.back() == ["a"]
    play.receipt("message-1")
    assert play.sent() == ["c"]
    assert play.fates() == {1: None, 2: LocalProtocolError}


def test_one_connection_is_sent_nothing_twice() -> None:
    play = careful("a", "b", "c")
    id = play.subscribe("/s")
    for receipt in ("message-1", f"subscribe-{play.client.epoch}-{id}", "message-2", "message-3"):
        play.receipt(receipt)
        play.send("more")
        play.wait(1.0)
    found = commands(play.written())
    assert found.count(Command.SUBSCRIBE) == 1
    assert play.client.unconfirmed == 4


# --- transactions -----------------------------------------------------------------------------


def test_a_transaction_begins_meanwhile_and_what_follows_its_commit_waits() -> None:
    play = careful("a", "b")
    name = play.client.begin(now=play.now)
    play.client.send_in(name, "/a", b"in", now=play.now)
    assert play.sent() == ["BEGIN", "in"]
    play.client.commit(name, now=play.now)
    play.receipt("message-1")
    assert play.sent() == ["COMMIT"]
    play.receipt(f"commit-{name}")
    assert play.all(TransactionCommitted) == [TransactionCommitted(transaction=name)]
    assert play.sent() == ["b"]


def test_a_message_beside_a_commit_is_not_to_blame() -> None:
    play = careful("a")
    for _ in range(4):
        name = play.client.begin(now=play.now)
        play.client.commit(name, now=play.now)
        play.hear(REFUSED)
        assert play.back() == ["a"]
    assert play.fates() == {}
    assert len(play.all(TransactionFailed)) == 4


def test_a_transaction_that_is_open_protects_nobody() -> None:
    play = careful("a")
    play.client.begin(now=play.now)
    play.hear(REFUSED)
    assert play.fates() == {1: SendRefused}


# --- its end ----------------------------------------------------------------------------------


@pytest.mark.parametrize("handover", Handover)
def test_a_handover_waits_until_everything_is_answered(handover: Handover) -> None:
    play = Quiz(has_token=True, refresh=Refresh(handover=handover), outbox_timeout=1e5)
    play.connect(token_ttl="100000")
    play.send("a")
    play.send("b")
    play.written()
    play.hear(REFUSED)
    assert [named(each) for each in play.connect(token_ttl="100000")] == ["a"]
    dials = len(play.all(Dial))
    play.wait(89.0)
    play.give_token()
    assert (len(play.all(Dial)), play.sent()) == (dials, [])
    play.receipt("message-1")
    assert (len(play.all(Dial)), play.sent()) == (dials, ["b"])
    play.receipt("message-2")
    if handover is Handover.BREAK:
        assert play.sent() == ["DISCONNECT"]
    else:
        assert len(play.all(Dial)) == dials + 1


def test_what_an_earlier_connection_left_is_not_blamed_for_the_end_of_a_new_one() -> None:
    play = Quiz(has_token=True, refresh=Refresh(handover=Handover.OVERLAP))
    play.connect(token_ttl="100000")
    play.send("a")
    play.written()
    play.lose()
    assert [named(each) for each in play.connect(token_ttl="100000")] == ["a"]
    play.receipt("message-1")
    play.subscribe("/s")
    play.receipt(f"subscribe-{play.client.epoch}-1")
    play.written()
    play.wait(89.0)
    play.give_token()
    new = play.client.dialed(play.last(Dial).epoch, now=play.now)
    assert new is not None
    new.receive_data(b"CONNECTED\nversion:1.2\n\n\0" + REFUSED, now=play.now)
    play.drain()
    play.send("b")
    play.send("c")
    assert play.sent() == ["b", "c"]


def test_close_says_disconnect_and_sends_nothing_that_waited() -> None:
    play = careful("a", "b")
    play.client.close(now=play.now)
    play.drain()
    (bye,) = play.written()
    assert bye.command is Command.DISCONNECT
    play.receipt("message-1")
    assert play.sent() == []
    play.receipt(bye.headers["receipt"])
    play.lose()
    assert play.stopped().error is None
    assert play.fates() == {1: None, 2: ClientClosed}


def test_an_error_while_closing_ends_it() -> None:
    play = careful("a", "b")
    play.client.close(now=play.now)
    play.drain()
    play.hear(REFUSED)
    assert play.stopped().error is None
    assert set(play.fates()) == {1, 2}


def test_abort_fails_everything() -> None:
    play = careful("a", "b")
    id = play.subscribe("/s")
    play.client.abort(now=play.now)
    play.drain()
    assert play.stopped().error is None
    assert play.fates() == {1: ClientClosed, 2: ClientClosed}
    assert play.ended() == {id: None}
