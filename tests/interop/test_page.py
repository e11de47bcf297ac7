"""Our page in a real browser: two people, each with a node, from onboarding to a conversation."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Literal

import pytest
from playwright.async_api import FilePayload, expect

from shoal.node import Node
from shoal.node.config import NamesSettings
from shoal.web import WebConfig, WebServer
from tests.peers.browser import PATIENCE, Person, chromium
from tests.peers.presence import Need, require
from tests.unit.names.driver.conftest import chain, serve
from tests.unit.node.driver.conftest import add_account, loopback

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Locator

    from tests.unit.names.driver.conftest import Serve

    Scheme = Literal["light", "dark"]

__all__ = ["chain", "serve"]

# What a browser does when a file is let go over the conversation.
DROP = """() => {
    const transfer = new DataTransfer();
    transfer.items.add(new File(["dropped"], "dropped.txt"));
    const drop = { dataTransfer: transfer, bubbles: true, cancelable: true };
    const event = new DragEvent("drop", drop);
    document.querySelector("main.conversation").dispatchEvent(event);
}"""
# The desktop of somebody who lets pages notify; a browser without a screen has none.
DESKTOP = """window.told = [];
window.Notification = class {
    static permission = "default";
    static async requestPermission() { return (this.permission = "granted"); }
    constructor(title, options) { window.told.push([title, options.body]); }
};"""
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
async def pages(tmp_path: Path, serve: Serve) -> AsyncIterator[tuple[Person, Person, Person]]:
    """Ada, whose node is new, Bob, who has an account, and a second device of Ada's to be."""
    require(Need.CHROMIUM, Need.AXE)
    expect.set_options(timeout=PATIENCE)
    names = NamesSettings((await serve()).url)
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(chromium())
        bob = await stack.enter_async_context(Node(tmp_path / "bob", config=loopback(names=names)))
        await (await add_account(bob, "bob")).rename("Bob")
        ada = await stack.enter_async_context(
            Node(tmp_path / "ada", config=loopback(bob, names=names))
        )
        other = await stack.enter_async_context(
            Node(tmp_path / "other", config=loopback(bob, names=names))
        )

        async def open_(name: str, node: Node, width: int, scheme: Scheme) -> Person:
            server = await stack.enter_async_context(WebServer(node, WebConfig(port=0)))
            return await Person.open(
                browser,
                name,
                server.new_link(),
                viewport={"width": width, "height": 740},
                color_scheme=scheme,
                locale="en-GB",
            )

        yield (
            await open_("ada", ada, 1100, "light"),
            await open_("bob", bob, 390, "dark"),
            await open_("other", other, 800, "light"),
        )


async def test_from_onboarding_to_a_conversation(
    pages: tuple[Person, Person, Person],
) -> None:
    """An account is made, a contact asked by name; they talk, edit, hand over files.

    A second device gets it all.
    """
    ada, bob, other = pages
    await onboard(ada)
    await register(bob)
    await ask(ada, "bob")
    await answer(bob)
    await talk(ada, bob)
    await change_what_was_said(ada, bob)
    await follow_a_message(ada)
    await hand_over_a_file(ada, bob)
    await find(ada)
    await be_notified(bob, ada)
    await link_a_device(ada, other)
    await look_around(ada)
    assert ada.complaints == []
    assert bob.complaints == []
    assert other.complaints == []


async def onboard(ada: Person) -> None:
    """Make an account, and keep a backup of it."""
    page = ada.page
    await expect(page.get_by_role("heading", name="Welcome to Shoal")).to_be_visible()
    assert "link=" not in page.url
    await ada.photograph("1-welcome")
    assert await ada.barriers() == []
    await page.get_by_label("Your name").fill("Ada")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Welcome, Ada")).to_be_visible()
    await expect(page.get_by_role("img", name="QR code of your id")).to_be_visible()
    async with page.expect_download() as download:
        await page.get_by_role("button", name="Save a backup").click()
    assert (await download.value).suggested_filename == "Ada.jac"
    await ada.photograph("2-backup")
    assert await ada.barriers() == []
    await page.get_by_role("button", name="Go on").click()


async def register(bob: Person) -> None:
    """Register a name."""
    page = bob.page
    await page.get_by_role("link", name="Settings").click()
    names = page.get_by_role("region", name="Registered name")
    await names.get_by_label("Name", exact=True).fill("bob")
    await names.get_by_role("button", name="Register").click()
    await expect(names.get_by_text("Your registered name is bob")).to_be_visible()
    await page.get_by_role("link", name="Back to the list").click()


