"""The secure layer: values signed, encrypted, verified and decrypted on top of a DHT backend.

    commands ──► SecureEngine ──► backend (DhtEngine or ProxyEngine)
                   │  ▲
          Compute ─┘  └─ computed, compute_failed

To its caller it is a backend that can do more. What comes in passes a filter: encrypted values are
decrypted or dropped, signed ones verified or dropped, plain ones pass. All work with keys leaves as
`Compute`, so that packets never wait for it, and the events of one operation keep their order: its
`Done` comes when the last of its values was judged.

The parts (readings, preparations, searches, publications) return effects: events, `Compute`, and
orders to the backend under ops of our own, which are negative. Callers take ops from 0 up.

Source: OpenDHT securedht.cpp. Differences: certificates go to both places and are sought at both
(reference section 2.9); signed puts of one value take turns; checks are bounded.
"""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shoal.core import InfoHash, PublicKeyId
from shoal.dht.effects import Done, Status, StatusChanged, ValuesExpired, ValuesFound
from shoal.dht.errors import DhtError, NoIdentityError, ValueTooLargeError
from shoal.dht.secure.certificates import CertificateSearches, KeyBook, Publications
from shoal.dht.secure.checks import Checker, SecureStats
from shoal.dht.secure.effects import CertificateFound, OperationFailed
from shoal.dht.secure.operations import Operations
from shoal.dht.secure.orders import (
    ROUTED,
    AnnounceValue,
    BeginSigning,
    CancelOperation,
    FetchValues,
    FindCertificate,
    Refused,
)
from shoal.dht.secure.puts import Announcement, Preparation, Preparations, failure
from shoal.dht.secure.reads import Reading
from shoal.dht.secure.suite import StandardSuite
from shoal.dht.value import VALUE_SIZE_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.core import Address, Entropy
    from shoal.crypto.certificates import Certificate
    from shoal.crypto.identity import Identity
    from shoal.dht.backend import DhtCommands
    from shoal.dht.query import Query, Where
    from shoal.dht.secure.certificates import KeyName, LocalCertificates
    from shoal.dht.secure.checks import Batch
    from shoal.dht.secure.orders import Event
    from shoal.dht.secure.suite import SecuritySuite
    from shoal.dht.value import Value

VALUE_ID_MAX: Final = 2**64 - 1  # reference section 2.1: a uint64, and 0 is none
CONFIRMATION_TIME: Final = 60.0  # ours: for a new backend to find again what the old one had found


