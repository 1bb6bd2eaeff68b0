"""From instants to figures."""

from __future__ import annotations

import hashlib
import heapq
import json
import math
import statistics
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, replace
from typing import Any, TypeAlias

from benchmarks.herd._crowd import (
    BACKOFFS,
    REFRESHES,
    Crowd,
    Instants,
    requests,
    restarts,
)

from stompcore import Refresh

__all__ = [
    "GENERATIONS",
    "OUTAGES",
    "VARIANTS",
    "Figures",
    "measure",
    "peak",
    "probe",
    "spread_in_theory",
]

Figures: TypeAlias = dict[str, Any]

#: The generations of tokens of which the spread is shown.
GENERATIONS = (1, 2, 5, 10)
#: For how many seconds the STOMP server is away.
OUTAGES = (2, 30)
#: Other crowds, in their first generation: short tokens, and a login of all in one second.
VARIANTS: dict[str, dict[str, int]] = {
    "short_tokens": {"ttl": 300, "lives": 1},
    "one_second": {"window": 1, "lives": 1},
}

_COLUMN = 60  # seconds that a column of the plot of requests stands for
_FEW = 40  # clients that are played once more, to see whether figures are still true
_WATCHED = 60  # seconds of a restart that are plotted


def peak(instants: Sequence[float], seconds: float) -> int:
    """The most of these (in order) that fall within so long, wherever that begins."""
    most = first = 0
    for last, at in enumerate(instants):
        while at - instants[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def spread_in_theory(crowd: Crowd, refresh: Refresh | None, generation: int) -> float:
    """The standard deviation of a generation's requests, in seconds.

    The logins are even over the window. Every token's life adds a draw that is even over the
    jitter's width and independent of the others, so that variances add up: w²/12 for each.
    """
    width = crowd.ttl * (refresh.latest - refresh.earliest) if refresh else 0.0
    return math.sqrt((crowd.window**2 + generation * width**2) / 12)


def probe(crowd: Crowd, pool: Executor) -> str:
    """A digest of what a few of the crowd do, by which stale figures are noticed.

    Raises:
        Differs: as `measure`.
    """
    few = replace(crowd, clients=_FEW)
    text = json.dumps(measure(few, pool, tell=lambda _: None), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def measure(crowd: Crowd, pool: Executor, *, tell: Callable[[str], object] = print) -> Figures:
    """Everything: a long run of each way to refresh, a restart of each way to dial.

    Args:
        crowd: who is simulated.
        pool: does it.
        tell: is told what is being done.

    Raises:
        Differs: a whole session disagrees, so that these figures would be no client's.
    """
    figures: Figures = {"crowd": asdict(crowd)}
    figures["auth"] = {}
    for name in REFRESHES:
        tell(f"tokens: {name}")
        figures["auth"][name] = _long_run(crowd, name, requests(crowd, name, pool))
    figures["variants"] = {}
    for variant, changes in VARIANTS.items():
        other = replace(crowd, **changes)
        figures["variants"][variant] = {"crowd": asdict(other)}
        for name in ("fixed", "jittered"):
            tell(f"{variant}: {name}")
            first = requests(other, name, pool)[1]
            figures["variants"][variant][name] = _peaks(first)
    figures["restart"] = {}
    for outage in OUTAGES:
        figures["restart"][str(outage)] = {}
        for name in BACKOFFS:
            tell(f"restart after {outage} s: {name}")
            dialled = restarts(crowd, name, outage, pool)
            figures["restart"][str(outage)][name] = _restart(dialled, outage)
    return figures


def _peaks(instants: Sequence[float]) -> Figures:
    return {"per_second": peak(instants, 1.0), "per_100ms": peak(instants, 0.1)}


def _long_run(crowd: Crowd, name: str, generations: Instants) -> Figures:
    later = array("d", heapq.merge(*generations[1:]))
    return {
        "login": _peaks(generations[0]),
        "requests": len(later),
        "peak": _peaks(later),
        "generations": {
            str(number): _generation(crowd, name, number, generations[number])
            for number in GENERATIONS
            if number <= crowd.lives
        },
        "columns": _columns(generations, crowd.until),
        "column_seconds": _COLUMN,
    }


def _generation(crowd: Crowd, name: str, number: int, instants: Sequence[float]) -> Figures:
    assert len(instants) == crowd.clients
    return {
        "middle": round(statistics.fmean(instants), 1),
        "spread": round(statistics.pstdev(instants), 1),
        "spread_in_theory": round(spread_in_theory(crowd, REFRESHES[name], number), 1),
        "width": round(instants[-1] - instants[0], 1),
        "peak": _peaks(instants),
    }


def _columns(generations: Instants, until: float) -> list[int]:
    """The worst full second of each column, for the plot."""
    columns = [0] * math.ceil(until / _COLUMN)
    for second, count in Counter(int(at) for each in generations for at in each).items():
        column = second // _COLUMN
        columns[column] = max(columns[column], count)
    return columns


def _restart(attempts: Instants, outage: float) -> Figures:
    everything = array("d", heapq.merge(*attempts))
    back = [at for at in everything if at >= outage]
    seconds = Counter(int(at) for at in everything)
    return {
        "dials": len(everything),
        "peak": _peaks(everything),
        "peak_when_up": _peaks(back),
        "half_back": round(back[len(back) // 2] - outage, 1),
        "all_back": round(back[-1] - outage, 1),
        "seconds": [seconds[second] for second in range(_WATCHED)],
    }
