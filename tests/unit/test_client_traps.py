"""What others got wrong, and where a client of ours stands: one test per trap, by its number.

B is about sessions, D about tokens. Traps of a server, and D18 and D19, are tested elsewhere.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest
from tests.unit.client_player import EXPIRED, GOING_AWAY, NOW, Player, commands, headers, message

from stompcore._config import Backoff, HeartBeat
from stompcore._errors import AuthenticationFailed, StaleEpoch, TokenUnchanged, Unauthorized
from stompcore._events import (
    ConnectionEnded,
    Delivered,
    Dial,
    FetchToken,
    HangUp,
    Outcome,
    Published,
    Resubscribed,
    SubscriptionActive,
    TokenFetchFailed,
)
from stompcore._frames import Command
from stompcore._state import ConnectionState, TokenState
from stompcore._timers import Timer

CONNECTED = b"CONNECTED\nversion:1.2\n\n\0"
REFUSED = b"ERROR\nmessage:Bad CONNECT\n\nAccess refused\0"  # RabbitMQ: no error-code at all


def beating(heart_beat: HeartBeat, servers: str) -> Player:
    play = Player(heart_beat=heart_beat)
    play.start()
    play.give_token()
    play.dial()
    play.hear(f"CONNECTED\nversion:1.2\nheart-beat:{servers}\n\n\0".encode())
    return play


def test_b5_each_direction_is_negotiated_for_itself() -> None:
    # It can send every 2 s and wants one every 3 s; the server sends every 7 s and wants 5 s.
    both = HeartBeat(send_interval=2.0, receive_interval=3.0)
    play = beating(both, "7000,5000")
    assert (play.client.next_deadline(), play.reason()) == (NOW + 0.9 * 5, Timer.HEART_BEAT)
    play.wait(13.9)
    assert play.all(ConnectionEnded) == []
    play.wait(0.1)  # two intervals of 7 s
    assert play.last(ConnectionEnded).ending.fault == "the server fell silent"


def test_b5_our_own_interval_counts_where_it_is_the_longer_one() -> None:
    play = beating(HeartBeat(send_interval=20.0, receive_interval=30.0), "7000,5000")
    assert play.client.connection is not None  # whose deadlines are the heart-beats alone
    assert play.client.connection.next_deadline() == NOW + 0.9 * 20
    play.wait(59.9)
    assert play.all(ConnectionEnded) == []
    play.wait(0.1)
    assert len(play.all(ConnectionEnded)) == 1


def test_b7_a_clock_that_steps_back_stops_no_heart_beat_and_kills_nobody() -> None:
    play = beating(HeartBeat(send_interval=2.0, receive_interval=2.0), "2000,2000")
    play.client.data_to_send()
    play.client.receive_data(b"\n", now=NOW - 3600)
    play.client.handle_timeout(now=NOW - 3600)
    assert play.client.next_deadline() == NOW + 1.8
    play.wait(1.8)
    assert play.client.data_to_send() == [b"\n"]
    assert play.all(ConnectionEnded) == []


def test_b14_an_ack_belongs_to_the_connection_that_brought_the_message() -> None:
    play = Player()
    play.connect()
    id = play.client.subscribe("/a", now=play.now)
    play.hear(message(id, ack="k"))
    old = play.last(Delivered)
    play.lose()
    play.connect()
    play.hear(message(id, ack="k"))
    new = play.last(Delivered)
    assert old.frame == new.frame
    with pytest.raises(StaleEpoch):
        play.client.ack(old, now=play.now)
    with pytest.raises(StaleEpoch):
        play.client.nack(old, now=play.now)
    assert play.written() == []
    play.client.ack(new, now=play.now)
    assert headers(play.written(), "id") == ["k"]


@pytest.mark.parametrize(
    "answer",
    [
        b"RECEIPT\nreceipt-id:disconnect\n\n\0",
        b"ERROR\nmessage:Session closed.\n\n\0",  # Spring's simple broker
        None,  # and some say nothing, for ever
    ],
    ids=["receipt", "error", "silence"],
)
@pytest.mark.parametrize("awaits_close", [False, True])
def test_b15_nothing_follows_disconnect_and_no_answer_to_it_can_hold_us_up(
    answer: bytes | None, awaits_close: bool
) -> None:
    play = Player(close_timeout=5.0)
    play.connect(awaits_close=awaits_close)
    play.client.close(now=play.now)
    assert commands(play.written()) == [Command.DISCONNECT]
    if answer is not None:
        play.hear(answer)
    play.wait(10.0)  # the answer and the close, each within its own time
    assert play.written() == []
    assert play.stopped().error is None
    assert len(play.all(HangUp)) == 1
    assert len(play.all(Dial)) == 1


def test_b16_a_message_may_come_before_the_receipt_and_cross_the_unsubscribe() -> None:
    play = Player()
    play.connect()
    id = play.client.subscribe("/a", now=play.now)
    play.hear(message(id, "before its receipt"))
    assert play.all(SubscriptionActive) == []
    play.receipt("subscribe-1-1")
    play.client.unsubscribe(id, now=play.now)
    play.hear(message(id, "under way"))
    assert [each.frame.body for each in play.all(Delivered)] == [b"before its receipt"]


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_b17_what_is_glued_to_connected_is_read_by_the_same_reader(step: int) -> None:
    play = Player()
    play.start()
    id = play.client.subscribe("/a", now=play.now)
    play.give_token()
    play.dial()
    data = CONNECTED + b"\n" + message(id, "glued") + EXPIRED
    for start in range(0, len(data), step):
        play.hear(data[start : start + step])
    assert play.last(Delivered).frame.body == b"glued"
    assert play.last(ConnectionEnded).outcome is Outcome.REFRESH
    names = play.names()
    order = ["Resubscribed", "Delivered", "ConnectionEnded", "TokenRequested"]
    assert [each for each in names if each in order][-4:] == order


def test_b19_subscriptions_come_before_queued_messages_at_every_reconnect() -> None:
    play = Player()
    play.start()
    for number in range(3):
        play.send(str(number))
        play.client.subscribe(f"/{number}", now=play.now)
    for _ in range(3):
        wrote = play.connect()
        assert commands(wrote) == [Command.SUBSCRIBE] * 3 + [Command.SEND] * 3
        assert headers(wrote[:3], "destination") == ["/0", "/1", "/2"]
        assert [each.body for each in wrote[3:]] == [b"0", b"1", b"2"]
        play.lose()


# --- tokens -----------------------------------------------------------------------------------


def by_error(play: Player) -> None:
    play.hear(EXPIRED)
    play.close_websocket(3000, "Token Expired")


def by_close(play: Player) -> None:
    play.close_websocket(3000, "Token Expired")


def at_connect(play: Player) -> None:
    play.lose()
    play.wait_for(Timer.REDIAL)
    play.dial(awaits_close=True)
    play.hear(REFUSED)
    play.close_websocket(1000)


@pytest.mark.parametrize("end", [by_error, by_close, at_connect])
def test_d11_an_expired_token_is_never_sent_again(end: Callable[[Player], None]) -> None:
    play = Player()
    play.start()
    play.give_token("dead")
    play.dial(awaits_close=True)
    play.accept()
    play.wait(60)
    end(play)
    dials = len(play.all(Dial))
    assert play.token_state() is TokenState.FETCHING
    play.wait(9)
    assert len(play.all(Dial)) == dials, "nothing is dialled until there is a new token"
    play.give_token("alive")
    if play.reason() is Timer.REDIAL:
        play.wait_for(Timer.REDIAL)
    assert headers(play.dial(), "Authorization") == ["Bearer alive"]


def test_d12_a_source_whose_fresh_tokens_are_dead_is_given_up() -> None:
    play = Player(token_refusals=3)
    play.start()
    for number in range(3):
        play.give_token(f"dead on arrival {number}")
        if play.reason() is Timer.REDIAL:
            play.wait_for(Timer.REDIAL)
        play.dial()
        play.hear(REFUSED)
    assert isinstance(play.stopped().error, AuthenticationFailed)
    assert len(play.all(FetchToken)) == len(play.all(Dial)) == 3


def test_d12_a_cache_that_gives_the_dead_token_again_is_asked_until_it_does_not() -> None:
    play = Player(token_refusals=3)
    play.start()
    play.give_token("from a cache")
    play.dial()
    play.hear(REFUSED)
    for _ in range(5):
        play.give_token("from a cache")
        assert play.wait_for(Timer.TOKEN_RETRY) >= 0.5
    assert [type(each.error) for each in play.all(TokenFetchFailed)] == [TokenUnchanged] * 5
    assert len(play.all(Dial)) == 1  # it was not sent a second time
    play.give_token("a new one")
    assert play.state() is ConnectionState.DIALING


def test_d13_error_close_timer_and_end_of_stream_ask_for_one_token() -> None:
    play = Player()
    play.connect(awaits_close=True)
    play.wait(60)
    connection = play.client.connection
    assert connection is not None
    play.hear(EXPIRED + EXPIRED)
    play.close_websocket(3000, "Token Expired")
    connection.receive_eof(now=play.now)
    play.lose()
    play.wait(5)
    assert [each.generation for each in play.all(FetchToken)] == [1, 2]
    assert len(play.all(ConnectionEnded)) == 1


@pytest.mark.parametrize("answer", ["token", "temporary", "permanent", "nothing"])
def test_d14_stopping_while_a_token_is_fetched_leaves_nothing_behind(answer: str) -> None:
    play = Player()
    play.connect()
    play.wait(60)
    play.hear(EXPIRED)
    assert play.token_state() is TokenState.FETCHING
    play.client.close(now=play.now)
    play.drain()
    play.stopped()
    seen = list(play.events)
    match answer:
        case "token":
            play.give_token()
        case "temporary":
            play.fail_token()
        case "permanent":
            play.fail_token(permanent=True)
    play.wait(3600)
    assert play.events == seen
    assert len(play.all(Dial)) == 1
    assert play.client.next_deadline() is None


@pytest.mark.parametrize("answer", ["exception", "", " \n", "two\nlines", "silence"])
def test_d15_a_source_that_fails_is_asked_again(answer: str) -> None:
    play = Player(backoff=Backoff(minimum=0.5, maximum=0.5))
    play.start()
    asked_at = []
    for generation in range(1, 8):
        assert play.last(FetchToken).generation == generation
        asked_at.append(play.now)
        if answer == "exception":
            play.fail_token()
        elif answer != "silence":
            play.give_token(answer)
        else:
            play.wait_for(Timer.TOKEN_FETCH)
        assert play.wait_for(Timer.TOKEN_RETRY) == 0.5
    assert play.all(Dial) == []
    play.give_token("at last")
    assert headers(play.dial(), "Authorization") == ["Bearer at last"]


def test_d15_unauthorized_is_not_asked_again() -> None:
    play = Player()
    play.start()
    play.fail_token(permanent=True)
    assert isinstance(play.stopped().error, Unauthorized)
    play.wait(3600)
    assert len(play.all(FetchToken)) == 1


def test_d16_a_call_of_the_source_that_hangs_is_given_up_after_ten_seconds() -> None:
    play = Player()
    play.start()
    assert play.wait_for(Timer.TOKEN_FETCH) == 10
    assert play.reason() is Timer.TOKEN_RETRY
    hung = play.last(FetchToken).generation
    play.wait_for(Timer.TOKEN_RETRY)
    play.client.token(hung, "much too late", now=play.now)
    play.drain()
    assert play.all(Dial) == []
    play.give_token("in time")
    assert headers(play.dial(), "Authorization") == ["Bearer in time"]


def test_d17_the_backoff_is_forgotten_only_once_a_connection_has_lasted() -> None:
    play = Player(draw=0.5, backoff=Backoff(minimum=1.0, maximum=64.0, stable_timeout=5.0))
    play.connect()
    delays = []
    for held in (0, 4.9, 0, 5.0, 0):
        play.wait(held)
        play.hear(GOING_AWAY)
        delays.append(play.wait_for(Timer.REDIAL))
        play.dial()
        play.accept()
    assert delays == [1.5, 2.5, 4.5, 1.5, 2.5]


def test_d20_the_client_never_holds_exp_against_its_own_clock() -> None:
    # A client whose clock is years ahead: to it the token has long expired, to the server not.
    claims = base64.urlsafe_b64encode(json.dumps({"sub": "u", "exp": 1}).encode()).decode()
    token = f"e30.{claims.rstrip('=')}.c2ln"
    play = Player()
    play.start()
    play.give_token(token)
    assert headers(play.dial(), "Authorization") == [f"Bearer {token}"]
    play.accept()
    play.wait(24 * 3600)
    assert play.state() is ConnectionState.CONNECTED
    assert len(play.all(FetchToken)) == 1


def test_d21_the_token_is_read_whenever_it_is_sent() -> None:
    play = Player()
    play.start()
    tokens = iter(["first", "second", "third"])
    play.client.subscribe("/a", headers={"token": lambda: next(tokens)}, now=play.now)
    for given in ("first", "second", "third"):
        play.give_token(f"connect-{given}")
        assert headers(play.dial(), "Authorization") == [f"Bearer connect-{given}"]
        assert headers(play.accept(), "token") == [given]
        play.wait(60)
        play.hear(EXPIRED)


def test_d22_token_then_connect_then_connected_then_subscribe_then_send() -> None:
    play = Player()
    play.connect()
    play.client.subscribe("/a", now=play.now)
    key = play.send("unconfirmed")
    play.written()
    play.wait(60)
    play.hear(EXPIRED)
    unsent = play.send("never sent before")
    assert play.token_state() is TokenState.FETCHING
    assert len(play.all(Dial)) == 1
    play.give_token()
    assert len(play.all(Dial)) == 2
    assert commands(play.dial()) == [Command.CONNECT]
    play.wait(1)
    assert play.written() == []
    wrote = play.accept()
    assert commands(wrote) == [Command.SUBSCRIBE, Command.SEND, Command.SEND]
    assert [each.body for each in wrote[1:]] == [b"unconfirmed", b"never sent before"]
    assert play.last(Resubscribed).resent == 2
    play.receipt(f"message-{unsent}")
    play.receipt(f"message-{key}")
    assert {each.key for each in play.all(Published)} == {key, unsent}
