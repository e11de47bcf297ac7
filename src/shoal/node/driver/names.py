"""`account.names`: the account's own name, and what people's names lead to."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
from typing import TYPE_CHECKING, Any, Final

from shoal.identity.errors import AccountFileError
from shoal.names import parse_address, server_url
from shoal.names.errors import (
    AddressFormatError,
    InvalidNameError,
    NameNotFoundError,
    NamesError,
)
from shoal.node.driver.ids import account_of, bare, is_hex, target_of
from shoal.node.errors import ConfigError, NamesMissingError, UnknownNameError
from shoal.node.events import AccountNamed

if TYPE_CHECKING:
    from shoal.core import AccountId, DeviceId
    from shoal.names import NameClient, NameRecord
    from shoal.node.config import NamesSettings
    from shoal.node.driver.bus import EventBus
    from shoal.node.driver.vault import Vault

_log = logging.getLogger(__name__)

SERVER: Final = "https://ns.jami.net"  # Jami namedirectory.cpp, DEFAULT_SERVER_HOST
SERVER_VARIABLE: Final = "SHOAL_NAME_SERVER"
FIRST_ASK: Final = 2.0  # seconds after a start, which has more urgent things to load; ours
RETRY_FIRST: Final = 30.0  # seconds until a server that was away is asked again; ours
RETRY_MAX: Final = 3600.0  # doubled each time, up to this; ours
REGISTRATION_TIME: Final = 120.0  # seconds; ours: a server may wait for some blocks of its chain


class SharedNames:
    """The node's one client of name servers, opened when it is first needed.

    Attributes:
        server: for accounts that name none.
        asks_own: accounts ask for their own names when they start.
    """

    def __init__(self, settings: NamesSettings) -> None:
        """Take the settings.

        Raises:
            ConfigError: the server is no URL.
        """
        self.server = checked_server(
            settings.server or os.environ.get(SERVER_VARIABLE, "") or SERVER, "names.server"
        )
        self.asks_own = settings.ask_own
        self._allow_unsigned = settings.allow_unsigned
        self._client: NameClient | None = None
        self._lock = asyncio.Lock()

    async def client(self) -> NameClient:
        """Return the client.

        Raises:
            NamesMissingError: packages that names take are not installed.
        """
        async with self._lock:
            if self._client is None:
                try:
                    # Slow, and mostly not needed: so it holds up neither the start nor the loop.
                    names = await asyncio.to_thread(
                        importlib.import_module, "shoal.names.driver.client"
                    )
                except ModuleNotFoundError as error:
                    raise NamesMissingError(f"names need {error.name}") from error
                config = names.NameClientConfig(
                    server=self.server,
                    allow_unsigned=self._allow_unsigned,
                    registration_timeout=REGISTRATION_TIME,
                )
                client: NameClient = names.NameClient(config)
                self._client = await client.__aenter__()
            return self._client

    async def close(self) -> None:
        """Close it; harmless without."""
        client, self._client = self._client, None
        if client is not None:
            await client.__aexit__(None, None, None)


class AccountNames:
    """Names, as one account sees them: at its own name server, checked, and remembered.

    Wherever a person is named, a name, `name@server` or a `jami:` address does for an id.
    """

    def __init__(
        self,
        account: AccountId,
        vault: Vault,
        shared: SharedNames,
        bus: EventBus,
        server: str | None = None,
    ) -> None:
        """Work for *account*; a *server* goes before that of its own settings."""
        self._account = account
        self._vault = vault
        self._shared = shared
        self._bus = bus
        self._server = server
        self._learning: asyncio.Task[None] | None = None

    @property
    def own(self) -> str:
        """The name that the account has registered, as far as is known here, or ""."""
        return self._vault.settings.registered_name

    @property
    def server(self) -> str:
        """The account's name server: of config.toml, else of its `RingNS.uri`, else the node's."""
        return self._server or self._vault.settings.name_server or self._shared.server

    @property
    def is_asking(self) -> bool:
        """Whether names are asked for by themselves: we are online, and the settings allow it."""
        return self._learning is not None

    async def use(self, server: str) -> None:
        """Make *server* the account's name server, its `RingNS.uri`; "" takes the node's.

        The account's own name is that of the new server, once that has answered.

        Raises:
            AddressFormatError: it is no URL of a name server.
            AccountFileError: it cannot be written.
        """
        await self._vault.use_names(name_server=server_url(server) if server else "")
        if self._learning is not None:
            await self.close()
            self.start(0.0)

    async def register(
        self, name: str, *, password: str = "", server: str | None = None
    ) -> NameRecord:
        """Register *name* for the account, for ever: it cannot be changed or undone.

        Repeating it is harmless, and tells how it ended. *password* is that of the archive, which
        holds the account's key; *server* is one to be asked instead of the account's.

        Raises:
            AccountKeyError: this device does not have the archive.
            ArchivePasswordError: the archive has another password.
            RegistrationRefusedError: the name is taken, or the account has another; see its kinds.
            RegistrationPendingError: the server goes on with it; ask again later.
            NamesError: the name is none, or the server gave no answer, or a false one.
        """
        from shoal.chain import ChainAddress  # noqa: PLC0415 - with its optional packages

        client = await self._shared.client()
        keys = (await self._vault.open(password)).keys
        private, owner = keys.account.private_key, ChainAddress.parse(keys.chain_address)
        url = server_url(server or self.server)
        record = await client.register(name, private.public_key, private.sign, owner, server=url)
        if url == server_url(self.server):
            await self._know(record.name)
        return record

    async def lookup(self, name: str, *, is_fresh: bool = False) -> NameRecord:
        """Return who has *name*, or `name@server`: the account that signed it.

        Raises:
            NameNotFoundError: nobody has it.
            UnknownNameError: an id was given.
            NamesError: the name is none, or the server gave no answer, or a false one.
        """
        target = parse_address(name)
        if target.account is not None:
            raise UnknownNameError(f"an id, and no name: {name[:80]!r}")
        client = await self._shared.client()
        server = target.server or self.server
        return await client.lookup(target.name, server=server, is_fresh=is_fresh)

    async def reverse(self, account: AccountId | str, *, is_fresh: bool = False) -> NameRecord:
        """Return the name of an account, once it was seen to lead back to it.

        Raises:
            UnknownNameError: *account* is no id.
            NameNotFoundError: it has none.
            NamesError: the server gave no answer, or a false one.
        """
        client = await self._shared.client()
        return await client.reverse(account_of(account), server=self.server, is_fresh=is_fresh)

    async def status(self, name: str = "") -> dict[str, Any]:
        """Return how the server is, or how far the registration of *name* is there.

        Raises:
            BadNameAnswerError: it is a server of another kind.
            NamesError: the name is none, or the server gives no answer.
        """
        client = await self._shared.client()
        if not name:
            return await client.status(server=self.server)
        return await client.progress(name, server=self.server)

    async def find_account(self, who: AccountId | str) -> AccountId:
        """Return the account that *who* is the id, the name or the address of.

        Ids are taken as they are, without a question to anybody.

        Raises:
            UnknownNameError: it can be neither.
            NameNotFoundError: nobody has the name.
            NamesError: the server gave no answer, or a false one.
        """
        try:
            return account_of(who)
        except UnknownNameError:
            return await self._look(str(who))

    async def find_target(self, who: AccountId | DeviceId | str) -> AccountId | DeviceId:
        """Return the device or account that *who* is the id, the name or the address of.

        Raises:
            UnknownNameError: it can be none of them.
            NameNotFoundError: nobody has the name.
            NamesError: the server gave no answer, or a false one.
        """
        try:
            return target_of(who)
        except UnknownNameError:
            return await self._look(str(who))

    # The account's own name

    def start(self, pause: float = FIRST_ASK) -> None:
        """Learn the account's name: ask after *pause* seconds; nobody waits for that."""
        if self._shared.asks_own and self._learning is None:
            self._learning = asyncio.get_running_loop().create_task(self._learn(pause))

    async def close(self) -> None:
        """Learn no longer."""
        task, self._learning = self._learning, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _learn(self, first: float) -> None:
        """Ask until there is an answer that can be believed."""
        await asyncio.sleep(first)
        pause = RETRY_FIRST
        while True:
            try:
                await self._know((await self.reverse(self._account, is_fresh=True)).name)
            except NameNotFoundError:
                await self._know("")
            except (NamesMissingError, AccountFileError) as error:
                _log.warning("! own name: %s", error)
            except NamesError as error:
                _log.debug("x own name at %s: %s", self.server, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, RETRY_MAX)
                continue
            return

    async def _know(self, name: str) -> None:
        """Remember the account's own name."""
        if name != self.own:
            await self._vault.use_names(registered_name=name)
            self._bus.publish(AccountNamed(self._account, name))

    async def _look(self, text: str) -> AccountId:
        """Return the account of an address that is no plain id."""
        if is_hex(bare(text)):  # 64 digits are a device; of other numbers, some were lost
            raise UnknownNameError(f"no id of an account, and no name: {text[:80]!r}")
        try:
            target = parse_address(text)
            if target.account is not None:
                return target.account
            return (await self.lookup(text)).account
        except (AddressFormatError, InvalidNameError) as error:
            raise UnknownNameError(f"neither id nor name: {text[:80]!r}: {error}") from error


def checked_server(server: str, setting: str) -> str:
    """Return the URL of a name server that a setting names.

    Raises:
        ConfigError: it is none.
    """
    try:
        return server_url(server)
    except AddressFormatError as error:
        raise ConfigError(f"{setting}: {error}") from error
