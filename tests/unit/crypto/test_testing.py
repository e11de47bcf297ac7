"""Simulated keys."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shoal.crypto.errors import CryptoError
from shoal.crypto.testing import SeededSuite
from tests.unit.crypto.samples import rsa_key

SUITE = SeededSuite()


def test_everything_follows_from_seed_and_name() -> None:
    """Another seed is another world."""
    assert SUITE.identity("a") == SeededSuite().identity("a", seed=0)
    assert SUITE.identity("a") != SUITE.identity("a", seed=1)
    key = SUITE.identity("a").private_key
    assert key.sign(b"x") == key.sign(b"x")
    assert key.public_key.encrypt(b"x") == key.public_key.encrypt(b"x")


def test_public_keys_have_a_real_ones_size() -> None:
    """Packets of a simulation are as long as real ones."""
    assert len(SUITE.identity("a").private_key.public_key.spki) == len(rsa_key().public_key.spki)


@given(st.binary(max_size=300))
def test_what_was_sealed_opens(data: bytes) -> None:
    """Whatever it is."""
    key = SUITE.identity("a").private_key
    assert key.decrypt(key.public_key.encrypt(data)) == data


@given(st.binary(max_size=400))
def test_any_bytes_are_refused(data: bytes) -> None:
    """As a key, a sealed box or a certificate, with errors of ours."""
    key = SUITE.identity("a").private_key
    assert not SUITE.verify(data, data, data)
    for read in (key.decrypt, SUITE.parse_certificate):
        try:
            read(data)
        except CryptoError:
            continue
        raise AssertionError
