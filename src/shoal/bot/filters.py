"""Which messages a handler takes: `contains("tea") & ~in_group`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from shoal.core import AccountId

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.bot.message import Message


class Filter:
    """A question about a message; combine with `&`, `|` and `~`."""

    def __init__(self, accepts: Callable[[Message], bool]) -> None:
        """Ask *accepts*."""
        self._accepts = accepts

    def __call__(self, message: Message) -> bool:
        """Whether the message fits."""
        return self._accepts(message)

    def __and__(self, other: Filter) -> Filter:
        """Fit where both do."""
        return Filter(lambda message: self(message) and other(message))

    def __or__(self, other: Filter) -> Filter:
        """Fit where either does."""
        return Filter(lambda message: self(message) or other(message))

    def __invert__(self) -> Filter:
        """Fit where this one does not."""
        return Filter(lambda message: not self(message))


def contains(text: str) -> Filter:
    """Fit messages with *text* in them, in letters of any size."""
    wanted = text.casefold()
    return Filter(lambda message: wanted in message.text.casefold())


def matches(pattern: str) -> Filter:
    """Fit messages that a regular expression is found in."""
    compiled = re.compile(pattern)
    return Filter(lambda message: compiled.search(message.text) is not None)


def said_by(*accounts: AccountId | str) -> Filter:
    """Fit messages of these people."""
    wanted = {
        AccountId.from_hex(each.removeprefix("jami:")) if isinstance(each, str) else each
        for each in accounts
    }
    return Filter(lambda message: message.author in wanted)


anything = Filter(lambda message: True)
in_group = Filter(lambda message: message.is_group)
is_reply = Filter(lambda message: message.reply_to is not None)
