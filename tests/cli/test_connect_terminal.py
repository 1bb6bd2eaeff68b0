"""`stompcore connect` in a terminal: what is seen, and that the terminal is left as it was."""

from __future__ import annotations

import os
import re
import signal
import socket
import termios
from pathlib import Path

import pytest
from tests.cli.clients import Puppet, Screen, minting, terminal
from tests.serving import PATIENCE, serving

CONNECTED = b"CONNECTED\nversion:1.2\n\n\0"
LOCAL = 3  # the place of the local modes in what `tcgetattr` returns


def check_left(screen: Screen, before: list[object]) -> str:
    """The terminal is as it was, with one line on it: that line."""
    assert screen.modes() == before
    head, _, left = screen.output.rpartition("\x1b[?1049l")
    assert head.count("\x1b[?1049h") == head.count("\x1b[?1049l") + 1
    assert screen.output.rindex("\x1b[?25h") > screen.output.rindex("\x1b[?25l")
    assert "\x1b" not in left
    assert "Traceback" not in screen.output
    return left


def test_a_token_is_renewed_while_one_looks_on(tmp_path: Path) -> None:
    command = minting(tmp_path, ttl=5.0)
    with serving("--ws", "127.0.0.1:0") as server:
        with terminal(server.url, "--token-command", command) as screen:
            before = screen.modes()
            screen.wait_for("● Online", "connection 1 · STOMP 1.2 · stompcore/", " · as ada")
            screen.type("subscribe /topic/a\r")
            screen.wait_for("   1 /topic/a  0 messages")
            screen.type("send /topic/a hel")
            screen.wait_for("> send /topic/a hel")
            screen.type("lo\r")
            screen.wait_for("1 /topic/a  1 message", "/topic/a hello")
            screen.wait_for(
                "the next token is asked for, ahead of the old one's end",
                "connection 1 goes on with the new token",
            )
            lives = [re.search(r"token (█*)░* 0:0(\d) left", "\n".join(p)) for p in screen.pictures]
            bars = [(len(each[1]), int(each[2])) for each in lives if each]
            assert {left for _, left in bars} >= {5, 4, 3, 2}
            assert max(full for full, _ in bars) > 20
            assert min(full for full, _ in bars) < 12
            assert " · refresh in 0:0" in screen.output
            # No picture is left half drawn, and none flickers: nothing is ever cleared.
            assert "\x1b[2J" not in screen.output
            assert "\x1b[K" not in screen.output
            screen.type("\x04")
            assert screen.wait() == 0
            left = check_left(screen, before)
            assert re.fullmatch(
                rf"Left {re.escape(server.url)} after 0:\d\d: 1 message received, 1 sent\.\n", left
            )
        assert server.wait_for_log("disconnected")


def test_an_expiry_is_seen_and_got_over(tmp_path: Path) -> None:
    command = minting(tmp_path, ttl=2.0)
    with serving("--ws", "127.0.0.1:0") as server:
        options = ("--token-command", command, "--no-refresh", "--subscribe", "/topic/a")
        with terminal(server.url, *options) as screen:
            before = screen.modes()
            screen.wait_for("is over: Token Expired (WebSocket close 3000)")
            screen.wait_for("● Online", "connection 2 · STOMP 1.2", "   1 /topic/a")
            screen.type("cut\r")
            screen.wait_for("connection 3 · STOMP 1.2", "the connection was lost")
            screen.type("quit\r")
            assert screen.wait() == 0
            check_left(screen, before)


def test_pages_and_keys() -> None:
    with serving("--no-auth", "--ws", "127.0.0.1:0") as server, terminal(server.url) as screen:
        before = screen.modes()
        screen.wait_for("● Online", "no token that says how long it lives")
        screen.type("subscribe /queue/q client\rsend -H x:y /queue/q wörk\r")
        screen.wait_for("[wanted] wörk")
        screen.type("ack 1\r")
        screen.wait_for("[acked] wörk")
        screen.type("show 1\r")
        screen.wait_for("── Message 1 ", " x: y", " wörk")
        screen.type("hel\x7f\x7f\x7fhelp\r")
        screen.wait_for("── Commands ", " request [-H NAME:VALUE] DEST BODY...")
        screen.type("\r")
        screen.wait_for("── Messages (1 received, 1 sent) ")
        screen.type("\x1b[A\x1b[A\x1b[D!")
        screen.wait_for("> show !1")
        screen.type("\x15\x0bfrobnicate\r")
        screen.wait_for("there is no command 'frobnicate'; there are")
        screen.type("begin\r")
        screen.wait_for("── help · quit · in a transaction ")
        screen.type("\x0cquit\r")
        assert screen.wait() == 0
        assert "1 message received, 1 sent." in check_left(screen, before)


