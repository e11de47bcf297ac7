"""`shoal up`: a node with its page; a second one only gives a new link."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any, Final

import pytest

from shoal.cli import up
from shoal.cli.common import loading
from shoal.node.driver.api.client import SocketClient
from shoal.node.driver.home import Home
from shoal.node.errors import NoRunningNodeError
from shoal.web import WebConfig, WebServer
from tests.unit.cli.conftest import shoal
from tests.unit.cli.homes import RunningNode, add_person, make_home

pytestmark = pytest.mark.timeout(120)


def test_it_runs_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """The page is there, and small; a second `shoal up` gives a link to it; SIGTERM ends it."""
    home = make_home(tmp_path / "home")
    add_person(home, "alice")
    words = ["up", "--no-browser", "--port", "0", "--json", "--home", str(home)]
    program = [sys.executable, "-m", "shoal", *words]
    with subprocess.Popen(  # noqa: S603 - our own program
        program, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout is not None
            first: dict[str, Any] = json.loads(running.stdout.readline())
            assert first["event"] == "up"
            assert first["link"].startswith(f"{first['url']}/#link=")
            with urllib.request.urlopen(first["url"], timeout=60) as page:  # noqa: S310 - our own
                assert b"/static/js/main.js" in page.read()
            assert resident(running.pid) < 80 * 1024 * 1024
            (second,) = shoal(*words).events
            assert second["url"] == first["url"]
            assert second["link"] != first["link"]
            assert (
                "Open it once by this link" in shoal("up", "--no-browser", "--home", str(home)).out
            )
        finally:
            running.send_signal(signal.SIGTERM)
        last = json.loads(running.stdout.readlines()[-1])
        assert last == {"event": "stopped"}
        assert running.wait(60) == 0


HELD: Final = """
import sys
from shoal.cli import main, up

load = up._load

def held():
    sys.stdin.readline()
    return load()

up._load = held
main(prog_name="shoal")
"""


def test_the_page_is_served_while_the_node_is_loaded(tmp_path: Path) -> None:
    """The link is told and the page is there; the link is taken once the node has come."""
    home = make_home(tmp_path / "home")
    program = [sys.executable, "-c", HELD, "up", "--no-browser", "--port", "0", "--home", str(home)]
    with subprocess.Popen(  # noqa: S603 - our own program
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdin is not None
            assert running.stdout is not None
            told = next(line for line in running.stdout if "#link=" in line)
            url, _, code = told.strip().partition("/#link=")
            with urllib.request.urlopen(url, timeout=60) as page:  # noqa: S310 - our own
                assert b"/static/js/main.js" in page.read()
            assert not (home / "api.sock").exists(), "nothing else is there yet"
            running.stdin.write("\n")
            running.stdin.flush()
            request = urllib.request.Request(  # noqa: S310 - our own
                f"{url}/v1/session",
                json.dumps({"code": code}).encode(),
                {"content-type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - our own
                assert json.load(answer)["token"]
            assert (home / "api.sock").exists()
        finally:
            running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0


def test_a_second_one_waits_until_the_first_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It finds the home taken and nobody who answers; it gives a link all the same."""
    home = make_home(tmp_path / "home")
    words = ["up", "--no-browser", "--json", "--home", str(home)]
    with (
        subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", HELD, *words[:-3], "--port", "0", *words[-2:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as running
    ):
        try:
            assert running.stdin is not None
            assert running.stdout is not None
            told = next(line for line in running.stdout if "#link=" in line)
            is_loaded, look = running.stdin, SocketClient.open

            async def look_too_early(client: SocketClient) -> None:
                try:
                    await look(client)
                except NoRunningNodeError:
                    is_loaded.write("\n")
                    is_loaded.flush()
                    raise

            monkeypatch.setattr(SocketClient, "open", look_too_early)
            (second,) = shoal(*words).events
            assert told.strip().startswith(f"{second['url']}/#link=")
        finally:
            running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0


def test_who_waits_for_a_command_has_the_home_next(tmp_path: Path) -> None:
    """A command that has the home for a moment is no node that could give a link."""
    path = make_home(tmp_path / "home")
    theirs, ours = Home(path), Home(path)
    theirs.prepare()
    theirs.lock()

    async def own() -> None:
        owning = asyncio.ensure_future(up._own(ours))  # noqa: SLF001 - no command would be one
        await asyncio.sleep(0)
        assert not ours.is_locked
        theirs.unlock()
        assert await owning is None

    asyncio.run(own())
    assert ours.is_locked
    ours.unlock()


def test_little_is_imported_before_the_page_is_served_and_nothing_idle_before_the_node() -> None:
    """Neither engines for the page, nor for a node what few nodes use."""
    show = "import sys; print(*sys.modules)"
    first = imported(f"import shoal.cli.main, shoal.cli.up, shoal.web.front; {show}")
    engines = {"shoal.swarm", "shoal.transfer", "shoal.net.ice", "shoal.dht.engine", "dulwich"}
    assert not first & {"shoal.node.driver.node", "sqlite3", *engines}
    both = imported(f"import shoal.cli.up, shoal.node.driver.node, shoal.web.server; {show}")
    assert engines < both
    others = {"Crypto", "cffi", "httpx2", "numpy", "prometheus_client", "rich"}
    rooms = {"shoal.bot", "shoal.chain", "shoal.dht.proxy", "shoal.lab", "shoal.sim"}
    assert not both & {*others, *rooms, "segno", "textual", "urllib.request"}


def test_no_garbage_is_looked_for_while_a_node_is_loaded() -> None:
    """Afterwards it is."""
    with loading():
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.unfreeze()


def imported(program: str) -> set[str]:
    """Return the modules that a program has imported."""
    ran = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True
    )
    return set(ran.stdout.split())


def resident(pid: int) -> int:
    """Return the bytes of memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def test_a_node_that_runs_without_a_page_is_told_of(tmp_path: Path) -> None:
    """And one that has one gives a link."""
    home = make_home(tmp_path / "home")
    with RunningNode(home) as running:
        refused = shoal("up", "--no-browser", "--home", str(home))
        assert refused.status == 1
        assert f"process {os.getpid()} runs this home without a page" in refused.err
        server = WebServer(running.node, WebConfig(port=0))
        running.do(server.open())
        found = shoal("up", "--no-browser", "--home", str(home))
        assert server.url in found.out
        running.do(server.close())


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    """Where one was asked for."""
    home = make_home(tmp_path / "home")
    with RunningNode(home) as running:
        server = WebServer(running.node, WebConfig(port=0))
        running.do(server.open())
        other = make_home(tmp_path / "other")
        port = str(server.port)
        refused = shoal("up", "--no-browser", "--port", port, "--home", str(other))
        running.do(server.close())
    assert refused.status != 0
    assert port in refused.err


def test_the_browser_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is one."""
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.get", lambda: FakeBrowser(opened))
    home = make_home(tmp_path / "home")
    with RunningNode(home) as running:
        server = WebServer(running.node, WebConfig(port=0))
        running.do(server.open())
        assert shoal("up", "--home", str(home)).status == 0
        assert [each.partition("#link=")[0] for each in opened] == [f"{server.url}/"]
        running.do(server.close())


class FakeBrowser:
    """Remembers what it was to open."""

    def __init__(self, opened: list[str]) -> None:
        self._opened = opened

    def open(self, link: str) -> bool:
        """Remember *link*."""
        self._opened.append(link)
        return True
