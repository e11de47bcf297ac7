"""Bots at work, among people: what is handled, in which order, once, and across restarts."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from shoal.bot import Bot, MemberAction, Message, Refusal, contains, nobody
from shoal.swarm import Role

if TYPE_CHECKING:
    import pytest

    from shoal.bot import Chat
    from shoal.testing import LoopbackNetwork


def test_a_bot_among_people(shoal_network: LoopbackNetwork) -> None:
    """Commands, filters, state, mistakes and refusals: each gets its answer, in order."""
    bot = Bot("Harbour")

    @bot.command()
    async def add(message: Message, number: int, *more: int) -> None:
        """Add numbers to the sum."""
        message.state["sum"] = message.state.get("sum", 0) + number + sum(more)
        await message.reply(f"the sum is {message.state['sum']}")

    @bot.command()
    async def sink(message: Message) -> None:
        message.state["sum"] = 0
        raise RuntimeError("a leak")

    @bot.command()
    async def dive(message: Message) -> None:
        raise Refusal("too deep")

    @bot.on_message(contains("tide"))
    async def tide(message: Message) -> None:
        await message.react("🌊")

    @bot.on_message()
    async def anything(message: Message) -> None:
        await message.say(f"heard {message.text}")

    harbour = shoal_network.bot(bot)
    alice = shoal_network.user("Alice")
    talk = alice.meet(harbour)

    for text in (
        "/add 3",
        "/add 4 5",
        "/add many",
        "/sink",
        "/add 1",
        "/dive",
        "/unknown",
        "/help",
    ):
        talk.say(text)
    talk.say("the Tide is high")
    talk.say("ahoy")
    talk.expect("the sum is 3")
    talk.expect("the sum is 12")
    talk.expect("number is a whole number, not 'many'")
    talk.expect(re.compile("went wrong"))
    talk.expect("the sum is 13")  # what the handler that failed had changed is as it was
    talk.expect("too deep")
    talk.expect("heard /unknown")
    talk.expect(re.compile(r"^/add number \[more…\]  Add numbers to the sum\.$", re.MULTILINE))
    talk.expect_reaction("🌊")
    talk.expect("heard ahoy")


def test_nothing_is_lost_or_done_twice(shoal_network: LoopbackNetwork) -> None:
    """A bot that is away answers when it is back, once; state and schedules are still there."""
    bot = Bot("Buoy")
    handled: list[str] = []

    @bot.task()
    async def ring(chat: Chat, what: str) -> None:
        await chat.say(f"ding: {what}")

    @bot.command()
    async def later(message: Message, seconds: float, what: str) -> None:
        message.later(seconds, ring, what=what)
        await message.reply("noted")

    @bot.on_message()
    async def count(message: Message) -> None:
        handled.append(message.text)
        message.state["count"] = message.state.get("count", 0) + 1
        await message.reply(f"{message.state['count']}: {message.text}")

    buoy = shoal_network.bot(bot)
    alice = shoal_network.user("Alice")
    talk = alice.meet(buoy)
    talk.say("one")
    talk.expect("1: one")
    talk.say("/later 3600 fog")
    talk.expect("noted")

    buoy.go_offline()
    talk.say("two")
    talk.say("three")
    buoy.come_back()
    talk.expect("2: two")
    talk.expect("3: three")
    buoy.restart()
    shoal_network.advance(3700)
    talk.expect("ding: fog")
    talk.say("four")
    talk.expect("4: four")
    assert handled == ["one", "two", "three", "four"]


def test_killed_between_answer_and_note(
    shoal_network: LoopbackNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler that was interrupted after it answered runs again, and does not answer again.

    A message that took the process with it as often as is allowed is left out.
    """
    monkeypatch.setattr("shoal.bot.work.CLOSING", 0.1)
    bot = Bot("Diver")
    runs: list[str] = []
    is_stuck = True

    @bot.on_message()
    async def answer(message: Message) -> None:
        runs.append(message.text)
        await message.reply(f"seen {message.text}")
        if is_stuck:
            await asyncio.sleep(3600)  # until the bot is stopped

    diver = shoal_network.bot(bot)
    alice = shoal_network.user("Alice")
    talk = alice.meet(diver)
    talk.say("a wreck")
    talk.expect("seen a wreck")
    diver.go_offline()
    diver.come_back()
    shoal_network.wait(lambda: len(runs) == 2, "the handler runs again")
    database = bot.folder / "bot.sqlite"
    diver.go_offline()
    is_stuck = False
    with closing(sqlite3.connect(database)) as store, store:
        store.execute("UPDATE inbox SET attempts = 3")
    diver.come_back()
    talk.say("a reef")
    talk.expect("seen a reef")
    assert runs == ["a wreck", "a wreck", "a reef"]
    assert [text for _, text in talk.texts()].count("seen a wreck") == 1


