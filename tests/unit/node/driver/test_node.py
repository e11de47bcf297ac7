"""Nodes on loopback: from two accounts to contacts, channels, devices, and back to strangers."""

from __future__ import annotations

import asyncio
import stat
from typing import TYPE_CHECKING

import pytest

from shoal.identity.errors import (
    ArchivePasswordError,
    OwnAccountError,
    PinNotFoundError,
    RevokedError,
    UnknownRequestError,
)
from shoal.identity.record import Backup
from shoal.net.errors import ConnectError
from shoal.node import AccountState, Node, Presence
from shoal.node.errors import (
    AccountExistsError,
    HomeTakenError,
    NobodyAnnouncedError,
    OwnDeviceError,
    UnknownAccountError,
    UnknownDeviceError,
    UnknownNameError,
)
from shoal.node.events import (
    AccountAdded,
    AccountStateChanged,
    ConnectionOpened,
    ContactChanged,
    RequestReceived,
    RequestSent,
)
from tests.unit.node.driver.conftest import (
    PATIENCE,
    add_account,
    archive_of,
    eventually,
    loopback,
)
from tests.unit.node.people import BITS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from shoal.net.driver import Channel
    from shoal.node import Account
    from shoal.node.driver.bus import Subscription

    OpenNode = Callable[..., Awaitable[Node]]
    Both = tuple[tuple[Node, Account], tuple[Node, Account]]


PASSWORD = "correct horse"  # noqa: S105 - of a test


async def wait_for(events: Subscription, kind: type) -> object:
    """Return the next event of that kind."""
    async with asyncio.timeout(PATIENCE):
        async for each in events:
            event = getattr(each, "event", None)
            if isinstance(event, kind):
                return event
    raise AssertionError("the node has closed")


async def befriend(alice: Account, bob: Account) -> None:
    """Both are contacts of each other, and know it."""
    await alice.contacts.add(bob.id, payload=b"BEGIN:VCARD")
    await eventually(lambda: len(bob.contacts.requests()) == 1)
    await bob.contacts.accept(alice.id)
    await eventually(lambda: bool((c := alice.contacts.get(bob.id)) and c.is_confirmed))


async def echo(channel: Channel) -> None:
    """Send back whatever comes."""
    async for packet in channel:
        channel.write(packet)
        await channel.drain()


async def test_contacts_and_a_channel(both: Both) -> None:
    """A request is sent, seen and accepted; then a channel carries data both ways."""
    (first, alice), (second, bob) = both
    with first.events() as told, first.events() as opened, second.events() as heard:
        added = await alice.contacts.add(bob.id, payload=b"BEGIN:VCARD")
        assert not added.is_confirmed
        sent = await wait_for(told, RequestSent)
        assert sent == RequestSent(alice.id, bob.id, 1)
        request = await wait_for(heard, RequestReceived)
        assert isinstance(request, RequestReceived)
        assert (request.peer, request.payload) == (alice.id, b"BEGIN:VCARD")
        (listed,) = bob.contacts.requests()
        assert (listed.id, listed.payload) == (alice.id, b"BEGIN:VCARD")

        accepted = await bob.contacts.accept(alice.id)
        assert accepted.is_confirmed
        await eventually(lambda: bool((c := alice.contacts.get(bob.id)) and c.is_confirmed))
        assert isinstance(await wait_for(told, ContactChanged), ContactChanged)
        await eventually(lambda: alice.presence(bob.id) is not Presence.OFFLINE)

        bob.on_channel("echo:", echo)
        channel = await alice.connect(bob.id, "echo:1", timeout=PATIENCE)
        # On its own: what else contacts tell each other may have opened it before.
        assert isinstance(await wait_for(opened, ConnectionOpened), ConnectionOpened)
        channel.write(b"hello")
        await channel.drain()
        assert await channel.read_packet() == b"hello"
        assert alice.presence(bob.id) is bob.presence(alice.id) is Presence.CONNECTED
        before = alice.connections()
        assert {each.device for each in before} == {bob.device_id}
        assert all(each.path is not None for each in before)

        again = await alice.connect(bob.device_id, "echo:2", timeout=PATIENCE)
        assert len(alice.connections()) <= len(before), "one connection carries all channels"
        again.close()
        channel.close()


