"""The rules, each broken once by a hostile member who signs properly."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import pytest

from shoal.core import AccountId
from shoal.swarm import Commit, ObjectKind, roles
from shoal.swarm.contents import (
    Call,
    Edit,
    FileOffer,
    Initial,
    MemberAction,
    MemberEvent,
    Mode,
    ProfileUpdate,
    Text,
    Unknown,
    Vote,
    write_content,
)
from shoal.swarm.membership import ban, invite
from shoal.swarm.refusals import Refused
from shoal.swarm.rules import EMPTY_BLOB
from shoal.swarm.trees import write_tree
from tests.unit.swarm.people import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    WALL_NOW,
    add,
    begin,
    bring,
    device,
    taken,
    who,
)

if TYPE_CHECKING:
    from shoal.swarm import Conversation
    from shoal.swarm.contents import Content

A, B, C, D = (who(name).account for name in (ALICE, BOB, CAROL, DAVE))
Files: TypeAlias = "dict[str, bytes | None]"
X = b"anything"


def group() -> Conversation:
    """Alice is administrator, bob and carol are members, dave is invited; carol's device spoke."""
    alice = begin()
    add(alice, BOB)
    carol = add(alice, CAROL)
    carol.say(Text("hello"), WALL_NOW)
    bring(carol, alice)
    invite(alice, D, WALL_NOW)
    return alice


def make(
    source: Conversation,
    author: str,
    content: Content | bytes,
    files: Files,
    *,
    wall_time: float = WALL_NOW,
    number: int = 0,
) -> Commit:
    """A properly signed commit by *author* that changes *files* in any way."""
    tree = dict(source.files)
    for path, data in files.items():
        if data is None:
            tree.pop(path, None)
        else:
            tree[path] = source.store.add(ObjectKind.BLOB, data)
    commit = Commit.build(
        tree=write_tree(source.store, tree),
        parents=(source.head,),
        name=author,
        device=who(author, number).device_id,
        wall_time=int(wall_time),
        message=content if isinstance(content, bytes) else write_content(content),
        key=device(author, number).private_key,
    )
    source.store.add(ObjectKind.COMMIT, commit.raw)
    return commit


def member(action: MemberAction, account: AccountId) -> MemberEvent:
    """An event about a member."""
    return MemberEvent(action, account)


