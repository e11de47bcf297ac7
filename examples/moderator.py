"""A bot that keeps order in groups of its own: `/newgroup`, then `/invite jami:…` in there.

Only administrators can ban, and who begins a group is its administrator: so the bot begins it.
Newcomers are greeted; who uses a word of the list is warned, and the third time voted out.
"""

from __future__ import annotations

import re
from typing import Final

from shoal.bot import Bot, Filter, MemberAction, Message, Refusal, in_group

STRIKES: Final = 3
BAD_WORDS: Final = ("barnacle", "bilge")  # change these

bot = Bot("Moderator")


def is_rude(message: Message) -> bool:
    """Whether a word of the list is in a text."""
    words = re.findall(r"\w+", message.text.casefold())
    return not set(BAD_WORDS).isdisjoint(words)


@bot.command()
async def newgroup(message: Message) -> None:
    """Begin a group, and invite you."""
    group = await message.account.conversations.create()
    await group.invite(message.author)
    await message.reply("You are invited. Invite others in there with /invite and their address.")


@bot.command()
async def invite(message: Message, address: str) -> None:
    """Invite somebody into this group."""
    if not message.is_group:
        raise Refusal("Say that in a group; /newgroup begins one.")
    person = address.removeprefix("jami:").lower()
    if not re.fullmatch(r"[0-9a-f]{40}", person):
        raise Refusal("An address is jami: and 40 hex digits.")
    await message.conversation.invite(person)
    await message.reply("Invited.")


@bot.command()
async def pardon(message: Message, address: str) -> None:
    """Let somebody come back who was voted out; for those who were never warned."""
    strikes = message.state.get("strikes", {})
    person = address.removeprefix("jami:").lower()
    if strikes.get(str(message.author)):
        raise Refusal("Those who were warned cannot pardon.")
    if strikes.get(person, 0) < STRIKES:
        raise Refusal("They are not banned.")
    await message.conversation.unban(person)
    del strikes[person]
    message.state["strikes"] = strikes
    await message.reply("Pardoned.")


@bot.on_member(MemberAction.JOIN)
async def greet(message: Message) -> None:
    """Greet newcomers."""
    if message.is_group:
        await message.say("Welcome aboard! Mind your words: three strikes and you are out.")


@bot.on_message(in_group & Filter(is_rude))
@bot.on_edit(in_group & Filter(is_rude))
async def warn(message: Message) -> None:
    """Warn, and the third time ban."""
    person, strikes = str(message.author), message.state.get("strikes", {})
    count = strikes.get(person, 0) + 1
    message.state["strikes"] = {**strikes, person: count}
    if count < STRIKES:
        await message.reply(f"Mind your words. That was strike {count} of {STRIKES}.")
        return
    await message.reply("Three strikes: out.")
    if message.is_admin:
        await message.conversation.ban(message.author)


if __name__ == "__main__":
    bot.run()
