"""Bots: people that are programs, in ten lines.

    bot = Bot("Echo")

    @bot.on_message()
    async def echo(message: Message) -> None:
        await message.reply(message.text)

    bot.run()

Names are imported when they are first used. Errors are in `shoal.bot.errors`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.bot.bot import Bot
    from shoal.bot.clock import Clock, TestClock
    from shoal.bot.errors import BotError, Refusal
    from shoal.bot.filters import (
        Filter,
        anything,
        contains,
        in_group,
        is_reply,
        matches,
        said_by,
    )
    from shoal.bot.message import Chat, Message, State
    from shoal.bot.policy import Policy, everyone, nobody, only
    from shoal.swarm import MemberAction

__all__ = [
    "Bot",
    "BotError",
    "Chat",
    "Clock",
    "Filter",
    "MemberAction",
    "Message",
    "Policy",
    "Refusal",
    "State",
    "TestClock",
    "anything",
    "contains",
    "everyone",
    "in_group",
    "is_reply",
    "matches",
    "nobody",
    "only",
    "said_by",
]

_MODULES = {
    "shoal.bot.bot": ("Bot",),
    "shoal.bot.clock": ("Clock", "TestClock"),
    "shoal.bot.errors": ("BotError", "Refusal"),
    "shoal.bot.filters": (
        *("Filter", "anything", "contains", "in_group", "is_reply", "matches", "said_by"),
    ),
    "shoal.bot.message": ("Chat", "Message", "State"),
    "shoal.bot.policy": ("Policy", "everyone", "nobody", "only"),
    "shoal.swarm": ("MemberAction",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
