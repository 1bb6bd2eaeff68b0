"""Client rules 5 and 7: subscriptions outlive connections, acknowledgements do not."""

from __future__ import annotations

import pytest
from tests.unit.client_player import EXPIRED, Player, commands, headers, message

from stompcore._errors import ClientClosed, LocalProtocolError, StaleEpoch, SubscriptionRefused
from stompcore._events import (
    AckMode,
    ConnectionEnded,
    Delivered,
    Outcome,
    Resubscribed,
    SubscriptionActive,
    SubscriptionEnded,
)
from stompcore._frames import Command, Frame
from stompcore._headers import Version


def subscribe(play: Player, *destinations: str) -> list[str]:
    ids = [play.client.subscribe(each, now=play.now) for each in destinations]
    play.drain()
    return ids


# --- SUBSCRIBE --------------------------------------------------------------------------------


def test_subscribe_asks_for_a_receipt_and_is_active_with_it() -> None:
    play = Player(has_token=False)
    play.connect()
    id = play.client.subscribe(
        "/a", ack=AckMode.CLIENT_INDIVIDUAL, headers={"x": "y"}, now=play.now
    )
    (frame,) = play.written()
    assert frame == Frame(
        Command.SUBSCRIBE,
        {
            "id": id,
            "destination": "/a",
            "ack": "client-individual",
            "receipt": f"subscribe-1-{id}",
            "x": "y",
        },
    )
    assert play.all(SubscriptionActive) == []
    play.receipt(f"subscribe-1-{id}")
    play.receipt(f"subscribe-1-{id}")
    assert play.all(SubscriptionActive) == [SubscriptionActive(subscription=id, epoch=1)]


@pytest.mark.parametrize("name", ["id", "destination", "ack", "receipt", "content-length"])
def test_a_header_that_is_the_clients_own_is_refused_at_once(name: str) -> None:
    play = Player(has_token=False)
    play.connect()
    with pytest.raises(LocalProtocolError, match=f"the header {name} is"):
        play.client.subscribe("/a", headers={name: "x"}, now=play.now)
    assert play.written() == []


def test_everything_is_subscribed_again_in_order_with_the_same_ids() -> None:
    play = Player(has_token=False)
    before = subscribe(play, "/c", "/a")  # before the start, too
    play.connect()
    ids = before + subscribe(play, "/b", "/a")
    assert len(set(ids)) == 4
    play.written()
    for epoch in (2, 3, 4):
        play.lose()
        frames = play.connect()
        assert commands(frames) == [Command.SUBSCRIBE] * 4
        assert headers(frames, "id") == ids
        assert headers(frames, "destination") == ["/c", "/a", "/b", "/a"]
        assert headers(frames, "receipt") == [f"subscribe-{epoch}-{id}" for id in ids]
        assert play.last(Resubscribed).epoch == epoch
        assert play.last(Resubscribed).subscriptions == tuple(ids)
        assert play.last(Resubscribed).version is Version.V1_2
    assert play.all(SubscriptionEnded) == []


def test_subscriptions_come_before_queued_messages() -> None:
    play = Player(has_token=False)
    play.send("first")
    subscribe(play, "/a", "/b")
    assert commands(play.connect()) == [Command.SUBSCRIBE, Command.SUBSCRIBE, Command.SEND]


def test_after_a_reconnect_only_its_own_receipts_count() -> None:
    play = Player(has_token=False)
    play.connect()
    (id,) = subscribe(play, "/a")
    play.receipt(f"subscribe-1-{id}")
    play.lose()
    play.connect()
    play.receipt(f"subscribe-1-{id}")
    assert len(play.all(SubscriptionActive)) == 1
    play.receipt(f"subscribe-2-{id}")
    assert play.last(SubscriptionActive) == SubscriptionActive(subscription=id, epoch=2)


def test_a_receipt_for_nobody_means_nothing() -> None:
    play = Player(has_token=False)
    play.connect()
    (id,) = subscribe(play, "/a")
    play.forget()
    for receipt in ("subscribe-1-9", f"subscribe-2-{id}", id, "x"):
        play.receipt(receipt)
    assert play.events == []


# --- callables --------------------------------------------------------------------------------


