"""`stompcore control`: what operators ask of a running `stompcore serve`, and what they read."""

from __future__ import annotations

import json
import os
import pty
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.serving import PATIENCE, RawClient, Serving, environment, run_command, serving

both_runtimes = pytest.mark.parametrize("runtime", ["asyncio", "trio"])


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "control")


def ask(path: str, *arguments: str) -> str:
    """What `stompcore control` prints, which it must do well."""
    done = run_command("control", path, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def complaint(path: str, *arguments: str, status: int = 1) -> str:
    """Its sentence, which it must end with."""
    done = run_command("control", path, *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith("stompcore: ")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("stompcore: ").rstrip("\n")


def on_a_terminal(path: str, *arguments: str) -> str:
    """What a person sees."""
    master, slave = pty.openpty()
    try:
        done = subprocess.run(
            [Path(sys.executable).with_name("stompcore"), "control", path, *arguments],
            stdout=slave,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            env=environment({"COLUMNS": "120", "TERM": "xterm", "NO_COLOR": "1"}),
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        return os.read(master, 65536).decode().replace("\r\n", "\n")
    finally:
        os.close(slave)
        os.close(master)


def connected(server: Serving, client: RawClient, subject: str, **claims: object) -> str:
    """The session's id."""
    frame = client.connect(server.mint(subject, **claims))
    assert frame.command == "CONNECTED"
    return frame.headers["session"]


# --- on a running server ----------------------------------------------------------------------


@both_runtimes
def test_sessions(runtime: str, path: str) -> None:
    with serving("--runtime", runtime, "--control", path) as server:
        assert ask(path, "sessions") == ""
        with RawClient(server.tcp) as ada, RawClient(server.tcp) as bob:
            ids = [connected(server, ada, "ada", jti="t1"), connected(server, bob, "bob")]
            lines = [json.loads(line) for line in ask(path, "sessions").splitlines()]
            assert [line["session"] for line in lines] == ids
            assert [line["subject"] for line in lines] == ["ada", "bob"]
            assert lines[0].keys() == {
                *("session", "subject", "token_id", "state", "valid_until", "subscriptions")
            }
            assert lines[0]["valid_until"] == pytest.approx(time.time() + 60, abs=10)
            (line,) = ask(path, "sessions", "--subject", "bob").splitlines()
            assert json.loads(line)["session"] == ids[1]


def test_sessions_on_a_terminal(path: str) -> None:
    with serving("--control", path) as server:
        with RawClient(server.tcp) as one, RawClient(server.tcp) as two:
            first = connected(server, one, "ada", jti="t1", ttl=3600.0)
            connected(server, two, "a\n\x1b[31m[bold]b")
            table = on_a_terminal(path, "sessions")
        (row,) = (line for line in table.splitlines() if first in line)
        _, subject, state, token, valid_for, subscriptions = row.split()
        assert (subject, state, token, subscriptions) == ("ada", "open", "t1", "0")
        assert valid_for in ("1:00:00", "0:59:59", "0:59:58")
        # A name cannot draw on the terminal.
        assert "\x1b[31m" not in table
        assert '"a\\n\\u001b[31m[bold]b"' in table


def test_sessions_that_never_expire(path: str) -> None:
    with serving("--no-auth", "--control", path) as server, RawClient(server.tcp) as client:
        assert client.connect(login="ada").command == "CONNECTED"
        assert json.loads(ask(path, "sessions"))["valid_until"] is None
        assert " ever " in on_a_terminal(path, "sessions")


@both_runtimes
def test_metrics_and_health(runtime: str, path: str) -> None:
    with serving("--runtime", runtime, "--control", path) as server:
        with RawClient(server.tcp) as client:
            connected(server, client, "ada")
            samples = {
                (sample.name, *sample.labels.values()): sample.value
                for family in text_string_to_metric_families(ask(path, "metrics"))
                for sample in family.samples
            }
        assert samples["stompcore_sessions", "open"] == 1
        assert samples["stompcore_frames_received_total", "CONNECT"] == 1
        assert ask(path, "health") == "ok\n"


@both_runtimes
@pytest.mark.parametrize("by", ["--session", "--subject", "--jti"])
def test_revoke(runtime: str, path: str, by: str) -> None:
    with serving("--runtime", runtime, "--control", path) as server:
        with RawClient(server.tcp) as ada, RawClient(server.tcp) as bob:
            names = {"--session": connected(server, ada, "ada", jti="t1")}
            names |= {"--subject": "ada", "--jti": "t1"}
            connected(server, bob, "bob")
            assert json.loads(ask(path, "revoke", by, names[by])) == {"ended": 1}
            assert ada.receive().headers["error-code"] == "token-revoked"
            (line,) = ask(path, "sessions").splitlines()
            assert json.loads(line)["subject"] == "bob"
        server.wait_for_log("revoked ")
        ended = server.wait_for_log("error_code=token-revoked")
        assert f"session={names['--session']} subject=ada " in ended


@both_runtimes
def test_pardon(runtime: str, path: str) -> None:
    with serving("--runtime", runtime, "--control", path) as server:
        token = server.mint("ada", jti="t1")
        for option, name in (("--subject", "ada"), ("--jti", "t1")):
            ask(path, "revoke", option, name)
            with RawClient(server.tcp) as client:
                assert client.connect(token).headers["error-code"] == "token-revoked"
            assert json.loads(ask(path, "pardon", option, name)) == {"pardoned": True}
            assert json.loads(ask(path, "pardon", option, name)) == {"pardoned": False}
            with RawClient(server.tcp) as client:
                assert client.connect(token).command == "CONNECTED"
        server.wait_for_log("pardoned token_id=t1")


@both_runtimes
def test_expire(runtime: str, path: str) -> None:
    with serving("--runtime", runtime, "--control", path) as server:
        with RawClient(server.tcp) as client:
            connected(server, client, "ada")
            assert json.loads(ask(path, "expire", "--subject", "ada")) == {"ended": 1}
            error = client.receive()
            assert error.headers["message"] == "Token Expired"
        with RawClient(server.tcp) as client:
            connected(server, client, "ada")
        server.wait_for_log("expired subject=ada ended=1")


@both_runtimes
def test_drain(runtime: str, path: str) -> None:
    options = ("--runtime", runtime, "--control", path, "--drain-window", "0.5")
    with serving(*options, stop=False) as server:
        with RawClient(server.tcp) as client:
            connected(server, client, "ada")
            assert json.loads(ask(path, "drain")) == {"sessions": 1}
            assert client.receive().headers["error-code"] == "going-away"
            client.wait_for_end()
        assert server.wait() == 0
        assert "drain requested sessions=1" in server.log
        assert not Path(path).exists()


def test_a_server_that_drains_is_not_well(path: str) -> None:
    # Nobody hangs up, so it waits for them.
    with serving("--control", path, "--drain-window", "0", stop=False) as server:
        with RawClient(server.tcp) as client:
            connected(server, client, "ada")
            ask(path, "drain")
            assert client.receive().headers["error-code"] == "going-away"
            done = run_command("control", path, "health")
            assert (done.returncode, done.stdout, done.stderr) == (1, "draining\n", "")


def test_a_person_reads_sentences(path: str) -> None:
    with serving("--control", path, stop=False) as server:
        with RawClient(server.tcp) as one, RawClient(server.tcp) as two:
            for client in (one, two):
                connected(server, client, "ada")
            told = on_a_terminal(path, "expire", "--subject", "ada")
            assert told == "2 sessions were ended.\n"
        told = on_a_terminal(path, "revoke", "--subject", "eve")
        assert told == "0 sessions were ended.\n"
        told = on_a_terminal(path, "pardon", "--subject", "eve")
        assert told == "The revocation was taken back.\n"
        told = on_a_terminal(path, "pardon", "--subject", "eve")
        assert told == "There was no revocation.\n"
        told = on_a_terminal(path, "drain")
        assert told == "0 sessions will be ended.\n"


def test_what_the_server_refuses(path: str) -> None:
    with serving("--control", path) as server:
        for command in ("revoke", "expire"):
            sentence = complaint(path, command, "--session", "nobody")
            assert sentence == "There is no such session."
        token = server.mint()
        sentence = complaint(path, "revoke", "--jti", token)
        assert sentence == "That is a token. Name its user, its session or its jti."
        complaint(path, "revoke", "--subject", "")


# --- without one ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("revoke",), "Give one of --session, --subject and --jti."),
        (("revoke", "--subject", "a", "--jti", "b"), "Give one of --session, --subject and --jti."),
        (("pardon",), "Give one of --subject and --jti."),
        (("expire",), "Give one of --session and --subject."),
        (("expire", "--jti", "x"), "No such option"),
        (("pardon", "--session", "x"), "No such option"),
        (("frobnicate",), "No such command"),
        ((), "Missing command"),
        (("sessions", "more"), "unexpected extra argument"),
    ],
)
def test_bad_options(path: str, arguments: tuple[str, ...], words: str) -> None:
    assert words in complaint(path, *arguments, status=2)


def test_no_socket(path: str, tmp_path: Path) -> None:
    assert complaint(path, "sessions") == f"There is no control socket at {path!r}."
    (tmp_path / "file").write_text("")
    other = str(tmp_path / "file")
    assert complaint(other, "sessions") == f"No server listens at {other!r}."
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    assert complaint(path, "sessions") == f"No server listens at {path!r}."
    assert complaint("x" * 200, "sessions").startswith("No server answers at ")


@contextmanager
def impostor(path: str, answer: bytes) -> Iterator[None]:
    """Something that answers once on a Unix socket, and not as we would."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.settimeout(PATIENCE)
        listening.bind(path)
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(PATIENCE)
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            thread.join(PATIENCE)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "No server answers at "),
        (b"SSH-2.0-OpenSSH\r\n", "No server answers at "),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "is no server of ours."),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "is no server of ours."),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", "No server answers at "),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\xff", "No server answers at "),
        (b"HTTP/1.1 404 X\r\nContent-Length: 2\r\n\r\nhi", "is no server of ours."),
        (
            b"HTTP/1.1 404 X\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
            "is no server of ours.",
        ),
    ],
)
def test_something_else_answers(path: str, answer: bytes, words: str) -> None:
    with impostor(path, answer):
        assert words in complaint(path, "sessions")


def test_a_socket_that_cannot_be_made(tmp_path: Path) -> None:
    for runtime in ("asyncio", "trio"):
        precious = tmp_path / "precious"
        precious.write_text("text")
        for path, words in (
            (precious, "the path of the control socket is that of another file"),
            (tmp_path / "missing" / "control", "No such file or directory"),
            (tmp_path / ("x" * 200), "AF_UNIX path too long"),
        ):
            done = run_command(
                *("serve", "--runtime", runtime, "--no-auth", "--ws", "127.0.0.1:0"),
                *("--control", str(path)),
            )
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr.splitlines()[-1] == f"stompcore: Cannot listen: {words}."
        assert precious.read_text() == "text"


@both_runtimes
def test_two_servers_on_one_socket(runtime: str, path: str) -> None:
    with serving("--control", path):
        done = run_command(
            *("serve", "--runtime", runtime, "--no-auth", "--ws", "127.0.0.1:0"),
            *("--control", path),
        )
        assert done.returncode == 1
        words = "stompcore: Cannot listen: another server has this control socket."
        assert done.stderr.splitlines()[-1] == words
        assert ask(path, "health") == "ok\n"


def test_a_killed_servers_socket_is_taken_over(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with serving("--control", path):
        assert ask(path, "health") == "ok\n"
