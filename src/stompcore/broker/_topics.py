"""Topics: every subscription gets a copy. By name in one table, by pattern in a tree of words."""

from __future__ import annotations

from collections.abc import Sequence

from stompcore._destinations import ANY, MANY, MAX_WORDS, is_pattern, split
from stompcore.broker._deliveries import Subscriber, too_much, violation

__all__ = ["TOPIC", "Topics"]

TOPIC = "/topic/"


class _Node:
    """One word of the patterns, and what follows it."""

    __slots__ = ("next", "stays", "subscribers")

    def __init__(self, *, stays: bool = False) -> None:
        self.stays = stays  # behind `**`: any further word leads here again
        self.next: dict[str, _Node] = {}
        # A dict for its order, which is that of arrival.
        self.subscribers: dict[Subscriber, None] = {}


class Topics:
    """Who listens to which topic."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[Subscriber, None]] = {}
        self._patterns = _Node()
        self._pattern_count = 0

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
        node = self._patterns
        for word in words:
            node = node.next.setdefault(word, _Node(stays=word == MANY))
        node.subscribers[subscriber] = None
        self._pattern_count += 1

    def unsubscribe(self, destination: str, subscriber: Subscriber) -> None:
        """The reverse of `subscribe`."""
        words = split(destination.removeprefix(TOPIC))
        if not is_pattern(words):
            subscribers = self._exact[destination]
            del subscribers[subscriber]
            if not subscribers:
                del self._exact[destination]
            return
        path = [self._patterns]
        for word in words:
            path.append(path[-1].next[word])
        del path[-1].subscribers[subscriber]
        self._pattern_count -= 1
        for parent, word, node in reversed(list(zip(path, words, path[1:], strict=False))):
            if not node.subscribers and not node.next:
                del parent.next[word]

    def recipients(self, destination: str) -> list[Subscriber]:
        """Who hears a message to `destination`, in the order of subscribing, names first."""
        found = dict(self._exact.get(destination, {}))
        if self._pattern_count:
            for node in _matching(self._patterns, split(destination.removeprefix(TOPIC))):
                found |= node.subscribers
        return list(found)

    def _words(self, destination: str) -> tuple[str, ...]:
        if destination == TOPIC:
            raise violation("A topic has a name.")
        words = split(destination.removeprefix(TOPIC))
        if len(words) > MAX_WORDS:
            raise too_much(f"A topic has {MAX_WORDS} words at most.")
        return words


def _matching(root: _Node, words: Sequence[str]) -> list[_Node]:
    """The nodes at which a pattern ends that matches `words`.

    All patterns are walked at once, each node at most once a word, so that no pattern can make
    this take longer than words times nodes.
    """
    reached = _with_none(dict.fromkeys([root]))
    for word in words:
        following: dict[_Node, None] = {}
        for node in reached:
            for key in (word, ANY):
                if key in node.next:
                    following[node.next[key]] = None
            if node.stays:
                following[node] = None
        reached = _with_none(following)
    return [node for node in reached if node.subscribers]


def _with_none(nodes: dict[_Node, None]) -> dict[_Node, None]:
    """These nodes, and those that `**` leads to for no word at all."""
    waiting = list(nodes)
    while waiting:
        many = waiting.pop().next.get(MANY)
        if many is not None and many not in nodes:
            nodes[many] = None
            waiting.append(many)
    return nodes
