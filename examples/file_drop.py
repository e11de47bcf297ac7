"""A bot that keeps files: send it some, `/list` them, `/get` one, `/drop` one.

Each conversation has a folder of its own. Files are at most 64 MiB, and a conversation's together
at most a gibibyte.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from shoal.bot import Bot, Message, Refusal

FILE_MAX: Final = 64 * 2**20  # bytes
TOTAL_MAX: Final = 2**30  # bytes of one conversation

bot = Bot("File drop")


@bot.on_file()
async def keep(message: Message) -> None:
    """Fetch a file and keep it."""
    offer = message.file
    assert offer is not None, "on_file is for files"
    files = message.state.get("files", {})
    if offer.size > FILE_MAX:
        raise Refusal("That is more than I keep of one file.")
    if offer.size + sum(size for _, size in files.values()) > TOTAL_MAX:
        raise Refusal("That is more than I keep of one conversation. /drop some.")
    folder = bot.folder / "files" / str(message.id)
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    path = await message.download(folder)
    message.state["files"] = {**files, path.name: [str(path), offer.size]}
    await message.reply(f"Kept as {path.name}.")


@bot.command("list")
async def show(message: Message) -> None:
    """List what is kept here."""
    files = message.state.get("files", {})
    lines = [f"{name}  {size:,} bytes" for name, (_, size) in sorted(files.items())]
    await message.reply("\n".join(lines) or "Nothing is kept here.")


@bot.command()
async def get(message: Message, *name: str) -> None:
    """Send a file back."""
    await message.send_file(path_of(message, " ".join(name)))


@bot.command()
async def drop(message: Message, *name: str) -> None:
    """Keep a file no longer."""
    called = " ".join(name)
    path = path_of(message, called)
    await asyncio.to_thread(path.unlink, missing_ok=True)
    files = message.state["files"]
    del files[called]
    message.state["files"] = files
    await message.reply("Dropped.")


def path_of(message: Message, name: str) -> Path:
    """Return where a file of this conversation is.

    Raises:
        Refusal: there is none of that name.
    """
    files = message.state.get("files", {})
    if name not in files:
        raise Refusal("There is no such file. /list tells which there are.")
    return Path(files[name][0])


if __name__ == "__main__":
    bot.run()
