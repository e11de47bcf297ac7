"""The index says what the history says, whatever is merged, killed, lost or damaged."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shoal.core import CommitId, ConversationId
from shoal.swarm import Conversation, MemoryStore, ObjectKind
from shoal.swarm.contents import Edit, FileOffer, Merge, Text, read_message, write_content
from shoal.swarm.driver import DiskStore, FirstStore, Index, IndexLedger, index_questions
from shoal.swarm.driver.index_ledger import describe, told
from shoal.swarm.driver.index_questions import (
    Said,
    latest,
    page,
    page_after,
    page_around,
    search,
    seen,
    shown,
    unread,
)
from shoal.swarm.errors import InvalidCommitError, ObjectMissingError, RepositoryError
from tests.unit.swarm.people import ALICE, BOB, WALL_NOW, add, copy_objects, said, who
from tests.unit.swarm.test_contents import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shoal.swarm import Content, Taken


class Desk:
    """Where alice keeps a conversation with bob, and its index."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index = Index(folder / "index.sqlite")
        self.stores: list[DiskStore] = []

    def place(self, identifier: ConversationId) -> DiskStore:
        """Open the repository and what the index has of it."""
        store = DiskStore(self.folder / str(identifier))
        store.ledger = IndexLedger(
            self.index, identifier, store, lambda: Conversation.load(store, who(ALICE))
        )
        self.stores.append(store)
        return store

    def begin(self) -> Conversation:
        """Begin a conversation."""
        return Conversation.create(FirstStore(self.place), who(ALICE), wall_now=WALL_NOW)

    def close(self) -> None:
        """Let all go."""
        self.index.close()
        for store in self.stores:
            store.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """An empty place."""
    found = Desk(tmp_path)
    yield found
    found.close()


def ledger_of(conversation: Conversation) -> IndexLedger:
    """The index's part of a conversation."""
    ledger = conversation.store.ledger
    assert isinstance(ledger, IndexLedger)
    return ledger


def give(source: Conversation, target: Conversation) -> None:
    """Let *target*, wherever it is kept, take what *source* in memory has."""
    assert isinstance(source.store, MemoryStore)
    target.store.add_all(source.store.objects.values())
    target.take(source.head, WALL_NOW)


def copy_of(conversation: Conversation) -> MemoryStore:
    """All of a conversation's objects, in memory, without what was found about them."""
    store, pending = MemoryStore(), [bytes(conversation.head)]
    while pending:
        kind, content = conversation.store.read(pending.pop())
        found = store.add(kind, content)
        if kind.value == "commit":
            lines = content.partition(b"\n\n")[0].splitlines()
            pending += [
                bytes.fromhex(line.split()[1].decode())
                for line in lines
                if line.startswith((b"tree ", b"parent "))
            ]
        elif kind.value == "tree":
            position = 0
            while position < len(content):
                end = content.index(b"\0", position) + 21
                pending.append(content[end - 20 : end])
                position = end
        assert found
    store.set_head(conversation.head)
    return store


def agrees(conversation: Conversation) -> None:
    """Check that everything the index says is what a conversation without one finds."""
    plain = Conversation.load(copy_of(conversation), who(ALICE))
    ledger = ledger_of(conversation)
    line = list(plain.graph.linear(plain.head))
    assert list(ledger.line() or ()) == line
    assert said(conversation) == said(plain)
    for commit in line:
        found = ledger.find(commit)
        assert found is not None
        assert found.node == plain.graph[commit]
        assert found.standing == plain.standings[commit]
    edits: dict[CommitId, str] = {}
    texts: dict[CommitId, str] = {}
    for taken in reversed(list(plain.messages())):
        match taken.content:
            case Edit(edited, body):
                edits[edited] = body
            case Text(body, _, None):
                texts[taken.commit.id] = body
            case _:
                pass
    index = conversation_index(conversation)
    read = latest(ledger, index, len(line))
    assert read == [as_said(taken) for taken in plain.messages()]
    assert [message for message, _ in seen(ledger, index, [each.id for each in read])] == read
    now = shown(ledger, conversation_index(conversation), texts)
    assert {each: now[each].text for each in texts} == texts | edits
    for word in ("one", "two", "changed"):
        hits = {hit.id for hit in search(conversation_index(conversation), word, 1_000)}
        assert hits == {each for each, text in (texts | edits).items() if word in text.split()}


