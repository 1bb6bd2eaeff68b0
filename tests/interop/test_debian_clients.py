"""Debian's ruby-stomp, libnet-stomp-perl and php-stomp, over TCP, against `stompcore serve`.

Each user is a program of its own (`debian/user.*`) that does with its client what a test says, one
thing after another, and answers with the frame that came of it.
"""

from __future__ import annotations

import functools
import json
import os
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.serving import PATIENCE, Serving, environment

pytestmark = pytest.mark.interop

FOLDER = Path(__file__).with_name("debian")
HEART_BEAT = "1000,1000"


class Client(NamedTuple):
    """A client of Debian's.

    Args:
        package: that has it.
        check: a command that succeeds where it is installed.
        command: that runs a user.
        is_escaping: whether it escapes headers; else its users have to, and see them escaped.
    """

    package: str
    check: list[str]
    command: list[str]
    is_escaping: bool


CLIENTS = {
    "ruby": Client(
        "ruby-stomp",
        ["ruby", "-r", "stomp", "-e", ""],
        # Without its warning that the server has closed the connection.
        ["ruby", "-W0", "-E", "UTF-8", str(FOLDER / "user.rb")],
        is_escaping=True,
    ),
    "perl": Client(
        "libnet-stomp-perl",
        ["perl", "-MNet::Stomp", "-e", ""],
        ["perl", str(FOLDER / "user.pl")],
        is_escaping=False,
    ),
    "php": Client(
        "php-stomp",
        ["php", "-r", "exit(extension_loaded('stomp') ? 0 : 1);"],
        ["php", "-d", "display_errors=stderr", str(FOLDER / "user.php")],
        is_escaping=False,
    ),
}
#: Net::Stomp leaves it to its user which version it speaks. php-stomp takes the byte behind a
#: frame's NUL for a line feed, which only sessions of 1.0 are given.
KINDS = ["ruby-1.0", "ruby-1.1", "ruby-1.2", "perl-1.0", "perl-1.1", "perl-1.2", "php-1.0"]


@functools.cache
def is_installed(name: str) -> bool:
    check = CLIENTS[name].check
    if shutil.which(check[0]) is None:
        return False
    done = subprocess.run(check, capture_output=True, timeout=PATIENCE, check=False)
    return done.returncode == 0


class Seen(NamedTuple):
    """A frame, as a client shows it to its user; the command is None for the connection's end."""

    command: str | None
    headers: dict[str, str]
    body: bytes


