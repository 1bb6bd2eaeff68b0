"""A command that prints the token."""

from __future__ import annotations

import math
import shlex
from collections.abc import Awaitable, Callable, Sequence

from anyio import Lock, move_on_after

from stompcore import LocalProtocolError, TokenRequest, TokenUnavailable, Unauthorized
from stompcore_tokens._process import Child, new_child

__all__ = ["from_command"]

#: EX_NOPERM of sysexits.h: "you did not have sufficient permission".
_UNAUTHORIZED_STATUS = 77
_MAX_OUTPUT = 64 * 1024


class _Command:
    def __init__(self, argv: tuple[str, ...], timeout: float, unauthorized_status: int) -> None:
        self._argv = argv
        self._timeout = timeout
        self._unauthorized_status = unauthorized_status
        self._turn = Lock()

    async def __call__(self, request: TokenRequest) -> str:
        async with self._turn:
            child = new_child(_MAX_OUTPUT)
            try:
                status = await self._run(child)
            finally:
                await child.end()
        if child.is_full:
            raise TokenUnavailable("the token command printed too much")
        if status == self._unauthorized_status:
            raise Unauthorized(f"the token command ended with status {status}")
        if status < 0:
            raise TokenUnavailable(f"the token command was ended by signal {-status}")
        if status:
            raise TokenUnavailable(f"the token command ended with status {status}")
        try:
            token = child.output.decode().strip()
        except UnicodeDecodeError:
            token = ""
        if not token:
            raise TokenUnavailable("the token command printed no token")
        return token

    async def _run(self, child: Child) -> int:
        status: int | None = None
        try:
            with move_on_after(self._timeout):
                await child.start(self._argv)
                status = await child.wait()
        except OSError as error:
            raise TokenUnavailable(
                f"the token command could not be started ({type(error).__name__})"
            ) from None
        if status is None:
            raise TokenUnavailable(f"the token command took longer than {self._timeout:g} s")
        return status

    def __repr__(self) -> str:
        # An argument may be a password.
        return f"<token from the command {self._argv[0]}>"


def from_command(
    argv: Sequence[str] | str,
    *,
    timeout: float = 10.0,
    unauthorized_status: int = _UNAUTHORIZED_STATUS,
) -> Callable[[TokenRequest], Awaitable[str]]:
    """A token source that runs a command, and takes what it prints on stdout, stripped.

    Give it to `connect` as `token`. No shell is involved. The command gets no input; what it says
    on stderr is thrown away, and what it prints is in no log. It has 64 KiB for the token. It runs
    in a session of its own, and is killed, with what it has started there, when it takes too long
    or nobody waits for it any more. Where several clients share the source, it runs for one after
    the other.

    Exit status 0 is a token, `unauthorized_status` means that the user has to log in again
    (`stompcore.Unauthorized`), and any other that the client is to ask again, after a while.

    Args:
        argv: the program and its arguments; a str is split as a POSIX shell splits words.
        timeout: for one run, in seconds.
        unauthorized_status: see above.

    Raises:
        LocalProtocolError: no command, or no time for it.
    """
    try:
        words = tuple(shlex.split(argv) if isinstance(argv, str) else argv)
    except ValueError:
        raise LocalProtocolError("the token command's quotes do not match") from None
    if not words or not words[0]:
        raise LocalProtocolError("the token command is empty")
    if any("\0" in word for word in words):
        raise LocalProtocolError("the token command cannot hold a NUL")
    if not 0 < timeout < math.inf:
        raise LocalProtocolError("timeout must be above 0")
    if unauthorized_status == 0:
        raise LocalProtocolError("unauthorized_status cannot be 0")
    return _Command(words, timeout, unauthorized_status)
