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

        - It has to notice. A dial, a CONNECT, a token in place, a handover, a fetch that hang take
          their time-outs; a dead connection takes the heart-beat's tolerance, twice if a clock was
          set in between; a farewell takes `error_timeout` or `close_timeout`.
        - It may have just failed: `Backoff.maximum`, once for the connection and once for the
          token, one after the other.
        - It may hold a token that has run out by then, and one more: each time it is refused, and
          asks and dials again, once at once and once after the backoff.
        - It fetches, dials, connects and subscribes: each takes the way to and fro, and timers
          are late.
        """
        client, server = self.client, self.server
        beat = max(
            client.heart_beat.receive_interval,
            client.heart_beat.send_interval,
            server.heart_beat.receive_interval,
            server.heart_beat.send_interval,
        )
        notice = max(
            client.dial_timeout,
            client.connect_timeout,
            client.token_timeout,
            2 * beat * max(client.heart_beat.tolerance, server.heart_beat.tolerance),
        )
        farewell = client.error_timeout + client.close_timeout + server.limits.close_timeout
        to_and_fro = 2 * (self.latency + self.jitter)
        verified = self.verifier_latency or 0.0
        attempt = self.auth_latency + verified + 5 * (to_and_fro + self.lag)
        attempt += client.backoff.maximum
        return notice + farewell + client.backoff.maximum + 4 * attempt + self.ttl_slack()

    def ttl_slack(self) -> float:
        """Tokens of a second run out while all this happens; then it begins anew, once or twice."""
        return 2 * (self.ttl + self.client.backoff.maximum) if self.ttl < 3 else 0.0


def draw_setting(dice: Dice) -> Setting:
    """A setting, by chance."""
    ttl = dice.choice((1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 300.0))
    # A token has to outlive the way to the server, or nobody is ever let in.
    latency = dice.choice((0.0, 0.001, 0.01, 0.03) if ttl < 3 else (0.001, 0.01, 0.05, 0.2))
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
