"""Two nodes on loopback that talk: contact, group, text, edit, reaction, restart."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import pytest

from shoal.core import CommitId, ConversationId
from shoal.identity.driver.files import TEMPORARY
from shoal.node.driver import talking
from shoal.node.driver.api.client import LocalClient
from shoal.node.driver.talking import FOLDER
from shoal.node.errors import NodeStoppedError
from shoal.swarm.contents import Edit, Text
from shoal.swarm.driver import DiskStore
from shoal.swarm.errors import (
    CloneFailedError,
    ConversationDamagedError,
    NoSuchConversationError,
    NotReactedError,
    SwarmFaultError,
)
from shoal.swarm.records import ConversationInfo
from shoal.swarm.roles import Role
from shoal.swarm.session import Session
from tests.unit.node.driver.conftest import PATIENCE, add_account, eventually, loopback

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shoal.node import Account, Node
    from shoal.node.driver.conversations import Conversation, Message

    Pair = tuple[tuple[Node, Account], tuple[Node, Account]]

HOUR: Final = 3_600  # seconds


async def become_contacts(alice: Account, bob: Account) -> tuple[Conversation, Conversation]:
    """Alice asks, bob accepts; return the conversation of both."""
    await alice.contacts.add(bob.id)
    await eventually(lambda: bool(bob.contacts.requests()))
    await bob.contacts.accept(alice.id)
    await eventually(lambda: any(each.is_ready for each in bob.conversations.list()))
    (ours,), (theirs,) = alice.conversations.list(), bob.conversations.list()
    await eventually(lambda: ours.members.get(bob.id) is Role.MEMBER)
    return ours, theirs


async def messages(conversation: Conversation, count: int) -> list[Message]:
    """Wait until there are *count* texts and edits, and return them."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await conversation.messages()
            spoken = [each for each in found if isinstance(each.content, Text | Edit)]
            if len(spoken) >= count:
                return spoken
            await asyncio.sleep(0.01)


async def test_contacts_talk(both: Pair) -> None:
    """A request brings a conversation of two; what each says reaches the other."""
    (_, alice), (_, bob) = both
    ours, theirs = await become_contacts(alice, bob)
    assert ours.id == theirs.id

    hello = await ours.send("hello")
    (received,) = await messages(theirs, 1)
    assert received == hello
    assert received.author == alice.id
    assert received.is_verified
    reply = await theirs.send("hello yourself", reply_to=hello.id)
    await theirs.react(hello.id, "👍")
    assert (await messages(ours, 3))[1] == reply
    edited = await ours.edit(hello.id, "good day")
    assert (await messages(theirs, 4))[3] == edited


async def test_reactions_are_taken_back(both: Pair) -> None:
    """Ours, all that are the same, and nobody else's; it can be told when there is none."""
    (_, alice), (_, bob) = both
    ours, theirs = await become_contacts(alice, bob)
    hello = await ours.send("hello")
    await messages(theirs, 1)
    for conversation, emoji in ((theirs, "👍"), (theirs, "👍"), (theirs, "♥"), (ours, "👍")):
        await conversation.react(hello.id, emoji)
    await messages(ours, 5)
    first, second = await theirs.unreact(hello.id, "👍")
    assert {type(each.content) for each in (first, second)} == {Edit}
    await messages(ours, 7)
    (entry,) = [each for each in await ours.entries() if each.message == hello]
    kept = {(each.author, each.emoji) for each in entry.reactions}
    assert kept == {(bob.id, "♥"), (alice.id, "👍")}
    for conversation, message, emoji in (
        (theirs, hello.id, "👍"),  # it was taken back
        (ours, hello.id, "♥"),  # it is not ours
        (ours, ours.id, "♥"),  # there is no such message
    ):
        with pytest.raises(NotReactedError):
            await conversation.unreact(CommitId(message), emoji)


async def test_a_full_queue_is_written_before_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits goes out before the channel is closed; one thing more than fits closes it now."""
    monkeypatch.setattr(talking, "UNREAD_MAX", 1)
    said: list[object] = []

    async def drain() -> None:
        said.append("drained")

    channel: Any = SimpleNamespace(
        write=said.append, drain=drain, close=lambda: said.append("closed")
    )
    jobs: Any = None  # only packs are pulled by them
    writer = talking._Writer(channel, jobs)  # noqa: SLF001 - only a slow peer fills one
    writer.put(b"last")
    writer.put(None)
    async with asyncio.timeout(PATIENCE):
        await writer.run()
    assert said == [b"last", "drained", "closed"]

    writer.put(b"last")
    writer.put(b"too much")
    assert said[3:] == ["closed"]


async def test_the_clock_is_set(both: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages carry the time of day as it is, not as it was when the node started."""
    (_, alice), _ = both
    group = await alice.conversations.create()
    before = await group.send("before")
    monkeypatch.setattr(talking, "time", SimpleNamespace(time=lambda: time.time() + HOUR))
    after = await group.send("an hour later")
    assert HOUR <= after.wall_time - before.wall_time < 2 * HOUR


async def test_a_group(both: Pair) -> None:
    """An invitation is shown, accepted, and the group talks."""
    (_, alice), (_, bob) = both
    await become_contacts(alice, bob)
    group = await alice.conversations.create()
    await group.invite(bob.id)
    await eventually(lambda: bool(bob.conversations.requests()))
    (request,) = bob.conversations.requests()
    assert request.sender == alice.id
    theirs = await bob.conversations.accept(request.conversation)
    await eventually(lambda: group.members.get(bob.id) is Role.MEMBER)

    await theirs.send("in the group")
    (heard,) = await messages(group, 1)
    assert heard.content == Text("in the group")


