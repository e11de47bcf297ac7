"""`shoal chat` with two nodes that run: on the whole screen, and in lines."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from textual.widgets import Input, OptionList, Static

from shoal.cli.chat.orders import OrderError, read_order
from shoal.cli.chat.screen import ChatApp, History, MessageView, Picker
from shoal.cli.chat.talk import PAGE, Talk
from shoal.cli.common import Exit
from shoal.node.driver.api.client import SocketClient
from tests.unit.cli.conftest import shoal
from tests.unit.cli.test_contact import Pair, pair, wait
from tests.unit.cli.test_conversation import become_contacts
from tests.unit.node.driver.conftest import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from textual.pilot import Pilot

    from shoal.node import Account
    from shoal.node.driver.conversations import Conversation

__all__ = ["pair"]

pytestmark = pytest.mark.timeout(300)


@asynccontextmanager
async def api_of(pair: Pair) -> AsyncIterator[SocketClient]:
    """A caller of Alice's node."""
    client = SocketClient(pair.alice.home / "api.sock")
    await client.open()
    yield client
    await client.close()


def bobs(pair: Pair, conversation: str) -> tuple[Account, Conversation]:
    """Bob's account, and his end of the conversation."""
    bob = pair.bob.node.accounts[pair.bob_id]
    return bob, bob.conversations[conversation]


async def until(check: Callable[[], bool]) -> None:
    """Wait for what a screen shows."""
    async with asyncio.timeout(PATIENCE):
        while not check():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.02)


def screen_text(app: ChatApp) -> str:
    """All that the screen says, but for the line to write in."""
    parts = [*app.query(MessageView), *app.query(Static)]
    return "\n".join(str(part.render()) for part in parts)


async def type_line(pilot: Pilot[None], line: str) -> None:
    """Type a line and press Enter."""
    pilot.app.query_one("#line", Input).value = line
    await pilot.press("enter")


def test_talking_on_the_whole_screen(pair: Pair) -> None:
    """Said, heard, typed, answered, reacted to, edited, taken back; and what is refused."""
    conversation = become_contacts(pair)
    bob, theirs = bobs(pair, conversation)

    async def talk() -> None:
        async with api_of(pair) as api:
            app = ChatApp(api, pair.alice_id, conversation[:8])
            async with app.run_test(size=(44, 20)) as pilot:
                await until(lambda: "began the conversation" in screen_text(app))
                await type_line(pilot, "hello bob")
                await until(lambda: "hello bob" in screen_text(app))
                pair.bob.do(theirs.set_composing())
                await until(lambda: "typing…" in screen_text(app))
                hello = pair.bob.do(theirs.messages())[-1]
                reply = pair.bob.do(theirs.send("hello alice", reply_to=hello.id))
                await until(lambda: "> you: hello bob" in screen_text(app))
                assert "typing…" not in screen_text(app)
                await type_line(pilot, "/react +1")
                await until(lambda: "👍 you" in screen_text(app))
                await type_line(pilot, f"/react #{str(reply.id)[-4:]} heart")
                await until(lambda: "❤️ you" in screen_text(app))
                await type_line(pilot, "/unreact +1")
                await until(lambda: "👍" not in screen_text(app))
                await type_line(pilot, f"/unreact #{str(reply.id)[-4:]} heart")
                await until(lambda: "❤️" not in screen_text(app))
                await type_line(pilot, "/unreact +1")
                await until(lambda: "no message to which you reacted" in screen_text(app))
                await type_line(pilot, "/edit good day")
                await until(lambda: "good day (edited)" in screen_text(app))
                await type_line(pilot, "/delete")
                await until(lambda: "(deleted)" in screen_text(app))
                await type_line(pilot, f"/edit #{str(reply.id)[-4:]} forged")
                await until(lambda: "only your own messages" in screen_text(app))
                assert "forged" in app.query_one("#line", Input).value
                await type_line(pilot, "/rect x")
                await until(lambda: "did you mean /react?" in screen_text(app))
                await type_line(pilot, "/who")
                await until(lambda: f"  {pair.bob_id[:8]}" in screen_text(app))
                pair.bob.do(theirs.set_displayed(reply.id))
                await type_line(pilot, "/quit")
            assert app.return_code in (0, None)

    asyncio.run(talk())
    wait(pair.bob, lambda: bool(bob.conversations.list()))


def test_paging_picking_and_getting_lost(pair: Pair) -> None:
    """Older messages come when one scrolls up; conversations are chosen from a list."""
    conversation = become_contacts(pair)
    alice = pair.alice.node.accounts[pair.alice_id]
    ours = alice.conversations[conversation]

    async def fill() -> None:
        for number in range(PAGE + 10):
            await ours.send(f"number {number}.")
        await alice.conversations.create()

    pair.alice.do(fill())

    async def look() -> None:
        async with api_of(pair) as api:
            app = ChatApp(api, pair.alice_id, None, theme="light")
            async with app.run_test(size=(60, 16)) as pilot:
                await until(lambda: isinstance(app.screen, Picker))
                options = app.screen.query_one(OptionList)
                assert options.option_count == 2
                index = next(
                    i for i in range(2) if options.get_option_at_index(i).id == conversation
                )
                options.highlighted = index
                await pilot.press("enter")
                await until(lambda: "number 59." in screen_text(app))
                assert "number 2." not in screen_text(app)
                history = app.query_one(History)
                await until(lambda: history.is_at_end and history.max_scroll_y > 0)
                while "number 2." not in screen_text(app):
                    await pilot.press("pageup")
                    await pilot.pause()
                await until(lambda: history.scroll_y > 0)  # what was read stays in sight
                await type_line(pilot, "/older")
                await until(lambda: "this is the beginning" in screen_text(app))
                await pilot.press("f1")
                await until(lambda: "/invite WHO" in screen_text(app))
                await pilot.press("escape")
                await until(lambda: "/invite WHO" not in screen_text(app))
                await type_line(pilot, "/switch nowhere-at-all")
                await until(lambda: "nowhere-at-all" in screen_text(app))
                await pilot.press("ctrl+c")
            lost = ChatApp(api, pair.alice_id, "12" * 20)
            async with lost.run_test() as pilot:
                await until(lambda: lost.return_code is not None)
            assert lost.return_code == Exit.FAILED

    asyncio.run(look())


