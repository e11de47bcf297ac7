"""The README's bot, run as it stands there: a process of its own, and somebody who writes to it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from shoal.core import AccountId

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shoal.testing import LoopbackNetwork

README: Final = Path(__file__).parents[3] / "README.md"
BLOCK: Final = re.compile(r"^```python\n([^`]*?bot\.run\(\)\n)```", re.MULTILINE)


def readme_bot() -> str:
    """Return the bot that the README shows."""
    (block,) = BLOCK.findall(README.read_text())
    return str(block)


def test_it_is_ten_lines() -> None:
    """As the README says of bots, at most, blank ones left out."""
    assert len([line for line in readme_bot().splitlines() if line]) <= 10


class Process:
    """The README's bot in a process of its own, which can be killed and started again."""

    def __init__(self, network: LoopbackNetwork, home: Path) -> None:
        self._home = home
        network.prepare_home(home / "bots" / "echo")
        self.address = self.start()

    def start(self) -> AccountId:
        """Run it, and return the address that it tells."""
        self.child = subprocess.Popen(  # noqa: S603 - our own interpreter and text
            [sys.executable, "-c", readme_bot()],
            env={**os.environ, "SHOAL_HOME": str(self._home)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.child.stdout is not None
        line = next(line for line in self.child.stdout if "jami:" in line)
        return AccountId.from_hex(line.strip().rpartition("jami:")[2])

    def end(self, how: signal.Signals) -> int:
        """Send it a signal, and return its exit status."""
        self.child.send_signal(how)
        self.child.communicate(timeout=60)
        return self.child.returncode


@pytest.fixture
def process(shoal_network: LoopbackNetwork, tmp_path: Path) -> Iterator[Process]:
    """The bot, running."""
    running = Process(shoal_network, tmp_path / "shoal")
    yield running
    running.end(signal.SIGKILL)


def test_it_answers(shoal_network: LoopbackNetwork, process: Process) -> None:
    """It makes its account, tells its address, answers whoever asks, and stops when told."""
    alice = shoal_network.user("Alice")
    talk = alice.meet(shoal_network.stranger("Echo", process.address))
    talk.say("hello from the README")
    talk.expect("hello from the README")
    assert process.end(signal.SIGTERM) == 0


def test_it_is_killed_again_and_again(shoal_network: LoopbackNetwork, process: Process) -> None:
    """Killed at any moment it loses no message, and answers none twice, nor in another order."""
    alice = shoal_network.user("Alice")
    talk = alice.meet(shoal_network.stranger("Echo", process.address))
    said = []
    for kill in range(3):
        for number in range(8):
            said.append(f"message {kill}.{number}")
            talk.say(said[-1])
        talk.expect(said[8 * kill + 2 * kill])  # it is at work
        process.end(signal.SIGKILL)
        assert process.start() == process.address
    talk.expect(said[-1])
    answers = [text for name, text in talk.texts() if name == "Echo"]
    assert answers == said
