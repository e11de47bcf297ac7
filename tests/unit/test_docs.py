"""The documentation keeps up with the code: commands, errors, settings, links and examples."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import tomllib
from pathlib import Path
from typing import Final

import click
import pytest

from docs._ext.shoal_docs import error_classes, help_of, walk_commands
from shoal.cli import main
from shoal.dht import DhtConfig

ROOT: Final = Path(__file__).parents[2]

DOCS: Final = ROOT / "docs"
PAGES: Final = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(each for each in DOCS.rglob("*.md") if "_build" not in each.parts),
]
COMMANDS: Final = [(" ".join(path), path, command) for path, command in walk_commands(main)]
LEAVES: Final = [each for each in COMMANDS if not isinstance(each[2], click.Group)]
VERDICTS: Final = {"full", "partial", "no", "n/a"}


def name_of(path: Path) -> str:
    """Return the page's path in the repository."""
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize(("name", "path", "command"), COMMANDS, ids=str)
def test_every_command_explains_itself(
    name: str, path: tuple[str, ...], command: click.Command
) -> None:
    """Each command and each of its options has a help text: the reference is made of them."""
    assert command.help, f"{name} has no help"
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts[0]} has no help"
    assert name in help_of(path, command)


@pytest.mark.parametrize(("name", "path", "command"), LEAVES, ids=str)
def test_every_command_speaks_json(
    name: str, path: tuple[str, ...], command: click.Command
) -> None:
    """Whatever a person can read, a script can."""
    assert "--json" in {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize(("name", "path", "command"), LEAVES, ids=str)
def test_every_command_is_shown_in_use(
    name: str, path: tuple[str, ...], command: click.Command
) -> None:
    """Beyond the generated reference, some page says what a command is for."""
    assert any(name in page.read_text() for page in PAGES), f"no page mentions {name}"


@pytest.mark.parametrize(
    "error", error_classes(), ids=lambda each: f"{each.__module__}.{each.__name__}"
)
def test_every_error_says_what_happened(error: type[Exception]) -> None:
    """The docstring is what people are shown: full sentences of its own."""
    text = error.__doc__

    assert text is not None
    assert text.strip().split("\n\n")[0].endswith((".", "?"))
    assert error.__name__ in (inspect.getmodule(error).__doc__ or ""), "not in the tree on top"


def test_every_setting_is_documented() -> None:
    """Each field of the configuration has its line in the docstring, which the reference shows."""
    text = inspect.getdoc(DhtConfig) or ""

    for field in dataclasses.fields(DhtConfig):
        assert f"\n    {field.name}: " in text


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """Relative links name files that exist."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    targets = re.findall(r"\]\((?!https?://|mailto:|#)([^)#\s]+)", text)
    missing = [target for target in targets if not (page.parent / target).exists()]

    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pages_have_one_title(page: Path) -> None:
    """A page opens with its title, and has no second one."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    titles = re.findall(r"^# .+$", text, re.MULTILINE)

    assert len(titles) == 1 or "```{include}" in page.read_text()


def test_every_dependency_is_accounted_for() -> None:
    """docs/dependencies.md names each one that pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = list(project["project"]["dependencies"])
    for group in project["project"]["optional-dependencies"].values():
        wanted += group
    for group in project["dependency-groups"].values():
        wanted += group
    names = {re.split(r"[^\w-]", each, maxsplit=1)[0] for each in wanted} - {"shoal"}
    text = (DOCS / "dependencies.md").read_text().lower()

    assert [name for name in sorted(names) if name.replace("-parser", "") not in text] == []


def test_changelog_fragments_have_a_kind() -> None:
    """What has no kind that towncrier knows would be dropped in silence."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    kinds = "|".join(each["directory"] for each in project["tool"]["towncrier"]["type"])

    for fragment in (ROOT / "changelog.d").iterdir():
        if fragment.name != ".gitignore":
            assert re.fullmatch(rf"[a-z0-9-]+\.({kinds})\.md", fragment.name), fragment.name
            assert fragment.read_text().strip()


def compatibility_rows() -> list[tuple[str, list[str], str]]:
    """Rows of the README's compatibility table: what, a verdict per peer, the tests."""
    text = (ROOT / "README.md").read_text()
    table = text.partition("## What works with whom")[2].partition("\n## ")[0]
    lines = [line.strip("| ") for line in table.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.split("|")] for line in lines[2:]]
    return [(cells[0], cells[1:-1], cells[-1]) for cells in rows]


def test_the_compatibility_table_is_there() -> None:
    """The table is found where the next test looks for it."""
    assert len(compatibility_rows()) >= 5


@pytest.mark.parametrize(
    ("what", "verdicts", "shown_by"), compatibility_rows(), ids=lambda each: str(each)[:40]
)
def test_compatibility_is_shown_by_tests(what: str, verdicts: list[str], shown_by: str) -> None:
    """Every row that claims something names tests with real peers, and they exist."""
    assert what
    assert set(verdicts) <= VERDICTS
    tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", shown_by)
    assert tests, f"no test is named for {what!r}"
    for path, function in tests:
        assert (ROOT / path).exists(), path
        names = {
            node.name
            for node in ast.walk(ast.parse((ROOT / path).read_text()))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert function in names, f"{path} has no {function}"


EXAMPLES: Final = [
    pytest.param(block, id=f"{name_of(page)}-{number}")
    for page in PAGES
    for number, block in enumerate(
        re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    )
    if "bot.run()" not in block  # never ends by itself: tests/unit/bot/test_readme.py runs it
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_run(example: str) -> None:
    """Every block of Python that a page shows runs as it stands."""
    exec(compile(example, "example", "exec"), {"__name__": "__main__"})  # noqa: S102 - our own
