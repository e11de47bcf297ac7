"""Conversations: saying, taking, and ending equal."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.core import AccountId, CommitId
from shoal.swarm import Commit, Conversation, MemoryStore, ObjectKind
from shoal.swarm.contents import Edit, Mode, Text, Unknown, write_content
from shoal.swarm.conversation import HeadMoved, Taken
from shoal.swarm.errors import (
    ConversationEndedError,
    InvalidCommitError,
    InvalidMessageError,
    ObjectMissingError,
)
from shoal.swarm.membership import ban, invite, join, leave
from shoal.swarm.refusals import Refused
from shoal.swarm.roles import Role
from shoal.swarm.trees import write_tree
from shoal.swarm.view import View
from tests.unit.swarm.people import (
    ALICE,
    BOB,
    CAROL,
    WALL_NOW,
    add,
    begin,
    bring,
    clone,
    copy_objects,
    device,
    said,
    taken,
    who,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def texts(conversation: Conversation) -> list[str]:
    """What was said, oldest first."""
    return [
        message.content.body
        for message in reversed(list(conversation.messages()))
        if isinstance(message.content, Text)
    ]


def pair() -> tuple[Conversation, Conversation]:
    """A group of alice and bob, both up to date."""
    alice = begin()
    return alice, add(alice, BOB)


def test_beginning() -> None:
    """Who begins is the administrator; the id is that of the first commit."""
    alice = begin()

    assert alice.id == alice.head
    assert alice.mode is Mode.INVITES_ONLY
    assert alice.members == {who(ALICE).account: Role.ADMIN}
    assert alice.read_file("profile.vcf") is None


def test_one_to_one() -> None:
    """The other one is invited from the start, joins, and is `left` when no file names them."""
    bob = who(BOB).account
    alice = Conversation.create(
        MemoryStore(), who(ALICE), wall_now=WALL_NOW, mode=Mode.ONE_TO_ONE, invited=bob
    )
    assert alice.members == {who(ALICE).account: Role.ADMIN, bob: Role.INVITED}

    theirs = clone(alice, BOB)
    join(theirs, WALL_NOW)
    bring(theirs, alice)
    assert alice.members[bob] is Role.MEMBER
    leave(theirs, WALL_NOW)
    bring(theirs, alice)
    assert alice.members[bob] is Role.LEFT
    with pytest.raises(InvalidCommitError, match="one of two"):
        invite(alice, who(CAROL).account, WALL_NOW)


def test_saying_and_taking() -> None:
    """A text becomes a commit; the peer takes it, verified, and moves its head there."""
    alice, bob = pair()
    said_, moved = alice.say(Text("hello"), WALL_NOW + 5)
    assert isinstance(said_, Taken)
    assert moved == HeadMoved(alice.head)

    event, head = bring(alice, bob)
    assert isinstance(event, Taken)
    assert event.content == Text("hello")
    assert event.standing.account == who(ALICE).account
    assert event.standing.is_verified
    assert head == HeadMoved(alice.head)
    assert bring(alice, bob) == []


def test_opening_again() -> None:
    """What is in the store is the conversation."""
    alice, _ = pair()
    again = Conversation.load(alice.store, who(ALICE))

    assert (again.id, again.head, again.members) == (alice.id, alice.head, alice.members)
    assert said(again) == said(alice)


def test_a_second_device_says_who_it_is() -> None:
    """The first commit of a device brings its certificate."""
    alice, bob = pair()
    other = clone(alice, ALICE, 1)
    other.say(Text("from my telephone"), WALL_NOW)
    (message,) = taken(bring(other, bob))

    assert message.standing.account == who(ALICE).account
    assert message.commit.device == who(ALICE, 1).device_id


def test_both_speak_at_once() -> None:
    """Two histories become one with the same messages in the same order, and stay one."""
    alice, bob = pair()
    alice.say(Text("from alice"), WALL_NOW + 1)
    bob.say(Text("from bob"), WALL_NOW + 2)
    old = alice.head
    bring(bob, alice, WALL_NOW + 3)
    copy_objects(alice, bob.store)  # type: ignore[arg-type]
    bob.take(old, WALL_NOW + 3)

    assert alice.head != bob.head  # each made its own merge
    assert texts(alice) == texts(bob) == ["from alice", "from bob"]
    bring(bob, alice)
    bring(alice, bob)
    assert alice.head == bob.head  # and one of the two was given up
    assert bring(alice, bob) == []


def test_only_own_messages_are_edited() -> None:
    """An edit of somebody else's message is refused on both sides."""
    alice, bob = pair()
    alice.say(Text("hello"), WALL_NOW)
    message = alice.head
    bring(alice, bob)

    with pytest.raises(InvalidCommitError, match="somebody else"):
        bob.say(Edit(message, "bye"), WALL_NOW)
    alice.say(Edit(message, "good day"), WALL_NOW)
    assert len(taken(bring(alice, bob))) == 1
    with pytest.raises(InvalidCommitError, match="not here"):
        alice.say(Edit(CommitId(bytes(20)), "x"), WALL_NOW)
    with pytest.raises(InvalidCommitError, match="no text"):
        alice.say(Edit(CommitId(alice.id), "x"), WALL_NOW)


