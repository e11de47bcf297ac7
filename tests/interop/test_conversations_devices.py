"""One account on devices of Jami and of Shoal: what one has, all have; an anchor stays awake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.peers.histories import check_by_git, check_encoded_anew
from tests.peers.jami import JamiAccount
from tests.peers.talks import PATIENCE, JamiTalk, ShoalTalk
from tests.peers.town import GENERATIONS
from tests.peers.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from shoal.node import Account, Contact
    from tests.peers.shoal_node import ShoalHost
    from tests.peers.town import Town

pytestmark = pytest.mark.timeout(400)  # Jami takes its time on a busy machine

KEY_BITS = 2048  # of our devices: drawn in a moment, and enough for Jami


@pytest.fixture(params=GENERATIONS)
def kind(request: pytest.FixtureRequest) -> str:
    """The generation of Jami."""
    return str(request.param)


def link(host: ShoalHost, archive: Path) -> Account:
    """Make a host of ours a device of an account."""
    account = host.run(host.node.accounts.import_archive(archive, key_bits=KEY_BITS))
    host.run(account.wait_announced(PATIENCE))
    return account


def move(talk: ShoalTalk, host: ShoalHost) -> ShoalTalk:
    """The same conversation on a host that was started anew."""
    account = host.node.accounts[talk.uri]
    host.run(account.wait_announced(PATIENCE))
    moved = ShoalTalk(host, account, talk.id)
    moved.wait_ready()
    return moved


def become_contacts(asking: ShoalHost, one: Account, asked: ShoalHost, other: Account) -> ShoalTalk:
    """Two of ours become contacts; return the conversation as the one who asked has it."""
    asking.run(one.contacts.add(other.id))
    until(other.contacts.requests, "the request", PATIENCE)
    asked.run(other.contacts.accept(one.id))
    contact = one.contacts.get(other.id)
    assert contact is not None
    talk = ShoalTalk(asking, one, contact.conversation_id)
    talk.wait_role(other.id.hex(), "member")
    return talk


def test_devices_and_an_anchor(town: Town, kind: str, tmp_path: Path) -> None:
    """Begun on a Shoal phone; Jami is the second device, an anchor linked to that the third.

    Contacts and conversations travel both ways. Then phone, Jami and their friend are never online
    together: what they say reaches all through the anchor.
    """
    phone, anchor, friends = town.shoal(), town.shoal(), town.shoal()
    eve, bob = phone.create("Eve"), friends.create("Bob")
    bobs = become_contacts(friends, bob, phone, eve)
    phones = ShoalTalk(phone, eve, bobs.id)
    bobs.say("to the phone")
    phones.wait_ready()
    phones.wait_text("to the phone")
    notes = ShoalTalk(phone, eve, str(phone.run(eve.conversations.create()).id))
    notes.say("a note on the phone")

    phone.run(eve.export(tmp_path / "archive.gz"))
    daemon = town.account(kind).daemon
    jami = JamiAccount(daemon, daemon.import_archive(town.bootstrap, tmp_path / "archive.gz"))
    daemon.wait_announced(jami.name)
    jamis, jamis_notes = JamiTalk(jami, bobs.id), JamiTalk(jami, notes.id)
    for talk in (jamis, jamis_notes):
        talk.wait_known()
    assert bobs.uri in daemon.contacts(jami.name)
    third = link(anchor, daemon.folder(jami.name) / "archive.gz")
    anchors, anchors_notes = (ShoalTalk(anchor, third, each) for each in (bobs.id, notes.id))
    for mirror in (anchors, anchors_notes):
        mirror.wait_ready()
    anchors.wait_text("to the phone")
    anchors_notes.wait_text("a note on the phone")
    assert bobs.uri in third.contacts

    synced_both_ways(jamis_notes, (notes, anchors_notes))
    bobs.say("to all of you")
    for side in (phones, anchors, jamis):
        side.wait_text("to all of you")
    jamis.say("from Jami")
    for mirror in (bobs, phones, anchors):
        mirror.wait_text("from Jami")
    never_together(town, phones, jamis, anchors, bobs)
    for repository in (jamis.repository, jamis_notes.repository, anchors.repository):
        assert check_by_git(repository) == check_encoded_anew(repository) > 0


def synced_both_ways(jamis: JamiTalk, ours: tuple[ShoalTalk, ShoalTalk]) -> None:
    """What one device begins, says or adds, the others have."""
    daemon, name = jamis.account.daemon, jamis.account.name
    jamis.say("a note at Jami")
    for mirror in ours:
        mirror.wait_text("a note at Jami")
    begun = str(daemon.call("startConversation", name))
    for mirror in ours:
        ShoalTalk(mirror.host, mirror.account, begun).wait_ready()
    here = ours[0]
    begun = str(here.host.run(here.account.conversations.create()).id)
    JamiTalk(jamis.account, begun).wait_known()
    theirs, own = "11" * 20, "22" * 20
    daemon.add_contact(name, theirs)
    here.host.run(here.account.contacts.add(own))
    for mirror in ours:
        for contact in (theirs, own):
            wait_contact(mirror, contact)
    until(lambda: own in daemon.contacts(name), "our contact at Jami", PATIENCE)
    for contact in (theirs, own):  # each came with a conversation of two
        record = wait_contact(ours[1], contact)
        ShoalTalk(ours[1].host, ours[1].account, record.conversation_id).wait_ready()


def wait_contact(mirror: ShoalTalk, uri: str) -> Contact:
    """Wait until a device knows a contact, with a conversation."""

    def look() -> Contact | None:
        found = mirror.account.contacts.get(uri)
        return found if found is not None and found.conversation_id else None

    return until(look, f"contact {uri} at {mirror.host.namespace.host}", PATIENCE)


def never_together(
    town: Town, phones: ShoalTalk, jamis: JamiTalk, anchors: ShoalTalk, bobs: ShoalTalk
) -> None:
    """Only the anchor is always there."""
    daemon, name = jamis.account.daemon, jamis.account.name
    phones.host.close()
    daemon.set_active(name, False)
    bobs.say("for later")
    anchors.wait_text("for later")
    bobs.host.close()

    daemon.set_active(name, True)
    jamis.wait_text("for later")
    jamis.say("Jami was here")
    anchors.wait_text("Jami was here")
    daemon.set_active(name, False)

    phones = move(phones, town.back(phones.host))
    for text in ("for later", "Jami was here"):
        phones.wait_text(text)
    phones.say("so was the phone")
    anchors.wait_text("so was the phone")
    phones.host.close()

    bobs = move(bobs, town.back(bobs.host))
    for text in ("Jami was here", "so was the phone"):
        bobs.wait_text(text)
    daemon.set_active(name, True)
    jamis.wait_text("so was the phone")
