"""`Simulation`: clients, users, a server, an auth server and a network, in one seeded world."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stompcore._client import ClientSession
from stompcore._events import Action, ClientEvent, Delivered
from stompcore._hub import Hub
from stompcore.testing._auditor import Auditor
from stompcore.testing._client import ClientWatcher, VirtualClient
from stompcore.testing._clock import VirtualClock
from stompcore.testing._dice import Dice
from stompcore.testing._faults import Fault, FaultKind, Faults
from stompcore.testing._ledger import Ledger, Violation
from stompcore.testing._setting import Setting, draw_setting
from stompcore.testing._tokens import AuthMode
from stompcore.testing._trace import Trace
from stompcore.testing._users import TOPICS, User, handlers_of, read_handled
from stompcore.testing._world import Network, World

__all__ = ["Simulation", "SimulationFailed"]

_ACTS_EACH = 12
_LAST_LINES = 60
_AUTH_MODES = {
    FaultKind.AUTH_DOWN: AuthMode.DOWN,
    FaultKind.AUTH_HANGING: AuthMode.HANGING,
    FaultKind.AUTH_EXPIRED: AuthMode.EXPIRED,
    FaultKind.AUTH_CACHED: AuthMode.CACHED,
}


class SimulationFailed(AssertionError):
    """A simulation came upon something that must not be.

    Its text has the seed, how to replay it, and the last lines of the trace. `__cause__` is what
    went wrong: a `Violation`, or an exception that should never have been raised.
    """


class Simulation:
    """A world that lives for a while, in which things go wrong, and an auditor who watches.

    First users act and faults strike. Then the faults end, nobody acts any more, and everybody has
    to recover within a bound. A last message proves that they have. Then all say goodbye.

    Nothing is decided by anything but the arguments: the same seed gives the same simulation, with
    the same version of this library.

    Args:
        seed: decides everything that is left open.
        clients: how many; by default the seed decides.
        faults: what they are drawn from, or a plan of them.
        setting: the kind of world; by default the seed decides.
        hub, session: make the server's hub and the clients' sessions, for who wants to see
            whether the auditor finds a fault in them.
        is_verbose: the trace holds frames, events and actions, too.
        replay: the command that replays a seed, with `{seed}` in it.

    Attributes:
        trace: what happened.
        auditor: who watched.
        plan: the faults, in order.
    """

    def __init__(
        self,
        seed: int,
        *,
        clients: int | None = None,
        faults: Faults | Sequence[Fault] | None = None,
        setting: Setting | None = None,
        hub: Callable[..., Hub] = Hub,
        session: Callable[..., ClientSession] = ClientSession,
        is_verbose: bool = False,
        replay: str = "Simulation({seed}, is_verbose=True).run()",
    ) -> None:
        self.seed = seed
        self.dice = Dice(seed)
        self.setting = draw_setting(self.dice.split("setting")) if setting is None else setting
        self.auditor = Auditor()
        self.auditor.read_handled = read_handled
        clock = VirtualClock()
        network = Network(
            latency=self.setting.latency, jitter=self.setting.jitter, chunk=self.setting.chunk
        )
        network.window = self.setting.window
        self.world = World(
            seed=seed,
            transport=self.setting.transport,
            network=network,
            ttl=self.setting.ttl,
            config=self.setting.server,
            verifier_latency=self.setting.verifier_latency,
            handlers=handlers_of(clock, self.dice.split("handlers")),
            clock=clock,
            hub=hub,
            auditor=self.auditor,
            keeps_frames=is_verbose,
        )
        self.world.auth.latency = self.setting.auth_latency
        self.world.schedule.lag = self.setting.lag
        count = self.setting.clients if clients is None else clients
        self._names = [f"user{number}" for number in range(1, count + 1)]
        if faults is None or isinstance(faults, Faults):
            faults = (faults or Faults()).plan(
                self.dice.split("faults"), self._names, self.setting.seconds
            )
        self.plan = list(faults)
        self.users: dict[str, User] = {}
        self._make_session = session
        self._is_verbose = is_verbose
        self._replay = replay
        self._is_quiet = False
        self._auth_troubles = 0
        self._dark = 0
        self._down = 0

    @property
    def trace(self) -> Trace:
        """What happened."""
        return self.world.trace

    @property
    def replay_command(self) -> str:
        """What to type to see this very simulation again, with all that passed in it."""
        return self._replay.format(seed=self.seed)

    def run(self) -> None:
        """Live through all of it.

        Raises:
            SimulationFailed: an invariant does not hold, or something raised.
        """
        try:
            self._act()
            self._recover()
            self._prove()
            self._leave()
        except Exception as error:
            lines = "\n".join(self.trace.lines(_LAST_LINES))
            raise SimulationFailed(
                f"seed {self.seed}: {type(error).__name__}: {error}\n"
                f"replay it: {self.replay_command}\n{lines}"
            ) from error
        finally:
            self.world.abandon()

    # --- the four acts --------------------------------------------------------------------

    def _act(self) -> None:
        world, dice = self.world, self.dice.split("acts")
        world.note(self.setting)
        for name in self._names:
            self._later(dice.between(0.0, 1.0), self._joiner(name))
        for fault in self.plan:
            self._later(fault.at, self._striker(fault))
        world.run(self.setting.seconds)

    def _recover(self) -> None:
        world = self.world
        world.note("the faults end, and nobody acts any more")
        self._is_quiet = True
        self._heal()
        waiting = dict(self.auditor.ledgers)

        def have_recovered() -> bool:
            # Each in its own time: a token of a second may run out before the last has come back.
            for name, ledger in list(waiting.items()):
                if ledger.is_settled:
                    del waiting[name]
            return not waiting

        try:
            world.run_until(have_recovered, within=self.setting.recovery_bound())
        except TimeoutError as late:
            words = "; ".join(each.unsettled() for each in waiting.values())
            raise Violation(f"{late}: {words}") from None

    def _prove(self) -> None:
        """One more message for everybody, by whichever connections there are now."""
        world, setting = self.world, self.setting
        hub, now = world.hub, world.now
        for topic in TOPICS:
            world.server.settle(hub.publish(topic, b"the last one", now=now))
        world.run(4 * (setting.latency + setting.jitter))
        for name, ledger in self.auditor.ledgers.items():
            self._check_complete(world.clients[name], ledger)

    def _check_complete(self, client: VirtualClient, ledger: Ledger) -> None:
        link = client.link
        # While it hands over, what the new connection brings waits for the end of the old one.
        if link is None or len(client.ends) > 1:
            return
        if link.next_arrival() is not None or link.down.is_silent:
            return
        ends = [each for each in self.world.server.ends.values() if each.link is link]
        if ledger.epoch_up and ends and not ends[0].session.bytes_queued:
            self.auditor.counts["complete"] += 1
            ledger.check_complete(ledger.epoch_up)

    def _leave(self) -> None:
        world, setting = self.world, self.setting
        world.note("everybody leaves")
        for client in world.clients.values():
            client.close()
        bound = 2 * setting.client.close_timeout + 4 * (setting.latency + setting.jitter)
        ledgers = self.auditor.ledgers.values()
        world.run_until(lambda: all(each.has_stopped for each in ledgers), within=bound)
        for ledger in ledgers:
            ledger.transactions.check()
        # A server that nobody has told notices by the heart-beats.
        world.run_until(
            lambda: not (len(world.hub) or world.server.ends), within=setting.recovery_bound()
        )

    # --- users ----------------------------------------------------------------------------

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        self.world.schedule.at(self.world.clock.monotonic() + seconds, call)

    def _joiner(self, name: str) -> Callable[[], None]:
        def join() -> None:
            world = self.world
            client = world.join(
                name, self.setting.client, make=self._make_session, is_started=False
            )
            if self._is_verbose:
                client.watch(_Narrator(world, name))
            user = self.users[name] = User(client, self.dice.split(f"user {name}"))
            client.start()
            user.begin()
            self._act_again(user, self.dice.split(f"pauses {name}"))

        return join

    def _act_again(self, user: User, dice: Dice) -> None:
        mean = self.setting.seconds / _ACTS_EACH
        # Often a burst, then a pause.
        pause = dice.choice((0.0, 0.3, 1.0, 2.0, 1.5)) * mean

        def act() -> None:
            if not self._is_quiet and not user.client.session.closing:
                what = user.act()
                self.world.note(f"{user.client.name}: {what}")
                self._act_again(user, dice)

        self._later(pause + 0.01, act)

    # --- faults ---------------------------------------------------------------------------

    def _striker(self, fault: Fault) -> Callable[[], None]:
        def strike() -> None:
            self.world.note(fault)
            self.auditor.counts[fault.kind.value] += 1
            self._strike(fault)

        return strike

    def _strike(self, fault: Fault) -> None:
        world, kind = self.world, fault.kind
        client = world.clients.get(fault.client)
        match kind:
            case FaultKind.CUT:
                if client is not None:
                    world.cut(client)
            case FaultKind.DELAY | FaultKind.HALF_OPEN:
                if client is not None:
                    self._disturb(client, fault)
            case FaultKind.DARK:
                self._dark += 1
                world.network.is_dark = True
                self._later(fault.seconds, self._lighten)
            case FaultKind.CRASH | FaultKind.DRAIN:
                self._restart(fault)
            case FaultKind.AUTH_REFUSING:
                world.auth.modes[fault.client] = AuthMode.REFUSING
            case FaultKind.AUTH_SLOW:
                self._auth_troubles += 1
                world.auth.latency = fault.seconds
                self._later(fault.seconds, self._mend_auth)
            case FaultKind.SERVER_CLOCK:
                world.clock.step(fault.amount)
            case FaultKind.AUTH_CLOCK:
                world.auth.clock.step(fault.amount)
            case FaultKind.BOTH_CLOCKS:
                world.clock.step(fault.amount)
                world.auth.clock.step(fault.amount)
            case FaultKind.CLIENT_CLOCK:
                if client is not None:
                    client.wall_clock.step(fault.amount)
            case FaultKind.EXPIRE | FaultKind.REVOKE:
                if client is not None and world.is_up:
                    self._end_by_operator(client, kind)
            case _:
                self._auth_troubles += 1
                world.auth.mode = _AUTH_MODES[kind]
                self._later(fault.seconds, self._mend_auth)

    def _disturb(self, client: VirtualClient, fault: Fault) -> None:
        until = self.world.clock.monotonic() + fault.seconds
        for end in client.ends.values():
            ways = ((end.link.up,), (end.link.down,), (end.link.up, end.link.down))
            for way in ways[fault.draw % 3]:
                if fault.kind is FaultKind.DELAY:
                    way.stalled_until = max(way.stalled_until, until)
                else:
                    way.is_silent = True

    def _end_by_operator(self, client: VirtualClient, kind: FaultKind) -> None:
        hub, now = self.world.hub, self.world.now
        if kind is FaultKind.EXPIRE:
            reached = hub.expire(subject=client.name, now=now)
        else:
            found = [s for s in hub if s.identity and s.identity.subject == client.name]
            if not found:
                return
            reached = hub.revoke(session_id=found[0].session_id, now=now)
        self.world.server.settle(reached)

    def _restart(self, fault: Fault) -> None:
        world = self.world
        if self._down:
            return  # it is being restarted already
        if fault.kind is FaultKind.CRASH:
            world.crash(forgets=fault.draw % 2 == 0)
            self._down += 1
            self._later(fault.seconds, self._come_back)
            return
        dice = self.dice.split(f"drain {fault.at}")
        patience = world.hub.drain(now=world.now, random=dice.random)
        world.server.settle(session.session_id for session in world.hub)
        # A load balancer may take its time to notice.
        world.network.refuses = fault.draw % 2 == 0
        self._down += 1

        def done() -> None:
            world.crash(forgets=False)
            world.network.refuses = False
            self._later(fault.seconds if not self._is_quiet else 0.0, self._come_back)

        self._later(patience, done)

    def _come_back(self) -> None:
        self._down -= 1
        if not self.world.is_up:
            self.world.start_server()

    def _lighten(self) -> None:
        self._dark -= 1
        self.world.network.is_dark = self._dark > 0

    def _mend_auth(self) -> None:
        self._auth_troubles -= 1
        if not self._auth_troubles:
            self.world.auth.mode = AuthMode.UP
            self.world.auth.latency = self.setting.auth_latency

    def _heal(self) -> None:
        """Have every fault end that has an end, by letting its time pass."""
        world = self.world

        def is_whole() -> bool:
            return not (self._dark or self._auth_troubles or self._down)

        world.run_until(is_whole, within=60.0)
        world.auth.modes.clear()


class _Narrator(ClientWatcher):
    """Writes into the trace what a client tells and asks for."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name

    def event(self, event: ClientEvent, now: float) -> None:
        if not isinstance(event, Delivered):
            self._world.note(f"{self._name}: {event}")

    def action(self, action: Action, now: float) -> None:
        self._world.note(f"{self._name}: {action}")
