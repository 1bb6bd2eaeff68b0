"""Patterns of destinations, held against a matcher that is too simple to be wrong."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompcore import Headers
from stompcore._destinations import ANY, MANY, covers, is_pattern, split
from stompcore.broker import Broker, Sender

#: "c" stands in no pattern, and so for every word that a pattern does not name.
PLAIN = ("a", "b", "c")
PATTERN = ("a", "b", ANY, MANY)
WORDS = st.lists(st.sampled_from(PLAIN), min_size=1, max_size=6).map(tuple)
PATTERNS = st.lists(st.sampled_from(PATTERN), min_size=1, max_size=5).map(tuple)


def matches(pattern: tuple[str, ...], words: tuple[str, ...]) -> bool:
    """The definition, word by word."""
    if not pattern:
        return not words
    if pattern[0] == MANY:
        return any(matches(pattern[1:], words[count:]) for count in range(len(words) + 1))
    return bool(words) and pattern[0] in (ANY, words[0]) and matches(pattern[1:], words[1:])


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("a", ("a",)),
        ("a.b/c", ("a", "b", "c")),
        ("a..b", ("a", "", "b")),
        ("", ("",)),
        ("a.#", ("a", MANY)),
        ("#.**", (MANY, MANY)),
        ("a*.b#", ("a*", "b#")),
    ],
)
def test_words_stand_between_dots_and_slashes(path: str, words: tuple[str, ...]) -> None:
    assert split(path) == words


@pytest.mark.parametrize(
    ("path", "wild"),
    [("a.*", True), ("**", True), ("#", True), ("a*", False), ("***", False), ("a#", False)],
)
def test_a_wildcard_is_a_whole_word(path: str, wild: bool) -> None:
    assert is_pattern(split(path)) is wild


@given(PATTERNS, WORDS)
def test_a_plain_destination_is_covered_if_it_matches(
    pattern: tuple[str, ...], words: tuple[str, ...]
) -> None:
    assert covers(pattern, words) is matches(pattern, words)


CONCRETE = [words for length in range(1, 5) for words in itertools.product(PLAIN, repeat=length)]
SHORT = [words for length in range(1, 4) for words in itertools.product(PATTERN, repeat=length)]


def test_what_is_covered_lies_wholly_within() -> None:
    """By brute force: every pair of short patterns, and all that they stand for."""
    reach = {
        pattern: {index for index, words in enumerate(CONCRETE) if matches(pattern, words)}
        for pattern in SHORT
    }
    covered = 0
    for outer, inner in itertools.product(SHORT, repeat=2):
        if covers(outer, inner):
            covered += 1
            assert reach[inner] <= reach[outer], (outer, inner)
    assert covered > len(SHORT)  # each covers at least itself, and MANY covers all


@given(PATTERNS, PATTERNS, WORDS)
def test_a_yes_holds_for_longer_ones_too(
    outer: tuple[str, ...], inner: tuple[str, ...], words: tuple[str, ...]
) -> None:
    if covers(outer, inner) and matches(inner, words):
        assert matches(outer, words)


@given(PATTERNS)
def test_a_pattern_covers_itself_and_the_whole_covers_it(pattern: tuple[str, ...]) -> None:
    assert covers(pattern, pattern)
    assert covers((MANY,), pattern)


def test_one_word_does_not_cover_many() -> None:
    assert not covers((ANY,), (MANY,))
    assert not covers(("a", ANY), ("a", MANY))
    assert covers(("a", MANY), ("a", ANY))
    assert covers((MANY, "a"), (ANY, ANY, "a"))


def test_the_caller_may_say_which_words_are_the_same() -> None:
    def is_same(part: str, word: str) -> bool:
        return part.lower() == word.lower()

    assert covers(("A", MANY), ("a", "b"), is_same)
    assert not covers(("A", MANY), ("b", "a"), is_same)
    assert not covers(("A",), (ANY,), lambda part, word: part == word)


@given(st.lists(PATTERNS, max_size=8), WORDS, st.sets(st.integers(0, 7)))
def test_wildcard_subscriptions_against_the_definition(
    patterns: list[tuple[str, ...]], words: tuple[str, ...], gone: set[int]
) -> None:
    broker = Broker()
    for index, pattern in enumerate(patterns):
        broker.subscribe(Sender("s", "ann"), str(index), "/topic/" + ".".join(pattern))
    for index in gone:
        broker.unsubscribe("s", str(index))
    deliveries = broker.publish("/topic/" + "/".join(words), Headers(), b"")
    # A destination without wildcards is a name, and not only a list of words.
    expected = {
        str(index)
        for index, pattern in enumerate(patterns)
        if index not in gone
        and matches(pattern, words)
        and (is_pattern(pattern) or len(words) == 1)
    }
    assert {each.subscription for each in deliveries} == expected
    assert len(deliveries) == len(expected)
    for index in range(len(patterns)):
        broker.unsubscribe("s", str(index))
    assert not broker._topics._patterns  # what nobody listens to takes no memory
    assert not broker._topics._shelves
    assert not broker._topics._exact
