"""Frames on a page are a recording: played back, the server says what the page shows.

A page's blocks are one story, in virtual time, on one hub. See `pages` for how it is written down.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
from tests.docs.pages import PAGES, ROOT, blocks_of

from stompcore import (
    ErrorCode,
    Headers,
    HeartBeat,
    Hub,
    Identity,
    Rejected,
    ServerConfig,
    ServerSession,
    Token,
)
from stompcore.policy import AllowEverything, Grant, Grants, Policy

START = 1_700_000_000.0
#: What each token of the pages says: user, seconds to live, scopes.
TOKENS = {
    "first-token": ("ada", 300.0, "chat admin"),
    "second-token": ("ada", 300.0, "chat admin"),
    "third-token": ("ada", 300.0, "chat admin"),
    "token-with-less": ("ada", 60.0, "chat"),
    "token-of-somebody-else": ("bob", 300.0, "chat"),
}
POLICIES: dict[str, Policy] = {
    "wire-extension.md": Grants(
        [Grant("/topic/news", scopes={"chat"}), Grant("/topic/admin.*", scopes={"admin"})]
    )
}
RECORDINGS = [
    page
    for page in PAGES
    if any({"client", "server"} & b.directives.keys() for b in blocks_of(page))
]


class Verifier:
    """Knows the tokens of the pages, and whoever is said to be connected already."""

    def verify(self, token: Token | None, *, headers: Headers, now: float) -> Identity:
        if token is None:
            return Identity(subject=headers["login"], expires_at=None)
        if token.reveal() not in TOKENS:
            raise Rejected(ErrorCode.TOKEN_INVALID)
        subject, ttl, scope = TOKENS[token.reveal()]
        return Identity(subject=subject, expires_at=now + ttl, claims={"scope": scope})


def shown(text: str) -> bytes:
    """A block as bytes, each frame up to its NUL."""
    frames = text.split("^@")
    assert not frames.pop().strip()
    return b"".join(frame.lstrip("\n").encode() + b"\0" for frame in frames)


class Stage:
    """One hub, and what each session was answered and the page has not shown yet."""

    def __init__(self, policy: Policy) -> None:
        self.now = START
        self.answers: defaultdict[str, bytes] = defaultdict(bytes)
        self._sessions: dict[str, ServerSession] = {}
        self._hub = Hub(
            ServerConfig(heart_beat=HeartBeat()),
            verifier=Verifier(),
            policy=policy,
            reply_key=b"a key that every run has",
        )

    def say(self, name: str, data: bytes, *, is_connected: bool) -> None:
        """A client's session gets bytes; a new one is opened, and connected if that is assumed."""
        if name not in self._sessions:
            self._sessions[name] = self._hub.open(name, now=self.now)
            if is_connected:
                connect = f"CONNECT\naccept-version:1.2\nhost:h\nlogin:{name}\n\n\0"
                self._feed(name, connect.encode())
                self.answers.clear()
        self._feed(name, data)

    def _feed(self, name: str, data: bytes) -> None:
        self._sessions[name].receive_data(data, now=self.now)
        for touched in sorted(self._hub.process(name, now=self.now)):
            self.answers[touched] += b"".join(self._sessions[touched].data_to_send())


@pytest.mark.parametrize("page", RECORDINGS, ids=lambda page: page.name)
def test_the_server_says_what_the_page_shows(page: Path) -> None:
    stage = Stage(POLICIES.get(page.name, AllowEverything()))
    last, compared = "", 0
    for block in blocks_of(page):
        if "client" in block.directives:
            last = block.directives["session"]
            stage.now = max(stage.now, START + float(block.directives.get("at", 0)))
            is_connected = "connected" in block.directives
            stage.say(last, shown(block.text), is_connected=is_connected)
        elif "server" in block.directives:
            answer = stage.answers.pop(block.directives.get("session", last), b"")
            assert answer.decode() == shown(block.text).decode(), block.name
            compared += 1
    assert not {name: answer for name, answer in stage.answers.items() if answer}
    assert compared


def test_the_pages_that_show_frames_are_played() -> None:
    assert {page.relative_to(ROOT).as_posix() for page in RECORDINGS} >= {
        "docs/server.md",
        "docs/wire-extension.md",
    }


@pytest.mark.parametrize("token", ["token-of-somebody-else", "nonsense"])
def test_a_refused_refresh_closes_as_the_page_says(token: str) -> None:
    hub = Hub(ServerConfig(), verifier=Verifier())
    session = hub.open("a", now=START)
    session.receive_data(
        b"CONNECT\naccept-version:1.2\nhost:h\npasscode:first-token\n\n\0", now=START
    )
    session.receive_data(
        f"SEND\ndestination:/auth/refresh\npasscode:{token}\n\n\0".encode(), now=START
    )
    hub.process("a", now=START)
    assert session.close is not None
    assert (session.close.code, session.close.reason) == (3000, "Reauthentication Failed")
