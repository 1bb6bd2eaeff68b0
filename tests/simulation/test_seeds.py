"""Twenty thousand seeds: whatever goes wrong, what must hold does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from tests.docs.pages import ROOT

from stompcore.testing import FaultKind

SEEDS = 20_000
AT_ONCE = 2_000


def run(*arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
    """The program, without anybody who counts its lines: that would take three times as long."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("COVERAGE")}
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        cwd=ROOT,
        env=kept,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def played(seeds: str, *, timeout: float) -> dict[str, Any]:
    done = run("--seeds", seeds, timeout=timeout)
    assert done.returncode == 0, f"{done.stderr}\n{done.stdout}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.timeout(240)
@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_these_seeds(first: int) -> None:
    report = played(f"{first}:{first + AT_ONCE}", timeout=230)
    assert report["seeds"] == AT_ONCE
    counts = report["counts"]
    # Not only did nothing fail: there was enough that could have.
    assert all(counts[kind.value] > AT_ONCE / 200 for kind in FaultKind), counts
    assert counts["SEND"] > 10 * AT_ONCE
    assert counts["messages out"] > 10 * AT_ONCE
    assert counts["SUBSCRIBE"] > 5 * AT_ONCE
    assert counts["ACK"] > AT_ONCE / 20
    assert counts["complete"] > AT_ONCE
    # Who has stopped has nothing to recover: they must be few.
    assert counts["AuthenticationFailed"] + counts["Unauthorized"] < counts["clients"] / 8


def test_a_seed_is_replayed_with_everything_that_passed() -> None:
    first, second = (run("--seed", "7", timeout=25) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert "CONNECTED version:1.2" in first.stdout
    assert first.stdout.endswith("seed 7: all is well\n")
    assert first.stdout == second.stdout
