"""Consoles: the commands of a page, run in one folder, one environment, one after another.

`stompcore serve` stays up until the page ends or starts another one. Whatever else a page shows
must end by itself. A port that stands in a command is replaced by a free one, everywhere.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

from tests.docs.pages import ROOT
from tests.serving import PATIENCE, RawClient, Serving, environment

__all__ = ["Command", "Shell", "commands", "matches"]

_ADDRESS = re.compile(r"\b(?:127\.0\.0\.1|0\.0\.0\.0|localhost):(\d+)")
_EXTRAS = re.compile(r"^pip install '?stompcore(?:\[(?P<extras>[\w,]+)\])?'?$")


class Command(NamedTuple):
    """One command, and the lines that the page says it prints."""

    text: str
    printed: list[str]


def commands(language: str, text: str) -> list[Command]:
    """The commands of a block.

    Raises:
        ValueError: a console that does not begin with one.
    """
    found: list[Command] = []
    is_open = False
    for line in text.splitlines():
        if is_open:
            found[-1] = found[-1]._replace(text=f"{found[-1].text}\n{line.removeprefix('> ')}")
        elif language == "sh" or line.startswith("$ "):
            found.append(Command(line.removeprefix("$ "), []))
        elif not found:
            raise ValueError(f"{line!r} comes before any command")
        else:
            found[-1].printed.append(line)
            continue
        is_open = line.endswith("\\")
    return [each for each in found if each.text.strip() and not each.text.startswith("#")]


def matches(expected: list[str], printed: list[str]) -> bool:
    """Whether `printed` is what `expected` says; `...` there stands for anything.

    A line that is `...` alone stands for any number of lines.
    """
    pattern = "".join(
        "(?:.*\n)*" if line.strip() == "..." else f"{_wildcards(line.rstrip())} *\n"
        for line in expected
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in printed)) is not None


def _wildcards(text: str) -> str:
    return ".*".join(re.escape(part) for part in re.split(r"\.\.\.|…", text))


class Shell:
    """One page's console. A context manager; leaving it ends what it has started, well.

    Args:
        folder: an empty one, which the commands run in.
        page: the whole page, for the ports in it.
    """

    def __init__(self, folder: Path, page: str) -> None:
        self._folder = folder
        self._state = folder / ".environment"
        self._env = environment({"PATH": f"{Path(sys.executable).parent}{os.pathsep}{_path()}"})
        self._ports = {port: _free_port() for port in sorted(set(_ADDRESS.findall(page)))}
        self._server: Serving | None = None
        self._log_lines: list[str] = []
        self._clients: list[RawClient] = []
        self._started = 0

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._server is not None and kind is not None:
            for client in self._clients:
                client.socket.close()
            self._server.process.kill()
            self._server.process.wait(PATIENCE)
            assert self._server.process.stdout is not None
            self._server.process.stdout.close()
        else:
            self._stop()

    def run(self, command: Command) -> None:
        """Run it, and look at what it prints."""
        text = self._local(command.text)
        expected = [self._local(line) for line in command.printed]
        if text.startswith("pip install"):
            _check_extras(text)
        elif text.startswith("stompcore serve") and "--help" not in text:
            self._serve(text, expected)
        else:
            self._run(text, expected)

    def connect(self, subject: str) -> None:
        """A user connects to the server that runs, with a token by the page's secret."""
        assert self._server is not None
        token = self._output(f"stompcore token --subject {subject} --ttl 60").strip()
        client = RawClient(self._server.tcp)
        self._clients.append(client)
        assert client.connect(token).command == "CONNECTED"

    def _run(self, text: str, expected: list[str]) -> None:
        printed = self._output(text)
        assert not expected or matches(expected, printed.splitlines()), f"{text}\n{printed}"

    def _output(self, text: str) -> str:
        # Every variable is exported, so that the next command finds it.
        script = f"set -a\n[ -e {self._state} ] && . {self._state}\n{text}\nstatus=$?\n"
        script += f"export -p > {self._state}\nexit $status\n"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self._folder,
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}"
        return done.stdout

    def _serve(self, text: str, expected: list[str]) -> None:
        self._stop()
        self._started += 1
        listening = [line for line in expected if line.startswith("{")]
        self._log_lines = [line for line in expected if not line.startswith("{")]
        script = f"[ -e {self._state} ] && . {self._state}\nexec {text}"
        log = self._folder / f".log-{self._started}"
        with log.open("w", encoding="utf-8") as stderr:
            process = subprocess.Popen(
                ["bash", "-c", script],
                cwd=self._folder,
                env=self._env,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        self._server = Serving(process, log)
        count = text.count("--ws ") + text.count("--tcp ") or 1
        self._server.wait_until_listening(count)
        if listening:
            printed = [json.dumps(line) for line in self._server.lines]
            assert matches(listening, printed), f"{text}\n{printed}"

    def _stop(self) -> None:
        """End the server, which must have logged what the page shows, and end well."""
        for client in self._clients:
            client.socket.close()
        self._clients.clear()
        server, self._server = self._server, None
        if server is None:
            return
        try:
            server.signal(signal.SIGTERM)
            server.check_end()
        finally:
            if server.process.poll() is None:
                server.process.kill()
                server.process.wait(PATIENCE)
            assert server.process.stdout is not None
            server.process.stdout.close()
        logged = server.log.splitlines()
        for line in self._log_lines:
            assert any(matches([line], [each]) for each in logged), f"{line}\n{server.log}"

    def _local(self, text: str) -> str:
        """`text` with free ports, on the loopback."""
        text = text.replace("0.0.0.0:", "127.0.0.1:").replace('"0.0.0.0"', '"127.0.0.1"')
        for shown, free in self._ports.items():
            text = re.sub(rf"(?<![\d.]){shown}(?!\d)", str(free), text)
        return text


def _path() -> str:
    return os.environ.get("PATH", os.defpath)


def _check_extras(text: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    command = _EXTRAS.match(text)
    assert command is not None, text
    wanted = set((command["extras"] or "").split(",")) - {""}
    assert wanted <= set(project["optional-dependencies"]), text


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
