"""A network of people: they meet, talk, leave and come back; what does not happen, fails."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from shoal.bot import Bot, Message
from shoal.swarm import MemberAction
from shoal.testing import LoopbackNetwork

if TYPE_CHECKING:
    from pathlib import Path


def test_people_talk(shoal_network: LoopbackNetwork, tmp_path: Path) -> None:
    """Without any bot: contacts, texts, edits, reactions, files, groups, being away."""
    alice, bob = shoal_network.user("Alice"), shoal_network.user("Bob")
    with pytest.raises(ValueError, match="called Bob"):
        shoal_network.user("Bob")
    talk = alice.meet(bob)
    theirs = bob.talk_with(alice)
    hello = talk.say("hello")
    heard = theirs.expect("hello", by=alice)
    theirs.react(heard, "👋")
    talk.expect_reaction("👋")
    theirs.unreact(heard, "👋")
    talk.expect_edit("")
    theirs.say("good day", reply_to=heard)
    assert talk.expect(re.compile("good")).author == bob.id
    talk.edit(hello, "hello!")
    theirs.expect_edit("hello!")
    note = tmp_path / "note.txt"
    note.write_text("by hand")
    talk.send_file(note)
    offer = theirs.expect_file("note.txt")
    assert theirs.download(offer, tmp_path / "theirs").read_text() == "by hand"
    theirs.expect_nothing(0.2)

    bob.go_offline()
    talk.say("are you there?")
    with pytest.raises(AssertionError, match="Bob is offline"):
        theirs.say("no")
    bob.come_back()
    theirs.expect("are you there?")

    group = alice.new_group(bob)
    group.expect_member(MemberAction.JOIN, bob)
    group.say("all of us")
    assert group.texts() == [("Alice", "all of us")]
    group.leave()
    assert "says 'hello'" in str(shoal_network.transcript)
    assert "sees 'hello' of Alice" in str(shoal_network.transcript)


def test_what_does_not_happen_fails_with_the_transcript(tmp_path: Path) -> None:
    """Whoever reads the failure sees what was awaited, and all that happened."""
    bot = Bot("Parrot")

    @bot.on_message()
    async def answer(message: Message) -> None:
        await message.say("pieces of eight")

    with LoopbackNetwork(tmp_path) as network:
        talk = network.user("Alice").meet(network.bot(bot))
        talk.say("hello")
        talk.expect("pieces of eight")
        network.patience = 0.2
        with pytest.raises(AssertionError, match=r"Alice sees 'pieces of nine'(?s:.*)says 'hello'"):
            talk.expect("pieces of nine")
        network.patience = 60
        talk.say("again")
        with pytest.raises(AssertionError, match="expected nothing, and saw 'pieces of eight'"):
            talk.expect_nothing(60)
    network.close()  # harmless twice
