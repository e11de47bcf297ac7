"""Connections over loopback: real sockets, real TLS, every layer."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

import pytest

from shoal.core import Address, Persist
from shoal.net import Channel, Connections, ConnectionsConfig, MuxConfig, SendSignal, Way
from shoal.net.effects import AttemptEnded, ConnectionDown, ConnectionUp
from shoal.net.errors import (
    ChannelClosedError,
    ChannelDeclinedError,
    ConnectError,
    ConnectionsClosedError,
    ConnectStep,
    DialError,
    MuxError,
    ReceiveBufferFullError,
    SendBufferFullError,
    SignalNotSentError,
)
from shoal.net.multiaddr import Multiaddr
from tests.unit.net.devices import chain_of, device
from tests.unit.net.world import Policy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from shoal.identity import DeviceChain
    from shoal.net import Peer

LOOPBACK = Address(bytes((127, 0, 0, 1)), 0)


class End:
    """One device and what it hears."""

    def __init__(self, name: str, street: Street, config: ConnectionsConfig | None = None) -> None:
        self.name = name
        self.identity = device(name)
        self.chain: DeviceChain = chain_of(self.identity)
        self.policy = Policy()
        self.channels: asyncio.Queue[Channel] = asyncio.Queue()
        self.events: list[object] = []
        self.addresses: list[Multiaddr] = []
        self.connections = Connections(
            self.identity,
            policy=self.policy,
            send_signal=lambda signal: street.carry(self, signal),
            on_channel=self.channels.put_nowait,
            on_event=self.events.append,
            config=config,
            hosts=lambda: [LOOPBACK.ip],
            find_addresses=street.find,
        )


class Street:
    """Where devices find one another."""

    def __init__(self) -> None:
        self.ends: list[End] = []
        self.carries = True
        self.offered = asyncio.Event()

    def add(self, name: str, config: ConnectionsConfig | None = None) -> End:
        """Start a device."""
        self.ends.append(End(name, self, config))
        return self.ends[-1]

    def carry(self, sender: End, signal: SendSignal) -> None:
        """Deliver offers and answers at once."""
        (target,) = [each for each in self.ends if each.chain.device == signal.peer.device]
        self.offered.set()
        if self.carries:
            asyncio.get_running_loop().call_soon(
                target.connections.signal_received, signal.request, sender.chain
            )

    async def find(self, peer: Peer) -> Sequence[Multiaddr]:
        """Tell the addresses of a device."""
        (target,) = [each for each in self.ends if each.chain.device == peer.device]
        return target.addresses


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    """Devices, closed in the end."""
    street = Street()
    async with AsyncExitStack() as stack:
        yield street
        for end in street.ends:
            await stack.enter_async_context(end.connections)


async def joined(street: Street, **wishes: object) -> tuple[Channel, Channel, End, End]:
    """Return both ends of a channel, and whose they are."""
    alice, bob = street.add("alice"), street.add("bob", **wishes)  # type: ignore[arg-type]
    channel = await alice.connections.connect(bob.chain, "sip", timeout=30.0)
    return channel, await bob.channels.get(), alice, bob


async def test_a_channel_from_end_to_end(street: Street) -> None:
    """Packets keep their boundaries, streams do not care; the end is in order."""
    ours, theirs, alice, bob = await joined(street)
    assert (ours.name, theirs.name) == ("sip", "sip")
    assert ours.peer.device == bob.chain.device
    info = ours.connection
    assert info is not None
    assert info.tls.startswith("TLSv1.3 ")
    assert repr(ours) == "<Channel 'sip' 1.32768>"

    ours.write(b"one")
    ours.write(bytearray(b"two"))
    ours.write(memoryview(b"three"))
    assert await theirs.read_packet() == b"one"
    assert await theirs.read(2) == b"tw"
    assert await theirs.read_packet() == b"o"
    assert await theirs.readexactly(5) == b"three"
    assert await theirs.read(0) == b""

    theirs.write(bytes(100_000))
    await theirs.drain()
    theirs.close()
    theirs.close()
    assert await ours.read() == bytes(100_000)
    assert await ours.read() == await ours.read_packet() == await ours.read(5) == b""
    await ours.wait_closed()
    assert ours.is_closed
    assert ours.error is None
    with pytest.raises(ChannelClosedError):
        ours.write(b"late")
    with pytest.raises(ChannelClosedError):
        await ours.drain()
    with pytest.raises(asyncio.IncompleteReadError):
        await ours.readexactly(1)
    assert [type(each) for each in alice.events] == [ConnectionUp, AttemptEnded]
    assert [type(each) for each in bob.events] == [Persist, ConnectionUp, AttemptEnded]
    assert alice.connections.stats.channels_opened == 1
    assert len(alice.connections.traces()) == 1


async def test_iteration_and_context(street: Street) -> None:
    """`async with` closes, `async for` yields packets."""
    ours, theirs, _, _ = await joined(street)
    async with ours:
        ours.write(b"a")
        ours.write(b"b")
    assert [packet async for packet in theirs] == [b"a", b"b"]


async def test_two_readers_are_a_mistake(street: Street) -> None:
    """Which would get what?"""
    ours, theirs, _, _ = await joined(street)
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(ours.read_packet())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError):
            await ours.read_packet()
        theirs.write(b"x")
    assert first.result() == b"x"


async def test_many_channels_and_much_data(street: Street) -> None:
    """Two hundred channels on one connection; writers wait in drain."""
    alice, bob = street.add("alice"), street.add("bob")

    async def echo() -> None:
        channel = await bob.channels.get()
        async for packet in channel:
            channel.write(packet)
            await channel.drain()

    async def ask(number: int) -> bool:
        channel = await alice.connections.connect(bob.chain, f"x:{number}")
        data = bytes([number]) * 50_000
        channel.write(data)
        await channel.drain()
        answer = await channel.readexactly(len(data))
        channel.close()
        return answer == data

    async with asyncio.TaskGroup() as tasks:
        for _ in range(200):
            tasks.create_task(echo())
        asked = [tasks.create_task(ask(number)) for number in range(200)]
    assert all(each.result() for each in asked)
    assert len(bob.connections.connections()) == 1


async def test_errors_say_which_step(street: Street) -> None:
    """Declined; not sent; given up; after the end."""
    ours, _, alice, bob = await joined(street)
    with pytest.raises(ConnectError) as declined:
        await alice.connections.connect(bob.chain, "no")
    assert declined.value.step is ConnectStep.CHANNEL
    assert isinstance(declined.value.cause, ChannelDeclinedError)

    carol = street.add("carol")
    street.carries, offers = False, street.offered
    with pytest.raises(TimeoutError):
        await alice.connections.connect(carol.chain, "x", timeout=0.05)
    offers.clear()
    connecting = asyncio.ensure_future(alice.connections.connect(carol.chain, "x"))
    await offers.wait()
    alice.connections.signal_failed(alice.connections.traces()[-1].attempt, "no DHT")
    with pytest.raises(ConnectError) as unsent:
        await connecting
    assert isinstance(unsent.value.cause, SignalNotSentError)

    await alice.connections.close()
    assert isinstance(ours.error, MuxError)
    with pytest.raises(MuxError):
        await ours.read()
    with pytest.raises(ConnectionsClosedError):
        await alice.connections.connect(bob.chain, "x")


async def test_who_cancels_gets_no_channel(street: Street) -> None:
    """Whenever the task is cancelled, the peer's channel is closed if it was opened."""
    ours, theirs, alice, bob = await joined(street)
    for turns in range(6):
        task = asyncio.ensure_future(alice.connections.connect(bob.chain, "second"))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            (await task).close()  # it was faster
    theirs.write(b"mark")
    assert await ours.read_packet() == b"mark"
    ours.write(b"mark")
    assert await theirs.read_packet() == b"mark"
    while not bob.channels.empty():
        await bob.channels.get_nowait().wait_closed()
    (info,) = bob.connections.connections()
    assert info.channels == 1


