"""`stompcore demo`: what it shows, and that it notices when something does not hold."""

from __future__ import annotations

import re
import time

import httpx
import pytest
from tests.serving import run_command

from stompcore_cli._demo._auth_server import AuthServer
from stompcore_cli._demo._ledger import Ledger
from stompcore_cli._demo._story import Story
from stompcore_cli._demo._view import View


def test_the_demo() -> None:
    began_at = time.monotonic()
    done = run_command("demo")
    assert time.monotonic() - began_at < 20
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout  # piped, so plain
    lines = re.findall(r"^ *\d+\.\d{3}s ([ \d]{2}) ", done.stdout, re.MULTILINE)
    steps = [int(each) for each in lines if each.strip()]
    assert set(steps) == set(range(1, 11))
    # In the document's order, from the moment when Alice's token runs out.
    first = steps.index(4)
    assert [each for each in steps[first:] if each in (4, 5, 6, 8, 9)][:5] == [4, 5, 6, 8, 9]
    assert "connection closed by force: 3000 'Token Expired'" in done.stdout
    assert "lost 0  duplicated 0\nEverything held.\n" in done.stdout
    assert done.stdout.count("got “this one runs into the expiry”") == 2


def test_the_ledger() -> None:
    ledger = Ledger(["Alice", "Bob"])
    for text in ("one", "two"):
        ledger.send(text)
    ledger.receive("Alice", "one")
    ledger.receive("Alice", "one")
    ledger.receive("Bob", "two")
    assert (ledger.sent, ledger.received, ledger.lost, ledger.duplicated) == (2, 2, 2, 1)


def test_broken_promises_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    view = View()
    story = Story(view)
    story.ledger.send("into the void")
    broken = story.broken_promises("it took too long")
    assert broken[0] == "it took too long"
    assert "not seen: the client read the reason" in broken
    assert "3 messages were lost" in broken
    assert view.conclude(story.ledger, broken) == 1
    assert "It did not hold:" in capsys.readouterr().out


def test_refresh_tokens_rotate_and_a_stolen_one_ends_them_all() -> None:
    with (
        AuthServer("x" * 32, {"ann": "secret"}, token_ttl=3.0) as auth,
        httpx.Client(base_url=auth.url, trust_env=False) as http,
    ):
        assert http.post("/login", json={"username": "ann", "password": "no"}).status_code == 401
        assert http.post("/nowhere", json={}).status_code == 400
        assert http.post("/login", content=b"not json").status_code == 400
        first = http.post("/login", json={"username": "ann", "password": "secret"}).json()
        second = http.post("/refresh", json={"refresh_token": first["refresh_token"]}).json()
        assert second["refresh_token"] != first["refresh_token"]
        again = http.post("/refresh", json={"refresh_token": first["refresh_token"]})
        assert again.status_code == 401
        after = http.post("/refresh", json={"refresh_token": second["refresh_token"]})
        assert after.status_code == 401
