"""From one token to the next: ahead of time if it can be, and without a gap if it can be.

A new token reaches the server in one of three ways. In place, where the server takes one (our wire
extension); the connection goes on. By a break: DISCONNECT, and a new connection. By an overlap: the
new connection is subscribed before the old one is left.
"""

from __future__ import annotations

import abc
from collections.abc import Callable

from stompcore._auth import Token
from stompcore._config import ClientConfig, Handover
from stompcore._connection import token_header
from stompcore._credential import Credential
from stompcore._dialogue import Dialogue
from stompcore._errors import (
    ErrorCode,
    StompError,
    SubjectChanged,
    SubscriptionRefused,
    TokenFailed,
    TokenUnavailable,
    Unauthorized,
)
from stompcore._events import (
    Disconnected,
    HangUp,
    Outcome,
    Receipted,
    Refreshed,
    SubscriptionActive,
    TokenFetchFailed,
    TokenReceived,
    TokenRequested,
)
from stompcore._frames import Command, Frame
from stompcore._headers import Headers
from stompcore._line import Line
from stompcore._redial import Redial
from stompcore._state import HandoverState, SubscriptionState, SubscriptionTrigger, TokenState
from stompcore._timers import Timer

__all__ = ["Changeover", "ttl_of"]

_MAX_DIGITS = 15