ADD, JOIN, REMOVE = MemberAction.ADD, MemberAction.JOIN, MemberAction.REMOVE
BAN, UNBAN = MemberAction.BAN, MemberAction.UNBAN
STRANGER = AccountId(bytes(20))
CAROLS_DEVICE = roles.device_path(who(CAROL).device_id)
BOBS_DEVICE = roles.device_path(who(BOB).device_id)
BOBS_FILE = roles.member_path(B)
CAROLS_FILE = roles.member_path(C)
DAVES_FILE = roles.member_path(D)
VOTE = roles.vote_path("ban", "members", str(C), A)
BROKEN: list[tuple[str, Content | bytes, Files, str]] = [
    # Plain messages change nothing.
    (BOB, Text("x"), {"admins/" + "0" * 40 + ".crt": X}, "it changes"),
    (BOB, Text("x"), {CAROLS_FILE: None}, "it changes"),
    (BOB, Text("x"), {BOBS_FILE: None, roles.admin_path(B): who(BOB).account_file}, "appears"),
    (BOB, Text("x"), {"x/y": X}, "it changes"),
    (BOB, Call(1, A), {"x/y": X}, "it changes"),
    (BOB, FileOffer("1", "a", 1, "ab"), {"x/y": X}, "it changes"),
    (BOB, Unknown("x/y", ()), {"profile.vcf": X}, "it changes"),
    (BOB, Unknown("application/checkpoint", ()), {}, "outside a document"),
    (BOB, Unknown("x/y", (("edit", "zz"),)), {}, "no message"),
    (BOB, Initial(Mode.INVITES_ONLY), {}, "only once"),
    (BOB, b"Merge commit '" + b"a" * 40 + b"'", {}, "one parent"),
    # Authors are members, with devices of theirs.
    (DAVE, Text("x"), {roles.device_path(who(DAVE).device_id): who(DAVE).device_file}, "not a mem"),
    (BOB, Text("x"), {BOBS_DEVICE: None}, "there is no"),
    (BOB, Text("x"), {BOBS_DEVICE: who(CAROL).device_file}, "another device"),
    (BOB, Text("x"), {BOBS_FILE: who(CAROL).account_file}, "another account"),
    # Invitations.
    (BOB, member(ADD, B), {roles.invited_path(B): b""}, "themselves"),
    (BOB, member(ADD, STRANGER), {}, "changes 0 files"),
    (BOB, member(ADD, STRANGER), {roles.invited_path(STRANGER): X}, "empty file"),
    (BOB, member(ADD, STRANGER), {roles.invited_path(STRANGER): b"", "x": X}, "it changes"),
    # Joining.
    (
        BOB,
        member(JOIN, D),
        {roles.invited_path(D): None, DAVES_FILE: who(DAVE).account_file},
        "behalf",
    ),
    (BOB, member(JOIN, D), {}, "not invited"),
    (BOB, member(JOIN, D), {roles.invited_path(D): None}, "is a member"),
    # Leaving.
    (BOB, member(REMOVE, B), {CAROLS_FILE: None}, "it changes"),
    (BOB, member(REMOVE, B), {BOBS_FILE: who(CAROL).account_file}, "changes as"),
    (BOB, member(REMOVE, B), {BOBS_FILE: None, CAROLS_DEVICE: None}, "not a device of"),
    (BOB, member(REMOVE, B), {"devices/" + "0" * 64 + ".crt": X}, "cut off"),
    (
        BOB,
        member(REMOVE, B),
        {roles.device_path(who(BOB, 1).device_id): who(BOB, 1).device_file},
        "appears",
    ),
    (ALICE, member(REMOVE, C), {CAROLS_FILE: None}, "somebody else says"),
    # Bans.
    (BOB, member(BAN, C), {CAROLS_FILE: None, f"banned/members/{C}.crt": X}, "administrators"),
    (ALICE, member(BAN, C), {CAROLS_FILE: None}, "moves nobody"),
    (ALICE, member(BAN, C), {CAROLS_FILE: None, f"banned/members/{C}.crt": X}, "0 of 1"),
    (ALICE, member(BAN, C), {VOTE: b"", f"banned/members/{C}.crt": X}, "a vote appears"),
    (ALICE, member(BAN, C), {BOBS_DEVICE: None, f"banned/members/{C}.crt": X}, "not a device of"),
    (ALICE, member(UNBAN, C), {CAROLS_DEVICE: None, f"banned/members/{C}.crt": X}, "wrong side"),
    (ALICE, member(UNBAN, C), {f"banned/members/{C}.crt": X}, "wrong side"),
    # Votes.
    (BOB, Vote(str(C)), {roles.vote_path("ban", "members", str(C), B): b""}, "administrators"),
    (BOB, Vote(str(C)), {VOTE: b""}, "not the voter"),
    (ALICE, Vote(str(B)), {VOTE: b""}, "not the voter"),
    (ALICE, Vote(str(C)), {VOTE: X}, "empty file"),
    (ALICE, Vote(str(C)), {VOTE: b"", "x": X}, "more than one"),
    (ALICE, Vote(str(C)), {"x": X, "y": X, "z": X}, "more than one"),
    (ALICE, Vote(str(A)), {roles.vote_path("ban", "members", str(A), A): b""}, "themselves"),
    (
        ALICE,
        Vote(str(STRANGER)),
        {roles.vote_path("ban", "members", str(STRANGER), A): b""},
        "not here",
    ),
    (
        ALICE,
        Vote("0" * 64),
        {roles.vote_path("ban", "devices", "0" * 64, A): b""},
        "a device that is not here",
    ),
    # Profiles.
    (BOB, ProfileUpdate(), {"profile.vcf": X}, "administrators"),
    (ALICE, ProfileUpdate(), {"profile.vcf": X, "x": X}, "it changes"),
    # What is no message at all.
    (BOB, b"not JSON", {}, "JSON"),
]


@pytest.mark.parametrize(("author", "content", "files", "rule"), BROKEN)
def test_broken(author: str, content: Content | bytes, files: Files, rule: str) -> None:
    """Each is refused for its reason, and the conversation stays as it was."""
    victim = group()
    before = victim.head
    commit = make(victim, author, content, files)

    (refused,) = victim.take(commit.id, WALL_NOW)
    assert isinstance(refused, Refused)
    assert refused.commit == commit.id
    assert rule in refused.rule, refused.rule
    assert victim.head == before


