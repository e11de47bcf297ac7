"""`shoal conversation search`, `unread`, `export` and `reindex`, with two nodes that run."""

from __future__ import annotations

import json

from shoal.cli.common import Exit
from shoal.swarm.roles import Role
from tests.unit.cli.conftest import shoal
from tests.unit.cli.test_contact import Pair, pair, wait
from tests.unit.cli.test_conversation import accounts, become_contacts, heads

__all__ = ["pair"]


def test_what_was_said(pair: Pair) -> None:
    """It is found, counted, exported as text and JSON, and made anew."""
    conversation = become_contacts(pair)
    alice, bob = accounts(pair)
    ours = alice.conversations[conversation]
    wait(pair.alice, lambda: ours.members[bob.id] is Role.MEMBER)  # or the text may come before
    sent = shoal(*pair.as_alice("send", pair.bob_id, "Grüße an bob")).out.strip()
    wait(pair.bob, lambda: heads(bob, conversation) == heads(alice, conversation))

    (found,) = shoal(*pair.as_bob("conversation", "search", "grusse", "--json")).events
    assert (found["event"], found["id"], found["text"]) == ("found", sent, "Grüße an bob")
    only = shoal(
        *pair.as_bob("conversation", "search", "GRÜ", "--in", conversation, "--count", "1")
    )
    assert "Grüße an bob" in only.out
    assert shoal(*pair.as_bob("conversation", "search", "nowhere")).status == Exit.FAILED
    assert f"{conversation}  1 message\n" in shoal(*pair.as_bob("conversation", "unread")).out
    (new,) = shoal(*pair.as_bob("conversation", "unread", "--json")).events
    assert new["unread"] == 1

    text = shoal(*pair.as_bob("conversation", "export", conversation)).out.splitlines()
    assert text[0].endswith("began the conversation")
    assert text[-1].endswith("Grüße an bob")
    lines = shoal(*pair.as_bob("conversation", "export", conversation, "--format", "json")).out
    assert [json.loads(line)["text"] for line in lines.splitlines()][-1] == "Grüße an bob"
    events = shoal(*pair.as_bob("conversation", "export", conversation, "--json")).events
    assert events[-1]["event"] == "exported"
    assert events[-1]["messages"] == len(text) == len(events) - 1

    again = shoal(*pair.as_bob("conversation", "reindex", "--in", conversation))
    assert again.out.strip() == conversation
    (done,) = shoal(*pair.as_bob("conversation", "reindex", "--json")).events
    assert done["conversation"] == conversation
