"""`VirtualClient`: the driver of one `ClientSession`, without any I/O."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping

from stompcore._client import ClientSession
from stompcore._errors import TokenFailed, TokenUnavailable, Unauthorized
from stompcore._events import (
    AckMode,
    Action,
    ClientEvent,
    Delivered,
    Dial,
    FetchToken,
    HangUp,
    Published,
    PublishFailed,
)
from stompcore._subscription import HeaderValue
from stompcore._url import parse_url
from stompcore.client import TokenRequest
from stompcore.driver import MAX_SLEEP, EpochClock, Pump
from stompcore.testing._clock import VirtualClock
from stompcore.testing._ends import End
from stompcore.testing._link import Link
from stompcore.testing._schedule import Schedule, Task
from stompcore.websocket import ClientEndpoint

__all__ = ["ClientEnd", "ClientWatcher", "VirtualClient"]

TokenFunction = Callable[[TokenRequest], Awaitable[str]]


class ClientWatcher:
    """Who wants to know what a client does. Instants are the client's own, in Unix seconds."""

    def sent(self, key: int, destination: str, body: bytes, now: float) -> None:
        """The user has sent a message, and the client has taken it."""

    def subscribed(self, id: str, destination: str, ack: AckMode, now: float) -> None:
        """The user has subscribed."""

    def begun(self, transaction: str) -> None:
        """The user has begun a transaction."""

    def sent_in(self, transaction: str, destination: str, body: bytes) -> None:
        """The user has sent a message in it."""

    def committing(self, transaction: str) -> None:
        """The user wants it to be done."""

    def aborted(self, transaction: str) -> None:
        """The user does not want it any more."""

    def event(self, event: ClientEvent, now: float) -> None:
        """The client has something to tell."""

    def action(self, action: Action, now: float) -> None:
        """The client asks for a deed."""

    def client_fired(self, session: ClientSession, now: float) -> None:
        """`handle_timeout` was called."""


class ClientEnd(End):
    """A client's end of one link."""

    def __init__(self, client: VirtualClient, epoch: int, link: Link) -> None:
        super().__init__(client._schedule, client.clock, link, link.down, link.up)
        self.epoch = epoch
        self._client = client

    def flush(self) -> None:
        """Write what the link takes."""
        pump = self.pump
        if pump is None or self.is_closed:
            return
        while self._out.can_write and (chunks := pump.output()):
            self._write(b"".join(chunks))
        self._listen_again()
        if self._has_heard_end:
            self.close()
        elif self._client.target.is_websocket:  # else the session's deadline is this one's, too
            self._arm()

    def hang_up(self) -> None:
        """Close, with a Close frame where there is a WebSocket, and wait for nobody."""
        if self.pump is not None and isinstance(self.pump.machine, ClientEndpoint):
            self.pump.machine.hang_up(now=self.pump.now)
        self.flush()
        self.close()

    def _fed(self) -> None:
        self._client.turn()

    def _on_timer(self) -> None:
        self._client.turn()


