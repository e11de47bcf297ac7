"""Conversations among simulated people, with the production engine."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from shoal.core import ConversationId
from shoal.swarm import SwarmEngine, membership
from shoal.swarm.contents import Mode, Text
from shoal.swarm.effects import ConversationReady, MessagesArrived, RequestArrived
from shoal.swarm.roles import Role
from tests.sim.swarm_lives import WRITES, writes
from tests.sim.swarm_world import Device, SwarmWorld
from tests.unit.swarm.people import ALICE, BOB, CAROL, who

if TYPE_CHECKING:
    from shoal.core import CommitId
    from shoal.swarm.effects import Effect


def begin(world: SwarmWorld, device: Device, *members: Device) -> ConversationId:
    """A group that *device* begins, and which *members* have joined."""
    identifier = world.ask(device, lambda engine, op, now: engine.create(op, now))
    assert isinstance(identifier, ConversationId)
    for member in members:
        invite(world, device, member, identifier)
    return identifier


def invite(world: SwarmWorld, host: Device, guest: Device, identifier: ConversationId) -> None:
    """Invite a person, who accepts as soon as the invitation has come."""
    account = who(guest.name).account
    command = lambda each, wall_now: membership.invite(each, account, wall_now)  # noqa: E731
    world.ask(host, lambda engine, op, now: engine.change(op, identifier, command, now))
    world.run(3.0)
    assert any(isinstance(event, RequestArrived) for event in guest.events)
    world.ask(guest, lambda engine, op, now: engine.accept(op, identifier, now))
    world.run(3.0)


def say(world: SwarmWorld, device: Device, identifier: ConversationId, text: str) -> CommitId:
    """Say something; it is acknowledged when this returns."""
    events = world.ask(device, lambda engine, op, now: engine.say(op, identifier, Text(text), now))
    assert isinstance(events, tuple)
    found: CommitId = events[0].commit.id
    return found


def texts(device: Device, identifier: ConversationId) -> list[str]:
    """What a device has of the conversation, oldest first."""
    assert device.engine is not None
    conversation = device.engine.sessions[identifier].conversation
    assert conversation is not None
    return [
        message.content.body
        for message in reversed(list(conversation.messages()))
        if isinstance(message.content, Text)
    ]


def head(device: Device, identifier: ConversationId) -> object:
    """The head of a device, or None if it does not have the conversation."""
    assert device.engine is not None
    session = device.engine.sessions.get(identifier)
    return None if session is None or session.view is None else session.view.head


def people(world: SwarmWorld) -> tuple[Device, Device, Device]:
    """Alice, bob and carol."""
    return world.add(ALICE), world.add(BOB), world.add(CAROL)


def test_a_group_talks() -> None:
    """An invitation arrives, is accepted; what each says reaches all, in one order."""
    world = SwarmWorld(seed=1)
    everybody = people(world)
    group = begin(world, *everybody)
    for device in everybody:
        say(world, device, group, f"I am {device.name}")
        world.run(2.0)

    for device in everybody:
        assert texts(device, group) == ["I am alice", "I am bob", "I am carol"]
        assert any(isinstance(event, ConversationReady) for event in device.events)
    assert len({head(device, group) for device in everybody}) == 1


def test_two_by_themselves() -> None:
    """A conversation of two is cloned by the other, who joins by that."""
    world = SwarmWorld(seed=2)
    alice, bob = world.add(ALICE), world.add(BOB)
    other = who(BOB).account
    identifier = world.ask(
        alice,
        lambda engine, op, now: engine.create(op, now, mode=Mode.ONE_TO_ONE, other=other),
    )
    assert isinstance(identifier, ConversationId)
    world.ask(bob, lambda engine, op, now: engine.clone(op, identifier, who(ALICE).account, now))
    world.run(2.0)
    say(world, alice, identifier, "hello")
    world.run(2.0)
    say(world, bob, identifier, "hello yourself")
    world.run(2.0)

    assert texts(alice, identifier) == texts(bob, identifier) == ["hello", "hello yourself"]
    assert alice.engine is not None
    session = alice.engine.sessions[identifier]
    assert session.view is not None
    assert session.view.members[other] is Role.MEMBER
    assert alice.engine.states.marks(identifier)[other].fetched == session.view.head


def test_who_was_away_catches_up() -> None:
    """From whoever is online: not only from the author."""
    world = SwarmWorld(seed=3)
    alice, bob, carol = people(world)
    group = begin(world, alice, bob, carol)
    world.stop(carol)
    world.run(1.0)
    say(world, alice, group, "while you were away")
    world.run(3.0)
    world.stop(alice)
    world.start(carol)
    world.run(10.0)

    assert texts(carol, group) == ["while you were away"]
    assert texts(bob, group) == texts(carol, group)


def test_both_sides_of_a_partition() -> None:
    """Each side goes on; afterwards there is one history again."""
    world = SwarmWorld(seed=4)
    alice, bob, carol = people(world)
    group = begin(world, alice, bob, carol)
    world.partition([alice], [bob, carol])
    world.run(2.0)
    say(world, alice, group, "alone")
    say(world, bob, group, "together")
    world.run(5.0)
    assert texts(carol, group) == ["together"]
    world.heal()
    world.run(30.0)

    assert set(texts(alice, group)) == {"alone", "together"}
    assert len({head(device, group) for device in (alice, bob, carol)}) == 1


def test_devices_of_2023_take_part() -> None:
    """Carol's device declines `msg:` and `swarm:`: news travels as SIP messages."""

    def declines(device: Device, name: str) -> bool:
        return device.name == CAROL and name.startswith(("msg:", "swarm:"))

    world = SwarmWorld(seed=5, declines=declines)
    alice, bob, carol = people(world)
    group = begin(world, alice, bob, carol)
    for device in (alice, bob, carol):
        say(world, device, group, device.name)
        world.run(4.0)

    for device in (alice, bob, carol):
        assert texts(device, group) == [ALICE, BOB, CAROL]


