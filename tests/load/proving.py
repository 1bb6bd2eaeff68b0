"""Runs load proofs, each in a process of its own, and reads what they have measured."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from benchmarks.load.__main__ import TOO_FEW_DESCRIPTORS

__all__ = ["Proof", "prove"]

_ROOT = Path(__file__).parents[2]
_PATIENCE = 100.0


class Proof:
    """A proof that runs; see to it that it is finished or stopped."""

    def __init__(self, name: str, runtime: str, **options: float) -> None:
        command = [sys.executable, "-m", "benchmarks.load", name, "--runtime", runtime]
        for option, value in options.items():
            command += [f"--{option}", str(value)]
        # A server whose every line is traced would be measured, and not ours.
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")
        }
        self._process = subprocess.Popen(
            command,
            cwd=_ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that `stop` reaches its server too
        )
        self._out = self._err = ""

    def finish(self) -> None:
        """Wait for its end."""
        self._out, self._err = self._process.communicate(timeout=_PATIENCE)

    def stop(self) -> None:
        """End it, and its server, if they still run."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.communicate()

    def figures(self) -> dict[str, Any]:
        """What it has measured. Skips the test where the system does not allow the load."""
        if self._process.returncode == TOO_FEW_DESCRIPTORS:
            assert os.environ.get("STOMPCORE_REQUIRE_ALL") != "1", self._err
            pytest.skip(self._err.strip())
        assert self._process.returncode == 0, self._err
        print(self._err)  # pytest shows it when an assertion fails
        figures: dict[str, Any] = json.loads(self._out)
        return figures


def prove(name: str, runtime: str, **options: float) -> dict[str, Any]:
    """What one proof has measured."""
    proof = Proof(name, runtime, **options)
    try:
        proof.finish()
    finally:
        proof.stop()
    return proof.figures()
