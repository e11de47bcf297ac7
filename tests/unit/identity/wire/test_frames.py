"""A stream cut into objects."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError
from shoal.identity.wire.frames import ObjectSplitter

LIMIT = 100_000
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.binary(max_size=300)
    | st.text(st.characters(codec="utf-8"), max_size=40)
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=20))
)
objects = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=20) | st.dictionaries(st.integers(0, 99), inner, max_size=20)
    ),
    max_leaves=30,
)


@given(st.lists(objects, max_size=5), st.data())
def test_however_a_stream_is_cut(items: list[object], data: st.DataObject) -> None:
    """The same objects come out, each as the bytes that went in."""
    packed = [msgpack.packb(item) for item in items]
    stream = b"".join(packed)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    splitter = ObjectSplitter(LIMIT)

    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += splitter.feed(stream[start:end])

    assert found == packed
    assert splitter.is_empty


@pytest.mark.parametrize(
    "item",
    [
        *(bytes(n) for n in (0, 255, 256, 65_536)),
        *("x" * n for n in (31, 32, 256, 65_536)),
        *([0] * n for n in (15, 16, 65_536)),
        *(dict.fromkeys(range(n), 0) for n in (15, 16, 40_000)),
        *(msgpack.ExtType(5, bytes(n)) for n in (1, 2, 4, 8, 16, 17, 256, 65_536)),
        *(1 << bits for bits in (6, 7, 15, 31, 63)),
        *(-(1 << bits) for bits in (4, 5, 7, 15, 31, 63)),
        1.5,
    ],
    ids=lambda item: msgpack.packb(item)[:5].hex(),
)
def test_every_form_byte_by_byte(item: object) -> None:
    """All headers of msgpack, with their lengths cut in the middle."""
    packed = msgpack.packb(item)
    splitter = ObjectSplitter(1 << 20)
    found = []
    for position in range(min(len(packed) - 1, 12)):
        found += splitter.feed(packed[position : position + 1])
    assert not splitter.is_empty or len(packed) == 1
    found += splitter.feed(packed[min(len(packed) - 1, 12) :])

    assert found == [packed]


@pytest.mark.parametrize(
    "data",
    [
        b"\xdd\xff\xff\xff\xff",  # an array of four thousand million
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\x00\x02\x00\x00",
        b"\x91" * (LIMIT + 1),
        b"\xc6\x00\x01\x86\xa1",
    ],
)
def test_what_is_too_large_is_refused_at_its_header(data: bytes) -> None:
    """Before any of it has come."""
    with pytest.raises(DecodeError, match="more than"):
        ObjectSplitter(LIMIT).feed(data)


def test_the_unused_byte_is_refused() -> None:
    """Nothing begins with c1."""
    with pytest.raises(DecodeError, match="never uses"):
        ObjectSplitter(LIMIT).feed(b"\xc1")


@given(st.lists(st.binary(max_size=100), max_size=10))
def test_any_stream_stays_within_the_limit(chunks: list[bytes]) -> None:
    """Objects or an error."""
    splitter = ObjectSplitter(200)
    for chunk in chunks:
        try:
            found = splitter.feed(chunk)
        except DecodeError:
            return
        assert all(len(each) <= 200 for each in found)
