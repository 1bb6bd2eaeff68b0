"""The token source: how often it is asked, and what its refusals come to."""

from __future__ import annotations

import pytest
from tests.adapters.contract.runtime import Runtime
from tests.adapters.contract.tokens import TokenServer, mint
from tests.adapters.contract.world import FAST, QUICK, ROOM, url

from stompcore import (
    AuthenticationFailed,
    Client,
    ClientClosed,
    ClientConfig,
    TokenReason,
    TokenRequest,
    Unauthorized,
)


def test_one_fetch_at_a_time(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        running: list[TokenRequest] = []
        requests = 0

        async def slow(request: TokenRequest) -> str:
            nonlocal requests
            requests += 1
            assert running == []
            running.append(request)
            await runtime.sleep(0.1)
            running.remove(request)
            return mint(ttl=0.6 if requests == 1 else 60.0)

        async with (
            runtime.serve(config=QUICK) as server,
            runtime.connect(url(server, "ws"), token=slow) as client,
            runtime.background() as background,
        ):
            confirmed: list[int] = []

            async def send(number: int) -> None:
                await client.send(ROOM, str(number))
                confirmed.append(number)

            await runtime.until(lambda: len(running) == 1)  # of the expired token
            for number in range(20):
                background.start(lambda number=number: send(number))  # type: ignore[misc]
            await runtime.until(lambda: len(confirmed) == 20)
        assert requests == 2

    runtime.run(body)


def test_unauthorized_from_the_start(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK) as server:

            async def enter() -> None:
                async with runtime.connect(url(server, transport), token=TokenServer(gives=0)):
                    raise AssertionError("it was never connected")

            await runtime.leaves_nothing(enter, raises=Unauthorized)

    runtime.run(body)


def test_unauthorized_later_ends_everything(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        asked: list[TokenReason] = []

        async def source(request: TokenRequest) -> str:
            asked.append(request.reason)
            if request.reason is TokenReason.INITIAL:
                return mint(ttl=0.5)
            await runtime.sleep(0.1)
            raise Unauthorized("log in again")

        async with (
            runtime.serve(config=QUICK) as server,
            runtime.connect(url(server, "ws"), token=source) as client,
            client.subscribe(ROOM) as messages,
            runtime.background() as background,
        ):
            errors: list[BaseException] = []

            async def read() -> None:
                try:
                    await anext(messages)
                except Unauthorized as error:
                    errors.append(error)

            background.start(read)
            await runtime.until(lambda: len(asked) == 2)
            with pytest.raises(Unauthorized):
                await client.send(ROOM, "it waits for a token that never comes")
            await runtime.until(lambda: errors)
            with pytest.raises(ClientClosed):
                await client.send(ROOM, "too late")

    runtime.run(body)


async def _read_to_the_end(client: Client) -> None:
    async with client.subscribe(ROOM) as messages:
        async for _ in messages:
            raise AssertionError("nobody sent anything")


def test_a_static_token_that_expires(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=QUICK) as server,
            runtime.connect(url(server, "tcp"), token=mint(ttl=0.4)) as client,
        ):
            with pytest.raises(Unauthorized):
                await _read_to_the_end(client)
            with pytest.raises(ClientClosed):
                await client.send(ROOM, "too late")

    runtime.run(body)


def test_a_source_of_expired_tokens_is_no_endless_loop(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        tokens = TokenServer(ttl=-1.0)
        async with runtime.serve(config=QUICK) as server:
            with pytest.raises(AuthenticationFailed, match="Token Expired"):
                async with runtime.connect(url(server, transport), token=tokens, config=FAST):
                    raise AssertionError("it was never connected")
        assert len(tokens.requests) == 3

    runtime.run(body)


def test_a_source_that_fails_now_and_then(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        requests = 0

        async def source(request: TokenRequest) -> str:
            nonlocal requests
            requests += 1
            if requests < 3:
                raise RuntimeError(f"a secret: {mint()}")
            return mint()

        async with (
            runtime.serve(config=QUICK) as server,
            runtime.connect(url(server, "ws"), token=source, config=FAST) as client,
        ):
            await client.send(ROOM, "in the end")
        assert requests == 3

    runtime.run(body)


def test_a_source_that_hangs_is_asked_again(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        requests = 0

        async def source(request: TokenRequest) -> str:
            nonlocal requests
            requests += 1
            if requests == 1:
                await runtime.sleep(3600)
            return mint()

        config = ClientConfig(backoff=FAST.backoff, token_timeout=0.1)
        async with (
            runtime.serve(config=QUICK) as server,
            runtime.connect(url(server, "ws"), token=source, config=config) as client,
        ):
            await client.send(ROOM, "in the end")
        assert requests == 2

    runtime.run(body)
