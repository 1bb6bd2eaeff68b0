"""Many sessions and one broker, without a socket."""

from __future__ import annotations

import pytest

from stompcore import (
    AllowAll,
    ConnectRequested,
    Ended,
    ErrorCode,
    Headers,
    HeartBeat,
    Hub,
    Identity,
    Limits,
    LocalProtocolError,
    Rejected,
    ServerConfig,
    ServerSession,
    Token,
)

NOW = 1_700_000_000.0
TOPIC = "/topic/a"
CONFIG = ServerConfig(heart_beat=HeartBeat(send_interval=0, receive_interval=0))


class LiveFor:
    """Everybody is who their login says, for `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def verify(self, token: Token | None, *, headers: Headers, now: float) -> Identity:
        return Identity(subject=headers["login"], expires_at=now + self.seconds)


def connect(hub: Hub, name: str, *, now: float = NOW) -> ServerSession:
    session = hub.open(name, now=now)
    feed(hub, name, f"CONNECT\naccept-version:1.2\nlogin:{name}\n\n\0", now=now)
    session.data_to_send()
    return session


def feed(hub: Hub, name: str, data: str, *, now: float = NOW) -> set[str]:
    session = next(each for each in hub if each.session_id == name)
    session.receive_data(data.encode(), now=now)
    return hub.process(name, now=now)


def subscribe(hub: Hub, name: str, destination: str = TOPIC) -> None:
    feed(hub, name, f"SUBSCRIBE\nid:0\ndestination:{destination}\n\n\0")


def send(text: str, destination: str = TOPIC, receipt: str = "") -> str:
    header = f"receipt:{receipt}\n" if receipt else ""
    return f"SEND\ndestination:{destination}\n{header}\n{text}\0"


def written(session: ServerSession) -> bytes:
    return b"".join(session.data_to_send())


def test_fan_out_names_whom_it_reached() -> None:
    hub = Hub(CONFIG, verifier=AllowAll())
    sessions = {name: connect(hub, name) for name in ("a", "b", "c")}
    subscribe(hub, "a")
    subscribe(hub, "b")
    assert feed(hub, "c", send("hello", receipt="r")) == {"a", "b", "c"}
    for name in ("a", "b"):
        assert written(sessions[name]).endswith(b"\n\nhello\0")
    assert written(sessions["c"]) == b"RECEIPT\nreceipt-id:r\n\n\0"
    assert feed(hub, "c", "\n") == {"c"}


def test_order_per_publisher_and_receipts_after_the_work() -> None:
    hub = Hub(CONFIG, verifier=AllowAll())
    sessions = {name: connect(hub, name) for name in ("a", "b")}
    subscribe(hub, "a")
    feed(hub, "b", "".join(send(str(number), receipt=str(number)) for number in range(50)))
    bodies = [chunk[-3:-1].strip() for chunk in sessions["a"].data_to_send()]
    assert bodies == [str(number).encode() for number in range(50)]
    receipts = [chunk.split(b":")[1].split(b"\n")[0] for chunk in sessions["b"].data_to_send()]
    assert receipts == bodies


def test_unsubscribed_is_silent() -> None:
    hub = Hub(CONFIG, verifier=AllowAll())
    a = connect(hub, "a")
    subscribe(hub, "a")
    feed(hub, "a", "UNSUBSCRIBE\nid:0\nreceipt:u\n\n\0" + send("nobody hears"))
    assert written(a) == b"RECEIPT\nreceipt-id:u\n\n\0"


@pytest.mark.parametrize("frame", ["SUBSCRIBE\nid:9\nreceipt:r\ndestination:{}\n\n\0", "{}"])
def test_a_destination_that_is_not_served(frame: str) -> None:
    hub = Hub(CONFIG, verifier=AllowAll())
    a, b = connect(hub, "a"), connect(hub, "b")
    subscribe(hub, "b")
    data = send("x", "/cue/q", "r") if frame == "{}" else frame.format("/cue/q")
    feed(hub, "a", data + send("behind the mistake"))
    error = written(a)
    assert b"\nerror-code:protocol-violation\nreceipt-id:r\n" in error
    assert error.count(b"\0") == 1  # never RECEIPT and ERROR both, nothing behind it
    assert written(b) == b""
    assert [each.session_id for each in hub] == ["b"]


def test_who_has_ended_is_forgotten_at_once() -> None:
    hub = Hub(CONFIG, verifier=AllowAll())
    a, _ = connect(hub, "a"), connect(hub, "b")
    subscribe(hub, "a")
    a.end(ErrorCode.GOING_AWAY, now=NOW)
    hub.process("a", now=NOW)
    assert not a.closed  # still being drained
    written(a)
    assert feed(hub, "b", send("too late")) == {"b"}
    assert written(a) == b""
    assert len(hub.broker) == 0
    assert hub.process("a", now=NOW) == {"a"}


def test_a_delivery_that_finds_its_session_expired() -> None:
    """The outbound check: the recipient's own timer has not been looked at yet."""
    verifier = LiveFor(3.0)
    hub = Hub(CONFIG, verifier=verifier)
    listener = connect(hub, "listener")
    verifier.seconds = 60.0
    connect(hub, "talker")
    subscribe(hub, "listener")
    while hub.next_notice():
        pass
    feed(hub, "talker", send("in time"))  # queued, not written yet
    assert feed(hub, "talker", send("too late"), now=NOW + 3.0) == {"listener", "talker"}
    left = written(listener)
    assert b"\nerror-code:token-expired\n" in left
    assert b"in time" not in left
    assert b"too late" not in left
    notice = hub.next_notice()
    assert notice is not None
    assert isinstance(notice.event, Ended)
    assert (notice.session_id, notice.subject) == ("listener", "listener")
    assert notice.event.error_code is ErrorCode.TOKEN_EXPIRED
    assert len(hub) == 1


