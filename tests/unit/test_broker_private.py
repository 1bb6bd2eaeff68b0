"""A user's own destinations and the temporary ones: who hears what, and who never does."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompcore import ErrorCode, Headers, RemoteProtocolError
from stompcore.broker import Broker, Delivery, Sender

ANN, BOB = Sender("a1", "ann"), Sender("b1", "bob")
NONE = Headers()


def listening(*listeners: tuple[Sender, str]) -> Broker:
    """A broker to which these listen, their subscriptions counted from 0."""
    broker = Broker(reply_key=b"secret")
    for index, (sender, destination) in enumerate(listeners):
        broker.subscribe(sender, str(index), destination)
    return broker


def who(deliveries: list[Delivery]) -> list[str]:
    return [each.session_id for each in deliveries]


# --- /user ----------------------------------------------------------------------------------------


def test_a_message_reaches_each_session_of_its_user() -> None:
    other = Sender("a2", "ann")
    broker = listening(*((each, "/user/queue/x") for each in (ANN, BOB, other)))
    deliveries = broker.publish("/user/ann/queue/x", NONE, b"hi", sender=BOB)
    assert who(deliveries) == ["a1", "a2"]
    assert deliveries[0].message.destination == "/user/queue/x"
    assert who(broker.publish("/user/ann/queue/x", NONE, b"")) == ["a1", "a2"]
    assert broker.publish("/user/ann/queue/y", NONE, b"", sender=BOB) == []
    assert broker.publish("/user/eve/queue/x", NONE, b"", sender=BOB) == []


def test_to_one_s_own_name_it_reaches_the_sending_session_alone() -> None:
    other = Sender("a2", "ann")
    broker = listening((ANN, "/user/queue/x"), (other, "/user/queue/x"), (ANN, "/user/queue/x"))
    deliveries = broker.publish("/user/ann/queue/x", NONE, b"", sender=ANN)
    assert [each[:2] for each in deliveries] == [("a1", "0"), ("a1", "2")]
    deaf = Sender("a3", "ann")
    assert broker.publish("/user/ann/queue/x", NONE, b"", sender=deaf) == []


@pytest.mark.parametrize("name", ["/user/bob/queue/x", "/user/bob", "/user/bob/bob/queue/x"])
def test_a_guessed_name_hears_nothing_of_another_user(name: str) -> None:
    broker = listening((BOB, "/user/queue/x"), (ANN, name))
    assert who(broker.publish("/user/bob/queue/x", NONE, b"", sender=BOB)) == ["b1"]
    assert who(broker.publish("/user/bob/queue/x", NONE, b"", sender=Sender("e", "eve"))) == ["b1"]


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("john.doe", "john.doe"),
        ("john.doe", "john%2Edoe"),
        ("a/b", "a%2Fb"),
        ("a/b", "a%2fb"),
        ("*", "*"),
        ("*", "%2A"),
        ("#", "%23"),
        ("zoë", "zo%C3%AB"),
        ("zoë", "zoë"),
        ("a b", "a%20b"),
        ("a+b", "a+b"),
        ("50%", "50%25"),
        ("%2F", "%252F"),
        ("a\nb", "a%0Ab"),
    ],
)
def test_a_name_is_percent_encoded(subject: str, name: str) -> None:
    broker = listening((Sender("s", subject), "/user/queue/x"), (ANN, "/user/queue/x"))
    assert who(broker.publish(f"/user/{name}/queue/x", NONE, b"", sender=BOB)) == ["s"]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_any_name_can_be_written(subject: str) -> None:
    broker = listening((Sender("s", subject), "/user/queue/x"))
    destination = f"/user/{quote(subject, safe='')}/queue/x"
    assert who(broker.publish(destination, NONE, b"", sender=Sender("t", subject + "!"))) == ["s"]


@pytest.mark.parametrize(
    "destination",
    [
        *("/user/", "/user/ann", "/user/ann/", "/user//queue/x"),
        *("/user/a%/q", "/user/a%2/q", "/user/%FF/q"),
    ],
)
def test_a_user_s_destination_that_is_none(destination: str) -> None:
    broker = listening()
    with pytest.raises(RemoteProtocolError) as caught:
        broker.publish(destination, NONE, b"")
    assert caught.value.error_code is ErrorCode.PROTOCOL_VIOLATION


@pytest.mark.parametrize(
    "destination", ["/user/", "/user/*", "/user/queue/**", "/user/#", "/user/a.*"]
)
def test_nobody_listens_to_many_of_them(destination: str) -> None:
    broker = listening()
    with pytest.raises(RemoteProtocolError, match="without wildcards"):
        broker.subscribe(ANN, "0", destination)
    assert len(broker) == 0


def test_they_keep_nothing() -> None:
    broker = listening()
    assert broker.publish("/user/ann/queue/x", NONE, b"too early") == []
    broker.subscribe(ANN, "0", "/user/queue/x")
    assert (broker.next_delivery(), broker.queued_messages) == (None, 0)


def test_who_has_left_takes_no_memory() -> None:
    broker = listening((ANN, "/user/queue/x"), (ANN, "/temp-queue/x"))
    broker.unsubscribe("a1", "0")
    assert broker.publish("/user/ann/queue/x", NONE, b"") == []
    broker.drop("a1")
    assert not broker._users._listeners
    assert not broker._temporaries._by_address


# --- wildcards see none of it ---------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["**", "#", "*.*", "*", "user.**"])
def test_a_wildcard_sees_nothing_but_topics(pattern: str) -> None:
    broker = listening((BOB, f"/topic/{pattern}"), (ANN, "/user/queue/x"), (ANN, "/temp-queue/x"))
    for destination in ("/user/ann/queue/x", "/user/bob/x", "/queue/x", address(broker, ANN)):
        deliveries = broker.publish(destination, NONE, b"", sender=ANN)
        assert "b1" not in who(deliveries)
    assert broker.next_delivery() is None


# --- temporary destinations and replies -----------------------------------------------------------


def address(broker: Broker, sender: Sender, name: str = "/temp-queue/x") -> str:
    """Where replies go to, as another session is told."""
    teller = Sender("listener", "listener")
    broker.subscribe(teller, "t", "/topic/ask")
    *_, delivery = broker.publish("/topic/ask", Headers({"reply-to": name}), b"", sender=sender)
    broker.unsubscribe("listener", "t")
    return delivery.message.headers["reply-to"]


def test_a_reply_finds_its_way() -> None:
    broker = listening((ANN, "/temp-queue/x"))
    reply_to = address(broker, ANN)
    assert reply_to.startswith("/reply/")
    (delivery,) = broker.publish(reply_to, Headers({"correlation-id": "7"}), b"yes", sender=BOB)
    assert delivery[:2] == ("a1", "0")
    assert delivery.message.destination == "/temp-queue/x"
    assert dict(delivery.message.headers) == {"correlation-id": "7"}


def test_each_session_and_each_name_has_an_address_of_its_own() -> None:
    second = Sender("a2", "ann")
    listeners = [(ANN, "/temp-queue/x"), (ANN, "/temp-queue/y"), (second, "/temp-queue/x")]
    broker = listening(*listeners)
    addresses = {address(broker, *each) for each in listeners}
    assert len(addresses) == 3
    for each in addresses:
        assert len(each.removeprefix("/reply/")) == 32  # 128 bits


def test_an_address_cannot_be_made_without_the_key() -> None:
    made = set()
    for key in (b"one", b"two"):
        broker = Broker(reply_key=key)
        broker.subscribe(ANN, "0", "/temp-queue/x")
        made.add(address(broker, ANN))
    assert len(made) == 2


@pytest.mark.parametrize(
    "name", ["/reply/", "/reply/" + "0" * 32, "/reply/x", "/reply//temp-queue/x"]
)
def test_a_dead_address_drops(name: str) -> None:
    broker = listening((ANN, "/temp-queue/x"))
    assert broker.publish(name, NONE, b"", sender=BOB) == []
    assert broker.dropped == 1


def test_an_address_dies_with_its_listener() -> None:
    broker = listening((ANN, "/temp-queue/x"))
    reply_to = address(broker, ANN)
    broker.drop("a1")
    assert broker.publish(reply_to, NONE, b"", sender=BOB) == []
    assert broker.dropped == 1
    with pytest.raises(RemoteProtocolError, match="Subscribe to"):
        broker.publish("/topic/a", Headers({"reply-to": "/temp-queue/x"}), b"", sender=ANN)


@pytest.mark.parametrize("destination", ["/temp-queue/x", "/temp-queue/"])
def test_nobody_sends_to_a_temporary_name(destination: str) -> None:
    broker = listening((ANN, "/temp-queue/x"))
    with pytest.raises(RemoteProtocolError):
        broker.publish(destination, NONE, b"", sender=ANN)


def test_nobody_listens_to_an_address() -> None:
    broker = listening((ANN, "/temp-queue/x"))
    for destination in (address(broker, ANN), "/reply/**", "/temp-queue/"):
        with pytest.raises(RemoteProtocolError):
            broker.subscribe(BOB, "0", destination)
    assert len(broker) == 1


def test_a_session_listens_to_a_temporary_name_once() -> None:
    broker = listening((ANN, "/temp-queue/x"), (BOB, "/temp-queue/x"))
    with pytest.raises(RemoteProtocolError, match="already"):
        broker.subscribe(ANN, "9", "/temp-queue/x")
    broker.unsubscribe("a1", "0")
    broker.subscribe(ANN, "9", "/temp-queue/x")


def test_a_reply_to_that_is_not_one_s_own_is_refused_before_anything_is_sent() -> None:
    broker = listening((ANN, "/temp-queue/x"), (BOB, "/topic/a"))
    for name in ("reply-to", " reply-to", "reply-to "):
        for to in ("/topic/a", "/queue/a"):
            with pytest.raises(RemoteProtocolError, match="Subscribe to") as caught:
                broker.publish(to, Headers({name: "/temp-queue/x"}), b"", sender=BOB)
            assert caught.value.error_code is ErrorCode.PROTOCOL_VIOLATION
            with pytest.raises(RemoteProtocolError, match="Subscribe to"):
                broker.check([(to, Headers({name: "/temp-queue/x"}), b"")], sender=BOB)
    assert broker.queued_messages == 0


@pytest.mark.parametrize("value", ["/topic/answers", "/user/queue/x", "anything", ""])
def test_any_other_reply_to_goes_along_as_it_is(value: str) -> None:
    broker = listening((BOB, "/topic/a"))
    headers = Headers({"reply-to": value})
    (delivery,) = broker.publish("/topic/a", headers, b"", sender=ANN)
    assert delivery.message.headers["reply-to"] == value
    assert broker.reply_address("a1", headers) is headers


def test_a_handler_sees_the_address_too() -> None:
    broker = listening((ANN, "/temp-queue/x"))
    headers = broker.reply_address("a1", Headers({"reply-to": "/temp-queue/x", "a": "b"}))
    assert headers["reply-to"] == address(broker, ANN)
    assert headers["a"] == "b"
    with pytest.raises(RemoteProtocolError, match="Subscribe to"):
        broker.reply_address("b1", Headers({"reply-to": "/temp-queue/x"}))


def test_a_queued_message_has_its_address() -> None:
    broker = listening((ANN, "/temp-queue/x"))
    broker.publish("/queue/work", Headers({"reply-to": "/temp-queue/x"}), b"", sender=ANN)
    broker.subscribe(BOB, "w", "/queue/work")
    delivery = broker.next_delivery()
    assert delivery is not None
    reply_to = delivery.message.headers["reply-to"]
    assert who(broker.publish(reply_to, NONE, b"", sender=BOB)) == ["a1"]


def test_a_server_without_a_key_has_none() -> None:
    broker = Broker()
    with pytest.raises(RemoteProtocolError, match="no temporary destinations"):
        broker.subscribe(ANN, "0", "/temp-queue/x")
    with pytest.raises(RemoteProtocolError, match="no temporary destinations"):
        broker.publish("/topic/a", Headers({"reply-to": "/temp-queue/x"}), b"", sender=ANN)
    assert len(broker) == 0
