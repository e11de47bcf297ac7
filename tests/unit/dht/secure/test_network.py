"""Signed and encrypted values between production engines on a simulated network."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from shoal.core import Address, Compute, Family, InfoHash
from shoal.dht.config import DhtConfig
from shoal.dht.effects import Done, ResolveHost, ValuesExpired, ValuesFound
from shoal.dht.engine import DhtEngine
from shoal.dht.secure.effects import CertificateFound, IdentityAnnounced
from shoal.dht.secure.engine import SecureEngine
from shoal.dht.value import Value
from shoal.sim import Conditions, Constant, Host, Network, SeededEntropy
from tests.unit.dht.identities import identity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WALL_OFFSET = 1_700_000_000.0
KEY = InfoHash.of(b"key")
NAMES = ("alice", "bob", "carol", None, None, None)
T = TypeVar("T")


class World:
    """Six nodes, three of them with an identity, on a network that loses datagrams."""

    def __init__(self, seed: int) -> None:
        self.network = Network(seed, Conditions(latency=Constant(0.02), loss=0.02))
        self.network.on_effect(ResolveHost, self._resolve)
        self.network.on_effect(Compute, self._compute)
        self.hosts: list[Host] = []
        for number, name in enumerate(NAMES):
            entropy = SeededEntropy(seed, "node", number)
            config = DhtConfig(families=(Family.IPV4,))
            dht = DhtEngine(config, entropy, 0.0, wall_offset=WALL_OFFSET)
            who = None if name is None else identity(name)
            self.hosts.append(self.network.add_host(SecureEngine(dht, entropy, identity=who)))
            self._join(self.hosts[-1], dht)
        self.network.run(60.0)

    def engine(self, number: int) -> SecureEngine:
        """Return the engine of a node."""
        engine = self.hosts[number].engine
        assert isinstance(engine, SecureEngine)
        return engine

    def do(
        self, number: int, op: int, command: Callable[[SecureEngine, float], Sequence[object]]
    ) -> None:
        """Have a node begin operation *op*, and wait for its end."""
        effects = command(self.engine(number), self.network.now)
        self.network.apply(self.hosts[number], effects)
        end = self.network.now + 120.0
        self.network.run(end, stop=lambda: bool(self.events(number, Done, op)))
        (done,) = self.events(number, Done, op)
        assert done.ok

    def events(self, number: int, kind: type[T], op: int) -> list[T]:
        """Return what a node reported about an operation."""
        events = [event for event in self.hosts[number].events if isinstance(event, kind)]
        return [event for event in events if getattr(event, "op", None) == op]

    def read(self, number: int, op: int) -> dict[bytes, InfoHash | None]:
        """Return what a node finds under the key, and by whom it is signed."""
        self.do(number, op, lambda e, now: e.get(op, KEY, now))
        found = self.events(number, ValuesFound, op)
        return {value.data: value.owner_id for event in found for value in event.values}

    def _join(self, host: Host, dht: DhtEngine) -> None:
        secure = host.engine
        assert isinstance(secure, SecureEngine)
        if host is not self.hosts[0]:
            first = self.hosts[0].address
            effects = dht.bootstrap([(first.host, first.port)], self.network.now)
            self.network.apply(host, secure.absorb(effects, self.network.now))

    def _resolve(self, host: Host, effect: object) -> None:
        assert isinstance(effect, ResolveHost)
        secure = host.engine
        assert isinstance(secure, SecureEngine)
        dht = secure._operations.inner  # noqa: SLF001 - what the driver has at hand
        assert isinstance(dht, DhtEngine)
        addr, now = Address.parse(effect.host, effect.port), self.network.now
        resolved = dht.resolved(effect.host, effect.port, [addr], now)
        self.network.apply(host, secure.absorb(resolved, now))

    def _compute(self, host: Host, effect: object) -> None:
        """Be done with a computation five milliseconds later."""
        assert isinstance(effect, Compute)
        secure, job, compute_id = host.engine, effect.job, effect.id
        assert isinstance(secure, SecureEngine)
        network = self.network
        network.call_at(
            network.now + 0.005,
            lambda: network.apply(host, secure.computed(compute_id, job(), network.now)),
        )


def test_values_and_certificates_cross_the_network() -> None:
    """Each node finds the certificates; only the recipient reads; edits rise in sequence."""
    world = World(seed=4)
    alice, bob = identity("alice"), identity("bob")
    assert [event for event in world.hosts[0].events if isinstance(event, IdentityAnnounced)] == [
        IdentityAnnounced(alice.id, ok=True)
    ]

    for op, name in ((1, bob.id), (2, bob.long_id)):
        world.do(4, op, lambda e, now, op=op, name=name: e.find_certificate(op, name, now))  # type: ignore[misc]
        assert world.events(4, CertificateFound, op) == [CertificateFound(op, bob.certificate)]

    world.do(0, 1, lambda e, now: e.put_signed(1, KEY, Value(b"to all", id=5), now))
    world.do(0, 2, lambda e, now: e.put_encrypted(2, KEY, Value(b"to bob"), bob.long_id, now))
    assert world.read(1, 3) == {b"to all": alice.id, b"to bob": alice.id}
    assert world.read(2, 3) == {b"to all": alice.id}
    assert world.read(5, 3) == {b"to all": alice.id}

    world.do(0, 4, lambda e, now: e.put_signed(4, KEY, Value(b"edited", id=5), now))
    world.network.run(world.network.now + 10.0)  # what was lost on the way is repeated
    assert world.read(5, 4) == {b"edited": alice.id}


def test_a_listener_sees_encrypted_values_come_and_go_in_clear() -> None:
    """Once no node that told of them is believed to have them."""
    world = World(seed=5)
    bob = identity("bob")
    world.network.apply(world.hosts[1], world.engine(1).listen(9, KEY, world.network.now))
    world.network.run(world.network.now + 10.0)
    world.do(0, 1, lambda e, now: e.put_encrypted(1, KEY, Value(b"psst"), bob.id, now))
    world.network.run(world.network.now + 1300.0)

    found = [v.data for e in world.events(1, ValuesFound, 9) for v in e.values]
    gone = [v.data for e in world.events(1, ValuesExpired, 9) for v in e.values]
    assert (found, gone) == ([b"psst"], [b"psst"])
