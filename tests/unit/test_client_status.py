"""Client rule 8: what the person at the screen sees of it all, which is as little as possible."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

import pytest
from tests.unit.client_player import EXPIRED, GOING_AWAY, Player, connected

from stompcore._config import Backoff, ClientConfig, Handover, Refresh
from stompcore._errors import AuthenticationFailed, SubjectChanged, Unauthorized
from stompcore._events import Dial, Refreshed, StatusChanged, Stopped
from stompcore._state import ConnectionState, HandoverState, Status
from stompcore._timers import Timer

ONLINE, RECOVERING = Status.ONLINE, Status.RECOVERING
OFFLINE, LOGGED_OUT = Status.OFFLINE, Status.LOGGED_OUT
HALF = Refresh(earliest=0.5, latest=0.5)
REVOKED = b"ERROR\nmessage:Token Revoked\nerror-code:token-revoked\n\n\0"
REFUSED = b"ERROR\nmessage:Token Invalid\nerror-code:token-invalid\n\n\0"


def player(**more: Any) -> Player:
    """With the status's own times, which a `Player` puts off."""
    return Player(**{"status_grace": 2.0, "offline_timeout": 30.0, **more})


def online(**more: Any) -> Player:
    play = player(**more)
    play.connect()
    play.forget()
    return play


def shown(play: Player) -> list[Status]:
    """What was shown since the last `forget`; the last of it is what there is."""
    found = [each.status for each in play.all(StatusChanged)]
    assert not found or found[-1] is play.client.status
    assert all(one is not other for one, other in itertools.pairwise(found))
    return found


def subject(name: str) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"sub": name}).encode()).decode()
    return f"e30.{claims.rstrip('=')}.c2ln"


# --- coming up --------------------------------------------------------------------------------


def test_the_grace_is_two_seconds_and_half_a_minute_is_long() -> None:
    config = ClientConfig()
    assert (config.status_grace, config.offline_timeout) == (2.0, 30.0)


def test_a_client_is_offline_until_it_is_connected_for_the_first_time() -> None:
    play = player()
    assert play.client.status is OFFLINE
    play.start()
    play.wait(5)
    play.give_token()
    play.dial()
    play.wait(5)
    assert shown(play) == []
    play.accept()
    assert shown(play) == [ONLINE]
    # Whoever hears of it may send at once.
    assert play.names()[-2:] == ["Resubscribed", "StatusChanged"]


def test_a_client_that_never_gets_a_connection_shows_nothing() -> None:
    play = player(has_token=False)
    play.start()
    for _ in range(10):
        play.client.dial_failed(play.last(Dial).epoch, "refused", now=play.now)
        play.drain()
        play.wait_for(Timer.REDIAL)
    assert (shown(play), play.client.status) == ([], OFFLINE)


# --- inside the grace -------------------------------------------------------------------------


def test_a_reconnection_inside_the_grace_shows_nothing() -> None:
    play = online(draw=0.0)
    for _ in range(5):
        play.wait(60)
        play.lose()
        play.wait_for(Timer.REDIAL)
        play.dial()
        play.wait(1.4)
        play.accept()
    play.wait(60)
    assert shown(play) == []


def test_an_expiry_and_a_new_token_inside_the_grace_show_nothing() -> None:
    play = online()
    play.wait(60)
    play.hear(EXPIRED)
    play.wait(1)
    play.give_token()
    play.dial()
    play.wait(0.9)
    play.accept()
    play.wait(60)
    assert shown(play) == []


def test_a_refresh_in_place_shows_nothing() -> None:
    play = player(refresh=HALF)
    play.connect(token_refresh="/auth", token_ttl="100000")
    play.forget()
    play.wait(50)
    play.wait(9)
    play.give_token()
    play.wait(9)
    play.receipt("token-2")
    assert len(play.all(Refreshed)) == 1
    assert shown(play) == []


def test_a_break_shows_nothing() -> None:
    play = player(refresh=HALF)
    play.connect(token_ttl="100000")
    play.forget()
    play.wait(50)
    play.give_token()
    play.receipt("disconnect")
    assert play.state() is ConnectionState.DIALING
    play.dial()
    play.wait(1.9)
    play.accept(token_ttl="100000")
    play.wait(49)
    assert shown(play) == []


