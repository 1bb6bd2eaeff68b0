"""Destinations as words, and the patterns that stand for many of them.

A destination's words stand between dots or slashes. In a pattern, the word ``*`` stands for any one
word, and ``**`` or ``#`` for any number of them. A wildcard is a whole word: `a*` is a plain one.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence

__all__ = ["ANY", "MANY", "MAX_WORDS", "covers", "is_pattern", "split"]

ANY = "*"
MANY = "**"
#: Of a pattern and of what is matched with one: it bounds the work that one SEND can cause.
MAX_WORDS = 32

_SEPARATOR = re.compile(r"[./]")


def split(path: str, separator: str | None = None) -> tuple[str, ...]:
    """The words of `path`, with both spellings of "any number" as `MANY`.

    Args:
        path: what is split.
        separator: the one between words, if it is not dots and slashes.
    """
    words = _SEPARATOR.split(path) if separator is None else path.split(separator)
    return tuple(MANY if word == "#" else word for word in words)


def is_pattern(words: Sequence[str]) -> bool:
    """Whether any of the words is a wildcard."""
    return ANY in words or MANY in words


def covers(
    pattern: Sequence[str],
    words: Sequence[str],
    is_same: Callable[[str, str], bool] = operator.eq,
) -> bool:
    """Whether everything that `words` may stand for is matched by `pattern`.

    `words` may hold wildcards too: then it asks whether one pattern lies wholly within the other,
    and answers no where that cannot be told word by word.

    Args:
        pattern, words: see `split`.
        is_same: whether a word of the pattern that is no wildcard means a word of `words`.
    """
    # Row by row: which beginnings of `words` the beginning of `pattern` covers.
    reached = [True] + [False] * len(words)
    for part in pattern:
        row = [part == MANY and reached[0]]
        for index, word in enumerate(words):
            if part == MANY:
                row.append(reached[index + 1] or row[index])
            else:
                fits = word != MANY if part == ANY else is_same(part, word)
                row.append(reached[index] and fits)
        reached = row
    return reached[-1]
