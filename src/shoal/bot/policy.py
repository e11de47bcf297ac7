"""Whose requests a bot accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from shoal.core import AccountId

if TYPE_CHECKING:
    from collections.abc import Callable

Policy: TypeAlias = "Callable[[AccountId], bool]"


def everyone(account: AccountId) -> bool:
    """Accept whoever asks."""
    return True


def nobody(account: AccountId) -> bool:
    """Decline whoever asks: the bot talks to those whom it asked itself."""
    return False


def only(*accounts: AccountId | str) -> Policy:
    """Accept these people alone, named by their ids or `jami:` addresses."""
    wanted = {
        AccountId.from_hex(each.removeprefix("jami:")) if isinstance(each, str) else each
        for each in accounts
    }
    return lambda account: account in wanted
