"""What the expiry of a token ends: frames in, messages out, idle sessions, and how."""

from __future__ import annotations

import pytest
from tests.unit.peer import EXPIRED, NOW, TTL, Peer, config, connect, frame, opened

from stompcore import (
    Close,
    Committed,
    Ended,
    ErrorCode,
    Message,
    Sent,
    ServerConfig,
    ServerState,
    Timer,
)
from stompcore._headers import Headers

SEND = frame("SEND", b"late", destination="/topic/a", receipt="r-1")
SUBSCRIBE = frame("SUBSCRIBE", id="s", destination="/topic/a")


def message(body: bytes = b"news") -> Message:
    return Message("/topic/a", "1", Headers(), body)


def assert_expired(peer: Peer, output: bytes) -> None:
    """The farewell is exactly this, and nothing went before or comes after it."""
    assert peer.take() == output
    assert peer.ended == Ended(
        error_code=ErrorCode.TOKEN_EXPIRED,
        detail="The access token has expired. Get a new one and connect again.",
        clean=False,
    )
    session = peer.session
    assert session.error is ErrorCode.TOKEN_EXPIRED
    assert session.close == Close(3000, "Token Expired")
    assert session.closing
    assert session.send_eof


# --- 4: inbound -----------------------------------------------------------------------------------

LATE = {
    "send": frame("SEND", destination="/topic/a"),
    "subscribe": SUBSCRIBE,
    "unsubscribe": frame("UNSUBSCRIBE", id="s"),
    "ack": frame("ACK", id="1"),
    "nack": frame("NACK", id="1"),
    "begin": frame("BEGIN", transaction="t"),
    "commit": frame("COMMIT", transaction="t"),
    "abort": frame("ABORT", transaction="t"),
    "disconnect": frame("DISCONNECT"),
    "connect": connect(),
    "server's": frame("MESSAGE", destination="a", message_id="1", subscription="s"),
    "garbage": b"\xff\xfe\0\n\n\0",
    "unknown": frame("HELLO"),
    "bad header": b"SEND\nno colon\n\n\0",
    "half": b"SEND\ndestination:/topic/a\nreceipt:r-1\n",
    "beat": b"\n",
    "nothing": b"",
}


@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
def test_whatever_comes_at_the_expiry_has_no_effect(late: bytes) -> None:
    peer = opened()
    peer.feed(late, at=TTL)
    assert peer.work == []
    assert_expired(peer, EXPIRED % b"")


@pytest.mark.parametrize("name", ["send", "subscribe", "disconnect", "connect", "unknown"])
def test_the_error_names_the_receipt_of_the_frame_that_came_too_late(name: str) -> None:
    late = LATE[name].replace(b"\n", b"\nreceipt:r-1\n", 1)
    peer = opened()
    peer.feed(late, at=TTL)
    assert_expired(peer, EXPIRED % b"receipt-id:r-1\n")


def test_a_receipt_is_escaped_as_the_version_says() -> None:
    peer = opened()
    peer.feed(frame("SEND", destination="/topic/a", receipt=r"a\cb\n"), at=TTL)
    assert_expired(peer, EXPIRED % b"receipt-id:a\\cb\\n\n")


@pytest.mark.parametrize("cut", [1, 5, 20, len(SEND) - 1])
def test_half_a_frame_before_the_rest_after_the_expiry(cut: int) -> None:
    peer = opened()
    peer.feed(SEND[:cut], at=TTL - 1)
    peer.feed(SEND[cut:], at=TTL)
    assert peer.work == []
    assert_expired(peer, EXPIRED % b"receipt-id:r-1\n")


def test_bytes_behind_the_late_frame_are_discarded() -> None:
    peer = opened()
    again = frame("SEND", destination="/topic/a", receipt="r-2")
    peer.feed(SEND + again + b"\xff garbage \0", at=TTL)
    peer.feed(again, at=TTL + 1)
    assert peer.work == []
    assert_expired(peer, EXPIRED % b"receipt-id:r-1\n")


