"""`sync://` channels: opened once, told everything, tried again, closed on nonsense."""

from __future__ import annotations

import pytest

from shoal.identity import DeviceSync, SyncMessage
from shoal.node.account.effects import CloseChannel, OpenChannel, SendPacket, SyncArrived
from shoal.node.account.operations import Operations
from shoal.node.account.sync import (
    CHANNELS_PER_DEVICE_MAX,
    RETRY_FIRST,
    RETRY_MAX,
    SETTLE_TIME,
    DeviceSyncing,
)
from tests.unit.node.people import device

OWN, OTHER = device("alice").chain, device("alice", 1).chain
STATE = [b"state"]


@pytest.fixture
def syncing() -> DeviceSyncing:
    """Of one device."""
    return DeviceSyncing(Operations(), OWN.device)


def opened(syncing: DeviceSyncing, number: int = 1) -> int:
    """Let a channel with the other device be open."""
    (order,) = syncing.device_online(OTHER)
    assert isinstance(order, OpenChannel)
    assert order.op in syncing
    assert order.name == f"sync://{OTHER.device}"
    assert order.connection_type == "sync"
    assert syncing.channel_opened(order.op, number, STATE) == [SendPacket(number, b"state")]
    return number


def test_one_channel_is_opened_and_told_everything(syncing: DeviceSyncing) -> None:
    """Seeing the device again changes nothing."""
    number = opened(syncing)
    assert syncing.has_channel(number)
    assert syncing.device_online(OTHER) == []


def test_changes_are_gathered_and_told_to_all(syncing: DeviceSyncing) -> None:
    """Nobody there: nothing to tell."""
    syncing.state_changed(0.0)
    assert syncing.next_deadline() is None
    opened(syncing)
    syncing.channel_accepted(2, OTHER, STATE)
    syncing.state_changed(1.0)
    syncing.state_changed(1.1)
    assert syncing.next_deadline() == 1.0 + SETTLE_TIME
    assert syncing.is_due_to_send
    assert syncing.advance(1.1, STATE) == []
    assert syncing.advance(1.0 + SETTLE_TIME, [b"new"]) == [
        SendPacket(1, b"new"),
        SendPacket(2, b"new"),
    ]
    assert not syncing.is_due_to_send


def test_news_are_gathered_and_told_without_the_rest(syncing: DeviceSyncing) -> None:
    """The whole state, where it goes out, has them, too."""
    syncing.tell([b"lost"], 0.0)
    assert syncing.next_deadline() is None
    number = opened(syncing)
    syncing.tell([], 1.0)
    assert syncing.next_deadline() is None
    syncing.tell([b"one"], 1.0)
    syncing.tell([b"two"], 1.1)
    assert syncing.next_deadline() == 1.0 + SETTLE_TIME
    assert not syncing.is_due_to_send
    assert syncing.advance(1.0 + SETTLE_TIME, ()) == [
        SendPacket(number, b"one"),
        SendPacket(number, b"two"),
    ]
    syncing.tell([b"three"], 2.0)
    syncing.state_changed(2.0)
    assert syncing.advance(2.0 + SETTLE_TIME, STATE) == [SendPacket(number, b"state")]
    assert syncing.next_deadline() is None


def test_only_channels_with_our_name_are_taken(syncing: DeviceSyncing) -> None:
    """And only a few of one device."""
    assert syncing.accepts(OTHER, f"sync://{OWN.device}")
    assert not syncing.accepts(OTHER, f"sync://{OTHER.device}")
    for number in range(CHANNELS_PER_DEVICE_MAX):
        syncing.channel_accepted(number, OTHER, STATE)
    assert not syncing.accepts(OTHER, syncing.own_name)


def test_a_failed_attempt_is_repeated_with_growing_waits(syncing: DeviceSyncing) -> None:
    """For as long as the device is announced."""
    (order,) = syncing.device_online(OTHER)
    now, wait = 0.0, RETRY_FIRST
    for _ in range(8):
        assert isinstance(order, OpenChannel)
        assert syncing.channel_failed(order.op, now) == []
        assert syncing.channel_failed(order.op, now) == []
        assert syncing.next_deadline() == now + wait
        now += wait
        (order,) = syncing.advance(now, ())
        wait = min(2 * wait, RETRY_MAX)
    syncing.device_offline(OTHER.device)
    assert syncing.next_deadline() is None
    assert isinstance(order, OpenChannel)
    assert syncing.channel_opened(order.op, 9, STATE) == [CloseChannel(9)]


def test_a_closed_channel_is_opened_again(syncing: DeviceSyncing) -> None:
    """Unless there is another one with the device, or the device is gone."""
    opened(syncing)
    syncing.channel_accepted(2, OTHER, STATE)
    assert syncing.closed(1, 0.0) == []
    assert syncing.next_deadline() is None
    syncing.closed(2, 5.0)
    assert syncing.next_deadline() == 5.0 + RETRY_FIRST
    assert syncing.closed(2, 5.0) == []


def test_messages_are_taken_however_they_are_cut(syncing: DeviceSyncing) -> None:
    """And a stream that is none is closed."""
    number = opened(syncing)
    message = SyncMessage(DeviceSync(5))
    packed = message.pack()
    assert syncing.received(number, packed[:3]) == []
    assert syncing.received(number, packed[3:]) == [SyncArrived(OTHER, message)]
    assert syncing.stats.received == 1

    assert syncing.received(number, b"\xc1") == [CloseChannel(number)]
    assert syncing.stats.undecodable == 1
    assert syncing.received(number, packed) == []


def test_a_revoked_device_is_told_nothing_more(syncing: DeviceSyncing) -> None:
    """Its channels are closed, and it is not called again."""
    opened(syncing)
    assert syncing.device_revoked(OTHER.device) == [CloseChannel(1)]
    syncing.state_changed(0.0)
    assert syncing.next_deadline() is None
