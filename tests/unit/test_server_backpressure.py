"""A session that does not read: while earlier work is being done, or a token is being judged."""

from __future__ import annotations

import pytest
from tests.unit.peer import NOW, Doorman, Peer, connect, frame, opened

from stompcore import ErrorCode, HeartBeat, Identity, ServerConfig
from stompcore._events import ConnectRequested, Ended, Sent

BEATING = ServerConfig(heart_beat=HeartBeat(send_interval=0, receive_interval=1.0))
ENOUGH = 70_000  # more than a session buffers while it is held


def held(expires_at: float | None = None) -> Peer:
    peer = Peer(BEATING, verifier=Doorman(expires_at))
    peer.feed(connect(heart_beat="1000,0"))
    peer.session.hold()
    return peer


def test_B8_the_peers_beats_are_not_missed_while_nobody_listens() -> None:
    peer = held()
    peer.feed(frame("SEND", b"x" * ENOUGH, destination="/topic/a"))
    assert not peer.session.wants_read
    for second in range(1, 20):
        peer.tick(second)
    assert not peer.session.closing
    peer.session.release()
    peer.drain()
    assert isinstance(peer.events[-1], Sent)
    assert peer.session.wants_read


def test_B8_it_counts_again_once_somebody_listens() -> None:
    peer = held()
    peer.feed(frame("SEND", b"x" * ENOUGH, destination="/topic/a"))
    peer.tick(10)
    peer.session.release()
    peer.drain()
    peer.tick(12)
    peer.tick(14)
    assert peer.ended is not None
    assert peer.ended.error_code is ErrorCode.HEARTBEAT_TIMEOUT


def test_a_held_session_reads_on_up_to_a_bound() -> None:
    peer = held()
    peer.feed(frame("SEND", b"x", destination="/topic/a"))
    assert peer.session.wants_read
    assert not any(isinstance(each, Sent) for each in peer.events)


@pytest.mark.parametrize("late", [5.0, 6.0])
def test_a_held_session_expires_all_the_same(late: float) -> None:
    peer = held(NOW + 5)
    peer.feed(frame("SEND", b"x" * ENOUGH, destination="/topic/a"))
    peer.tick(late)
    assert peer.ended is not None
    assert peer.ended.error_code is ErrorCode.TOKEN_EXPIRED
    assert not any(isinstance(each, Sent) for each in peer.events)


def test_who_has_left_is_not_judged() -> None:
    peer = Peer(BEATING)
    peer.session.hold()
    peer.feed(connect())
    peer.leave()
    peer.session.release()
    peer.drain()
    assert peer.ended is not None
    assert not any(isinstance(each, ConnectRequested) for each in peer.events)


def test_a_token_of_who_has_left_does_not_hold_up_what_was_said_behind_it() -> None:
    peer = Peer(BEATING)
    peer.feed(connect())
    peer.session.accept(Identity(subject="ann", expires_at=NOW + 5), now=NOW)
    peer.session.hold()
    peer.feed(frame("SEND", b"token", destination="/auth/refresh"))
    peer.feed(frame("SEND", b"x", destination="/topic/a"))
    peer.leave()
    peer.session.release()
    peer.drain()
    assert [type(each) for each in peer.events[-2:]] == [Sent, Ended]


def test_what_is_owed_has_to_be_fetched_in_time() -> None:
    peer = opened(expires_at=None)
    peer.session.owe(True, now=NOW)
    assert peer.session.data_to_send() == []
    peer.tick(9.9)
    assert not peer.session.closing
    peer.tick(10)
    assert peer.ended is not None
    assert peer.ended.error_code is ErrorCode.SLOW_CONSUMER


def test_what_is_not_owed_any_more_bounds_nothing() -> None:
    peer = opened(expires_at=None)
    peer.session.owe(True, now=NOW)
    peer.session.owe(False, now=NOW + 9)
    assert peer.session.next_deadline() is None
