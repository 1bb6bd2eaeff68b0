"""Plays many seeds of `stompcore.testing.Simulation`, on all processors, and says how it went."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from stompcore.testing import Simulation, SimulationFailed

__all__ = ["REPLAY", "Report", "play", "play_all", "replay"]

REPLAY = ".venv/bin/python -m tests.simulation --seed {seed}"

_AT_ONCE = 100  # seeds: long enough that starting them costs nothing, short enough to share out


@dataclass
class Report:
    """How some seeds went.

    Args:
        seeds: how many were played.
        failed: those that did, and what their failure says.
        counts: what the auditors have seen, and how clients have ended.
    """

    seeds: int = 0
    failed: dict[int, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, other: Report) -> None:
        self.seeds += other.seeds
        self.failed.update(other.failed)
        self.counts.update(other.counts)


def play(seeds: range) -> Report:
    """Play these, here and now."""
    report = Report()
    for seed in seeds:
        simulation = Simulation(seed, replay=REPLAY)
        report.seeds += 1
        try:
            simulation.run()
        except SimulationFailed as failure:
            report.failed[seed] = str(failure)
        report.counts.update(simulation.auditor.counts)
        for ledger in simulation.auditor.ledgers.values():
            report.counts["clients"] += 1
            if ledger.error is not None:
                report.counts[type(ledger.error).__name__] += 1
    return report


def play_all(seeds: range, *, jobs: int | None = None) -> Report:
    """Play these in several processes, as many as there are processors unless `jobs` says."""
    report = Report()
    with ProcessPoolExecutor(jobs or os.cpu_count()) as pool:
        for each in pool.map(play, _portions(seeds)):
            report.add(each)
    return report


def replay(seed: int) -> tuple[list[str], str]:
    """Play one seed, keeping everything that passes: its trace, and what its failure says."""
    simulation = Simulation(seed, is_verbose=True, replay=REPLAY)
    failure = ""
    try:
        simulation.run()
    except SimulationFailed as failed:
        failure = str(failed).partition("\n")[0]
    return simulation.trace.lines(), failure


def _portions(seeds: range) -> Iterator[range]:
    for start in range(seeds.start, seeds.stop, _AT_ONCE):
        yield range(start, min(start + _AT_ONCE, seeds.stop))
