"""Worlds that a seed plays out, and what must hold in each of them.

Each world is a function of a seed that raises `AssertionError` when a promise is broken. New seeds
are played by `python -m tests.sim.play`; one that fails is added to `seeds.txt`, which
`test_seeds.py` replays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from shoal.core import Address, Family, InfoHash
from shoal.dht import DhtConfig, DhtEngine, Status, TypeRegistry, Value
from shoal.dht.effects import Done, ResolveHost, ValuesFound
from shoal.sim import Conditions, Constant, Network
from shoal.sim.dht import DhtScenario, run_dht
from shoal.sim.faults import draw_faults, schedule
from shoal.sim.nat import FULL_CONE, PORT_RESTRICTED_CONE, RESTRICTED_CONE, SYMMETRIC
from tests.sim.connections_world import connections
from tests.sim.swarm_lives import conversations, crowds, writes

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.core import Engine
    from shoal.sim import Gateway, Host

TYPES: Final = TypeRegistry()
BOOTSTRAP: Final = ("first", 4222)


@dataclass
class Ring:
    """A small DHT whose operations are followed."""

    network: Network
    hosts: list[Host] = field(default_factory=list)
    done: dict[int, bool] = field(default_factory=dict)
    found: dict[int, list[Value]] = field(default_factory=dict)
    kept: dict[int, list[tuple[InfoHash, Value]]] = field(default_factory=dict)
    _ops: int = 0
    _starts: int = 0

    def __post_init__(self) -> None:
        self.network.on_effect(Done, self._on_done)
        self.network.on_effect(ValuesFound, self._on_values)
        self.network.on_effect(ResolveHost, self._on_resolve)

    def add(self, behind: Gateway | None = None) -> Host:
        """Start one more node."""
        host = self.network.add_host(self._new_engine(None), behind=behind)
        host.engine.wall_offset = host.wall_offset  # type: ignore[attr-defined]
        self.hosts.append(host)
        if len(self.hosts) > 1:
            self._bootstrap(host)
        return host

    def get(self, host: Host, key: InfoHash) -> int:
        """Look for the values at *key*; return the operation."""
        op = self._new_op()
        self.network.apply(host, self.engine(host).get(op, key, self.network.now))
        return op

    def put_once(self, host: Host, key: InfoHash, value: Value) -> int:
        """Put a value that nobody renews; return the operation."""
        op = self._new_op()
        self.network.apply(host, self.engine(host).put(op, key, value, self.network.now))
        return op

    def ends(self, op: int) -> bool:
        """Let time pass until *op* has ended, half a minute at most; return whether all is well."""
        self.network.run(self.network.now + 30.0, stop=lambda: op in self.done)
        return self.done.get(op, False)

    def farthest(self, key: InfoHash) -> Host:
        """Return the node least likely to store what is at *key*."""
        return max(
            self.hosts,
            key=lambda host: int.from_bytes(self.engine(host).node_id) ^ int.from_bytes(key),
        )

    def put(self, host: Host, key: InfoHash, value: Value) -> int:
        """Put a value, and renew it as long as the host lives and remembers."""
        self.kept.setdefault(host.number, []).append((key, value))
        return self._put(host, key, value)

    def restart(self, host: Host, keeps_state: bool) -> Engine:
        """Give the host a new engine, with the node's id and caches or with nothing."""
        old, now = self.engine(host), self.network.now
        engine = self._new_engine(old.node_id if keeps_state else None)
        engine.wall_offset = host.wall_offset
        if not keeps_state:
            self.kept.pop(host.number, None)
        nodes = old.export_nodes(now) if keeps_state else []
        values = old.export_values(now) if keeps_state else []

        def begin() -> None:
            if host.engine is not engine or not host.is_running:
                return
            for node_id, addr in nodes:
                self.network.apply(host, engine.insert_node(node_id, addr, self.network.now))
            self.network.apply(host, engine.import_values(values, self.network.now))
            if host is not self.hosts[0]:
                self._bootstrap(host)
            for key, value in self.kept.get(host.number, []):
                self._put(host, key, value)

        self.network.call_at(now, begin)
        return engine

    def engine(self, host: Host) -> DhtEngine:
        """Return the engine of *host*."""
        assert isinstance(host.engine, DhtEngine)
        return host.engine

    def is_connected(self, host: Host) -> bool:
        """Whether the node knows a good node."""
        return self.engine(host).status[0] is Status.CONNECTED

    def _put(self, host: Host, key: InfoHash, value: Value) -> int:
        op, engine = self._new_op(), self.engine(host)
        self.network.apply(host, engine.put(op, key, value, self.network.now, permanent=True))
        return op

    def _new_engine(self, node_id: InfoHash | None) -> DhtEngine:
        self._starts += 1
        entropy = self.network.entropy("engine", self._starts)
        config = DhtConfig(node_id=node_id, families=(Family.IPV4,))
        return DhtEngine(config, entropy, self.network.now, wall_offset=0.0, types=TYPES)

    def _bootstrap(self, host: Host) -> None:
        self.network.apply(host, self.engine(host).bootstrap([BOOTSTRAP], self.network.now))

    def _new_op(self) -> int:
        self._ops += 1
        return self._ops

    def _on_done(self, host: Host, effect: object) -> None:
        assert isinstance(effect, Done)
        assert effect.op not in self.done, "an operation ends once"
        self.done[effect.op] = effect.ok

    def _on_values(self, host: Host, effect: object) -> None:
        assert isinstance(effect, ValuesFound)
        assert effect.op not in self.done, "nothing is reported after the end"
        self.found.setdefault(effect.op, []).extend(effect.values)

    def _on_resolve(self, host: Host, effect: object) -> None:
        assert isinstance(effect, ResolveHost)
        addrs: list[Address] = [self.hosts[0].address]
        resolved = self.engine(host).resolved(effect.host, effect.port, addrs, self.network.now)
        self.network.apply(host, resolved)


