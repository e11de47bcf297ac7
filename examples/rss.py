"""A bot that reads feeds: `/follow https://…`, `/feeds`, `/unfollow https://…`.

Feeds, RSS 2.0 and Atom, are read with the standard library's ElementTree: a parser for feeds of
every shape would be one more thing to trust with bytes of strangers, and the two formats take
twenty lines. What hostile feeds can do is bounded: they are at most a mebibyte of UTF-8, a DOCTYPE
is refused, so no entity is ever defined or expanded, and only public addresses are connected to. A
name is looked up once, and the address that was checked is the one that is asked: whoever owns the
name cannot have it lead into our network a moment later. A proxy would look names up by itself, so
none is used.
"""

from __future__ import annotations

import asyncio
import http.client
import ipaddress
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from xml.etree import ElementTree as ET

from shoal.bot import Bot, Message, Refusal

if TYPE_CHECKING:
    from shoal.bot import Chat

PERIOD: Final = 900.0  # seconds between two looks
SIZE_MAX: Final = 1_048_576  # bytes of a feed
SEEN_MAX: Final = 500  # items of a feed that are remembered
NEW_MAX: Final = 5  # items that are told at once
FEEDS_MAX: Final = 20  # of one conversation
TITLE_MAX: Final = 200  # characters
TIMEOUT: Final = 20.0  # seconds
ATOM: Final = "{http://www.w3.org/2005/Atom}"

bot = Bot("Reader")
allows_private = False  # tests read feeds of this machine


class Item(NamedTuple):
    """One thing that a feed tells."""

    id: str
    title: str
    link: str


@bot.command()
async def follow(message: Message, url: str) -> None:
    """Tell what is new in a feed, from now on."""
    feeds = message.state.get("feeds", {})
    if url in feeds:
        raise Refusal("I follow it already.")
    if len(feeds) >= FEEDS_MAX:
        raise Refusal(f"I follow {FEEDS_MAX} already.")
    items = await read(url)
    message.state["feeds"] = {**feeds, url: [each.id for each in items][:SEEN_MAX]}
    if not feeds:
        message.cancel(poll)
        message.later(PERIOD, poll)
    latest = f" Its latest: {items[0].title}" if items else ""
    await message.reply(f"I follow it.{latest}")


@bot.command()
async def unfollow(message: Message, url: str) -> None:
    """Follow a feed no longer."""
    feeds = message.state.get("feeds", {})
    if feeds.pop(url, None) is None:
        raise Refusal("I do not follow it.")
    message.state["feeds"] = feeds
    await message.reply("I do not follow it any more.")


@bot.command()
async def feeds(message: Message) -> None:
    """List the feeds."""
    await message.reply("\n".join(message.state.get("feeds", {})) or "I follow none.")


@bot.task()
async def poll(chat: Chat) -> None:
    """Look at each feed of a conversation, tell what is new, and come again."""
    known = chat.state.get("feeds", {})
    for url, seen in list(known.items()):
        try:
            items = await read(url)
        except Refusal:
            continue  # the next time it may be there
        fresh = [each for each in items if each.id not in seen]
        for item in reversed(fresh[:NEW_MAX]):
            await chat.say(f"{item.title}\n{item.link}".strip())
        known[url] = [*(each.id for each in fresh), *seen][:SEEN_MAX]
    chat.state["feeds"] = known
    if known:
        chat.later(PERIOD, poll)


async def read(url: str) -> list[Item]:
    """Fetch and parse a feed.

    Raises:
        Refusal: it cannot be had, or is none.
    """
    return parse(await asyncio.to_thread(fetch, url))


def fetch(url: str) -> bytes:
    """Return the bytes of a feed.

    Raises:
        Refusal: they cannot be had, or are too many.
    """
    check(url)
    no_proxies = urllib.request.ProxyHandler({})
    opener = urllib.request.build_opener(no_proxies, CheckedRedirects, CheckedWeb, CheckedTls)
    try:
        with opener.open(url, timeout=TIMEOUT) as answer:
            data: bytes = answer.read(SIZE_MAX + 1)
    except (OSError, ValueError) as error:  # URLError is an OSError
        raise Refusal(f"I cannot read {url}: {error}") from error
    if len(data) > SIZE_MAX:
        raise Refusal(f"{url} is larger than {SIZE_MAX} bytes.")
    return data


def check(url: str) -> None:
    """See that *url* is one of the web, and of no file or other service.

    Raises:
        Refusal: it is not.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Refusal("A feed's address begins with https://")


def dial(host: str, port: int) -> socket.socket:
    """Connect to where a stranger may send us: the web, not the network that we are in.

    Raises:
        Refusal: they may not, or there is no such name.
        OSError: nobody answers there.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        raise Refusal(f"I cannot find {host}.") from error
    addresses = [str(entry[4][0]) for entry in found]
    if not allows_private and not all(ipaddress.ip_address(each).is_global for each in addresses):
        raise Refusal("I read public feeds alone.")
    failure = OSError(f"{host} has no address")
    for address in addresses:
        try:
            return socket.create_connection((address, port), TIMEOUT)
        except OSError as error:
            failure = error
    raise failure


class WebConnection(http.client.HTTPConnection):
    """A connection to a public address."""

    def connect(self) -> None:
        """Open it."""
        self.sock = dial(self.host, self.port)


class TlsConnection(http.client.HTTPSConnection):
    """The same, encrypted; who answers proves to have the name."""

    def connect(self) -> None:
        """Open it."""
        plain = dial(self.host, self.port)
        self.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=self.host)


class CheckedWeb(urllib.request.HTTPHandler):
    """Asks public addresses alone."""

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Ask."""
        return self.do_open(WebConnection, req)


class CheckedTls(urllib.request.HTTPSHandler):
    """The same, encrypted."""

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Ask."""
        return self.do_open(TlsConnection, req)


class CheckedRedirects(urllib.request.HTTPRedirectHandler):
    """Goes on only to where a stranger may have sent us in the first place."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Check where it goes on."""
        check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def parse(data: bytes) -> list[Item]:
    """Read RSS 2.0 or Atom, newest first as feeds have it.

    Raises:
        Refusal: it is neither.
    """
    try:
        text = data.decode("utf-8-sig")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise Refusal("That feed defines entities, which I do not read.")
        root = ET.fromstring(text.encode())  # noqa: S314 - bounded, without entities
    except (UnicodeDecodeError, ET.ParseError) as error:
        raise Refusal("That is no feed.") from error
    if root.tag == "rss":
        return [_rss_item(each) for each in root.iterfind("channel/item")]
    if root.tag == f"{ATOM}feed":
        return [_atom_item(each) for each in root.iterfind(f"{ATOM}entry")]
    raise Refusal("That is neither RSS nor Atom.")


def _rss_item(item: ET.Element) -> Item:
    title, link = _text(item, "title"), _text(item, "link")
    return Item(_text(item, "guid") or link or title, title[:TITLE_MAX], link)


def _atom_item(entry: ET.Element) -> Item:
    title = _text(entry, f"{ATOM}title")
    link = next((each.get("href", "") for each in entry.iterfind(f"{ATOM}link")), "")
    return Item(_text(entry, f"{ATOM}id") or link or title, title[:TITLE_MAX], link)


def _text(element: ET.Element, name: str) -> str:
    return " ".join((element.findtext(name) or "").split())


if __name__ == "__main__":
    bot.run()
