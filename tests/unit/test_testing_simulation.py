"""Simulations: what they promise to who runs one, and a few seeds under coverage."""

from __future__ import annotations

import pytest

from stompcore import ClientSession
from stompcore.testing import (
    Dice,
    Fault,
    FaultKind,
    Faults,
    Simulation,
    SimulationFailed,
    Violation,
)
from stompcore.testing._setting import draw_setting


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_a_few_seeds(first: int) -> None:
    for seed in range(first, first + 10):
        Simulation(seed).run()


def test_a_seed_is_the_same_world_again() -> None:
    def story(seed: int) -> str:
        simulation = Simulation(seed, is_verbose=True)
        simulation.run()
        return str(simulation.trace)

    assert story(3) == story(3)
    assert story(3) != story(4)


def test_being_verbose_changes_nothing_but_the_trace() -> None:
    quiet, loud = Simulation(5), Simulation(5, is_verbose=True)
    quiet.run()
    loud.run()
    assert quiet.auditor.counts == loud.auditor.counts
    assert set(quiet.trace.lines()) < set(loud.trace.lines())
    assert any("CONNECTED" in each for each in loud.trace.lines())


def test_a_simulation_without_faults_has_none() -> None:
    simulation = Simulation(1, faults=Faults(most=0))
    simulation.run()
    assert simulation.plan == []
    assert all(each.error is None for each in simulation.auditor.ledgers.values())


def test_a_plan_of_one_s_own() -> None:
    plan = [
        Fault(at=1.0, kind=FaultKind.CRASH, seconds=0.5),
        Fault(at=2.0, kind=FaultKind.CUT, client="user2"),
    ]
    simulation = Simulation(1, clients=2, faults=plan)
    simulation.run()
    assert simulation.plan == plan
    assert simulation.auditor.counts["crash"] == simulation.auditor.counts["cut"] == 1
    assert len(simulation.world.clients) == 2
    text = str(simulation.trace)
    assert "fault: crash for 0.500 s" in text
    assert "fault: cut of user2" in text


@pytest.mark.parametrize("kind", FaultKind)
def test_every_kind_of_fault_can_be_lived_with(kind: FaultKind) -> None:
    for seed in range(4):
        simulation = Simulation(seed, faults=Faults(most=4, kinds=[kind]))
        simulation.run()
        assert {each.kind for each in simulation.plan} <= {kind}


def test_a_plan_is_in_the_order_of_time_and_within_it() -> None:
    plan = Faults(most=50).plan(Dice(1), ["ann", "bob"], within=10.0)
    assert 0 < len(plan) <= 50
    assert [each.at for each in plan] == sorted(each.at for each in plan)
    assert all(0 <= each.at < 10 and 0 <= each.seconds <= 4 for each in plan)
    assert {each.client for each in plan} == {"ann", "bob", ""}


def test_settings_differ_and_each_has_a_bound() -> None:
    settings = [draw_setting(Dice(seed)) for seed in range(200)]
    assert {each.transport for each in settings} == {"tcp", "websocket"}
    assert {each.ttl for each in settings} >= {1.0, 300.0}
    assert all(10 < each.recovery_bound() < 90 for each in settings)


def test_a_failure_says_how_to_see_it_again() -> None:
    class Quiet(ClientSession):
        def subscribe(self, *args: object, **rest: object) -> str:
            return "7"

    simulation = Simulation(2, session=Quiet, replay="play {seed}")
    assert simulation.replay_command == "play 2"
    with pytest.raises(SimulationFailed) as failed:
        simulation.run()
    lines = str(failed.value).splitlines()
    assert lines[0].startswith("seed 2: Violation: ")
    assert lines[1] == "replay it: play 2"
    assert isinstance(failed.value.__cause__, Violation)