class Mute(SwarmEngine):
    """Joins, and tells nobody: as where 13.7's news of its own join gets lost."""

    def __init__(self, *args: Any, **wishes: Any) -> None:
        super().__init__(*args, **wishes)
        self.messenger.send = lambda *args, **wishes: []  # type: ignore[method-assign]  # mute


def test_a_join_that_nobody_tells_of() -> None:
    """Who has cloned is asked whether they have joined."""
    world = SwarmWorld(seed=6, declines=lambda device, name: name.startswith("swarm:"))
    alice, bob = world.add(ALICE), world.add(BOB, kind=Mute)
    group = begin(world, alice, bob)
    world.run(60.0)

    assert alice.engine is not None
    assert alice.engine.sessions[group].role(bob.account) is Role.MEMBER


def test_news_that_replaced_others_just_being_sent() -> None:
    """Of two messages that 13.7 writes within moments it may announce the first alone."""
    world = SwarmWorld(seed=9, declines=lambda device, name: name.startswith(("msg:", "swarm:")))
    alice, bob = world.add(ALICE), world.add(BOB)
    group = begin(world, alice, bob)
    world.run(60.0)
    say(world, bob, group, "announced")
    world.run(1.0)
    assert texts(alice, group) == ["announced"]
    assert bob.engine is not None
    bob.engine.messenger.send = lambda *args, **wishes: []  # type: ignore[method-assign]
    say(world, bob, group, "not announced")
    world.run(5.0)

    assert texts(alice, group) == ["announced", "not announced"]


class Deaf(SwarmEngine):
    """Hears notices, and fetches nothing."""

    is_awake = True

    def __init__(self, *args: Any, **wishes: Any) -> None:
        super().__init__(*args, **wishes)
        self.heard: list[float] = []

    def _take_notice(self, *args: Any) -> list[Effect]:
        self.heard.append(args[-1])
        return super()._take_notice(*args) if self.is_awake else []


def test_the_banned_are_not_told_again() -> None:
    """Who has not fetched what they were told of is reminded, but not once they are out."""
    world = SwarmWorld(seed=7, declines=lambda device, name: name.startswith(("msg:", "swarm:")))
    alice, bob = world.add(ALICE), world.add(BOB, kind=Deaf)
    group = begin(world, alice, bob)
    world.run(60.0)
    deaf = bob.engine
    assert isinstance(deaf, Deaf)
    deaf.is_awake = False
    say(world, alice, group, "unheard")
    world.run(5.0)
    assert len([moment for moment in deaf.heard if moment > world.now - 5.0]) > 1, "reminded"

    ban = lambda each, wall_now: membership.ban(each, bob.account, wall_now)  # noqa: E731 - short
    world.ask(alice, lambda engine, op, now: engine.change(op, group, ban, now))
    world.run(1.0)
    before = len(deaf.heard)
    say(world, alice, group, "among us")
    world.run(300.0)
    assert len(deaf.heard) == before


