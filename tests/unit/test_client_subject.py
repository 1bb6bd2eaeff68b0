"""A token, or a server, that speaks of another user than the session began with.

What this user has sent, and listens to, must not pass to the other one: of all that there is, not
a frame leaves.
"""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.client_player import EXPIRED, Player, commands, connected, headers

from stompcore._config import Handover, Refresh
from stompcore._connection import ClientConnection
from stompcore._errors import SubjectChanged
from stompcore._events import (
    AckMode,
    Dial,
    FetchToken,
    HangUp,
    PublishFailed,
    Resubscribed,
    SubscriptionEnded,
    TokenFetchFailed,
    TokenReceived,
    TransactionFailed,
)
from stompcore._frames import Command
from stompcore._state import HandoverState

HALF = Refresh(earliest=0.5, latest=0.5)
OPAQUE = "no JWT"


def token(subject: object, **more: object) -> str:
    claims = {"sub": subject, **more}
    text = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode()
    return f"e30.{text.rstrip('=')}.c2ln"


def online(first: str = token("alice"), **more: Any) -> Player:
    play = Player(**more)
    play.start()
    play.give_token(first)
    play.dial()
    play.accept(user_name="alice", token_ttl="100000")
    return play


def fill(play: Player) -> None:
    """Everything that could leave on the next connection."""
    play.client.subscribe("/a", ack=AckMode.CLIENT, now=play.now)
    play.send("private")
    play.client.send("/a", b"private", confirm=False, now=play.now)
    play.client.begin(now=play.now)
    play.drain()
    play.written()


def lose_token(play: Player) -> None:
    play.wait(60)
    play.hear(EXPIRED)
    play.send("private, and never sent")
    play.client.send("/a", b"private, and never sent", confirm=False, now=play.now)


def refused(play: Player) -> SubjectChanged:
    """It has stopped, everything has failed for that reason, and nothing waits to be written."""
    error = play.stopped().error
    assert isinstance(error, SubjectChanged)
    assert {each.error for each in play.all(PublishFailed)} <= {error}
    assert {each.error for each in play.all(SubscriptionEnded)} <= {error}
    assert play.client.unconfirmed == 0
    assert play.client.data_to_send() == []
    # Whose tokens they were stays out of what is shown and logged.
    for name in ("alice", "bob"):
        assert name not in str(error)
    return error


# --- by the token -----------------------------------------------------------------------------


def test_a_token_for_another_user_is_never_sent() -> None:
    play = online()
    fill(play)
    lose_token(play)
    dials = len(play.all(Dial))
    play.give_token(token("bob"))
    error = refused(play)
    assert len(play.all(Dial)) == dials
    assert [(type(each.error), each.permanent) for each in play.all(TokenFetchFailed)] == [
        (SubjectChanged, True)
    ]
    assert len(play.all(TokenReceived)) == 1  # alice's
    assert [each.error for each in play.all(PublishFailed)] == [error] * 3
    assert len(play.all(SubscriptionEnded)) == 1
    assert len(play.all(TransactionFailed)) == 1
    play.wait(3600)
    assert len(play.all(FetchToken)) == 2


def test_a_token_for_another_user_ends_even_a_connection_that_lives() -> None:
    play = online(refresh=HALF)
    fill(play)
    play.wait(50)
    play.give_token(token("bob"))
    refused(play)
    assert play.all(HangUp) == [HangUp(epoch=1)]


@pytest.mark.parametrize("handover", list(Handover))
def test_no_handover_to_another_user(handover: Handover) -> None:
    play = online(refresh=replace(HALF, handover=handover))
    play.wait(50)
    play.give_token(token("bob"))
    refused(play)
    assert len(play.all(Dial)) == 1


def test_no_refresh_in_place_to_another_user() -> None:
    play = Player(refresh=HALF)
    play.start()
    play.give_token(token("alice"))
    play.dial()
    play.accept(token_ttl="100000", token_refresh="/auth")
    play.wait(50)
    play.give_token(token("bob"))
    assert play.written() == []
    refused(play)


def test_even_one_whose_first_token_was_refused_has_begun_as_somebody() -> None:
    play = Player()
    play.start()
    play.give_token(token("alice"))
    play.dial()
    play.hear(b"ERROR\nmessage:Token Invalid\nerror-code:token-invalid\n\n\0")
    play.give_token(token("bob"))
    refused(play)


