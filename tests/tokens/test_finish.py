"""What has been begun ends by itself, whoever is cancelled in the meantime."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from tests.adapters.contract.runtime import Runtime

from stompcore_tokens._finish import finish, is_asyncio


def test_the_runtime_is_known(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        assert is_asyncio() is (runtime.name == "asyncio")

    runtime.run(body)


def test_there_is_no_runtime_outside() -> None:
    assert not is_asyncio()


def test_a_result_and_an_error_pass_through(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        async def seven() -> int:
            await runtime.sleep(0)
            return 7

        async def fail() -> None:
            await runtime.sleep(0)
            raise KeyError("x")

        assert await finish(seven) == 7
        with pytest.raises(KeyError):
            await finish(fail)

    runtime.run(body)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("is_scoped", [False, True])
def test_a_cancellation_waits(runtime: Runtime, is_scoped: bool, fails: bool) -> None:
    async def body(runtime: Runtime) -> None:
        steps: list[str] = []
        go_on = anyio.Event()
        scope = anyio.CancelScope()

        async def work() -> None:
            steps.append("begun")
            await go_on.wait()
            await runtime.sleep(0)
            steps.append("ended")
            if fails:
                raise KeyError("of no interest any more")

        async def call() -> None:
            try:
                await finish(work)
                steps.append("returned")
            except Exception:
                steps.append("failed")
            except BaseException:
                steps.append("cancelled")
                raise

        async def caller() -> None:
            if is_scoped:
                with scope:
                    await call()
            else:
                await call()

        async with runtime.background() as background:
            cancel = background.start(caller)
            await runtime.until(lambda: steps == ["begun"])
            for _ in range(3):
                (scope.cancel if is_scoped else cancel)()
                await runtime.sleep(0.005)
            assert steps == ["begun"]
            go_on.set()
            await runtime.until(lambda: steps == ["begun", "ended", "cancelled"])

    runtime.run(body)


def test_a_time_limit_of_asyncio_is_kept_afterwards() -> None:
    async def main() -> None:
        done: list[str] = []

        async def work() -> None:
            await asyncio.sleep(0.05)
            done.append("work")

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await finish(work)
        assert done == ["work"]
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    asyncio.run(main())


def test_the_end_of_asyncio_itself_ends_everything() -> None:
    steps: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            steps.append("work")

    async def call() -> None:
        try:
            await finish(work)
        finally:
            steps.append("call")

    async def main() -> None:
        task = asyncio.create_task(call())
        await asyncio.sleep(0.01)
        assert not task.done()

    asyncio.run(main())
    assert steps == ["work", "call"]
