"""The token of a client: one call of its source at a time, whoever asks.

Every call has a generation. An answer of another generation than the one under way is void: the
user may have logged out, or the call may have taken too long.
"""

from __future__ import annotations

from collections.abc import Callable

from stompcore._auth import Token
from stompcore._config import ClientConfig
from stompcore._events import FetchToken, TokenReason
from stompcore._machine import StateMachine
from stompcore._state import TOKEN, TokenState, TokenTrigger
from stompcore._timers import Timer, Timers

__all__ = ["Credential"]


class Credential:
    """The current token, and what has become of it.

    Args:
        config: for `token_timeout`, `token_refusals` and the backoff.
        timers: of the machine that this is a part of: TOKEN_FETCH and TOKEN_RETRY are set here.
        random: gives floats in [0, 1).
    """

    def __init__(
        self, config: ClientConfig, timers: Timers, *, random: Callable[[], float]
    ) -> None:
        self.generation = 0
        self.token: Token | None = None
        self._config = config
        self._timers = timers
        self._random = random
        self._table = StateMachine(TOKEN, TokenState.NONE)
        self._failures = 0  # of the source, in a row
        self._refusals = 0  # of fresh tokens by the server, in a row

    @property
    def state(self) -> TokenState:
        """Where the token's table stands."""
        return self._table.state

    @property
    def is_fresh(self) -> bool:
        """Whether there is a token that nobody has refused."""
        return self.state is TokenState.FRESH

    @property
    def was_refused_once(self) -> bool:
        """Whether the last connection refused its token, and the one before it did not."""
        return self._refusals == 1

    def fetch(self, now: float) -> FetchToken | None:
        """The call to make now; None if one is under way, or has to wait for its retry."""
        if self.state is TokenState.FETCHING or self._timers.at(Timer.TOKEN_RETRY) is not None:
            return None
        reason = TokenReason.INITIAL if self.token is None else TokenReason.EXPIRED
        self._table.fire(TokenTrigger.FETCH)
        self.generation += 1
        self._timers.set(Timer.TOKEN_FETCH, now + self._config.token_timeout)
        return FetchToken(generation=self.generation, reason=reason)

    def arrived(self, generation: int, token: Token) -> bool:
        """The source has answered; False if nobody waits for this answer."""
        if not self._answers(generation):
            return False
        self._table.fire(TokenTrigger.ARRIVED)
        self.token = token
        self._failures = 0
        return True

    def failed(self, generation: int, now: float, *, permanent: bool) -> bool:
        """The source has failed; False if nobody waits for this answer."""
        if not self._answers(generation):
            return False
        if permanent:
            self._table.fire(TokenTrigger.UNAUTHORIZED)
            return True
        self._table.fire(TokenTrigger.FETCH_FAILED)
        delay = self._config.backoff.delay(self._failures, self._random())
        self._failures += 1
        self._timers.set(Timer.TOKEN_RETRY, now + delay)
        return True

    def accepted(self) -> None:
        """A server has said CONNECTED to the token."""
        self._refusals = 0

    def expired(self, *, was_accepted: bool) -> bool:
        """A server says that the token is dead: it is never sent again.

        Args:
            was_accepted: whether CONNECTED had come first.

        Returns:
            False when one fresh token too many was refused: another would be refused too.
        """
        if self.is_fresh:
            self._table.fire(TokenTrigger.EXPIRED)
        if not was_accepted:
            self._refusals += 1
        return self._refusals < self._config.token_refusals

    def forget(self) -> None:
        """The client has stopped: drop the token, and any answer that is under way."""
        self.generation += 1
        self.token = None

    def _answers(self, generation: int) -> bool:
        if generation != self.generation or self.state is not TokenState.FETCHING:
            return False
        self._timers.cancel(Timer.TOKEN_FETCH)
        return True
