"""`Devices`: the devices of one account, and how more come to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shoal.core import DeviceId, InfoHash


@dataclass(frozen=True, slots=True)
class Device:
    """A device of an account of ours.

    Attributes:
        id: the long id.
        short_id: SHA-1 of its key; None where the device never told it.
        name: as its owner named it, or "".
        is_this: the device that asks.
        is_announced: it said lately that it is online.
        is_connected: there is a connection with it.
        wall_synced: when it was last in touch, seconds since 1970, or None.
    """

    id: DeviceId
    short_id: InfoHash | None
    name: str
    is_this: bool
    is_announced: bool
    is_connected: bool
    wall_synced: float | None


@dataclass(frozen=True, slots=True)
class Pin:
    """A PIN under which a new device can fetch the account, for ten minutes.

    Attributes:
        text: 8 characters, to be typed on the new device.
        seconds: how long it lives from now on.
    """

    text: str
    seconds: float


class Devices:
    """The devices of one account. A device is named by `DeviceId`, or by its 64 hex digits."""

    def __iter__(self) -> Iterator[Device]:
        """Iterate over the devices, this one first."""
        raise NotImplementedError

    def list(self) -> tuple[Device, ...]:
        """Return the devices, this one first."""
        raise NotImplementedError

    async def rename(self, name: str) -> None:
        """Give this device another name, and tell the others."""
        raise NotImplementedError

    async def revoke(self, device: DeviceId | str, *, password: str = "") -> None:
        """Revoke a device: nobody accepts it any more. There is no way back.

        Raises:
            UnknownDeviceError: the account has no such device.
            OwnDeviceError: it is this one.
            WrongPasswordError: the password is not that of the archive.
        """
        raise NotImplementedError

    async def export_pin(self, *, password: str = "") -> Pin:
        """Put the account into the DHT for ten minutes, under a PIN, for Jami 13.7 or Shoal.

        Raises:
            WrongPasswordError: the password is not that of the archive.
            StoredOnlyHereError: no other node took it.
        """
        raise NotImplementedError

    async def add(
        self,
        uri: str,
        *,
        password: str = "",
        confirm: Callable[[str], bool] | None = None,
    ) -> None:
        """Hand the account to a new device that shows *uri*, `jami-auth://…`, and return then.

        *confirm* is asked, with the address that the new device connected from, before anything
        is sent. The new device's user types the password of the archive, and it is checked here.

        Raises:
            LinkError: what went wrong.
        """
        raise NotImplementedError
