"""`stompcore connect` at a pipe: lines in, lines out."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from tests.cli.clients import COMMAND, Puppet, kinds, minting, piped, run_connect, told
from tests.serving import PATIENCE, RawClient, environment, frame, serving

CONNECTED = b"CONNECTED\nversion:1.2\n\n\0"


def test_what_is_sent_comes_back() -> None:
    with serving("--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0") as server:
        for url in (server.url, f"stomp://127.0.0.1:{server.tcp[1]}"):
            token = server.mint("ada")
            done = run_connect(
                url,
                stdin="subscribe /topic/a\n\n# no command\nsend /topic/a hello, world\n",
                env={"STOMPCORE_TOKEN": token},
            )
            assert (done.returncode, done.stderr) == (0, "")
            assert re.search(
                r"^\d\d:\d\d:\d\d\.\d{3} message         1 /topic/a hello, world$",
                done.stdout,
                re.MULTILINE,
            )
            found = kinds(done.stdout)
            assert found[:4] == ["token-requested", "token-received", "dialing", "connected"]
            assert sorted(found[4:8]) == ["message", "sent", "status", "subscribed"]
            assert found[8:] == ["ended", "status", "stopped"]
            assert "is up: STOMP 1.2, stompcore/" in done.stdout
            assert ", as ada; the token lives for " in done.stdout
            assert token not in done.stdout
        assert server.wait_for_log("disconnected")
        assert "lost" not in server.log


def test_json_has_all_of_it() -> None:
    with serving() as server:
        token = server.mint("ada")
        done = run_connect(
            server.url,
            "--json",
            "--token",
            token,
            "--subscribe",
            "/topic/a",
            stdin="send -H x:y /topic/a é\nshow 1\nhelp\nsend nowhere\n",
        )
    assert (done.returncode, done.stderr) == (1, "stompcore: 1 command could not be done.\n")
    lines = told(done.stdout)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z", each["ts"]) for each in lines)
    by_event = {each["event"]: each for each in lines}
    connected = by_event["connected"]
    assert connected["server"].startswith("stompcore/")
    assert (connected["epoch"], connected["version"], connected["subject"]) == (1, "1.2", "ada")
    assert 50 < connected["token_ttl"] <= 60
    message = by_event["message"]
    assert (message["number"], message["subscription"]) == (1, 1)
    assert (message["destination"], message["body"]) == ("/topic/a", "é")
    assert message["headers"]["x"] == "y"
    assert by_event["sent"]["destination"] == "/topic/a"
    pages = [each for each in lines if each["event"] == "page"]
    assert [each["title"] for each in pages] == ["Message 1", "Commands"]
    assert pages[0]["lines"][-2:] == ["", "é"]
    failed = by_event["failed"]
    assert failed["command"] == "send nowhere"
    assert "(protocol-violation)" in failed["error"]
    assert by_event["stopped"]["error"] is None
    assert token not in done.stdout


def test_messages_are_acknowledged_and_come_again() -> None:
    with serving() as server:
        done = run_connect(
            server.url,
            "--token",
            server.mint("ada"),
            "--json",
            stdin="subscribe /queue/q client\nsend /queue/q one\nsend /queue/q two\nwait 2\n"
            "ack 2\nsubscribe /queue/r client-individual\nsend /queue/r three\nwait 3\n"
            "nack 3\nwait 4\nsubscribe /topic/t\nack 99\nwait 99 0\nunsubscribe 3\n"
            "unsubscribe /queue/q\nunsubscribe /queue/q\n",
        )
    lines = told(done.stdout)
    assert [each["number"] for each in lines if each["event"] == "acknowledged"] == [2]
    assert [each["number"] for each in lines if each["event"] == "refused"] == [3]
    bodies = [each["body"] for each in lines if each["event"] == "message"]
    assert bodies[:3] == ["one", "two", "three"]
    assert bodies.count("three") > 1  # it was refused, so it came again
    ended = [each["subscription"] for each in lines if each["event"] == "unsubscribed"]
    assert ended[:2] == [3, 1]
    failed = [(each["command"], each["error"]) for each in lines if each["event"] == "failed"]
    assert ("ack 99", "there is no message 99") in failed
    assert ("wait 99", "it has not come in time") in failed
    assert ("unsubscribe /queue/q", "there is no subscription /queue/q") in failed
    assert done.stderr == f"stompcore: {len(failed)} commands could not be done.\n"


def test_a_transaction_is_done_whole_or_not_at_all() -> None:
    with serving() as server:
        done = run_connect(
            server.url,
            "--token",
            server.mint("ada"),
            "--json",
            stdin="subscribe /queue/q client\nsend /queue/q job\nwait 1\nbegin\nack 1\n"
            "send /queue/q more\nbegin\nabort\nabort\ncommit\n"
            "begin\nack 1\nsend /queue/q done\ncommit\n"
            "begin\nsend /queue/q lost\ncut\nsend /queue/q lost too\ncommit\n",
        )
    lines = told(done.stdout)
    bodies = [each["body"] for each in lines if each["event"] == "message"]
    assert "done" in bodies
    assert not {"more", "lost", "lost too"} & set(bodies)
    events = [each["event"] for each in lines]
    assert (events.count("begun"), events.count("aborted"), events.count("committed")) == (3, 1, 1)
    assert events.count("cut") == 1
    failed = [(each["command"], each["error"]) for each in lines if each["event"] == "failed"]
    assert failed[:3] == [
        ("begin", "there is one already; commit it, or abort it"),
        ("abort", "there is no transaction; begin one"),
        ("commit", "there is no transaction; begin one"),
    ]
    assert [command for command, _ in failed[3:]] == ["send /queue/q", "commit"]


def test_a_request_has_a_reply() -> None:
    with serving() as server:
        with (
            piped(server.url, "--token", server.mint("ada")) as client,
            RawClient(server.tcp) as other,
        ):
            other.connect(server.mint("bob"))
            other.send(frame("SUBSCRIBE", id="1", destination="/queue/work", receipt="s"))
            assert other.receive().command == "RECEIPT"
            client.say("request /queue/work what?")
            asked = other.receive()
            assert asked.body == "what?"
            answer = {"correlation-id": asked.headers["correlation-id"]}
            other.send(frame("SEND", "that", destination=asked.headers["reply-to"], **answer))
            client.wait_for(" reply ")
            assert re.search(r"reply +1 \S+ that\n", client.output)
            client.say("quit")
            assert client.wait() == 0


def test_a_token_is_renewed_in_place(tmp_path: Path) -> None:
    command = minting(tmp_path, ttl=4.0)
    with serving() as server, piped(server.url, "--token-command", command, "--json") as client:
        client.wait_for('"event": "refreshed"')
        client.end_of_input()
        assert client.wait() == 0
        lines = told(client.output)
        refreshed = next(each for each in lines if each["event"] == "refreshed")
        assert (refreshed["epoch"], refreshed["token_ttl"] > 1) == (1, True)
        reasons = [each["reason"] for each in lines if each["event"] == "token-requested"]
        assert reasons[:2] == ["initial", "ahead"]
        assert [each["epoch"] for each in lines if each["event"] == "dialing"] == [1]


@pytest.mark.parametrize("handover", ["break", "overlap"])
def test_a_token_is_renewed_by_another_connection(tmp_path: Path, handover: str) -> None:
    command = minting(tmp_path, ttl=4.0)
    with serving("--no-refresh") as server:
        options = ("--token-command", command, "--handover", handover, "--subscribe", "/topic/a")
        with piped(server.url, *options, "--json") as client:
            client.wait_for('"event": "connected"', times=2)
            client.say("send /topic/a still here")
            client.wait_for("still here")
            client.end_of_input()
            assert client.wait() == 0
            lines = told(client.output)
    assert "renew" in [each["next"] for each in lines if each["event"] == "ended"]
    order = [each["event"] for each in lines if each.get("epoch") in (1, 2)]
    first_end = next(at for at, each in enumerate(order) if each == "ended")
    second_dial = [at for at, each in enumerate(order) if each == "dialing"][1]
    assert (second_dial < first_end) is (handover == "overlap")


def test_without_refresh_the_server_says_when(tmp_path: Path) -> None:
    command = minting(tmp_path, ttl=1.5)
    with serving() as server:
        options = ("--token-command", command, "--no-refresh", "--subscribe", "/topic/a")
        with piped(server.url, *options) as client:
            client.wait_for("is over: Token Expired (WebSocket close 3000); a new token comes")
            client.wait_for("connection 2 is up")
            client.wait_for("subscription 1 is active on connection 2")
            client.end_of_input()
            assert client.wait() == 0


# --- where nothing comes of it --------------------------------------------------------------------


def test_nobody_listens_and_it_goes_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"ws://127.0.0.1:{port}/ws"
    done = run_connect(url, "--once")
    sentence = f"Connection 1 has failed: nobody listens at 127.0.0.1:{port}."
    assert (done.returncode, done.stderr) == (1, f"stompcore: {sentence}\n")
    with piped(url) as client:
        client.wait_for("; the next one comes in a moment", times=2)
        with serving("--ws", f"127.0.0.1:{port}", "--no-auth"):
            client.say("send /topic/a hello")
            client.wait_for("a message to /topic/a is confirmed")
            client.say("quit")
            assert client.wait() == 0


def test_a_token_that_is_not_taken() -> None:
    with serving() as server:
        done = run_connect(server.url, "--token", server.mint("ada", ttl=-5))
        assert done.returncode == 1
        why = "The server does not take the token: Token Expired (WebSocket close 3000)."
        assert done.stderr == f"stompcore: {why}\n"
        assert "the client is logged out" in done.stdout
        done = run_connect(server.url)
        assert done.returncode == 1
        assert done.stderr == "stompcore: The server refuses this client: Token Missing.\n"


def test_a_token_that_was_taken_runs_out() -> None:
    with serving("--ws", "127.0.0.1:0") as server:
        token = server.mint("ada", ttl=2.5)
        options = ("--token", token, "--subscribe", "/topic/a", "--listen", "inf")
        done = run_connect(server.url, *options, stdin="begin\nsend /topic/a hi\n")
    assert done.returncode == 1
    why = "The server does not take the token: Token Expired (WebSocket close 3000)."
    assert done.stderr == f"stompcore: {why}\n"
    assert "subscription 1 has ended: the server refuses the token" in done.stdout


def test_a_token_source_that_has_none(tmp_path: Path) -> None:
    with serving("--ws", "127.0.0.1:0") as server:
        done = run_connect(server.url, "--token-command", "sh -c 'exit 77'")
        assert done.returncode == 1
        assert done.stderr == (
            "stompcore: There is no token for this user any more: "
            "the token command ended with status 77.\n"
        )
        done = run_connect(server.url, "--token-command", "sh -c 'exit 3'", "--once")
        assert done.returncode == 1
        assert done.stderr == "stompcore: No token: the token command ended with status 3.\n"
        file = tmp_path / "token"
        with piped(server.url, "--token-file", str(file)) as client:
            client.wait_for(f"no token: the token file '{file}' cannot be read")
            file.write_text(server.mint("ada"), "utf-8")
            client.wait_for("connection 1 is up")
            client.end_of_input()
            assert client.wait() == 0


def test_what_never_began_fails_with_the_client() -> None:
    with serving() as server:
        wrong = server.mint("ada", key="quite another secret of enough bytes")
        with piped(server.url, "--token", wrong, "--plain") as client:
            client.say("begin", "send /topic/a hi")
            assert client.wait() == 1
            assert "does not take the token: Token Invalid" in client.errors
            assert "begun" not in kinds(client.output)


def test_what_is_no_command_is_told_and_counted() -> None:
    with serving("--no-auth", "--ws", "127.0.0.1:0") as server:
        done = run_connect(server.url, stdin=b"frobnicate\nsend /a \xff\nhelp\nsend\n")
    assert done.returncode == 1
    assert "Commands:\n  subscribe [-H NAME:VALUE] DEST [ACK]  listen" in done.stdout
    assert "there is no command 'frobnicate'; there are subscribe, " in done.stdout
    assert "this line is not UTF-8" in done.stdout
    assert "write it as: send" in done.stdout
    assert done.stderr == "stompcore: 3 commands could not be done.\n"


def test_a_refused_subscription_fails_and_the_rest_goes_on() -> None:
    with serving("--no-auth", "--ws", "127.0.0.1:0") as server:
        done = run_connect(server.url, stdin="subscribe nowhere\nsend /topic/a hi\n")
    assert done.returncode == 1
    assert re.search(r"failed +subscribe nowhere: .*\(protocol-violation\)", done.stdout)
    assert "a message to /topic/a is confirmed" in done.stdout


# --- how it ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_says_disconnect_and_leaves(number: signal.Signals) -> None:
    with serving("--no-auth", "--ws", "127.0.0.1:0") as server:
        with piped(server.url, "--subscribe", "/topic/a") as client:
            client.wait_for("subscription 1 is active")
            client.process.send_signal(number)
            assert client.wait() == 0
            assert "the client has stopped\n" in client.output
            assert client.errors == ""


def test_a_hangup_that_is_to_be_ignored_is_ignored() -> None:
    with serving("--no-auth", "--ws", "127.0.0.1:0") as server:
        with piped(server.url, ignores=signal.SIGHUP) as client:
            client.wait_for("connection 1 is up")
            client.process.send_signal(signal.SIGHUP)
            client.say("send /topic/a still here")
            client.wait_for("a message to /topic/a is confirmed")
            client.process.send_signal(signal.SIGTERM)
            assert client.wait() == 0


def test_a_signal_ends_what_has_never_been_connected() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with piped(f"ws://127.0.0.1:{port}/ws") as client:
        client.wait_for("nobody listens")
        client.process.send_signal(signal.SIGINT)
        assert client.wait() == 0


def test_a_second_ctrl_c_waits_for_nobody() -> None:
    with Puppet(CONNECTED) as server, piped(server.url) as client:
        client.wait_for("connection 1 is up: STOMP 1.2\n")
        client.say("send /a never confirmed")
        server.wait_for("SEND")
        client.process.send_signal(signal.SIGINT)
        client.wait_for("1 message was not confirmed yet")
        client.process.send_signal(signal.SIGINT)
        assert client.wait() == -signal.SIGINT


def test_what_is_not_confirmed_is_a_failure_of_a_script() -> None:
    with Puppet(CONNECTED) as server, piped(server.url) as client:
        client.say("send /a never confirmed")
        server.wait_for("SEND")
        client.process.send_signal(signal.SIGTERM)
        assert client.wait() == 1  # after the time that DISCONNECT is given
        assert client.errors == "stompcore: 1 message was not confirmed yet.\n"


def test_it_listens_on_when_told_to() -> None:
    with serving("--no-auth") as server:
        with (
            piped(server.url, "--subscribe", "/topic/a", "--listen", "inf") as client,
            RawClient(server.tcp) as other,
        ):
            client.end_of_input()
            client.wait_for("subscription 1 is active")
            other.connect()
            other.send(frame("SEND", "late", destination="/topic/a"))
            client.wait_for("1 /topic/a late")
            client.process.send_signal(signal.SIGINT)
            assert client.wait() == 0
        done = run_connect(server.url, "--listen", "0.1")
        assert done.returncode == 0


def test_every_kind_of_input_is_read(tmp_path: Path) -> None:
    script = tmp_path / "commands"
    script.write_bytes(b"subscribe /topic/a\r\nsend /topic/a from a file")
    with serving("--no-auth", "--ws", "127.0.0.1:0") as server:
        with script.open("rb") as file:
            done = run_connect(server.url, stdin=file)
        assert (done.returncode, "1 /topic/a from a file\n" in done.stdout) == (0, True)
        done = run_connect(server.url, stdin=subprocess.DEVNULL)
        assert (done.returncode, "connection 1 is up" in done.stdout) == (0, True)
        closed = subprocess.run(
            ["sh", "-c", 'exec "$0" connect "$1" <&-', COMMAND, server.url],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=environment(),
            check=False,
        )
        assert (closed.returncode, closed.stderr) == (0, "")
        assert "connection 1 is up" in closed.stdout


def test_nobody_reads_what_it_says() -> None:
    with serving("--no-auth", "--ws", "127.0.0.1:0") as server:
        script = 'printf "send /topic/a 1\\nsend /topic/a 2\\n" | "$0" connect "$1" | head -n 1'
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", script, COMMAND, server.url],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=environment(),
            check=False,
        )
    assert done.stdout.count("\n") == 1
    assert (done.returncode, done.stderr) == (1, "")


# --- what the server sees -------------------------------------------------------------------------


def test_connect_says_what_was_asked_for() -> None:
    with (
        Puppet(CONNECTED, confirms=True) as server,
        piped(
            server.url, "--token", "guest", "--login", "guest", "--passcode", "--host", "/"
        ) as client,
    ):
        client.wait_for("connection 1 is up")
        client.say("quit")
        assert client.wait() == 0
        connect = server.frames[0]
        assert (connect.command, connect.headers["host"]) == ("CONNECT", "/")
        assert (connect.headers["login"], connect.headers["passcode"]) == ("guest", "guest")
        assert "Authorization" not in connect.headers
        assert server.frames[-1].command == "DISCONNECT"


def test_a_server_that_repeats_the_token_is_not_quoted() -> None:
    token = "abcdefgh.ijklmnop.qrstuvwx"
    error = f"ERROR\nmessage:Bad token {token}\n\nwhat is {token}?\0".encode()
    echo = f"MESSAGE\nsubscription:1\nmessage-id:1\ndestination:/a\nx:{token}\n\n{token}\0"
    for answer in (error, CONNECTED + echo.encode()):
        with (
            Puppet(answer, confirms=True) as server,
            piped(
                f"{server.url}/?token={token}", "--token", token, "--subscribe", "/a", "--json"
            ) as client,
        ):
            client.wait_for("[token]")
            client.process.send_signal(signal.SIGTERM)
            client.wait()
            assert token not in client.output + client.errors
            assert server.frames[0].headers["Authorization"] == f"Bearer {token}"


def test_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    ca, cert, key = (tmp_path / name for name in ("ca.pem", "cert.pem", "key.pem"))
    authority.cert_pem.write_to_path(str(ca))
    issued.cert_chain_pems[0].write_to_path(str(cert))
    issued.private_key_pem.write_to_path(str(key))
    tls = ("--tls-cert", str(cert), "--tls-key", str(key), "--no-auth", "--ws", "127.0.0.1:0")
    with serving(*tls) as server:
        assert server.url.startswith("wss://")
        done = run_connect(server.url, "--ca", str(ca), stdin="send /topic/a hi\n")
        assert (done.returncode, done.stderr) == (0, "")
        done = run_connect(server.url, "--once")
        assert done.returncode == 1
        assert "the server's certificate is not trusted" in done.stderr
    with serving("--no-auth", "--ws", "127.0.0.1:0") as server:
        done = run_connect(server.url.replace("ws://", "wss://"), "--once", "--ca", str(ca))
        assert "no TLS is spoken at 127.0.0.1:" in done.stderr


def test_as_a_module_it_is_the_same() -> None:
    with serving("--no-auth", "--ws", "127.0.0.1:0") as server:
        done = subprocess.run(
            [sys.executable, "-m", "stompcore_cli", "connect", server.url],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=environment(),
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
