"""Chromium, headless, driven by playwright: people who use our page."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from playwright.async_api import async_playwright

from tests.peers.presence import AXE_PATH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

    from tests.peers.namespaces import Namespace

ARTIFACTS: Final = Path(__file__).parents[2] / "artifacts" / "page"
PATIENCE: Final = 90_000  # milliseconds; a loaded machine takes its time
# As root in a container there is no sandbox to be had; QUIC and updates would look elsewhere.
_FLAGS: Final = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking")
_WRAPPER: Final = """#!/bin/sh
exec ip netns exec {namespace} chromium "$@"
"""
RULES: Final = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}


@contextlib.asynccontextmanager
async def chromium(program: Path | None = None) -> AsyncIterator[Browser]:
    """Give the system's browser, started by *program* where that is given."""
    program = program or Path(shutil.which("chromium") or "")
    assert program.is_file(), "require it first"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=list(_FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


def in_namespace(namespace: Namespace, folder: Path) -> Path:
    """Return a program that starts the browser on that host, where a node's loopback is."""
    program = folder / "chromium-there"
    program.write_text(_WRAPPER.format(namespace=namespace.name))
    program.chmod(0o700)
    return program


class Person:
    """Somebody at a page of their own, with what the page complained about.

    Attributes:
        page: what they look at.
        complaints: errors on its console, and scripts that failed.
    """

    def __init__(self, name: str, page: Page) -> None:
        self.name = name
        self.page = page
        self.complaints: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._heard)

    @classmethod
    async def open(cls, browser: Browser, name: str, link: str, **options: Any) -> Person:
        """Open a link in a browser window of its own."""
        context = await browser.new_context(**options)
        person = cls(name, await context.new_page())
        await person.page.goto(link)
        return person

    def _heard(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    async def photograph(self, what: str) -> Path:
        """Keep a screenshot."""
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        path = ARTIFACTS / f"{self.name}-{what}.png"
        await self.page.screenshot(path=path)
        return path

    async def barriers(self) -> list[str]:
        """Return what axe-core finds on the page: rules that are broken, and where."""
        # By the debugger's own way: our policy lets no such script into the page.
        await self.page.evaluate(AXE_PATH.read_text())
        found = await self.page.evaluate("rules => axe.run(document, rules)", RULES)
        return [
            f"{each['id']}: {node['target']} {node['failureSummary']}"
            for each in found["violations"]
            for node in each["nodes"]
        ]