def test_after_the_end_nothing_is_said() -> None:
    """Who has left or was banned cannot go on."""
    alice, bob = pair()
    ban(alice, who(BOB).account, WALL_NOW)
    bring(alice, bob)
    with pytest.raises(ConversationEndedError):
        bob.say(Text("but"), WALL_NOW)
    leave(alice, WALL_NOW)
    with pytest.raises(ConversationEndedError):
        alice.say(Text("but"), WALL_NOW)


def test_messages_that_peers_would_choke_on() -> None:
    """They are refused before anything is written."""
    alice = begin()
    before = alice.head
    with pytest.raises(InvalidMessageError):
        alice.say(Unknown("x/y", (("a", {}),)), WALL_NOW)  # type: ignore[arg-type]
    assert alice.head == before


def forge(
    conversation: Conversation,
    author: str,
    signer: str,
    message: bytes = b'{"body":"I owe you","type":"text/plain"}',
    files: dict[str, bytes] | None = None,
) -> Commit:
    """A commit that *signer* makes in the name of *author*, in the store of *conversation*."""
    store = conversation.store
    commit = Commit.build(
        tree=write_tree(store, dict(conversation.files) if files is None else files),
        parents=(conversation.head,),
        name=author,
        device=who(author).device_id,
        wall_time=int(WALL_NOW),
        message=message,
        key=device(signer).private_key,
    )
    store.add(ObjectKind.COMMIT, commit.raw)
    return commit


def test_a_forged_signature_is_refused() -> None:
    """With all that stands on it, and without harm to the rest."""
    alice, bob = pair()
    good = bob.say(Text("honest"), WALL_NOW)[0]
    forged = forge(bob, ALICE, BOB)
    copy_objects(bob, alice.store)  # type: ignore[arg-type]

    events = alice.take(forged.id, WALL_NOW)
    assert good in events
    assert Refused(forged.id, "its signature is not by its author") in events
    assert texts(alice) == ["honest"]
    assert alice.head == bob.head
    on_top = Commit.build(
        tree=forged.tree,
        parents=(forged.id,),
        name="",
        device=who(BOB).device_id,
        wall_time=int(WALL_NOW),
        message=write_content(Text("on top")),
        key=device(BOB).private_key,
    )
    alice.store.add(ObjectKind.COMMIT, on_top.raw)
    assert alice.take(on_top.id, WALL_NOW) == [
        Refused(on_top.id, f"it stands on {forged.id}, which was refused")
    ]


def test_old_histories_with_forgeries_are_kept() -> None:
    """A clone keeps what Debian's Jami took, marked; what it grants does not count."""
    alice, bob = pair()
    unsigned = Commit.parse(forge(bob, ALICE, BOB).signed_bytes)
    bob.store.add(ObjectKind.COMMIT, unsigned.raw)
    store = MemoryStore()
    copy_objects(bob, store)
    carol, events = Conversation.clone(store, who(CAROL), bob.id, unsigned.id)

    *_, last = taken(events)
    assert last.commit.id == unsigned.id
    assert not last.standing.is_verified
    assert last.standing.problem == "it is not signed"
    assert texts(carol) == ["I owe you"]
    assert alice.take(alice.head, WALL_NOW) == []


