"""What goes wrong in a simulation, and when."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from stompcore.testing._dice import Dice

__all__ = ["Fault", "FaultKind", "Faults"]

_MINUTE = 60.0
_HOUR = 3600.0


class FaultKind(enum.Enum):
    """One way in which the world is not as it should be."""

    CUT = "cut"  # a client's links break
    DELAY = "delay"  # what a client's links carry is late, in one direction or in both
    HALF_OPEN = "half-open"  # they swallow all, in one direction or in both, and say nothing
    DARK = "dark"  # whoever dials hears nothing
    CRASH = "crash"  # the server dies, with its queues, and comes back
    DRAIN = "drain"  # the server is restarted in peace
    AUTH_DOWN = "auth down"
    AUTH_HANGING = "auth hanging"  # it never answers
    AUTH_SLOW = "auth slow"
    AUTH_EXPIRED = "auth expired"  # what it gives has expired already
    AUTH_CACHED = "auth cached"  # it gives the last token again
    AUTH_REFUSING = "auth refusing"  # one user gets no token any more
    SERVER_CLOCK = "server clock"  # a wall clock is set
    CLIENT_CLOCK = "client clock"
    AUTH_CLOCK = "auth clock"
    BOTH_CLOCKS = "both clocks"  # those of the server and of the auth server, by the same
    EXPIRE = "expire"  # an operator ends a user's sessions, as if their tokens had run out
    REVOKE = "revoke"  # an operator ends one session, for good


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Something that goes wrong.

    Args:
        at: when, in seconds after the beginning.
        kind: what.
        seconds: for how long, where it does not end by itself.
        client: whom it hits, where it hits one.
        amount: by how many seconds a clock is set forward, or back for less than 0.
        draw: decides what is left open, such as the direction.
    """

    at: float
    kind: FaultKind
    seconds: float = 0.0
    client: str = ""
    amount: float = 0.0
    draw: int = 0

    def __str__(self) -> str:
        text = f"fault: {self.kind.value}"
        if self.client:
            text += f" of {self.client}"
        if self.seconds:
            text += f" for {self.seconds:.3f} s"
        if self.amount:
            text += f" by {self.amount:+.3f} s"
        return text


#: Each as often as it stands here. Those that end a client for good are rare.
_MIXED = (
    *(FaultKind.CUT,) * 12,
    *(FaultKind.DELAY,) * 8,
    *(FaultKind.HALF_OPEN,) * 8,
    *(FaultKind.DARK,) * 4,
    *(FaultKind.CRASH,) * 5,
    *(FaultKind.DRAIN,) * 5,
    *(FaultKind.AUTH_DOWN,) * 5,
    *(FaultKind.AUTH_HANGING,) * 3,
    *(FaultKind.AUTH_SLOW,) * 4,
    *(FaultKind.AUTH_EXPIRED,) * 3,
    *(FaultKind.AUTH_CACHED,) * 3,
    FaultKind.AUTH_REFUSING,
    *(FaultKind.SERVER_CLOCK,) * 2,
    *(FaultKind.CLIENT_CLOCK,) * 4,
    *(FaultKind.AUTH_CLOCK,) * 2,
    *(FaultKind.BOTH_CLOCKS,) * 3,
    *(FaultKind.EXPIRE,) * 4,
    FaultKind.REVOKE,
)
_STEPS = (-3 * _HOUR, -_HOUR, -_MINUTE, -5.0, -0.5, 0.5, 5.0, _MINUTE, _HOUR, 3 * _HOUR)
_OF_ONE = frozenset(
    {
        FaultKind.CUT,
        FaultKind.DELAY,
        FaultKind.HALF_OPEN,
        FaultKind.AUTH_REFUSING,
        FaultKind.CLIENT_CLOCK,
        FaultKind.EXPIRE,
        FaultKind.REVOKE,
    }
)
_DEADLY = frozenset({FaultKind.AUTH_EXPIRED, FaultKind.AUTH_CACHED})
_DEADLY_STEPS = {FaultKind.SERVER_CLOCK: 1, FaultKind.AUTH_CLOCK: -1}
_CLOCKS = frozenset(
    {
        FaultKind.SERVER_CLOCK,
        FaultKind.CLIENT_CLOCK,
        FaultKind.AUTH_CLOCK,
        FaultKind.BOTH_CLOCKS,
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Faults:
    """What a plan is drawn from.

    Args:
        most: of them, in one simulation; as few as none.
        kinds: one of these each time; what stands here twice is twice as likely.
        longest: how long one lasts at most, in seconds.
    """

    most: int = 6
    kinds: Sequence[FaultKind] = _MIXED
    longest: float = 4.0

    def plan(self, dice: Dice, clients: Sequence[str], within: float) -> list[Fault]:
        """A plan, in the order of time.

        Args:
            dice: decide.
            clients: whom it may hit.
            within: so many seconds everything begins.
        """
        count = dice.below(self.most + 1) if self.kinds else 0
        found = []
        for _ in range(count):
            kind = dice.choice(self.kinds)
            seconds = dice.between(0.0, self.longest) ** 2 / self.longest
            amount = dice.choice(_STEPS) if kind in _CLOCKS else 0.0
            # Three dead tokens in a row end a client. That must not become of most of them.
            if kind in _DEADLY:
                seconds *= 0.1
            if amount * _DEADLY_STEPS.get(kind, 0) > 1.0 and dice.below(4):
                amount = -amount
            found.append(
                Fault(
                    at=dice.between(0.0, within),
                    kind=kind,
                    seconds=seconds,
                    client=dice.choice(clients) if kind in _OF_ONE else "",
                    amount=amount,
                    draw=dice.below(1 << 16),
                )
            )
        return sorted(found, key=lambda each: each.at)