@pytest.mark.parametrize("end", ["old first", "new fails"])
def test_an_overlap_shows_nothing_however_it_ends(end: str) -> None:
    play = player(refresh=Refresh(earliest=0.5, latest=0.5, handover=Handover.OVERLAP))
    play.connect(token_ttl="100000")
    play.forget()
    play.wait(50)
    play.give_token()
    old = play.client.connection
    new = play.client.dialed(2, now=play.now)
    assert old is not None
    assert new is not None
    play.client.subscribe("/a", now=play.now)
    new.receive_data(connected(token_ttl="100000"), now=play.now)
    play.drain()
    assert play.client.handover_state is HandoverState.RESTORING
    (old if end == "old first" else new).receive_eof(now=play.now)
    play.drain()
    play.wait(9)
    assert play.client.connection is (new if end == "old first" else old)
    assert shown(play) == []


def test_old_and_new_lost_together_begin_one_grace() -> None:
    play = player(refresh=Refresh(earliest=0.5, latest=0.5, handover=Handover.OVERLAP))
    play.connect(token_ttl="100000")
    play.forget()
    play.wait(50)
    play.give_token()
    play.lose()  # the new one is still being dialled
    play.wait(1.9)
    assert (shown(play), play.state()) == ([], ConnectionState.DIALING)
    play.wait(0.1)
    assert shown(play) == [RECOVERING]


# --- beyond it --------------------------------------------------------------------------------


def test_beyond_the_grace_it_is_recovering_and_at_last_offline() -> None:
    play = online(has_token=False, dial_timeout=1000.0)
    play.lose()
    play.wait(1.999)
    assert shown(play) == []
    play.wait(0.001)
    assert shown(play) == [RECOVERING]
    play.wait(27.999)
    assert shown(play) == [RECOVERING]
    play.wait(0.001)
    assert shown(play) == [RECOVERING, OFFLINE]
    play.wait(900)
    assert shown(play) == [RECOVERING, OFFLINE]
    play.dial()
    play.accept()
    assert shown(play) == [RECOVERING, OFFLINE, ONLINE]


def test_recovering_it_may_come_back_before_it_is_offline() -> None:
    play = online(has_token=False)
    play.lose()
    play.wait(10)
    play.dial()
    play.wait(9)
    play.accept()
    play.wait(60)
    assert shown(play) == [RECOVERING, ONLINE]


def test_who_looks_much_too_late_is_told_both() -> None:
    play = online(has_token=False)
    play.lose()
    play.now += 3600  # a laptop was closed
    play.client.handle_timeout(now=play.now)
    play.drain()
    assert shown(play) == [RECOVERING, OFFLINE]


def test_flapping_without_connected_does_not_begin_the_grace_again() -> None:
    play = online(draw=0.0, backoff=Backoff(minimum=0.5, maximum=0.5))
    play.wait(60)
    play.lose()
    lost_at = play.now
    attempts = 0
    while play.now < lost_at + 40 and attempts < 1000:
        # The transport comes up each time, and goes before CONNECTED.
        if play.state() is ConnectionState.DIALING:
            attempts += 1
            play.dial()
            play.lose()
        play.wait(0.25)
        since = play.now - lost_at
        assert shown(play) == [RECOVERING] * (since >= 2) + [OFFLINE] * (since >= 30)
    assert attempts == 79


def test_each_connection_that_was_up_has_a_grace_of_its_own() -> None:
    # Up and kicked at once, again and again: what is shown follows what there is.
    play = online(draw=0.0, backoff=Backoff(minimum=1.0, maximum=1.0))
    for _ in range(10):
        play.hear(GOING_AWAY)
        play.wait_for(Timer.REDIAL)
        play.dial()
        play.accept()
    assert shown(play) == []


