"""How an account is put together from what is on disk and what the node shares."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from shoal.core.driver import SystemEntropy
from shoal.crypto import Certificate
from shoal.identity import (
    CertificateStore,
    ContactBook,
    KnownDevices,
    Permissions,
    Revocations,
    check_device,
    unpack_treated,
)
from shoal.identity.driver import AccountFolder, SharedFiles, list_accounts
from shoal.identity.driver.files import make_folder, read_file
from shoal.identity.errors import ChainError
from shoal.net.ice import IceConfig, Scope, StunServer, TurnServer
from shoal.net.mapping.driver import PortMapper
from shoal.node.account.engine import AccountEngine, OwnDevice
from shoal.node.account.inbox import READ_FILE
from shoal.node.driver.account import Account
from shoal.node.driver.dht import DhtPlace, DhtPool
from shoal.node.driver.dialing import Dialing
from shoal.node.driver.names import AccountNames, SharedNames, checked_server
from shoal.node.driver.runtime import AccountRuntime
from shoal.node.driver.talking import FOLDER as CONVERSATIONS
from shoal.node.driver.vault import Vault
from shoal.node.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence
    from pathlib import Path

    from shoal.core import AccountId, DeviceId
    from shoal.dht import DhtNode
    from shoal.identity import DeviceChain
    from shoal.identity.driver import StoredAccount
    from shoal.node.config import NetSettings, NodeConfig
    from shoal.node.driver.bus import EventBus
    from shoal.node.driver.home import Home
    from shoal.node.driver.tasks import WorkerPool

_log = logging.getLogger(__name__)

STUN_PORT: Final = 3478  # RFC 8489 section 8.5, RFC 8656 section 7
LOOPBACK: Final = bytes((127, 0, 0, 1))
_PORT_MAX: Final = 65_535
READ_SIZE_MAX: Final = 1024 * 1024  # ours: 16,384 lines are a quarter of it


class Assembly:
    """What the accounts of a node share, and how each is made of it.

    Attributes:
        store: certificates that were met.
        shared: files of all accounts.
        ice: how paths are found.
        hosts: which addresses of this machine are offered; None for all but loopback.
        mapper: has routers forward ports; None where that is not wanted.
    """

    def __init__(
        self,
        home: Home,
        config: NodeConfig,
        bus: EventBus,
        pool: WorkerPool,
        *,
        is_offline: bool = False,
    ) -> None:
        self.bus = bus
        self.pool = pool
        self.shared = SharedFiles(home.path)
        self.store = CertificateStore()
        self.ice = ice_config(config.net)
        self.hosts: Callable[[], Sequence[bytes]] | None = (
            _loopback if config.net.loopback else None
        )
        self.dht = DhtPool(home, config.dht, has_ipv6=config.net.ipv6, is_offline=is_offline)
        self.names = SharedNames(config.names)
        self._is_offline = is_offline
        self._dialing = Dialing.of(config.net)
        self._home = home
        self._config = config
        self._places: dict[AccountId, DhtPlace] = {}
        self.mapper = PortMapper() if config.net.upnp and not is_offline else None
        self.open_mapper()

    def open_mapper(self) -> None:
        """Look for routers that forward ports, or look again, if that is wanted."""
        if self.mapper is not None:
            try:
                self.mapper.start()
            except OSError as error:
                _log.warning("! no router can be asked to forward ports: %s", error)

    async def close_mapper(self) -> None:
        """Give forwarded ports back."""
        if self.mapper is not None:
            await self.mapper.close()

    @property
    def accounts_path(self) -> Path:
        """Where accounts are."""
        return self._home.accounts

    def folders(self) -> list[AccountFolder]:
        """Read what all accounts share; return the folders of those that there are. Blocks."""
        for chain in self.shared.certificates():
            self.store.pin(chain)
        return list_accounts(self._home.accounts, self.shared)

    async def open(self, folder: AccountFolder) -> Account:
        """Return the account in *folder*, ready to be started.

        Raises:
            AccountFileError: a file is missing or damaged.
            ReceiptError: its receipt does not hold.
            ChainError: its certificates do not.
            DhtError: no DHT node can be opened for it.
        """
        stored = await asyncio.to_thread(folder.load)
        await asyncio.to_thread(make_folder, folder.path / CONVERSATIONS)
        revocations = await asyncio.to_thread(self._revocations, stored)
        read = await asyncio.to_thread(_read_ids, folder)
        engine = self._engine(stored, revocations, read)
        settings = self._config.account(engine.account.hex())
        place = DhtPlace.of(engine.account.hex(), self._config.dht, settings)
        dht = await self.dht.take(place)
        self._places[engine.account] = place
        runtime = AccountRuntime(
            engine,
            stored.device.identity,
            folder=folder,
            store=self.store,
            dht=dht,
            pool=self.pool,
            bus=self.bus,
            ice=self.ice,
            hosts=self.hosts,
            mapper=self.mapper,
            treated=tuple(stored.treated),
            dialing=self._dialing,
        )
        vault = Vault(folder, stored.record, self.pool)
        server = settings.name_server
        names = AccountNames(
            engine.account,
            vault,
            self.names,
            self.bus,
            server and checked_server(server, "name_server of an account"),
        )
        files = settings.files(self._config.files)
        return Account(runtime, vault, dht, self.pool, self.bus, names, files)

    async def start(self, account: Account) -> None:
        """Let an account be found, unless the node is offline, and its conversations go on."""
        if not self._is_offline:
            account.runtime.start()
            account.names.start()
        await account.talking.start()
        await account.files.start(is_offline=self._is_offline)
        await account.profiles.start(is_offline=self._is_offline)

    async def close(self, account: Account) -> None:
        """Stop an account."""
        await account.people.close()
        await account.names.close()
        await account.profiles.close()
        await account.files.close()
        await account.talking.close()
        await account.runtime.close()
        await self.dht.release(self._places.pop(account.id))

    @asynccontextmanager
    async def guest_dht(self) -> AsyncIterator[DhtNode]:
        """Give a node of the DHT that new accounts are in."""
        settings = self._config.dht
        place = DhtPlace(settings.network, settings.bootstrap, settings.proxy)
        node = await self.dht.take(place)
        try:
            yield node
        finally:
            await self.dht.release(place)

    def _engine(
        self, stored: StoredAccount, revocations: Revocations, read: Sequence[int]
    ) -> AccountEngine:
        wall_now = time.time()
        own = check_device(stored.device.identity.certificate, wall_now)
        settings = self._config.account(own.account.hex())
        devices = KnownDevices(
            own,
            revocations,
            stored.devices,
            self._chains(stored.devices, wall_now),
            name=stored.record.device_name,
        )
        return AccountEngine(
            OwnDevice(own, None if settings.is_hidden else stored.receipt.announcement),
            book=ContactBook(own.account, stored.book, Permissions(own.account, revocations)),
            devices=devices,
            revocations=revocations,
            store=self.store,
            entropy=SystemEntropy(),
            wall_offset=wall_now - asyncio.get_running_loop().time(),
            allow_public=settings.public,
            read=read,
        )

    def _revocations(self, stored: StoredAccount) -> Revocations:
        """Return what is known to be revoked: lists that are kept, if their issuer is known."""
        revocations = Revocations()
        own = stored.device.identity.certificate.issuer
        for account, listed in self.shared.revocations():
            issuer = own if account == stored.account else self.store.find(account)
            if issuer is not None:
                revocations.apply(listed, issuer)
        return revocations

    def _chains(self, devices: Iterable[DeviceId], wall_now: float) -> list[DeviceChain]:
        """Return the chains of known devices that are in the store, and hold."""
        chains = []
        for device in devices:
            certificate = self.store.find(device)
            if not isinstance(certificate, Certificate):
                continue
            try:
                chains.append(check_device(certificate, wall_now))
            except ChainError as error:
                _log.warning("! device %s: %s", device.hex()[:16], error)
        return chains


def _read_ids(folder: AccountFolder) -> list[int]:
    """Return the ids of requests that were read before.

    Raises:
        AccountFileError: the file cannot be read.
    """
    data = read_file(folder.path / READ_FILE, READ_SIZE_MAX)
    return [] if data is None else unpack_treated(data)


def ice_config(settings: NetSettings) -> IceConfig:
    """Return how paths are found.

    Raises:
        ConfigError: a server is not `HOST` or `HOST:PORT`.
    """
    turn = []
    for server in settings.turn:
        host, port = _host_and_port(server.host)
        turn.append(TurnServer(host, server.username, server.password, port))
    stun = [StunServer(*_host_and_port(settings.stun))] if settings.stun else []
    return IceConfig(
        scope=Scope.RELAY_ONLY if settings.relay_only else Scope.ALL,
        turn=tuple(turn),
        stun=tuple(stun),
        maps_ports=settings.upnp,
    )


def _host_and_port(text: str) -> tuple[str, int]:
    """Read `HOST`, `HOST:PORT` or `[IPV6]:PORT`."""
    head, separator, tail = text.rpartition(":")
    if not separator or (":" in head and not head.endswith("]")):
        return text.strip("[]"), STUN_PORT
    if not tail.isdecimal() or not 0 < int(tail) <= _PORT_MAX:
        raise ConfigError(f"config.toml: not a server: {text!r}; write HOST or HOST:PORT")
    return head.strip("[]"), int(tail)


def _loopback() -> Sequence[bytes]:
    return (LOOPBACK,)
