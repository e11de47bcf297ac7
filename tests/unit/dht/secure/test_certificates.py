"""Certificates: known, sought, published."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shoal.core import InfoHash, PublicKeyId
from shoal.dht.contents import CERTIFICATE
from shoal.dht.effects import Done
from shoal.dht.errors import CertificateNotFoundError, TooManyOperationsError
from shoal.dht.secure import certificates
from shoal.dht.secure.certificates import CANDIDATES_MAX, KeyBook, Publications, places_of
from shoal.dht.secure.effects import CertificateFound, IdentityAnnounced, OperationFailed
from shoal.dht.secure.engine import SecureEngine
from shoal.dht.secure.orders import AnnounceValue
from shoal.dht.secure.suite import StandardSuite
from shoal.dht.value import Value
from shoal.sim.entropy import SeededEntropy
from tests.unit.dht.fake_dht import FakeBackend, FakeDht, Host
from tests.unit.dht.identities import identity, vectors

if TYPE_CHECKING:
    from shoal.crypto.certificates import Certificate

SUITE = StandardSuite()
BOB = identity("bob")
SHORT, LONG = BOB.id, BOB.long_id


def published(certificate: Certificate, value_id: int = 1) -> Value:
    """Return *certificate* as others put it."""
    return Value(SUITE.certificate_data(certificate), CERTIFICATE, value_id)


def searcher(dht: FakeDht, *, is_caching_keys: bool = False) -> tuple[Host, FakeBackend]:
    """Return an engine without identity, and its backend."""
    backend = FakeBackend(dht)
    return Host(SecureEngine(backend, SeededEntropy(1), is_caching_keys=is_caching_keys)), backend


def test_the_places_of_the_vector() -> None:
    """SHA-1 of the key, and SHA-1 of its SHA-256, as the reference gives them."""
    recorded = vectors()["key"]
    modulus = int(recorded["p"], 16) * int(recorded["q"], 16)
    spki = (
        bytes.fromhex(recorded["spki_prefix"]) + modulus.to_bytes(256) + bytes.fromhex("0203010001")
    )
    assert [place.hex() for place in places_of(spki)] == [recorded["id"], recorded["infohash"]]


@pytest.mark.parametrize(
    ("name", "place"), [(SHORT, SHORT), (LONG, LONG.infohash)], ids=["short", "long"]
)
def test_a_certificate_is_found_by_either_id(name: InfoHash | PublicKeyId, place: InfoHash) -> None:
    """CertificateFound, then Done; asked again, it is known."""
    dht = FakeDht()
    dht.store(place, published(BOB.certificate), 0.0)
    host, backend = searcher(dht)

    for op in (1, 2):
        host.take(host.engine.find_certificate(op, name, host.now))
        host.run(1.0)
        assert host.of(op)[0] == CertificateFound(op, BOB.certificate)
        assert host.done(op) is not None
    assert len(backend.ops("get")) == 1
    assert (host.engine.stats.lookups, host.engine.stats.certificates_found) == (1, 1)


def test_a_known_key_is_sought_in_both_places() -> None:
    """Its signed value was seen: now the place of OpenDHT 2.4 follows from the key."""
    dht = FakeDht()
    key = InfoHash.of(b"key")
    dht.store(key, SUITE.sign(BOB, Value(b"x", id=1)), 0.0)
    dht.store(SHORT, published(BOB.certificate), 0.0)
    host, backend = searcher(dht, is_caching_keys=True)
    host.take(host.engine.get(1, key, 0.0))
    host.run(1.0)

    host.take(host.engine.find_certificate(2, LONG, host.now))
    host.run(1.0)

    assert host.of(2)[0] == CertificateFound(2, BOB.certificate)
    assert [call[1] for call in backend.ops("get")[1:]] == [SHORT, LONG.infohash]


def test_keys_of_verified_values_are_kept_only_if_asked_for() -> None:
    """The senders of encrypted values always are: one answers them."""
    dht = FakeDht()
    key = InfoHash.of(b"key")
    dht.store(key, SUITE.sign(BOB, Value(b"x", id=1)), 0.0)
    spki = identity("alice").certificate.public_key.spki
    dht.store(key, SUITE.seal(identity("carol"), Value(b"x", id=2), spki), 0.0)
    backend = FakeBackend(dht)
    host = Host(SecureEngine(backend, SeededEntropy(1), identity=identity("alice")))
    host.run(1.0)
    host.take(host.engine.get(1, key, host.now))
    host.run(1.0)
    assert len(host.values(1)) == 2

    host.take(host.engine.put_encrypted(2, key, Value(b"y"), identity("carol").id, host.now))
    assert host.engine.stats.lookups == 0
    host.take(host.engine.put_encrypted(3, key, Value(b"y"), BOB.id, host.now))
    assert host.engine.stats.lookups == 1


def test_searches_for_one_name_are_one_search() -> None:
    """Each who asked is answered; one that cancels doesn't take the others along."""
    dht = FakeDht()
    dht.store(SHORT, published(BOB.certificate), 0.0)
    host, backend = searcher(dht)
    for op in (1, 2, 3):
        host.take(host.engine.find_certificate(op, SHORT, 0.0))
    host.take(host.engine.cancel(2, 0.0))
    host.run(1.0)

    assert len(backend.ops("get")) == 1
    assert [bool(host.of(op)) for op in (1, 2, 3)] == [True, False, True]


