"""A running `stompcore serve`, for the tests of the command and of other people's clients."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jwt

SECRET = "a secret of exactly forty bytes, no more"
#: For whatever happens at once, unless the machine is busy.
PATIENCE = 15.0

_COMMAND = str(Path(sys.executable).with_name("stompcore"))


def mint(
    subject: str = "ada",
    *,
    ttl: float = 60.0,
    key: Any = SECRET,
    algorithm: str = "HS256",
    headers: dict[str, Any] | None = None,
    **claims: Any,
) -> str:
    """A token."""
    claims = {"sub": subject, "exp": time.time() + ttl, **claims}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)
        return jwt.encode(claims, key, algorithm=algorithm, headers=headers)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours, without what would change how the command behaves."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("STOMPCORE_") and not name.lower().endswith("_proxy")
    }
    return {**kept, **(extra or {})}


def run_command(
    *arguments: str | bytes, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`stompcore` with these arguments, which must end by itself."""
    return subprocess.run(
        [_COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environment(env),
        check=False,
    )


class Serving:
    """A `stompcore serve` process; use `serving`."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self._log = log
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.lines: list[dict[str, Any]] = []
        self.tokens: list[str] = []

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def wait_until_listening(self, count: int) -> None:
        while len(self.lines) < count:
            try:
                line = self._lines.get(timeout=PATIENCE)
            except queue.Empty:
                line = None
            assert line is not None, f"not listening:\n{self.log}"
            self.lines.append(json.loads(line))

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8")

    def wait_for_log(self, text: str) -> str:
        """The first line of the log that contains `text`."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for line in self.log.splitlines():
                if text in line:
                    return line
            time.sleep(0.02)
        raise AssertionError(f"{text!r} is not in the log:\n{self.log}")

    def address(self, transport: str) -> tuple[str, int]:
        (line,) = (line for line in self.lines if line["transport"] == transport)
        return line["host"], line["port"]

    @property
    def tcp(self) -> tuple[str, int]:
        return self.address("tcp")

    @property
    def url(self) -> str:
        """The WebSocket's."""
        (line,) = (line for line in self.lines if line["transport"] == "ws")
        scheme = "wss" if line.get("tls") else "ws"
        return f"{scheme}://{line['host']}:{line['port']}{line['path']}"

    def mint(self, subject: str = "ada", **options: Any) -> str:
        """A token, which must not turn up in the log."""
        token = mint(subject, **options)
        self.tokens.append(token)
        return token

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        return self.process.wait(PATIENCE)

    def check_end(self) -> None:
        """It ended well: status 0, no more on stdout, no traceback and no secret in the log."""
        status = self.wait()
        self._reader.join(PATIENCE)
        log = self.log
        assert status == 0, log
        assert self._lines.get(timeout=PATIENCE) is None
        assert "Traceback" not in log, log
        assert SECRET not in log
        for token in self.tokens:
            # The claims, in the middle, are the same for nobody else.
            assert token.split(".")[1] not in log


@contextmanager
def serving(
    *arguments: str, env: Mapping[str, str] | None = None, stop: bool = True
) -> Iterator[Serving]:
    """Run `stompcore serve` until the block is left; it must end well.

    Args:
        arguments: of `serve`. Unless they or `env` say how to judge tokens, by `SECRET`.
        env: added to the environment.
        stop: whether to send SIGTERM on leaving; else the block sees to the end.
    """
    options = list(arguments)
    if not any(
        o.startswith(("--jwt-secret", "--jwt-public", "--jwks", "--no-auth")) for o in options
    ):
        options += ["--jwt-secret", SECRET]
    if "--ws" not in options and "--tcp" not in options:
        options += ["--ws", "127.0.0.1:0", "--tcp", "127.0.0.1:0"]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "stderr")
        with log.open("w", encoding="utf-8") as stderr:
            process = subprocess.Popen(
                [_COMMAND, "serve", *options],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env=environment(env),
            )
        server = Serving(process, log)
        try:
            server.wait_until_listening(options.count("--ws") + options.count("--tcp"))
            yield server
            if stop:
                server.signal(signal.SIGTERM)
            server.check_end()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(PATIENCE)
            assert process.stdout is not None
            server._reader.join(PATIENCE)
            process.stdout.close()


class RawFrame(NamedTuple):
    """A frame as a person reads it."""

    command: str
    headers: dict[str, str]
    body: str

    @classmethod
    def parse(cls, data: bytes) -> RawFrame:
        head, _, body = data.lstrip(b"\n").partition(b"\n\n")
        command, *lines = head.decode().split("\n")
        headers = dict(line.split(":", 1) for line in lines)
        return cls(command, headers, body.rstrip(b"\n").removesuffix(b"\0").decode())


def frame(command: str, body: str = "", **headers: str) -> bytes:
    """A frame's bytes; `_` in a header's name stands for `-`."""
    lines = [command, *(f"{name.replace('_', '-')}:{value}" for name, value in headers.items())]
    return "\n".join([*lines, "", body]).encode() + b"\0"


def connect_frame(token: str | None = None, **headers: str) -> bytes:
    """CONNECT with `token` as the passcode."""
    if token is not None:
        headers["passcode"] = token
    return frame("CONNECT", accept_version="1.2", host="localhost", **headers)


class RawClient:
    """A socket that frames go into and come out of. A context manager."""

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext | None = None) -> None:
        self.socket = socket.create_connection(address, timeout=PATIENCE)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self._buffer = b""

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def connect(self, token: str | None = None, **headers: str) -> RawFrame:
        """What CONNECT is answered with."""
        self.send(connect_frame(token, **headers))
        return self.receive()

    def receive(self) -> RawFrame:
        """The next frame."""
        while b"\0" not in self._buffer:
            data = self.socket.recv(65536)
            assert data, f"the end, after {self._buffer!r}"
            self._buffer += data
        data, _, self._buffer = self._buffer.partition(b"\0")
        return RawFrame.parse(data)

    def wait_for_end(self) -> None:
        """The peer says that it is done, and nothing but heart-beats before."""
        while data := self.socket.recv(65536):
            self._buffer += data
        assert not self._buffer.strip(b"\n"), self._buffer
