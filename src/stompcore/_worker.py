"""What becomes of a session's work: the policy is asked, a handler or the broker does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stompcore._calls import Calls, PendingCall
from stompcore._counters import Counters
from stompcore._duplicates import Duplicates
from stompcore._errors import ErrorCode, RemoteProtocolError
from stompcore._events import (
    Acked,
    Committed,
    Nacked,
    Reauthenticated,
    Sent,
    Subscribed,
    Unsubscribed,
    Work,
)
from stompcore._headers import Headers
from stompcore._revocations import Revocations
from stompcore._server import ServerSession
from stompcore.broker import Broker, Delivery, Sender
from stompcore.handlers import Call, Handlers, Job, Refused
from stompcore.policy import Access, Policy

__all__ = ["Worker"]


class Worker:
    """Does the work of all sessions of one hub.

    Args:
        broker, policy, handlers: whom to ask.
        deliver: hands deliveries to their sessions, at the instant that it is given.
        revocations: what of its tokens does not count any more.
        duplicates: what was done already.
        counters: of the server.
        backlog: see `Limits.handler_backlog`.
    """

    def __init__(
        self,
        broker: Broker,
        policy: Policy,
        handlers: Handlers,
        deliver: Callable[[Sequence[Delivery], float], None],
        revocations: Revocations,
        duplicates: Duplicates,
        counters: Counters,
        *,
        backlog: int,
    ) -> None:
        self.calls = Calls(backlog)
        self._broker = broker
        self._policy = policy
        self._handlers = handlers
        self._deliver = deliver
        self._revocations = revocations
        self._duplicates = duplicates
        self._counters = counters

    def do(self, session: ServerSession, event: Work, now: float) -> None:
        """Do one event's work, and answer it."""
        try:
            match event:
                case Sent():
                    key = self._duplicates.key_of(event.headers)
                    if key is not None and self._is_known(session, key, now):
                        self._counters.duplicates += 1
                    elif self._handlers.find(event.destination) is not None:
                        self._check(session, [event])
                        self._send([(event, key)], session, event, now)
                        return
                    else:
                        self._require(session, Access.SEND, event.destination)
                        self._publish(session, event, key, now)
                case Committed():
                    self._commit(session, event, now)
                    return
                case Subscribed():
                    self._subscribe(session, event)
                case Unsubscribed():
                    unsent = session.take_unsent()
                    self._broker.unsubscribe(session.session_id, event.subscription, unsent)
                case Acked() | Nacked():
                    self._answer(session.session_id, event)
                case Reauthenticated():
                    self._look_again(session, now)
        except RemoteProtocolError as error:
            session.fail_work(event, error, now=now, cause=_cause(error))
        else:
            session.done(event, now=now)

    def publish(self, destination: str, headers: Headers, body: bytes, now: float) -> None:
        """Send a message on the server's own behalf.

        Raises:
            RemoteProtocolError: as `Broker.publish`.
        """
        deliveries = self._broker.publish(destination, headers, body)
        self._counters.published += 1
        self._deliver(deliveries, now)

    def finish(self, job: Job, now: float) -> list[str]:
        """A job has run: let it take effect, and begin the next of its session.

        Returns:
            The sessions that went on: its own, and those that waited for what becomes of it.
        """
        session_id = job.call.session_id
        pending = self.calls.current(session_id)
        assert pending is not None
        assert pending.call is job.call
        error = job.error
        if error is None:
            try:
                # It may have run past its token's end: nobody can be told that it was done, and a
                # client that sends again must not find it done twice.
                self._look_at(pending.session, now)
                self._require(pending.session, Access.SEND, pending.call.destination)
            except Exception as raised:
                error = raised
        self._finish(pending, error, now)
        going_on = [session_id, *self.calls.release(pending)]
        for each in going_on:
            self._go_on(each, now)
        return going_on

    # --- who may --------------------------------------------------------------------------

    def _require(self, session: ServerSession, access: Access, destination: str) -> None:
        if not self._allows(session, access, destination):
            verb = "send" if access is Access.SEND else "listen"
            raise RemoteProtocolError(ErrorCode.ACCESS_DENIED, f"You may not {verb} there.")

    def _allows(self, session: ServerSession, access: Access, destination: str) -> bool:
        assert session.identity is not None
        try:
            return self._policy.allows(session.identity, access, destination)
        except Exception as error:  # the application's bug must not end the server
            raise RemoteProtocolError(ErrorCode.INTERNAL_ERROR) from error

    def _look_again(self, session: ServerSession, now: float) -> None:
        """After a refresh, rights may have shrunk: end what the peer may not hear any more."""
        for key, destination in self._broker.subscriptions(session.session_id):
            if not self._allows(session, Access.SUBSCRIBE, destination):
                session.unsubscribe(key, now=now)
                self._broker.unsubscribe(session.session_id, key, session.take_unsent())

    def _subscribe(self, session: ServerSession, event: Subscribed) -> None:
        self._require(session, Access.SUBSCRIBE, event.destination)
        self._broker.subscribe(
            _sender(session),
            event.subscription,
            event.destination,
            ack=event.ack,
            headers=event.headers,
        )

    def _answer(self, session_id: str, event: Acked | Nacked) -> None:
        act = self._broker.ack if isinstance(event, Acked) else self._broker.nack
        act(session_id, event.message_id, event.subscription)

    # --- messages -------------------------------------------------------------------------

    def _publish(self, session: ServerSession, sent: Sent, key: str | None, now: float) -> None:
        deliveries = self._broker.publish(
            sent.destination, sent.headers, sent.body, sender=_sender(session)
        )
        self._counters.published += 1
        self._remember(session, key, now)
        self._deliver(deliveries, now)

    def _commit(self, session: ServerSession, event: Committed, now: float) -> None:
        """All of a transaction, or nothing of it: everything is looked at before anything is done.

        Raises:
            RemoteProtocolError: some of it cannot be done.
        """
        sent, known = self._sift(session, event, now)
        answers = [each for each in event.work if not isinstance(each, Sent)]
        self._broker.check_answers(
            session.session_id, [(each.message_id, each.subscription) for each in answers]
        )
        self._check(session, [each for each, _ in sent])
        self._counters.duplicates += known
        for each in answers:
            self._answer(session.session_id, each)
        self._send(sent, session, event, now)

    def _sift(
        self, session: ServerSession, event: Committed, now: float
    ) -> tuple[list[tuple[Sent, str | None]], int]:
        """What of a transaction is to be sent, each with its key, and how much was done before."""
        found: list[tuple[Sent, str | None]] = []
        known, own = 0, set[str]()
        for each in event.work:
            if not isinstance(each, Sent):
                continue
            key = self._duplicates.key_of(each.headers)
            if key is not None and (key in own or self._is_known(session, key, now)):
                known += 1
                continue
            if key is not None:
                own.add(key)
            found.append((each, key))
        return found, known

    def _check(self, session: ServerSession, sent: Sequence[Sent]) -> None:
        """Whether all of these can be sent.

        Raises:
            RemoteProtocolError: one of them cannot.
        """
        for each in sent:
            self._require(session, Access.SEND, each.destination)
            self._broker.reply_address(session.session_id, each.headers)
        self._broker.check(
            [
                (each.destination, each.headers, each.body)
                for each in sent
                if self._handlers.find(each.destination) is None
            ],
            sender=_sender(session),
        )

    def _send(
        self,
        sent: Sequence[tuple[Sent, str | None]],
        session: ServerSession,
        work: Work,
        now: float,
    ) -> None:
        """Send these, each with its key, in order; `work` is done when all of them are.

        `_check` has said that all of them can be.
        """
        last_call = max(
            (i for i, (each, _) in enumerate(sent) if self._handlers.find(each.destination)),
            default=-1,
        )
        for index, (each, key) in enumerate(sent):
            found = self._handlers.find(each.destination)
            if found is None:
                self._publish(session, each, key, now)
                continue
            assert session.identity is not None
            handler, params = found
            call = Call(
                destination=each.destination,
                params=params,
                headers=self._broker.reply_address(session.session_id, each.headers),
                body=each.body,
                identity=session.identity,
                session_id=session.session_id,
            )
            is_its_turn = self.calls.add(
                PendingCall(session, work, index == last_call, call, handler, key)
            )
            if is_its_turn and not self._go_on(session.session_id, now):
                return  # the peer was told that its work has failed: so has the rest of it
        if last_call < 0:
            session.done(work, now=now)

    # --- no message twice -----------------------------------------------------------------

    def _is_known(self, session: ServerSession, key: str, now: float) -> bool:
        assert session.identity is not None
        return self._duplicates.is_known(session.identity.subject, key, now=now)

    def _remember(self, session: ServerSession, key: str | None, now: float) -> None:
        if key is not None:
            assert session.identity is not None
            self._duplicates.remember(session.identity.subject, key, now=now)

    # --- handlers -------------------------------------------------------------------------

    def _go_on(self, session_id: str, now: float) -> bool:
        """Begin the calls of a session whose turn it is, until one takes its time.

        Returns:
            Whether none has failed.
        """
        is_fine = True
        while (pending := self.calls.current(session_id)) is not None:
            error: Exception | None = None
            try:
                if not self._run(pending, now):
                    break
            except Exception as raised:  # the application's bug must not end the server
                error = raised
            is_fine = self._finish(pending, error, now) and is_fine
        return is_fine

    def _run(self, pending: PendingCall, now: float) -> bool:
        """Make a call whose turn it is; whether it is over, and not a job, nor waits.

        Raises:
            Exception: why it cannot be made, or what a sync handler raises.
        """
        session, key = pending.session, pending.key
        self._look_at(session, now)
        if key is not None and self._is_known(session, key, now):
            return True  # nothing was called, and nothing will take effect
        self._require(session, Access.SEND, pending.call.destination)
        return not self.calls.must_wait(pending) and self.calls.start(pending)

    def _look_at(self, session: ServerSession, now: float) -> None:
        """Whether a call that has waited can still be made, and one that has run take effect.

        Raises:
            RemoteProtocolError: the session has expired, or was ended.
            Rejected: its token was revoked after the peer had left.
        """
        assert session.identity is not None
        if now >= session.valid_until:
            session.handle_timeout(now=now)  # nobody may have looked at its timer yet
            raise RemoteProtocolError(ErrorCode.TOKEN_EXPIRED)
        if session.error is not None:
            raise RemoteProtocolError(session.error)
        self._revocations.check(session.identity)

    def _finish(self, pending: PendingCall, error: Exception | None, now: float) -> bool:
        session, work = pending.session, pending.work
        self.calls.finish(session.session_id)
        if error is None:
            try:
                self._take_effect(pending, now)
            except Exception as raised:  # the application named what there is not
                error = raised
        match error:
            case None:
                if pending.is_last:
                    session.done(work, now=now)
            case RemoteProtocolError():
                session.fail_work(work, error, now=now, cause=_cause(error))
            case Refused():
                answer = RemoteProtocolError(ErrorCode.ACCESS_DENIED, str(error))
                session.fail_work(work, answer, now=now)
            case _:
                answer = RemoteProtocolError(ErrorCode.INTERNAL_ERROR)
                session.fail_work(work, answer, now=now, cause=error)
        return error is None

    def _take_effect(self, pending: PendingCall, now: float) -> None:
        """Send what a handler has said, all of it or nothing, unless that was done already.

        Raises:
            RemoteProtocolError: the peer named a `reply-to` where it may not send.
            Exception: the handler named what there is not.
        """
        session, key = pending.session, pending.key
        if key is not None and self._is_known(session, key, now):
            self._counters.duplicates += 1
            return
        effects = pending.call.effects
        replies, own = [], []
        for each in effects:
            message = each.destination, Headers(each.headers), each.body
            if each.is_reply:
                self._require(session, Access.SEND, each.destination)
                replies.append(message)
            else:
                own.append(message)
        self._broker.check(replies)
        try:
            self._broker.check(own + replies)
        except RemoteProtocolError as error:
            if error.error_code is ErrorCode.LIMIT_EXCEEDED:
                raise  # a queue that is full is nobody's mistake
            raise ValueError(f"what a handler has said cannot be sent: {error}") from None
        for each in effects:
            self.publish(each.destination, Headers(each.headers), each.body, now)
        self._remember(session, key, now)


def _cause(error: RemoteProtocolError) -> Exception | None:
    """The exception of the application behind an internal error."""
    cause = error.__cause__
    return cause if isinstance(cause, Exception) else None


def _sender(session: ServerSession) -> Sender:
    assert session.identity is not None
    return Sender(session.session_id, session.identity.subject)
