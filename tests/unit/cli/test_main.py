"""The tree of commands: quick to show, complete, helpful when a library is missing."""

# ruff: noqa: S603 - the programs that run are our own

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import platformdirs
import pytest
from click.testing import CliRunner

from shoal.cli import main
from shoal.cli.common import Exit, explain, hosts_of, status_of
from shoal.cli.dht import dht
from shoal.cli.lazy import LazyGroup, Source
from shoal.cli.ring import HEIGHT, WIDTH, angle, draw
from shoal.core import InfoHash
from shoal.dht import errors
from shoal.dht.driver.hosts import public_hosts
from tests.unit.cli.conftest import shoal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_help_lists_what_there_is_without_loading_it() -> None:
    """`shoal --help` must feel instant: neither engines nor cryptography are imported."""
    code = (
        "import sys; from click.testing import CliRunner; from shoal.cli import main\n"
        "print(CliRunner().invoke(main, ['dht', '--help']).output)\n"
        "print([m for m in sys.modules if m.startswith(('shoal.dht', 'cryptography', 'asyncio'))])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "node    Run a node until it is stopped." in shown.stdout
    assert shown.stdout.endswith("[]\n")


def test_the_library_is_loaded_lazily() -> None:
    """`import shoal` brings in nothing."""
    code = "import sys, shoal; print([m for m in sys.modules if m.startswith('shoal.')])"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stdout == "[]\n"


def test_every_command_is_there() -> None:
    """Under the words of the documentation."""
    assert {"chain", "dht", "name", "names", "sim"} <= set(main.commands)
    words = ["node", "put", "get", "listen", "query", "scan", "stats", "demo"]
    assert list(dht.commands) == words
    assert all(isinstance(command, click.Command) for command in dht.commands.values())


def test_a_user_without_a_directory_is_told_what_to_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one of a service or of a container; a DHT node needs none."""

    def nowhere(_: str) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr(platformdirs, "user_data_path", nowhere)
    monkeypatch.setattr(platformdirs, "user_config_path", nowhere)
    monkeypatch.delenv("SHOAL_HOME", raising=False)
    assert hosts_of((), 0) == public_hosts()
    for command, advice in [
        (["account", "list"], "set SHOAL_HOME"),
        (["names", "serve"], "by --data"),
        (["chain", "init"], "by --data"),
    ]:
        shown = CliRunner().invoke(main, command)
        assert shown.exit_code not in {0, Exit.INTERRUPTED}
        assert advice in shown.output
        assert "Traceback" not in shown.output


def test_exit_statuses_are_documented() -> None:
    """In the help of the root, each under its number."""
    shown = shoal("--help").out
    assert all(f"\n    {status.value} " in shown for status in Exit)


def test_what_a_command_does_is_said_to_the_end() -> None:
    """The lists of commands wrap sentences; they cut none."""

    def groups(group: click.Group) -> Iterator[click.Group]:
        yield group
        for command in group.commands.values():
            if isinstance(command, click.Group):
                yield from groups(command)

    for group in groups(main):
        with click.Context(group, max_content_width=80, terminal_width=80) as context:
            assert not re.search(r"\w\.\.\.", group.get_help(context)), group.name


def test_an_unknown_command_is_wrong_usage() -> None:
    """Status 2."""
    assert shoal("dht", "fly").status == Exit.USAGE


def test_a_missing_library_names_its_extra() -> None:
    """A missing module of our own is a bug, and shows as one."""
    group = LazyGroup(
        name="group",
        sources={
            "a": Source("nonexistent_library:command", "", extra="sim"),
            "b": Source("shoal.nonexistent:command", "", extra="sim"),
        },
    )
    context = click.Context(group)
    with pytest.raises(click.ClickException, match=r"pip install 'shoal\[sim\]'"):
        group.get_command(context, "a")
    with pytest.raises(ModuleNotFoundError):
        group.get_command(context, "b")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.NotConnectedError(), Exit.NOT_CONNECTED),
        (errors.StoredOnlyHereError(1), Exit.NOT_CONNECTED),
        (errors.PutRefusedError(), Exit.REFUSED),
        (errors.ValueTooLargeError(), Exit.REFUSED),
        (errors.PortTakenError(), Exit.UNAVAILABLE),
        (errors.StateFileError(), Exit.UNAVAILABLE),
        (errors.KeyFormatError(), Exit.USAGE),
        (errors.CertificateNotFoundError(), Exit.FAILED),
        (TimeoutError(), Exit.FAILED),
    ],
)
def test_errors_have_statuses_and_words(error: Exception, status: Exit) -> None:
    """No error is shown without a word on what to do."""
    assert status_of(error) is status
    assert len(explain(error)) > 30


def test_the_ring_has_its_zero_at_the_top() -> None:
    """And grows clockwise: a quarter is to the right."""
    quarter, half = (InfoHash(bytes([first]) + bytes(19)) for first in (0x40, 0x80))
    lines = draw([quarter], "label").splitlines()

    assert len(lines) == HEIGHT
    assert max(map(len, lines)) == WIDTH
    assert lines[HEIGHT // 2].endswith("•")
    assert "label" in lines[HEIGHT // 2]
    assert draw([half], "").splitlines()[-1].count("•") == 1
    assert angle(InfoHash(bytes(20))) == 0.0


def test_crowded_places_of_the_ring_stand_out() -> None:
    """Three dots, by number."""
    place = InfoHash.of(b"x")
    assert [draw([place] * n, "").count(dot) for n, dot in ((1, "•"), (3, "●"), (10, "█"))] == [
        1
    ] * 3
