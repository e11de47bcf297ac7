"""Conversations between Shoal and both generations of Jami: of two, and in groups."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from shoal.swarm.errors import ConversationEndedError
from tests.peers.histories import check_by_git, check_encoded_anew
from tests.peers.talks import PATIENCE, JamiTalk, ShoalTalk
from tests.peers.town import GENERATIONS, NEW, OLD
from tests.peers.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.node import Account
    from tests.peers.jami import JamiAccount
    from tests.peers.shoal_node import ShoalHost
    from tests.peers.talks import Talk
    from tests.peers.town import Town

pytestmark = pytest.mark.timeout(300)  # Jami takes its time on a busy machine


@pytest.fixture(params=GENERATIONS)
def theirs(request: pytest.FixtureRequest, town: Town) -> JamiAccount:
    """The account of one generation of Jami."""
    return town.account(request.param)


@pytest.fixture
def account(ours: ShoalHost) -> Account:
    """A fresh account of ours, announced."""
    return ours.create("Ada")


def become_contacts(
    ours: ShoalHost, account: Account, theirs: JamiAccount
) -> tuple[ShoalTalk, JamiTalk]:
    """We ask, they accept; return the conversation of both, seen from each side."""
    ours.run(account.contacts.add(theirs.uri))
    theirs.daemon.wait_request(theirs.name, account.id.hex())
    assert theirs.daemon.accept(theirs.name, account.id.hex())
    contact = account.contacts.get(theirs.uri)
    assert contact is not None
    here = ShoalTalk(ours, account, contact.conversation_id)
    here.wait_role(theirs.uri, "member")
    return here, JamiTalk(theirs, here.id)


def join(here: ShoalTalk, there: JamiTalk) -> None:
    """We invite, they accept."""
    here.host.run(here.conversation.invite(there.uri))
    there.wait_invited()
    there.accept()
    here.wait_role(there.uri, "member")


def new_group(ours: ShoalHost, account: Account) -> ShoalTalk:
    """A group that we begin."""
    return ShoalTalk(ours, account, str(ours.run(account.conversations.create()).id))


def talk(speaker: Talk, others: Sequence[Talk], subject: str) -> None:
    """One says everything that there is to say, and the others see all of it."""
    first = speaker.say(f"{subject}: hello, é✓ 🐟")
    for other in others:
        other.wait_text(f"{subject}: hello, é✓ 🐟")
    for other in others:
        speaker.wait_sent(other.uri, first)
        other.show(first)
        speaker.wait_shown(other.uri, first)
    speaker.reply(f"{subject}: and a reply", first)
    speaker.edit(first, f"{subject}: hello again")
    speaker.react(first, f"👍 {subject}")
    second = speaker.say(f"{subject}: said in error")
    for other in others:
        other.wait_text(f"{subject}: and a reply", first)
        other.wait_text(f"{subject}: hello again", first)
        other.wait_text(f"👍 {subject}", first)
        other.wait_text(f"{subject}: said in error")
    speaker.edit(second, "")
    speaker.unreact(first, f"👍 {subject}")
    speaker.type()
    for other in others:
        other.wait_deleted(second)
        other.wait_unreacted(first, f"👍 {subject}")


def let_time_pass() -> None:
    """Wait until git's clock has moved: who is older is to be certain, also if clocks are set."""
    began = int(time.time())
    until(lambda: int(time.time()) > began + 1, "the second after the next")


def check_repositories(*sides: Talk) -> None:
    """Stock git and our codecs accept what everybody has."""
    for side in sides:
        assert check_by_git(side.repository) > 0
        assert check_encoded_anew(side.repository) > 0


def test_of_two(ours: ShoalHost, account: Account, theirs: JamiAccount) -> None:
    """We begin: all that can be said, both ways, and what was said while they were away."""
    here, there = become_contacts(ours, account, theirs)
    talk(here, [there], "the reef")
    talk(there, [here], "the tide")
    here.wait_typing(there.uri)
    there.wait_typing(here.uri)

    theirs.daemon.set_active(theirs.name, False)
    here.say("while you were away")
    let_time_pass()
    there.say("while nobody heard me")
    theirs.daemon.set_active(theirs.name, True)
    here.wait_text("while nobody heard me")
    there.wait_text("while you were away")
    last = here.say("and all is well")
    there.wait_text("and all is well")
    until(lambda: there.order()[-1] == last, "the last message at Jami", PATIENCE)
    assert here.order() == there.order()
    check_repositories(here, there)


def test_they_begin(ours: ShoalHost, account: Account, theirs: JamiAccount) -> None:
    """Jami's conversation is cloned by us; we join; texts go both ways."""
    me = account.id.hex()
    theirs.daemon.call("addContact", theirs.name, me)
    theirs.daemon.ask_for_trust(theirs.name, me)
    until(account.contacts.requests, "their request", PATIENCE)
    ours.run(account.contacts.accept(theirs.uri))
    found = until(
        lambda: next((each for each in account.conversations.list() if each.is_ready), None),
        "their conversation",
        PATIENCE,
    )
    here, there = ShoalTalk(ours, account, str(found.id)), JamiTalk(theirs, str(found.id))
    here.say("thank you for asking")
    there.wait_text("thank you for asking")
    there.say("you are welcome")
    here.wait_text("you are welcome")
    assert all(message.is_verified for message in here.messages())


