"""Whose key is it: certificates and public keys that are known, and searches for others.

A certificate lies in the DHT under its key's SHA-1 id (OpenDHT 2.4 puts it there) and under the
SHA-1 of its long id (OpenDHT 4 does). Neither place follows from the other, so a search asks both
where it knows both, and the one it was given where not.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import field
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.core import Compute, InfoHash, PublicKeyId
from shoal.core.records import dataclass
from shoal.crypto.certificates import Certificate
from shoal.dht.contents import CERTIFICATE
from shoal.dht.effects import Done, ValuesFound
from shoal.dht.errors import CertificateNotFoundError, TooManyOperationsError
from shoal.dht.query import Condition, Field
from shoal.dht.secure.effects import CertificateFound, IdentityAnnounced, OperationFailed
from shoal.dht.secure.orders import AnnounceValue, CancelOperation, Event, FetchValues
from shoal.dht.value import Value

if TYPE_CHECKING:
    from shoal.crypto.identity import Identity
    from shoal.dht.secure.checks import SecureStats
    from shoal.dht.secure.suite import SecuritySuite

CERTIFICATES_MAX: Final = 1024  # ours: a few KB each; the one unused for longest goes first
PUBLIC_KEYS_MAX: Final = 8192  # ours: 550 bytes each; likewise
CANDIDATES_MAX: Final = 64  # ours: certificates tried per search; hostile values may surround it
CERTIFICATE_VALUE_ID: Final = 1  # OpenDHT securedht.cpp, SecureDht: id of the published value
WAITERS_MAX: Final = 4096  # ours: operations that wait for a certificate

KeyName: TypeAlias = PublicKeyId | InfoHash
LocalCertificates: TypeAlias = Callable[[KeyName], Certificate | None]


class KeyBook:
    """Certificates and public keys by every name their owner goes by; bounded."""

    def __init__(self, local: LocalCertificates | None = None) -> None:
        """Start empty, with *local* to be asked for certificates that the application has."""
        self._local = local
        self._certificates: OrderedDict[PublicKeyId, Certificate] = OrderedDict()
        self._keys: OrderedDict[PublicKeyId, bytes] = OrderedDict()
        self._long_ids: dict[InfoHash, PublicKeyId] = {}  # short id, or place of the long id

    def remember(self, certificate: Certificate) -> None:
        """Keep *certificate* and its public key."""
        long_id = self.remember_key(certificate.public_key.spki)
        self._certificates[long_id] = certificate
        self._certificates.move_to_end(long_id)
        if len(self._certificates) > CERTIFICATES_MAX:
            self._certificates.popitem(last=False)

    def remember_key(self, spki: bytes) -> PublicKeyId:
        """Keep a public key, SubjectPublicKeyInfo DER; return its long id."""
        long_id = PublicKeyId(hashlib.sha256(spki).digest())
        if long_id not in self._keys:
            self._long_ids[InfoHash.of(spki)] = self._long_ids[long_id.infohash] = long_id
        self._keys[long_id] = spki
        self._keys.move_to_end(long_id)
        if len(self._keys) > PUBLIC_KEYS_MAX:
            forgotten, old = self._keys.popitem(last=False)
            del self._long_ids[InfoHash.of(old)], self._long_ids[forgotten.infohash]
            self._certificates.pop(forgotten, None)
        return long_id

    def certificate(self, name: KeyName) -> Certificate | None:
        """Return the certificate of *name*, if it is known here."""
        long_id = name if isinstance(name, PublicKeyId) else self._long_ids.get(name)
        known = None if long_id is None else self._certificates.get(long_id)
        if known is not None and long_id is not None:
            self._certificates.move_to_end(long_id)
            self._keys.move_to_end(long_id)
            return known
        certificate = None if self._local is None else self._local(name)
        if certificate is not None:
            self.remember(certificate)
        return certificate

    def key(self, name: KeyName) -> bytes | None:
        """Return the public key of *name*, if it is known here."""
        long_id = name if isinstance(name, PublicKeyId) else self._long_ids.get(name)
        spki = None if long_id is None else self._keys.get(long_id)
        if spki is not None and long_id is not None:
            self._keys.move_to_end(long_id)
            return spki
        certificate = self.certificate(name)
        return None if certificate is None else certificate.public_key.spki

    def places(self, name: KeyName) -> tuple[InfoHash, ...]:
        """Return the DHT keys at which the certificate of *name* may lie."""
        long_id = name if isinstance(name, PublicKeyId) else self._long_ids.get(name)
        spki = None if long_id is None else self._keys.get(long_id)
        if spki is not None and long_id is not None:
            return places_of(spki)
        return (name.infohash if isinstance(name, PublicKeyId) else name,)


@dataclass(slots=True, eq=False)
class _Search:
    """A certificate search that is under way.

    Attributes:
        waiters: ops that asked for it.
        gets: ops of the gets it waits for.
        parsing: ids of the `Compute` that try what was found.
        nodes: nodes that answered so far.
        tried: values that were tried as certificates.
    """

    name: KeyName
    waiters: list[int]
    gets: dict[int, None] = field(default_factory=dict)
    parsing: dict[int, None] = field(default_factory=dict)
    nodes: int = 0
    tried: int = 0


class CertificateSearches:
    """Certificate searches, one per name; each op that asks gets a certificate or a failure."""

    def __init__(
        self,
        suite: SecuritySuite,
        stats: SecureStats,
        book: KeyBook,
        own_ops: Iterator[int],
        compute_ids: Iterator[int],
    ) -> None:
        self._suite = suite
        self._stats = stats
        self._book = book
        self._own_ops = own_ops
        self._compute_ids = compute_ids
        self._by_name: dict[KeyName, _Search] = {}
        self._by_waiter: dict[int, _Search] = {}
        self._by_get: dict[int, _Search] = {}
        self._by_compute: dict[int, _Search] = {}

    def __contains__(self, get: int) -> bool:
        """Whether *get*, an op of our own, belongs to a search."""
        return get in self._by_get

    def ops(self) -> list[int]:
        """Return the ops that wait for a certificate."""
        return list(self._by_waiter)

    def find(self, op: int, name: KeyName) -> list[object]:
        """Find the certificate of *name*: known, being searched for, or to be searched for.

        Raises:
            TooManyOperationsError: as many as allowed wait already.
        """
        certificate = self._book.certificate(name)
        if certificate is not None:
            return [CertificateFound(op, certificate), Done(op, ok=True, nodes=0)]
        if len(self._by_waiter) >= WAITERS_MAX:
            raise TooManyOperationsError
        search = self._by_name.get(name)
        if search is not None:
            search.waiters.append(op)
            self._by_waiter[op] = search
            return []
        self._stats.lookups += 1
        search = self._by_name[name] = self._by_waiter[op] = _Search(name, [op])
        where = (Condition(Field.TYPE, CERTIFICATE),)
        orders: list[object] = []
        for place in self._book.places(name):
            get = next(self._own_ops)
            search.gets[get] = None
            self._by_get[get] = search
            orders.append(FetchValues(get, place, where, is_raw=True))
        return orders

    def answered(self, event: Event) -> list[object]:
        """Take an event of one of our gets."""
        search = self._by_get[event.op]
        if isinstance(event, ValuesFound):
            return self._try(search, event.values)
        del self._by_get[event.op], search.gets[event.op]
        if isinstance(event, Done):
            search.nodes += event.nodes
        return self._conclude(search)

    def computed(self, compute_id: int, result: object) -> list[object] | None:
        """Take the certificate found among candidates, or None; None if the id isn't ours."""
        search = self._by_compute.pop(compute_id, None)
        if search is None:
            return None
        del search.parsing[compute_id]
        if result is None:
            return self._conclude(search)
        assert isinstance(result, Certificate)
        self._stats.certificates_found += 1
        self._book.remember(result)
        return self._end(search, result)

    def cancel(self, op: int) -> list[object]:
        """Let *op* wait no longer; a search that nobody waits for ends."""
        search = self._by_waiter.pop(op, None)
        if search is None:
            return []
        search.waiters.remove(op)
        return [] if search.waiters else self._end(search, None)

    def _try(self, search: _Search, values: tuple[Value, ...]) -> list[object]:
        """Let candidates be parsed; there may be any number of false ones among them."""
        candidates = tuple(value.data for value in values if value.type == CERTIFICATE)
        candidates = candidates[: CANDIDATES_MAX - search.tried]
        if not candidates:
            return []
        search.tried += len(candidates)
        compute_id = next(self._compute_ids)
        search.parsing[compute_id] = None
        self._by_compute[compute_id] = search
        job = partial(self._suite.find_certificate, candidates, search.name)
        return [Compute(compute_id, job)]

    def _conclude(self, search: _Search) -> list[object]:
        """End a search that can find nothing more."""
        return [] if search.gets or search.parsing else self._end(search, None)

    def _end(self, search: _Search, certificate: Certificate | None) -> list[object]:
        """Answer all who wait, and cancel what is still under way."""
        del self._by_name[search.name]
        effects: list[object] = []
        for get in search.gets:
            del self._by_get[get]
            effects.append(CancelOperation(get))
        for compute_id in search.parsing:
            del self._by_compute[compute_id]
        for op in search.waiters:
            del self._by_waiter[op]
            if certificate is None:
                effects.append(OperationFailed(op, CertificateNotFoundError()))
            else:
                effects.append(CertificateFound(op, certificate))
            effects.append(Done(op, ok=certificate is not None, nodes=search.nodes))
        return effects