def test_a_slow_reader_harms_only_itself() -> None:
    config = ServerConfig(limits=Limits(send_backlog=2000), heart_beat=CONFIG.heart_beat)
    hub = Hub(config, verifier=AllowAll())
    slow, quick = connect(hub, "slow"), connect(hub, "quick")
    subscribe(hub, "slow")
    subscribe(hub, "quick")
    got = b""
    for _ in range(10):
        feed(hub, "quick", send("x" * 500))
        got += written(quick)
    assert slow.error is ErrorCode.SLOW_CONSUMER
    assert got.count(b"MESSAGE\n") == 10
    assert [each.session_id for each in hub] == ["quick"]


def test_the_server_publishes() -> None:
    verifier = LiveFor(3.0)
    hub = Hub(CONFIG, verifier=verifier)
    a = connect(hub, "a")
    subscribe(hub, "a")
    assert hub.publish(TOPIC, b"news", {"colour": "red"}, now=NOW) == {"a"}
    assert b"\ncolour:red\n" in written(a)
    with pytest.raises(LocalProtocolError):
        hub.publish("/cue/q", b"news", now=NOW)
    assert hub.publish(TOPIC, b"too late", now=NOW + 3.0) == {"a"}
    assert b"too late" not in written(a)
    assert len(hub) == 0


def test_everybody_is_told_that_it_is_over() -> None:
    hub = Hub(CONFIG, verifier=AllowAll())
    sessions = [connect(hub, name) for name in ("a", "b")]
    sessions.append(hub.open("not logged in", now=NOW))
    assert hub.end_all(now=NOW) == {"a", "b", "not logged in"}
    for session in sessions:
        assert b"\nerror-code:going-away\n" in written(session)
    assert len(hub) == 0


def test_an_id_is_used_once() -> None:
    hub = Hub(CONFIG, verifier=AllowAll())
    hub.open("a", now=NOW)
    with pytest.raises(LocalProtocolError):
        hub.open("a", now=NOW)
    assert len(hub) == 1


def test_without_a_verifier_the_owner_is_asked() -> None:
    hub = Hub(CONFIG)
    session = hub.open("a", now=NOW)
    feed(hub, "a", "CONNECT\naccept-version:1.2\npasscode:secret\n\n\0" + send("x", receipt="r"))
    notice = hub.next_notice()
    assert notice is not None
    assert isinstance(notice.event, ConnectRequested)
    assert "secret" not in repr(notice)
    assert notice.subject is None
    session.accept(Identity(subject="ann", expires_at=None), now=NOW + 1)
    hub.process("a", now=NOW + 1)
    assert b"receipt-id:r" in written(session)
    assert hub.next_notice() is not None

    other = hub.open("b", now=NOW)
    feed(hub, "b", "CONNECT\naccept-version:1.2\n\n\0")
    other.reject(Rejected(ErrorCode.TOKEN_MISSING), now=NOW)
    hub.process("b", now=NOW)
    assert b"\nerror-code:token-missing\n" in written(other)
    assert len(hub) == 1


def test_transactions_and_acks_pass_through() -> None:
    hub = Hub(CONFIG, verifier=AllowAll())
    a = connect(hub, "a")
    subscribe(hub, "a")
    feed(
        hub,
        "a",
        "BEGIN\ntransaction:t\n\n\0SEND\ndestination:/topic/a\ntransaction:t\n\nheld\0"
        "ACK\nid:1/0\n\n\0NACK\nid:2/0\ntransaction:t\n\n\0",
    )
    assert written(a) == b""
    feed(hub, "a", "COMMIT\ntransaction:t\nreceipt:c\n\n\0")
    message, receipt = [chunk for chunk in written(a).split(b"\0") if chunk]
    assert receipt == b"RECEIPT\nreceipt-id:c\n\n"
    assert message.startswith(b"MESSAGE\nsubscription:0\n")
    assert message.endswith(b"\n\nheld")