class User:
    """Somebody with a client; use `using`."""

    def __init__(self, kind: str, process: subprocess.Popen[str]) -> None:
        name, _, self.version = kind.partition("-")
        self.kind = kind
        self.client = CLIENTS[name]
        self.session_id = ""
        self.process = process
        self._lines: queue.Queue[str] = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        assert self._answer() == {}

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put("It has gone.")

    def _answer(self) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError(f"nothing from {self.kind} in time") from None
        assert line.startswith("{"), line + "".join(self._lines.queue)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, do: str, **order: Any) -> dict[str, Any]:
        """What its program answers."""
        assert self.process.stdin is not None
        # Net::Stomp's program knows only bytes, so no escapes for what is not ASCII.
        self.process.stdin.write(json.dumps({"do": do, **order}, ensure_ascii=False) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def do(self, what: str, *, body: bytes = b"", headers: Any = None, **order: Any) -> Seen:
        """The frame that came of it, and for a `receipt`, what came in answer to that."""
        answer = self.ask(what, hex=body.hex(), headers=headers or {}, **order)
        return Seen(
            answer["command"], answer.get("headers", {}), bytes.fromhex(answer.get("hex", ""))
        )

    def confirm(self, what: str, *, headers: dict[str, str] | None = None, **order: Any) -> None:
        """Do it, and get its RECEIPT."""
        receipt = f"{self.kind} {what}"
        seen = self.do(what, headers={**(headers or {}), "receipt": receipt}, **order)
        assert (seen.command, seen.headers) == ("RECEIPT", {"receipt-id": receipt})

    def connect(self, server: Serving, token: str | None, **order: Any) -> Seen:
        host, port = server.tcp
        if token is not None:
            order["passcode"] = token
        seen = self.do("connect", host=host, port=port, login="ada", version=self.version, **order)
        self.session_id = seen.headers.get("session", "")
        return seen

    def log_in(self, server: Serving, name: str, *, ttl: float = 60, **order: Any) -> None:
        seen = self.connect(server, server.mint(name, ttl=ttl), **order)
        assert seen.command == "CONNECTED"
        # php-stomp shows nothing of it but the session.
        assert seen.headers.get("version", self.version) == self.version
        server.wait_for_log(f"connected session={self.session_id} subject={name}")

    def hear(self, destination: str, body: bytes) -> Seen:
        """The next frame, which must be this MESSAGE."""
        seen = self.do("receive")
        assert (seen.command, seen.body) == ("MESSAGE", body)
        assert seen.headers["destination"] == destination
        return seen

    def leave(self, server: Serving) -> None:
        """DISCONNECT; only ruby-stomp can wait for its RECEIPT."""
        seen = self.do("disconnect")
        if self.client.package == "ruby-stomp":
            assert (seen.command, seen.headers) == ("RECEIPT", {"receipt-id": "over"})
        server.wait_for_log(f"disconnected session={self.session_id}")

    def written(self, value: str) -> str:
        """A header's value as this user writes and sees it."""
        if self.client.is_escaping or self.version == "1.0":
            return value
        return value.replace("\\", "\\\\").replace(":", "\\c").replace("\n", "\\n")


@contextmanager
def using(*kinds: str) -> Iterator[list[User]]:
    """Users of these kinds of client; their programs end with the block."""
    names = dict.fromkeys(kind.partition("-")[0] for kind in kinds)
    if missing := [CLIENTS[name].package for name in names if not is_installed(name)]:
        reason = f"not installed: {', '.join(missing)}"
        if os.environ.get("STOMPCORE_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with ExitStack() as stack:
        yield [stack.enter_context(_running(kind)) for kind in kinds]


@contextmanager
def _running(kind: str) -> Iterator[User]:
    process = subprocess.Popen(
        CLIENTS[kind.partition("-")[0]].command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Whatever it complains of is no answer, and fails the test.
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        env=environment(),
    )
    user = None
    try:
        user = User(kind, process)
        yield user
    finally:
        process.kill()
        process.wait(PATIENCE)
        if user is not None:
            user.reader.join(PATIENCE)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_chat(server: Serving, destination: str, kind: str) -> None:
    bodies = [
        b"hello",
        "größer als ASCII: € 😀\nzwei Zeilen".encode(),
        b"",
        bytes(range(256)),
        b"\0",
        b"x" * 100_000,
    ]
    # No backslash before an r, n or c: ruby-stomp unescapes those twice.
    note = "a:b\\d €" if kind.endswith("1.0") else "a:b\\d\n€"
    with using(kind, kind) as (ada, bob):
        ada.log_in(server, "ada")
        bob.log_in(server, "bob")
        for user in (ada, bob):
            user.confirm("subscribe", destination=destination, headers={"id": "7", "ack": "auto"})
        for body in bodies:
            for speaker in (ada, bob):
                headers = {"note": speaker.written(note), "from": speaker.session_id}
                speaker.confirm("send", destination=destination, body=body, headers=headers)
                for listener in (ada, bob):
                    seen = listener.hear(destination, body)
                    assert seen.headers["subscription"] == "7"
                    assert seen.headers["note"] == listener.written(note)
                    assert seen.headers["from"] == speaker.session_id
        bob.confirm("unsubscribe", destination=destination, headers={"id": "7"})
        ada.confirm("send", destination=destination, body=b"bye")
        ada.hear(destination, b"bye")
        bob.confirm("subscribe", destination=destination, headers={"id": "8", "ack": "auto"})
        ada.confirm("send", destination=destination, body=b"back?")
        bob.hear(destination, b"back?")
        ada.leave(server)
        bob.leave(server)


def test_different_clients_in_one_room(server: Serving, destination: str) -> None:
    note = "a:b\\d €"
    with using(*KINDS) as users:
        for user in users:
            user.log_in(server, user.kind)
            user.confirm("subscribe", destination=destination, headers={"id": "7", "ack": "auto"})
        for speaker in users:
            # Two, so that whoever reads late finds one behind the other.
            bodies = [f"{number} from {speaker.kind}, größer als ASCII".encode() for number in "12"]
            for body in bodies:
                headers = {"note": speaker.written(note)}
                speaker.confirm("send", destination=destination, body=body, headers=headers)
            for listener in users:
                for body in bodies:
                    seen = listener.hear(destination, body)
                    assert seen.headers["note"] == listener.written(note)
        for user in users:
            user.leave(server)


@pytest.mark.parametrize("kind", KINDS)
def test_transactions(server: Serving, destination: str, kind: str) -> None:
    with using(kind, kind) as (ada, bob):
        ada.log_in(server, "ada")
        bob.log_in(server, "bob")
        bob.confirm("subscribe", destination=destination, headers={"id": "7", "ack": "auto"})

        ada.confirm("begin", transaction="one")
        for body in (b"first", b"second"):
            headers = {"transaction": "one"}
            ada.confirm("send", destination=destination, body=body, headers=headers)
        ada.confirm("send", destination=destination, body=b"before")
        ada.confirm("commit", transaction="one")
        for body in (b"before", b"first", b"second"):
            bob.hear(destination, body)

        ada.confirm("begin", transaction="two")
        headers = {"transaction": "two"}
        ada.confirm("send", destination=destination, body=b"never", headers=headers)
        ada.confirm("abort", transaction="two")
        ada.confirm("send", destination=destination, body=b"after")
        bob.hear(destination, b"after")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.startswith("perl")])
