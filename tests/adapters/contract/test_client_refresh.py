"""A new token ahead of the old one's end: nothing is cut, lost, doubled or out of order."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from tests.adapters.contract.runtime import Runtime
from tests.adapters.contract.tokens import TokenServer, mint
from tests.adapters.contract.watching import Talker, Watch
from tests.adapters.contract.world import FAST, PATIENT, ROOM, collect, url

from stompcore import (
    ClientClosed,
    ConnectionEnded,
    ErrorCode,
    Handover,
    Headers,
    Identity,
    Outcome,
    Refresh,
    Refreshed,
    Rejected,
    Resubscribed,
    Status,
    StatusChanged,
    Stopped,
    SubjectChanged,
    Token,
    TokenFetchFailed,
    TokenReason,
    TokenRequest,
    TokenUnavailable,
    TokenUnchanged,
    Unauthorized,
)

IN, OUT = "/topic/in", "/topic/out"

#: A server like many: it takes no new token in place.
PLAIN = replace(PATIENT, refresh_destination=None)

# The rest of a token's life is for a machine that is busy with other things.
LIFE = 0.8
EARLY = Refresh(earliest=0.15, latest=0.25)

IN_BAND = replace(FAST, refresh=EARLY)
BREAK = replace(FAST, refresh=replace(EARLY, handover=Handover.BREAK))
OVERLAP = replace(FAST, refresh=replace(EARLY, handover=Handover.OVERLAP))

WAYS = pytest.mark.parametrize(
    ("server_config", "client_config"),
    [(PATIENT, IN_BAND), (PLAIN, BREAK), (PLAIN, OVERLAP)],
    ids=["in band", "break", "overlap"],
)


def test_one_connection_outlives_many_tokens(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        tokens = TokenServer(ttl=LIFE)
        async with (
            runtime.serve(config=PATIENT) as server,
            runtime.connect(url(server, transport), token=tokens, config=IN_BAND) as client,
            runtime.connect(url(server, transport), token=mint("bob")) as other,
            client.subscribe(IN) as messages,
            other.subscribe(OUT) as answers,
            runtime.background() as background,
        ):
            sessions = [each.session_id for each in server.hub]
            watch = Watch(client)
            heard: list[str] = []
            got: list[str] = []
            mine, theirs = Talker(runtime, client, OUT), Talker(runtime, other, IN)
            background.start(watch.run)
            background.start(lambda: collect(messages, heard))
            background.start(lambda: collect(answers, got))
            background.start(mine.run)
            background.start(theirs.run)
            await runtime.sleep(2.3 * LIFE)
            for talker in (mine, theirs):
                await talker.stop()
            await runtime.until(lambda: (got, heard) == (mine.sent, theirs.sent))
            assert [each.session_id for each in server.hub] == sessions
            asked = len(tokens.requests)
            assert asked > 4
            assert tokens.reasons == [TokenReason.INITIAL] + [TokenReason.AHEAD] * (asked - 1)
            refreshed = [each.generation for each in watch.of(Refreshed)]
            assert refreshed == list(range(2, len(refreshed) + 2))
            assert asked - len(refreshed) in (1, 2)  # one may be on its way
            for kind in (ConnectionEnded, Resubscribed, StatusChanged):
                assert watch.of(kind) == []
            assert watch.statuses == {Status.ONLINE}

    runtime.run(body)


@pytest.mark.parametrize("client_config", [BREAK, OVERLAP], ids=["break", "overlap"])
def test_a_handover_is_not_noticed(runtime: Runtime, transport: str, client_config: Any) -> None:
    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=PLAIN) as server,
            runtime.connect(
                url(server, transport), token=TokenServer(ttl=LIFE), config=client_config
            ) as client,
            runtime.connect(url(server, transport), token=mint("bob")) as other,
            client.subscribe(IN) as messages,
            other.subscribe(OUT) as answers,
            runtime.background() as background,
        ):
            watch = Watch(client)
            heard: list[str] = []
            got: list[str] = []
            mine, theirs = Talker(runtime, client, OUT), Talker(runtime, other, IN)
            background.start(watch.run)
            background.start(lambda: collect(messages, heard))
            background.start(lambda: collect(answers, got))
            background.start(mine.run)
            background.start(theirs.run)
            await runtime.until(lambda: len(watch.of(Resubscribed)) >= 4)
            for talker in (mine, theirs):
                await talker.stop()
            # Nothing that it has sent is lost, doubled or out of order.
            await runtime.until(lambda: got[-1:] == mine.sent[-1:])
            assert got == mine.sent
            if client_config is OVERLAP:
                await runtime.until(lambda: heard[-1:] == theirs.sent[-1:])
                assert heard == theirs.sent
            else:  # it misses what is sent while it is away, and that is all
                assert heard == sorted(set(heard), key=int)
            ended = watch.of(ConnectionEnded)
            assert len(ended) >= 3
            assert {each.outcome for each in ended} == {Outcome.RENEW}
            assert all(each.ending.clean for each in ended)
            assert watch.of(StatusChanged) == []
            assert watch.statuses == {Status.ONLINE}
            # None of the old connections is left.
            await runtime.until(lambda: len(server.connections) <= 3)

    runtime.run(body)


@WAYS
def test_a_source_that_is_down_for_a_while(
    runtime: Runtime, server_config: Any, client_config: Any
) -> None:
    """The old token still counts, and nobody but the log hears of it."""

    async def body(runtime: Runtime) -> None:
        asked: list[TokenReason] = []

        async def source(request: TokenRequest) -> str:
            asked.append(request.reason)
            if len(asked) in (2, 3, 4):
                raise OSError("the auth server is down")
            return mint(ttl=5.0)

        refresh = replace(client_config.refresh, earliest=0.04, latest=0.05)
        config = replace(client_config, refresh=refresh)
        async with (
            runtime.serve(config=server_config) as server,
            runtime.connect(url(server, "ws"), token=source, config=config) as client,
            runtime.connect(url(server, "ws"), token=mint("bob")) as other,
            other.subscribe(OUT) as answers,
            runtime.background() as background,
        ):
            watch, mine = Watch(client), Talker(runtime, client, OUT)
            got: list[str] = []
            background.start(watch.run)
            background.start(mine.run)
            background.start(lambda: collect(answers, got))
            await runtime.until(lambda: watch.of(Refreshed) or watch.of(Resubscribed))
            await mine.stop()
            await runtime.until(lambda: got[-1:] == mine.sent[-1:])
            assert got == mine.sent
            assert asked[:5] == [TokenReason.INITIAL] + [TokenReason.AHEAD] * 4
            failed = watch.of(TokenFetchFailed)
            assert [type(each.error) for each in failed] == [TokenUnavailable] * 3
            outcomes = {each.outcome for each in watch.of(ConnectionEnded)}
            assert outcomes == (set() if client_config is IN_BAND else {Outcome.RENEW})
            assert watch.statuses == {Status.ONLINE}

    runtime.run(body)


def test_a_source_that_is_down_for_too_long(runtime: Runtime) -> None:
    """The token runs out, and what is sent waits for the next one; within the grace it is quick."""

    async def body(runtime: Runtime) -> None:
        is_up = True

        async def source(request: TokenRequest) -> str:
            if not is_up:
                raise OSError("the auth server is down")
            return mint(ttl=0.7 if request.reason is TokenReason.INITIAL else 60.0)

        async with (
            runtime.serve(config=PATIENT) as server,
            runtime.connect(url(server, "ws"), token=source, config=IN_BAND) as client,
            client.subscribe(ROOM) as messages,
            runtime.background() as background,
        ):
            watch = Watch(client)
            background.start(watch.run)
            is_up = False
            await runtime.until(lambda: watch.of(ConnectionEnded))
            (ended,) = watch.of(ConnectionEnded)
            assert ended.outcome is Outcome.REFRESH
            background.start(lambda: client.send(ROOM, "in spite of it"))
            await runtime.sleep(0.1)
            is_up = True
            assert (await anext(messages)).text == "in spite of it"
            assert watch.of(TokenFetchFailed)
            assert len(watch.of(ConnectionEnded)) == 1
            assert watch.statuses == {Status.ONLINE}

    runtime.run(body)


@WAYS
@pytest.mark.parametrize("fault", ["unauthorized", "another subject"])
def test_what_ends_it_ahead_of_time(
    runtime: Runtime, server_config: Any, client_config: Any, fault: str
) -> None:
    """The old token would do for a while, and yet it is over for this user at once."""

    async def body(runtime: Runtime) -> None:
        async def source(request: TokenRequest) -> str:
            if request.reason is TokenReason.INITIAL:
                return mint(ttl=LIFE)
            if fault == "unauthorized":
                raise Unauthorized("logged out elsewhere")
            return mint("mallory")

        error = Unauthorized if fault == "unauthorized" else SubjectChanged
        async with (
            runtime.serve(config=server_config) as server,
            runtime.connect(url(server, "ws"), token=source, config=client_config) as client,
            client.subscribe(ROOM) as messages,
            runtime.background() as background,
        ):
            watch = Watch(client)
            background.start(watch.run)
            with pytest.raises(error):
                await anext(messages)
            with pytest.raises(ClientClosed):
                await client.send(ROOM, "too late")
            assert client.status is Status.LOGGED_OUT
            await runtime.until(lambda: watch.of(Stopped))
            (stopped,) = watch.of(Stopped)
            assert isinstance(stopped.error, error)
            assert [each.status for each in watch.of(StatusChanged)] == [Status.LOGGED_OUT]
            await runtime.until(lambda: not server.connections)
            assert server.hub.snapshot().refreshes == {}
            assert server.hub.snapshot().connects == 1

    runtime.run(body)


class Opaque:
    """Tokens that say nothing to whoever has not made them."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, float]] = {}

    def mint(self, subject: str, ttl: float) -> str:
        """A token."""
        token = f"opaque-{len(self._known)}"
        self._known[token] = (subject, time.time() + ttl)
        return token

    def verify(self, token: Token | None, *, headers: Headers, now: float) -> Identity:
        """See `TokenVerifier.verify`."""
        found = self._known.get(token.reveal()) if token is not None else None
        if found is None:
            raise Rejected(ErrorCode.TOKEN_INVALID)
        return Identity(subject=found[0], expires_at=found[1])


