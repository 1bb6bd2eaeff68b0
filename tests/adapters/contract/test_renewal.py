"""Tokens in the middle of a session: renewed over the wire, taken back, and what they allow."""

from __future__ import annotations

import re
import time

import pytest
from tests.adapters.contract.peers import Peer, ended, logged_in, refused, send_frame
from tests.adapters.contract.runtime import Runtime
from tests.adapters.contract.tokens import TokenServer, mint
from tests.adapters.contract.world import FAST, PATIENT, QUICK, ROOM, collect, url

from stompcore import Access, Grant, Grants

POLICY = Grants(
    [
        Grant("/topic/room", access={Access.SUBSCRIBE}, scopes={"chat:read"}),
        Grant("/topic/room", access={Access.SEND}, scopes={"chat:write"}),
        Grant("/topic/of.{subject}"),
    ]
)


def token_ttl(frame: str) -> int:
    """What a frame says about how long the token has left, in milliseconds."""
    found = re.search(r"\ntoken-ttl:(\d+)\n", frame)
    assert found is not None, frame
    return int(found[1])


async def refresh(peer: Peer, token: str, receipt: str = "refreshed") -> str:
    """Renew a session; its RECEIPT."""
    await peer.send(send_frame("/auth/refresh", "", passcode=token, receipt=receipt))
    await peer.until(f"receipt-id:{receipt}\n")
    return next(frame for frame in peer.frames if f"receipt-id:{receipt}\n" in frame)


def test_a_session_outlives_its_first_token(runtime: Runtime, transport: str) -> None:
    """Who refreshes in time misses nothing; who does not is cut off at the very moment."""

    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=PATIENT) as server, runtime.background() as background:
            expires_at = time.time() + 0.8
            careful = await logged_in(runtime, server, transport, "careful", exp=expires_at)
            careless = await logged_in(runtime, server, transport, "careless", exp=expires_at)
            for each in (careful, careless):
                assert 0 < token_ttl(each.frames[0]) <= 800
                assert "\ntoken-refresh:/auth/refresh\n" in each.frames[0]
                await each.hear("0", ROOM)
            last = 0

            async def talk() -> None:
                nonlocal last
                while True:
                    last += 1
                    server.publish(ROOM, f"{last} at {time.time()!r}".encode())
                    await runtime.sleep(0.005)

            background.start(talk)
            receipt = await refresh(careful, mint("careful", 60.0))
            assert 55_000 < token_ttl(receipt) <= 60_000
            assert "eyJ" not in "".join(careful.frames)
            assert await ended(careless) == "token-expired"
            assert expires_at <= time.time() < expires_at + 1.0
            sent_at = [float(text.partition(" at ")[2]) for text in careless.bodies()]
            assert len(sent_at) > 10
            assert max(sent_at) < expires_at
            await runtime.sleep(0.2)
            await careful.send(send_frame(ROOM, "mine", receipt="late"))
            await careful.until("receipt-id:late\n")
            await careful.until("\n\nmine")
            heard = [int(text.split()[0]) for text in careful.bodies() if text != "mine"]
            assert heard == list(range(heard[0], heard[-1] + 1))
            assert heard[0] == 1
            assert len(heard) > len(sent_at) + 10
            await careful.raw.close()

    runtime.run(body)


def test_again_and_again(runtime: Runtime) -> None:
    """Three short tokens one after another, in every place where one can stand."""

    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK) as server:
            mine = await logged_in(runtime, server, "tcp", ttl=0.4)
            session_ids = [each.session_id for each in server.hub]
            for number in range(3):
                await runtime.sleep(0.2)
                token = mint(ttl=0.4)
                frames = [
                    send_frame("/auth/refresh", token, receipt=f"r{number}"),
                    send_frame("/auth/refresh", "", passcode=token, receipt=f"r{number}"),
                    send_frame(
                        "/auth/refresh", "", Authorization=f"Bearer {token}", receipt=f"r{number}"
                    ),
                ]
                await mine.send(frames[number])
                await mine.until(f"receipt-id:r{number}\n")
            assert [each.session_id for each in server.hub] == session_ids
            assert server.hub.snapshot().refreshes == {"accepted": 3}
            assert await ended(mine) == "token-expired"

    runtime.run(body)


@pytest.mark.parametrize("fault", ["another subject", "expired", "garbage", "none"])
def test_a_refresh_that_fails(runtime: Runtime, transport: str, fault: str) -> None:
    async def body(runtime: Runtime) -> None:
        token = {
            "another subject": mint("bob"),
            "expired": mint("alice", -5.0),
            "garbage": "garbage",
            "none": "",
        }[fault]
        async with runtime.serve(config=QUICK) as server:
            neighbour = await logged_in(runtime, server, transport, "neighbour")
            mine = await logged_in(runtime, server, transport)
            await mine.hear("0", ROOM)
            await mine.send(send_frame("/auth/refresh", token, receipt="r"))
            assert await ended(mine) == "reauth-rejected"
            assert mine.frames[-1].startswith("ERROR\nmessage:Reauthentication Failed\n")
            assert "\nreceipt-id:r\n" in mine.frames[-1]
            if transport == "ws":
                assert mine.close == (3000, "Reauthentication Failed")
            await refresh(neighbour, mint("neighbour"))
            assert len(server.hub.broker) == 0
            await neighbour.raw.close()

    runtime.run(body)


