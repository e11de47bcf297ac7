"""What a hostile member can put into a history, and that it harms nobody else."""

from __future__ import annotations

import time
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import pytest

from shoal.core import CommitId, DecodeError
from shoal.sim.entropy import SeededEntropy
from shoal.swarm import Commit, MemoryStore, ObjectKind, roles
from shoal.swarm.commits import merge_message
from shoal.swarm.contents import Edit, MemberAction, MemberEvent, Text, write_content
from shoal.swarm.conversation import AHEAD_MAX, JOINS_MAX, Conversation
from shoal.swarm.errors import HistoryTooLargeError
from shoal.swarm.membership import ban, invite
from shoal.swarm.packs import DELTA_BYTES_MAX, FED_MAX, PackReader
from shoal.swarm.refusals import TOLD_MAX, Refused
from shoal.swarm.roles import Role
from shoal.swarm.store import object_id
from shoal.swarm.trees import CACHED_FILES_MAX, ENTRIES_MAX, TreeReader, write_tree
from tests.unit.swarm.people import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    MALLORY,
    WALL_NOW,
    account,
    add,
    begin,
    bring,
    clone,
    copy_objects,
    device,
    who,
)
from tests.unit.swarm.test_packs import entry, sealed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.swarm.conversation import Event
    from shoal.swarm.store import GitStore


def group() -> tuple[Conversation, Conversation, Conversation]:
    """Alice's group, with bob and mallory."""
    alice = begin()
    bob = add(alice, BOB)
    mallory = add(alice, MALLORY)
    bring(alice, bob)
    return alice, bob, mallory


def make(
    store: GitStore,
    tree: bytes,
    parents: Sequence[CommitId],
    message: bytes,
    *,
    wall_time: float = WALL_NOW,
    author: str = MALLORY,
) -> CommitId:
    """A commit by mallory's hand, whatever it may be."""
    commit = Commit.build(
        tree=tree,
        parents=parents,
        name="",
        device=who(author).device_id,
        wall_time=int(wall_time),
        message=message,
        key=device(MALLORY).private_key,
    )
    store.add(ObjectKind.COMMIT, commit.raw)
    return commit.id


def texts(conversation: Conversation) -> set[str]:
    """What is said in it."""
    found = (each.content for each in conversation.messages())
    return {content.body for content in found if isinstance(content, Text)}


def rules(events: Sequence[Event]) -> list[str]:
    """Why commits were refused."""
    return [event.rule for event in events if isinstance(event, Refused)]


def take(victim: Conversation, source: GitStore, head: CommitId) -> list[Event]:
    """Let a victim fetch."""
    victim.store.add_all(source.objects.values())  # type: ignore[attr-defined]
    return victim.take(head, WALL_NOW)


def test_a_merge_does_not_take_back_a_ban() -> None:
    """Each file of it is as one parent has it, and yet it is refused: nobody unbans themselves."""
    alice, bob, mallory = group()
    mallory.say(Text("before"), WALL_NOW)
    ban(alice, who(MALLORY).account, WALL_NOW)
    copy_objects(alice, mallory.store)  # type: ignore[arg-type]
    mine = mallory.head
    parents = (mine, alice.head)
    tree = mallory.graph[mine].tree
    head = make(mallory.store, tree, parents, merge_message(alice.head))
    events = take(bob, mallory.store, head)

    assert any("takes back" in rule for rule in rules(events))
    assert bob.members[who(MALLORY).account] is Role.BANNED
    honest = make(mallory.store, tree, (mine,), write_content(Text("still there")))
    take(bob, mallory.store, honest)
    assert bob.members[who(MALLORY).account] is Role.BANNED


def test_a_merge_does_not_drop_who_joined() -> None:
    """The other way round: what one side added stays."""
    alice, bob, mallory = group()
    mallory.say(Text("meanwhile"), WALL_NOW)
    add(alice, CAROL)
    bring(alice, bob)
    copy_objects(alice, mallory.store)  # type: ignore[arg-type]
    mine = mallory.head
    tree = mallory.graph[mine].tree
    head = make(mallory.store, tree, (mine, alice.head), merge_message(alice.head))

    assert any("takes back" in rule for rule in rules(take(bob, mallory.store, head)))
    assert bob.members[who(CAROL).account] is Role.MEMBER
    assert "meanwhile" in texts(bob)


