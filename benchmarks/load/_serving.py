"""The server under load: a `stompcore serve` process, and what the kernel knows of it."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["SECRET", "ServerProcess", "TooFewDescriptors", "serving"]

SECRET = "a secret for load proofs, and for nothing else"

# What a process has open besides its connections.
_SPARE_DESCRIPTORS = 100


class TooFewDescriptors(Exception):
    """The system does not let a process hold that many connections."""


def _raise_descriptors(connections: int) -> None:
    """Let this process, and those that it starts, hold so many connections.

    Raises:
        TooFewDescriptors: the hard limit of RLIMIT_NOFILE is too low for that.
    """
    needed = connections + _SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise TooFewDescriptors(f"{needed} descriptors are needed, and the hard limit is {hard}")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


class ServerProcess:
    """A running server; made by `serving`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, host: str, port: int) -> None:
        self.process = process
        self.address = (host, port)
        self._log = log

    @property
    def log(self) -> str:
        """What it has written to stderr."""
        return self._log.read_text("utf-8", "replace")

    def memory(self, field: str = "VmRSS") -> int:
        """Bytes of memory that it holds now, or held at most with `field="VmHWM"`."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        (line,) = (line for line in status.splitlines() if line.startswith(f"{field}:"))
        return int(line.split()[1]) * 1024

    def processor_seconds(self) -> float:
        """Processor time that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text("ascii").rpartition(")")[2]
        return sum(map(int, fields.split()[11:13])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def terminate(self) -> None:
        """Ask it to drain."""
        self.process.send_signal(signal.SIGTERM)


def _environment() -> dict[str, str]:
    """Ours, without what would measure the server's lines, or change how it behaves."""
    left_out = ("COVERAGE_", "STOMPCORE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(left_out)}


@contextmanager
def serving(runtime: str, *, connections: int) -> Iterator[ServerProcess]:
    """Run a server on `runtime`, on any port of loopback, which can hold so many connections."""
    _raise_descriptors(connections)
    command = [sys.executable, "-m", "stompcore_cli", "serve", "--runtime", runtime]
    command += ["--ws", "127.0.0.1:0", "--jwt-secret", SECRET]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "stderr")
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=stderr, env=_environment()
            )
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"the server does not run: {log.read_text('utf-8')}")
            where = json.loads(line)
            yield ServerProcess(process, log, where["host"], where["port"])
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
