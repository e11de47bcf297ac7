"""Channels between Shoal and both generations of Jami: opened, used both ways, closed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgpack
import pytest

from shoal.net.errors import ChannelDeclinedError, ConnectError, ConnectStep
from shoal.node.config import AccountSettings
from shoal.node.events import RequestReceived
from tests.peers.sip_git import (
    FLUSH,
    first_sip_message,
    git_packets,
    git_question,
    sip_request,
)
from tests.peers.town import NEW, OLD
from tests.peers.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shoal.net.driver import Channel
    from shoal.node import Account
    from tests.peers.jami import JamiAccount
    from tests.peers.shoal_node import ShoalHost
    from tests.peers.town import Town

pytestmark = pytest.mark.timeout(300)  # RSA keys and Jami take their time on a busy machine

PATIENCE: Final = 60.0  # seconds, on a busy machine
CARD: Final = b"BEGIN:VCARD\nVERSION:2.1\nFN:Ada of the reef\nEND:VCARD"


@pytest.fixture(scope="module")
def account(ours: ShoalHost, theirs: JamiAccount) -> Iterator[Account]:
    """An account of ours that is a contact of theirs: 2026 answers nobody else."""
    account = ours.create("Ada")
    theirs.daemon.ask_for_trust(theirs.name, account.id.hex())
    ours.wait_event(RequestReceived, lambda event: event.account == account.id)
    ours.run(account.contacts.accept(theirs.uri))
    theirs.daemon.wait_confirmed(theirs.name, account.id.hex())
    yield account
    ours.run(ours.node.accounts.remove(account.id))


async def read_until(channel: Channel, whole: Callable[[bytes], object]) -> bytes:
    """Read until *whole* finds the bytes complete; return them."""
    stream = b""
    async with asyncio.timeout(PATIENCE):
        while whole(stream) is None:
            packet = await channel.read_packet()
            assert packet, f"closed after {stream!r}"
            stream += packet
    return stream


async def say_hello(channel: Channel, sender: str, recipient: str, text: str) -> bytes:
    """Send a text over SIP; return the answer."""
    channel.write(sip_request("MESSAGE", sender, recipient, text))
    await channel.drain()
    return await read_until(channel, first_sip_message)


@pytest.fixture(scope="module")
def hospitable(town: Town) -> ShoalHost:
    """A node of ours whose accounts answer strangers, too."""
    return town.shoal(accounts={"": AccountSettings(public=True)})


class TestWeConnect:
    """We are the initiator."""

    def test_sip(self, ours: ShoalHost, account: Account, theirs: JamiAccount) -> None:
        """A text on Jami's SIP channel is answered; each step of the attempt is on record."""

        async def talk() -> bytes:
            async with await account.connect(theirs.uri, "sip") as channel:
                info = channel.connection
                assert info is not None
                assert info.device.hex() == theirs.device
                assert info.path is not None
                assert info.path.remote.addr.host == theirs.daemon.host
                assert info.tls.startswith("TLSv1.3")
                return await say_hello(channel, account.id.hex(), theirs.uri, "hello, Jami")

        assert ours.run(talk()).startswith(b"SIP/2.0 200 OK")

    def test_git(self, ours: ShoalHost, account: Account, theirs: JamiAccount) -> None:
        """Jami's git server shows the conversation that its contact request brought."""
        conversation = account.contacts.get(theirs.uri).conversation_id  # type: ignore[union-attr]

        async def ask() -> bytes:
            name = f"git://{theirs.device}/{conversation}"
            async with await account.connect(theirs.uri, name) as channel:
                channel.write(git_question(theirs.device, conversation))
                await channel.drain()
                stream = await read_until(channel, git_packets)
                channel.write(FLUSH)  # we want nothing
                await channel.drain()
                return stream

        branches = git_packets(ours.run(ask()))
        assert branches is not None
        assert any(b" refs/heads/main" in packet for packet in branches)

    def test_unknown_names_are_declined(
        self, ours: ShoalHost, account: Account, theirs: JamiAccount
    ) -> None:
        """Jami says no to a name it does not know, and the connection stays."""
        with pytest.raises(ConnectError) as declined:
            ours.run(account.connect(theirs.uri, "shoal-only"))
        assert declined.value.step is ConnectStep.CHANNEL
        assert isinstance(declined.value.cause, ChannelDeclinedError)

    def test_one_connection_serves_all(
        self, ours: ShoalHost, account: Account, theirs: JamiAccount
    ) -> None:
        """Channels come and go on one connection; closing one leaves the other."""

        async def play() -> set[int]:
            first = await account.connect(theirs.uri, "sip")
            second = await account.connect(theirs.uri, "sip")
            numbers = {first.id.connection, second.id.connection}
            first.close()
            await first.wait_closed()
            answer = await say_hello(second, account.id.hex(), theirs.uri, "still here")
            assert answer.startswith(b"SIP/2.0 200 OK")
            second.close()
            await second.wait_closed()
            return numbers

        assert len(ours.run(play())) == 1

    def test_a_second_connection(
        self, ours: ShoalHost, account: Account, theirs: JamiAccount
    ) -> None:
        """Asked for one of its own, Jami gives it, and both work."""

        async def play() -> set[int]:
            first = await account.connect(theirs.uri, "sip")
            second = await account.connect(theirs.uri, "sip", reuse=False)
            for channel in (first, second):
                answer = await say_hello(channel, account.id.hex(), theirs.uri, "hello")
                assert answer.startswith(b"SIP/2.0 200 OK")
            return {first.id.connection, second.id.connection}

        assert len(ours.run(play())) == 2