def test_net_stomp_sends_in_a_transaction_of_its_own(
    server: Serving, destination: str, kind: str
) -> None:
    with using(kind, kind) as (ada, bob):
        ada.log_in(server, "ada")
        bob.log_in(server, "bob")
        bob.confirm("subscribe", destination=destination, headers={"id": "7", "ack": "auto"})
        for body in (b"first", b"second"):
            # It waits for the RECEIPT of its SEND before it sends COMMIT.
            assert ada.do("send_transactional", destination=destination, body=body).command == (
                "RECEIPT"
            )
            bob.hear(destination, body)


def test_an_expired_token_is_an_error_and_then_the_end(server: Serving, destination: str) -> None:
    with using(*KINDS) as users:
        expires_at = time.time() + 2
        for user in users:
            seen = user.connect(server, server.mint("ada", exp=expires_at))
            assert seen.command == "CONNECTED"
            user.confirm("subscribe", destination=destination, headers={"id": "7", "ack": "auto"})
        for user in users:
            error = user.do("receive")
            assert 0 <= time.time() - expires_at < 1
            assert (error.command, error.headers["message"]) == ("ERROR", "Token Expired")
            if user.kind != "php-1.0":  # which shows no more of it
                assert error.headers["error-code"] == "token-expired"
            assert user.do("receive").command is None
            assert "error_code=token-expired" in server.wait_for_log(
                f"ended session={user.session_id}"
            )


def test_who_speaks_on_an_expired_token_is_told_so(server: Serving, destination: str) -> None:
    with using(*KINDS) as users:
        for user in users:
            user.log_in(server, "ada", ttl=1)
        for user in users:
            server.wait_for_log(f"ended session={user.session_id}")
            headers = {"receipt": "1"}
            error = user.do("send", destination=destination, body=b"too late", headers=headers)
            assert (error.command, error.headers["message"]) == ("ERROR", "Token Expired")
            assert user.do("receive").command is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_token_is_an_error_and_then_the_end(server: Serving, kind: str) -> None:
    tokens = {
        "garbage": "Token Invalid",
        server.mint(key="some other secret, of forty bytes or so."): "Token Invalid",
        server.mint(ttl=-1): "Token Expired",
        None: "Token Missing",
    }
    with using(*[kind] * len(tokens)) as users:
        for user, (token, message) in zip(users, tokens.items(), strict=True):
            error = user.connect(server, token)
            assert (error.command, error.headers["message"]) == ("ERROR", message)
            assert user.do("receive").command is None


