"""`shoal doctor` as people, scripts and helpers see it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from shoal.cli.doctor.command import doctor

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
[dht]
network = 4000000018
alone = true
[net]
turn = []
upnp = false
loopback = true
ipv6 = false
[names]
server = "http://127.0.0.1:9"
"""
NAMES = [
    *("UDP", "IPv6", "NAT", "port mapping", "DHT out", "DHT in"),
    *("clock", "TURN", "name server", "disk"),
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that reaches nobody."""
    folder = tmp_path / "ada"
    folder.mkdir()
    (folder / "config.toml").write_text(CONFIG)
    return folder


def test_one_line_each(home: Path) -> None:
    """Everything has its line, with the fix on it; what failed is the exit status."""
    result = CliRunner().invoke(doctor, ["--home", str(home)])
    lines = result.stdout.splitlines()

    assert result.exit_code == 1
    assert [line[2:14].strip() for line in lines] == NAMES
    assert any(line.startswith("✗ name server") and "→" in line for line in lines)
    assert "1 thing failed" in result.stderr


def test_as_json(home: Path) -> None:
    """A finding per line."""
    result = CliRunner().invoke(doctor, ["--home", str(home), "--json"])
    found = [json.loads(line) for line in result.stdout.splitlines()]

    assert [each["name"] for each in found] == NAMES
    assert {each["event"] for each in found} == {"finding"}
    assert found[-1]["verdict"] == "ok"


def test_sharing(home: Path, tmp_path: Path) -> None:
    """The report says what was found, and not where."""
    path = tmp_path / "report.txt"
    result = CliRunner().invoke(doctor, ["--home", str(home), "--share", str(path)])
    text = path.read_text()

    assert "look at it before" in result.stderr
    assert "✓ disk         [home] can be written" in text
    assert str(home) not in text
    printed = CliRunner().invoke(doctor, ["--home", str(home), "--share", "-"])
    assert printed.stdout.startswith("shoal doctor\n")
    refused = CliRunner().invoke(doctor, ["--home", str(home), "--share", str(tmp_path / "a/b")])
    assert refused.exit_code == 2
