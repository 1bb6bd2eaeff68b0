"""OAuth 2.0: a refresh token or a client's own credentials, for an access token.

Several clients may share one source, and so a source has three rules:

1. *One request at a time.* Whoever asks while one is on its way gets what that one brings, a token
   or a failure. A refresh token that rotates (RFC 9700 section 4.14.2) is spent by its first use;
   a second one looks like theft, and ends all of the user's tokens.
2. *Nobody gets the token again that it wants replaced.* A source cannot tell its clients apart, but
   each of them counts its requests: whoever sends request N was last given what request N-1
   brought, to one of the clients. A token that is newer than all of those will do, and costs no
   request.
3. *A request with a refresh token is brought to its end*, even when its caller is cancelled, for it
   may bring the next refresh token. Its access token is kept for the next one who asks.
"""

from __future__ import annotations

import abc
import inspect
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from anyio import Event, move_on_after
from anyio.lowlevel import checkpoint

from stompcore import (
    LocalProtocolError,
    Token,
    TokenReason,
    TokenRequest,
    TokenUnavailable,
    Unauthorized,
)
from stompcore.driver import EpochClock
from stompcore_tokens._answers import Answer, Refused
from stompcore_tokens._endpoint import AuthMethod, Form, TokenEndpoint
from stompcore_tokens._finish import finish

if TYPE_CHECKING:
    import httpx

__all__ = ["OAuth2ClientCredentials", "OAuth2RefreshToken"]

logger = logging.getLogger("stompcore.tokens")

#: A token is given to another client only in this share of its life.
_SHARED = 0.75
#: How long, in seconds, a token is that does not say how long it lives.
_SHARED_FOR = 30.0
_REQUESTS_KEPT = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class _Obtained:
    """An access token; each that differs from the one before has the next number."""

    token: Token
    number: int
    shared_until: float


class _Flight:
    """A request that is on its way, and what it brought: neither, if it was cancelled."""

    def __init__(self) -> None:
        self.is_over = Event()
        self.obtained: _Obtained | None = None
        self.error: TokenUnavailable | Unauthorized | None = None