def as_said(taken: Taken) -> Said:
    """A message of a history, as the index gives it."""
    by = taken.standing
    commit = taken.commit
    return Said(commit.id, by.account, commit.wall_time, taken.content, by.is_verified)


def conversation_index(conversation: Conversation) -> Index:
    """The index that a conversation is in."""
    return ledger_of(conversation)._index  # noqa: SLF001


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["say", "reply", "react", "file", "edit", "delete", "merge", "reopen"]),
        st.integers(0, 99),
    ),
    max_size=10,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_any_history(
    steps: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Both speak, edit and delete at once, histories merge: the index keeps up."""
    desk = Desk(tmp_path_factory.mktemp("desk"))
    alice = desk.begin()
    bob = join_in_memory(alice)
    own: dict[str, list[CommitId]] = {ALICE: [], BOB: []}
    for step, number in steps:
        name, speaker = ((ALICE, alice), (BOB, bob))[number % 2]
        match step:
            case "say":
                speaker.say(Text(f"{('one', 'two')[number % 3 % 2]} {number}"), WALL_NOW + number)
                own[name].append(speaker.head)
            case "reply" if own[name]:
                about = own[name][number % len(own[name])]
                speaker.say(Text(f"two {number}", reply_to=about), WALL_NOW + number)
            case "react" if own[name]:
                about = own[name][number % len(own[name])]
                speaker.say(Text("👍", react_to=about), WALL_NOW + number)
            case "file":
                speaker.say(FileOffer("1", "picture.png", number, "0" * 128), WALL_NOW + number)
            case "edit" | "delete" if own[name]:
                body = "" if step == "delete" else f"changed {number}"
                speaker.say(Edit(own[name][number % len(own[name])], body), WALL_NOW + number)
            case "merge":
                give(bob, alice)
                copy_into(alice, bob)
            case "reopen":
                alice = Conversation.load(desk.place(alice.id), who(ALICE))
            case _:
                pass
    give(bob, alice)
    agrees(alice)
    assert len(alice.graph) == 0  # nothing of it is held in memory
    desk.close()


def join_in_memory(alice: Conversation) -> Conversation:
    """Let bob join, in memory; alice takes it."""
    plain = Conversation.load(copy_of(alice), who(ALICE))
    bob = add(plain, BOB)
    give(bob, alice)
    return bob


def copy_into(source: Conversation, target: Conversation) -> None:
    """Let *target* in memory take what *source* has."""
    copy_objects(Conversation.load(copy_of(source), who(ALICE)), target.store)  # type: ignore[arg-type]
    target.take(source.head, WALL_NOW)


@pytest.mark.parametrize("content", [content for content, _ in SAMPLES] + [Merge()])
def test_what_is_not_told_of_is_kept(content: Content) -> None:
    """Of each kind either the columns say all, or the message has to be kept."""
    is_told = told(*describe(content)) == content
    is_plain = isinstance(content, Merge | Edit) or (
        isinstance(content, Text) and content.reply_to is None
    )
    assert is_told == is_plain
    if not is_told:
        assert read_message(write_content(content)) == content


def test_parts_of_what_was_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are read in blocks, on from any of them; of a stranger there are none."""
    monkeypatch.setattr(index_questions, "BLOCK", 3)
    alice = desk.begin()
    for number in range(8):
        alice.say(Text(f"number {number}"), WALL_NOW + number)
    ledger = ledger_of(alice)
    whole = [as_said(taken) for taken in alice.messages()]

    assert latest(ledger, desk.index, 100) == whole
    assert latest(ledger, desk.index, 0) == []
    for count in range(1, 10):
        assert latest(ledger, desk.index, count) == whole[:count]
    for place, message in enumerate(whole):
        assert latest(ledger, desk.index, 4, message.id) == whole[place + 1 :][:4]
    stranger = CommitId(bytes(20))
    assert latest(ledger, desk.index, 1, stranger) is None
    with pytest.raises(ObjectMissingError):
        seen(ledger, desk.index, [stranger])


def test_a_page_of_a_long_history(desk: Desk) -> None:
    """A few messages are read from it as from a short one, whatever comes before and after."""
    alice = desk.begin()
    alice.say(Text("first"), WALL_NOW)
    ledger, index, first = ledger_of(alice), desk.index, alice.head
    steps: list[int] = []

    def count(question: Callable[[], object]) -> int:
        steps.clear()
        with index.reading() as database:
            database.set_progress_handler(lambda: steps.append(1), 1)
            question()
            database.set_progress_handler(None, 1)
        return len(steps)

    questions: list[Callable[[], object]] = [
        lambda: latest(ledger, index, 5),
        lambda: page(ledger, 5),
        lambda: seen(ledger, index, [first]),
        lambda: alice.say(Edit(first, f"now {len(steps)}"), WALL_NOW),
    ]
    for number in range(5):
        alice.say(Text(f"number {number}"), WALL_NOW)
    before = [count(each) for each in questions]
    for number in range(150):
        alice.say(Text(f"number {number}"), WALL_NOW)
    after = [count(each) for each in questions]
    assert all(now < 2 * then for now, then in zip(after, before, strict=True)), (before, after)


def test_what_people_see(desk: Desk) -> None:
    """Pages, reactions, deleted messages, and what is new."""
    alice = desk.begin()
    bob = join_in_memory(alice)
    me, ledger, index = who(ALICE).account, ledger_of(alice), desk.index
    assert unread(ledger, index, me, None) == 0  # that somebody joined is nothing to read

    for number in range(5):
        bob.say(Text(f"number {number}"), WALL_NOW + number)
    third = said(bob)[-3]
    bob.say(Edit(third, ""), WALL_NOW + 5)
    bob.say(FileOffer("1", "holiday picture.png", 100, "0" * 128), WALL_NOW + 6)
    offered = bob.head
    bob.say(Text("👍", react_to=offered), WALL_NOW + 7)
    give(bob, alice)
    assert unread(ledger, index, me, None) == 5  # four texts and a file
    assert unread(ledger, index, me, said(alice)[-4]) == 1

    pages = page(ledger, 4)
    assert pages is not None
    assert pages[0] == offered
    assert (page(ledger, 100, pages[-1]) or [])[0] == said(bob)[4]
    assert page(ledger, 1, CommitId(bytes(20))) is None
    line = (page(ledger, 100) or [])[::-1]
    for place, name in enumerate(line):
        assert page_after(ledger, 3, name) == line[place + 1 :][:3]
        around = page_around(ledger, 4, name) or []
        assert name in around
        first = line.index(around[0])
        assert line[first : first + len(around)] == around
        assert len(around) == min(4, place + 1 + min(2, len(line) - place - 1))
    assert page_after(ledger, 1, CommitId(bytes(20))) is None
    assert page_around(ledger, 1, CommitId(bytes(20))) is None
    assert shown(ledger, index, [third])[third].is_deleted
    found = shown(ledger, index, [offered])[offered]
    assert [(each.author, each.emoji) for each in found.reactions] == [(who(BOB).account, "👍")]
    reaction = found.reactions[0].id
    with pytest.raises(InvalidCommitError, match="somebody else's"):
        alice.say(Edit(reaction, ""), WALL_NOW + 8)
    bob.say(Text("♥", react_to=offered), WALL_NOW + 7)
    bob.say(Edit(reaction, ""), WALL_NOW + 7)
    give(bob, alice)
    (found,) = shown(ledger, index, [offered]).values()
    assert [each.emoji for each in found.reactions] == ["♥"]
    assert [hit.id for hit in search(index, "picture", 5, alice.id)] == [offered]
    assert search(index, "picture", 5, ConversationId(bytes(20))) == ()

    alice.say(Text("an answer"), WALL_NOW + 8)
    assert unread(ledger, index, me, None) == 0  # who answers has read


def test_opening_judges_nothing_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A conversation that the index has is opened without looking at its commits."""
    alice = desk.begin()
    for number in range(20):
        alice.say(Text(f"number {number}"), WALL_NOW + number)
    store = desk.place(alice.id)
    reads: list[bytes] = []
    read = store.read

    def counted(name: bytes) -> tuple[ObjectKind, bytes]:
        reads.append(name)
        return read(name)

    monkeypatch.setattr(store, "read", counted)
    again = Conversation.load(store, who(ALICE))

    assert (again.head, again.members, again.mode) == (alice.head, alice.members, alice.mode)
    assert len(reads) < 15
    again.say(Text("one more"), WALL_NOW + 30)
    agrees(again)


@pytest.mark.parametrize("lost", ["removed", "behind", "garbage", "cut", "another format"])
def test_an_index_that_is_no_good(desk: Desk, lost: str) -> None:
    """It is set aside where it makes no sense, and made anew from the repository."""
    alice = desk.begin()
    alice.say(Text("one"), WALL_NOW + 1)
    desk.index.close()
    path = desk.index.path
    saved = path.read_bytes()
    alice.say(Text("two"), WALL_NOW + 2)
    desk.index.close()
    match lost:
        case "removed":
            path.unlink()
        case "behind":
            path.write_bytes(saved)
        case "garbage":
            path.write_bytes(b"\0not a database" * 1_000)
        case "cut":
            path.write_bytes(path.read_bytes()[:9_000])
        case "another format":
            with sqlite3.connect(path) as database:
                database.execute("PRAGMA user_version = 99")
            database.close()
        case _:
            raise AssertionError(lost)
    desk.index = Index(path)
    again = Conversation.load(desk.place(alice.id), who(ALICE))

    agrees(again)
    kept = {each.name.removeprefix(path.name) for each in path.parent.glob("index.sqlite*")}
    assert kept <= {"", "-wal", "-shm"}, "what was said is in a file that nobody looks after"


def test_an_index_that_cannot_be_opened_now(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where too many files are open, or the disk is gone for a moment, nothing is thrown away."""
    alice = desk.begin()
    alice.say(Text("one"), WALL_NOW + 1)
    desk.index.close()

    def refuse(*arguments: object, **wishes: object) -> sqlite3.Connection:
        raise sqlite3.OperationalError("unable to open database file")

    before = desk.index.path.read_bytes()
    ledger = ledger_of(alice)
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", refuse)
        for ask in (
            lambda: search(desk.index, "one", 5),
            lambda: unread(ledger, desk.index, who(ALICE).account, None),
            lambda: ledger.drop_aside(alice.tips),
            ledger.forget,
            lambda: desk.index.erase(alice.id),
        ):
            with pytest.raises(RepositoryError, match="unable to open database file"):
                ask()
    assert desk.index.path.read_bytes() == before
    assert [hit.text for hit in search(desk.index, "one", 5)] == ["one"]
    agrees(alice)


def test_damaged_while_it_is_open(desk: Desk) -> None:
    """What is open goes on: all is judged once more, and nobody notices."""
    alice = desk.begin()
    for number in range(300):
        alice.say(Text(f"number {number}"), WALL_NOW + number)
    desk.index.close()
    desk.index.path.write_bytes(b"\0not a database" * 1_000)
    alice.say(Text("one more"), WALL_NOW + 301)

    agrees(alice)
    assert len(said(alice)) == 302


def test_an_index_that_is_ahead(desk: Desk) -> None:
    """A repository that was put back from a backup counts, not what the index remembers of it."""
    alice = desk.begin()
    first = alice.head
    alice.say(Text("one"), WALL_NOW + 1)
    gone = alice.head
    store = desk.place(alice.id)
    store.set_head(first)
    (store.path / "objects" / gone.hex()[:2] / gone.hex()[2:]).unlink()
    again = Conversation.load(desk.place(alice.id), who(ALICE))

    agrees(again)
    assert gone not in again.graph


def test_cloned_over_what_is_damaged(desk: Desk) -> None:
    """What the index knows of a repository that lost objects is no reason to believe in them."""
    alice = desk.begin()
    bob = join_in_memory(alice)
    bob.say(Text("one"), WALL_NOW + 1)
    give(bob, alice)
    tree = alice.graph[alice.head].tree
    store = desk.place(alice.id)
    (store.path / "objects" / tree.hex()[:2] / tree.hex()[2:]).unlink()
    damaged = Conversation.load(store, who(ALICE))
    with pytest.raises(ObjectMissingError):
        assert damaged.members
    assert isinstance(bob.store, MemoryStore)
    store.add_all(bob.store.objects.values())
    again, _ = Conversation.clone(store, who(ALICE), alice.id, bob.head)

    assert again.head == bob.head
    agrees(again)


def test_forgetting(desk: Desk) -> None:
    """What we are out of is not found any more; opening it again brings it back."""
    alice = desk.begin()
    alice.say(Text("one"), WALL_NOW + 1)
    alice.say(Text("👍", react_to=alice.head), WALL_NOW + 1)
    ledger_of(alice).forget()
    assert search(desk.index, "one", 5) == ()
    agrees(Conversation.load(desk.place(alice.id), who(ALICE)))


@pytest.mark.parametrize("question", ["search", "unread", "drop aside", "forget", "erase"])
def test_damaged_when_it_is_asked(desk: Desk, question: str) -> None:
    """No error of the database's own comes out, whatever is asked first."""
    alice = desk.begin()
    alice.say(Text("one"), WALL_NOW + 1)
    ledger, index = ledger_of(alice), desk.index
    desk.index.close()
    index.path.write_bytes(b"\0not a database" * 1_000)
    match question:
        case "search":
            assert search(index, "one", 5) == ()  # it is found again once it was judged again
        case "unread":
            assert unread(ledger, index, who(ALICE).account, None) == 0
        case "drop aside":
            ledger.drop_aside(alice.tips)
        case "forget":
            ledger.forget()
        case _:
            index.erase(alice.id)
    agrees(Conversation.load(desk.place(alice.id), who(ALICE)))


def test_erased_for_ever(desk: Desk) -> None:
    """No word, no account and no id of what was said is in any file; other conversations are."""
    alice, other = (
        desk.begin(),
        Conversation.create(FirstStore(desk.place), who(ALICE), wall_now=WALL_NOW + 1),
    )
    bob = join_in_memory(alice)
    secret, said_first = "xyzzysecret", "plughbefore"
    for number in range(200):
        bob.say(Text(f"{secret} {number}"), WALL_NOW + number)
    bob.say(Text(said_first), WALL_NOW + 300)
    bob.say(Edit(bob.head, "changed"), WALL_NOW + 301)
    give(bob, alice)
    other.say(Text("frobnicate one"), WALL_NOW + 302)
    desk.index.path.with_name("index.sqlite.damaged").write_bytes(secret.encode())
    desk.index.close()
    assert search(desk.index, secret, 1)
    desk.index.erase(alice.id)
    desk.index.erase(alice.id)

    for is_closed in (False, True):
        if is_closed:
            desk.index.close()
        left = b"".join(each.read_bytes() for each in desk.folder.glob("index.sqlite*"))
        assert b"frobnicate" in left
        account = who(BOB).account
        for trace in (secret.encode(), said_first.encode(), b"zzysecre", alice.id, account):
            assert trace not in left
    agrees(other)


def test_erased_for_ever_after_a_crash(desk: Desk) -> None:
    """Killed between the change and the emptying of the log: the next time that is done."""
    alice = desk.begin()
    alice.say(Text("xyzzysecret"), WALL_NOW)
    log = desk.index.path.with_name("index.sqlite-wal")
    desk.index._forget(alice.id, is_erased=True)  # noqa: SLF001 - all that was done of it
    assert b"xyzzysecret" in log.read_bytes()
    desk.index.erase(alice.id)
    assert not log.read_bytes()


WRITER = """
import os, sys
from pathlib import Path
from shoal.swarm import Text
from tests.unit.swarm.driver import test_index_ledger as tests
desk = tests.Desk(Path(sys.argv[1]))
alice = desk.begin()
print(alice.id, flush=True)
for number in range(10_000):
    alice.say(Text(f"one {number}"), tests.WALL_NOW + number)
    print(alice.head, flush=True)
"""


@pytest.mark.parametrize("writes", [3, 40])
def test_killed(tmp_path: Path, writes: int) -> None:
    """Whenever the process dies, what was acknowledged is in the index that opens."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(  # noqa: S603
                [sys.executable, "-c", WRITER, str(tmp_path)],
                stdout=subprocess.PIPE,
                env=environment,
                text=True,
                cwd=Path(__file__).parents[4],
            )
        )
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(writes)]
        process.kill()
    # Keys are new in each process: who signed is not who opens, which changes nothing here.
    desk = Desk(tmp_path)
    again = Conversation.load(desk.place(ConversationId.from_hex(lines[0])), who(ALICE))
    acknowledged = {CommitId.from_hex(line) for line in lines[1:]}
    assert acknowledged <= set(said(again))
    agrees(again)
    desk.close()
