"""A subscription that is younger than a handover, on a connection that has gone deaf."""

from __future__ import annotations

from stompcore import ClientConfig, Handover, Refresh, ServerConfig, SubscriptionActive
from stompcore.testing import World

ROOM = "/topic/room.1"


def test_the_new_connection_confirms_what_the_old_one_never_did() -> None:
    world = World(config=ServerConfig(refresh_destination=None), ttl=10.0)
    alice = world.join("alice", ClientConfig(refresh=Refresh(handover=Handover.OVERLAP)))
    world.settle()
    assert alice.link is not None
    alice.link.down.is_silent = True
    id = alice.subscribe(ROOM)
    world.run(9.5)
    assert alice.session.epoch == 2
    active = [each for each in alice.events if isinstance(each, SubscriptionActive)]
    assert [(each.subscription, each.epoch) for each in active] == [(id, 2)]
    world.server.settle(world.hub.publish(ROOM, b"hello", now=world.now))
    world.run(6.0)  # the old connection never says goodbye
    assert alice.received == ["hello"]
