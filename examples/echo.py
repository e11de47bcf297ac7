"""A bot that says what it hears: `python examples/echo.py`, and add the address that it prints."""

from __future__ import annotations

from shoal.bot import Bot, Message

bot = Bot("Echo")


@bot.on_message()
async def echo(message: Message) -> None:
    """Answer with the same words."""
    await message.reply(message.text)


if __name__ == "__main__":
    bot.run()
