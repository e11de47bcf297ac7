"""What simulated devices have written, as stock git sees it; and what a device lacks."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING

from shoal.core import ConversationId
from shoal.swarm import conversation as conversation_module
from shoal.swarm import membership
from shoal.swarm.contents import Edit, MemberAction, MemberEvent, Merge, Mode, Vote, read_content
from shoal.swarm.driver import DiskStore
from shoal.swarm.effects import ConversationDamaged
from tests.peers.histories import check_by_git, check_encoded_anew
from tests.sim.swarm_world import SwarmWorld
from tests.sim.test_swarm import begin, people, say, texts
from tests.unit.swarm.people import ALICE, BOB, CAROL, who

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pytest

    from shoal.core import AccountId, CommitId
    from shoal.swarm import Conversation, SwarmEngine
    from shoal.swarm.conversation import Event
    from shoal.swarm.effects import Effect
    from tests.sim.swarm_world import Device


def history(device: Device, identifier: ConversationId) -> Conversation:
    """A conversation as a device has it."""
    assert device.engine is not None
    conversation = device.engine.sessions[identifier].conversation
    assert conversation is not None
    return conversation


def _say(
    group: ConversationId, edit: Edit, engine: SwarmEngine, op: int, now: float
) -> list[Effect]:
    return engine.say(op, group, edit, now)


def _decide(
    group: ConversationId,
    command: Callable[[Conversation, AccountId, float], list[Event]],
    account: AccountId,
    engine: SwarmEngine,
    op: int,
    now: float,
) -> list[Effect]:
    return engine.change(op, group, lambda each, wall_now: command(each, account, wall_now), now)


def test_git_accepts_them(tmp_path: Path) -> None:
    """Merges, bans, votes, edits: git finds nothing wrong, and each byte is as our codecs say."""
    world = SwarmWorld(seed=21)
    alice, bob, carol = people(world)
    group = begin(world, alice, bob, carol)
    for turn in range(3):
        world.partition([alice], [bob], [carol])
        world.run(2.0)
        for device in (alice, bob, carol):
            said = say(world, device, group, f"{device.name} {turn}, é✓")
            edit = Edit(said, f"edited {turn}")
            world.ask(device, partial(_say, group, edit))
        world.heal()
        world.run(30.0)
    account = who(CAROL).account
    for command in (membership.ban, membership.unban):
        world.ask(alice, partial(_decide, group, command, account))
        world.run(10.0)
    say(world, carol, group, "back again")
    world.run(30.0)

    for device in (alice, bob, carol):
        conversation = history(device, group)
        with DiskStore(tmp_path / device.name) as store:
            store.add_all(device.stores[group].kept_objects.values())
            store.set_head(conversation.head)
        commits = len(conversation.graph)
        assert check_by_git(store.path) == check_encoded_anew(store.path) <= commits
        kinds = [read_content(conversation.commit_of(each)) for each in
                 conversation.graph.ancestors(conversation.head)]  # fmt: skip
        assert {Merge, Vote, Edit} <= {type(each) for each in kinds}
        actions = {each.action for each in kinds if isinstance(each, MemberEvent)}
        assert {MemberAction.BAN, MemberAction.UNBAN} <= actions


def test_cloned_from_a_sibling() -> None:
    """Who shares the conversation with us never comes; another device of ours has it."""
    world = SwarmWorld(seed=22, declines=lambda device, name: not name.startswith("git:"))
    alice, bob = world.add(ALICE), world.add(BOB)
    other = who(BOB).account
    identifier = world.ask(
        alice, lambda engine, op, now: engine.create(op, now, mode=Mode.ONE_TO_ONE, other=other)
    )
    assert isinstance(identifier, ConversationId)
    say(world, alice, identifier, "are you there?")
    world.stop(bob)
    world.stop(alice)
    phone = world.add(ALICE, 1)
    assert phone.engine is not None
    world.apply(phone, phone.engine.clone(1, identifier, other, world.now))  # the contact says so
    world.run(5.0)
    assert not phone.engine.sessions
    world.start(alice)
    world.run(10.0)

    assert texts(phone, identifier) == ["are you there?"]


def test_who_shares_a_conversation_with_us() -> None:
    """Members, the invited too; not who was voted out, nor anybody else."""
    world = SwarmWorld(seed=23)
    alice, bob, carol = people(world)
    assert alice.engine is not None
    assert not alice.engine.is_fellow(who(BOB).account)
    group = begin(world, alice, bob)
    assert alice.engine.is_fellow(who(BOB).account)
    assert not alice.engine.is_fellow(who(CAROL).account)
    world.ask(alice, partial(_decide, group, membership.invite, who(CAROL).account))
    assert alice.engine.is_fellow(who(CAROL).account)
    world.ask(alice, partial(_decide, group, membership.ban, who(BOB).account))
    assert not alice.engine.is_fellow(who(BOB).account)
    assert carol.engine is not None
    assert not carol.engine.is_fellow(who(ALICE).account)  # she has not accepted yet


def _damaged(seed: int, count: int = 3) -> tuple[SwarmWorld, Device, Device, ConversationId]:
    """Alice and bob; alice said what nobody has but her, and lost a part that bob has."""
    world = SwarmWorld(seed)
    alice, bob = world.add(ALICE), world.add(BOB)
    group = begin(world, alice, bob)
    say(world, bob, group, "both have this")
    world.run(5.0)
    world.stop(bob)
    for number in range(count):
        say(world, alice, group, f"only alice has {number}")
    common = history(alice, group).commit_of(next(_line_below(history(alice, group), count)))
    world.stop(alice)
    alice.stores[group].lose(common.id)
    return world, alice, bob, group


def _line_below(conversation: Conversation, count: int) -> Iterator[CommitId]:
    """The line of a conversation without its latest commits."""
    return itertools.islice(conversation.line(), count, None)


def _all(count: int = 3) -> list[str]:
    """What was said in such a conversation."""
    return ["both have this", *(f"only alice has {number}" for number in range(count))]


def test_what_only_we_have_survives_a_clone_that_crashes() -> None:
    """Whichever write is the last one, what was acknowledged is there in the end."""
    for crash in itertools.count(1):
        world, alice, bob, group = _damaged(24)
        left = crash

        def crashes(device: Device, alice: Device = alice) -> bool:
            nonlocal left
            left -= device is alice
            return device is alice and left == 0

        world.crashes = crashes
        world.start(alice)
        world.start(bob)
        world.run(30.0)
        has_crashed = not alice.is_online
        assert has_crashed is (left <= 0)
        if has_crashed:
            world.start(alice)
            world.run(30.0)
        assert texts(alice, group) == _all(), f"after a crash at write {crash}"
        assert not alice.stores[group].kept
        assert texts(bob, group) == _all()
        if not has_crashed:
            break
    assert crash > 6, "each write of the clone was the last one once"


def test_who_lacks_a_part_says_so_and_fetches_from_who_is_there() -> None:
    """Before somebody appears it is damaged, for a reason; afterwards it is whole."""
    world, alice, bob, group = _damaged(26)
    world.start(alice)
    world.run(10.0)
    (told,) = [each for each in alice.events if isinstance(each, ConversationDamaged)]
    assert told.conversation == group
    assert alice.engine is not None
    assert alice.engine.damage(group) == told.reason
    assert "no git object" in told.reason
    world.start(bob)
    world.run(30.0)
    assert alice.engine.damage(group) is None
    assert texts(alice, group) == _all()

    phone = world.add(ALICE, 1)  # a device of ours is there already, and has it
    assert phone.engine is not None
    world.ask(phone, lambda engine, op, now: engine.clone(op, group, alice.account, now))
    world.stop(bob)
    world.stop(alice)
    alice.stores[group].lose(bytes(group))
    world.start(alice)
    world.run(30.0)
    assert texts(alice, group) == _all()


def test_what_is_too_much_for_now_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A history that cannot be taken back today is not lost: the next start tries again."""
    world, alice, bob, group = _damaged(25, 12)
    with monkeypatch.context() as patch:
        world.start(bob)
        world.run(1.0)
        patch.setattr(conversation_module, "COMMITS_MAX", len(history(bob, group).graph))
        world.start(alice)
        world.run(30.0)
        assert texts(alice, group) == _all(0)
        assert alice.stores[group].kept
    world.stop(alice)
    world.start(alice)
    world.run(30.0)

    assert texts(alice, group) == texts(bob, group) == _all(12)
    assert not alice.stores[group].kept