def test_a_search_that_nobody_waits_for_ends() -> None:
    """Its get is cancelled, and a new search starts afresh."""
    dht = FakeDht()
    dht.store(SHORT, published(BOB.certificate), 0.0)
    host, backend = searcher(dht)
    host.take(host.engine.find_certificate(1, SHORT, 0.0))
    host.take(host.engine.cancel(1, 0.0))
    assert len(backend.ops("cancel")) == 1
    host.take(host.engine.find_certificate(2, SHORT, 0.0))
    host.run(1.0)
    assert host.of(2)[0] == CertificateFound(2, BOB.certificate)
    assert host.of(1) == []


def test_wrong_certificates_do_not_count() -> None:
    """Of another key, or no certificate at all; the right one among them is found."""
    dht = FakeDht()
    dht.store(SHORT, published(identity("carol").certificate, 1), 0.0)
    dht.store(SHORT, Value(b"rubbish", CERTIFICATE, 2), 0.0)
    host, _ = searcher(dht)
    host.take(host.engine.find_certificate(1, SHORT, 0.0))
    host.run(1.0)
    failed, done = host.of(1)
    assert isinstance(failed, OperationFailed)
    assert isinstance(failed.error, CertificateNotFoundError)
    assert done == Done(1, ok=False, nodes=8)

    dht.store(SHORT, published(BOB.certificate, 3), host.now)
    host.take(host.engine.find_certificate(2, SHORT, host.now))
    host.run(1.0)
    assert host.of(2)[0] == CertificateFound(2, BOB.certificate)


def test_the_number_of_candidates_is_bounded() -> None:
    """A flood of false certificates costs so much and no more."""
    dht = FakeDht()
    for n in range(CANDIDATES_MAX * 3):
        dht.store(SHORT, Value(b"rubbish%d" % n, CERTIFICATE, n + 1), 0.0)
    host, _ = searcher(dht)
    host.is_holding = True
    host.take(host.engine.find_certificate(1, SHORT, 0.0))
    host.run(1.0)

    tried = [compute.job.args[0] for compute in host.held]  # type: ignore[attr-defined]
    assert sum(len(candidates) for candidates in tried) == CANDIDATES_MAX
    assert host.of(1) == []  # the last job is still to come
    while host.held:
        host.release(len(host.held) - 1)
    assert host.done(1) == Done(1, ok=False, nodes=8)


