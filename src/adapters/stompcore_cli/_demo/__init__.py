"""`stompcore demo`: the whole life of a token, live, over real sockets.

An auth server (`_auth_server`), a STOMP server and two chat clients play the nine steps
(`_story`), and what they do is printed as it happens (`_view`).
"""

from __future__ import annotations

import asyncio

from stompcore_cli._demo._story import Story
from stompcore_cli._demo._view import View

__all__ = ["run_demo"]

_TIME_LIMIT = 20.0


def run_demo() -> int:
    """Play the demo; 0 if everything held that it promises."""
    view = View()
    story = Story(view)
    failure = ""
    try:
        asyncio.run(_bounded(story))
    except TimeoutError:
        failure = f"the demo did not end within {_TIME_LIMIT:.0f} seconds"
    except (OSError, AssertionError) as error:
        failure = str(error) or type(error).__name__
    return view.conclude(story.ledger, story.broken_promises(failure))


async def _bounded(story: Story) -> None:
    async with asyncio.timeout(_TIME_LIMIT):
        await story.play()
