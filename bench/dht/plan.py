"""What the DHT bench measures, and in which order: both sides take turns at everything."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bench.dht import packets
from bench.dht.spread import MODULE, Spread, reader_of
from bench.figures import Figure, Report, Section, median, slope
from bench.workers import Memory, Worker, WorkerError

if TYPE_CHECKING:
    from rich.console import Console

    from bench.dht.side import Burst, Limits, Lookup

SIDES: Final = ("opendht", "shoal")
ONE_PROCESS: Final = "shoal, all nodes in one process"
PEER: Final = "opendht 4.4.2"
UNLIMITED: Final[Limits] = {"total": -1, "per_address": -1}
VALUE_SIZE: Final = 64  # bytes: a typical announcement
REPLICAS: Final = 8  # nodes that store a value; a ninth has to ask
PACKET_KINDS: Final = ("ping", "find", "get")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure.

    Attributes:
        networks: sizes of the networks.
        rounds: turns that each side has at one thing; medians are over all of them.
        sequential: puts and gets per round, one after the other.
        burst: puts, then gets, started together.
        bursts: turns at bursts.
        updates: values that all listeners must hear of, one after the other.
        requests: datagrams thrown at one node.
        memory: sizes of networks that are only started and weighed.
        settle: seconds in which tables fill after the last node joined.
        rest: seconds between bursts; rate limits look back over one.
        ripening: seconds after which a network that only idles has its lasting size.
    """

    networks: tuple[int, ...] = (2, 8, 32)
    rounds: int = 5
    sequential: int = 20
    burst: int = 2000
    bursts: int = 3
    updates: int = 10
    requests: int = 20_000
    memory: tuple[int, ...] = (2, 32, 64, 128)
    settle: float = 3.0
    rest: float = 2.0
    ripening: float = 10.0


FULL: Final = Plan()
QUICK: Final = Plan(
    networks=(2, 32),
    rounds=2,
    sequential=10,
    bursts=1,
    updates=5,
    requests=5_000,
    memory=(2, 64),
)


