"""Files of accounts: whole or as before, whatever kills the writer."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from shoal.identity.driver.files import (
    TEMPORARY,
    delete_file,
    delete_folder,
    make_folder,
    read_file,
    resolve,
    sweep,
    write_file,
    write_folder,
)
from shoal.identity.errors import AccountFileError

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = b"old" * 5000, b"new" * 7000
STEPS = ["create", "write", "write the rest", "flush", "rename", "flush the folder"]
KILLED = """
import os, signal, sys
from pathlib import Path
from shoal.identity.driver import files

path, at = Path(sys.argv[1]), sys.argv[2]

def step(name):
    if name == at:
        os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[3] == "file":
    files.write_file(path, b"new" * 7000, step)
else:
    files.write_folder(path, {"a": b"new", "b": b"new"}, step)
"""


def names_in(folder: Path) -> list[str]:
    """Return the names in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """For the owner alone, in folders for the owner alone; nothing else is left."""
    path = tmp_path / "one" / "two" / "file"
    write_file(path, OLD)
    write_file(path, NEW)

    assert read_file(path, len(NEW)) == NEW
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700
    assert names_in(path.parent) == ["file"]
    assert read_file(tmp_path / "none", 5) is None


@pytest.mark.parametrize("at", STEPS)
def test_a_failure_at_any_step_leaves_the_old_or_the_new(tmp_path: Path, at: str) -> None:
    """A full disk, say: a typed error, no debris; once it is renamed, the new content."""
    path = tmp_path / "file"
    write_file(path, OLD)

    def fail(step: str) -> None:
        if step == at:
            raise OSError(28, "No space left on device")

    with pytest.raises(AccountFileError, match="No space"):
        write_file(path, NEW, fail)

    assert path.read_bytes() == (NEW if at == "flush the folder" else OLD)
    assert names_in(tmp_path) == ["file"]


@pytest.mark.parametrize("at", STEPS)
def test_kill_9_at_any_step_leaves_the_old_or_the_new(tmp_path: Path, at: str) -> None:
    """In a process of its own, which gets no chance to clean up; the next start does."""
    path = tmp_path / "file"
    write_file(path, OLD)

    assert _run_killed(path, at, "file") == -signal.SIGKILL

    assert path.read_bytes() == (NEW if at == "flush the folder" else OLD)
    sweep(tmp_path)
    assert names_in(tmp_path) == ["file"]


@pytest.mark.parametrize("at", [*STEPS, "rename the folder"])
def test_a_new_folder_is_there_with_all_its_files_or_not_at_all(tmp_path: Path, at: str) -> None:
    """An account whose creation was killed does not exist, and may be created again."""
    path = tmp_path / "account"

    assert _run_killed(path, at, "folder") == -signal.SIGKILL

    assert not path.exists()
    sweep(tmp_path)
    assert names_in(tmp_path) == []
    write_folder(path, {"a": b"1", "deep/b": b"2"})
    assert (path / "deep" / "b").read_bytes() == b"2"
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_folder_is_not_written_over(tmp_path: Path) -> None:
    """What is there stays; a folder that was not finished does not stand in the way."""
    write_folder(tmp_path / "account", {"a": b"1"})
    with pytest.raises(AccountFileError, match="already"):
        write_folder(tmp_path / "account", {"a": b"2"})
    (tmp_path / f"{TEMPORARY}other").mkdir()
    write_folder(tmp_path / "other", {"a": b"2"})

    assert (tmp_path / "account" / "a").read_bytes() == b"1"
    assert names_in(tmp_path) == ["account", "other"]


def test_deleting(tmp_path: Path) -> None:
    """A folder is gone from the first step on; a file need not be there."""
    write_folder(tmp_path / "account", {"a": b"1"})

    def check(step: str) -> None:
        assert not (tmp_path / "account").exists(), step

    delete_file(tmp_path / "account" / "a")
    delete_file(tmp_path / "account" / "a")
    delete_folder(tmp_path / "account", check)
    assert names_in(tmp_path) == []
    with pytest.raises(AccountFileError, match="cannot be deleted"):
        delete_folder(tmp_path / "account")
    with pytest.raises(AccountFileError, match="cannot be deleted"):
        delete_file(tmp_path)


def test_what_cannot_be_read_or_made(tmp_path: Path) -> None:
    """Too large, a folder, a file in the way."""
    (tmp_path / "file").write_bytes(b"123456")
    with pytest.raises(AccountFileError, match="larger than 5"):
        read_file(tmp_path / "file", 5)
    with pytest.raises(AccountFileError, match="cannot be read"):
        read_file(tmp_path, 5)
    with pytest.raises(AccountFileError, match="cannot be made"):
        make_folder(tmp_path / "file" / "deeper")
    with pytest.raises(AccountFileError):
        write_file(tmp_path / "file" / "deeper", b"")
    with pytest.raises(AccountFileError, match="cannot be written"):
        write_folder(tmp_path / "new", {"file": b""}, _refuse)


@pytest.mark.parametrize("name", ["", "../x", "/etc/x", "a/../b", ".hidden", "a//b", "a/", "a b"])
def test_names_lead_nowhere_else(tmp_path: Path, name: str) -> None:
    """They are ours; should one not be, nothing is written."""
    with pytest.raises(AccountFileError, match="not the name"):
        resolve(tmp_path, name)
    assert resolve(tmp_path, "certificates/abc.pem") == tmp_path / "certificates" / "abc.pem"


def _refuse(step: str) -> None:
    if step == "rename the folder":
        raise OSError(5, "Input/output error")


def _run_killed(path: Path, at: str, kind: str) -> int:
    """Write in another process, which kills itself at a step; return how it ended."""
    command = [sys.executable, "-c", KILLED, str(path), at, kind]
    return subprocess.run(command, check=False, timeout=60).returncode  # noqa: S603 - our own text