def test_frames_that_came_in_time_but_run_too_late() -> None:
    # The caller drains only when the token has run out: each frame is judged when it is read.
    peer = opened()
    peer.session.receive_data(SEND, now=NOW + TTL - 1)
    peer.session.deliver("s", message(), now=NOW + TTL)
    peer.drain()
    assert peer.work == []


def test_D6_a_frame_read_after_the_clock_has_moved_on() -> None:
    peer = opened()
    second = frame("SEND", destination="/topic/a", receipt="r-2")
    peer.session.receive_data(SEND + second, now=NOW + TTL - 1)
    first = peer.session.next_event()
    assert isinstance(first, Sent)
    peer.now = NOW + TTL
    peer.session.done(first, now=peer.now)
    peer.drain()
    assert peer.work == []
    assert_expired(peer, b"RECEIPT\nreceipt-id:r-1\n\n\0" + EXPIRED % b"receipt-id:r-2\n")


BEGIN = frame("BEGIN", transaction="t")
HELD = frame("SEND", b"held", destination="/topic/a", transaction="t", receipt="r-held")


def test_B18_commit_of_what_was_held_across_the_expiry_does_nothing() -> None:
    peer = opened()
    peer.feed(BEGIN + HELD)
    assert peer.take() == b"RECEIPT\nreceipt-id:r-held\n\n\0"
    peer.feed(frame("COMMIT", transaction="t", receipt="r-1"), at=TTL)
    assert peer.work == []
    assert_expired(peer, EXPIRED % b"receipt-id:r-1\n")


def test_B18_a_commit_that_is_running_when_the_token_runs_out() -> None:
    peer = opened()
    commit = frame("COMMIT", transaction="t", receipt="r-1")
    peer.session.receive_data(BEGIN + HELD + HELD + commit, now=NOW)
    committed = peer.session.next_event()
    assert isinstance(committed, Committed)
    assert [type(each) for each in committed.work] == [Sent, Sent]
    peer.read()
    peer.now = NOW + TTL
    # It came in time, and all of it was done: its RECEIPT says so, and then the token has run out.
    peer.session.done(committed, now=peer.now)
    peer.tick(TTL)
    assert peer.work == []
    receipts = b"RECEIPT\nreceipt-id:r-held\n\n\0" * 2 + b"RECEIPT\nreceipt-id:r-1\n\n\0"
    assert_expired(peer, receipts + EXPIRED % b"")


def test_B18_a_commit_that_is_running_when_the_timer_fires() -> None:
    peer = opened()
    commit = frame("COMMIT", transaction="t", receipt="r-1")
    peer.session.receive_data(BEGIN + HELD + commit, now=NOW)
    committed = peer.session.next_event()
    assert isinstance(committed, Committed)
    peer.tick(TTL)
    peer.session.done(committed, now=peer.now)
    assert_expired(peer, b"RECEIPT\nreceipt-id:r-held\n\n\0" + EXPIRED % b"")


def test_garbage_of_the_layer_below_at_the_expiry() -> None:
    peer = opened()
    peer.now = NOW + TTL
    peer.session.receive_garbage("Not UTF-8.", now=peer.now)
    peer.drain()
    assert_expired(peer, EXPIRED % b"")


# --- 5: outbound ----------------------------------------------------------------------------------


def test_no_message_at_the_expiry() -> None:
    peer = opened()
    peer.feed(SUBSCRIBE)
    assert peer.session.deliver("s", message(), now=NOW + TTL - 0.001)
    peer.drain()
    assert peer.take().startswith(b"MESSAGE\n")
    peer.now = NOW + TTL
    assert not peer.session.deliver("s", message(), now=peer.now)
    peer.drain()
    assert_expired(peer, EXPIRED % b"")
    assert not peer.session.deliver("s", message(), now=peer.now)
    assert peer.session.data_to_send() == []


def test_D6_a_message_that_was_queued_before_the_expiry_stays_receipts_leave() -> None:
    peer = opened()
    peer.reads = False
    peer.feed(SUBSCRIBE)
    assert peer.session.deliver("s", message(), now=NOW)
    peer.feed(SEND)
    assert peer.session.deliver("s", message(), now=NOW)
    assert peer.session.bytes_queued > 100
    peer.tick(TTL)
    expected = b"RECEIPT\nreceipt-id:r-1\n\n\0" + EXPIRED % b""
    assert peer.session.bytes_queued == len(expected)
    peer.read()
    assert_expired(peer, expected)