async def ask(ada: Person, who: str) -> None:
    """Add a contact by name."""
    page = ada.page
    await expect(page.get_by_text("online", exact=True).first).to_be_visible()
    await page.get_by_label("Who?").fill(who)
    await page.get_by_role("button", name="Ask", exact=True).click()
    await expect(page.get_by_text("asked, not answered yet")).to_be_visible()
    await ada.photograph("3-contacts")
    assert await ada.barriers() == []


async def answer(bob: Person) -> None:
    """Accept the request."""
    page = bob.page
    await page.get_by_role("link", name="Contacts").click()
    await bob.photograph("1-request")
    await page.get_by_role("button", name="Accept").click()
    await expect(page.get_by_role("heading", name="Requests")).to_be_hidden()
    assert await bob.barriers() == []


async def talk(ada: Person, bob: Person) -> None:
    """Say something, both ways."""
    await ada.page.get_by_role("list", name="Conversations").get_by_role("link").first.click()
    await ada.page.get_by_label("Message", exact=True).fill("Hello Bob, see https://example.org/x.")
    await ada.page.keyboard.press("Enter")
    await expect(message(ada, "Hello Bob")).to_be_visible()
    await bob.page.goto(bob.page.url.partition("#")[0] + "#/")
    await bob.page.get_by_role("list", name="Conversations").get_by_role("link").first.click()
    await expect(message(bob, "Hello Bob")).to_be_visible()
    link = bob.page.get_by_role("link", name="https://example.org/x")
    assert await link.get_attribute("rel") == "noopener noreferrer nofollow"
    await bob.page.get_by_label("Message", exact=True).press_sequentially("He")
    await expect(ada.page.get_by_role("log").get_by_text("typing…")).to_be_visible()
    await bob.page.get_by_label("Message", exact=True).fill("<b>Hello Ada</b>\nwith a line")
    await bob.page.keyboard.press("Enter")
    await expect(message(ada, "<b>Hello Ada</b>")).to_be_visible()
    await expect(ada.page.get_by_role("img", name="Read").first).to_be_visible()
    await bob.photograph("2-conversation")
    assert await bob.barriers() == []


async def change_what_was_said(ada: Person, bob: Person) -> None:
    """React, answer, edit by the keyboard, delete."""
    await choose(ada, "Hello Ada", "React")
    await message(ada, "Hello Ada").get_by_role("button", name="React with 👍").click()
    await expect(message(bob, "Hello Ada").get_by_text("👍").first).to_be_visible()
    button = message(ada, "Hello Ada").locator(".reactions").get_by_role("button")
    await expect(button).to_have_attribute("aria-pressed", "true")
    theirs = message(bob, "Hello Ada").locator(".reactions").get_by_role("button")
    await expect(theirs).to_have_attribute("aria-pressed", "false")
    await theirs.click()
    await expect(button).to_contain_text("2")
    await theirs.click()
    await expect(theirs).to_have_attribute("aria-pressed", "false")
    await expect(button).not_to_contain_text("2")
    await button.click()
    await expect(theirs).to_have_count(0)
    again = message(ada, "Hello Ada").get_by_role("button", name="React with 👍")
    await expect(again).to_have_attribute("aria-pressed", "false")
    await again.click()
    await expect(theirs).to_contain_text("👍")
    await choose(ada, "Hello Ada", "Reply")
    await ada.page.get_by_label("Message", exact=True).fill("An answer")
    await ada.page.keyboard.press("Enter")
    await expect(message(bob, "An answer").locator("blockquote")).to_contain_text("Hello Ada")
    await ada.page.keyboard.press("ArrowUp")
    await expect(ada.page.get_by_label("Message", exact=True)).to_have_value("An answer")
    await ada.page.get_by_label("Message", exact=True).fill("A better answer")
    await ada.page.keyboard.press("Enter")
    await expect(message(bob, "A better answer")).to_contain_text("edited")
    await ada.photograph("4-conversation")
    assert await ada.barriers() == []
    ada.page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
    await choose(ada, "A better answer", "Delete")
    await expect(bob.page.get_by_role("log").get_by_text("Deleted")).to_be_visible()


async def hand_over_a_file(ada: Person, bob: Person) -> None:
    """One that is chosen, one that is dropped; the other side saves them."""
    data = bytes(range(256)) * 4096
    chosen = FilePayload(name="a file.bin", mimeType="text/html", buffer=data)
    await ada.page.get_by_label("Send files").set_input_files([chosen])
    offer = bob.page.locator("article.message").filter(has_text="a file.bin")
    await expect(offer).to_contain_text("1 MB")
    async with bob.page.expect_download() as download:
        await offer.get_by_role("button", name="Save the file").click()
    saved = await (await download.value).path()
    assert await asyncio.to_thread(saved.read_bytes) == data
    await ada.page.evaluate(DROP)
    await expect(bob.page.locator("article.message").filter(has_text="dropped.txt")).to_be_visible()
    await ada.photograph("4-file")
    assert await ada.barriers() == []


