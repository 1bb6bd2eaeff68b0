"""How a server session ends: what the peer sees, and for how long it is listened to no more."""

from __future__ import annotations

import math

import pytest
from tests.unit.server_peer import (
    EXP,
    EXPIRED,
    NOW,
    Peer,
    connect,
    expired_error,
    frame,
    only_error,
    open_peer,
    send,
    subscribe,
)

from stompcore._auth import Identity
from stompcore._codec import Message
from stompcore._errors import ErrorCode
from stompcore._events import Connected, Ended, Sent, Subscribed
from stompcore._frames import Command
from stompcore._headers import Headers
from stompcore._machine import Close
from stompcore._state import ServerState
from stompcore._timers import Timer


def message(body: bytes = b"x") -> Message:
    return Message("/topic/a", "1", Headers(), body)


# --- rule 7: what the peer sees ---------------------------------------------------------------


def test_rule_7_bytes_behind_the_offending_frame_are_discarded() -> None:
    peer = open_peer()
    late = [send(b"1", "receipt:1"), send(b"2", "receipt:2"), frame("DISCONNECT", "receipt:3")]
    assert [type(each) for each in peer.say(*late, at=EXP)] == [Ended]
    assert peer.bytes() == expired_error("1")
    assert peer.say(send(b"4", "receipt:4"), at=EXP) == []
    assert peer.bytes() == b""


def test_rule_7_a_flood_is_drained_until_the_peer_closes() -> None:
    peer = open_peer()
    peer.at(EXP)
    assert peer.bytes() == EXPIRED
    assert (peer.session.send_eof, peer.session.wants_read) == (True, True)
    for _ in range(100):
        assert peer.say(b"A" * 65536, at=EXP + 1) == []
    assert (len(peer.session._decoder), peer.session.bytes_queued) == (0, 0)
    assert peer.state() is ServerState.CLOSING
    peer.session.receive_eof(now=EXP + 1)
    assert peer.state() is ServerState.CLOSED
    assert peer.deadline() == (None, None)


def test_rule_7_a_flood_is_drained_no_longer_than_close_timeout() -> None:
    peer = open_peer(close_timeout=2.0)
    peer.at(EXP)
    assert peer.deadline() == (EXP + 2, Timer.CLOSE)
    peer.say(send() * 100, at=math.nextafter(EXP + 2, 0))
    assert peer.state() is ServerState.CLOSING
    assert peer.deadline() == (EXP + 2, Timer.CLOSE)
    peer.say(send() * 100, at=EXP + 2)
    assert peer.state() is ServerState.CLOSED


def test_rule_7_the_farewell_must_leave_before_the_half_close() -> None:
    peer = open_peer()
    peer.at(EXP)
    assert not peer.session.send_eof
    peer.bytes()
    assert peer.session.send_eof


def test_rule_7_a_peer_that_left_before_gets_no_farewell() -> None:
    peer = open_peer()
    peer.session.receive_data(send(b"1") + send(b"2"), now=NOW)
    assert isinstance(peer.session.next_event(), Sent)
    peer.session.receive_eof(now=NOW)
    peer.session.handle_timeout(now=EXP)
    assert [type(each) for each in peer.events()] == [Ended]
    assert (peer.state(), peer.bytes()) == (ServerState.CLOSED, b"")


def test_rule_7_there_is_exactly_one_ended_and_it_is_the_last_event() -> None:
    peer = open_peer()
    events = peer.say(send(), at=EXP)
    for _ in range(3):
        events += peer.at(EXP + 1)
        events += peer.say(send(), at=EXP + 2)
        peer.session.end(ErrorCode.GOING_AWAY, now=EXP + 2)
        assert not peer.session.deliver("s", message(), now=EXP + 2)
        peer.session.receive_eof(now=EXP + 2)
        events += peer.at(EXP + 99)
    assert [type(each) for each in events] == [Ended]
    assert peer.session.error is ErrorCode.TOKEN_EXPIRED


def test_D5_nothing_of_what_it_had_outlives_the_token() -> None:
    peer = open_peer()
    peer.say(subscribe(), frame("BEGIN", "transaction:t"), send(b"x", "transaction:t"))
    peer.at(EXP)
    assert peer.session._subscriptions.get("s") is None
    assert not peer.session._transactions._open
    assert not peer.session.deliver("s", message(), now=NOW)


