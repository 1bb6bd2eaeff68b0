"""The memory of keys: what it knows, for how long, and how many."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompcore import Headers, Limits, ServerConfig
from stompcore._duplicates import MAX_KEY_SIZE, Duplicates

NOW = 1_700_000_000.0


def memory(window: float = 10.0, each: int = 3, overall: int = 5) -> Duplicates:
    limits = Limits(message_keys=each, all_message_keys=overall)
    return Duplicates(ServerConfig(duplicate_window=window, limits=limits))


def known(made: Duplicates, *keys: str, subject: str = "ann", now: float = NOW) -> list[str]:
    return [key for key in keys if made.is_known(subject, key, now=now)]


def remember(made: Duplicates, *keys: str, subject: str = "ann", now: float = NOW) -> None:
    for key in keys:
        made.remember(subject, key, now=now)


def test_what_was_done_is_known_to_its_subject_alone() -> None:
    made = memory()
    assert known(made, "k") == []
    remember(made, "k")
    assert known(made, "k", "l") == ["k"]
    assert known(made, "k", subject="bob") == []
    assert len(made) == 1


def test_the_defaults_are_those_of_a_server() -> None:
    made = Duplicates()
    remember(made, "k")
    assert known(made, "k", now=NOW + 299.9) == ["k"]
    assert known(made, "k", now=NOW + 300) == []


def test_a_key_is_forgotten_at_the_end_of_its_window() -> None:
    made = memory(window=10.0)
    remember(made, "k")
    remember(made, "l", now=NOW + 5)
    assert known(made, "k", "l", now=NOW + 9.9) == ["k", "l"]
    assert known(made, "k", "l", now=NOW + 10) == ["l"]
    assert len(made) == 1
    assert known(made, "k", "l", now=NOW + 15) == []
    assert len(made) == 0


def test_a_window_runs_from_the_first_time() -> None:
    made = memory(window=10.0)
    remember(made, "k")
    remember(made, "k", now=NOW + 9)
    assert len(made) == 1
    assert known(made, "k", now=NOW + 10) == []


def test_a_clock_that_is_set_back_stands_still() -> None:
    made = memory(window=10.0)
    remember(made, "k", now=NOW + 100)
    remember(made, "l", now=NOW)  # counts as at NOW + 100, too
    assert known(made, "k", "l", now=NOW - 100) == ["k", "l"]
    assert known(made, "k", "l", now=NOW + 109.9) == ["k", "l"]
    assert known(made, "k", "l", now=NOW + 110) == []


def test_of_one_subject_the_oldest_key_makes_room() -> None:
    made = memory(each=3, overall=100)
    remember(made, "k", subject="bob")
    remember(made, *"abcd")
    assert known(made, *"abcd") == list("bcd")
    assert known(made, "k", subject="bob") == ["k"]
    remember(made, *"efgh")
    assert known(made, *"abcdefgh") == list("fgh")
    assert len(made) == 4


def test_of_all_subjects_the_oldest_key_makes_room() -> None:
    made = memory(each=3, overall=5)
    remember(made, "k", subject="bob")
    remember(made, *"abc")
    remember(made, *"xyz", subject="cid")
    assert len(made) == 5
    assert known(made, "k", subject="bob") == []
    assert known(made, *"abc") == list("bc")
    assert known(made, *"xyz", subject="cid") == list("xyz")


def test_who_has_too_many_makes_room_for_itself() -> None:
    made = memory(each=2, overall=3)
    remember(made, "k", subject="bob")
    remember(made, *"abcdef")
    assert known(made, "k", subject="bob") == ["k"]
    assert known(made, *"abcdef") == list("ef")


def test_one_key_of_one_subject_is_the_least() -> None:
    made = memory(each=1, overall=1)
    remember(made, *"ab")
    remember(made, "k", subject="bob")
    assert known(made, *"ab") == []
    assert known(made, "k", subject="bob") == ["k"]


@pytest.mark.parametrize(
    ("value", "counts"),
    [
        ("k", True),
        ("x" * MAX_KEY_SIZE, True),
        ("ä" * MAX_KEY_SIZE, True),
        ("x" * (MAX_KEY_SIZE + 1), False),
        ("", False),
        (None, False),
    ],
)
def test_which_keys_count(value: str | None, counts: bool) -> None:
    headers = Headers({} if value is None else {"message-key": value})
    assert memory().key_of(headers) == (value if counts else None)
    assert memory(window=0.0).key_of(headers) is None


def test_the_first_key_counts() -> None:
    headers = Headers([("message-key", "a"), ("message-key", "b")])
    assert memory().key_of(headers) == "a"


def test_its_repr_shows_no_key() -> None:
    made = memory()
    remember(made, "secret")
    assert repr(made) == "<Duplicates 1 keys of 1 subjects>"


class Naive:
    """The same in a list that is gone through."""

    def __init__(self, window: float, each: int, overall: int) -> None:
        self.window, self.each, self.overall = window, each, overall
        self.done: list[tuple[str, str, float]] = []
        self.now = 0.0

    def is_known(self, subject: str, key: str, now: float) -> bool:
        self.now = max(self.now, now)
        self.done = [each for each in self.done if self.now < each[2] + self.window]
        return any(each[:2] == (subject, key) for each in self.done)

    def remember(self, subject: str, key: str, now: float) -> None:
        if self.is_known(subject, key, now):
            return
        own = [each for each in self.done if each[0] == subject]
        if len(own) >= self.each:
            self.done.remove(own[0])
        self.done.append((subject, key, self.now))
        self.done = self.done[-self.overall :]


@given(
    window=st.sampled_from([0.5, 3.0, 10.0]),
    each=st.integers(1, 4),
    overall=st.integers(1, 6),
    steps=st.lists(
        st.tuples(
            st.booleans(),
            st.sampled_from("AB"),
            st.sampled_from("abcdef"),
            st.sampled_from([-1.0, 0.0, 0.5, 1.0, 4.0]),
        ),
        max_size=60,
    ),
)
def test_it_does_what_a_list_would(
    window: float, each: int, overall: int, steps: list[tuple[bool, str, str, float]]
) -> None:
    made, naive = memory(window, each, overall), Naive(window, each, overall)
    now = NOW
    for is_done, subject, key, passed in steps:
        now += passed
        if is_done:
            made.remember(subject, key, now=now)
            naive.remember(subject, key, now)
        assert made.is_known(subject, key, now=now) == naive.is_known(subject, key, now)
        assert len(made) == len(naive.done)
    for subject in "AB":
        for key in "abcdef":
            assert made.is_known(subject, key, now=now) == naive.is_known(subject, key, now)
