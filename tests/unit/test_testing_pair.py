"""One client, one server, and the tests that their users write."""

from __future__ import annotations

import pytest

from stompcore import (
    Access,
    AllowAll,
    Call,
    ClientConfig,
    ConnectionEnded,
    ConnectionState,
    Dial,
    ErrorCode,
    Grant,
    Grants,
    Handlers,
    Identity,
    LocalProtocolError,
    Outcome,
    PublishFailed,
    Refused,
    SendRefused,
    Stopped,
    SubscriptionEnded,
    TokenFetchFailed,
    TokenReason,
    TokenRequest,
    Unauthorized,
)
from stompcore.testing import AuthServer, Network, Pair, VirtualClock

TRANSPORTS = pytest.mark.parametrize("transport", ["tcp", "websocket"])


@TRANSPORTS
def test_a_pair_is_connected_from_the_start(transport: str) -> None:
    pair = Pair(transport=transport)
    assert pair.client.session.state is ConnectionState.CONNECTED
    assert pair.session.identity is not None
    assert pair.session.identity.subject == "alice"
    assert pair.clock.monotonic() == 0.0


def test_a_slow_wire_takes_its_time_to_connect() -> None:
    pair = Pair(network=Network(latency=1.0))
    with pytest.raises(LocalProtocolError):
        _ = pair.session
    with pytest.raises(LocalProtocolError):
        _ = pair.link
    pair.run(5.0)
    assert pair.link.latency == 1.0
    assert pair.client.session.state is ConnectionState.CONNECTED


@TRANSPORTS
def test_a_token_expires_in_one_line(transport: str) -> None:
    pair = Pair(transport=transport, ttl=30.0)
    pair.client.subscribe("/topic/a")
    pair.expire()
    assert pair.clock.monotonic() == 30.0
    ended = next(each for each in pair.events if isinstance(each, ConnectionEnded))
    assert ended.outcome is Outcome.REFRESH
    assert ended.ending.error is not None
    assert ended.ending.error.error_code == ErrorCode.TOKEN_EXPIRED
    assert pair.client.session.state is ConnectionState.CONNECTED
    assert pair.session.subscription_count == 1


def test_a_token_that_never_runs_out_does_not() -> None:
    pair = Pair(verifier=AllowAll())
    with pytest.raises(LocalProtocolError):
        pair.expire()


@TRANSPORTS
def test_a_wire_is_cut_in_one_line(transport: str) -> None:
    pair = Pair(transport=transport)
    pair.cut()
    assert isinstance(pair.events[-1], ConnectionEnded)
    pair.run(2.0)
    assert pair.client.session.state is ConnectionState.CONNECTED


def _story(cut_after_steps: int | None = None) -> Pair:
    pair = Pair(cut_after_steps=cut_after_steps)
    pair.client.subscribe("/topic/a")
    pair.client.send("/queue/a", "hello")
    pair.run(30.0)
    return pair


def test_a_wire_is_cut_at_every_step() -> None:
    whole = _story()
    assert whole.client.session.epoch == 1
    steps = whole.link.steps
    assert steps > 5
    for step in range(steps):
        pair = _story(step)
        assert pair.client.session.epoch == 2, step
        assert pair.client.confirmed == [1], step
        assert pair.session.subscription_count == 1, step
        assert pair.hub.snapshot().queued_messages == 1, step


def test_only_the_first_wire_is_cut() -> None:
    pair = Pair(cut_after_bytes=0)
    pair.run(60.0)
    assert pair.client.session.epoch == 2


# --- what users test with it --------------------------------------------------------------------


def _handlers(clock: VirtualClock) -> Handlers:
    handlers = Handlers()

    @handlers.on("/app/double")
    async def double(call: Call) -> None:
        await clock.sleep(2.0)
        call.reply(str(2 * int(call.text)))

    @handlers.on("/app/refuse")
    def refuse(call: Call) -> None:
        raise Refused("Not today.")

    @handlers.on("/app/real")
    async def real(call: Call) -> None:
        await _Future()

    return handlers


