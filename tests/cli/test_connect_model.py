"""What there is to see in the live view: numbers, counts, and how long the token lives."""

from __future__ import annotations

import pytest

from stompcore import (
    AckMode,
    ConnectionEnded,
    Dialing,
    Disconnected,
    Outcome,
    Resubscribed,
    Version,
)
from stompcore_cli._connect._entries import Facts
from stompcore_cli._connect._model import MESSAGES_KEPT, Connection, Model, TokenLife
from stompcore_cli._connect._text import clock_of_day, count, duration, readable, visible

NOW = 1_700_000_000.0


def ended(epoch: int, outcome: Outcome) -> ConnectionEnded:
    return ConnectionEnded(epoch=epoch, ending=Disconnected(established=True), outcome=outcome)


def up(epoch: int) -> Resubscribed:
    return Resubscribed(epoch=epoch, version=Version.V1_2, subscriptions=(), resent=0)


def test_connections_come_and_go() -> None:
    model = Model("ws://h/ws")
    seen: list[tuple[Connection | None, str]] = [(model.connection, model.waits_for)]
    for event in (Dialing(epoch=1), up(1), ended(1, Outcome.REFRESH)):
        model.happened(event)
        seen.append((model.connection, model.waits_for))
    assert seen == [
        (None, "starting"),
        (None, "dialling connection 1"),
        (Connection(epoch=1, version="1.2"), "dialling connection 1"),
        (None, "getting a new token"),
    ]


def test_an_overlap_leaves_no_gap() -> None:
    model = Model("ws://h/ws")
    row = model.add_subscription("/a", AckMode.AUTO)
    model.happened(up(1))
    row.is_active = True
    model.happened(Dialing(epoch=2))
    assert model.connection == Connection(epoch=1, version="1.2")
    active = []
    for event in (up(2), ended(1, Outcome.RENEW), ended(2, Outcome.RETRY)):
        model.happened(event)
        active.append((row.is_active, model.connection is not None))
    assert active == [(True, True), (True, True), (False, False)]


def test_a_token_lives_from_when_it_was_first_seen() -> None:
    model = Model("ws://h/ws")
    lives = []
    for until, at in ((None, 0), (10, 0), (10, 4), (20, 8), (None, 9)):
        model.look(Facts(token_valid_until=None if until is None else NOW + until), NOW + at)
        lives.append(model.life)
    first = TokenLife(began_at=NOW, ends_at=NOW + 10)
    assert lives == [None, first, first, TokenLife(began_at=NOW + 8, ends_at=NOW + 20), None]
    assert [first.share(NOW + at) for at in (-1, 0, 5, 10, 11)] == [1, 1, 0.5, 0, 0]
    assert TokenLife(began_at=NOW, ends_at=NOW).share(NOW) == 0


def test_subscriptions_have_numbers_that_never_come_again() -> None:
    model = Model("ws://h/ws")
    first, second = (model.add_subscription(each, AckMode.AUTO) for each in ("/a", "/a"))
    assert (first.number, second.number) == (1, 2)
    del model.subscriptions[1]
    assert model.add_subscription("/b", AckMode.CLIENT).number == 3
    assert model.find_subscription("2") is second
    assert model.find_subscription("#2") is second
    assert model.find_subscription("/a") is second
    for which in ("1", "/c", "", "9" * 5000, "²"):
        assert model.find_subscription(which) is None


def test_messages_have_numbers_and_the_last_are_kept() -> None:
    model = Model("ws://h/ws")
    row = model.add_subscription("/a", AckMode.CLIENT)
    assert model.find_message(1) is None
    for number in range(1, MESSAGES_KEPT + 11):
        message = model.add_message(row, {}, str(number).encode(), "/a", NOW)
        assert (message.number, message.answer) == (number, "wanted")
    assert (row.messages, model.received) == (MESSAGES_KEPT + 10, MESSAGES_KEPT + 10)
    for number in (0, 10, MESSAGES_KEPT + 11):
        assert model.find_message(number) is None
    for number in (11, 12, MESSAGES_KEPT + 10):
        found = model.find_message(number)
        assert found is not None
        assert found.number == number


def test_a_message_as_people_and_programs_see_it() -> None:
    model = Model("ws://h/ws")
    headers = {"destination": "/a", "x": "1\x1b"}
    message = model.add_message(None, headers, "é\n\x1b[2J".encode(), "/a", NOW)
    assert message.text == r"é\n\x1b[2J"
    assert message.lines == ["destination: /a", r"x: 1\x1b", "", "é", r"\x1b[2J"]
    assert message.fields == {
        "number": 1,
        "subscription": None,
        "destination": "/a",
        "headers": headers,
        "body": "é\n\x1b[2J",
    }
    row = model.add_subscription("/b", AckMode.AUTO)
    binary = model.add_message(row, {}, b"\xff\0", "/b", NOW)
    assert binary.text == r"\xff\x00"
    assert (binary.fields["body_base64"], binary.fields["subscription"]) == ("/wA=", 1)
    assert "body" not in binary.fields


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0:00"), (0, "0:00"), (0.2, "0:01"), (59.5, "1:00"), (3599, "59:59"), (3600, "1:00:00")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_words() -> None:
    assert (count(1, "message"), count(0, "message")) == ("1 message", "0 messages")
    assert count(2, "was", "were") == "2 were"
    assert visible("a\u009bb\u202ec\ud800") == r"a\x9bb\u202ec\ud800"
    assert readable(b"a\xffb") == r"a\xffb"
    assert clock_of_day(NOW + 0.0625).endswith(":20.062")
