"""Marks, typing, invitations declined and made again, among whole engines in virtual time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from shoal.core import CommitId, ConversationId
from shoal.swarm import membership
from shoal.swarm.effects import Composing, RequestArrived
from shoal.swarm.marks import Marks, MessageStatus, statuses_of
from shoal.swarm.roles import Role
from shoal.swarm.states import COMPOSING_TIME
from tests.sim.swarm_world import Device, SwarmWorld
from tests.sim.test_swarm import begin, head, people, say, texts
from tests.unit.swarm.people import who

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.core import AccountId
    from shoal.swarm.conversation import Conversation, Event
    from shoal.swarm.effects import Effect
    from shoal.swarm.engine import SwarmEngine


def shown(device: Device, group: ConversationId, other: Device) -> MessageStatus:
    """How far the head of *device* has come with *other*, as it knows."""
    assert device.engine is not None
    session, account = device.engine.sessions[group], who(other.name).account
    assert session.conversation is not None
    assert session.view is not None
    marks = device.engine.states.marks(group)
    known = {each: marks.get(each, Marks()) for each in session.view.members}
    newest = session.view.head
    return statuses_of(session.conversation.graph, newest, [newest], known)[newest][account]


def test_a_message_and_who_has_it() -> None:
    """Who was away has it later; who has seen it says so; a crash forgets nothing of that."""
    world = SwarmWorld(seed=21)
    alice, bob, carol = people(world)
    group = begin(world, alice, bob, carol)
    world.stop(carol)
    world.run(2.0)
    say(world, alice, group, "hello")
    world.run(3.0)
    assert shown(alice, group, bob) is MessageStatus.DELIVERED
    assert shown(alice, group, carol) is MessageStatus.SENT
    newest = head(bob, group)
    assert isinstance(newest, CommitId)
    world.ask(bob, lambda engine, op, now: engine.set_displayed(op, group, newest, now))
    world.run(2.0)
    assert shown(alice, group, bob) is MessageStatus.DISPLAYED
    world.stop(alice)
    world.start(alice)
    world.start(carol)
    world.run(20.0)
    assert shown(alice, group, bob) is MessageStatus.DISPLAYED
    assert shown(alice, group, carol) is MessageStatus.DELIVERED


def test_typing_ends() -> None:
    """By itself, and with a message."""
    world = SwarmWorld(seed=22)
    alice, bob, carol = people(world)
    group = begin(world, alice, bob, carol)

    def types() -> None:
        world.ask(
            alice, lambda engine, op, now: engine.set_composing(op, group, now, is_active=True)
        )
        world.run(1.0)

    def told(device: Device) -> list[bool]:
        return [event.is_active for event in device.events if isinstance(event, Composing)]

    types()
    assert told(bob) == told(carol) == [True]
    world.run(COMPOSING_TIME + 1.0)
    assert told(bob) == [True, False]
    types()
    say(world, alice, group, "done")
    world.run(3.0)
    assert told(bob) == [True, False, True, False]
    assert bob.engine is not None
    assert bob.engine.states.composing(group) == ()


def invited(device: Device) -> int:
    """How often a device was invited."""
    return sum(isinstance(event, RequestArrived) for event in device.events)


def invite(world: SwarmWorld, device: Device, group: ConversationId, other: Device) -> None:
    """Invite somebody."""
    account = who(other.name).account
    world.ask(
        device,
        lambda engine, op, now: engine.change(
            op, group, lambda each, wall_now: membership.invite(each, account, wall_now), now
        ),
    )
    world.run(5.0)


@pytest.mark.parametrize("heard_by_all", [True, False])
def test_invited_again_after_leaving(heard_by_all: bool) -> None:
    """Whether or not everybody has heard of the leave by then."""
    world = SwarmWorld(seed=23)
    alice, bob, carol = people(world)
    group = begin(world, alice, bob, carol)
    if not heard_by_all:
        world.stop(alice)
        world.run(2.0)
    world.ask(bob, lambda engine, op, now: engine.leave(op, group, now))
    world.run(10.0)
    assert carol.engine is not None
    assert carol.engine.sessions[group].role(who(bob.name).account) is None
    invite(world, carol, group, bob)
    count = invited(bob)
    assert bob.engine is not None
    assert group in bob.engine.book.requests
    world.ask(bob, lambda engine, op, now: engine.accept(op, group, now))
    world.run(5.0)
    if not heard_by_all:
        world.start(alice)
        world.run(20.0)
    say(world, bob, group, "back again")
    world.run(10.0)
    assert invited(bob) == count
    for device in (alice, bob, carol):
        assert device.engine is not None
        assert device.engine.sessions[group].role(who(bob.name).account) is Role.MEMBER
        assert texts(device, group)[-1] == "back again"
    world.stop(bob)
    world.start(bob)
    world.run(10.0)
    assert texts(bob, group)[-1] == "back again"


def test_what_was_declined_comes_anew_only_if_it_is_made_anew() -> None:
    """The same invitation, told again by an inviter who was started anew, stays declined."""
    world = SwarmWorld(seed=24)
    alice, bob, carol = people(world)
    group = begin(world, alice, bob)
    invite(world, alice, group, carol)
    assert invited(carol) == 1
    world.ask(carol, lambda engine, op, now: engine.decline(op, group, now))
    for device in (carol, alice):
        world.stop(device)
        world.start(device)
    world.run(20.0)
    say(world, bob, group, "carol does not come")
    world.run(5.0)
    assert carol.engine is not None
    assert carol.engine.book.requests == {}
    assert group in carol.engine.book.declined
    account = who(carol.name).account
    for command in (membership.ban, membership.unban):
        change = partial(_about, command, account)
        world.ask(alice, partial(_change, group, change))
        world.run(3.0)
    assert carol.engine.book.requests == {}


def _change(
    group: ConversationId,
    change: Callable[[Conversation, float], list[Event]],
    engine: SwarmEngine,
    op: int,
    now: float,
) -> list[Effect]:
    return engine.change(op, group, change, now)


def _about(
    command: Callable[[Conversation, AccountId, float], list[Event]],
    account: AccountId,
    conversation: Conversation,
    wall_now: float,
) -> list[Event]:
    return command(conversation, account, wall_now)
