"""The control socket and the pages of the WebSocket's port, over real sockets."""

from __future__ import annotations

import inspect
import json
import os
import socket
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.contract.conftest import Tls
from tests.adapters.contract.peers import connect_frame, peer
from tests.adapters.contract.runtime import Raw, Runtime, open_files
from tests.adapters.contract.tokens import TokenServer, mint
from tests.adapters.contract.world import FAST, QUICK, ROOM, collect, port, url

from stompcore import ConnectionState, HeartBeat, Limits, ServerConfig
from stompcore_asyncio import _unix as asyncio_unix
from stompcore_trio import _unix as trio_unix

NO_BEATS = HeartBeat(send_interval=0, receive_interval=0)

#: Its drain is spread over a second, and waits for nobody for long.
SPREAD = ServerConfig(
    heart_beat=NO_BEATS,
    drain_window=1.0,
    drain_rate=0.1,
    limits=Limits(close_timeout=0.3, handshake_timeout=0.4),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control"


async def answer(raw: Raw, method: str, target: str, body: object = None) -> tuple[int, bytes]:
    """The status and the body of what a request is answered with."""
    data = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
    await raw.send(head.encode() + data)
    first, _, rest = (await raw.read_all()).partition(b"\r\n\r\n")
    await raw.close()
    return int(first.split()[1]), rest


async def ask(
    runtime: Runtime, path: Path, method: str, target: str, body: object = None
) -> tuple[int, Any]:
    """The same, of a control socket; JSON is read."""
    status, got = await answer(await runtime.dial_unix(str(path)), method, target, body)
    return status, json.loads(got) if got.startswith(b"{") else got


async def logged_in(runtime: Runtime, server: Any, transport: str, **token: Any) -> Any:
    mine = await peer(runtime, server, transport)
    await mine.send(connect_frame(mint(**token)))
    await mine.until("CONNECTED")
    return mine


# --- what operators do ------------------------------------------------------------------------


def test_operators_see_the_sessions(runtime: Runtime, transport: str, path: Path) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK, control=path) as server:
            assert await ask(runtime, path, "GET", "/sessions") == (200, {"sessions": []})
            await logged_in(runtime, server, transport, subject="ada", jti="t1")
            status, got = await ask(runtime, path, "GET", "/sessions")
            (session,) = got["sessions"]
            assert status == 200
            assert session["valid_until"] == pytest.approx(time.time() + 60, abs=5)
            del session["session"], session["valid_until"]
            assert session == {
                "subject": "ada",
                "token_id": "t1",
                "state": "open",
                "subscriptions": 0,
            }
            assert await ask(runtime, path, "GET", "/healthz") == (200, b"ok\n")
            status, metrics = await ask(runtime, path, "GET", "/metrics")
            assert status == 200
            assert b'\nstompcore_sessions{state="open"} 1\n' in metrics
            assert (await ask(runtime, path, "GET", "/nowhere"))[0] == 404

    runtime.run(body)


@pytest.mark.parametrize("kind", ["session", "subject", "token_id"])
def test_operators_revoke(runtime: Runtime, transport: str, path: Path, kind: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK, control=path) as server:
            ada = await logged_in(runtime, server, transport, subject="ada", jti="t1")
            bob = await logged_in(runtime, server, transport, subject="bob", jti="t2")
            target = {"session": ada.frames[0].partition("session:")[2].partition("\n")[0]}
            target |= {"subject": "ada", "token_id": "t1"}
            answered = await ask(runtime, path, "POST", "/revoke", {kind: target[kind]})
            assert answered == (200, {"ended": 1})
            await ada.to_the_end()
            assert "\nerror-code:token-revoked\n" in ada.frames[-1]
            assert transport != "ws" or ada.close == (3003, "Token Revoked")
            await bob.send(b"SEND\ndestination:/topic/a\nreceipt:r\n\n\0")
            await bob.until("receipt-id:r")  # nobody else has noticed

    runtime.run(body)


def test_operators_expire_and_a_client_comes_back_with_a_new_token(
    runtime: Runtime, transport: str, path: Path
) -> None:
    async def body(runtime: Runtime) -> None:
        tokens = TokenServer()
        async with (
            runtime.serve(config=QUICK, control=path) as server,
            runtime.connect(url(server, transport), token=tokens, config=FAST) as client,
            client.subscribe(ROOM) as messages,
            runtime.background() as background,
        ):
            got: list[str] = []
            background.start(lambda: collect(messages, got))
            await client.send(ROOM, "before")
            answered = await ask(runtime, path, "POST", "/expire", {"subject": "alice"})
            assert answered == (200, {"ended": 1})
            await client.send(ROOM, "after")
            await runtime.until(lambda: got == ["before", "after"])
            assert len(tokens.requests) == 2
            await client.close()

    runtime.run(body)


