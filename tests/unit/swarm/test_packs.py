"""Packs: those of git are read, ours are read by git, and bombs do not go off."""

from __future__ import annotations

import hashlib
import io
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from dulwich.object_format import SHA1
from dulwich.object_store import MemoryObjectStore
from dulwich.objects import Blob
from dulwich.pack import create_delta, pack_object_header
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError
from shoal.swarm import packs
from shoal.swarm.errors import HistoryTooLargeError
from shoal.swarm.packs import PackReader, write_pack
from shoal.swarm.store import MemoryStore, ObjectKind, object_id

if TYPE_CHECKING:
    from collections.abc import Sequence

BASE = b"a long line that comes again and again\n" * 20
CHANGED = BASE + b"and an end"
OBJECTS = [(ObjectKind.BLOB, b"one"), (ObjectKind.BLOB, b""), (ObjectKind.BLOB, BASE)]


def pack(objects: Sequence[tuple[ObjectKind, bytes]]) -> bytes:
    """A pack of plain objects, as we write it."""
    return b"".join(write_pack(objects, len(objects)))


def sealed(*entries: bytes, count: int | None = None) -> bytes:
    """A pack of these entries, with header and checksum."""
    head = b"PACK" + (2).to_bytes(4) + (len(entries) if count is None else count).to_bytes(4)
    content = head + b"".join(entries)
    return content + hashlib.sha1(content, usedforsecurity=False).digest()


def entry(number: int, content: bytes, base: bytes | int | None = None, size: int = -1) -> bytes:
    """One entry; *size* lies about the content's."""
    length = len(content) if size < 0 else size
    return bytes(pack_object_header(number, base, length, SHA1)) + zlib.compress(content)


def delta(base: bytes = BASE, target: bytes = CHANGED) -> bytes:
    """Git's delta between two contents."""
    return b"".join(create_delta(base, target))


def read(data: bytes, size: int = 1 << 20) -> list[tuple[ObjectKind, bytes]]:
    """Feed a pack in pieces; objects are kept between the pieces, as the caller must."""
    store = MemoryStore()
    reader = PackReader(store.objects.get)
    found: list[tuple[ObjectKind, bytes]] = []
    for start in range(0, len(data), size):
        new = reader.feed(data[start : start + size])
        store.add_all(new)
        found += new
    assert reader.is_complete
    return found


@given(st.integers(1, 700))
def test_any_cut(size: int) -> None:
    """However the stream is cut, the objects are the same."""
    assert read(pack(OBJECTS), size) == OBJECTS


def test_git_reads_ours() -> None:
    """A git library finds every object in a pack of ours."""
    store = MemoryObjectStore()
    stream = io.BytesIO(pack(OBJECTS))
    store.add_thin_pack(stream.read, None)

    for _, content in OBJECTS:
        assert store[Blob.from_string(content).id].as_raw_string() == content


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_deltas(size: int) -> None:
    """Bases named by id or by place, before or after what needs them, chained."""
    base, second = object_id(ObjectKind.BLOB, BASE), object_id(ObjectKind.BLOB, CHANGED)
    third = b"x" + CHANGED
    plain = entry(3, BASE)
    by_id = entry(7, delta(), base)
    chained = entry(7, delta(CHANGED, third), second)
    wanted = {BASE, CHANGED, third}

    assert {content for _, content in read(sealed(plain, by_id, chained), size)} == wanted
    assert {content for _, content in read(sealed(chained, by_id, plain), size)} == wanted
    by_place = entry(6, delta(), len(plain))
    assert [content for _, content in read(sealed(plain, by_place), size)] == [BASE, CHANGED]


@pytest.mark.parametrize(
    "data",
    [
        b"KCAP" + bytes(28),
        b"PACK" + (9).to_bytes(4) + bytes(24),
        sealed(entry(3, b"abc", size=2)),
        sealed(entry(3, b"abc", size=4)),
        sealed(entry(5, b"abc")),
        sealed(bytes(pack_object_header(3, None, 3, SHA1)) + b"not zlib data"),
        sealed(entry(6, delta(), 4_000)),
        sealed(entry(7, delta(), bytes(range(20)))),
        sealed(entry(3, BASE), entry(7, b"\1", object_id(ObjectKind.BLOB, BASE))),
        sealed(entry(3, BASE), entry(7, b"\1\5\1x", object_id(ObjectKind.BLOB, BASE))),
        sealed(entry(3, b"abc"))[:-1] + b"\0",
        sealed(entry(3, b"abc")) + b"more",
        sealed(b"\xb0" + b"\x80" * 12 + b"\0"),
        sealed(b"\x60" + b"\x80" * 12 + b"\0"),
    ],
)
def test_damage(data: bytes) -> None:
    """Wrong sizes, unknown types, deltas of nothing, checksums: each is a DecodeError."""
    with pytest.raises(DecodeError):
        read(data)


def test_bombs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would take too much is refused before it does."""
    with pytest.raises(HistoryTooLargeError):
        read(sealed(entry(3, b"", size=packs.OBJECT_SIZE_MAX + 1)))
    with pytest.raises(HistoryTooLargeError):
        read(sealed(count=packs.OBJECTS_MAX + 1))
    huge = b"\1" + b"\xff\xff\xff\xff\x7f"  # a delta of one byte that makes gigabytes
    with pytest.raises(HistoryTooLargeError):
        read(sealed(entry(3, b"x"), entry(7, huge, object_id(ObjectKind.BLOB, b"x"))))
    monkeypatch.setattr(packs, "INFLATED_MAX", 5)
    with pytest.raises(HistoryTooLargeError):
        read(sealed(entry(3, b"abc"), entry(3, b"def")))
    with pytest.raises(HistoryTooLargeError):
        read(sealed(entry(3, b"x"), entry(7, b"\1\4\4wxyz", object_id(ObjectKind.BLOB, b"x"))))
    monkeypatch.setattr(packs, "PACK_SIZE_MAX", 20)
    with pytest.raises(HistoryTooLargeError):
        read(pack(OBJECTS))
    monkeypatch.undo()
    monkeypatch.setattr(packs, "DELTAS_MAX", 1)
    with pytest.raises(HistoryTooLargeError):
        read(sealed(entry(7, delta(), bytes(20)), entry(7, delta(), bytes(range(20)))))


def test_nothing_follows_the_end() -> None:
    """A pack that is complete takes no more."""
    reader = PackReader(lambda name: None)
    reader.feed(pack(OBJECTS))
    with pytest.raises(DecodeError):
        reader.feed(b"x")


@given(st.binary(max_size=80), st.integers(0, 200), st.integers(0, 255))
def test_any_bytes(noise: bytes, position: int, patch: int) -> None:
    """Bytes are objects, a DecodeError or too much."""
    damaged = bytearray(sealed(entry(3, BASE), entry(6, delta(), len(entry(3, BASE)))))
    damaged[position % len(damaged)] = patch
    for data in (noise, b"PACK" + noise, bytes(damaged)):
        with suppress(DecodeError, HistoryTooLargeError):
            PackReader(lambda name: None).feed(data)
