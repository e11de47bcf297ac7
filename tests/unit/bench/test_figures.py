"""Figures of the benches: ratios, aims, and the page that shows them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from bench.figures import Figure, Report, Section, cells, median, readable, slope

if TYPE_CHECKING:
    from pathlib import Path


def report() -> Report:
    """Return a report with one of everything."""
    return Report(
        "toy",
        "peer 1.0",
        [
            Section(
                "Speed",
                [
                    Figure("gets", "1/s", 800.0, 1000.0, more_is_better=True, aim=1.0),
                    Figure("first value", "ms", 1.0, 4.0, aim=3.0, note="remote"),
                    Figure("engine", "µs", None, 17.4),
                ],
            ),
            Section("Profile", text=["50 %  wire"]),
        ],
    )


def test_ratio_and_aim() -> None:
    """A rate aims at least at its ratio, a time at most."""
    rate, time, alone = report().sections[0].figures

    assert (rate.ratio, rate.is_on_target) == (1.25, True)
    assert (time.ratio, time.is_on_target) == (4.0, False)
    assert (alone.ratio, alone.is_on_target) == (None, None)


def test_nothing_to_compare_with() -> None:
    """Losses of zero give no ratio, rather than an error."""
    assert Figure("lost", "of all", 0.0, 0.0).ratio is None


def test_cells_read_well() -> None:
    """Each figure is a row that a person understands."""
    rate, time, alone = report().sections[0].figures

    assert cells(rate) == ["gets, 1/s", "800", "1,000", "1.25×", "≥ 1× ✓"]
    assert cells(time) == ["first value, ms (remote)", "1", "4", "4.00×", "≤ 3× missed"]
    assert cells(alone) == ["engine, µs", "–", "17.4", "", ""]


@pytest.mark.parametrize(
    ("number", "text"), [(0.0, "0"), (0.1234, "0.123"), (12.345, "12.3"), (12345.6, "12,346")]
)
def test_readable(number: float, text: str) -> None:
    """Three digits, or all before the point."""
    assert readable(number) == text


def test_statistics() -> None:
    """Medians of something and of nothing; the slope of a line."""
    assert median([3.0, 1.0, 2.0]) == 2.0
    assert median([]) is None
    assert slope([(2, 10.0), (8, 40.0), (32, 160.0)]) == pytest.approx(5.0)


def test_page_keeps_what_is_outside_the_marks(tmp_path: Path) -> None:
    """Writing twice leaves one table, and the text around it as it was."""
    page = tmp_path / "page.md"
    page.write_text("# Speed\n<!-- measured: toy begin -->\nold\n<!-- measured: toy end -->\nend\n")
    report().write_page(page)
    once = page.read_text()
    report().write_page(page)

    assert page.read_text() == once
    assert once.startswith("# Speed\n")
    assert once.endswith("<!-- measured: toy end -->\nend\n")
    assert "| gets, 1/s | 800 | 1,000 | 1.25× | ≥ 1× ✓ |" in once
    assert "old" not in once


def test_page_without_marks(tmp_path: Path) -> None:
    """A page that has no place for the tables stays as it is."""
    page = tmp_path / "page.md"
    page.write_text("# Speed\n")

    with pytest.raises(ValueError, match="has no marks"):
        report().write_page(page)
    assert page.read_text() == "# Speed\n"


def test_json_and_table_have_everything() -> None:
    """Scripts get ratios and verdicts; the terminal every section."""
    figures = report().as_json()["sections"][0]["figures"]
    written = io.StringIO()
    report().print(Console(file=written, width=120))

    assert [figure["ratio"] for figure in figures] == [1.25, 4.0, None]
    assert all(text in written.getvalue() for text in ("Speed", "gets", "50 %  wire"))