async def test_a_channel_that_nobody_reads_is_closed_alone(street: Street) -> None:
    """At the bound, with its own error; the other one lives, and the writer learns of the end."""
    mux = MuxConfig(buffer_max=400_000, buffer_high=200_000, pause_max=0.05)
    ours, theirs, alice, bob = await joined(street, config=ConnectionsConfig(mux=mux))
    other = await alice.connections.connect(bob.chain, "other")
    far = await bob.channels.get()
    with suppress(ChannelClosedError):
        while not ours.is_closed:
            ours.write(bytes(60_000))
            await ours.drain()
            await asyncio.sleep(0)
    other.write(b"alive")
    assert await far.read_packet() == b"alive"
    with pytest.raises(ReceiveBufferFullError):
        await theirs.read()


async def test_a_writer_that_never_waits_is_stopped(street: Street) -> None:
    """Before the memory is full."""
    ours, _, _, _ = await joined(street)
    for _ in range(1024):
        ours.write(bytes(65_535))
    ours.write(bytes(8_000_000))
    with pytest.raises(SendBufferFullError):
        ours.write(b"x")


async def test_closing_and_changing(street: Street) -> None:
    """By account, by device, by number; a change of network asks for life."""
    alice, bob = street.add("alice"), street.add("bob")
    closings: tuple[Callable[[], None], ...] = (
        lambda: alice.connections.close_account(bob.chain.account),
        lambda: alice.connections.close_device(bob.chain.device),
        lambda: alice.connections.close_connection(alice.connections.connections()[0].connection),
    )
    for close in closings:
        channel = await alice.connections.connect(bob.chain, "x")
        alice.connections.network_changed()
        far = await bob.channels.get()
        channel.write(b"x")
        assert await far.read_packet() == b"x"
        close()
        assert channel.is_closed
        assert channel.connection is None
        await far.wait_closed()
        assert isinstance(far.error, MuxError)
    assert len([each for each in alice.events if isinstance(each, ConnectionDown)]) == 3