def test_an_expired_device() -> None:
    """A device whose certificate had expired when it wrote."""
    victim = group()
    commit = make(victim, BOB, Text("x"), {}, wall_time=WALL_NOW + 400_000_000)
    (refused,) = victim.take(commit.id, WALL_NOW)
    assert isinstance(refused, Refused)
    assert "expired" in refused.rule


def test_a_banned_device_stays_banned() -> None:
    """It cannot bring its certificate back with its next message."""
    victim = group()
    banned = f"banned/devices/{who(BOB, 1).device_id}.crt"
    victim.store.add(ObjectKind.BLOB, who(BOB, 1).device_file)
    tree = dict(victim.files) | {banned: victim.store.add(ObjectKind.BLOB, X)}
    vote = roles.vote_path("ban", "members", str(B), A)
    tree[vote] = EMPTY_BLOB
    store, me = victim.store, victim.me
    base = Commit.build(
        tree=write_tree(store, tree),
        parents=(),
        name="",
        device=me.device_id,
        wall_time=0,
        message=b"{}",
        key=me.device.private_key,
    )
    victim.graph.add(base)
    victim.standings[base.id] = victim.standings[victim.head]
    spoken = Commit.build(
        tree=write_tree(
            store,
            tree
            | {
                roles.device_path(who(BOB, 1).device_id): store.add(
                    ObjectKind.BLOB, who(BOB, 1).device_file
                )
            },
        ),
        parents=(base.id,),
        name="",
        device=who(BOB, 1).device_id,
        wall_time=0,
        message=write_content(Text("back")),
        key=device(BOB, 1).private_key,
    )
    store.add(ObjectKind.COMMIT, spoken.raw)
    (refused,) = victim.take(spoken.id, WALL_NOW)
    assert isinstance(refused, Refused)
    assert "banned" in refused.rule


def test_a_banned_member_is_not_invited() -> None:
    """They have to be unbanned first."""
    victim = group()
    ban(victim, C, WALL_NOW)
    commit = make(victim, BOB, member(ADD, C), {roles.invited_path(C): b""})
    (refused,) = victim.take(commit.id, WALL_NOW)
    assert isinstance(refused, Refused)
    assert "unban" in refused.rule


def test_an_evil_merge() -> None:
    """A merge brings nothing of its own."""
    alice = begin()
    bob = add(alice, BOB)
    alice.say(Text("a"), WALL_NOW)
    bob.say(Text("b"), WALL_NOW)
    one, other = alice.head, bob.head
    bring(bob, alice)
    store = alice.store
    file = store.add(ObjectKind.BLOB, who(BOB).account_file)
    tree = dict(alice.files) | {roles.admin_path(B): file}
    evil = Commit.build(
        tree=write_tree(store, tree),
        parents=(one, other),
        name="",
        device=who(BOB).device_id,
        wall_time=int(WALL_NOW),
        message=f"Merge commit '{other}'".encode(),
        key=device(BOB).private_key,
    )
    twice = Commit.build(
        tree=alice.graph[one].tree,
        parents=(one, one),
        name="",
        device=who(BOB).device_id,
        wall_time=int(WALL_NOW),
        message=f"Merge commit '{one}'".encode(),
        key=device(BOB).private_key,
    )
    for commit, rule in ((evil, "no parent has"), (twice, "with itself")):
        store.add(ObjectKind.COMMIT, commit.raw)
        (refused,) = alice.take(commit.id, WALL_NOW)
        assert isinstance(refused, Refused)
        assert rule in refused.rule


def test_what_is_allowed() -> None:
    """A renewed certificate, a vote that changes nothing, an edited file, an unknown type."""
    victim = group()
    offer = make(victim, BOB, FileOffer("1", "a", 1, "ab"), {})
    assert len(taken(victim.take(offer.id, WALL_NOW))) == 1
    for content in (
        Vote(str(C)),
        FileOffer("", edited=offer.id),
        Edit(offer.id, ""),
        Unknown("x/y", ()),
        Unknown("application/collab-doc+json", (("uri", "a"),)),
    ):
        commit = make(victim, BOB, content, {})
        assert len(taken(victim.take(commit.id, WALL_NOW))) == 1