def _value(ring: Ring, number: int) -> tuple[InfoHash, Value]:
    chance = ring.network.entropy("value", number)
    return InfoHash(chance.token_bytes(20)), Value(data=b"value %d" % number, id=1 + number)


def _find_all(ring: Ring, values: list[tuple[InfoHash, Value]], share: float) -> None:
    """Let every node look for every value; at least *share* of the lookups must find it."""
    wanted = {ring.get(host, key): value for host in ring.hosts for key, value in values}
    ring.network.run(ring.network.now + 60.0)
    missing = sum(
        not any(one.id == value.id for one in ring.found.get(op, ()))
        for op, value in wanted.items()
    )
    assert missing <= (1.0 - share) * len(wanted), f"{missing} of {len(wanted)} not found"
    unfinished = [op for op in wanted if op not in ring.done]
    assert not unfinished, f"{len(unfinished)} lookups did not end"


def faults(seed: int) -> None:
    """Twenty nodes crash, sleep, part and lose for an hour; then they are whole again.

    When the last fault is over and its traces have had time to fade, every node is connected, and
    every value whose owner remembers it is found from everywhere.
    """
    ring = Ring(Network(seed, Conditions(loss=0.01, duplication=0.01, reordering=0.02)))
    network = ring.network
    for _ in range(20):
        ring.add()
        network.run(network.now + 5.0)
    network.run(network.now + 60.0)
    for number in range(10):
        ring.put(ring.hosts[2 * number], *_value(ring, number))
    begin = network.now + 60.0
    plan = draw_faults(
        network.entropy("faults"), len(ring.hosts), start=begin, end=begin + 3600.0, mean_gap=120.0
    )
    schedule(network, ring.hosts, plan, ring.restart)
    network.run(begin + 3600.0 + 1800.0)

    alone = [host.name for host in ring.hosts if not ring.is_connected(host)]
    assert not alone, f"not connected: {alone}"
    _find_all(ring, [pair for kept in ring.kept.values() for pair in kept], share=1.0)


def nats(seed: int) -> None:
    """Of thirty nodes ten stand behind NATs of four kinds; everybody finds what anybody put."""
    ring = Ring(Network(seed, Conditions(loss=0.01)))
    network = ring.network
    kinds = (FULL_CONE, RESTRICTED_CONE, PORT_RESTRICTED_CONE, SYMMETRIC)
    for number in range(30):
        is_hidden = number % 3 == 2
        ring.add(network.add_gateway(kinds[number % 4]) if is_hidden else None)
        network.run(network.now + 5.0)
    network.run(network.now + 300.0)
    values = [_value(ring, number) for number in range(6)]
    for number, (key, value) in enumerate(values):
        ring.put(ring.hosts[5 * number + 2], key, value)
    network.run(network.now + 1200.0)
    assert all(ring.is_connected(host) for host in ring.hosts)
    _find_all(ring, values, share=0.99)


def churn(seed: int) -> None:
    """A hundred nodes, all replaced every two hours, and one datagram in fifty lost."""
    scenario = DhtScenario(
        nodes=100, seed=seed, churn=0.5, loss=0.02, duration=1800.0, lookups=200, join_time=120.0
    )
    report = run_dht(scenario)
    assert len(report.results) + report.void == 200
    assert report.success >= 0.99, f"{report.found} of {len(report.results)} found"
    assert report.samples[-1].connected >= 99


def young(seed: int) -> None:
    """Three hundred nodes join around a single one within half a minute, and use the DHT at once.

    Whole regions then know nobody elsewhere at first, and must not settle for one another.
    """
    scenario = DhtScenario(
        nodes=300, seed=seed, join_time=30.0, duration=120.0, lookups=600, bootstraps=1
    )
    report = run_dht(scenario)
    assert report.found == 600, f"{report.found} of 600 found"


def formed(seed: int) -> None:
    """Nodes join one by one on one machine; what node 0 then puts is found at once.

    Within seconds, before anybody's maintenance has had its turns, and by the node farthest from
    the key: the one that knows least about where to look.
    """
    ring = Ring(Network(seed, Conditions(latency=Constant(0.0003), jitter=0.5)))
    network, chance = ring.network, ring.network.entropy("formed")
    for _ in range(8 + chance.below(57)):
        newcomer = ring.add()
        if newcomer is not ring.hosts[0]:
            network.run(network.now + 10.0, stop=partial(ring.is_connected, newcomer))
            assert ring.is_connected(newcomer)
    network.run(network.now + chance.choice((0.0, 0.5, 1.0, 2.0, 3.0, 4.0)))
    for number in range(30):
        key, value = _value(ring, number)
        assert ring.ends(ring.put_once(ring.hosts[0], key, value)), f"put {number} failed"
        op = ring.get(ring.farthest(key), key)
        assert ring.ends(op), f"get {number} failed"
        assert ring.found.get(op), f"get {number} of {len(ring.hosts)} nodes found nothing"


WORLDS: Final[dict[str, Callable[[int], None]]] = {
    "faults": faults,
    "nats": nats,
    "churn": churn,
    "young": young,
    "formed": formed,
    "connections": connections,
    "conversations": conversations,
    "crowds": crowds,
    "writes": writes,
}
