"""A file that holds the token."""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable

from anyio.to_thread import run_sync

from stompcore import LocalProtocolError, TokenRequest, TokenUnavailable

__all__ = ["from_file"]

_MAX_SIZE = 64 * 1024


class _File:
    def __init__(self, path: str) -> None:
        self._path = path

    async def __call__(self, request: TokenRequest) -> str:
        # Nobody waits for a disk that has gone away.
        return await run_sync(self._read, abandon_on_cancel=True)

    def _read(self) -> str:
        try:
            # Without O_NONBLOCK, a pipe that nobody writes to would keep the thread for ever.
            file = os.open(self._path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        except OSError as error:
            raise self._failure(f"cannot be read ({type(error).__name__})") from None
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise self._failure("is no regular file")
            with open(file, "rb", closefd=False) as reader:
                content = reader.read(_MAX_SIZE + 1)
        except OSError as error:
            raise self._failure(f"cannot be read ({type(error).__name__})") from None
        finally:
            os.close(file)
        if len(content) > _MAX_SIZE:
            raise self._failure("is too large")
        try:
            token = content.decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            token = ""
        if not token:
            raise self._failure("holds no token")
        return token

    def _failure(self, why: str) -> TokenUnavailable:
        return TokenUnavailable(f"the token file {self._path!r} {why}")

    def __repr__(self) -> str:
        return f"<token from the file {self._path!r}>"


def from_file(path: str | os.PathLike[str]) -> Callable[[TokenRequest], Awaitable[str]]:
    """A token source that reads a file anew at each request, and takes what it holds, stripped.

    Give it to `connect` as `token`. Something else keeps the file fresh: Kubernetes, an agent, a
    timer. Where the file still holds the token that has expired, the client asks again after a
    while; and so it does when the file is missing, empty, unreadable or larger than 64 KiB. It is
    read in a worker thread.

    Args:
        path: of the file. Who replaces it should do so by renaming.

    Raises:
        LocalProtocolError: what is no path.
    """
    name = os.fspath(path)
    if not name or "\0" in name:
        raise LocalProtocolError("the token file's path is empty, or holds a NUL")
    return _File(name)
