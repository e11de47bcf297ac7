"""What people and conversations are called, and which one is meant by a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shoal.node.driver.addressing import find_conversation, find_message, find_request
from shoal.node.driver.people import clean, vcard_name
from shoal.node.errors import AmbiguousNameError
from shoal.swarm.errors import NoSuchConversationError
from tests.unit.node.driver.conftest import eventually
from tests.unit.node.driver.test_conversations import become_contacts

if TYPE_CHECKING:
    from shoal.node import Account, Node

    Pair = tuple[tuple[Node, Account], tuple[Node, Account]]


async def test_a_conversation_is_meant_by_many_names(both: Pair) -> None:
    """Its id, digits of it, its title; its contact's id, digits, name; and nothing else."""
    (_, alice), (_, bob) = both
    ours, theirs = await become_contacts(alice, bob)
    group = await alice.conversations.create()
    assert alice.people.title(group) == "only you"
    for name in (
        str(ours.id),
        f"swarm:{ours.id}",
        str(ours.id)[:10],
        str(ours.id)[:10].upper(),
        str(bob.id),
        f"jami:{bob.id}",
        str(bob.id)[:12],
        alice.people.title(ours).upper(),
    ):
        assert (await find_conversation(alice, name)).id == ours.id
    assert (await find_conversation(alice, "ONLY you")).id == group.id
    await group.set_profile(title="Night\n shift")
    assert alice.people.title(group) == "Night shift"
    assert (await find_conversation(alice, "night shift")).id == group.id
    for name in ("12" * 20, "abcd1234abcd", "no-such-name", "", "?!"):
        with pytest.raises(NoSuchConversationError):
            await find_conversation(alice, name)
    another = await alice.conversations.create()
    await another.set_profile(title="night shift")
    with pytest.raises(AmbiguousNameError) as caught:
        await find_conversation(alice, "Night shift")
    assert set(caught.value.found) == {str(group.id), str(another.id)}

    await group.invite(bob.id)
    await eventually(lambda: bool(bob.conversations.requests()))
    who = bob.people[alice.id].shown
    for name in (str(group.id), str(group.id)[:8], str(alice.id)[:8], who):
        assert find_request(bob, name) == group.id
    for name in (str(theirs.id), "", "nobody"):
        with pytest.raises(NoSuchConversationError):
            find_request(bob, name)


async def test_a_title_takes_nobodys_place(both: Pair) -> None:
    """Who calls a group like one of our contacts does not get what is meant for that contact."""
    (_, alice), (_, bob) = both
    ours, _ = await become_contacts(alice, bob)
    await bob.profiles.set_own(name="Bob")
    await eventually(lambda: alice.people[bob.id].name == "Bob")
    alice.people._registered[bob.id] = "diver"  # noqa: SLF001 - as a name server has said
    assert (await find_conversation(alice, "Diver")).id == ours.id
    group = await alice.conversations.create()
    await group.set_profile(title="diver")
    with pytest.raises(AmbiguousNameError) as caught:
        await find_conversation(alice, "diver")
    assert set(caught.value.found) == {str(group.id), str(ours.id)}


async def test_a_message_is_meant_by_digits(both: Pair) -> None:
    """Six or more; and who else has it is told by device."""
    (_, alice), (_, bob) = both
    ours, theirs = await become_contacts(alice, bob)
    hello = await ours.send("hello")
    assert await find_message(ours, str(hello.id)[:6]) == hello.id
    assert await find_message(ours, f" {str(hello.id).upper()}") == hello.id
    for digits in (str(hello.id)[:5], "zzzzzz", "ffffffffff"):
        with pytest.raises(NoSuchConversationError):
            await find_message(ours, digits)

    holders = {}
    while bob.device_id not in holders:
        holders = await ours.holders(hello.id)
    assert holders == {bob.device_id: bob.id}
    assert await theirs.holders(hello.id) in ({}, {alice.device_id: alice.id})


async def test_everybody_has_something_to_be_called_by(both: Pair) -> None:
    """A name of theirs, or the first digits; nobody twice."""
    (_, alice), (_, bob) = both
    await become_contacts(alice, bob)
    await alice.rename("Alice\tLiddell\x1b[2J")
    people = {person.id: person for person in alice.people.met()}
    assert set(people) == {alice.id, bob.id}
    assert people[alice.id].shown == "Alice Liddell[2J"
    assert people[alice.id].is_self
    assert people[bob.id].is_contact
    assert people[bob.id].shown
    assert alice.people.called(people[bob.id].shown) == [] or alice.people.called(
        people[bob.id].name
    ) == [people[bob.id]]
    assert alice.people.called("Alice Liddell[2J") == []


def test_names_cannot_spoil_a_screen() -> None:
    """One line, printable, of a sensible length; vCards in whatever shape."""
    assert clean("a\n\x00b\u202e  c") == "a b c"
    assert len(clean("x" * 1_000)) == 64
    assert vcard_name(b"BEGIN:VCARD\r\nFN;CHARSET=UTF-8:Zo\xc3\xab\r\n") == "Zoë"
    assert vcard_name(b"\xff\x00fn without a colon") == ""
