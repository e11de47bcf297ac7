"""How fast two `jamid` 13.7 are on a bench: the figures that Shoal's stand beside."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.peers.jamid import JamidProcess
from tests.peers.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.peers.namespaces import Namespace

_PATIENCE: Final = 60.0  # seconds
_CREATED: Final = ("UNREGISTERED", "TRYING", "REGISTERED")  # the keys are made by then
_PARAMETERS_MADE: Final = "Generated DH params"  # a new account's first work, seconds of CPU
_CHANNEL_OPEN: Final = "New SIP channel opened with"


@dataclass(slots=True)
class JamidTimes:
    """Seconds, one entry per try."""

    created: list[float] = field(default_factory=list)  # addAccount to keys and archive
    announced: list[float] = field(default_factory=list)  # start of the process to announced
    connected: list[float] = field(default_factory=list)  # send to its first channel being open


def measure(
    hosts: tuple[Namespace, Namespace], bootstrap: str, folder: Path, rounds: int = 3
) -> JamidTimes:
    """Create two accounts, then restart both daemons and connect them, *rounds* times.

    They are no contacts, so that nothing connects them before the clock runs: sending a text makes
    13.7 look up the other's devices and open the channel `sip` to each.
    """
    times = JamidTimes()
    homes = [folder / "caller", folder / "callee"]
    accounts = []
    for host, home in zip(hosts, homes, strict=True):
        home.mkdir(parents=True)
        host.resolve({})
        with _Timed(host, home) as daemon:
            begin = time.monotonic()
            account = daemon.add_account(bootstrap)
            made = daemon.wait_signal(
                "registrationStateChanged", account, where=lambda seen: seen.body[1] in _CREATED
            )
            times.created.append(made.at - begin)
            daemon.wait_announced(account, _PATIENCE)
            until(lambda: daemon.first(_PARAMETERS_MADE), "its DH parameters", _PATIENCE)
            accounts.append(account)
    for _ in range(rounds):
        _connect(hosts, homes, accounts, times)
    return times


def _connect(
    hosts: tuple[Namespace, Namespace], homes: list[Path], accounts: list[str], times: JamidTimes
) -> None:
    """Start both, wait until they are announced, open a channel."""
    with contextlib.ExitStack() as stack:
        daemons = []
        for host, home, account in zip(hosts, homes, accounts, strict=True):
            begin = time.monotonic()
            daemon = stack.enter_context(_Timed(host, home))
            announced = daemon.wait_signal(
                "volatileAccountDetailsChanged",
                account,
                where=lambda seen: seen.body[1].get("Account.deviceAnnounced") == "true",
                timeout=_PATIENCE,
            )
            times.announced.append(announced.at - begin)
            daemons.append(daemon)
        caller, callee = daemons
        target = callee.uri(accounts[1])
        begin = time.monotonic()
        caller.send_text(accounts[0], target, "open a channel, please")
        opened = until(lambda: caller.first(_CHANNEL_OPEN), "a channel between both", _PATIENCE)
        times.connected.append(opened - begin)


class _Timed(JamidProcess):
    """A daemon whose log lines are timed, by a clock better than its own."""

    def __init__(self, namespace: Namespace, home: Path) -> None:
        self._seen: dict[str, float] = {}
        super().__init__(namespace, home, name=home.name, on_line=self._note)

    def first(self, text: str) -> float | None:
        """Return when *text* was first logged."""
        return self._seen.get(text)

    def _note(self, line: str) -> None:
        for text in (_PARAMETERS_MADE, _CHANNEL_OPEN):
            if text in line:
                self._seen.setdefault(text, time.monotonic())
