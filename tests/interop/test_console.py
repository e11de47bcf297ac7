"""Reading the console of `dhtnode`, whose threads write between one another's characters."""

from __future__ import annotations

import pytest

from tests.peers.dhtnode import seen_from_console


@pytest.mark.parametrize(
    "line",
    [
        "\tValue[id:c3e642398d56aa2d data:76616c7565]",
        ">> \tValue[id:c3e642398d56aa2d data:76616c7565]",
        "\tValue[id:c3e6>> 42398d56aa2d data:76616c7565]",
        "\tValue[id:>c3e642398d56aa2d data:> 76616c7565]",
        "\tValue[id:c3e642398d56aa2d data:76>6> 16c7565]",
        "\tValue[id:c3e642398d56aa2d data:>>76616c7565] ",
        "\tValue[id:c3e642398d56aa2d data:>>7661 6c7565]",
    ],
)
def test_a_prompt_may_fall_into_a_value(line: str) -> None:
    """Wherever it does, in one piece or in two, the value is read."""
    seen = seen_from_console(line)
    assert seen is not None
    assert (seen.id, seen.data) == (0xC3E642398D56AA2D, b"value")


def test_a_text_may_look_like_a_prompt() -> None:
    """What stands in a value is kept where the line can be read as it is."""
    seen = seen_from_console('\tValue[id:2a data(text/plain):"a > b"]')
    assert seen is not None
    assert seen.data == b"a > b"
