"""What is typed, read."""

from __future__ import annotations

import pytest

from shoal.cli.chat.orders import COMMANDS, Order, OrderError, help_lines, read_order


@pytest.mark.parametrize(
    ("line", "order"),
    [
        ("hello", Order("say", rest="hello")),
        ("", Order("say")),
        ("//etc/passwd", Order("say", rest="/etc/passwd")),
        ("/help", Order("help")),
        ("/HELP", Order("help")),
        ("/reply so it is", Order("reply", rest="so it is")),
        ("/reply #a3f9 so it is", Order("reply", "#a3f9", "so it is")),
        ("/edit #a3f9  better", Order("edit", "#a3f9", "better")),
        ("/delete", Order("delete")),
        ("/delete #a3f9", Order("delete", "#a3f9")),
        ("/react :heart:", Order("react", rest="❤️")),
        ("/react 🐟", Order("react", rest="🐟")),
        ("/unreact #00ff heart", Order("unreact", "#00ff", "❤️")),
        ("/send my file.txt", Order("send", rest="my file.txt")),
        ("/invite #1", Order("invite", rest="#1")),
    ],
)
def test_lines_are_read(line: str, order: Order) -> None:
    """Texts as they are, commands with their message and their words."""
    assert read_order(line) == order


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/rect x", "did you mean /react"),
        ("/qqqqqq", "/help shows"),
        ("/reply", "/reply [#ID] TEXT"),
        ("/reply #a3f9", "/reply [#ID] TEXT"),
        ("/send", "/send FILE"),
    ],
)
def test_what_is_no_command_says_what_is(line: str, words: str) -> None:
    """The nearest one, or how it is written; nothing of it is said to others."""
    with pytest.raises(OrderError) as caught:
        read_order(line)
    assert words in str(caught.value)


def test_help_has_every_command() -> None:
    """One a line."""
    lines = help_lines()
    assert all(any(line.startswith(f"/{name}") for line in lines) for name in COMMANDS)
