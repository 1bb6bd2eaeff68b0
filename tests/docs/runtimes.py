"""A program for asyncio in the words of trio: what a page tells its readers to replace."""

from __future__ import annotations

import re

__all__ = ["in_words_of_trio"]

_WORDS = (
    (r"\bstompcore_asyncio\b", "stompcore_trio"),
    (r"\basyncio\.run\((\w+)\(\)\)", r"trio.run(\1)"),
    (r"\basyncio\.TaskGroup\(\)", "trio.open_nursery()"),
    (r"\.create_task\((\w+)\(\)\)", r".start_soon(\1)"),
    (r"\.create_task\((\w+)\((.+)\)\)", r".start_soon(\1, \2)"),
    (r"\basync with asyncio\.timeout\(", "with trio.fail_after("),
    (r"\bexcept TimeoutError\b", "except trio.TooSlowError"),
    (r"\basyncio\b", "trio"),
)


def in_words_of_trio(text: str) -> str:
    """`text` with each of its words of asyncio replaced."""
    for pattern, word in _WORDS:
        text = re.sub(pattern, word, text)
    return text
