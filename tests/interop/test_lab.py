"""`shoal lab` and `make run` as newcomers see them: two people talk in two browser windows."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from playwright.async_api import expect

from tests.peers.browser import PATIENCE, Person, chromium
from tests.peers.presence import Need, require
from tests.peers.process import LoggedProcess

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from playwright.async_api import Locator

ROOT: Final = Path(__file__).parents[2]
BEGUN: Final = re.compile("^A private network on this machine")
LINK: Final = r"^{name} +(http://127\.0\.0\.1:\d+/#link=\S+)$"
READ: Final = re.compile(r"first message was read (\d+\.\d) seconds after the start")
READY: Final = re.compile("Ctrl-C ends all")
INSTALLATION: Final = 420.0  # seconds; a loaded machine with a slow mirror
OPENING: Final = 180.0
NAMES: Final = ("Alice", "Bob")
# What `make test` says to its own commands is not meant for a checkout of somebody else.
_OF_MAKE: Final = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "ARGS"}
OURS: Final = _OF_MAKE | {"PYTHONPATH", "SHOAL_WHEEL"}
pytestmark = pytest.mark.timeout(900)


class Started:
    """The program, and the time since."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._processes: list[LoggedProcess] = []

    def run(self, *command: str, cwd: Path, env: Mapping[str, str]) -> LoggedProcess:
        """Start something; it ends with the test, and its lines stand under one that fails."""
        process = LoggedProcess(command[0], command, cwd=cwd, env=env)
        self._processes.append(process)
        return process

    @property
    def seconds(self) -> float:
        """How long it is since the beginning."""
        return time.monotonic() - self._began

    def stop(self) -> None:
        """End whatever runs."""
        for process in self._processes:
            process.stop()


@pytest.fixture
def started() -> Iterator[Started]:
    """Give who starts programs, and a clock that runs from now on."""
    require(Need.CHROMIUM)
    expect.set_options(timeout=PATIENCE)
    made = Started()
    yield made
    made.stop()


async def test_a_lab_in_two_windows(started: Started, tmp_path: Path, measured: list[str]) -> None:
    """People talk with each other and with the bot; then nothing is left."""
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    lab = started.run(sys.executable, "-m", "shoal", "lab", cwd=ROOT, env=env)
    seconds = await talk(lab, started)
    measured.append(f"shoal lab to a message read in another window: {seconds:.1f} s")
    await end(lab)
    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == []


async def test_make_run_in_a_fresh_clone(
    started: Started, tmp_path: Path, measured: list[str]
) -> None:
    """From clone to two people talking in two windows, with one command, in measured time."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("no git checkout: there is nothing to clone")
    trust = tmp_path / "gitconfig"
    trust.write_text("[safe]\ndirectory = *\n")  # the checkout may be another user's
    env = {name: value for name, value in os.environ.items() if name not in OURS}
    env["GIT_CONFIG_GLOBAL"] = str(trust)
    clone = tmp_path / "shoal"
    git = started.run("git", "clone", "--quiet", ROOT.as_uri(), str(clone), cwd=tmp_path, env=env)
    assert await asyncio.to_thread(git.wait, INSTALLATION) == 0, git.tail()
    cloned = started.seconds
    make = started.run("make", "run", cwd=clone, env=env)
    await asyncio.to_thread(make.wait_for_line, BEGUN, INSTALLATION)
    installed = started.seconds
    seconds = await talk(make, started)
    opened = float(make.wait_for_line(READ)[1])
    measured.append(
        f"clone to a message read in another window: {seconds:.1f} s (clone {cloned:.1f},"
        f" installation {installed - cloned:.1f}, lab open {opened:.1f},"
        f" browser {seconds - installed - opened:.1f})"
    )
    await end(make)
    # pytest keeps the folders of three runs, and a virtual environment is large.
    await asyncio.to_thread(shutil.rmtree, clone, ignore_errors=True)


async def talk(lab: LoggedProcess, started: Started) -> float:
    """Let Alice talk with Bob and with the bot; return the seconds until Bob read something."""
    await asyncio.to_thread(lab.wait_for_line, READY, OPENING)
    links = {name: lab.wait_for_line(re.compile(LINK.format(name=name)))[1] for name in NAMES}
    async with chromium() as browser:
        windows = await browser.new_context(locale="en-GB")  # one browser, as at home
        alice, bob = [Person(f"lab-{name}", await windows.new_page()) for name in NAMES]
        await alice.page.goto(links["Alice"])
        await bob.page.goto(links["Bob"])
        await go_to(bob, "Alice")
        await go_to(alice, "Bob")
        await say(alice, "Hello Bob, are you there?")
        await expect(message(bob, "are you there?")).to_be_visible()
        seconds = started.seconds
        await say(bob, "I am")
        await expect(message(alice, "I am")).to_be_visible()
        await go_to(alice, "Echo")
        await say(alice, "Is anybody there?")
        answer = alice.page.locator("article.message:not(.ours)", has_text="Is anybody there?")
        await expect(answer).to_be_visible()
        await alice.photograph("echo")
        await alice.page.get_by_role("link", name="Settings").click()
        await expect(alice.page.get_by_text("Your registered name is alice")).to_be_visible()
        assert alice.complaints == []
        assert bob.complaints == []
    return seconds


async def end(lab: LoggedProcess) -> None:
    """Press Ctrl-C."""
    lab.signal(signal.SIGINT)
    await asyncio.to_thread(lab.wait, OPENING)
    assert "stopping" in lab.tail()
    assert "Traceback" not in lab.tail()


async def go_to(person: Person, other: str) -> None:
    """Open a conversation."""
    talks = person.page.get_by_role("list", name="Conversations")
    await talks.get_by_role("link", name=other).click()
    await expect(person.page.get_by_role("heading", name=other)).to_be_visible()


async def say(person: Person, text: str) -> None:
    """Type, and press Enter."""
    box = person.page.get_by_label("Message", exact=True)
    await box.fill(text)
    await box.press("Enter")


def message(person: Person, text: str) -> Locator:
    """Return the message that says *text*."""
    return person.page.locator("article.message", has_text=text)