@dataclass(slots=True)
class Samples:
    """Samples of both sides under names."""

    by_name: defaultdict[str, defaultdict[str, list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )

    def add(self, name: str, side: str, sample: float) -> None:
        """Take one sample."""
        self.by_name[name][side].append(sample)

    def figure(self, name: str, unit: str, **details: Any) -> Figure:
        """Return the medians of both sides."""
        sides = self.by_name[name]
        return Figure(name, unit, median(sides["opendht"]), median(sides["shoal"]), **details)

    def one_process_figure(self, name: str, unit: str) -> Figure:
        """Return the medians of theirs, and of ours without more processes than one."""
        sides = self.by_name[name]
        theirs, ours = median(sides["opendht"]), median(sides[ONE_PROCESS])
        note = "all nodes in one process"
        return Figure(name, unit, theirs, ours, more_is_better=True, note=note)


class Bench:
    """One run of the whole bench."""

    def __init__(self, plan: Plan, seed: int, progress: Console) -> None:
        self._plan = plan
        self._chance = random.Random(seed)
        self._progress = progress

    def run(self, *, is_profiled: bool) -> Report:
        """Measure everything."""
        report = Report("dht", PEER)
        for size in self._plan.networks:
            report.sections += self._network(size)
        report.sections.append(self._memory_section())
        report.sections.append(self._packet_section())
        if is_profiled:
            report.sections.append(self._profile_section())
        return report

    def _network(self, size: int) -> list[Section]:
        with ExitStack() as stack:
            sides = self._networks(stack, size, None)
            sections = [self._sequential(size, sides), self._fan_out(size, sides)]
            if size == self._plan.networks[-1]:
                alone = stack.enter_context(Worker(MODULE, "shoal"))
                self._start(alone, ONE_PROCESS, size, None)
                sides[ONE_PROCESS] = alone
            sections.append(self._bursts(size, sides, "default limits", aim=1.0))
        with ExitStack() as stack:
            sides = self._networks(stack, size, UNLIMITED)
            sections.append(self._bursts(size, sides, "limits off", aim=None))
        return sections

    def _networks(
        self, stack: ExitStack, size: int, limits: Limits | None
    ) -> dict[str, Worker | Spread]:
        """Start a network of either side, each free to use all cores."""
        theirs = stack.enter_context(Worker(MODULE, "opendht"))
        sides: dict[str, Worker | Spread] = {"opendht": theirs, "shoal": Spread(stack)}
        for name, side in sides.items():
            self._start(side, name, size, limits)
        return sides

    def _workers(self, stack: ExitStack, size: int, limits: Limits | None) -> dict[str, Worker]:
        """Start a network of either side, each in one process, which is to be weighed."""
        workers = {side: stack.enter_context(Worker(MODULE, side)) for side in SIDES}
        for name, worker in workers.items():
            self._start(worker, name, size, limits)
        return workers

    def _start(self, side: Worker | Spread, name: str, size: int, limits: Limits | None) -> None:
        self._progress.print(f"{size} nodes of {name} start", highlight=False)
        side.call("start", nodes=size, limits=limits)
        time.sleep(self._plan.settle)

    def _sequential(self, size: int, sides: dict[str, Worker | Spread]) -> Section:
        self._progress.print(f"{size} nodes: one by one", highlight=False)
        samples = Samples()
        ids = {name: worker.call("node_ids") for name, worker in sides.items()}
        for _ in range(self._plan.rounds):
            for name, worker in sides.items():
                for _ in range(self._plan.sequential):
                    reader = reader_of(size)
                    key = self._key_far_from(ids[name], reader)
                    put = worker.call("put", node=0, key=key, value=self._value())
                    lookup: Lookup = worker.call("get", node=reader, key=key)
                    samples.add("put to done", name, put * 1e3)
                    first = lookup["first"]
                    if first is None:
                        raise WorkerError(f"{name} did not find what it had just put")
                    samples.add("get to first value", name, first * 1e3)
                    samples.add("get to done", name, lookup["done"] * 1e3)
        note = "from a node that stores it" if size <= REPLICAS else "from a node without it"
        return Section(
            f"One by one, {size} nodes",
            [
                samples.figure("put to done", "ms"),
                samples.figure("get to first value", "ms", aim=3.0, note=note),
                samples.figure("get to done", "ms"),
            ],
        )

    def _fan_out(self, size: int, sides: dict[str, Worker | Spread]) -> Section:
        self._progress.print(f"{size} nodes: listen", highlight=False)
        samples, name_of = Samples(), f"value to all of {size - 1} listeners"
        key = self._key()
        for worker in sides.values():
            worker.call("listen", listeners=list(range(1, size)), key=key)
        time.sleep(self._plan.settle)
        for _ in range(self._plan.updates):
            for name, worker in sides.items():
                seconds = worker.call("update", source=0, key=key, value=self._value())
                samples.add(name_of, name, seconds * 1e3)
        return Section(f"Listen, {size} nodes", [samples.figure(name_of, "ms")])

    def _bursts(
        self, size: int, sides: dict[str, Worker | Spread], limits: str, aim: float | None
    ) -> Section:
        samples = Samples()
        count = self._plan.burst
        for turn in range(self._plan.bursts):
            for name, worker in sides.items():
                text = f"{size} nodes, {limits}: {count:,} at once, {name}, turn {turn + 1}"
                self._progress.print(text, highlight=False)
                entries = [(self._key(), self._value()) for _ in range(count)]
                keys = [key for key, _ in entries]
                self._burst(samples, "puts", name, worker.call("puts", node=0, entries=entries))
                time.sleep(self._plan.rest)
                burst = worker.call("gets", node=reader_of(size), keys=keys)
                self._burst(samples, "gets", name, burst)
                time.sleep(self._plan.rest)
        figures = [
            samples.figure("puts", "1/s", more_is_better=True, aim=aim),
            samples.figure("puts lost", "of all"),
            samples.figure("gets", "1/s", more_is_better=True, aim=aim),
            samples.figure("gets lost", "of all"),
            samples.figure("processor time per put", "ms", note="all nodes"),
            samples.figure("processor time per get", "ms", note="all nodes"),
        ]
        if ONE_PROCESS in sides:
            figures += [samples.one_process_figure(each, "1/s") for each in ("puts", "gets")]
        return Section(f"{count:,} at once from one node, {size} nodes, {limits}", figures)

    def _burst(self, samples: Samples, what: str, side: str, burst: Burst) -> None:
        lost = burst["failed"] + burst["unfinished"]
        count = self._plan.burst
        samples.add(what, side, (count - lost) / burst["seconds"])
        samples.add(f"{what} lost", side, lost)
        per_one = burst["processor_seconds"] / count * 1e3
        samples.add(f"processor time per {what.removesuffix('s')}", side, per_one)

    def _memory_section(self) -> Section:
        weighed: dict[str, list[Memory]] = {side: [] for side in SIDES}
        for size in self._plan.memory:
            with ExitStack() as stack:
                workers = self._workers(stack, size, None)
                time.sleep(self._plan.ripening)
                for side, worker in workers.items():
                    weighed[side].append(worker.memory())
        note = f"slope of allocated memory, {self._plan.memory[0]} to {self._plan.memory[-1]} nodes"
        theirs, ours = (
            slope(
                [
                    (size, memory.anonymous / 1024)
                    for size, memory in zip(self._plan.memory, weighed[side], strict=True)
                ]
            )
            for side in SIDES
        )
        figures = [Figure("each additional node", "KiB", theirs, ours, aim=1.0, note=note)]
        for index, size in enumerate(self._plan.memory):
            theirs, ours = (weighed[side][index].resident / 2**20 for side in SIDES)
            figures.append(Figure(f"whole process, {size} nodes", "MiB", theirs, ours))
        return Section("Memory, idle", figures)

    def _packet_section(self) -> Section:
        samples = Samples()
        with ExitStack() as stack:
            sides = self._workers(stack, self._plan.networks[-1], UNLIMITED)
            for _ in range(self._plan.rounds):
                for kind in PACKET_KINDS:
                    for name, worker in sides.items():
                        rate = packets.answered_per_processor_second(
                            worker, kind, self._plan.requests
                        )
                        samples.add(f"{kind} answered", name, rate)
        unit = "per processor second"
        figures = [
            samples.figure(f"{kind} answered", unit, more_is_better=True) for kind in PACKET_KINDS
        ]
        for kind in PACKET_KINDS:
            microseconds = median(
                [
                    packets.engine_microseconds(kind, self._plan.requests)
                    for _ in range(self._plan.rounds)
                ]
            )
            figures.append(Figure(f"{kind} in the engine alone", "µs", None, microseconds))
        return Section("Packet path: one node that only answers", figures)

    def _profile_section(self) -> Section:
        size = self._plan.networks[-1]
        entries = [(self._key(), self._value()) for _ in range(self._plan.burst)]
        with Worker(MODULE, "shoal") as worker:
            worker.call("start", nodes=size, limits=None)
            time.sleep(self._plan.settle)
            worker.call("puts", node=0, entries=entries)
            before = worker.call("datagrams")
            lines = worker.call(
                "profile", method="gets", node=reader_of(size), keys=[key for key, _ in entries]
            )
            sent = worker.call("datagrams") - before
        text = (
            f"{len(entries):,} gets at once, {size} nodes: {sent / len(entries):.1f} datagrams each"
        )
        return Section("Where Shoal's time goes", text=[text, *lines])

    def _key(self) -> str:
        return self._chance.randbytes(20).hex()

    def _key_far_from(self, node_ids: list[str], reader: int) -> str:
        """Draw a key that the node *reader* is the least likely to store."""
        while True:
            key = self._key()
            if farthest(node_ids, key) == reader:
                return key

    def _value(self) -> str:
        return self._chance.randbytes(VALUE_SIZE).hex()


def farthest(node_ids: list[str], key: str) -> int:
    """Return the node least likely to store *key*."""
    target = int(key, 16)
    return max(range(len(node_ids)), key=lambda index: int(node_ids[index], 16) ^ target)
