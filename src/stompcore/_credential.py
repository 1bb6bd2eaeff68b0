"""The token of a client: one call of its source at a time, whoever asks.

Every call has a generation. An answer of another generation than the one under way is void: the
user may have logged out, or the call may have taken too long. A token is known by the generation
of the call that brought it, and so a refusal of an older one does not fall upon a newer.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from stompcore._auth import Token
from stompcore._claims import peek
from stompcore._config import ClientConfig
from stompcore._errors import SubjectChanged, TokenFailed, TokenUnchanged, TokenUnusable
from stompcore._events import FetchToken, TokenReason
from stompcore._machine import StateMachine
from stompcore._state import TOKEN, TokenState, TokenTrigger
from stompcore._timers import Timer, Timers

__all__ = ["Credential"]

_OTHER = "there is a token for another subject than the session began with"
_CALLED = frozenset({TokenState.FETCHING, TokenState.RENEWING})
_USABLE = frozenset({TokenState.FRESH, TokenState.RENEWING})


class Credential:
    """The current token, and what has become of it.

    Args:
        config: for `refresh`, `token_timeout`, `token_refusals` and the backoff.
        timers: of the machine that this is a part of: TOKEN_FETCH, TOKEN_RETRY and TOKEN_REFRESH
            are set here.
        random: gives floats in [0, 1).
    """

    def __init__(
        self, config: ClientConfig, timers: Timers, *, random: Callable[[], float]
    ) -> None:
        self.generation = 0
        self.token: Token | None = None
        self.token_generation = 0
        self._config = config
        self._timers = timers
        self._random = random
        self._table = StateMachine(TOKEN, TokenState.NONE)
        self._failures = 0  # of the source, in a row
        self._refusals = 0  # of fresh tokens by the server, in a row
        self._called_at = -math.inf
        self._valid_until = math.inf
        self._is_presumed = False  # that the token is dead: no server has said so
        self._subject: str | None = None
        self._user_name: str | None = None

    @property
    def state(self) -> TokenState:
        """Where the token's table stands."""
        return self._table.state

    @property
    def is_usable(self) -> bool:
        """Whether there is a token that nobody has refused."""
        return self.state in _USABLE

    @property
    def was_refused_once(self) -> bool:
        """Whether the last connection refused its token, and the one before it did not."""
        return self._refusals == 1

    @property
    def valid_until(self) -> float | None:
        """Until when the token counts, in Unix seconds; None if nobody has said."""
        return None if self._valid_until == math.inf else self._valid_until

    @property
    def subject(self) -> str | None:
        """Whom the server takes us for, or else whom the token speaks of; None if neither says."""
        return self._user_name or self._subject

    # --- the source -----------------------------------------------------------------------

    def fetch(self, now: float) -> FetchToken | None:
        """The call to make now; None if one is under way, or has to wait for its retry."""
        if self.state in _CALLED or self._timers.at(Timer.TOKEN_RETRY) is not None:
            return None
        if self.state is TokenState.FRESH:
            reason = TokenReason.AHEAD
        else:
            reason = TokenReason.INITIAL if self.token is None else TokenReason.EXPIRED
        self._table.fire(TokenTrigger.FETCH)
        self.generation += 1
        self._called_at = now
        self._timers.cancel(Timer.TOKEN_REFRESH)
        self._timers.set(Timer.TOKEN_FETCH, now + self._config.token_timeout)
        return FetchToken(generation=self.generation, reason=reason)

    def fault(self, text: str) -> TokenFailed | None:
        """Why what the source gave is of no use, or None if it is."""
        if not (text and text.isascii() and text.isprintable()):
            return TokenUnusable("the token source gave something that is no token")
        token = Token(text)
        # One that has run out by our own reckoning only may be good: clocks are set, and laptops
        # sleep.
        if token == self.token and not self._is_presumed:
            return TokenUnchanged("the token source gave the token that was to be replaced")
        subject = peek(token).subject
        self._subject = self._subject or subject
        return None if subject in (None, self._subject) else SubjectChanged(_OTHER)

    def fault_of_user(self, name: str | None) -> SubjectChanged | None:
        """Why a server that takes us for `name` is none for this session, or None.

        It need not call a user what the token does, but has to keep to it.
        """
        self._user_name = self._user_name or name
        return None if name in (None, "", self._user_name) else SubjectChanged(_OTHER)

    def arrived(self, generation: int, token: Token, now: float) -> bool:
        """The source has answered; False if nobody waits for this answer."""
        if not self.awaits(generation):
            return False
        self._answered(TokenTrigger.ARRIVED)
        self.token = token
        self.token_generation = generation
        self._failures = 0
        self._is_presumed = False
        life = peek(token).life(now)
        self._valid_until = math.inf if life is None else now + life
        return True

    def failed(self, generation: int, now: float, *, permanent: bool) -> bool:
        """The source has failed; False if nobody waits for this answer."""
        if not self.awaits(generation):
            return False
        if permanent:
            self._answered(TokenTrigger.UNAUTHORIZED)
            return True
        self._answered(TokenTrigger.FETCH_FAILED)
        self.ask_later(now)
        return True

    def ask_later(self, now: float) -> None:
        """Take the next step of the backoff: TOKEN_RETRY will say when to ask again.

        Not while a call is under way: its answer decides.
        """
        if self.state in _CALLED:
            return
        delay = self._config.backoff.delay(self._failures, self._random())
        self._failures += 1
        self._timers.set(Timer.TOKEN_RETRY, now + delay)

    def awaits(self, generation: int) -> bool:
        """Whether this call is under way."""
        return generation == self.generation and self.state in _CALLED

    # --- the server -----------------------------------------------------------------------

    def accepted(self, generation: int, ttl: float | None, now: float) -> None:
        """A server has taken a token.

        Args:
            generation: of the token that it has taken.
            ttl: for how many seconds it will, if it has said so.
            now: Unix seconds.
        """
        self._refusals = 0
        if generation != self.token_generation:
            return  # a newer one has come since, and is the next that the server gets
        if ttl is not None:
            self._valid_until = now + ttl
        self._arm(now)

    def refused(self, generation: int, *, was_accepted: bool) -> bool:
        """A server says that the token of this generation is dead: it is never sent again.

        Args:
            generation: of the token that it means.
            was_accepted: whether it had been taken before.

        Returns:
            False when one fresh token too many was refused: another would be refused too.
        """
        self._timers.cancel(Timer.TOKEN_REFRESH)
        if generation == self.token_generation:
            self._is_presumed = False
            if self.is_usable:
                self._table.fire(TokenTrigger.EXPIRED)
        if not was_accepted:
            self._refusals += 1
        return self._refusals < self._config.token_refusals

    def run_out(self, now: float) -> None:
        """Give up a token that has run out by our own reckoning: the server would refuse it."""
        if self._config.refresh is not None and self.is_usable and now >= self._valid_until:
            self._table.fire(TokenTrigger.EXPIRED)
            self._is_presumed = True

    def unused(self) -> None:
        """No connection lives on the token: it needs no renewal until there is one."""
        self._timers.cancel(Timer.TOKEN_REFRESH)

    def forget(self) -> None:
        """The client has stopped: drop the token, and any answer that is under way."""
        self.generation += 1
        self.token = None

    # --- inside ---------------------------------------------------------------------------

    def _answered(self, trigger: TokenTrigger) -> None:
        self._timers.cancel(Timer.TOKEN_FETCH)
        self._table.fire(trigger)

    def _arm(self, now: float) -> None:
        refresh = self._config.refresh
        if refresh is None or self._valid_until == math.inf or self.state is not TokenState.FRESH:
            return
        delay = refresh.delay(self._valid_until - now, self._random())
        # Tokens that live for less than the backoff's floor must not make a hot loop.
        earliest_at = self._called_at + self._config.backoff.minimum
        self._timers.set(Timer.TOKEN_REFRESH, max(now + delay, earliest_at))