class TestJamiConnects:
    """Jami is the initiator, of the connection and of the channel."""

    def test_first_contact(self, hospitable: ShoalHost, theirs: JamiAccount) -> None:
        """A text of Jami's user makes it connect to us and open its channel for that."""
        account = hospitable.create("Bea")
        channels: list[tuple[str, bytes]] = []

        async def sip(channel: Channel) -> None:
            answer = await say_hello(channel, account.id.hex(), theirs.uri, "hello, caller")
            channels.append((channel.name, answer))

        async def message(channel: Channel) -> None:
            channels.append((channel.name, await channel.read_packet()))

        hospitable.do(lambda: account.on_channel("sip", sip, accept=lambda *_: True))
        hospitable.do(lambda: account.on_channel("msg:", message, accept=lambda *_: True))
        theirs.daemon.send_text(theirs.name, account.id.hex(), "hello, Shoal")

        name, data = until(lambda: channels[0] if channels else None, "Jami's channel", PATIENCE)
        (connection,) = account.connections()
        assert not connection.is_caller
        assert connection.device.hex() == theirs.device
        if theirs.daemon.kind == OLD:  # what it sent went over the DHT; its channel answers us
            assert (name, data.split(b"\r\n")[0]) == ("sip", b"SIP/2.0 200 OK")
            until(
                lambda: any(
                    "hello, caller" in signal.body[3].values()
                    for signal in theirs.daemon.announced("incomingAccountMessage")
                ),
                "our text at its user",
                PATIENCE,
            )
        else:
            text = msgpack.unpackb(data)
            assert name == f"msg:{account.device_id.hex()}"
            assert (text["t"], text["c"]) == ("text/plain", "hello, Shoal")

    def test_strangers_do_not_get_in(self, ours: ShoalHost, theirs: JamiAccount) -> None:
        """Who is no contact gets no answer from us."""
        account = ours.create("Cleo")
        theirs.daemon.send_text(theirs.name, account.id.hex(), "who are you?")

        until(lambda: account.refusals > 0, "a refused offer", PATIENCE)
        assert account.connections() == []
        ours.run(ours.node.accounts.remove(account.id))


def test_at_the_same_instant(ours: ShoalHost, theirs: JamiAccount) -> None:
    """Both connect at once; whatever the order, channels of both sides work."""
    account = ours.create("Dora")
    ours.run(account.contacts.add(theirs.uri))
    incoming: list[str] = []

    async def note(channel: Channel) -> None:
        incoming.append(channel.name)
        await channel.wait_closed()

    for prefix in ("sip", "msg:"):
        ours.do(lambda prefix=prefix: account.on_channel(prefix, note))  # type: ignore[misc]
    if theirs.daemon.kind == NEW:  # it answers contacts alone
        theirs.daemon.wait_request(theirs.name, account.id.hex())
        theirs.daemon.accept(theirs.name, account.id.hex())

    async def talk() -> bytes:
        async with await account.connect(theirs.uri, "sip") as channel:
            return await say_hello(channel, account.id.hex(), theirs.uri, "at once")

    talking = ours.begin(talk())
    theirs.daemon.send_text(theirs.name, account.id.hex(), "at once")
    assert talking.result(PATIENCE).startswith(b"SIP/2.0 200 OK")
    until(lambda: incoming, "Jami's channel", PATIENCE)
    ours.run(ours.node.accounts.remove(account.id))
