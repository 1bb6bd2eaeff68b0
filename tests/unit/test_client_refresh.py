"""Client rule 2: a new token ahead of the old one's end, and how it reaches the server in place."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.client_player import EXPIRED, NOW, Player, commands, headers
from tests.unit.refresh_player import THERE, ahead, asked, in_place, jwt, moment, taken

from stompcore._errors import SubscriptionRefused
from stompcore._events import (
    ConnectionEnded,
    Dial,
    FetchToken,
    HangUp,
    Published,
    Refreshed,
    StatusChanged,
    SubscriptionEnded,
    TokenReason,
)
from stompcore._frames import Command
from stompcore._state import ConnectionState, Status, TokenState
from stompcore._timers import Timer

AHEAD, EXPIRED_REASON = TokenReason.AHEAD, TokenReason.EXPIRED


# --- when -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("draw", "share"), [(0.0, 0.8), (0.5, 0.85), (0.999, 0.8999)])
def test_the_source_is_asked_at_a_drawn_share_of_what_the_server_says(
    draw: float, share: float
) -> None:
    play = Player(draw=draw)
    play.connect(token_ttl="60000")
    play.forget()
    assert moment(play) == pytest.approx(NOW + 60 * share)
    play.wait(60 * share + 0.001)
    assert play.all(FetchToken) == [FetchToken(generation=2, reason=AHEAD)]
    assert (play.state(), play.token_state()) == (ConnectionState.CONNECTED, TokenState.RENEWING)


@pytest.mark.parametrize("skew", [-36000.0, 0.0, 36000.0])
def test_D20_or_of_what_the_token_says_whatever_our_clock_does(skew: float) -> None:
    play = Player()
    play.start()
    play.give_token(jwt(iat=NOW + skew, exp=NOW + skew + 60))
    play.dial()
    play.accept()
    assert moment(play) == pytest.approx(NOW + 51)


def test_without_iat_our_clock_has_to_do() -> None:
    play = Player()
    play.start()
    play.give_token(jwt(exp=NOW + 60))
    play.dial()
    play.accept()
    assert moment(play) == pytest.approx(NOW + 51)


def test_what_the_server_says_outranks_what_the_token_says() -> None:
    play = Player()
    play.start()
    play.give_token(jwt(iat=NOW, exp=NOW + 3600))
    play.dial()
    play.accept(token_ttl="10000")
    assert moment(play) == pytest.approx(NOW + 8.5)


def test_time_spent_on_the_way_counts() -> None:
    play = Player(dial_timeout=60.0)
    play.start()
    play.give_token(jwt(iat=NOW, exp=NOW + 100))
    play.wait(20)
    play.dial()
    play.accept()
    assert moment(play) == pytest.approx(NOW + 20 + 0.85 * 80)


@pytest.mark.parametrize(
    "ttl", ["", "x", "-1", "1.5", "1e3", " 60000", "60000 ", "١٢", "9" * 16, "0x10", "+5", "inf"]
)
def test_odd_values_say_nothing(ttl: str) -> None:
    play = Player()
    play.connect(token_ttl=ttl)
    assert moment(play) is None
    assert play.state() is ConnectionState.CONNECTED


def test_the_largest_value_is_just_far_away() -> None:
    play = Player()
    play.connect(token_ttl="9" * 15)
    assert moment(play) == pytest.approx(NOW + 0.85 * 1e12)


def test_nothing_known_nothing_asked() -> None:
    play = Player()
    play.connect()
    play.forget()
    play.wait(1e6)
    assert play.all(FetchToken) == []


def test_no_refresh_no_question() -> None:
    play = Player(refresh=None)
    play.start()
    play.give_token(jwt(iat=NOW, exp=NOW + 60))
    play.dial()
    play.accept(token_ttl="60000", token_refresh=THERE)
    play.forget()
    play.wait(1000)
    assert play.all(FetchToken) == []
    assert play.written() == []
    play.hear(EXPIRED)
    assert play.all(FetchToken) == [FetchToken(generation=2, reason=EXPIRED_REASON)]


def test_a_token_that_is_past_its_end_is_tried_again_where_nothing_is_asked_ahead() -> None:
    play = Player(refresh=None)
    play.connect(token_ttl="60000")
    play.wait(1000)
    play.lose()
    play.wait_for(Timer.REDIAL)
    assert headers(play.dial(), "Authorization") == ["Bearer token-1"]


def test_without_a_source_nothing_is_asked() -> None:
    play = Player(has_token=False)
    play.connect(token_ttl="60000", token_refresh=THERE)
    play.wait(1000)
    assert play.all(FetchToken) == []
    assert play.written() == []
    assert play.state() is ConnectionState.CONNECTED


def test_a_source_that_appears_only_on_paper_takes_no_answers() -> None:
    play = Player(has_token=False)
    play.connect(token_ttl="1", token_refresh=THERE)
    play.client.token(0, "x", now=play.now)
    play.client.token(1, "x", now=play.now)
    play.drain()
    assert play.written() == []


# --- the frame --------------------------------------------------------------------------------


def test_the_new_token_goes_to_where_the_server_takes_it() -> None:
    _, sent = asked()
    assert sent.command is Command.SEND
    assert sent.headers.pairs() == (
        ("destination", THERE),
        ("receipt", "token-2"),
        ("Authorization", "Bearer token-2"),
    )
    assert sent.body == b""


def test_or_as_the_passcode() -> None:
    _, sent = asked(passcode=True, login="me")
    assert sent.headers.get("passcode") == "token-2"
    assert "Authorization" not in sent.headers
    assert "login" not in sent.headers


def test_the_destination_is_the_servers_to_choose() -> None:
    play = Player()
    play.connect(token_ttl="100000", token_refresh="/x y:z")
    play.wait(85)
    play.give_token()
    assert headers(play.written(), "destination") == ["/x y:z"]


def test_it_carries_no_message_key_and_is_none_of_the_users_messages() -> None:
    play, sent = asked(client_id="me")
    assert "message-key" not in sent.headers
    assert play.client.unconfirmed == 0
    taken(play)
    assert play.all(Published) == []


def test_nothing_is_closed_for_it() -> None:
    play, _ = asked()
    taken(play)
    assert play.all(Refreshed) == [Refreshed(epoch=1, generation=2)]
    assert (play.all(ConnectionEnded), play.all(Dial), play.all(HangUp)) == ([], [], [])
    assert (play.state(), play.token_state()) == (ConnectionState.CONNECTED, TokenState.FRESH)


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_every_version_can_name_it(version: str) -> None:
    """CONNECTED has no escapes, and so nothing in it that any version would need one for."""
    play = Player()
    play.connect(version=version, token_ttl="100000", token_refresh="/a\\b:c\\n")
    play.wait(85)
    play.give_token()
    assert headers(play.written(), "destination") == ["/a\\b:c\\n"]


@pytest.mark.parametrize("more", [{}, {"token_refresh": ""}], ids=["none", "empty"])
def test_no_destination_means_a_new_connection(more: dict[str, Any]) -> None:
    play = Player()
    play.connect(token_ttl="100000", **more)
    play.wait(85)
    play.give_token()
    assert commands(play.written()) == [Command.DISCONNECT]


def test_messages_go_on_before_and_behind_it() -> None:
    play = ahead()
    play.send("before")
    play.give_token()
    play.send("behind")
    sent = play.written()
    assert [each.body for each in sent] == [b"before", b"", b"behind"]
    play.receipt("message-1")
    taken(play)
    play.receipt("message-2")
    assert [each.key for each in play.all(Published)] == [1, 2]


def test_a_transaction_is_no_obstacle_to_it() -> None:
    play = ahead()
    name = play.client.begin(now=play.now)
    play.give_token()
    assert commands(play.written()) == [Command.BEGIN, Command.SEND]
    taken(play)
    play.client.commit(name, now=play.now)
    assert commands(play.written()) == [Command.COMMIT]


# --- the answer -------------------------------------------------------------------------------


def test_the_answer_says_when_to_ask_again() -> None:
    play, _ = asked()
    assert moment(play) is None
    taken(play, "20000")
    assert moment(play) == pytest.approx(play.now + 17)


def test_an_answer_that_does_not_say_leaves_it_to_the_token() -> None:
    play = in_place()
    play.wait(85)
    play.give_token(jwt(iat=5, exp=45))
    taken(play, "x")
    assert moment(play) == pytest.approx(play.now + 34)


def test_on_and_on() -> None:
    play = in_place()
    for generation in range(2, 12):
        play.wait(85)
        assert play.last(FetchToken) == FetchToken(generation=generation, reason=AHEAD)
        play.give_token()
        assert headers(play.written(), "receipt") == [f"token-{generation}"]
        taken(play)
    assert [each.generation for each in play.all(Refreshed)] == list(range(2, 12))
    assert play.all(ConnectionEnded) == []


def test_the_next_connection_lives_on_it() -> None:
    play, _ = asked()
    taken(play)
    play.lose()
    play.wait_for(Timer.REDIAL)
    assert headers(play.dial(), "Authorization") == ["Bearer token-2"]
    play.accept()
    assert play.written() == []


@pytest.mark.parametrize("id", ["token-1", "token-3", "token-", "token-02", "token-x", "token"])
def test_a_receipt_for_nothing_changes_nothing(id: str) -> None:
    play, _ = asked()
    play.receipt(id)
    assert play.all(Refreshed) == []
    taken(play)
    taken(play)
    assert len(play.all(Refreshed)) == 1


def test_D7_subscriptions_that_the_new_token_has_no_right_to_end() -> None:
    play = in_place()
    one, two, three = (play.client.subscribe(f"/{at}", now=play.now) for at in "abc")
    for each in (one, two, three):
        play.receipt(f"subscribe-1-{each}")
    play.wait(85)
    play.give_token()
    play.written()
    taken(play, "100000", one, "no-such", three)
    ended = play.all(SubscriptionEnded)
    assert [each.subscription for each in ended] == [one, three]
    for end in ended:
        assert isinstance(end.error, SubscriptionRefused)
        assert end.error.error_code == "access-denied"
    assert play.written() == []  # the server has ended them: there is nothing to unsubscribe
    play.lose()
    play.connect()
    assert headers(play.written(), "id") == []
    assert [each.id for each in play.client._subscriptions] == [two]


def test_the_status_shows_nothing_of_it() -> None:
    play, _ = asked(status_grace=0.1, offline_timeout=1.0)
    play.wait(5)
    taken(play)
    assert play.all(StatusChanged) == []
    assert play.client.status is Status.ONLINE
