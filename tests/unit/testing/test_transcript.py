"""The transcript."""

from __future__ import annotations

from shoal.testing.transcript import LINES_MAX, Transcript


def test_lines_in_order_and_bounded() -> None:
    """Who did what, the latest kept."""
    transcript = Transcript()
    transcript.add("Alice", "says 'hello'")
    transcript.add("Bob", "sees it")
    first, second = str(transcript).splitlines()
    assert first.endswith("Alice      says 'hello'")
    assert second.endswith("Bob        sees it")

    for number in range(LINES_MAX):
        transcript.add("Alice", f"counts {number}")
    assert len(str(transcript).splitlines()) == LINES_MAX
    assert "sees it" not in str(transcript)