class _Future:
    def __await__(self):  # type: ignore[no-untyped-def]
        yield object()


@TRANSPORTS
def test_handlers_run_in_virtual_time(transport: str) -> None:
    clock = VirtualClock()
    pair = Pair(transport=transport, handlers=_handlers(clock), clock=clock)
    pair.client.subscribe("/temp-queue/answers")
    pair.client.send("/app/double", "21", {"reply-to": "/temp-queue/answers"})
    pair.run(1.9)
    assert pair.client.received == []
    pair.run(0.1)
    assert pair.client.received == ["42"]
    assert pair.client.confirmed == [1]


def test_a_handler_that_refuses_is_seen_to_do_so() -> None:
    pair = Pair(handlers=_handlers(VirtualClock()))
    pair.client.send("/app/refuse", "x")
    pair.settle()
    failed = next(each for each in pair.events if isinstance(each, PublishFailed))
    assert isinstance(failed.error, SendRefused)


def test_a_handler_that_waits_for_a_real_loop_fails_at_once() -> None:
    pair = Pair(handlers=_handlers(VirtualClock()))
    pair.client.send("/app/real", "x")
    pair.settle()
    failed = next(each for each in pair.events if isinstance(each, PublishFailed))
    assert isinstance(failed.error, SendRefused)
    assert failed.error.error_code == ErrorCode.INTERNAL_ERROR


def test_a_handler_that_runs_while_the_server_dies_is_called_off() -> None:
    clock = VirtualClock()
    pair = Pair(handlers=_handlers(clock), clock=clock)
    pair.client.subscribe("/temp-queue/answers")
    pair.client.send("/app/double", "21", {"reply-to": "/temp-queue/answers"})
    pair.run(1.0)
    pair.crash()
    pair.start_server()
    pair.run(30.0)
    assert pair.client.confirmed == [1]
    assert pair.client.received == ["42"]


def test_a_policy_is_asked() -> None:
    pair = Pair(policy=Grants([Grant("/topic/mine", access=[Access.SEND])]))
    pair.client.subscribe("/topic/theirs")
    pair.settle()
    assert any(isinstance(each, SubscriptionEnded) and each.error for each in pair.events)


def test_a_token_source_is_asked_in_virtual_time() -> None:
    clock = VirtualClock()
    issuer = AuthServer(clock, ttl=100.0)
    asked: list[TokenReason] = []

    async def source(request: TokenRequest) -> str:
        asked.append(request.reason)
        await clock.sleep(1.0)
        if len(asked) == 2:
            raise OSError("no route")
        if len(asked) == 4:
            raise Unauthorized
        return issuer.issue("alice")

    pair = Pair(token=source, clock=clock)
    pair.run(0.9)
    assert not any(isinstance(each, Dial) for each in pair.client.actions)
    pair.run(0.1)
    assert pair.client.session.state is ConnectionState.CONNECTED
    pair.run(95.0)
    assert asked == [TokenReason.INITIAL, TokenReason.AHEAD, TokenReason.AHEAD]
    pair.run(100.0)
    assert isinstance(pair.events[-1], Stopped)
    assert isinstance(pair.events[-1].error, Unauthorized)


def test_a_verifier_is_asked() -> None:
    class Only(AllowAll):
        def verify(self, token: object, *, headers: object, now: float) -> Identity:
            return Identity(subject="somebody", expires_at=now + 5.0)

    pair = Pair(verifier=Only(), client_config=ClientConfig(refresh=None))
    assert pair.session.valid_until == pair.now + 5.0
    pair.expire()
    assert pair.client.session.epoch == 2


def test_what_a_token_source_raises_is_told_as_a_binding_would() -> None:
    async def source(request: TokenRequest) -> str:
        if request.generation == 1:
            raise KeyError("a secret")
        raise Unauthorized("the password was changed")

    pair = Pair(token=source)
    pair.run(5.0)
    faults = [each.error for each in pair.events if isinstance(each, TokenFetchFailed)]
    assert [str(each) for each in faults] == [
        "the token source raised KeyError",
        "the password was changed",
    ]