def test_the_first_certificate_found_ends_the_search() -> None:
    """What other jobs find afterwards is ignored."""
    dht = FakeDht()
    for n in (1, 2):
        dht.store(SHORT, published(BOB.certificate, n), 0.0)
    host, _ = searcher(dht)
    host.is_holding = True
    host.take(host.engine.find_certificate(1, SHORT, 0.0))
    host.run(0.1)
    assert len(host.held) == 2
    host.release(1)
    host.release(0)

    assert host.of(1) == [CertificateFound(1, BOB.certificate), Done(1, ok=True, nodes=8)]


def test_a_failed_parse_is_no_certificate() -> None:
    """The pool may refuse a job: the search ends without a result."""
    dht = FakeDht()
    dht.store(SHORT, published(BOB.certificate), 0.0)
    host, _ = searcher(dht)
    host.is_holding = True
    host.take(host.engine.find_certificate(1, SHORT, 0.0))
    host.run(1.0)
    compute = host.held.popleft()
    host.take(host.engine.compute_failed(compute.id, MemoryError(), host.now))
    assert host.done(1) == Done(1, ok=False, nodes=8)


def test_the_number_of_waiting_operations_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is refused."""
    monkeypatch.setattr(certificates, "WAITERS_MAX", 1)
    host, _ = searcher(FakeDht())
    host.take(host.engine.find_certificate(1, SHORT, 0.0))
    with pytest.raises(TooManyOperationsError):
        host.engine.find_certificate(2, SHORT, 0.0)


def test_local_certificates_come_before_the_network() -> None:
    """The application's own store is asked first, for either id."""
    backend = FakeBackend(FakeDht())
    known: dict[InfoHash | PublicKeyId, Certificate] = {SHORT: BOB.certificate}
    engine = SecureEngine(
        backend,
        SeededEntropy(1),
        identity=identity("alice"),
        local_certificates=lambda name: known.get(name),  # noqa: PLW0108 - one signature of two
    )
    host = Host(engine)
    host.take(engine.find_certificate(1, SHORT, 0.0))
    assert host.of(1) == [CertificateFound(1, BOB.certificate), Done(1, ok=True, nodes=0)]
    assert backend.ops("get") == []


def test_the_key_book_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was unused for longest goes, under all its names, with its certificate."""
    monkeypatch.setattr(certificates, "PUBLIC_KEYS_MAX", 2)
    monkeypatch.setattr(certificates, "CERTIFICATES_MAX", 1)
    book = KeyBook()
    alice, bob, carol = (identity(name).certificate for name in ("alice", "bob", "carol"))
    book.remember(alice)
    book.remember(bob)
    assert book.certificate(alice.id) is None  # one certificate is kept, but both keys
    assert book.key(alice.long_id) == alice.public_key.spki
    assert book.places(alice.long_id) == (alice.id, alice.long_id.infohash)
    book.remember_key(carol.public_key.spki)
    assert book.key(bob.id) is None
    assert book.certificate(bob.long_id) is None
    assert book.places(bob.long_id) == (bob.long_id.infohash,)
    assert book.places(bob.id) == (bob.id,)
    assert book.key(alice.long_id.infohash) == alice.public_key.spki


def test_publications_report_once_and_can_be_withdrawn() -> None:
    """One of two places is enough; what is withdrawn reports nothing."""
    ops = iter(range(-1, -100, -1))
    publications = Publications(SUITE, ops)
    publications.add(BOB)
    assert publications.is_waiting
    puts = publications.connected()
    assert [(put.key, put.value.id) for put in puts if isinstance(put, AnnounceValue)] == [
        (place, 1) for place in places_of(BOB.certificate.public_key.spki)
    ]
    assert publications.answered(OperationFailed(-1, TooManyOperationsError())) == []
    assert publications.answered(Done(-1, ok=False, nodes=0)) == []
    assert publications.answered(Done(-2, ok=True, nodes=8)) == [IdentityAnnounced(BOB.id, ok=True)]
    assert publications.connected() == []

    publications.add(BOB)
    publications.connected()
    assert publications.remove(BOB) == [
        (place, 1) for place in places_of(BOB.certificate.public_key.spki)
    ]
    assert -3 not in publications
