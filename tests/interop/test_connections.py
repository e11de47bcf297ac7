"""Connections with both generations of Jami, each as caller and as callee.

Nothing of ours stands above `shoal.net` here. Strangers may connect, since that is what these are.
"""

from __future__ import annotations

import contextlib
from queue import Empty
from typing import TYPE_CHECKING

import pytest

from shoal.core import AccountId
from shoal.net.errors import ChannelDeclinedError, ConnectError, ConnectStep
from tests.peers.jami import JamiAccount
from tests.peers.shoal_device import ShoalDevice
from tests.peers.sip_git import first_sip_message, sip_request
from tests.peers.town import GENERATIONS
from tests.peers.waiting import until

if TYPE_CHECKING:
    from shoal.net import Channel
    from tests.peers.town import Town


@pytest.fixture(scope="module")
def device(town: Town) -> ShoalDevice:
    """A device of ours in the town."""
    return town.keep(ShoalDevice(town.bench.add_host(), town.bootstrap))


@pytest.fixture(scope="module", params=GENERATIONS)
def jami(town: Town, request: pytest.FixtureRequest) -> JamiAccount:
    """An account of Jami that lets strangers connect."""
    daemon = town.jami(request.param)
    name = daemon.add_account(town.bootstrap, DHT_PublicInCalls="true")
    daemon.wait_announced(name)
    return JamiAccount(daemon, name)


def exchange(device: ShoalDevice, jami: JamiAccount, channel: Channel) -> bytes:
    """Say something over SIP on *channel*; return what comes back."""

    async def talk() -> bytes:
        sender = device.account.keys.id.hex()
        channel.write(sip_request("MESSAGE", sender, jami.uri, "hello"))
        await channel.drain()
        stream = b""
        while first_sip_message(stream) is None:
            piece = await channel.read(65_536)
            assert piece, "the channel ended"
            stream += piece
        return stream

    return device.run(talk())


def hang_up(device: ShoalDevice, channel: Channel) -> None:
    """Close the connection under *channel*, and what Jami opens meanwhile."""

    def is_over() -> bool:
        device.do(lambda: device.connections.close_device(channel.peer.device))
        return channel.is_closed and not device.do(device.connections.connections)

    until(is_over, "no connection")


def called_by(device: ShoalDevice, jami: JamiAccount) -> Channel:
    """Let Jami say something until it connects: a text may go to a connection that just ended."""
    for _ in range(5):
        jami.daemon.send_text(jami.name, device.account.keys.id.hex(), "hello")
        with contextlib.suppress(Empty):
            while True:
                channel = device.next_channel(30.0)
                if not channel.is_closed and channel.peer.device.hex() == jami.device:
                    return channel
    pytest.fail("Jami does not call")


def test_jami_calls(device: ShoalDevice, jami: JamiAccount) -> None:
    """It has something to say to us, so it connects by itself: we are the TLS client.

    13.7 has SIP for texts and waits for us; Jami of 2026 has a channel for them, and begins.
    """
    channel = called_by(device, jami)
    info = device.do(lambda: channel.connection)

    assert channel.peer.device.hex() == jami.device
    assert info is not None
    assert not info.is_caller
    assert info.tls == "TLSv1.3 TLS_AES_256_GCM_SHA384"
    if channel.name == "sip":
        assert exchange(device, jami, channel).startswith(b"SIP/2.0 ")
    else:
        assert channel.name == f"msg:{device.account.device.device}"
        assert b"hello" in device.run(channel.read_packet())
    hang_up(device, channel)


def test_we_call(device: ShoalDevice, jami: JamiAccount) -> None:
    """We are the TLS server, and open a channel that Jami takes; another one it declines."""
    peer = device.device_of(jami.uri)
    assert peer.device.hex() == jami.device

    channel = device.connect(peer, "sip", timeout=60.0)
    with pytest.raises(ConnectError) as declined:
        device.connect(peer, "nobody://knows", timeout=60.0)
    info = device.do(lambda: channel.connection)

    assert info is not None
    assert info.is_caller
    assert info.tls == "TLSv1.3 TLS_AES_256_GCM_SHA384"
    assert declined.value.step is ConnectStep.CHANNEL
    assert isinstance(declined.value.cause, ChannelDeclinedError)
    assert exchange(device, jami, channel).startswith(b"SIP/2.0 ")
    hang_up(device, channel)


def test_who_may_not_connect_hears_nothing(
    town: Town, device: ShoalDevice, jami: JamiAccount
) -> None:
    """An offer of a blocked account is not answered, and no attempt is made for it."""
    name = jami.daemon.add_account(town.bootstrap, DHT_PublicInCalls="true")
    jami.daemon.wait_announced(name)
    blocked = JamiAccount(jami.daemon, name)
    device.refuses.add(AccountId.from_hex(blocked.uri))
    stats = device.connections.stats
    refused, answered = stats.offers_refused, stats.answers_sent

    blocked.daemon.send_text(name, device.account.keys.id.hex(), "let me in")
    until(lambda: stats.offers_refused > refused, "the offer", 60.0)

    assert stats.answers_sent == answered
    assert device.do(device.connections.connections) == []
