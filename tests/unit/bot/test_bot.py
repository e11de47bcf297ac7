"""Describing a bot: what decorators take and refuse, where it lives, how it introduces itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from shoal.bot import Bot, Message
from shoal.bot.bot import introduce
from shoal.bot.errors import BotNotRunningError, HandlerError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_bot_that_does_not_run() -> None:
    """What takes an account needs one."""
    with pytest.raises(BotNotRunningError):
        Bot("Idle").conversations()


def test_handlers_are_checked_when_they_are_registered() -> None:
    """A handler that could never be called is a mistake at once, and not when somebody writes."""
    bot = Bot("Strict")

    with pytest.raises(HandlerError, match="async def"):
        bot.on_message()(lambda message: None)  # type: ignore[type-var]

    with pytest.raises(HandlerError, match="the message"):

        @bot.on_message()
        async def nothing() -> None: ...

    with pytest.raises(HandlerError, match="neither str"):

        @bot.command()
        async def wrong(message: Message, what: list[str]) -> None: ...

    @bot.command("same")
    async def one(message: Message) -> None: ...

    with pytest.raises(HandlerError, match="already"):
        bot.command("SAME")(one)

    @bot.task("same")
    async def two(chat: object) -> None: ...

    with pytest.raises(HandlerError, match="already"):
        bot.task("same")(two)


def test_it_introduces_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its address is on a line of its own; where there is a terminal, as a QR code, too."""
    introduce("Echo", "jami:0123", tmp_path)
    plain = capsys.readouterr().out
    assert plain.splitlines()[0] == "Echo is at jami:0123"
    assert "█" not in plain
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    introduce("Echo", "jami:0123", tmp_path)
    drawn = capsys.readouterr().out
    assert "█" in drawn
    assert drawn.splitlines()[0] == "Echo is at jami:0123"


def test_where_it_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bot's home is its own, below that of the user's node; never the user's itself."""
    monkeypatch.setenv("SHOAL_HOME", str(tmp_path))

    assert Bot("Old Buoy!").home == tmp_path / "bots" / "old-buoy"
    assert Bot("…").home == tmp_path / "bots" / "bot"
    assert Bot("Echo", home=tmp_path / "echo").home == tmp_path / "echo"
