"""`shoal backup`, while a node runs and while none does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.cli.common import Exit
from tests.unit.cli.conftest import shoal
from tests.unit.cli.homes import RunningNode, add_person, make_home

if TYPE_CHECKING:
    from pathlib import Path


def test_there_and_back(tmp_path: Path) -> None:
    """Written by the node that runs, restored elsewhere; what is in the way stays."""
    home, file, new = make_home(tmp_path / "home"), tmp_path / "all.backup", tmp_path / "new"
    account = add_person(home, "alice")
    password = tmp_path / "password"
    password.write_text("pw\n")
    words = ("backup", "create", str(file), "--home", str(home), "--password-file", str(password))
    with RunningNode(home):
        made = shoal(*words)
        assert made.status == Exit.OK, made.err
        assert "1 account," in made.out
        assert shoal(*words).status == Exit.USAGE
        (event,) = shoal(*words, "--force", "--json").events
        assert (event["event"], event["accounts"], event["is_sealed"]) == ("created", 1, True)
        assert event["size"] == file.stat().st_size
        taken = shoal("backup", "restore", str(file), "--home", str(home), "--password-file",
                      str(password))  # fmt: skip
        assert taken.status == Exit.UNAVAILABLE
    back = ("backup", "restore", str(file), "--home", str(new))
    refused = shoal(*back)
    assert refused.status == Exit.REFUSED
    restored = shoal(*back, "--password-file", str(password))
    assert restored.out == f"restored 1 account to {new}\n"
    assert account in shoal("account", "list", "--home", str(new)).out
    empty = tmp_path / "empty"
    (event,) = shoal(
        "backup", "restore", str(file), "--home", str(empty), "--password-file", str(password),
        "--json",
    ).events  # fmt: skip
    assert (event["event"], event["accounts"]) == ("restored", 1)


def test_without_a_password(tmp_path: Path) -> None:
    """A file that has none is restored with a warning; where one is given it is refused."""
    home, file, new = make_home(tmp_path / "home"), tmp_path / "all.backup", tmp_path / "new"
    add_person(home, "alice")
    assert shoal("backup", "create", str(file), "--home", str(home)).status == Exit.OK
    password = tmp_path / "password"
    password.write_text("pw\n")
    back = ("backup", "restore", str(file), "--home", str(new))
    refused = shoal(*back, "--password-file", str(password))
    assert refused.status == Exit.REFUSED
    assert "anybody can have written it" in refused.err
    assert not any((new / "accounts").iterdir())
    restored = shoal(*back)
    assert restored.out == f"restored 1 account to {new}\n"
    assert "anybody can have written it" in restored.err