def test_what_was_here_before_a_clone_is_taken_back() -> None:
    """All of it, also what is not verified and what we said on top of that; then it is let go."""
    alice, bob = pair()
    unsigned = Commit.parse(forge(bob, ALICE, BOB).signed_bytes)
    bob.store.add(ObjectKind.COMMIT, unsigned.raw)
    store = MemoryStore()
    copy_objects(bob, store)
    store.set_head(unsigned.id)
    before = Conversation.load(store, who(BOB))
    before.say(Text("only here"), WALL_NOW)
    store.keep(tip := before.head)
    copy_objects(alice, store)
    again, _ = Conversation.clone(store, who(BOB), alice.id, alice.head)
    assert (texts(again), store.kept) == ([], (tip,))

    again.recover(WALL_NOW)
    assert texts(again) == ["I owe you", "only here"]
    assert [each.standing.is_verified for each in again.messages()][1] is False
    assert not store.kept
    assert Conversation.load(store, who(BOB)).head == again.head


def test_a_merge_that_was_given_up_is_let_go() -> None:
    """Both have merged the same: one merge is given up, and nothing is lost with it."""
    alice, bob = pair()
    alice.say(Text("by alice"), WALL_NOW)
    bob.say(Text("by bob"), WALL_NOW)
    old = alice.head
    bring(bob, alice)
    copy_objects(alice, bob.store)  # type: ignore[arg-type]
    bob.take(old, WALL_NOW)
    merges = {alice.head, bob.head}
    assert len(merges) == 2
    for before, name in ((alice.head, ALICE), (bob.head, BOB)):
        store = MemoryStore()
        copy_objects(alice, store)
        copy_objects(bob, store)
        store.keep(before)
        (other,) = merges - {before}
        again, _ = Conversation.clone(store, who(name), alice.id, other)
        again.recover(WALL_NOW)
        assert again.head == max(merges)
        assert store.kept == ()
        assert set(texts(again)) == {"by alice", "by bob"}


def test_what_was_here_before_and_is_not_whole_stays_kept() -> None:
    """A part is missing: what stands on it is not taken, and not thrown away."""
    alice, bob = pair()
    bob.say(Text("lost"), WALL_NOW)
    lost = bob.head
    bob.say(Text("stands on it"), WALL_NOW)
    store = bob.store
    assert isinstance(store, MemoryStore)
    raw = store.objects.pop(lost)
    store.keep(tip := bob.head)
    again, _ = Conversation.clone(store, who(BOB), alice.id, alice.head)
    again.recover(WALL_NOW)
    assert store.kept == (tip,)
    assert texts(again) == []

    store.objects[lost] = raw  # somebody had it
    again.recover(WALL_NOW)
    assert not store.kept
    assert texts(again) == ["lost", "stands on it"]


def test_what_a_forgery_grants_does_not_count() -> None:
    """A member who joined by an unverified commit says nothing that is verified."""
    alice, bob = pair()
    invite(alice, who(CAROL).account, WALL_NOW)
    bring(alice, bob)
    carol = clone(bob, CAROL)
    join(carol, WALL_NOW)
    unsigned = Commit.parse(carol.commit_of(carol.head).signed_bytes)
    speech = Commit.build(
        tree=unsigned.tree,
        parents=(unsigned.id,),
        name="",
        device=who(CAROL).device_id,
        wall_time=int(WALL_NOW),
        message=write_content(Text("I am a member")),
        key=device(CAROL).private_key,
    )
    store = MemoryStore()
    copy_objects(carol, store)
    for commit in (unsigned, speech):
        store.add(ObjectKind.COMMIT, commit.raw)
    _, events = Conversation.clone(store, who(BOB), bob.id, speech.id)

    *_, joined, said_ = taken(events)
    assert joined.standing.problem == "it is not signed"
    assert said_.standing.problem == "its author became a member by an unverified commit"


def without_signature(commit: Commit) -> Commit:
    """The same commit, as anybody could have made it."""
    return Commit.parse(commit.signed_bytes)


