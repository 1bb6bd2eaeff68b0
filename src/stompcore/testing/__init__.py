"""The public test kit: clients, servers, wires and clocks without a socket and without waiting."""

from __future__ import annotations

from stompcore.testing._auditor import AuditedBroker, Auditor
from stompcore.testing._client import VirtualClient
from stompcore.testing._clock import VirtualClock
from stompcore.testing._dice import Dice
from stompcore.testing._ledger import Ledger, Violation
from stompcore.testing._link import Link
from stompcore.testing._pair import Pair
from stompcore.testing._schedule import Restless
from stompcore.testing._server import VirtualServer
from stompcore.testing._tokens import AuthMode, AuthServer, InsecureTestVerifier
from stompcore.testing._trace import Passed, Trace
from stompcore.testing._world import Network, World

__all__ = [
    "AuditedBroker",
    "Auditor",
    "AuthMode",
    "AuthServer",
    "Dice",
    "InsecureTestVerifier",
    "Ledger",
    "Link",
    "Network",
    "Pair",
    "Passed",
    "Restless",
    "Trace",
    "Violation",
    "VirtualClient",
    "VirtualClock",
    "VirtualServer",
    "World",
]
