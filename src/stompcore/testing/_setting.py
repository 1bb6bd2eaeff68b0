"""The world that a simulation takes place in: what differs from seed to seed."""

from __future__ import annotations

from dataclasses import dataclass

from stompcore._config import (
    Backoff,
    ClientConfig,
    Handover,
    HeartBeat,
    Limits,
    Refresh,
    ServerConfig,
)
from stompcore.testing._dice import Dice

__all__ = ["Setting", "draw_setting"]

_REFRESHES = (
    Refresh(),
    Refresh(),
    Refresh(handover=Handover.OVERLAP),
    Refresh(handover=Handover.BREAK),
    None,
)
# A token that may run out while its bearer is on the way.
_SHORT = 3.0
# Short, so that a simulation is: what they are for is the same at any length.
_BACKOFF = Backoff(minimum=0.25, maximum=3.0, stable_timeout=1.0)
_LIMITS = Limits(
    login_timeout=3.0,
    handshake_timeout=3.0,
    close_timeout=2.0,
    send_backlog_timeout=4.0,
    unacknowledged=4,
    deliveries=3,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What kind of a world it is.

    Args:
        transport: "tcp" or "websocket".
        clients: how many.
        ttl: of tokens, in seconds.
        latency, jitter: of every link, in seconds; see `Link`.
        chunk, window: of every link, in bytes.
        lag: by how many seconds timers are late, at most; the computers are busy.
        auth_latency: how long the auth server takes, in seconds.
        verifier_latency: how long the server's verifier takes, in seconds; None for no time.
        server, client: the settings of both sides.
        seconds: for how long users act and faults begin.
    """

    transport: str
    clients: int
    ttl: float
    latency: float
    jitter: float
    chunk: int
    window: int
    lag: float
    auth_latency: float
    verifier_latency: float | None
    server: ServerConfig
    client: ClientConfig
    seconds: float

    def recovery_bound(self) -> float:
        """After the last fault has ended, every client has recovered within so many seconds.

        The longest way, step by step:

        - It has to notice. A dial, a CONNECT, a token in place, a handover or a fetch that hangs
          takes its time-out. A dead connection takes the heart-beats' tolerance, and that twice if
          a clock was set meanwhile.
        - An old connection that does not answer its DISCONNECT takes `close_timeout`.
        - It may just have failed, or be refused: `Backoff.maximum`, once for the connection and
          once for the token, one after the other.
        - It fetches, dials, connects and subscribes, each to and fro, with timers that are late;
          and once more, if it held a token that had run out by then.
        - A token of a second may run out on the way, and all but the noticing begins anew.
        """
        client, server = self.client, self.server
        beats = (client.heart_beat, server.heart_beat)
        silence = max(each.tolerance for each in beats) * max(
            max(each.send_interval, each.receive_interval) for each in beats
        )
        notice = max(client.dial_timeout, client.connect_timeout, client.token_timeout, 2 * silence)
        ways = 6 * 2 * (self.latency + self.jitter + self.lag)
        attempt = 2 * (self.auth_latency + (self.verifier_latency or 0.0) + ways)
        again = 2 * client.backoff.maximum + attempt
        return notice + client.close_timeout + again * (2 if self.ttl < _SHORT else 1)


def draw_setting(dice: Dice) -> Setting:
    """A setting, by chance."""
    ttl = dice.choice((1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 300.0))
    # A token has to outlive the way to the server, or nobody is ever let in.
    latency = dice.choice((0.0, 0.001, 0.01, 0.03) if ttl < _SHORT else (0.001, 0.01, 0.05, 0.2))
    heart_beat = HeartBeat(
        send_interval=dice.choice((1.0, 2.0, 4.0)), receive_interval=dice.choice((1.0, 2.0, 4.0))
    )
    return Setting(
        transport="websocket" if dice.below(12) == 0 else "tcp",
        clients=dice.choice((1, 1, 2, 2, 2, 3)),
        ttl=ttl,
        latency=latency,
        jitter=dice.choice((0.0, latency)),
        chunk=dice.choice((0, 0, 0, 0, 0, 0, 0, 0, 200, 30)),
        window=dice.choice((256 * 1024, 256 * 1024, 256 * 1024, 600)),
        lag=dice.choice((0.0, 0.0, 0.001, 0.03)),
        auth_latency=dice.choice((0.0, 0.01, 0.3)),
        verifier_latency=dice.choice((None, None, None, 0.0, 0.02)),
        server=ServerConfig(
            limits=_LIMITS,
            heart_beat=heart_beat,
            leeway=dice.choice((0.0, 0.0, 0.5)),
            refresh_destination=dice.choice(("/auth/refresh", None)),
            drain_window=1.0,
            drain_rate=4.0,
        ),
        client=ClientConfig(
            heart_beat=heart_beat,
            backoff=_BACKOFF,
            dial_timeout=2.0,
            connect_timeout=2.0,
            token_timeout=2.0,
            error_timeout=0.5,
            close_timeout=2.0,
            outbox_timeout=dice.choice((5.0, 60.0, 60.0)),
            outbox_count=30,
            refresh=dice.choice(_REFRESHES),
        ),
        seconds=min(20.0, max(5.0, 6 * ttl)),
    )
