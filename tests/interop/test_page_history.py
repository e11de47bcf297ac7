"""Our page in a real browser: a long history, what was said long ago, what is not sent yet."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import pytest
from playwright.async_api import expect

from shoal.node import Node
from shoal.web import WebConfig, WebServer
from tests.interop.test_page import message
from tests.peers.browser import PATIENCE, Person, chromium
from tests.peers.presence import Need, require
from tests.unit.node.driver.conftest import add_account, loopback

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Locator

pytestmark = pytest.mark.timeout(600)
SAID: Final = 130  # more than three pages


@pytest.fixture
async def ada(tmp_path: Path) -> AsyncIterator[Person]:
    """Ada, who has two groups: in the first, which is called Diary, a lot was said."""
    require(Need.CHROMIUM, Need.AXE)
    expect.set_options(timeout=PATIENCE)
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(chromium())
        node = await stack.enter_async_context(Node(tmp_path / "ada", config=loopback()))
        account = await add_account(node, "ada")
        diary, other = [await account.conversations.create() for _ in range(2)]
        await diary.set_profile(title="Diary")
        await other.set_profile(title="Other")
        first = await diary.send("The first day of 130.")
        for number in range(2, SAID):
            await diary.send(f"Day {number}.")
        await diary.send("The last day of 130.", reply_to=first.id)
        await other.send("Not a day of 130.")
        server = await stack.enter_async_context(WebServer(node, WebConfig(port=0)))
        size = {"width": 1100, "height": 740}
        yield await Person.open(browser, "history", server.new_link(), viewport=size)


async def test_what_was_said_long_ago(ada: Person) -> None:
    """It is found, shown where it stands, and from there one reads on to the latest."""
    await open_(ada, "Diary")
    await expect(message(ada, "The last day")).to_be_in_viewport()
    await expect(message(ada, "The first day")).to_have_count(0)
    await follow_the_answer(ada)
    await read_on(ada)
    await find_it(ada)
    await say_something(ada)
    await keep_drafts(ada)
    assert ada.complaints == []


async def follow_the_answer(ada: Person) -> None:
    """Go to what the last message answers, which was not read yet."""
    await message(ada, "The last day").get_by_role("link", name="an earlier message").click()
    first = message(ada, "The first day")
    await expect(first).to_be_in_viewport()
    await expect(first).to_have_class("message ours wanted")
    await expect(message(ada, "The last day")).to_have_count(0)


async def read_on(ada: Person) -> None:
    """Read page after page, down to the end."""
    later = ada.page.get_by_role("button", name="Later messages")
    read = await said(ada).count()
    while await later.is_visible():
        await later.click()
        await expect(said(ada)).not_to_have_count(read)
        read = await said(ada).count()
    assert read == SAID
    await expect(message(ada, "The first day")).to_have_count(1)
    await expect(message(ada, "The last day")).to_have_count(1)


async def find_it(ada: Person) -> None:
    """Search everywhere, then here alone; the message that is found is shown."""
    search = ada.page.get_by_label("Search in messages")
    found = ada.page.get_by_role("list", name="Found messages").get_by_role("listitem")
    await search.fill("day of")
    await expect(found).to_have_count(3)
    await expect(found.filter(has_text="Not a day")).to_contain_text("Other")
    await ada.page.get_by_label("Only in this conversation").check()
    await expect(found).to_have_count(2)
    assert await ada.barriers() == []
    await search.fill("day 65")
    await expect(found).to_have_count(1)
    await found.get_by_role("link").click()
    await expect(message(ada, "Day 65.")).to_be_in_viewport()
    await ada.photograph("1-found")
    await search.fill("")


async def say_something(ada: Person) -> None:
    """From the middle of a fresh page, where one lands at the end."""
    await ada.page.reload()
    await expect(message(ada, "Day 65.")).to_be_in_viewport()
    await expect(message(ada, "The last day")).to_have_count(0)
    await ada.page.get_by_label("Message", exact=True).fill("What a day it was.")
    await ada.page.keyboard.press("Enter")
    await expect(message(ada, "What a day it was.")).to_be_in_viewport()
    await expect(ada.page.get_by_role("button", name="Later messages")).to_have_count(0)
    await expect(message(ada, "Day 65.")).to_have_count(0)


async def keep_drafts(ada: Person) -> None:
    """What was written waits in its conversation until it is sent."""
    box = ada.page.get_by_label("Message", exact=True)
    await box.fill("To be")
    await open_(ada, "Other")
    await expect(box).to_have_value("")
    await box.fill("And another")
    await open_(ada, "Diary")
    await expect(box).to_have_value("To be")
    await box.fill("")
    await box.press("ArrowUp")
    await expect(box).to_have_value("What a day it was.")
    await box.press("Escape")
    await expect(box).to_have_value("")
    await open_(ada, "Other")
    await expect(box).to_have_value("And another")
    await box.press("Enter")
    await expect(message(ada, "And another")).to_be_in_viewport()
    await expect(box).to_have_value("")


def said(ada: Person) -> Locator:
    """Return all messages that are shown."""
    return ada.page.locator("article.message")


async def open_(ada: Person, title: str) -> None:
    """Open a conversation."""
    listed = ada.page.get_by_role("list", name="Conversations")
    await listed.get_by_role("link").filter(has_text=title).click()
    await expect(ada.page.get_by_role("heading", name=title)).to_be_visible()
