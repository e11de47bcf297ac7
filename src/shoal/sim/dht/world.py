"""A DHT of production engines in virtual time."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from shoal.core import Address, Family, InfoHash
from shoal.dht import DhtConfig, DhtEngine, Status, TypeRegistry, Value
from shoal.dht.effects import (
    Done,
    PublicAddressChanged,
    ResolveHost,
    StatusChanged,
    ValuesFound,
)
from shoal.sim.dht.lookups import LookupResult, LookupWatch
from shoal.sim.dht.report import DhtReport, RingPath, Sample, Traffic
from shoal.sim.dht.scenario import PUTTING, SETTLING, DhtScenario
from shoal.sim.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shoal.sim.hosts import Host

SAMPLES: Final = 60  # per run, ours
PATHS_MAX: Final = 12  # lookups kept to be drawn, ours: more is a tangle
DRAWS_MAX: Final = 64  # looking for a node that is free to look up, ours
ID_BITS: Final = 160
REPORTS_PER_RUN: Final = 200  # calls of *progress*, ours
COLLECT_EVERY: Final = 200_000  # allocations between collections of young objects, ours


class Progress(NamedTuple):
    """How far a run is: virtual seconds and counts."""

    moment: float
    end: float
    phase: str
    nodes: int
    lookups: int
    found: int
    packets: int


class Participant:
    """One node of the world and what it is busy with."""

    __slots__ = ("engine", "host", "lookup", "place")

    def __init__(self, host: Host, engine: DhtEngine, place: int) -> None:
        self.host = host
        self.engine = engine
        self.place = place  # in the list of those alive
        self.lookup: int | None = None  # the operation, while it is looking something up


class Record(NamedTuple):
    """A value in the network, and who owns it."""

    key: InfoHash
    value: Value
    owner: Participant


def run_dht(scenario: DhtScenario, progress: Callable[[Progress], None] | None = None) -> DhtReport:
    """Simulate a DHT. Equal scenarios give equal reports.

    Args:
        scenario: everything that decides the run.
        progress: called now and then; it cannot change the run.
    """
    with _rare_collections():
        world = DhtWorld(scenario)
        steps = max(1, REPORTS_PER_RUN)
        for step in range(1, steps + 1):
            world.network.run(scenario.end * step / steps, stop=world.is_over)
            if progress is not None:
                progress(world.progress())
        return world.report()


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Search for cyclic garbage rarely: millions of live objects make each search slow."""
    before = gc.get_threshold()
    gc.set_threshold(COLLECT_EVERY, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


class DhtWorld:
    """The network, its nodes, its values and its lookups. `run_dht` is the way to use it."""

    def __init__(self, scenario: DhtScenario) -> None:
        self.scenario = scenario
        self.network = Network(scenario.seed, scenario.conditions())
        self.alive: list[Participant] = []
        self.results: list[LookupResult] = []
        self._by_host: dict[int, Participant] = {}
        self._types = TypeRegistry()  # has no state of its own, so all share it
        self._hosts_by_name: dict[str, list[Address]] = {}
        self._chance = self.network.entropy("world")
        self.records: list[Record] = []  # acknowledged, owner alive: may be looked up
        self.puts: dict[int, Record] = {}  # under way, by operation
        self.lookups: dict[int, tuple[Participant, LookupWatch]] = {}  # likewise
        self._next_op = 0
        self._joined = self._replaced = self.void = 0
        self._puts_made = self._puts_failed = 0
        self._gone_packets = self._gone_bytes = 0  # sent by nodes that left
        self._samples: list[Sample] = []
        self._sampled = Traffic(0, 0, 0.0)
        self._paths: list[RingPath] = []
        self._joining = Traffic(0, 0, 0.0)
        self._measured_from = Traffic(0, 0, 0.0)
        self._measured: Traffic | None = None
        for kind, handler in (
            (ValuesFound, self._on_values),
            (Done, self._on_done),
            (ResolveHost, self._on_resolve),
            (StatusChanged, _ignore),
            (PublicAddressChanged, _ignore),
        ):
            self.network.on_effect(kind, handler)
        self._plan()

    def is_over(self) -> bool:
        """Measured, and no lookup is under way."""
        return self._measured is not None and not self.lookups

    def progress(self) -> Progress:
        """Say how far the run is."""
        scenario, now = self.scenario, self.network.now
        phases = (
            (scenario.join_time, "joining"),
            (scenario.join_time + SETTLING, "settling"),
            (scenario.measure_start, "putting"),
            (scenario.measure_end, "measuring"),
        )
        phase = next((name for end, name in phases if now < end), "finishing")
        found = sum(result.is_found for result in self.results)
        return Progress(
            now, scenario.end, phase, len(self.alive), len(self.results), found,
            self.network.trace.count,
        )  # fmt: skip

    # --- The plan -----------------------------------------------------------------------------

    def _plan(self) -> None:
        """Put all that is known beforehand on the calendar."""
        scenario, network = self.scenario, self.network
        chance = network.entropy("plan")
        joins = sorted(
            chance.uniform(0.0, scenario.join_time)
            for _ in range(scenario.nodes - scenario.bootstrap_count)
        )
        for moment in [0.0] * scenario.bootstrap_count + joins:
            network.call_at(moment, self.join)
        network.call_at(scenario.join_time + SETTLING, self._end_joining)
        for _ in range(scenario.value_count):
            moment = scenario.join_time + SETTLING + chance.uniform(0.0, 0.5 * PUTTING)
            network.call_at(moment, self.put)
        network.call_at(scenario.measure_start, self._start_measuring)
        for number in range(scenario.lookups):
            gap = scenario.duration / scenario.lookups
            network.call_at(scenario.measure_start + (number + 0.5) * gap, self.look_up)
        self._plan_churn()
        for number in range(1, SAMPLES + 1):
            network.call_at(scenario.measure_end * number / SAMPLES, self._sample)
        network.call_at(scenario.measure_end, self._end_measuring)

    def _plan_churn(self) -> None:
        """Let nodes leave as a Poisson process, from the start of measuring to its end."""
        scenario = self.scenario
        per_second = scenario.churn * scenario.nodes / 3600.0
        if not per_second:
            return
        chance = self.network.entropy("churn")
        moment = scenario.measure_start + chance.exponential(1.0 / per_second)
        while moment < scenario.measure_end:
            self.network.call_at(moment, partial(self.replace, chance.random()))
            moment += chance.exponential(1.0 / per_second)

    # --- Nodes --------------------------------------------------------------------------------

    def join(self) -> None:
        """Start one more node, which knows the bootstrap nodes that are there."""
        number = self._joined
        self._joined += 1
        network, scenario = self.network, self.scenario
        chance = network.entropy("joiner", number)
        skew = chance.uniform(-scenario.clock_skew, scenario.clock_skew)
        is_bootstrap = number < scenario.bootstrap_count
        engine = DhtEngine(
            DhtConfig(families=(Family.IPV4,), is_bootstrap=is_bootstrap),
            network.entropy("node", number),
            network.now,
            wall_offset=skew,
            types=self._types,
        )
        host = network.add_host(engine, wall_skew=skew, name=f"node {number}")
        engine.wall_offset = host.wall_offset
        participant = Participant(host, engine, len(self.alive))
        self.alive.append(participant)
        self._by_host[host.number] = participant
        known = [(str(place), 4222) for place in range(min(number, scenario.bootstrap_count))]
        if is_bootstrap:
            self._hosts_by_name[str(number)] = [host.address]
        network.apply(host, engine.bootstrap(chance.sample(known, 2), network.now))

    def replace(self, drawn: float) -> None:
        """Crash a node other than the bootstrap nodes, and let another one join."""
        spared = self.scenario.bootstrap_count
        if len(self.alive) <= spared:
            return
        leaver = self.alive[spared + int(drawn * (len(self.alive) - spared))]
        self._replaced += 1
        self._forget(leaver)
        self.join()

    def _forget(self, leaver: Participant) -> None:
        host = leaver.host
        last = self.alive.pop()
        if last is not leaver:
            self.alive[leaver.place] = last
            last.place = leaver.place
        del self._by_host[host.number]
        self._gone_packets += host.sent_packets
        self._gone_bytes += host.sent_bytes
        self.network.remove(host)
        if leaver.lookup is not None:
            del self.lookups[leaver.lookup]
            self.void += 1
        lost_puts = [op for op, record in self.puts.items() if record.owner is leaver]
        for op in lost_puts:
            del self.puts[op]
        orphans = [record for record in self.records if record.owner is leaver]
        self.records = [record for record in self.records if record.owner is not leaver]
        for _ in range(len(lost_puts) + len(orphans)):
            self.put()

    def _on_resolve(self, host: Host, effect: object) -> None:
        assert isinstance(effect, ResolveHost)
        engine = self._by_host[host.number].engine
        addrs = self._hosts_by_name.get(effect.host, [])
        self.network.apply(host, engine.resolved(effect.host, effect.port, addrs, self.network.now))

    # --- Values -------------------------------------------------------------------------------

    def put(self) -> None:
        """Let a random node own one more value."""
        chance, now = self._chance, self.network.now
        key = InfoHash(chance.token_bytes(InfoHash.length))
        data = chance.token_bytes(self.scenario.value_size)
        owner = chance.choice(self.alive)
        value = Value(data=data, id=1 + chance.below(2**64 - 1))
        op = self._new_op()
        self._puts_made += 1
        self.puts[op] = Record(key, value, owner)
        effects = owner.engine.put(op, key, value, now, permanent=True)
        self.network.apply(owner.host, effects)

    def _on_done(self, host: Host, effect: object) -> None:
        assert isinstance(effect, Done)
        record = self.puts.pop(effect.op, None)
        if record is not None:
            if effect.ok:
                self.records.append(record)
            else:
                self._puts_failed += 1
                self._put_again(record)
        else:
            self._finish(effect.op, self.network.now)

    def _put_again(self, record: Record) -> None:
        """Try another owner later: the node may not have been connected yet."""
        now, engine = self.network.now, record.owner.engine
        withdrawn = engine.cancel_put(record.key, record.value.id, now)
        self.network.apply(record.owner.host, withdrawn)
        self.network.call_at(now + 1.0, self.put)

    # --- Lookups ------------------------------------------------------------------------------

    def look_up(self) -> None:
        """Let a random connected node look for a random value that is not its own."""
        if not self.records:
            return
        chance, now = self._chance, self.network.now
        record = chance.choice(self.records)
        for _ in range(DRAWS_MAX):
            looker = chance.choice(self.alive)
            is_connected = looker.engine.status[0] is Status.CONNECTED
            if looker.lookup is None and looker is not record.owner and is_connected:
                break
        else:
            return
        op = self._new_op()
        known = self._known_to(looker)
        looker.lookup = op
        looker.host.tap = watch = LookupWatch(record.key, record.value.id, known, now)
        self.lookups[op] = looker, watch
        self.network.apply(looker.host, looker.engine.get(op, record.key, now))

    def _on_values(self, host: Host, effect: object) -> None:
        assert isinstance(effect, ValuesFound)
        _, watch = self.lookups[effect.op]
        if any(value.id == watch.value_id for value in effect.values):
            watch.found(self.network.now)

    def _finish(self, op: int, now: float | None) -> None:
        """Note how a lookup went, which ended *now* or is given up."""
        looker, watch = self.lookups.pop(op)
        self.results.append(watch.result(now))
        if watch.hops and len(self._paths) < PATHS_MAX:
            self._keep_path(looker, watch)
        looker.lookup = looker.host.tap = None

    def _known_to(self, looker: Participant) -> list[Address]:
        """Return the addresses in the looker's routing table."""
        buckets = looker.engine.routing_table(Family.IPV4)
        return [node.addr for bucket in buckets for node in bucket.nodes]

    def _keep_path(self, looker: Participant, watch: LookupWatch) -> None:
        stations = [looker.engine.node_id, *watch.chain()]
        self._paths.append(RingPath(tuple(_on_ring(one) for one in stations), _on_ring(watch.key)))

    def _new_op(self) -> int:
        self._next_op += 1
        return self._next_op

    # --- Figures ------------------------------------------------------------------------------

    def _sent(self) -> Traffic:
        """Return what has been sent so far, by those who left too."""
        hosts = self.network.hosts.values()
        return Traffic(
            self._gone_packets + sum(host.sent_packets for host in hosts),
            self._gone_bytes + sum(host.sent_bytes for host in hosts),
            self.network.now,
        )

    def _end_joining(self) -> None:
        sent = self._sent()
        self._joining = sent._replace(node_seconds=self.network.now * self.scenario.nodes)

    def _start_measuring(self) -> None:
        self._measured_from = self._sent()

    def _end_measuring(self) -> None:
        self._measured = self._since(self._measured_from, self.scenario.nodes)

    def _since(self, before: Traffic, nodes: int) -> Traffic:
        """Return the traffic since *before*, whose time stands in for node seconds."""
        sent = self._sent()
        return Traffic(
            sent.packets - before.packets,
            sent.bytes - before.bytes,
            nodes * (sent.node_seconds - before.node_seconds),
        )

    def _sample(self) -> None:
        nodes = len(self.alive)
        since = self._since(self._sampled, nodes)
        self._sampled = self._sent()
        connected = sum(each.engine.status[0] is Status.CONNECTED for each in self.alive)
        self._samples.append(
            Sample(
                self.network.now,
                nodes,
                connected,
                since.packets_per_node_hour / 3600.0,
                since.bytes_per_node_hour / 3600.0,
            )
        )

    def report(self) -> DhtReport:
        """Sum up; lookups that are still under way count as they stand."""
        for op in list(self.lookups):
            self._finish(op, None)
        stats = self.network.stats
        return DhtReport(
            scenario=self.scenario,
            results=tuple(self.results),
            void=self.void,
            replaced=self._replaced,
            puts=self._puts_made,
            puts_failed=self._puts_failed,
            joining=self._joining,
            measuring=self._measured or Traffic(0, 0, 0.0),
            lost=stats.lost,
            undeliverable=stats.unreachable,
            samples=tuple(self._samples),
            ring=tuple(sorted(_on_ring(each.engine.node_id) for each in self.alive)),
            paths=tuple(self._paths),
            events=self.network.trace.count,
            trace=self.network.trace.hexdigest(),
        )


def _ignore(host: Host, effect: object) -> None:
    """Handle what the world does not need to know, or it would pile up in `Host.events`."""


def _on_ring(number: InfoHash) -> float:
    """Return where an id stands, as a fraction of the ring."""
    return float(int.from_bytes(number) / (1 << ID_BITS))