def test_D7_a_new_connection_is_judged_by_its_new_token_alone() -> None:
    old = open_peer("ann@1010")
    old.say(subscribe())
    new = open_peer("ben@1020", now=EXP)
    assert new.session.identity is not None
    assert new.session.identity.subject == "ben"
    assert new.session.valid_until == 1020.0
    assert not new.session.deliver("s", message(), now=NOW)


# --- rule 10: what each error says ------------------------------------------------------------

FAREWELLS = {
    ErrorCode.TOKEN_MISSING: ("token-missing", "Token Missing", 3000),
    ErrorCode.TOKEN_INVALID: ("token-invalid", "Token Invalid", 3000),
    ErrorCode.TOKEN_EXPIRED: ("token-expired", "Token Expired", 3000),
    ErrorCode.TOKEN_REVOKED: ("token-revoked", "Token Revoked", 3003),
    ErrorCode.REAUTH_REJECTED: ("reauth-rejected", "Reauthentication Failed", 3000),
    ErrorCode.ACCESS_DENIED: ("access-denied", "Access Denied", 3003),
    ErrorCode.MALFORMED_FRAME: ("malformed-frame", "Malformed Frame", 1002),
    ErrorCode.PROTOCOL_VIOLATION: ("protocol-violation", "Protocol Violation", 1002),
    ErrorCode.UNSUPPORTED_VERSION: ("unsupported-version", "Unsupported Version", 1002),
    ErrorCode.LIMIT_EXCEEDED: ("limit-exceeded", "Limit Exceeded", 1009),
    ErrorCode.SLOW_CONSUMER: ("slow-consumer", "Slow Consumer", 1008),
    ErrorCode.HEARTBEAT_TIMEOUT: ("heartbeat-timeout", "Heart-beat Timeout", 3008),
    ErrorCode.LOGIN_TIMEOUT: ("login-timeout", "Login Timeout", 3008),
    ErrorCode.GOING_AWAY: ("going-away", "Going Away", 1001),
    ErrorCode.INTERNAL_ERROR: ("internal-error", "Internal Error", 1011),
}


@pytest.mark.parametrize("code", ErrorCode)
@pytest.mark.parametrize("detail", ["", "A plain sentence."])
def test_rule_10_D19_what_every_error_says(code: ErrorCode, detail: str) -> None:
    name, text, close_code = FAREWELLS[code]
    peer = open_peer()
    peer.session.end(code, detail, now=NOW)
    body = detail or text
    assert peer.bytes().decode() == (
        f"ERROR\nmessage:{text}\nerror-code:{name}\ncontent-type:text/plain\n"
        f"content-length:{len(body)}\n\n{body}\0"
    )
    assert peer.ending() == (code, Close(close_code, text), ServerState.CLOSING)
    assert peer.events() == [Ended(error_code=code, detail=detail, clean=False)]
    assert len(text.encode()) <= 123


# --- the other ends -----------------------------------------------------------------------------


def test_B15_disconnect_is_answered_and_then_closed() -> None:
    peer = open_peer()
    events = peer.say(send(b"1", "receipt:1"), frame("DISCONNECT", "receipt:bye"), send(b"2"))
    sent, last = events
    assert isinstance(sent, Sent)
    assert last == Ended(error_code=None, detail="DISCONNECT", clean=True)
    # The work before it is not finished: its RECEIPT comes first, so the session waits for both.
    assert (peer.bytes(), peer.session.send_eof) == (b"", False)
    peer.session.done(sent, now=NOW)
    assert [each.headers["receipt-id"] for each in peer.heard()] == ["1", "bye"]
    assert peer.session.send_eof
    assert peer.ending() == (None, Close(1000), ServerState.CLOSING)


def test_B15_disconnect_without_a_receipt_is_no_error() -> None:
    """Spring's simple broker answers it with ERROR "Session closed."."""
    peer = open_peer()
    assert peer.say(frame("DISCONNECT")) == [
        Ended(error_code=None, detail="DISCONNECT", clean=True)
    ]
    assert (peer.bytes(), peer.session.send_eof) == (b"", True)


def test_B15_nothing_counts_behind_a_disconnect() -> None:
    peer = open_peer()
    peer.say(frame("DISCONNECT"), b"garbage\0")
    assert peer.say(subscribe(), b"\xff", at=NOW + 1) == []
    assert peer.ending() == (None, Close(1000), ServerState.CLOSING)


def test_B15_the_end_may_be_told_twice() -> None:
    peer = open_peer()
    events = peer.say(frame("DISCONNECT"))
    for _ in range(2):
        peer.session.receive_eof(now=NOW)
        events += peer.events()
    assert [type(each) for each in events] == [Ended]
    assert peer.state() is ServerState.CLOSED


