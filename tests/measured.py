"""What tests measure stands at the end of the run, whichever process ran them, pass or fail.

A test takes the fixture `measured` and appends lines. No test depends on the figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

NAME: Final = "measured"


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> list[str]:
    """Give a list for lines that are printed in the end."""
    lines: list[str] = []
    record_property(NAME, lines)  # a report takes it along, also from a worker of xdist
    return lines


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print them."""
    lines = [
        line
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, found in report.user_properties
        if name == NAME
        for line in found
    ]
    if lines:
        terminalreporter.section(NAME)
    for line in lines:
        terminalreporter.line(line)