@WAYS
def test_another_subject_that_only_the_server_can_see(
    runtime: Runtime, server_config: Any, client_config: Any
) -> None:
    async def body(runtime: Runtime) -> None:
        opaque = Opaque()

        async def source(request: TokenRequest) -> str:
            is_first = request.reason is TokenReason.INITIAL
            return opaque.mint("alice" if is_first else "mallory", LIFE)

        async with (
            runtime.serve(config=server_config, verifier=opaque) as server,
            runtime.connect(url(server, "tcp"), token=source, config=client_config) as client,
            client.subscribe("/user/queue/secrets") as messages,
            runtime.background() as background,
        ):

            async def gossip() -> None:
                while True:
                    server.publish("/user/mallory/queue/secrets", b"not for alice")
                    await runtime.sleep(0.001)

            background.start(gossip)
            with pytest.raises(SubjectChanged):
                await anext(messages)
            assert client.status is Status.LOGGED_OUT
            await runtime.until(lambda: not server.connections)
            assert server.hub.snapshot().delivered == 0

    runtime.run(body)


def test_a_source_that_gives_the_same_token_again(runtime: Runtime) -> None:
    """A cache in front of it, as a rule: it is asked until there is a newer one."""

    async def body(runtime: Runtime) -> None:
        old, asked = mint(ttl=1.5), 0

        async def source(request: TokenRequest) -> str:
            nonlocal asked
            asked += 1
            return old if asked < 4 else mint(ttl=60.0)

        async with (
            runtime.serve(config=PATIENT) as server,
            runtime.connect(url(server, "ws"), token=source, config=IN_BAND) as client,
            runtime.background() as background,
        ):
            watch = Watch(client)
            background.start(watch.run)
            await runtime.until(lambda: watch.of(Refreshed))
            failed = watch.of(TokenFetchFailed)
            assert [type(each.error) for each in failed] == [TokenUnchanged] * 2
            assert watch.of(ConnectionEnded) == []
            assert asked == 4

    runtime.run(body)