def test_what_runs_by_itself(shoal_network: LoopbackNetwork) -> None:
    """At the start, at the end, every so often; and not again when the time has not come."""
    bot = Bot("Clock", handler_seconds=0.2)
    happened: list[str] = []

    @bot.on_start()
    async def start() -> None:
        happened.append("start")

    @bot.on_stop()
    async def stop() -> None:
        happened.append("stop")

    @bot.every(3600)
    async def strike() -> None:
        happened.append("strike")
        raise RuntimeError("the bell is cracked")  # does not stop the clock

    @bot.on_message()
    async def sleep(message: Message) -> None:
        await asyncio.sleep(3600)

    clock = shoal_network.bot(bot)
    shoal_network.wait(lambda: happened == ["start", "strike"], "the first strike")
    clock.restart()
    talk = shoal_network.user("Alice").meet(clock)
    talk.say("wake up")
    talk.expect(re.compile("went wrong"))  # it took too long
    assert happened == ["start", "strike", "stop", "start"]
    shoal_network.advance(3700)
    shoal_network.wait(lambda: happened[-1] == "strike", "the second strike")
    assert happened.count("strike") == 2


def test_groups(shoal_network: LoopbackNetwork) -> None:
    """In a group, what was said before the bot came is not its business; joining is told."""
    bot = Bot("Pilot")

    @bot.on_member(MemberAction.JOIN)
    async def greet(message: Message) -> None:
        assert message.member is not None
        await message.say(f"welcome {str(message.member.account)[:8]}")

    @bot.on_message()
    async def echo(message: Message) -> None:
        assert message.is_group
        await message.reply(f"aye {message.text}")

    @bot.on_edit()
    async def edited(message: Message) -> None:
        await message.say(f"now it is {message.text}")

    @bot.on_reaction()
    async def reacted(message: Message) -> None:
        await message.say(f"thanks for {message.text}")

    pilot = shoal_network.bot(bot)
    alice = shoal_network.user("Alice")
    bob = shoal_network.user("Bob")
    alice.meet(pilot)
    alice.meet(bob)
    group = alice.new_group()
    group.say("before")
    group.invite(pilot)
    group.wait_member(pilot)
    said = group.say("after")
    answer = group.expect("aye after")
    group.edit(said, "later")
    group.expect("now it is later")
    group.react(answer, "⚓")
    group.expect("thanks for ⚓")
    group.invite(bob)
    bob.accept_invitation(group)
    group.expect(f"welcome {str(bob.id)[:8]}")
    assert "aye before" not in [text for _, text in group.texts()]
    assert group.members[pilot.id] is Role.MEMBER


def test_who_is_not_wanted(shoal_network: LoopbackNetwork) -> None:
    """A bot's policy declines; nothing is accepted."""
    asked: list[object] = []

    def ask(account: object) -> bool:
        asked.append(account)
        return nobody(account)  # type: ignore[arg-type]  # whoever it is

    hermit = shoal_network.bot(Bot("Hermit", accepts=ask))
    alice = shoal_network.user("Alice")
    alice.add(hermit)
    shoal_network.wait(lambda: asked == [alice.id], "the hermit was asked")
    shoal_network.wait(lambda: not hermit.account.contacts.requests(), "the request is declined")
    assert alice.id not in hermit.account.contacts


def test_many_conversations_at_once(shoal_network: LoopbackNetwork) -> None:
    """One conversation that takes its time keeps the others not waiting, up to the bound."""
    bot = Bot("Ferry", concurrency=2)
    gate = asyncio.Event()

    @bot.on_message(contains("wait"))
    async def wait(message: Message) -> None:
        await gate.wait()
        await message.reply("at last")

    @bot.on_message()
    async def go(message: Message) -> None:
        gate.set()
        await message.reply("at once")

    ferry = shoal_network.bot(bot)
    alice, bob = shoal_network.user("Alice"), shoal_network.user("Bob")
    first, second = alice.meet(ferry), bob.meet(ferry)
    first.say("wait")
    first.say("and then")
    second.say("go")
    second.expect("at once")
    first.expect("at last")
    first.expect("at once")
