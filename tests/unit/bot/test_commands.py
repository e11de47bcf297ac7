"""Commands: words become arguments, or a refusal that tells how it is written."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.bot.commands import Command, split_command
from shoal.bot.errors import Refusal


async def remind(message: object, minutes: float, loud: bool = False, *words: str) -> None:
    """Remind you of something.

    More about it.
    """


COMMAND = Command.of(remind, "remind")


def test_what_is_said_about_it() -> None:
    """Usage and summary are made of the function."""
    assert COMMAND.usage == "remind minutes [loud] [words…]"
    assert COMMAND.summary == "Remind you of something."


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("10", [10.0]),
        ("0.5 yes", [0.5, True]),
        ("10 off tea is 'very ready'", [10.0, False, "tea", "is", "very ready"]),
        ("10 off don't", [10.0, False, "don't"]),
    ],
)
def test_words_become_arguments(text: str, values: list[object]) -> None:
    """Each as its parameter has it; the last takes the rest; an apostrophe is no quote."""
    assert COMMAND.read(text) == values


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "minutes is missing: remind minutes"),
        ("soon", "minutes is a number, not 'soon'"),
        ("1 perhaps", "loud is yes or no, not 'perhaps'"),
    ],
)
def test_words_that_do_not_fit(text: str, why: str) -> None:
    """The refusal says which, and what it should be."""
    with pytest.raises(Refusal, match=why):
        COMMAND.read(text)


def test_too_many_words() -> None:
    """Words that no parameter takes are refused, not dropped."""

    async def ping(message: object) -> None: ...

    with pytest.raises(Refusal, match="too many"):
        Command.of(ping, "ping").read("now")


def test_splitting() -> None:
    """A command begins with the prefix, and its name is of any size."""
    assert split_command("/Remind 10 tea", "/") == ("remind", "10 tea")
    assert split_command("/help", "/") == ("help", "")
    assert split_command("remind", "/") is None
    assert split_command("/", "/") is None
    assert split_command("/ ", "/") is None


@given(st.text())
def test_any_text_gives_arguments_or_a_refusal(text: str) -> None:
    """Whatever people write, the bot has an answer."""
    split_command(f"/{text}", "/")
    with suppress(Refusal):
        assert isinstance(COMMAND.read(text)[0], float)