def test_declined_and_left() -> None:
    """Who declines hears nothing more; who leaves is gone for all."""
    world = SwarmWorld(seed=6)
    alice, bob, carol = people(world)
    group = begin(world, alice, bob)
    account = who(CAROL).account
    command = lambda each, wall_now: membership.invite(each, account, wall_now)  # noqa: E731
    world.ask(alice, lambda engine, op, now: engine.change(op, group, command, now))
    world.run(3.0)
    world.ask(carol, lambda engine, op, now: engine.decline(op, group, now))
    world.ask(bob, lambda engine, op, now: engine.leave(op, group, now))
    world.run(5.0)
    say(world, alice, group, "anybody?")
    world.run(5.0)

    assert carol.engine is not None
    assert group not in carol.engine.sessions
    assert alice.engine is not None
    view = alice.engine.sessions[group].view
    assert view is not None
    assert who(BOB).account not in view.members


@pytest.mark.parametrize("seed", range(2))
def test_all_end_equal(seed: int) -> None:  # noqa: C901 - a life has many turns
    """Partitions, crashes at any write: nothing acknowledged is lost, and all end equal."""
    chance = random.Random(seed)  # noqa: S311 - seeded chance is the point
    world = SwarmWorld(seed)
    names = [ALICE, BOB, CAROL, *(f"person {n}" for n in range(5))]
    devices = [world.add(name) for name in names]
    group = begin(world, *devices)
    world.run(20.0)
    world.crashes = lambda device: chance.random() < 0.01
    said: list[str] = []
    for number in range(60):
        speaker = chance.choice(devices)
        if not speaker.is_online:
            world.start(speaker)
        if speaker.is_online and head(speaker, group) is not None:
            text = f"{speaker.name} {number}"
            try:
                say(world, speaker, group, text)
            except KeyError:
                pass  # it crashed before it acknowledged
            else:
                said.append(text)
        if number % 20 == 10:
            world.partition(devices[: len(devices) // 2], devices[len(devices) // 2 :])
        elif number % 20 == 0:
            world.heal()
        world.run(chance.random())
    world.crashes = None
    world.heal()
    for device in devices:
        if not device.is_online:
            world.start(device)
    world.run(120.0)

    assert len({head(device, group) for device in devices}) == 1
    for device in devices:
        assert set(said) <= set(texts(device, group))
        assert texts(device, group) == texts(devices[0], group)


def test_a_crash_at_any_write() -> None:
    """One life, replayed with a crash at another write each time; `make sim` plays the others."""
    for number in range(5, WRITES, WRITES // 12):
        writes(number)


def test_messages_are_told_once() -> None:
    """Each device hears of each message exactly once."""
    world = SwarmWorld(seed=8)
    everybody = people(world)
    group = begin(world, *everybody)
    for number in range(10):
        say(world, everybody[number % 3], group, str(number))
    world.run(20.0)

    for device in everybody:
        heard = [
            message.content.body
            for event in device.events
            if isinstance(event, MessagesArrived)
            for message in event.messages
            if isinstance(message.content, Text)
        ]
        assert sorted(heard) == sorted(str(number) for number in range(10))


def test_one_seed_one_run() -> None:
    """The same seed gives the same history, to the byte."""
    heads = []
    for _ in range(2):
        world = SwarmWorld(seed=9)
        everybody = people(world)
        group = begin(world, *everybody)
        say(world, everybody[0], group, "hello")
        world.run(5.0)
        heads.append([head(device, group) for device in everybody])
    assert heads[0] == heads[1]


def test_second_devices() -> None:
    """A device linked later clones what its sibling has, and hears what is said."""
    world = SwarmWorld(seed=10)
    alice, bob = world.add(ALICE), world.add(BOB)
    group = begin(world, alice, bob)
    phone = world.add(ALICE, 1)
    own = who(ALICE).account
    world.ask(phone, lambda engine, op, now: engine.clone(op, group, own, now))
    world.run(5.0)
    say(world, bob, group, "to both of you")
    world.run(5.0)
    say(world, phone, group, "from the phone")
    world.run(10.0)

    for device in (alice, bob, phone):
        assert texts(device, group) == ["to both of you", "from the phone"]
