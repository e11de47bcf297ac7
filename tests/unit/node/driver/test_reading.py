"""Histories on a node: found by words, counted, read page by page and whole, made anew."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from shoal.core import CommitId
from shoal.node.driver.api.client import LocalClient
from shoal.node.errors import ParametersError
from shoal.swarm import Text
from shoal.swarm.driver import IndexLedger
from shoal.swarm.errors import NotReactedError, ObjectMissingError
from tests.unit.node.driver.conftest import PATIENCE
from tests.unit.node.driver.test_conversations import become_contacts, messages

if TYPE_CHECKING:
    from shoal.node import Account, Node
    from shoal.node.driver.conversations import Conversation

    Pair = tuple[tuple[Node, Account], tuple[Node, Account]]


async def unread_are(conversation: Conversation, count: int) -> None:
    """Wait until so many messages are new."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if await conversation.unread() == count:
                return
            await asyncio.sleep(0.01)


async def test_parts_of_a_history(both: Pair) -> None:
    """What stands before, after and around a message."""
    (first, alice), (_, bob) = both
    ours, _ = await become_contacts(alice, bob)
    said = [(await ours.send(f"number {number}")).id for number in range(5)]
    api = LocalClient(first)
    about = {"account": str(alice.id), "conversation": str(ours.id)}
    for count, part, wanted in [
        (2, {"before": said[3]}, said[1:3]),
        (2, {"after": said[1]}, said[2:4]),
        (3, {"around": said[2]}, said[1:4]),
        (4, {"around": said[4]}, said[1:]),
        (2, {}, said[3:]),
    ]:
        assert [each.message.id for each in await ours.entries(count, **part)] == wanted
        by_name = {name: str(message) for name, message in part.items()}
        found = await api.call("conversation.entries", **about, count=count, **by_name)
        assert [each["id"] for each in found] == list(map(str, wanted))
    with pytest.raises(ParametersError, match="before and after"):
        await api.call("conversation.entries", **about, before=str(said[3]), after=str(said[1]))
    nobody = CommitId(bytes(20))
    with pytest.raises(ObjectMissingError):
        await ours.entries(after=nobody)
    with pytest.raises(ObjectMissingError):
        await ours.entries(around=nobody)


async def test_histories(both: Pair) -> None:
    """What the one says the other finds, counts and exports, edits applied."""
    (_, alice), (second, bob) = both
    ours, theirs = await become_contacts(alice, bob)
    hello = await ours.send("Grüße an alle")
    picture = await ours.send("a picture follows")
    await ours.send("a mistake")
    mistake = (await ours.messages())[-1]
    await messages(theirs, 3)
    assert await theirs.unread() == 3
    await ours.delete(mistake.id)
    await messages(theirs, 4)

    (hit,) = await theirs.search("grusse")
    assert (hit.id, hit.author, hit.text) == (hello.id, alice.id, "Grüße an alle")
    assert await bob.conversations.search("mistake") == ()
    assert await theirs.unread() == 2
    await theirs.set_displayed(hello.id)
    await unread_are(theirs, 1)
    await theirs.react(hello.id, "👍")
    last, deleted = (await theirs.entries(2))[0], (await theirs.entries(1))[0]
    assert (last.message.id, deleted.is_deleted) == (picture.id, True)
    (first,) = await theirs.entries(1, before=picture.id)
    assert [(each.author, each.emoji) for each in first.reactions] == [(bob.id, "👍")]
    with pytest.raises(ObjectMissingError):
        await theirs.entries(before=CommitId(bytes(20)))

    before = [each async for each in theirs.export()]
    await theirs.reindex()
    assert [each async for each in theirs.export()] == before
    assert [each.message for each in before] == list(await theirs.messages())
    await theirs.send("one more")
    assert await theirs.unread() == 0

    api = LocalClient(second)
    about = {"account": str(bob.id), "conversation": str(theirs.id)}
    items = [
        each async for kind, each in api.stream("conversation.export", **about) if kind == "item"
    ]
    assert len(items) == len(before) + 1
    (found,) = await api.call("conversation.search", account=str(bob.id), text="pict")
    assert found["id"] == str(picture.id)
    assert await api.call("conversation.unread", **about) == [
        {"conversation": str(theirs.id), "unread": 0}
    ]
    entries = await api.call("conversation.entries", **about, count=1)
    assert [each["text"] for each in entries] == ["one more"]
    (reaction,) = (await api.call("conversation.entries", **about))[-4]["reactions"]
    like_that = {**about, "message": str(hello.id), "emoji": "👍"}
    (taken_back,) = await api.call("conversation.unreact", **like_that)
    assert (taken_back["kind"], taken_back["edited"]) == ("edit", reaction["id"])
    with pytest.raises(NotReactedError):
        await api.call("conversation.unreact", **like_that)
    assert await api.call("conversation.reindex", account=str(bob.id)) == [
        {"conversation": str(theirs.id)}
    ]


async def test_what_the_index_could_not_keep(both: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are all there while the disk of the index is full, in their order."""
    (_, alice), (_, bob) = both
    ours, _ = await become_contacts(alice, bob)
    said = [await ours.send("one")]
    with monkeypatch.context() as patch:
        patch.setattr(IndexLedger, "advance", lambda ledger, head, fresh: False)
        said += [await ours.send("two"), await ours.send("three")]
        assert await ours.messages(3) == tuple(said)
        assert await ours.messages(1, before=said[1].id) == tuple(said[:1])
        with pytest.raises(ObjectMissingError):
            await ours.messages(before=CommitId(bytes(20)))
    said.append(await ours.send("four"))
    assert await ours.messages(4) == tuple(said)
    assert await ours.messages(2, before=said[3].id) == tuple(said[1:3])
    with pytest.raises(ObjectMissingError):
        await ours.messages(before=CommitId(bytes(20)))


async def test_an_index_damaged_while_the_node_runs(both: Pair) -> None:
    """A search makes it anew, and so does reading on."""
    (_, alice), (_, bob) = both
    ours, _ = await become_contacts(alice, bob)
    await ours.send("needle")
    index = alice.talking.index
    index.close()
    index.path.write_bytes(b"\0not a database" * 1_000)

    _, found = await asyncio.gather(ours.entries(), alice.conversations.search("needle"))
    assert len(found) == 1  # whichever of the two finds the damage

    before = await ours.messages()
    index.close()
    index.path.write_bytes(b"\0not a database" * 1_000)
    assert await ours.messages() == before
    assert before[-1].content == Text("needle")
