"""`Account`: one account of this node, running."""

# ruff: noqa: ASYNC109 - a timeout covers several steps here, each with its own limit

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.core import AccountId, ConversationId, DeviceId
from shoal.identity.driver.files import write_file
from shoal.identity.errors import ChainError
from shoal.net.errors import ConnectError, ConnectStep
from shoal.node.account.chains import DeviceName
from shoal.node.account.effects import ChainFound, ChainMissing, DevicesFound
from shoal.node.driver.contacts import Contacts
from shoal.node.driver.conversations import Conversations
from shoal.node.driver.devices import Devices
from shoal.node.driver.files import Files
from shoal.node.driver.ids import account_of
from shoal.node.driver.news import AccountEvents
from shoal.node.driver.people import People
from shoal.node.driver.profiles import Profiles
from shoal.node.driver.race import first_of
from shoal.node.driver.talking import Talking
from shoal.node.driver.transfers import Transfers
from shoal.node.errors import DeviceNotFoundError, NobodyAnnouncedError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from shoal.core import InfoHash
    from shoal.dht import DhtNode
    from shoal.identity import Backup, DeviceChain
    from shoal.net import AttemptTrace, ConnectionInfo
    from shoal.net.driver import Channel
    from shoal.node.config import FilesSettings
    from shoal.node.driver.bus import EventBus
    from shoal.node.driver.channels import Accept, Handler
    from shoal.node.driver.conversations import Conversation
    from shoal.node.driver.names import AccountNames
    from shoal.node.driver.runtime import AccountRuntime
    from shoal.node.driver.tasks import WorkerPool
    from shoal.node.driver.vault import Vault
    from shoal.node.events import AccountState, Presence


