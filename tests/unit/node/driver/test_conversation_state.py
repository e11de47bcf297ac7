"""Who has seen what, on nodes on loopback; all of an account on a device that is linked later."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shoal.core import CommitId
from shoal.swarm.errors import InvalidPreferenceError, ObjectMissingError
from shoal.swarm.marks import MessageStatus
from shoal.swarm.roles import Role
from tests.unit.node.driver.conftest import add_account, eventually
from tests.unit.node.driver.test_conversations import become_contacts, messages

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shoal.node import Account, Node

    Pair = tuple[tuple[Node, Account], tuple[Node, Account]]
    Open = Callable[..., Awaitable[Node]]


async def test_a_message_goes_its_way(both: Pair, open_node: Open) -> None:
    """Sending, delivered, displayed; typing; and after a restart it is all still known."""
    (first, alice), (second, bob) = both
    ours, theirs = await become_contacts(alice, bob)
    message = await ours.send("hello")
    assert await ours.status_of(message.id) == {bob.id: MessageStatus.SENDING}
    await messages(theirs, 1)
    await eventually(lambda: ours_mark(ours, bob) == message.id)
    assert await ours.status_of(message.id) == {bob.id: MessageStatus.DELIVERED}
    await theirs.set_composing()
    await eventually(lambda: ours.composing == (bob.id,))
    await theirs.set_displayed(message.id)
    await theirs.set_composing(is_active=False)
    await eventually(lambda: ours.displayed.get(bob.id) == message.id)
    await eventually(lambda: ours.composing == ())
    assert await ours.status_of(message.id) == {bob.id: MessageStatus.DISPLAYED}
    assert ours.last_displayed == message.id
    with pytest.raises(ObjectMissingError):
        await ours.status_of(CommitId(bytes(20)))

    await ours.set_preferences(colour="#e5ae43", is_muted=True)
    with pytest.raises(InvalidPreferenceError):
        await ours.set_preferences(others={"": "x"})
    home, config = first.home, first.config
    await first.close()
    node = await open_node(home=home, config=config)
    (again,) = node.accounts[alice.id].conversations.list()
    await again.messages()
    assert await again.status_of(message.id) == {bob.id: MessageStatus.DISPLAYED}
    assert again.preferences.colour == "#e5ae43"
    assert again.preferences.is_muted
    assert second.accounts[bob.id].conversations[again.id].last_displayed == message.id


def ours_mark(conversation: object, other: Account) -> object:
    """What we know of the other side."""
    states = conversation._talking.engine.states  # type: ignore[attr-defined] # noqa: SLF001
    return states.marks(conversation.id)[other.id].fetched  # type: ignore[attr-defined]


async def test_a_device_that_is_linked_later(both: Pair, open_node: Open) -> None:
    """Contacts, conversations, requests and those declined, preferences, and what was seen."""
    (first, alice), (_, bob) = both
    ours, theirs = await become_contacts(alice, bob)
    heard = await theirs.send("read me")
    await messages(ours, 1)
    await ours.set_displayed(heard.id)
    await ours.set_preferences(colour="#123456")
    groups = [await bob.conversations.create() for _ in range(2)]
    for group in groups:
        await group.invite(alice.id)
    await eventually(lambda: len(alice.conversations.requests()) == 2)
    await alice.conversations.decline(groups[0].id)

    third = await open_node(first)
    again = await add_account(third, "alice")
    await eventually(lambda: bob.id in again.contacts)
    await eventually(lambda: any(each.is_ready for each in again.conversations.list()))
    copy = again.conversations[ours.id]
    assert (await messages(copy, 1))[-1].id == heard.id
    await eventually(lambda: copy.last_displayed == heard.id)
    await eventually(lambda: copy.preferences.colour == "#123456")
    await eventually(
        lambda: [r.conversation for r in again.conversations.requests()] == [groups[1].id]
    )
    book = again.talking.engine.book
    assert groups[0].id in book.declined

    later = await theirs.send("and me")
    await messages(copy, 2)
    await copy.set_displayed(later.id)
    await copy.set_preferences(is_muted=True)
    await again.conversations.decline(groups[1].id)
    await eventually(lambda: ours.last_displayed == later.id)
    await eventually(lambda: ours.preferences.is_muted)
    await eventually(lambda: not alice.conversations.requests())
    assert ours.preferences.colour == "#123456"


async def test_invited_again(both: Pair) -> None:
    """Who left may come back; who declined hears of a new invitation only."""
    (_, alice), (_, bob) = both
    await become_contacts(alice, bob)
    group = await alice.conversations.create()
    await group.invite(bob.id)
    await eventually(lambda: bool(bob.conversations.requests()))
    theirs = await bob.conversations.accept(group.id)
    await eventually(lambda: group.members.get(bob.id) is Role.MEMBER)
    await group.send("hello")
    await messages(theirs, 1)
    await theirs.leave()
    await eventually(lambda: bob.id not in group.members)
    await group.invite(bob.id)
    await eventually(lambda: bool(bob.conversations.requests()))
    back = await bob.conversations.accept(group.id)
    await eventually(lambda: group.members.get(bob.id) is Role.MEMBER)
    await back.send("here I am")
    await messages(group, 2)