def test_callables_are_evaluated_afresh_at_every_subscription() -> None:
    play = Player(has_token=False)
    count = iter(range(1, 10))
    play.client.subscribe("/a", headers={"x": lambda: f"n{next(count)}", "y": "z"}, now=play.now)
    seen = headers(play.connect(), "x")
    for _ in range(2):
        play.lose()
        seen += headers(play.connect(), "x")
    assert seen == ["n1", "n2", "n3"]


def fails() -> str:
    raise RuntimeError("s3cret")


def gives_no_string() -> str:
    return None  # type: ignore[return-value]


@pytest.mark.parametrize("value", [fails, gives_no_string, lambda: "a\0b"])
@pytest.mark.parametrize("is_connected", [False, True])
def test_a_callable_that_fails_ends_its_subscription_alone(
    value: object, is_connected: bool
) -> None:
    play = Player(has_token=False)
    if is_connected:
        play.connect()
    broken = play.client.subscribe("/a", headers={"x": value}, now=play.now)  # type: ignore[dict-item]
    (good,) = subscribe(play, "/b")
    frames = play.written() if is_connected else play.connect()
    assert headers(frames, "id") == [good]
    (ended,) = play.all(SubscriptionEnded)
    assert ended.subscription == broken
    assert isinstance(ended.error, LocalProtocolError)
    assert "s3cret" not in str(ended.error)
    assert is_connected or play.last(Resubscribed).subscriptions == (good,)


# --- refused ----------------------------------------------------------------------------------


def refusal(receipt: str, code: str = "access-denied") -> bytes:
    head = f"ERROR\nmessage:Access Denied\nerror-code:{code}\nreceipt-id:{receipt}\n\n"
    return head.encode() + b"\0"


def test_a_refused_subscription_is_reported_and_the_others_live_on() -> None:
    play = Player()
    play.connect()
    ids = subscribe(play, "/a", "/secret", "/b")
    play.written()
    play.hear(refusal(f"subscribe-1-{ids[1]}"))
    (ended,) = play.all(SubscriptionEnded)
    assert ended.subscription == ids[1]
    assert isinstance(ended.error, SubscriptionRefused)
    assert (ended.error.error_code, ended.error.message) == ("access-denied", "Access Denied")
    assert play.last(ConnectionEnded).outcome is Outcome.RETRY
    assert headers(play.connect(), "id") == [ids[0], ids[2]]


def test_a_subscription_that_is_refused_at_the_reconnect_is_reported_too() -> None:
    play = Player()
    play.connect()
    ids = subscribe(play, "/a", "/b")
    play.receipt(f"subscribe-1-{ids[0]}")
    play.lose()
    play.connect()
    play.hear(refusal(f"subscribe-2-{ids[0]}"))
    assert [each.subscription for each in play.all(SubscriptionEnded)] == [ids[0]]
    assert headers(play.connect(), "id") == [ids[1]]


def test_a_token_that_is_refused_blames_no_subscription() -> None:
    play = Player()
    play.connect()
    (id,) = subscribe(play, "/a")
    play.written()
    play.wait(60)
    play.hear(refusal(f"subscribe-1-{id}", "token-expired"))
    assert play.all(SubscriptionEnded) == []
    assert headers(play.connect(), "id") == [id]


# --- UNSUBSCRIBE ------------------------------------------------------------------------------


def test_unsubscribe_ends_it_for_good() -> None:
    play = Player(has_token=False)
    play.connect()
    first, second = subscribe(play, "/a", "/b")
    play.written()
    play.client.unsubscribe(first, now=play.now)
    play.drain()
    assert play.written() == [Frame(Command.UNSUBSCRIBE, {"id": first})]
    assert play.all(SubscriptionEnded) == [SubscriptionEnded(subscription=first, error=None)]
    play.lose()
    assert headers(play.connect(), "id") == [second]


def test_unsubscribe_twice_and_of_nothing_and_when_stopped() -> None:
    play = Player(has_token=False)
    play.connect()
    (id,) = subscribe(play, "/a")
    play.written()
    for each in (id, id, "", "99"):
        play.client.unsubscribe(each, now=play.now)
    assert commands(play.written()) == [Command.UNSUBSCRIBE]
    play.client.abort(now=play.now)
    play.client.unsubscribe(id, now=play.now)
    play.drain()
    assert len(play.all(SubscriptionEnded)) == 1


