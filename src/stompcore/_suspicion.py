"""Which frame of ours an ERROR is about that does not say.

RabbitMQ refuses a SEND or SUBSCRIBE with an ERROR that names no frame, and closes. Sent again with
everything else that had no answer yet, the frame would bring the next connection down too, and the
next, for ever. So after such an ERROR frames are sent one at a time, each behind the answer to the
one before. The one that was alone without an answer, at two such ERRORs in a row, is to blame: one
could be chance, since a server that shuts down says ERROR too.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Suspicion"]

_ENOUGH = 2


class Suspicion:
    """What a client knows of a frame that it may not send again."""

    def __init__(self) -> None:
        #: Whether frames are to be sent one at a time.
        self.is_careful = False
        #: In that case, the last one that was sent.
        self.outstanding: object = None
        self._unanswered: Sequence[object] = ()
        self._suspect: object = None
        self._strikes = 0

    def note(self, unanswered: Sequence[object]) -> None:
        """A connection has ended, and these had no answer."""
        self._unanswered = unanswered
        self.outstanding = None

    def accuse(self) -> object:
        """That connection ended with an ERROR that names nothing.

        Returns:
            What is to blame, or None as long as that is not known.
        """
        unanswered, self._unanswered = self._unanswered, ()
        if not unanswered:
            return None
        self.is_careful = True
        suspect = unanswered[0] if len(unanswered) == 1 else None
        self._strikes = self._strikes + 1 if suspect is self._suspect else 1
        self._suspect = suspect
        return suspect if suspect is not None and self._strikes >= _ENOUGH else None

    def clear(self) -> None:
        """Everything was answered."""
        self.is_careful = False
        self.outstanding = self._suspect = None
        self._unanswered = ()
