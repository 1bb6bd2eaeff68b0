"""`from_command`: what its statuses mean, and that nothing of it is left behind."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest
from tests.adapters.contract.runtime import Runtime, open_files
from tests.tokens.asking import FIRST_REQUEST, ask

from stompcore import LocalProtocolError, TokenUnavailable, Unauthorized
from stompcore_tokens import from_command

pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="the commands are a shell's")


def sh(script: str, *words: str) -> Sequence[str]:
    return ["sh", "-c", script, "sh", *words]


def is_alive(pid: int) -> bool:
    """Whether a process is there; one that has ended and that nobody has waited for is not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(") ")[2][0] != "Z"


async def pids_in(path: Path, count: int, runtime: Runtime) -> list[int]:
    """The numbers that a script has written, one a line."""

    def read() -> list[int]:
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    await runtime.until(lambda: len(read()) == count)
    return read()


def test_what_a_command_prints_is_the_token(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        source = from_command(["printf", "  %s\n\n", "to-ken $HOME `id` ; secret"])
        # The core says of it that it is none: here, the words came through without a shell.
        assert await source(FIRST_REQUEST) == "to-ken $HOME `id` ; secret"

    runtime.run(body)


def test_a_str_is_split_into_words(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        source = from_command("printf '%s-%s' one \"two secret\"")
        assert await source(FIRST_REQUEST) == "one-two secret"

    runtime.run(body)


def test_a_command_runs_at_each_request(runtime: Runtime, tmp_path: Path) -> None:
    async def body(runtime: Runtime) -> None:
        source = from_command(sh('echo x >>"$1"; wc -l <"$1"', str(tmp_path / "count")))
        assert [await source(FIRST_REQUEST) for _ in range(3)] == ["1", "2", "3"]

    runtime.run(body)


def test_a_command_reads_nothing_and_what_it_complains_of_is_thrown_away(
    runtime: Runtime, capfd: pytest.CaptureFixture[str]
) -> None:
    async def body(runtime: Runtime) -> None:
        assert await from_command(sh("echo secret >&2; cat; echo it"))(FIRST_REQUEST) == "it"

    runtime.run(body)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo secret; exit 1", "ended with status 1"),
        ("echo secret; exit 78", "ended with status 78"),
        ("echo secret; kill -TERM $$", "was ended by signal 15"),
        ("true", "printed no token"),
        ("echo; echo", "printed no token"),
        (r"printf '\377secret'", "printed no token"),
        ("head -c 65537 /dev/zero | tr '\\0' s", "printed too much"),
    ],
)
def test_a_command_that_fails_may_be_run_again(runtime: Runtime, script: str, why: str) -> None:
    async def body(runtime: Runtime) -> None:
        with pytest.raises(TokenUnavailable) as caught:
            await from_command(sh(script))(FIRST_REQUEST)
        assert str(caught.value) == f"the token command {why}"

    runtime.run(body)


def test_a_command_may_print_so_much() -> None:
    source = from_command(sh("head -c 65536 /dev/zero | tr '\\0' s"))
    assert ask(source) == "s" * 65536


def test_a_command_that_prints_for_ever_is_killed(runtime: Runtime, tmp_path: Path) -> None:
    async def body(runtime: Runtime) -> None:
        path = tmp_path / "pids"
        source = from_command(sh('echo $$ >>"$1"; exec yes secret', str(path)), timeout=20.0)
        with pytest.raises(TokenUnavailable, match="printed too much"):
            await source(FIRST_REQUEST)
        (pid,) = await pids_in(path, 1, runtime)
        assert not is_alive(pid)

    runtime.run(body)


def test_a_command_that_is_not_there_may_come(runtime: Runtime, tmp_path: Path) -> None:
    async def body(runtime: Runtime) -> None:
        path = tmp_path / "command"
        source = from_command([str(path)])
        with pytest.raises(TokenUnavailable, match=r"could not be started \(FileNotFoundError\)"):
            await source(FIRST_REQUEST)
        path.write_text("#!/bin/sh\necho it\n")
        with pytest.raises(TokenUnavailable, match=r"could not be started \(PermissionError\)"):
            await source(FIRST_REQUEST)
        path.chmod(0o700)
        assert await source(FIRST_REQUEST) == "it"

    runtime.run(body)