class VirtualClient:
    """What a binding's client is, in virtual time: transports, timers and a token source.

    Its verbs are those of `ClientSession` without `now`; each lets the client act at once.

    Args:
        schedule: of the world.
        name: who it is: the subject of its tokens.
        make: makes the session, given the instant.
        clock: of this computer.
        dial: begins to open a link, and answers with `opened` or `failed`.
        token: its token source, if it has one.
        watchers: are told what happens.

    Attributes:
        session: the `ClientSession`.
        events: all of its events, in order.
        actions: all that it has asked for, in order.
        ends: its links, by epoch.
    """

    def __init__(
        self,
        schedule: Schedule,
        name: str,
        make: Callable[[float], ClientSession],
        *,
        clock: VirtualClock,
        dial: Callable[[VirtualClient, Dial], None],
        token: TokenFunction | None,
        watchers: Iterable[ClientWatcher] = (),
    ) -> None:
        self.name = name
        self.wall_clock = clock
        self.clock = EpochClock(clock.monotonic, clock.wall)
        self.session = make(self.clock.now())
        self.target = parse_url(self.session.url)
        self.events: list[ClientEvent] = []
        self.actions: list[Action] = []
        self.ends: dict[int, ClientEnd] = {}
        self._schedule = schedule
        self._dial = dial
        self._token = token
        self._watchers = list(watchers)
        self._fetch: Task[str] | None = None
        self._asked = 0
        self._dialing: set[int] = set()
        self._wakes_at = math.inf

    # --- what has become of it ------------------------------------------------------------

    @property
    def now(self) -> float:
        """The present instant, for this client, in Unix seconds."""
        return self.clock.now()

    @property
    def received(self) -> list[str]:
        """The bodies of all messages that came, as text, in order."""
        return [each.frame.body.decode() for each in self.events if isinstance(each, Delivered)]

    @property
    def deliveries(self) -> list[Delivered]:
        """All messages that came, in order; what `ack` and `nack` want."""
        return [each for each in self.events if isinstance(each, Delivered)]

    @property
    def confirmed(self) -> list[int]:
        """The keys of the messages that the server has confirmed, in order."""
        return [each.key for each in self.events if isinstance(each, Published)]

    @property
    def failed(self) -> list[int]:
        """The keys of the messages that were given up, in order."""
        return [each.key for each in self.events if isinstance(each, PublishFailed)]

    @property
    def link(self) -> Link | None:
        """The wire of the newest connection, or None."""
        return self.ends[max(self.ends)].link if self.ends else None

    def watch(self, watcher: ClientWatcher) -> None:
        """Tell somebody more what happens, from now on."""
        self._watchers.append(watcher)

    # --- what its user does ---------------------------------------------------------------

    def start(self) -> None:
        """As `ClientSession.start`."""
        self.session.start(now=self.now)
        self.turn()

    def send(
        self,
        destination: str,
        body: bytes | str,
        headers: Mapping[str, str] | None = None,
        *,
        confirm: bool = True,
    ) -> int:
        """As `ClientSession.send`. The key is in `confirmed` or in `failed`, some time."""
        data = body.encode() if isinstance(body, str) else body
        now = self.now
        key = self.session.send(destination, data, headers, confirm=confirm, now=now)
        for each in self._watchers:
            each.sent(key, destination, data, now)
        self.turn()
        return key

    def subscribe(
        self,
        destination: str,
        *,
        ack: AckMode | str = AckMode.AUTO,
        headers: Mapping[str, HeaderValue] | None = None,
    ) -> str:
        """As `ClientSession.subscribe`."""
        now, mode = self.now, AckMode(ack)
        id = self.session.subscribe(destination, ack=mode, headers=headers, now=now)
        for each in self._watchers:
            each.subscribed(id, destination, mode, now)
        self.turn()
        return id

    def unsubscribe(self, id: str) -> None:
        """As `ClientSession.unsubscribe`."""
        self.session.unsubscribe(id, now=self.now)
        self.turn()

    def hold(self, id: str) -> None:
        """As `ClientSession.hold`."""
        self.session.hold(id, now=self.now)
        self.turn()

    def release(self, id: str) -> None:
        """As `ClientSession.release`."""
        self.session.release(id, now=self.now)
        self.turn()

    def ack(self, delivered: Delivered, *, transaction: str | None = None) -> None:
        """As `ClientSession.ack`."""
        self.session.ack(delivered, transaction=transaction, now=self.now)
        self.turn()

    def nack(self, delivered: Delivered, *, transaction: str | None = None) -> None:
        """As `ClientSession.nack`."""
        self.session.nack(delivered, transaction=transaction, now=self.now)
        self.turn()

    def begin(self) -> str:
        """As `ClientSession.begin`."""
        transaction = self.session.begin(now=self.now)
        for each in self._watchers:
            each.begun(transaction)
        self.turn()
        return transaction

    def send_in(self, transaction: str, destination: str, body: bytes | str) -> None:
        """As `ClientSession.send_in`."""
        data = body.encode() if isinstance(body, str) else body
        self.session.send_in(transaction, destination, data, now=self.now)
        for each in self._watchers:
            each.sent_in(transaction, destination, data)
        self.turn()

    def commit(self, transaction: str) -> None:
        """As `ClientSession.commit`."""
        self.session.commit(transaction, now=self.now)
        for each in self._watchers:
            each.committing(transaction)
        self.turn()

    def abort_transaction(self, transaction: str) -> None:
        """As `ClientSession.abort_transaction`."""
        self.session.abort_transaction(transaction, now=self.now)
        for each in self._watchers:
            each.aborted(transaction)
        self.turn()

    def close(self) -> None:
        """As `ClientSession.close`."""
        self.session.close(now=self.now)
        self.turn()

    def abort(self) -> None:
        """As `ClientSession.abort`."""
        self.session.abort(now=self.now)
        self.turn()

    # --- what a driver does ---------------------------------------------------------------

    def turn(self) -> None:
        """Fire what is due, hand out events, do what is asked, write, and set the timer."""
        session = self.session
        now = self.clock.now()
        deadline = session.next_deadline()
        if deadline is not None and now >= deadline:
            session.handle_timeout(now=now)
            for each in self._watchers:
                each.client_fired(session, now)
        if self.target.is_websocket:  # else the session has told its connections itself
            for end in list(self.ends.values()):
                if end.pump is not None:
                    end.pump.wake()
        self._drain(now)
        for end in list(self.ends.values()):
            end.flush()
            if end.is_closed:
                self.ends.pop(end.epoch, None)
        self._arm(now)

    def opened(self, epoch: int, link: Link) -> ClientEnd | None:
        """Answer `Dial`: a link is there. None if nobody wants it any more."""
        if epoch not in self._dialing:
            return None
        self._dialing.discard(epoch)
        now = self.clock.now()
        connection = self.session.dialed(epoch, now=now)
        if connection is None:
            return None
        end = self.ends[epoch] = ClientEnd(self, epoch, link)
        if self.target.is_websocket:
            end.pump = Pump(ClientEndpoint(connection, self.target, now=now), self.clock)
        else:
            end.pump = Pump(connection, self.clock)
        return end

    def failed_to_open(self, epoch: int, fault: str) -> None:
        """Answer `Dial`: there is no link to be had."""
        if epoch in self._dialing:
            self._dialing.discard(epoch)
            self.session.dial_failed(epoch, fault, now=self.clock.now())
            self.turn()

    def abandon(self) -> None:
        """Call the token source off."""
        if self._fetch is not None:
            self._fetch.cancel()

    # --- inside ---------------------------------------------------------------------------

    def _drain(self, now: float) -> None:
        session = self.session
        while True:
            while (event := session.next_event()) is not None:
                self.events.append(event)
                for each in self._watchers:
                    each.event(event, now)
            action = session.next_action()
            if action is None:
                return
            self.actions.append(action)
            for each in self._watchers:
                each.action(action, now)
            self._do(action)

    def _do(self, action: Action) -> None:
        match action:
            case Dial():
                self._dialing.add(action.epoch)
                self._dial(self, action)
            case HangUp():
                self._dialing.discard(action.epoch)
                end = self.ends.pop(action.epoch, None)
                if end is not None:
                    end.hang_up()
            case FetchToken():
                self._ask(action)

    def _ask(self, action: FetchToken) -> None:
        if self._fetch is not None:
            self._fetch.cancel()
        source, generation = self._token, action.generation
        assert source is not None
        self._asked = generation

        def done(token: str | None, error: Exception | None) -> None:
            now = self.clock.now()
            if error is None:
                self.session.token(generation, token or "", now=now)
            else:
                fault = error if isinstance(error, TokenFailed) else None
                if fault is None:
                    fault = TokenUnavailable(f"the token source raised {type(error).__name__}")
                self.session.token_failed(
                    generation,
                    permanent=isinstance(error, Unauthorized),
                    error=fault if str(fault) else None,
                    now=now,
                )
            self.turn()

        def begin() -> None:
            if self._asked == generation and not self.session.closed:
                request = TokenRequest(reason=action.reason, generation=generation)
                self._fetch = Task(self._schedule, source(request), done)
                self._fetch.start()

        # Not at once: a driver's answers come from outside, never out of the question itself.
        self._schedule.at(self._schedule.clock.monotonic(), begin)

    def _arm(self, now: float) -> None:
        session = self.session
        if session.closed:
            self.abandon()
            return
        latest = now + MAX_SLEEP
        deadline = session.next_deadline()
        at = self.clock.to_loop(latest if deadline is None else min(deadline, latest))
        if at < self._wakes_at:
            self._wakes_at = at
            self._schedule.timer(at, lambda: self._wake(at))

    def _wake(self, at: float) -> None:
        if at == self._wakes_at:
            self._wakes_at = math.inf
            self.turn()
