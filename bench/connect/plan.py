"""What is measured, and how often."""

from __future__ import annotations

import contextlib
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.figures import Figure, Report, Section, median
from bench.workers import Worker
from shoal.core.driver import SystemEntropy
from shoal.identity import create_account

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from shoal.crypto import Identity

MIB: Final = 1_000_000  # bytes of a megabyte, as networks count
THROUGHPUT_AIM: Final = 0.3  # of raw TLS between two processes
CONNECT_AIM: Final = 0.5  # of jamid's time
CHANNELS: Final = 200  # on one connection
CHANNEL_SIZE: Final = 500_000  # bytes on each of them


@dataclass(frozen=True, slots=True)
class Plan:
    """How much."""

    rounds: int
    size: int  # bytes on one channel
    connects: int  # per round
    jamid_rounds: int


FULL: Final = Plan(rounds=5, size=200 * MIB, connects=20, jamid_rounds=5)
QUICK: Final = Plan(rounds=2, size=50 * MIB, connects=5, jamid_rounds=2)


@dataclass(slots=True)
class NodeTimes:
    """Seconds, one entry per try, and the steps of the latest attempt to connect."""

    created: list[float] = field(default_factory=list)
    announced: list[float] = field(default_factory=list)
    connected: list[float] = field(default_factory=list)
    steps: dict[str, float] = field(default_factory=dict)


class Bench:
    """One run."""

    def __init__(self, plan: Plan, progress: Console) -> None:
        self._plan = plan
        self._progress = progress

    def run(self, *, has_jamid: bool) -> list[Report]:
        """Measure; the second report is beside jamid, if it is there."""
        reports = [self._loopback()]
        if has_jamid:
            reports.append(self._beside_jamid())
        return reports

    # Two processes on loopback

    def _loopback(self) -> Report:
        self._say("keys of 4096 bits for two devices")
        entropy = SystemEntropy()
        identities = [create_account(entropy, time.time()).device.identity for _ in range(2)]
        with _pair("shoal", identities) as shoal, _pair("tls", identities) as tls:
            one, raw, opens, poured, connects = self._rounds(shoal, tls)
        total = CHANNELS * CHANNEL_SIZE / MIB
        throughput = Section(
            "Throughput, two processes on loopback",
            [
                Figure(
                    "one channel", "MB/s", median(raw), median(one), True, THROUGHPUT_AIM,
                    "packets of 65,535 bytes",
                ),
                Figure(
                    f"{CHANNELS} channels on one connection", "MB/s", median(raw),
                    median([total / seconds for seconds in poured]), True,
                    note="beside one stream of raw TLS",
                ),
            ],
        )  # fmt: skip
        times = Section(
            "Times, two processes on loopback, offers by datagrams",
            [
                Figure("connect to channel open", "ms", None, _ms(connects), note="no DHT"),
                Figure(f"{CHANNELS} channels opened", "ms", None, _ms(opens)),
            ],
        )
        return Report("connect", "asyncio TLS", [throughput, times])

    def _rounds(self, shoal: list[Worker], tls: list[Worker]) -> tuple[list[float], ...]:
        one: list[float] = []
        raw: list[float] = []
        opens: list[float] = []
        poured: list[float] = []
        connects: list[float] = []
        plan = self._plan
        for number in range(plan.rounds):
            self._say(f"round {number + 1} of {plan.rounds}")
            raw.append(plan.size / MIB / tls[0].call("send", size=plan.size))
            one.append(plan.size / MIB / shoal[0].call("send", size=plan.size))
            opened, sent = shoal[0].call("many", count=CHANNELS, size=CHANNEL_SIZE)
            opens.append(opened)
            poured.append(sent)
            connects += [shoal[0].call("connect") for _ in range(plan.connects)]
        return one, raw, opens, poured, connects

    # Beside jamid

    def _beside_jamid(self) -> Report:
        from tests.peers.jamid_pair import measure  # noqa: PLC0415 - needs root and the peers
        from tests.peers.town import Town  # noqa: PLC0415 - the same

        with tempfile.TemporaryDirectory(prefix="shoal-bench-") as folder:
            home = Path(folder)
            (home / "town").mkdir()
            with Town(home / "town") as town:
                hosts = town.bench.add_host(), town.bench.add_host()
                self._say("two jamid")
                theirs = measure(hosts, town.bootstrap, home / "jamid", self._plan.jamid_rounds)
                ours = self._nodes([host.name for host in hosts], home, town.bootstrap)
        steps = ", ".join(f"{name} {seconds:.3f} s" for name, seconds in ours.steps.items())
        section = Section(
            "Two hosts on one switch, a DHT of Shoal nodes",
            [
                Figure(
                    "connect to channel open", "s", median(theirs.connected),
                    median(ours.connected), aim=CONNECT_AIM, note="from an account id",
                ),
                Figure("start to announced", "s", median(theirs.announced), median(ours.announced)),
                Figure("account created", "s", median(theirs.created), median(ours.created)),
            ],
            [
                "jamid: from sendTextMessage to the log line that says its channel `sip` is open.",
                "Shoal: `account.connect`, from the search for the announcement to the channel.",
                f"Shoal's latest attempt, from its first step: {steps}.",
            ],
        )  # fmt: skip
        return Report("connect-jamid", "jamid 13.7", [section])

    def _nodes(self, hosts: list[str], home: Path, bootstrap: str) -> NodeTimes:
        """Create two accounts, then restart both nodes and connect them, again and again."""
        times = NodeTimes()
        with contextlib.ExitStack() as stack:
            ends = [
                stack.enter_context(
                    Worker("bench.connect.node_end", host, str(home / f"node {host}"), bootstrap)
                )
                for host in hosts
            ]
            accounts = []
            for end in ends:
                account, seconds = end.call("create")
                accounts.append(account)
                times.created.append(seconds)
            for number in range(self._plan.jamid_rounds):
                self._say(f"two nodes of Shoal, {number + 1} of {self._plan.jamid_rounds}")
                times.announced += [end.call("start") for end in ends]
                seconds, times.steps = ends[0].call("connect", to=accounts[1])
                times.connected.append(seconds)
                for end in ends:
                    end.call("stop")
        return times

    def _say(self, text: str) -> None:
        self._progress.print(text, style="dim")


@contextlib.contextmanager
def _pair(kind: str, identities: list[Identity]) -> Iterator[list[Worker]]:
    """Start two ends that know each other; the first one calls."""
    with Worker("bench.connect.worker", kind) as first, Worker("bench.connect.worker", kind) as far:
        ends = [first, far]
        chains = [identity.certificate.to_pem() for identity in identities]
        ports = [
            end.call("start", identity=chain + identity.private_key.export())
            for end, chain, identity in zip(ends, chains, identities, strict=True)
        ]
        for end, port, chain in zip(ends, reversed(ports), reversed(chains), strict=True):
            end.call("meet", port=port, chain=chain)
        yield ends


def _ms(samples: list[float]) -> float | None:
    middle = median(samples)
    return None if middle is None else middle * 1000
