"""Our page in a real browser: an account with a password gets devices, and loses one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from playwright.async_api import expect

from tests.interop.test_page import chain, pages, serve

if TYPE_CHECKING:
    from playwright.async_api import Dialog, Locator

    from tests.peers.browser import Person

__all__ = ["chain", "pages", "serve"]

pytestmark = pytest.mark.timeout(600)
PASSWORD: Final = "correct horse"  # noqa: S105 - of a test


async def test_devices_come_and_go(pages: tuple[Person, Person, Person]) -> None:
    """By an address and a password, by a PIN; one is revoked."""
    ada, bob, other = pages

    async def agree(dialog: Dialog) -> None:
        await dialog.accept()

    ada.page.on("dialog", agree)
    await onboard(ada)
    await link_by_address(ada, other)
    await link_by_pin(ada, bob)
    await revoke(ada)
    for person in (ada, bob, other):
        assert person.complaints == []


async def onboard(ada: Person) -> None:
    """Make an account with a password."""
    page = ada.page
    await page.get_by_label("Your name").fill("Ada")
    await page.get_by_label("Password (optional)").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Welcome, Ada")).to_be_visible()
    await page.get_by_role("button", name="Go on without a backup").click()
    await expect(page.get_by_text("online", exact=True).first).to_be_visible()


async def link_by_address(ada: Person, other: Person) -> None:
    """The new device is asked for the password; a wrong one is asked for again."""
    page = other.page
    await page.get_by_role("button", name="From another device").click()
    await page.get_by_role("button", name="Show the address").click()
    address = await page.locator("p.id code").inner_text()
    await ada.page.get_by_role("link", name="Devices").click()
    await ada.page.get_by_label("Address of the new device").fill(address)
    await ada.page.get_by_role("button", name="Hand the account over").click()
    await expect(page.get_by_role("alert")).to_contain_text("The account has a password")
    await other.photograph("3-password")
    assert await other.barriers() == []
    await page.get_by_label("Password of the account", exact=True).fill("wrong")
    await page.get_by_role("button", name="Go on").click()
    await expect(page.get_by_role("alert")).to_contain_text("That is not the password")
    await page.get_by_label("Password of the account", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Go on").click()
    await expect(page.get_by_role("navigation").get_by_text("Ada")).to_be_visible()
    await expect(devices(ada)).to_have_count(2)


async def link_by_pin(ada: Person, bob: Person) -> None:
    """The old device shows a PIN; another node, which has an account already, takes it."""
    section = ada.page.get_by_role("region", name="Add a device")
    await section.get_by_label("Password of the account").fill(PASSWORD)
    await section.get_by_role("button", name="Show a PIN").click()
    await expect(section.get_by_role("img", name="PIN")).to_be_visible()
    pin = await section.locator("p.pin code").inner_text()
    assert len(pin) == 8
    await ada.photograph("9-pin")
    assert await ada.barriers() == []
    page = bob.page
    await page.get_by_role("link", name="Settings").click()
    await page.get_by_role("button", name="Add an account").click()
    await page.get_by_role("button", name="From another device").click()
    await page.get_by_label("PIN", exact=True).fill(pin)
    await page.get_by_label("Password of the account, if it has one").fill(PASSWORD)
    await page.get_by_role("button", name="Bring it here").click()
    await expect(page.get_by_role("heading", name="Welcome, Ada")).to_be_visible()
    await page.get_by_role("button", name="Go on without a backup").click()
    await expect(devices(ada)).to_have_count(3)


async def revoke(ada: Person) -> None:
    """The password is asked for; the device is gone from the list."""
    other = devices(ada).filter(has=ada.page.get_by_role("button", name="Revoke"))
    await other.last.get_by_role("button", name="Revoke").click()
    dialog = ada.page.get_by_role("dialog")
    await dialog.get_by_label("Password of the account").fill(PASSWORD)
    await ada.photograph("10-revoke")
    assert await ada.barriers() == []
    await dialog.get_by_role("button", name="Revoke").click()
    await expect(devices(ada)).to_have_count(2)
    await ada.photograph("10-devices")
    assert await ada.barriers() == []


def devices(person: Person) -> Locator:
    """Return the devices in the list."""
    return person.page.locator("main ul.rows > li")