def continued(conversation: Conversation, *commits: Commit) -> MemoryStore:
    """A repository with all of *conversation*, whose head is the last of *commits*."""
    store = MemoryStore()
    copy_objects(conversation, store)
    for commit in commits:
        store.add(ObjectKind.COMMIT, commit.raw)
    store.set_head(commits[-1].id)
    return store


def test_an_invitation_that_is_forged_makes_nobody_a_member() -> None:
    """Who joins by it may sign what they like: it is unverified, and nothing is given to them."""
    alice, _ = pair()
    invite(alice, who(CAROL).account, WALL_NOW)
    invited = without_signature(alice.commit_of(alice.head))
    store = continued(alice, invited)
    carol = Conversation.load(store, who(CAROL))
    join(carol, WALL_NOW)
    carol.say(Text("I am a member"), WALL_NOW)

    for name in (CAROL, BOB):
        again, events = Conversation.clone(store, who(name), alice.id, carol.head)
        *_, joined, speech = taken(events)
        assert joined.standing.problem == "its author was invited by an unverified commit"
        assert speech.standing.problem == "its author became a member by an unverified commit"
        assert again.members[who(CAROL).account] is Role.MEMBER  # as Jami shows it
        assert again.unproved == {who(CAROL).account}
    view = View.of(again)
    assert view.unproved == {who(CAROL).account}
    again.say(Text("bob goes on"), WALL_NOW)
    assert taken(again.take(again.head, WALL_NOW)) == []
    assert again.unproved == {who(CAROL).account}  # what is said later proves nothing
    assert next(again.messages()).standing.is_verified


def test_votes_that_are_forged_do_not_count() -> None:
    """A ban that counts the unsigned vote of an administrator is as little proved as that vote."""
    alice, _ = pair()
    before = alice.head
    ban(alice, who(BOB).account, WALL_NOW)
    banned = alice.commit_of(alice.head)
    voted = alice.commit_of(banned.parents[0])
    assert voted.parents == (before,)
    forged = without_signature(voted)
    counted = Commit.build(
        tree=banned.tree,
        parents=(forged.id,),
        name="",
        device=who(ALICE).device_id,
        wall_time=banned.wall_time,
        message=banned.message,
        key=device(ALICE).private_key,
    )
    store = continued(alice, forged, counted)
    _, events = Conversation.clone(store, who(CAROL), alice.id, counted.id)

    *_, last = taken(events)
    problem = "without votes by unverified commits 0 of 1 administrators are for it"
    assert (last.commit.id, last.standing.problem) == (counted.id, problem)
    assert next(alice.messages()).standing.is_verified, "the true one is"


def test_a_banned_member_goes_on_alone() -> None:
    """What a banned member commits afterwards is refused, what others say is not."""
    alice, bob = pair()
    carol = add(alice, CAROL)
    bring(alice, bob)
    ban(alice, who(BOB).account, WALL_NOW)
    bring(alice, carol)
    angry = forge(alice, BOB, BOB, files=dict(alice.files))
    copy_objects(alice, carol.store)  # type: ignore[arg-type]

    (refused,) = carol.take(angry.id, WALL_NOW)
    assert isinstance(refused, Refused)
    assert "not a member" in refused.rule
    carol.say(Text("peace"), WALL_NOW)
    bring(carol, alice)
    assert texts(alice)[-1] == "peace"
    assert carol.members[who(BOB).account] is Role.BANNED


def test_the_ban_that_one_did_not_see() -> None:
    """Who spoke while being banned learns of the ban, and does not merge over it."""
    alice, bob = pair()
    bob.say(Text("one more thing"), WALL_NOW)
    ban(alice, who(BOB).account, WALL_NOW)
    bring(alice, bob)

    assert bob.members[who(BOB).account] is Role.BANNED
    with pytest.raises(ConversationEndedError):
        bob.say(Text("but"), WALL_NOW)


