"""What is measured, and how often."""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.figures import Figure, Report, Section, median
from bench.swarm.alone import measure_longest
from bench.swarm.history import write_groups, write_history
from bench.swarm.jami_side import JamiSide
from bench.swarm.times import MIB, Plan, Times
from bench.workers import Worker
from shoal.crypto import Identity
from tests.peers.town import Town

if TYPE_CHECKING:
    from rich.console import Console

    from bench.swarm.alone import Longest
    from tests.peers.namespaces import Namespace

AIM: Final = 0.5  # of jamid's time
FULL: Final = Plan(messages=10_000, longest=100_000, texts=20, openings=3, groups=100)
QUICK: Final = Plan(messages=500, longest=2_000, texts=6, openings=1, groups=10)


class Bench:
    """One run."""

    def __init__(self, plan: Plan, progress: Console) -> None:
        self._plan = plan
        self._progress = progress

    def run(self, *, has_jamid: bool) -> Report:
        """Measure both sides, one after the other, between the same two hosts."""
        with tempfile.TemporaryDirectory(prefix="shoal-bench-") as folder:
            home = Path(folder)
            (home / "town").mkdir()
            with Town(home / "town") as town:
                hosts = town.bench.add_host(), town.bench.add_host()
                self._say("two nodes of Shoal")
                ours = self._shoal(hosts, town.bootstrap, home)
                theirs = Times()
                if has_jamid:
                    self._say("two jamid")
                    theirs = JamiSide(hosts, town.bootstrap, home, self._plan).measure()
            together = self._together(theirs, ours)
            for figure in together.figures:  # what comes takes long; this is certain already
                self._say(f"{figure.name}: {figure.theirs} beside {figure.ours} {figure.unit}")
            self._say(f"{self._plan.longest:,} messages")
            longest = measure_longest(home / "longest", self._plan.longest)
        return Report(
            "swarm",
            "jamid 13.7" if has_jamid else "",
            [together, self._alone(longest)],
        )

    def _together(self, theirs: Times, ours: Times) -> Section:
        count = f"{self._plan.messages:,}"
        return Section(
            "Two hosts on one switch, a DHT of Shoal nodes",
            [
                Figure(
                    "text, said to heard", "ms", _ms(theirs.heard), _ms(ours.heard), aim=AIM,
                    note="contacts, connected",
                ),
                Figure(
                    f"first clone of {count} messages", "s", median(theirs.cloned),
                    median(ours.cloned), aim=AIM, note="accepted to ready",
                ),
                Figure(
                    f"opening a conversation of {count} messages", "ms", _ms(theirs.page),
                    _ms(ours.page), aim=AIM, note="its latest 50, as the first after a start",
                ),
                Figure(
                    "… and from the start of the process", "s", median(theirs.opened),
                    median(ours.opened), aim=AIM,
                ),
                Figure(
                    f"reading all {count} of them", "s", median(theirs.whole), median(ours.whole),
                    aim=AIM,
                ),
                Figure(
                    f"memory with {self._plan.groups} more conversations open", "MiB",
                    theirs.memory, ours.memory, aim=AIM, note="allocated, the whole process",
                ),
                Figure(
                    f"memory that {self._plan.groups} more conversations take", "MiB",
                    theirs.memory_more, ours.memory_more, aim=AIM,
                    note="allocated with them and before them, both times announced",
                ),
            ],
        )  # fmt: skip

    def _alone(self, longest: Longest) -> Section:
        count = f"{self._plan.longest:,}"
        return Section(
            f"Shoal alone, one conversation of {count} messages",
            [
                Figure("opening it", "ms", None, _ms(longest.opened)),
                Figure("its latest 50 messages", "ms", None, _ms(longest.page)),
                Figure("50 in its middle", "ms", None, _ms(longest.middle)),
                Figure("a search in all of it", "ms", None, _ms(longest.searched)),
                Figure("saying something in it", "ms", None, _ms(longest.said)),
                Figure("memory that it takes", "MiB", None, longest.memory),
                Figure("judging all, and its index made anew", "s", None, longest.rebuilt),
            ],
        )

    # Shoal

    def _shoal(self, hosts: tuple[Namespace, Namespace], bootstrap: str, home: Path) -> Times:
        times, plan = Times(), self._plan
        with contextlib.ExitStack() as stack:
            homes = [str(home / "shoal-1"), str(home / "shoal-2")]
            ends = [
                stack.enter_context(self._end(host.name, place, bootstrap))
                for host, place in zip(hosts, homes, strict=True)
            ]
            accounts = [end.call("create") for end in ends]
            uris = [account[0] for account in accounts]
            source, groups = self._write(Path(accounts[0][1]), home / "for shoal")
            history = Path(source).name
            ends[0].call("plant", source=source, owner=uris[0])
            for end in ends:
                end.call("start")
                end.call("wait_announced")
            self._talk(ends, uris, times)
            ends[0].call("invite", conversation=history, peer=uris[1])
            times.cloned.append(ends[1].call("clone", conversation=history))
            ends[0].call("stop")
        for _ in range(plan.openings):
            begin = time.monotonic()
            with self._end(hosts[0].name, homes[0], bootstrap) as end:
                end.call("start")
                times.page.append(end.call("page", conversation=history)[0])
                times.opened.append(time.monotonic() - begin)
                seconds, found = end.call("page", conversation=history, count=10**9)
                assert found > plan.messages
                times.whole.append(seconds)
                end.call("stop")
        times.memory_before = self._memory(hosts[0].name, homes[0], bootstrap)
        with self._end(hosts[0].name, homes[0], bootstrap) as end:
            for group in groups:
                end.call("plant", source=group, owner=uris[0])
            end.call("start")  # the index is made
            end.call("stop")
        times.memory = self._memory(hosts[0].name, homes[0], bootstrap)
        return times

    def _memory(self, host: str, home: str, bootstrap: str) -> float:
        """Start a node; return what it allocated until others find it, all conversations open."""
        with self._end(host, home, bootstrap) as end:
            end.call("start")
            end.call("wait_announced")
            found = end.memory().anonymous / MIB
            end.call("stop")
        return found

    def _end(self, host: str, home: str, bootstrap: str) -> Worker:
        return Worker("bench.swarm.node_end", host, home, bootstrap)

    def _write(self, account: Path, folder: Path) -> tuple[str, list[str]]:
        """Write the long history and the groups for an account; return where they are."""
        device = Identity.parse(
            (account / "ring_device.crt").read_bytes() + (account / "ring_device.key").read_bytes()
        )
        folder.mkdir()
        self._say(f"{self._plan.messages:,} messages, signed")
        history = write_history(folder, device, self._plan.messages)
        groups = write_groups(folder, device, self._plan.groups)
        return str(folder / history), [str(folder / each) for each in groups]

    def _talk(self, ends: list[Worker], uris: list[str], times: Times) -> None:
        """Become contacts, and say something, both ways."""
        conversation = ends[0].call("ask", peer=uris[1])
        ends[1].call("accept_contact", peer=uris[0])
        for end, peer in zip(ends, reversed(uris), strict=True):
            end.call("joined", conversation=conversation, peer=peer)
        for number in range(self._plan.texts + 1):
            speaker, other = ends[number % 2], ends[(number + 1) % 2]
            begin = speaker.call("say", conversation=conversation, text=f"text {number}")
            heard = other.call("heard", text=f"text {number}")
            if number:  # the first may have to wait for what is not measured here
                times.heard.append(heard - begin)

    def _say(self, text: str) -> None:
        self._progress.print(text, style="dim")


def _ms(samples: list[float]) -> float | None:
    middle = median(samples)
    return None if middle is None else middle * 1000
