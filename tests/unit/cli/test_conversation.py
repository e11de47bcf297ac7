"""`shoal conversation` and `shoal send`, with two nodes that run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.cli.common import Exit
from shoal.node.driver.conversations import Conversation
from shoal.swarm import Role
from tests.unit.cli.conftest import shoal
from tests.unit.cli.test_contact import Pair, pair, wait

if TYPE_CHECKING:
    import pytest

    from shoal.node import Account

__all__ = ["pair"]


def accounts(pair: Pair) -> tuple[Account, Account]:
    """Alice's account and Bob's."""
    return pair.alice.node.accounts[pair.alice_id], pair.bob.node.accounts[pair.bob_id]


def become_contacts(pair: Pair) -> str:
    """Alice asks, Bob accepts; return the id of their conversation."""
    alice, bob = accounts(pair)
    shoal(*pair.as_alice("contact", "add", pair.bob_id))
    wait(pair.bob, lambda: bool(bob.contacts.requests()))
    shoal(*pair.as_bob("contact", "accept", pair.alice_id))
    wait(pair.bob, lambda: any(each.is_ready for each in bob.conversations.list()))
    (conversation,) = alice.conversations.list()
    wait(pair.alice, lambda: conversation.members.get(bob.id) is not None)
    return str(conversation.id)


def lines(pair: Pair, conversation: str) -> str:
    """What Bob's log shows."""
    return shoal(*pair.as_bob("conversation", "log", conversation)).out


def test_a_contact_is_told_something(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the contact's id; it is in the other one's log, and an answer comes back."""
    conversation = become_contacts(pair)
    sent = shoal(*pair.as_alice("send", pair.bob_id, "hello bob"))
    assert sent.status == Exit.OK
    words = ("send", conversation[:8], "again", "--received-by", "1")
    kept = shoal(*pair.as_alice(*words))
    assert kept.status == Exit.OK
    assert "received by 1 device of " in kept.out
    late = shoal(*pair.as_alice(*words[:-1], "2", "--timeout", "0.3", "--json"))
    assert late.status == Exit.NOT_CONNECTED
    assert [each["event"] for each in late.events] == ["sent", "received"]
    listed = shoal(*pair.as_bob("conversation", "list"))
    assert f"{conversation[:12]}  " in listed.out
    assert " new)" in listed.out
    assert "shoal chat CONVERSATION" in listed.err
    with monkeypatch.context() as patch:
        patch.setattr(Conversation, "is_ready", property(lambda each: False))
        assert "still being fetched)" in shoal(*pair.as_bob("conversation", "list")).out
        patch.setattr(Conversation, "damage", property(lambda each: "no git object\x1b"))
        for asked in (("list",), ("show", conversation)):
            damaged = shoal(*pair.as_bob("conversation", *asked)).out
            assert "damaged: no git object\ufffd; fetched again" in damaged
    alice, bob = accounts(pair)
    wait(pair.bob, lambda: heads(bob, conversation) == heads(alice, conversation))
    assert "hello bob" in lines(pair, conversation)
    assert "began the conversation" in lines(pair, conversation)
    assert "joined" in lines(pair, conversation)

    (reply,) = shoal(
        *pair.as_bob("send", conversation, "hello", "--reply-to", sent.out.strip(), "--json")
    ).events
    assert (reply["event"], reply["kind"], reply["body"]) == ("sent", "text", "hello")
    assert reply["reply_to"] == sent.out.strip()


def heads(account: Account, conversation: str) -> object:
    """The head that an account has of a conversation."""
    session = account.talking.engine.sessions.get(account.conversations[conversation].id)
    return None if session is None or session.view is None else session.view.head


def test_a_group(pair: Pair) -> None:
    """Begun, invited to, accepted, shown, left."""
    become_contacts(pair)
    group = shoal(*pair.as_alice("conversation", "new")).out.strip()
    invited = shoal(*pair.as_alice("conversation", "invite", group, pair.bob_id))
    assert invited.out == "invited\n"
    alice, bob = accounts(pair)
    wait(pair.bob, lambda: bool(bob.conversations.requests()))
    listed = shoal(*pair.as_bob("conversation", "list"))
    assert f"{group[:12]}  invitation by" in listed.out
    assert shoal(*pair.as_bob("conversation", "accept", group)).out == "joined\n"
    wait(pair.alice, lambda: alice.conversations[group].members.get(bob.id) is Role.MEMBER)
    shown = shoal(*pair.as_alice("conversation", "show", group))
    assert f"{pair.alice_id}" in shown.out
    assert "(admin, you)" in shown.out

    banned = shoal(*pair.as_alice("conversation", "ban", group, pair.bob_id))
    assert banned.out == "banned\n"
    (event,) = shoal(*pair.as_alice("conversation", "unban", group, pair.bob_id, "--json")).events
    assert {member["role"] for member in event["members"]} == {"admin", "member"}
    assert shoal(*pair.as_alice("conversation", "leave", group)).out == "left\n"
    gone = shoal(*pair.as_alice("conversation", "show", group))
    assert gone.status == Exit.FAILED


def test_declined_and_unknown(pair: Pair) -> None:
    """What nobody invited us to cannot be declined; what is nothing cannot be told anything."""
    missing = "12" * 20
    for words in (
        ("conversation", "decline", missing),
        ("conversation", "log", missing),
        ("send", missing, "hello"),
    ):
        failed = shoal(*pair.as_alice(*words))
        assert failed.status == Exit.FAILED
        assert failed.err
