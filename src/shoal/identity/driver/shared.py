"""Files that all accounts share: certificates that were met, and lists of revoked devices."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from shoal.core import AccountId, DecodeError
from shoal.crypto import InvalidRevocationListError, RevocationList
from shoal.identity.chain import CHAIN_SIZE_MAX, parse_chain
from shoal.identity.driver.files import delete_file, read_file, resolve, sweep, write_file
from shoal.identity.errors import AccountFileError, ChainError
from shoal.identity.store import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from shoal.core import Persist
    from shoal.crypto import Certificate
    from shoal.identity.effects import Forget

_log = logging.getLogger(__name__)

LISTS_FOLDER: Final = "crls"
_LIST_SIZE_MAX: Final = 65_536  # OpenDHT value.h: MAX_VALUE_SIZE
SHARED: Final = (f"{FOLDER}/", f"{LISTS_FOLDER}/")  # how the names of shared files begin


class SharedFiles:
    """The folder of all data."""

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder

    def certificates(self) -> Iterator[Certificate]:
        """Yield the chains that are kept; invalid files are deleted, as Jami does."""
        folder = self.folder / FOLDER
        sweep(folder)
        for path in sorted(folder.glob("*")):
            try:
                yield parse_chain(read_file(path, CHAIN_SIZE_MAX) or b"")
            except (AccountFileError, ChainError) as error:
                _log.warning("%s is no certificate chain (%s); deleted", path.name, error)
                delete_file(path)

    def revocations(self) -> Iterator[tuple[AccountId, RevocationList]]:
        """Yield the lists that are kept, unchecked, with the account that each is kept for."""
        for folder in (self.folder / LISTS_FOLDER).glob("*"):
            sweep(folder)
        for path in sorted((self.folder / LISTS_FOLDER).glob("*/*")):
            try:
                account = AccountId.from_hex(path.parent.name)
                yield account, RevocationList.parse(read_file(path, _LIST_SIZE_MAX) or b"")
            except (AccountFileError, DecodeError, InvalidRevocationListError) as error:
                _log.warning("%s is no revocation list (%s); passed over", path.name, error)

    def apply(self, effect: Persist | Forget) -> None:
        """Write or delete a shared file.

        Raises:
            AccountFileError: it cannot be done.
        """
        path = resolve(self.folder, effect.name)
        data = getattr(effect, "data", None)
        if data is None:
            delete_file(path)
        else:
            write_file(path, data)
