"""Connections with Jami, as caller and as callee, with nothing of ours above `shoal.net`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shoal.net.errors import ChannelDeclinedError, ConnectError, ConnectStep
from tests.peers.shoal_device import ShoalDevice

if TYPE_CHECKING:
    from tests.peers.jami import JamiAccount
    from tests.peers.town import Town


@pytest.fixture(scope="module")
def device(town: Town) -> ShoalDevice:
    """A device of ours in the town."""
    return town.keep(ShoalDevice(town.bench.add_host(), town.bootstrap))


def test_we_call(device: ShoalDevice, theirs: JamiAccount) -> None:
    """ICE, TLS as the server, and a channel that Jami takes from strangers; others it declines."""
    peer = device.device_of(theirs.uri)
    assert peer.device.hex() == theirs.device

    channel = device.connect(peer, "sip", timeout=60.0)
    with pytest.raises(ConnectError) as declined:
        device.connect(peer, "nobody://knows", timeout=60.0)
    info = channel.connection

    assert info is not None
    assert info.is_caller
    assert info.tls == "TLSv1.3 TLS_AES_256_GCM_SHA384"
    assert declined.value.step is ConnectStep.CHANNEL
    assert isinstance(declined.value.cause, ChannelDeclinedError)
    device.do(channel.close)
    assert device.do(device.connections.connections)[0].channels == 0
