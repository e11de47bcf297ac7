"""Planned faults: drawn from the seed, carried out on time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Engine, SendDatagram
from shoal.sim import WALL_EPOCH, Conditions, Constant, Host, Network, SeededEntropy
from shoal.sim.faults import ClockStep, Crash, Fault, LossBurst, Sleep, Split, draw_faults, schedule
from tests.unit.sim.toys import Sink, gossip_world


def drawn(seed: int, hosts: int = 6) -> tuple[Fault, ...]:
    """A plan for an hour, with a fault each minute."""
    return draw_faults(SeededEntropy(seed), hosts, start=10.0, end=3610.0, mean_gap=60.0)


@given(seed=st.integers(0), hosts=st.integers(1, 9))
def test_plans_are_possible(seed: int, hosts: int) -> None:
    """Equal for equal seeds; each fault ends by the end and names hosts that exist."""
    plan = drawn(seed, hosts)
    assert plan == drawn(seed, hosts)
    busy: dict[int, float] = {}
    for fault in plan:
        assert 10.0 <= fault.start <= fault.end <= 3610.0
        match fault:
            case Crash(host=host) | Sleep(host=host):
                assert busy.get(host, 0.0) <= fault.start
                busy[host] = fault.end
                assert host < hosts
            case ClockStep(host=host):
                assert host < hosts
            case Split(side=side):
                assert 1 <= len(side) <= max(1, hosts // 2)
                assert max(side) < hosts
            case LossBurst(loss=loss):
                assert 0.0 < loss <= 0.5


def test_every_kind_is_drawn() -> None:
    """An hour holds all five kinds, about one a minute."""
    plan = drawn(4, hosts=50)
    assert {type(fault) for fault in plan} == {Crash, Sleep, Split, LossBurst, ClockStep}
    assert 40 < len(plan) < 70


class World:
    """Two hosts, and a record of who was restarted."""

    def __init__(self, *faults: Fault) -> None:
        self.network = Network(1, Conditions(Constant(0.05), jitter=0.0, loss=0.01))
        self.sinks = [Sink(), Sink()]
        self.hosts = [self.network.add_host(sink) for sink in self.sinks]
        self.restarted: list[tuple[Host, bool, float]] = []
        schedule(self.network, self.hosts, faults, self.restart)

    def restart(self, host: Host, keeps_state: bool) -> Engine:
        """Note it, and go on with the same engine."""
        self.restarted.append((host, keeps_state, self.network.now))
        return host.engine


def test_a_crash_ends_in_a_restart() -> None:
    """Down in between; the restart knows whether state was kept."""
    world = World(Crash(1.0, 2.0, 1, keeps_state=True))
    world.network.run(1.5)
    assert not world.hosts[1].is_running
    world.network.run(3.0)
    assert world.hosts[1].is_running
    assert world.restarted == [(world.hosts[1], True, 2.0)]


def test_sleep_loss_and_clock_end() -> None:
    """Each is in force between its times and undone after them."""
    world = World(Sleep(1.0, 2.0, 0), LossBurst(1.0, 2.0, 0.4), ClockStep(1.0, 2.0, 1, 30.0))
    world.network.run(1.5)
    assert not world.hosts[0].is_running
    assert world.network.conditions.loss == 0.4
    assert world.hosts[1].wall_offset == WALL_EPOCH + 30.0
    world.network.run(3.0)
    assert world.hosts[0].is_running
    assert world.network.conditions.loss == 0.01
    assert world.hosts[1].wall_offset == WALL_EPOCH
    assert not world.restarted


@pytest.mark.parametrize("is_one_way", [False, True])
def test_a_split_is_healed(is_one_way: bool) -> None:
    """Apart from 1 to 2, together again afterwards; one way, the side still hears."""
    world = World(Split(1.0, 2.0, (0,), is_one_way))
    a, b = world.hosts
    heard = []
    for moment in (1.5, 2.5):
        world.network.run(moment)
        before = [len(sink.received) for sink in world.sinks]
        for _ in range(10):  # one in a hundred is lost
            world.network.apply(a, [_datagram(b)])
            world.network.apply(b, [_datagram(a)])
        world.network.run(moment + 0.2)
        after = [len(sink.received) for sink in world.sinks]
        heard.append([later > sooner for sooner, later in zip(before, after, strict=True)])
    assert heard == [[is_one_way, False], [True, True]]


def _datagram(target: Host) -> SendDatagram:
    return SendDatagram(b"hi", target.address)


def _digest(seed: int) -> str:
    network = Network(seed, Conditions(loss=0.05))
    gossip_world(network, 10)
    hosts = list(network.hosts.values())
    plan = draw_faults(network.entropy("faults"), 10, start=0.0, end=30.0, mean_gap=1.0)
    schedule(network, hosts, plan, lambda host, _: host.engine)
    network.run(40.0)
    return network.trace.hexdigest()


@given(seed=st.integers(0, 2**32))
def test_a_seed_replays_its_faults(seed: int) -> None:
    """Faults, losses and engines together: the same run again."""
    assert _digest(seed) == _digest(seed)