async def test_channels_that_nobody_takes_are_declined(both: Both) -> None:
    """And those of strangers, whatever they are called."""
    (_, alice), (_, bob) = both
    await befriend(alice, bob)
    with pytest.raises(ConnectError, match="channel"):
        await alice.connect(bob.id, "nothing:", timeout=PATIENCE)

    remove = bob.on_channel("picky:", echo, accept=lambda account, device, name: "!" in name)
    with pytest.raises(ConnectError):
        await alice.connect(bob.id, "picky:no", timeout=PATIENCE)
    (await alice.connect(bob.id, "picky:yes!", timeout=PATIENCE)).close()
    remove()
    with pytest.raises(ConnectError):
        await alice.connect(bob.id, "picky:yes!", timeout=PATIENCE)


async def test_the_blocked_are_cut_off(both: Both) -> None:
    """Their connections end at once, and no new one comes up."""
    (_, alice), (_, bob) = both
    await befriend(alice, bob)
    bob.on_channel("echo:", echo)
    alice.on_channel("echo:", echo)
    channel = await alice.connect(bob.id, "echo:", timeout=PATIENCE)

    await bob.contacts.block(alice.id)

    await asyncio.wait_for(channel.wait_closed(), PATIENCE)
    await eventually(lambda: not bob.connections() and not alice.connections())
    with pytest.raises(TimeoutError):  # silence is all that they can tell apart from absence
        await alice.connect(bob.device_id, "echo:", timeout=1.0)
    assert not bob.connections()
    with pytest.raises(ConnectError, match="blocked"):
        await bob.connect(alice.device_id, "echo:", timeout=PATIENCE)
    blocked = bob.contacts.get(alice.id)
    assert blocked is not None
    assert blocked.is_banned
    assert alice.id not in bob.contacts
    with pytest.raises(UnknownRequestError):
        await bob.contacts.accept(alice.id)
    assert (await bob.contacts.unblock(alice.id)) is not None
    (await alice.connect(bob.device_id, "echo:", timeout=PATIENCE)).close()
    await bob.contacts.remove(alice.id)
    assert bob.contacts.list() == ()


async def test_devices_of_one_account_sync(both: Both, open_node: OpenNode) -> None:
    """The second device has the contacts; revoked, it has nobody."""
    (first, alice), (_, bob) = both
    await befriend(alice, bob)
    await alice.devices.rename("old")
    node = await open_node(first)
    second = await node.accounts.import_archive(
        archive_of("alice"), key_bits=BITS, device_name="new"
    )
    await second.wait_announced(PATIENCE)

    await eventually(lambda: bob.id in second.contacts)
    await eventually(lambda: {each.name for each in alice.devices.list()} == {"old", "new"})
    await eventually(lambda: all(each.is_announced for each in second.devices.list()))
    here, there = alice.devices.list()
    assert (here.is_this, here.id, there.id) == (True, alice.device_id, second.device_id)
    await eventually(lambda: alice.devices.get(second.device_id).is_connected)

    with pytest.raises(OwnDeviceError):
        await alice.devices.revoke(alice.device_id)
    with pytest.raises(UnknownDeviceError):
        await alice.devices.revoke(bob.device_id)
    await alice.devices.revoke(second.device_id.hex())

    assert [each.is_this for each in alice.devices.list()] == [True]
    await eventually(lambda: second.device_id not in {each.device for each in alice.connections()})

    chain = second.runtime.engine.own.chain
    await eventually(lambda: not bob.runtime.may_connect(chain))
    with pytest.raises(RevokedError):
        await bob.find_chain(second.device_id)


async def test_a_device_is_linked_by_pin(both: Both, open_node: OpenNode) -> None:
    """As Jami 13.7 does; and nothing is found under another one."""
    (first, alice), _ = both
    pin = await alice.devices.export_pin()
    node = await open_node(first)
    with pytest.raises(PinNotFoundError):
        await node.accounts.link_pin("ABCD1234", key_bits=BITS)
    steps: list[tuple[str, int, int]] = []
    linked = await node.accounts.link_pin(
        pin.text, key_bits=BITS, progress=lambda *step: steps.append(step)
    )

    assert linked.id == alice.id
    assert linked.device_id != alice.device_id
    assert steps
    assert steps[-1][1:] == (2, 2)
    await eventually(lambda: len(alice.devices.list()) == 2)


