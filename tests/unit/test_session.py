"""What a session writes, what never leaves of it, and how it is ended: without a hub."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.unit.server_peer import (
    EXP,
    NOW,
    Peer,
    Tokens,
    connect,
    ended,
    frame,
    only_error,
    open_peer,
    send,
    subscribe,
)

from stompcore import (
    Close,
    Command,
    ErrorCode,
    Headers,
    Message,
    RemoteProtocolError,
    Sent,
    ServerState,
    Subscribed,
    Timer,
    Version,
)
from stompcore._outgoing import TAKE_SIZE
from stompcore._requests import ack_id


def message(body: bytes = b"x", message_id: str = "1") -> Message:
    return Message("/topic/a", message_id, Headers(), body)


def listening(*lines: str, **settings: Any) -> Peer:
    """A session whose peer listens as "s" and as "t", and has heard of it."""
    peer = open_peer(**settings)
    for event in peer.say(subscribe("s", *lines), subscribe("t", *lines)):
        assert isinstance(event, Subscribed)
        peer.session.done(event, now=NOW)
    assert peer.session.subscription_count == 2
    return peer


def deliver(peer: Peer, *references: object, to: str = "s", at: float = NOW) -> list[bool]:
    return [peer.session.deliver(to, message(), now=at, reference=each) for each in references]


# --- what never left ------------------------------------------------------------------------------


def test_what_was_read_is_not_asked_back() -> None:
    peer = listening()
    assert deliver(peer, "1", "2") == [True, True]
    peer.bytes()
    peer.session.receive_eof(now=NOW)
    assert peer.session.take_unsent() == []


def test_a_part_that_was_taken_counts_as_sent() -> None:
    peer = listening()
    big = message(b"x" * TAKE_SIZE)
    for reference in ("1", "2", "3"):
        assert peer.session.deliver("s", big, now=NOW, reference=reference)
    assert len(peer.session.data_to_send()) == 1
    peer.session.end(ErrorCode.INTERNAL_ERROR, now=NOW)
    assert peer.session.take_unsent() == ["2", "3"]
    assert peer.session.take_unsent() == []


@pytest.mark.parametrize("how", ["expired", "revoked", "left", "slow", "bad frame"])
def test_what_a_session_takes_with_it_when_it_ends(how: str) -> None:
    peer = listening(send_backlog_timeout=2.0)
    deliver(peer, "1", to="s")
    deliver(peer, "2", to="t")
    match how:
        case "expired":
            peer.at(EXP)
        case "revoked":
            peer.session.end(ErrorCode.TOKEN_REVOKED, now=NOW)
        case "left":
            peer.session.receive_eof(now=NOW)
        case "slow":
            peer.at(NOW + 2)
        case _:
            peer.say(b"nonsense\n\n\0")
    assert peer.session.take_unsent() == ["1", "2"]
    assert b"MESSAGE" not in peer.bytes()


def test_what_is_delivered_too_late_comes_back_at_once() -> None:
    peer = listening()
    assert deliver(peer, "1") == [True]
    assert deliver(peer, "2", at=EXP) == [False]
    assert deliver(peer, "3", at=EXP) == [False]
    assert peer.session.take_unsent() == ["1", "2", "3"]


def test_what_is_delivered_to_nobody_comes_back() -> None:
    peer = listening()
    assert deliver(peer, "1", to="unknown") == [False]
    assert peer.session.take_unsent() == ["1"]
    assert peer.state() is ServerState.OPEN


def test_what_is_one_too_many_comes_back_with_the_rest() -> None:
    peer = listening(send_backlog=200)
    references = [str(number) for number in range(10)]
    queued = deliver(peer, *references)
    assert queued.index(False) > 0
    assert not any(queued[queued.index(False) :])
    assert peer.session.error is ErrorCode.SLOW_CONSUMER
    assert peer.session.take_unsent() == references


@pytest.mark.parametrize("how", ["DISCONNECT", "going away"])
def test_a_peaceful_end_lets_messages_leave_as_long_as_the_token_lives(how: str) -> None:
    for is_late in (False, True):
        peer = listening(close_timeout=60.0)
        deliver(peer, "1")
        if how == "DISCONNECT":
            peer.say(frame("DISCONNECT"))
        else:
            peer.session.end(ErrorCode.GOING_AWAY, now=NOW)
        assert peer.session.take_unsent() == []
        assert peer.deadline() == (EXP, Timer.TOKEN_EXPIRY)
        if is_late:
            peer.at(EXP)
        assert (b"MESSAGE" in peer.bytes()) is not is_late
        assert peer.session.take_unsent() == (["1"] if is_late else [])


def test_unsubscribing_gives_back_what_is_queued_for_that_one() -> None:
    peer = listening()
    deliver(peer, "1", to="s")
    deliver(peer, "2", to="t")
    deliver(peer, "3", to="s")
    peer.say(frame("UNSUBSCRIBE", "id:s"))
    assert peer.session.take_unsent() == ["1", "3"]
    (left,) = peer.heard()
    assert left.headers["subscription"] == "t"


def test_the_server_ends_a_subscription() -> None:
    peer = listening()
    deliver(peer, "1", to="s")
    deliver(peer, "2", to="t")
    peer.session.unsubscribe("s", now=NOW)
    peer.session.unsubscribe("s", now=NOW)
    peer.session.unsubscribe("unknown", now=NOW)
    assert peer.session.subscription_count == 1
    assert peer.session.take_unsent() == ["1"]
    assert deliver(peer, "3", to="s") == [False]
    assert [each.headers["subscription"] for each in peer.heard()] == ["t"]


# --- MESSAGE --------------------------------------------------------------------------------------


@pytest.mark.parametrize("redelivered", [False, True])
@pytest.mark.parametrize("mode", ["auto", "client", "client-individual"])
def test_what_a_message_says_of_itself(mode: str, redelivered: bool) -> None:
    peer = listening(f"ack:{mode}")
    peer.session.deliver("s", message(message_id="p-7"), now=NOW, is_redelivered=redelivered)
    (heard,) = peer.heard()
    assert heard.headers.get("ack") == (None if mode == "auto" else "p-7/s")
    assert heard.headers.get("redelivered") == ("true" if redelivered else None)
    assert heard.headers["message-id"] == "p-7"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_older_versions_have_no_ack_header(version: str) -> None:
    peer = listening("ack:client", version=version)
    deliver(peer, "1")
    assert b"\nack:" not in peer.bytes()


@pytest.mark.parametrize("key", ["s", "", "a/b", "a:b\nc", "/"])
def test_the_ack_header_comes_back_as_message_and_subscription(key: str) -> None:
    peer = open_peer()
    escaped = key.replace("\n", "\\n").replace(":", "\\c")
    peer.say(subscribe(escaped, "ack:client"))
    assert peer.session.deliver(key, message(message_id="p-7"), now=NOW)
    (heard,) = peer.heard()
    assert heard.headers["ack"] == ack_id("p-7", key)
    wire = heard.headers["ack"].replace("\n", "\\n").replace(":", "\\c")
    (acked,) = peer.say(frame("ACK", f"id:{wire}"))
    assert (acked.message_id, acked.subscription) == ("p-7", key)  # type: ignore[union-attr]


@pytest.mark.parametrize("command", ["ACK", "NACK"])
def test_an_id_that_no_message_had(command: str) -> None:
    peer = open_peer()
    peer.say(frame(command, "id:7", "receipt:r"))
    error = only_error(peer)
    assert error.headers["error-code"] == "protocol-violation"
    assert error.headers["receipt-id"] == "r"


# --- RECEIPT and ERROR ----------------------------------------------------------------------------


def test_work_that_failed_is_told_with_its_receipt_and_its_cause() -> None:
    peer = open_peer()
    (sent,) = peer.say(send(b"x", "receipt:r"))
    assert isinstance(sent, Sent)
    cause = ZeroDivisionError("secret")
    error = RemoteProtocolError(ErrorCode.INTERNAL_ERROR, "Sorry.")
    peer.session.fail_work(sent, error, now=NOW, cause=cause)
    last = ended(peer.events())
    assert (last.error_code, last.detail, last.clean) == (ErrorCode.INTERNAL_ERROR, "Sorry.", False)
    assert last.cause is cause
    answer = only_error(peer)
    assert (answer.headers["receipt-id"], answer.body) == ("r", b"Sorry.")
    assert peer.ending() == (
        ErrorCode.INTERNAL_ERROR,
        Close(1011, "Internal Error"),
        ServerState.CLOSING,
    )


def test_a_destination_is_bounded() -> None:
    for command, lines in (("SEND", []), ("SUBSCRIBE", ["id:s"])):
        peer = open_peer(destination_size=10)
        assert len(peer.say(frame(command, "destination:/topic/abc", *lines))) == 1
        peer.say(frame(command, "destination:/topic/abcd", "receipt:r", *lines))
        error = only_error(peer)
        assert (error.headers["error-code"], error.headers["receipt-id"]) == ("limit-exceeded", "r")
        assert peer.session.close == Close(1008, "Limit Exceeded")


# --- the token's end, moved -----------------------------------------------------------------------


def test_the_end_can_be_brought_forward() -> None:
    peer = listening()
    deliver(peer, "1")
    peer.session.end(ErrorCode.TOKEN_EXPIRED, "Now.", now=NOW)
    error = only_error(peer)
    assert (error.headers["error-code"], error.body) == ("token-expired", b"Now.")
    assert peer.session.close == Close(3000, "Token Expired")


def test_a_token_that_never_ends_arms_no_timer_in_the_farewell() -> None:
    peer = open_peer("ann", close_timeout=5.0)
    assert peer.session.valid_until == math.inf
    peer.session.end(ErrorCode.GOING_AWAY, now=NOW)
    assert peer.deadline() == (NOW + 5, Timer.CLOSE)


# --- drain ----------------------------------------------------------------------------------------


def test_a_session_goes_away_at_its_moment() -> None:
    peer = open_peer("ann")
    peer.session.end_at(NOW + 3)
    assert peer.deadline() == (NOW + 3, Timer.DRAIN)
    peer.at(NOW + 2)
    assert peer.state() is ServerState.OPEN
    peer.at(NOW + 3)
    assert only_error(peer).headers["error-code"] == "going-away"


def test_it_waits_for_receipts_that_are_due_and_reads_nothing_new() -> None:
    peer = open_peer("ann", close_timeout=5.0)
    (sent,) = peer.say(send(b"1", "receipt:1"))
    assert isinstance(sent, Sent)
    peer.session.end_at(NOW + 3)
    peer.at(NOW + 3)
    assert peer.say(send(b"2", "receipt:2"), at=NOW + 3) == []
    assert peer.deadline() == (NOW + 8, Timer.DRAIN)
    peer.session.done(sent, now=NOW + 4)
    receipt, error = peer.heard()
    assert receipt.command is Command.RECEIPT
    assert error.headers["error-code"] == "going-away"


@pytest.mark.parametrize("how", ["DISCONNECT", "end"])
def test_a_session_that_is_over_has_no_moment(how: str) -> None:
    peer = open_peer("ann", close_timeout=5.0)
    if how == "DISCONNECT":
        peer.say(frame("DISCONNECT"))
    else:
        peer.session.end(ErrorCode.INTERNAL_ERROR, now=NOW)
    peer.session.end_at(NOW + 1)
    assert peer.deadline() == (NOW + 5, Timer.CLOSE)


def test_before_login_a_session_goes_away_as_well() -> None:
    peer = Peer(Tokens())
    peer.session.end_at(NOW)
    peer.at(NOW)
    assert only_error(peer).headers["error-code"] == "going-away"
    assert peer.say(connect()) == []


# --- held -----------------------------------------------------------------------------------------


def test_a_held_session_reads_nothing_and_goes_on_where_it_was() -> None:
    peer = open_peer(version=Version.V1_2.value)
    peer.session.hold()
    assert peer.say(send(b"1"), send(b"2")) == []
    assert peer.session.wants_read
    peer.session.release()
    assert [each.body for each in peer.events() if isinstance(each, Sent)] == [b"1", b"2"]


def test_a_held_session_expires() -> None:
    peer = open_peer()
    peer.session.hold()
    peer.say(send(b"1"))
    assert ended(peer.at(EXP)).error_code is ErrorCode.TOKEN_EXPIRED
