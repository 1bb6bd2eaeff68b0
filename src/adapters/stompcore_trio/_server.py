"""`serve`: many connections and one `Hub`, in a nursery."""

from __future__ import annotations

import logging
import math
import os
import random
import secrets
import ssl as ssl_module
import time
from collections.abc import Iterable, Mapping
from functools import partial
from types import TracebackType

import trio

from stompcore import Handlers, Hub, Machine, Policy, ServerConfig, TokenVerifier
from stompcore.control import Commanded, ControlEndpoint
from stompcore.driver import EpochClock, Pump
from stompcore.handlers import Job
from stompcore.listener import Address, Listener, LogLine, log_lines, open_machine
from stompcore_trio._unix import ControlSocket
from stompcore_trio._wire import Wire

__all__ = ["Server", "serve"]

logger = logging.getLogger("stompcore.server")

# A thousand tokens that expire in one second would hold everybody else up; so many timers at a time
# cost a few milliseconds. Who waits has lost nothing but the news: the machine compares every
# frame and every MESSAGE with the clock by itself.
_A_TURN = 4


class _Connection:
    """One stream, its wire, and the task that keeps its time."""

    def __init__(
        self, server: Server, stream: trio.abc.Stream, *, is_websocket: bool = False
    ) -> None:
        self.session_id = secrets.token_hex(8)
        self._server = server
        self._is_websocket = is_websocket
        self._wire = Wire(
            stream,
            Pump(self._open_machine(), server.clock),
            after=self._process,
            refill=self._refill,
            close_timeout=server.hub.config.limits.close_timeout,
        )
        self._sleeps_until = math.inf
        self._rearm = trio.Event()

    async def run(self) -> None:
        server = self._server
        server.connections[self.session_id] = self
        try:
            self.flush()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_time)
                await self._wire.run()
                nursery.cancel_scope.cancel()
        finally:
            server.forget(self)
            del self._wire  # which calls back: a circle would wait for the garbage collector

    def flush(self) -> None:
        self._wire.flush()
        deadline = self._wire.pump.deadline()
        # Waking too early is legal, and cheaper than a new timer for every frame.
        if deadline is not None and deadline < self._sleeps_until:
            self._rearm.set()

    def abort(self) -> None:
        self._wire.abort()

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
        server.settle(server.hub.process(self.session_id, now=self._wire.pump.now))

    def _refill(self) -> bool:
        server = self._server
        if not server.hub.is_holding_back(self.session_id):
            return False
        touched = server.hub.refill(self.session_id, now=self._wire.pump.now)
        server.settle(touched)
        return self.session_id in touched

    async def _keep_time(self) -> None:
        pump = self._wire.pump
        while (deadline := pump.deadline()) is not None:
            self._sleeps_until = deadline
            with trio.move_on_at(deadline):
                await self._rearm.wait()
                self._rearm = trio.Event()
            async with self._server.turns:
                if pump.wake():
                    self._process()
                    await trio.lowlevel.checkpoint()  # the next few, in the next turn


