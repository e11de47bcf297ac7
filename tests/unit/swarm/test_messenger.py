"""Lines to devices: dialects, waiting, answers."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from shoal.core import AccountId, ConversationId, DeviceId
from shoal.sim.entropy import SeededEntropy
from shoal.swarm import messenger as module
from shoal.swarm.effects import CloseChannel, OpenChannel, WriteChannel
from shoal.swarm.message_wire import DeviceMessage, MessageReader, encode
from shoal.swarm.messenger import Dialect, LineOpened, Messenger, NoticeArrived
from shoal.swarm.notices import ComposingNotice, InvitationWanted, write_notice
from shoal.swarm.sip_wire import SipMessage, SipReader, encode_message

if TYPE_CHECKING:
    import pytest

ALICE, BOB = AccountId(bytes(20)), AccountId(bytes([1]) * 20)
OURS, THEIRS = DeviceId(bytes(32)), DeviceId(bytes([1]) * 32)
NOTICE = InvitationWanted(ConversationId(bytes(20)))


def make() -> Messenger:
    """Alice's messenger."""
    numbers = itertools.count(1)
    return Messenger(ALICE, OURS, SeededEntropy(1), lambda: next(numbers))


def sip(number: int = 1, sender: AccountId = BOB) -> bytes:
    """A SIP message of bob's."""
    return encode_message(
        to=ALICE,
        sender=sender,
        name="Bob",
        mime="application/invite",
        content=str(NOTICE.conversation),
        token=str(number),
        sequence=1,
        date="",
    )


def answers(effects: list[module.MessengerEffect]) -> list[SipMessage]:
    """What is written, read as SIP."""
    return [
        message
        for effect in effects
        if isinstance(effect, WriteChannel)
        for message in SipReader().feed(effect.data)
    ]


def test_the_newer_dialect_first() -> None:
    """A notice opens `msg:`; it is written when the channel is there."""
    messenger = make()
    assert messenger.send(BOB, THEIRS, NOTICE, 0.0, dial=True) == [
        OpenChannel(1, THEIRS, f"msg:{THEIRS}")
    ]
    assert 1 in messenger
    assert messenger.connect(BOB, THEIRS) == []
    written, opened = messenger.opened(1, 9, 0.0)
    assert isinstance(written, WriteChannel)
    (message,) = MessageReader().feed(written.data)
    assert (message.mime, message.content) == write_notice(NOTICE)
    assert opened == LineOpened(BOB, THEIRS, Dialect.MSG)
    assert messenger.dialect(THEIRS) is Dialect.MSG
    assert messenger.devices() == [(BOB, THEIRS)]
    assert len(messenger.send(BOB, THEIRS, NOTICE, 0.0, dial=False)) == 1


def test_sip_where_it_is_declined() -> None:
    """The next try is `sip`; what waits goes there, and the dialect is remembered."""
    messenger = make()
    messenger.send(BOB, THEIRS, NOTICE, 0.0, dial=True)
    assert messenger.open_failed(1, was_declined=True) == [OpenChannel(2, THEIRS, "sip")]
    effects = messenger.opened(2, 9, 1_795_218_749.0)
    (message,) = answers(effects)
    assert message.method == "MESSAGE"
    assert message.sender == str(ALICE)
    assert message.header("date") == "Fri Nov 20 23:52:29 2026"
    messenger.closed(9)
    assert messenger.dialect(THEIRS) is None
    assert messenger.send(BOB, THEIRS, NOTICE, 0.0, dial=True) == [OpenChannel(3, THEIRS, "sip")]


def test_what_cannot_be_delivered_is_dropped() -> None:
    """When nothing opens; and at once where no line is wanted."""
    messenger = make()
    assert messenger.send(BOB, THEIRS, NOTICE, 0.0, dial=False) == []
    messenger.send(BOB, THEIRS, NOTICE, 0.0, dial=True)
    assert messenger.open_failed(1, was_declined=False) == []
    assert messenger.stats.dropped == 2
    messenger.send(BOB, THEIRS, NOTICE, 0.0, dial=True)
    messenger.open_failed(2, was_declined=True)
    assert messenger.open_failed(3, was_declined=True) == []
    assert messenger.connect(BOB, THEIRS) == [OpenChannel(4, THEIRS, f"msg:{THEIRS}")]


