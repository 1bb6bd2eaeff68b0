from __future__ import annotations

import pytest

from stompcore._config import Limits
from stompcore._errors import ErrorCode, RemoteProtocolError
from stompcore._events import AckMode
from stompcore._headers import Headers
from stompcore._listening import Listening, ServerSubscription


def headers(**values: str) -> Headers:
    return Headers(values)


def test_known_by_its_id() -> None:
    listening = Listening(Limits())
    subscription = listening.add(headers(id="s", destination="/topic/a"))
    assert subscription == ServerSubscription("s", "s", "/topic/a", AckMode.AUTO)
    assert listening.get("s") is subscription
    assert listening.get("/topic/a") is None
    assert listening.remove(headers(id="s", destination="/topic/b")) is subscription
    assert listening.get("s") is None


def test_B12_1_0_is_known_by_its_destination_and_named_to_nobody() -> None:
    listening = Listening(Limits())
    subscription = listening.add(headers(destination="/topic/a"))
    assert subscription == ServerSubscription("/topic/a", None, "/topic/a", AckMode.AUTO)
    assert listening.remove(headers(destination="/topic/a")) is subscription


@pytest.mark.parametrize("mode", AckMode)
def test_ack_modes(mode: AckMode) -> None:
    subscription = Listening(Limits()).add(headers(id="s", destination="a", ack=mode.value))
    assert subscription.ack is mode


@pytest.mark.parametrize("mode", ["", "Auto", "AUTO", "individual", " client"])
def test_unknown_ack_mode(mode: str) -> None:
    listening = Listening(Limits())
    with pytest.raises(RemoteProtocolError, match="ack") as caught:
        listening.add(headers(id="s", destination="a", ack=mode))
    assert caught.value.error_code is ErrorCode.PROTOCOL_VIOLATION
    assert caught.value.__suppress_context__
    assert listening.get("s") is None


def test_B12_an_id_is_unique() -> None:
    listening = Listening(Limits())
    first = listening.add(headers(id="s", destination="a"))
    with pytest.raises(RemoteProtocolError, match="in use") as caught:
        listening.add(headers(id="s", destination="b"))
    assert caught.value.error_code is ErrorCode.PROTOCOL_VIOLATION
    assert listening.get("s") is first


def test_one_destination_under_two_ids() -> None:
    listening = Listening(Limits())
    one = listening.add(headers(id="1", destination="a"))
    two = listening.add(headers(id="2", destination="a"))
    assert (listening.get("1"), listening.get("2")) == (one, two)


def test_an_id_can_be_used_again() -> None:
    listening = Listening(Limits())
    listening.add(headers(id="s", destination="a"))
    listening.remove(headers(id="s"))
    assert listening.add(headers(id="s", destination="b")).destination == "b"


def test_1_0_may_name_the_destination_of_one_that_has_an_id() -> None:
    listening = Listening(Limits())
    first, second = (listening.add(headers(id=each, destination="a")) for each in "12")
    bare = listening.add(headers(destination="a"))
    for expected in (bare, first, second):
        assert listening.remove(headers(destination="a")) is expected
    assert len(listening) == 0


@pytest.mark.parametrize("wanted", [{"id": "t"}, {"destination": "s"}, {}])
def test_unsubscribe_what_is_not_there(wanted: dict[str, str]) -> None:
    listening = Listening(Limits())
    kept = listening.add(headers(id="s", destination="a"))
    with pytest.raises(RemoteProtocolError, match="no such subscription") as caught:
        listening.remove(Headers(wanted))
    assert caught.value.error_code is ErrorCode.PROTOCOL_VIOLATION
    assert listening.get("s") is kept


def test_number_is_bounded() -> None:
    listening = Listening(Limits(subscriptions=2))
    listening.add(headers(id="1", destination="a"))
    listening.add(headers(id="2", destination="a"))
    with pytest.raises(RemoteProtocolError, match="Too many") as caught:
        listening.add(headers(id="3", destination="a"))
    assert (caught.value.error_code, caught.value.close_code) == (ErrorCode.LIMIT_EXCEEDED, 1008)
    listening.remove(headers(id="1"))
    listening.add(headers(id="3", destination="a"))


def test_clear() -> None:
    listening = Listening(Limits(subscriptions=1))
    listening.add(headers(id="1", destination="a"))
    listening.clear()
    assert listening.get("1") is None
    listening.add(headers(id="1", destination="a"))