async def follow_a_message(ada: Person) -> None:
    """See how far one has come."""
    await choose(ada, "Hello Bob", "How far?")
    journey = ada.page.get_by_role("dialog")
    await expect(journey).to_contain_text("Bob: read")
    await ada.photograph("4-journey")
    assert await ada.barriers() == []
    await ada.page.keyboard.press("Escape")
    await expect(journey).to_be_hidden()


async def be_notified(bob: Person, ada: Person) -> None:
    """Ask the desktop to say what comes while another window has the focus."""
    page = bob.page
    await page.add_init_script(DESKTOP)
    await page.reload()
    await page.goto(page.url.partition("#")[0] + "#/settings")
    await page.get_by_label("Say on the desktop").check()
    assert await bob.barriers() == []
    await page.evaluate("document.hasFocus = () => false")
    await ada.page.get_by_label("Message", exact=True).fill("Are you there?")
    await ada.page.keyboard.press("Enter")
    async with asyncio.timeout(PATIENCE / 1_000):
        while not await page.evaluate("window.told.length"):  # noqa: ASYNC110 - a state of the page
            await asyncio.sleep(0.1)
    assert await page.evaluate("window.told") == [["Ada", "Are you there?"]]


async def link_a_device(ada: Person, other: Person) -> None:
    """A new device shows an address, the old one hands the account over; what was said comes."""
    page = other.page
    await page.get_by_role("button", name="From another device").click()
    await page.get_by_role("button", name="Show the address").click()
    await expect(page.get_by_role("img", name="QR code of the address")).to_be_visible()
    address = await page.locator("p.id code").inner_text()
    await other.photograph("1-address")
    assert await other.barriers() == []
    await ada.page.get_by_role("link", name="Devices").click()
    await ada.page.get_by_label("Address of the new device").fill(address)
    await ada.page.get_by_role("button", name="Hand the account over").click()
    await page.get_by_role("list", name="Conversations").get_by_role("link").first.click()
    await expect(message(other, "Hello Bob")).to_be_visible()
    await other.photograph("2-conversation")


async def find(ada: Person) -> None:
    """Search for a word."""
    search = ada.page.get_by_label("Search in messages")
    await search.fill("bob")
    await expect(ada.page.get_by_role("list", name="Found messages")).to_contain_text("Hello Bob")
    await search.fill("nowhere")
    await expect(ada.page.get_by_text("Nothing found.")).to_be_visible()
    await search.fill("")


async def look_around(ada: Person) -> None:
    """The other pages are alive, too; the language and the colours change."""
    page = ada.page
    await page.get_by_role("link", name="Network").click()
    await expect(page.get_by_role("img", name="Ring of the DHT with 2 nodes")).to_be_visible()
    # What its account listens to is searched for as long as the account is there.
    await expect(page.get_by_role("list", name="Searches").first).to_be_visible()
    dht = page.get_by_role("region", name="DHT, network")
    await expect(dht).to_contain_text(
        re.compile(r"[0-9a-f]{8}…\s*listen · IPv4 · \d+ of \d+ nodes answered")
    )
    await expect(page.get_by_role("img", name=re.compile("lines to [0-9]+ keys"))).to_be_visible()
    assert await page.locator(".ring .sought:not(.past)").count()
    connections = page.get_by_role("region", name="Connections")
    await expect(connections.get_by_text("local network").first).to_be_visible()
    await ada.photograph("5-network")
    assert await ada.barriers() == []
    await page.get_by_role("link", name="Devices").click()
    await expect(page.get_by_text("(this device)")).to_be_visible()
    assert await ada.barriers() == []
    await page.get_by_role("link", name="Settings").click()
    await page.get_by_label("Colours").select_option("dark")
    await page.get_by_label("Language").select_option("de")
    await expect(page.get_by_role("heading", name="Einstellungen")).to_be_visible()
    await ada.photograph("6-settings")
    assert await ada.barriers() == []


def message(person: Person, text: str) -> Locator:
    """Return the message that says *text*."""
    return person.page.locator("article.message").filter(
        has=person.page.locator("p.text", has_text=text)
    )


async def choose(person: Person, text: str, what: str) -> None:
    """Do something with a message."""
    found = message(person, text)
    await found.hover()
    await found.get_by_text(what, exact=True).click()