class Changeover(Dialogue):
    """The part of a client that has a token, and gives its connections newer ones.

    Args:
        config: see `ClientConfig`.
        random, client_id, has_token: see `ClientSession`.
        now: Unix seconds.
    """

    def __init__(
        self,
        config: ClientConfig,
        *,
        random: Callable[[], float],
        client_id: str,
        has_token: bool,
        now: float,
    ) -> None:
        super().__init__(config, client_id=client_id, now=now)
        self._redial = Redial(config.backoff, self._timers, random=random)
        self._credential = Credential(config, self._timers, random=random) if has_token else None
        # We have said DISCONNECT ourselves, to come back with a newer token.
        self._is_breaking = False
        # The generation of the token that the server was given in place, until it has answered.
        self._reauth: int | None = None

    @property
    def token_state(self) -> TokenState:
        """Where the token's table stands; NONE, for ever, without a token source."""
        return self._credential.state if self._credential else TokenState.NONE

    @property
    def token_valid_until(self) -> float | None:
        """Until when the token counts, in Unix seconds; None if nobody has said.

        By the server's `token-ttl`, or else by the token itself.
        """
        return self._credential.valid_until if self._credential else None

    @property
    def token_refresh_at(self) -> float | None:
        """When the next token will be asked for, in Unix seconds; None if that is not planned."""
        return self._timers.at(Timer.TOKEN_REFRESH)

    @property
    def subject(self) -> str | None:
        """Whom the server takes us for, or else whom the token speaks of; None if neither says."""
        if self._credential is not None:
            return self._credential.subject
        return (self.connection.user_name or None) if self.connection else None

    # --- what the driver answers ----------------------------------------------------------

    def token(self, generation: int, token: str, *, now: float) -> None:
        """Answer `FetchToken`. Dropped if it is not the fetch that is under way."""
        self._advance(now)
        credential = self._credential
        if credential is None or self.closing or not credential.awaits(generation):
            return
        token = (token or "").strip()  # a source without types may give None; a file, a line end
        fault = credential.fault(token)
        if fault is not None:
            self._no_token(generation, fault)
            return
        credential.arrived(generation, Token(token), self._now)
        self._events.append(TokenReceived(generation=generation))
        self._proceed()

    def token_failed(
        self, generation: int, *, permanent: bool, now: float, error: TokenFailed | None = None
    ) -> None:
        """Answer `FetchToken`: no token.

        Args:
            generation: of the `FetchToken`.
            permanent: there will be none any more (`Unauthorized`): the client stops.
            now: Unix seconds.
            error: in the source's own words, if it has any that are for people; they are told on.
        """
        self._advance(now)
        if error is None:
            error = (
                Unauthorized("the token source has no token for this user any more")
                if permanent
                else TokenUnavailable("the token source could not be asked")
            )
        self._no_token(generation, error)

    # --- for the machine above ------------------------------------------------------------

    @abc.abstractmethod
    def _proceed(self) -> None:
        """Do the next thing that nothing stands in the way of any more."""

    @abc.abstractmethod
    def _dial(self) -> Line:
        """Ask for a new transport."""

    @abc.abstractmethod
    def _tell_ending(self, line: Line, ending: Disconnected, outcome: Outcome) -> None:
        """A connection is over, and this comes next."""

    @abc.abstractmethod
    def _stop(self, error: StompError | None) -> None:
        """It is all over."""

    # --- the token source -----------------------------------------------------------------

    def _ask_source(self) -> None:
        """Call the token source, unless it has been called or has to be left alone for a while."""
        assert self._credential is not None
        fetch = self._credential.fetch(self._now)
        if fetch is not None:
            self._events.append(TokenRequested(generation=fetch.generation, reason=fetch.reason))
            self._actions.append(fetch)

    def _no_token(self, generation: int, fault: TokenFailed) -> None:
        is_permanent = isinstance(fault, Unauthorized | SubjectChanged)
        credential = self._credential
        if credential is None or self.closing:
            return
        if not credential.failed(generation, self._now, permanent=is_permanent):
            return
        self._events.append(TokenFetchFailed(generation=generation, error=fault))
        if is_permanent:
            self._stop(fault)

    def _refused(self, line: Line, ending: Disconnected) -> bool:
        """The server says that a token is dead: which one, and whether another would do."""
        credential = self._credential
        if credential is None:
            return False
        error = ending.error
        is_new = (
            self._reauth is not None
            and error is not None
            and error.error_code == ErrorCode.REAUTH_REJECTED
        )
        generation = credential.token_generation if is_new else line.generation
        return credential.refused(generation, was_accepted=ending.established and not is_new)

    # --- a newer token for a connection -----------------------------------------------------

    def _renew(self) -> None:
        """Give a newer token than the connection's own to the server, if there is one."""
        credential, line = self._credential, self._line
        if credential is None or line is None or not self._is_open():
            return
        refresh = self._config.refresh
        if credential.token_generation == line.generation or not credential.is_usable:
            return
        if line.refresh_destination is not None:
            self._reauthenticate(line, credential)
        elif (
            refresh is not None
            and self._handover.state is HandoverState.NONE
            and not self._is_breaking
            and not self._suspicion.is_careful
            and len(self._transactions) == 0  # they would be lost; `_settled` comes back here
            and not self._redial.is_waiting
        ):
            if refresh.handover is Handover.BREAK:
                self._is_breaking = True
                self._take_leave()
            elif self._redial.may_overlap(self._now):
                self._handover.begin(self._dial())

    def _settled(self) -> None:
        self._look_whether_restored()
        self._take_leave()
        self._renew()

    def _takes_messages(self) -> bool:
        return super()._takes_messages() and not self._is_breaking

    def _leaving(self) -> Line | None:
        """The connection that is being left for a newer one, until DISCONNECT is said."""
        line = self._line if self._is_breaking else self._handover.old
        return line if line is not None and line.is_open else None

    def _take_leave(self) -> None:
        """DISCONNECT, once no RECEIPT is due any more for what was sent, or after a while.

        Not every server answers in the order in which it was asked: RabbitMQ answers DISCONNECT
        at once, and what it has not confirmed by then would be sent again.
        """
        line = self._leaving()
        if line is None:
            return
        if self._outbox.awaits_receipt and self._timers.at(Timer.HANDOVER) is None:
            self._timers.set(Timer.HANDOVER, self._now + self._config.close_timeout)
        if not self._outbox.awaits_receipt:
            self._say_goodbye(line)

    def _say_goodbye(self, line: Line) -> None:
        assert line.connection is not None
        self._timers.cancel(Timer.HANDOVER)
        line.connection.disconnect(now=self._now)

    # --- in place -------------------------------------------------------------------------

    def _reauthenticate(self, line: Line, credential: Credential) -> None:
        if self._reauth is not None:
            return
        assert credential.token is not None
        assert line.refresh_destination is not None
        headers = {
            "destination": line.refresh_destination,
            "receipt": f"token-{credential.token_generation}",
            **token_header(self._config, credential.token),
        }
        self._send_frame(Frame(Command.SEND, headers), line)
        self._reauth = credential.token_generation
        self._timers.set(Timer.REAUTH, self._now + self._config.connect_timeout)
        self._look_at_readers()

    def _reauth_timed_out(self) -> None:
        assert self._line is not None
        assert self._line.connection is not None
        fault = "the server did not confirm the new token in time"
        self._line.connection.fail(fault, now=self._now)
        self._pull()

    def _awaits_confirmation_of_token(self) -> bool:
        return self._reauth is not None

    def _token_confirmed(self, line: Line, event: Receipted) -> None:
        if self._reauth is None or event.receipt_id != f"token-{self._reauth}" or self.closing:
            return
        assert self._credential is not None
        line.generation, self._reauth = self._reauth, None
        self._timers.cancel(Timer.REAUTH)
        self._credential.accepted(line.generation, ttl_of(event.headers), self._now)
        self._events.append(Refreshed(epoch=line.epoch, generation=line.generation))
        for id in event.headers.get_all("subscription-ended"):
            subscription = self._subscriptions.get(id)
            if subscription is not None:
                code = ErrorCode.ACCESS_DENIED
                self._end_subscription(subscription, SubscriptionRefused(code, code.message))

    # --- by an overlap --------------------------------------------------------------------

    def _overlap(self, line: Line) -> None:
        """The new connection is up: subscribe to everything on it."""
        self._handover.connected()
        self._timers.set(Timer.HANDOVER, self._now + self._config.connect_timeout)
        for subscription in self._subscriptions:
            self._send_subscribe(subscription, line)
        self._look_whether_restored()

    def _restored(self) -> None:
        old, new = self._line, self._handover.new
        assert old is not None
        assert new is not None
        self._timers.cancel(Timer.HANDOVER)
        self._handover.restored(old)
        self._line = new
        for each in self._subscriptions:
            # One is younger than the handover, and the old connection may never confirm it.
            if each.state is not SubscriptionState.ACTIVE:
                each.fire(SubscriptionTrigger.CONFIRMED)
                self._events.append(SubscriptionActive(subscription=each.id, epoch=new.epoch))
        self._take_leave()

    def _retire(self) -> None:
        """The old connection has ended: the new one has nothing to wait for any more."""
        assert self._line is not None
        self._timers.cancel(Timer.HANDOVER)
        self._outbox.lose_connection()
        self._events.extend(self._handover.retired())
        self._resend(self._line)

    def _drop_old(self) -> None:
        """The new connection has ended while the old one was still leaving: now both have."""
        old = self._handover.old
        if old is not None:
            self._timers.cancel(Timer.HANDOVER)
            self._actions.append(HangUp(epoch=old.epoch))
            self._tell_ending(old, Disconnected(established=True), Outcome.RENEW)
            self._events.extend(self._handover.retired())

    def _overflowed(self) -> None:
        self._end_handover("too many messages came while handing over")
        self._settled()

    def _end_handover(self, fault: str) -> None:
        """Be done with it at once, whichever way is shorter."""
        line = self._handover.old or self._handover.new
        if line is not None:
            self._ended(line, Disconnected(established=True, fault=fault))

    def _promote(self, new: Line) -> bool:
        """The old connection has ended before its time: the new one is the only one.

        Returns:
            Whether it is up.
        """
        is_up = self._handover.state is HandoverState.RESTORING
        confirmed = set(self._handover.confirmed)
        self._line = new
        self._timers.cancel(Timer.HANDOVER)
        waiting = self._handover.abandon()
        if is_up:
            self._suspicion.clear()  # everything has been sent on it already
            for each in self._subscriptions:
                if each.id in confirmed:
                    each.fire(SubscriptionTrigger.CONFIRMED)
                    self._events.append(SubscriptionActive(subscription=each.id, epoch=new.epoch))
            self._events.extend(waiting)
            self._resend(new)
            # What the old one's end has put off begins anew.
            assert self._credential is not None
            self._redial.connected(self._now)
            self._credential.accepted(new.generation, None, self._now)
        return is_up


def ttl_of(headers: Headers) -> float | None:
    """The seconds that `token-ttl` speaks of, or None if it says nothing that can be."""
    text = headers.get("token-ttl", "")
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        return None
    return int(text) / 1000.0