async def test_a_second_device(both: Pair, open_node: Callable[..., Awaitable[Node]]) -> None:
    """A device that is added later gets conversations and what is said, and speaks for itself."""
    (first, alice), (_, bob) = both
    ours, theirs = await become_contacts(alice, bob)
    await ours.send("before")
    third = await open_node(first)
    phone = await add_account(third, "alice")
    await eventually(lambda: any(each.is_ready for each in phone.conversations.list()))
    (mine,) = phone.conversations.list()
    (heard,) = await messages(mine, 1)
    assert heard.content == Text("before")

    await mine.send("from the telephone")
    assert (await messages(theirs, 2))[1].author == alice.id
    assert (await messages(ours, 2))[1].content == Text("from the telephone")


async def test_after_a_restart(both: Pair, open_node: Callable[..., Awaitable[Node]]) -> None:
    """What was said while the other was away is there when it comes back."""
    (_, alice), (second, bob) = both
    ours, theirs = await become_contacts(alice, bob)
    home, identifier = second.home, theirs.id
    unfinished = bob.talking.index.path.parent / FOLDER / f"{TEMPORARY}{'0' * 40}"
    await second.close()
    await ours.send("while you were away")
    unfinished.mkdir()  # of a conversation that was being deleted

    again = await open_node(home=home, config=loopback(both[0][0]))
    (bob_again,) = again.accounts
    assert not unfinished.exists()
    (heard,) = await messages(bob_again.conversations[identifier], 1)
    assert heard.content == Text("while you were away")


async def test_a_damaged_conversation(
    both: Pair, open_node: Callable[..., Awaitable[Node]], caplog: pytest.LogCaptureFixture
) -> None:
    """It is shown with the reason, nobody waits for it for ever, and it is fetched again."""
    (first, alice), (second, bob) = both
    ours, theirs = await become_contacts(alice, bob)
    await theirs.send("both have this")
    await messages(ours, 1)
    home, identifier = second.home, theirs.id
    folder = bob.talking.index.path.parent / FOLDER / str(identifier)
    await second.close()
    with DiskStore(folder) as store:
        assert store.head is not None
    begun = folder / "objects" / identifier.hex()[:2] / identifier.hex()[2:]
    begun.write_bytes(b"damaged")
    alone = loopback()
    again = await open_node(home=home, config=alone)
    (bob_again,) = again.accounts
    damaged = bob_again.conversations[identifier]
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(ConversationDamagedError, match="no git object"):
            await damaged.messages()
        with pytest.raises(ConversationDamagedError):  # whoever comes later hears it at once
            await damaged.send("hello?")
    assert not damaged.is_ready
    (shown,) = await LocalClient(again).call("conversation.list", account=str(bob.id))
    assert shown["damage"] == damaged.damage == f"no git object {identifier}"
    assert f"{identifier} cannot be opened" in caplog.text
    await again.close()

    third = await open_node(home=home, config=loopback(first))
    (bob_third,) = third.accounts
    mended = bob_third.conversations[identifier]
    await eventually(lambda: mended.is_ready)
    assert mended.damage == ""
    assert len(await messages(mended, 1)) == 1
    await mended.send("whole again")
    assert len(await messages(ours, 2)) == 2


async def test_who_waits_for_what_is_left_waits_no_more(both: Pair) -> None:
    """A conversation that is not here yet, and is left: that is an error, not a silence."""
    (first, alice), (_, bob) = both
    record = ConversationInfo(ConversationId(b"x" * 20), 1, members=(alice.id, bob.id))
    talking = alice.talking
    talking.run(lambda now: talking.engine.synced([record], [], now))
    waiting = asyncio.ensure_future(talking.wait_ready(record.id))
    await asyncio.sleep(0)
    assert not waiting.done()
    left = replace(record, removed_ms=2)
    talking.run(lambda now: talking.engine.synced([left], [], now))
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(NoSuchConversationError):
            await waiting
        again = replace(record, created_ms=3)
        talking.run(lambda now: talking.engine.synced([again], [], now))
        waiting = asyncio.ensure_future(talking.wait_ready(record.id))
        await asyncio.sleep(0)
        await first.close()
        with pytest.raises(NodeStoppedError):
            await waiting


async def test_a_fault_is_told_to_who_waits(
    both: Pair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Wherever something goes wrong that nobody thought of, commands end; the log says where."""
    (_, alice), (_, bob) = both
    group = await alice.conversations.create()
    talking = alice.talking

    def wrong(*unused: object) -> list[Any]:
        raise ZeroDivisionError("nobody thought of it")

    async with asyncio.timeout(PATIENCE):
        with pytest.raises(SwarmFaultError, match="ZeroDivisionError"):  # in a job
            await talking.ask(lambda op, now: talking.engine.change(op, group.id, wrong, now))
        assert sum(bool(each.exc_info) for each in caplog.records) == 1
        with monkeypatch.context() as patch:  # after a job
            patch.setattr(Session, "_changed", wrong)
            with pytest.raises(SwarmFaultError, match="ZeroDivisionError"):
                await group.send("was it said?")
        with monkeypatch.context() as patch:  # outside of the conversations
            patch.setattr(alice, "find_devices", wrong)
            nowhere = ConversationId(b"x" * 20)
            with pytest.raises(CloneFailedError):
                await talking.ask(lambda op, now: talking.engine.clone(op, nowhere, bob.id, now))
        await group.send("all is well")
    assert "nobody thought of it" in caplog.text
    (_, last) = await group.messages(2)
    assert last.content == Text("all is well")
