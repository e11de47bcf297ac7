"""pkt-lines, cut anywhere."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError
from shoal.swarm.pkt_line import CONTENT_MAX, FLUSH, PktLineReader, encode

LINES = st.lists(st.none() | st.binary(max_size=40), max_size=10)


def test_layout() -> None:
    """The length counts itself."""
    assert encode(b"done\n") == b"0009done\n"
    assert len(encode(bytes(CONTENT_MAX))) == 65_520


@given(LINES, st.integers(1, 30))
def test_any_cut(lines: list[bytes | None], size: int) -> None:
    """However the stream is cut, the lines are the same."""
    stream = b"".join(FLUSH if line is None else encode(line) for line in lines)
    reader, found = PktLineReader(), list[bytes | None]()
    for start in range(0, len(stream), size):
        found += reader.feed(stream[start : start + size])

    assert found == lines


@pytest.mark.parametrize("head", [b"0001", b"0003", b"fff5", b"ffff", b"zzzz", b"+123", b" 123"])
def test_bad_lengths(head: bytes) -> None:
    """Lengths that no line has end the stream."""
    with pytest.raises(DecodeError):
        PktLineReader().feed(head)


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    """Bytes are lines or a DecodeError."""
    with suppress(DecodeError):
        PktLineReader().feed(data)