def test_a_replayed_membership_commit_is_nothing_new() -> None:
    """An old invitation, or a join, put on top of a ban by its own words, is judged anew there."""
    alice, bob, mallory = group()
    joined = mallory.head
    ban(alice, who(MALLORY).account, WALL_NOW)
    bring(alice, bob)
    assert take(bob, mallory.store, joined) == []
    replayed = make(
        alice.store,
        mallory.graph[joined].tree,
        (alice.head,),
        mallory.commit_of(joined).message,
    )
    (rule,) = rules(take(bob, alice.store, replayed))
    assert "somebody joins" in rule or "not a member" in rule or "changes" in rule
    assert bob.members[who(MALLORY).account] is Role.BANNED


def test_who_is_banned_goes_on_committing() -> None:
    """On top of the ban it is refused; so is who commits before joining."""
    alice, bob, mallory = group()
    ban(alice, who(MALLORY).account, WALL_NOW)
    bring(alice, bob)
    tree = bob.graph[bob.head].tree
    head = make(mallory.store, tree, (bob.head,), write_content(Text("I am back")))
    assert "not a member" in rules(take(bob, mallory.store, head))[0]
    invite(alice, who(DAVE).account, WALL_NOW)
    dave = clone(alice, DAVE)
    files = dict(dave.files)
    files[roles.device_path(who(DAVE).device_id)] = dave.store.add(
        ObjectKind.BLOB, who(DAVE).device_file
    )
    early = Commit.build(
        tree=write_tree(dave.store, files),
        parents=(dave.head,),
        name="",
        device=who(DAVE).device_id,
        wall_time=int(WALL_NOW),
        message=write_content(Text("may I?")),
        key=device(DAVE).private_key,
    )
    dave.store.add(ObjectKind.COMMIT, early.raw)
    assert "not a member" in rules(take(bob, dave.store, early.id))[0]


def test_nobody_says_that_others_leave() -> None:
    """Both generations of Jami take that; here it is no way to get rid of an administrator."""
    _, bob, mallory = group()
    files = dict(mallory.files)
    del files[roles.admin_path(who(ALICE).account)]
    message = write_content(MemberEvent(MemberAction.REMOVE, who(ALICE).account))
    head = make(mallory.store, write_tree(mallory.store, files), (mallory.head,), message)

    assert rules(take(bob, mallory.store, head)) == ["somebody else says that a member leaves"]
    assert bob.members[who(ALICE).account] is Role.ADMIN


def test_an_edit_of_what_only_some_have_splits_nobody() -> None:
    """An edit comes after what it edits, for those who have that, too."""
    alice, bob, mallory = group()
    tree, base = mallory.graph[mallory.head].tree, mallory.head
    text = make(mallory.store, tree, (base,), write_content(Text("known to bob only")))
    take(bob, mallory.store, text)
    edit = make(mallory.store, tree, (base,), write_content(Edit(text, "!")))

    for victim in (alice, bob):
        assert "which is not here" in rules(take(victim, mallory.store, edit))[0]


def test_a_clock_that_is_far_ahead_is_not_followed() -> None:
    """A device with an eternal certificate speaks from the year 9000; nobody else has to."""
    alice, bob, mallory = group()
    forever = account(MALLORY).issue(
        device(MALLORY).private_key,
        "Jami device",
        entropy=SeededEntropy(7),
        wall_now=WALL_NOW,
        validity=200_000_000_000.0,
    )
    files = dict(mallory.files)
    pem = forever.certificate.to_pem(with_issuers=False).encode()
    files[roles.device_path(who(MALLORY).device_id)] = mallory.store.add(ObjectKind.BLOB, pem)
    late = WALL_NOW + 150_000_000_000
    head = make(
        mallory.store,
        write_tree(mallory.store, files),
        (mallory.head,),
        write_content(Text("from the future")),
        wall_time=late,
    )
    assert not rules(take(bob, mallory.store, head))
    bob.say(Text("here and now"), WALL_NOW)
    assert bob.graph[bob.head].wall_time < WALL_NOW + AHEAD_MAX
    assert not rules(bring(bob, alice))
    assert texts(alice) >= {"here and now", "from the future"}


