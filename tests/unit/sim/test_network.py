"""The network: a driver that carries, delays, loses and cuts."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address, Engine, Family, Persist, SendDatagram
from shoal.sim import WALL_EPOCH, Conditions, Constant, Host, Network, Place
from shoal.sim.errors import AddressTakenError, EngineSpinsError, ScenarioError
from shoal.sim.nat import PORT_RESTRICTED_CONE
from tests.unit.sim.toys import Echo, Gossip, Heard, Sink, gossip_world

if TYPE_CHECKING:
    from collections.abc import Sequence

STILL = Conditions(latency=Constant(0.05), jitter=0.0)
NOBODY = Address(b"\xc6\x33\x64\x01", 9)  # 198.51.100.1, RFC 5737


def pair(network: Network, engine: Engine) -> tuple[Host, Host, Sink]:
    """A silent host and one that runs *engine*."""
    sink = Sink()
    return network.add_host(sink, place=Place()), network.add_host(engine, place=Place()), sink


def send(network: Network, source: Host, target: Host | Address, data: bytes = b"hi") -> None:
    """Let *source* send a datagram."""
    addr = target.address if isinstance(target, Host) else target
    network.apply(source, [SendDatagram(data, addr)])


def test_a_datagram_takes_the_latency_there_and_back() -> None:
    """Sent at 0, echoed at 0.05, received at 0.1; the clock ends where run was told."""
    network = Network(1, STILL)
    asker, echo, sink = pair(network, Echo())
    send(network, asker, echo)
    network.run(until=3.0)

    assert sink.received == [(b"hi", echo.address, 0.1)]
    assert network.now == 3.0
    assert network.trace.count == 2
    assert (asker.sent_packets, asker.sent_bytes) == (1, 2)
    assert (asker.received_packets, asker.received_bytes) == (1, 2)


def test_nothing_after_until_happens() -> None:
    """An arrival and a wake-up beyond the end of a run wait for the next one."""
    network = Network(1, STILL)
    asker, echo, _ = pair(network, Echo())
    calls: list[float] = []
    network.call_at(0.2, lambda: calls.append(network.now))
    send(network, asker, echo)
    network.run(until=0.04)
    assert network.trace.count == 0
    network.run(until=0.1)
    assert network.trace.count == 2
    assert not calls
    network.run(until=0.2)
    assert calls == [0.2]


def test_stop_ends_a_run_early() -> None:
    """The run ends at the event after which *stop* says so."""
    network = Network(1, STILL)
    asker, echo, sink = pair(network, Echo())
    send(network, asker, echo)
    network.run(until=9.0, stop=lambda: bool(sink.received))
    assert network.now == 0.1


def test_a_call_in_the_past_runs_at_once_and_the_clock_never_goes_back() -> None:
    """`call_at` with a past moment means now."""
    network = Network(1, STILL)
    network.run(until=5.0)
    moments: list[float] = []
    network.call_at(1.0, lambda: moments.append(network.now))
    network.run(until=5.0)
    assert moments == [5.0]


def test_effects_reach_their_handler_or_the_host() -> None:
    """Persist is written to the disk, a registered effect is handled, the rest is kept."""
    network = Network(1, STILL)
    host = network.add_host(Sink())
    handled: list[object] = []
    network.on_effect(str, lambda _, effect: handled.append(effect))
    network.apply(host, [Persist("state", b"1"), "order", Heard(b"x")])
    assert host.disk == {"state": b"1"}
    assert handled == ["order"]
    assert host.events == [Heard(b"x")]


class Timer(Sink):
    """Wants time at each of its moments."""

    def __init__(self, *moments: float) -> None:
        super().__init__()
        self.moments = list(moments)
        self.advanced: list[float] = []

    def next_deadline(self) -> float | None:
        """When it wants time."""
        return min(self.moments, default=None)

    def advance(self, now: float) -> list[object]:
        """Do what is due."""
        self.advanced.append(now)
        self.moments = [moment for moment in self.moments if moment > now]
        return []


def test_deadlines_move_earlier_and_later() -> None:
    """A deadline that moves is met once, when it is due, whichever way it moved."""
    network = Network(1, STILL)
    engine = Timer(5.0)
    host = network.add_host(engine)
    engine.moments = [2.0, 5.0]
    network.apply(host, [])
    network.run(until=1.0)
    engine.moments = [3.0, 7.0]  # later than what is in the heap
    network.apply(host, [])
    network.run(until=10.0)
    assert engine.advanced == [3.0, 7.0]


def test_a_deadline_that_vanishes_is_not_met() -> None:
    """No advance for an engine that wants no time any more."""
    network = Network(1, STILL)
    engine = Timer(5.0)
    network.add_host(engine)
    engine.moments = []
    network.run(until=10.0)
    assert engine.advanced == []


def test_an_engine_that_spins_is_an_error() -> None:
    """A deadline that does not move is a bug, not an endless loop."""

    class Spinner(Timer):
        def advance(self, now: float) -> list[object]:
            return []

    network = Network(1, STILL)
    network.add_host(Spinner(1.0), name="spinner")
    with pytest.raises(EngineSpinsError, match=r"spinner at 1\.0"):
        network.run(until=2.0)


def test_loss_duplication_and_reordering_are_as_frequent_as_asked() -> None:
    """Of 4,000 datagrams each fault takes its share, within five standard deviations."""
    network = Network(7, Conditions(Constant(0.05), 0.0, 0.1, 0.05, 0.2, reordering_delay=1.0))
    sink_host, source, sink = pair(network, Sink())
    for number in range(4000):
        send(network, source, sink_host, b"%d" % number)
    network.run(until=5.0)

    stats = network.stats
    assert abs(stats.lost - 400) < 95
    assert abs(stats.duplicated - 200) < 70
    assert abs(stats.reordered - 800) < 127
    assert len(sink.received) == 4000 - stats.lost + stats.duplicated
    order = [int(data) for data, _, _ in sink.received]
    assert order != sorted(order)


def test_jitter_varies_delays_by_its_mean() -> None:
    """Delays are never below the latency and exceed it by the jitter on average."""
    network = Network(7, Conditions(Constant(0.1), jitter=0.2))
    sink_host, source, sink = pair(network, Sink())
    for _ in range(2000):
        send(network, source, sink_host)
    network.run(until=5.0)
    delays = [moment for _, _, moment in sink.received]
    assert min(delays) >= 0.1
    assert abs(sum(delays) / 2000 - 0.12) < 0.003


def test_unsendable_datagrams_are_counted() -> None:
    """Longer than UDP carries, or no address of the target's family."""
    network = Network(1, STILL)
    asker, echo, _ = pair(network, Echo())
    send(network, asker, echo, bytes(65_508))
    send(network, asker, Address(bytes(16), 1))
    network.run(until=1.0)
    assert network.stats.unsendable == 2
    assert network.trace.count == 0


