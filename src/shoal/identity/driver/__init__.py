"""Accounts on disk, and the slow work of making them."""

from shoal.identity.driver.creation import make_account, make_keys, new_account
from shoal.identity.driver.folder import (
    AccountFolder,
    StoredAccount,
    list_accounts,
)
from shoal.identity.driver.shared import SharedFiles

__all__ = [
    "AccountFolder",
    "SharedFiles",
    "StoredAccount",
    "list_accounts",
    "make_account",
    "make_keys",
    "new_account",
]
