"""`shoal node`: run until told to stop, look, follow; and how commands find it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from shoal.cli.common import Exit
from shoal.cli.home import ask_password, printable, read_password, show_qr, when
from tests.unit.cli.conftest import shoal
from tests.unit.cli.homes import RunningNode, add_person, make_home

if TYPE_CHECKING:
    from pathlib import Path


def test_sigterm_ends_it_cleanly(tmp_path: Path) -> None:
    """With status 0; commands talk to it meanwhile, and no second one starts."""
    home = make_home(tmp_path / "home")
    account = add_person(home, "alice")
    words = ["node", "run", "--json", "--home", str(home)]
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "shoal", *words], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        assert (started["event"], started["accounts"]) == ("started", 1)
        (status,) = shoal("node", "status", "--json", "--home", str(home)).events
        assert len(status["dht"]) == 1
        assert account in shoal("account", "list", "--home", str(home)).out
        second = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "shoal", *words], capture_output=True, text=True, check=False
        )
        assert second.returncode == Exit.UNAVAILABLE
        assert f"process {process.pid} owns" in second.stderr
        process.send_signal(signal.SIGTERM)
        assert json.loads(process.stdout.read())["event"] == "stopped"
    assert process.returncode == 0
    quiet = shoal("node", "status", "--home", str(home))
    assert "nothing is on the network" in quiet.out


def test_events_are_followed(tmp_path: Path) -> None:
    """Until one has had enough."""
    home = make_home(tmp_path / "home")
    account = add_person(home, "alice")
    with RunningNode(home) as node:
        assert "UDP port" in shoal("node", "status", "--home", str(home)).out
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "shoal", "node", "events", "--json", "--home", str(home)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["event"] == "subscribed"
            shoal("account", "devices", account, "--rename", "desk", "--home", str(home))
            while (event := json.loads(process.stdout.readline()))["event"] != "device_changed":
                assert event["number"]
            assert event["name"] == "desk"
            node.do(node.node.close())
            assert process.wait(60) != 0
        finally:
            process.kill()
            process.communicate()


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    """With the one that was meant; the command cannot start."""
    home = make_home(tmp_path / "home")
    (home / "config.toml").write_text("[dht]\nbootstraps = []\n")
    wrong = shoal("account", "list", "--home", str(home))
    assert wrong.status == Exit.UNAVAILABLE
    assert "did you mean bootstrap?" in wrong.err


def test_passwords_come_from_files(tmp_path: Path) -> None:
    """The first line; without a terminal nobody is asked."""
    path = tmp_path / "password"
    path.write_text("secret\r\nsecond line\n")
    assert read_password(str(path)) == "secret"
    assert read_password(None) is None
    assert ask_password(None, "Password") is None
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(Exception, match="cannot read the password"):
        read_password(str(path))


def test_what_others_wrote_does_not_control_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nor is a QR code drawn where there is none."""
    assert printable("a\x1b[2Jb") == "a\N{REPLACEMENT CHARACTER}[2Jb"
    show_qr("jami:00")
    assert capsys.readouterr().out == ""
    assert when(None) == "never"
    assert when(1_790_000_000.0).startswith("2026-09-2")