def test_messages_of_a_session_that_has_disconnected_do_not_outlive_its_token() -> None:
    peer = opened(config(close_timeout=100, send_backlog_timeout=100))
    peer.reads = False
    peer.feed(SUBSCRIBE)
    assert peer.session.deliver("s", message(), now=NOW)
    peer.feed(frame("DISCONNECT", receipt="bye"))
    assert peer.session.deadline_reason() is Timer.TOKEN_EXPIRY
    peer.tick(TTL)
    peer.read()
    assert peer.take() == b"RECEIPT\nreceipt-id:bye\n\n\0"
    assert peer.session.error is None
    assert peer.session.close == Close(1000)


def test_work_that_is_not_done_has_no_receipt() -> None:
    waiting: list[object] = []
    peer = opened(on_work=waiting.append)
    peer.feed(SEND)
    peer.tick(TTL)
    (work,) = peer.work
    peer.session.done(work, now=NOW + TTL)
    peer.drain()
    assert_expired(peer, EXPIRED % b"")


# --- 6: the timer ---------------------------------------------------------------------------------


def test_D4_an_idle_session_expires_by_itself() -> None:
    peer = opened()
    assert (peer.session.next_deadline(), peer.session.deadline_reason()) == (
        NOW + TTL,
        Timer.TOKEN_EXPIRY,
    )
    peer.tick(TTL - 0.001)
    assert peer.take() == b""
    assert peer.session.next_deadline() == NOW + TTL
    peer.tick(TTL)
    assert_expired(peer, EXPIRED % b"")


def test_D4_heart_beats_keep_nobody_s_token_alive() -> None:
    peer = opened(ServerConfig(), heart_beat="10000,10000")
    for second in range(1, int(TTL)):
        peer.feed(b"\n", at=second)
    assert not peer.session.closing
    peer.take()
    peer.feed(b"\n", at=TTL)
    assert_expired(peer, EXPIRED % b"")


# --- 7: what the peer sees ------------------------------------------------------------------------


def test_a_flood_after_the_error_is_drained_until_the_peer_leaves() -> None:
    peer = opened()
    peer.feed(SEND, at=TTL)
    for _ in range(1000):
        peer.feed(SEND * 100 + b"\xff\0", at=TTL + 1)
    assert peer.session.wants_read
    assert peer.session.state is ServerState.CLOSING
    assert_expired(peer, EXPIRED % b"receipt-id:r-1\n")
    peer.leave(at=TTL + 2)
    assert peer.session.closed
    assert peer.session.next_deadline() is None
    peer.leave(at=TTL + 3)
    assert peer.work == []


@pytest.mark.parametrize("flood", [b"", SEND], ids=["silent", "flooding"])
def test_a_peer_that_stays_is_left_after_the_close_timeout(flood: bytes) -> None:
    peer = opened()
    peer.feed(SEND, at=TTL)
    assert peer.session.next_deadline() == NOW + TTL + 5
    assert peer.session.deadline_reason() is Timer.CLOSE
    peer.feed(flood, at=TTL + 4.999)
    assert peer.session.state is ServerState.CLOSING
    if flood:
        peer.feed(flood, at=TTL + 5)
    else:
        peer.tick(TTL + 5)
    assert peer.session.closed
    assert_closed_for_good(peer)


def assert_closed_for_good(peer: Peer) -> None:
    peer.take()
    peer.feed(SEND, at=TTL + 99)
    peer.tick(TTL + 100)
    peer.leave(at=TTL + 101)
    peer.session.end(ErrorCode.GOING_AWAY, now=NOW + TTL + 102)
    peer.session.receive_garbage("What?", now=NOW + TTL + 102)
    peer.drain()
    assert peer.take() == b""
    assert peer.ended is not None
    assert peer.work == []
    assert peer.session.next_deadline() is None
