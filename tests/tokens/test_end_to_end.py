"""A real client, a real server and a real auth server, across the ends of several tokens."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from tests.adapters.contract.runtime import Runtime
from tests.adapters.contract.tokens import mint
from tests.adapters.contract.world import FAST, QUICK, ROOM, collect, url
from tests.tokens.asking import refreshing
from tests.tokens.auth_server import AuthServer, Reply

from stompcore import ClientConfig, Refresh, Unauthorized
from stompcore_tokens import OAuth2ClientCredentials, from_file

#: `FAST` waits until the server says that the token has expired; this one does not.
AHEAD = replace(FAST, refresh=Refresh())


def short_lived() -> AuthServer:
    return AuthServer(mint=lambda: mint(ttl=0.7), expires_in=0.7)


@pytest.mark.parametrize("transport", ["ws", "tcp"])
@pytest.mark.parametrize("config", [FAST, AHEAD], ids=["expired", "ahead"])
def test_two_clients_live_on_one_refresh_token(
    runtime: Runtime, transport: str, config: ClientConfig
) -> None:
    async def body(runtime: Runtime) -> None:
        saved: list[str] = []
        texts: list[str] = []
        with short_lived() as auth:
            async with (
                refreshing(auth, save=saved.append) as source,
                runtime.serve(config=QUICK) as server,
                runtime.connect(url(server, transport), token=source, config=config) as listener,
                runtime.connect(url(server, transport), token=source, config=config) as sender,
                listener.subscribe(ROOM) as messages,
                runtime.background() as background,
            ):
                background.start(lambda: collect(messages, texts))
                # What is sent while the listener connects again goes past it: topics are like that.
                last = math.inf
                for number in range(1000):
                    if len(auth.access_tokens) >= 3:
                        last = min(last, number)
                    if texts and int(texts[-1]) >= last:
                        break
                    await sender.send(ROOM, str(number))
                    await runtime.sleep(0.01)
            assert int(texts[-1]) >= last
            assert auth.reused == []
            assert saved == auth.issued
            assert texts == sorted(set(texts), key=int)

    runtime.run(body)


def test_an_auth_server_that_stumbles(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        with short_lived() as auth:
            source = OAuth2ClientCredentials(
                auth.url, client_id="app", client_secret="client-secret"
            )
            auth.then(Reply(503), Reply(200, b"garbage"))
            async with (
                runtime.serve(config=QUICK) as server,
                runtime.connect(url(server, "ws"), token=source, config=FAST) as client,
            ):
                auth.then(Reply(503), Reply(429))
                await client.send(ROOM, "before")
                await runtime.until(lambda: len(auth.access_tokens) >= 2)
                await client.send(ROOM, "after")

    runtime.run(body)


def test_a_refresh_token_that_was_revoked_ends_the_client(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        with short_lived() as auth:
            async with (
                runtime.serve(config=QUICK) as server,
                runtime.connect(url(server, "ws"), token=refreshing(auth), config=FAST) as client,
                client.subscribe(ROOM) as messages,
            ):
                auth.then(Reply(400, b'{"error":"invalid_grant"}'))
                with pytest.raises(Unauthorized):
                    await anext(messages)

    runtime.run(body)


def test_leaving_a_client_waits_for_its_refresh(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        saved: list[str] = []
        with short_lived() as auth:
            source = refreshing(auth, save=saved.append)
            async with runtime.serve(config=QUICK) as server, runtime.background() as background:
                async with runtime.connect(url(server, "ws"), token=source, config=FAST):
                    gate = auth.gate()
                    await runtime.until(gate.has_arrived.is_set)

                    async def open_later() -> None:
                        await runtime.sleep(0.3)
                        gate.release()

                    background.start(open_later)
                assert saved == auth.issued
                assert len(saved) == 2

    runtime.run(body)


def test_a_file_that_is_renewed_from_outside(runtime: Runtime, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(mint(ttl=1.0))

    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=QUICK) as server,
            runtime.connect(url(server, "ws"), token=from_file(path), config=FAST) as client,
        ):
            await client.send(ROOM, "before")
            await runtime.sleep(1.2)  # the old token comes again, and again
            path.write_text(mint(ttl=60.0))
            await client.send(ROOM, "after")

    runtime.run(body)
