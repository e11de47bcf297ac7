"""What is measured: a home with one account and something said in it, opened again and again."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from bench.figures import Figure, Report, Section, median
from bench.workers import with_byte_code
from shoal.node import Node

if TYPE_CHECKING:
    from rich.console import Console

MIB: Final = 1024 * 1024
TEXTS: Final = 30
CONFIG: Final = """
[dht]
network = 4711
bind = ["127.0.0.1"]
alone = true
[net]
turn = []
upnp = false
ipv6 = false
loopback = true
"""


@dataclass(frozen=True, slots=True)
class Start:
    """One start: seconds since the process was started; processor seconds and bytes by then."""

    told: float
    served: float
    usable: float
    processor: float
    resident: int


def measure(progress: Console, rounds: int, idle: float) -> Report:
    """Measure all."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir(mode=0o700)
        (home / "config.toml").write_text(CONFIG)
        progress.print("an account, and something said")
        conversation = asyncio.run(_furnish(home))
        with Opened(home, conversation):
            pass
        starts, idling = [], (0.0, 0)
        for number in range(rounds):
            progress.print(f"start {number + 1} of {rounds}")
            with Opened(home, conversation) as opened:
                starts.append(opened.start)
                if number == rounds - 1:
                    progress.print(f"doing nothing for {idle:g} s")
                    idling = opened.idle(idle)
    imports = [_import_time("shoal") for _ in range(rounds)]
    return Report(
        "start",
        "",
        [
            Section(
                "`shoal up` with one account",
                [
                    Figure("link told", "s", None, median([each.told for each in starts])),
                    Figure("page served", "s", None, median([each.served for each in starts])),
                    Figure(
                        "usable: signed in, conversations listed, messages read",
                        "s", None, median([each.usable for each in starts]),
                    ),
                    Figure(
                        "processor time until then",
                        "s", None, median([each.processor for each in starts]),
                    ),
                    Figure(
                        "resident memory then",
                        "MiB", None, median([each.resident / MIB for each in starts]),
                    ),
                    Figure(f"resident memory, idle for {idle:g} s", "MiB", None, idling[1] / MIB),
                    Figure("processor, idle", "% of a core", None, 100 * idling[0]),
                    Figure("`import shoal`", "ms", None, median(imports)),
                ],
            )
        ],
    )  # fmt: skip


class Opened:
    """A `shoal up` that runs, and can be used."""

    def __init__(self, home: Path, conversation: str) -> None:
        begin = time.perf_counter()
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [
                *(sys.executable, "-m", "shoal", "up", "--no-browser", "--port", "0"),
                *("--home", str(home)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=with_byte_code(),
        )
        assert self._process.stdout is not None
        link = next(line for line in self._process.stdout if "#link=" in line).strip()
        told = time.perf_counter()
        self._url, _, code = link.partition("/#link=")
        with urllib.request.urlopen(self._url) as page:  # noqa: S310 - our own
            page.read()
        served = time.perf_counter()
        self._token = ""
        self._token = self._ask("session", json.dumps({"code": code}).encode())["token"]
        (account,) = self._ask("account.list")
        (listed,) = self._ask(f"conversation.list?account={account['id']}")
        assert listed["id"] == conversation
        found = self._ask(
            f"conversation.messages?account={account['id']}&conversation={conversation}"
        )
        usable = time.perf_counter()
        assert len(found) > TEXTS
        self.start = Start(
            told - begin, served - begin, usable - begin, self._processor(), self._resident()
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.terminate()
        self._process.wait()

    def idle(self, seconds: float) -> tuple[float, int]:
        """Return the part of a core that it takes when nothing happens, and its memory then."""
        before = self._processor()
        time.sleep(seconds)
        return (self._processor() - before) / seconds, self._resident()

    def _ask(self, what: str, data: bytes | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - our own
            f"{self._url}/v1/{what}",
            data,
            {"content-type": "application/json", "authorization": f"Bearer {self._token}"},
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - our own
            return json.load(answer)

    def _processor(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def _resident(self) -> int:
        fields = Path(f"/proc/{self._process.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGESIZE")


async def _furnish(home: Path) -> str:
    """Make an account with a conversation; return its id."""
    async with Node(home) as node:
        account = await node.accounts.create("bench")
        conversation = await account.conversations.create()
        for number in range(TEXTS):
            await conversation.send(f"text {number}")
        return str(conversation.id)


def _import_time(module: str) -> float:
    """Return the milliseconds that importing takes."""
    program = (
        f"import time; begin = time.perf_counter(); import {module};"
        " print(time.perf_counter() - begin)"
    )
    ran = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=with_byte_code(),
    )
    return 1000 * float(ran.stdout)
