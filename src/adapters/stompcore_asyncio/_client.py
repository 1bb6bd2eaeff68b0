"""`connect`: a `Client` on asyncio transports."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import ssl as ssl_module
import time
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, cast

from stompcore import (
    DEFAULT_RULES,
    Client,
    ClientConfig,
    ClientEvent,
    FetchToken,
    Rule,
    TokenFetchFailed,
)
from stompcore.client import TokenSource, describe
from stompcore.driver import EpochClock, Pump
from stompcore.websocket import ClientEndpoint

__all__ = ["AsyncioClient", "connect"]

logger = logging.getLogger("stompcore.client")

_WRITE_BUFFER = 64 * 1024


class _Transport(asyncio.Protocol):
    """The transport of one epoch, and its machine behind a pump."""

    def __init__(self, client: AsyncioClient) -> None:
        self.pump: Pump | None = None
        self.is_lost = asyncio.Event()
        self._client = client
        self._is_blocked = False
        self._is_reading = True
        self._guard: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=_WRITE_BUFFER)

    def data_received(self, data: bytes) -> None:
        if self.pump is not None:
            self.pump.feed(data)
            self._client._turn()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost.set()
        if self._guard is not None:
            self._guard.cancel()
        if self.pump is not None:
            self.pump.eof()
            self._client._turn()

    def pause_writing(self) -> None:
        self._is_blocked = True

    def resume_writing(self) -> None:
        self._is_blocked = False
        self._client._turn()

    def flush(self) -> None:
        if self.pump is None or self.transport.is_closing():
            return
        if self.pump.machine.wants_read is not self._is_reading:
            self._is_reading = not self._is_reading
            (self.transport.resume_reading if self._is_reading else self.transport.pause_reading)()
        if self._is_blocked:
            return
        chunks = self.pump.output()
        if chunks:
            self.transport.write(b"".join(chunks))

    def abort(self) -> None:
        """End at once. Legal for one that has ended, which asyncio's own `abort` does not bear."""
        if not self.is_lost.is_set():
            self.transport.abort()

    def hang_up(self) -> None:
        """Close, with a Close frame where there is a WebSocket, and wait for nobody."""
        if self.pump is not None and isinstance(self.pump.machine, ClientEndpoint):
            self.pump.machine.hang_up(now=self.pump.now)
        self.flush()
        self.transport.close()
        # A server that does not read would keep it for ever.
        self._guard = self._client.call_later(self.abort)


class AsyncioClient(Client):
    """A `stompcore.Client` on asyncio; made by `connect`."""

    def __init__(
        self,
        url: str,
        *,
        token: TokenSource | None,
        config: ClientConfig,
        rules: Sequence[Rule],
        ssl: ssl_module.SSLContext | None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        super().__init__(
            url,
            token=token,
            config=config,
            rules=rules,
            clock=EpochClock(self._loop.time, time.time),
            random=random.random,
            client_id=secrets.token_urlsafe(12),
            waiter=asyncio.Event,
        )
        self._ssl = ssl
        self._transports: dict[int, _Transport] = {}
        self._dials: dict[int, asyncio.Task[None]] = {}
        self._fetching: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_over = False
        self._handle: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> AsyncioClient:
        self._session.start(now=self._clock.now())
        self._turn()
        try:
            await self._wait_for_connection()
        except BaseException:
            await self._abandon()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.close()
        finally:
            await self._abandon()

    def call_later(self, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """After `ClientConfig.close_timeout`."""
        return self._loop.call_later(self._config.close_timeout, callback)

    def cut(self) -> None:
        """Lose the connection at once, as if the wire were cut: to see what becomes of it then."""
        for transport in self._transports.values():
            transport.abort()

    # --- for the base class ---------------------------------------------------------------

    def _turn(self) -> None:
        if self._handle is None and not self._is_over:
            self._handle = self._loop.call_soon(self._run)

    def _run(self) -> None:
        self._handle = None
        self._step()
        if self._session.closed and self._fetching is not None:
            self._fetching.cancel()
        for transport in self._transports.values():
            transport.flush()
        deadline = self._deadline()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._turn)

    def _dial(self, epoch: int) -> None:
        self._dials[epoch] = self._start(self._open(epoch))

    def _hang_up(self, epoch: int) -> None:
        dial = self._dials.pop(epoch, None)
        if dial is not None:
            dial.cancel()
        transport = self._transports.get(epoch)
        if transport is not None:
            transport.hang_up()

    def _fetch(self, action: FetchToken) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
        self._fetching = self._start(self._ask_token_source(action))

    async def _breathe(self) -> None:
        await asyncio.sleep(0)

    def _note(self, event: ClientEvent) -> None:
        text = describe(event)
        if text:
            is_bad = isinstance(event, TokenFetchFailed)
            logger.log(logging.WARNING if is_bad else logging.INFO, text)

    # --- inside ---------------------------------------------------------------------------

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _open(self, epoch: int) -> None:
        """The life of one transport."""
        target = self.target
        protocol = _Transport(self)
        try:
            await self._loop.create_connection(
                lambda: protocol,
                target.host,
                target.port,
                ssl=(self._ssl or ssl_module.create_default_context()) if target.is_tls else None,
            )
        except (OSError, UnicodeError) as error:
            self._dial_failed(epoch, error)
            self._turn()
            return
        finally:
            self._dials.pop(epoch, None)
        try:
            protocol.pump = self._dialed(epoch)
            if protocol.pump is not None:
                self._transports[epoch] = protocol
                self._turn()
                await protocol.is_lost.wait()
        finally:
            self._transports.pop(epoch, None)
            protocol.abort()

    async def _abandon(self) -> None:
        """Leave nothing behind, whatever state things are in."""
        self._is_over = True
        self._session.abort(now=self._clock.now())
        self._step()
        for handle in (self._handle, self._timer, self._fetching):
            if handle is not None:
                handle.cancel()
        try:
            # What was written last, the Close frame among it, gets a moment to leave.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._config.close_timeout):
                    for transport in list(self._transports.values()):
                        await transport.is_lost.wait()
        finally:  # also when that is cancelled in its turn
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def connect(
    url: str,
    *,
    token: TokenSource | None = None,
    config: ClientConfig | None = None,
    rules: Sequence[Rule] = DEFAULT_RULES,
    ssl: ssl_module.SSLContext | None = None,
) -> AsyncioClient:
    """A client; enter it with ``async with``, and it stays connected until it is left.

    Args:
        url: ``ws://``, ``wss://``, ``stomp://`` or ``stomps://``.
        token: a token, or an async callable that takes a `stompcore.TokenRequest` and returns
            one; raising `stompcore.Unauthorized` there is permanent. None for a server that asks
            for none.
        config: see `stompcore.ClientConfig`.
        rules: what to do after which ending, see `stompcore.Rule`; the first that fits decides.
        ssl: for TLS; the system's default otherwise.

    Raises:
        LocalProtocolError: a URL that cannot be dialled.
        StompError: on entering: why the client has stopped before it was ever connected.
    """
    return AsyncioClient(url, token=token, config=config or ClientConfig(), rules=rules, ssl=ssl)
