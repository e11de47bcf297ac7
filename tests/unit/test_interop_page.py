"""The page on conformance names tests that exist, and no case is missing."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "protocol" / "interop.md"
CASES: Final = 27  # OpenDHT's conformance cases that we set ourselves
FOLDERS: Final = dict(
    re.findall(r"`(\w)` is\s`(tests/[\w/.]+)`", PAGE.read_text().replace("\n", " "))
)


def rows() -> list[tuple[str, str]]:
    """Return number and tests of each case."""
    table = PAGE.read_text().partition("## The cases")[2].partition("\n## ")[0]
    lines = [line.strip("| ").split("|") for line in table.splitlines() if re.match(r"\| \d", line)]
    return [(cells[0].strip(), cells[-1]) for cells in lines]


def names_in(path: Path) -> set[str]:
    """Return the classes and functions of a module, or of all modules of a folder."""
    modules = path.rglob("test_*.py") if path.is_dir() else [path]
    return {
        node.name
        for module in modules
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_all_cases_are_there() -> None:
    """One row per case, in order."""
    assert [number for number, _ in rows()] == [str(number) for number in range(1, CASES + 1)]


@pytest.mark.parametrize(("number", "tests"), rows())
def test_the_tests_of_a_case_exist(number: str, tests: str) -> None:
    """Each module and each name in the last column."""
    cited = re.findall(r"(?:(\b[A-Z]) )?`([^`]+)`", tests)
    assert cited
    folder = ""
    for letter, citation in cited:
        folder = FOLDERS[letter] if letter else folder
        for part in citation.split("::"):
            path = ROOT / folder / part
            if part.startswith("tests/"):
                folder, path = part, ROOT / part
            if part.endswith(".py") or path.is_dir():
                assert path.exists(), citation
            else:
                assert part in names_in(ROOT / folder), f"{folder} has no {part}"