class Account:
    """An account on this device. `node.accounts` makes and holds them.

    Attributes:
        contacts: who the account knows.
        conversations: what is said, and with whom.
        transfers: files that are being fetched and sent.
        devices: the devices of the account.
        names: its name, and what those of others lead to.
        profiles: what we look like to others, and what they look like.
        people: what to call everybody.
    """

    def __init__(
        self,
        runtime: AccountRuntime,
        vault: Vault,
        dht: DhtNode,
        pool: WorkerPool,
        bus: EventBus,
        names: AccountNames,
        files: FilesSettings,
    ) -> None:
        self.runtime = runtime
        self.vault = vault
        self.dht = dht
        self.pool = pool
        self._bus = bus
        self.talking = Talking(self, vault.folder.path, bus)
        self.files = Files(self, vault.folder.path, bus, files)
        self.transfers = Transfers(self.files)
        self.profiles = Profiles(self, vault.folder.path, bus)
        self.conversations = Conversations(self.talking)
        self.names = names
        self.contacts = Contacts(
            runtime, self._begin_with, names.find_account, self.profiles.payload
        )
        self.devices = Devices(self)
        self.people = People(self)

    # What it is

    @property
    def id(self) -> AccountId:
        """What people exchange: SHA-1 of the account's public key."""
        return self.runtime.engine.account

    @property
    def name(self) -> str:
        """The display name, or ""."""
        return self.vault.settings.display_name

    @property
    def device_id(self) -> DeviceId:
        """The long id of this device."""
        return self.runtime.engine.own.chain.device

    @property
    def short_device_id(self) -> InfoHash:
        """The short id of this device."""
        return self.runtime.engine.own.chain.short_id

    @property
    def state(self) -> AccountState:
        """Whether others can find us."""
        return self.runtime.state

    @property
    def has_password(self) -> bool:
        """Whether the archive is encrypted."""
        return self.vault.record.has_password

    @property
    def backup(self) -> Backup:
        """Whether the account would survive the loss of this device."""
        return self.vault.record.backup

    async def wait_announced(self, timeout: float | None = None) -> None:
        """Return once other nodes hold our chain and our announcement.

        Raises:
            TimeoutError: that took longer than *timeout* seconds.
        """
        async with asyncio.timeout(timeout):
            await self.runtime.wait_announced()

    # Channels

    async def connect(
        self,
        to: DeviceId | AccountId | str,
        name: str,
        *,
        connection_type: str = "",
        reuse: bool = True,
        timeout: float | None = None,
    ) -> Channel:
        """Open a channel called *name* to a device, or to any device of an account.

        An open connection is used where there is one, unless *reuse* says no. Of an account, those
        devices that are connected are asked first, then all that are announced at once, and the
        first that takes the channel has it.

        Raises:
            UnknownNameError: *to* is neither id nor name.
            NamesError: nobody has the name, or the name server gave no answer that holds.
            NobodyAnnouncedError: the account has no device online.
            ConnectError: the step that failed, and why: perhaps a chain that was not found, or
                does not hold.
            TimeoutError: it took longer than *timeout* seconds.
        """
        open_ = partial(self.runtime.open_channel, connection_type=connection_type, reuse=reuse)
        async with asyncio.timeout(timeout):
            target = await self.names.find_target(to)
            chains = await self._find_targets(target, reuse=reuse)
            return await first_of([open_(chain, name) for chain in chains], _close)

    async def _find_targets(
        self, target: DeviceId | AccountId, *, reuse: bool
    ) -> Sequence[DeviceChain]:
        """Return the chains of the devices to be tried.

        Raises:
            ConnectError: there are none.
        """
        try:
            if isinstance(target, DeviceId):
                return [await self.find_chain(target)]
            connected = self.runtime.engine.presences.connected(target)
            if connected and reuse:
                return [await self.find_chain(connected[0])]
            return await self._chains_of(target)
        except (DeviceNotFoundError, ChainError) as error:
            raise ConnectError(ConnectStep.CHAIN, str(error), error) from error

    async def find_chain(self, device: DeviceId, account: AccountId | None = None) -> DeviceChain:
        """Return the checked chain of a device: known here, or found in the DHT.

        Raises:
            DeviceNotFoundError: nobody published it.
            ChainError: it does not hold.
        """
        engine = self.runtime.engine
        name = engine.presences.name_of(device) or DeviceName(device, account=account)
        answer: ChainFound | ChainMissing = await self.runtime.ask(
            lambda op, now: engine.find_chain(op, name, now)
        )
        if isinstance(answer, ChainMissing):
            raise answer.error
        return answer.chain

    def on_channel(
        self, prefix: str, handler: Handler, *, accept: Accept | None = None
    ) -> Callable[[], None]:
        """Accept channels whose name begins with *prefix*, and run *handler* for each.

        *accept* is asked with the peer's account, its device and the name; without it channels of
        contacts and of our own devices are accepted. The longest prefix that fits wins. The
        channel is closed when *handler* returns. Returns what ends it.
        """
        return self.runtime.handlers.add(prefix, handler, accept)

    def connections(self) -> list[ConnectionInfo]:
        """Return the connections that are up."""
        return self.runtime.connections.connections()

    def traces(self) -> list[AttemptTrace]:
        """Return the latest attempts to connect, and those under way."""
        return self.runtime.connections.traces()

    @property
    def refusals(self) -> int:
        """How many requests and offers were turned away in silence.

        Those of the blocked and of strangers; and of devices whose chain was not found or does not
        hold, as that of a revoked one.
        """
        engine = self.runtime.engine
        unproven = engine.signalling.stats.unknown + engine.inbox.stats.unknown
        offers = self.runtime.connections.stats.offers_refused
        return engine.book.stats.refused + offers + unproven

    async def _begin_with(self, account: AccountId) -> str:
        """Begin the conversation of two that a new contact is invited to; return its id."""
        return str((await self.conversations.create_one_to_one(account)).id)

    # What happens

    def events(
        self, *kinds: type, conversation: ConversationId | Conversation | str | None = None
    ) -> AccountEvents:
        """Follow what happens to this account from now on.

        As in `async for event in account.events(MessageTaken, Composing)`.

        *kinds* are classes of `shoal.node.driver.news`; without them all events come, and with a
        *conversation* those about it alone. `Lagged` comes always: one was too slow. Closed
        by `close`, or by leaving a `with` block.

        Raises:
            SubscriptionsError: there are as many as allowed.
        """
        if isinstance(conversation, str):
            conversation = ConversationId.from_hex(conversation)
        elif conversation is not None and not isinstance(conversation, ConversationId):
            conversation = conversation.id
        subscription = self._bus.subscribe()
        return AccountEvents(subscription, self.id, conversation=conversation, kinds=kinds)

    # Who is online

    def presence(self, account: AccountId | str) -> Presence:
        """Return what is known about a contact."""
        return self.runtime.engine.presences.presence(account_of(account))

    async def find_devices(self, account: AccountId | str) -> tuple[DeviceId, ...]:
        """Ask the DHT which devices of an account are announced now."""
        found = await self._find_devices(account_of(account))
        return tuple(each.device for each in found.devices if each.device is not None)

    # What is behind the password

    async def export(self, path: str | os.PathLike[str], *, password: str | None = None) -> None:
        """Write the archive to *path*. Whoever has it and its password has the account.

        With the *password*, or where there is none, contacts and settings are those of now;
        without, those of the last change that took it.

        Raises:
            ArchivePasswordError: the archive has another password.
            AccountKeyError: this device does not have the archive.
            AccountFileError: it cannot be written.
        """
        contacts = dict(self.runtime.engine.book.contacts)
        data = await self.vault.export(password, contacts)
        await self.pool.run(lambda: write_file(Path(path).absolute(), data))
        await self.vault.backed_up()

    async def change_password(self, old: str, new: str) -> None:
        """Encrypt the archive on this device with another password; an empty one leaves it clear.

        Raises:
            ArchivePasswordError: the archive has another password.
            AccountKeyError: this device does not have the archive.
        """
        await self.vault.change_password(old, new)

    async def rename(self, name: str) -> None:
        """Change the display name.

        Raises:
            AccountFileError: it cannot be written.
        """
        await self.vault.rename(name)

    # Inside

    async def _find_devices(self, account: AccountId) -> DevicesFound:
        engine = self.runtime.engine
        found: DevicesFound = await self.runtime.ask(
            lambda op, now: engine.find_devices(op, account, now)
        )
        return found

    async def _chains_of(self, account: AccountId) -> Sequence[DeviceChain]:
        """Return the chains of the devices that are announced, other than this one.

        Raises:
            NobodyAnnouncedError: there are none.
            DeviceNotFoundError: nobody published any of their chains.
        """
        devices = self.runtime.engine.presences.announced(account)
        if not devices:
            devices = (await self._find_devices(account)).devices
        names = [
            DeviceName(each.device, each.short_id, account)
            for each in devices
            if each.short_id != self.short_device_id
        ]
        if not names:
            raise NobodyAnnouncedError(f"no device of {account} is announced")
        engine = self.runtime.engine
        answers = await asyncio.gather(
            *(self.runtime.ask(partial(_find_chain, engine.find_chain, name)) for name in names)
        )
        chains = [each.chain for each in answers if isinstance(each, ChainFound)]
        if not chains:
            missing: ChainMissing = answers[0]
            raise missing.error
        return chains


def _find_chain(
    find: Callable[[int, DeviceName, float], Sequence[object]],
    name: DeviceName,
    op: int,
    now: float,
) -> Sequence[object]:
    return find(op, name, now)


def _close(channel: Channel) -> None:
    channel.close()