def test_both_families_reach_a_host() -> None:
    """The source of a datagram is the sender's address of the target's family."""
    network = Network(1, STILL)
    sinks = [Sink(), Sink()]
    both = [network.add_host(sink, families=(Family.IPV4, Family.IPV6)) for sink in sinks]
    four, six = (end.address for end in both[1].endpoints)
    network.apply(both[0], [SendDatagram(b"4", four), SendDatagram(b"6", six)])
    network.run(until=1.0)
    sources = {data: addr for data, addr, _ in sinks[1].received}
    assert sources == {
        end.address.family.name[-1].encode(): end.address for end in both[0].endpoints
    }


def test_addresses_are_distinct_and_taken_ones_refused() -> None:
    """No two hosts share an endpoint."""
    network = Network(1, STILL)
    hosts = [network.add_host(Sink()) for _ in range(500)]
    assert len({host.address for host in hosts}) == 500
    with pytest.raises(AddressTakenError):
        network.add_host(Sink(), addresses=[hosts[3].address])


def test_a_realm_can_be_full() -> None:
    """A private realm has 65,534 addresses."""
    network = Network(1, STILL)
    inner = network.add_gateway(PORT_RESTRICTED_CONE).inner
    for _ in range(65_534):
        inner.allot(Family.IPV4)
    with pytest.raises(ScenarioError, match="no addresses"):
        network.add_host(Sink(), behind=inner.gateway)


def test_partitions_cut_both_ways_until_healed() -> None:
    """Sides do not hear each other, hosts on no side hear all, healing restores it."""
    network = Network(1, STILL)
    sinks = [Sink() for _ in range(3)]
    a, b, c = (network.add_host(sink) for sink in sinks)
    network.partition([a], [b])
    for source, target in [(a, b), (b, a), (a, c), (c, b)]:
        send(network, source, target)
    network.run(until=1.0)
    assert [len(sink.received) for sink in sinks] == [0, 1, 1]
    assert network.stats.partitioned == 2
    network.heal()
    send(network, a, b)
    network.run(until=2.0)
    assert len(sinks[1].received) == 2


