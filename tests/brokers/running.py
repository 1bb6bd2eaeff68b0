"""A broker as a program of its own: started, killed, started again on the same data, stopped."""

from __future__ import annotations

import abc
import contextlib
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.adapters.contract.runtime import Runtime

__all__ = ["PATIENCE", "Broker", "environment", "free_ports"]

#: In seconds, for whatever a broker does; a busy machine may start two of them at once.
PATIENCE = 60.0

# Between two looks at a broker that starts, which needs the machine for itself.
_INTERVAL = 0.05

# Below the ports that Linux gives to clients: a client that dials one of those while nobody
# listens there may be connected to itself.
_PORTS = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    found: set[int] = set()
    for _ in range(1000):
        port = secrets.choice(_PORTS)
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.add(port)
        if len(found) == count:
            return list(found)
    raise AssertionError("no free ports")


def environment(**extra: str) -> dict[str, str]:
    """An environment with nothing of ours in it but where programs are."""
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **extra}


class Broker(abc.ABC):
    """One broker on loopback, in a session of processes of its own.

    Args:
        folder: where everything of it lives.
        ports: which it listens on once it is ready.
    """

    name: str

    def __init__(self, folder: Path, ports: Sequence[int]) -> None:
        self.folder = folder
        self.output = folder / "output"
        self._ports = ports
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    @abc.abstractmethod
    def missing(cls) -> str:
        """What is not installed, in a plain sentence; empty if nothing is missing."""

    @property
    @abc.abstractmethod
    def command(self) -> list[str]:
        """What runs it in the foreground."""

    @property
    @abc.abstractmethod
    def environment(self) -> dict[str, str]:
        """What it sees of the world."""

    # --- its life -------------------------------------------------------------------------

    def start(self) -> None:
        """Launch it, and wait until it is ready."""
        self.launch()
        _wait(lambda: self.is_ready, f"{self.name} never came up:\n{self.said}")

    def launch(self) -> None:
        """Begin to start it."""
        assert self._process is None, f"{self.name} runs already"
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=self.environment,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Kill it, as a power cut would, and see that nothing of it remains. Legal twice."""
        process, self._process = self._process, None
        if process is None:
            return
        for _ in range(100):
            members = _members(process.pid)
            for member in members:
                _signal(member, signal.SIGKILL)
            process.poll()
            if not members:
                break
            time.sleep(0.02)
        process.wait(PATIENCE)
        assert _members(process.pid) == [], f"{self.name} left processes behind"

    async def restart(self, runtime: Runtime) -> None:
        """Kill it, and start it again on the same ports and data, while the loop goes on."""
        self.stop()
        await self.come_back(runtime)

    async def end(self, runtime: Runtime) -> None:
        """Ask it to end, and wait for that while the loop goes on."""
        process = self._process
        assert process is not None
        process.terminate()
        await runtime.until(lambda: process.poll() is not None, PATIENCE)
        self.stop()

    async def come_back(self, runtime: Runtime) -> None:
        """Start it again, while the loop goes on."""
        self.launch()
        async with runtime.limit(PATIENCE):
            while not self.is_ready:
                await runtime.sleep(_INTERVAL)

    def ensure_running(self) -> None:
        """What a test that failed in the middle of a restart has left undone."""
        if self._process is None or self._process.poll() is not None or not self.is_ready:
            self.stop()
            self.start()

    # --- what can be seen of it -----------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        """Whether it takes connections."""
        process = self._process
        assert process is not None
        assert process.poll() is None, f"{self.name} has ended:\n{self.said}"
        return all(map(_is_open, self._ports))

    @property
    def said(self) -> str:
        """The end of its output."""
        return self.output.read_text("utf-8", "replace")[-4000:]


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _wait(condition: Callable[[], bool], complaint: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, complaint
        time.sleep(_INTERVAL)


def _members(session: int) -> list[int]:
    """The processes of a session that still run, whatever groups they have made for themselves."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text("utf-8", "replace")
            except OSError:  # it has just ended
                continue
            # Behind the command, which may hold anything: state, parent, group, session.
            state, _parent, _group, its_session = stat.rpartition(")")[2].split()[:4]
            if int(its_session) == session and state != "Z":
                found.append(int(folder.name))
    return found


def _signal(process: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)
