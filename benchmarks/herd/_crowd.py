"""A whole crowd, one client after another, on all processors."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

from benchmarks.herd._outside import START, Outside, dice
from benchmarks.herd._play import Cut, asks, client_config, dials
from benchmarks.herd._whole import whole_asks, whole_dials

from stompcore import Backoff, Refresh

__all__ = [
    "BACKOFFS",
    "REFRESHES",
    "Crowd",
    "Differs",
    "Instants",
    "play_all",
    "requests",
    "restarts",
]

#: For each generation of tokens, or each attempt to dial: instants, in seconds from `START`.
Instants = list["array[float]"]

#: When a client asks for its next token, by the name of the scenario.
REFRESHES: dict[str, Refresh | None] = {
    "reactive": None,
    "fixed": Refresh(earliest=0.85, latest=0.85),
    "jittered": Refresh(),
}

#: When a client that was cut dials again. The first waits as long as stompjs does by default.
BACKOFFS: dict[str, Backoff] = {
    "fixed": Backoff(minimum=5.0, maximum=5.0),
    "doubling": Backoff(),
    "jittered": Backoff(),
}

_WORKPIECE = 2500  # clients that one process plays before it is given more
_SAMPLE = 200  # clients of a crowd that whole sessions play too


class Differs(Exception):
    """A whole session decides otherwise than its parts: the figures would be no client's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Crowd:
    """Who is simulated.

    Args:
        clients: how many.
        ttl: for how many seconds a token lives.
        window: all log in within so many seconds.
        lives: so many times a client that waits for the expiry gets another token.
        seed: of all dice.
    """

    clients: int = 100_000
    ttl: int = 3600
    window: int = 60
    lives: int = 10
    seed: int = 1

    @property
    def until(self) -> float:
        """How long it goes, in seconds."""
        return self.window + self.lives * self.ttl + 60.0


def requests(crowd: Crowd, scenario: str, pool: Executor) -> Instants:
    """When the auth server hears from the crowd: the logins, and each generation after them.

    Raises:
        Differs: what it says.
    """
    return _gather(crowd, partial(_requests, crowd, scenario), pool)


def restarts(crowd: Crowd, scenario: str, outage: float, pool: Executor) -> Instants:
    """When the STOMP server hears the first, second, ... dial of a crowd that it has cut.

    Args:
        crowd: `clients` and `seed` count.
        scenario: one of `BACKOFFS`.
        outage: for how many seconds the server takes nobody.
        pool: does it.

    Raises:
        Differs: what it says.
    """
    return _gather(crowd, partial(_restarts, crowd, scenario, outage), pool)


def _gather(crowd: Crowd, work: Callable[[range], Instants], pool: Executor) -> Instants:
    total: Instants = []
    for part in pool.map(work, _workpieces(crowd.clients)):
        _add(total, part)
    return [array("d", sorted(each)) for each in total]


def _workpieces(clients: int) -> Iterator[range]:
    for first in range(0, clients, _WORKPIECE):
        yield range(first, min(first + _WORKPIECE, clients))


def _add(total: Instants, part: Instants) -> None:
    total.extend(array("d") for _ in range(len(part) - len(total)))
    for mine, other in zip(total, part, strict=False):
        mine.extend(other)


def _requests(crowd: Crowd, scenario: str, numbers: range) -> Instants:
    config = client_config(refresh=REFRESHES[scenario])
    until = START + crowd.until

    def play(player: Callable[..., list[float]], number: int) -> list[float]:
        outside = Outside(crowd.seed, number, crowd.ttl)
        draw = dice(crowd.seed, number).random
        born_at = outside.born_at(crowd.window)
        return player(config, outside, draw, born_at=born_at, until=until)

    return play_all(crowd, numbers, partial(play, asks), partial(play, whole_asks))


def _restarts(crowd: Crowd, scenario: str, outage: float, numbers: range) -> Instants:
    config = client_config(backoff=BACKOFFS[scenario])
    cut = Cut(outage)

    def play(player: Callable[..., list[float]], number: int) -> list[float]:
        draw = _no_jitter if scenario == "doubling" else dice(crowd.seed, number).random
        return player(config, Outside(crowd.seed, number, crowd.ttl), draw, cut)

    return play_all(crowd, numbers, partial(play, dials), partial(play, whole_dials))


def _no_jitter() -> float:
    """The most that a generator of [0, 1) can give: the backoff's ceiling, always."""
    return math.nextafter(1.0, 0.0)


def play_all(
    crowd: Crowd,
    numbers: range,
    by_parts: Callable[[int], list[float]],
    by_a_session: Callable[[int], list[float]],
) -> Instants:
    """What these clients of the crowd do, and whether whole sessions do the same.

    Raises:
        Differs: one does not.
    """
    stride = max(1, crowd.clients // _SAMPLE)
    found: Instants = []
    for number in numbers:
        instants = by_parts(number)
        if number % stride == 0 and by_a_session(number) != instants:
            raise Differs(f"client {number} of seed {crowd.seed}")
        _add(found, [array("d", [each - START]) for each in instants])
    return found
