"""Somebody at our page, somebody at Jami: they talk."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from shoal.web import WebConfig, WebServer
from tests.peers.browser import PATIENCE, Person, chromium, in_namespace
from tests.peers.presence import Need, require
from tests.peers.talks import JamiTalk
from tests.peers.town import GENERATIONS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.peers.jami import JamiAccount
    from tests.peers.shoal_node import ShoalHost
    from tests.peers.town import Town

pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_the_page_talks_with_jami(
    generation: str, town: Town, ours: ShoalHost, tmp_path: Path
) -> None:
    """A contact asked in the page; texts and edits both ways, a reaction, one that is deleted."""
    require(Need.CHROMIUM)
    expect.set_options(timeout=PATIENCE)
    theirs = await asyncio.to_thread(town.account, generation)
    account = await asyncio.to_thread(ours.create, "Ada")
    server = WebServer(ours.node, WebConfig(port=0))
    await asyncio.to_thread(ours.run, server.open())
    try:
        program = in_namespace(ours.namespace, tmp_path)
        async with chromium(program) as browser:
            link = await asyncio.to_thread(ours.do, server.new_link)
            ada = await Person.open(browser, f"jami-{generation}", link, locale="en-GB")
            await use(ada, account.id.hex(), theirs)
            await ada.photograph("conversation")
            assert ada.complaints == []
    finally:
        await asyncio.to_thread(ours.run, server.close())


async def use(ada: Person, own: str, theirs: JamiAccount) -> None:
    """Ask, and talk."""
    page = ada.page
    await page.get_by_role("link", name="Contacts").click()
    switch = page.get_by_role("combobox", name="Account")  # where the node has several
    if await switch.count():
        await switch.select_option(own)
    await expect(page.locator("main p.id code")).to_have_text(own)
    await page.get_by_label("Who?").fill(f"jami:{theirs.uri}")  # as a QR code has it
    await page.get_by_role("button", name="Ask", exact=True).click()
    await asyncio.to_thread(theirs.daemon.wait_request, theirs.name, own)
    assert await asyncio.to_thread(theirs.daemon.accept, theirs.name, own)
    await page.get_by_role("list", name="Conversations").get_by_role("link").first.click()
    there = JamiTalk(theirs, page.url.rpartition("/")[2])
    await expect(page.get_by_role("log").get_by_text("joined")).to_be_visible()

    box = page.get_by_label("Message", exact=True)
    await box.fill("Hello from a page, é✓ 🐟")
    await box.press("Enter")
    await asyncio.to_thread(there.wait_text, "Hello from a page, é✓ 🐟")
    said = await asyncio.to_thread(there.say, "Hello from Jami")
    theirs_message = page.locator("article.message", has_text="Hello from Jami")
    await expect(theirs_message).to_be_visible()
    await theirs_message.hover()
    await theirs_message.get_by_text("React", exact=True).click()
    await theirs_message.get_by_role("button", name="React with 👍").click()
    await asyncio.to_thread(there.wait_text, "👍", said)
    await asyncio.to_thread(there.edit, said, "Hello again from Jami")
    await expect(page.locator("article.message", has_text="Hello again")).to_contain_text("edited")
    await box.press("ArrowUp")
    await box.fill("Hello again from a page")
    await box.press("Enter")
    await expect(page.locator("article.message.ours")).to_contain_text("edited")
    await asyncio.to_thread(there.edit, said, "")
    await expect(page.get_by_role("log").get_by_text("Deleted")).to_be_visible()
