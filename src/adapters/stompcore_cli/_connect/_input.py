"""Reading standard input without keeping the loop, whatever it is: a terminal, a pipe, a file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

__all__ = ["lines", "read"]

_CHUNK = 64 * 1024


async def read(fd: int) -> bytes:
    """The next bytes; empty at the end.

    The descriptor stays as it is: a terminal's is shared with stdout, which could not be written
    to any more if it did not block.
    """
    loop = asyncio.get_running_loop()
    while True:
        ready = asyncio.Event()
        try:
            loop.add_reader(fd, ready.set)
        except PermissionError:  # a file, or /dev/null: never keeps anybody waiting
            await asyncio.sleep(0)
        else:
            try:
                await ready.wait()
            finally:
                loop.remove_reader(fd)
        try:
            return os.read(fd, _CHUNK)
        except BlockingIOError:  # somebody else was quicker
            continue
        except OSError:  # the terminal is gone
            return b""


async def lines(fd: int) -> AsyncIterator[bytes]:
    """Line by line, without the line ends; the last may have none."""
    rest = b""
    while data := await read(fd):
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r")
    if rest:
        yield rest
