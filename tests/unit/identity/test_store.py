"""The store of certificates."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding

from shoal.core import InfoHash, Persist
from shoal.crypto import Certificate, PrivateKey
from shoal.identity.effects import Forget
from shoal.identity.store import CertificateStore, chain_file
from tests.unit.identity.samples import (
    SHORT,
    WALL,
    account,
    authority,
    device_id,
    second_device,
    under,
)

FIRST = account("alice").device.identity.certificate
SECOND = second_device("alice").identity.certificate
BOB = account("bob").device.identity.certificate


def test_every_link_is_found_by_both_ids() -> None:
    """Devices with their chains, accounts and authorities with theirs."""
    store = CertificateStore([FIRST])

    for link in FIRST.chain():
        assert store.find(link.id) == link
        assert store.find(link.long_id) == link
    assert store.find(SHORT) is None
    assert store.find(device_id(3)) is None
    assert len(store) == 1


def test_a_chain_is_a_file_of_the_bytes_that_are_published() -> None:
    """Named by the long id; the same again changes nothing."""
    store = CertificateStore()

    assert store.pin(FIRST) == [Persist(f"certificates/{FIRST.long_id}", FIRST.to_pem().encode())]
    assert store.pin(FIRST) == []


def test_a_renewed_certificate_takes_the_place_of_the_old() -> None:
    """It has the same ids, and other bytes."""
    ca = authority()
    owner = under(ca, "account", is_ca=True)
    old = under(owner, "device")
    new = under(owner, "device", key=old.private_key, wall_now=WALL + 5).certificate
    store = CertificateStore([old.certificate])

    assert store.pin(new) == [Persist(chain_file(new.long_id), new.to_pem().encode())]
    assert store.find(new.id) == new
    assert len(store) == 1


def test_a_certificate_without_issuer_is_completed() -> None:
    """By the id that the issuer's name has; not by somebody of another name."""
    store = CertificateStore([FIRST])
    bare = SECOND.with_issuer(None)

    assert store.complete(bare) == SECOND
    store.pin(bare)
    assert store.find(SECOND.id) == SECOND
    assert store.complete(BOB.with_issuer(None)) == BOB.with_issuer(None)
    nameless = under(authority("nobody"), "device").certificate.with_issuer(None)
    assert store.complete(nameless) == nameless


def test_an_issuer_of_another_name_does_not_complete() -> None:
    """Two certificates of one key: the name has to be the one that signed."""
    ca = authority()
    key = under(ca, "account", is_ca=True).private_key
    renamed = under(ca, "other name", is_ca=True, key=key)
    device = under(under(ca, "account", is_ca=True, key=key), "device").certificate
    store = CertificateStore([under(renamed, "another device").certificate])

    assert store.complete(device.with_issuer(None)) == device.with_issuer(None)


def test_the_one_not_used_for_longest_goes() -> None:
    """Its file too; issuers stay as long as another chain has them."""
    store = CertificateStore([FIRST, SECOND], chains_max=2)
    store.find(FIRST.id)

    effects = store.pin(BOB)

    assert effects[-1] == Forget(chain_file(SECOND.long_id))
    assert store.find(SECOND.id) is None
    assert store.find(InfoHash(account("alice").keys.id)) is not None
    assert store.forget(FIRST.long_id) == [Forget(chain_file(FIRST.long_id))]
    assert store.find(InfoHash(account("alice").keys.id)) is None
    assert store.forget(FIRST.long_id) == []


def test_a_name_without_an_id_is_not_completed() -> None:
    """There is nothing to look it up by."""
    key = PrivateKey.generate_ec()
    issuer, subject = (
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in ("no", "id")
    )
    start = datetime.fromtimestamp(WALL, UTC)
    builder = x509.CertificateBuilder(issuer, subject, key.native.public_key(), 5, start, start)
    der = builder.sign(key.native, SHA384()).public_bytes(Encoding.DER)
    device = under(authority(), "device").certificate
    nameless = Certificate.parse(der)

    assert CertificateStore([FIRST]).complete(nameless) == nameless
    assert CertificateStore([device]).complete(nameless) == nameless


def test_two_certificates_of_one_account() -> None:
    """Renewed once: each stays as long as a chain has it."""
    ca = authority()
    old = under(ca, "account", is_ca=True)
    new = under(ca, "account", is_ca=True, key=old.private_key, wall_now=WALL + 9)
    first, second = under(old, "first").certificate, under(new, "second").certificate
    store = CertificateStore([first, second])

    store.forget(first.long_id)

    assert store.find(old.id) == new.certificate
