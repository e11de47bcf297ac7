"""What is shipped: the wheel, the lock files, the service unit and the container file."""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

import click
import pytest

import shoal
from shoal.cli import main

ROOT: Final = Path(__file__).parents[2]
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS: Final = sorted((ROOT / "requirements").glob("*.txt"))


def name_of(path: Path) -> str:
    """Return the file's name."""
    return path.name


def names_in(requirements: list[str]) -> set[str]:
    """Return the names that *requirements* begin with, but for our own."""
    names = (re.split(r"[^\w-]", each, maxsplit=1)[0].lower() for each in requirements)
    return set(names) - {"shoal"}


def files_below(folder: Path) -> set[Path]:
    """Return the files below *folder*, without what Python compiled."""
    files = (each for each in folder.rglob("*") if each.is_file())
    return {each.relative_to(folder) for each in files if each.parent.name != "__pycache__"}


@pytest.mark.skipif("SHOAL_WHEEL" not in os.environ, reason="only make test builds the wheel")
def test_the_wheel_is_what_is_tested() -> None:
    """`make test` runs against the files that the wheel installed, and the wheel is complete."""
    wheel = Path(os.environ["SHOAL_WHEEL"])
    installed = Path(shoal.__file__).parent

    assert installed == wheel / "shoal"
    assert files_below(installed) == files_below(ROOT / "src" / "shoal")
    assert (installed / "py.typed").exists()
    assert list(wheel.glob("shoal-*.dist-info/licenses/LICENSE"))


def test_the_version_has_one_source() -> None:
    """The metadata that is installed is that of this checkout."""
    assert distribution("shoal").version == PROJECT["project"]["version"]


@pytest.mark.parametrize("path", LOCKS, ids=name_of)
def test_locks_pin_by_hash_and_name_no_index(path: Path) -> None:
    """Every requirement has one version and hashes; nothing says where files come from."""
    text = path.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip()]

    assert lines
    for line in lines:
        assert re.fullmatch(
            r"[\w.-]+==[\w.+-]+( ;[^#@]*?)?(\s+--hash=sha256:[0-9a-f]{64})+\s*", line
        ), line
    assert "://" not in text


def test_the_lock_knows_every_dependency() -> None:
    """What pyproject.toml asks for is in the lock file that development installs from."""
    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    wanted = names_in(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        wanted |= names_in(extra)
    for group in ("build", "check", "test"):
        wanted |= names_in(groups[group])
    locked = names_in((ROOT / "requirements/dev.txt").read_text().splitlines())

    assert wanted <= locked


def command_line(arguments: list[str]) -> tuple[click.Command, click.Context]:
    """Parse as `shoal` would, running nothing."""
    context = click.Context(main, info_name="shoal")
    command: click.Command = main
    while isinstance(command, click.Group):
        name, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        command = found
        if isinstance(command, click.Group):
            context = click.Context(command, info_name=name, parent=context)
    return command, command.make_context(command.name, arguments, parent=context)


def test_the_service_starts_a_command_that_exists() -> None:
    """The unit's command line parses, and names what the how-to page names."""
    unit = (ROOT / "packaging/shoal-dht.service").read_text()
    start = re.search(r"^ExecStart=\S+/shoal (.+?) \$SHOAL_DHT_OPTIONS$", unit, re.MULTILINE)
    assert start is not None
    command, context = command_line(shlex.split(start[1]))

    assert command.name == "node"
    assert context.params["port"] == 4222
    assert context.params["metrics"] == 9222


def test_the_service_has_a_home() -> None:
    """A dynamic user need not, and what looks for one fails then."""
    unit = (ROOT / "packaging/shoal-dht.service").read_text()
    state = re.search("^StateDirectory=(.+)$", unit, re.MULTILINE)
    assert state is not None
    assert f"Environment=HOME=%S/{state[1]}" in unit.splitlines()


def test_the_container_starts_a_command_that_exists() -> None:
    """The entry point's command line parses."""
    text = (ROOT / "packaging/Containerfile").read_text()
    entry = re.search(r'^ENTRYPOINT \["shoal", (.+)\]$', text, re.MULTILINE)
    assert entry is not None
    command, context = command_line([each.strip('" ') for each in entry[1].split(",")])

    assert command.name == "node"
    assert context.params["port"] == 4222


def test_the_unit_denies_what_a_node_does_not_need() -> None:
    """Hardening is there to stay."""
    unit = (ROOT / "packaging/shoal-dht.service").read_text().splitlines()

    for line in (
        "DynamicUser=yes",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "ProtectSystem=strict",
        "MemoryDenyWriteExecute=yes",
        "SystemCallFilter=@system-service",
    ):
        assert line in unit
