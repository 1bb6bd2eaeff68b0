"""Topics: names, patterns, who is first, and what no pattern can cost."""

from __future__ import annotations

import itertools

import pytest
from tests.unit.test_destinations import matches

from stompcore import ErrorCode, Headers, RemoteProtocolError
from stompcore._destinations import MAX_WORDS, is_pattern
from stompcore.broker import Broker, Sender


def listening(*destinations: str) -> Broker:
    """A broker with a subscription to each of these; its id is the destination."""
    broker = Broker()
    for each in destinations:
        broker.subscribe(Sender("s", "ann"), each, each)
    return broker


def hear(broker: Broker, destination: str) -> list[str]:
    return [each.subscription for each in broker.publish(destination, Headers(), b"")]


@pytest.mark.parametrize(
    ("pattern", "heard", "unheard"),
    [
        ("/topic/a.*", ["/topic/a.b", "/topic/a/b", "/topic/a."], ["/topic/a", "/topic/a.b.c"]),
        ("/topic/a.**", ["/topic/a", "/topic/a.b", "/topic/a/b.c"], ["/topic/b", "/topic/ab"]),
        ("/topic/a/#", ["/topic/a", "/topic/a.b.c"], ["/topic/b.a"]),
        ("/topic/**.z", ["/topic/z", "/topic/a.z", "/topic/z.z.z"], ["/topic/z.a"]),
        ("/topic/a.**.z", ["/topic/a.z", "/topic/a.b.c.z"], ["/topic/a", "/topic/z"]),
        ("/topic/*.*", ["/topic/a.b", "/topic/."], ["/topic/a", "/topic/a.b.c"]),
        ("/topic/**", ["/topic/a", "/topic/a.b.c"], []),
        ("/topic/**.*.**", ["/topic/a", "/topic/a.b"], []),
        ("/topic/a*", ["/topic/a*"], ["/topic/ab"]),
        ("/topic/***", ["/topic/***"], ["/topic/a"]),
    ],
)
def test_what_a_pattern_hears(pattern: str, heard: list[str], unheard: list[str]) -> None:
    broker = listening(pattern)
    for each in heard:
        assert hear(broker, each) == [pattern], each
    for each in unheard:
        assert hear(broker, each) == [], each


def test_a_name_is_exactly_itself() -> None:
    broker = listening("/topic/a.b", "/topic/a/b")
    assert hear(broker, "/topic/a.b") == ["/topic/a.b"]
    assert hear(broker, "/topic/a/b") == ["/topic/a/b"]
    assert hear(broker, "/topic/A.b") == []


def test_each_subscription_gets_one_copy_however_often_it_fits() -> None:
    broker = listening("/topic/**", "/topic/#", "/topic/**.**", "/topic/*", "/topic/a")
    heard = hear(broker, "/topic/a")
    assert sorted(heard) == sorted(set(heard))
    assert len(heard) == 5
    assert heard[0] == "/topic/a"  # names first


def test_the_order_does_not_change_from_one_message_to_the_next() -> None:
    broker = listening("/topic/*", "/topic/a", "/topic/**", "/topic/*.**")
    first = hear(broker, "/topic/a")
    assert all(hear(broker, "/topic/a") == first for _ in range(20))


@pytest.mark.parametrize("destination", ["/topic/*", "/topic/a.**", "/topic/#", "/topic/a.*.b"])
def test_a_message_is_sent_to_one_destination(destination: str) -> None:
    broker = listening("/topic/**")
    with pytest.raises(RemoteProtocolError, match="without wildcards") as caught:
        broker.publish(destination, Headers(), b"")
    assert caught.value.error_code is ErrorCode.PROTOCOL_VIOLATION


@pytest.mark.parametrize("separator", ".//")
def test_words_are_bounded_for_who_sends_and_who_listens(separator: str) -> None:
    most = "/topic/" + separator.join(["a"] * MAX_WORDS)
    broker = listening(most, "/topic/**")
    assert len(hear(broker, most)) == 2
    for act in (broker.publish, lambda to, *_: broker.subscribe(Sender("s", "ann"), "x", to)):
        with pytest.raises(RemoteProtocolError, match="words at most") as caught:
            act(most + separator + "a", Headers(), b"")
        assert (caught.value.error_code, caught.value.close_code) == (
            ErrorCode.LIMIT_EXCEEDED,
            1008,
        )
    assert len(broker) == 2


def test_hostile_patterns_cost_no_more_than_others() -> None:
    """With backtracking this would take longer than anybody can wait."""
    words = ["**", "a"] * (MAX_WORDS // 2)
    broker = listening("/topic/" + ".".join(words), "/topic/" + ".".join([*words[:-1], "b"]))
    destination = "/topic/" + ".".join(["a"] * MAX_WORDS)
    assert hear(broker, destination) == ["/topic/" + ".".join(words)]


ALL = [
    words
    for length in range(1, 5)
    for words in itertools.product(("a", "b", "*", "**"), repeat=length)
    if is_pattern(words)
]
CONCRETE = [words for length in range(1, 5) for words in itertools.product("abc", repeat=length)]


def test_hundreds_of_patterns_that_come_and_go() -> None:
    names = {"/topic/" + ".".join(words): words for words in ALL}
    assert len(names) > 300
    broker = listening(*names)
    present = dict(names)
    for step in (7, 3, 2, 1):
        for words in CONCRETE:
            heard = hear(broker, "/topic/" + "/".join(words))
            assert len(heard) == len(set(heard))
            assert set(heard) == {each for each, own in present.items() if matches(own, words)}
        for gone in list(present)[::step]:
            broker.unsubscribe("s", gone)
            del present[gone]
        if step == 3:  # places that were free are taken again
            for again in list(names)[::5]:
                if again not in present:
                    broker.subscribe(Sender("s", "ann"), again, again)
                    present[again] = names[again]
    assert not present
    assert not broker._topics._patterns  # what nobody listens to takes no memory
    assert not broker._topics._shelves
    assert not broker._topics._roomy