def test_a_token_source_that_is_down_shows_as_any_other_loss() -> None:
    play = online(backoff=Backoff(minimum=0.5, maximum=0.5))
    play.wait(60)
    play.hear(EXPIRED)
    for _ in range(80):
        play.fail_token()
        play.wait(0.5)
    assert shown(play) == [RECOVERING, OFFLINE]
    play.give_token()
    play.dial()
    play.accept()
    assert shown(play) == [RECOVERING, OFFLINE, ONLINE]


# --- logged out -------------------------------------------------------------------------------


def by_source(play: Player) -> None:
    play.wait(60)
    play.hear(EXPIRED)
    play.fail_token(permanent=True)


def by_revocation(play: Player) -> None:
    play.hear(REVOKED)


def by_refusals(play: Player) -> None:
    play.wait(60)
    play.hear(EXPIRED)
    for _ in range(3):
        play.give_token()
        if play.reason() is Timer.REDIAL:
            play.wait_for(Timer.REDIAL)
        play.dial()
        play.hear(REFUSED)


def by_token(play: Player) -> None:
    play.wait(60)
    play.hear(EXPIRED)
    play.give_token(subject("bob"))


def by_user_name(play: Player) -> None:
    play.lose()
    play.wait_for(Timer.REDIAL)
    play.dial()
    play.accept(user_name="bob")


WAYS = {
    "the token source": (by_source, Unauthorized),
    "a revocation": (by_revocation, AuthenticationFailed),
    "three refusals": (by_refusals, AuthenticationFailed),
    "a token for another": (by_token, SubjectChanged),
    "a server that takes it for another": (by_user_name, SubjectChanged),
}


@pytest.mark.parametrize(("way", "error"), WAYS.values(), ids=list(WAYS))
def test_only_a_login_would_help(way: Any, error: type[Exception]) -> None:
    play = player()
    play.start()
    play.give_token(subject("alice"))
    play.dial()
    play.accept(user_name="alice")
    play.forget()
    way(play)
    assert shown(play) == [LOGGED_OUT]
    assert isinstance(play.stopped().error, error)
    assert play.names()[-2:] == ["StatusChanged", "Stopped"]
    play.client.close(now=play.now)
    play.wait(3600)
    assert shown(play) == [LOGGED_OUT]


def test_logged_out_before_it_was_ever_online() -> None:
    play = player()
    play.start()
    play.fail_token(permanent=True)
    assert shown(play) == [LOGGED_OUT]


def test_logged_out_while_recovering() -> None:
    play = online()
    play.wait(60)
    play.hear(EXPIRED)
    play.wait(5)
    play.fail_token(permanent=True)
    assert shown(play) == [RECOVERING, LOGGED_OUT]


# --- closed -----------------------------------------------------------------------------------


def test_closed_by_its_user_it_is_offline_once_it_is_over() -> None:
    play = online()
    play.client.close(now=play.now)
    play.drain()
    play.wait(3)
    assert (shown(play), play.client.status) == ([], ONLINE)
    play.receipt("disconnect")
    assert shown(play) == [OFFLINE]
    assert play.all(Stopped) == [Stopped(error=None)]


@pytest.mark.parametrize("how", ["close", "abort"])
@pytest.mark.parametrize("seconds", [1.0, 5.0, 60.0])
def test_closed_while_it_is_not_connected(how: str, seconds: float) -> None:
    play = online(has_token=False, dial_timeout=1000.0)
    play.lose()
    play.wait(seconds)
    getattr(play.client, how)(now=play.now)
    play.drain()
    play.wait(3600)
    assert shown(play) == [RECOVERING] * (seconds > 2) + [OFFLINE]


def test_closed_before_it_was_ever_online_there_is_nothing_to_show() -> None:
    play = player()
    play.start()
    play.client.close(now=play.now)
    play.drain()
    assert (shown(play), play.client.status) == ([], OFFLINE)
    assert play.stopped().error is None


def test_what_the_source_says_of_a_client_that_closes_is_nobodys() -> None:
    play = player(refresh=HALF)
    play.connect(token_ttl="100000")
    play.forget()
    play.wait(50)  # the source is asked
    play.client.close(now=play.now)
    play.fail_token(permanent=True)
    assert shown(play) == []
    play.receipt("disconnect")
    assert shown(play) == [OFFLINE]
    assert play.stopped().error is None
