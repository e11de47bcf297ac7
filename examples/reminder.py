"""A bot that reminds: `/remind 90m the tea`, `/reminders`, `/forget 1`.

What is to be reminded of is in the bot's database: it may be stopped and started meanwhile, and
what came due while it was away is told when it is back.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from shoal.bot import Bot, Message, Refusal

if TYPE_CHECKING:
    from shoal.bot import Chat

UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
LONGEST: Final = 366 * 86_400  # seconds
REMINDERS_MAX: Final = 50  # of one conversation

bot = Bot("Reminder")


@bot.task()
async def ring(chat: Chat, number: int) -> None:
    """Say what was to be said, unless it was forgotten meanwhile."""
    reminders = chat.state.get("reminders", {})
    text = reminders.pop(str(number), None)
    if text is not None:
        chat.state["reminders"] = reminders
        await chat.say(f"⏰ {text}")


@bot.command()
async def remind(message: Message, when: str, *what: str) -> None:
    """Remind you in 30s, 10m, 2h, 3d or 1w."""
    if not what:
        raise Refusal("Remind you of what? As in /remind 10m the tea")
    seconds = seconds_of(when)
    reminders = message.state.get("reminders", {})
    if len(reminders) >= REMINDERS_MAX:
        raise Refusal(f"There are {REMINDERS_MAX} already. /forget some.")
    number = message.state.get("last", 0) + 1
    message.state["last"] = number
    message.state["reminders"] = {**reminders, str(number): " ".join(what)}
    message.later(seconds, ring, number=number)
    await message.reply(f"I will, in {when} (number {number}).")


@bot.command()
async def reminders(message: Message) -> None:
    """List what waits."""
    waiting = message.state.get("reminders", {})
    lines = [f"{number}  {text}" for number, text in waiting.items()]
    await message.reply("\n".join(lines) or "Nothing waits.")


@bot.command()
async def forget(message: Message, number: int) -> None:
    """Forget one of them."""
    waiting = message.state.get("reminders", {})
    if str(number) not in waiting:
        raise Refusal(f"There is no number {number}.")
    del waiting[str(number)]
    message.state["reminders"] = waiting
    await message.reply("Forgotten.")


def seconds_of(when: str) -> float:
    """Read 30s, 10m, 2h, 3d, 1w.

    Raises:
        Refusal: it is none of these, or too far away.
    """
    found = re.fullmatch(r"(\d{1,6})([smhdw])", when.lower())
    if found is None:
        raise Refusal(f"{when!r:.40} is no time: write 30s, 10m, 2h, 3d or 1w.")
    seconds = int(found[1]) * UNITS[found[2]]
    if seconds > LONGEST:
        raise Refusal("That is more than a year away.")
    return seconds


if __name__ == "__main__":
    bot.run()
