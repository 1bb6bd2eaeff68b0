"""Calls of handlers: of one session one after another, so that their order is the sender's."""

from __future__ import annotations

import inspect
from collections import deque
from typing import NamedTuple

from stompcore._events import Work
from stompcore._server import ServerSession
from stompcore.handlers import Call, Handler, Job

__all__ = ["Calls", "PendingCall"]


class PendingCall(NamedTuple):
    """A call that waits for its turn, or runs.

    Args:
        session: whose.
        work: the event that is refused if the call fails.
        is_last: whether the event is done when the call is.
        call, handler: what, and by whom.
        key: the `message-key` of its SEND, if that counts.
    """

    session: ServerSession
    work: Work
    is_last: bool
    call: Call
    handler: Handler
    key: str | None = None


class Calls:
    """The calls of all sessions that are not finished.

    Args:
        backlog: calls of one session that may wait before it is held.
    """

    def __init__(self, backlog: int) -> None:
        self._backlog = backlog
        self._by_session: dict[str, deque[PendingCall]] = {}
        self._jobs: deque[Job] = deque()
        # By user and key of a call that runs: the sessions whose turn waits for its outcome.
        self._waiting: dict[tuple[str, str], list[str]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_session.values()))

    def add(self, pending: PendingCall) -> bool:
        """Queue a call; whether it is its turn at once."""
        session = pending.session
        waiting = self._by_session.setdefault(session.session_id, deque())
        waiting.append(pending)
        if len(waiting) > self._backlog:
            session.hold()
        return len(waiting) == 1

    def current(self, session_id: str) -> PendingCall | None:
        """The call whose turn it is, or None."""
        waiting = self._by_session.get(session_id)
        return waiting[0] if waiting else None

    def finish(self, session_id: str) -> None:
        """The current call of a session is over; the next one has its turn."""
        waiting = self._by_session[session_id]
        pending = waiting.popleft()
        if len(waiting) <= self._backlog:
            pending.session.release()
        if not waiting:
            del self._by_session[session_id]

    def start(self, pending: PendingCall) -> bool:
        """Call the handler; whether it has finished, rather than become a job.

        Raises:
            Exception: what a sync handler raises.
        """
        result = pending.handler(pending.call)
        if not inspect.isawaitable(result):
            return True
        self._jobs.append(Job(pending.call, result))
        if pending.key is not None:
            self._waiting[pending.call.identity.subject, pending.key] = []
        return False

    def must_wait(self, pending: PendingCall) -> bool:
        """Whether the same message is being done for another session of its user.

        Then `release` of that one names this session.
        """
        if pending.key is None:
            return False
        waiting = self._waiting.get((pending.call.identity.subject, pending.key))
        if waiting is None:
            return False
        waiting.append(pending.session.session_id)
        return True

    def release(self, pending: PendingCall) -> list[str]:
        """A job is over: the sessions whose turn has waited for that."""
        if pending.key is None:
            return []
        return self._waiting.pop((pending.call.identity.subject, pending.key), [])

    def next_job(self) -> Job | None:
        """The next job to run, or None."""
        return self._jobs.popleft() if self._jobs else None
