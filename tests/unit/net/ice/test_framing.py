"""Frames: STUN and data on one link, in pieces of any size."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shoal.net.ice import binding
from shoal.net.ice.framing import Deframer, frame, frames

STUN = binding.keep_alive(bytes(range(12)))


def feed(pieces: list[bytes]) -> tuple[list[bytes], bytes]:
    """Return the STUN messages and the data in *pieces*."""
    deframer = Deframer()
    messages: list[bytes] = []
    data = b""
    for piece in pieces:
        for item in deframer.feed(piece):
            if isinstance(item, bytes):
                messages.append(item)
            else:
                data += item
    return messages, data


def cut(data: bytes, size: int) -> list[bytes]:
    """Cut *data* as a network would."""
    return [data[start : start + size] for start in range(0, len(data), size)]


def test_stun_between_data_in_pieces_of_any_size() -> None:
    """One record over several frames, several in one, checks between them (reference 5.7)."""
    stream = b"".join(
        [
            frame(STUN),
            frame(b"\x16\x03\x01hello"),
            frame(b""),
            frame(b"\x17"),
            frame(STUN),
            frame(b"x" * 65_535),
            frame(STUN),
        ]
    )
    expected = b"\x16\x03\x01hello\x17" + b"x" * 65_535
    for size in (1, 2, 3, 7, 19, 21, 22, 23, 100, 70_000):
        assert feed(cut(stream, size)) == ([STUN] * 3, expected)


def test_data_is_handed_over_before_its_frame_ends() -> None:
    """Nothing waits for 64 KiB to be complete, and nothing is copied."""
    deframer = Deframer()
    begun = frame(b"d" * 60_000)[:1000]

    (piece,) = deframer.feed(begun)

    assert bytes(piece) == b"d" * 998
    assert isinstance(piece, memoryview)
    assert piece.obj is begun


def test_what_only_looks_like_stun_is_data() -> None:
    """First byte and cookie fit, and the length does not: data."""
    fake = STUN[:2] + b"\x00\x0c" + STUN[4:]
    long = b"\x00\x01\x10\x00\x21\x12\xa4\x42" + bytes(4096 + 12)  # longer than any check

    assert feed([frame(fake) + frame(long)]) == ([], fake + long)


def test_large_writes_are_cut() -> None:
    """A piece of the stream becomes frames of at most the given size."""
    data = bytes(range(256)) * 200
    framed = frames(memoryview(data), 16_384)

    assert framed[:2] == (16_384).to_bytes(2)
    assert len(framed) == len(data) + 2 * 4
    assert feed([framed]) == ([], data)
    assert frames(b"", 100) == b""
    assert frames(b"ab", 100) == b"\x00\x02ab"


@given(st.lists(st.binary(max_size=80), max_size=8))
def test_any_bytes(pieces: list[bytes]) -> None:
    """Any bytes in any pieces: the same as all at once, and never an exception."""
    assert feed(pieces) == feed([b"".join(pieces)])
