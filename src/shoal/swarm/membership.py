"""Inviting, joining, leaving, banning: what each changes in the tree, in Jami's sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.swarm import roles
from shoal.swarm.contents import MemberAction, MemberEvent, ProfileUpdate, Vote
from shoal.swarm.errors import NotAMemberError, NotAnAdminError
from shoal.swarm.store import ObjectKind

if TYPE_CHECKING:
    from shoal.core import AccountId
    from shoal.swarm.conversation import Conversation, Event


def invite(conversation: Conversation, account: AccountId, wall_now: float) -> list[Event]:
    """Invite somebody; a member who is there already is not invited again.

    Raises:
        SwarmError: as `Conversation.commit`; a banned member has to be unbanned first.
    """
    role = roles.role_of(conversation.files, account)
    if role is not None and role.may_fetch:
        return []
    files = dict(conversation.files)
    files[roles.invited_path(account)] = conversation.store.add(ObjectKind.BLOB, b"")
    return conversation.commit(MemberEvent(MemberAction.ADD, account), files, wall_now)


def join(conversation: Conversation, wall_now: float) -> list[Event]:
    """Accept our invitation; a member joins only once.

    Raises:
        NotAMemberError: we are not invited.
    """
    me = conversation.me
    role = roles.role_of(conversation.files, me.account)
    if role is not None and role.is_inside:
        return []
    files = dict(conversation.files)
    if files.pop(roles.invited_path(me.account), None) is None:
        raise NotAMemberError
    files[roles.member_path(me.account)] = conversation.store.add(ObjectKind.BLOB, me.account_file)
    return conversation.commit(MemberEvent(MemberAction.JOIN, me.account), files, wall_now)


def leave(conversation: Conversation, wall_now: float) -> list[Event]:
    """Leave: our certificate and those of our devices go, except the one that says so.

    Raises:
        ConversationEndedError: we are not in it.
    """
    account = conversation.me.account
    files = dict(conversation.files)
    for path in (roles.admin_path(account), roles.member_path(account)):
        files.pop(path, None)
    return conversation.commit(MemberEvent(MemberAction.REMOVE, account), files, wall_now)


def ban(conversation: Conversation, account: AccountId, wall_now: float) -> list[Event]:
    """Vote for banning somebody, and ban them when more than half of the administrators do.

    Raises:
        NotAnAdminError: only administrators vote.
        NotAMemberError: they are not in it.
    """
    for kind in ("members", "admins", "invited"):
        if roles.kind_path(kind, str(account)) in conversation.files:
            return _decide(conversation, MemberAction.BAN, kind, account, wall_now)
    raise NotAMemberError


def unban(conversation: Conversation, account: AccountId, wall_now: float) -> list[Event]:
    """Vote for taking somebody back, and do it when more than half of the administrators do.

    Raises:
        NotAnAdminError: only administrators vote.
        NotAMemberError: they are not banned.
    """
    for kind in ("members", "admins", "invited"):
        if roles.banned_path(kind, str(account)) in conversation.files:
            return _decide(conversation, MemberAction.UNBAN, kind, account, wall_now)
    raise NotAMemberError


def set_profile(conversation: Conversation, vcard: bytes, wall_now: float) -> list[Event]:
    """Give the conversation a profile.

    Raises:
        NotAnAdminError: only administrators may.
    """
    _require_admin(conversation)
    files = dict(conversation.files)
    files[roles.PROFILE_PATH] = conversation.store.add(ObjectKind.BLOB, vcard)
    return conversation.commit(ProfileUpdate(), files, wall_now)


def _decide(
    conversation: Conversation,
    action: MemberAction,
    kind: str,
    account: AccountId,
    wall_now: float,
) -> list[Event]:
    """Vote, then act if the vote is won. Jami acts above one half, and accepts one half."""
    _require_admin(conversation)
    target, voter = str(account), conversation.me.account
    events: list[Event] = []
    vote = roles.vote_path(action.value, kind, target, voter)
    if vote not in conversation.files:
        files = dict(conversation.files)
        files[vote] = conversation.store.add(ObjectKind.BLOB, b"")
        events += conversation.commit(Vote(target), files, wall_now)
    admins = roles.admins(conversation.files)
    votes = {roles.vote_path(action.value, kind, target, admin) for admin in admins}
    cast = votes & conversation.files.keys()
    if 2 * len(cast) <= len(admins):
        return events
    files = {path: blob for path, blob in conversation.files.items() if path not in cast}
    here, there = roles.kind_path(kind, target), roles.banned_path(kind, target)
    source, goal = (here, there) if action is MemberAction.BAN else (there, here)
    files[goal] = files.pop(source)
    return events + conversation.commit(MemberEvent(action, account), files, wall_now)


def _require_admin(conversation: Conversation) -> None:
    if roles.admin_path(conversation.me.account) not in conversation.files:
        raise NotAnAdminError
