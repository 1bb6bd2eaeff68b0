"""Chance that is no chance: the same on every Python, for ever."""

from __future__ import annotations

from collections import Counter

import pytest

from stompcore import LocalProtocolError
from stompcore.testing import Dice


def test_the_stream_of_seed_zero_is_that_of_splitmix64() -> None:
    dice = Dice(0)
    # The reference implementation's (Vigna, splitmix64.c), for the state 0.
    assert [dice.bits() for _ in range(3)] == [
        0xE220A8397B1DCDAF,
        0x6E789E6AA1B965F4,
        0x06C45D188009454F,
    ]


def test_a_seed_gives_the_same_numbers_again_and_another_seed_others() -> None:
    assert [Dice(7).bits(), Dice(7).random()] == [Dice(7).bits(), Dice(7).random()]
    firsts = {Dice(seed).bits() for seed in range(10_000)}
    assert len(firsts) == 10_000


@pytest.mark.parametrize("seed", [-1, 2**64, 2**80 + 3])
def test_any_integer_is_a_seed(seed: int) -> None:
    assert 0 <= Dice(seed).random() < 1


def test_floats_are_below_one_and_spread_evenly() -> None:
    dice = Dice(1)
    drawn = [dice.random() for _ in range(10_000)]
    assert 0 <= min(drawn) < 0.001
    assert 0.999 < max(drawn) < 1
    assert 0.49 < sum(drawn) / len(drawn) < 0.51


def test_integers_are_below_their_limit_and_spread_evenly() -> None:
    dice = Dice(1)
    drawn = Counter(dice.below(6) for _ in range(6_000))
    assert set(drawn) == set(range(6))
    assert all(900 < count < 1100 for count in drawn.values())


def test_nothing_can_be_chosen_from_nothing() -> None:
    with pytest.raises(LocalProtocolError):
        Dice().below(0)
    with pytest.raises(LocalProtocolError):
        Dice().choice([])


def test_a_choice_is_one_of_the_options() -> None:
    dice = Dice(3)
    assert {dice.choice("abc") for _ in range(100)} == set("abc")


def test_chances_are_what_they_say() -> None:
    dice = Dice(4)
    assert not any(dice.chance(0) for _ in range(100))
    assert all(dice.chance(1) for _ in range(100))
    assert 2200 < sum(dice.chance(0.25) for _ in range(10_000)) < 2800


def test_a_float_between_two_is() -> None:
    dice = Dice(5)
    assert all(-2 <= dice.between(-2, 3) < 3 for _ in range(1_000))


def test_a_split_stream_depends_on_its_name_and_not_on_what_was_drawn() -> None:
    fresh, used = Dice(9), Dice(9)
    for _ in range(10):
        used.bits()
    assert fresh.split("links").bits() == used.split("links").bits()
    assert len({Dice(9).split(f"link {number}").bits() for number in range(1_000)}) == 1_000
    assert Dice(9).split("links").bits() != Dice(10).split("links").bits()
