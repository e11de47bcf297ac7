"""`shoal config`."""

from __future__ import annotations

import stat
import tomllib
from typing import TYPE_CHECKING, Any

import click
import pytest

from shoal.cli.common import Exit
from shoal.cli.config import TEMPLATE, settings_of
from shoal.node import NodeConfig
from tests.unit.cli.conftest import shoal

if TYPE_CHECKING:
    from pathlib import Path

SOME = """\
[dht]
network = 77
[net]
turn = [{host = "turn.example:3478", username = "me", password = "secret"}]
[accounts.0123]
public = true
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with some settings."""
    (tmp_path / "config.toml").write_text(SOME)
    return tmp_path


def test_shown_as_toml_that_reads_the_same(home: Path) -> None:
    """All settings, those of the home marked, passwords left out."""
    shown = shoal("config", "show", "--home", str(home))
    assert shown.status == Exit.OK
    assert "network = 77  # set here" in shown.out
    assert "port = 0\n" in shown.out
    assert "secret" not in shown.out
    assert "public = true" in shown.out
    read = NodeConfig.parse(shown.out)
    assert read.dht == NodeConfig.parse(SOME).dht
    assert tomllib.loads(shown.out)["net"]["turn"][0]["username"] == "me"
    (event,) = shoal("config", "show", "--home", str(home), "--json").events
    assert event["settings"]["dht.network"] == 77
    usual = shoal("config", "show", "--default", "--home", str(home))
    assert "set here" not in usual.out
    assert NodeConfig.parse(usual.out).dht == NodeConfig().dht


def test_every_setting_is_shown() -> None:
    """Whatever the configuration gains."""
    names = [name for name, _ in settings_of(NodeConfig())]
    assert {"dht.bootstrap", "net.turn", "names.ask_own"} <= set(names)
    NodeConfig.parse(TEMPLATE)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[dht]\nbootstraps = []", "did you mean bootstrap?"),
        ("[dth]\nport = 1", "did you mean dht?"),
        ("[dht]\nport = '1'", "dht.port is a whole number"),
        ("[dht", "config.toml"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, words: str) -> None:
    """With the nearest setting that there is."""
    (tmp_path / "config.toml").write_text(text)
    wrong = shoal("config", "validate", "--home", str(tmp_path))
    assert wrong.status == Exit.UNAVAILABLE
    assert words in wrong.err


def test_what_is_in_order_is_said_to_be(home: Path, tmp_path: Path) -> None:
    """Also a file that is not there."""
    assert "is in order" in shoal("config", "validate", "--home", str(home)).out
    (event,) = shoal("config", "validate", "--home", str(home), "--json").events
    assert event["exists"]
    empty = tmp_path / "empty"
    assert "is not there" in shoal("config", "validate", "--home", str(empty)).out


def test_only_what_is_in_order_is_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake opens the editor again, with what was typed; giving up keeps the old file."""
    typed = iter(["[dht]\nprt = 1\n", "[dht]\nport = 4300\n"])
    offered: list[str] = []

    def editor(text: str, **options: Any) -> str:
        offered.append(text)
        return next(typed)

    monkeypatch.setattr(click, "edit", editor)
    edited = shoal("config", "edit", "--home", str(home), stdin=b"y\n")
    assert edited.status == Exit.OK
    assert "did you mean port?" in edited.err
    assert offered == [SOME, "[dht]\nprt = 1\n"]
    path = home / "config.toml"
    assert path.read_text() == "[dht]\nport = 4300\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    typed = iter(["[dht]\nprt = 1\n"])
    given_up = shoal("config", "edit", "--home", str(home), stdin=b"n\n")
    assert given_up.status == Exit.UNAVAILABLE
    assert path.read_text() == "[dht]\nport = 4300\n"

    typed = iter(["[dht]\nport = 4300\n"])
    (event,) = shoal("config", "edit", "--home", str(home), "--json").events
    assert event["is_changed"] is False


def test_a_new_file_begins_with_a_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that there is something to begin with."""
    monkeypatch.setattr(click, "edit", lambda text, **options: text)
    home = tmp_path / "new"
    assert shoal("config", "edit", "--home", str(home)).status == Exit.OK
    assert (home / "config.toml").read_text() == TEMPLATE