def test_B15_a_peer_that_never_closes_is_closed_upon() -> None:
    peer = open_peer("ann", close_timeout=5.0)
    peer.say(frame("DISCONNECT"), at=NOW + 1)
    assert peer.deadline() == (NOW + 6, Timer.CLOSE)
    peer.at(NOW + 6)
    assert peer.state() is ServerState.CLOSED


def test_a_peer_that_leaves_without_a_word() -> None:
    peer = open_peer()
    peer.say(subscribe())
    peer.session.receive_eof(now=NOW)
    assert peer.events() == [Ended(error_code=None, detail="the peer left", clean=False)]
    assert peer.ending() == (None, None, ServerState.CLOSED)
    assert peer.deadline() == (None, None)


def test_frames_that_came_before_the_peer_left_still_count() -> None:
    peer = open_peer()
    peer.session.receive_data(send(b"1") + send(b"2") + b"SEND\nhalf", now=NOW)
    peer.session.receive_eof(now=NOW)
    assert peer.state() is ServerState.OPEN
    assert [type(each) for each in peer.events()] == [Sent, Sent, Ended]
    assert peer.state() is ServerState.CLOSED


def test_a_peer_that_leaves_while_its_token_is_judged() -> None:
    peer = Peer()
    peer.say(connect(), send())
    peer.session.receive_eof(now=NOW)
    assert [type(each) for each in peer.events()] == [Ended]
    assert peer.state() is ServerState.CLOSED


def test_a_closed_session_writes_nothing_whatever_is_done_for_it() -> None:
    peer = open_peer()
    sent, subscribed = peer.say(send(b"1", "receipt:1"), subscribe("s", "receipt:2"))
    assert isinstance(sent, Sent)
    assert isinstance(subscribed, Subscribed)
    peer.session.receive_eof(now=NOW)
    peer.session.done(sent, now=NOW)
    peer.session.refuse(subscribed, ErrorCode.ACCESS_DENIED, now=NOW)
    assert not peer.session.deliver("s", message(), now=NOW)
    assert (peer.session.bytes_queued, peer.bytes()) == (0, b"")
    assert peer.session.error is None


def test_the_same_when_it_had_said_goodbye() -> None:
    peer = open_peer()
    sent, _ = peer.say(send(b"1", "receipt:1"), frame("DISCONNECT", "receipt:bye"))
    assert isinstance(sent, Sent)
    peer.session.receive_eof(now=NOW)
    peer.session.done(sent, now=NOW)
    assert (peer.session.bytes_queued, peer.bytes()) == (0, b"")


@pytest.mark.parametrize("state", ["connecting", "verifying", "open"])
def test_a_session_can_be_ended_in_every_state(state: str) -> None:
    peer = open_peer() if state == "open" else Peer()
    if state == "verifying":
        peer.say(connect())
    assert peer.state().value == state
    peer.session.end(ErrorCode.GOING_AWAY, "Back soon.", now=NOW)
    assert only_error(peer).headers["error-code"] == "going-away"
    assert peer.ending() == (
        ErrorCode.GOING_AWAY,
        Close(1001, "Going Away"),
        ServerState.CLOSING,
    )


def test_a_session_that_is_closing_is_not_ended_again() -> None:
    peer = open_peer()
    peer.say(frame("DISCONNECT"))
    peer.session.end(ErrorCode.GOING_AWAY, now=NOW)
    assert peer.ending() == (None, Close(1000), ServerState.CLOSING)
    assert peer.bytes() == b""


def test_B10_garbage_below_the_frames_counts_behind_what_came_before_it() -> None:
    peer = open_peer()
    peer.session.receive_data(send(b"1"), now=NOW)
    peer.session.receive_garbage("The bytes are not WebSocket frames.", now=NOW)
    peer.session.receive_garbage("Again.", now=NOW)
    assert [type(each) for each in peer.events()] == [Sent, Ended]
    error = only_error(peer)
    assert error.headers["error-code"] == "malformed-frame"
    assert error.body == b"The bytes are not WebSocket frames."


def test_B10_garbage_waits_for_the_token_to_be_judged() -> None:
    peer = Peer()
    peer.say(connect())
    peer.session.receive_garbage("Not readable.", now=NOW)
    assert peer.events() == []
    peer.session.accept(Identity(subject="ann", expires_at=EXP), now=NOW)
    assert [type(each) for each in peer.events()] == [Connected, Ended]
    assert [each.command for each in peer.heard()] == [Command.CONNECTED, Command.ERROR]