def test_one_status_means_that_the_user_has_to_log_in(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        with pytest.raises(Unauthorized, match="the token command ended with status 77"):
            await from_command(sh("exit 77"))(FIRST_REQUEST)
        with pytest.raises(Unauthorized):
            await from_command(sh("exit 3"), unauthorized_status=3)(FIRST_REQUEST)
        with pytest.raises(TokenUnavailable):
            await from_command(sh("exit 77"), unauthorized_status=3)(FIRST_REQUEST)

    runtime.run(body)


# --- nothing is left behind ------------------------------------------------------------------

FAMILY = 'echo $$ >>"$1"; sleep 3600 & echo $! >>"$1"; wait'


def test_a_command_that_takes_too_long_is_killed_with_its_children(
    runtime: Runtime, tmp_path: Path
) -> None:
    async def body(runtime: Runtime) -> None:
        path = tmp_path / "pids"
        with pytest.raises(TokenUnavailable) as caught:
            await from_command(sh(FAMILY, str(path)), timeout=0.3)(FIRST_REQUEST)
        assert str(caught.value) == "the token command took longer than 0.3 s"
        for pid in await pids_in(path, 2, runtime):
            await runtime.until(lambda pid=pid: not is_alive(pid))  # type: ignore[misc]

    runtime.run(body)


@pytest.mark.parametrize("is_scoped", [False, True])
def test_a_command_ends_with_its_caller(runtime: Runtime, tmp_path: Path, is_scoped: bool) -> None:
    async def body(runtime: Runtime) -> None:
        path = tmp_path / "pids"
        source = from_command(sh(FAMILY, str(path)), timeout=20.0)
        scope = anyio.CancelScope()
        is_over: list[bool] = []

        async def call() -> None:
            try:
                with scope:
                    await source(FIRST_REQUEST)
            finally:
                is_over.append(True)

        async with runtime.background() as background:
            cancel = background.start(call)
            pids = await pids_in(path, 2, runtime)
            (scope.cancel if is_scoped else cancel)()
            await runtime.until(lambda: is_over)
            assert not is_alive(pids[0])
            await runtime.until(lambda: not is_alive(pids[1]))

    runtime.run(body)


def test_a_command_is_ended_at_whatever_moment(runtime: Runtime, tmp_path: Path) -> None:
    async def body(runtime: Runtime) -> None:
        path = tmp_path / "pids"
        source = from_command(sh('echo $$ >>"$1"; sleep 0.02; echo it', str(path)))
        for tick in range(25):
            with anyio.move_on_after(tick * 0.002):
                assert await source(FIRST_REQUEST) == "it"
        if path.exists():
            assert not any(is_alive(int(pid)) for pid in path.read_text().split())

    runtime.run(body)


def test_a_daemon_that_keeps_stdout_open_holds_nobody_up(runtime: Runtime, tmp_path: Path) -> None:
    async def body(runtime: Runtime) -> None:
        path = tmp_path / "pids"
        script = 'sleep 3600 & echo $! >>"$1"; echo it'
        began_at = time.monotonic()
        assert await from_command(sh(script, str(path)), timeout=20.0)(FIRST_REQUEST) == "it"
        assert time.monotonic() - began_at < 10.0
        # It was left on purpose, and is left alone.
        (pid,) = await pids_in(path, 1, runtime)
        assert is_alive(pid)
        os.kill(pid, 9)

    runtime.run(body)


def test_clients_wait_for_their_turn(runtime: Runtime, tmp_path: Path) -> None:
    async def body(runtime: Runtime) -> None:
        # `mkdir` fails where another run has not ended yet.
        script = 'mkdir "$1" || exit 9; sleep 0.05; rmdir "$1"; echo it'
        source = from_command(sh(script, str(tmp_path / "taken")))
        tokens: list[str] = []

        async def call() -> None:
            tokens.append(await source(FIRST_REQUEST))

        async with runtime.background() as background:
            for _ in range(4):
                background.start(call)
            await runtime.until(lambda: len(tokens) == 4)

    runtime.run(body)


def test_on_uvloop(tmp_path: Path) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def main() -> None:
        assert await from_command(sh("echo it"))(FIRST_REQUEST) == "it"
        files = open_files()  # uvloop keeps /dev/null open from now on
        with pytest.raises(TokenUnavailable, match="FileNotFoundError"):
            await from_command([str(tmp_path / "missing")])(FIRST_REQUEST)
        path = tmp_path / "pids"
        with pytest.raises(TokenUnavailable, match="took longer"):
            await from_command(sh(FAMILY, str(path)), timeout=0.3)(FIRST_REQUEST)
        pids = [int(line) for line in path.read_text().split()]
        for _ in range(500):
            if not any(is_alive(pid) for pid in pids):
                break
            await asyncio.sleep(0.01)
        assert not any(is_alive(pid) for pid in pids)
        assert open_files() == files

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(main(), 20.0))


# --- settings --------------------------------------------------------------------------------


def test_a_source_shows_its_program_and_no_argument() -> None:
    source = from_command([sys.executable, "--password", "secret"])
    assert repr(source) == f"<token from the command {sys.executable}>"
    assert repr(from_command(f"{shlex.quote(sys.executable)} secret")) == repr(source)


@pytest.mark.parametrize("argv", ["", "  ", [], [""], ["a", "b\0c"], "'", 'a "b'])
def test_what_is_no_command(argv: str | Sequence[str]) -> None:
    with pytest.raises(LocalProtocolError):
        from_command(argv)


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("inf"), float("nan")])
def test_a_time_that_makes_no_sense(timeout: float) -> None:
    with pytest.raises(LocalProtocolError):
        from_command("true", timeout=timeout)


def test_success_cannot_mean_unauthorized() -> None:
    with pytest.raises(LocalProtocolError):
        from_command("true", unauthorized_status=0)
