"""`serve`: many connections, one `Hub`, no task for any of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import secrets
import ssl as ssl_module
import time
from collections.abc import Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import cast

from stompcore import Handlers, Hub, Machine, Policy, ServerConfig, TokenVerifier
from stompcore.control import Commanded, ControlEndpoint
from stompcore.driver import EpochClock, Pump
from stompcore.handlers import Job
from stompcore.listener import Address, Listener, LogLine, log_lines, open_machine
from stompcore_asyncio._turns import Turns
from stompcore_asyncio._unix import ControlSocket

__all__ = ["Server", "serve"]

logger = logging.getLogger("stompcore.server")

# Small, so that what waits for a slow reader waits in its machine, which knows what it is owed.
_WRITE_BUFFER = 64 * 1024

# From the loop's `accept` to `connection_made`: a task, a transport, a call.
_TURNS_TO_ACCEPT = 3


class _Connection(asyncio.Protocol):
    """One transport, and its machine behind a pump."""

    def __init__(self, server: Server, *, is_websocket: bool = False) -> None:
        self.session_id = secrets.token_hex(8)
        self._server = server
        self._loop = server.loop
        self._is_websocket = is_websocket
        self._is_blocked = False
        self._is_reading = True
        self._is_lost = False
        self._flush_handle: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        server = self._server
        self.pump = Pump(self._open_machine(), server.clock)
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
        self._is_lost = True
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

    def _open_machine(self) -> Machine:
        server = self._server
        return open_machine(
            server.hub,
            self.session_id,
            is_websocket=self._is_websocket,
            now=server.clock.now(),
        )

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
        self._server.turns.add(self._on_turn)

    def _on_turn(self) -> None:
        if not self._is_lost:
            self.pump.timer()
            self._process()
            self.schedule_flush()


class _ControlConnection(_Connection):
    """An operator's."""

    def _open_machine(self) -> Machine:
        return ControlEndpoint(self._server.hub, now=self._server.clock.now())

    def _process(self) -> None:
        while (commanded := self.pump.machine.next_event()) is not None:
            self._server.obey(commanded)
        self.schedule_flush()


