"""A session that does not read: while earlier work is being done, or a token is being judged."""

from __future__ import annotations

import pytest
from tests.unit.peer import NOW, Doorman, Peer, connect, frame

from stompcore import ErrorCode, HeartBeat, ServerConfig
from stompcore._events import Sent

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
