"""`Dice`: numbers that look like chance, and are the same for a seed on every Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from stompcore._errors import LocalProtocolError

__all__ = ["Dice"]

T = TypeVar("T")

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_FNV_PRIME = 0x100000001B3
_FNV_BASIS = 0xCBF29CE484222325


def _mixed(state: int) -> int:
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
    return state ^ (state >> 31)


class Dice:
    """A seeded stream of numbers: SplitMix64 (Steele, Lea, Flood: "Fast Splittable PRNGs", 2014).

    The module `random` promises the same floats for a seed, but not the same choices. This does,
    so that a seed that has failed once fails again wherever it is replayed. It is for tests: who
    has seen one number can tell the next.

    Args:
        seed: any integer.
    """

    __slots__ = ("_seed", "_state")

    def __init__(self, seed: int = 0) -> None:
        self._seed = _mixed(seed & _MASK)
        self._state = self._seed

    def bits(self) -> int:
        """The next 64 bits, as a number from 0."""
        self._state = state = (self._state + _GOLDEN) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        return state ^ (state >> 31)

    def random(self) -> float:
        """A float in [0, 1), as `random.random` gives: what the machines want for their jitter."""
        return (self.bits() >> 11) * 2.0**-53

    def below(self, limit: int) -> int:
        """An integer in [0, limit).

        Raises:
            LocalProtocolError: there is none.
        """
        if limit <= 0:
            raise LocalProtocolError("there is no number below 1 to choose")
        return (self.bits() * limit) >> 64

    def between(self, low: float, high: float) -> float:
        """A float in [low, high)."""
        return low + (high - low) * self.random()

    def choice(self, options: Sequence[T]) -> T:
        """One of these.

        Raises:
            LocalProtocolError: there are none.
        """
        return options[self.below(len(options))]

    def chance(self, share: float) -> bool:
        """True in `share` of all cases: never for 0, always for 1."""
        return self.random() < share

    def split(self, name: str) -> Dice:
        """Another stream, which depends on the seed and on `name` and on nothing else.

        What one part of a test draws does not change what another part sees.
        """
        mark = _FNV_BASIS
        for octet in name.encode():
            mark = ((mark ^ octet) * _FNV_PRIME) & _MASK
        return Dice(self._seed ^ mark)
