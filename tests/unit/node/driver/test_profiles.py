"""What people look like, between nodes on loopback: pushed, changed, asked for, kept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from shoal.node.events import ProfileReceived
from shoal.swarm.errors import InvalidProfileError, NotAnAdminError
from shoal.swarm.vcards import VCard
from tests.unit.node.driver.conftest import PATIENCE, add_account, eventually
from tests.unit.node.driver.test_conversations import become_contacts
from tests.unit.swarm.test_vcards import PNG

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shoal.node import Account, Node

    Pair = tuple[tuple[Node, Account], tuple[Node, Account]]
    Open = Callable[..., Awaitable[Node]]


async def test_profiles_of_people(both: Pair, open_node: Open) -> None:
    """A name and a picture reach a contact, and a device that is linked later gets both sides'."""
    (first, alice), (second, bob) = both
    ours, _ = await become_contacts(alice, bob)
    assert alice.profiles.own == VCard(alice.name)
    with second.events() as events:
        await alice.profiles.set_own(name="Alice of the reef", picture=PNG)
        told = ProfileReceived(bob.id, alice.id, "Alice of the reef", has_picture=True)
        async with asyncio.timeout(PATIENCE):
            async for each in events:
                if getattr(each, "event", None) == told:
                    break
    assert alice.name == "Alice of the reef"
    assert bob.people[alice.id].name == "Alice of the reef"
    assert (await bob.profiles.card(alice.id)).picture == PNG
    await bob.profiles.set_own(name="Bob")
    await eventually(lambda: alice.profiles[bob.id].name == "Bob")

    third = await open_node(first)
    again = await add_account(third, "alice")
    await eventually(lambda: again.profiles.own.picture == PNG)
    await eventually(lambda: again.profiles[bob.id].name == "Bob")
    assert (await again.profiles.card(alice.id)).name == "Alice of the reef"
    with pytest.raises(InvalidProfileError):
        await again.profiles.set_own(picture=b"not a picture")
    await again.profiles.set_own(picture=b"")
    await eventually(lambda: not alice.profiles.own.picture)
    await eventually(lambda: not bob.profiles[alice.id].has_picture)
    assert ours.title == ""


async def test_what_a_group_looks_like(both: Pair) -> None:
    """Its administrators say; who is invited sees the title, and members all of it."""
    (_, alice), (_, bob) = both
    await become_contacts(alice, bob)
    group = await alice.conversations.create()
    await group.set_profile(title="The reef", description="who lives there")
    await group.invite(bob.id)
    await eventually(lambda: bool(bob.conversations.requests()))
    (request,) = bob.conversations.requests()
    assert request.title == "The reef"
    theirs = await bob.conversations.accept(request.conversation)
    assert theirs.title == "The reef"
    assert theirs.description == "who lives there"
    assert bob.people.title(theirs) == "The reef"
    await group.set_profile(title="The whole reef", picture=PNG)
    await eventually(lambda: theirs.title == "The whole reef")
    assert (await theirs.profile()).picture == PNG
    with pytest.raises(NotAnAdminError):
        await theirs.set_profile(title="mine")


async def test_it_is_kept(both: Pair, open_node: Open) -> None:
    """After a restart all of it is there."""
    (first, alice), (_, bob) = both
    await become_contacts(alice, bob)
    await bob.profiles.set_own(name="Bob", picture=PNG)
    await eventually(lambda: alice.profiles[bob.id].has_picture)
    await alice.profiles.set_own(picture=PNG)
    home, config = first.home, first.config
    await first.close()
    node = await open_node(home=home, config=config)
    again: Any = node.accounts[alice.id]
    assert again.profiles[bob.id].name == "Bob"
    assert again.profiles.own.picture == PNG
