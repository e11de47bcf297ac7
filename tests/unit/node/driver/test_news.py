"""What happens to an account, as `account.events` and the API tell it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from shoal.core import AccountId, CommitId, ConversationId
from shoal.node import (
    AccountEvents,
    Lagged,
    MessageEdited,
    MessageReacted,
    MessageTaken,
    MessageUnreacted,
)
from shoal.node.driver.api.client import SocketClient
from shoal.node.driver.bus import QUEUE_MAX, EventBus
from shoal.node.driver.news import AccountEvent, conversation_of, news_to_json
from shoal.node.events import AccountAdded, ConversationEvent
from shoal.swarm.effects import Composing, MembersChanged, RequestArrived, RequestGone
from shoal.swarm.records import ConversationRequest
from shoal.swarm.roles import Role
from tests.unit.node.driver.conftest import PATIENCE
from tests.unit.node.driver.test_conversations import become_contacts

if TYPE_CHECKING:
    from shoal.node import Account, Node

    Pair = tuple[tuple[Node, Account], tuple[Node, Account]]

ME, SHE = AccountId(b"m" * 20), AccountId(b"s" * 20)
HERE, THERE = ConversationId(b"h" * 20), ConversationId(b"t" * 20)


async def read(events: AccountEvents, count: int) -> list[object]:
    """Return the next *count* events."""
    async with asyncio.timeout(PATIENCE):
        return [await anext(events) for _ in range(count)]


async def test_what_is_said_is_taken_apart(both: Pair) -> None:
    """A text, its edit, a reaction, one taken back, typing: each as a class, here and there."""
    (_, alice), (_, bob) = both
    ours, theirs = await become_contacts(alice, bob)
    said = (MessageTaken, MessageEdited, MessageReacted, MessageUnreacted)
    with (
        alice.events(*said, conversation=ours) as here,
        bob.events(*said, conversation=str(theirs.id)) as there,
        bob.events(Composing) as typing,
    ):
        hello = await ours.send("helo")
        edit = await ours.edit(hello.id, "hello")
        love = await ours.react(hello.id, "♥")
        (none,) = await ours.unreact(hello.id, "♥")
        expected: list[AccountEvent] = [
            MessageTaken(ours.id, hello),
            MessageEdited(ours.id, edit, hello.id, "hello"),
            MessageReacted(ours.id, love, hello.id, "♥"),
            MessageUnreacted(ours.id, none, hello.id, love.id, "♥"),
        ]
        assert await read(here, 4) == expected
        assert await read(there, 4) == expected
        told = news_to_json(expected[-1])
        assert (told["event"], told["to"]) == ("message_unreacted", str(hello.id))
        assert (told["reaction"], told["message"]["kind"]) == (str(love.id), "edit")
        heard = asyncio.get_running_loop().create_task(read(typing, 1))
        while not heard.done():  # a notice that finds nobody is dropped
            await ours.set_composing()
            await asyncio.wait([heard], timeout=1)
        assert heard.result() == [Composing(ours.id, alice.id, is_active=True)]


async def test_the_socket_streams_them(both: Pair) -> None:
    """In JSON, of one conversation; leaving the stream ends the subscription at the node."""
    (first, alice), (_, bob) = both
    ours, _ = await become_contacts(alice, bob)
    client = SocketClient(first.home / "api.sock")
    await client.open()
    heard: list[dict[str, object]] = []
    stream = client.stream("conversation.events", account=alice.id.hex(), conversation=str(ours.id))
    async with asyncio.timeout(PATIENCE), contextlib.aclosing(stream):
        async for _, item in stream:
            heard.append(item)
            if item["event"] == "subscribed":
                await alice.conversations.create()  # of another conversation: not told
                await ours.send("hello")
            if item["event"] == "message_taken":
                break
    await client.close()
    assert heard[0] == {"event": "subscribed", "account": alice.id.hex()}
    message = heard[-1]["message"]
    assert isinstance(message, dict)
    assert (message["kind"], message["body"]) == ("text", "hello")
    assert heard[-1]["conversation"] == str(ours.id)
    assert {item.get("conversation") for item in heard[1:]} == {str(ours.id)}


async def test_who_is_slow_hears_how_much_was_dropped() -> None:
    """One `Lagged` in place of what did not fit, whatever was asked for; then it goes on."""
    bus = EventBus()
    with AccountEvents(bus.subscribe(), ME, kinds=(MessageTaken,)) as events:
        for _ in range(QUEUE_MAX + 3):
            bus.publish(ConversationEvent(ME, Composing(HERE, SHE, is_active=True)))
        assert await read(events, 1) == [Lagged(QUEUE_MAX + 1, QUEUE_MAX + 3)]
    with pytest.raises(StopAsyncIteration):
        await anext(events)


async def test_only_this_account_and_this_conversation() -> None:
    """Events of others are left out; without a filter, those of the account itself come too."""
    bus = EventBus()
    typing = Composing(HERE, SHE, is_active=True)
    everything = AccountEvents(bus.subscribe(), ME)
    some = AccountEvents(bus.subscribe(), ME, conversation=HERE)
    bus.publish(AccountAdded(SHE))
    bus.publish(AccountAdded(ME))
    bus.publish(ConversationEvent(SHE, typing))
    bus.publish(ConversationEvent(ME, Composing(THERE, SHE, is_active=True)))
    bus.publish(ConversationEvent(ME, typing))
    bus.close()
    assert [each async for each in some] == [typing]
    assert len([each async for each in everything]) == 3


@dataclass(frozen=True)
class Odd:
    """An event of a kind that nobody knows."""

    request: object


def test_every_event_is_an_object_in_json() -> None:
    """Ids as hex digits; what it is called; members with their roles."""
    request = ConversationRequest(HERE, SHE, (("mode", "2"), ("title", "friends")), 1_000)
    events = (
        RequestArrived(request),
        RequestGone(HERE),
        MembersChanged(HERE, ((SHE, Role.ADMIN),)),
        AccountAdded(ME),
        Lagged(1, 2),
    )
    told = [json.loads(json.dumps(news_to_json(each))) for each in events]
    assert [each["event"] for each in told] == [
        "request_arrived", "request_gone", "members_changed", "account_added", "lagged",
    ]  # fmt: skip
    assert told[0] == {
        "event": "request_arrived",
        "conversation": str(HERE),
        "sender": str(SHE),
        "title": "friends",
        "mode": "invites_only",
    }
    assert told[2]["members"] == [{"id": str(SHE), "role": "admin"}]
    assert [conversation_of(each) for each in events] == [HERE, HERE, HERE, None, None]
    assert conversation_of(Odd(CommitId(b"c" * 20))) is None