class SecureEngine:
    """DHT operations with identities; stands on a backend, which can change while it runs.

    Attributes:
        stats: what was verified, dropped and so on.
        suite: the cryptography.
        identity: who signs and decrypts, unless a command says otherwise.
    """

    def __init__(
        self,
        inner: DhtCommands,
        entropy: Entropy,
        *,
        identity: Identity | None = None,
        suite: SecuritySuite | None = None,
        local_certificates: LocalCertificates | None = None,
        is_caching_keys: bool = False,
    ) -> None:
        """Stand on *inner*, as *identity*, whose certificate is published once connected.

        *suite* does the cryptography; None is the real one. *local_certificates* is asked for a
        certificate before the DHT is. With *is_caching_keys* the owner of every value that was
        verified is remembered, so that encrypting to it needs no search; the senders of encrypted
        values always are.

        Raises:
            UnsuitableKeyError: the identity can't sign values.
        """
        self.suite: Final[SecuritySuite] = StandardSuite() if suite is None else suite
        self.stats: Final = SecureStats()
        self.identity: Final = identity
        self._entropy = entropy
        self._is_caching_keys = is_caching_keys
        self._status = inner.status
        own_ops, compute_ids = itertools.count(-1, -1), itertools.count(1)
        self._book = KeyBook(local_certificates)
        self._checker = Checker(self.suite, self.stats, compute_ids, self._authentic)
        self._operations = Operations(inner, self._checker, own_ops)
        self._readings = self._operations.readings
        self._preparations = Preparations(
            self.suite, self.stats, own_ops, compute_ids, self._operations.announcements.seq
        )
        self._searches = CertificateSearches(
            self.suite, self.stats, self._book, own_ops, compute_ids
        )
        self._publications = Publications(self.suite, own_ops)
        self._is_doubting = False  # of what the backend before this one had found
        self._confirm_until: float | None = None
        if identity is not None:
            self._add_identity(identity)

    @property
    def status(self) -> tuple[Status, Status]:
        """The connection over IPv4 and over IPv6."""
        return self._status

    def receive(self, datagram: bytes, addr: Address, now: float) -> list[object]:
        """Hand a datagram to the backend."""
        return self.absorb(self._operations.inner.receive(datagram, addr, now), now)

    def receive_all(self, batch: Sequence[tuple[bytes, Address]], now: float) -> list[object]:
        """Hand datagrams that came together to the backend, in order."""
        receive = self._operations.inner.receive
        effects: list[object] = []
        for datagram, addr in batch:
            effects += receive(datagram, addr, now)
        return self.absorb(effects, now)

    def next_deadline(self) -> float | None:
        """When `advance` next has work, or None. Pure."""
        if self._publications.is_waiting and self._is_connected:
            return 0.0
        deadline = self._operations.inner.next_deadline()
        if self._confirm_until is None:
            return deadline
        return self._confirm_until if deadline is None else min(deadline, self._confirm_until)

    def advance(self, now: float) -> list[object]:
        """Do what is due at *now*."""
        effects: list[object] = list(self._operations.inner.advance(now))
        if self._is_connected:
            effects += self._publications.connected()
        effects = self.absorb(effects, now)
        if self._confirm_until is not None and self._confirm_until <= now:
            self._confirm_until = None
            effects += self._readings.drop_unconfirmed()
        return effects

    def get(
        self,
        op: int,
        key: InfoHash,
        now: float,
        *,
        where: Where = (),
        raw: bool = False,
        identity: Identity | None = None,
    ) -> list[object]:
        """Look for values at *key*; *where* sees encrypted values as they are sent.

        *raw* lets all values pass unchecked and encrypted, as a proxy does for its clients.
        *identity* decrypts instead of the engine's own.

        Raises:
            TooManyOperationsError: as many as allowed are under way.
        """
        reading = Reading(op, key, where, False, raw, identity or self.identity)
        return self.absorb(self._operations.open(reading, now), now)

    def listen(
        self,
        op: int,
        key: InfoHash,
        now: float,
        *,
        where: Where = (),
        raw: bool = False,
        identity: Identity | None = None,
    ) -> list[object]:
        """Follow the values at *key* until cancelled; otherwise as `get`.

        Raises:
            TooManyOperationsError: as many as allowed are under way.
        """
        reading = Reading(op, key, where, True, raw, identity or self.identity)
        return self.absorb(self._operations.open(reading, now), now)

    def query(self, op: int, key: InfoHash, query: Query, now: float) -> list[object]:
        """Look for fields of the values at *key*: as stored, nothing is verified.

        Raises:
            TooManyOperationsError: as many as allowed are under way.
            DhtError: this backend can't.
        """
        return self.absorb(self._operations.query(op, key, query, now), now)

    def put(
        self,
        op: int,
        key: InfoHash,
        value: Value,
        now: float,
        *,
        created: float | None = None,
        permanent: bool = False,
    ) -> list[object]:
        """Store *value* as it is; id 0 means any.

        Raises:
            TooManyOperationsError: as many as allowed are announced.
            ValueTooLargeError: no node would take it.
        """
        announcement = Announcement(op, key, self._with_id(value), created, permanent)
        return self.absorb(self._operations.announce(announcement, now), now)

    def cancel(self, op: int, now: float) -> list[object]:
        """End a get, listen, query, certificate search or put in preparation, without a word."""
        effects = [
            *self._operations.cancel(op, now),
            *self._searches.cancel(op),
            *self._preparations.cancel(op),
        ]
        return self.absorb(effects, now)

    def cancel_put(self, key: InfoHash, value_id: int, now: float) -> list[object]:
        """Stop announcing a value; puts of it that are still being prepared fail."""
        slot = (key, value_id)
        effects = [
            *self._preparations.cancel_slot(slot),
            *self._operations.cancel_put(slot, now),
        ]
        return self.absorb(effects, now)

    def connectivity_changed(self, now: float) -> list[object]:
        """Take note that the network below has changed."""
        return self.absorb(self._operations.inner.connectivity_changed(now), now)

    def close(self, now: float) -> list[object]:
        """End everything; operations that the backend doesn't end fail."""
        effects = self.absorb(self._operations.inner.close(now), now)
        waiting = [*self._operations.unfinished(), *self._searches.ops(), *self._preparations.ops()]
        effects += [Done(op, ok=False, nodes=0) for op in waiting if op >= 0]
        self._operations.clear()
        for op in waiting:
            self._searches.cancel(op)
            self._preparations.cancel(op)
        return effects

    def put_signed(
        self,
        op: int,
        key: InfoHash,
        value: Value,
        now: float,
        *,
        permanent: bool = False,
        identity: Identity | None = None,
    ) -> list[object]:
        """Sign *value* and put it, with a sequence number above that of the stored one.

        Raises:
            NoIdentityError: there is nobody to sign.
            UnsuitableKeyError: *identity* can't sign values.
            TooManyOperationsError: as many as allowed are being prepared.
            ValueTooLargeError: no node would take it.
        """
        signer = self._signer(identity)
        preparation = Preparation(op, key, self._with_id(value), signer, permanent)
        return self.absorb(self._preparations.sign(preparation, is_fresh=not value.id), now)

    def put_encrypted(
        self,
        op: int,
        key: InfoHash,
        value: Value,
        to: KeyName | bytes,
        now: float,
        *,
        permanent: bool = False,
        identity: Identity | None = None,
    ) -> list[object]:
        """Sign *value*, encrypt it to *to*, and put it.

        *to* is a long id, a short id, or the public key itself (SubjectPublicKeyInfo DER). An id
        whose key isn't known is looked up in the DHT.

        Raises:
            NoIdentityError: there is nobody to sign.
            UnsuitableKeyError: values can't be signed by *identity*, or not encrypted to *to*.
            TooManyOperationsError: as many as allowed are being prepared.
            ValueTooLargeError: no node would take it.
        """
        signer = self._signer(identity)
        name = to if isinstance(to, PublicKeyId | InfoHash) else None
        spki = to if name is None else self._book.key(name)
        if spki is not None:
            self.suite.require_recipient(spki)
        preparation = Preparation(op, key, self._with_id(value), signer, permanent)
        return self.absorb(self._preparations.encrypt(preparation, spki, name), now)

    def find_certificate(self, op: int, name: KeyName, now: float) -> list[object]:
        """Find a certificate by the long or short id of its key: `CertificateFound`, then `Done`.

        By long id, certificates that OpenDHT 2.4 alone publishes are found only when the public
        key is known already: its place there follows from the key, not from the long id.

        Raises:
            TooManyOperationsError: as many as allowed wait already.
        """
        return self.absorb(self._searches.find(op, name), now)

    def register_certificate(self, certificate: Certificate) -> None:
        """Remember a certificate that came by another way."""
        self._book.remember(certificate)

    def announce_identity(self, identity: Identity, now: float) -> list[object]:
        """Publish the certificate of one more identity as soon as there is a connection.

        Raises:
            UnsuitableKeyError: the identity can't sign values.
        """
        self._add_identity(identity)
        return self.absorb(self._publications.connected() if self._is_connected else (), now)

    def withdraw_identity(self, identity: Identity, now: float) -> list[object]:
        """Publish the certificate of *identity* no longer; copies elsewhere live for days."""
        effects: list[object] = []
        for slot in self._publications.remove(identity):
            effects += self._operations.cancel_put(slot, now)
        return self.absorb(effects, now)

    def computed(self, compute_id: int, result: object, now: float) -> list[object]:
        """Take the result of a `Compute`; that of a cancelled one is ignored."""
        batches = self._checker.finish(compute_id, result)
        if batches is not None:
            return self._checked(batches, now)
        orders = self._preparations.computed(compute_id, result)
        if orders is None:
            orders = self._searches.computed(compute_id, result)
        return self.absorb(orders or (), now)

    def compute_failed(self, compute_id: int, error: Exception, now: float) -> list[object]:
        """Take the failure of a `Compute`: the value isn't shown, the put or the search fails."""
        batches = self._checker.fail(compute_id)
        if batches is not None:
            return self._checked(batches, now)
        orders = self._preparations.failed(compute_id, error)
        if orders is None:
            orders = self._searches.computed(compute_id, None)
        return self.absorb(orders or (), now)

    def replace_backend(self, inner: DhtCommands, now: float) -> list[object]:
        """Move everything that is under way to another backend, as when a proxy is switched on.

        Permanent puts and listens go on. Of a listen, values that the new backend doesn't find
        within a minute of its connection are reported as expired. A get or a query starts again,
        and may report again what it had reported. An operation that the new backend can't do
        fails. The old one has nothing left to do; closing it is the caller's choice.
        """
        self._is_doubting, self._confirm_until = True, None
        effects = self.absorb(self._operations.replace(inner, now), now)
        self._begin_confirmation(now)
        return effects

    def absorb(self, effects: Sequence[object], now: float) -> list[object]:
        """Filter effects of the backend, also those of commands that it was given directly.

        They leave in order. What ours lead to is worked off at once, depth first.
        """
        if ROUTED.isdisjoint(map(type, effects)):  # most are datagrams alone
            return [*effects, *self._checker.start()]
        out: list[object] = []
        pending = deque(effects)
        while pending:
            effect = pending.popleft()
            if type(effect) in ROUTED:
                pending.extendleft(reversed(self._route(effect, now, out)))
            else:
                out.append(effect)
        out += self._checker.start()
        return out

    def _route(self, effect: object, now: float, out: list[object]) -> Sequence[object]:
        """Bring an effect where it belongs; return what follows from it."""
        events: Sequence[Event]
        match effect:
            case ValuesFound():
                events = self._readings.found(effect)
            case ValuesExpired():
                events = self._readings.expired(effect)
            case Done() if effect.op in self._readings:
                events = self._readings.done(effect)
            case Done():
                self._operations.ended(effect)
                events = (effect,)
            case CertificateFound() | OperationFailed() | Refused():
                events = (effect,)
            case StatusChanged():
                out.append(effect)
                return self._status_changed(effect, now)
            case _:
                return self._obey(effect, now)
        return self._deliver(events, out)

    def _deliver(self, events: Sequence[Event], out: list[object]) -> list[object]:
        """Give events to our callers, or to the part of ours whose op it is."""
        consequences: list[object] = []
        for event in events:
            if event.op >= 0:
                out.append(event)
            elif event.op in self._preparations:
                consequences += self._preparations.answered(event)
            elif event.op in self._searches:
                consequences += self._searches.answered(event)
            elif event.op in self._publications:
                consequences += self._publications.answered(event)
        return consequences

    def _checked(self, batches: Sequence[Batch], now: float) -> list[object]:
        """Show values that were judged, and what had to wait for them."""
        out: list[object] = []
        consequences: list[object] = []
        for batch in batches:
            consequences += self._deliver(self._readings.completed(batch), out)
        return out + self.absorb(consequences, now)

    def _obey(self, order: object, now: float) -> Sequence[object]:
        """Carry out what a part asks for."""
        try:
            match order:
                case FetchValues(op, key, where, is_raw):
                    reading = Reading(op, key, where, False, is_raw, None)
                    return self._operations.open(reading, now)
                case FindCertificate(op, name):
                    return self._searches.find(op, name)
                case CancelOperation(op):
                    return [*self._operations.cancel(op, now), *self._searches.cancel(op)]
                case BeginSigning(preparation):
                    return self._preparations.begin(preparation)
                case _:
                    assert isinstance(order, AnnounceValue)
                    return self._put_ready(order, now)
        except DhtError as error:
            assert isinstance(order, FetchValues | FindCertificate)
            return [Refused(order.op, error)]

    def _put_ready(self, order: AnnounceValue, now: float) -> Sequence[object]:
        """Put a value that was signed or encrypted, or a certificate."""
        announcement = Announcement(order.op, order.key, order.value, None, order.is_permanent)
        try:
            return self._operations.announce(announcement, now)
        except DhtError as error:
            return failure(order.op, error)

    def _status_changed(self, event: StatusChanged, now: float) -> list[object]:
        """Publish certificates that were waiting for a connection."""
        self._status = (event.ipv4, event.ipv6)
        self._begin_confirmation(now)
        return self._publications.connected() if self._is_connected else []

    def _begin_confirmation(self, now: float) -> None:
        """Count the time that a new backend has from when it is connected."""
        if self._is_doubting and self._is_connected:
            self._is_doubting, self._confirm_until = False, now + CONFIRMATION_TIME

    @property
    def _is_connected(self) -> bool:
        return Status.CONNECTED in self._status

    def _with_id(self, value: Value) -> Value:
        """Return *value* with an id.

        Raises:
            ValueTooLargeError: no node would take it.
        """
        if value.size > VALUE_SIZE_MAX:
            raise ValueTooLargeError(f"{value.size} bytes, of at most {VALUE_SIZE_MAX}")
        return value if value.id else replace(value, id=1 + self._entropy.below(VALUE_ID_MAX))

    def _signer(self, identity: Identity | None) -> Identity:
        """Return who signs."""
        if identity is not None:
            self.suite.require_identity(identity)
            return identity
        if self.identity is None:
            raise NoIdentityError
        return self.identity

    def _add_identity(self, identity: Identity) -> None:
        self.suite.require_identity(identity)
        self._book.remember(identity.certificate)
        self._publications.add(identity)

    def _authentic(self, value: Value, was_encrypted: bool) -> None:
        """Take note of a value whose signature holds."""
        if (was_encrypted or self._is_caching_keys) and value.owner is not None:
            self._book.remember_key(value.owner)
