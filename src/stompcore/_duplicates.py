"""Which messages were done already, so that one that is sent again is not done twice.

A client whose connection is lost before the RECEIPT has come cannot know whether its SEND was
done. It sends it again with the `message-key` that it had the first time, and the server that has
done it already only answers.
"""

from __future__ import annotations

import math
from collections import OrderedDict

from stompcore._config import ServerConfig
from stompcore._headers import Headers

__all__ = ["MAX_KEY_SIZE", "Duplicates"]

#: A `message-key` of more characters counts as none.
MAX_KEY_SIZE = 128


class _Done:
    """One key, and the next of the same subject."""

    __slots__ = ("at", "following")

    def __init__(self, at: float) -> None:
        self.at = at
        self.following = ""


class _Own:
    """A subject's keys: a chain through `_Done.following`."""

    __slots__ = ("count", "newest", "oldest")

    def __init__(self, oldest: str) -> None:
        self.oldest = self.newest = oldest
        self.count = 0


class Duplicates:
    """The keys of messages that were done, by subject, as long as one may come again.

    A key counts for the subject alone that has used it: nobody can block another's message by
    guessing its key. What there is no room for any more is forgotten, the oldest first.

    The same one can be handed to the next `Hub`, so that a restart within one process forgets
    nothing.

    Args:
        config: how long (`duplicate_window`) and how many (`message_keys`, `all_message_keys` of
            its limits); that of the `Hub`, as a rule. The defaults without one.
    """

    def __init__(self, config: ServerConfig | None = None) -> None:
        config = config or ServerConfig()
        self._window = config.duplicate_window
        self._most = config.limits.all_message_keys
        self._most_of_one = config.limits.message_keys
        # All of them, the oldest first. A dict would have to look for its first again and again.
        self._done: OrderedDict[tuple[str, str], _Done] = OrderedDict()
        self._own: dict[str, _Own] = {}
        self._now = -math.inf

    def __len__(self) -> int:
        """How many keys are kept."""
        return len(self._done)

    def __repr__(self) -> str:
        return f"<Duplicates {len(self._done)} keys of {len(self._own)} subjects>"

    def key_of(self, headers: Headers) -> str | None:
        """The `message-key` of a SEND, or None if it has none that is looked at.

        That is one of 1 to `MAX_KEY_SIZE` characters, and none at all without a window.
        """
        key = headers.get("message-key")
        if not key or len(key) > MAX_KEY_SIZE or not self._window:
            return None
        return key

    def is_known(self, subject: str, key: str, *, now: float) -> bool:
        """Whether a message of this subject and key was done within the window.

        Args:
            subject: whose.
            key: of the message.
            now: Unix seconds; a clock that is set back counts as one that stands still.
        """
        self._forget_old(now)
        return (subject, key) in self._done

    def remember(self, subject: str, key: str, *, now: float) -> None:
        """A message was done. Legal for one that is known: its time runs from the first."""
        self._forget_old(now)
        if (subject, key) in self._done:
            return
        own = self._own.get(subject)
        if own is not None and own.count >= self._most_of_one:
            self._forget_oldest(subject)
        elif len(self._done) >= self._most:
            self._forget_oldest(next(iter(self._done))[0])
        self._done[subject, key] = _Done(self._now)
        own = self._own.get(subject)
        if own is None:
            own = self._own[subject] = _Own(key)
        else:
            self._done[subject, own.newest].following = key
            own.newest = key
        own.count += 1

    def _forget_old(self, now: float) -> None:
        self._now = max(self._now, now)
        while self._done:
            (subject, _), oldest = next(iter(self._done.items()))
            if self._now < oldest.at + self._window:
                return
            self._forget_oldest(subject)

    def _forget_oldest(self, subject: str) -> None:
        own = self._own[subject]
        own.count -= 1
        if own.count:
            own.oldest = self._done.pop((subject, own.oldest)).following
        else:
            del self._done[subject, own.oldest], self._own[subject]