@pytest.mark.parametrize("kind", ["ruby-1.1", "ruby-1.2"])
def test_heart_beats(server: Serving, destination: str, kind: str) -> None:
    with using(kind) as (ada,):
        ada.log_in(server, "ada", beats=HEART_BEAT)
        # Long enough for either to have missed the other's, had there been none.
        time.sleep(3.5)
        beats = ada.ask("beats")
        assert beats["sent"] >= 2
        assert beats["received"] >= 2
        ada.confirm("send", destination=destination, body=b"still here")
        ada.leave(server)


def queue_of(destination: str) -> str:
    return destination.replace("/topic/", "/queue/")


def subscription(kind: str, ack: str) -> dict[str, str]:
    """Headers; in 1.0, a subscription needs no id."""
    return {"ack": ack} if kind.endswith("1.0") else {"ack": ack, "id": "7"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_queue_keeps_what_nobody_has_acknowledged(
    server: Serving, destination: str, kind: str
) -> None:
    name = queue_of(destination)
    with using(kind, kind) as (ada, bob):
        ada.log_in(server, "ada")
        bob.log_in(server, "bob")
        bodies = [b"one", "zwei, größer als ASCII".encode(), b"three"]
        for body in bodies:
            ada.confirm("send", destination=name, body=body)
        bob.confirm("subscribe", destination=name, headers=subscription(kind, "client"))
        seen = [bob.hear(name, body) for body in bodies]
        assert not any("redelivered" in each.headers for each in seen)
        bob.confirm("ack", message=seen[1].headers["message-id"])  # and so the first one, too
        bob.leave(server)

        ada.confirm("subscribe", destination=name, headers=subscription(kind, "auto"))
        assert ada.hear(name, b"three").headers["redelivered"] == "true"
        ada.confirm("send", destination=name, body=b"four")
        assert "redelivered" not in ada.hear(name, b"four").headers
        ada.leave(server)


@pytest.mark.parametrize("kind", KINDS)
def test_consumers_of_a_queue_take_turns(server: Serving, destination: str, kind: str) -> None:
    name = queue_of(destination)
    with using(kind, kind) as users:
        for user in users:
            user.log_in(server, "ada")
            user.confirm("subscribe", destination=name, headers=subscription(kind, "auto"))
        for body in (b"1", b"2", b"3", b"4"):
            users[0].confirm("send", destination=name, body=body)
        for body in (b"1", b"3"):
            users[0].hear(name, body)
        for body in (b"2", b"4"):
            users[1].hear(name, body)
        for user in users:
            user.leave(server)


# php-stomp, too, which is never sent one frame directly behind another here.
@pytest.mark.parametrize("kind", ["ruby-1.1", "ruby-1.2", "perl-1.1", "perl-1.2", "php-1.1"])
def test_what_is_nacked_comes_again(server: Serving, destination: str, kind: str) -> None:
    name = queue_of(destination)
    with using(kind, kind) as (ada, bob):
        ada.log_in(server, "ada")
        bob.log_in(server, "bob")
        bob.confirm("subscribe", destination=name, headers=subscription(kind, "client-individual"))
        ada.confirm("send", destination=name, body=b"one")
        one = bob.hear(name, b"one")
        assert bob.do("nack", message=one.headers["message-id"]).command == ""
        assert bob.hear(name, b"one").headers["redelivered"] == "true"
        ada.confirm("send", destination=name, body=b"two")
        two = bob.hear(name, b"two")
        bob.confirm("ack", message=two.headers["message-id"])  # that one alone
        bob.leave(server)

        # A RECEIPT would stand directly beside the MESSAGE.
        ada.do("subscribe", destination=name, headers=subscription(kind, "auto"))
        assert ada.hear(name, b"one").headers["redelivered"] == "true"
        ada.do("send", destination=name, body=b"three")
        ada.hear(name, b"three")
        ada.leave(server)
