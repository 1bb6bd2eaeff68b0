"""A backlog leaves piece by piece, so that its rest can still be dropped when the token expires."""

from __future__ import annotations

from stompcore import Headers, HeartBeat, Hub, Identity, ServerConfig, Timer, Token
from stompcore._outgoing import TAKE_SIZE

NOW = 1_700_000_000.0
CONFIG = ServerConfig(heart_beat=HeartBeat(send_interval=0, receive_interval=0))


class ThreeSeconds:
    def verify(self, token: Token | None, *, headers: Headers, now: float) -> Identity:
        return Identity(subject="ann", expires_at=now + 3.0)


def test_what_the_transport_has_not_taken_is_dropped_at_the_expiry() -> None:
    hub = Hub(CONFIG, verifier=ThreeSeconds())
    session = hub.open("a", now=NOW)
    session.receive_data(
        b"CONNECT\naccept-version:1.2\n\n\0SUBSCRIBE\nid:0\ndestination:/topic/a\n\n\0", now=NOW
    )
    hub.process("a", now=NOW)
    session.data_to_send()
    for number in range(300):
        hub.publish("/topic/a", b"%03d" % number + b"x" * 1000, now=NOW + 1)
    queued = session.bytes_queued
    assert queued > 300_000

    first = session.data_to_send()
    taken = sum(map(len, first))
    assert TAKE_SIZE <= taken < TAKE_SIZE + 1200
    assert session.bytes_queued == queued - taken
    # It reads, if slowly: its time starts anew, and the bound on bytes is what counts.
    assert session.deadline_reason() is Timer.TOKEN_EXPIRY
    session.handle_timeout(now=NOW + 2)
    second = session.data_to_send()
    assert len(first) + len(second) < 300

    session.handle_timeout(now=NOW + 3)
    hub.process("a", now=NOW + 3)
    (error,) = session.data_to_send()
    assert b"\nerror-code:token-expired\n" in error
    assert session.data_to_send() == []
    assert session.bytes_queued == 0