async def test_channels_without_taker_are_closed(caplog: pytest.LogCaptureFixture) -> None:
    """Also, what callbacks raise is logged and harms nobody."""
    identity = device("alice")

    def raise_error(signal: SendSignal) -> None:
        raise ValueError("broken")

    async with Connections(
        identity, policy=Policy(), send_signal=raise_error, hosts=lambda: [LOOPBACK.ip]
    ) as connections:
        with pytest.raises(TimeoutError):
            await connections.connect(chain_of(device("bob")), "x", timeout=0.2)
    assert "a callback of the connections failed" in caplog.text


# Direct connections


async def test_direct_by_the_third_address(street: Street) -> None:
    """The first is dead, the second refuses, and somebody else is at one: the last one connects."""
    alice, bob = street.add("alice"), street.add("bob")
    wrong = await asyncio.start_server(_say_http, "127.0.0.1", 0)
    refused = await asyncio.start_server(_say_http, "127.0.0.1", 0)
    taken, free = (each.sockets[0].getsockname()[1] for each in (wrong, refused))
    refused.close()
    await refused.wait_closed()
    ours = bob.connections.listen(LOOPBACK)
    bob.addresses = [
        Multiaddr.parse("/ip4/127.1.2.3/tcp/9"),
        Multiaddr.parse(f"/ip4/127.0.0.1/tcp/{free}"),
        Multiaddr.parse(f"/ip4/127.0.0.1/tcp/{taken}"),
        ours,
    ]
    channel = await alice.connections.connect(bob.chain, "sip", ways=(Way.DIRECT,), timeout=30.0)
    far = await bob.channels.get()
    channel.write(bytes(3_000_000))
    await channel.drain()
    assert await far.readexactly(3_000_000) == bytes(3_000_000)
    info = far.connection
    assert info is not None
    assert info.way is Way.DIRECT
    assert far.peer.account == alice.chain.account
    far.close()
    await channel.wait_closed()
    wrong.close()
    await wrong.wait_closed()


async def _say_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Another server at an address that was once the device's."""
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    writer.close()


async def test_direct_fails_with_what_was_tried(street: Street) -> None:
    """Each address with its reason; no address at all; nobody to ask."""
    alice, bob = street.add("alice"), street.add("bob")
    with pytest.raises(ConnectError) as nothing:
        await alice.connections.connect(bob.chain, "x", ways=(Way.DIRECT,))
    assert isinstance(nothing.value.cause, DialError)
    bob.addresses = [Multiaddr.parse("/ip4/127.0.0.1/tcp/9")]
    with pytest.raises(ConnectError) as refused:
        await alice.connections.connect(bob.chain, "x", ways=(Way.DIRECT,))
    assert isinstance(refused.value.cause, DialError)
    assert refused.value.cause.tried == (("/ip4/127.0.0.1/tcp/9", "connection refused"),)
    with pytest.raises(ConnectError):
        await alice.connections.connect(bob.chain, "x", ways=(Way.RELAY,))


async def test_direct_greetings_that_are_not_for_us(street: Street) -> None:
    """Garbage, the blocked, and the silent are closed without a word."""
    alice, bob = street.add("alice"), street.add("bob")
    bob.addresses = [bob.connections.listen(LOOPBACK)]
    endpoint = bob.addresses[0].endpoint
    assert endpoint is not None
    for greeting in (b"GET / HTTP/1.1\r\n\r\n", b"\x02\x04SHL1" + bytes(512)):
        reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
        writer.write(greeting)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    bob.policy.blocked.add(alice.chain.account)
    with pytest.raises(ConnectError):
        await alice.connections.connect(bob.chain, "x", ways=(Way.DIRECT,))
    assert bob.connections.stats.offers_refused == 1
    assert bob.connections.connections() == []
