"""Who has and has seen what, wishes, and declined invitations, with both generations of Jami."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from shoal.core import AccountId, CommitId
from shoal.swarm.marks import MessageStatus
from tests.peers.jami import JamiAccount
from tests.peers.talks import PATIENCE, JamiTalk, ShoalTalk
from tests.peers.town import GENERATIONS, NEW
from tests.peers.waiting import until, until_next_second

if TYPE_CHECKING:
    from pathlib import Path

    from tests.peers.shoal_node import ShoalHost
    from tests.peers.town import Town

pytestmark = pytest.mark.timeout(400)  # Jami takes its time on a busy machine


@pytest.fixture(params=GENERATIONS)
def theirs(request: pytest.FixtureRequest, town: Town) -> JamiAccount:
    """The account of one generation of Jami."""
    return town.account(request.param)


def begun(theirs: JamiAccount) -> str:
    """Begin a group, in a second of its own: two of one second would be one, and Jami fails."""
    until_next_second()
    return str(theirs.daemon.call("startConversation", theirs.name))


def wait_status(talk: ShoalTalk, uri: str, message: str, status: MessageStatus) -> None:
    """Wait until a message has come so far with somebody."""
    name, commit = AccountId.from_hex(uri), CommitId.from_hex(message)
    until(
        lambda: talk.host.run(talk.conversation.status_of(commit)).get(name) is status,
        f"{message} {status.value} at {uri}",
        PATIENCE,
        pause=0.2,
    )


def test_statuses_wishes_and_a_second_device(
    town: Town, ours: ShoalHost, theirs: JamiAccount, tmp_path: Path
) -> None:
    """A message of ours is delivered, then displayed; theirs as well, as they show it.

    Then a Jami of the same generation becomes our second device: it has what we have seen and want,
    and the invitations that wait; what it changes, we have.
    """
    account = ours.create("Ada")
    ours.run(account.contacts.add(theirs.uri))
    theirs.daemon.wait_request(theirs.name, account.id.hex())
    assert theirs.daemon.accept(theirs.name, account.id.hex())
    contact = account.contacts.get(theirs.uri)
    assert contact is not None
    here = ShoalTalk(ours, account, contact.conversation_id)
    here.wait_role(theirs.uri, "member")
    there = JamiTalk(theirs, here.id)

    sent = here.say("have you got this?")
    wait_status(here, theirs.uri, sent, MessageStatus.DELIVERED)
    there.wait_text("have you got this?")
    there.show(sent)
    wait_status(here, theirs.uri, sent, MessageStatus.DISPLAYED)
    heard = there.say("I have")
    here.wait_text("I have")
    here.show(heard)
    there.wait_shown(account.id.hex(), heard)
    there.type()
    until(lambda: AccountId.from_hex(theirs.uri) in here.conversation.composing, "typing", PATIENCE)

    ours.run(here.conversation.set_preferences(colour="#e5ae43", is_muted=True))
    groups = [begun(theirs), begun(theirs)]
    for group in groups:
        JamiTalk(theirs, group).invite(account.id.hex())
        ShoalTalk(ours, account, group).wait_invited()
    ours.run(account.export(tmp_path / "archive.gz"))
    daemon = theirs.daemon
    second = JamiAccount(daemon, daemon.import_archive(town.bootstrap, tmp_path / "archive.gz"))
    daemon.wait_announced(second.name)
    agrees(here, JamiTalk(second, here.id), groups, heard)


def agrees(here: ShoalTalk, second: JamiTalk, groups: list[str], heard: str) -> None:
    """Both devices of an account know the same, and change it for each other."""
    daemon, name = second.account.daemon, second.account.name
    second.wait_known()

    def wishes() -> dict[str, Any]:
        return dict(daemon.call("getConversationPreferences", name, here.id))

    wanted = {"color": "#e5ae43", "ignoreNotifications": "true"}
    until(lambda: wishes() == wanted, "what we want at Jami", PATIENCE, pause=0.2)
    for group in groups:
        JamiTalk(second.account, group).wait_invited()
    if daemon.kind == NEW:  # 13.7 tells its clients the marks of others only
        until(lambda: own_mark(second) == heard, "what we have seen at Jami", PATIENCE, pause=0.2)

    daemon.call("setConversationPreferences", name, here.id, {**wanted, "color": "#123456"})
    until(
        lambda: here.conversation.preferences.colour == "#123456", "what Jami wants here", PATIENCE
    )
    JamiTalk(second.account, groups[0]).decline()
    requests = here.account.conversations.requests
    until(
        lambda: [str(each.conversation) for each in requests()] == [groups[1]],
        "what Jami declined",
        PATIENCE,
    )
    here.host.run(here.account.conversations.decline(groups[1]))
    until(
        lambda: not daemon.call("getConversationRequests", name),
        "what we declined at Jami",
        PATIENCE,
        pause=0.2,
    )


def own_mark(second: JamiTalk) -> str:
    """The message up to which Jami counts our account as having seen it."""
    members = second.account.daemon.call("getConversationMembers", second.account.name, second.id)
    return next((str(m.get("lastDisplayed", "")) for m in members if m["uri"] == second.uri), "")
