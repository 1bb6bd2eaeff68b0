"""Topics: every subscription gets a copy. By name in one table, by pattern many at once."""

from __future__ import annotations

from collections.abc import Sequence

from stompcore._destinations import ANY, MANY, MAX_WORDS, is_pattern, split
from stompcore.broker._deliveries import Subscriber, too_much, violation

__all__ = ["TOPIC", "Topics"]

TOPIC = "/topic/"


#: Patterns that are matched together. More make longer integers, fewer make more of them.
_SHELF = 128
_STRIDE = MAX_WORDS + 1  # bits of one pattern: a word each, and its end


class _Shelf:
    """Some patterns, matched all at once, however they were made to be expensive.

    A bit stands for a word of a pattern, the next bit for the word behind it. Which words may come
    next, in all of the patterns, is one integer; one word of a destination moves all its bits.
    """

    __slots__ = ("_any", "_ends", "_many", "_starts", "_words", "free", "subscribers")

    def __init__(self) -> None:
        self._words: dict[str, int] = {}
        self._any = 0
        self._many = 0
        self._starts = 0
        self._ends = 0
        self.free = list(reversed(range(_SHELF)))
        # A dict for its order, which is that of arrival.
        self.subscribers: dict[int, dict[Subscriber, None]] = {}

    def add(self, pattern: Sequence[str]) -> int:
        """A pattern more; its place."""
        place = self.free.pop()
        self.subscribers[place] = {}
        self._flip(place, pattern)
        return place

    def remove(self, place: int, pattern: Sequence[str]) -> None:
        """A pattern less."""
        self._flip(place, pattern)
        del self.subscribers[place]
        self.free.append(place)

    def matching(self, words: Sequence[str]) -> list[int]:
        """The places of the patterns that match `words`."""
        many = self._many
        reached = self._starts | (self._starts & many) << 1
        for word in words:
            moved = reached & (self._any | self._words.get(word, 0))
            reached = moved << 1 | reached & many
            reached |= (reached & many) << 1  # `**` may stand for no word at all
            if not reached:
                return []
        ends, found = reached & self._ends, []
        while ends:
            end = ends.bit_length() - 1
            found.append(end // _STRIDE)
            ends ^= 1 << end
        return found[::-1]

    def _flip(self, place: int, pattern: Sequence[str]) -> None:
        bit = 1 << place * _STRIDE
        self._starts ^= bit
        for word in pattern:
            if word == MANY:
                self._many ^= bit
            elif word == ANY:
                self._any ^= bit
            else:
                self._words[word] = self._words.get(word, 0) ^ bit
                if not self._words[word]:
                    del self._words[word]
            bit <<= 1
        self._ends ^= bit


class Topics:
    """Who listens to which topic."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[Subscriber, None]] = {}
        self._patterns: dict[tuple[str, ...], tuple[_Shelf, int]] = {}
        self._shelves: dict[_Shelf, None] = {}
        self._roomy: dict[_Shelf, None] = {}

    def check(self, destination: str) -> None:
        """Whether a message can be sent there.

        Raises:
            RemoteProtocolError: it names no topic, or many.
        """
        if is_pattern(self._words(destination)):
            raise violation("A message is sent to one destination, without wildcards.")

    def subscribe(self, destination: str, subscriber: Subscriber) -> None:
        """Let `subscriber` hear a topic, or all that a pattern stands for.

        Raises:
            RemoteProtocolError: it names none.
        """
        words = self._words(destination)
        if not is_pattern(words):
            self._exact.setdefault(destination, {})[subscriber] = None
            return
        pattern = _shortest(words)
        if pattern not in self._patterns:
            self._patterns[pattern] = self._put(pattern)
        shelf, place = self._patterns[pattern]
        shelf.subscribers[place][subscriber] = None

    def unsubscribe(self, destination: str, subscriber: Subscriber) -> None:
        """The reverse of `subscribe`."""
        words = split(destination.removeprefix(TOPIC))
        if not is_pattern(words):
            subscribers = self._exact[destination]
            del subscribers[subscriber]
            if not subscribers:
                del self._exact[destination]
            return
        pattern = _shortest(words)
        shelf, place = self._patterns[pattern]
        del shelf.subscribers[place][subscriber]
        if shelf.subscribers[place]:
            return
        del self._patterns[pattern]
        shelf.remove(place, pattern)
        self._roomy[shelf] = None
        if not shelf.subscribers:
            del self._shelves[shelf], self._roomy[shelf]

    def recipients(self, destination: str) -> list[Subscriber]:
        """Who hears a message to `destination`, in the order of subscribing, names first."""
        found = dict(self._exact.get(destination, {}))
        if self._shelves:
            words = split(destination.removeprefix(TOPIC))
            for shelf in self._shelves:
                for place in shelf.matching(words):
                    found |= shelf.subscribers[place]
        return list(found)

    def _put(self, pattern: tuple[str, ...]) -> tuple[_Shelf, int]:
        if not self._roomy:
            shelf = _Shelf()
            self._shelves[shelf] = self._roomy[shelf] = None
        shelf = next(iter(self._roomy))
        place = shelf.add(pattern)
        if not shelf.free:
            del self._roomy[shelf]
        return shelf, place

    def _words(self, destination: str) -> tuple[str, ...]:
        if destination == TOPIC:
            raise violation("A topic has a name.")
        words = split(destination.removeprefix(TOPIC))
        if len(words) > MAX_WORDS:
            raise too_much(f"A topic has {MAX_WORDS} words at most.")
        return words


def _shortest(words: Sequence[str]) -> tuple[str, ...]:
    """The same pattern; of several `**` behind one another, one is enough."""
    kept: list[str] = []
    for word in words:
        if not (word == MANY and kept[-1:] == [MANY]):
            kept.append(word)
    return tuple(kept)