def test_operators_pardon(runtime: Runtime, path: Path) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK, control=path) as server:
            for kind, value in (("subject", "ada"), ("token_id", "t1")):
                await ask(runtime, path, "POST", "/revoke", {kind: value})
                refused = await peer(runtime, server, "tcp")
                await refused.send(connect_frame(mint("ada", jti="t1")))
                await refused.until("token-revoked")
                answered = await ask(runtime, path, "POST", "/pardon", {kind: value})
                assert answered == (200, {"pardoned": True})
                await logged_in(runtime, server, "tcp", subject="ada", jti="t1")

    runtime.run(body)


def test_operators_drain(runtime: Runtime, transport: str, path: Path) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=SPREAD, control=path) as server:
            peers = [await logged_in(runtime, server, transport) for _ in range(5)]
            assert not server.drain_requested.is_set()
            began_at = time.monotonic()
            assert await ask(runtime, path, "POST", "/drain") == (202, {"sessions": 5})
            await server.drain_requested.wait()
            # By now it is on its way out, and says so where it can still be asked.
            assert await ask(runtime, path, "GET", "/healthz") == (503, b"draining\n")
            assert await ask(runtime, path, "POST", "/drain") == (202, {"sessions": 5})
            with pytest.raises(OSError, match=r"onnect"):
                await runtime.dial(port(server, transport))
            for each in peers:
                await each.to_the_end()
                await each.raw.close()
                assert "\nerror-code:going-away\n" in each.frames[-1]
            await runtime.until(lambda: not server.connections)
            assert time.monotonic() - began_at < SPREAD.drain_window + 2.0
        assert not path.exists()

    runtime.run(body)


def test_a_drain_that_nobody_waits_for_still_happens(runtime: Runtime, path: Path) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=SPREAD, control=path) as server:
            deaf = await logged_in(runtime, server, "tcp")
            await ask(runtime, path, "POST", "/drain")
            await runtime.until(lambda: not server.connections, 10.0)
            await deaf.raw.close()

    runtime.run(body)


# --- the socket's file ------------------------------------------------------------------------


def test_nobody_else_can_open_it(runtime: Runtime, path: Path) -> None:
    async def body(runtime: Runtime) -> None:
        before = os.umask(0)
        try:
            async with runtime.serve(config=QUICK, control=path):
                mode = path.stat().st_mode
                assert stat.S_ISSOCK(mode)
                assert stat.S_IMODE(mode) == 0o600
            assert not path.exists()
        finally:
            os.umask(before)

    runtime.run(body)


def test_a_dead_servers_file_is_replaced(runtime: Runtime, path: Path) -> None:
    async def body(runtime: Runtime) -> None:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
            dead.listen()
        assert path.exists()
        async with runtime.serve(config=QUICK, control=path):
            assert (await ask(runtime, path, "GET", "/healthz"))[0] == 200
        assert not path.exists()

    runtime.run(body)


def test_a_living_servers_is_not(runtime: Runtime, path: Path) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK, control=path):

            async def enter() -> None:
                async with runtime.serve(config=QUICK, control=path):
                    raise AssertionError("two servers on one control socket")

            files = open_files()
            for _ in range(3):
                await runtime.leaves_nothing(enter, raises=OSError)
            assert open_files() <= files
            assert (await ask(runtime, path, "GET", "/healthz"))[0] == 200

    runtime.run(body)


@pytest.mark.parametrize("kind", ["file", "folder", "link", "nowhere", "too long", "empty"])
def test_what_cannot_be_a_control_socket(runtime: Runtime, path: Path, kind: str) -> None:
    where: Path | str = path
    match kind:
        case "empty":
            where = ""
        case "file":
            path.write_text("precious")
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to(path.parent / "elsewhere")
        case "nowhere":
            where = path / "missing" / "control"
        case "too long":
            where = path.parent / ("x" * 200)

    async def body(runtime: Runtime) -> None:
        async def enter() -> None:
            async with runtime.serve(config=QUICK, control=where):
                raise AssertionError("it listens")

        await runtime.leaves_nothing(enter, raises=OSError)

    before = sorted(path.parent.iterdir())
    runtime.run(body)
    assert sorted(path.parent.iterdir()) == before
    assert kind != "file" or path.read_text() == "precious"