def test_not_this_conversation() -> None:
    """A clone of something else, of nothing in order, or of a part."""
    alice, other = begin(), begin(BOB)
    store = MemoryStore()
    copy_objects(other, store)
    with pytest.raises(InvalidCommitError, match="not of conversation"):
        Conversation.clone(store, who(CAROL), alice.id, other.head)
    assert store.head is None, "what was here before would be lost, the next start open the other"
    with pytest.raises(ObjectMissingError):
        Conversation.clone(MemoryStore(), who(CAROL), alice.id, alice.head)
    (refused,) = alice.take(CommitId(write_tree(alice.store, {})), WALL_NOW)
    assert isinstance(refused, Refused)
    assert "not a commit" in refused.rule
    copy_objects(other, alice.store)  # type: ignore[arg-type]
    (refused,) = alice.take(other.head, WALL_NOW)
    assert refused == Refused(other.head, "a second beginning")


def test_clocks_that_are_behind() -> None:
    """A message is never older than what it stands on, so that the line stays in order."""
    alice = begin()
    alice.say(Text("now"), WALL_NOW + 100)
    alice.say(Text("with a wrong clock"), WALL_NOW)

    assert texts(alice) == ["now", "with a wrong clock"]


def test_a_device_that_never_spoke_does_not_merge() -> None:
    """Its certificate is in no tree: a merge may not bring it, so it follows."""
    alice, bob = pair()
    phone = clone(alice, ALICE, 1)
    alice.say(Text("a"), WALL_NOW)
    bob.say(Text("b"), WALL_NOW)
    bring(alice, phone)
    events = bring(bob, phone)

    assert [message.content for message in taken(events)] == [Text("b")]
    assert phone.head == alice.head
    bring(bob, alice)
    bring(alice, phone)
    assert texts(phone) == texts(alice)


STEPS = st.lists(
    st.tuples(st.sampled_from(["say", "fetch"]), st.integers(0, 3), st.integers(0, 3)), max_size=25
)


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_all_end_equal(steps: Sequence[tuple[str, int, int]]) -> None:
    """Whoever speaks and fetches in whatever order: at last all have the same line and head."""
    alice, bob = pair()
    carol = add(alice, CAROL)
    phone = clone(alice, ALICE, 1)
    bring(alice, bob)
    everybody = [alice, bob, carol, phone]
    spoken: set[str] = set()
    for number, (step, one, other) in enumerate(steps):
        if step == "say":
            everybody[one].say(Text(f"{one}: {number}"), WALL_NOW + number // 3)
            spoken.add(f"{one}: {number}")
        elif one != other:
            bring(everybody[one], everybody[other], WALL_NOW + number // 3)
    for _ in range(len(everybody)):
        for source, target in itertools.permutations(everybody, 2):
            bring(source, target, WALL_NOW + 50)

    assert len({conversation.head for conversation in everybody}) == 1
    assert set(texts(alice)) == spoken
    assert len({tuple(said(conversation)) for conversation in everybody}) == 1


def test_people_and_their_files() -> None:
    """Who we are in a conversation comes from the device's certificate chain."""
    me = who(ALICE)
    assert me.account == AccountId(device(ALICE).certificate.issuer.id)  # type: ignore[union-attr]
    assert me.account_file.count(b"BEGIN CERTIFICATE") == 2
    assert me.device_file.count(b"BEGIN CERTIFICATE") == 1
    assert replace(me, name="x").device_id == me.device_id


def test_what_is_new_through_merges() -> None:
    """Who remembers what they know sees each message once, parents first, whatever was merged."""
    alice, bob = pair()
    known = alice.graph.sayings(alice.head)
    assert known == (alice.head,)
    assert list(alice.since(known)) == []

    for number in range(3):
        alice.say(Text(f"alice {number}"), WALL_NOW + 10 + number)
        bob.say(Text(f"bob {number}"), WALL_NOW + number)  # said earlier, arrives later
    seen = [each.content for each in alice.since(known)]
    known = alice.graph.sayings(alice.head)
    bring(bob, alice)
    assert len(alice.graph[alice.head].parents) == 2
    assert [each.content for each in alice.since(known)] == [Text(f"bob {n}") for n in range(3)]
    assert seen == [Text(f"alice {number}") for number in range(3)]
    assert alice.graph.sayings(alice.head) == tuple(
        sorted(parent for parent in alice.graph[alice.head].parents)
    )
    everything = list(alice.since((CommitId(bytes(20)),)))  # nothing of ours: all is new
    assert everything[0].commit.id == alice.id
    assert len(everything) == len(list(alice.messages()))
