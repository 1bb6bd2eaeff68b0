"""`VirtualServer`: a hub, its clock and its end of every link, without any I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from stompcore._config import ServerConfig
from stompcore._events import ConnectRequested, ReauthRequested, ServerEvent, Work
from stompcore._hub import Hub, Notice
from stompcore._machine import Machine
from stompcore._server import ServerSession
from stompcore.driver import EpochClock, Pump
from stompcore.handlers import Job
from stompcore.testing._clock import VirtualClock
from stompcore.testing._ends import End
from stompcore.testing._link import Link
from stompcore.testing._schedule import Schedule, Task
from stompcore.websocket import ServerEndpoint

__all__ = ["BareHub", "Serve", "ServerEnd", "ServerWatcher", "VirtualServer"]

_QUESTIONS = (ConnectRequested, ReauthRequested)

#: Does the work that a session's event asks for, and answers it.
Serve = Callable[[ServerSession, ServerEvent, float], None]


class ServerWatcher(Protocol):
    """Who wants to know what a server does. Instants are the server's own, in Unix seconds."""

    def opened(self, session: ServerSession, client: str, epoch: int) -> None:
        """A client's connection has a session."""

    def left(self, session: ServerSession, chunks: list[bytes], now: float) -> None:
        """These bytes leave for a session's peer."""

    def server_fired(self, machine: Machine, now: float) -> None:
        """`handle_timeout` was called."""


class BareHub:
    """In the place of a `Hub`: sessions whose work is done by a function.

    Args:
        make: makes a session of its id and `now`.
        serve: see `Serve`; by default every work is `done`, and nothing comes of it.
    """

    def __init__(
        self, make: Callable[[str, float], ServerSession], serve: Serve | None = None
    ) -> None:
        self.sessions: dict[str, ServerSession] = {}
        self._make = make
        self._serve = _do_nothing if serve is None else serve

    def open(self, session_id: str, *, now: float) -> ServerSession:
        """As `Hub.open`."""
        session = self.sessions[session_id] = self._make(session_id, now)
        return session

    def process(self, session_id: str, *, now: float) -> set[str]:
        """As `Hub.process`; any session may have output now."""
        session = self.sessions.get(session_id)
        if session is None:
            return set()
        while (event := session.next_event()) is not None:
            self._serve(session, event, now)
        reached = set(self.sessions)
        if session.closed:
            del self.sessions[session_id]
        return reached

    def is_holding_back(self, session_id: str) -> bool:
        """As `Hub.is_holding_back`: never."""
        return False

    def refill(self, session_id: str, *, now: float) -> set[str]:
        """As `Hub.refill`."""
        return set()

    def next_job(self) -> Job | None:
        """As `Hub.next_job`."""
        return None

    def finish(self, job: Job, *, now: float) -> set[str]:
        """As `Hub.finish`."""
        return set()

    def next_notice(self) -> Notice | None:
        """As `Hub.next_notice`."""
        return None


class ServerEnd(End):
    """A server's end of one link."""

    def __init__(
        self, server: VirtualServer, link: Link, session: ServerSession, machine: Machine
    ) -> None:
        super().__init__(server._schedule, server.clock, link, link.up, link.down)
        self.session = session
        self.pump: Pump = Pump(machine, server.clock)
        self._server = server

    def flush(self) -> None:
        """Fire what is due, write what the link takes, close where the machine says so."""
        if self.is_closed:
            return
        pump, server, way = self.pump, self._server, self._out
        if pump.wake():
            server._fired(pump)
            self._fed()
            return
        while way.can_write and (chunks := pump.output()):
            if server.watcher is not None:
                server.watcher.left(self.session, chunks, pump.now)
            self._write(b"".join(chunks))
        if way.can_write:
            session_id = self.session.session_id
            if server.hub.is_holding_back(session_id):
                server.settle(server.hub.refill(session_id, now=pump.now))
            if pump.should_send_eof():
                self._close_out()
        if pump.machine.closed or self._has_heard_end:
            self._lose()
            return
        self._listen_again()
        self._arm()

    def _fed(self) -> None:
        server = self._server
        server.settle(server.hub.process(self.session.session_id, now=self.pump.now))

    def _on_timer(self) -> None:
        self.pump.timer()
        self._server._fired(self.pump)
        self._fed()

    def _lose(self) -> None:
        """The machine is done with its peer, and so is the transport."""
        self.close()
        self._server.ends.pop(self.session.session_id, None)
        self.pump.eof()
        self._fed()