class Server:
    """A running server; made by `serve`, used as an async context manager.

    `drain_requested` is set when an operator asks for a drain, which has begun then; whoever holds
    the server's block open may leave it.
    """

    def __init__(
        self,
        hub: Hub,
        *,
        websocket: Address | None,
        tcp: Address | None,
        ssl: ssl_module.SSLContext | None,
        control: str | None,
    ) -> None:
        self.hub = hub
        self.listeners: list[Listener] = []
        self.connections: dict[str, _Connection] = {}
        self.is_draining = False
        self.drain_requested = asyncio.Event()
        self._websocket = websocket
        self._tcp = tcp
        self._ssl = ssl
        self._control = control
        self._control_socket: ControlSocket | None = None
        self._control_server: asyncio.Server | None = None
        self._drain_task: asyncio.Task[None] | None = None
        self._drained_by: float | None = None
        self._servers: list[asyncio.Server] = []
        self._jobs: set[asyncio.Task[None]] = set()
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    async def __aenter__(self) -> Server:
        self.loop = asyncio.get_running_loop()
        self.turns = Turns(self.loop)
        self.clock = EpochClock(self.loop.time, time.time)
        try:
            if self._websocket is not None:
                await self._listen("ws", self._websocket, self.hub.config.path)
            if self._tcp is not None:
                await self._listen("tcp", self._tcp, None)
            if self._control is not None:
                await self._listen_for_operators(self._control)
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
        try:
            await self.drain()
        finally:
            await self._end_control()

    def publish(
        self, destination: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a message on the server's own behalf.

        Raises:
            LocalProtocolError: the broker does not serve the destination.
        """
        self.settle(self.hub.publish(destination, body, headers, now=self.clock.now()))

    def revoke(
        self,
        *,
        session_id: str | None = None,
        subject: str | None = None,
        token_id: str | None = None,
    ) -> None:
        """End what lives on a token that is not to count any more; see `Hub.revoke`.

        Raises:
            LocalProtocolError: none of them was given, or more than one.
        """
        now = self.clock.now()
        self.settle(
            self.hub.revoke(session_id=session_id, subject=subject, token_id=token_id, now=now)
        )

    def expire(self, *, session_id: str | None = None, subject: str | None = None) -> None:
        """End sessions as if their tokens had run out now: their clients refresh and come back.

        Raises:
            LocalProtocolError: none of the two was given, or both.
        """
        now = self.clock.now()
        self.settle(self.hub.expire(session_id=session_id, subject=subject, now=now))

    async def drain(self) -> None:
        """Stop accepting, tell every session that the server goes away, and wait for them to go.

        Their ends are spread over `ServerConfig.drain_window`; handlers that run finish, and what
        is queued leaves. Whoever is left `Limits.close_timeout` after that is cut off.
        """
        await self._stop_accepting()
        if self._drained_by is None:
            patience = self.hub.drain(now=self.clock.now(), random=random.random)
            self._drained_by = self.loop.time() + patience
            self.settle(list(self.connections))
        try:
            async with asyncio.timeout_at(self._drained_by):
                await self._is_empty.wait()
                while self._jobs:  # of those whose peers have left, too
                    await asyncio.wait(self._jobs)
        except TimeoutError:
            pass
        finally:
            for connection in list(self.connections.values()):
                connection.abort()
            for task in list(self._jobs):
                task.cancel()
        while self._jobs:  # one that will not be cancelled may let the next of its session begin
            await asyncio.wait(self._jobs)
            for task in self._jobs:
                task.cancel()
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
            task.add_done_callback(partial(self._forget_job, job))
        for line in log_lines(self.hub):
            _log(line)
        if self.connections:
            self._is_empty.clear()

    def obey(self, commanded: Commanded) -> None:
        """See to what an operator has had done."""
        _log(commanded.line)
        self.settle(commanded.session_ids)
        if commanded.is_drain and self._drain_task is None:
            self.drain_requested.set()
            self._drain_task = self.loop.create_task(self.drain())

    def forget(self, connection: _Connection) -> None:
        """A connection is gone."""
        self.connections.pop(connection.session_id, None)
        if not self.connections:
            self._is_empty.set()

    def _forget_job(self, job: Job, task: asyncio.Task[None]) -> None:
        self._jobs.discard(task)
        job.close()  # a task that was cancelled before it ran has not even begun it

    async def _run(self, job: Job) -> None:
        try:
            await job.run()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise  # it is we who are going
            # What the handler waited for was cancelled: its session must not wait for ever.
            job.error = RuntimeError("what a handler waited for was cancelled")
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

    async def _listen_for_operators(self, path: str) -> None:
        made = self._control_socket = ControlSocket(path)
        try:
            self._control_server = await self.loop.create_unix_server(
                lambda: _ControlConnection(self), sock=made.socket
            )
        except BaseException:
            made.unlink()
            made.socket.close()
            raise

    async def _end_control(self) -> None:
        """It is of use to the last: nobody else is connected any more."""
        if self._control_server is None:
            return
        assert self._control_socket is not None
        self._control_socket.unlink()
        self._control_server.close()
        if self._drain_task is not None:
            self._drain_task.cancel()
            await asyncio.gather(self._drain_task, return_exceptions=True)
        for connection in list(self.connections.values()):
            connection.abort()
        await self._is_empty.wait()

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


def _log(line: LogLine) -> None:
    logger.log(line.level, line.text, extra={"fields": line.fields}, exc_info=line.cause)


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
    control: str | os.PathLike[str] | None = None,
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
        control: the path of a Unix socket for operators, see `stompcore.control`.

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
    return Server(
        hub,
        websocket=websocket,
        tcp=tcp,
        ssl=ssl,
        control=None if control is None else os.fspath(control),
    )
