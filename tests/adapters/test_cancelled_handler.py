"""A handler on asyncio that awaits what is cancelled: its session alone ends, and is told."""

from __future__ import annotations

import asyncio

import stompcore_asyncio
from stompcore import AllowAll, Handlers
from stompcore.handlers import Call


def test_a_handler_that_awaits_what_is_cancelled_is_an_internal_error() -> None:
    handlers = Handlers()

    @handlers.on("/app/x")
    async def handler(call: Call) -> None:
        waiting = asyncio.ensure_future(asyncio.sleep(60))
        waiting.cancel()
        await waiting

    async def main() -> bytes:
        async with (
            asyncio.timeout(10),
            stompcore_asyncio.serve(
                verifier=AllowAll(), handlers=handlers, tcp=("127.0.0.1", 0)
            ) as server,
        ):
            port = server.listeners[0].port
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"CONNECT\naccept-version:1.2\nhost:h\n\n\0")
            writer.write(b"SEND\ndestination:/app/x\nreceipt:r\n\n\0")
            heard = await reader.read()  # to the end
            writer.close()
            return heard

    heard = asyncio.run(main())
    assert b"\nerror-code:internal-error\nreceipt-id:r\n" in heard
