"""The package as it is installed: what it brings, and what it can do without httpx."""

from __future__ import annotations

import inspect
import os
import re
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from tests.tokens.auth_server import FIRST, AuthServer

import stompcore_tokens
from stompcore_tokens import OAuth2ClientCredentials, OAuth2RefreshToken


def run(script: str, folder: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=folder,
        env={**os.environ, **environment},
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


def test_the_arguments_of_the_documentation_are_those_of_the_code() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "tokens.md").read_text("utf-8")
    table = page.partition("### The arguments\n")[2].partition("\n### ")[0]
    shown = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    refreshing = set(inspect.signature(OAuth2RefreshToken).parameters) - {"clock"}
    acting = set(inspect.signature(OAuth2ClientCredentials).parameters) - {"clock"}
    assert shown == refreshing
    assert shown - {"refresh_token", "save"} == acting


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


@pytest.mark.parametrize("is_trusted", [False, True])
def test_over_tls_the_certificates_of_the_system_decide(tmp_path: Path, is_trusted: bool) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with AuthServer(tls=context) as auth:
        script = f"""
import asyncio
import stompcore_tokens
from stompcore import TokenReason, TokenRequest, TokenUnavailable

source = stompcore_tokens.OAuth2RefreshToken(
    "https://localhost:{auth.port}/token", client_id="app", refresh_token={FIRST!r}
)
try:
    print(asyncio.run(source(TokenRequest(reason=TokenReason.INITIAL, generation=1))))
except TokenUnavailable as error:
    print(error)
"""
        trusted = {"SSL_CERT_FILE": str(tmp_path / "ca.pem")} if is_trusted else {}
        printed = run(script, tmp_path, NO_PROXY="localhost", no_proxy="localhost", **trusted)
        if is_trusted:
            assert printed == "access-secret-0\n"
            assert auth.refresh_tokens == [FIRST]
        else:
            assert printed == "the auth server could not be asked (ConnectError)\n"
            assert auth.received == []


def test_what_is_sent_in_the_clear_passes_no_proxy(tmp_path: Path, auth: AuthServer) -> None:
    script = f"""
import asyncio
import stompcore_tokens
from stompcore import TokenReason, TokenRequest

source = stompcore_tokens.OAuth2RefreshToken({auth.url!r}, client_id="app", refresh_token={FIRST!r})
print(asyncio.run(source(TokenRequest(reason=TokenReason.INITIAL, generation=1))))
"""
    with AuthServer() as proxy:
        address = f"http://127.0.0.1:{proxy.port}"
        printed = run(script, tmp_path, HTTP_PROXY=address, http_proxy=address, ALL_PROXY=address)
        assert printed == "access-secret-0\n"
        assert proxy.received == []
    assert auth.refresh_tokens == [FIRST]