class Publications:
    """The certificates that we publish, each at both of its places."""

    def __init__(self, suite: SecuritySuite, own_ops: Iterator[int]) -> None:
        self._suite = suite
        self._own_ops = own_ops
        self._waiting: dict[InfoHash, Identity] = {}  # for a connection
        self._under_way: dict[int, InfoHash] = {}  # own op: key id
        self._succeeded: dict[InfoHash, bool] = {}

    def __contains__(self, put: int) -> bool:
        """Whether *put*, an op of our own, publishes a certificate."""
        return put in self._under_way

    @property
    def is_waiting(self) -> bool:
        """Whether a connection would let something be published."""
        return bool(self._waiting)

    def add(self, identity: Identity) -> None:
        """Publish the certificate of *identity* once there is a connection."""
        self._waiting[identity.id] = identity

    def connected(self) -> list[object]:
        """Publish what was waiting for a connection."""
        orders: list[object] = []
        for key_id, identity in self._waiting.items():
            certificate = identity.certificate
            data = self._suite.certificate_data(certificate)
            value = Value(data, CERTIFICATE, CERTIFICATE_VALUE_ID)
            self._succeeded[key_id] = False
            for place in places_of(certificate.public_key.spki):
                op = next(self._own_ops)
                self._under_way[op] = key_id
                orders.append(AnnounceValue(op, place, value, is_permanent=True))
        self._waiting = {}
        return orders

    def answered(self, event: Event) -> list[object]:
        """Take the end of one of our puts; one of two is enough."""
        if not isinstance(event, Done):
            return []  # why it fails: `Done` follows
        key_id = self._under_way.pop(event.op)
        self._succeeded[key_id] |= event.ok
        if key_id in self._under_way.values():
            return []
        return [IdentityAnnounced(key_id, self._succeeded.pop(key_id))]

    def remove(self, identity: Identity) -> list[tuple[InfoHash, int]]:
        """Publish the certificate of *identity* no longer; return the slots to withdraw."""
        self._waiting.pop(identity.id, None)
        self._succeeded.pop(identity.id, None)
        for op in [op for op, key_id in self._under_way.items() if key_id == identity.id]:
            del self._under_way[op]
        places = places_of(identity.certificate.public_key.spki)
        return [(place, CERTIFICATE_VALUE_ID) for place in places]


def places_of(spki: bytes) -> tuple[InfoHash, InfoHash]:
    """Return both DHT keys of a public key's certificate: OpenDHT 2.4's, then OpenDHT 4's."""
    return InfoHash.of(spki), PublicKeyId(hashlib.sha256(spki).digest()).infohash