def test_a_partition_can_be_one_way() -> None:
    """The earlier side is not heard by the later one, but hears it."""
    network = Network(1, STILL)
    sinks = [Sink(), Sink()]
    a, b = (network.add_host(sink) for sink in sinks)
    network.partition([a], [b], is_one_way=True)
    send(network, a, b)
    send(network, b, a)
    network.run(until=1.0)
    assert [len(sink.received) for sink in sinks] == [1, 0]


def test_a_partition_catches_what_crosses_a_nat() -> None:
    """The far side of a NAT is known on arrival only, and cut there."""
    network = Network(1, STILL)
    inside, outside = Sink(), Sink()
    home = network.add_host(inside, behind=network.add_gateway(PORT_RESTRICTED_CONE))
    server = network.add_host(outside)
    send(network, home, server)
    network.run(until=1.0)
    network.partition([home], [server])
    send(network, server, outside.received[0][1])
    network.run(until=2.0)
    assert not inside.received
    assert network.stats.partitioned == 1


def test_crash_and_restart() -> None:
    """A crashed host neither hears nor wakes; another engine takes its address and disk."""
    network = Network(1, STILL)
    old, new = Timer(2.0), Timer(4.0)
    host = network.add_host(old)
    other = network.add_host(Sink())
    network.apply(host, [Persist("id", b"7")])
    network.crash(host)
    send(network, other, host)
    network.run(until=3.0)
    assert (old.received, old.advanced) == ([], [])
    assert network.stats.unreachable == 1

    network.restart(host, new)
    send(network, other, host)
    network.run(until=5.0)
    assert len(new.received) == 1
    assert new.advanced == [4.0]
    assert host.disk == {"id": b"7"}


def test_a_suspended_host_wakes_to_missed_deadlines() -> None:
    """What was due in its sleep is done when it resumes, at the present time."""
    network = Network(1, STILL)
    engine = Timer(2.0)
    host = network.add_host(engine)
    other = network.add_host(Sink())
    network.suspend(host)
    send(network, other, host)
    network.run(until=10.0)
    network.resume(host)
    network.run(until=11.0)
    assert engine.advanced == [10.0]
    assert not engine.received


def test_a_removed_host_is_gone() -> None:
    """Datagrams on the way to it are dropped, and later ones find nobody."""
    network = Network(1, STILL)
    a, b, sink = pair(network, Echo())
    send(network, b, a)
    network.remove(a)
    send(network, b, a)
    network.run(until=1.0)
    assert not sink.received
    assert network.stats.unreachable == 2
    assert list(network.hosts) == [b.number]


class Listener(Sink):
    """Hears failures."""

    def __init__(self) -> None:
        super().__init__()
        self.failed: list[tuple[Address, float]] = []

    def send_failed(self, addr: Address, now: float) -> list[object]:
        """Note it."""
        self.failed.append((addr, now))
        return []


def test_senders_hear_of_closed_ports_when_conditions_say_so() -> None:
    """One round trip after sending to a crashed host; soon for one that never was."""
    network = Network(1, Conditions(Constant(0.05), 0.0, unreachable_notices=1.0))
    engine = Listener()
    sender = network.add_host(engine)
    closed = network.add_host(Sink())
    deaf = network.add_host(Sink())  # does not want to hear
    network.crash(closed)
    for source in (sender, deaf):
        send(network, source, closed)
        send(network, source, NOBODY)
    network.run(until=1.0)
    assert dict(engine.failed) == {closed.address: 0.1, NOBODY: 0.1}
    assert len(engine.failed) == 2
    assert network.stats.unreachable == 4


def test_wall_clocks_can_be_skewed() -> None:
    """A host starts with its skew, and an engine that carries dates is told of changes."""

    class Dated(Sink):
        wall_offset = 0.0

    network = Network(1, STILL)
    engine = Dated()
    host = network.add_host(engine, wall_skew=-3.0)
    undated = network.add_host(Sink())
    assert host.wall_offset == WALL_EPOCH - 3.0
    for each in (host, undated):
        network.skew_wall_clock(each, 60.0)
    assert engine.wall_offset == host.wall_offset == undated.wall_offset == WALL_EPOCH + 60.0