class _OAuth2Source(abc.ABC):
    """What the grants have in common."""

    def __init__(self, endpoint: TokenEndpoint, clock: Callable[[], float] | None) -> None:
        self._endpoint = endpoint
        self._clock = clock or EpochClock(time.monotonic, time.time).now
        self._newest: _Obtained | None = None
        self._flight: _Flight | None = None
        self._given: dict[int, int] = {}  # request's generation to the token's number
        self._is_closed = False

    async def __call__(self, request: TokenRequest) -> str:
        """A token for `request`.

        Raises:
            Unauthorized: the auth server refuses, for good.
            TokenUnavailable: there was none this time.
            LocalProtocolError: the source was closed.
        """
        held = self._given.get(request.generation - 1)
        # A request that fails leaves its client with what it had.
        self._note(request.generation, held)
        await checkpoint()  # who is cancelled already begins nothing
        self._require_open()
        obtained = self._at_hand(request, held)
        while obtained is None:
            obtained = await self._request()
        self._note(request.generation, obtained.number)
        return obtained.token.reveal()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Make no further request, and wait for one that is on its way.

        Nothing stays open without it. A given `http` is not closed.
        """
        self._is_closed = True
        if self._flight is not None:
            await self._flight.is_over.wait()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._endpoint.origin}>"

    # --- for the grants -------------------------------------------------------------------

    @abc.abstractmethod
    async def _ask(self) -> Answer:
        """Ask the endpoint, once; Refused, Unauthorized or TokenUnavailable if that is in vain."""

    async def _fly(self, flight: _Flight) -> None:
        """Make a request, and note what it brings."""
        try:
            flight.obtained = await self._obtain()
        except (TokenUnavailable, Unauthorized) as error:
            flight.error = error

    # --- inside ---------------------------------------------------------------------------

    def _require_open(self) -> None:
        if self._is_closed:
            raise LocalProtocolError("the token source is closed")

    def _at_hand(self, request: TokenRequest, held: int | None) -> _Obtained | None:
        """The newest token, if it will do."""
        newest = self._newest
        if newest is None or self._clock() >= newest.shared_until:
            return None
        if request.reason is TokenReason.INITIAL:
            return newest
        return newest if held is not None and held < newest.number else None

    def _note(self, generation: int, number: int | None) -> None:
        """A request of this generation has left its client with this token, or a newer one."""
        if number is not None:
            self._given[generation] = max(number, self._given.pop(generation, number))
            if len(self._given) > _REQUESTS_KEPT:
                del self._given[next(iter(self._given))]

    async def _request(self) -> _Obtained | None:
        """What the request brings that is on its way, or else one of our own.

        None if who made it was cancelled.
        """
        flight = self._flight
        if flight is None:
            self._require_open()
            flight = self._flight = _Flight()
            try:
                await self._fly(flight)
            finally:
                self._flight = None
                flight.is_over.set()
        else:
            await flight.is_over.wait()
        if flight.error is not None:
            # A new one for each: they are raised in different tasks.
            raise type(flight.error)(str(flight.error))
        return flight.obtained

    async def _obtain(self) -> _Obtained:
        began_at = self._clock()
        try:
            answer = await self._ask()
        except Refused as refusal:
            raise Unauthorized(str(refusal)) from None
        if answer.access_token is None:
            raise TokenUnavailable(answer.fault)
        number = 0
        if self._newest is not None:
            number = self._newest.number + (self._newest.token != answer.access_token)
        shared_for = _SHARED_FOR if answer.lifetime is None else _SHARED * answer.lifetime
        self._newest = _Obtained(
            token=answer.access_token, number=number, shared_until=began_at + shared_for
        )
        return self._newest


class OAuth2RefreshToken(_OAuth2Source):
    """A token source that has a refresh token (RFC 6749 section 6), and follows its rotation.

    Give it to `connect` as `token`, to one client or to several in one event loop. Two sources, or
    two programs, must not have the same refresh token.

    A call that is cancelled while a request is on its way ends when the request does, within
    `request_timeout`; others that wait for it can be cancelled at once. Where an answer is lost on
    the way, nobody can know whether the refresh token was spent. It is the only one there is, and
    so it is sent again: the auth server either puts up with that, or the user has to log in.

    Args:
        token_url: the token endpoint; ``https://``, or ``http://`` on this machine.
        client_id: whose refresh token it is.
        client_secret: of a confidential client.
        refresh_token: the first one.
        scope: for access tokens that may do less; as a rule, None.
        save: is given each new refresh token, in time before any access token that came with it
            is used; a function or an async one. Its failures are logged, and the token is used all
            the same. An async one has `request_timeout` to finish in.
        http: who makes the requests, with proxies and certificates of its own; not closed here.
        auth_method: "basic", "post" or "none"; by default "basic" where there is a secret.
        extra: further parameters of each request, `audience` for example.
        request_timeout: for one request as a whole, in seconds.
        allow_http: allow ``http://`` to any host. Whoever listens on the way has the tokens.
        clock: tells the time in seconds, for tests.

    Raises:
        LocalProtocolError: one of these makes no sense, or not with the others.
        ImportError: httpx is not installed.
    """

    def __init__(
        self,
        token_url: str,
        *,
        client_id: str,
        client_secret: str | None = None,
        refresh_token: str,
        scope: str | None = None,
        save: Callable[[str], object] | None = None,
        http: httpx.AsyncClient | None = None,
        auth_method: AuthMethod | None = None,
        extra: Form | None = None,
        request_timeout: float = 10.0,
        allow_http: bool = False,
        clock: Callable[[], float] | None = None,
    ) -> None:
        endpoint = TokenEndpoint(
            token_url,
            client_id=client_id,
            client_secret=client_secret,
            auth_method=auth_method,
            extra=extra,
            http=http,
            request_timeout=request_timeout,
            allow_http=allow_http,
        )
        super().__init__(endpoint, clock)
        self._refresh_token = Token(refresh_token)
        self._scope = scope
        self._save = save
        self._refusal: str | None = None

    async def _fly(self, flight: _Flight) -> None:
        fly = super()._fly
        await finish(lambda: fly(flight))

    async def _ask(self) -> Answer:
        if self._refusal is not None:
            raise Refused(self._refusal, is_dead=True)
        form = {"grant_type": "refresh_token", "refresh_token": self._refresh_token.reveal()}
        if self._scope is not None:
            form["scope"] = self._scope
        try:
            answer = await self._endpoint.ask(form)
        except Refused as refusal:
            if refusal.is_dead:
                self._refusal = str(refusal)
            raise
        if answer.refresh_token is not None and answer.refresh_token != self._refresh_token:
            self._refresh_token = answer.refresh_token
            await self._keep(answer.refresh_token)
        return answer

    async def _keep(self, refresh_token: Token) -> None:
        if self._save is None:
            return
        why = f"it took longer than {self._endpoint.request_timeout:g} s"
        with move_on_after(self._endpoint.request_timeout):
            try:
                saving = self._save(refresh_token.reveal())
                if inspect.isawaitable(saving):
                    await saving
                return
            except Exception as error:  # the user's code must not cost the user the token
                # Its text may hold the token; its type cannot.
                why = type(error).__name__
        logger.warning("the new refresh token was not saved: %s", why)


class OAuth2ClientCredentials(_OAuth2Source):
    """A token source for a program that acts for itself (RFC 6749 section 4.4).

    Give it to `connect` as `token`, to one client or to several in one event loop.

    Args:
        token_url: the token endpoint; ``https://``, or ``http://`` on this machine.
        client_id: who asks.
        client_secret: its password. None only with `auth_method` "none", where `http` says who
            asks, by a certificate for example.
        scope: what the token is to allow, or None for what the auth server gives.
        http, auth_method, extra, request_timeout, allow_http, clock: see `OAuth2RefreshToken`.

    Raises:
        LocalProtocolError: one of these makes no sense, or not with the others.
        ImportError: httpx is not installed.
    """

    def __init__(
        self,
        token_url: str,
        *,
        client_id: str,
        client_secret: str | None = None,
        scope: str | None = None,
        http: httpx.AsyncClient | None = None,
        auth_method: AuthMethod | None = None,
        extra: Form | None = None,
        request_timeout: float = 10.0,
        allow_http: bool = False,
        clock: Callable[[], float] | None = None,
    ) -> None:
        endpoint = TokenEndpoint(
            token_url,
            client_id=client_id,
            client_secret=client_secret,
            auth_method=auth_method or "basic",
            extra=extra,
            http=http,
            request_timeout=request_timeout,
            allow_http=allow_http,
        )
        super().__init__(endpoint, clock)
        self._scope = scope

    async def _ask(self) -> Answer:
        form = {"grant_type": "client_credentials"}
        if self._scope is not None:
            form["scope"] = self._scope
        return await self._endpoint.ask(form)
