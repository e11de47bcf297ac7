"""A bot between conversations and programs that speak HTTP.

    python examples/webhook_bridge.py --port 8099 --secret-file secret --forward http://…

Inwards: `POST /` with `Authorization: Bearer SECRET` and a text says it in every conversation that
has said `/watch`. Outwards, if wanted: what is said in these is posted as JSON to an address.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import logging
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shoal.bot import Bot, Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.bot import Chat

BODY_MAX: Final = 16_384  # bytes of a text
TIMEOUT: Final = 10.0  # seconds
_log = logging.getLogger(__name__)


class HookServer(ThreadingHTTPServer):
    """Takes texts over HTTP, in threads of its own."""

    daemon_threads = True

    def __init__(self, port: int, secret: str, take: Callable[[str], None]) -> None:
        super().__init__(("127.0.0.1", port), Hook)
        self.expected = f"Bearer {secret}".encode()
        self.take = take


class Hook(BaseHTTPRequestHandler):
    """Takes one text."""

    server: HookServer
    timeout = TIMEOUT

    def do_POST(self) -> None:
        """Check who tells, and pass it on."""
        given = self.headers.get("Authorization", "").encode()
        length = self.headers.get("Content-Length", "")
        if not hmac.compare_digest(given, self.server.expected):
            self.send_error(401)
        elif not length.isdecimal() or int(length) > BODY_MAX:
            self.send_error(413)
        else:
            self.server.take(self.rfile.read(int(length)).decode(errors="replace"))
            self.send_response(204)
            self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        """Log as the rest does."""
        _log.info(format, *args)


def make_bot(  # noqa: C901 - handlers, one after the other
    secret: str, *, port: int = 0, forward: str = ""
) -> Bot:
    """Return a bot that takes texts at *port* of this machine."""
    bot = Bot("Bridge")
    servers: list[HookServer] = []

    @bot.command()
    async def watch(message: Message) -> None:
        """Say here what programs tell me."""
        message.state["watches"] = True
        await message.reply("I will say here what I am told.")

    @bot.command()
    async def unwatch(message: Message) -> None:
        """Say it here no longer."""
        message.state["watches"] = False
        await message.reply("I will be silent.")

    @bot.task()
    async def tell(chat: Chat, text: str) -> None:
        if chat.state.get("watches"):
            await chat.say(text)

    @bot.on_message()
    async def pass_on(message: Message) -> None:
        if forward and message.state.get("watches"):
            said = {"conversation": str(message.id), "author": str(message.author)}
            await asyncio.to_thread(post, forward, {**said, "text": message.text})

    @bot.on_start()
    async def listen() -> None:
        loop = asyncio.get_running_loop()

        async def tell_all(text: str) -> None:
            for conversation in bot.conversations():
                await bot.later(conversation, 0, tell, text=text)

        def take(text: str) -> None:
            asyncio.run_coroutine_threadsafe(tell_all(text), loop).result(TIMEOUT)

        server = HookServer(port, secret, take)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _log.info("= takes texts at http://127.0.0.1:%d", server.server_port)

    @bot.on_stop()
    async def close() -> None:
        server = servers.pop()
        await asyncio.to_thread(server.shutdown)
        server.server_close()

    return bot


def post(url: str, fields: dict[str, str]) -> None:
    """Post JSON."""
    request = urllib.request.Request(  # noqa: S310 - whoever runs the bot names it
        url, json.dumps(fields).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT):  # noqa: S310 - the same
        pass


def main() -> None:
    """Read the options, and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8099)
    parser.add_argument("--secret-file", type=Path, required=True)
    parser.add_argument("--forward", default="", metavar="URL")
    options = parser.parse_args()
    secret = options.secret_file.read_text().strip()
    make_bot(secret, port=options.port, forward=options.forward).run()


if __name__ == "__main__":
    main()
