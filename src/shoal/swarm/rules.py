"""What a commit may change, by what it says: the rules of current Jami.

Each function raises `Broken` with the rule in words. Stricter than both generations of Jami would
split a conversation, so each rule is theirs, with exceptions that no honest peer runs into: a
device's certificate must be signed by its account, not only name it; its file must be of the device
that it is named after; a device that was banned stays so; nobody says that somebody else leaves; an
edit comes after what it edits; and a merge takes back nothing that became of members on one side.
Source: Jami's conversationrepository.cpp, validCommits and what it calls.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, assert_never

from shoal.core import AccountId, CommitId, DecodeError, DeviceId
from shoal.core.records import dataclass
from shoal.swarm import roles
from shoal.swarm.contents import (
    Call,
    Edit,
    FileOffer,
    Initial,
    MemberAction,
    MemberEvent,
    Merge,
    Mode,
    ProfileUpdate,
    Text,
    Unknown,
    Vote,
)
from shoal.swarm.trees import changes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from shoal.swarm.certificates import CertificateReader
    from shoal.swarm.commits import Commit
    from shoal.swarm.contents import Content
    from shoal.swarm.trees import FlatTree

EMPTY_BLOB: Final = bytes.fromhex("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")
CHECKPOINT: Final = "application/checkpoint"
DOCUMENT: Final = "application/collab-doc+json"
_ADD_CHANGES_MAX: Final = 3  # Jami, checkValidAdd
_VOTE_CHANGES_MAX: Final = 2  # Jami, checkVote
_VOTE: Final = re.compile(
    r"votes/(ban|unban)/(members|devices|admins|invited)/([0-9a-f]{40,64})/([0-9a-f]{40})"
)
_DEVICE: Final = re.compile(r"devices/([0-9a-f]{64})\.crt")
_ABOUT_MEMBERS: Final = ("admins/", "banned/", "devices/", "invited/", "members/", "votes/")


class Broken(Exception):  # noqa: N818 - never leaves the validator
    """A rule is broken; the text says which."""


@dataclass(frozen=True, slots=True)
class Case:
    """A commit and what there is to judge it by."""

    commit: Commit
    content: Content
    account: AccountId  # of the author
    old: FlatTree  # of the first parent
    new: FlatTree
    changed: frozenset[str]
    mode: Mode
    pair: frozenset[AccountId]  # the two of a 1:1 conversation
    certificates: CertificateReader
    find: Callable[[CommitId], tuple[Content, AccountId] | None]  # an earlier message

    @property
    def own_device(self) -> str:
        """The file of the author's device, which each commit may add."""
        return roles.device_path(self.commit.device)


def check(case: Case) -> None:  # noqa: C901 - one arm per content
    """Check a commit with one parent.

    Raises:
        Broken: it may not do what it does.
    """
    match case.content:
        case Initial():
            raise Broken("a conversation begins only once")
        case Merge():
            raise Broken("a merge with one parent")
        case MemberEvent(action, account):
            _check_member(case, action, account)
        case Vote(target):
            _check_vote(case, target)
        case ProfileUpdate():
            _check_profile(case)
        case Edit(edited):
            _check_edit(case, edited)
            _check_plain(case)
        case FileOffer(edited=edited):
            if edited is not None:
                _check_edit(case, edited)
            _check_plain(case)
        case Unknown(kind):
            _check_unknown(case, kind)
        case Text() | Call():
            _check_plain(case)
        case _:
            assert_never(case.content)


def check_initial(case: Case) -> None:
    """Check the first commit of a conversation.

    Raises:
        Broken: it is no beginning.
    """
    if not isinstance(case.content, Initial):
        raise Broken("the first commit does not begin a conversation")
    admin = roles.admin_path(case.account)
    allowed = {admin, case.own_device}
    if case.content.invited is not None:
        allowed.add(roles.invited_path(case.content.invited))
    _only(case, allowed, f"CRLs/{case.account}/")
    if admin not in case.new or case.own_device not in case.new:
        raise Broken("who begins a conversation is its administrator")


def check_merge(commit: Commit, first: FlatTree, second: FlatTree, new: FlatTree) -> None:
    """Check that a merge brings nothing that neither of its parents has.

    Raises:
        Broken: it does.
    """
    if len(set(commit.parents)) != len(commit.parents):
        raise Broken("a merge of a commit with itself")
    for path in first.keys() | second.keys() | new.keys():
        found = new.get(path)
        if found not in (first.get(path), second.get(path)):
            raise Broken(f"the merge changes {path}, which no parent has so")


