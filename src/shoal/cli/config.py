"""`shoal config`: the settings of a home, shown, edited and checked."""

# ruff: noqa: PLC0415 - commands load what they use

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, Final

import click

from shoal.cli.common import Exit, Group, emit, json_option, runs_async
from shoal.cli.home import home_option

if TYPE_CHECKING:
    from pathlib import Path

    from shoal.node import NodeConfig

_SECRET: Final = frozenset({"password"})  # settings that are not shown
TEMPLATE: Final = """\
# Settings of this home; what is not here has its default: shoal config show.
# A node that runs reads them when it starts.

[dht]
# bootstrap = ["host:4222"]

[net]

[names]
"""


@click.group(cls=Group)
def config() -> None:
    """Settings: config.toml of the home, shown, edited, checked."""


@config.command()
@click.option("--default", "is_default", is_flag=True, help="The defaults, not this home's.")
@home_option
@json_option
@runs_async
async def show(home: str | None, *, is_default: bool, as_json: bool) -> int:
    """Show every setting with the value it has; those that were set are marked.

    Passwords are not shown.
    """
    from shoal.node import NodeConfig

    found = NodeConfig() if is_default else NodeConfig.load(_folder(home))
    rows = settings_of(found)
    if as_json:
        emit("config", path=str(_path(home)), settings=dict(rows))
        return Exit.OK
    usual = dict(settings_of(NodeConfig()))
    click.echo(f"# {_path(home)}")
    table = ""
    for name, value in rows:
        head, _, key = name.rpartition(".")
        if head != table:
            table = head
            click.echo(f"\n[{table}]")
        mark = "" if usual.get(name, value) == value and name in usual else "  # set here"
        click.echo(f"{key} = {_toml(value)}{mark}")
    return Exit.OK


@config.command()
@home_option
@json_option
@runs_async
async def validate(home: str | None, *, as_json: bool) -> int:
    """Check config.toml; an unknown setting is an error that names the nearest known one."""
    from shoal.node import NodeConfig

    path = _path(home)
    NodeConfig.load(_folder(home))
    if as_json:
        emit("valid", path=str(path), exists=path.exists())
    elif path.exists():
        click.echo(f"{path} is in order")
    else:
        click.echo(f"{path} is not there: everything has its default")
    return Exit.OK


@config.command()
@home_option
@json_option
@runs_async
async def edit(home: str | None, *, as_json: bool) -> int:
    """Edit config.toml with $EDITOR; only what is in order replaces it.

    A mistake is shown, and the editor opens again, as long as you like. A node that runs takes the
    new settings when it starts the next time.
    """
    from shoal.identity.driver.files import write_file
    from shoal.node import NodeConfig
    from shoal.node.errors import ConfigError

    path = _path(home)
    before = path.read_text("utf-8") if path.exists() else ""
    text = before or TEMPLATE
    while True:
        edited = click.edit(text, extension=".toml", require_save=False)
        assert edited is not None, "without require_save there is always a text"
        try:
            NodeConfig.parse(edited)
        except ConfigError as error:
            click.echo(f"error: {error}", err=True)
            if not click.confirm("Edit again?", default=True, err=True):
                raise
            text = edited
            continue
        break
    is_new = edited != before
    if is_new:
        write_file(path, edited.encode())
    if as_json:
        emit("edited", path=str(path), is_changed=is_new)
    else:
        click.echo(f"wrote {path}" if is_new else "nothing has changed")
    return Exit.OK


def settings_of(found: NodeConfig) -> list[tuple[str, Any]]:
    """Return every setting by its full name, as plain values."""
    rows: list[tuple[str, Any]] = []
    names = [each.name for each in dataclasses.fields(found) if each.name != "accounts"]
    tables = [(name, getattr(found, name)) for name in names]
    tables += [(f"accounts.{key}", value) for key, value in found.accounts.items()]
    for table, values in tables:
        for field in dataclasses.fields(values):
            value = getattr(values, field.name)
            if value is not None:
                rows.append((f"{table}.{field.name}", _plain(value)))
    return rows


def _plain(value: object) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.name not in _SECRET
        }
    return value


def _toml(value: Any) -> str:
    """Return a value as TOML writes it; texts of JSON are texts of TOML."""
    match value:
        case bool():
            return "true" if value else "false"
        case dict():
            return f"{{ {', '.join(f'{key} = {_toml(each)}' for key, each in value.items())} }}"
        case list():
            return f"[{', '.join(_toml(each) for each in value)}]"
        case _:
            return json.dumps(value, ensure_ascii=False)


def _folder(home: str | None) -> Path:
    from shoal.node.config import home_path

    return home_path(home)


def _path(home: str | None) -> Path:
    from shoal.node.config import CONFIG_FILE

    return _folder(home) / CONFIG_FILE