def test_unsubscribe_without_a_connection_says_nothing() -> None:
    play = Player(has_token=False)
    play.connect()
    (id,) = subscribe(play, "/a")
    play.lose()
    play.client.unsubscribe(id, now=play.now)
    assert play.connect() == []


def test_an_id_is_never_used_again() -> None:
    play = Player(has_token=False)
    play.connect()
    ids = []
    for _ in range(3):
        ids += subscribe(play, "/a")
        play.client.unsubscribe(ids[-1], now=play.now)
    assert len(set(ids)) == 3


# --- messages ---------------------------------------------------------------------------------


def test_a_message_that_comes_before_the_receipt_is_delivered() -> None:
    play = Player(has_token=False)
    play.connect()
    (id,) = subscribe(play, "/a")
    play.hear(message(id, "early"))
    (delivered,) = play.all(Delivered)
    assert (delivered.subscription, delivered.epoch) == (id, 1)
    assert delivered.frame.body == b"early"


def test_what_was_under_way_when_we_unsubscribed_is_nobodys() -> None:
    play = Player(has_token=False)
    play.connect()
    (id,) = subscribe(play, "/a")
    play.client.unsubscribe(id, now=play.now)
    play.hear(message(id) + message("99"))
    assert play.all(Delivered) == []


# --- acknowledgements -------------------------------------------------------------------------

ACKS = {
    "1.2": {"id": "ack-1"},
    "1.1": {"message-id": "m-1", "subscription": "1"},
    "1.0": {"message-id": "m-1", "subscription": "1"},
}


@pytest.mark.parametrize("version", ACKS)
def test_an_ack_names_the_message_as_the_version_does(version: str) -> None:
    play = Player(has_token=False)
    play.start()
    play.dial()
    play.accept(version)
    (id,) = subscribe(play, "/a")
    play.written()
    play.hear(message(id, ack="ack-1"))
    delivered = play.last(Delivered)
    play.client.ack(delivered, now=play.now)
    assert play.written() == [Frame(Command.ACK, ACKS[version])]
    if version != "1.0":
        play.client.nack(delivered, now=play.now)
        assert play.written() == [Frame(Command.NACK, ACKS[version])]


@pytest.mark.parametrize("when", ["lost", "connecting", "connected again", "error", "stopped"])
def test_an_ack_of_an_older_epoch_is_refused_and_never_a_frame(when: str) -> None:
    play = Player()
    play.connect(awaits_close=True)
    (id,) = subscribe(play, "/a")
    play.written()
    play.wait(60)
    play.hear(message(id, ack="ack-1"))
    delivered = play.last(Delivered)
    match when:
        case "error":
            play.hear(EXPIRED)  # its close has not come yet
        case "stopped":
            play.client.abort(now=play.now)
        case _:
            play.lose()
    if when == "connecting":
        play.connect()
        play.lose()
    elif when == "connected again":
        play.connect()
    for acknowledge in (play.client.ack, play.client.nack):
        with pytest.raises(StaleEpoch):
            acknowledge(delivered, now=play.now)
    assert play.written() == []


def test_no_acks_behind_disconnect() -> None:
    play = Player(has_token=False)
    play.connect()
    (id,) = subscribe(play, "/a")
    play.client.close(now=play.now)
    play.hear(message(id, ack="ack-1"))
    delivered = play.last(Delivered)  # it came while we were still listening
    with pytest.raises(StaleEpoch):
        play.client.ack(delivered, now=play.now)


# --- the end ----------------------------------------------------------------------------------


def test_a_stop_ends_every_subscription_before_stopped() -> None:
    play = Player(has_token=False)
    play.connect()
    ids = subscribe(play, "/a", "/b")
    play.client.abort(now=play.now)
    play.drain()
    assert play.all(SubscriptionEnded) == [
        SubscriptionEnded(subscription=id, error=None) for id in ids
    ]
    assert play.names()[-1] == "Stopped"
    with pytest.raises(ClientClosed):
        play.client.subscribe("/a", now=play.now)
