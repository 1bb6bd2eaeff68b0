"""A small herd against theory: what jitter is worth, and that the simulation counts rightly."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from benchmarks.herd._crowd import (
    REFRESHES,
    Crowd,
    Differs,
    Instants,
    play_all,
    requests,
    restarts,
)
from benchmarks.herd._figures import measure, peak, spread_in_theory
from benchmarks.herd._outside import START
from benchmarks.herd._plot import svg
from benchmarks.herd._tables import markdown

from stompcore import Backoff, Refresh

CROWD = Crowd(clients=5000, lives=2)
OUTAGE = 30.0


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture(scope="module")
def asked(pool: Executor) -> dict[str, Instants]:
    return {name: requests(CROWD, name, pool) for name in REFRESHES}


def test_jitter_lowers_the_peak_by_as_much_as_theory_says(asked: dict[str, Instants]) -> None:
    refresh = REFRESHES["jittered"]
    assert refresh == Refresh()
    width = CROWD.ttl * (refresh.latest - refresh.earliest)
    factor = width / CROWD.window
    assert factor == pytest.approx(6.0)
    # The worst ten seconds, because in one second so few come that chance decides.
    together, apart = (peak(asked[name][1], 10.0) for name in ("fixed", "jittered"))
    mean = CROWD.clients * 10.0 / width
    # What comes by chance varies with its square root; five of these is as good as never.
    assert apart <= mean + 5 * math.sqrt(mean)
    assert together >= factor * mean
    assert together / apart >= factor / (1 + 5 / math.sqrt(mean))


@pytest.mark.parametrize("name", sorted(REFRESHES))
@pytest.mark.parametrize("generation", [1, 2])
def test_the_spread_grows_as_theory_says(
    asked: dict[str, Instants], name: str, generation: int
) -> None:
    instants = asked[name][generation]
    assert len(instants) == CROWD.clients
    wanted = spread_in_theory(CROWD, REFRESHES[name], generation)
    assert statistics.pstdev(instants) == pytest.approx(wanted, rel=0.03)


def test_the_spread_adds_up_only_with_jitter() -> None:
    spreads = [spread_in_theory(CROWD, REFRESHES["jittered"], number) for number in (1, 4, 16)]
    assert [later / former for former, later in pairwise(spreads)] == pytest.approx([2, 2], rel=0.1)
    assert spread_in_theory(CROWD, REFRESHES["fixed"], 16) == CROWD.window / math.sqrt(12)


@pytest.mark.parametrize("name", ["reactive", "fixed"])
def test_without_jitter_all_of_a_second_come_at_once(asked: dict[str, Instants], name: str) -> None:
    in_a_second = CROWD.clients / CROWD.window
    assert peak(asked[name][2], 0.1) >= in_a_second
    assert peak(asked["jittered"][2], 0.1) <= in_a_second / 5


def test_who_does_not_refresh_ahead_asks_after_the_expiry(asked: dict[str, Instants]) -> None:
    logins, first = asked["reactive"][:2]
    assert CROWD.ttl <= first[0] <= first[-1] <= CROWD.window + CROWD.ttl + 0.2
    assert logins[0] >= 0.0
    assert asked["jittered"][1][-1] < 0.9 * CROWD.ttl + CROWD.window + 1.0


def test_a_server_that_comes_back_is_not_met_by_all_at_once(pool: Executor) -> None:
    def when_up(name: str) -> list[float]:
        dialled = restarts(CROWD, name, OUTAGE, pool)
        return sorted(at for attempt in dialled for at in attempt if at >= OUTAGE)

    for name in ("fixed", "doubling"):
        assert peak(when_up(name), 1.0) == CROWD.clients
    back = when_up("jittered")
    assert len(back) == CROWD.clients
    # By then all wait for the longest, so that they come evenly, but for chance.
    backoff = Backoff()
    mean = CROWD.clients / ((backoff.maximum + backoff.minimum) / 2)
    assert peak(back, 1.0) <= mean + 5 * math.sqrt(mean)
    assert back[-1] <= OUTAGE + backoff.maximum + 0.1


def test_the_peak_is_the_most_within_any_window() -> None:
    assert peak([], 1.0) == 0
    assert peak([0.25], 1.0) == 1
    assert peak([0.25, 0.5, 1.0, 1.25, 5.0], 1.0) == 3  # 1.25 is one second later than 0.25
    assert peak([0.75, 1.0, 1.5, 1.625], 1.0) == 4  # wherever the window begins


def test_a_session_that_decides_otherwise_is_noticed() -> None:
    crowd = Crowd(clients=3)
    same = play_all(crowd, range(3), _twice, _twice)
    assert [list(attempt) for attempt in same] == [[0.0, 1.0, 2.0], [10.0, 11.0, 12.0]]
    with pytest.raises(Differs, match="client 2"):
        play_all(crowd, range(3), _twice, lambda number: _twice(min(number, 1)))


def _twice(number: int) -> list[float]:
    return [START + number, START + number + 10.0]


def test_figures_depend_on_the_seed_alone(pool: Executor) -> None:
    def once(seed: int) -> dict[str, Any]:
        return measure(Crowd(clients=60, lives=2, seed=seed), pool, tell=lambda _: None)

    first = once(3)
    assert first == once(3)
    assert first != once(4)
    # What a small crowd gives can be shown, too.
    assert len(markdown(first)) == 4
    drawn = ElementTree.fromstring(svg(first))  # noqa: S314 - we have written it ourselves
    assert drawn.tag == "{http://www.w3.org/2000/svg}svg"


def test_it_does_not_matter_who_does_the_work() -> None:
    crowd = Crowd(clients=2600, lives=1)  # more than one piece of work
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(2) as two:
        assert requests(crowd, "jittered", one) == requests(crowd, "jittered", two)
