"""Parts on disk: they grow, are checked, get a name that is free, and survive a kill."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shoal.core import CommitId, ConversationId
from shoal.transfer.driver import PartFile, part_path, parts, remove_part
from shoal.transfer.errors import DiskFullError, FolderError
from shoal.transfer.records import WantedFile

CONTENT = bytes(range(256)) * 1_000


def wanted(folder: Path, content: bytes = CONTENT, name: str = "a.bin") -> WantedFile:
    """A file that is to come into *folder*."""
    sha3 = hashlib.sha3_512(content).hexdigest()
    ids = ConversationId(b"c" * 20), CommitId(b"m" * 20)
    return WantedFile(*ids, "77", name, "bin", len(content), sha3, str(folder))


def test_a_file_comes_in_pieces(tmp_path: Path) -> None:
    """Over two openings; then it has its name, and its part is gone."""
    file = wanted(tmp_path / "new" / "folder")
    part = PartFile(file)
    assert part.size == 0
    part.append([CONTENT[:1000], CONTENT[1000:5000]])
    part.close()
    part.close()
    part = PartFile(file)
    assert part.size == 5000
    part.append([CONTENT[5000:]])
    held = part.finish()
    assert held is not None
    assert held.path == str(tmp_path / "new" / "folder" / "a.bin")
    assert Path(held.path).read_bytes() == CONTENT
    assert held.stamp.size == len(CONTENT)
    assert not part_path(file).exists()
    assert Path(held.path).stat().st_mode & 0o077 == 0
    assert Path(held.path).parent.stat().st_mode & 0o077 == 0


def test_what_is_wrong_is_thrown_away(tmp_path: Path) -> None:
    """The part is empty again, and can grow anew."""
    part = PartFile(wanted(tmp_path))
    part.append([b"x" * len(CONTENT)])
    assert part.finish() is None
    assert part.size == 0
    part.append([CONTENT[:-1]])
    assert part.finish() is None  # too short
    part.append([CONTENT])
    assert part.finish() is not None


def test_a_reset(tmp_path: Path) -> None:
    """Its content and its hash begin anew."""
    part = PartFile(wanted(tmp_path))
    part.append([b"wrong"])
    part.reset()
    part.append([CONTENT])
    assert part.finish() is not None


def test_names_that_are_taken(tmp_path: Path) -> None:
    """Nothing that is there is replaced."""
    (tmp_path / "a.bin").write_bytes(b"mine")
    (tmp_path / "a (2).bin").symlink_to(tmp_path / "nowhere")
    part = PartFile(wanted(tmp_path))
    part.append([CONTENT])
    held = part.finish()
    assert held is not None
    assert Path(held.path).name == "a (3).bin"
    assert (tmp_path / "a.bin").read_bytes() == b"mine"


def test_killed_between_its_two_names(tmp_path: Path) -> None:
    """A part that has its name already keeps it."""
    file = wanted(tmp_path)
    part = PartFile(file)
    part.append([CONTENT])
    (tmp_path / "a.bin").hardlink_to(part_path(file))
    held = part.finish()
    assert held is not None
    assert Path(held.path).name == "a.bin"
    assert [each.name for each in tmp_path.iterdir()] == ["a.bin"]


def test_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems have none: the name is reserved instead, and still none is replaced."""

    def refuse(*unused: object, **unused_too: object) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a.bin").write_bytes(b"mine")
    part = PartFile(wanted(tmp_path))
    part.append([CONTENT])
    held = part.finish()
    assert held is not None
    assert Path(held.path).name == "a (2).bin"
    assert (tmp_path / "a.bin").read_bytes() == b"mine"


def test_a_link_in_the_way(tmp_path: Path) -> None:
    """A part is never written through a link that somebody put there."""
    file = wanted(tmp_path)
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    part_path(file).symlink_to(victim)
    with pytest.raises(FolderError):
        PartFile(file)
    assert victim.read_bytes() == b"precious"


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is known before the first byte, or comes with a later one."""
    with pytest.raises(DiskFullError):
        PartFile(wanted(tmp_path), reserve=1 << 62)
    part = PartFile(wanted(tmp_path))

    def full(*unused: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(DiskFullError) as caught:
        part.append([b"x"])
    assert caught.value.path == str(part.path)
    part.close()


def test_writes_that_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may take less than it is given."""
    whole = os.pwrite

    def half(file: int, data: memoryview, offset: int) -> int:
        return whole(file, data[:7777], offset)

    monkeypatch.setattr(os, "pwrite", half)
    part = PartFile(wanted(tmp_path))
    part.append([CONTENT[:100], CONTENT[100:]])
    held = part.finish()
    assert held is not None
    assert Path(held.path).read_bytes() == CONTENT


def test_many_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are written and hashed a few at a time, in their order."""
    monkeypatch.setattr(parts, "PIECE", 10_000)
    part = PartFile(wanted(tmp_path))
    part.append([])
    part.append(CONTENT[start : start + 999] for start in range(0, len(CONTENT), 999))
    held = part.finish()
    assert held is not None
    assert Path(held.path).read_bytes() == CONTENT


def test_removal(tmp_path: Path) -> None:
    """A part that is wanted no more is gone; one that is not there is no harm."""
    file = wanted(tmp_path)
    PartFile(file).close()
    remove_part(file)
    remove_part(file)
    assert list(tmp_path.iterdir()) == []


WRITER = """
import sys
from pathlib import Path
from tests.unit.transfer.driver.test_parts import CONTENT, wanted
from shoal.transfer.driver import PartFile

file = wanted(Path(sys.argv[1]), CONTENT * 40)
part = PartFile(file)
print(part.size, flush=True)
content = CONTENT * 40
for start in range(part.size, len(content), 10_000):
    part.append([content[start : start + 10_000]])
    print(part.size, flush=True)
held = part.finish()
print("done" if held else "wrong", flush=True)
"""


def test_killed_again_and_again(tmp_path: Path) -> None:
    """After `kill -9` it goes on where it was, and in the end the file is whole."""
    size = 0
    for reached in (500_000, 4_000_000, 8_000_000, None):
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and text
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        first = int(child.stdout.readline())
        assert first >= size  # nothing that was written is lost
        last = ""
        for line in child.stdout:
            last = line.strip()
            if reached is not None and last.isdigit() and int(last) > reached:
                child.send_signal(signal.SIGKILL)
                break
        size = int(last) if last.isdigit() else size
        child.stdout.close()
        child.wait()
    assert last == "done"
    assert (tmp_path / "a.bin").read_bytes() == CONTENT * 40
    assert [each.name for each in tmp_path.iterdir()] == ["a.bin"]
