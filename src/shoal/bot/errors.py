"""What goes wrong with bots.

BotError
├── Refusal            raised by a handler: its text is what people are told
├── BotStoreError      the bot's database cannot be used
├── HandlerError       a handler is not what it is registered as
└── BotNotRunningError the bot does not run
"""

from __future__ import annotations

from shoal.core import ShoalError


class BotError(ShoalError):
    """Base of the errors of bots."""


class Refusal(BotError):  # noqa: N818 - an answer, not a mistake
    """The bot will not do that. Raise it in a handler: whoever asked is told its text."""


class BotStoreError(BotError):
    """The bot's database cannot be used. Look at its disk and permissions, or move it away."""


class HandlerError(BotError):
    """A handler does not take what it would be given. Correct its parameters."""


class BotNotRunningError(BotError):
    """The bot does not run. Start it with `run`, or enter `at_work`."""
