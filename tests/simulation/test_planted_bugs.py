"""An auditor who finds nothing might not look: each of these machines is broken on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from stompcore import (
    ClientConfig,
    ClientEvent,
    ClientSession,
    Duplicates,
    Hub,
    Identity,
    Message,
    Published,
    ServerConfig,
    ServerEvent,
    ServerSession,
    Timer,
)
from stompcore._line import Line
from stompcore.broker import Delivery
from stompcore.testing import Simulation, SimulationFailed, Violation

MOST_SEEDS = 150


def caught(**broken: Any) -> str:
    """What the auditor says of this machine, in the first simulation that shows it."""
    found = next(filter(None, (failure_of(seed, **broken) for seed in range(MOST_SEEDS))), None)
    assert found is not None, f"{MOST_SEEDS} seeds, and nobody has noticed"
    assert isinstance(found.__cause__, Violation), found
    return str(found.__cause__)


def failure_of(seed: int, **broken: Any) -> SimulationFailed | None:
    try:
        Simulation(seed, **broken).run()
    except SimulationFailed as failure:
        return failure
    return None


# --- servers that do not mind the clock ---------------------------------------------------------


class PatientSession(ServerSession):
    """It looks at its token when a frame comes, and at no other time."""

    def _fire(self, timer: Timer, due_at: float) -> None:
        if timer is not Timer.TOKEN_EXPIRY:
            super()._fire(timer, due_at)

    def deliver(self, subscription: str, message: Message, *, now: float, **rest: Any) -> bool:
        until, self._valid_until = self._valid_until, float("inf")
        try:
            return super().deliver(subscription, message, now=now, **rest)
        finally:
            self._valid_until = until


class LenientSession(ServerSession):
    """It leaves the clock to its timer, which may be late."""

    def receive_data(self, data: bytes, *, now: float) -> None:
        with self._lenient():
            super().receive_data(data, now=now)

    def next_event(self) -> ServerEvent | None:
        with self._lenient():
            return super().next_event()

    @contextmanager
    def _lenient(self) -> Iterator[None]:
        until, self._valid_until = self._valid_until, float("inf")
        yield
        if self._valid_until == float("inf"):
            self._valid_until = until

    def _fire_due(self) -> None:
        if self._valid_until < float("inf"):
            super()._fire_due()


class TrustingSession(PatientSession):
    """It does not look at all."""

    def _expire(self, receipt_id: str | None, path: str) -> None:
        pass

    def receive_data(self, data: bytes, *, now: float) -> None:
        until, self._valid_until = self._valid_until, float("inf")
        super().receive_data(data, now=now)
        if self._valid_until == float("inf"):
            self._valid_until = until

    def _open(self, identity: Identity, valid_until: float) -> None:
        super()._open(replace(identity, expires_at=identity.expires_at), float("inf"))


class DeafServer(Hub):
    kind: type[ServerSession] = ServerSession

    def open(self, session_id: str, *, now: float) -> ServerSession:
        session = self._sessions[session_id] = self.kind(
            self.config,
            session_id=session_id,
            now=now,
            verifier=self._verifier,
            counters=self.counters,
        )
        return session


class PatientServer(DeafServer):
    kind = PatientSession


class LenientServer(DeafServer):
    kind = LenientSession


class TrustingServer(DeafServer):
    kind = TrustingSession


def test_a_server_that_does_not_look_at_what_leaves_is_caught() -> None:
    assert "a MESSAGE leaves on a token that has run out" in caught(hub=PatientServer)


def test_a_server_that_does_not_look_at_what_comes_is_caught() -> None:
    assert "was accepted on a token that has run out" in caught(hub=LenientServer)


def test_a_server_that_does_not_look_at_all_is_caught() -> None:
    assert "on a token that has run out" in caught(hub=TrustingServer)


# --- servers that lose, repeat or invent --------------------------------------------------------


class _Every(Hub):
    """Something is wrong with every seventh of something."""

    def __init__(self, config: ServerConfig, **rest: Any) -> None:
        super().__init__(config, **rest)
        self._count = 0

    def _is_it(self) -> bool:
        self._count += 1
        return self._count % 7 == 0


class LosingServer(_Every):
    def _deliver(self, deliveries: Iterable[Delivery], now: float) -> None:
        super()._deliver([each for each in deliveries if not self._is_it()], now)


class RepeatingServer(_Every):
    def _deliver(self, deliveries: Iterable[Delivery], now: float) -> None:
        found = [[each] * (1 + self._is_it()) for each in deliveries]
        super()._deliver([each for group in found for each in group], now)


class SwappingServer(_Every):
    def _deliver(self, deliveries: Iterable[Delivery], now: float) -> None:
        self._kept: list[Delivery] = getattr(self, "_kept", [])
        for each in deliveries:
            if self._is_it() and not self._kept:
                self._kept.append(each)
            else:
                super()._deliver([each, *self._kept], now)
                self._kept.clear()


class LyingServer(_Every):
    """It confirms what it has not done."""

    def __init__(self, config: ServerConfig, **rest: Any) -> None:
        super().__init__(config, **rest)
        worker, publish = self._worker, self._worker._publish
        worker._publish = (  # type: ignore[method-assign]
            lambda *work: None if self._is_it() else publish(*work)
        )


class HalfServer(Hub):
    """Of a transaction it does all but the last."""

    def __init__(self, config: ServerConfig, **rest: Any) -> None:
        super().__init__(config, **rest)
        send = self._worker._send
        self._worker._send = (  # type: ignore[method-assign]
            lambda sent, session, work, now: send(
                sent[:-1] if len(sent) > 1 else sent, session, work, now
            )
        )


class Amnesia(Duplicates):
    """It knows nothing again."""

    def is_known(self, subject: str, key: str, *, now: float) -> bool:
        return False


def forgetful_server(config: ServerConfig, **rest: Any) -> Hub:
    return Hub(config, **{**rest, "duplicates": Amnesia(config)})


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (LosingServer, ("or without", "never came")),
        (RepeatingServer, ("out of order or from nowhere", "came twice")),
        (SwappingServer, ("or without", "out of order", "never came")),
        (LyingServer, ("was never done", "lacks", "only a part was done")),
        (HalfServer, ("lacks",)),
        (forgetful_server, ("took effect twice, though the server could remember it",)),
    ],
)
def test_a_server_that_loses_repeats_or_lies_is_caught(
    server: Callable[..., Hub], words: tuple[str, ...]
) -> None:
    found = caught(hub=server)
    assert any(each in found for each in words), found


# --- clients -------------------------------------------------------------------------------------


class _Client(ClientSession):
    def __init__(self, url: str, config: ClientConfig, **rest: Any) -> None:
        super().__init__(url, config, **rest)
        self.count = 0


class ForgettingClient(_Client):
    """It loses a fate now and then."""

    def next_event(self) -> ClientEvent | None:
        event = super().next_event()
        if isinstance(event, Published):
            self.count += 1
            if self.count % 5 == 0:
                return super().next_event()
        return event


class StammeringClient(_Client):
    """It tells a fate twice now and then."""

    last: ClientEvent | None = None

    def next_event(self) -> ClientEvent | None:
        event, self.last = self.last, None
        event = event or super().next_event()
        if isinstance(event, Published):
            self.count += 1
            if self.count % 5 == 0:
                self.last = event
        return event


class BackwardClient(_Client):
    """It sends again from the last to the first."""

    def _resend(self, line: Line) -> None:
        queued = self._outbox.queued
        self._outbox.queued = lambda: queued()[::-1]  # type: ignore[method-assign]
        super()._resend(line)
        self._outbox.queued = queued  # type: ignore[method-assign]


class SilentClient(_Client):
    """It does not subscribe again."""

    def _resume(self, line: Line) -> None:
        self._resend(line)


class HotClient(_Client):
    """It knows no backoff."""

    def __init__(self, url: str, config: ClientConfig, **rest: Any) -> None:
        super().__init__(url, config, **rest)
        self._redial.back_off = lambda now: None  # type: ignore[method-assign]


class GreedyClient(_Client):
    """It asks its token source as often as it likes."""

    def _ask_source(self) -> None:
        super()._ask_source()
        if self._actions:
            self._actions.append(self._actions[-1])


class HastyClient(_Client):
    """It gives up at the first refusal."""

    def __init__(self, url: str, config: ClientConfig, **rest: Any) -> None:
        super().__init__(url, replace(config, token_refusals=1), **rest)


class NervousClient(_Client):
    """It tells the person at the screen at once."""

    def __init__(self, url: str, config: ClientConfig, **rest: Any) -> None:
        super().__init__(url, replace(config, status_grace=0.01), **rest)


class LateClient(_Client):
    """What was due is due still."""

    def next_deadline(self) -> float | None:
        at = super().next_deadline()
        return at if at is None or self.count == 0 else self.now

    def deadline_reason(self) -> Timer | None:
        return Timer.OUTBOX

    def handle_timeout(self, *, now: float) -> None:
        super().handle_timeout(now=now)
        self.count += 1


@pytest.mark.parametrize(
    ("client", "words"),
    [
        (ForgettingClient, "without a fate"),
        (StammeringClient, "is confirmed and was confirmed"),
        (BackwardClient, "took effect behind"),
        (SilentClient, "not live: ['"),
        (HotClient, "three attempts within"),
        (GreedyClient, "a second token fetch"),
        (HastyClient, "stopped after"),
        (NervousClient, "recovering within the grace"),
        (LateClient, "due at once after handle_timeout"),
    ],
)
def test_a_client_that_is_broken_is_caught(
    client: Callable[..., ClientSession], words: str
) -> None:
    assert words in caught(session=client)


def test_whatever_is_raised_fails_the_simulation() -> None:
    class Broken(ClientSession):
        def handle_timeout(self, *, now: float) -> None:
            raise ZeroDivisionError

    with pytest.raises(SimulationFailed, match="ZeroDivisionError") as failed:
        Simulation(1, session=Broken, replay="again {seed}").run()
    assert isinstance(failed.value.__cause__, ZeroDivisionError)
    assert "replay it: again 1\n" in str(failed.value)


def test_machines_that_are_not_broken_are_not_caught() -> None:
    for seed in range(20):
        Simulation(seed, hub=DeafServer, session=_Client).run()
