"""Tokens: bound to address and port, good for the current and the previous secret."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address
from shoal.dht.tokens import ROTATION_MAX, ROTATION_MIN, TOKEN_SIZE, TokenSecrets
from tests.unit.dht import strategies

ADDR = Address.parse("192.0.2.1", 4222)


class Counting:
    """Entropy that counts, and always picks the middle."""

    def __init__(self) -> None:
        self.drawn = 0

    def token_bytes(self, length: int) -> bytes:
        """Return the number of draws."""
        self.drawn += 1
        return self.drawn.to_bytes(length)

    def below(self, bound: int) -> int:
        """Return the middle."""
        return bound // 2

    def uniform(self, low: float, high: float) -> float:
        """Return the middle."""
        return (low + high) / 2


def test_the_bytes_of_a_token() -> None:
    """SHA-256 over secret, address and port."""
    token = TokenSecrets(Counting(), now=0.0).issue(ADDR)
    secret = (1).to_bytes(8)
    assert token == hashlib.sha256(secret + b"\xc0\x00\x02\x01" + b"\x10\x7e").digest()
    assert len(token) == TOKEN_SIZE


def test_a_token_lives_through_one_rotation_and_not_two() -> None:
    """Secrets change every 15 to 45 minutes."""
    tokens = TokenSecrets(Counting(), now=0.0)
    token = tokens.issue(ADDR)
    assert tokens.accepts(token, ADDR)

    due = tokens.next_deadline()
    assert ROTATION_MIN <= due <= ROTATION_MAX
    tokens.advance(due - 1)
    assert tokens.next_deadline() == due
    assert tokens.issue(ADDR) == token

    tokens.advance(due)
    assert tokens.next_deadline() > due
    assert tokens.issue(ADDR) != token
    assert tokens.accepts(token, ADDR)
    tokens.advance(tokens.next_deadline())
    assert not tokens.accepts(token, ADDR)


@given(strategies.ADDRESSES, st.binary(max_size=70))
def test_no_other_token_or_address_will_do(addr: Address, forged: bytes) -> None:
    """Neither another port, another address, nor another length."""
    tokens = TokenSecrets(Counting(), now=0.0)
    token = tokens.issue(addr)
    assert tokens.accepts(token, addr)
    assert not tokens.accepts(forged, addr)
    assert not tokens.accepts(token, Address(addr.ip, addr.port ^ 1))
    assert not tokens.accepts(token[:-1], addr)
    assert not tokens.accepts(token + b"\0", addr)
