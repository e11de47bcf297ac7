"""Devices that were taken back."""

from __future__ import annotations

import pytest

from shoal.crypto import RevocationList, revoke
from shoal.identity import revocations as module
from shoal.identity.chain import check_device
from shoal.identity.errors import RevocationError
from shoal.identity.revocations import Revocations, describe, list_file, revoke_device
from shoal.sim.entropy import SeededEntropy
from tests.unit.identity.samples import WALL, YEAR, account, chain, second_device

ALICE, BOB = account("alice"), account("bob")
OWNER = ALICE.keys.account
FIRST, SECOND = ALICE.device.identity.certificate, second_device("alice").identity.certificate


def test_revoking_makes_a_list_as_jami_does() -> None:
    """Of the account, with SHA-512, a number that grows, good as long as the account is."""
    keys = revoke_device(ALICE.keys, FIRST, entropy=SeededEntropy(1), wall_now=WALL)
    assert keys.revocations is not None
    again = revoke_device(keys, SECOND, entropy=SeededEntropy(1), wall_now=WALL + 60)
    assert again.revocations is not None

    assert keys.revocations.is_signed_by(OWNER.certificate)
    assert keys.revocations.serials == {FIRST.serial}
    algorithm = keys.revocations.native.signature_hash_algorithm
    assert algorithm is not None
    assert algorithm.name == "sha512"
    assert keys.revocations.wall_next_update == OWNER.certificate.wall_not_after
    assert again.revocations.serials == {FIRST.serial, SECOND.serial}
    assert again.revocations.number == keys.revocations.number + 1
    assert RevocationList.parse(again.revocations.der) == again.revocations


def test_what_cannot_be_revoked() -> None:
    """Another account's device, one without account, one that is revoked already."""
    keys = revoke_device(ALICE.keys, FIRST, entropy=SeededEntropy(1), wall_now=WALL)

    for certificate in (BOB.device.identity.certificate, FIRST.with_issuer(None)):
        with pytest.raises(RevocationError, match="not a device"):
            revoke_device(ALICE.keys, certificate, entropy=SeededEntropy(1), wall_now=WALL)
    with pytest.raises(RevocationError, match="already"):
        revoke_device(keys, FIRST, entropy=SeededEntropy(1), wall_now=WALL)


def test_lists_only_ever_add() -> None:
    """In any order, an old one again, and an empty one that an attacker would like to be newest."""
    old = revoke([FIRST], OWNER, number=5, wall_now=WALL)
    new = revoke([SECOND], OWNER, number=6, wall_now=WALL + YEAR, previous=old)
    revocations = Revocations()

    assert revocations.apply(new, OWNER.certificate)
    assert not revocations.apply(old, OWNER.certificate), "nothing new in it"
    assert revocations.newest(OWNER.id) == new
    assert revocations.is_revoked(FIRST, OWNER.certificate)
    assert revocations.is_revoked(SECOND, OWNER.certificate)
    chains = [check_device(each, WALL) for each in (FIRST, SECOND)]
    assert all(revocations.is_chain_revoked(each) for each in chains)
    assert not revocations.is_chain_revoked(check_device(BOB.device.identity.certificate, WALL))
    assert not revocations.is_chain_revoked(chain("simulated"))
    assert revocations.newest(BOB.keys.id) is None


def test_only_the_issuer_revokes() -> None:
    """Bob's list does not touch Alice's devices, whoever it is said to be of."""
    forged = revoke([FIRST], BOB.keys.account, number=9, wall_now=WALL)
    revocations = Revocations()

    assert not revocations.apply(forged, OWNER.certificate)
    assert revocations.stats.unsigned == 1
    assert revocations.apply(forged, BOB.keys.account.certificate)
    assert not revocations.is_revoked(FIRST, OWNER.certificate)


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many serials of an issuer, so many issuers; what is known stays."""
    both = revoke([FIRST, SECOND], OWNER, number=1, wall_now=WALL)
    one = revoke([FIRST], OWNER, number=2, wall_now=WALL)
    bobs = revoke([BOB.device.identity.certificate], BOB.keys.account, number=1, wall_now=WALL)
    revocations = Revocations()

    monkeypatch.setattr(module, "SERIALS_MAX", 1)
    assert not revocations.apply(both, OWNER.certificate)
    assert revocations.apply(one, OWNER.certificate)
    monkeypatch.setattr(module, "ISSUERS_MAX", 1)
    assert not revocations.apply(bobs, BOB.keys.account.certificate)
    assert revocations.stats.over_limit == 2


def test_as_text_and_as_a_file() -> None:
    """Devices by their ids, where they are known; files named as 13.7 names them."""
    lists = revoke([FIRST, SECOND], OWNER, number=0xBF9D9FB192E9AD1C, wall_now=WALL)

    text = describe(lists, [FIRST])
    assert f"revoked {FIRST.long_id}\n" in text
    assert f"revoked serial {SECOND.serial.hex()}\n" in text
    assert "number bf9d9fb192e9ad1c\nmade 2027-01-15 08:00:00 UTC\n" in text
    assert list_file(ALICE.keys.id, lists) == f"crls/{ALICE.keys.id}/bf9d9fb192e9ad1c"
