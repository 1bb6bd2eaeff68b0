"""`Pair`: one client and one server, and the wire between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from stompcore._auth import TokenVerifier
from stompcore._client import ClientSession
from stompcore._config import ClientConfig, ServerConfig
from stompcore._endings import DEFAULT_RULES, Rule
from stompcore._errors import LocalProtocolError
from stompcore._events import ClientEvent
from stompcore._hub import Hub
from stompcore._server import ServerSession
from stompcore.handlers import Handlers
from stompcore.policy import Policy
from stompcore.testing._auditor import Auditor
from stompcore.testing._client import TokenFunction, VirtualClient
from stompcore.testing._clock import VirtualClock
from stompcore.testing._link import Link
from stompcore.testing._server import Serve
from stompcore.testing._world import Network, World

__all__ = ["Pair"]


class Pair(World):
    """A `World` of one client. It has begun to connect, and has connected if the wire is quick.

    Args:
        name: of the client, the subject of its tokens.
        client_config: of the client.
        token: its token source: an async callable, which may wait by `VirtualClock.sleep`. By
            default it asks `auth`.
        rules: of the client.
        make: makes its session.
        cut_after_bytes, cut_after_steps: the first link is cut then, see `Link`.
        seed, transport, network, ttl, sign, config, verifier, verifier_latency, policy, handlers,
            hub, serve, auditor, clock: see `World`.

    Attributes:
        client: the `VirtualClient`; its verbs are those of `ClientSession`, without `now`.
    """

    def __init__(
        self,
        *,
        name: str = "alice",
        client_config: ClientConfig | None = None,
        token: TokenFunction | None = None,
        rules: Sequence[Rule] = DEFAULT_RULES,
        make: Callable[..., ClientSession] = ClientSession,
        cut_after_bytes: int | None = None,
        cut_after_steps: int | None = None,
        seed: int = 0,
        transport: str = "tcp",
        network: Network | None = None,
        ttl: float = 60.0,
        sign: Callable[[dict[str, Any]], str] | None = None,
        config: ServerConfig | None = None,
        verifier: TokenVerifier | None = None,
        verifier_latency: float | None = None,
        policy: Policy | None = None,
        handlers: Handlers | None = None,
        hub: Callable[..., Hub] = Hub,
        serve: Serve | None = None,
        auditor: Auditor | None = None,
        clock: VirtualClock | None = None,
    ) -> None:
        super().__init__(
            seed=seed,
            transport=transport,
            network=network,
            ttl=ttl,
            sign=sign,
            config=config,
            verifier=verifier,
            verifier_latency=verifier_latency,
            policy=policy,
            handlers=handlers,
            hub=hub,
            serve=serve,
            auditor=auditor,
            clock=clock,
        )
        self._cut_after_bytes = cut_after_bytes
        self._cut_after_steps = cut_after_steps
        self.client = self.join(name, client_config, token=token, rules=rules, make=make)
        self.settle()

    @property
    def session(self) -> ServerSession:
        """The server's end of the newest connection.

        Raises:
            LocalProtocolError: there is none.
        """
        return self.session_of(self.client)

    @property
    def link(self) -> Link:
        """The wire of the newest connection.

        Raises:
            LocalProtocolError: there is none.
        """
        link = self.client.link
        if link is None:
            raise LocalProtocolError("the client is not connected")
        return link

    @property
    def events(self) -> list[ClientEvent]:
        """All events of the client, in order."""
        return self.client.events

    def expire(self) -> None:
        """Let the time pass until the session's token has run out, at both ends unawares.

        As for a laptop that has slept: whatever was due in between is due now. Without latency, a
        client has recovered when this returns.

        Raises:
            LocalProtocolError: there is no session, or its token never runs out.
        """
        left = self.session.valid_until - self.now
        if left == math.inf:
            raise LocalProtocolError("this session's token never runs out")
        self.jump(max(0.0, left))
        self.settle()

    def cut(self, client: VirtualClient | None = None) -> None:
        """Cut the wire, and let both ends hear of it."""
        super().cut(client)
        self.settle()

    def _new_link(self, client: str, epoch: int) -> Link:
        link = super()._new_link(client, epoch)
        if epoch == 1:
            link._cut_after_bytes = self._cut_after_bytes
            link._cut_after_steps = self._cut_after_steps
        return link
