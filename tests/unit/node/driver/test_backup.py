"""A home in one file: restored it is the same; damaged, forged, killed: nothing half."""

from __future__ import annotations

import io
import os
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time
from typing import TYPE_CHECKING

import pytest

from shoal.node import Node
from shoal.node.driver.backup import CHUNK, is_sealed, restore_backup, write_backup
from shoal.node.driver.backup import _Sink as Sink
from shoal.node.driver.home import Home
from shoal.node.errors import BackupError, BackupPasswordError, BackupUnsealedError, HomeError
from tests.unit.node.driver.conftest import add_account, loopback

if TYPE_CHECKING:
    from pathlib import Path

WORD = "pw"


async def make(home: Path) -> tuple[str, str]:
    """A home with an account and a group in which something was said; return their ids."""
    async with Node(home, config=loopback(), serves_api=False, is_offline=True) as node:
        account = await add_account(node, "alice")
        group = await account.conversations.create()
        await group.send("kept")
        (home / "config.toml").write_text("[dht]\nport = 4300\n")
        path = account.vault.folder.path
        (path / "conversation_data" / "big").parent.mkdir(exist_ok=True)
        (path / "conversation_data" / "big").write_bytes(os.urandom(2 * CHUNK))
        (path / "link").symlink_to("/etc/passwd")
        await write_backup(node, home.parent / "clear.backup")
        await write_backup(node, home.parent / "sealed.backup", WORD)
        return account.id.hex(), str(group.id)


def left_behind(folder: Path) -> list[str]:
    """What an unfinished backup would leave."""
    return [each.name for each in folder.iterdir() if each.name.startswith(".")]


@pytest.mark.parametrize(("name", "password"), [("clear.backup", ""), ("sealed.backup", WORD)])
async def test_what_is_restored_is_the_same(tmp_path: Path, name: str, password: str) -> None:
    """Account, device, conversation, settings, files; not the index, and no links."""
    account, group = await make(tmp_path / "home")
    backup, new = tmp_path / name, tmp_path / "new"
    assert is_sealed(backup) is bool(password)
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert left_behind(tmp_path) == []
    found = restore_backup(Home(new), backup, password)
    assert "config.toml" in found
    assert len(found) == 2
    assert (new / "config.toml").read_text() == "[dht]\nport = 4300\n"
    assert not list(new.rglob("index.sqlite*"))
    assert not list(new.rglob("link"))
    assert not list(new.glob(".restoring-*"))
    assert next(new.rglob("big")).stat().st_size == 2 * CHUNK
    for path in new.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    async with Node(new, config=loopback(), serves_api=False, is_offline=True) as node:
        assert node.accounts.damaged == {}
        (own,) = node.accounts
        assert own.id.hex() == account
        messages = await own.conversations[group].messages()
        assert str(messages[-1].content).count("kept") == 1
    with pytest.raises(HomeError, match="has accounts"):
        restore_backup(Home(new), backup, password)


async def test_damaged_cut_and_foreign_files_restore_nothing(tmp_path: Path) -> None:
    """Wherever they are damaged or end; and with another password."""
    await make(tmp_path / "home")
    for name, password in (("clear.backup", ""), ("sealed.backup", WORD)):
        whole = (tmp_path / name).read_bytes()
        places = {len(whole) // 2, len(whole) - 1, 40, 0}
        tampered = [whole[:place] for place in sorted(places)]
        if password:
            tampered += [
                whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
                for place in (20, 36, len(whole) - 3)
            ]
        for index, data in enumerate(tampered):
            broken = tmp_path / "broken"
            broken.write_bytes(data)
            home = Home(tmp_path / f"new-{name}-{index}")
            with pytest.raises(BackupError):
                restore_backup(home, broken, password)
            assert list(home.accounts.iterdir()) == []
            assert not list(home.path.glob(".restoring-*"))
    for wrong in ("", "other"):
        with pytest.raises(BackupPasswordError):
            restore_backup(Home(tmp_path / "wrong"), tmp_path / "sealed.backup", wrong)
    with pytest.raises(BackupUnsealedError):
        restore_backup(Home(tmp_path / "downgraded"), tmp_path / "clear.backup", WORD)
    assert not any((tmp_path / "downgraded" / "accounts").iterdir())
    with pytest.raises(BackupError):
        is_sealed(tmp_path / "home" / "config.toml")
    with pytest.raises(HomeError):
        is_sealed(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("accounts/../../evil", tarfile.REGTYPE),
        ("/evil", tarfile.REGTYPE),
        ("lock", tarfile.REGTYPE),
        ("accounts/x/link", tarfile.SYMTYPE),
        ("accounts/x/pipe", tarfile.FIFOTYPE),
        ("accounts/x/hard", tarfile.LNKTYPE),
    ],
)
def test_a_forged_backup_writes_nowhere(tmp_path: Path, name: str, kind: bytes) -> None:
    """Names that lead out of the home, links and other things are refused."""
    target = io.BytesIO()
    sink = Sink(target, "")
    with tarfile.open(fileobj=sink, mode="w|gz") as tar:  # type: ignore[call-overload]  # it writes
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)
    sink.finish()
    forged = tmp_path / "forged"
    forged.write_bytes(target.getvalue())
    with pytest.raises(BackupError, match="does not belong"):
        restore_backup(Home(tmp_path / "home"), forged)
    assert not (tmp_path / "evil").exists()


async def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    """It is said."""
    async with Node(tmp_path / "home", config=loopback(), is_offline=True) as node:
        with pytest.raises(BackupError):
            await write_backup(node, tmp_path / "nowhere" / "backup")


PROGRAM = """
import sys
from pathlib import Path
from shoal.node.driver.backup import restore_backup
from shoal.node.driver.home import Home
print("go", flush=True)
restore_backup(Home(sys.argv[1]), Path(sys.argv[2]))
"""


async def test_a_kill_while_restoring_leaves_all_or_nothing(tmp_path: Path) -> None:
    """At any moment; and restoring again works."""
    await make(tmp_path / "home")
    backup = tmp_path / "clear.backup"
    outcomes = set()
    for delay in (0.0, 0.02, 0.05, 0.1):
        home = tmp_path / "killed"
        with subprocess.Popen(  # noqa: ASYNC220, S603 - our own interpreter and text
            [sys.executable, "-c", PROGRAM, str(home), str(backup)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(delay)  # noqa: ASYNC251 - moments of a kill, whatever they hit
            process.send_signal(signal.SIGKILL)
        accounts = list((home / "accounts").iterdir()) if (home / "accounts").exists() else []
        outcomes.add(len(accounts))
        if not accounts:
            restore_backup(Home(home), backup)
        async with Node(home, config=loopback(), serves_api=False, is_offline=True) as node:
            assert node.accounts.damaged == {}
            assert len(node.accounts) == 1
        assert not list(home.glob(".restoring-*")) or accounts
        shutil.rmtree(home)
    assert outcomes <= {0, 1}
