"""What has been begun is brought to its end, whatever becomes of the one who waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from anyio import CancelScope
from anyio.lowlevel import checkpoint_if_cancelled

__all__ = ["finish", "is_asyncio"]

T = TypeVar("T")


def is_asyncio() -> bool:
    """Whether the caller runs in a task of asyncio; trio otherwise."""
    try:
        return asyncio.current_task() is not None
    except RuntimeError:
        return False


async def finish(function: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Call `function` and wait for its end. It must end soon by itself.

    A cancellation of the caller is held back until then, and delivered in place of the result
    or the error. No task is left behind.
    """
    try:
        if is_asyncio():
            return await _finish_on_asyncio(function)
        with CancelScope(shield=True):
            result = await function()
        return result  # noqa: RET504 - for mypy, a scope may swallow what is raised in it
    finally:
        await checkpoint_if_cancelled()


async def _finish_on_asyncio(function: Callable[[], Coroutine[Any, Any, T]]) -> T:
    # A scope of anyio's keeps off the cancellations of anyio, but not `Task.cancel`. That one has
    # no hold on the task which runs the function.
    task = asyncio.get_running_loop().create_task(function())
    cancelled: asyncio.CancelledError | None = None
    with CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # seen, or asyncio would complain
    raise cancelled