def check_taken_back(
    first: FlatTree, second: FlatTree, new: FlatTree, bases: Callable[[], Sequence[FlatTree]]
) -> None:
    """Check that a merge undoes nothing that one of its sides did about members.

    Each of its files is as one parent has it: that alone would let anybody take back a ban, by
    merging it with what was before. What one side changed and the other left alone stays changed.

    Raises:
        Broken: it does.
    """
    apart = [path for path in changes(first, second) if path.startswith(_ABOUT_MEMBERS)]
    if not apart:
        return
    trees = bases()
    for path in apart:
        before = {tree.get(path) for tree in trees}
        if len(before) != 1:
            continue  # the sides were merged before, this way and that
        base = before.pop()
        if base in (first.get(path), second.get(path)) and new.get(path) == base:
            raise Broken(f"the merge takes back what became of {path}")


def _check_member(case: Case, action: MemberAction, account: AccountId) -> None:
    match action:
        case MemberAction.ADD:
            _check_add(case, account)
        case MemberAction.JOIN:
            _check_join(case, account)
        case MemberAction.REMOVE:
            _check_remove(case, account)
        case MemberAction.BAN | MemberAction.UNBAN:
            _check_ban(case, action, account)
        case _:
            assert_never(action)


def _check_add(case: Case, account: AccountId) -> None:
    invited = roles.invited_path(account)
    if case.mode is Mode.ONE_TO_ONE and account not in case.pair:
        raise Broken("a conversation of two stays one of two")
    if account == case.account:
        raise Broken("nobody invites themselves")
    if not 1 <= len(case.changed) <= _ADD_CHANGES_MAX:
        raise Broken(f"an invitation that changes {len(case.changed)} files")
    _only(case, {case.own_device, invited}, f"CRLs/{case.account}/")
    if case.new.get(invited) != EMPTY_BLOB:
        raise Broken("an invitation without an empty file for it")
    if f"banned/members/{account}.crt" in case.old:
        raise Broken("a banned member is invited; unban them first")


def _check_join(case: Case, account: AccountId) -> None:
    invited, member = roles.invited_path(account), roles.member_path(account)
    _only(case, {case.own_device, invited, member})
    if invited not in case.old or invited in case.new:
        raise Broken("somebody joins who is not invited")
    if member in case.old or member not in case.new:
        raise Broken("somebody joins who is a member")
    if account != case.account:
        raise Broken("somebody joins on behalf of somebody else")


def _check_remove(case: Case, account: AccountId) -> None:
    if account != case.account:
        raise Broken("somebody else says that a member leaves")
    allowed = {
        case.own_device,
        roles.admin_path(account),
        roles.member_path(account),
        roles.invited_path(account),
    }
    for path in case.changed - allowed:
        if path.startswith(f"CRLs/{account}/"):
            continue
        _check_device_of(case, path, account)
        if path not in case.old:
            raise Broken(f"{path} appears as its owner leaves")
    # What a leaver may change is to be gone, not to be changed.
    for path in case.changed & (allowed - {case.own_device}):
        if path in case.new:
            raise Broken(f"{path} changes as its owner leaves")


def _check_ban(case: Case, action: MemberAction, account: AccountId) -> None:
    target = str(account)
    allowed = {case.own_device} | {roles.kind_path(kind, target) for kind in roles.KINDS}
    banned = {roles.banned_path(kind, target) for kind in roles.KINDS}
    votes: set[str] = set()
    for path in case.changed - allowed - banned:
        vote = _VOTE.fullmatch(path)
        if vote is not None and (vote[1], vote[3]) == (action.value, target):
            if path not in case.old or path in case.new:
                raise Broken("a vote appears with the decision that it is for")
            votes.add(path)
        elif not path.startswith(f"CRLs/{account}/"):
            _check_device_of(case, path, account)
            if (path in case.old) is not (action is MemberAction.BAN):
                raise Broken(f"{path} is on the wrong side of a {action.value}")
    moved = case.changed & banned
    if not moved:
        raise Broken(f"a {action.value} that moves nobody")
    for path in moved:
        if (path in case.new) is not (action is MemberAction.BAN):
            raise Broken(f"{path} is on the wrong side of a {action.value}")
    _require_admin(case)
    require_votes(case.old, votes)


