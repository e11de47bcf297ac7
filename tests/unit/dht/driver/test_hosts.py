"""Bootstrap hosts: how they are written, and how they are resolved without blocking."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from shoal.core import Address
from shoal.dht.driver import hosts
from shoal.dht.driver.hosts import Resolver, parse_host, parse_hosts, public_hosts, read_hosts
from shoal.dht.errors import BootstrapFormatError

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("bootstrap.example.org", ("bootstrap.example.org", 4222)),
        ("bootstrap.example.org:5000", ("bootstrap.example.org", 5000)),
        (" 192.0.2.1 ", ("192.0.2.1", 4222)),
        ("192.0.2.1:1", ("192.0.2.1", 1)),
        ("2001:db8::1", ("2001:db8::1", 4222)),
        ("[2001:db8::1]", ("2001:db8::1", 4222)),
        ("[2001:db8::1]:65535", ("2001:db8::1", 65535)),
    ],
)
def test_hosts_are_read(text: str, host: tuple[str, int]) -> None:
    """An IPv6 address needs brackets only before a port."""
    assert parse_host(text) == host


@pytest.mark.parametrize(
    "text",
    ["", "a b", "host:", "host:0", "host:65536", "host:x", "[::1", "[::1]x", ":4222", "a:b:c"],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    """With the forms that are."""
    with pytest.raises(BootstrapFormatError, match="HOST:PORT"):
        parse_host(text)


def test_pairs_are_hosts_as_well() -> None:
    """For programs."""
    assert parse_hosts(["a:1", ("b", 2)]) == (("a", 1), ("b", 2))


def test_lists_have_comments() -> None:
    """The one that is shipped begins with the public network's own host."""
    assert read_hosts("# a list\n\na.example # one\nb.example:5\n") == (
        ("a.example", 4222),
        ("b.example", 5),
    )
    assert public_hosts()[0] == ("bootstrap.jami.net", 4222)


async def resolved(resolver: Resolver, host: str) -> tuple[Address, ...]:
    """Wait for what *host* stands for."""
    found: asyncio.Future[tuple[Address, ...]] = asyncio.get_running_loop().create_future()
    resolver.resolve(host, 5, found.set_result)
    assert not found.done()
    return await found


def answering(*addrs: str) -> Callable[..., list[Any]]:
    """A `getaddrinfo` that finds these."""
    return lambda *_, **__: [(0, 0, 0, "", (addr, 5)) for addr in addrs]


async def test_addresses_need_no_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not looked up, and not reported from within the call."""
    monkeypatch.setattr(socket, "getaddrinfo", None)
    assert await resolved(Resolver(asyncio.get_running_loop()), "::1") == (Address.parse("::1", 5),)


async def test_names_give_every_address_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of both families, up to a limit."""
    resolver = Resolver(asyncio.get_running_loop())
    monkeypatch.setattr(socket, "getaddrinfo", answering("192.0.2.1", "192.0.2.1", "::1"))
    assert [a.host for a in await resolved(resolver, "name")] == ["192.0.2.1", "::1"]

    monkeypatch.setattr(socket, "getaddrinfo", answering(*(f"192.0.2.{n}" for n in range(99))))
    assert len(await resolved(resolver, "name")) == hosts.ADDRESSES_MAX


@pytest.mark.parametrize("error", [socket.gaierror(-2, "unknown"), UnicodeError("label too long")])
async def test_an_unknown_name_has_no_address(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, not raised: the node tries again later."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert await resolved(Resolver(asyncio.get_running_loop()), "name") == ()
    assert "cannot resolve name" in caplog.text


async def test_lookups_that_hang_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than allowed is put off; those under way end when they end."""
    monkeypatch.setattr(hosts, "RESOLVING_MAX", 1)
    may_end = threading.Event()

    def hang(*_: object, **__: object) -> list[Any]:
        may_end.wait(10)
        return [(0, 0, 0, "", ("192.0.2.1", 5))]

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    resolver = Resolver(asyncio.get_running_loop())
    first = asyncio.ensure_future(resolved(resolver, "slow"))
    await asyncio.sleep(0)
    assert await resolved(resolver, "other") == ()
    may_end.set()
    assert await first == (Address.parse("192.0.2.1", 5),)
