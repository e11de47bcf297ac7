"""Contacts between Shoal and both generations of Jami: asked, seen, accepted, declined, blocked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from shoal.net.errors import ConnectError, ConnectStep
from shoal.node import Presence
from shoal.node.events import ConnectionOpened, ContactChanged, PresenceChanged, RequestReceived
from tests.peers.town import GENERATIONS
from tests.peers.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.node import Account
    from tests.peers.jami import JamiAccount
    from tests.peers.shoal_node import ShoalHost
    from tests.peers.town import Town

pytestmark = pytest.mark.timeout(300)  # RSA keys and Jami take their time on a busy machine

CARD: Final = b"BEGIN:VCARD\nVERSION:2.1\nFN:Ada of the reef\nEND:VCARD"
PATIENCE: Final = 90.0  # seconds, on a busy machine


@pytest.fixture
def account(ours: ShoalHost) -> Account:
    """A fresh account of ours, announced."""
    return ours.create("Ada")


def about(theirs: JamiAccount, account: Account) -> Callable[[object], bool]:
    """Return whether an event is about these two accounts."""

    def look(event: object) -> bool:
        ids = (getattr(event, "account", None), getattr(event, "peer", None))
        return ids == (account.id, bytes.fromhex(theirs.uri))

    return look


class TestWeAsk:
    """Our request at a Jami account."""

    def test_accepted(self, ours: ShoalHost, account: Account, theirs: JamiAccount) -> None:
        """It is seen with its profile, accepted, and we hear of that; it is seen online."""
        ours.run(account.contacts.add(theirs.uri, payload=CARD))
        request = theirs.daemon.wait_request(theirs.name, account.id.hex())
        assert request["payload"].encode() == CARD

        assert theirs.daemon.accept(theirs.name, account.id.hex())
        confirmed = ours.wait_event(
            ContactChanged, lambda event: about(theirs, account)(event) and event.is_confirmed
        )
        assert confirmed.is_active
        known = theirs.daemon.contacts(theirs.name)[account.id.hex()]
        assert known["confirmed"] == "true"

        ours.wait_event(
            PresenceChanged,
            lambda event: (
                about(theirs, account)(event)
                and event.presence in {Presence.ANNOUNCED, Presence.CONNECTED}
            ),
        )
        assert [device.hex() for device in ours.run(account.find_devices(theirs.uri))] == [
            theirs.device
        ]

    def test_declined(self, ours: ShoalHost, account: Account, theirs: JamiAccount) -> None:
        """Nothing tells us so; asking again is seen again."""
        me = account.id.hex()
        ours.run(account.contacts.add(theirs.uri))
        theirs.daemon.wait_request(theirs.name, me)
        assert theirs.daemon.decline(theirs.name, me)
        assert me not in {each["from"] for each in theirs.daemon.trust_requests(theirs.name)}

        contact = account.contacts.get(theirs.uri)
        assert contact is not None
        assert not contact.is_confirmed
        ours.run(account.contacts.add(theirs.uri, payload=CARD))
        theirs.daemon.wait_request(theirs.name, me)


class TestJamiAsks:
    """A Jami account's request at ours."""

    def test_accepted(self, ours: ShoalHost, account: Account, theirs: JamiAccount) -> None:
        """We see it with its profile and conversation; once accepted both sides are confirmed."""
        me = account.id.hex()
        theirs.daemon.ask_for_trust(theirs.name, me, CARD)
        asked = ours.wait_event(RequestReceived, about(theirs, account))
        assert asked.payload == CARD
        assert asked.conversation_id == theirs.daemon.contacts(theirs.name)[me]["conversationId"]

        contact = ours.run(account.contacts.accept(theirs.uri))
        assert contact.conversation_id == asked.conversation_id
        assert account.contacts.requests() == ()
        theirs.daemon.wait_confirmed(theirs.name, me)

    def test_declined(self, ours: ShoalHost, account: Account, theirs: JamiAccount) -> None:
        """It is gone here, Jami is not told, and may ask again."""
        me = account.id.hex()
        theirs.daemon.ask_for_trust(theirs.name, me)
        ours.wait_event(RequestReceived, about(theirs, account))
        ours.run(account.contacts.decline(theirs.uri))
        assert account.contacts.requests() == ()
        assert theirs.uri not in account.contacts
        assert theirs.daemon.contacts(theirs.name)[me].get("confirmed") != "true"

        mark = len(ours.events)
        theirs.daemon.ask_for_trust(theirs.name, me)
        ours.wait_event(RequestReceived, about(theirs, account), after=mark)


class TestBlocking:
    """Who is blocked reaches nobody."""

    def test_we_block(self, ours: ShoalHost, account: Account, theirs: JamiAccount) -> None:
        """Its connection ends at once, it gets no other, and its requests are not seen."""
        me = account.id.hex()
        theirs.daemon.ask_for_trust(theirs.name, me)
        ours.wait_event(RequestReceived, about(theirs, account))
        ours.run(account.contacts.accept(theirs.uri))
        theirs.daemon.wait_confirmed(theirs.name, me)
        channel = ours.run(account.connect(theirs.uri, "sip"))

        ours.run(account.contacts.block(theirs.uri))
        ours.run(channel.wait_closed())
        until(lambda: account.connections() == [], "the end of the connections", PATIENCE)
        mark, refused = len(ours.events), account.refusals
        theirs.daemon.ask_for_trust(theirs.name, me)
        theirs.daemon.send_text(theirs.name, me, "let me in")  # which makes it call
        until(
            lambda: account.refusals >= refused + 2, "a refused request, a refused call", PATIENCE
        )
        assert account.contacts.requests() == ()
        assert account.connections() == []
        assert not any(
            about(theirs, account)(each)
            for each in ours.events[mark:]
            if isinstance(each, ConnectionOpened | RequestReceived)
        )

        ours.run(account.contacts.unblock(theirs.uri))
        assert theirs.uri in account.contacts
        ours.run(account.connect(theirs.uri, "sip"))

    def test_jami_blocks(self, town: Town, ours: ShoalHost, account: Account) -> None:
        """Blocked by Jami, we get no answer, and know at which step, within the deadline."""
        me = account.id.hex()
        blockers = [town.account(kind) for kind in GENERATIONS]
        calls = []
        for theirs in blockers:
            theirs.daemon.remove_contact(theirs.name, me, ban=True)
            ours.run(account.contacts.add(theirs.uri))
            calls.append(ours.begin(account.connect(theirs.uri, "sip")))

        for theirs, call in zip(blockers, calls, strict=True):
            with pytest.raises(ConnectError) as refused:
                call.result(PATIENCE)
            assert refused.value.step is ConnectStep.SIGNALLING
            waiting = theirs.daemon.trust_requests(theirs.name)
            assert me not in {each["from"] for each in waiting}
