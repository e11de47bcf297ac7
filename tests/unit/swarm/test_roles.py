"""Roles as paths say them."""

from __future__ import annotations

from shoal.core import AccountId, DeviceId
from shoal.swarm import roles
from shoal.swarm.contents import Initial, Mode, Text
from shoal.swarm.roles import Role

A, B, C, D = (AccountId(bytes([n]) * 20) for n in range(4))
DEVICE = DeviceId(bytes(32))
TREE = {
    f"admins/{A}.crt": b"",
    f"members/{A}.crt": b"",
    f"members/{B}.crt": b"",
    f"invited/{C}": b"",
    f"banned/members/{D}.crt": b"",
    f"devices/{DEVICE}.crt": b"",
    "members/somebody.crt": b"",
    "profile.vcf": b"",
}


def test_first_match_wins() -> None:
    """An administrator who is also a member is an administrator; other files are nobody."""
    assert roles.members(TREE) == {A: Role.ADMIN, B: Role.MEMBER, C: Role.INVITED, D: Role.BANNED}
    assert roles.admins(TREE) == [A]
    assert [roles.role_of(TREE, account) for account in (A, B, C, D)] == list(Role)[:4]
    assert roles.role_of({}, A) is None
    assert roles.role_of({f"banned/invited/{A}": b""}, A) is Role.BANNED


def test_who_left_a_conversation_of_two() -> None:
    """The other one is known from the first commit, even if no file names them."""
    found = roles.members({f"admins/{A}.crt": b""})
    assert roles.with_left(found, Initial(Mode.ONE_TO_ONE, B)) == found | {B: Role.LEFT}
    assert roles.with_left(found, Initial(Mode.ONE_TO_ONE, A)) == found
    assert roles.with_left(found, Text("")) == found


def test_what_roles_may() -> None:
    """Who is inside commits; who is invited may read."""
    assert [role.is_inside for role in Role] == [True, True, False, False, False]
    assert [role.may_fetch for role in Role] == [True, True, True, False, False]


def test_devices() -> None:
    """Those that have committed, and whether one is banned."""
    assert list(roles.devices(TREE)) == [DEVICE]
    assert not roles.is_device_banned(TREE, DEVICE)
    assert roles.is_device_banned({f"banned/devices/{DEVICE}.crt": b""}, DEVICE)


def test_paths() -> None:
    """Bans move files; invitations have no ending."""
    assert roles.kind_path("invited", "x") == "invited/x"
    assert roles.banned_path("members", "x") == "banned/members/x.crt"
    assert roles.vote_path("ban", "members", "x", A) == f"votes/ban/members/x/{A}"
