"""Folders of labs: gone with the lab, swept after a crash, left alone while a lab lives."""

from __future__ import annotations

import fcntl
import tempfile
from typing import IO, TYPE_CHECKING

from shoal.lab.folder import PREFIX, lab_folder, sweep

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_it_goes_with_the_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a lab lives another one leaves its folder alone; what a crash left is swept."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    crashed = tmp_path / f"{PREFIX}crashed"
    crashed.mkdir()
    (crashed / "lock").write_bytes(b"")
    with lab_folder() as first:
        assert not crashed.exists()
        with lab_folder() as second:
            assert first.is_dir()
            assert second != first
        assert first.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_lab_that_begins_at_the_same_instant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever moment of ours another lab sweeps in, our folder stays."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    lock_it, is_within = fcntl.flock, False

    def lock_late(file: IO[bytes], how: int) -> None:
        nonlocal is_within
        if not is_within:
            is_within = True
            sweep(tmp_path)
            lock_it(file, how)
            sweep(tmp_path)
            is_within = False
        else:
            lock_it(file, how)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    with lab_folder() as folder:
        assert folder.is_dir()
        sweep(tmp_path)
        assert folder.is_dir()


def test_it_may_be_kept(tmp_path: Path) -> None:
    """A folder that was named stays."""
    with lab_folder(tmp_path / "lab") as folder:
        (folder / "home").mkdir()
    assert (tmp_path / "lab" / "home").is_dir()