def test_files_go_and_come(pair: Pair, tmp_path: Path) -> None:
    """Sent by a command, fetched by a command; where it is is shown."""
    conversation = become_contacts(pair)
    bob, theirs = bobs(pair, conversation)
    sent, theirs_file = tmp_path / "to bob.txt", tmp_path / "to alice.txt"
    sent.write_text("for bob")
    theirs_file.write_text("for alice")

    async def talk() -> None:
        async with api_of(pair) as api:
            app = ChatApp(api, pair.alice_id, conversation)
            async with app.run_test(size=(100, 30)) as pilot:
                await until(lambda: "began the conversation" in screen_text(app))
                await type_line(pilot, f"/send {sent}")
                await until(lambda: "[file] to bob.txt, 7 B" in screen_text(app))
                await type_line(pilot, "/send /no/such/file")
                await until(lambda: "/no/such/file" in app.query_one("#line", Input).value)
                app.query_one("#line", Input).clear()
                pair.bob.do(theirs.send_file(theirs_file))
                await until(lambda: "[file] to alice.txt, 9 B" in screen_text(app))
                await type_line(pilot, "/get")
                await until(lambda: "saved:" in screen_text(app))
                assert app.talk is not None
                saved = app.talk.transcript.entries[-1].file
                assert saved is not None
                assert await asyncio.to_thread(Path(saved.path).read_text) == "for alice"

    asyncio.run(talk())
    assert bob.id


def test_lines_in_and_lines_out(pair: Pair) -> None:
    """What is piped in is said; what was and is said comes out, also as JSON; errors count."""
    conversation = become_contacts(pair)
    _, theirs = bobs(pair, conversation)
    pair.bob.do(theirs.send("first\nof two lines"))
    alice = pair.alice.node.accounts[pair.alice_id]
    ours = alice.conversations[conversation]
    count = [0]

    async def look() -> None:
        count[0] = len(await ours.messages())

    def has(number: int) -> bool:
        pair.alice.do(look())
        return count[0] >= number

    while not has(3):
        pass
    said = shoal(*pair.as_alice("chat", conversation), stdin=b"/react heart\nsecond\n/who\n")
    assert said.status == Exit.OK, said.err
    assert "<" in said.out
    assert "> first" in said.out
    assert "      of two lines" in said.out
    assert "<you> second" in said.out
    assert pair.bob_id[:8] in said.out
    wrong = shoal(*pair.as_alice("chat", conversation), stdin=b"/fly\n/edit #ffff x\n/quit\nno\n")
    assert wrong.status == Exit.FAILED
    assert "no command /fly" in wrong.err
    assert "no message #ffff" in wrong.err
    assert "<you> no" not in wrong.out
    piped = shoal(*pair.as_alice("chat", conversation, "--json"), stdin=b"third\n/help\n/older\n")
    events: list[dict[str, Any]] = [json.loads(line) for line in piped.out.splitlines()]
    assert [each["body"] for each in events if each["kind"] == "text"][-1] == "third"
    assert any(each["reactions"] == {"❤️": [pair.alice_id]} for each in events)
    unsaid = shoal(*pair.as_alice("chat"), stdin=b"hello\n")
    assert unsaid.status == Exit.USAGE
    assert "shoal conversation list" in unsaid.err
    assert shoal(*pair.as_alice("chat", "12" * 20), stdin=b"").status == Exit.FAILED


def test_people_are_invited_from_inside(pair: Pair) -> None:
    """Into a group; who is banned from it hears nothing, and is told."""
    become_contacts(pair)
    group = shoal(*pair.as_alice("conversation", "new")).out.strip()

    async def talk() -> None:
        async with api_of(pair) as api:
            own = Talk(api, pair.alice_id, group)
            await own.open()
            assert own.title == "only you"
            following = asyncio.get_running_loop().create_task(_drain(own))
            assert await own.obey(read_order(f"/invite {pair.bob_id}")) == [
                f"invited {pair.bob_id}"
            ]
            assert [m["role"] for m in own.info["members"]] == ["admin", "invited"]
            with pytest.raises(OrderError, match="no message of others"):
                await own.obey(read_order("/reply hello"))
            with pytest.raises(OrderError, match="no file"):
                await own.obey(read_order("/get"))
            await own.compose(0.0, is_active=False)
            following.cancel()

    asyncio.run(talk())


async def _drain(talk: Talk) -> None:
    async for _ in talk.follow():
        pass
