"""What happens in the demo, and what it promises."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time

import httpx

import stompcore_asyncio
from stompcore import (
    ClientConfig,
    ClientEvent,
    ConnectionEnded,
    ConnectionState,
    Refreshed,
    Resubscribed,
    ServerConfig,
    Subscription,
    SubscriptionActive,
    TokenReceived,
    TokenRequest,
    TokenRequested,
    Unauthorized,
)
from stompcore.pyjwt import JWTVerifier
from stompcore_cli._demo._auth_server import ALGORITHM, AuthServer
from stompcore_cli._demo._ledger import Ledger
from stompcore_cli._demo._view import View

__all__ = ["Story"]

ROOM = "/topic/room.1"
TOKEN_TTL = 3.0
_PEOPLE = ("Alice", "Bob", "Carol")
# Alice and Bob meet their tokens' expiry. Carol's client is as it is by default: it does not.
_LATE_PEOPLE = ("Alice", "Bob")
_LATE = "this one runs into the expiry"
_PROMISES = {
    1: "both logged in",
    2: "the server verified both tokens and kept their expiry",
    3: "a message was confirmed while the token lived",
    4: "the expired token was answered with ERROR Token Expired",
    5: "the connection was closed by force, 3000 Token Expired",
    6: "the client read the reason",
    7: "the token was refreshed in silence",
    8: "the client was connected again with the new token",
    9: "the client was subscribed again by itself",
    10: "the next token was taken in place, ahead of the expiry",
}


class _ServerLog(logging.Handler):
    """What the STOMP server logs, as lines of the story."""

    def __init__(self, story: Story) -> None:
        super().__init__()
        self._story = story
        self._subjects: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, str] = getattr(record, "fields", {})
        session, story = fields.get("session", ""), self._story
        if record.getMessage() == "connected":
            self._subjects[session] = fields["subject"]
            left = float(fields["valid_until"]) - time.time()
            story.tell(
                2,
                "Server",
                f"verified {fields['subject']}'s token; the session is valid for {left:.3f} s more",
            )
        elif fields.get("error_code") == "token-expired":
            subject = self._subjects.get(session, "?")
            story.tell(
                4,
                "Server",
                f"{subject}'s session is past its expiry → ERROR 'Token Expired'",
                is_bad=True,
            )


class _Person:
    """One chat client: its tokens, and its reading of the room."""

    def __init__(self, name: str, story: Story, http: httpx.AsyncClient) -> None:
        self.name = name
        self.expires_at = 0.0
        self.is_back = asyncio.Event()
        self.is_renewed = asyncio.Event()
        self.client: stompcore_asyncio.AsyncioClient
        self._story = story
        self._http = http
        self._access_token = ""
        self._refresh_token = ""

    @property
    def config(self) -> ClientConfig:
        """How the client behaves."""
        return ClientConfig(refresh=None) if self.name in _LATE_PEOPLE else ClientConfig()

    async def login(self, password: str) -> None:
        answer = await self._http.post("/login", json={"username": self.name, "password": password})
        answer.raise_for_status()
        self._keep(answer)
        self._story.tell(1, "Auth", f"{self.name} logged in: access token for {TOKEN_TTL:.0f} s")

    async def token(self, request: TokenRequest) -> str:
        """The client's token source: the login's token first, then by refresh."""
        if request.generation == 1:
            return self._access_token
        answer = await self._http.post("/refresh", json={"refresh_token": self._refresh_token})
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise Unauthorized(self.name)
        answer.raise_for_status()
        self._keep(answer)
        return self._access_token

    def _keep(self, answer: httpx.Response) -> None:
        tokens = answer.json()
        self._access_token = tokens["access_token"]
        self._refresh_token = tokens["refresh_token"]
        self.expires_at = tokens["expires_at"]

    async def say(self, text: str) -> None:
        self._story.ledger.send(text)
        await self.client.send(ROOM, text, {"from": self.name})
        self._story.tell(3, self.name, f"“{text}” confirmed by the server")

    async def read(self, subscription: Subscription) -> None:
        async for message in subscription:
            self._story.receive(self.name, message.headers["from"], message.text)

    async def watch(self) -> None:
        async for event in self.client.events():
            self._tell(event)

    def _tell(self, event: ClientEvent) -> None:
        story, name = self._story, self.name
        match event:
            case ConnectionEnded() if name not in _LATE_PEOPLE and not story.is_over:
                story.break_promise(f"{name} lost the connection")
            case ConnectionEnded(ending=ending):
                close, error = ending.close, ending.error
                if close is not None:
                    story.tell(
                        5, name, f"connection closed by force: {close.code} {close.reason!r}"
                    )
                    if (close.code, close.reason) != (3000, "Token Expired"):
                        story.break_promise(f"{name} saw close {close.code} {close.reason!r}")
                if error is not None:
                    story.tell(
                        6,
                        name,
                        f"read the reason {error.message!r} → {event.outcome.value}"
                        + (" (it names the frame that was too late)" if error.receipt_id else ""),
                    )
                    story.phase(3)
            case TokenRequested() if event.generation > 1 and name in _LATE_PEOPLE:
                story.tell(7, name, "asks the auth server for a new token; the user sees nothing")
            case TokenReceived() if event.generation > 1 and name in _LATE_PEOPLE:
                story.tell(7, "Auth", f"new access token for {name}; the refresh token was rotated")
            case Resubscribed() if event.epoch > 1:
                again = f"; {event.resent} unconfirmed message sent again" if event.resent else ""
                story.tell(8, name, f"CONNECTED again with the new token{again}")
                story.resent += event.resent
            case SubscriptionActive() if event.epoch > 1:
                story.tell(9, name, f"listens to {ROOM} again, by itself")
                self.is_back.set()
            case Refreshed():
                story.tell(10, name, "the server took the new token in place: nothing was broken")
                self.is_renewed.set()


class Story:
    """The demo from its first line to its last.

    Args:
        view: where it is told.
    """

    def __init__(self, view: View) -> None:
        self.ledger = Ledger(_PEOPLE)
        self.resent = 0
        self.is_over = False
        self._view = view
        self._phase = 0
        self._steps: set[tuple[int, str]] = set()
        self._broken: list[str] = []
        self._was_connected_when_late = False

    def phase(self, number: int) -> None:
        """Begin a phase, unless it has begun."""
        if number > self._phase:
            self._phase = number
            self._view.phase(number)

    def tell(self, step: int, actor: str, text: str, *, is_bad: bool = False) -> None:
        """One step has happened."""
        self._steps.add((step, actor))
        self._view.line(step, actor, text, is_bad=is_bad)

    def break_promise(self, sentence: str) -> None:
        """Something was not as it should be."""
        self._broken.append(sentence)

    def receive(self, name: str, sender: str, text: str) -> None:
        """`name` has got a message."""
        self.ledger.receive(name, text)
        if name != sender:
            self._view.line(None, name, f"got “{text}” from {sender}")

    def broken_promises(self, failure: str) -> list[str]:
        """What did not hold, in words; empty if everything did."""
        broken = [failure] if failure else []
        broken += self._broken
        told = {step for step, _ in self._steps}
        broken += [f"not seen: {text}" for step, text in _PROMISES.items() if step not in told]
        for name in _LATE_PEOPLE:
            if (9, name) not in self._steps:
                broken.append(f"{name} was not subscribed again")
        for name in _PEOPLE:
            if not self.ledger.has(name, _LATE):
                broken.append(f"{name} never got the message that hit the expiry")
        if not (self._was_connected_when_late and self.resent):
            broken.append("no message was under way when the token expired")
        if self.ledger.lost:
            broken.append(f"{self.ledger.lost} messages were lost")
        if self.ledger.duplicated:
            broken.append(f"{self.ledger.duplicated} messages came twice")
        return broken

    async def play(self) -> None:
        """Everything, in about five seconds."""
        logger = logging.getLogger("stompcore.server")
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.addHandler(_ServerLog(self))
        secret = secrets.token_urlsafe(32)
        passwords = {name: secrets.token_urlsafe(16) for name in _PEOPLE}
        verifier = JWTVerifier(secret, algorithms=[ALGORITHM])
        with AuthServer(secret, passwords, TOKEN_TTL) as auth:
            async with (
                stompcore_asyncio.serve(
                    verifier=verifier,
                    config=ServerConfig(server="stompcore-demo"),
                    websocket=("127.0.0.1", 0),
                ) as server,
                httpx.AsyncClient(base_url=auth.url, trust_env=False) as http,
            ):
                self._people = [_Person(name, self, http) for name in _PEOPLE]
                first, *others = self._people
                await self._connect(first, others, server.listeners[0].url, passwords)

    async def _connect(
        self, person: _Person, others: list[_Person], url: str, passwords: dict[str, str]
    ) -> None:
        """Connect one after the other, so that their tokens do not expire at the same time."""
        self.phase(1)
        await person.login(passwords[person.name])
        async with stompcore_asyncio.connect(
            url, token=person.token, config=person.config
        ) as client:
            person.client = client
            async with client.subscribe(ROOM) as messages, asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(person.read(messages)),
                    tasks.create_task(person.watch()),
                ]
                if others:
                    await asyncio.sleep(TOKEN_TTL / 4)
                    await self._connect(others[0], others[1:], url, passwords)
                else:
                    await self._chat(*self._people)
                    self.is_over = True
                for task in running:
                    task.cancel()

    async def _chat(self, alice: _Person, bob: _Person, carol: _Person) -> None:
        self.phase(2)
        await alice.say("hello, you two")
        await bob.say("hello, Alice")
        await asyncio.sleep(TOKEN_TTL / 6)
        await alice.say("is this thing still on?")
        await _sleep_until(alice.expires_at - 0.01)
        self._view.line(None, "Alice", f"is about to send “{_LATE}”")
        # The instant itself: her frame and the server's ERROR cross on the wire.
        await _sleep_until(alice.expires_at)
        self._was_connected_when_late = alice.client.state is ConnectionState.CONNECTED
        await alice.say(_LATE)
        # Bob says nothing at all, and is cut off all the same.
        await bob.is_back.wait()
        await bob.say("did I miss anything?")
        await alice.say("not a word")
        self.phase(4)
        await carol.is_renewed.wait()
        await carol.say("I noticed nothing at all")
        while self.ledger.lost:
            await asyncio.sleep(0.01)


async def _sleep_until(at: float) -> None:
    await asyncio.sleep(max(0.0, at - time.time()))
