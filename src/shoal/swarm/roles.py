"""Who is who in a conversation, as its tree says it.

admins/A.crt   members/A.crt   the account's certificate and that of its CA
devices/D.crt                  one certificate
invited/A                      empty
banned/KIND/…                  what a ban moved there; KIND: members, admins, devices, invited
votes/ban|unban/KIND/T/A       empty: administrator A is for it
"""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, Final

from shoal.core import AccountId, DeviceId
from shoal.swarm.contents import Initial

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shoal.swarm.contents import Content
    from shoal.swarm.trees import FlatTree

KINDS: Final = ("members", "admins", "invited", "devices")
PROFILE_PATH: Final = "profile.vcf"
_PERSON: Final = re.compile(
    r"(admins|members|invited|banned/members|banned/admins|banned/invited)/([0-9a-f]{40})(?:\.crt)?"
)
_DEVICE: Final = re.compile(r"devices/([0-9a-f]{64})\.crt")


class Role(enum.Enum):
    """What somebody is in a conversation."""

    ADMIN = "admin"
    MEMBER = "member"
    INVITED = "invited"
    BANNED = "banned"
    LEFT = "left"

    @property
    def is_inside(self) -> bool:
        """Whether they may commit."""
        return self in (Role.ADMIN, Role.MEMBER)

    @property
    def may_fetch(self) -> bool:
        """Whether they are given the history: members and those who are invited."""
        return self in (Role.ADMIN, Role.MEMBER, Role.INVITED)

    def path(self, account: AccountId) -> str:
        """Return the file that makes *account* this; "" if that is none that grants anything."""
        match self:
            case Role.ADMIN:
                return admin_path(account)
            case Role.MEMBER:
                return member_path(account)
            case Role.INVITED:
                return invited_path(account)
            case _:
                return ""


_ROLES: Final = {  # first match wins
    "admins": Role.ADMIN,
    "members": Role.MEMBER,
    "invited": Role.INVITED,
    "banned/members": Role.BANNED,
    "banned/admins": Role.BANNED,
    "banned/invited": Role.BANNED,
}
_RANKS: Final = {role: rank for rank, role in enumerate(Role)}


def admin_path(account: AccountId) -> str:
    """Where an administrator's certificate is."""
    return f"admins/{account}.crt"


def member_path(account: AccountId) -> str:
    """Where a member's certificate is."""
    return f"members/{account}.crt"


def invited_path(account: AccountId) -> str:
    """Where it says that somebody is invited."""
    return f"invited/{account}"


def device_path(device: DeviceId) -> str:
    """Where a device's certificate is."""
    return f"devices/{device}.crt"


def vote_path(action: str, kind: str, target: str, voter: AccountId) -> str:
    """Where a vote is; *action* is ban or unban."""
    return f"votes/{action}/{kind}/{target}/{voter}"


def kind_path(kind: str, target: str) -> str:
    """Where somebody, or a device, of this *kind* is."""
    return f"{kind}/{target}" if kind == "invited" else f"{kind}/{target}.crt"


def banned_path(kind: str, target: str) -> str:
    """Where a ban moves `kind_path`."""
    return "banned/" + kind_path(kind, target)


def members(tree: FlatTree) -> dict[AccountId, Role]:
    """Return everybody whom *tree* names, in the order of their roles and ids."""
    found: dict[AccountId, Role] = {}
    for path in tree:
        match = _PERSON.fullmatch(path)
        if match is not None:
            account, role = AccountId.from_hex(match[2]), _ROLES[match[1]]
            known = found.get(account)
            if known is None or _RANKS[role] < _RANKS[known]:
                found[account] = role
    return dict(sorted(found.items(), key=lambda item: (_RANKS[item[1]], item[0])))


def with_left(found: dict[AccountId, Role], initial: Content) -> dict[AccountId, Role]:
    """Add the other side of a 1:1 conversation, where no file names it any more."""
    if isinstance(initial, Initial) and initial.invited is not None:
        return found if initial.invited in found else found | {initial.invited: Role.LEFT}
    return found


def role_of(tree: FlatTree, account: AccountId) -> Role | None:
    """Return the role of one person; None if the tree does not name them."""
    for kind, role in _ROLES.items():
        path = f"{kind}/{account}" if kind.endswith("invited") else f"{kind}/{account}.crt"
        if path in tree:
            return role
    return None


def admins(tree: FlatTree) -> list[AccountId]:
    """Return the administrators."""
    return [account for account, role in members(tree).items() if role is Role.ADMIN]


def devices(tree: FlatTree) -> Iterator[DeviceId]:
    """Yield the devices that have committed."""
    for path in tree:
        match = _DEVICE.fullmatch(path)
        if match is not None:
            yield DeviceId.from_hex(match[1])


def is_device_banned(tree: FlatTree, device: DeviceId) -> bool:
    """Say whether the device itself was banned."""
    return f"banned/devices/{device}.crt" in tree