def test_only_the_latest_waits() -> None:
    """Of each kind and conversation one; of all not too many."""
    messenger = make()
    for number in range(module.WAITING_MAX + 5):
        conversation = ConversationId(number.to_bytes(20))
        for is_active in (True, False):
            notice = ComposingNotice(conversation, is_active)
            messenger.send(BOB, THEIRS, notice, 0.0, dial=True)
    effects = messenger.opened(1, 9, 0.0)
    assert len(effects) == module.WAITING_MAX + 1
    assert messenger.stats.dropped == 5


def test_notices_arrive() -> None:
    """On a channel that a device opened to us; one that makes no sense costs only itself."""
    messenger = make()
    assert messenger.accepts(f"msg:{OURS}")
    assert messenger.accepts("sip")
    assert not messenger.accepts(f"msg:{THEIRS}")
    assert messenger.accepted(9, BOB, THEIRS, f"msg:{OURS}", 0.0) == [
        LineOpened(BOB, THEIRS, Dialect.MSG)
    ]
    assert messenger.accepted(10, BOB, THEIRS, f"msg:{OURS}", 0.0) == []
    good, bad = (
        encode(DeviceMessage(*write_notice(NOTICE))),
        encode(DeviceMessage("application/invite", "x")),
    )
    other = encode(DeviceMessage("text/plain", "hello"))
    assert messenger.receive(9, bad + other + good, 0.0) == [NoticeArrived(BOB, THEIRS, NOTICE)]
    assert messenger.stats.undecodable == 1
    assert messenger.receive(9, b"\xc1", 0.0) == [CloseChannel(9)]
    assert not messenger.has_channel(9)
    assert messenger.has_channel(10)


def test_sip_is_answered() -> None:
    """200 for a message, also for one seen before; 403 in another's name; no calls."""
    messenger = make()
    messenger.accepted(9, BOB, THEIRS, "sip", 0.0)
    effects = messenger.receive(9, sip(), 0.0)
    assert [each.status for each in answers(effects)] == [200]
    assert effects[-1] == NoticeArrived(BOB, THEIRS, NOTICE)
    again = messenger.receive(9, sip(), 0.0)
    assert [each.status for each in answers(again)] == [200]
    assert len(again) == 1
    spoofed = messenger.receive(9, sip(2, ALICE), 0.0)
    assert [each.status for each in answers(spoofed)] == [403]
    assert messenger.stats.spoofed == 1
    for method, status in ((b"INVITE", 486), (b"OPTIONS", 501)):
        request = sip().replace(b"MESSAGE sips", method + b" sips")
        assert [each.status for each in answers(messenger.receive(9, request, 0.0))] == [status]
    for nothing in (
        b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"ACK sip:a SIP/2.0\r\nl: 0\r\n\r\n",
    ):
        assert messenger.receive(9, nothing, 0.0) == []
    assert messenger.receive(9, b"GET / HTTP/1.1\r\n\r\n", 0.0) == [CloseChannel(9)]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices and message ids are forgotten when there are too many."""
    monkeypatch.setattr(module, "LINES_MAX", 2)
    monkeypatch.setattr(module, "TOKENS_MAX", 2)
    messenger = make()
    messenger.accepted(9, BOB, THEIRS, "sip", 0.0)
    for number in range(2, 6):
        messenger.send(BOB, DeviceId(bytes([number]) * 32), NOTICE, 0.0, dial=False)
        messenger.receive(9, sip(number), 0.0)
    assert messenger.dialect(THEIRS) is Dialect.SIP
    assert len(answers(messenger.receive(9, sip(2), 0.0))) == 1


def test_a_device_has_a_few_channels() -> None:
    """Each further one closes its oldest, so that what one device costs is bounded."""
    messenger = make()
    closed: list[int] = []
    for channel in range(module.CHANNELS_MAX + 3):
        effects = messenger.accepted(channel, BOB, THEIRS, f"msg:{OURS}", 0.0)
        closed += [each.channel for each in effects if isinstance(each, CloseChannel)]

    assert closed == [0, 1, 2]
    assert not messenger.has_channel(0)
    assert messenger.dialect(THEIRS) is Dialect.MSG
