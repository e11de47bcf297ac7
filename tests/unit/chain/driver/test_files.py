"""Keys and genesis files on disk."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from shoal.chain.driver import load_genesis, load_key, load_or_create_key, new_key, save_key
from shoal.chain.driver.files import FileLock
from shoal.chain.errors import (
    ChainBusyError,
    ChainFileError,
    InvalidChainKeyError,
    InvalidGenesisError,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_keys_are_kept_for_their_owner_alone(tmp_path: Path) -> None:
    """Mode 0600, and never replaced."""
    path, key = tmp_path / "a.key", new_key()
    save_key(path, key)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_key(path) == load_or_create_key(path) == key
    with pytest.raises(ChainFileError):
        save_key(path, new_key())
    assert load_key(path) == key
    assert [each.name for each in tmp_path.iterdir()] == ["a.key"]


def test_a_key_is_made_once(tmp_path: Path) -> None:
    """Where there is none."""
    first = load_or_create_key(tmp_path / "a.key")
    assert load_or_create_key(tmp_path / "a.key") == first != new_key()


def test_what_is_no_file_of_ours(tmp_path: Path) -> None:
    """Missing, no text, too large, no key, no genesis."""
    path = tmp_path / "file"
    with pytest.raises(ChainFileError, match="No such file"):
        load_key(path)
    with pytest.raises(ChainFileError):
        load_or_create_key(tmp_path / "nowhere" / "a.key")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ChainFileError, match="no text"):
        load_key(path)
    path.write_bytes(b"0" * 1000)
    with pytest.raises(ChainFileError, match="larger"):
        load_key(path)
    path.write_text("secret")
    with pytest.raises(InvalidChainKeyError):
        load_key(path)
    with pytest.raises(InvalidGenesisError):
        load_genesis(path)


def test_locks_exclude(tmp_path: Path) -> None:
    """One at a time."""
    lock = FileLock(tmp_path / "lock")
    with pytest.raises(ChainBusyError):
        FileLock(tmp_path / "lock")
    lock.release()
    FileLock(tmp_path / "lock").release()
    with pytest.raises(ChainFileError):
        FileLock(tmp_path / "nowhere" / "lock")
