"""Lists of revoked devices: believed with the account's certificate, and not before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.crypto import Certificate, RevocationList
from shoal.identity import pack_revocations
from shoal.identity.revocations import Revocations, revoke_device
from shoal.node.account import revoking
from shoal.node.account.effects import KeepRevocations
from shoal.node.account.revoking import LISTS_MAX, RevocationIntake
from shoal.sim import SeededEntropy
from tests.unit.node.people import WALL_NOW, device

if TYPE_CHECKING:
    import pytest

ALICE, SECOND = device("alice"), device("alice", 1)


def revocations_by(person: str) -> RevocationList:
    """Return a list that revokes the person's second device."""
    certificate = device(person, 1).chain.certificate
    assert isinstance(certificate, Certificate)
    keys = revoke_device(
        device(person).keys, certificate, entropy=SeededEntropy(5, person), wall_now=WALL_NOW
    )
    assert keys.revocations is not None
    return keys.revocations


def test_a_list_waits_for_the_certificate_of_its_account() -> None:
    """Any device's chain brings it; what is no news is not kept."""
    intake, revoked = RevocationIntake(known := Revocations()), revocations_by("alice")
    account = ALICE.chain.account
    assert intake.seen(account, pack_revocations(revoked)) == []
    assert not known.is_chain_revoked(SECOND.chain)

    assert intake.met(ALICE.chain) == [KeepRevocations(account, revoked)]
    assert known.is_chain_revoked(SECOND.chain)
    assert intake.seen(account, pack_revocations(revoked)) == []
    assert intake.met(ALICE.chain) == []


def test_lists_of_others_and_garbage_revoke_nothing() -> None:
    """Anybody may put anything at an account's key."""
    intake = RevocationIntake(known := Revocations())
    intake.met(ALICE.chain)
    assert intake.seen(ALICE.chain.account, b"\xc4\x02ab") == []
    assert intake.seen(ALICE.chain.account, b"") == []
    assert intake.take(ALICE.chain.account, revocations_by("bob")) == []
    assert not known.is_chain_revoked(SECOND.chain)


def test_forged_lists_do_not_push_the_true_one_out() -> None:
    """A few wait side by side; beyond that, further ones are not taken."""
    intake = RevocationIntake(known := Revocations())
    account = ALICE.chain.account
    true, forged = revocations_by("alice"), revocations_by("bob")
    intake.take(account, true)
    for _ in range(LISTS_MAX + 2):
        intake.take(account, forged)
    assert len(intake.met(ALICE.chain)) == 1
    assert known.is_chain_revoked(SECOND.chain)


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The account that was heard of least recently goes."""
    monkeypatch.setattr(revoking, "WAITING_MAX", 1)
    monkeypatch.setattr(revoking, "ISSUERS_MAX", 1)
    intake = RevocationIntake(Revocations())
    intake.take(ALICE.chain.account, revocations_by("alice"))
    intake.take(device("bob").chain.account, revocations_by("bob"))
    assert intake.met(ALICE.chain) == []
    assert len(intake.met(device("bob").chain)) == 1
    assert intake.take(ALICE.chain.account, revocations_by("alice")) == [], "forgotten again"
