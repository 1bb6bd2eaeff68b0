"""A child process of which nothing remains, on either runtime."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from anyio import move_on_after

from stompcore_tokens._finish import finish, is_asyncio

if TYPE_CHECKING:
    import trio

__all__ = ["Child", "new_child"]

#: For what the process has printed, in seconds, once it has ended: a daemon that it leaves behind
#: may keep its stdout open for ever.
_MOMENT = 0.5
_KILL_TIMEOUT = 5.0


class Child(abc.ABC):
    """One process. It cannot read anything, and only its stdout is looked at.

    Args:
        limit: of its output, in bytes.
    """

    def __init__(self, limit: int) -> None:
        self.output = bytearray()
        self._limit = limit

    @property
    def is_full(self) -> bool:
        """Whether it has printed more than the limit."""
        return len(self.output) > self._limit

    @abc.abstractmethod
    async def start(self, argv: Sequence[str]) -> None:
        """Start it; OSError if that is impossible. Call `end` afterwards, in any case."""

    @abc.abstractmethod
    async def wait(self) -> int:
        """Its exit status, negative for a signal; or 0 as soon as it `is_full`."""

    async def end(self) -> None:
        """Kill it, with what it has started, if it still runs; and see that nothing is left."""
        await finish(self._end)

    async def _end(self) -> None:
        with move_on_after(_KILL_TIMEOUT):
            await self._kill_and_close()

    @abc.abstractmethod
    async def _kill_and_close(self) -> None: ...


def new_child(limit: int) -> Child:
    """A child for the runtime that the caller runs on."""
    return _AsyncioChild(limit) if is_asyncio() else _TrioChild(limit)


def _kill_group(pid: int) -> None:
    # It leads a session of its own. Nobody has waited for it yet, so the number is still its own.
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


class _AsyncioChild(Child, asyncio.SubprocessProtocol):
    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._transport: asyncio.SubprocessTransport | None = None
        self._is_over = asyncio.Event()  # has ended, or is full
        self._has_ended = asyncio.Event()
        self._is_silent = asyncio.Event()
        self._is_lost = asyncio.Event()

    # --- for asyncio ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if not self.is_full:
            self.output += data
        if self.is_full:
            self._is_over.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._is_silent.set()

    def process_exited(self) -> None:
        self._has_ended.set()
        self._is_over.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost.set()

    # --- for `Child` ----------------------------------------------------------------------

    async def start(self, argv: Sequence[str]) -> None:
        loop = asyncio.get_running_loop()
        # To its end, or a cancellation could leave a process that nobody knows.
        await finish(
            lambda: loop.subprocess_exec(
                lambda: self,
                *argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )

    async def wait(self) -> int:
        await self._is_over.wait()
        if self.is_full:
            return 0
        with move_on_after(_MOMENT):
            await self._is_silent.wait()
        assert self._transport is not None
        status = self._transport.get_returncode()
        assert status is not None
        return status

    async def _kill_and_close(self) -> None:
        transport = self._transport
        if transport is None:
            return
        if transport.get_returncode() is None:
            _kill_group(transport.get_pid())
            with contextlib.suppress(ProcessLookupError):
                transport.kill()
            await self._has_ended.wait()
        transport.close()
        await self._is_lost.wait()


class _TrioChild(Child):
    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._process: trio.Process | None = None

    async def start(self, argv: Sequence[str]) -> None:
        await finish(lambda: self._start(argv))

    async def wait(self) -> int:
        import trio

        assert self._process is not None
        is_silent = trio.Event()

        async def read(output: trio.abc.ReceiveStream) -> None:
            while not self.is_full and (data := await output.receive_some()):
                self.output += data
            if self.is_full:
                nursery.cancel_scope.cancel()
            is_silent.set()

        status = 0
        async with trio.open_nursery() as nursery:
            assert self._process.stdout is not None
            nursery.start_soon(read, self._process.stdout)
            status = await self._process.wait()
            with trio.move_on_after(_MOMENT):
                await is_silent.wait()
            nursery.cancel_scope.cancel()
        return status

    async def _start(self, argv: Sequence[str]) -> None:
        import trio

        self._process = await trio.lowlevel.open_process(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    async def _kill_and_close(self) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            _kill_group(process.pid)
            process.kill()
            await process.wait()
        assert process.stdout is not None
        await process.stdout.aclose()