def test_a_group_of_theirs(ours: ShoalHost, account: Account, theirs: JamiAccount) -> None:
    """Jami invites two of us; one is voted out and taken back; invitations are declined, too."""
    bob = ours.create("Bob")
    for each in (account, bob):
        become_contacts(ours, each, theirs)
    there = JamiTalk(theirs, theirs.daemon.call("startConversation", theirs.name))
    ada_here, bob_here = ShoalTalk(ours, account, there.id), ShoalTalk(ours, bob, there.id)
    for guest in (ada_here, bob_here):
        there.invite(guest.uri)
        guest.wait_invited()
        guest.accept()
        there.wait_role(guest.uri, "member")
    bob_here.say("a guest's words")
    sides: Sequence[Talk] = (ada_here, there)
    for side in sides:
        side.wait_text("a guest's words")

    there.ban(bob_here.uri)
    ada_here.wait_role(bob_here.uri, "banned")
    is_unaware = says(bob_here, "to nobody")
    there.say("among us")
    ada_here.wait_text("among us")
    assert "to nobody" not in ada_here.texts()
    if "among us" in bob_here.texts():  # 13.7 serves the banned who ask: then they read why
        bob_here.wait_role(bob_here.uri, "banned")

    there.invite(bob_here.uri)
    for guest in (ada_here, bob_here):
        guest.wait_role(bob_here.uri, "member")
        guest.wait_text("among us")
        if is_unaware:
            guest.wait_text("to nobody")
    bob_here.say("back again")
    for side in sides:
        side.wait_text("back again")
    check_repositories(ada_here, bob_here, there)

    there = JamiTalk(theirs, theirs.daemon.call("startConversation", theirs.name))
    declined = ShoalTalk(ours, account, there.id)
    there.invite(declined.uri)
    declined.wait_invited()
    declined.decline()
    there.wait_role(declined.uri, "invited")  # nobody hears of it
    assert all(str(each.id) != there.id for each in account.conversations.list())


def says(banned: ShoalTalk, text: str) -> bool:
    """Let somebody who is banned say something, unless they know; return whether they did.

    Who bans does not tell the banned. But 13.7 serves them when they ask, and then they read why.
    """
    try:
        banned.say(text)
    except ConversationEndedError:
        banned.wait_role(banned.uri, "banned")
        return False
    return True


def test_both_generations_in_one_group(town: Town, ours: ShoalHost, account: Account) -> None:
    """Shoal carries between Jami of 2023 and of 2026, who cannot tell each other anything."""
    old, new = town.account(OLD), town.account(NEW)
    for each in (old, new):
        become_contacts(ours, account, each)
    here = new_group(ours, account)
    for guest in (JamiTalk(old, here.id), JamiTalk(new, here.id)):
        here.host.run(here.conversation.invite(guest.uri))
        guest.wait_invited()
        guest.decline()
        here.wait_role(guest.uri, "invited")  # nobody hears of it
    group = new_group(ours, account)
    here, there_old, there_new = group, JamiTalk(old, group.id), JamiTalk(new, group.id)
    join(here, there_new)  # first: 13.7 takes no commits of devices that it never met
    join(here, there_old)
    talk(here, [there_old, there_new], "from the reef")
    here.say("now you")
    for listener in (there_old, there_new):
        listener.wait_text("now you")
    said_old = there_old.say("from 2023")
    let_time_pass()  # of one second, each side reads in an order of its own
    said_new = there_new.say("from 2026")
    here.wait_text("from 2023")
    there_new.wait_text("from 2023")
    here.wait_text("from 2026")
    there_old.wait_text("from 2026")
    there_new.reply("2026 to 2023", said_old)
    there_old.wait_text("2026 to 2023", said_old)
    there_old.react(said_new, "🐚")
    there_new.wait_text("🐚", said_new)
    merge_all(here, there_old, there_new)
    for banned, other in ((there_old, there_new), (there_new, there_old)):
        vote_out_and_back(here, banned, other)
    check_repositories(here, there_old, there_new)


def merge_all(here: ShoalTalk, there_old: JamiTalk, there_new: JamiTalk) -> None:
    """All three speak while they cannot hear each other; then each has the same history."""
    sides: Sequence[Talk] = (here, there_old, there_new)
    theirs = (there_old.account, there_new.account)
    for each in theirs:
        each.daemon.set_active(each.name, False)
    for turn in range(2):
        for side in sides:
            side.say(f"alone {turn}")
            let_time_pass()
    for each in theirs:
        each.daemon.set_active(each.name, True)
    until(lambda: sum(t.startswith("alone") for t in here.texts()) == 6, "all six", PATIENCE)
    last = here.say("together")
    until(lambda: all(side.order()[-1] == last for side in sides), "one end", PATIENCE)
    assert here.order() == there_old.order() == there_new.order()


def vote_out_and_back(here: ShoalTalk, banned: JamiTalk, other: JamiTalk) -> None:
    """We vote somebody out, who goes on speaking, and take them back."""
    kind = banned.account.daemon.kind
    here.host.run(here.conversation.ban(banned.uri))
    other.wait_role(banned.uri, "banned")
    banned.say(f"{kind} is out")
    other.say(f"without {kind}")
    here.wait_text(f"without {kind}")
    assert f"{kind} is out" not in here.texts()
    here.host.run(here.conversation.unban(banned.uri))
    other.wait_role(banned.uri, "member")
    here.wait_text(f"{kind} is out")
    banned.wait_text(f"without {kind}")
    banned.say(f"{kind} is back")
    here.wait_text(f"{kind} is back")
    other.wait_text(f"{kind} is back")