def require_votes(old: FlatTree, votes: Iterable[str]) -> None:
    """Raise unless these files are the votes of enough administrators.

    Raises:
        Broken: they are not.
    """
    voters = {found[4] for found in map(_VOTE.fullmatch, votes) if found is not None}
    admins = {str(admin) for admin in roles.admins(old)}
    if 2 * len(voters & admins) < len(admins):  # Jami: "votes / admins >= 0.5"
        raise Broken(f"{len(voters & admins)} of {len(admins)} administrators are for it")


def _check_vote(case: Case, target: str) -> None:
    if not case.changed:
        return
    votes = [path for path in case.changed if path != case.own_device]
    if len(case.changed) > _VOTE_CHANGES_MAX or len(votes) != 1:
        raise Broken("a vote that changes more than one vote")
    if case.own_device in case.changed and case.own_device in case.old:
        raise Broken("a vote that changes the voter's device")
    found = _VOTE.fullmatch(votes[0])
    if found is None or found[4] != str(case.account) or found[3] != target:
        raise Broken(f"{votes[0]} is not the voter's vote about {target}")
    _require_admin(case)
    if votes[0] in case.old or case.new.get(votes[0]) != EMPTY_BLOB:
        raise Broken("a vote is an empty file, once")
    _check_vote_target(case, found[1], found[2], target)


def _check_vote_target(case: Case, action: str, kind: str, target: str) -> None:
    if target in (str(case.account), str(case.commit.device)):
        raise Broken("nobody votes about themselves")
    if kind == "devices":
        if f"devices/{target}.crt" not in case.old and action == "ban":
            raise Broken(f"a vote about a device that is not here: {target}")
    elif action == "ban" and not any(
        roles.kind_path(other, target) in case.old for other in ("members", "admins", "invited")
    ):
        raise Broken(f"a vote about somebody who is not here: {target}")


def _check_profile(case: Case) -> None:
    if roles.admin_path(case.account) not in case.new:
        raise Broken("only administrators change the profile")
    _only(case, {case.own_device, roles.PROFILE_PATH})


def _check_edit(case: Case, edited: CommitId) -> None:
    found = case.find(edited)
    if found is None:
        raise Broken(f"an edit of {edited}, which is not here")
    content, author = found
    if author != case.account:
        raise Broken("an edit of somebody else's message")
    is_editable = isinstance(content, Text) or (
        (isinstance(content, FileOffer) and bool(content.transfer_id))
        or (isinstance(content, Unknown) and content.type == DOCUMENT)
    )
    if not is_editable:
        raise Broken("an edit of what is no text, file or document")


def _check_unknown(case: Case, kind: str) -> None:
    fields = dict(case.content.fields) if isinstance(case.content, Unknown) else {}
    if edited := fields.get("edit"):
        try:
            _check_edit(case, CommitId.from_hex(str(edited)))
        except DecodeError as error:
            raise Broken(f"an edit of {edited!r}, which is no message") from error
    if kind == CHECKPOINT:
        if case.mode is not Mode.DOCUMENT:
            raise Broken("a checkpoint outside a document")
        if any(
            path != case.own_device and not path.startswith("attachments/") for path in case.changed
        ):
            raise Broken("a checkpoint that changes more than attachments")
        return
    _check_plain(case)


def _check_plain(case: Case) -> None:
    """Check a commit that says something and changes nothing but its author's certificates."""
    if case.mode is Mode.DOCUMENT and not isinstance(case.content, Unknown):
        raise Broken("a message in a document")
    own = {roles.admin_path(case.account), roles.member_path(case.account)}
    _only(case, {case.own_device} | own)
    for path in case.changed & own:
        if path not in case.old or path not in case.new:
            raise Broken(f"{path} appears or goes with a message")


def _check_device_of(case: Case, path: str, account: AccountId) -> None:
    """Check that *path* is a device of *account*."""
    found = _DEVICE.fullmatch(path)
    if found is None:
        raise Broken(f"it changes {path}")
    tree = case.old if path in case.old else case.new
    try:
        certificate = case.certificates.read(tree, path)
        owner = case.certificates.owner(certificate)
    except DecodeError as error:
        raise Broken(str(error)) from error
    if owner != account or certificate.long_id != DeviceId.from_hex(found[1]):
        raise Broken(f"{path} is not a device of {account}")


def _require_admin(case: Case) -> None:
    if roles.admin_path(case.account) not in case.old:
        raise Broken("only administrators may do that")


def _only(case: Case, allowed: set[str], prefix: str | None = None) -> None:
    """Check that nothing else than *allowed*, and what is below *prefix*, changes."""
    for path in case.changed - allowed:
        if prefix is None or not path.startswith(prefix):
            raise Broken(f"it changes {path}")
