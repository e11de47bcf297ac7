"""`Accounts`: the accounts of a node, and the ways in which one comes to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    from shoal.core import AccountId
    from shoal.node.driver.account import Account
    from shoal.node.driver.linking import LinkNewDevice

    Progress = Callable[[str, int, int], None]


class Accounts:
    """The accounts of one node, by id."""

    def __iter__(self) -> Iterator[Account]:
        """Iterate over them."""
        raise NotImplementedError

    def __len__(self) -> int:
        """Return how many there are."""
        raise NotImplementedError

    def __getitem__(self, account: AccountId | str) -> Account:
        """Return an account by id, by the first digits of it, or by its name.

        Raises:
            UnknownAccountError: there is none, or several fit.
        """
        raise NotImplementedError

    async def create(
        self,
        name: str,
        *,
        password: str = "",
        device_name: str = "",
        progress: Progress | None = None,
        key_bits: int = 4096,
    ) -> Account:
        """Make a new account and start it.

        Three RSA keys are drawn, which takes seconds; *progress* is told what is being done, how
        many steps are done, and how many there are. *key_bits* is for tests alone: others accept
        no keys of less than 2,048 bits, and Jami makes 4,096.
        """
        raise NotImplementedError

    async def import_archive(
        self,
        source: str | os.PathLike[str] | bytes,
        *,
        password: str = "",
        device_name: str = "",
        progress: Progress | None = None,
        key_bits: int = 4096,
    ) -> Account:
        """Make this a device of the account whose archive is in a file, or is given as bytes.

        Raises:
            WrongPasswordError: the archive has another password.
            ArchiveError: it is no archive.
            AccountExistsError: the account is here already.
        """
        raise NotImplementedError

    async def link_pin(
        self,
        pin: str,
        *,
        password: str = "",
        device_name: str = "",
        progress: Progress | None = None,
        key_bits: int = 4096,
    ) -> Account:
        """Make this a device of an account that shows a PIN, as Jami 13.7 and Shoal do.

        Raises:
            PinNotFoundError: nothing is found under this PIN and this password.
            AccountExistsError: the account is here already.
        """
        raise NotImplementedError

    def link_new_device(
        self,
        *,
        password: Callable[[bool], str] | str = "",
        device_name: str = "",
        key_bits: int = 4096,
    ) -> AbstractAsyncContextManager[LinkNewDevice]:
        """Make this a device of an account whose other device scans what we show.

        The object has the `uri` to show, as text or QR code, and `wait()`, which returns the
        account. *password* is that of the account, or is called for it, once per try, with
        whether the last one was wrong.

        Raises:
            LinkError: what went wrong.
        """
        raise NotImplementedError

    async def remove(self, account: AccountId | str) -> None:
        """Delete an account from this device, its keys too. Other devices keep it.

        Raises:
            UnknownAccountError: there is none.
        """
        raise NotImplementedError
