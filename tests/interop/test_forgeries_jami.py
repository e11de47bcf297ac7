"""A history as Jami 13.7 keeps it: with commits that nobody signed, or not their author.

13.7 checks no signatures: what it took once is in its repository, and it gives it to whoever clones
from it. Here stock git puts such commits there while it runs, between its own.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from shoal.core import AccountId, CommitId
from shoal.swarm import Commit, Conversation, ObjectKind, membership, roles
from shoal.swarm.contents import MemberAction, MemberEvent, Text, write_content
from shoal.swarm.roles import Role
from shoal.swarm.trees import TreeReader, write_tree
from tests.interop.test_conversations_jami import become_contacts
from tests.peers.histories import check_by_git, git, read_objects
from tests.peers.talks import JamiTalk, ShoalTalk
from tests.peers.town import OLD
from tests.unit.swarm.people import MALLORY, device, who

if TYPE_CHECKING:
    from pathlib import Path

    from shoal.swarm.contents import Content
    from tests.peers.shoal_node import ShoalHost
    from tests.peers.town import Town

pytestmark = pytest.mark.timeout(300)  # Jami takes its time on a busy machine


class Forger:
    """Writes into a repository in the name of who spoke there last."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._store = read_objects(repository)
        self._there = set(self._store.objects)
        head = CommitId.from_hex(git(repository, "rev-parse", "main").decode().strip())
        self._store.set_head(head)
        self._author = self._read(head).device

    def say(self, text: str, *, is_signed: bool = False) -> None:
        """Say something; it is signed by Mallory, or not at all."""
        self._commit(Text(text), {}, is_signed=is_signed)

    def invite(self) -> None:
        """Invite Mallory."""
        invited = {roles.invited_path(who(MALLORY).account): b""}
        self._commit(MemberEvent(MemberAction.ADD, who(MALLORY).account), invited)

    def let_mallory_in(self, text: str) -> None:
        """Let Mallory join and say something, both signed as they should be."""
        mallory = Conversation.load(self._store, who(MALLORY))
        membership.join(mallory, time.time())
        mallory.say(Text(text), time.time())

    def publish(self) -> None:
        """Put all of it into the repository and its working copy, as its own daemon would."""
        for name, (kind, content) in self._store.objects.items():
            if name not in self._there:
                words = ("hash-object", "-t", kind.value, "-w", "--stdin")
                assert git(self._repository, *words, typed=content).decode().strip() == name.hex()
        git(self._repository, "update-ref", "refs/heads/main", str(self._store.head))
        git(self._repository, "reset", "--hard", "main")

    def _commit(
        self, content: Content, files: dict[str, bytes], *, is_signed: bool = False
    ) -> None:
        head = self._store.head
        assert head is not None
        tree = dict(TreeReader(self._store).read(self._read(head).tree))
        tree |= {path: self._store.add(ObjectKind.BLOB, data) for path, data in files.items()}
        signed = Commit.build(
            tree=write_tree(self._store, tree),
            parents=(head,),
            name="",
            device=self._author,
            wall_time=int(time.time()),
            message=write_content(content),
            key=device(MALLORY).private_key,
        )
        commit = signed if is_signed else Commit.parse(signed.signed_bytes)
        self._store.add(ObjectKind.COMMIT, commit.raw)
        self._store.set_head(commit.id)

    def _read(self, commit: CommitId) -> Commit:
        return Commit.parse(self._store.read(commit)[1])


def test_forgeries_are_kept_and_grant_nothing(town: Town, ours: ShoalHost) -> None:
    """They are shown, unverified; who is a member by them is given nothing; all others go on."""
    theirs, account = town.account(OLD), ours.create("Ada")
    become_contacts(ours, account, theirs)
    there = JamiTalk(theirs, theirs.daemon.call("startConversation", theirs.name))
    there.say("said by Jami")
    forger = Forger(there.repository)
    forger.say("signed by nobody")
    forger.say("signed by Mallory", is_signed=True)
    forger.invite()
    forger.let_mallory_in("I am a member")
    forger.publish()
    there.say("said by Jami, later")

    here = ShoalTalk(ours, account, there.id)
    there.invite(here.uri)
    here.wait_invited()
    here.accept()
    there.wait_role(here.uri, "member")
    texts = {
        each.content.body: each.is_verified
        for each in here.messages()
        if isinstance(each.content, Text)
    }
    assert texts == {
        "said by Jami": True,
        "signed by nobody": False,
        "signed by Mallory": False,
        "I am a member": False,
        "said by Jami, later": True,
    }
    session = account.talking.engine.sessions[here.conversation.id]
    mallory = who(MALLORY).account
    assert session.role(mallory) is Role.MEMBER  # as Jami shows it
    assert not session.may_fetch(mallory)
    assert not account.talking.engine.is_fellow(mallory)
    assert session.may_fetch(AccountId.from_hex(there.uri))

    here.say("and we go on")
    there.wait_text("and we go on")
    there.say("so do we")
    here.wait_text("so do we")  # verified
    for side in (here, there):
        assert check_by_git(side.repository) > len(texts)
