"""The home directory: ours alone, one process at a time."""

from __future__ import annotations

import os
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from shoal.node.driver.home import Home, socket_address
from shoal.node.errors import HomeError, HomeTakenError

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_made_for_us_alone(tmp_path: Path) -> None:
    """And tightened where it was too open."""
    home = Home(tmp_path / "a" / "b")
    home.prepare()
    home.prepare()
    for path in (home.path, home.accounts):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    home.path.chmod(0o755)
    home.prepare()
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700


def test_one_process_owns_it(tmp_path: Path) -> None:
    """The other is told which; then it is free again."""
    first, second = Home(tmp_path), Home(tmp_path)
    first.prepare()
    first.lock()
    first.lock()
    assert first.is_locked
    with pytest.raises(HomeTakenError, match="owns") as taken:
        second.lock()
    assert taken.value.pid == os.getpid()
    first.unlock()
    first.unlock()
    second.lock()
    second.unlock()


def test_what_is_no_directory_is_refused(tmp_path: Path) -> None:
    """With words."""
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeError, match="cannot use"):
        Home(tmp_path / "file").prepare()
    home = Home(tmp_path / "home")
    home.prepare()
    (home.path / "lock").mkdir()
    with pytest.raises(HomeError, match="cannot open"):
        home.lock()


def test_sockets_may_have_long_paths(tmp_path: Path) -> None:
    """Longer than an address holds."""
    folder = tmp_path / ("long-" * 20) / ("longer-" * 15)
    folder.mkdir(parents=True)
    for path in (tmp_path / "s", folder / "api.sock"):
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
            with socket_address(path) as address:
                server.bind(address)
            server.listen()
            with socket_address(path) as address:
                client.connect(address)
