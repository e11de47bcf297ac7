"""Accounts as Jami makes them, step by step."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from shoal.core import Compute
from shoal.crypto import Certificate, PrivateKey
from shoal.identity.account import (
    AccountCreated,
    AccountCreation,
    CreationStep,
    Progressed,
    account_of,
    certify_device,
    create_account,
    renew,
)
from shoal.identity.chain import check_device
from shoal.identity.errors import AccountKeyError, ExpiredError
from shoal.identity.receipt import check_receipt
from shoal.sim.entropy import SeededEntropy
from tests.unit.identity.samples import BITS, WALL, YEAR, account, second_device


def test_the_three_certificates() -> None:
    """Names in Jami's order and encoding, extensions, dates, serial numbers, hash: section 1.2."""
    device, owner, authority = account("alice").device.identity.certificate.chain()

    assert [link.name for link in (device, owner, authority)] == ["Jami device", "Jami", "Jami CA"]
    for link in (device, owner, authority):
        assert link.uid == str(link.id)
        kinds = [attribute.oid for attribute in link.native.subject]
        assert kinds == [NameOID.COMMON_NAME, NameOID.USER_ID]
        assert [each._type.name for each in link.native.subject] == ["PrintableString"] * 2  # noqa: SLF001
        assert link.wall_not_before == WALL - 300
        assert link.wall_not_after == WALL + 315_360_000
        assert link.serial[0] < 0x80
        assert 1 <= len(link.serial) <= 8
        algorithm = link.native.signature_hash_algorithm
        assert algorithm is not None
        assert algorithm.name == "sha384"
    assert len(list(device.native.extensions)) == 0
    for link in (owner, authority):
        constraints = link.native.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = link.native.extensions.get_extension_for_class(x509.KeyUsage)
        key_id = link.native.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        assert constraints.critical
        assert usage.critical
        assert not key_id.critical
        assert (constraints.value.ca, constraints.value.path_length) == (True, None)
        assert usage.value.key_cert_sign
        assert usage.value.crl_sign
        assert key_id.value.digest == link.id
        assert len(list(link.native.extensions)) == 3


def test_a_text_pack_has_jamis_size() -> None:
    """5664 bytes with keys of 4096 bits, the typical chain; a shade less with short serials."""
    new = create_account(SeededEntropy(9), WALL)  # three keys: some seconds

    pack = new.device.identity.certificate.to_pem()
    assert 5650 <= len(pack) <= 5670
    assert len(new.device.identity.private_key.export()) in (3268, 3272)
    assert len(new.device.receipt.signature) == 512
    assert Certificate.parse(pack.encode()) == new.device.identity.certificate


def test_creation_asks_for_three_keys_at_once_and_reports() -> None:
    """Whatever the order in which they are done, the account is one, and each step is told."""
    creation = AccountCreation(SeededEntropy(3), bits=BITS)
    jobs = [effect for effect in creation.start() if isinstance(effect, Compute)]
    assert [job.id for job in jobs] == [0, 1, 2]
    steps: list[CreationStep] = []
    created = None
    while jobs:
        job = jobs.pop()  # the last first
        for effect in creation.computed(job.id, job.job(), WALL):
            match effect:
                case Progressed(step, done, total):
                    steps.append(step)
                    assert (done, total) == (len(steps), 4)
                case Compute():
                    jobs.append(effect)
                case AccountCreated():
                    created = effect.account

    assert steps == [
        CreationStep.DEVICE_KEY,
        CreationStep.ACCOUNT_KEY,
        CreationStep.AUTHORITY_KEY,
        CreationStep.CERTIFICATES,
    ]
    assert created is not None
    chain = check_device(created.device.identity.certificate, WALL)
    assert chain.account == created.keys.id == created.device.account
    assert chain.device == created.device.device
    assert chain.authority == created.keys.authority_key.public_key.id  # type: ignore[union-attr]


def test_a_second_device_is_of_the_same_account() -> None:
    """Linked by import: certified by the same key."""
    first, second = account("alice").device, second_device("alice")

    assert check_device(second.identity.certificate, WALL).account == first.account
    assert second.device != first.device
    assert account_of(second.identity.certificate) == first.account


def test_renewing_keeps_all_ids() -> None:
    """Expired for years, then good for ten more; the keys and ids stay."""
    alice = account("alice")
    later = WALL + 12 * YEAR
    with pytest.raises(ExpiredError):
        check_device(alice.device.identity.certificate, later)

    keys, device = renew(
        alice.keys, alice.device.identity, entropy=SeededEntropy(7), wall_now=later
    )

    chain = check_device(device.identity.certificate, later, account=alice.keys.id)
    assert chain.device == alice.device.device
    assert chain.authority == check_device(alice.device.identity.certificate, WALL).authority
    assert check_receipt(device.receipt, device.identity.certificate).account == alice.keys.id
    assert keys.account.certificate != alice.keys.account.certificate
    assert keys.chain_key == alice.keys.chain_key
    with pytest.raises(AccountKeyError):
        renew(
            replace(alice.keys, authority_key=None),
            alice.device.identity,
            entropy=SeededEntropy(7),
            wall_now=later,
        )


def test_equal_chance_gives_an_equal_account() -> None:
    """All but the keys comes from the entropy that is handed in."""
    key = PrivateKey.generate(BITS)
    keys = account("alice").keys
    made = [certify_device(keys, key, entropy=SeededEntropy(5), wall_now=WALL) for _ in range(2)]

    assert made[0] == made[1]


def test_secrets_are_not_shown() -> None:
    """Neither the keys nor the receipt stand in what a log or a traceback would show."""
    new = account("alice")
    text = repr(new) + str(new) + repr(new.keys) + repr(new.device)

    assert new.keys.chain_key.hex() not in text
    assert repr(new.keys.chain_key) not in text
    assert "PRIVATE KEY" not in text
    assert str(new.keys.account.private_key.native) not in text
    assert "announce" not in text


@pytest.mark.parametrize("first", [bytes(32), b"\xff" * 32])
def test_a_chain_key_is_drawn_until_it_is_one(first: bytes) -> None:
    """Zero and what is above the order are none."""

    class Loaded(SeededEntropy):
        drawn = 0

        def token_bytes(self, length: int) -> bytes:
            self.drawn += 1
            return first if self.drawn == 1 else bytes([1]) * length

    creation = AccountCreation(Loaded(1), bits=BITS)
    for number in range(3):
        effects = creation.computed(number, PrivateKey.generate(BITS), WALL)
    job = effects[-1]
    assert isinstance(job, Compute)
    new = job.job()
    assert getattr(new, "keys").chain_key == b"\1" * 32  # noqa: B009 - an object to the type checker
