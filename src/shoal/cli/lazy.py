"""Groups whose commands are imported when they are called: `shoal --help` must feel instant."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from typing import Any


class Source(NamedTuple):
    """Where a command lives, and what the list of commands says about it.

    Attributes:
        target: `module:attribute`.
        summary: one line.
        extra: the optional dependencies it takes, as in `pip install 'shoal[extra]'`.
        section: what it is listed under.
    """

    target: str
    summary: str
    extra: str = ""
    section: str = "Commands"


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports each on first use.

    A command whose optional dependencies are missing is listed all the same; calling it says what
    to install.
    """

    def __init__(self, *, sources: Mapping[str, Source], **attrs: Any) -> None:
        self._sources = sources
        self._loaded: dict[str, click.Command] = {}
        super().__init__(**attrs)

    @property
    def commands(self) -> MutableMapping[str, click.Command]:
        """Every command, imported; for those who document them all."""
        return {name: self._load(name) for name in self._sources}

    @commands.setter
    def commands(self, commands: MutableMapping[str, click.Command]) -> None:
        assert not commands, "a lazy group takes sources"

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which they were given."""
        return list(self._sources)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        return self._load(cmd_name) if cmd_name in self._sources else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        width = max(map(len, self._sources))
        sections = dict.fromkeys(source.section for source in self._sources.values())
        for section in sections:
            rows = [
                (name.ljust(width), source.summary)
                for name, source in self._sources.items()
                if source.section == section
            ]
            with formatter.section(section):
                formatter.write_dl(rows)

    def _load(self, name: str) -> click.Command:
        if name not in self._loaded:
            source = self._sources[name]
            module, _, attribute = source.target.partition(":")
            try:
                command = getattr(importlib.import_module(module), attribute)
            except ModuleNotFoundError as error:
                if not source.extra or (error.name or "").startswith("shoal"):
                    raise
                raise click.ClickException(
                    f"{name} needs {error.name}: pip install 'shoal[{source.extra}]'"
                ) from error
            assert isinstance(command, click.Command), "sources name commands"
            self._loaded[name] = command
        return self._loaded[name]