def test_what_a_giver_withholds_is_taken_from_another() -> None:
    """A commit whose tree did not come is not held against its author."""
    alice, bob, mallory = group()
    add(alice, CAROL)
    head = alice.head
    partial = MemoryStore()
    copy_objects(alice, partial)
    del partial.objects[alice.graph[head].tree]
    for name in (alice.graph[head].tree,):
        bob.store.objects.pop(name, None)  # type: ignore[attr-defined]
    events = take(bob, partial, head)
    (refused,) = [event for event in events if isinstance(event, Refused)]
    assert not refused.is_final
    assert bob.head != head

    assert not rules(bring(alice, bob))
    assert bob.head == head
    assert mallory.members


def test_one_unreadable_commit_costs_nobody_the_rest() -> None:
    """What is below a head that makes no sense is taken."""
    alice, bob, mallory = group()
    alice.say(Text("honest"), WALL_NOW)
    raw = alice.commit_of(alice.head).raw
    broken = alice.store.add(ObjectKind.COMMIT, raw.replace(b"author ", b"writer "))
    head = make(
        alice.store,
        alice.graph[alice.head].tree,
        (alice.head, CommitId(broken)),
        merge_message(CommitId(broken)),
    )
    events = take(bob, alice.store, head)
    assert "author lines" in rules(events)[0]
    assert "honest" in texts(bob)
    assert mallory.members


def test_refusals_are_judged_and_told_once() -> None:
    """A thousand forged branches: a bounded report, and the second offer costs next to nothing."""
    alice, bob, mallory = group()
    tree, base = mallory.graph[mallory.head].tree, mallory.head
    heads = [
        make(mallory.store, tree, (base,), write_content(Text(str(n))), author=ALICE)
        for n in range(TOLD_MAX + 50)
    ]
    while len(heads) > 1:
        pairs = list(zip(heads[::2], heads[1::2], strict=False))
        rest = heads[2 * len(pairs) :]
        heads = [
            make(mallory.store, tree, pair, merge_message(pair[1]), author=ALICE) for pair in pairs
        ] + rest
    events = take(bob, mallory.store, heads[0])
    assert len(events) == TOLD_MAX
    assert bob.take(heads[0], WALL_NOW) == [Refused(heads[0], "it was refused before")]
    assert alice.members


def test_many_branches_make_few_merges() -> None:
    """Who offers hundreds of branches does not make us sign hundreds of merges at once."""
    alice, bob, mallory = group()
    tree, base = mallory.graph[mallory.head].tree, mallory.head
    heads = [make(mallory.store, tree, (base,), write_content(Text(str(n)))) for n in range(64)]
    while len(heads) > 1:
        heads = [
            make(mallory.store, tree, pair, merge_message(pair[1]), author=ALICE)
            for pair in zip(heads[::2], heads[1::2], strict=True)
        ]
    before = len(bob.graph)
    events = take(bob, mallory.store, heads[0])
    merges = len(bob.graph) - before - 64
    assert len(rules(events)) == 32
    assert 0 < merges <= JOINS_MAX
    alice.say(Text("I am heard"), WALL_NOW)
    bring(alice, bob)
    assert "I am heard" in texts(bob)


def test_folders_in_folders_do_not_go_off() -> None:
    """Eight levels of a thousand names for one folder: 10^24 of them in a few kilobytes."""
    store = MemoryStore()
    tree = store.add(ObjectKind.TREE, b"")
    for _ in range(8):
        entries = b"".join(b"40000 %04d\0" % n + tree for n in range(1_000))
        tree = store.add(ObjectKind.TREE, entries)
    began = time.process_time()
    with pytest.raises(DecodeError, match=str(ENTRIES_MAX)):
        TreeReader(store).read(tree)
    assert time.process_time() - began < 20


