"""A small world for accounts' engines: one DHT, one network, virtual time, no sockets.

The DHT keeps everything at its key and tells listeners at once; sealed values reach only the
device that they are for. Connections come up at once between devices that let each other.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from shoal.core import Compute, InfoHash, Persist
from shoal.crypto import Certificate
from shoal.dht.query import matches_all
from shoal.identity import check_receipt
from shoal.identity.contact_book import BookState, ContactBook
from shoal.identity.devices import KnownDevices
from shoal.identity.permissions import Permissions
from shoal.identity.revocations import Revocations
from shoal.identity.store import CertificateStore
from shoal.net.effects import SendSignal
from shoal.net.signalling import PeerRequest
from shoal.node.account import effects as fx
from shoal.node.account.engine import AccountEngine, OwnDevice
from shoal.sim import SeededEntropy
from tests.unit.node.people import WALL_NOW, DeviceOf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.core import DeviceId
    from shoal.dht import Value
    from shoal.identity import DeviceChain


T = TypeVar("T")


@dataclass
class Stored:
    """A value in the DHT, and the only key that can read it."""

    value: Value
    reader: bytes | None = None


@dataclass
class Person:
    """A device with its engine, and all that its engine said."""

    of: DeviceOf
    engine: AccountEngine
    store: CertificateStore
    revocations: Revocations
    is_online: bool = True
    said: list[object] = field(default_factory=list)
    listens: dict[int, InfoHash] = field(default_factory=dict)
    connected: dict[DeviceId, Person] = field(default_factory=dict)
    channels: dict[int, tuple[Person, int]] = field(default_factory=dict)

    @property
    def chain(self) -> DeviceChain:
        """Its chain."""
        return self.engine.own.chain

    def events(self, kind: type[T]) -> list[T]:
        """What it said of that *kind*."""
        return [each for each in self.said if isinstance(each, kind)]


class World:
    """The DHT, the network and the time that the devices share."""

    def __init__(self) -> None:
        self.now = 0.0
        self.people: list[Person] = []
        self.stored: dict[InfoHash, list[Stored]] = {}
        self._ids = itertools.count(1000)
        self._channels = itertools.count(1)

    # People

    def add(
        self,
        of: DeviceOf,
        *,
        state: BookState | None = None,
        starts: bool = True,
        allow_public: bool = False,
        read: Sequence[int] = (),
    ) -> Person:
        """Put a device into the world."""
        chain = of.chain
        revocations, store = Revocations(), CertificateStore()
        book = ContactBook(chain.account, state, Permissions(chain.account, revocations))
        credentials = of.credentials
        receipt = check_receipt(credentials.receipt, credentials.identity.certificate)
        engine = AccountEngine(
            OwnDevice(chain, receipt.announcement),
            book=book,
            devices=KnownDevices(chain, revocations),
            revocations=revocations,
            store=store,
            entropy=SeededEntropy(3, chain.device.hex()),
            wall_offset=WALL_NOW,
            allow_public=allow_public,
            read=read,
        )
        person = Person(of, engine, store, revocations)
        self.people.append(person)
        if starts:
            self.apply(person, engine.start(self.now))
        return person

    def leave(self, person: Person) -> None:
        """A device vanishes: it says nothing, and its announcement expires."""
        person.is_online = False
        person.listens.clear()
        for peer in list(person.connected.values()):
            self.disconnect(person, peer)
        account = InfoHash(person.chain.account)
        for stored in list(self.stored.get(account, [])):
            if bytes(person.chain.short_id) in stored.value.data:
                self.expire(account, stored)

    # The DHT

    def put(self, key: InfoHash, stored: Stored) -> None:
        """Store a value in the place of one with the same id, and tell who listens."""
        values = self.stored.setdefault(key, [])
        values[:] = [each for each in values if each.value.id != stored.value.id]
        values.append(stored)
        for person in list(self.people):
            for op, listened in list(person.listens.items()):
                if listened == key and self.can_read(person, stored):
                    self.apply(person, person.engine.values_found(op, (stored.value,), self.now))

    def expire(self, key: InfoHash, stored: Stored) -> None:
        """Take a value out, and tell who listens."""
        self.stored[key].remove(stored)
        for person in list(self.people):
            for op, listened in list(person.listens.items()):
                if listened == key and self.can_read(person, stored):
                    self.apply(person, person.engine.values_expired(op, (stored.value,), self.now))

    def can_read(self, person: Person, stored: Stored) -> bool:
        """Whether a value is in clear, or sealed for that device."""
        return person.is_online and stored.reader in (None, person.chain.spki)

    # Time

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while True:
            due = [
                (deadline, number)
                for number, person in enumerate(self.people)
                if person.is_online and (deadline := person.engine.next_deadline()) is not None
            ]
            if not due or min(due)[0] > end:
                break
            moment, number = min(due)
            self.now = max(self.now, moment)
            person = self.people[number]
            self.apply(person, person.engine.advance(self.now))
        self.now = end

    # Effects

    def apply(self, person: Person, effects: Sequence[object]) -> None:
        """Do what an engine orders."""
        for effect in effects:
            person.said.append(effect)
            if person.is_online:
                self._obey(person, effect)

    def _obey(self, person: Person, effect: object) -> None:
        engine, now = person.engine, self.now
        match effect:
            case fx.DhtPut(op, key, value):
                value = value if value.id else replace(value, id=next(self._ids))
                self.put(key, Stored(value))
                self.apply(person, engine.dht_done(op, True, now))
            case fx.DhtSeal(op, key, value, spki):
                sealed = replace(
                    value,
                    id=next(self._ids),
                    owner=person.chain.spki,
                    recipient=InfoHash.of(spki),
                    signature=b"by the owner",
                )
                self.put(key, Stored(sealed, spki))
                self.apply(person, engine.dht_done(op, True, now))
            case fx.DhtGet():
                self._get(person, effect)
            case fx.DhtListen(op, key):
                self._listen(person, op, key)
            case fx.DhtCancel(op):
                person.listens.pop(op, None)
            case fx.DhtWithdraw(key, value_id):
                for stored in [s for s in self.stored.get(key, []) if s.value.id == value_id]:
                    self.expire(key, stored)
            case Compute(number, job):
                self.apply(person, engine.computed(number, job(), now))
            case fx.KeepChain(chain):
                assert isinstance(chain.certificate, Certificate)
                person.store.pin(chain.certificate)
            case _:
                self._connect(person, effect)

    def _get(self, person: Person, order: fx.DhtGet) -> None:
        found = [each.value for each in self.stored.get(order.key, []) if each.reader is None]
        matching = tuple(each for each in found if matches_all(order.where, each))
        if matching:
            self.apply(person, person.engine.values_found(order.op, matching, self.now))
        self.apply(person, person.engine.dht_done(order.op, True, self.now))

    def _listen(self, person: Person, op: int, key: InfoHash) -> None:
        person.listens[op] = key
        there = [s.value for s in self.stored.get(key, []) if self.can_read(person, s)]
        if there:
            self.apply(person, person.engine.values_found(op, tuple(there), self.now))

    def _connect(self, person: Person, effect: object) -> None:
        match effect:
            case fx.OpenChannel():
                self._open(person, effect)
            case fx.SendPacket(number, data):
                if number in person.channels:
                    peer, theirs = person.channels[number]
                    self.apply(peer, peer.engine.channel_received(theirs, data, self.now))
            case fx.CloseChannel(number):
                if number in person.channels:
                    self._close(person, number)
            case fx.CloseConnections(account, device_id):
                for peer in list(person.connected.values()):
                    if peer.chain.account == account and device_id in (None, peer.chain.device):
                        self.disconnect(person, peer)
            case _:
                assert not isinstance(effect, SendSignal), "connections are not played here"

    def _open(self, person: Person, order: fx.OpenChannel) -> None:
        peer = self.find(order.peer.device)
        if peer is None or not self._lets(peer, person, order.name):
            self.apply(person, person.engine.channel_failed(order.op, self.now))
            return
        self.connect(person, peer)
        ours, theirs = next(self._channels), next(self._channels)
        person.channels[ours], peer.channels[theirs] = (peer, theirs), (person, ours)
        accepted = peer.engine.sync_accepted(theirs, person.chain, self.now)
        self.apply(person, person.engine.channel_opened(order.op, ours, self.now))
        self.apply(peer, accepted)

    def find(self, device_id: DeviceId) -> Person | None:
        """Return who has that device, if it is online."""
        found = (p for p in self.people if p.chain.device == device_id and p.is_online)
        return next(found, None)

    def connect(self, one: Person, other: Person) -> None:
        """Two devices have a connection."""
        if other.chain.device in one.connected:
            return
        one.connected[other.chain.device], other.connected[one.chain.device] = other, one
        for ours, theirs in ((one, other), (other, one)):
            chain = theirs.chain
            opened = ours.engine.connection_opened(chain.account, chain.device, self.now)
            self.apply(ours, opened)

    def disconnect(self, one: Person, other: Person) -> None:
        """The connection is gone, and its channels."""
        if one.connected.pop(other.chain.device, None) is None:
            return
        other.connected.pop(one.chain.device, None)
        for number, (peer, _) in list(one.channels.items()):
            if peer is other:
                self._close(one, number)
        for ours, theirs in ((one, other), (other, one)):
            chain = theirs.chain
            closed = ours.engine.connection_closed(chain.account, chain.device, self.now)
            self.apply(ours, closed)

    def _close(self, person: Person, number: int) -> None:
        peer, theirs = person.channels.pop(number)
        peer.channels.pop(theirs, None)
        self.apply(person, person.engine.channel_closed(number, self.now))
        self.apply(peer, peer.engine.channel_closed(theirs, self.now))

    def _lets(self, person: Person, caller: Person, name: str) -> bool:
        engine = person.engine
        return engine.may_connect(caller.chain) and engine.accepts_sync(caller.chain, name)


def offer(number: int = 7, *, is_answer: bool = False) -> PeerRequest:
    """Return an offer."""
    return PeerRequest(number, "ufrag\npwd\n", is_answer)


def persisted(person: Person) -> dict[str, bytes]:
    """Return what a device had written, by name."""
    return {each.name: each.data for each in person.said if isinstance(each, Persist)}
