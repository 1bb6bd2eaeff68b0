"""The seeds are played beside all other tests, in the time for which those wait for something."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress

import pytest
from tests.docs.pages import ROOT

__all__ = ["SEEDS", "program"]

SEEDS = 20_000
_PATIENCE = 900.0
_PLAYED = pytest.StashKey[subprocess.Popen[str]]()


def program(*arguments: str, is_nice: bool = False) -> subprocess.Popen[str]:
    """`python -m tests.simulation`, without anybody who counts its lines.

    That would take three times as long.
    """
    kept = {name: text for name, text in os.environ.items() if not name.startswith("COVERAGE")}
    nice = ["nice", "-n", "19"] if is_nice else []
    return subprocess.Popen(
        [*nice, sys.executable, "-m", "tests.simulation", *arguments],
        cwd=ROOT,
        env=kept,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # its own processes are ended with it
    )


def _waits_for_seeds(item: pytest.Item) -> bool:
    return "played" in getattr(item, "fixturenames", ())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever waits for the seeds comes last."""
    items.sort(key=_waits_for_seeds)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin, if anybody is going to wait for them."""
    if any(map(_waits_for_seeds, session.items)) and not session.config.option.collectonly:
        session.config.stash[_PLAYED] = program("--seeds", f"0:{SEEDS}", is_nice=True)


@pytest.fixture(scope="session")
def played(pytestconfig: pytest.Config) -> subprocess.CompletedProcess[str]:
    """What the program has printed, once it has played all seeds."""
    process = pytestconfig.stash[_PLAYED]
    out, err = process.communicate(timeout=_PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Nobody waits any more."""
    process = config.stash.get(_PLAYED, None)
    if process is not None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
