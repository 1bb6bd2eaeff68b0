"""All or nothing: what a transaction or a handler asks for is looked at as a whole."""

from __future__ import annotations

from typing import Any

import pytest

from stompcore import AllowAll, HeartBeat, Hub, Limits, ServerConfig
from stompcore.handlers import Call, Handlers

NOW = 1_700_000_000.0
NO_BEATS = HeartBeat(send_interval=0, receive_interval=0)


def opened(handlers: Handlers | None = None, limits: Limits | None = None) -> Hub:
    """A hub, with one session that listens to /topic/a."""
    config = ServerConfig(heart_beat=NO_BEATS, limits=limits or Limits())
    hub = Hub(config, verifier=AllowAll(), handlers=handlers)
    hub.open("s", now=NOW)
    say(hub, "CONNECT\naccept-version:1.2\n\n\0", "SUBSCRIBE\nid:0\ndestination:/topic/a\n\n\0")
    return hub


def say(hub: Hub, *frames: str) -> bytes:
    """The frames arrive in one piece; what the session answers."""
    (session,) = hub
    session.receive_data("".join(frames).encode(), now=NOW)
    hub.process("s", now=NOW)
    return b"".join(session.data_to_send())


def send(to: str, body: str = "x") -> str:
    return f"SEND\ndestination:{to}\ntransaction:t\n\n{body}\0"


BEGIN = "BEGIN\ntransaction:t\n\n\0"
COMMIT = "COMMIT\ntransaction:t\nreceipt:r\n\n\0"


@pytest.mark.parametrize(
    ("limits", "queues"),
    [
        ({"queues": 1}, ("a", "b")),
        ({"queue_messages": 1}, ("a", "a")),
        ({"queue_size": 1500}, ("a", "a")),
        ({"queues_size": 1500}, ("a", "b")),
    ],
)
def test_a_transaction_that_does_not_fit_as_a_whole_sends_nothing(
    limits: dict[str, Any], queues: tuple[str, str]
) -> None:
    hub = opened(limits=Limits(**limits))
    answer = say(
        hub, BEGIN, send("/topic/a"), *(send(f"/queue/{q}", "x" * 1000) for q in queues), COMMIT
    )
    assert answer.startswith(b"ERROR\nmessage:Limit Exceeded\n")
    assert b"\nreceipt-id:r\n" in answer
    assert b"MESSAGE" not in answer
    assert hub.snapshot().queued_messages == 0


def test_two_answers_for_one_message_settle_nothing() -> None:
    hub = opened()
    message = say(
        hub,
        "SUBSCRIBE\nid:q\ndestination:/queue/a\nack:client-individual\n\n\0",
        "SEND\ndestination:/queue/a\n\nx\0",
    )
    ack_id = message.partition(b"\nack:")[2].partition(b"\n")[0].decode()
    answers = [f"{each}\nid:{ack_id}\ntransaction:t\n\n\0" for each in ("ACK", "NACK")]
    answer = say(hub, BEGIN, *answers, COMMIT)
    assert answer.startswith(b"ERROR\nmessage:Protocol Violation\n")
    assert hub.snapshot().queued_messages == 1


def test_a_handler_whose_messages_do_not_fit_together_sends_none() -> None:
    handlers = Handlers()

    @handlers.on("/app/go")
    def go(call: Call) -> None:
        call.publish("/topic/a", b"x")
        call.publish("/queue/a", b"1")
        call.publish("/queue/a", b"2")

    hub = opened(handlers, Limits(queue_messages=1))
    answer = say(hub, "SEND\ndestination:/app/go\nreceipt:r\n\n\0")
    assert answer.startswith(b"ERROR\n")
    assert b"MESSAGE" not in answer
    assert hub.snapshot().queued_messages == 0
