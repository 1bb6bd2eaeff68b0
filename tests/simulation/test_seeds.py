"""Twenty thousand seeds: whatever goes wrong, what must hold does."""

from __future__ import annotations

import json
import subprocess

import pytest
from tests.simulation.conftest import SEEDS, program

from stompcore.testing import FaultKind


@pytest.mark.timeout(1000)
def test_every_seed(played: subprocess.CompletedProcess[str]) -> None:
    assert played.returncode == 0, f"{played.stderr}\n{played.stdout}"
    report = json.loads(played.stdout)
    assert report["seeds"] == SEEDS
    counts = report["counts"]
    # Not only did nothing fail: there was enough that could have.
    assert all(counts[kind.value] > SEEDS / 200 for kind in FaultKind), counts
    assert counts["SEND"] > 10 * SEEDS
    assert counts["messages out"] > 10 * SEEDS
    assert counts["SUBSCRIBE"] > 5 * SEEDS
    assert counts["ACK"] > SEEDS / 20
    assert counts["complete"] > SEEDS
    # Who has stopped has nothing to recover: they must be few.
    assert counts["AuthenticationFailed"] + counts["Unauthorized"] < counts["clients"] / 8


def test_a_seed_is_replayed_with_everything_that_passed() -> None:
    outs = []
    for _ in range(2):
        process = program("--seed", "7")
        out, err = process.communicate(timeout=14)
        assert process.returncode == 0, err
        outs.append(out)
    first, second = outs
    assert "CONNECTED version:1.2" in first
    assert first.endswith("seed 7: all is well\n")
    assert first == second
