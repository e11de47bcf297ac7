"""The engine by hand: two of them, joined by what they ask for; and strangers at the door."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from shoal.core import CommitId, ConversationId
from shoal.sim.entropy import SeededEntropy
from shoal.swarm import Commit, MemoryStore, ObjectKind, membership
from shoal.swarm import view as view_module
from shoal.swarm.contents import Mode, Text
from shoal.swarm.effects import (
    REFUSED_BEFORE,
    CloseChannel,
    ConversationDamaged,
    ConversationGone,
    ConversationReady,
    Done,
    Failed,
    FetchEnded,
    MessagesArrived,
    OpenChannel,
    Work,
)
from shoal.swarm.engine import SwarmEngine
from shoal.swarm.errors import NoSuchConversationError
from shoal.swarm.messenger import Dialect
from shoal.swarm.notices import CommitNotice, write_notice
from shoal.swarm.records import ConversationInfo
from shoal.swarm.refusals import Refused
from shoal.swarm.reminders import ASK_WAIT
from shoal.swarm.roles import Role
from shoal.swarm.vcards import VCard, read_vcard, write_group
from shoal.swarm.view import Outcome
from tests.unit.swarm.people import ALICE, BOB, CAROL, WALL_NOW, add, begin, copy_objects, who

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from shoal.swarm.effects import Effect

NOWHERE = ConversationId(b"x" * 20)


def void(_: object) -> None:
    """Return nothing."""


class Host:
    """One engine whose jobs run at once."""

    def __init__(self, name: str = ALICE) -> None:
        self.me = who(name)
        self.stores: dict[ConversationId | None, MemoryStore] = {}
        self.engine = self.started()
        self.threads: list[ConversationId] = []

    def started(
        self, infos: Mapping[ConversationId, ConversationInfo] | None = None
    ) -> SwarmEngine:
        """An engine with what is on the disk."""
        return SwarmEngine(
            self.me,
            SeededEntropy(1, self.me.name),
            self.open_store,
            wall_offset=WALL_NOW,
            infos=infos,
            erase_store=lambda identifier: void(self.stores.pop(identifier, None)),
        )

    def open_store(self, conversation: ConversationId | None) -> MemoryStore:
        """Return a repository."""
        return self.stores.setdefault(conversation, MemoryStore())

    def run(self, effects: Iterable[Effect], now: float = 0.0) -> list[Effect]:
        """Run jobs; return the other effects."""
        found: list[Effect] = []
        for effect in effects:
            if not isinstance(effect, Work):
                found.append(effect)
                continue
            self.threads.append(effect.conversation)
            try:
                result = effect.job()
            except Exception as error:  # noqa: BLE001 - as a host does
                found += self.run(self.engine.work_failed(effect.op, error, now), now)
            else:
                found += self.run(self.engine.worked(effect.op, result, now), now)
        return found

    def begin(self) -> ConversationId:
        """Begin a group."""
        effects = self.run(self.engine.create(1, 0.0))
        (done,) = [effect for effect in effects if isinstance(effect, Done)]
        assert isinstance(done.result, ConversationId)
        return done.result


def only(effects: Iterable[Effect], kind: type) -> Effect:
    """The one effect of a kind."""
    (found,) = [effect for effect in effects if isinstance(effect, kind)]
    return found


def test_begun_and_spoken_in() -> None:
    """Each command ends in one `Done` with its op; what is said is told once."""
    host = Host()
    group = host.begin()
    said = host.run(host.engine.say(2, group, Text("hello"), 1.0), 1.0)

    assert only(said, Done).op == 2  # type: ignore[union-attr]
    assert len(only(said, MessagesArrived).messages) == 1  # type: ignore[union-attr]
    assert host.engine.sessions[group].is_ready
    assert group not in host.threads[:1], "it had no id yet"
    assert host.threads[1:] == [group] * (len(host.threads) - 1)


def test_two_that_begin_have_threads_of_their_own() -> None:
    """One slow disk does not hold up the other."""
    host = Host()
    one, two = host.engine.create(1, 0.0), host.engine.create(2, 0.0)
    assert only(one, Work).conversation != only(two, Work).conversation  # type: ignore[union-attr]


COMMANDS: list[Callable[[SwarmEngine, int], list[Effect]]] = [
    lambda engine, op: engine.say(op, NOWHERE, Text("x"), 0.0),
    lambda engine, op: engine.leave(op, NOWHERE, 0.0),
    lambda engine, op: engine.accept(op, NOWHERE, 0.0),
    lambda engine, op: engine.decline(op, NOWHERE, 0.0),
    lambda engine, op: engine.set_composing(op, NOWHERE, 0.0, is_active=True),
]


@pytest.mark.parametrize("command", COMMANDS, ids=["say", "leave", "accept", "decline", "type"])
def test_commands_about_nothing_fail(command: Callable[[SwarmEngine, int], list[Effect]]) -> None:
    """With the error that says so, and with nothing else."""
    host = Host()
    assert command(host.engine, 7) == [Failed(7, NoSuchConversationError())] or (
        only(command(host.engine, 7), Failed).op == 7  # type: ignore[union-attr]
    )


def test_who_may_open_what() -> None:
    """Members and the invited fetch; strangers, and names that make no sense, are declined."""
    host = Host()
    group = host.begin()
    bob, carol = who(BOB), who(CAROL)
    command = lambda each, wall_now: membership.invite(each, bob.account, wall_now)  # noqa: E731
    host.run(host.engine.change(2, group, command, 0.0))
    name = f"git://{host.me.device_id}/{group}"
    accepts = host.engine.accepts

    assert accepts(bob.account, bob.device_id, name)
    assert accepts(bob.account, bob.device_id, f"swarm://{group}")
    assert not accepts(carol.account, carol.device_id, name)
    for other in (f"git://{bob.device_id}/{group}", f"git://{group}", "ssh://", f"{name}/..", ""):
        assert not accepts(bob.account, bob.device_id, other)
    assert accepts(carol.account, carol.device_id, "sip")
    late = host.engine.channel_accepted(9, carol.account, carol.device_id, name, 0.0)
    assert late == [CloseChannel(9)]


def test_what_nobody_waits_for_is_nothing() -> None:
    """Ends of jobs, channels and searches that are not ours, bytes of no channel, any notice."""
    host = Host()
    engine, bob = host.engine, who(BOB)
    assert engine.worked(99, None, 0.0) == []
    assert engine.work_failed(99, ValueError(), 0.0) == []
    assert engine.channel_opened(99, 5, 0.0) == [CloseChannel(5)]
    assert engine.open_failed(99, 0.0, was_declined=True) == []
    assert engine.devices_found(99, [], 0.0) == []
    assert engine.receive(5, b"bytes", 0.0) == []
    assert engine.channel_closed(5, 0.0) == []
    assert engine.message(bob.account, bob.device_id, "application/invite+json", "{", 0.0) == []
    assert engine.message(bob.account, bob.device_id, "text/plain", "hello", 0.0) == []
    assert engine.next_deadline() is None


def test_opened_again() -> None:
    """What is on disk is there after a start; news meanwhile does not clone over it."""
    host = Host()
    group = host.begin()
    host.run(host.engine.say(2, group, Text("hello"), 1.0), 1.0)
    store = host.engine.sessions[group].conversation.store  # type: ignore[union-attr]
    again = SwarmEngine(
        host.me,
        SeededEntropy(2),
        lambda identifier: store,
        wall_offset=WALL_NOW,
        infos=host.engine.book.infos,
    )
    started = again.start(5.0)
    (loading,) = [effect for effect in started if isinstance(effect, Work)]
    bob = who(BOB)
    mime, body = write_notice(CommitNotice(group, CommitId(b"n" * 20), bob.device_id))
    assert again.message(bob.account, bob.device_id, mime, body, 5.0) == []
    assert again.clone(3, group, host.me.account, 5.0)

    opened = again.worked(loading.op, loading.job(), 6.0)
    assert any(isinstance(effect, ConversationReady) for effect in opened)
    assert again.sessions[group].view.head == store.head  # type: ignore[union-attr]


def test_a_disk_that_fails_is_told_to_who_waits() -> None:
    """A conversation that cannot be opened is not there; nothing is raised, nothing is lost."""
    host = Host()
    group = host.begin()
    again = Host()
    again.engine.book.infos.update(host.engine.book.infos)
    (loading,) = [each for each in again.engine.start(0.0) if isinstance(each, Work)]
    told = again.engine.work_failed(loading.op, OSError("disk"), 0.0)
    assert told == [ConversationDamaged(group, "disk")]
    assert again.engine.damage(group) == "disk"
    assert again.engine.damage(NOWHERE) is None
    failed = again.run(again.engine.say(1, group, Text("x"), 0.0))
    assert isinstance(only(failed, Failed).error, NoSuchConversationError)  # type: ignore[union-attr]


def test_a_session_fetches_from_who_has_news() -> None:
    """And from nobody else: a device that is only named is not dialled."""
    host = Host()
    group = host.begin()
    bob = who(BOB)
    command = lambda each, wall_now: membership.invite(each, bob.account, wall_now)  # noqa: E731
    host.run(host.engine.change(2, group, command, 0.0))
    named = who(CAROL).device_id
    mime, body = write_notice(CommitNotice(group, CommitId(b"n" * 20), named))
    effects = host.run(host.engine.message(bob.account, bob.device_id, mime, body, 1.0), 1.0)

    names = [effect.name for effect in effects if hasattr(effect, "name")]
    assert f"git://{bob.device_id}/{group}" in names
    assert not any(str(named) in name for name in names)
    assert host.engine.next_deadline() is not None
    ended = host.run(host.engine.advance(100.0), 100.0)
    assert only(ended, FetchEnded).device == bob.device_id  # type: ignore[union-attr]


@pytest.mark.parametrize("is_taken", [False, True])
def test_who_gave_something_is_asked_once_more(
    monkeypatch: pytest.MonkeyPatch, is_taken: bool
) -> None:
    """Where that is needed; not who gives the same again and again, and all of it is refused."""
    host = Host()
    group, bob = host.begin(), who(BOB)
    command = lambda each, wall_now: membership.invite(each, bob.account, wall_now)  # noqa: E731
    host.run(host.engine.change(2, group, command, 0.0))
    host.engine.presence(bob.account, [bob.device_id], 0.0)
    monkeypatch.setattr(host.engine.messenger, "dialect", lambda device: Dialect.SIP)
    session = host.engine.sessions[group]
    assert session.conversation is not None
    assert session.view is not None
    taken = next(session.conversation.messages())
    event = taken if is_taken else Refused(CommitId(b"n" * 20), REFUSED_BEFORE)
    session.took(Outcome((event,), session.view), bob.device_id, CommitId(b"n" * 20), 1.0)

    effects = session.advance(1.0 + ASK_WAIT)
    names = [effect.name for effect in effects if isinstance(effect, OpenChannel)]
    assert (f"git://{bob.device_id}/{group}" in names) is is_taken


def test_a_clone_that_nobody_gives_fails() -> None:
    """The command ends with an error that says why."""
    host = Host()
    started = host.run(host.engine.clone(4, NOWHERE, who(BOB).account, 0.0, mode=Mode.INVITES_ONLY))
    (find,) = [each for each in started if type(each).__name__ == "FindDevices"]
    ended = host.run(host.engine.devices_found(find.op, [], 1.0), 1.0)  # type: ignore[union-attr]

    assert only(ended, Failed).op == 4  # type: ignore[union-attr]
    assert NOWHERE not in host.engine.sessions


def test_damaged_conversations_can_be_left() -> None:
    """What nobody can open and nobody has is not there for ever."""
    host = Host()
    group = host.begin()
    again = Host()
    again.engine.book.infos.update(host.engine.book.infos)
    (loading,) = [each for each in again.engine.start(0.0) if isinstance(each, Work)]
    again.run(again.engine.work_failed(loading.op, ValueError("what"), 0.0))
    assert again.engine.damage(group) == "ValueError: what"
    left = again.run(again.engine.leave(1, group, 1.0), 1.0)

    assert only(left, Done).op == 1  # type: ignore[union-attr]
    assert ConversationGone(group) in left
    assert again.engine.damage(group) is None
    assert again.engine.book.infos[group].is_erased


def test_another_conversation_in_the_folder() -> None:
    """What a folder holds is opened under its own name only."""
    host, other = Host(), Host(BOB)
    group, foreign = host.begin(), other.begin()
    again = Host()
    again.stores[group] = other.engine.sessions[foreign].conversation.store  # type: ignore[assignment, union-attr]
    again.engine.book.infos.update(host.engine.book.infos)
    (told,) = again.run(again.engine.start(0.0))
    assert told == ConversationDamaged(group, f"it holds conversation {foreign}")
    assert not again.engine.sessions


@pytest.mark.parametrize("noted", ["left", "erased"])
@pytest.mark.parametrize("mode", list(Mode)[:2])
def test_erased_after_a_crash(mode: Mode, noted: str) -> None:
    """That it is to be was noted, and the process ended before it was: the next start does it."""
    host = Host()
    other = who(BOB).account if mode is Mode.ONE_TO_ONE else None
    begun = host.run(host.engine.create(1, 0.0, mode=mode, other=other))
    identifier = only(begun, Done).result  # type: ignore[union-attr]
    assert isinstance(identifier, ConversationId)
    host.stores[identifier] = host.stores.pop(None)
    left = replace(host.engine.book.infos[identifier], removed_ms=int(WALL_NOW * 1_000) + 1_000)
    if noted == "erased":
        left = replace(left, erased_ms=left.removed_ms)
    host.engine = host.started({identifier: left})
    host.run(host.engine.start(2.0), 2.0)

    assert identifier not in host.stores
    assert identifier not in host.engine.sessions
    assert host.engine.book.infos[identifier].is_erased


def test_a_profile_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have a large picture: what is said later does not read it again, a change does."""
    host = Host()
    group = host.begin()
    reads: list[int] = []

    def counted(data: bytes) -> VCard:
        reads.append(len(data))
        return read_vcard(data)

    monkeypatch.setattr(view_module, "read_vcard", counted)

    def give(title: str) -> None:
        card = write_group(VCard(name=title))
        command = lambda each, wall_now: membership.set_profile(each, card, wall_now)  # noqa: E731
        host.run(host.engine.change(2, group, command, 0.0))

    for title in ("first", "second"):
        give(title)
        for number in range(3):
            host.run(host.engine.say(3, group, Text(str(number)), 1.0), 1.0)
        view = host.engine.sessions[group].view
        assert view is not None
        assert view.title == title
    assert len(reads) == 2


