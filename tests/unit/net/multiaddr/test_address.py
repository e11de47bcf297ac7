"""Addresses as text."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address, DecodeError
from shoal.net.errors import MultiaddrError
from shoal.net.multiaddr import Multiaddr

DEVICE = "246cbd833ee0aedade0896235328b0100b63844d058da3b3998c2809e5479046"


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("/ip4/192.0.2.1/tcp/4433", Address(bytes((192, 0, 2, 1)), 4433)),
        ("/ip6/2001:db8::1/tcp/1", Address(bytes.fromhex("20010db8") + bytes(11) + b"\1", 1)),
        ("/ip4/192.0.2.1/udp/4433", None),
        ("/ip4/192.0.2.1", None),
        ("/dns4/node.example.org/tcp/4433", None),
        (f"/p2p/{DEVICE}/p2p-circuit", None),
        (f"/ip4/192.0.2.1/tcp/4433/p2p/{DEVICE}/p2p-circuit", None),
    ],
)
def test_addresses_come_back(text: str, endpoint: Address | None) -> None:
    """What is read is written; TCP ports can be dialled."""
    address = Multiaddr.parse(text)
    assert str(address) == text
    assert address.endpoint == endpoint
    if endpoint is not None:
        assert Multiaddr.tcp(endpoint) == address


def test_equal_ones_become_equal() -> None:
    """However they were written."""
    assert str(Multiaddr.parse("/ip6/2001:DB8:0::1/tcp/0080")) == "/ip6/2001:db8::1/tcp/80"
    assert str(Multiaddr.parse("/dns6/Node.Example.ORG/tcp/1")) == "/dns6/node.example.org/tcp/1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "ip4/192.0.2.1",
        "/ip4",
        "/ip4/192.0.2.256/tcp/1",
        "/ip4/192.0.2.1/tcp",
        "/ip4/192.0.2.1/tcp/0",
        "/ip4/192.0.2.1/tcp/65536",
        "/ip4/192.0.2.1/tcp/\u0661",
        "/ip4/192.0.2.1/tcp/1/",
        "/ip6/fe80::1%eth0/tcp/1",
        "/ip6/::ffff:192.0.2.1/tcp/1",
        "/ip6/192.0.2.1/tcp/1",
        "/dns4/a..b/tcp/1",
        "/onion/abc",
        "/p2p/abcd",
        "/p2p-circuit" * 9,
        "/ip4/192.0.2.1/tcp/1" + "x" * 256,
    ],
)
def test_what_is_no_address(text: str) -> None:
    """Each is refused."""
    with pytest.raises(MultiaddrError):
        Multiaddr.parse(text)


@pytest.mark.parametrize(
    ("host", "is_public"),
    [
        ("/ip4/44.128.0.1", True),
        ("/ip4/10.1.2.3", False),
        ("/ip4/172.16.0.1", False),
        ("/ip4/192.168.1.1", False),
        ("/ip4/100.64.0.1", False),
        ("/ip4/127.0.0.1", False),
        ("/ip4/169.254.1.1", False),
        ("/ip4/0.0.0.0", False),
        ("/ip4/224.0.0.1", False),
        ("/ip6/2a00::1", True),
        ("/ip6/fd00::1", False),
        ("/ip6/fe80::1", False),
        ("/ip6/::1", False),
        ("/dns4/example.org", True),
    ],
)
def test_what_strangers_may_be_told(host: str, *, is_public: bool) -> None:
    """Neither private addresses nor those of this machine or link."""
    assert Multiaddr.parse(f"{host}/tcp/1").is_public == is_public


@given(
    st.text(max_size=80)
    | st.lists(st.sampled_from(["ip4", "tcp", "1.2.3.4", "80", ""])).map("/".join)
)
def test_any_text_gives_an_address_or_an_error(text: str) -> None:
    """And an address comes back."""
    with contextlib.suppress(DecodeError):
        address = Multiaddr.parse(text)
        assert Multiaddr.parse(str(address)) == address
