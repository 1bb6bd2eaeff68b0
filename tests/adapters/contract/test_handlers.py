"""Functions of the application behind real sockets: what they say, and how they fail."""

from __future__ import annotations

import contextlib

import pytest
from tests.adapters.contract.peers import ended, logged_in, send_frame
from tests.adapters.contract.runtime import Runtime
from tests.adapters.contract.world import ROOM, complaints

from stompcore import Call, Handlers, HeartBeat, Limits, Refused, ServerConfig

CONFIG = ServerConfig(
    heart_beat=HeartBeat(send_interval=0, receive_interval=0),
    limits=Limits(close_timeout=0.4),
    drain_window=0.0,
)


class Application:
    """Handlers, and what has become of their calls."""

    def __init__(self, runtime: Runtime) -> None:
        self.handlers = Handlers()
        self.log: list[str] = []
        on = self.handlers.on
        self._sleep = runtime.sleep

        @on("/app/rooms/{room}/{line}")
        def say(call: Call) -> None:
            params = call.params
            call.publish(f"/topic/{params['room']}", f"{params['line']}: {call.text}")

        @on("/app/double")
        async def double(call: Call) -> None:
            await runtime.sleep(0.01)
            call.reply(call.text * 2, {"by": call.identity.subject})

        @on("/app/notes/{name}")
        async def note(call: Call) -> None:
            call.send_to_user(call.params["name"], "/queue/notes", call.body)

        @on("/app/sleep/{seconds}")
        async def nap(call: Call) -> None:
            await self._nap(call, float(call.params["seconds"]))

        @on("/app/sync/{way}")
        def fail(call: Call) -> None:
            self._fail(call)

        @on("/app/async/{way}")
        async def fail_later(call: Call) -> None:
            await runtime.sleep(0.01)
            self._fail(call)

    async def _nap(self, call: Call, seconds: float) -> None:
        self.log.append(f"{call.text} begins")
        call.publish(ROOM, call.text)
        try:
            await self._sleep(seconds)
        except BaseException:
            self.log.append(f"{call.text} is cancelled")
            raise
        self.log.append(f"{call.text} ends")

    def _fail(self, call: Call) -> None:
        call.publish(ROOM, "nobody hears this")
        if call.params["way"] == "refuse":
            raise Refused("Not on a Sunday.")
        if call.params["way"] == "unknown":
            call.publish("/nowhere", "x")
        else:
            raise KeyError(call.text)


