"""What a user interface can show of a client: who it is, and how long its token lives."""

from __future__ import annotations

import base64
import json

from tests.unit.client_player import NOW, Player


def test_nothing_is_known_before_there_is_a_token() -> None:
    play = Player()
    play.start()
    client = play.client
    assert (client.subject, client.token_valid_until, client.token_refresh_at) == (None, None, None)


def test_a_token_says_whose_it_is_and_how_long_it_lives() -> None:
    play = Player()
    play.start()
    claims = base64.urlsafe_b64encode(json.dumps({"sub": "ada", "exp": NOW + 50}).encode())
    play.give_token(f"e30.{claims.decode().rstrip('=')}.sig")
    assert play.client.subject == "ada"
    assert play.client.token_valid_until == NOW + 50
    assert play.client.token_refresh_at is None  # there is no connection that could use it


def test_the_word_of_the_server_counts_for_more() -> None:
    play = Player()
    play.connect(token_ttl="100000", user_name="Ada", server="x/1")
    assert play.client.subject == "Ada"
    assert play.client.token_valid_until == NOW + 100
    assert play.client.token_refresh_at == NOW + 85
    assert play.client.connection is not None
    assert play.client.connection.user_name == "Ada"


def test_without_a_token_only_the_server_can_say_whom_it_takes_us_for() -> None:
    play = Player(has_token=False)
    play.connect(user_name="guest")
    assert play.client.subject == "guest"
    assert play.client.token_valid_until is None
    play.lose()
    assert play.client.subject is None
