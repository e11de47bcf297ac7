"""msgpack as OpenDHT writes it: shortest forms out, old forms in."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError, InfoHash
from shoal.dht import packing
from tests.unit.dht import vectors


@given(st.integers(0, 2**64 - 1))
def test_integers_take_the_shortest_form(number: int) -> None:
    """As msgpack's own packer writes them."""
    assert packing.pack_uint(number) == msgpack.packb(number)


@pytest.mark.parametrize("bits", [7, 8, 16, 32, 64])
def test_integers_at_the_edges(bits: int) -> None:
    """The last of one form and the first of the next."""
    for number in {2**bits - 1, min(2**bits, 2**64 - 1)}:
        assert packing.pack_uint(number) == msgpack.packb(number)


@pytest.mark.parametrize("length", [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536])
def test_lengths_take_the_shortest_form(length: int) -> None:
    """Of bytes, text and arrays."""
    assert packing.pack_bin(b"x" * length) == msgpack.packb(b"x" * length)
    assert packing.pack_text("x" * length) == msgpack.packb("x" * length)
    assert packing.pack_array_header(length) + b"\0" * length == msgpack.packb([0] * length)


@given(st.binary())
def test_any_bytes_unpack_or_give_a_decode_error(data: bytes) -> None:
    """Nothing else is raised."""
    try:
        packing.unpack(data)
    except DecodeError:
        return
    packing.unpack(data + b"trailing bytes")


@given(st.binary(max_size=300))
def test_blobs_read_the_same_from_all_three_forms(data: bytes) -> None:
    """Bin, str, and an array of small integers, short or long."""
    forms = [
        msgpack.packb(data),
        packing.pack_text(data.decode("utf-8", "surrogateescape")),
        msgpack.packb(list(data)),
    ]
    assert {packing.read_blob(packing.unpack(form)) for form in forms} == {data}
    assert packing.read_text(data).encode("utf-8", "surrogateescape") == data


@pytest.mark.parametrize("item", [None, 5, {}, [256], ["a"]], ids=repr)
def test_what_is_no_blob(item: object) -> None:
    """Bin, str and arrays of bytes are."""
    with pytest.raises(DecodeError):
        packing.read_blob(item)


@pytest.mark.parametrize("item", [None, 5, [97]], ids=repr)
def test_what_is_no_text(item: object) -> None:
    """Str and bin are."""
    with pytest.raises(DecodeError):
        packing.read_text(item)


@pytest.mark.parametrize("item", [None, "x" * 20, b"x" * 19, [0] * 20], ids=repr)
def test_what_is_no_id(item: object) -> None:
    """Only a bin of 20 bytes is."""
    with pytest.raises(DecodeError):
        packing.read_hash(item)


@pytest.mark.parametrize("item", [None, -1, 256, True, 1.0], ids=repr)
def test_what_is_no_number(item: object) -> None:
    """Integers within the limit are; booleans are not."""
    with pytest.raises(DecodeError):
        packing.read_uint(item, 255)


def test_what_the_readers_return() -> None:
    """Ids are ids."""
    assert type(packing.read_hash(bytes(20))) is InfoHash
    assert packing.read_uint(255, 255) == 255
    assert packing.read_text("text") == packing.read_text(b"text") == "text"


def test_long_arrays_and_odd_keys_are_read_the_slow_way() -> None:
    """Only text and integer keys stay there."""
    long = list(range(300))
    assert packing.unpack(msgpack.packb({"a": long, 3: 4, b"b": 5})) == {"a": long, 3: 4}
    assert packing.unpack(b"\x82\x90\x01\xa1a\x02") == {"a": 2}
    with pytest.raises(DecodeError, match="not msgpack"):
        packing.unpack(b"\xdc\x01\x2c" + b"\x01" * 299)


def test_the_discovery_vector() -> None:
    """A21: a node announced on the local network; `test_discovery.py` shows what we make of it."""
    vector, node_id = vectors.VALUES["A21"], bytes(range(20))
    announced = bytes.fromhex(vector["head"]) + node_id + bytes.fromhex(vector["tail"])
    assert packing.unpack(announced) == {"dht": [node_id, vector["port"], vector["network"]]}
    assert packing.unpack(bytes.fromhex(vector["query"])) == "q"
