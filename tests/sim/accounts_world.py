"""Accounts on a whole DHT in virtual time: the production engines, composed as the node does it.

A device is one engine here: that of its account on the secure layer on the DHT, all on one socket
of the simulated network. Connections between devices are not part of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from shoal.core import Address, Compute, Family, SendDatagram
from shoal.dht import DhtConfig, DhtEngine, SecureEngine, Status
from shoal.dht.effects import Done, ResolveHost, StatusChanged, ValuesExpired, ValuesFound
from shoal.identity import (
    CertificateStore,
    ContactBook,
    KnownDevices,
    Permissions,
    Revocations,
    check_receipt,
)
from shoal.node.account import effects as fx
from shoal.node.account.engine import AccountEngine, OwnDevice
from shoal.sim import Network
from shoal.sim.network import WALL_EPOCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.core import Entropy
    from shoal.identity import DeviceChain
    from shoal.sim import Conditions
    from shoal.sim.hosts import Host
    from tests.unit.node.people import DeviceOf

T = TypeVar("T")


class DeviceEngine:
    """One device of an account: everything that it does over the DHT."""

    def __init__(self, of: DeviceOf, entropy: Entropy, now: float) -> None:
        self.of = of
        self.said: list[object] = []
        self._key = of.credentials.identity
        config = DhtConfig(families=(Family.IPV4,))
        self.node = DhtEngine(config, entropy, now, wall_offset=WALL_EPOCH)
        self.dht = SecureEngine(self.node, entropy)
        revocations = Revocations()
        chain = of.chain
        receipt = check_receipt(of.credentials.receipt, self._key.certificate)
        self.account = AccountEngine(
            OwnDevice(chain, receipt.announcement),
            book=ContactBook(chain.account, None, Permissions(chain.account, revocations)),
            devices=KnownDevices(chain, revocations),
            revocations=revocations,
            store=CertificateStore(),
            entropy=entropy,
            wall_offset=WALL_EPOCH,
        )

    @property
    def chain(self) -> DeviceChain:
        """Its chain."""
        return self.account.own.chain

    def events(self, kind: type[T]) -> list[T]:
        """What it said of that *kind*."""
        return [each for each in self.said if isinstance(each, kind)]

    def start(self, bootstrap: Sequence[Address], now: float) -> list[object]:
        """Join by these nodes, and let the account be found."""
        joined = self.node.bootstrap([(addr.host, addr.port) for addr in bootstrap], now)
        first = self._below(self.dht.absorb(joined, now), now)
        return [*first, *self._above(self.account.start(now), now)]

    def do(self, effects: Sequence[object], now: float) -> list[object]:
        """Carry out what a command to the account returned."""
        return self._above(effects, now)

    # As the network sees it

    def receive(self, datagram: bytes, addr: Address, now: float) -> list[object]:
        """Take a datagram."""
        return self._below(self.dht.receive(datagram, addr, now), now)

    def next_deadline(self) -> float | None:
        """The earlier one of both layers."""
        deadlines = (self.dht.next_deadline(), self.account.next_deadline())
        return min((each for each in deadlines if each is not None), default=None)

    def advance(self, now: float) -> list[object]:
        """Do what is due in both."""
        return [
            *self._below(self.dht.advance(now), now),
            *self._above(self.account.advance(now), now),
        ]

    # Between the two

    def _below(self, effects: Sequence[object], now: float) -> list[object]:
        """Hand the account what the DHT reports; return what is for the network."""
        out: list[object] = []
        for effect in effects:
            match effect:
                case SendDatagram():
                    out.append(effect)
                case ValuesFound(op, values):
                    out += self._above(self.account.values_found(op, values, now), now)
                case ValuesExpired(op, values):
                    out += self._above(self.account.values_expired(op, values, now), now)
                case Done(op, is_ok):
                    out += self._above(self.account.dht_done(op, is_ok, now), now)
                case Compute(number, job):
                    out += self._below(self.dht.computed(number, job(), now), now)
                case StatusChanged(status, _):
                    if status is Status.CONNECTED:
                        out += self._above(self.account.network_changed(now), now)
                case ResolveHost(host, port):
                    found = self.node.resolved(host, port, [Address.parse(host, port)], now)
                    out += self._below(self.dht.absorb(found, now), now)
                case _:
                    pass  # of what nobody here asks
        return out

    def _above(self, effects: Sequence[object], now: float) -> list[object]:
        """Carry out in the DHT what the account orders; keep everything else to be looked at."""
        out: list[object] = []
        for effect in effects:
            done = self._order(effect, now)
            if done is None:
                self.said.append(effect)
            else:
                out += self._below(done, now)
            if isinstance(effect, Compute):
                computed = self.account.computed(effect.id, effect.job(), now)
                out += self._above(computed, now)
        return out

    def _order(self, effect: object, now: float) -> Sequence[object] | None:
        dht, who = self.dht, self._key
        done: Sequence[object] | None = None
        match effect:
            case fx.DhtPut(op, key, value, is_permanent):
                done = dht.put(op, key, value, now, permanent=is_permanent)
            case fx.DhtSeal(op, key, value, spki):
                done = dht.put_encrypted(op, key, value, spki, now, identity=who)
            case fx.DhtGet(op, key, where, is_raw):
                done = dht.get(op, key, now, where=where, raw=is_raw, identity=who)
            case fx.DhtListen(op, key):
                done = dht.listen(op, key, now, identity=who)
            case fx.DhtCancel(op):
                done = dht.cancel(op, now)
            case fx.DhtWithdraw(key, value_id):
                done = dht.cancel_put(key, value_id, now)
            case _:
                pass  # for connections, for the disk, for users
        return done


class AccountsWorld:
    """A network of plain DHT nodes, and devices among them."""

    def __init__(self, seed: int, nodes: int = 12, conditions: Conditions | None = None) -> None:
        self.network = Network(seed, conditions)
        self.network.on_effect(ResolveHost, self._resolve)
        self._bootstrap: list[Address] = []
        self._hosts: dict[int, Host] = {}
        for number in range(nodes):
            self._add_node(number)
        self.network.run(until=60.0)

    def _add_node(self, number: int) -> None:
        now = self.network.now
        config = DhtConfig(families=(Family.IPV4,))
        engine = DhtEngine(
            config, self.network.entropy("node", number), now, wall_offset=WALL_EPOCH
        )
        host = self.network.add_host(engine, name=f"node {number}")
        known = [(addr.host, addr.port) for addr in self._bootstrap[:2]]
        self.network.apply(host, engine.bootstrap(known, now))
        self._bootstrap.append(host.address)

    def _resolve(self, host: Host, effect: object) -> None:
        assert isinstance(effect, ResolveHost)
        assert isinstance(host.engine, DhtEngine)
        addrs = [Address.parse(effect.host, effect.port)]
        found = host.engine.resolved(effect.host, effect.port, addrs, self.network.now)
        self.network.apply(host, found)

    def add(self, of: DeviceOf) -> DeviceEngine:
        """Put a device into the world."""
        entropy = self.network.entropy("device", of.chain.device.hex())
        engine = DeviceEngine(of, entropy, self.network.now)
        host = self.network.add_host(engine, name=of.chain.device.hex()[:8])
        self._hosts[id(engine)] = host
        self.network.apply(host, engine.start(self._bootstrap[:2], self.network.now))
        return engine

    def remove(self, engine: DeviceEngine) -> None:
        """Let a device vanish without a word."""
        self.network.remove(self._hosts.pop(id(engine)))

    def do(self, engine: DeviceEngine, effects: Sequence[object]) -> None:
        """Let a device carry out what a command returned."""
        self.network.apply(self._hosts[id(engine)], engine.do(effects, self.network.now))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.network.run(until=self.network.now + seconds)