def test_what_they_say(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        application = Application(runtime)
        async with runtime.serve(config=CONFIG, handlers=application.handlers) as server:
            alice = await logged_in(runtime, server, transport, "alice")
            bob = await logged_in(runtime, server, transport, "bob/the builder")
            await alice.hear("temp", "/temp-queue/answers")
            await bob.hear("room", "/topic/lobby")
            await bob.hear("notes", "/user/queue/notes")
            await alice.hear("notes", "/user/queue/notes")
            await alice.send(send_frame("/app/rooms/lobby/7", "hello", receipt="1"))
            await alice.send(
                send_frame(
                    "/app/double", "ha", reply_to="/temp-queue/answers", correlation_id="c 9"
                )
            )
            name = "bob%2Fthe builder"
            await alice.send(send_frame(f"/app/notes/{name}", "for nobody"))  # its own, encoded
            await alice.send(send_frame("/app/notes/alice", "for me", receipt="2"))
            await alice.until("receipt-id:2\n")
            assert await alice.messages(1, "temp") == ["haha"]
            answer = next(frame for frame in alice.frames if frame.endswith("haha"))
            assert "\ncorrelation-id:c 9\n" in answer
            assert "\nby:alice\n" in answer
            assert "\ndestination:/temp-queue/answers\n" in answer
            assert alice.bodies("notes") == ["for me"]
            assert await bob.messages(1, "room") == ["7: hello"]
            assert bob.bodies("notes") == []
            for made in (alice, bob):
                await made.raw.close()

    runtime.run(body)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_refused(runtime: Runtime, transport: str, kind: str) -> None:
    async def body(runtime: Runtime) -> None:
        application = Application(runtime)
        async with runtime.serve(config=CONFIG, handlers=application.handlers) as server:
            neighbour = await logged_in(runtime, server, transport, "neighbour")
            await neighbour.hear("0", ROOM)
            mine = await logged_in(runtime, server, transport)
            await mine.send(send_frame(f"/app/{kind}/refuse", "x", receipt="r"))
            assert await ended(mine) == "access-denied"
            assert "\nreceipt-id:r\n" in mine.frames[-1]
            assert mine.frames[-1].endswith("\n\nNot on a Sunday.")
            if transport == "ws":
                assert mine.close == (3003, "Access Denied")
            await neighbour.send(send_frame("/app/rooms/room/1", "still here"))
            assert await neighbour.messages(1) == ["1: still here"]
            await neighbour.raw.close()

    runtime.run(body)


@pytest.mark.parametrize("way", ["raise", "unknown"])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_bug_ends_one_session_alone(
    runtime: Runtime, kind: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What the handler raised is for the operator; its text stays in the house."""

    async def body(runtime: Runtime) -> None:
        application = Application(runtime)
        async with runtime.serve(config=CONFIG, handlers=application.handlers) as server:
            neighbour = await logged_in(runtime, server, "ws", "neighbour")
            await neighbour.hear("0", ROOM)
            mine = await logged_in(runtime, server, "ws")
            await mine.send(send_frame(f"/app/{kind}/{way}", "my secret", receipt="r"))
            assert await ended(mine) == "internal-error"
            assert not any("my secret" in frame for frame in mine.frames)
            assert mine.close == (1011, "Internal Error")
            await neighbour.send(send_frame("/app/rooms/room/1", "still here"))
            assert await neighbour.messages(1) == ["1: still here"]
            await neighbour.raw.close()

    runtime.run(body)
    records = [each for each in caplog.get_records("call") if complaints([each])]
    (record,) = records
    assert record.exc_info is not None
    assert record.exc_info[0] is (KeyError if way == "raise" else ValueError)
    caplog.clear()  # that one was meant


def test_one_after_another_and_then_the_receipt(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        application = Application(runtime)
        async with runtime.serve(config=CONFIG, handlers=application.handlers) as server:
            mine = await logged_in(runtime, server, transport)
            await mine.hear("0", ROOM)
            other = await logged_in(runtime, server, transport, "other")
            ways = [("slow", 0.2), ("quick", 0.0), ("medium", 0.05)]
            for name, seconds in ways:
                await mine.send(send_frame(f"/app/sleep/{seconds}", name, receipt=name))
            await mine.send(send_frame(ROOM, "behind them", receipt="last"))
            await runtime.until(lambda: application.log == ["slow begins"])
            await other.send(send_frame("/app/sleep/0", "other", receipt="o"))
            await other.until("receipt-id:o\n")
            assert application.log == ["slow begins", "other begins", "other ends"]
            await mine.until("receipt-id:slow\n")
            assert "slow ends" in application.log
            await mine.until("receipt-id:last\n")
            assert [each for each in application.log if "other" not in each] == [
                f"{name} {what}" for name, _ in ways for what in ("begins", "ends")
            ]
            receipts = [f for f in mine.frames if f.startswith("RECEIPT\n")]
            assert [f.split("receipt-id:")[1].strip() for f in receipts[1:]] == [
                "slow",
                "quick",
                "medium",
                "last",
            ]
            for made in (mine, other):
                await made.raw.close()

    runtime.run(body)


def test_a_flood_of_calls_waits_at_the_socket(runtime: Runtime) -> None:
    """More calls than `handler_backlog`: the session is not read on, and all of them are made."""

    async def body(runtime: Runtime) -> None:
        application = Application(runtime)
        async with runtime.serve(config=CONFIG, handlers=application.handlers) as server:
            mine = await logged_in(runtime, server, "tcp")
            for number in range(200):
                await mine.send(send_frame("/app/sleep/0", str(number), receipt=f"r{number}"))
            await mine.until("receipt-id:r199\n")
            begun = [each for each in application.log if each.endswith("begins")]
            assert begun == [f"{number} begins" for number in range(200)]
            await mine.raw.close()

    runtime.run(body)


def test_a_call_outlives_its_session(runtime: Runtime) -> None:
    """Who sends and leaves has sent."""

    async def body(runtime: Runtime) -> None:
        application = Application(runtime)
        async with runtime.serve(config=CONFIG, handlers=application.handlers) as server:
            listener = await logged_in(runtime, server, "tcp", "listener")
            await listener.hear("0", ROOM)
            mine = await logged_in(runtime, server, "tcp")
            await mine.send(send_frame("/app/sleep/0.1", "posthumous"))
            await runtime.until(lambda: application.log)
            await mine.raw.close()
            await runtime.until(lambda: len(server.hub) == 1)
            assert application.log == ["posthumous begins"]
            assert await listener.messages(1) == ["posthumous"]
            await listener.raw.close()

    runtime.run(body)


def test_a_drain_lets_them_finish(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        application = Application(runtime)
        async with runtime.serve(config=CONFIG, handlers=application.handlers) as server:
            mine = await logged_in(runtime, server, transport)
            await mine.send(send_frame("/app/sleep/0.25", "work", receipt="work"))
            await runtime.until(lambda: application.log)
            async with runtime.background() as background:
                codes: list[str] = []

                async def listen() -> None:
                    codes.append(await ended(mine))

                background.start(listen)
                await server.drain()
                await runtime.until(lambda: codes)
            assert application.log == ["work begins", "work ends"]
            assert codes == ["going-away"]
            assert mine.frames[-2].startswith("RECEIPT\nreceipt-id:work\n")

    runtime.run(body)


def test_a_drain_lets_those_finish_whose_peers_have_left(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        application = Application(runtime)
        async with runtime.serve(config=CONFIG, handlers=application.handlers) as server:
            mine = await logged_in(runtime, server, "tcp")
            await mine.send(send_frame("/app/sleep/0.2", "work"))
            await runtime.until(lambda: application.log)
            await mine.raw.close()
            await runtime.until(lambda: not server.connections)
            await server.drain()
            assert application.log == ["work begins", "work ends"]

    runtime.run(body)


def test_who_hangs_is_cancelled(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        application = Application(runtime)

        async def live() -> None:
            async with (
                runtime.serve(config=CONFIG, handlers=application.handlers) as server,
                runtime.background() as background,
            ):
                mine = await logged_in(runtime, server, transport)
                await mine.send(send_frame("/app/sleep/3600", "work", receipt="work"))
                await mine.send(send_frame("/app/sleep/3600", "more work", receipt="more"))
                await runtime.until(lambda: application.log)
                codes: list[str] = []

                async def listen() -> None:
                    codes.append(await ended(mine))

                background.start(listen)
                await server.drain()
                await runtime.until(lambda: codes)
                assert codes == ["going-away"]
                assert not any(frame.startswith("RECEIPT") for frame in mine.frames)

        await runtime.leaves_nothing(live, limit=5.0)
        assert application.log == ["work begins", "work is cancelled"]

    runtime.run(body)


def test_who_has_not_even_begun_is_cancelled_too(runtime: Runtime) -> None:
    """The calls come in the very turns of the loop in which the drain is cut short."""

    async def body(runtime: Runtime) -> None:
        config = ServerConfig(
            heart_beat=CONFIG.heart_beat,
            limits=Limits(close_timeout=0.1),
            drain_window=0.1,  # nobody is told within
            drain_rate=0.1,
        )
        for turns in range(3):
            application = Application(runtime)

            async def live() -> None:
                async with (
                    runtime.serve(config=config, handlers=application.handlers) as server,  # noqa: B023
                    runtime.background() as background,
                ):
                    mine = await logged_in(runtime, server, "tcp")
                    cancel = background.start(server.drain)
                    await runtime.until(lambda: server.is_draining)
                    for _ in range(5):
                        await runtime.sleep(0)  # now it waits for the peer
                    cancel()
                    for _ in range(turns):  # noqa: B023
                        await runtime.sleep(0)
                    # As the transport would, but to the turn.
                    for session in server.hub:
                        session.receive_data(
                            send_frame("/app/sleep/3600", "work") * 3, now=server.clock.now()
                        )
                        server.settle(
                            server.hub.process(session.session_id, now=server.clock.now())
                        )
                    await mine.raw.close()

            await runtime.leaves_nothing(live, limit=5.0)
            assert application.log in ([], ["work begins", "work is cancelled"])

    runtime.run(body)


def test_who_shrugs_off_its_cancellation(runtime: Runtime) -> None:
    """Then the next one of its session has its turn, and is cancelled as well."""

    async def body(runtime: Runtime) -> None:
        handlers = Handlers()
        log: list[str] = []

        @handlers.on("/app/stubborn")
        async def stubborn(call: Call) -> None:
            log.append(call.text)
            with contextlib.suppress(BaseException):
                await runtime.sleep(3600)

        async def live() -> None:
            async with runtime.serve(config=CONFIG, handlers=handlers) as server:
                mine = await logged_in(runtime, server, "tcp")
                await mine.send(send_frame("/app/stubborn", "1") + send_frame("/app/stubborn", "2"))
                await runtime.until(lambda: log)
                await mine.raw.close()
                await runtime.until(lambda: not server.connections)

        await runtime.leaves_nothing(live, limit=5.0)
        assert log == ["1", "2"]

    runtime.run(body)
