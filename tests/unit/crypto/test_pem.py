"""PEM text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError
from shoal.crypto import pem


def test_lines_have_64_characters() -> None:
    """The layout is that of OpenSSL and GnuTLS, with a line break at the end."""
    lines = pem.encode("X", bytes(60)).split("\n")

    assert lines == ["-----BEGIN X-----", "A" * 64, "A" * 16, "-----END X-----", ""]


@given(st.lists(st.binary(max_size=100), max_size=4), st.binary(max_size=10))
def test_blocks_survive_a_round_trip(contents: list[bytes], before: bytes) -> None:
    """Blocks come back in order, whatever stands before, and others are passed over."""
    text = b"".join(
        (pem.encode("A", content) + pem.encode("B", b"other")).encode() for content in contents
    )

    assert pem.blocks(before + text, "A", 4) == contents
    assert pem.has_blocks(before + text) == bool(contents)


def test_text_without_line_breaks_is_read() -> None:
    """OpenDHT's own tests have such certificates."""
    assert pem.blocks(b"-----BEGIN A-----AAAA-----END A-----", "A", 1) == [bytes(3)]


@pytest.mark.parametrize(
    "text",
    [
        b"-----BEGIN A-----AAAA",
        b"-----BEGIN A-----AAAA-----END B-----",
        b"-----BEGIN A-----AA*A-----END A-----",
        b"-----BEGIN A-----AAA-----END A-----",
        b"-----BEGIN A-----AAAA-----END A-----" * 2,
    ],
)
def test_malformed_text_is_refused(text: bytes) -> None:
    """No end, no base64, or more blocks than wanted."""
    with pytest.raises(DecodeError):
        pem.blocks(text, "A", 1)
