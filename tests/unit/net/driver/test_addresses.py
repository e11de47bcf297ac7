"""From a device id in the DHT to a channel, with nothing but the device's own record."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from shoal.core import Address, DeviceId
from shoal.dht import DhtNode, Value
from shoal.identity import check_device
from shoal.net import Channel, Connections, SendSignal, Way
from shoal.net.driver.addresses import DhtAddresses
from shoal.net.errors import ConnectError
from shoal.net.multiaddr import BUNDLE_USER_TYPE, AddressBundle, Multiaddr, addresses_key
from tests.unit.net.devices import chain_of, device
from tests.unit.net.world import Policy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

LOOPBACK = Address(bytes((127, 0, 0, 1)), 0)
NETWORK = 71  # of this test's own


def no_signals(signal: SendSignal) -> None:
    """Nobody carries offers here."""
    raise AssertionError(signal)


@pytest.fixture
async def nodes() -> AsyncIterator[tuple[DhtNode, DhtNode]]:
    """Nodes of alice and of bob."""
    async with DhtNode(bind=["127.0.0.1"], network=NETWORK, identity=device("bob")) as bob:
        way_in = f"127.0.0.1:{bob.port}"
        async with DhtNode(
            bootstrap=[way_in], bind=["127.0.0.1"], network=NETWORK, identity=device("alice")
        ) as alice:
            await alice.wait_connected(20.0)
            await bob.wait_connected(20.0)
            yield alice, bob


@pytest.fixture
def dead() -> Iterator[Multiaddr]:
    """An address that answers nothing: its queue is full, so the system drops what comes."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield Multiaddr.tcp(Address.parse(*listener.getsockname()))


async def test_by_the_third_address_of_the_record(
    nodes: tuple[DhtNode, DhtNode], dead: Multiaddr
) -> None:
    """The first is dead, the second refuses: the third connects, from the device id alone."""
    alice_node, bob_node = nodes
    taken: list[Channel] = []
    published = DhtAddresses(bob_node, device("bob"))
    known = DhtAddresses(alice_node, device("alice"))
    async with (
        Connections(
            device("bob"), policy=Policy(), send_signal=no_signals, on_channel=taken.append
        ) as bob,
        Connections(
            device("alice"), policy=Policy(), send_signal=no_signals, find_addresses=known.find
        ) as alice,
    ):
        refuses = Multiaddr.parse("/ip4/127.0.0.1/tcp/9")
        third = bob.listen(LOOPBACK)
        await published.publish([dead, refuses, third], is_public=False)

        device_id = DeviceId(device("bob").certificate.long_id)
        certificate = await alice_node.find_certificate(device_id, timeout=20.0)
        peer = check_device(certificate, time.time(), device=device_id)
        channel = await alice.connect(peer, "sip", ways=(Way.DIRECT,), timeout=30.0)
        channel.write(b"hello")
        assert await taken[0].read_packet() == b"hello"
        assert alice.connections()[0].way is Way.DIRECT

        published.withdraw()


async def test_old_and_forged_records(nodes: tuple[DhtNode, DhtNode]) -> None:
    """Anybody may put a value there; what counts is the latest that the device has signed."""
    alice_node, bob_node = nodes
    bob = device("bob")
    peer = chain_of(bob)
    first, second = (Multiaddr.parse(f"/ip4/127.0.0.1/tcp/{port}") for port in (1, 2))
    key = addresses_key(peer.device)
    now = time.time()
    old = AddressBundle.of(peer.device, [first], now - 60, is_public=False)
    new = AddressBundle.of(peer.device, [second], now, is_public=False)
    forged = AddressBundle.of(peer.device, [first], now + 60, is_public=False)
    known = DhtAddresses(alice_node, device("alice"))

    assert await known.find(peer) == ()
    for bundle, signer in ((forged, device("alice")), (old, bob), (new, bob)):
        packed = bundle.pack(signer.private_key.sign)
        await bob_node.put(key, Value(packed, user_type=BUNDLE_USER_TYPE))
    assert await known.find(peer) == (second,)
    assert await known.find(peer) == (second,)


async def test_published_again_counts_the_latest(nodes: tuple[DhtNode, DhtNode]) -> None:
    """A record replaces the one before."""
    alice_node, bob_node = nodes
    first, second = (Multiaddr.parse(f"/ip4/44.128.0.1/tcp/{port}") for port in (1, 2))
    published = DhtAddresses(bob_node, device("bob"))
    known = DhtAddresses(alice_node, device("alice"))
    private = Multiaddr.parse("/ip4/10.0.0.1/tcp/1")
    await published.publish([first, private])
    await published.publish([second, private])

    assert await known.find(chain_of(device("bob"))) == (second,)


async def test_a_device_that_publishes_nothing(nodes: tuple[DhtNode, DhtNode]) -> None:
    """Is an error that says so."""
    known = DhtAddresses(nodes[0], device("alice"))
    async with Connections(
        device("alice"), policy=Policy(), send_signal=no_signals, find_addresses=known.find
    ) as alice:
        with pytest.raises(ConnectError) as failed:
            await alice.connect(chain_of(device("carol")), "x", ways=(Way.DIRECT,), timeout=30.0)
    assert "publishes no address" in failed.value.reason
