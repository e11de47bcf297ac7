"""The hash that a length asks for."""

from __future__ import annotations

import hashlib

import pytest

from shoal.crypto.digests import hash_data


@pytest.mark.parametrize(
    ("length", "algorithm"),
    [(1, "sha1"), (20, "sha1"), (21, "sha256"), (32, "sha256"), (33, "sha512"), (64, "sha512")],
)
def test_length_chooses_the_algorithm(length: int, algorithm: str) -> None:
    """SHA-1 up to 20 bytes, SHA-256 up to 32, SHA-512 above; cut to the length."""
    assert hash_data(b"data", length) == hashlib.new(algorithm, b"data").digest()[:length]
