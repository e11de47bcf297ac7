"""Prefixes and the z-curve, by examples of OpenDHT and by their laws."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import InfoHash
from shoal.dht.errors import IndexKeyError
from shoal.dht.pht.prefix import KeySpec, Prefix

contents = st.binary(min_size=1, max_size=12)


def test_linearized_keys_of_opendht() -> None:
    """Contents taken from OpenDHT in one process; sizes as its source has them."""
    one = KeySpec({"key": 4}).linearize({"key": b"abcd"})
    two = KeySpec({"foo": 2, "bar": 2}).linearize({"foo": b"ab", "bar": b"cd"})

    assert (one.content.hex(), one.size) == ("6162636480", 32)
    assert (two.content.hex(), two.size) == ("3c0b3c24c000", 48)


def test_the_root_is_the_same_for_all() -> None:
    """SHA-1 of one zero byte, whatever the index."""
    root = InfoHash.from_hex("5ba93c9db0cff93f52b521d7420e43f6eda2784f")

    for content in (b"", b"abc", bytes(50)):
        assert Prefix.whole(content).cut(0).key == root


def test_node_keys() -> None:
    """Content cut to whole bytes, low bits zero, then the size modulo 256."""
    prefix = Prefix.whole(b"\xff" * 40)

    assert prefix.cut(1).key == InfoHash.of(b"\x80\x01")
    assert prefix.cut(8).key == InfoHash.of(b"\xff\x08")
    assert prefix.cut(13).key == InfoHash.of(b"\xff\xf8\x0d")
    assert prefix.cut(256).key == InfoHash.of(b"\xff" * 32 + b"\x00")
    assert prefix.cut(300).key == InfoHash.of(b"\xff" * 37 + b"\xf0\x2c")


@given(contents, st.data())
def test_siblings_differ_in_the_last_bit(content: bytes, data: st.DataObject) -> None:
    """As in OpenDHT 4.4; and are siblings of each other."""
    whole = Prefix.whole(content)
    node = whole.cut(data.draw(st.integers(1, whole.bits)))
    sibling = node.sibling()

    assert sibling.common_bits(node) == node.size - 1
    assert sibling.cut(node.size) == sibling
    assert sibling.sibling() == node


def test_the_root_has_no_sibling() -> None:
    """Nothing to flip."""
    assert Prefix.whole(b"a").cut(0).sibling() == Prefix(b"", 0)


@given(contents, st.integers(0, 100), st.integers(0, 100))
def test_cutting_twice_is_cutting_once(content: bytes, first: int, second: int) -> None:
    """If the second cut is the shorter; and a prefix starts with every cut of it."""
    whole = Prefix.whole(content)
    shorter, longer = sorted((first, second))

    assert whole.cut(longer).cut(shorter) == whole.cut(shorter)
    assert whole.starts_with(whole.cut(first))
    assert whole.cut(first).size == min(first, whole.bits)


@given(contents, st.data())
def test_a_cut_keeps_the_bits(content: bytes, data: st.DataObject) -> None:
    """As many as asked for, and zeros behind them."""
    whole = Prefix.whole(content)
    size = data.draw(st.integers(0, whole.bits))
    cut = whole.cut(size)

    assert [cut.bit(n) for n in range(size)] == [whole.bit(n) for n in range(size)]
    assert not any(cut.bit(n) for n in range(size, cut.bits))
    assert cut.bits - size < 8


@given(contents, contents)
def test_common_bits_are_counted(first: bytes, second: bytes) -> None:
    """As many as both start with; equal ones count eight times the smaller size."""
    one, other = Prefix.whole(first), Prefix.whole(second)
    least = min(one.bits, other.bits)
    equal = [one.bit(n) == other.bit(n) for n in range(least)]

    if all(equal):
        assert one.common_bits(other) == 8 * least
    else:
        assert one.common_bits(other) == equal.index(False)
    assert one.common_bits(other) == other.common_bits(one)


def test_common_bits_of_a_key_without_bits() -> None:
    """An empty key is like everything equally: not at all."""
    empty = KeySpec({"key": 4}).linearize({"key": b""})
    assert empty.size == 0
    assert empty.common_bits(Prefix.whole(empty.content)) == 0


@given(st.integers(1, 5), st.integers(1, 6), st.data())
def test_the_z_curve_takes_bits_in_turn(fields: int, length: int, data: st.DataObject) -> None:
    """Bit n of field f of F is bit n * F + f of the key."""
    spec = KeySpec({f"field{n}": length for n in range(fields)})
    values = {name: data.draw(st.binary(max_size=length)) for name in spec.fields}
    key = spec.linearize(values)

    for f, value in enumerate(values.values()):
        padded = Prefix.whole((value + b"\x80").ljust(length + 1, b"\0"))
        taken = [key.bit(n * fields + f) for n in range(padded.bits)]
        assert taken == [padded.bit(n) for n in range(padded.bits)]
    assert len(key.content) == spec.content_size


@given(st.data())
def test_different_keys_have_different_prefixes(data: st.DataObject) -> None:
    """Lengths are told apart by the bit after the data."""
    spec = KeySpec({"a": 3, "b": 1})
    key = st.fixed_dictionaries({"a": st.binary(max_size=3), "b": st.binary(max_size=1)})
    first, second = data.draw(key), data.draw(key)

    assert (first == second) == (spec.linearize(first) == spec.linearize(second))


def test_fields_go_by_name_and_by_bytes() -> None:
    """Whatever order they were given in; an upper-case letter comes first, an accent last."""
    assert list(KeySpec({"b": 1, "é": 1, "a": 1, "Z": 1}).fields) == ["Z", "a", "b", "é"]


@pytest.mark.parametrize("fields", [{}, {"a": -1}, {"a": 1025}, {f"f{n}": 1 for n in range(17)}])
def test_impossible_fields_are_refused(fields: dict[str, int]) -> None:
    """None, too many, too long."""
    with pytest.raises(IndexKeyError):
        KeySpec(fields)


@pytest.mark.parametrize("key", [{}, {"a": b"x", "b": b"y"}, {"b": b"x"}, {"a": b"123"}])
def test_keys_that_do_not_fit_are_refused(key: dict[str, bytes]) -> None:
    """Other fields, or more bytes than allowed."""
    with pytest.raises(IndexKeyError):
        KeySpec({"a": 2}).linearize(key)