def test_a_server_that_is_too_busy_to_accept_is_alive(runtime: Runtime, path: Path) -> None:
    async def body(runtime: Runtime) -> None:
        async def enter() -> None:
            async with runtime.serve(config=QUICK, control=path):
                raise AssertionError("it listens")

        with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
            busy.bind(str(path))
            busy.listen(0)
            waiting.connect(str(path))
            await runtime.leaves_nothing(enter, raises=OSError)
        assert path.exists()

    runtime.run(body)


def test_a_file_that_is_another_servers_by_now_stays(runtime: Runtime, path: Path) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK, control=path):
            path.unlink()
            async with runtime.serve(config=QUICK, control=path):
                pass
            assert not path.exists()
            path.write_text("precious")

    runtime.run(body)
    assert path.read_text() == "precious"


def test_both_bindings_make_it_in_the_same_way() -> None:
    # Twice the same text, since neither knows the other, and the core knows no sockets.
    assert inspect.getsource(asyncio_unix) == inspect.getsource(trio_unix)


# --- its connections --------------------------------------------------------------------------


def test_an_operator_who_says_nothing_is_cut_off(runtime: Runtime, path: Path) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK, control=path) as server:
            mute = await runtime.dial_unix(str(path))
            assert (await mute.read_all()).startswith(b"HTTP/1.1 408 ")
            await runtime.until(lambda: not server.connections)

    runtime.run(body)


@pytest.mark.parametrize("said", [b"", b"GET /sess", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_an_operator_holds_nobody_up(runtime: Runtime, path: Path, said: bytes) -> None:
    """One who stays connected as the server is left, in whatever state."""

    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK, control=path):
            stays = await runtime.dial_unix(str(path))
            await stays.send(said)
            await runtime.sleep(0.05)
            began_at = time.monotonic()
        assert time.monotonic() - began_at < 2.0
        await stays.close()

    runtime.run(body)


def test_who_hangs_up_at_once_does_no_harm(runtime: Runtime, path: Path) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK, control=path) as server:
            for said in (b"", b"\0", b"GET /sessions HTTP/1.1\r\nHost: x\r\n\r\n", b"x" * 50_000):
                for _ in range(5):
                    with socket.socket(socket.AF_UNIX) as raw:
                        raw.connect(str(path))
                        raw.sendall(said)
                    await runtime.sleep(0.002)
            await runtime.until(lambda: not server.connections)
            assert (await ask(runtime, path, "GET", "/healthz"))[0] == 200

    runtime.run(body)


def test_an_answer_that_is_long_arrives_whole(runtime: Runtime, path: Path) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK, control=path) as server:
            subject = "a" * 8_000
            for _ in range(60):
                await logged_in(runtime, server, "tcp", subject=subject)
            status, got = await ask(runtime, path, "GET", "/sessions")
            assert status == 200
            assert [each["subject"] for each in got["sessions"]] == [subject] * 60

    runtime.run(body)


# --- the pages on the WebSocket's port --------------------------------------------------------


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
def test_pages(runtime: Runtime, is_tls: bool, tls: Tls, caplog: pytest.LogCaptureFixture) -> None:
    async def body(runtime: Runtime) -> None:
        server_tls, client_tls = tls if is_tls else (None, None)
        async with runtime.serve(config=QUICK, ssl=server_tls) as server:

            async def get(target: str) -> tuple[int, bytes]:
                raw = await runtime.dial(port(server, "ws"), client_tls)
                return await answer(raw, "GET", target)

            for _ in range(3):
                assert await get("/healthz") == (200, b"ok\n")
            status, metrics = await get("/metrics")
            assert status == 200
            assert b"\nstompcore_sessions_opened_total 4\n" in metrics
            assert b'\nstompcore_sessions{state="connecting"} 0\n' in metrics
            assert (await get("/nowhere"))[0] == 404
            # And it is a WebSocket's port all the same.
            async with runtime.connect(url(server, "ws"), token=mint(), ssl=client_tls) as client:
                await client.send(ROOM, "hello")
                assert client.state is ConnectionState.CONNECTED
            await runtime.until(lambda: not server.connections)

    runtime.run(body)
    lines = [record for record in caplog.records if record.name == "stompcore.server"]
    told = [record.getMessage() for record in lines if record.levelname == "INFO"]
    assert told == ["connected", "disconnected"]


def test_pages_can_be_switched_off(runtime: Runtime) -> None:
    config = ServerConfig(health_path=None, metrics_path=None)

    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=config) as server:
            for target in ("/healthz", "/metrics"):
                raw = await runtime.dial(port(server, "ws"))
                assert (await answer(raw, "GET", target))[0] == 404

    runtime.run(body)
