"""Our page in a real browser: pictures, groups, what one wants of a conversation."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Final

import pytest
from playwright.async_api import FilePayload, expect

from tests.interop.test_page import answer, ask, chain, message, onboard, pages, register, serve

if TYPE_CHECKING:
    from playwright.async_api import Dialog, Locator

    from tests.peers.browser import Person

__all__ = ["chain", "pages", "serve"]

pytestmark = pytest.mark.timeout(600)
DRAWING: Final = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>'


def png(width: int, height: int, colour: bytes) -> bytes:
    """Return a picture of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data).to_bytes(4)
        return len(data).to_bytes(4) + kind + data + check

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = (b"\0" + colour * width) * height
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


async def test_pictures_and_groups(pages: tuple[Person, Person, Person]) -> None:
    """People show themselves; a group is made, named, muted; somebody is banned and let in."""
    ada, bob, _ = pages

    async def agree(dialog: Dialog) -> None:
        await dialog.accept()

    ada.page.on("dialog", agree)
    await onboard(ada)
    await register(bob)
    await ask(ada, "bob")
    await answer(bob)
    await show_oneself(ada, bob)
    await begin_a_group(ada)
    await dress_it(ada)
    await have_wishes(ada)
    await invite(ada, bob)
    await ban_and_forgive(ada)
    await bob.photograph("3-group")
    assert await bob.barriers() == []
    assert ada.complaints == []
    assert bob.complaints == []


async def show_oneself(ada: Person, bob: Person) -> None:
    """Choose a picture; the other side has it, small and square. What is no picture is refused."""
    await ada.page.get_by_role("link", name="Settings").click()
    profile = ada.page.get_by_role("region", name="Profile")
    box = profile.get_by_label("Choose a picture")
    await box.set_input_files([FilePayload(name="x.svg", mimeType="image/svg+xml", buffer=DRAWING)])
    await expect(ada.page.get_by_role("alert")).to_contain_text("cannot be read")
    await ada.page.get_by_role("alert").get_by_role("button", name="Close this message").click()
    picture = FilePayload(name="x.png", mimeType="image/png", buffer=png(600, 400, b"\xff\x80\x20"))
    await box.set_input_files([picture])
    await is_shown(profile.locator("img.avatar"))
    await ada.photograph("7-profile")
    assert await ada.barriers() == []
    await bob.page.goto(bob.page.url.partition("#")[0] + "#/contacts")
    await is_shown(bob.page.get_by_role("region", name="Your contacts").locator("img.avatar"))
    await profile.get_by_role("button", name="Take the picture away").click()
    await expect(profile.locator("img.avatar")).to_have_count(0)
    await expect(bob.page.locator("main img.avatar")).to_have_count(0)


async def is_shown(picture: Locator) -> None:
    """See that an image was read and drawn, as small as we make them."""
    await expect(picture).to_be_visible()
    await expect(picture).to_have_js_property("naturalWidth", 256)
    await expect(picture).to_have_js_property("naturalHeight", 256)


async def begin_a_group(ada: Person) -> None:
    """With a title."""
    await ada.page.get_by_role("link", name="Contacts").click()
    await ada.page.get_by_label("Title").fill("The reef")
    await ada.page.get_by_role("button", name="Begin a group").click()
    await expect(ada.page.get_by_role("heading", name="The reef")).to_be_visible()


async def dress_it(ada: Person) -> None:
    """Give it a picture, and say what it is about."""
    await ada.page.get_by_role("button", name="Details").click()
    details = ada.page.get_by_role("dialog")
    picture = FilePayload(name="x.png", mimeType="image/png", buffer=png(300, 300, b"\x20\x80\xff"))
    await details.get_by_label("Choose a picture of the group").set_input_files([picture])
    await is_shown(details.locator("h2 img.avatar"))
    await details.get_by_label("What it is about").fill("who lives there")
    await details.get_by_role("button", name="Save").click()
    await expect(ada.page.get_by_role("status").get_by_text("Saved").first).to_be_attached()


async def have_wishes(ada: Person) -> None:
    """Mute it, and colour it."""
    details = ada.page.get_by_role("dialog")
    mute = details.get_by_label("Say nothing on the desktop")
    await mute.click()
    await expect(mute).to_be_checked()
    await expect(ada.page.locator("main header").get_by_text("muted")).to_be_attached()
    await details.get_by_label("Colour of this conversation").fill("#e5ae43")
    header = ada.page.locator("main header").first
    await expect(header).to_have_css("border-bottom-color", "rgb(229, 174, 67)")
    await ada.photograph("8-details")
    assert await ada.barriers() == []


async def invite(ada: Person, bob: Person) -> None:
    """By name; the one who is asked sees the group as it looks."""
    details = ada.page.get_by_role("dialog")
    await details.get_by_label("Who?").fill("bob")
    await details.get_by_role("button", name="Invite").click()
    await expect(details.get_by_text("invited, not here yet")).to_be_visible()
    await bob.page.goto(bob.page.url.partition("#")[0] + "#/contacts")
    await bob.page.get_by_role("button", name="Accept").click()
    await bob.page.goto(bob.page.url.partition("#")[0] + "#/")
    group = bob.page.get_by_role("list", name="Conversations").get_by_role("link", name="The reef")
    await is_shown(group.locator("img.avatar"))
    await group.click()
    await expect(bob.page.get_by_role("log").get_by_text("joined")).to_be_visible()
    await bob.page.get_by_label("Message", exact=True).fill("Hello, group")
    await bob.page.keyboard.press("Enter")
    await expect(message(ada, "Hello, group")).to_be_attached()
    await bob.page.get_by_role("button", name="Details").click()
    theirs = bob.page.get_by_role("dialog")
    await expect(theirs.get_by_text("who lives there")).to_be_visible()
    await expect(theirs.get_by_role("button", name="Ban")).to_have_count(0)  # no administrator
    await theirs.get_by_role("button", name="Close", exact=True).click()


async def ban_and_forgive(ada: Person) -> None:
    """Somebody is banned, and let in again."""
    details = ada.page.get_by_role("dialog")
    member = details.get_by_role("listitem").filter(has_text="Bob")
    await expect(member).to_contain_text("member")
    await member.get_by_role("button", name="Ban").click()
    await expect(member).to_contain_text("banned")
    await member.get_by_role("button", name="Let in again").click()
    await expect(member).to_contain_text("member")
    await details.get_by_role("button", name="Close", exact=True).click()
    await expect(details).to_be_hidden()
