"""What is measured, and how often."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.figures import Figure, Report, Section, median
from bench.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from tests.peers.namespaces import Namespace
    from tests.peers.town import Town

MEGABYTE: Final = 1_000_000  # bytes, as networks count
AIM: Final = 20.0  # times jamid's throughput
AIM_ALONE: Final = 60.0  # MB/s between two nodes on loopback


@dataclass(frozen=True, slots=True)
class Plan:
    """How much."""

    rounds: int
    size: int  # bytes of a file of ours
    their_rounds: int
    their_size: int  # bytes of a file of theirs, which takes its time


FULL: Final = Plan(rounds=5, size=200 * MEGABYTE, their_rounds=3, their_size=50 * MEGABYTE)
QUICK: Final = Plan(rounds=2, size=100 * MEGABYTE, their_rounds=1, their_size=20 * MEGABYTE)


class Bench:
    """One run."""

    def __init__(self, plan: Plan, progress: Console) -> None:
        self._plan = plan
        self._progress = progress

    def run(self, *, has_jamid: bool) -> Report:
        """Measure; beside jamid, if it is there."""
        with tempfile.TemporaryDirectory(prefix="shoal-bench-") as name:
            folder = Path(name)
            loopback, sending = self._rounds(folder / "loopback", None)
            sections = [
                Section(
                    "Two processes on loopback",
                    [
                        Figure("a file fetched, checked and named", "MB/s", None,
                               median(loopback), True),
                        Figure("a file hashed and offered", "MB/s", None, median(sending), True),
                    ],
                    [f"Aim: {AIM_ALONE:.0f} MB/s. A file has {self._plan.size // MEGABYTE} MB."],
                )
            ]  # fmt: skip
            if has_jamid:
                sections.append(self._beside_jamid(folder))
        return Report("files", "jamid 13.7" if has_jamid else "", sections)

    def _beside_jamid(self, folder: Path) -> Section:
        from tests.peers.town import OLD, Town  # noqa: PLC0415 - needs root and the peers

        (folder / "town").mkdir()
        with Town(folder / "town") as town:
            self._say("two jamid")
            theirs = self._theirs(town, OLD, folder)
            hosts = town.bench.add_host(), town.bench.add_host()
            ours, _ = self._rounds(folder / "hosts", (hosts, town.bootstrap))
        return Section(
            "Two hosts on one switch",
            [Figure("a file fetched", "MB/s", median(theirs), median(ours), True, AIM)],
            ["From asking for it to the word that it is whole."],
        )

    # Ours

    def _rounds(
        self, folder: Path, town: tuple[Sequence[Namespace], str] | None
    ) -> tuple[list[float], list[float]]:
        """Return the rates of fetching and of offering."""
        folder.mkdir()
        megabytes = self._plan.size / MEGABYTE
        fetched: list[float] = []
        offered: list[float] = []
        with _pair(folder, town) as (sender, receiver):
            for number in range(self._plan.rounds):
                self._say(f"Shoal, round {number + 1} of {self._plan.rounds}")
                path = _write(folder / f"{number}.bin", self._plan.size)
                message, seconds = sender.call("send", path=str(path))
                offered.append(megabytes / seconds)
                target = folder / f"fetched {number}"
                took = receiver.call("fetch", message=message, folder=str(target))
                fetched.append(megabytes / took)
                assert (target / path.name).stat().st_size == self._plan.size
                path.unlink()
                (target / path.name).unlink()
        return fetched, offered

    # Theirs

    def _theirs(self, town: Town, kind: str, folder: Path) -> list[float]:
        from tests.peers.jami_files import FilePair  # noqa: PLC0415 - as above

        rates: list[float] = []
        pair = FilePair(town, kind)
        for number in range(self._plan.their_rounds):
            self._say(f"{kind}, round {number + 1} of {self._plan.their_rounds}")
            path = _write(folder / f"theirs {number}.bin", self._plan.their_size)
            took = pair.fetch(path, folder / f"theirs fetched {number}.bin")
            rates.append(self._plan.their_size / MEGABYTE / took)
        return rates

    def _say(self, words: str) -> None:
        self._progress.print(f"… {words}", highlight=False)


@contextlib.contextmanager
def _pair(
    folder: Path, town: tuple[Sequence[Namespace], str] | None
) -> Iterator[tuple[Worker, Worker]]:
    """Two nodes of ours with a conversation."""
    module = "bench.transfer.worker"
    with contextlib.ExitStack() as stack:

        def worker(number: int, bootstrap: str) -> Worker:
            namespace = "-" if town is None else town[0][number].name
            home = str(folder / f"home-{number}")
            return stack.enter_context(Worker(module, namespace, home, bootstrap))

        first = worker(0, "-" if town is None else town[1])
        asker, port = first.call("start")
        second = worker(1, f"127.0.0.1:{port}" if town is None else town[1])
        other, _ = second.call("start")
        second.call("announced")
        first.call("announced")
        # Both at once: one waits for what the other does.
        with ThreadPoolExecutor(1) as threads:
            asking = threads.submit(first.call, "ask", account=other)
            second.call("agree", account=asker)
            asking.result()
        yield first, second
        for each in (first, second):
            each.call("stop")


def _write(path: Path, size: int) -> Path:
    path.write_bytes(hashlib.shake_128(path.name.encode()).digest(size))
    return path
