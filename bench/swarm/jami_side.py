"""Two `jamid` 13.7 that talk: the figures that Shoal's stand beside."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.swarm.history import plant_for_jamid, write_groups, write_history
from bench.swarm.times import Times, allocated
from shoal.crypto import Identity
from shoal.swarm import Self
from tests.peers.jami import JamiAccount
from tests.peers.jamid import JamidProcess
from tests.peers.talks import JamiTalk
from tests.peers.waiting import until

if TYPE_CHECKING:
    from bench.swarm.times import Plan
    from tests.peers.jami import Signal
    from tests.peers.namespaces import Namespace

PATIENCE: Final = 600.0  # seconds
PAGE: Final = 50  # messages
_PAUSE: Final = 0.002  # seconds between two looks at what was announced


class JamiSide:
    """Measures, one thing after the other."""

    def __init__(
        self, hosts: tuple[Namespace, Namespace], bootstrap: str, folder: Path, plan: Plan
    ) -> None:
        self._hosts = hosts
        self._bootstrap = bootstrap
        self._homes = [folder / "jamid-1", folder / "jamid-2"]
        self._folder = folder
        self._plan = plan
        self._names: list[str] = []

    def measure(self) -> Times:
        """Measure everything."""
        times = Times()
        self._create()
        folder = self._account_folder(0)
        device = Identity.parse(
            (folder / "ring_device.crt").read_bytes() + (folder / "ring_device.key").read_bytes()
        )
        made = self._folder / "for jamid"
        made.mkdir()
        history = write_history(made, device, self._plan.messages)
        self._groups = [made / each for each in write_groups(made, device, self._plan.groups)]
        owner = Self(device).account
        plant_for_jamid(folder, made / history, owner, time.time())
        with self._both() as (first, second):
            self._talk(first, second, times)
            self._clone(first, second, history, times)
        for _ in range(self._plan.openings):
            self._open(history, times)
        times.memory_before = self._memory(2)
        for group in self._groups:
            plant_for_jamid(folder, group, owner, time.time())
        times.memory = self._memory(2 + len(self._groups))
        return times

    # The parts

    def _create(self) -> None:
        for number, home in enumerate(self._homes):
            home.mkdir(parents=True)
            self._hosts[number].resolve({})
            with JamidProcess(self._hosts[number], home, name=home.name) as daemon:
                name = daemon.add_account(self._bootstrap)
                daemon.wait_announced(name, PATIENCE)
                self._names.append(name)

    def _talk(self, first: JamiAccount, second: JamiAccount, times: Times) -> None:
        """Become contacts, and say something, both ways."""
        first.daemon.call("addContact", first.name, second.uri)
        first.daemon.ask_for_trust(first.name, second.uri)
        second.daemon.wait_request(second.name, first.uri, PATIENCE)
        second.daemon.accept(second.name, first.uri)
        conversation = until(
            lambda: next(iter(second.daemon.conversations(second.name)), None),
            "a conversation",
            PATIENCE,
        )
        JamiTalk(first, conversation).wait_role(second.uri, "member")
        self._say(first, second, conversation, "are you there")  # and all channels are open
        for number in range(self._plan.texts):
            speaker, other = (first, second) if number % 2 else (second, first)
            times.heard.append(self._say(speaker, other, conversation, f"text {number}"))

    def _say(self, speaker: JamiAccount, other: JamiAccount, conversation: str, text: str) -> float:
        begin = time.monotonic()
        speaker.daemon.say(speaker.name, conversation, text)

        def heard() -> Signal | None:
            for signal in reversed(other.daemon.announced("messageReceived")):
                if signal.at >= begin and text in json.dumps(signal.body):
                    return signal
            return None

        return until(heard, f"{text!r} heard", PATIENCE, pause=_PAUSE).at - begin

    def _clone(self, first: JamiAccount, second: JamiAccount, name: str, times: Times) -> None:
        """Invite the second into the long history."""
        first.daemon.invite(first.name, name, second.uri)
        until(
            lambda: any(
                each.get("id") == name
                for each in second.daemon.call("getConversationRequests", second.name)
            ),
            "an invitation",
            PATIENCE,
        )
        begin = time.monotonic()
        second.daemon.call("acceptConversationRequest", second.name, name)
        ready = second.daemon.wait_signal(
            "conversationReady",
            second.name,
            where=lambda seen: seen.body[1] == name,
            timeout=PATIENCE,
        )
        times.cloned.append(ready.at - begin)

    def _open(self, name: str, times: Times) -> None:
        """Start the daemon, and ask for the latest messages as soon as it has the conversation."""
        begin = time.monotonic()
        with JamidProcess(self._hosts[0], self._homes[0], name="jamid-1") as daemon:
            times.page.append(self._loaded(daemon, name, PAGE))
            times.opened.append(time.monotonic() - begin)
            times.whole.append(self._loaded(daemon, name, 0))

    def _loaded(self, daemon: JamidProcess, name: str, count: int) -> float:
        """Let messages be loaded; return the seconds that took. 0 are all."""
        mark = len(daemon.signals)

        def ask() -> bool:
            self._begin = time.monotonic()
            return bool(daemon.call("loadConversationMessages", self._names[0], name, "", count))

        def loaded() -> Signal | None:
            for signal in daemon.announced("conversationLoaded", after=mark):
                if name in signal.body and len(signal.body[-1]) > 1:
                    return signal
            return None

        until(ask, "the conversation", PATIENCE, pause=_PAUSE)
        return until(loaded, "messages", PATIENCE, pause=_PAUSE).at - self._begin

    def _memory(self, count: int) -> float:
        """Start the daemon; return what it allocated until others find it, all groups open."""
        with JamidProcess(self._hosts[0], self._homes[0], name="jamid-1") as daemon:
            until(
                lambda: len(daemon.conversations(self._names[0])) >= count, "all groups", PATIENCE
            )
            daemon.wait_announced(self._names[0], PATIENCE)
            return allocated(_of(daemon))

    # Helpers

    def _account_folder(self, number: int) -> Path:
        return self._homes[number] / "data_home" / "jami" / self._names[number]

    @contextlib.contextmanager
    def _both(self) -> Any:
        with contextlib.ExitStack() as stack:
            accounts = []
            for host, home, name in zip(self._hosts, self._homes, self._names, strict=True):
                daemon = stack.enter_context(JamidProcess(host, home, name=home.name))
                accounts.append(JamiAccount(daemon, name))
            for account in accounts:
                account.daemon.wait_announced(account.name, PATIENCE)
            yield accounts


def _of(daemon: JamidProcess) -> int:
    """Return the process of the daemon itself, below those that started it."""
    found = daemon.process.pid
    while children := Path(f"/proc/{found}/task/{found}/children").read_text().split():
        found = int(children[0])
    return found
