"""A session that is closing in peace, and an operator who ends its user all the same."""

from __future__ import annotations

import pytest
from tests.unit.peer import NOW, Doorman, config, connect, frame

from stompcore import Hub


def leaving() -> tuple[Hub, bytes]:
    """A listener that has said DISCONNECT with a MESSAGE still queued, and what it would read."""
    hub = Hub(config(), verifier=Doorman())
    session = hub.open("s", now=NOW)
    session.receive_data(connect() + frame("SUBSCRIBE", id="0", destination="/topic/a"), now=NOW)
    hub.process("s", now=NOW)
    session.data_to_send()
    hub.publish("/topic/a", b"secret", now=NOW)
    session.receive_data(frame("DISCONNECT", receipt="bye"), now=NOW)
    hub.process("s", now=NOW)
    assert len(hub) == 0
    return hub, b"RECEIPT\nreceipt-id:bye\n\n\0"


@pytest.mark.parametrize("name", ["session_id", "subject"])
@pytest.mark.parametrize("act", ["revoke", "expire"])
def test_nothing_more_leaves_for_who_is_ended_while_leaving(name: str, act: str) -> None:
    hub, receipt = leaving()
    session = hub._leaving["s"]
    getattr(hub, act)(**{name: "s" if name == "session_id" else "ann"}, now=NOW)
    assert b"".join(session.data_to_send()) == receipt


def test_what_was_queued_leaves_otherwise() -> None:
    hub, receipt = leaving()
    session = hub._leaving["s"]
    hub.revoke(subject="somebody else", now=NOW)
    written = b"".join(session.data_to_send())
    assert b"\n\nsecret\0" in written
    assert written.endswith(receipt)
