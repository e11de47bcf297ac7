"""Commands that pages show: they can be typed as they stand."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

import click
import pytest

from shoal.cli import main
from tests.unit.test_docs import PAGES, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK: Final = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
INLINE: Final = re.compile(r"`([^`]+)`")
BESIDE: Final = re.compile(r"[|;]|&&")  # what stands between the commands of one line
WRAPPERS: Final = {"sudo", "exec"}


def commands_of(page: Path) -> Iterator[list[str]]:
    """Yield the words of each command of ours that a page shows, without the first."""
    text = page.read_text()
    lines = [
        line.removeprefix("$ ")
        for language, block in BLOCK.findall(text)
        if language in {"sh", "console"}
        for line in block.replace("\\\n", " ").splitlines()
    ]
    lines += [each.replace("\n", " ") for each in INLINE.findall(BLOCK.sub("", text))]
    for line in lines:
        for part in BESIDE.split(line):
            try:
                words = shlex.split(part, comments=True)
            except ValueError:
                continue  # half of what stands in quotes, as in a program's text
            while words and ("=" in words[0] or words[0] in WRAPPERS):
                del words[0]
            if words and words[0].rpartition("/")[2] == "shoal":
                yield words[1:]


def wrong_words(words: list[str]) -> list[str]:
    """Return the words that are neither commands nor options where they stand."""
    command: click.Command = main
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return words[:1] if words[0].islower() else []  # WORDS stand for something
        command, words = command.commands[words[0]], words[1:]
    known = {"-h", "--help", "--version"}
    for parameter in command.params:
        known |= {*parameter.opts, *parameter.secondary_opts}
    return [word for word in words if word.startswith("--") and word.partition("=")[0] not in known]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_can_be_typed(page: Path) -> None:
    """Each command is one, and has the options that it is shown with."""
    wrong = [(words, bad) for words in commands_of(page) if (bad := wrong_words(words))]
    assert wrong == []


def test_what_is_wrong_is_found() -> None:
    """An option of another command, a command that is none."""
    assert wrong_words(["name", "lookup", "bob", "--home", "x"]) == ["--home"]
    assert wrong_words(["dht", "fly"]) == ["fly"]
    assert wrong_words(["lab", "--once", "--json"]) == []
    assert sum(1 for page in PAGES for _ in commands_of(page)) > 100
