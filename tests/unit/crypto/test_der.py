"""DER elements: read with bounds, written in shortest form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError
from shoal.crypto import der


@pytest.mark.parametrize("length", [0, 1, 127, 128, 255, 256, 65_535, 65_536])
def test_lengths_survive_a_round_trip(length: int) -> None:
    """Each form of the length is written shortest and read back."""
    encoded = der.encode(der.OCTET_STRING, bytes(length))
    element = der.parse(encoded)

    assert element.tag == der.OCTET_STRING
    assert element.content == bytes(length)
    assert element.encoded == encoded


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, "020100"),
        (127, "02017f"),
        (128, "02020080"),
        (256, "02020100"),
        (2**63, "0209" + "0080" + "00" * 7),
    ],
)
def test_integers_are_positive(value: int, encoded: str) -> None:
    """A set first bit gets a zero byte before it."""
    assert der.encode_integer(value).hex() == encoded


def test_children_know_their_place() -> None:
    """Elements inside carry offsets into the whole."""
    encoded = der.encode(der.SEQUENCE, der.encode_integer(5), der.encode(der.NULL))
    first, second = der.parse(encoded).children()

    assert (first.start, first.content, second.start, second.content) == (2, b"\5", 5, b"")
    assert second.expect(der.NULL) is second
    with pytest.raises(DecodeError, match="at byte 5"):
        second.expect(der.INTEGER)


@pytest.mark.parametrize(
    "encoded",
    [
        "",
        "02",
        "020101ff",  # bytes after the end
        "0205",  # cut off
        "1f0100",  # tag of several bytes
        "0480",  # indefinite length
        "048400000001ff",  # four bytes of length
        "0481",  # length cut off
        "048105" + "00" * 5,  # long form of a short length
        "04820010" + "00" * 16,  # leading zero
        "0482007f" + "00" * 127,
    ],
)
def test_malformed_elements_are_refused(encoded: str) -> None:
    """What is not the one shortest form of one element is a DecodeError."""
    with pytest.raises(DecodeError):
        der.parse(bytes.fromhex(encoded))


def test_children_must_fill_the_content() -> None:
    """A child that runs over its parent's end is refused."""
    element = der.parse(bytes.fromhex("30030202ff"))
    with pytest.raises(DecodeError):
        element.children()


@given(st.binary(max_size=64))
def test_any_bytes_give_an_element_or_an_error(data: bytes) -> None:
    """Reading is total, and what was read is written the same."""
    try:
        element = der.parse(data)
    except DecodeError:
        return
    assert der.encode(element.tag, element.content) == data