class _ControlConnection(_Connection):
    """An operator's."""

    def _open_machine(self) -> Machine:
        return ControlEndpoint(self._server.hub, now=self._server.clock.now())

    def _process(self) -> None:
        while (commanded := self._wire.pump.machine.next_event()) is not None:
            self._server.obey(commanded)
        self.flush()


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
        nursery: trio.Nursery | None,
    ) -> None:
        self.hub = hub
        self.listeners: list[Listener] = []
        self.connections: dict[str, _Connection] = {}
        self.is_draining = False
        self.drain_requested = trio.Event()
        self._websocket = websocket
        self._tcp = tcp
        self._ssl = ssl
        self._control = control
        self._control_socket: ControlSocket | None = None
        self._controlling = trio.CancelScope()
        self._drained_by: float | None = None
        self._given = nursery
        self._accepting = trio.CancelScope()
        self._jobs: set[trio.CancelScope] = set()
        self._left = trio.Event()

    async def __aenter__(self) -> Server:
        self.clock = EpochClock(trio.current_time, time.time)
        self.turns = trio.Semaphore(_A_TURN)
        bound: list[tuple[trio.SocketListener, bool]] = []
        try:
            if self._websocket is not None:
                await self._bind("ws", self._websocket, self.hub.config.path, bound)
            if self._tcp is not None:
                await self._bind("tcp", self._tcp, None, bound)
            if self._control is not None:
                self._control_socket = ControlSocket(self._control)
        except BaseException:
            for listener, _ in bound:
                listener.socket.close()
            raise
        # By hand, so that an exception of the body leaves as it is and not in a group.
        self._manager = None if self._given else trio.open_nursery()
        self._nursery = self._given or await self._manager.__aenter__()  # type: ignore[union-attr]
        self._nursery.start_soon(self._accept, bound)
        if self._control_socket is not None:
            self._nursery.start_soon(self._accept_operators, self._control_socket)
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
            # The control socket is of use to the last.
            if self._control_socket is not None:
                self._control_socket.unlink()
            self._controlling.cancel()
            for connection in list(self.connections.values()):
                connection.abort()
            if self._manager is not None:
                self._nursery.cancel_scope.cancel()
                await self._manager.__aexit__(None, None, None)

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
        self.is_draining = True
        self._accepting.cancel()
        if self._drained_by is None:
            patience = self.hub.drain(now=self.clock.now(), random=random.random)
            self._drained_by = trio.current_time() + patience
            self.settle(list(self.connections))
        with trio.move_on_at(self._drained_by):
            while self.connections or self._jobs:  # of those whose peers have left, too
                await self._until_fewer()
        while self.connections or self._jobs:
            for connection in list(self.connections.values()):
                connection.abort()
            for scope in list(self._jobs):
                scope.cancel()
            await self._until_fewer()

    # --- for connections ------------------------------------------------------------------

    def settle(self, session_ids: Iterable[str]) -> None:
        """See to the output of these sessions, and to the log."""
        for session_id in session_ids:
            connection = self.connections.get(session_id)
            if connection is not None:
                connection.flush()
        while (job := self.hub.next_job()) is not None:
            scope = trio.CancelScope()
            self._jobs.add(scope)
            self._nursery.start_soon(self._run, job, scope)
        for line in log_lines(self.hub):
            _log(line)

    def obey(self, commanded: Commanded) -> None:
        """See to what an operator has had done."""
        _log(commanded.line)
        self.settle(commanded.session_ids)
        if commanded.is_drain and not self.drain_requested.is_set():
            self.drain_requested.set()
            self._nursery.start_soon(self.drain)

    async def _run(self, job: Job, scope: trio.CancelScope) -> None:
        with scope:
            try:
                await job.run()
            finally:
                self._jobs.discard(scope)
                self._left.set()
            self.settle(self.hub.finish(job, now=self.clock.now()))

    def forget(self, connection: _Connection) -> None:
        """A connection is gone."""
        self.connections.pop(connection.session_id, None)
        self._left.set()

    async def _until_fewer(self) -> None:
        """Until a connection or a job has ended."""
        if self._left.is_set():  # else somebody else is waiting for it
            self._left = trio.Event()
        await self._left.wait()

    async def _bind(
        self,
        transport: str,
        address: Address,
        path: str | None,
        bound: list[tuple[trio.SocketListener, bool]],
    ) -> None:
        host, port = address
        for listener in await trio.open_tcp_listeners(port, host=host, backlog=1024):
            bound.append((listener, transport == "ws"))
            name = listener.socket.getsockname()
            self.listeners.append(
                Listener(transport, name[0], name[1], path, self._ssl is not None)
            )

    async def _accept(self, bound: list[tuple[trio.SocketListener, bool]]) -> None:
        with self._accepting:
            async with trio.open_nursery() as nursery:
                for listener, is_websocket in bound:
                    handler = partial(self._handle, is_websocket=is_websocket)
                    nursery.start_soon(
                        partial(
                            trio.serve_listeners,
                            handler,
                            [listener],
                            handler_nursery=self._nursery,
                        )
                    )

    async def _accept_operators(self, made: ControlSocket) -> None:
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(made.socket))
        with self._controlling:
            await trio.serve_listeners(
                self._handle_operator, [listener], handler_nursery=self._nursery
            )

    async def _handle_operator(self, stream: trio.SocketStream) -> None:
        try:
            await _ControlConnection(self, stream).run()
        except Exception:
            logger.exception("a control connection was ended by an internal error")
        finally:
            await trio.aclose_forcefully(stream)

    async def _handle(self, stream: trio.SocketStream, *, is_websocket: bool) -> None:
        try:
            secured = await self._secure(stream)
            if secured is not None:
                await _Connection(self, secured, is_websocket=is_websocket).run()
        except Exception:  # a bug in one connection must not end the others
            logger.exception("a connection was ended by an internal error")
        finally:
            await trio.aclose_forcefully(stream)

    async def _secure(self, stream: trio.SocketStream) -> trio.abc.Stream | None:
        """TLS, if there is any; None for a peer that does not speak it."""
        if self._ssl is None:
            return stream
        secured = trio.SSLStream(stream, self._ssl, server_side=True, https_compatible=True)
        with trio.move_on_after(self.hub.config.limits.handshake_timeout) as scope:
            try:
                await secured.do_handshake()
            except trio.BrokenResourceError:
                return None
        return None if scope.cancelled_caught else secured


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
    nursery: trio.Nursery | None = None,
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
        nursery: for the connections' tasks; the server opens one of its own otherwise.

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
        nursery=nursery,
    )
