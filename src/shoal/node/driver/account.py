"""`Account`: one account of this node, running."""

# ruff: noqa: ASYNC109 - a timeout covers several steps here, each with its own limit

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable

    from shoal.core import AccountId, DeviceId, InfoHash
    from shoal.net.driver import Channel
    from shoal.node.driver.contacts import Contacts
    from shoal.node.driver.devices import Devices
    from shoal.node.events import AccountState, Presence


class Account:
    """An account on this device. `node.accounts` makes and holds them."""

    @property
    def id(self) -> AccountId:
        """What people exchange: SHA-1 of the account's public key."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """The display name, or ""."""
        raise NotImplementedError

    @property
    def device_id(self) -> DeviceId:
        """The long id of this device."""
        raise NotImplementedError

    @property
    def short_device_id(self) -> InfoHash:
        """The short id of this device."""
        raise NotImplementedError

    @property
    def state(self) -> AccountState:
        """Whether others can find us."""
        raise NotImplementedError

    @property
    def contacts(self) -> Contacts:
        """Who the account knows."""
        raise NotImplementedError

    @property
    def devices(self) -> Devices:
        """The devices of the account."""
        raise NotImplementedError

    @property
    def has_password(self) -> bool:
        """Whether the archive is encrypted."""
        raise NotImplementedError

    @property
    def is_backup_due(self) -> bool:
        """Whether losing this device would lose the account: no other device, no export."""
        raise NotImplementedError

    async def wait_announced(self, timeout: float | None = None) -> None:
        """Return once other nodes hold our chain and our announcement.

        Raises:
            TimeoutError: that took longer than *timeout* seconds.
        """
        raise NotImplementedError

    async def connect(
        self,
        to: DeviceId | AccountId | str,
        name: str,
        *,
        connection_type: str = "",
        timeout: float | None = None,
    ) -> Channel:
        """Open a channel called *name* to a device, or to any device of an account.

        An open connection is used where there is one. Of an account, the devices that are
        announced are tried, those with a connection first.

        Raises:
            NobodyAnnouncedError: the account has no device online.
            DeviceNotFoundError: nobody published the device's chain.
            ConnectError: the step that failed, and why.
        """
        raise NotImplementedError

    def on_channel(
        self,
        prefix: str,
        handler: Callable[[Channel], Awaitable[None]],
        *,
        accept: Callable[[AccountId, DeviceId, str], bool] | None = None,
    ) -> Callable[[], None]:
        """Accept channels whose name begins with *prefix*, and run *handler* for each.

        *accept* is asked with the peer's account, its device and the name; without it channels of
        contacts and of our own devices are accepted. The longest prefix that fits wins. The
        channel is closed when *handler* returns. Returns what ends it.
        """
        raise NotImplementedError

    def presence(self, account: AccountId | str) -> Presence:
        """Return what is known about a contact, or about an account that is being watched."""
        raise NotImplementedError

    async def find_devices(self, account: AccountId | str) -> tuple[DeviceId, ...]:
        """Ask the DHT which devices of an account are announced now."""
        raise NotImplementedError

    async def export(self, path: str | os.PathLike[str], *, password: str | None = None) -> None:
        """Write the archive, refreshed, to *path*. Whoever has it and its password has the account.

        Raises:
            WrongPasswordError: the archive has another password.
        """
        raise NotImplementedError

    async def change_password(self, old: str, new: str) -> None:
        """Encrypt the archive on this device with another password; an empty one leaves it clear.

        Raises:
            WrongPasswordError: the archive has another password.
        """
        raise NotImplementedError

    async def rename(self, name: str) -> None:
        """Change the display name."""
        raise NotImplementedError