def test_who_is_a_member_by_a_forgery_is_given_nothing() -> None:
    """An old history that says so is kept; no channel of theirs is taken, and nobody tells them."""
    alice = begin(ALICE)
    bob, carol = add(alice, BOB), who(CAROL)
    membership.invite(alice, carol.account, WALL_NOW)
    forged = Commit.parse(alice.commit_of(alice.head).signed_bytes)
    host = Host(BOB)
    store = host.stores[alice.id] = MemoryStore()
    copy_objects(alice, store)
    store.add(ObjectKind.COMMIT, forged.raw)
    store.set_head(forged.id)
    info = ConversationInfo(alice.id, 1, members=(alice.me.account,))
    host.engine = host.started({alice.id: info})
    host.run(host.engine.start(0.0))
    session = host.engine.sessions[alice.id]
    assert session.role(carol.account) is Role.INVITED  # as the files say
    host.engine.presence(alice.me.account, [alice.me.device_id], 0.0)
    host.engine.presence(carol.account, [carol.device_id], 0.0)

    me = bob.me.device_id
    for kind in (f"git://{me}/{alice.id}", f"swarm://{alice.id}"):
        assert host.engine.accepts(alice.me.account, alice.me.device_id, kind)
        assert not host.engine.accepts(carol.account, carol.device_id, kind)
    assert not host.engine.is_fellow(carol.account)
    assert {account for account, _ in session.audience()} == {alice.me.account}
