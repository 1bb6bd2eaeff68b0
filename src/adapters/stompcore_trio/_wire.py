"""`Wire`: one stream and its pump, a task to read and a task to write. Both ends use it."""

from __future__ import annotations

from collections.abc import Callable

import trio

from stompcore.driver import Pump

__all__ = ["Wire"]

_CHUNK = 64 * 1024


class Wire:
    """Moves the bytes of one stream, until its machine is closed or somebody hangs up.

    Args:
        stream: TCP or TLS, connected.
        pump: its machine's.
        after: called after everything that has told the machine something.
        refill: called when all was written; whether that has brought more.
        close_timeout: how long what was written last may take to leave, in seconds.
        shield: whether no cancellation from outside ends it, but only `hang_up` and `abort`: so
            that it is not cut short inside a frame.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        pump: Pump,
        *,
        after: Callable[[], None],
        refill: Callable[[], bool] = lambda: False,
        close_timeout: float,
        shield: bool = False,
    ) -> None:
        self.pump = pump
        self._stream = stream
        self._after = after
        self._refill = refill
        self._close_timeout = close_timeout
        self._is_hanging_up = False
        self._changed = trio.Event()
        self._may_read = trio.Event()
        self._scope = trio.CancelScope(shield=shield)

    def flush(self) -> None:
        """The machine may have something to write, or to end."""
        self._changed.set()
        self._may_read.set()
        if self.pump.machine.closed:
            self.hang_up()

    def hang_up(self) -> None:
        """End, once what is to be written has left, within `close_timeout`."""
        if not self._is_hanging_up:
            self._is_hanging_up = True
            self._scope.deadline = trio.current_time() + self._close_timeout
            self._changed.set()

    def abort(self) -> None:
        """End at once."""
        self._scope.cancel()

    async def run(self) -> None:
        """Until the end of the stream; closes it."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._read)
                    await self._write()
                    nursery.cancel_scope.cancel()
        finally:
            self.pump.eof()
            self._after()
            # For TLS this writes its last record; for TCP it is immediate.
            with trio.move_on_after(self._close_timeout if self._is_hanging_up else 0):
                await self._stream.aclose()

    async def _read(self) -> None:
        machine = self.pump.machine
        while True:
            while not machine.wants_read:
                self._may_read = trio.Event()
                await self._may_read.wait()
            try:
                data = await self._stream.receive_some(_CHUNK)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            if not data:
                break
            self.pump.feed(bytes(data))
            self._after()
        self.pump.eof()
        self._after()
        self.flush()

    async def _write(self) -> None:
        while True:
            if self.pump.wake():
                self._after()
            chunks = self.pump.output()
            try:
                if chunks:
                    await self._stream.send_all(b"".join(chunks))
                    continue
                if self._refill():
                    continue
                if self.pump.should_send_eof() and isinstance(
                    self._stream, trio.abc.HalfCloseableStream
                ):
                    await self._stream.send_eof()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if self._is_hanging_up:
                return
            await self._changed.wait()
            self._changed = trio.Event()