@pytest.mark.parametrize("other", [token("alice", exp=9e9), OPAQUE, token(None), token(7), "a.b.c"])
def test_a_token_that_speaks_of_nobody_else_is_taken(other: str) -> None:
    play = online()
    fill(play)
    lose_token(play)
    play.give_token(other)
    assert headers(play.dial(), "Authorization") == [f"Bearer {other}"]
    wrote = play.accept(user_name="alice")
    assert commands(wrote) == [Command.SUBSCRIBE, *[Command.SEND] * 3]


def test_a_token_without_a_name_does_not_make_the_first_forgotten() -> None:
    play = online()
    lose_token(play)
    play.give_token(OPAQUE)
    play.dial()
    play.accept()
    play.wait(60)
    play.hear(EXPIRED)
    play.give_token(token("bob"))
    refused(play)


def test_the_first_name_that_is_heard_counts_however_late() -> None:
    play = online(OPAQUE)
    lose_token(play)
    play.give_token(token("alice"))
    play.dial()
    play.accept()
    play.wait(60)
    play.hear(EXPIRED)
    play.give_token(token("bob"))
    refused(play)


# --- by the server ----------------------------------------------------------------------------


@pytest.mark.parametrize("other", ["bob", "Alice"])
def test_a_server_that_takes_it_for_another_gets_nothing_but_connect(other: str) -> None:
    play = online()
    fill(play)
    lose_token(play)
    play.give_token(OPAQUE)
    connect = play.dial()
    assert commands(connect) == [Command.CONNECT]
    connection = play.client.connection
    assert isinstance(connection, ClientConnection)
    play.hear(connected(user_name=other, token_ttl="100000"))
    error = refused(play)
    # Nor is there anything in the connection itself, which the driver is told to hang up.
    assert connection.data_to_send() == []
    assert play.last(HangUp).epoch == 2
    assert len(play.all(Resubscribed)) == 1
    assert [each.error for each in play.all(PublishFailed)] == [error] * 3


def test_what_that_server_says_besides_is_not_looked_at() -> None:
    play = online()
    fill(play)
    lose_token(play)
    play.give_token(OPAQUE)
    play.dial()
    receipts = b"".join(
        f"RECEIPT\nreceipt-id:{id}\n\n\0".encode() for id in ("message-1", "subscribe-2-1")
    )
    play.hear(connected(user_name="bob") + receipts)
    refused(play)
    assert len(play.all(PublishFailed)) == 3


def test_a_name_other_than_the_tokens_is_no_change_as_long_as_it_stays() -> None:
    play = Player()
    play.start()
    play.give_token(token("5e1f-0042"))
    play.dial()
    play.accept(user_name="alice")
    for _ in range(3):
        play.wait(60)
        play.hear(EXPIRED)
        play.give_token(token("5e1f-0042", n=play.now))
        play.dial()
        play.accept(user_name="alice")
    assert len(play.all(Resubscribed)) == 4


def test_a_server_that_names_nobody_this_time_has_named_nobody_else() -> None:
    play = online()
    play.send("a")
    play.written()
    for nobody in ({}, {"user_name": ""}):
        play.lose()
        assert commands(play.connect(awaits_close=False, **nobody)) == [Command.SEND]
    play.lose()
    play.connect(user_name="bob")
    refused(play)


def test_the_new_connection_of_an_overlap_gets_nothing_but_connect() -> None:
    play = online(refresh=replace(HALF, handover=Handover.OVERLAP))
    play.client.subscribe("/a", now=play.now)
    play.send("private")
    play.written()
    play.wait(50)
    play.give_token(OPAQUE)
    new = play.client.dialed(2, now=play.now)
    assert new is not None
    assert play.client.handover_state is HandoverState.CONNECTING
    assert len(new.data_to_send()) == 1
    new.receive_data(connected(user_name="bob"), now=play.now)
    play.drain()
    refused(play)
    assert new.data_to_send() == []
    assert play.all(HangUp) == [HangUp(epoch=1), HangUp(epoch=2)]


def test_a_client_without_a_token_is_whoever_the_server_says() -> None:
    play = Player(has_token=False)
    play.connect(user_name="guest-1")
    play.send("a")
    play.lose()
    assert commands(play.connect(user_name="guest-2")) == [Command.SEND]
