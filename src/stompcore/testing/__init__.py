"""The public test kit: clients, servers, wires and clocks, without a socket and without waiting.

`Pair` is one client and one server, for tests of handlers, policies and token sources. `World` has
any number of clients. `Simulation` is a world in which things go wrong, decided by a seed, and an
`Auditor` watches that what must always hold does.
"""

from __future__ import annotations

from stompcore.testing._auditor import AuditedBroker, Auditor, Handled
from stompcore.testing._client import ClientWatcher, VirtualClient
from stompcore.testing._clock import VirtualClock
from stompcore.testing._dice import Dice
from stompcore.testing._faults import Fault, FaultKind, Faults
from stompcore.testing._ledger import Ledger, Violation
from stompcore.testing._link import Link, Way
from stompcore.testing._pair import Pair
from stompcore.testing._schedule import Restless
from stompcore.testing._server import VirtualServer
from stompcore.testing._setting import Setting
from stompcore.testing._simulation import Simulation, SimulationFailed
from stompcore.testing._tokens import AuthMode, AuthServer, InsecureTestVerifier
from stompcore.testing._trace import Passed, Trace
from stompcore.testing._world import Network, World

__all__ = [
    "AuditedBroker",
    "Auditor",
    "AuthMode",
    "AuthServer",
    "ClientWatcher",
    "Dice",
    "Fault",
    "FaultKind",
    "Faults",
    "Handled",
    "InsecureTestVerifier",
    "Ledger",
    "Link",
    "Network",
    "Pair",
    "Passed",
    "Restless",
    "Setting",
    "Simulation",
    "SimulationFailed",
    "Trace",
    "Violation",
    "VirtualClient",
    "VirtualClock",
    "VirtualServer",
    "Way",
    "World",
]