def test_it_fits_whatever_the_terminal_becomes() -> None:
    with serving("--no-auth", "--ws", "127.0.0.1:0") as server, terminal(server.url) as screen:
        before = screen.modes()
        screen.wait_for("● Online")
        screen.resize(40, 10)
        screen.wait_until(lambda: "── Log " + "─" * 33 in screen.picture.split("\n"))
        assert all(len(line) <= 40 for line in screen.pictures[-1])
        screen.resize(100, 30)
        screen.wait_until(lambda: "── Log " + "─" * 93 in screen.picture.split("\n"))
        screen.type("\x03")
        assert screen.wait() == 0
        check_left(screen, before)


def test_ctrl_z_gives_the_terminal_back_for_a_while() -> None:
    with serving("--no-auth", "--ws", "127.0.0.1:0") as server, terminal(server.url) as screen:
        before = screen.modes()
        screen.wait_for("● Online")
        assert not screen.modes()[LOCAL] & termios.ICANON
        screen.type("\x1a")
        screen.wait_until(lambda: "\x1b[?1049l" in screen.output)
        screen.wait_until(lambda: screen.modes() == before)
        status = os.waitid(os.P_PID, screen.process.pid, os.WSTOPPED | os.WNOWAIT)
        assert status is not None
        assert status.si_status == signal.SIGSTOP
        screen.process.send_signal(signal.SIGCONT)
        screen.wait_until(lambda: screen.output.count("\x1b[?1049h") == 2)
        screen.type("send /topic/a back\r")
        screen.wait_for("a message to /topic/a is confirmed")
        screen.type("\x03")
        assert screen.wait() == 0
        check_left(screen, before)


def test_a_second_ctrl_c_leaves_at_once_and_the_terminal_as_it_was() -> None:
    with Puppet(CONNECTED) as server, terminal(server.url) as screen:
        before = screen.modes()
        screen.wait_for("● Online")
        screen.type("\x03")
        screen.wait_for("── leaving; Ctrl-C leaves at once ")
        screen.type("\x03")
        assert screen.wait() == -signal.SIGINT
        assert check_left(screen, before) == ""


def test_what_is_not_confirmed_when_one_leaves_is_said() -> None:
    with Puppet(CONNECTED) as server, terminal(server.url) as screen:
        before = screen.modes()
        screen.wait_for("● Online")
        screen.type("send /a hello\r")
        screen.wait_for("1 not confirmed yet")
        screen.type("quit\r")
        screen.wait_for("── leaving")
        screen.type("\x03")  # which ends the wait for the confirmation
        assert screen.wait() == 0
        assert check_left(screen, before).endswith(" 1 message was not confirmed yet.\n")


def test_why_it_has_to_end_stands_where_one_can_read_it() -> None:
    with serving("--ws", "127.0.0.1:0") as server:
        with terminal(server.url, "--token", server.mint("ada", ttl=-5)) as screen:
            before = screen.modes()
            assert screen.wait() == 1
            left = check_left(screen, before)
        assert "stompcore: The server does not take the token: Token Expired" in left


def test_the_terminal_goes_away() -> None:
    with serving("--no-auth", "--ws", "127.0.0.1:0") as server, terminal(server.url) as screen:
        screen.wait_for("● Online")
        screen.hang_up()
        assert screen.process.wait(PATIENCE) in (0, 1)  # by what it notices first
        assert server.wait_for_log("disconnected")


@pytest.mark.parametrize("how", ["--plain", "--json", "dumb"])
def test_plain_lines_in_a_terminal(how: str) -> None:
    with serving("--no-auth", "--ws", "127.0.0.1:0") as server:
        options = [] if how == "dumb" else [how]
        term = "dumb" if how == "dumb" else "xterm"
        with terminal(server.url, *options, term=term) as screen:
            before = screen.modes()
            screen.wait_until(lambda: "connected" in screen.output)
            screen.type("frobnicate\nsend /topic/a hello\n")
            screen.wait_until(lambda: "sent" in screen.output)
            screen.type("\x04")
            assert screen.wait() == 0  # a person has seen what was wrong
            assert "\x1b" not in screen.output
            assert screen.modes() == before


def test_a_person_need_not_wait_for_a_connection_to_leave() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"ws://127.0.0.1:{port}/ws"
    with terminal(f"{url}?token=secret", "--subscribe", "/topic/a") as screen:
        before = screen.modes()
        screen.wait_for("● Offline", "waiting to dial again", "/topic/a  0 messages  not confirmed")
        screen.wait_for(f" {url}?… ", f"nobody listens at 127.0.0.1:{port}")
        # What waits for a connection can be taken back.
        screen.type("begin\r")
        screen.wait_for("in a transaction")
        screen.type("abort\rbegin\r")
        screen.wait_for("the transaction was not begun", "is aborted", "in a transaction")
        screen.type("unsubscribe 1\r")
        screen.wait_for("it has ended before it was confirmed", "none: type `subscribe DEST`")
        assert "secret" not in screen.output
        screen.type("\x04")
        assert screen.wait() == 0
        check_left(screen, before)