async def test_a_device_is_linked_by_its_address(both: Both, open_node: OpenNode) -> None:
    """As Jami does since 2024: the new device shows, the old one is told."""
    (first, alice), _ = both
    asked: list[str] = []

    def agree(address: str) -> bool:
        asked.append(address)
        return True

    node = await open_node(first)
    async with node.accounts.link_new_device(key_bits=BITS) as link:
        assert link.uri.startswith("jami-auth://")
        waiting = asyncio.ensure_future(link.wait())
        await alice.devices.add(link.uri, confirm=agree)
        linked = await asyncio.wait_for(waiting, PATIENCE)

    assert linked.id == alice.id
    assert asked == ["127.0.0.1"]
    await eventually(lambda: len(alice.devices.list()) == 2)


async def test_accounts_survive_a_restart(open_node: OpenNode, tmp_path: Path) -> None:
    """Keys, contacts, names; for nobody but their owner to read."""
    first = await open_node()
    bob = await add_account(first, "bob")
    home = tmp_path / "alice"
    async with Node(home, config=loopback(first)) as node:
        with pytest.raises(HomeTakenError):
            await Node(home, config=loopback(first)).start()
        with node.events() as events:
            alice = await node.accounts.import_archive(
                archive_of("alice", PASSWORD), password=PASSWORD, key_bits=BITS
            )
            assert await wait_for(events, AccountAdded) == AccountAdded(alice.id)
        await alice.contacts.add(bob.id)
        with pytest.raises(AccountExistsError):
            await add_account(node, "alice")
        with pytest.raises(OwnAccountError):
            await alice.contacts.add(alice.id)
        device = alice.device_id
        await alice.rename("Alice")

    async with Node(home, config=loopback(first)) as node:
        alice = node.accounts["Alice"]
        assert (alice.device_id, alice.name, alice.has_password) == (device, "Alice", True)
        assert bob.id in alice.contacts
        assert node.accounts[alice.id.hex()[:6]] is alice
        with pytest.raises(ArchivePasswordError):
            await alice.export(tmp_path / "copy", password=PASSWORD + "!")
        await alice.export(tmp_path / "copy", password=PASSWORD)
        assert alice.backup is Backup.GOOD
        await alice.change_password(PASSWORD, "")
        assert not alice.has_password
        for path in [home, *home.rglob("*")]:
            assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
        await node.accounts.remove("Alice")
        with pytest.raises(UnknownAccountError):
            node.accounts["Alice"]
        assert list((home / "accounts").iterdir()) == []


async def test_a_damaged_account_does_not_keep_others_away(tmp_path: Path) -> None:
    """It is named, with what is wrong."""
    home = tmp_path / "home"
    async with Node(home, config=loopback()) as node:
        alice = await add_account(node, "alice")
        (path,) = (home / "accounts").iterdir()
        bob = await add_account(node, "bob")
    (path / "ring_device.key").write_text("damaged")

    async with Node(home, config=loopback()) as node:
        assert [each.id for each in node.accounts] == [bob.id]
        assert list(node.accounts.damaged) == [path]
        with pytest.raises(UnknownAccountError):
            node.accounts[alice.id]


async def test_a_new_account_is_made_with_progress(open_node: OpenNode) -> None:
    """Four steps; it is announced as soon as there is somebody to tell."""
    first = await open_node()
    steps: list[tuple[str, int, int]] = []
    with first.events() as events:
        account = await first.accounts.create(
            "Carol", key_bits=BITS, progress=lambda *step: steps.append(step)
        )
        changed = await wait_for(events, AccountStateChanged)
        assert changed == AccountStateChanged(account.id, AccountState.STARTING)

    await eventually(lambda: len(steps) == 4)
    assert account.state is AccountState.STARTING
    assert (account.name, account.has_password) == ("Carol", False)
    assert account.backup is Backup.NONE
    with pytest.raises(TimeoutError):
        await account.wait_announced(0.05)
    with pytest.raises(UnknownNameError):
        await account.contacts.add("no body")


async def test_nobody_is_found_where_nobody_is(both: Both) -> None:
    """With the step that ended it."""
    (_, alice), _ = both
    with pytest.raises(NobodyAnnouncedError):
        await alice.connect("12" * 20, "echo:", timeout=PATIENCE)
    assert await alice.find_devices("12" * 20) == ()
