"""Several callers of one source: one request at a time, and nobody is given the same again."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import pairwise

import anyio
import httpx
import pytest
from tests.adapters.contract.runtime import Runtime
from tests.tokens.asking import FIRST_REQUEST, Asker, refreshing
from tests.tokens.auth_server import AuthServer, Reply

from stompcore import LocalProtocolError, TokenReason, TokenRequest, TokenUnavailable, Unauthorized
from stompcore_tokens import OAuth2ClientCredentials

AHEAD = TokenReason.AHEAD
EXPIRED = TokenReason.EXPIRED


class Outcome:
    """What became of a call in the background."""

    def __init__(self, call: Callable[[], Awaitable[str]]) -> None:
        self.token = ""
        self.error: BaseException | None = None
        self._call = call

    async def run(self) -> None:
        try:
            self.token = await self._call()
        except Exception as error:
            self.error = error
        except BaseException as error:
            self.error = error
            raise

    @property
    def is_over(self) -> bool:
        return bool(self.token) or self.error is not None

    @property
    def is_cancelled(self) -> bool:
        return self.error is not None and not isinstance(self.error, Exception)


# --- one at a time ---------------------------------------------------------------------------


def test_callers_share_the_request_that_is_on_its_way(runtime: Runtime, auth: AuthServer) -> None:
    async def body(runtime: Runtime) -> None:
        source = refreshing(auth)
        gate = auth.gate()
        outcomes = [Outcome(Asker(source)) for _ in range(20)]
        async with runtime.background() as background:
            for outcome in outcomes:
                background.start(outcome.run)
            await runtime.until(gate.has_arrived.is_set)
            gate.release()
            await runtime.until(lambda: all(each.is_over for each in outcomes))
        assert {each.token for each in outcomes} == {"access-secret-0"}
        assert len(auth.received) == 1

    runtime.run(body)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(Reply(500), TokenUnavailable), (Reply(400, b'{"error":"invalid_grant"}'), Unauthorized)],
)
def test_callers_share_its_failure(
    runtime: Runtime, auth: AuthServer, answer: Reply, kind: type[Exception]
) -> None:
    async def body(runtime: Runtime) -> None:
        source = refreshing(auth)
        auth.then(answer)
        outcomes = [Outcome(Asker(source)) for _ in range(5)]
        async with runtime.background() as background:
            for outcome in outcomes:
                background.start(outcome.run)
            await runtime.until(lambda: all(each.is_over for each in outcomes))
        assert [type(each.error) for each in outcomes] == [kind] * 5
        assert len({id(each.error) for each in outcomes}) == 5
        assert len(auth.received) == 1

    runtime.run(body)


# --- who needs a new one, and who does not ---------------------------------------------------


def test_another_client_is_given_a_token_that_is_fresh(auth: AuthServer, runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        now = 1000.0
        auth.expires_in = 100
        source = refreshing(auth, clock=lambda: now)
        assert await Asker(source)() == "access-secret-0"
        now = 1074.9
        assert await Asker(source)() == "access-secret-0"
        now = 1075.0  # a client would soon want another
        assert await Asker(source)() == "access-secret-1"
        assert len(auth.received) == 2

    runtime.run(body)


def test_a_token_of_an_unknown_life_is_fresh_for_a_moment(
    runtime: Runtime, auth: AuthServer
) -> None:
    async def body(runtime: Runtime) -> None:
        now = 1000.0
        auth.expires_in = None
        source = refreshing(auth, clock=lambda: now)
        assert await Asker(source)() == "access-secret-0"
        now = 1029.9
        assert await Asker(source)() == "access-secret-0"
        now = 1030.0
        assert await Asker(source)() == "access-secret-1"

    runtime.run(body)


@pytest.mark.parametrize("reason", [AHEAD, EXPIRED])
def test_a_client_is_never_given_the_token_that_it_wants_replaced(
    runtime: Runtime, auth: AuthServer, reason: TokenReason
) -> None:
    async def body(runtime: Runtime) -> None:
        client = Asker(refreshing(auth))
        await client()
        for _ in range(5):
            await client(reason)
        assert len(set(client.tokens)) == 6

    runtime.run(body)


@pytest.mark.parametrize("reason", [AHEAD, EXPIRED])
def test_two_clients_that_go_on_together_cost_one_request_each_time(
    runtime: Runtime, auth: AuthServer, reason: TokenReason
) -> None:
    async def body(runtime: Runtime) -> None:
        source = refreshing(auth)
        one, two = Asker(source), Asker(source)
        assert await one() == await two()
        for number in range(1, 5):
            first, second = (one, two) if number % 2 else (two, one)
            assert await first(reason) == f"access-secret-{number}"
            assert await second(reason) == f"access-secret-{number}"
        assert len(auth.received) == 5

    runtime.run(body)


def test_a_client_that_comes_later_goes_on_beside_the_others(
    runtime: Runtime, auth: AuthServer
) -> None:
    async def body(runtime: Runtime) -> None:
        source = refreshing(auth)
        old, young = Asker(source), Asker(source)
        await old()
        await old(AHEAD)
        assert await young() == old.tokens[-1]
        for _ in range(5):
            await old(AHEAD)
            await young(AHEAD)
        for client in (old, young):
            assert len(set(client.tokens)) == len(client.tokens)
        assert auth.reused == []

    runtime.run(body)


def test_a_request_that_failed_leaves_a_client_with_what_it_had(
    runtime: Runtime, auth: AuthServer
) -> None:
    async def body(runtime: Runtime) -> None:
        source = refreshing(auth)
        one, two = Asker(source), Asker(source)
        await one()
        await two()
        auth.then(Reply(503))
        with pytest.raises(TokenUnavailable):
            await one(EXPIRED)
        assert await one(EXPIRED) == "access-secret-1"
        assert await two(EXPIRED) == "access-secret-1"
        assert len(auth.received) == 3

    runtime.run(body)


def test_whoever_was_given_nothing_here_is_given_something_new(
    runtime: Runtime, auth: AuthServer
) -> None:
    async def body(runtime: Runtime) -> None:
        source = refreshing(auth)
        assert await source(FIRST_REQUEST) == "access-secret-0"
        assert await source(TokenRequest(reason=EXPIRED, generation=7)) == "access-secret-1"

    runtime.run(body)


def test_requests_of_long_ago_are_forgotten(runtime: Runtime, auth: AuthServer) -> None:
    async def body(runtime: Runtime) -> None:
        source = refreshing(auth)

        async def ask(reason: TokenReason, generation: int) -> str:
            return await source(TokenRequest(reason=reason, generation=generation))

        assert await ask(TokenReason.INITIAL, 1) == "access-secret-0"
        assert await ask(EXPIRED, 2) == "access-secret-1"
        assert await ask(EXPIRED, 2) == "access-secret-1"  # another client's
        for generation in range(10, 1010):
            assert await ask(TokenReason.INITIAL, generation) == "access-secret-1"
        assert await ask(EXPIRED, 2) == "access-secret-2"

    runtime.run(body)


def test_an_auth_server_that_gives_the_same_again_is_believed(runtime: Runtime) -> None:
    async def body(runtime: Runtime) -> None:
        # The client makes of it that the token is unchanged, and asks again later.
        with AuthServer(mint=lambda: "access-secret") as auth:
            client = Asker(refreshing(auth))
            for _ in range(3):
                assert await client() == "access-secret"
            assert len(auth.received) == 3

    runtime.run(body)


# --- cancellation ----------------------------------------------------------------------------


@pytest.mark.parametrize("is_scoped", [False, True])
def test_a_request_on_its_way_outlasts_its_caller(
    runtime: Runtime, auth: AuthServer, is_scoped: bool
) -> None:
    async def body(runtime: Runtime) -> None:
        saved: list[str] = []
        source = refreshing(auth, save=saved.append)
        client = Asker(source)
        await client()
        gate = auth.gate()
        scope = anyio.CancelScope()

        async def ask() -> str:
            if not is_scoped:
                return await client(EXPIRED)
            with scope:
                return await client(EXPIRED)
            return "cancelled"

        outcome = Outcome(ask)
        async with runtime.background() as background:
            cancel = background.start(outcome.run)
            await runtime.until(gate.has_arrived.is_set)
            for _ in range(3):
                (scope.cancel if is_scoped else cancel)()
                await runtime.sleep(0.01)
            assert not outcome.is_over
            gate.release()
            await runtime.until(lambda: outcome.is_over)
        assert outcome.token == ("cancelled" if is_scoped else "")
        assert outcome.is_cancelled is not is_scoped
        assert saved == auth.issued
        # What it brought is for whoever asks next, be it the same client or another.
        assert await client(EXPIRED) == "access-secret-1"
        assert await Asker(source)() == "access-secret-1"
        assert len(auth.received) == 2
        assert await client(EXPIRED) == "access-secret-2"
        assert auth.reused == []

    runtime.run(body)


def test_a_save_is_finished_though_its_caller_is_cancelled(
    runtime: Runtime, auth: AuthServer
) -> None:
    async def body(runtime: Runtime) -> None:
        saving: list[str] = []
        saved: list[str] = []

        async def save(refresh_token: str) -> None:
            saving.append(refresh_token)
            await runtime.sleep(0.05)
            saved.append(refresh_token)

        outcome = Outcome(Asker(refreshing(auth, save=save)))
        async with runtime.background() as background:
            cancel = background.start(outcome.run)
            await runtime.until(lambda: saving)
            cancel()
            await runtime.until(lambda: outcome.is_over)
            assert outcome.is_cancelled
            assert saved == auth.issued

    runtime.run(body)


def test_a_request_that_fails_after_its_caller_was_cancelled(
    runtime: Runtime, auth: AuthServer
) -> None:
    async def body(runtime: Runtime) -> None:
        source = refreshing(auth, request_timeout=0.2)
        gate = auth.gate()
        outcome = Outcome(Asker(source))
        async with runtime.background() as background:
            cancel = background.start(outcome.run)
            await runtime.until(gate.has_arrived.is_set)
            cancel()
            await runtime.until(lambda: outcome.is_over)
        assert outcome.is_cancelled
        gate.release()

    runtime.run(body)


def test_who_waits_for_another_ones_request_is_let_go_at_once(
    runtime: Runtime, auth: AuthServer
) -> None:
    async def body(runtime: Runtime) -> None:
        source = refreshing(auth)
        gate = auth.gate()
        leader, follower = Outcome(Asker(source)), Outcome(Asker(source))
        async with runtime.background() as background:
            background.start(leader.run)
            await runtime.until(gate.has_arrived.is_set)
            cancel = background.start(follower.run)
            await runtime.sleep(0.01)
            cancel()
            await runtime.until(lambda: follower.is_over)
            assert follower.is_cancelled
            assert not leader.is_over
            gate.release()
            await runtime.until(lambda: leader.is_over)
        assert leader.token == "access-secret-0"
        assert len(auth.received) == 1

    runtime.run(body)


def test_who_is_cancelled_already_begins_nothing(runtime: Runtime, auth: AuthServer) -> None:
    async def body(runtime: Runtime) -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await refreshing(auth)(FIRST_REQUEST)
        assert scope.cancelled_caught
        await runtime.sleep(0.02)
        assert auth.received == []

    runtime.run(body)


def test_a_request_of_client_credentials_ends_with_its_caller(
    runtime: Runtime, auth: AuthServer
) -> None:
    async def body(runtime: Runtime) -> None:
        source = OAuth2ClientCredentials(auth.url, client_id="app", client_secret="client-secret")
        gate = auth.gate()
        leader, follower = Outcome(Asker(source)), Outcome(Asker(source))
        async with runtime.background() as background:
            cancel = background.start(leader.run)
            await runtime.until(gate.has_arrived.is_set)
            background.start(follower.run)
            await runtime.sleep(0.01)
            cancel()
            await runtime.until(lambda: leader.is_over)
            assert leader.is_cancelled
            # Nothing was at stake, and so the other one asks for itself.
            await runtime.until(lambda: follower.is_over)
        gate.release()
        assert follower.token.startswith("access-secret-")
        assert len(auth.received) == 2

    runtime.run(body)


def test_closing_waits_for_the_request_on_its_way(runtime: Runtime, auth: AuthServer) -> None:
    async def body(runtime: Runtime) -> None:
        saved: list[str] = []
        source = refreshing(auth, save=saved.append)
        gate = auth.gate()
        outcome = Outcome(Asker(source))

        async def close() -> str:
            await source.aclose()
            return "closed"

        closing = Outcome(close)
        async with runtime.background() as background:
            background.start(outcome.run)
            await runtime.until(gate.has_arrived.is_set)
            background.start(closing.run)
            await runtime.sleep(0.01)
            assert not closing.is_over
            gate.release()
            await runtime.until(lambda: closing.is_over)
            assert saved == auth.issued
            await runtime.until(lambda: outcome.is_over)
        assert outcome.token == "access-secret-0"
        with pytest.raises(LocalProtocolError):
            await source(FIRST_REQUEST)

    runtime.run(body)


def test_a_bug_of_a_given_http_client_holds_nobody_up(runtime: Runtime, auth: AuthServer) -> None:
    class Stuck(BaseException):
        pass

    async def body(runtime: Runtime) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            raise Stuck

        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
            source = refreshing(auth, http=http)
            for _ in range(2):
                with pytest.raises(Stuck):
                    await source(FIRST_REQUEST)

    runtime.run(body)


# --- all of it -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_many_clients_of_one_source(runtime: Runtime, auth: AuthServer, seed: int) -> None:
    """Many ask, fail, give up and ask again: no refresh token twice, no token twice to anybody."""

    async def body(runtime: Runtime) -> None:
        chance = random.Random(seed)
        saved: list[str] = []
        source = refreshing(auth, save=saved.append)
        clients = [Asker(source) for _ in range(12)]
        finished: list[Asker] = []

        async def live(client: Asker, random: random.Random) -> None:
            for _ in range(200):
                await runtime.sleep(random.random() * 0.01)
                if random.random() < 0.02:
                    auth.then(Reply(503))
                patience = random.choice([0.0, 0.002, 0.01, 5.0])
                with contextlib.suppress(TokenUnavailable), anyio.move_on_after(patience):
                    await client(random.choice([AHEAD, EXPIRED]) if client.tokens else None)
                if len(client.tokens) == 6:
                    finished.append(client)
                    return

        async with runtime.background() as background:
            for client in clients:
                own = random.Random(chance.random())
                background.start(partial(live, client, own))
            await runtime.until(lambda: len(finished) == len(clients), 15.0)
        assert auth.reused == []
        assert saved == auth.issued
        for client in clients:
            assert all(a != b for a, b in pairwise(client.tokens))
        assert len(auth.access_tokens) < sum(len(client.tokens) for client in clients)

    runtime.run(body)
