"""Addresses that people type, read as Jami reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import AccountId
from shoal.names.errors import AddressFormatError
from shoal.names.uris import Target, parse_address, parse_as_13_7, server_url

ID = "693763e5a1c4d1f2b2f6a6f7e8d9c0b1a2b3c493"


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("alice", Target(name="alice")),
        (" jami:alice ", Target(name="alice")),
        ("jami://alice", Target(name="alice")),
        ("ring:Alice", Target(name="Alice")),
        ("sip:alice", Target(name="alice")),
        ("alice@ns.example.org", Target(name="alice", server="ns.example.org")),
        ("jami:alice@10.0.0.1:8080", Target(name="alice", server="10.0.0.1:8080")),
        ("jami:alice@[::1]:8080", Target(name="alice", server="[::1]:8080")),
        (ID, Target(account=AccountId.from_hex(ID))),
        (f"jami:{ID}", Target(account=AccountId.from_hex(ID))),
        (f"RING://{ID.upper()}", Target(account=AccountId.from_hex(ID))),
        (f"sips:{ID}@somewhere", Target(account=AccountId.from_hex(ID))),
        (f"jami:{ID}abcdef", Target(account=AccountId.from_hex(ID))),  # 40 digits, and more
        (ID[:-1], Target(name=ID[:-1])),
    ],
)
def test_both_generations(text: str, target: Target) -> None:
    """What 13.7 and 2026 read alike."""
    assert parse_address(text) == target
    assert parse_as_13_7(text) == target


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("alice@http://10.0.0.1:80", Target(name="alice", server="http://10.0.0.1:80")),
        ("Alice@ns.example.org", Target(name="Alice", server="ns.example.org")),
        ("été@ns.example.org", Target(name="été", server="ns.example.org")),
        ("alice#1", Target(name="alice#1")),
    ],
)
def test_the_newer_reads_more(text: str, target: Target) -> None:
    """13.7 refuses capitals before the @, schemes behind it, and what is not ASCII."""
    assert parse_address(text) == target
    with pytest.raises(AddressFormatError):
        parse_as_13_7(text)


@pytest.mark.parametrize("text", ["", "   ", "@", "alice@", "@host", "a b", "a@b@c", "x" * 1025])
def test_no_addresses(text: str) -> None:
    """Neither reads these."""
    with pytest.raises(AddressFormatError):
        parse_address(text)
    with pytest.raises(AddressFormatError):
        parse_as_13_7(text)


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_none(text: str) -> None:
    """Nothing else ever happens; what is read is an account or a name, never both."""
    for parse in (parse_address, parse_as_13_7):
        try:
            target = parse(text)
        except AddressFormatError:
            continue
        assert (target.account is None) == bool(target.name)
        assert target.account is None or not target.server


def test_server_urls() -> None:
    """HTTPS where nobody says otherwise, as Jami has it; no slash at the end."""
    assert server_url("ns.jami.net") == "https://ns.jami.net"
    assert server_url(" https://NS.example.org/ ") == "https://NS.example.org"
    assert server_url("HTTP://10.0.0.1:80//") == "http://10.0.0.1:80"
    assert server_url("https://example.org/names") == "https://example.org/names"
    for text in ("", "https://", "ftp://x", "http://a b", "http://u:p@host", "host?x", "host#x"):
        with pytest.raises(AddressFormatError):
            server_url(text)
