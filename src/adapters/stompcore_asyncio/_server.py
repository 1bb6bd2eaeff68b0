"""`serve`: many connections, one `Hub`, no task for any of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import ssl as ssl_module
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import cast

from stompcore import Handlers, Hub, Policy, ServerConfig, TokenVerifier
from stompcore.driver import EpochClock, Pump
from stompcore.handlers import Job
from stompcore.listener import Address, Listener, log_lines, open_machine

__all__ = ["Server", "serve"]

logger = logging.getLogger("stompcore.server")

# Small, so that what waits for a slow reader waits in its machine, which knows what it is owed.
_WRITE_BUFFER = 64 * 1024

# From the loop's `accept` to `connection_made`: a task, a transport, a call.
_TURNS_TO_ACCEPT = 3


class _Connection(asyncio.Protocol):
    """One transport, and its machine behind a pump."""

    def __init__(self, server: Server, *, is_websocket: bool) -> None:
        self.session_id = secrets.token_hex(8)
        self._server = server
        self._loop = server.loop
        self._is_websocket = is_websocket
        self._is_blocked = False
        self._is_reading = True
        self._flush_handle: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        server = self._server
        machine = open_machine(
            server.hub,
            self.session_id,
            is_websocket=self._is_websocket,
            now=server.clock.now(),
        )
        self.pump = Pump(machine, server.clock)
        server.connections[self.session_id] = self
        self.schedule_flush()

    def data_received(self, data: bytes) -> None:
        self.pump.feed(data)
        self._process()

    def eof_received(self) -> bool:
        self.pump.eof()
        self._process()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.pump.eof()
        self._server.forget(self)
        self._process()
        for handle in (self._flush_handle, self._timer):
            if handle is not None:
                handle.cancel()

    def pause_writing(self) -> None:
        self._is_blocked = True

    def resume_writing(self) -> None:
        self._is_blocked = False
        self.schedule_flush()

    def schedule_flush(self) -> None:
        """Write before this turn of the loop is over, once, whatever else comes to be written."""
        if self._flush_handle is None:
            self._flush_handle = self._loop.call_soon(self._flush)

    def abort(self) -> None:
        self.transport.abort()

    def _process(self) -> None:
        server = self._server
        server.settle(server.hub.process(self.session_id, now=self.pump.now))

    def _flush(self) -> None:
        self._flush_handle = None
        pump, transport = self.pump, self.transport
        if pump.wake():
            self._process()  # which schedules the flush again
            return
        if not transport.is_closing():
            # Writing may block the transport, which says so at once.
            while not self._is_blocked and (chunks := pump.output()):
                transport.write(b"".join(chunks))
            if not self._is_blocked and self._server.hub.is_holding_back(self.session_id):
                self._server.settle(self._server.hub.refill(self.session_id, now=pump.now))
            if not self._is_blocked and pump.should_send_eof() and transport.can_write_eof():
                with contextlib.suppress(OSError):  # reset by its peer; `connection_lost` follows
                    transport.write_eof()
        if pump.machine.closed:
            self._close()
            return
        if pump.machine.wants_read is not self._is_reading:
            self._is_reading = pump.machine.wants_read
            if self._is_reading:
                transport.resume_reading()
            else:
                transport.pause_reading()
        self._arm()

    def _close(self) -> None:
        """The machine is done with its peer; what was written may still be on its way."""
        if self._timer is not None:
            self._timer.cancel()
        self.transport.close()
        # A peer that does not read would keep the transport for ever.
        patience = self._server.hub.config.limits.close_timeout
        self._timer = self._loop.call_later(patience, self.transport.abort)

    def _arm(self) -> None:
        deadline = self.pump.deadline()
        if self._timer is not None:
            # Waking too early is legal, and cheaper than a new timer for every frame.
            if deadline is not None and self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.pump.timer()
        self._process()
        self.schedule_flush()


class Server:
    """A running server; made by `serve`, used as an async context manager."""

    def __init__(
        self,
        hub: Hub,
        *,
        websocket: Address | None,
        tcp: Address | None,
        ssl: ssl_module.SSLContext | None,
    ) -> None:
        self.hub = hub
        self.listeners: list[Listener] = []
        self.connections: dict[str, _Connection] = {}
        self.is_draining = False
        self._websocket = websocket
        self._tcp = tcp
        self._ssl = ssl
        self._servers: list[asyncio.Server] = []
        self._jobs: set[asyncio.Task[None]] = set()
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    async def __aenter__(self) -> Server:
        self.loop = asyncio.get_running_loop()
        self.clock = EpochClock(self.loop.time, time.time)
        try:
            if self._websocket is not None:
                await self._listen("ws", self._websocket, self.hub.config.path)
            if self._tcp is not None:
                await self._listen("tcp", self._tcp, None)
        except BaseException:
            await self._stop_accepting()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.drain()

    def publish(
        self, destination: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a message on the server's own behalf.

        Raises:
            LocalProtocolError: the broker does not serve the destination.
        """
        self.settle(self.hub.publish(destination, body, headers, now=self.clock.now()))

    async def drain(self) -> None:
        """Stop accepting, tell every session that the server goes away, and wait for them to go.

        Their ends are spread over `ServerConfig.drain_window`; handlers that run finish, and what
        is queued leaves. Whoever is left `Limits.close_timeout` after that is cut off.
        """
        await self._stop_accepting()
        patience = self.hub.drain(now=self.clock.now(), random=random.random)
        self.settle(list(self.connections))
        try:
            async with asyncio.timeout(patience):
                await self._is_empty.wait()
        except TimeoutError:
            pass
        finally:
            for connection in list(self.connections.values()):
                connection.abort()
            for task in list(self._jobs):
                task.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        # An aborted transport says so in a later turn of the loop.
        await self._is_empty.wait()

    # --- for connections ------------------------------------------------------------------

    def settle(self, session_ids: Iterable[str]) -> None:
        """See to the output of these sessions, and to the log."""
        for session_id in session_ids:
            connection = self.connections.get(session_id)
            if connection is not None:
                connection.schedule_flush()
        while (job := self.hub.next_job()) is not None:
            task = self.loop.create_task(self._run(job))
            self._jobs.add(task)
            task.add_done_callback(self._jobs.discard)
        for line in log_lines(self.hub):
            level = logging.INFO if line.cause is None else logging.ERROR
            logger.log(level, line.text, extra={"fields": line.fields}, exc_info=line.cause)
        if self.connections:
            self._is_empty.clear()

    def forget(self, connection: _Connection) -> None:
        """A connection is gone."""
        self.connections.pop(connection.session_id, None)
        if not self.connections:
            self._is_empty.set()

    async def _run(self, job: Job) -> None:
        await job.run()
        self.settle(self.hub.finish(job, now=self.clock.now()))

    async def _listen(self, transport: str, address: Address, path: str | None) -> None:
        host, port = address
        is_websocket = transport == "ws"
        server = await self.loop.create_server(
            lambda: _Connection(self, is_websocket=is_websocket),
            host,
            port,
            ssl=self._ssl,
            ssl_handshake_timeout=self.hub.config.limits.handshake_timeout if self._ssl else None,
            backlog=1024,
        )
        self._servers.append(server)
        for socket in server.sockets:
            bound = socket.getsockname()
            self.listeners.append(
                Listener(transport, bound[0], bound[1], path, self._ssl is not None)
            )

    async def _stop_accepting(self) -> None:
        self.is_draining = True
        try:
            # Closed at once, the loop would leak what it has accepted in this very turn.
            with contextlib.suppress(NotImplementedError):  # where loops have no readers
                for server in self._servers:
                    for socket in server.sockets:
                        self.loop.remove_reader(socket.fileno())
            for _ in range(_TURNS_TO_ACCEPT):
                await asyncio.sleep(0)
        finally:
            for server in self._servers:
                server.close()


def serve(
    *,
    verifier: TokenVerifier | None = None,
    config: ServerConfig | None = None,
    policy: Policy | None = None,
    handlers: Handlers | None = None,
    hub: Hub | None = None,
    websocket: Address | None = None,
    tcp: Address | None = None,
    ssl: ssl_module.SSLContext | None = None,
) -> Server:
    """A STOMP server; enter it with ``async with``, and it accepts until it is left.

    Args:
        verifier: judges the token of every CONNECT.
        config: see `ServerConfig`.
        policy: who may send and listen where; everything is allowed by default.
        handlers: functions of the application, by destination.
        hub: in place of the four: the sessions and the broker.
        websocket: (host, port) for STOMP over WebSocket, on `ServerConfig.path`; port 0 for any.
        tcp: (host, port) for STOMP over TCP.
        ssl: for TLS on all of them.

    Raises:
        OSError: on entering: an address cannot be bound.
    """
    if hub is None:
        hub = Hub(
            config or ServerConfig(),
            verifier=verifier,
            policy=policy,
            handlers=handlers,
            reply_key=secrets.token_bytes(32),
            id_prefix=f"{secrets.token_hex(4)}.",
        )
    return Server(hub, websocket=websocket, tcp=tcp, ssl=ssl)
