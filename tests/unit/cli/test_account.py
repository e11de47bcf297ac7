"""`shoal account`: made, listed, moved, protected, linked, removed; in words and in JSON."""

from __future__ import annotations

import stat
import threading
from typing import TYPE_CHECKING

import pytest

from shoal.cli.common import Exit
from shoal.identity.archive import is_encrypted
from tests.unit.cli.conftest import shoal
from tests.unit.cli.homes import RunningNode, add_person, make_home
from tests.unit.node.driver.conftest import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "correct horse"  # noqa: S105 - of a test


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without accounts, named by SHOAL_HOME."""
    path = make_home(tmp_path / "home")
    monkeypatch.setenv("SHOAL_HOME", str(path))
    return path


@pytest.fixture
def password(tmp_path: Path) -> str:
    """A file with a password."""
    path = tmp_path / "password"
    path.write_text(f"{SECRET}\n")
    return str(path)


def test_a_new_account_is_made_without_a_question(home: Path, password: str) -> None:
    """Elsewhere than on a terminal; with progress, its id, and a reminder."""
    empty = shoal("account", "list")
    assert (empty.status, empty.out) == (0, "")
    assert "shoal account new" in empty.err

    made = shoal("account", "new", "--name", "Ada", "--password-file", password, "--no-wait")
    assert made.status == Exit.OK, made.err
    account = made.out.strip()
    assert len(account) == 40
    assert f"shoal account export {account[:12]} FILE" in made.err

    (event,) = shoal("account", "list", "--json").events
    assert (event["id"], event["name"], event["has_password"]) == (account, "Ada", True)
    shown = shoal("account", "show", "Ada", "--qr")
    assert account in shown.out
    assert "password  yes" in shown.out
    assert "no backup exists yet" in shown.err
    assert shoal("account", "show", account[:6], "--json").events[0]["id"] == account


def test_progress_is_told_as_events(home: Path) -> None:
    """With --json, before the account."""
    made = shoal("account", "new", "--name", "Ada", "--no-wait", "--json").events
    assert [each["event"] for each in made] == ["progress"] * 4 + ["created"]
    assert made[-1]["name"] == "Ada"
    assert not made[-1]["has_password"]


def test_an_account_moves_to_another_home(home: Path, tmp_path: Path, password: str) -> None:
    """By a file that keeps its password; never over another file."""
    account = add_person(home, "alice", SECRET)
    file = tmp_path / "alice.gz"
    exported = shoal("account", "export", account, str(file), "--password-file", password)
    assert exported.status == Exit.OK, exported.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert is_encrypted(file.read_bytes())
    assert shoal("account", "export", account, str(file)).status == Exit.USAGE
    (copied,) = shoal("account", "export", account, str(file), "--force", "--json").events
    assert (copied["account"], copied["is_current"]) == (account, False)
    assert "a backup exists" in shoal("account", "show", account).out

    other = make_home(tmp_path / "other")
    arguments = ("account", "import", str(file), "--home", str(other), "--no-wait")
    refused = shoal(*arguments)
    assert refused.status == Exit.REFUSED
    assert "password" in refused.err
    moved = shoal(*arguments, "--password-file", password, "--json").events[-1]
    assert (moved["event"], moved["id"]) == ("imported", account)
    again = shoal(*arguments, "--password-file", password)
    assert again.status == Exit.FAILED
    assert "shoal account list" in again.err


def test_the_password_is_changed(home: Path, tmp_path: Path, password: str) -> None:
    """And taken away by an empty one; only by who knows it."""
    account = add_person(home, "alice", SECRET)
    empty = tmp_path / "empty"
    empty.write_text("")
    assert shoal("account", "passwd", account).status == Exit.USAGE
    changed = ("account", "passwd", account, "--new-password-file", str(empty))
    assert shoal(*changed, "--password-file", str(empty)).status == Exit.REFUSED
    assert shoal(*changed, "--password-file", password).out == "the archive has no password\n"
    (event,) = shoal("account", "passwd", account, "--new-password-file", password, "--json").events
    assert event["has_password"]


def test_devices_are_listed_and_named(home: Path) -> None:
    """This one is always there, and cannot be revoked by itself."""
    account = add_person(home, "alice", device_name="old name")
    assert "old name  this device" in shoal("account", "devices", account).out
    renamed = shoal("account", "devices", account, "--rename", "desk", "--json").events
    assert [(each["name"], each["is_this"]) for each in renamed] == [("desk", True)]
    device = renamed[0]["id"]
    assert shoal("account", "revoke", account, device).status == Exit.USAGE
    refused = shoal("account", "revoke", account, device, "--yes")
    assert refused.status == Exit.FAILED
    assert "another" in refused.err


def test_an_account_is_removed_only_on_purpose(home: Path) -> None:
    """There is nobody to ask here, so it has to be said."""
    account = add_person(home, "alice")
    assert shoal("account", "remove", account).status == Exit.USAGE
    assert shoal("account", "remove", account, "--yes").out == "the account is deleted here\n"
    gone = shoal("account", "show", account)
    assert gone.status == Exit.FAILED
    assert "shoal account list" in gone.err


def test_a_device_is_linked_by_pin_and_by_address(home: Path, tmp_path: Path) -> None:
    """Both ways, with a node that runs."""
    account = add_person(home, "alice")
    with RunningNode(home) as node:
        by_pin = str(make_home(tmp_path / "by-pin", node.port))
        another = make_home(tmp_path / "another", node.port)  # where the account is stored
        bob = add_person(another, "bob")
        with RunningNode(another) as storing:
            storing.do(storing.node.accounts[bob].wait_announced(PATIENCE))
            pin = shoal("account", "link", account, "--show-pin").out.strip()
            linked = shoal("account", "link", "--pin", pin, "--home", by_pin, "--json").events[-1]
        assert (linked["event"], linked["id"]) == ("linked", account)

        by_address = make_home(tmp_path / "by-address", node.port)
        heard: list[str] = []
        with RunningNode(by_address) as new:

            async def show() -> str:
                async with new.node.accounts.link_new_device() as link:
                    heard.append(link.uri)
                    shown.set()
                    account = await link.wait()
                    return account.id.hex()

            shown = threading.Event()
            result: list[object] = []
            thread = threading.Thread(target=lambda: result.append(new.do(show())))
            thread.start()
            assert shown.wait(60)
            told = shoal("account", "link", account, "--uri", heard[0])
            thread.join(60)
        assert told.out == "the new device has the account\n"
        assert result == [account]


@pytest.mark.parametrize(
    "words",
    [
        ("link", "ID"),
        ("link", "--show-pin"),
        ("link", "--pin", "x", "--uri", "y"),
        ("import", "/nonexistent"),
        ("new",),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2(home: Path, words: tuple[str, ...]) -> None:
    """With words about what is right."""
    assert shoal("account", *words).status == Exit.USAGE


def test_a_wrong_pin_is_said_to_be_one(home: Path) -> None:
    """Before anything is looked for."""
    wrong = shoal("account", "link", "--pin", "short")
    assert wrong.status == Exit.USAGE
    assert "a PIN has 8 letters" in wrong.err