class VirtualServer:
    """What a binding's server is, in virtual time.

    Args:
        schedule: of the world.
        clock: of this computer.
        hub: the sessions, and who does their work.
        config: of the sessions.
        id_prefix: of session ids.
        watcher: is told what happens.
        judge: is given the notices of tokens that wait to be judged.

    Attributes:
        hub: as given.
        clock: what the server takes for the present.
        ends: the links that are open, by session id.
        notices: what the hub had to tell, in order.
    """

    def __init__(
        self,
        schedule: Schedule,
        clock: VirtualClock,
        hub: Hub | BareHub,
        config: ServerConfig,
        *,
        id_prefix: str = "",
        watcher: ServerWatcher | None = None,
        judge: Callable[[Notice], None] | None = None,
    ) -> None:
        self.hub = hub
        self.clock = EpochClock(clock.monotonic, clock.wall)
        self.ends: dict[str, ServerEnd] = {}
        self.notices: list[Notice] = []
        self.watcher = watcher
        self._config = config
        self._judge = judge
        self._schedule = schedule
        self._id_prefix = id_prefix
        self._last_session = 0
        self._dirty: set[str] = set()
        self._is_settling = False
        self._tasks: list[Task[None]] = []

    def accept(self, link: Link, client: str, epoch: int, *, is_websocket: bool) -> ServerEnd:
        """A client has dialled, and this is the wire."""
        self._last_session += 1
        session_id = f"{self._id_prefix}{self._last_session}"
        now = self.clock.now()
        session = self.hub.open(session_id, now=now)
        machine: Machine = session
        if is_websocket:
            machine = ServerEndpoint(session, self._config, now=now)
        end = self.ends[session_id] = ServerEnd(self, link, session, machine)
        if self.watcher is not None:
            self.watcher.opened(session, client, epoch)
        self.settle({session_id})
        return end

    def settle(self, reached: Iterable[str]) -> None:
        """See to all sessions that may have output, until there is none left to be seen to."""
        self._dirty.update(reached)
        if self._is_settling:
            return
        self._is_settling = True
        try:
            while self._dirty:
                # In an order that is the same for every run.
                now, self._dirty = sorted(self._dirty), set()
                for session_id in now:
                    end = self.ends.get(session_id)
                    if end is not None:
                        end.flush()
                while (job := self.hub.next_job()) is not None:
                    self._begin(job)
                while (notice := self.hub.next_notice()) is not None:
                    self.notices.append(notice)
                    if self._judge is not None and isinstance(notice.event, _QUESTIONS):
                        self._judge(notice)
        finally:
            self._is_settling = False

    def crash(self) -> None:
        """The process dies: every link is cut, and its sessions hear of nothing any more."""
        now = self._schedule.clock.monotonic()
        self.abandon()
        ends, self.ends = list(self.ends.values()), {}
        for end in ends:
            end.is_closed = True
            end.link.cut(now=now)
            end._told()

    def abandon(self) -> None:
        """Call off every handler that runs or waits for its turn."""
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        while (job := self.hub.next_job()) is not None:
            job.close()

    def _begin(self, job: Job) -> None:
        def done(_: None, error: Exception | None) -> None:
            self._tasks.remove(task)
            if error is not None:
                raise error
            self.settle(self.hub.finish(job, now=self.clock.now()))

        task = Task(self._schedule, job.run(), done)
        self._tasks.append(task)
        task.start()

    def _fired(self, pump: Pump) -> None:
        if self.watcher is not None:
            self.watcher.server_fired(pump.machine, pump.now)


def _do_nothing(session: ServerSession, event: ServerEvent, now: float) -> None:
    if isinstance(event, Work):
        session.done(event, now=now)
