"""Addresses: parsed from text, shown as text, mapped to one family each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address, DecodeError, Family
from shoal.core.addresses import unmapped


@given(ip=st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), port=st.integers(0, 65_535))
def test_text_and_back(ip: object, port: int) -> None:
    """Whatever `ipaddress` reads, an address holds in its packed form."""
    address = Address.parse(str(ip), port)
    assert address.port == port
    assert Address.parse(address.host, port) == address
    assert len(address.ip) == (4 if address.family is Family.IPV4 else 16)


def test_mapped_addresses_are_ipv4() -> None:
    """An IPv4-mapped IPv6 address is the IPv4 address it stands for; others stay."""
    assert Address.parse("::ffff:192.0.2.1", 5) == Address.parse("192.0.2.1", 5)
    assert unmapped(bytes(16)) == bytes(16)


@pytest.mark.parametrize(
    ("host", "port"), [("nowhere", 1), ("1.2.3", 1), ("::1", 65_536), ("::1", -1)]
)
def test_nonsense_is_refused(host: str, port: int) -> None:
    """No address without an IP address and a port."""
    with pytest.raises(DecodeError):
        Address.parse(host, port)


def test_how_addresses_read() -> None:
    """IPv6 in brackets, as in URLs; a zone is not part of the value."""
    assert str(Address.parse("192.0.2.1", 4222)) == "192.0.2.1:4222"
    assert str(Address.parse("fe80::1%eth0", 4222)) == "[fe80::1]:4222"
