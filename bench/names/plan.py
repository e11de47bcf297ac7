"""What is measured, and how often."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.figures import Figure, Report, Section
from bench.names.load import Load, Outcome, lookup, registration
from bench.workers import Worker
from shoal.chain import ChainAddress
from shoal.crypto import PrivateKey
from shoal.names import sign_name
from shoal.names.wire import encode_registration

if TYPE_CHECKING:
    from rich.console import Console

CONNECTIONS: Final = 20
LOOKUPS_AIM: Final = 3000  # per second on one core, connections kept open
KEY_BITS: Final = 2048  # of those who register: larger keys take too long to make
MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Plan:
    """How much."""

    names: int
    lookups: int
    closing: int
    registrations: int
    rounds: int


QUICK: Final = Plan(names=5_000, lookups=10_000, closing=3_000, registrations=24, rounds=2)
FULL: Final = Plan(names=100_000, lookups=50_000, closing=15_000, registrations=200, rounds=5)


class Bench:
    """One run."""

    def __init__(self, plan: Plan, progress: Console) -> None:
        self._plan = plan
        self._progress = progress
        self._chance = random.Random(1)

    def run(self) -> Report:
        """Measure everything."""
        report = Report("names", peer="")
        with tempfile.TemporaryDirectory() as folder:
            report.sections.append(self._lookups(Path(folder, "lookups")))
            report.sections.append(self._registrations(Path(folder, "registrations")))
            report.sections.append(self._starts(Path(folder)))
        return report

    def _lookups(self, folder: Path) -> Section:
        plan = self._plan
        section = Section(f"Lookups, {plan.names:,} names, {CONNECTIONS} connections at a time")
        with Worker("bench.names.worker") as worker:
            port = worker.call("start", folder=str(folder))["port"]
            bare = worker.memory()
            self._say("filling the index")
            worker.call("fill", count=plan.names)
            filled = worker.memory()
            for title, count, is_closing in (
                ("connections kept open", plan.lookups, False),
                ("connections closed, Jami's way", plan.closing, True),
            ):
                self._say(f"lookups, {title}")
                section.figures += self._rounds(worker, port, title, count, is_closing=is_closing)
            busy = worker.memory()
            worker.call("stop")
        for title, memory in (
            ("memory, no names", bare),
            (f"memory, {plan.names:,} names", filled),
            ("memory, after the lookups", busy),
        ):
            section.figures.append(Figure(title, "MiB", None, memory.resident / MIB))
        return section

    def _rounds(
        self, worker: Worker, port: int, title: str, count: int, *, is_closing: bool
    ) -> list[Figure]:
        outcomes: list[Outcome] = []
        per_core: list[float] = []
        for _ in range(self._plan.rounds):
            names = [f"name-{self._chance.randrange(self._plan.names)}" for _ in range(count)]
            requests = [lookup(name, is_closing=is_closing) for name in names]
            before = worker.processor_seconds()
            outcome = asyncio.run(Load(port, requests, is_closing=is_closing).run(CONNECTIONS))
            per_core.append(count / (worker.processor_seconds() - before))
            assert not outcome.failures, f"{outcome.failures} lookups failed"
            outcomes.append(outcome)
        note = "" if is_closing else f"aim {LOOKUPS_AIM:,}"
        rate = statistics.median(each.rate for each in outcomes)
        latency = statistics.median(each.latency for each in outcomes)
        core = statistics.median(per_core)
        return [
            Figure(title, "lookups/s", None, rate, more_is_better=True, note=note),
            Figure(title, "lookups per s of one core", None, core, more_is_better=True),
            Figure(title, "ms of the median lookup", None, latency * 1000),
        ]

    def _registrations(self, folder: Path) -> Section:
        plan = self._plan
        section = Section("Registrations on the embedded chain, signatures checked, all on disk")
        self._say("making keys")
        with ProcessPoolExecutor() as pool:
            requests = list(pool.map(_registration, range(2 * plan.registrations)))
        with Worker("bench.names.worker") as worker:
            port = worker.call("start", folder=str(folder))["port"]
            for title, share, connections in (
                ("one after the other", requests[: plan.registrations], 1),
                (f"{CONNECTIONS} at a time", requests[plan.registrations :], CONNECTIONS),
            ):
                self._say(f"registrations, {title}")
                outcome = asyncio.run(Load(port, share, is_closing=False).run(connections))
                assert not outcome.failures, f"{outcome.failures} registrations failed"
                section.figures += [
                    Figure(title, "registrations/s", None, outcome.rate, more_is_better=True),
                    Figure(title, "ms of the median registration", None, outcome.latency * 1000),
                ]
            worker.call("stop")
        return section

    def _starts(self, folder: Path) -> Section:
        section = Section("Start of `shoal names serve`, from the command to the first answer")
        registered = 2 * self._plan.registrations
        for title, data in (
            ("a new chain", folder / "new"),
            (f"{registered} names on the chain", folder / "registrations"),
        ):
            self._say(f"starts, {title}")
            seconds = [_start(data) for _ in range(self._plan.rounds)]
            section.figures.append(Figure(title, "s", None, statistics.median(seconds)))
        return section

    def _say(self, text: str) -> None:
        self._progress.print(text, style="dim", highlight=False)


def _registration(number: int) -> bytes:
    """Return a request to register, by an account of its own."""
    key = PrivateKey.generate(KEY_BITS)
    record = sign_name(f"person-{number}", key.public_key, key.sign)
    owned = record.with_owner(ChainAddress(record.account))
    return registration(record.name, encode_registration(owned))


def _start(data: Path) -> float:
    """Return how long a server takes to start."""
    command = [sys.executable, "-m", "shoal", "names", "serve", "--json", "--port", "0"]
    begun = time.perf_counter()
    with subprocess.Popen(  # noqa: S603 - our own
        [*command, "--data", str(data)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "started"
        seconds = time.perf_counter() - begun
        process.terminate()
        process.stdout.read()
    return seconds
