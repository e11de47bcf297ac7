"""Bootstrap hosts: how people write them, the list we ship, and name resolution."""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import threading
from importlib import resources
from typing import TYPE_CHECKING, Final

from shoal.core import Address, DecodeError
from shoal.dht.errors import BootstrapFormatError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

_log = logging.getLogger(__name__)

PORT_DEFAULT: Final = 4222  # OpenDHT dhtrunner.h: DHT_DEFAULT_PORT
ADDRESSES_MAX: Final = 16  # ours: of one host; a name with more is no bootstrap host
RESOLVING_MAX: Final = 16  # ours: names looked up at once
_PORT_MAX: Final = 0xFFFF
_BRACKETED: Final = re.compile(r"\[(?P<host>[^\]]+)\](?::(?P<port>\d{1,5}))?")
_PLAIN: Final = re.compile(r"(?P<host>[^:\s\[\]]+)(?::(?P<port>\d{1,5}))?")


def parse_host(text: str) -> tuple[str, int]:
    """Read `HOST`, `HOST:PORT`, an IP address, or `[IPV6]:PORT`; the port is 4222 if absent.

    Raises:
        BootstrapFormatError: *text* is none of them.
    """
    text = text.strip()
    with contextlib.suppress(DecodeError):
        return Address.parse(text, PORT_DEFAULT).host, PORT_DEFAULT  # an IPv6 address has colons
    found = _BRACKETED.fullmatch(text) or _PLAIN.fullmatch(text)
    port = int(found["port"] or PORT_DEFAULT) if found is not None else 0
    if found is None or not 0 < port <= _PORT_MAX:
        raise BootstrapFormatError(
            f"{text[:80]!r} is no bootstrap address; write HOST, HOST:PORT or [IPV6]:PORT"
        )
    return found["host"], port


def parse_hosts(hosts: Iterable[str | tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """Read several, pairs as they are.

    Raises:
        BootstrapFormatError: one of them is not understood.
    """
    return tuple(parse_host(host) if isinstance(host, str) else host for host in hosts)


def public_hosts() -> tuple[tuple[str, int], ...]:
    """Return the hosts of the public network that we ship: `bootstrap.txt` beside this module."""
    text = resources.files("shoal.dht.driver").joinpath("bootstrap.txt").read_text("utf-8")
    return read_hosts(text)


def read_hosts(text: str) -> tuple[tuple[str, int], ...]:
    """Read a list of hosts: one per line, `#` starts a comment.

    Raises:
        BootstrapFormatError: a line is not understood.
    """
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return parse_hosts(line for line in lines if line)


class Resolver:
    """Looks host names up beside the event loop.

    In daemon threads, because a lookup can hang for half a minute and nothing can cancel it: a
    pool would keep the program from ending.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._running = 0

    def resolve(self, host: str, port: int, found: Callable[[tuple[Address, ...]], None]) -> None:
        """Call *found* once, from the loop and not before it turns, with what *host* stands for."""
        try:
            addr = Address.parse(host, port)
        except DecodeError:
            pass
        else:
            self._loop.call_soon(found, (addr,))
            return
        if self._running >= RESOLVING_MAX:
            _log.warning("too many host names are being looked up; %s is left for later", host)
            self._loop.call_soon(found, ())
            return
        self._running += 1
        threading.Thread(
            target=self._look_up, args=(host, port, found), name=f"resolve {host}", daemon=True
        ).start()

    def _look_up(self, host: str, port: int, found: Callable[[tuple[Address, ...]], None]) -> None:
        addrs: list[Address] = []
        try:
            for *_, sockaddr in socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM):
                addrs.append(Address.parse(str(sockaddr[0]), port))
        except (OSError, UnicodeError) as error:  # UnicodeError: a label of no or too many letters
            reason = error.strerror if isinstance(error, OSError) else error
            _log.warning("cannot resolve %s: %s", host, reason)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(
                self._done, found, tuple(dict.fromkeys(addrs))[:ADDRESSES_MAX]
            )

    def _done(
        self, found: Callable[[tuple[Address, ...]], None], addrs: tuple[Address, ...]
    ) -> None:
        self._running -= 1
        found(addrs)
