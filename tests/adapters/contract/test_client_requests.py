"""Requests and their replies: from handlers, from other clients, too late, and never."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.adapters.contract.relay import relay
from tests.adapters.contract.runtime import Runtime
from tests.adapters.contract.tokens import TokenServer, mint
from tests.adapters.contract.watching import Watch, cut
from tests.adapters.contract.world import FAST, PATIENT, ROOM, url

from stompcore import (
    Call,
    ClientClosed,
    ConnectionEnded,
    Handlers,
    Handover,
    Refresh,
    Refused,
    ReplyLost,
    RequestTimedOut,
    Resubscribed,
    SendRefused,
    SubscriptionRefused,
)

QUESTIONS = "/topic/questions"


def application(runtime: Runtime, log: list[str]) -> Handlers:
    """Handlers that answer, in their several ways."""
    handlers = Handlers()

    @handlers.on("/app/double")
    def double(call: Call) -> None:
        call.reply(call.text * 2, {"by": call.identity.subject})

    @handlers.on("/app/nap/{seconds}")
    async def nap(call: Call) -> None:
        log.append(call.text)
        await runtime.sleep(float(call.params["seconds"]))
        call.reply(f"{call.text} was a nap")

    @handlers.on("/app/silence")
    def silence(call: Call) -> None:
        log.append(call.text)

    @handlers.on("/app/no")
    def no(call: Call) -> None:
        raise Refused("Not on a Sunday.")

    return handlers


def test_a_handler_replies(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        handlers = application(runtime, [])
        async with (
            runtime.serve(config=PATIENT, handlers=handlers) as server,
            runtime.connect(url(server, transport), token=mint(), config=FAST) as client,
        ):
            reply = await client.request("/app/double", "ha")
            assert (reply.text, reply.headers["by"]) == ("haha", "alice")
            assert (await client.request("/app/double", b"ho", {"note": "x"})).body == b"hoho"
            assert len(client._replies) == 0
            assert server.hub.snapshot().subscriptions == 1  # for all of them

    runtime.run(body)


def test_two_hundred_at_once(runtime: Runtime, transport: str) -> None:
    """Each gets its own, though they come in another order than they were asked for."""

    async def body(runtime: Runtime) -> None:
        async with (
            runtime.serve(config=PATIENT) as server,
            runtime.connect(url(server, transport), token=mint(), config=FAST) as client,
            runtime.connect(url(server, transport), token=mint("bob"), config=FAST) as other,
            other.subscribe(QUESTIONS) as questions,
            runtime.background() as background,
        ):
            replies: dict[int, str] = {}

            async def ask(number: int) -> None:
                replies[number] = (await client.request(QUESTIONS, str(number))).text

            async def answer() -> None:
                asked = [await anext(questions) for _ in range(200)]
                for each in reversed(asked):
                    id = each.headers["correlation-id"]
                    text = f"re: {each.text}"
                    await other.send(
                        each.headers["reply-to"], text, {"correlation-id": id}, confirm=False
                    )

            background.start(answer)
            for number in range(200):
                background.start(lambda number=number: ask(number))  # type: ignore[misc]
            await runtime.until(lambda: len(replies) == 200)
            assert replies == {number: f"re: {number}" for number in range(200)}
            assert len(client._replies) == 0
            assert client._fates == {}

    runtime.run(body)


def test_a_reply_that_comes_too_late(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        handlers = application(runtime, [])
        async with (
            runtime.serve(config=PATIENT, handlers=handlers) as server,
            runtime.connect(url(server, transport), token=mint(), config=FAST) as client,
        ):
            with pytest.raises(RequestTimedOut):
                await client.request("/app/silence", "?", timeout=0.05)
            with pytest.raises(RequestTimedOut):
                await client.request("/app/nap/0.2", "long", timeout=0.05)
            # Behind it, as the calls of one session are; its own reply and no other.
            assert (await client.request("/app/double", "ha")).text == "haha"
            assert len(client._replies) == 0

    runtime.run(body)


def test_a_request_that_is_refused(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        handlers = application(runtime, [])
        async with (
            runtime.serve(config=PATIENT, handlers=handlers) as server,
            runtime.connect(url(server, transport), token=mint(), config=FAST) as client,
        ):
            for destination in ("/app/no", "/nowhere"):
                with pytest.raises(SendRefused):
                    await client.request(destination, "?")
            assert (await client.request("/app/double", "ha")).text == "haha"
            await client.close()
            with pytest.raises(ClientClosed):
                await client.request("/app/double", "too late")

    runtime.run(body)


def test_a_server_that_knows_no_replies(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        config = replace(FAST, reply_destination="/nowhere/replies")
        async with (
            runtime.serve(config=PATIENT) as server,
            runtime.connect(url(server, transport), token=mint(), config=config) as client,
        ):
            for _ in range(2):
                with pytest.raises(SubscriptionRefused):
                    await client.request(ROOM, "?")
            await client.send(ROOM, "and the client lives on")

    runtime.run(body)


def test_a_reply_that_a_cut_has_lost(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        log: list[str] = []
        async with (
            runtime.serve(config=PATIENT, handlers=application(runtime, log)) as server,
            runtime.connect(url(server, transport), token=mint(), config=FAST) as client,
            runtime.background() as background,
        ):

            async def cut_it(text: str) -> None:
                await runtime.until(lambda: text in log)
                await runtime.until(lambda: client._session.unconfirmed == 0)
                cut(server)

            for text in ("one", "two"):
                background.start(lambda text=text: cut_it(text))  # type: ignore[misc]
                with pytest.raises(ReplyLost):
                    await client.request("/app/silence", text)
            assert log == ["one", "two"]
            assert (await client.request("/app/double", "ha")).text == "haha"

    runtime.run(body)


def test_a_request_that_a_cut_has_delayed(runtime: Runtime, transport: str) -> None:
    """It has not reached the server: it is sent again, and the reply comes by the next one."""

    async def body(runtime: Runtime) -> None:
        handlers = application(runtime, [])
        async with (
            runtime.serve(config=PATIENT, handlers=handlers) as server,
            relay(server, transport) as wire,
            runtime.connect(wire.url, token=mint(), config=FAST) as client,
            runtime.background() as background,
        ):
            assert (await client.request("/app/double", "ho")).text == "hoho"

            async def cut_it() -> None:
                await runtime.until(lambda: client._session.unconfirmed == 1)
                await runtime.sleep(0.02)
                await wire.cut()
                wire.go_on()

            wire.hold()
            background.start(cut_it)
            assert (await client.request("/app/double", "ha")).text == "haha"

    runtime.run(body)


@pytest.mark.parametrize("handover", list(Handover), ids=lambda each: each.value)
def test_requests_across_handovers(runtime: Runtime, handover: Handover) -> None:
    """Each has its reply, or says that it is lost; none hangs."""

    async def body(runtime: Runtime) -> None:
        refresh = Refresh(earliest=0.1, latest=0.2, handover=handover)
        async with (
            runtime.serve(
                config=replace(PATIENT, refresh_destination=None),
                handlers=application(runtime, []),
            ) as server,
            runtime.connect(
                url(server, "ws"),
                token=TokenServer(ttl=1.0),
                config=replace(FAST, refresh=refresh),
            ) as client,
            runtime.background() as background,
        ):
            watch = Watch(client)
            background.start(watch.run)
            replied = lost = 0
            while len(watch.of(Resubscribed)) < 3:
                try:
                    reply = await client.request("/app/nap/0.001", str(replied), timeout=2.0)
                except ReplyLost:
                    lost += 1
                else:
                    assert reply.text == f"{replied} was a nap"
                    replied += 1
            assert replied > 0
            # Whoever was leaving as the reply came, with a request under way, has missed it.
            assert lost <= len(watch.of(ConnectionEnded))

    runtime.run(body)