# --- revocation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["subject", "token_id", "session_id"])
def test_revoked(runtime: Runtime, transport: str, by: str) -> None:
    async def body(runtime: Runtime) -> None:
        token = mint("eve", jti="eve 1")
        async with runtime.serve(config=QUICK) as server:
            neighbour = await logged_in(runtime, server, transport, "neighbour", jti="2")
            await neighbour.hear("0", ROOM)
            mine = await logged_in(runtime, server, transport, "eve", jti="eve 1")
            await mine.hear("0", ROOM)
            (own,) = [each for each in server.hub if each.identity.subject == "eve"]
            if by == "subject":  # one that has been idle for longer is told as well
                await runtime.sleep(QUICK.limits.close_timeout + 0.1)
            named = {"subject": "eve", "token_id": "eve 1", "session_id": own.session_id}
            server.revoke(**{by: named[by]})
            server.publish(ROOM, b"not for eve")
            assert await ended(mine) == "token-revoked"
            assert mine.frames[-1].startswith("ERROR\nmessage:Token Revoked\n")
            assert mine.bodies() == []
            if transport == "ws":
                assert mine.close == (3003, "Token Revoked")
            assert await neighbour.messages(1) == ["not for eve"]
            if by != "session_id":
                assert await refused(runtime, server, transport, token) == "token-revoked"
                assert server.hub.pardon(**{by: named[by]})
            again = await logged_in(runtime, server, transport, "eve", jti="eve 1")
            for each in (neighbour, again):
                await each.raw.close()

    runtime.run(body)


def test_a_refresh_with_a_revoked_token(runtime: Runtime, transport: str) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK) as server:
            mine = await logged_in(runtime, server, transport)
            server.revoke(token_id="stolen")
            await mine.send(send_frame("/auth/refresh", mint(jti="stolen")))
            assert await ended(mine) == "token-revoked"

    runtime.run(body)


def test_expired_by_the_operator(runtime: Runtime, transport: str) -> None:
    """The client gets a new token and comes back by itself."""

    async def body(runtime: Runtime) -> None:
        tokens = TokenServer()
        async with (
            runtime.serve(config=QUICK) as server,
            runtime.connect(url(server, transport), token=tokens, config=FAST) as client,
            client.subscribe(ROOM) as messages,
            runtime.background() as background,
        ):
            got: list[str] = []
            background.start(lambda: collect(messages, got))
            await client.send(ROOM, "before")
            server.expire(subject="alice")
            await client.send(ROOM, "after")
            await runtime.until(lambda: got == ["before", "after"])
        assert len(tokens.requests) == 2

    runtime.run(body)


# --- policies -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "may_listen", "may_send"),
    [("chat:read chat:write", True, True), ("chat:read", True, False), ("", False, False)],
    ids=["both", "read", "none"],
)
def test_scopes(
    runtime: Runtime, transport: str, scope: str, may_listen: bool, may_send: bool
) -> None:
    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK, policy=POLICY) as server:
            for frame, is_allowed in [
                (f"SUBSCRIBE\nid:0\ndestination:{ROOM}\nreceipt:r\n\n\0".encode(), may_listen),
                (send_frame(ROOM, "hello", receipt="r"), may_send),
                (send_frame("/topic/of.alice", "mine", receipt="r"), True),
                (send_frame("/topic/of.bob", "his", receipt="r"), False),
            ]:
                mine = await logged_in(runtime, server, transport, scope=scope)
                await mine.send(frame)
                if is_allowed:
                    await mine.until("receipt-id:r\n")
                    await mine.raw.close()
                    continue
                assert await ended(mine) == "access-denied"
                assert "\nreceipt-id:r\n" in mine.frames[-1]
                if transport == "ws":
                    assert mine.close == (3003, "Access Denied")

    runtime.run(body)


def test_a_refresh_with_fewer_scopes(runtime: Runtime, transport: str) -> None:
    """The session goes on, without what its new token does not allow."""

    async def body(runtime: Runtime) -> None:
        async with runtime.serve(config=QUICK, policy=POLICY) as server:
            mine = await logged_in(runtime, server, transport, scope="chat:read")
            await mine.hear("room", ROOM)
            await mine.hear("own", "/topic/of.alice")
            server.publish(ROOM, b"before")
            receipt = await refresh(mine, mint(scope="other"))
            assert re.findall(r"\nsubscription-ended:(.*)", receipt) == ["room"]
            server.publish(ROOM, b"after")
            server.publish("/topic/of.alice", b"still here")
            assert await mine.messages(1, "own") == ["still here"]
            assert mine.bodies("room") == ["before"]
            # It is as if it had never been; with the old rights it may come back.
            receipt = await refresh(mine, mint(scope="chat:read"), "again")
            assert "subscription-ended" not in receipt
            await mine.send(f"SUBSCRIBE\nid:room\ndestination:{ROOM}\nreceipt:s\n\n\0".encode())
            await mine.until("receipt-id:s\n")
            server.publish(ROOM, b"once more")
            assert await mine.messages(2, "room") == ["before", "once more"]
            await refresh(mine, mint(scope=""), "last")
            await mine.send(f"SUBSCRIBE\nid:room\ndestination:{ROOM}\n\n\0".encode())
            assert await ended(mine) == "access-denied"

    runtime.run(body)
