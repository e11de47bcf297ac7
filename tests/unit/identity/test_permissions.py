"""Who may talk to us."""

from __future__ import annotations

import pytest

from shoal.crypto import revoke
from shoal.identity import permissions as module
from shoal.identity.chain import check_device
from shoal.identity.effects import Status
from shoal.identity.permissions import Permissions, Refusal
from shoal.identity.revocations import Revocations
from tests.unit.identity.samples import WALL, account, account_id, chain, second_device

ALICE, BOB = chain("alice"), chain("bob")


def test_strangers_only_where_they_are_welcome() -> None:
    """The account's option decides."""
    permissions = Permissions(ALICE.account)

    assert permissions.refusal(BOB, allow_public=False) is Refusal.STRANGER
    assert permissions.is_allowed(BOB, allow_public=True)
    assert permissions.is_allowed(chain("alice", "phone"), allow_public=False), "our own"


@pytest.mark.parametrize("level", [0, 1, 2], ids=["device", "account", "authority"])
def test_permission_may_name_any_link(level: int) -> None:
    """A device, an account, or an organisation."""
    permissions = Permissions(ALICE.account)

    assert permissions.set_status(BOB.issuers[level], Status.ALLOWED)
    assert permissions.is_allowed(BOB, allow_public=False)
    assert permissions.set_status(BOB.issuers[level], Status.UNDEFINED)
    assert not permissions.is_allowed(BOB, allow_public=False)
    assert not permissions.set_status(BOB.issuers[level], Status.UNDEFINED), "nothing new"


@pytest.mark.parametrize("banned", [0, 1, 2])
@pytest.mark.parametrize("allowed", [0, 1, 2])
def test_a_ban_anywhere_decides(banned: int, allowed: int) -> None:
    """Whoever is blocked reaches us by no device of theirs, allowed or not."""
    permissions = Permissions(ALICE.account)
    permissions.set_status(BOB.issuers[allowed], Status.ALLOWED)
    permissions.set_status(BOB.issuers[banned], Status.BANNED)

    assert permissions.refusal(BOB, allow_public=True) is Refusal.BANNED


def test_a_revoked_device_is_refused_from_the_moment_on() -> None:
    """A contact's, with the list that the contact published: no restart, no second look."""
    bob = account("bob")
    chains = [
        check_device(each.identity.certificate, WALL) for each in (bob.device, second_device("bob"))
    ]
    revocations = Revocations()
    permissions = Permissions(ALICE.account, revocations)
    permissions.set_status(bob.keys.id, Status.ALLOWED)
    assert all(permissions.is_allowed(each, allow_public=False) for each in chains)

    certificate = bob.device.identity.certificate
    taken_back = revoke([certificate], bob.keys.account, number=1, wall_now=WALL)
    assert revocations.apply(taken_back, bob.keys.account.certificate)

    assert permissions.refusal(chains[0], allow_public=True) is Refusal.REVOKED
    assert permissions.is_allowed(chains[1], allow_public=False), "another device of theirs"


def test_bans_find_room_where_permissions_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the place of a permission; without one, not at all."""
    monkeypatch.setattr(module, "STATUSES_MAX", 2)
    permissions = Permissions(ALICE.account)
    for number in (1, 2):
        assert permissions.set_status(account_id(number), Status.ALLOWED)

    assert not permissions.set_status(account_id(3), Status.ALLOWED)
    assert permissions.set_status(account_id(3), Status.BANNED)
    assert permissions.set_status(account_id(4), Status.BANNED)
    assert not permissions.set_status(account_id(5), Status.BANNED)
    assert permissions.status(account_id(1)) is Status.UNDEFINED
    assert permissions.status(account_id(3)) is Status.BANNED
