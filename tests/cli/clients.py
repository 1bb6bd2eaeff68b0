"""A running `stompcore connect`, at a pipe or at a terminal, and a server that does as told."""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tests.serving import PATIENCE, SECRET, RawFrame, environment, frame

COMMAND = str(Path(sys.executable).with_name("stompcore"))

# By hand, since PyJWT takes longer to import than a short token lives.
_MINT = f"""
import base64, hashlib, hmac, json, sys, time
def part(data): return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
now = time.time()
claims = {{"sub": sys.argv[1], "iat": now, "exp": now + float(sys.argv[2])}}
text = part(b'{{"alg":"HS256"}}') + "." + part(json.dumps(claims).encode())
print(text + "." + part(hmac.new({SECRET.encode()!r}, text.encode(), hashlib.sha256).digest()))
"""


def minting(folder: Path, subject: str = "ada", ttl: float = 60.0) -> str:
    """A token command: each run prints a new token."""
    script = folder / "mint.py"
    script.write_text(_MINT, "utf-8")
    return f"{sys.executable} -I -S {script} {subject} {ttl}"


def run_connect(
    *arguments: str,
    stdin: bytes | str | IO[bytes] | int = b"",
    env: Mapping[str, str] | None = None,
    patience: float = PATIENCE,
) -> subprocess.CompletedProcess[str]:
    """`stompcore connect` with these arguments, which must end by itself."""
    given: dict[str, Any] = {"stdin": stdin}
    if isinstance(stdin, bytes | str):
        given = {"input": stdin.encode() if isinstance(stdin, str) else stdin}
    done = subprocess.run(
        [COMMAND, "connect", *arguments],
        capture_output=True,
        timeout=patience,
        env=environment(env),
        check=False,
        **given,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in err, err
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def told(text: str) -> list[dict[str, Any]]:
    """The lines of `--json`."""
    return [json.loads(line) for line in text.splitlines()]


def kinds(text: str) -> list[str]:
    """The second column of plain lines."""
    lines = re.findall(r"^\d\d:\d\d:\d\d\.\d{3} ([\w-]+)", text, re.MULTILINE)
    return [str(each) for each in lines]


class Piped:
    """A `stompcore connect` that is spoken to while it runs; use `piped`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.output = ""
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.output += line.decode()
                self._changed.notify_all()

    def say(self, *lines: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{line}\n" for line in lines).encode())
        self.process.stdin.flush()

    def end_of_input(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def wait_for(self, text: str, *, times: int = 1, patience: float = PATIENCE) -> None:
        with self._changed:
            came = self._changed.wait_for(lambda: self.output.count(text) >= times, patience)
        assert came, f"{text!r} did not come:\n{self.output}"

    def wait(self) -> int:
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status

    @property
    def errors(self) -> str:
        """What it has said on stderr, once it has ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()


@contextmanager
def piped(*arguments: str, ignores: signal.Signals | None = None) -> Iterator[Piped]:
    """Run `stompcore connect`; the block has to see to its end.

    Args:
        arguments: of `connect`.
        ignores: a signal that it is started to ignore.
    """
    shell = [] if ignores is None else ["sh", "-c", f"trap '' {ignores:d}; exec \"$@\"", "sh"]
    process = subprocess.Popen(
        [*shell, COMMAND, "connect", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    client = Piped(process)
    try:
        yield client
        assert process.poll() is not None, "it still runs"
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(PATIENCE)
        client._reader.join(PATIENCE)
        for stream in (process.stdin, process.stdout, process.stderr):
            assert stream is not None
            stream.close()


# --- a terminal ---------------------------------------------------------------------------------

_ESCAPE = re.compile(r"\x1b(\[[0-9;?]*[a-zA-Z]|\][^\x07]*\x07)")


class Screen:
    """A `stompcore connect` in a terminal of its own; use `terminal`."""

    def __init__(self, process: subprocess.Popen[bytes], fd: int, height: int) -> None:
        self.process = process
        self.height = height
        self.output = ""
        self._fd = fd

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def resize(self, width: int, height: int) -> None:
        self.height = height
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def hang_up(self) -> None:
        """The terminal is gone, as when its window is closed. Legal more than once."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def modes(self) -> list[Any]:
        return termios.tcgetattr(self._fd)

    @property
    def pictures(self) -> list[list[str]]:
        """Each whole picture, line by line, without its colours."""
        drawn = [_ESCAPE.sub("", each) for each in self.output.split("\x1b[H")[1:]]
        lines = [[line.rstrip() for line in each.split("\n")] for each in drawn]
        return [each for each in lines if len(each) >= self.height]

    @property
    def picture(self) -> str:
        """The last of them."""
        pictures = self.pictures
        return "\n".join(pictures[-1]) if pictures else ""

    def wait_until(self, condition: Callable[[], object], patience: float = PATIENCE) -> None:
        until = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < until, f"it did not come true:\n{self.picture}"
            if not self._read(0.1):
                assert condition(), f"it has ended:\n{self.output[-3000:]}"
                return

    def wait_for(self, *texts: str, patience: float = PATIENCE) -> None:
        """Until all of these are in one picture."""
        self.wait_until(lambda: all(text in self.picture for text in texts), patience)

    def wait(self) -> int:
        """Its exit status, once all that it writes has been read."""
        self.wait_until(lambda: self.process.poll() is not None)
        while self._read(0.05):
            pass
        return self.process.wait(PATIENCE)

    def _read(self, timeout: float) -> bool:
        """Whether more may come."""
        if not select.select([self._fd], [], [], timeout)[0]:
            return self.process.poll() is None
        try:
            data = os.read(self._fd, 65536)
        except OSError:
            return False
        self.output += data.decode("utf-8", errors="replace").replace("\r", "")
        return bool(data)


@contextmanager
def terminal(
    *arguments: str, width: int = 80, height: int = 24, term: str = "xterm-256color"
) -> Iterator[Screen]:
    """Run `stompcore connect` in a terminal; the block has to see to its end.

    The other side of the terminal stays open, so that its modes can be looked at afterwards.
    """
    ours, theirs = os.openpty()
    env = environment({"TERM": term})
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        env.pop(name, None)
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    # Through a program that takes the terminal as its own, so that Ctrl-C and Ctrl-Z reach it.
    take = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    take += "os.execv(sys.argv[1], sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", take, COMMAND, "connect", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=env,
        start_new_session=True,
    )
    screen = Screen(process, ours, height)
    try:
        yield screen
        assert process.poll() is not None, "it still runs"
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait(PATIENCE)
        os.close(theirs)
        screen.hang_up()


# --- a server -----------------------------------------------------------------------------------


class Puppet:
    """A TCP server that takes one connection after the other, and answers as a test wants.

    Args:
        answers: to one CONNECT after the other.
        confirms: whether it sends a RECEIPT where one is asked for.
    """

    def __init__(self, *answers: bytes, confirms: bool = False) -> None:
        self.frames: list[RawFrame] = []
        self._changed = threading.Condition()
        self._answers = list(answers)
        self._confirms = confirms
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"stomp://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Puppet:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(PATIENCE)
        self._listener.close()

    def wait_for(self, command: str) -> None:
        """Until a frame of this command has come."""
        with self._changed:
            came = self._changed.wait_for(
                lambda: any(each.command == command for each in self.frames), PATIENCE
            )
        assert came, self.frames

    def _run(self) -> None:
        while not self._is_over.is_set():
            try:
                peer, _ = self._listener.accept()
            except TimeoutError:
                continue
            with peer:
                peer.settimeout(0.05)
                self._serve(peer)

    def _serve(self, peer: socket.socket) -> None:
        """Until it is gone."""
        buffer = b""
        while not self._is_over.is_set():
            try:
                data = peer.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                return
            if not data:
                return
            buffer += data
            while b"\0" in buffer:
                head, _, buffer = buffer.partition(b"\0")
                peer.sendall(self._answer(RawFrame.parse(head)))

    def _answer(self, received: RawFrame) -> bytes:
        with self._changed:
            self.frames.append(received)
            self._changed.notify_all()
        if received.command == "CONNECT" and self._answers:
            return self._answers.pop(0)
        if self._confirms and "receipt" in received.headers:
            return frame("RECEIPT", receipt_id=received.headers["receipt"])
        return b""
