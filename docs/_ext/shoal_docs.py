"""Directives that write reference pages from the code, so that they cannot fall behind.

`{shoal-commands}` documents the command line from its own help; `{shoal-errors}` the error tree
from its docstrings, which are what the command line shows when one is raised.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING, ClassVar

import click
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

import shoal
from shoal.core import ShoalError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata


def walk_commands(
    command: click.Command, path: tuple[str, ...] = ("shoal",)
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command below and including *command*, with the words that call it."""
    yield path, command
    if isinstance(command, click.Group):
        for name, child in sorted(command.commands.items()):
            yield from walk_commands(child, (*path, name))


def help_of(path: tuple[str, ...], command: click.Command) -> str:
    """Return what `--help` prints for *command*, 96 columns wide."""
    context: click.Context | None = None
    for name in path[:-1]:
        context = click.Context(click.Group(name), info_name=name, parent=context)
    with click.Context(
        command, info_name=path[-1], parent=context, max_content_width=96, terminal_width=96
    ) as context:
        return command.get_help(context)


def error_classes() -> list[type[ShoalError]]:
    """Return every error class that the package defines, parents before children."""
    for module in pkgutil.walk_packages(shoal.__path__, "shoal."):
        if module.name.rpartition(".")[2] == "errors":
            importlib.import_module(module.name)

    def below(parent: type[ShoalError]) -> Iterator[type[ShoalError]]:
        yield parent
        for child in sorted(parent.__subclasses__(), key=lambda each: each.__name__):
            if child.__module__.startswith("shoal."):
                yield from below(child)

    return list(dict.fromkeys(below(ShoalError)))


class ShoalDirective(SphinxDirective):
    """A directive whose content is Markdown that it writes itself."""

    has_content: ClassVar[bool] = False

    def markdown(self) -> list[str]:
        """Return the lines of the section."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        """Parse the written lines where the directive stands."""
        lines = StringList(self.markdown(), source=self.get_source_info()[0])
        holder = nodes.section()
        holder.document = self.state.document
        self.state.nested_parse(lines, 0, holder, match_titles=True)
        return holder.children


class CommandsDirective(ShoalDirective):
    """Every command of `shoal` with its help."""

    def markdown(self) -> list[str]:
        """Return one section per command."""
        main = importlib.import_module("shoal.cli").main
        lines: list[str] = []
        for path, command in walk_commands(main):
            lines += [f"## {' '.join(path)}", "", "```text"]
            lines += help_of(path, command).splitlines()
            lines += ["```", ""]
        return lines


class ErrorsDirective(ShoalDirective):
    """Every error with what it says."""

    def markdown(self) -> list[str]:
        """Return one section per error."""
        lines: list[str] = []
        for error in error_classes():
            lines += [f"## {error.__name__}", "", f"`{error.__module__}`"]
            if error is not ShoalError:
                parents = (base for base in error.__bases__ if issubclass(base, Exception))
                lines[-1] += ", a " + ", ".join(f"`{base.__name__}`" for base in parents)
            lines += ["", "```text", *(inspect.getdoc(error) or "").splitlines(), "```", ""]
        return lines


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives with Sphinx."""
    app.add_directive("shoal-commands", CommandsDirective)
    app.add_directive("shoal-errors", ErrorsDirective)
    return {"parallel_read_safe": True, "version": "1"}
