"""Linking this device to an account of another one, with `jami-auth`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.node.driver.account import Account


class LinkNewDevice:
    """This device while it waits to be added to an account; `Accounts.link_new_device` makes it."""

    @property
    def uri(self) -> str:
        """What the other device scans: `jami-auth://…`."""
        raise NotImplementedError

    async def wait(self) -> Account:
        """Return the account once the other device has handed it over.

        Raises:
            LinkRefusedError: the password was wrong too often.
            LinkTimeoutError: nobody came within five minutes.
            LinkCanceledError: the other side gave up.
        """
        raise NotImplementedError
