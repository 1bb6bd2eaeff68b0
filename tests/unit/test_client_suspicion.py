"""A frame that a server refuses without naming it, as RabbitMQ does, fails alone."""

from __future__ import annotations

import pytest
from tests.unit.quiz_player import POISON, REFUSED, Quiz, careful

from stompcore._errors import SendRefused, SubscriptionRefused
from stompcore._events import (
    ConnectionEnded,
    Outcome,
    PublishFailed,
    SubscriptionActive,
    SubscriptionEnded,
)
from stompcore._headers import Version

CODED = b"ERROR\nmessage:Bad\nerror-code:internal-error\n\n\0"


# --- the one that is to blame -----------------------------------------------------------------


@pytest.mark.parametrize("at", range(4))
def test_a_send_among_others_is_refused_alone_and_their_order_is_kept(at: int) -> None:
    play = Quiz()
    play.connect()
    for body in range(4):
        play.send(str(body), POISON if body == at else "/a")
    play.serve(play.written())
    play.serve_until_settled()
    assert play.fates() == {key: SendRefused if key == at + 1 else None for key in range(1, 5)}
    assert play.taken == [str(body) for body in range(4) if body != at]
    assert {each.outcome for each in play.all(ConnectionEnded)} == {Outcome.RETRY}


@pytest.mark.parametrize("at", range(3))
def test_a_subscription_among_others_is_refused_alone(at: int) -> None:
    play = Quiz()
    ids = [play.subscribe(POISON if each == at else f"/{each}") for each in range(3)]
    play.send("behind")
    play.serve(play.connect())
    play.serve_until_settled()
    assert play.ended() == {ids[at]: SubscriptionRefused}
    live = {each.subscription for each in play.all(SubscriptionActive)}
    assert live == {each for each in ids if each != ids[at]}
    assert play.fates() == {1: None}
    assert play.taken[-3:] == [f"SUBSCRIBE {each}" for each in ids if each != ids[at]] + ["behind"]


def test_two_that_are_to_blame_are_both_found() -> None:
    play = Quiz()
    play.subscribe(POISON)
    for at in range(5):
        play.send(str(at), POISON if at % 2 else "/a")
    play.serve(play.connect())
    play.serve_until_settled()
    assert play.ended() == {"1": SubscriptionRefused}
    assert play.fates() == {1: None, 2: SendRefused, 3: None, 4: SendRefused, 5: None}
    assert play.taken == ["0", "2", "4"]


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_one_that_was_alone_from_the_beginning_is_refused_at_the_second(version: str) -> None:
    play = Quiz()
    play.version = Version(version)
    play.connect(version=version)
    play.send("x", POISON)
    play.serve(play.written())
    assert play.fates() == {}
    assert play.back() == ["x"]
    play.hear(REFUSED)
    (failed,) = play.all(PublishFailed)
    assert isinstance(failed.error, SendRefused)
    assert (failed.error.error_code, failed.error.message) == ("", "access_refused")
    assert play.back() == []


def test_the_error_is_told_with_the_subscription() -> None:
    play = Quiz()
    play.subscribe(POISON)
    for _ in range(2):
        play.serve(play.connect())
    (ended,) = play.all(SubscriptionEnded)
    assert isinstance(ended.error, SubscriptionRefused)
    assert ended.error.message == "access_refused"


# --- chance -----------------------------------------------------------------------------------


def test_a_server_that_shuts_down_once_costs_nobody_anything() -> None:
    play = Quiz()
    play.subscribe("/a")
    play.send("a")
    play.send("b")
    play.connect()
    play.hear(REFUSED)
    play.serve_until_settled()
    assert play.fates() == {1: None, 2: None}
    assert play.ended() == {}


def test_a_server_that_shuts_down_again_behind_other_frames_costs_nobody_anything() -> None:
    play = careful("a", "b", "c")
    for number in (1, 2):
        play.hear(REFUSED)
        assert play.back() == ["abc"[number - 1]]
        play.receipt(f"message-{number}")
        assert play.sent() == ["abc"[number]]
    play.receipt("message-3")
    assert play.fates() == {1: None, 2: None, 3: None}


@pytest.mark.parametrize("error", [CODED, b"ERROR\nmessage:Bad\nreceipt-id:other\n\n\0"])
def test_an_error_that_says_more_accuses_nobody(error: bytes) -> None:
    play = Quiz()
    play.connect()
    play.send("a")
    for _ in range(4):
        play.hear(error)
        assert play.back() == ["a"]
    play.send("b")
    assert play.sent() == ["b"]  # and nobody waits for anybody
    assert play.fates() == {}


def test_a_connection_that_is_lost_accuses_nobody() -> None:
    play = Quiz()
    play.connect()
    play.send("a")
    play.written()
    for _ in range(4):
        play.lose()
        assert play.back() == ["a"]
    play.send("b")
    assert play.sent() == ["b"]
    assert play.fates() == {}


def test_an_error_while_everything_is_answered_accuses_nobody() -> None:
    play = Quiz()
    play.subscribe("/a")
    play.serve(play.connect())
    for _ in range(3):
        play.hear(REFUSED)
        play.serve(play.connect())
    assert play.ended() == {}


def test_a_second_error_after_peace_begins_the_count_anew() -> None:
    play = Quiz()
    play.connect()
    for number in range(1, 4):
        play.send(str(number))
        play.written()
        play.hear(REFUSED)
        assert play.back() == [str(number)]
        play.receipt(f"message-{number}")
    assert play.fates() == {1: None, 2: None, 3: None}