def test_the_cache_of_trees_is_bounded_by_their_files() -> None:
    """A few huge trees do not fill the memory."""
    store, reader = MemoryStore(), None
    reader = TreeReader(store)
    blob = store.add(ObjectKind.BLOB, b"")
    inner = store.add(ObjectKind.TREE, b"".join(b"100644 %06d\0" % n + blob for n in range(20_000)))
    for number in range(2 * CACHED_FILES_MAX // 20_000):
        reader.read(store.add(ObjectKind.TREE, b"40000 %06d\0" % number + inner))
    assert reader.cached_files <= CACHED_FILES_MAX


NAMES = [b"..", b".", b".git", b".GIT", b"a/b", b"a\\b", b"", b"\xff"]
MODES = [b"100755", b"120000", b"160000", b"0", b"100664", b"040000"]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_lead_away(name: bytes) -> None:
    """A tree with such a name is none, wherever in a history it is."""
    _, bob, mallory = group()
    blob = mallory.store.add(ObjectKind.BLOB, b"")
    tree = mallory.store.add(ObjectKind.TREE, b"100644 " + name + b"\0" + blob)
    head = make(mallory.store, tree, (mallory.head,), write_content(Text("x")))

    assert "tree entry" in rules(take(bob, mallory.store, head))[0]


@pytest.mark.parametrize("mode", MODES)
def test_modes_that_are_not_plain(mode: bytes) -> None:
    """Programs, links, submodules: none of them has a place here."""
    _, bob, mallory = group()
    blob = mallory.store.add(ObjectKind.BLOB, b"/etc/passwd")
    tree = mallory.store.add(ObjectKind.TREE, mode + b" x\0" + blob)
    head = make(mallory.store, tree, (mallory.head,), write_content(Text("x")))

    assert "mode" in rules(take(bob, mallory.store, head))[0]


def test_the_same_name_twice() -> None:
    """As two files, or as a file and a folder."""
    _, bob, mallory = group()
    blob = mallory.store.add(ObjectKind.BLOB, b"")
    empty = mallory.store.add(ObjectKind.TREE, b"")
    for second in (b"100644 x\0" + blob, b"40000 x\0" + empty):
        tree = mallory.store.add(ObjectKind.TREE, b"100644 x\0" + blob + second)
        head = make(mallory.store, tree, (mallory.head,), write_content(Text("x")))
        assert "tree entry named" in rules(take(bob, mallory.store, head))[0]


def test_deltas_that_wait_are_bounded() -> None:
    """Megabytes of nothing, for a base that never comes, fill no memory."""
    reader = PackReader(MemoryStore().objects.get)
    zeros = bytes(8_000_000)
    pack = sealed(*(entry(7, zeros, bytes([n]) * 20) for n in range(12)))
    with pytest.raises(HistoryTooLargeError, match=str(DELTA_BYTES_MAX)):
        reader.feed(pack)


def test_one_packet_inflates_to_so_much_only() -> None:
    """Deltas of twelve bytes that make megabytes each."""
    size = 8_000_000
    base = bytes(size)
    found = object_id(ObjectKind.BLOB, base)
    varint = bytes((size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14 & 0x7F | 0x80, 3))
    delta = varint * 2 + b"\xf0" + size.to_bytes(3, "little")
    reader = PackReader({found: (ObjectKind.BLOB, base)}.get)
    pack = sealed(*(entry(7, delta, found) for _ in range(40)))
    assert len(pack) < 65_000
    tracemalloc.start()
    with pytest.raises(HistoryTooLargeError, match=str(FED_MAX)):
        reader.feed(pack)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * FED_MAX


def test_cyclic_deltas_come_to_nothing() -> None:
    """Two deltas that stand on each other, and one on itself."""
    one, two = b"1" * 20, b"2" * 20
    for bases in ((one, two), (one,)):
        reader = PackReader(MemoryStore().objects.get)
        with pytest.raises(DecodeError, match="not there"):
            reader.feed(sealed(*(entry(7, b"\1\1\1x", base) for base in bases)))


def test_endless_empty_blocks_are_only_read() -> None:
    """A zlib stream that goes on and makes nothing: it is part of the pack's size, no more."""
    reader = PackReader(MemoryStore().objects.get)
    head = b"PACK" + (2).to_bytes(4) + (1).to_bytes(4) + b"\x31"
    reader.feed(head + zlib.compress(b"")[:2])
    for _ in range(100):
        assert reader.feed(b"\0\0\0\xff\xff" * 1_000) == []


def test_half_a_character_is_none() -> None:
    """JSON can say what UTF-8 cannot: it does not reach those who write texts down."""
    _, bob, mallory = group()
    message = b'{"body":"\\ud800 half","type":"text/plain"}'
    tree = mallory.graph[mallory.head].tree
    take(bob, mallory.store, make(mallory.store, tree, (mallory.head,), message))

    (text,) = texts(bob)
    assert text.encode() == b"? half"
