"""Identifiers: their length, their text forms, their distances."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError, InfoHash, PublicKeyId

hashes = st.binary(min_size=20, max_size=20).map(InfoHash)


@given(value=st.binary(max_size=64))
def test_only_the_right_length_is_an_id(value: bytes) -> None:
    """An id of another length has no constructor."""
    for kind, length in ((InfoHash, 20), (PublicKeyId, 32)):
        if len(value) == length:
            assert kind(value) == value
        else:
            with pytest.raises(DecodeError):
                kind(value)


def test_text_is_hashed_as_upstream_hashes_it() -> None:
    """Vectors A23 of the reference; 40 leading hex digits are the key itself."""
    assert str(InfoHash.from_text("keyA")) == "fa7137cfa582de9fe93ad7d50673e154a755d7eb"
    assert str(InfoHash.of(b"\x00")) == "5ba93c9db0cff93f52b521d7420e43f6eda2784f"
    digits = "FA7137cfa582de9fe93ad7d50673e154a755d7eb"
    assert InfoHash.from_text(digits) == InfoHash.from_text("keyA")
    assert InfoHash.from_text(digits + " and more") == InfoHash.from_text("keyA")
    assert InfoHash.from_text(digits[:39]) == InfoHash.of(digits[:39].encode())


def test_the_key_of_a_long_id() -> None:
    """Vector A24: the SHA-1 of the 32 bytes."""
    long_id = PublicKeyId.from_hex(
        "7fc66ded2765e0a494ae1d9520c34df9a7cec6026736088620f941d9425d16d1"
    )
    assert str(long_id.infohash) == "a5f3d30f846fd12998db5253fe855257b98efe61"


@pytest.mark.parametrize("text", ["", "zz", "fa71", "fa7137cfa582de9fe93ad7d50673e154a755d7e "])
def test_bad_hex_says_so(text: str) -> None:
    """What is not 40 digits is refused, and the message shows it."""
    with pytest.raises(DecodeError, match=r"hexadecimal|takes 20 bytes"):
        InfoHash.from_hex(text)


@given(a=hashes, b=hashes, c=hashes)
def test_distance_is_a_metric(a: InfoHash, b: InfoHash, c: InfoHash) -> None:
    """XOR: zero only to itself, symmetric, and triangular."""
    assert (a.distance(b) == 0) == (a == b)
    assert a.distance(b) == b.distance(a)
    assert a.distance(c) <= a.distance(b) + b.distance(c)
    assert a.common_bits(a) == 160
    assert a.common_bits(b) == 160 - a.distance(b).bit_length()


def test_ids_show_themselves() -> None:
    """For people: hex; for developers: hex with the type."""
    value = InfoHash(bytes(20))
    assert str(value) == "00" * 20
    assert repr(value) == f"InfoHash({'00' * 20})"
