"""Files that are whole: stamped, checked, read, removed."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from shoal.core import CommitId, ConversationId
from shoal.transfer.driver import check_copy, read_copy, remove_copy, take_stamp
from shoal.transfer.errors import FileChangedError, FileMissingError, FolderError
from shoal.transfer.records import HeldFile

CONTENT = bytes(range(256)) * 10


@pytest.fixture
def held(tmp_path: Path) -> HeldFile:
    """A file that we have."""
    path = tmp_path / "a.bin"
    path.write_bytes(CONTENT)
    told: list[int] = []
    stamp, sha3 = take_stamp(path, told.append)
    assert sum(told) == stamp.size == len(CONTENT)
    assert sha3 == hashlib.sha3_512(CONTENT).hexdigest()
    ids = ConversationId(b"c" * 20), CommitId(b"m" * 20)
    return HeldFile(*ids, "77", str(path), sha3, stamp)


def test_unchanged(held: HeldFile) -> None:
    """A file that looks as before is not read again."""
    wrong = replace(held, sha3_512="0" * 128)
    assert check_copy(held) == held
    assert check_copy(wrong) == wrong  # so it was not read


def test_touched(held: HeldFile) -> None:
    """A file that looks otherwise is read, and its new looks are remembered."""
    os.utime(held.path, (1, 1))
    again = check_copy(held)
    assert again.stamp != held.stamp
    assert check_copy(again) == again


@pytest.mark.parametrize("content", [b"shorter", CONTENT[::-1], CONTENT + b"x"])
def test_changed(held: HeldFile, content: bytes) -> None:
    """Another size or content is no copy of what was offered."""
    Path(held.path).write_bytes(content)
    os.utime(held.path, (1, 1))
    with pytest.raises(FileChangedError):
        check_copy(held)


def test_gone(held: HeldFile) -> None:
    """What is not there cannot be served."""
    Path(held.path).unlink()
    with pytest.raises(FileMissingError):
        check_copy(held)
    with pytest.raises(FileMissingError):
        list(read_copy(Path(held.path), 0, 1, 1))


def test_what_is_no_file(tmp_path: Path) -> None:
    """A folder or a pipe is not sent; a pipe does not keep us waiting either."""
    with pytest.raises(FolderError):
        take_stamp(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FolderError):
        take_stamp(tmp_path / "pipe")


def test_reading(held: HeldFile) -> None:
    """From where to where, in pieces."""
    assert b"".join(read_copy(Path(held.path), 0, len(CONTENT), 100)) == CONTENT
    assert list(read_copy(Path(held.path), 3, 8, 2)) == [CONTENT[3:5], CONTENT[5:7], CONTENT[7:8]]
    assert list(read_copy(Path(held.path), 5, 5, 2)) == []
    with pytest.raises(FileChangedError):
        list(read_copy(Path(held.path), 0, len(CONTENT) + 1, 100))


def test_removal(held: HeldFile) -> None:
    """Our copy goes; a file that somebody put in its place stays."""
    path = Path(held.path)
    other = path.with_name("other")
    other.write_bytes(b"mine")
    other.replace(path)
    remove_copy(held)
    assert path.read_bytes() == b"mine"
    stamp, sha3 = take_stamp(path)
    remove_copy(replace(held, stamp=stamp, sha3_512=sha3))
    assert not path.exists()
    remove_copy(held)
