"""`World`: one server, any number of clients and an auth server, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from stompcore._auth import Rejected, TokenVerifier
from stompcore._client import ClientSession
from stompcore._config import ClientConfig, ServerConfig
from stompcore._duplicates import Duplicates
from stompcore._endings import DEFAULT_RULES, Rule
from stompcore._errors import LocalProtocolError
from stompcore._events import ConnectRequested, Dial, ReauthRequested
from stompcore._frames import Command
from stompcore._hub import Hub, Notice
from stompcore._server import ServerSession
from stompcore.broker import Broker
from stompcore.handlers import Handlers
from stompcore.policy import Policy
from stompcore.testing._auditor import Auditor
from stompcore.testing._client import TokenFunction, VirtualClient
from stompcore.testing._clock import VirtualClock
from stompcore.testing._dice import Dice
from stompcore.testing._ends import join
from stompcore.testing._link import Link
from stompcore.testing._schedule import Schedule
from stompcore.testing._server import BareHub, Serve, VirtualServer
from stompcore.testing._tokens import AuthServer, InsecureTestVerifier
from stompcore.testing._trace import Passed, Tap, Trace

__all__ = ["URLS", "Network", "World"]

URLS = {"tcp": "stomp://server", "websocket": "ws://server/ws"}


class Network:
    """What every link that is dialled from now on is like, and whether one comes to be.

    Attributes:
        latency, jitter: seconds, see `Link`.
        chunk: bytes, see `Link`.
        window: bytes, see `Link`.
        is_dark: whoever dials hears nothing, not even a refusal.
        refuses: whoever dials is refused, as if nobody listened.
    """

    def __init__(self, *, latency: float = 0.0, jitter: float = 0.0, chunk: int = 0) -> None:
        self.latency = latency
        self.jitter = jitter
        self.chunk = chunk
        self.window = 256 * 1024
        self.is_dark = False
        self.refuses = False


class World:
    """A server, clients that join, and the wires between them. Nothing in it takes real time.

    What happens is decided by the arguments and by `seed` alone. Calls of a client's verbs act
    at once; bytes travel while `run` or `settle` is called.

    Args:
        seed: for jitter, backoff and the pieces that bytes arrive in.
        transport: "tcp" or "websocket".
        network: what links are like; perfect by default.
        ttl: how long a token lives, in seconds; `auth` has it.
        sign: makes the tokens of `auth`, see `AuthServer`; give a verifier that reads them.
        config: of the server.
        verifier: judges tokens; by default it believes those of `auth`.
        verifier_latency: how many seconds the hub waits for it; None: it answers at once.
        policy, handlers: of the server's hub.
        hub: makes the hub, at the start and after a crash, of the arguments that `Hub` has.
        serve: in place of a hub: does the work of `ServerSession`s, see `BareHub`.
        auditor: watches everything.
        clock: of the server, for handlers and token sources that want to sleep by it.
        keeps_frames: whether `frames` and `trace` hold what passes over links.

    Attributes:
        clock: the server's. Time passes for all; a step of its wall clock is its own.
        auth: the auth server, whose clock is another.
        server: the present one.
        clients: by name.
        frames: what was written to links, in order.
        trace: the same with what else happened, to be read.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        transport: str = "tcp",
        network: Network | None = None,
        ttl: float = 60.0,
        sign: Callable[[dict[str, Any]], str] | None = None,
        config: ServerConfig | None = None,
        verifier: TokenVerifier | None = None,
        verifier_latency: float | None = None,
        policy: Policy | None = None,
        handlers: Handlers | None = None,
        hub: Callable[..., Hub] = Hub,
        serve: Serve | None = None,
        auditor: Auditor | None = None,
        clock: VirtualClock | None = None,
        keeps_frames: bool = True,
    ) -> None:
        if transport not in URLS:
            raise LocalProtocolError(f"a transport is one of {', '.join(URLS)}")
        self.dice = Dice(seed)
        self.transport = transport
        self.network = Network() if network is None else network
        self.clock = VirtualClock() if clock is None else clock
        self.schedule = Schedule(self.clock, self.dice.split("lag"))
        self.auth = AuthServer(VirtualClock(beside=self.clock), ttl=ttl, sign=sign)
        self.config = ServerConfig() if config is None else config
        self.auditor = auditor
        self.clients: dict[str, VirtualClient] = {}
        self.frames: list[Passed] = []
        self.trace = Trace()
        self._verifier = InsecureTestVerifier() if verifier is None else verifier
        self._verifier_latency = verifier_latency
        self._policy = policy
        self._handlers = handlers
        self._make_hub = hub
        self._serve = serve
        self._keeps_frames = keeps_frames
        self._starts = 0
        self._checked_at = -1.0
        self._duplicates = Duplicates(self.config)
        self._server: VirtualServer | None = None
        self.start_server()

    # --- what there is --------------------------------------------------------------------

    @property
    def now(self) -> float:
        """The present instant by the server's clock, in Unix seconds."""
        return self.server.clock.now()

    @property
    def server(self) -> VirtualServer:
        """The server.

        Raises:
            LocalProtocolError: it is down.
        """
        if self._server is None:
            raise LocalProtocolError("the server is down")
        return self._server

    @property
    def is_up(self) -> bool:
        """Whether there is a server."""
        return self._server is not None

    @property
    def hub(self) -> Hub:
        """The server's hub.

        Raises:
            LocalProtocolError: it is down, or has none.
        """
        hub = self.server.hub
        if not isinstance(hub, Hub):
            raise LocalProtocolError("this server has no hub")
        return hub

    def session_of(self, client: VirtualClient) -> ServerSession:
        """The server's session of a client's newest connection.

        Raises:
            LocalProtocolError: it has none.
        """
        link = client.link
        for end in self.server.ends.values():
            if end.link is link:
                return end.session
        raise LocalProtocolError(f"{client.name} is not connected")

    # --- who takes part -------------------------------------------------------------------

    def join(
        self,
        name: str,
        config: ClientConfig | None = None,
        *,
        token: TokenFunction | None = None,
        rules: Sequence[Rule] = DEFAULT_RULES,
        client_id: str | None = None,
        make: Callable[..., ClientSession] = ClientSession,
        is_started: bool = True,
    ) -> VirtualClient:
        """A new client.

        Args:
            name: unique; also the subject of its tokens.
            config: of the client.
            token: its token source; by default it asks `auth`.
            rules: see `ClientSession`.
            client_id: see `ClientSession`; by default one that is made of the name.
            make: makes its session.
            is_started: whether it begins to connect.

        Raises:
            LocalProtocolError: the name is taken.
        """
        if name in self.clients:
            raise LocalProtocolError(f"there is a {name} already")
        settings = ClientConfig() if config is None else config
        client_id = f"{name}-" if client_id is None else client_id
        dice = self.dice.split(f"client {name}")
        client = VirtualClient(
            self.schedule,
            name,
            lambda now: make(
                URLS[self.transport],
                settings,
                now=now,
                random=dice.random,
                client_id=client_id,
                rules=rules,
            ),
            clock=VirtualClock(beside=self.clock),
            dial=self._dial,
            token=self.auth.source(name) if token is None else token,
        )
        if self.auditor is not None:
            client.watch(self.auditor.client(name, settings, has_keys=client_id != ""))
        self.clients[name] = client
        if is_started:
            client.start()
        return client

    def note(self, what: object) -> None:
        """Write a line into the trace."""
        self.trace.add(self.clock.monotonic(), what)

    # --- time -----------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        """Let time pass, and everything happen that is due until then.

        Raises:
            Restless: it does not come to rest.
            Violation: of an auditor.
        """
        self.schedule.run(self.clock.monotonic() + seconds, after_each=self._after_each)

    def run_until(self, is_done: Callable[[], bool], *, within: float) -> None:
        """Let time pass until `is_done()`, which is asked after every step.

        Raises:
            TimeoutError: it was not, `within` so many seconds.
        """

        def after_each() -> bool:
            self._after_each()
            return is_done()

        if not is_done():
            self.schedule.run(self.clock.monotonic() + within, after_each=after_each)
            if not is_done():
                raise TimeoutError(f"it has not come about within {within} s")

    def settle(self) -> None:
        """Let everything happen that is due now."""
        self.run(0.0)

    def jump(self, seconds: float) -> None:
        """Let time pass without anybody noticing: bytes are under way, a machine is busy."""
        self.schedule.jump(seconds)

    # --- what goes wrong ------------------------------------------------------------------

    def cut(self, client: VirtualClient | None = None) -> None:
        """Cut a client's links, or all of them: what is under way is lost.

        Both ends are about to hear of it: `run` or `settle`.
        """
        for each in list(self.clients.values()) if client is None else [client]:
            for end in list(each.ends.values()):
                self.cut_link(end.link)

    def cut_link(self, link: Link) -> None:
        """Cut one link."""
        link.cut(now=self.clock.monotonic())
        ends = [end for client in self.clients.values() for end in client.ends.values()]
        servers = [] if self._server is None else list(self._server.ends.values())
        for end in (*ends, *servers):
            if end.link is link:
                end.expect()

    def crash(self, *, forgets: bool = True) -> None:
        """The server's process dies, with everything that it had in memory.

        Args:
            forgets: whether the next one does not know what was done already.
        """
        self.note("the server crashes")
        if forgets:
            self._duplicates = Duplicates(self.config)
            if self.auditor is not None:
                self.auditor.forgot()
        self.server.crash()
        self._server = None

    def start_server(self) -> None:
        """A new process, with a new hub; legal when there is none.

        Raises:
            LocalProtocolError: there is one.
        """
        if self._server is not None:
            raise LocalProtocolError("the server is up")
        self._starts += 1
        self.note("the server starts")
        hub = self._new_hub()
        self._server = VirtualServer(
            self.schedule,
            self.clock,
            hub,
            self.config,
            id_prefix=f"{self._starts}-",
            watcher=self.auditor,
            judge=None if self._verifier_latency is None else self._judge,
        )
        if self.auditor is not None:
            self.auditor.server(self.config, self._server.clock.now, self.clock.monotonic)

    def abandon(self) -> None:
        """Call off what still runs: handlers and token sources. Nothing is to be run after it."""
        if self._server is not None:
            self._server.abandon()
        for client in self.clients.values():
            client.abandon()

    # --- inside ---------------------------------------------------------------------------

    def _new_hub(self) -> Hub | BareHub:
        if self._serve is not None:
            return BareHub(self._new_session, self._serve)
        return self._make_hub(
            self.config,
            broker=self._new_broker(),
            verifier=self._verifier if self._verifier_latency is None else None,
            policy=self._policy,
            handlers=self._handlers,
            duplicates=self._duplicates,
        )

    def _judge(self, notice: Notice) -> None:
        """A token waits to be judged by somebody who takes their time."""
        event, server = notice.event, self.server
        assert isinstance(event, ConnectRequested | ReauthRequested)
        token, headers, session_id = event.token, event.headers, notice.session_id

        def answer() -> None:
            if self._server is not server:
                return  # it has crashed
            now = server.clock.now()
            try:
                identity = self._verifier.verify(token, headers=headers, now=now)
            except Rejected as rejected:
                server.settle(self.hub.reject(session_id, rejected, now=now))
            else:
                server.settle(self.hub.accept(session_id, identity, now=now))

        assert self._verifier_latency is not None
        self.schedule.at(self.clock.monotonic() + self._verifier_latency, answer)

    def _new_broker(self) -> Broker:
        id_prefix, reply_key = f"{self._starts}.", b"the key of a virtual world"
        if self.auditor is None:
            return Broker(self.config.limits, id_prefix=id_prefix, reply_key=reply_key)
        return self.auditor.broker(self.config.limits, id_prefix=id_prefix, reply_key=reply_key)

    def _new_session(self, session_id: str, now: float) -> ServerSession:
        return ServerSession(self.config, session_id=session_id, now=now, verifier=self._verifier)

    def _after_each(self) -> bool:
        if self.auditor is not None and self._server is not None:
            now = self.clock.monotonic()
            if now != self._checked_at:
                self._checked_at = now
                self.auditor.check()
        return False

    def _new_link(self, client: str, epoch: int) -> Link:
        network = self.network
        return Link(
            self.dice.split(f"link {client} {epoch}"),
            latency=network.latency,
            jitter=network.jitter,
            chunk=network.chunk,
            window=network.window,
        )

    def _tap(self, link: Link, client: str, epoch: int) -> None:
        is_websocket = self.transport == "websocket"
        taps = {way: Tap(is_websocket=is_websocket) for way in ("up", "down")}

        def on_write(way: str, data: bytes) -> None:
            for frame in taps[way].read(data):
                is_secret = (
                    frame.command is Command.SEND
                    and frame.headers.get("destination") == self.config.refresh_destination
                )
                passed = Passed(
                    self.clock.monotonic(), client, epoch, way == "up", frame, is_secret
                )
                self.frames.append(passed)
                self.note(passed)

        link.on_write = on_write

    def _dial(self, client: VirtualClient, action: Dial) -> None:
        if self.network.is_dark:
            return
        link = self._new_link(client.name, action.epoch)
        if self._keeps_frames:
            self._tap(link, client.name, action.epoch)
        at = self.clock.monotonic() + link.latency
        self.schedule.at(at, lambda: self._arrive(client, action.epoch, link))

    def _arrive(self, client: VirtualClient, epoch: int, link: Link) -> None:
        """The first packet of a client has come to where the server should be."""
        at = self.clock.monotonic() + link.latency
        if self._server is None or self.network.refuses:
            self.schedule.at(at, lambda: client.failed_to_open(epoch, "connection refused"))
            return
        server_end = self._server.accept(
            link, client.name, epoch, is_websocket=self.transport == "websocket"
        )

        def answer() -> None:
            end = client.opened(epoch, link)
            if end is None:
                link.up.close(now=self.clock.monotonic())
                server_end.expect()
                return
            join(end, server_end)
            end.expect()
            client.turn()

        self.schedule.at(at, answer)