def test_a_tap_sees_both_directions() -> None:
    """What is sent, before loss, and what is received."""
    network = Network(1, STILL)
    asker, echo, _ = pair(network, Echo())
    seen: list[tuple[str, bytes, float]] = []

    class Capture:
        def sent(self, data: bytes, target: Address, now: float) -> None:
            seen.append((">", data, now))

        def received(self, data: bytes, source: Address, now: float) -> None:
            seen.append(("<", data, now))

    asker.tap = Capture()
    send(network, asker, echo)
    network.run(until=1.0)
    assert seen == [(">", b"hi", 0.0), ("<", b"hi", 0.1)]


def digest(seed: int, conditions: Conditions, *, count: int = 30) -> str:
    """The digest of a gossiping world."""
    network = Network(seed, conditions)
    gossip_world(network, count)
    network.run(until=20.0)
    return network.trace.hexdigest()


@given(seed=st.integers(0, 2**64), loss=st.floats(0, 0.4), duplication=st.floats(0, 0.3))
def test_one_seed_is_one_run(seed: int, loss: float, duplication: float) -> None:
    """The same seed and conditions deliver the same bytes at the same times."""
    conditions = Conditions(loss=loss, duplication=duplication, reordering=0.1)
    assert digest(seed, conditions, count=8) == digest(seed, conditions, count=8)


def test_other_seeds_are_other_runs() -> None:
    """Ten seeds, ten different runs."""
    assert len({digest(seed, Conditions(loss=0.1)) for seed in range(10)}) == 10


def test_a_run_does_not_depend_on_hash_randomisation() -> None:
    """Two processes that hash text differently deliver the same."""
    program = (
        "from tests.unit.sim.test_network import digest; from shoal.sim import Conditions;"
        "print(digest(5, Conditions(loss=0.1)))"
    )

    def run(hash_seed: str) -> str:
        return subprocess.run(  # noqa: S603 - our own interpreter and program
            [sys.executable, "-c", program],
            env={
                **os.environ,
                "PYTHONHASHSEED": hash_seed,
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    assert run("1") == run("2") == digest(5, Conditions(loss=0.1)) + "\n"


def test_rumours_spread_to_everybody() -> None:
    """Thirty engines on a good network hear of most news: the driver drives."""
    network = Network(3)
    gossip_world(network, 30)
    network.run(until=60.0)
    heard = [host.engine.seen for host in network.hosts.values() if isinstance(host.engine, Gossip)]
    assert sum(map(len, heard)) > 30 * 25


class Spray:
    """Forwards each datagram to the address that its first byte chooses; costs next to nothing."""

    def __init__(self) -> None:
        self.targets: Sequence[Address] = ()

    def receive(self, datagram: bytes, addr: Address, now: float) -> Sequence[object]:
        """Take a datagram."""
        return (SendDatagram(datagram, self.targets[datagram[0]]),)

    def next_deadline(self) -> float | None:
        """When it wants time."""
        return None

    def advance(self, now: float) -> Sequence[object]:
        """Do what is due."""
        return ()


def test_the_network_costs_little_per_datagram() -> None:
    """About 3 microseconds each on the machine of record; ten times that fails the test."""
    network = Network(1)
    engines = [Spray() for _ in range(300)]
    hosts = [network.add_host(engine) for engine in engines]
    chance = network.entropy("targets")
    for engine, host in zip(engines, hosts, strict=True):
        engine.targets = [chance.choice(hosts).address for _ in range(256)]
        network.apply(host, [SendDatagram(chance.token_bytes(200), engine.targets[0])])
    started = time.process_time()
    network.run(until=20.0)
    spent = time.process_time() - started
    assert network.trace.count > 30_000
    assert spent / network.trace.count < 40e-6


def test_what_a_stopped_host_wanted_to_do_is_still_sent() -> None:
    """Effects handed over as a host crashes are carried out; its deadline is not looked at."""
    network = Network(1, STILL)
    engine, sink = Timer(1.0), Sink()
    host, other = network.add_host(engine), network.add_host(sink)
    network.crash(host)
    send(network, host, other)
    network.run(until=2.0)
    assert len(sink.received) == 1
    assert engine.advanced == []


def test_a_run_without_end_ends_when_nothing_is_left() -> None:
    """The clock stays at the last event."""
    network = Network(1, STILL)
    asker, echo, sink = pair(network, Echo())
    send(network, asker, echo)
    network.run(until=float("inf"))
    assert len(sink.received) == 1
    assert network.now == 0.1
