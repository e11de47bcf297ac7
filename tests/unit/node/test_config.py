"""Settings: read, checked, and refused with the nearest name that is known."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import platformdirs
import pytest

from shoal.node import config as module
from shoal.node.config import (
    JAMI_TURN,
    AccountSettings,
    DhtSettings,
    NetSettings,
    NodeConfig,
    TurnServer,
    home_path,
)
from shoal.node.errors import ConfigError, HomeError

if TYPE_CHECKING:
    from pathlib import Path

FULL = """
[dht]
bootstrap = ["a.example", "b.example:4223"]
network = 7
discovery = true

[net]
stun = "stun.example"
upnp = false

[[net.turn]]
host = "turn.example:3479"
username = "u"
password = "p"

[accounts.abcd]
own_dht = true
network = 9
"""


def test_a_full_file_is_read() -> None:
    """Tables, lists, texts, numbers."""
    config = NodeConfig.parse(FULL)
    assert config.dht == DhtSettings(
        bootstrap=("a.example", "b.example:4223"), network=7, discovery=True
    )
    server = TurnServer("turn.example:3479", "u", "p")
    assert config.net == NetSettings(turn=(server,), stun="stun.example", upnp=False)
    assert config.account("abcd" + "0" * 36) == AccountSettings(own_dht=True, network=9)
    assert config.account("ef" * 20) == AccountSettings()
    assert "secret" not in repr(TurnServer("host", "user", "secret"))


def test_without_a_file_everything_has_its_default(tmp_path: Path) -> None:
    """As every Jami account has it."""
    config = NodeConfig.load(tmp_path)
    assert config == NodeConfig()
    assert config.net.turn == (JAMI_TURN,)
    (tmp_path / "config.toml").write_text(FULL)
    assert NodeConfig.load(tmp_path).dht.network == 7


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[dht]\nbootstraps = []", r"unknown setting dht\.bootstraps; did you mean bootstrap\?"),
        ("[nett]", r"unknown setting nett; did you mean net\?"),
        ("zzz = 1", "unknown setting zzz; known are accounts, dht, files, names, net"),
        ("dht = 1", "dht is a table"),
        ('[dht]\nnetwork = "7"', "dht.network is a whole number"),
        ("[dht]\nnetwork = true", "dht.network is a whole number"),
        ('[dht]\nbootstrap = "host"', "dht.bootstrap is a list"),
        ("[dht]\nbootstrap = [1]", r"dht.bootstrap\[0\] is a text in quotes"),
        ("[net]\nturn = [{}]", "missing"),
        ("accounts = 1", "accounts holds tables"),
        ("[accounts.ab]\npubic = true", r"did you mean public\?"),
        ("= 1", "config.toml"),
    ],
)
def test_mistakes_are_named(text: str, words: str) -> None:
    """Where they are, and what was meant."""
    with pytest.raises(ConfigError, match=words):
        NodeConfig.parse(text)


def test_files_that_are_no_text_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As are folders, and what is too large."""
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="UTF-8"):
        NodeConfig.load(tmp_path)
    monkeypatch.setattr(module, "CONFIG_SIZE_MAX", 0)
    with pytest.raises(ConfigError, match="larger"):
        NodeConfig.load(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(ConfigError, match="cannot read"):
        NodeConfig.load(tmp_path)


def test_the_home_is_where_one_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By argument, by environment, else where the platform keeps data."""
    monkeypatch.setenv("SHOAL_HOME", str(tmp_path))
    assert home_path() == tmp_path
    assert home_path(tmp_path / "x") == tmp_path / "x"
    monkeypatch.delenv("SHOAL_HOME")
    assert home_path().name == "shoal"

    def nowhere(_: str) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr(platformdirs, "user_data_path", nowhere)
    with pytest.raises(HomeError, match="SHOAL_HOME"):
        home_path()


@pytest.mark.parametrize(
    "kind", [TurnServer, DhtSettings, NetSettings, AccountSettings, NodeConfig]
)
def test_every_setting_is_documented(kind: Any) -> None:
    """Each has its line in the docstring, which the reference shows."""
    for field in fields(kind):
        assert f"\n        {field.name}: " in (kind.__doc__ or ""), field.name
