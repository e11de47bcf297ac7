"""Conversations between Shoal and both generations of Jami: of two, and in groups."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from shoal.core import AccountId
from shoal.swarm.contents import Edit, Text
from shoal.swarm.roles import Role
from tests.peers.town import GENERATIONS
from tests.peers.waiting import until

if TYPE_CHECKING:
    from shoal.node import Account
    from shoal.node.driver.conversations import Conversation, Message
    from tests.peers.jami import JamiAccount
    from tests.peers.shoal_node import ShoalHost
    from tests.peers.town import Town

PATIENCE: Final = 90.0  # seconds, on a busy machine


@pytest.fixture(params=GENERATIONS)
def theirs(request: pytest.FixtureRequest, town: Town) -> JamiAccount:
    """The account of one generation of Jami."""
    return town.account(request.param)


@pytest.fixture
def account(ours: ShoalHost) -> Account:
    """A fresh account of ours, announced."""
    return ours.create("Ada")


def messages(ours: ShoalHost, conversation: Conversation) -> tuple[Message, ...]:
    """What we have of a conversation, oldest first."""
    return ours.run(conversation.messages(1_000))


def wait_text(ours: ShoalHost, conversation: Conversation, text: str) -> Message:
    """Wait until we have a text."""
    return until(
        lambda: next(
            (
                message
                for message in messages(ours, conversation)
                if isinstance(message.content, Text | Edit) and message.content.body == text
            ),
            None,
        ),
        f"{text!r} at {ours.namespace.host}",
        PATIENCE,
    )


def bodies(signal: Any) -> str:
    """All that a signal of Jami says about a message, as text."""
    return json.dumps([str(part) for part in signal.body])


def wait_said(theirs: JamiAccount, text: str) -> None:
    """Wait until the daemon has shown a text to its user."""
    names = ("messageReceived", "swarmMessageReceived", "swarmMessageUpdated")
    until(
        lambda: any(
            text in bodies(signal)
            for name in names
            for signal in theirs.daemon.announced(name)
            if theirs.name in signal.body[:1]
        ),
        f"{text!r} at {theirs.daemon.process.name}",
        PATIENCE,
    )


def become_contacts(ours: ShoalHost, account: Account, theirs: JamiAccount) -> Conversation:
    """We ask, they accept; return the conversation of both, of which they are a member."""
    ours.run(account.contacts.add(theirs.uri))
    theirs.daemon.wait_request(theirs.name, account.id.hex())
    assert theirs.daemon.accept(theirs.name, account.id.hex())
    contact = account.contacts.get(theirs.uri)
    assert contact is not None
    conversation = account.conversations[contact.conversation_id]
    wait_member(conversation, theirs.uri)
    return conversation


def wait_member(conversation: Conversation, uri: str) -> None:
    """Wait until somebody has joined."""
    name = AccountId.from_hex(uri)
    until(lambda: conversation.members.get(name) is Role.MEMBER, f"{uri} a member", PATIENCE)


def test_we_begin(ours: ShoalHost, account: Account, theirs: JamiAccount) -> None:
    """Our conversation is cloned by Jami, who joins; texts go both ways; so do edits."""
    conversation = become_contacts(ours, account, theirs)
    sent = ours.run(conversation.send("hello from the reef, é✓"))
    wait_said(theirs, "hello from the reef")

    theirs.daemon.say(theirs.name, str(conversation.id), "hello reef")
    heard = wait_text(ours, conversation, "hello reef")
    assert str(heard.author) == theirs.uri
    assert heard.is_verified

    ours.run(conversation.edit(sent.id, "edited by the reef"))
    wait_said(theirs, "edited by the reef")
    ours.run(conversation.react(heard.id, "👍"))
    ours.run(conversation.send("and a reply", reply_to=heard.id))
    wait_said(theirs, "and a reply")


def test_they_begin(ours: ShoalHost, account: Account, theirs: JamiAccount) -> None:
    """Jami's conversation is cloned by us; we join; texts go both ways."""
    me = account.id.hex()
    theirs.daemon.call("addContact", theirs.name, me)
    theirs.daemon.ask_for_trust(theirs.name, me)
    until(account.contacts.requests, "their request", PATIENCE)
    ours.run(account.contacts.accept(theirs.uri))
    conversation = until(
        lambda: next((each for each in account.conversations.list() if each.is_ready), None),
        "their conversation",
        PATIENCE,
    )
    ours.run(conversation.send("thank you for asking"))
    wait_said(theirs, "thank you for asking")
    theirs.daemon.say(theirs.name, str(conversation.id), "you are welcome")
    wait_text(ours, conversation, "you are welcome")
    assert all(message.is_verified for message in messages(ours, conversation))


def test_a_group(ours: ShoalHost, account: Account, theirs: JamiAccount) -> None:
    """Our group: Jami is invited, sees it, joins; texts go both ways."""
    become_contacts(ours, account, theirs)
    group = ours.run(account.conversations.create())
    ours.run(group.invite(theirs.uri))

    def is_invited() -> bool:
        requests = theirs.daemon.call("getConversationRequests", theirs.name)
        return any(request.get("id") == str(group.id) for request in requests)

    until(is_invited, "the invitation", PATIENCE)
    theirs.daemon.call("acceptConversationRequest", theirs.name, str(group.id))
    wait_member(group, theirs.uri)
    ours.run(group.send("welcome to the reef"))
    wait_said(theirs, "welcome to the reef")
    theirs.daemon.say(theirs.name, str(group.id), "glad to be here")
    wait_text(ours, group, "glad to be here")
