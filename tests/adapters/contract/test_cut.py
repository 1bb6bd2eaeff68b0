"""`cut`: the connection is lost, and all that a client does about that can be seen."""

from __future__ import annotations

from tests.adapters.contract.runtime import Runtime
from tests.adapters.contract.tokens import mint
from tests.adapters.contract.world import FAST, QUICK, ROOM, collect, url

from stompcore import ClientEvent, ConnectionEnded, Outcome, Resubscribed


def test_a_connection_that_is_cut_comes_back(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        seen: list[ClientEvent] = []
        got: list[str] = []
        async with (
            runtime.serve(config=QUICK) as server,
            runtime.connect(url(server, transport), token=mint("ann"), config=FAST) as client,
            client.subscribe(ROOM) as messages,
            runtime.background() as background,
        ):
            assert (client.subject, client.server) == ("ann", "stompcore")
            assert client.token_valid_until is not None
            assert client.token_refresh_at is None  # a token that is given as text has no successor

            async def watch() -> None:
                async for event in client.events():
                    seen.append(event)

            background.start(watch)
            background.start(lambda: collect(messages, got))
            await client.send(ROOM, "before")
            client.cut()
            await client.send(ROOM, "after")
            await runtime.until(lambda: got == ["before", "after"])
        ended = next(each for each in seen if isinstance(each, ConnectionEnded))
        assert (ended.outcome, ended.ending.clean, ended.ending.error) == (
            Outcome.RETRY,
            False,
            None,
        )
        assert any(isinstance(each, Resubscribed) and each.epoch == 2 for each in seen)

    runtime.run(body)


def test_without_a_connection_there_is_nothing_to_cut(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK) as server:
            client = runtime.connect(url(server, transport), token=mint("ann"), config=FAST)
            client.cut()
            assert client.server == ""
            async with client:
                await client.send(ROOM, "hello")
            client.cut()

    runtime.run(body)
