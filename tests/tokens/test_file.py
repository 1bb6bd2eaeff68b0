"""`from_file`: read anew at each request, and never a reason to give up."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest
from tests.adapters.contract.runtime import Runtime
from tests.tokens.asking import FIRST_REQUEST, ask

from stompcore import LocalProtocolError, TokenUnavailable
from stompcore_tokens import from_file


def test_a_file_is_read_at_each_request(runtime: Runtime, tmp_path: Path) -> None:
    async def body(runtime: Runtime) -> None:
        path = tmp_path / "token"
        source = from_file(path)
        for content, token in [
            (b"one-secret\n", "one-secret"),
            (b"  two-secret \r\n\n", "two-secret"),
            (b"\xef\xbb\xbfthree-secret", "three-secret"),
        ]:
            path.write_bytes(content)
            assert await source(FIRST_REQUEST) == token

    runtime.run(body)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "holds no token"),
        (b" \n", "holds no token"),
        (b"\xff\xfesecret", "holds no token"),
        (b"s" * (64 * 1024 + 1), "is too large"),
    ],
)
def test_a_file_without_a_token(runtime: Runtime, tmp_path: Path, content: bytes, why: str) -> None:
    async def body(runtime: Runtime) -> None:
        path = tmp_path / "token"
        path.write_bytes(content)
        with pytest.raises(TokenUnavailable) as caught:
            await from_file(path)(FIRST_REQUEST)
        assert str(caught.value) == f"the token file {str(path)!r} {why}"

    runtime.run(body)


def test_a_file_of_the_largest_size(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(b"s" * (64 * 1024))
    assert ask(from_file(path)) == "s" * (64 * 1024)


def test_a_file_that_is_missing_may_come(runtime: Runtime, tmp_path: Path) -> None:
    async def body(runtime: Runtime) -> None:
        path = tmp_path / "token"
        source = from_file(str(path))
        with pytest.raises(TokenUnavailable, match=r"cannot be read \(FileNotFoundError\)"):
            await source(FIRST_REQUEST)
        path.write_text("secret")
        assert await source(FIRST_REQUEST) == "secret"

    runtime.run(body)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(TokenUnavailable, match="is no regular file"):
        ask(from_file(tmp_path))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_pipe_holds_nobody_up(runtime: Runtime, tmp_path: Path) -> None:
    async def body(runtime: Runtime) -> None:
        os.mkfifo(tmp_path / "token")
        with pytest.raises(TokenUnavailable, match="is no regular file"):
            await from_file(tmp_path / "token")(FIRST_REQUEST)

    runtime.run(body)


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="there is no such file here")
def test_a_file_that_can_be_opened_and_not_read() -> None:
    with pytest.raises(TokenUnavailable, match=r"cannot be read \(OSError\)"):
        ask(from_file("/proc/self/mem"))


def test_a_link_that_is_switched(tmp_path: Path) -> None:
    # As Kubernetes does with its secrets.
    (tmp_path / "one").write_text("one-secret")
    (tmp_path / "two").write_text("two-secret")
    link, new = tmp_path / "token", tmp_path / "new"
    link.symlink_to("one")
    source = from_file(link)
    assert ask(source) == "one-secret"
    new.symlink_to("two")
    new.replace(link)
    assert ask(source) == "two-secret"


def test_who_is_cancelled_reads_nothing(runtime: Runtime, tmp_path: Path) -> None:
    async def body(runtime: Runtime) -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await from_file(tmp_path / "token")(FIRST_REQUEST)
        assert scope.cancelled_caught

    runtime.run(body)


def test_a_source_shows_its_path() -> None:
    assert repr(from_file("a/token")) == "<token from the file 'a/token'>"


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(LocalProtocolError):
        from_file(path)
