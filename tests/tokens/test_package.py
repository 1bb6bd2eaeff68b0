"""The package as it is installed: what it brings, and what it can do without httpx."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import stompcore_tokens


def run(script: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_names_are_these() -> None:
    assert stompcore_tokens.__all__ == [
        "OAuth2ClientCredentials",
        "OAuth2RefreshToken",
        "from_command",
        "from_file",
    ]


def test_importing_it_loads_neither_httpx_nor_a_runtime(tmp_path: Path) -> None:
    script = """
import sys
import stompcore_tokens
print(sorted({"httpx", "trio", "uvloop"} & set(sys.modules)))
"""
    assert run(script, tmp_path) == "[]\n"


@pytest.mark.parametrize("name", ["OAuth2RefreshToken", "OAuth2ClientCredentials"])
def test_without_httpx_there_are_commands_and_files(tmp_path: Path, name: str) -> None:
    script = f"""
import asyncio
import sys

sys.modules["httpx"] = None  # as if it were not installed
import stompcore_tokens
from stompcore import TokenReason, TokenRequest

request = TokenRequest(reason=TokenReason.INITIAL, generation=1)
command = stompcore_tokens.from_command([sys.executable, "-c", "print('one')"])
print(asyncio.run(command(request)))
with open("token", "w") as file:
    file.write("two")
print(asyncio.run(stompcore_tokens.from_file("token")(request)))
options = {{"client_id": "app", "client_secret": "x"}}
if "Refresh" in {name!r}:
    options["refresh_token"] = "y"
try:
    stompcore_tokens.{name}("https://auth.example/token", **options)
except ImportError as error:
    print(error, error.__cause__)
"""
    assert run(script, tmp_path).splitlines() == [
        "one",
        "two",
        "OAuth token sources need httpx: pip install 'stompcore[oauth]' None",
    ]
