"""`ClientSession`: what a user calls a connection, over as many physical ones as it takes.

Phase 3: it gets a new token ahead of the old one's end. Where that did not come in time, it reads
why a connection ended, gets a new token if that was the reason, dials again, subscribes to
everything again in the same order, and sends again, first, what was not confirmed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stompcore._changeover import Changeover, ttl_of
from stompcore._config import ClientConfig
from stompcore._connection import ClientConnection, connect_headers
from stompcore._endings import DEFAULT_RULES, Rule, decide, in_words
from stompcore._errors import (
    AuthenticationFailed,
    StompError,
    SubjectChanged,
    TokenTimedOut,
    Unauthorized,
)
from stompcore._events import (
    Action,
    ClientEvent,
    ConnectionEnded,
    Dial,
    Dialing,
    Disconnected,
    HangUp,
    Outcome,
    SessionEstablished,
    StatusChanged,
    Stopped,
)
from stompcore._line import Line
from stompcore._standing import Standing
from stompcore._state import (
    ConnectionState,
    ConnectionTrigger,
    HandoverState,
    Status,
    StatusTrigger,
)
from stompcore._timers import Timer
from stompcore._url import parse_url

__all__ = ["ClientSession"]

_LOGGED_OUT = (Unauthorized, SubjectChanged, AuthenticationFailed)


class ClientSession(Changeover):
    """A client, without any I/O. Keeps `Machine`'s contract, and asks for deeds by `next_action`.

    Args:
        url: where to dial; `host` of CONNECT comes from `config`.
        config: see `ClientConfig`.
        now: Unix seconds.
        random: gives floats in [0, 1), for the jitter of the backoff and of the refresh.
        client_id: unguessable and unique: what the `message-key` of every message begins with, by
            which a server knows one that it has had already. Without one there is no such header.
        has_token: whether there is a token source to ask.
        rules: what to do after which ending; the first that fits decides.

    Raises:
        LocalProtocolError: a URL that cannot be dialled.
    """

    def __init__(
        self,
        url: str,
        config: ClientConfig,
        *,
        now: float,
        random: Callable[[], float],
        client_id: str = "",
        has_token: bool = True,
        rules: Sequence[Rule] = DEFAULT_RULES,
    ) -> None:
        super().__init__(config, random=random, client_id=client_id, has_token=has_token, now=now)
        self.url = url
        self.epoch = 0
        self._host = parse_url(url).host
        self._rules = rules
        self._standing = Standing(config, self._timers)

    @property
    def status(self) -> Status:
        """What the person at the screen should see."""
        return self._standing.status

    # --- what the user asks ---------------------------------------------------------------

    def start(self, *, now: float) -> None:
        """Begin: ask for a token if there is a source, then dial."""
        self._advance(now)
        self._table.fire(ConnectionTrigger.START)
        self._proceed()

    def close(self, *, now: float) -> None:
        """Say DISCONNECT behind everything that was sent, or just stop if there is no connection.

        Legal at any moment and more than once.
        """
        self._advance(now)
        if self.closing:
            return
        self._end_handover("the client is closing")
        line = self._line
        if self._is_breaking or self._is_open():
            assert line is not None
            assert line.connection is not None
            self._table.fire(ConnectionTrigger.CLOSE)
            self._timers.clear()
            if line.is_open:  # or DISCONNECT has been said already
                line.connection.disconnect(now=self._now)
            self._look_at_readers()
        else:
            self._stop(None)

    def abort(self, *, now: float) -> None:
        """Stop at once, saying nothing. Legal at any moment and more than once."""
        self._advance(now)
        self._stop(None)

    # --- what the driver answers ----------------------------------------------------------

    def next_action(self) -> Action | None:
        """The next deed for the driver, or None."""
        return self._actions.popleft() if self._actions else None

    def dialed(self, epoch: int, *, now: float) -> ClientConnection | None:
        """Answer `Dial`: the transport is open. CONNECT is queued.

        Returns:
            The machine that this transport feeds (behind a WebSocket endpoint, if it is one), or
            None for an epoch that is over: close the transport.
        """
        self._advance(now)
        line = self._dialing(epoch)
        if line is None:
            return None
        token = None
        if self._credential is not None:
            token = self._credential.token
            line.generation = self._credential.token_generation
        headers = connect_headers(self._config, self._host, token)
        if line is self._line:
            self._table.fire(ConnectionTrigger.DIALED)
        else:
            self._handover.dialed()
        self._timers.cancel(Timer.DIAL)
        line.connection = ClientConnection(self._config, headers, now=self._now)
        return line.connection

    def dial_failed(self, epoch: int, fault: str, *, now: float) -> None:
        """Answer `Dial`: no transport. `fault` says why, in words."""
        self._advance(now)
        line = self._dialing(epoch)
        if line is not None:
            self._ended(line, Disconnected(fault=fault))

    # --- the machine's verbs --------------------------------------------------------------

    def handle_timeout(self, *, now: float) -> None:
        """Fire what is due. Legal early, late and twice."""
        self._advance(now)
        for connection in self._connections():
            connection.handle_timeout(now=self._now)
        self._pull()
        self._fire_due()

    def next_event(self) -> ClientEvent | None:
        """The next event, or None. Reads on in its connections when its own run out."""
        self._pull()
        return self._events.popleft() if self._events else None

    # --- time -----------------------------------------------------------------------------

    def _fire(self, timer: Timer, due_at: float) -> None:
        match timer:
            case Timer.DIAL:
                line = self._handover.new or self._line
                assert line is not None
                self._ended(line, Disconnected(fault="dialling took too long"))
            case Timer.TOKEN_FETCH:
                assert self._credential is not None
                fault = TokenTimedOut("the token source did not answer in time")
                self._no_token(self._credential.generation, fault)
            case Timer.TOKEN_REFRESH:
                self._ask_source()
            case Timer.TOKEN_RETRY:
                if self.state is ConnectionState.CONNECTED:
                    self._ask_source()
                self._proceed()
            case Timer.REDIAL:
                self._proceed()
            case Timer.REAUTH:
                self._reauth_timed_out()
            case Timer.HANDOVER:
                leaving = self._leaving()
                if leaving is not None:
                    self._say_goodbye(leaving)
                elif self._handover.state is HandoverState.RESTORING:
                    self._end_handover("it took too long to subscribe to everything again")
                else:
                    self._events.extend(self._handover.rescue())
            case Timer.STABLE:
                self._redial.stable()
            case Timer.OUTBOX:
                self._fail_old_messages()
            case Timer.RECOVERING:
                self._show(StatusTrigger.OVERDUE)
            case Timer.OFFLINE:
                self._show(StatusTrigger.GIVEN_UP)
            case _:  # pragma: no cover
                raise AssertionError(timer)

    # --- connections come -----------------------------------------------------------------

    def _proceed(self) -> None:
        if self.state is ConnectionState.CONNECTED:
            self._renew()
        if self.state is not ConnectionState.WAITING:
            return
        credential = self._credential
        if credential is not None:
            credential.run_out(self._now)
            if not credential.is_usable:
                self._ask_source()
                return
        if self._redial.is_waiting:
            return
        self._table.fire(ConnectionTrigger.DIAL)
        self._line = self._dial()

    def _dial(self) -> Line:
        self.epoch += 1
        self._redial.dialing(self._now)
        self._timers.set(Timer.DIAL, self._now + self._config.dial_timeout)
        self._events.append(Dialing(epoch=self.epoch))
        self._actions.append(Dial(url=self.url, epoch=self.epoch))
        return Line(self.epoch)

    def _dialing(self, epoch: int) -> Line | None:
        """The line of this epoch, if its transport is being opened."""
        for line in self._lines():
            if line.epoch == epoch and line.connection is None:
                return line
        return None

    def _established(self, line: Line, event: SessionEstablished) -> None:
        headers, credential = event.headers, self._credential
        if credential is not None:
            fault = credential.fault_of_user(headers.get("user-name"))
            if fault is not None:
                self._stop(fault)
                return
            if self._config.refresh is not None:
                line.refresh_destination = headers.get("token-refresh") or None
            credential.accepted(line.generation, ttl_of(headers), self._now)
        self._redial.connected(self._now)
        if line is not self._line:
            self._overlap(line)
            return
        self._table.fire(ConnectionTrigger.CONNECTED)
        self._resume(line)
        self._show(StatusTrigger.CONNECTED)
        self._renew()  # a newer token may have come since CONNECT left

    # --- connections go -------------------------------------------------------------------

    def _ended(self, line: Line, ending: Disconnected) -> None:
        self._actions.append(HangUp(epoch=line.epoch))
        # Only what was sent on the current one can be to blame.
        self._suspicion.note(self._unanswered() if line is self._line else ())
        if line is self._handover.old:
            self._blame(line, ending)
            self._tell_ending(line, ending, Outcome.RENEW)
            self._retire()
            return
        self._timers.cancel(Timer.DIAL)
        self._timers.cancel(Timer.STABLE)
        if line is self._handover.new:
            self._timers.cancel(Timer.HANDOVER)
            self._events.extend(self._handover.lose_new())
            if self._handover.has_stranded:
                self._timers.set(Timer.HANDOVER, self._now + self._config.close_timeout)
            if self._judge(line, ending) is not Outcome.STOP:
                self._try_again_later()
            return
        self._drop_old()
        if self._handover.state is not HandoverState.RESTORING:
            self._handover.forget()
            self._events.extend(self._handover.rescue())
        self._timers.cancel(Timer.REAUTH)
        if self._is_breaking:
            self._timers.cancel(Timer.HANDOVER)
        self._outbox.lose_connection()
        self._subscriptions.lose_connection()
        if self._credential is not None:
            self._credential.unused()
        self._line = None
        outcome = self._judge(line, ending)
        self._reauth, self._is_breaking = None, False
        if outcome is not Outcome.STOP:
            self._go_on(ending, outcome)

    def _judge(self, line: Line, ending: Disconnected) -> Outcome:
        """Decide what comes next, tell it, and stop if nothing does."""
        outcome = decide(ending, self._rules)
        is_ours = self._is_breaking and ending.established and ending.error is None
        if is_ours and (ending.clean or outcome is not Outcome.STOP):
            outcome = Outcome.RENEW
        elif outcome is not Outcome.REFRESH and self._blame(line, ending):
            outcome = Outcome.RETRY  # without the frame that was at fault
        if self.closing or (outcome is Outcome.REFRESH and not self._refused(line, ending)):
            outcome = Outcome.STOP
        if outcome is not Outcome.STOP and self._handover.new is not None:
            outcome = Outcome.RENEW
        self._lose_transactions(line)
        self._tell_ending(line, ending, outcome)
        if outcome is Outcome.STOP:
            text = f"the server refuses this client: {in_words(ending)}"
            self._stop(None if self.closing else AuthenticationFailed(text))
        return outcome

    def _go_on(self, ending: Disconnected, outcome: Outcome) -> None:
        """There is no current connection any more, and there shall be one."""
        self._table.fire(ConnectionTrigger.ENDED)
        new = self._handover.new
        if new is not None:
            state = self._handover.state
            self._table.fire(ConnectionTrigger.DIAL)
            if state is HandoverState.DIALING:
                self._timers.set(Timer.DIAL, self._now + self._config.dial_timeout)
            else:
                self._table.fire(ConnectionTrigger.DIALED)
            if state is HandoverState.RESTORING:
                self._table.fire(ConnectionTrigger.CONNECTED)
            if not self._promote(new):
                self._standing.lost(self._now)
            return
        self._standing.lost(self._now)
        # An expiry burns no step of the backoff, as long as that cannot make a hot loop.
        credential = self._credential
        at_once = outcome is not Outcome.RETRY and (
            self._redial.has_held(self._now)
            if ending.established
            else credential is not None and credential.was_refused_once
        )
        if not at_once:
            self._redial.back_off(self._now)
        self._proceed()

    def _try_again_later(self) -> None:
        """A handover has failed; the old connection lives on."""
        self._redial.back_off(self._now)
        credential = self._credential
        assert credential is not None
        if not credential.is_usable:
            credential.ask_later(self._now)

    def _tell_ending(self, line: Line, ending: Disconnected, outcome: Outcome) -> None:
        self._events.append(ConnectionEnded(epoch=line.epoch, ending=ending, outcome=outcome))

    def _stop(self, error: StompError | None) -> None:
        if self.closed:
            return
        self._table.fire(ConnectionTrigger.STOP)
        self._timers.clear()
        self._actions.extend(HangUp(epoch=line.epoch) for line in self._lines())
        self._line = None
        if self._handover.state is not HandoverState.NONE:
            self._events.extend(self._handover.abandon())
        self._events.extend(self._handover.rescue())
        if self._credential is not None:
            self._credential.forget()
        self._give_up_everything(error)
        is_logged_out = isinstance(error, _LOGGED_OUT)
        self._show(StatusTrigger.REFUSED if is_logged_out else StatusTrigger.GIVEN_UP)
        self._events.append(Stopped(error=error))

    def _show(self, trigger: StatusTrigger) -> None:
        if self._standing.fire(trigger):
            self._events.append(StatusChanged(status=self._standing.status))
