"""What people and groups look like, between Shoal and both generations of Jami."""

from __future__ import annotations

import base64
import contextlib
from typing import TYPE_CHECKING, Final

import pytest

from shoal.core import DecodeError
from shoal.node.events import ProfileReceived
from shoal.swarm.vcards import VCard, read_vcard, write_person
from tests.peers.jami import JamiAccount
from tests.peers.talks import PATIENCE, JamiTalk, ShoalTalk
from tests.peers.town import GENERATIONS, NEW
from tests.peers.waiting import until
from tests.unit.swarm.test_vcards import PNG

if TYPE_CHECKING:
    from pathlib import Path

    from tests.peers.shoal_node import ShoalHost
    from tests.peers.town import Town

pytestmark = pytest.mark.timeout(400)  # Jami takes its time on a busy machine

OURS: Final = VCard("Ada of the reef", picture=PNG)
THEIRS: Final = VCard("Nemo", picture=b"\xff\xd8\xff\xe0 as a camera has it")


@pytest.fixture(params=GENERATIONS)
def theirs(request: pytest.FixtureRequest, town: Town) -> JamiAccount:
    """An account of one generation of Jami that has a profile; its clients write it so."""
    account = town.account(request.param)
    (account.daemon.folder(account.name) / "profile.vcf").write_bytes(write_person(THEIRS))
    return account


def wait_profile(theirs: JamiAccount, uri: str, card: VCard) -> None:
    """Wait until the daemon has a profile of *uri*, or of itself, where its clients look for it.

    13.7 leaves in its cache what it has received; its clients move that.
    """
    daemon, name = theirs.daemon, theirs.name
    file = f"{base64.b64encode(uri.encode()).decode()}.vcf"

    def is_there() -> bool:
        received = daemon.home.rglob(f"{name}/vcard/*_{uri}_*")
        paths = [daemon.folder(name) / "profiles" / file, *received]
        return any(each.is_file() and is_card(each.read_bytes(), card) for each in paths)

    until(is_there, f"{card.name!r} at {daemon.process.name}", PATIENCE, pause=0.2)


def is_card(data: bytes, card: VCard) -> bool:
    """Whether a file, which may still be written, is this vCard."""
    with contextlib.suppress(DecodeError):
        return read_vcard(data) == card
    return False


def test_people_and_groups(
    town: Town, ours: ShoalHost, theirs: JamiAccount, tmp_path: Path
) -> None:
    """Pictures of people go both ways, again when they change, and to another device of ours.

    A group's title, description and picture are the same on both sides, whoever began it.
    """
    account = ours.create("Ada")
    ours.run(account.profiles.set_own(name=OURS.name, picture=PNG))
    ours.run(account.contacts.add(theirs.uri))
    theirs.daemon.wait_request(theirs.name, account.id.hex())
    assert theirs.daemon.accept(theirs.name, account.id.hex())
    contact = account.contacts.get(theirs.uri)
    assert contact is not None
    here = ShoalTalk(ours, account, contact.conversation_id)
    here.wait_role(theirs.uri, "member")

    wait_profile(theirs, account.id.hex(), OURS)
    until(lambda: account.profiles[theirs.uri].has_picture, "their picture", PATIENCE)
    assert ours.run(account.profiles.card(theirs.uri)) == THEIRS
    ours.wait_event(ProfileReceived, lambda event: event.peer.hex() == theirs.uri)
    ours.run(account.profiles.set_own(name="Ada, moved"))
    wait_profile(theirs, account.id.hex(), VCard("Ada, moved", picture=PNG))

    looks_the_same(ours, here, theirs)

    ours.run(account.export(tmp_path / "archive.gz"))
    daemon = theirs.daemon
    second = JamiAccount(daemon, daemon.import_archive(town.bootstrap, tmp_path / "archive.gz"))
    daemon.wait_announced(second.name)
    wait_profile(second, account.id.hex(), VCard("Ada, moved", picture=PNG))
    if daemon.kind == NEW:  # 13.7 asks whom it cloned from, here itself
        wait_profile(second, theirs.uri, THEIRS)


def looks_the_same(ours: ShoalHost, here: ShoalTalk, theirs: JamiAccount) -> None:
    """A group of ours, then one of theirs."""
    daemon, name, picture = theirs.daemon, theirs.name, base64.b64encode(PNG).decode()
    group = ShoalTalk(ours, here.account, str(ours.run(here.account.conversations.create()).id))
    ours.run(group.conversation.set_profile(title="The reef", description="é✓", picture=PNG))
    ours.run(group.conversation.invite(theirs.uri))
    there = JamiTalk(theirs, group.id)
    there.wait_invited()
    (request,) = (
        each for each in daemon.call("getConversationRequests", name) if each.get("id") == group.id
    )
    assert request["title"] == "The reef"
    there.accept()
    group.wait_role(theirs.uri, "member")

    def shows(title: str) -> bool:
        infos = daemon.call("conversationInfos", name, group.id)
        return dict(infos).get("title") == title

    until(lambda: shows("The reef"), "the title at Jami", PATIENCE)
    infos = dict(daemon.call("conversationInfos", name, group.id))
    assert (infos["description"], infos["avatar"]) == ("é✓", picture)
    ours.run(group.conversation.set_profile(title="The whole reef"))
    until(lambda: shows("The whole reef"), "the new title at Jami", PATIENCE)

    begun = str(daemon.call("startConversation", name))
    JamiTalk(theirs, begun).invite(here.account.id.hex())
    mine = ShoalTalk(ours, here.account, begun)
    mine.wait_invited()
    mine.accept()
    # 13.7 tells nobody of what it commits while a join is under way, until it says something else.
    JamiTalk(theirs, begun).wait_role(mine.uri, "member")
    daemon.call("updateConversationInfos", name, begun, {"title": "Theirs", "avatar": picture})
    until(lambda: mine.conversation.title == "Theirs", "their title", PATIENCE)
    assert ours.run(mine.conversation.profile()).picture == PNG
